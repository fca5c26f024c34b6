//! Executes one committed block on the oracle's own ledger and holds it to every rule of `protocol.md` 7.3 that is
//! marked *always*, but for the delay itself (a beacon is taken as it stands; its hash is checked).

use super::committee::Committee;
use super::replay::{Replay, Sealed, Unspent};
use super::report::Report;
use super::signatures::Signatures;
use super::{commits, digest, evidence, leader, payout, transactions};
use std::collections::BTreeSet;
use std::sync::Arc;
use timed::types::block::{Block, Commit};
use timed::types::codec::{encode, encoded_size};
use timed::types::hash::{BlockHash, Hash, Txid};
use timed::types::lock::Lock;
use timed::types::transaction::{OutPoint, Payload, Transaction};

/// Views whose leaders are worth drawing to find who built a block.
const MAX_VIEWS: u32 = 10_000;

/// The hash of a block.
pub fn block_hash(block: &Block) -> BlockHash {
    BlockHash(digest::h("timecoin v1 block", &[&encode(&block.header)]).0)
}

fn collateral(tx: &Transaction, txid: &Txid) -> Option<OutPoint> {
    match &tx.body.payload {
        Payload::Register(register) => Some(OutPoint { txid: *txid, index: register.collateral_index }),
        _ => None,
    }
}

struct Execution<'a> {
    replay: &'a mut Replay,
    report: &'a mut Report,
    signatures: &'a mut Signatures,
    block: &'a Block,
    hash: BlockHash,
    height: u64,
    parent: Sealed,
    own: Arc<Committee>,
    parents: Arc<Committee>,
    opens: bool,
    closes: bool,
    txids: Vec<Txid>,
    /// Outputs that registrations of this block name as collateral.
    new_collaterals: BTreeSet<OutPoint>,
}

impl Replay {
    /// Executes `block`, the child of the tip, committed at `view`; whether it could be executed. If not, nothing
    /// after it can be judged.
    pub fn execute(&mut self, block: &Block, view: u32, signatures: &mut Signatures, report: &mut Report) -> bool {
        if self.broken {
            return false;
        }
        let parent = self.tip().clone();
        let height = parent.height + 1;
        let Some(own) = self.signers(height).cloned() else { return false };
        let parents = self.signers(parent.height).cloned().unwrap_or_else(|| own.clone());
        let opens = block.header.opened != parent.opened;
        let closes = opens && block.header.opened.is_multiple_of(self.spec.epoch_slots);
        let txids: Vec<Txid> = block.txs.iter().map(transactions::txid).collect();
        let new_collaterals = block.txs.iter().zip(&txids).filter_map(|(tx, id)| collateral(tx, id)).collect();
        let hash = block_hash(block);
        let mut execution = Execution {
            replay: self,
            report,
            signatures,
            block,
            hash,
            height,
            parent,
            own,
            parents,
            opens,
            closes,
            txids,
            new_collaterals,
        };
        execution.check_place(view);
        execution.check_contents();
        let done = execution.run().is_some();
        self.broken = !done;
        done
    }
}

impl Execution<'_> {
    fn rule(&mut self, holds: bool, text: impl FnOnce() -> String) {
        let (height, hash) = (self.height, self.hash);
        self.report.expect("rule", holds, || format!("block {height} ({hash:?}): {}", text()));
    }

    /// The header's place in the chain: parent, slot, set, beacon, leader.
    fn check_place(&mut self, view: u32) {
        let (header, parent) = (&self.block.header, self.parent.clone());
        self.rule(header.version == 1 && header.chain_id == self.replay.chain_id, || "another chain or version".into());
        self.rule(header.height.get() == self.height && header.prev == parent.hash, || {
            format!("height {} on {:?} does not follow {} {:?}", header.height, header.prev, parent.height, parent.hash)
        });
        let slot = header.slot.get();
        if self.opens {
            self.rule(slot > parent.slot && header.opened == parent.opened + 1, || {
                format!(
                    "opens slot {slot} as number {} after slot {} and {}",
                    header.opened, parent.slot, parent.opened
                )
            });
            let y = self.block.vdf.as_ref().map(|vdf| digest::h("timecoin v1 beacon", &[&vdf.y]));
            self.rule(y == Some(header.beacon), || "the beacon is not that of the proof".into());
        } else {
            self.rule(slot == parent.slot, || format!("an overflow block of slot {slot} after slot {}", parent.slot));
            self.rule(self.block.vdf.is_none() && header.beacon == parent.beacon, || "a new beacon".into());
        }
        self.rule(header.validators_hash == self.own.hash, || "signed by another set".into());
        let leaders = leader::leaders(&parent.beacon, self.height, view.min(MAX_VIEWS), &self.own);
        self.rule(leaders.contains(&header.proposer), || {
            format!("{:?} led none of the views up to {view}", header.proposer)
        });
    }

    /// What the header says of the contents: roots, order, sizes, the parent's commit.
    fn check_contents(&mut self) {
        let (block, header) = (self.block, &self.block.header);
        let tx_root = digest::merkle_root(self.txids.iter().map(|id| &id.0));
        self.rule(header.tx_root == tx_root && header.tx_count as usize == block.txs.len(), || "tx_root".into());
        let commit_root = digest::h("timecoin v1 commit", &[&encode(&block.last_commit)]);
        self.rule(header.last_commit_root == commit_root, || "last_commit_root".into());
        let proofs: Vec<Hash> = block.evidence.iter().map(evidence::hash).collect();
        self.rule(header.evidence_root == digest::merkle_root(proofs.iter().map(|e| &e.0)), || "evidence_root".into());
        self.rule(proofs.iter().zip(proofs.iter().skip(1)).all(|(a, b)| a < b), || "evidence out of order".into());

        let ordinary = usize::from(self.opens);
        let coinbases = block.txs.iter().filter(|tx| tx.body.is_coinbase()).count();
        let first_is_coinbase = block.txs.first().is_some_and(|tx| tx.body.is_coinbase());
        self.rule(coinbases == ordinary && first_is_coinbase == self.opens, || "coinbase out of place".into());
        let mut ids = self.txids.iter().skip(ordinary).zip(self.txids.iter().skip(ordinary + 1));
        let ascending = ids.all(|(a, b)| a.0 < b.0);
        self.rule(ascending, || "transactions out of order".into());

        let of_txs: u64 = block.txs.iter().skip(ordinary).map(|tx| encoded_size(tx) as u64).sum();
        let of_evidence: u64 = block.evidence.iter().map(|e| encoded_size(e) as u64).sum();
        let (least, most) = (self.replay.spec.overflow_min_bytes, self.replay.spec.max_block_bytes);
        self.rule(of_txs + of_evidence <= most, || format!("{of_txs} + {of_evidence} bytes"));
        self.rule(self.opens || of_txs >= least, || format!("an overflow block of {of_txs} bytes"));
        self.check_last_commit();
    }

    fn check_last_commit(&mut self) {
        let fault = match &self.block.last_commit {
            None => (self.height > 1).then(|| "missing".to_owned()),
            Some(_) if self.height == 1 => Some("of genesis".to_owned()),
            Some(commit) => {
                let parent = (self.parent.height, self.parent.hash);
                commits::fault(&self.replay.chain_id, &self.parents, parent, commit, self.signatures)
            }
        };
        if let Some(fault) = fault {
            self.report.broken("S2", format!("block {}: the parent's commit: {fault}", self.height));
        }
    }

    /// Evidence, transactions, boundary, state; `None` if the block cannot be executed.
    fn run(&mut self) -> Option<()> {
        for piece in &self.block.evidence {
            self.punish(piece)?;
        }
        let ordinary = usize::from(self.opens);
        let block = self.block;
        for (tx, txid) in block.txs.iter().zip(&self.txids) {
            self.replay.create(*txid, &tx.body.outputs, self.height);
            let twice = self.replay.archived.insert(*txid, self.height).is_some();
            self.replay.members.archive(txid, self.parent.opened / self.replay.spec.epoch_slots);
            self.report.expect("rule", !twice, || format!("{txid:?} is archived twice"));
        }
        let mut fees = 0u128;
        let txids = self.txids.clone();
        for (tx, txid) in block.txs.iter().zip(&txids).skip(ordinary) {
            fees += self.spend(tx, txid)?;
        }
        self.check_signatures();
        self.pay(u64::try_from(fees).ok()?);
        let epoch = self.parent.opened / self.replay.spec.epoch_slots;
        let spec = self.replay.spec.clone();
        for (tx, txid) in block.txs.iter().zip(&txids) {
            self.replay.registry.apply(&spec, self.height, epoch, *txid, &tx.body);
        }
        let mut next = self.own.clone();
        if self.closes {
            let before = self.replay.registry.clone();
            self.replay.registry.boundary(&spec, epoch, self.own.total);
            let Replay { members, registry, .. } = &mut *self.replay;
            members.boundary(&spec, (epoch, self.own.total), &before, registry, self.report);
            let members = self.replay.registry.members();
            next = Arc::new(Committee::new(epoch + 1, members, &self.replay.honest));
            self.replay.committees.push(next.clone());
        }
        self.rule(block.header.next_validators_hash == next.hash, || "next_validators_hash".into());
        self.seal(epoch);
        Some(())
    }

    fn punish(&mut self, piece: &timed::types::evidence::Evidence) -> Option<()> {
        let voter = piece.voter();
        if let Some(fault) = evidence::fault(&self.replay.chain_id, piece, self.signatures) {
            self.report.broken("S11", format!("block {}: evidence against {voter:?}: {fault}", self.height));
        }
        let spec = self.replay.spec.clone();
        let Some(slashing) = self.replay.registry.slash(&spec, &voter) else {
            self.report.broken("S11", format!("block {}: evidence punishes {voter:?} for nothing", self.height));
            return None;
        };
        self.replay.members.punish(&voter, self.height, &slashing.old, slashing.new);
        let gone = self.replay.take_output(&slashing.old);
        self.rule(gone.is_some(), || format!("the collateral {:?} is not there", slashing.old));
        self.replay.supply.slashed += u128::from(gone?.out.value.get().checked_sub(slashing.out.value.get())?);
        self.replay.add_output(slashing.new, Unspent { out: slashing.out, created: self.height });
        Some(())
    }

    /// Takes the inputs of `tx` away; its fee.
    fn spend(&mut self, tx: &Transaction, txid: &Txid) -> Option<u128> {
        let size = encoded_size(tx) as u64;
        if let Some(fault) = transactions::fault_alone(&self.replay.spec, tx, size) {
            self.rule(false, || format!("{txid:?}: {fault}"));
        }
        let mut locks: Vec<Lock> = Vec::new();
        let mut paid = 0u128;
        for input in &tx.body.inputs {
            let bound = self.replay.registry.binds(input) || self.new_collaterals.contains(input);
            self.rule(!bound, || format!("{txid:?} spends the collateral {input:?}"));
            let Replay { members, spec, .. } = &mut *self.replay;
            members.spend(spec, self.parent.opened / spec.epoch_slots, input, self.report);
            let Some(unspent) = self.replay.take_output(input) else {
                let spender = self.replay.spender(input);
                self.rule(false, || format!("{txid:?} spends {input:?}, which is not there; spent by {spender:?}"));
                return None;
            };
            self.replay.spent_by.insert(*input, *txid);
            locks.push(unspent.out.lock);
            paid += u128::from(unspent.out.value.get());
        }
        if let Some(fault) = transactions::witness_fault(tx, &locks, self.authority(tx)) {
            self.rule(false, || format!("{txid:?}: {fault}"));
        }
        let created: u128 = tx.body.outputs.iter().map(|out| u128::from(out.value.get())).sum();
        let least = u128::from(self.replay.spec.min_fee_rate) * u128::from(size);
        self.rule(paid >= created + least, || format!("{txid:?} pays {paid} for {created} and {size} bytes"));
        let fee = paid.checked_sub(created)?;
        self.replay.supply.fees += fee;
        Some(fee)
    }

    /// The owner whose consent the payload of `tx` needs, if its masternode is there.
    fn authority(&self, tx: &Transaction) -> Option<Lock> {
        let id = match &tx.body.payload {
            Payload::Update(update) => &update.masternode,
            Payload::Unregister { masternode } => masternode,
            Payload::Transfer | Payload::Coinbase { .. } | Payload::Register(_) => return None,
        };
        self.replay.registry.get(id).map(|record| record.owner)
    }

    fn check_signatures(&mut self) {
        let pairs = self.block.txs.iter().zip(&self.txids);
        let claims: Vec<_> = pairs.flat_map(|(tx, id)| transactions::claims(&self.replay.chain_id, tx, id)).collect();
        self.signatures.check_all(&claims);
        for claim in claims {
            let valid = self.signatures.check(claim);
            self.rule(valid, || format!("a transaction holds a bad signature of {:?}", claim.key));
        }
    }

    /// Reward and coinbase (S4).
    fn pay(&mut self, fees: u64) {
        let header = &self.block.header;
        let (reward, height) = (header.reward.get(), self.height);
        if !self.opens {
            self.report.expect("S4", reward == 0, || format!("overflow block {height} pays {reward}"));
            self.replay.accrued_fees = self.replay.accrued_fees.saturating_add(fees);
            return;
        }
        let collected = self.replay.accrued_fees.saturating_add(fees);
        let spec = self.replay.spec.reward;
        let (least, most) = self.replay.logarithms.subsidy(&spec, header.opened, self.own.members.len());
        let subsidy = reward.checked_sub(collected);
        self.report.expect("S4", subsidy.is_some_and(|s| (least..=most).contains(&s)), || {
            format!("block {height}: reward {reward} for fees of {collected} and a subsidy of {least}")
        });
        self.replay.accrued_fees = 0;
        let Some(coinbase) = self.block.txs.first() else { return };
        let commit: Option<&Commit> = self.block.last_commit.as_ref();
        let due = payout::outputs(reward, spec.proposer_bps, &self.parents, commit, &self.own, &header.proposer);
        let body = &coinbase.body;
        self.report
            .expect("S4", body.outputs == due, || format!("block {height}: the coinbase pays {:?}", body.outputs));
        let is_bare = body.inputs.is_empty() && body.memo.is_empty() && coinbase.witnesses.is_empty();
        let names_height = body.payload == Payload::Coinbase { height: header.height };
        self.rule(is_bare && names_height && body.version == 1, || "a coinbase of another shape".into());
        self.replay.supply.minted += body.outputs.iter().map(|out| u128::from(out.value.get())).sum::<u128>();
    }

    /// The state after the block (S4, S5).
    fn seal(&mut self, epoch: u64) {
        let (replay, header, height) = (&mut *self.replay, &self.block.header, self.height);
        let (supply, value) = (replay.supply.total(), replay.value);
        self.report.expect("S4", supply == value, || {
            format!("block {height}: a supply of {supply} where {value} is unspent; {:?}", replay.supply)
        });
        let state_root = replay.state_root();
        self.report.expect("S5", header.state_root == state_root, || {
            format!("block {height} says {:?}, the replayed state is {state_root:?}", header.state_root)
        });
        let sealed = Sealed {
            height,
            hash: self.hash,
            slot: header.slot.get(),
            opened: header.opened,
            beacon: header.beacon,
            last_opening: if self.opens { self.hash } else { self.parent.last_opening },
            epoch,
            closes: self.closes,
            state_root,
            utxos: replay.set_hash.hash(),
            registry: replay.registry.hash(),
            supply: u64::try_from(supply).unwrap_or(u64::MAX),
            accrued_fees: replay.accrued_fees,
            txids: Arc::from(self.txids.as_slice()),
        };
        replay.sealed.push(sealed);
        replay.blocks.push(self.block.clone());
    }
}
