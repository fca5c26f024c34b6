//! Hand-made histories of a small world: payments, votes, receipts and blocks, each step of which can be bent.

use crate::invariants::recovery::StateClaim;
use crate::oracle::{Heard, Oracle, Released};
use std::collections::{BTreeMap, BTreeSet};
use timed::chain::leader::{leader, vdf_seed};
use timed::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use timed::crypto::vdf;
use timed::ledger::execute::{BlockBody, Executed, execute};
use timed::ledger::state::ChainState;
use timed::ledger::utxo::{StateRead, Utxo};
use timed::ledger::verify::Verifier;
use timed::types::block::{BftKind, BftVote, Block, Commit, Proposal, bft_digest};
use timed::types::evidence::{BftPart, Evidence};
use timed::types::hash::{BlockHash, Txid};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Epoch, Height, Slot, View};
use timed::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut, sighash};
use timed::types::vote::{FinalityKind, VoteBatch};

/// Units of every coin in genesis.
pub const COIN: u64 = 200_000_000_000;
/// Masternodes; the last of them is Byzantine.
pub const MASTERNODES: usize = 4;
/// Those that are honest.
pub const HONEST: usize = 3;

#[derive(Default)]
struct Archive {
    utxos: BTreeMap<OutPoint, Utxo>,
    archived: BTreeMap<Txid, Height>,
}

impl StateRead for Archive {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.utxos.get(outpoint).copied()
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.archived.get(txid).copied()
    }
}

/// A world of four masternodes of equal weight, whose epochs have two slots.
pub struct History {
    pub chain: Chain,
    pub keys: Vec<SecretKey>,
    pub oracle: Oracle,
    pub state: ChainState,
    verifier: Verifier,
    archive: Archive,
    last_commit: Option<Commit>,
    genesis_txid: Txid,
}

pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}

fn spec(keys: &[SecretKey]) -> ChainSpec {
    let mut spec = ChainSpec::builtin("dev").unwrap();
    spec.vdf_iterations = 1;
    spec.epoch_slots = 2;
    spec.overflow_min_bytes = 300;
    spec.masternodes = keys
        .iter()
        .map(|key| GenesisMasternode {
            consensus_key: key.public_key(),
            owner: Lock::of_key(&key.public_key()),
            payout: Lock::of_key(&key.public_key()),
            tier: "bronze".into(),
            endpoint: "127.0.0.1:1".into(),
        })
        .collect();
    let user = Lock::of_key(&secret(100).public_key());
    spec.allocations = (0..8).map(|_| Allocation { address: user, amount: Amount::new(COIN) }).collect();
    spec
}

impl History {
    pub fn new() -> Self {
        let keys: Vec<SecretKey> = (1..=MASTERNODES as u8).map(secret).collect();
        let chain = Chain::new(spec(&keys)).unwrap();
        let honest: BTreeSet<PublicKey> = keys.iter().take(HONEST).map(SecretKey::public_key).collect();
        let (state, utxos) = ChainState::genesis(&chain).unwrap();
        Self {
            oracle: Oracle::new(&chain, honest),
            verifier: Verifier::new(chain.clone()),
            genesis_txid: utxos[0].0.txid,
            archive: Archive { utxos: utxos.into_iter().collect(), archived: BTreeMap::new() },
            last_commit: None,
            state,
            keys,
            chain,
        }
    }

    /// The invariants found broken.
    pub fn fired(&mut self) -> BTreeSet<&'static str> {
        self.oracle.finish();
        self.oracle.violations().iter().map(|v| v.invariant).collect()
    }

    pub fn key(&self, i: usize) -> PublicKey {
        self.keys[i].public_key()
    }

    pub fn epoch(&self) -> u64 {
        self.state.child_epoch(&self.chain).get()
    }

    /// The n-th coin of the user in genesis.
    pub fn coin(&self, n: u32) -> OutPoint {
        OutPoint { txid: self.genesis_txid, index: MASTERNODES as u32 + n }
    }

    /// Spends `coin`, worth `value`, to the user; `mark` tells rivals apart.
    pub fn pay(&self, coin: OutPoint, value: u64, mark: u8) -> Transaction {
        self.spend(coin, vec![value - 100_000], Payload::Transfer, mark, &[])
    }

    /// Spends `coin` of the user with any payload, `others` authorizing too.
    pub fn spend(
        &self,
        coin: OutPoint,
        values: Vec<u64>,
        payload: Payload,
        mark: u8,
        others: &[&SecretKey],
    ) -> Transaction {
        let user = secret(100);
        let lock = Lock::of_key(&user.public_key());
        let outputs = values.into_iter().map(|v| TxOut { value: Amount::new(v), lock }).collect();
        let body = TxBody { version: 1, inputs: vec![coin], outputs, payload, memo: vec![mark] };
        let digest = sighash(&self.chain.id(), &body.txid());
        let witness = |key: &SecretKey| Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) };
        let witnesses = std::iter::once(&user).chain(others.iter().copied()).map(witness).collect();
        Transaction { body, witnesses }
    }

    pub fn batch(&self, signer: usize, kind: FinalityKind, epoch: u64, txids: &[Txid]) -> VoteBatch {
        let voter = self.key(signer);
        let unsigned = Signature([0; 64]);
        let mut batch = VoteBatch { epoch: Epoch::new(epoch), kind, voter, txids: txids.to_vec(), signature: unsigned };
        batch.signature = self.keys[signer].sign(&batch.digest(&self.chain.id()));
        batch
    }

    /// These masternodes sign; the honest ones through their signers.
    pub fn sign(&mut self, signers: &[usize], kind: FinalityKind, epoch: u64, txids: &[Txid]) {
        for signer in signers {
            let batch = self.batch(*signer, kind, epoch, txids);
            if *signer < HONEST {
                self.oracle.release(0, Released::Votes(&batch), false);
            }
            self.oracle.hear(0, Heard::Votes(&batch));
        }
    }

    /// Votes and receipts of all honest masternodes in the current epoch.
    pub fn finalize(&mut self, txs: &[Transaction]) {
        txs.iter().for_each(|tx| self.oracle.submit(0, tx));
        let txids: Vec<Txid> = txs.iter().map(|tx| tx.body.txid()).collect();
        if !txids.is_empty() {
            self.sign(&[0, 1, 2], FinalityKind::Vote, self.epoch(), &txids);
            self.sign(&[0, 1, 2], FinalityKind::Receipt, self.epoch(), &txids);
        }
    }

    /// The block that follows from the tip, `slots` after its slot.
    pub fn build(&self, slots: u64, txs: &[Transaction], evidence: &[Evidence]) -> (Block, Executed) {
        let slot = Slot::new(self.state.header.slot.get() + slots);
        let mut txs: Vec<_> =
            txs.iter().map(|tx| self.verifier.transaction(HashedTx::new(tx.clone())).unwrap()).collect();
        txs.sort_by_key(|tx| tx.txid());
        let evidence: Vec<_> = evidence.iter().map(|e| self.verifier.evidence(e.clone()).unwrap()).collect();
        let last = self.last_commit.clone().map(|commit| self.verifier.commit(commit, &self.state.signers).unwrap());
        let opened = self.state.header.opened + 1;
        let seed = vdf_seed(&self.state.header.beacon, &self.state.last_opening, opened);
        let vdf = (slots > 0).then(|| vdf::evaluate(&seed, 1));
        let proposer = leader(&self.state.header.beacon, self.state.child_height(), View::ZERO, &self.state.validators);
        let body =
            BlockBody { slot, proposer, txs: &txs, last_commit: last.as_ref(), evidence: &evidence, vdf: vdf.as_ref() };
        let executed = execute(&self.chain, &self.state, &self.archive, &self.verifier, &body).unwrap();
        let block = Block {
            header: executed.header.clone(),
            txs: executed.coinbase.iter().cloned().chain(txs.iter().map(|tx| tx.tx().clone())).collect(),
            last_commit: self.last_commit.clone(),
            evidence: evidence.into_iter().map(|e| e.into_inner()).collect(),
            vdf,
        };
        (block, executed)
    }

    pub fn vote(&self, signer: usize, height: u64, view: u32, kind: BftKind, block: Option<BlockHash>) -> BftVote {
        let (height, view) = (Height::new(height), View::new(view));
        let digest = bft_digest(&self.chain.id(), height, view, kind, block);
        BftVote {
            height,
            view,
            kind,
            block_hash: block,
            voter: self.key(signer),
            signature: self.keys[signer].sign(&digest),
        }
    }

    pub fn proposal(&self, block: &Block, view: u32) -> Proposal {
        let opens = usize::from(block.vdf.is_some());
        let by = self.keys.iter().find(|key| key.public_key() == block.header.proposer).unwrap();
        let mut proposal = Proposal {
            view: View::new(view),
            proof: None,
            header: block.header.clone(),
            txids: block.txs.iter().skip(opens).map(|tx| tx.body.txid()).collect(),
            last_commit: block.last_commit.clone(),
            evidence: block.evidence.clone(),
            vdf: block.vdf.clone(),
            leader: block.header.proposer,
            signature: Signature([0; 64]),
        };
        proposal.signature = by.sign(&proposal.digest(&self.chain.id()));
        proposal
    }

    /// Precommits of these masternodes at view 0.
    pub fn commit_by(&self, block: &Block, signers: &[usize]) -> Commit {
        let (height, hash) = (block.header.height, block.header.hash());
        let entry = |key: PublicKey| {
            let signer = signers.iter().find(|i| self.key(**i) == key)?;
            Some(self.vote(*signer, height.get(), 0, BftKind::Precommit, Some(hash)).signature)
        };
        let signatures = self.state.validators.members().iter().map(|m| entry(m.consensus_key)).collect();
        Commit { height, view: View::ZERO, block_hash: hash, signatures }
    }

    /// Proposal, prepares and precommits of all honest masternodes at view 0.
    pub fn agree(&mut self, block: &Block) {
        let proposal = self.proposal(block, 0);
        if (0..HONEST).any(|i| self.key(i) == proposal.leader) {
            self.oracle.release(0, Released::Proposal(&proposal), false);
        }
        self.oracle.hear(0, Heard::Proposal(&proposal));
        for kind in [BftKind::Prepare, BftKind::Precommit] {
            for signer in 0..HONEST {
                let vote = self.vote(signer, block.header.height.get(), 0, kind, Some(block.header.hash()));
                self.oracle.release(0, Released::Vote(&vote), false);
                self.oracle.hear(0, Heard::Vote(&vote));
            }
        }
    }

    /// Agreement and commit at every honest node, which says of its state what `claim` makes of the true one.
    pub fn commit_bent(&mut self, block: &Block, executed: &Executed, claim: impl Fn(&mut StateClaim)) {
        self.agree(block);
        let commit = self.commit_by(block, &[0, 1, 2]);
        let mut said = claim_of(&executed.changes.state);
        claim(&mut said);
        for node in 0..HONEST {
            self.oracle.commit(0, node, block, &commit, &said);
        }
        self.last_commit = Some(commit);
        for (at, _) in &executed.changes.spent {
            self.archive.utxos.remove(at);
        }
        self.archive.utxos.extend(executed.changes.created.iter().copied());
        self.archive.archived.extend(executed.changes.txids.iter().map(|txid| (*txid, executed.changes.height)));
        self.state = executed.changes.state.clone();
    }

    pub fn commit(&mut self, block: &Block, executed: &Executed) {
        self.commit_bent(block, executed, |_| {});
    }

    /// The next slot's block with final payments.
    pub fn slot(&mut self, txs: &[Transaction]) {
        self.finalize(txs);
        let (block, executed) = self.build(1, txs, &[]);
        self.commit(&block, &executed);
    }

    /// Two precommits of one masternode for different blocks.
    pub fn double_precommit(&self, signer: usize, height: u64) -> Evidence {
        let part = |n: u8| {
            let vote = self.vote(signer, height, 5, BftKind::Precommit, Some(BlockHash([n; 32])));
            let BftVote { height, view, kind, block_hash, signature, .. } = vote;
            BftPart { height, view, kind, block_hash, signature }
        };
        Evidence::of_bft(self.key(signer), part(1), part(2))
    }
}

/// What a node with this state says.
pub fn claim_of(state: &ChainState) -> StateClaim {
    StateClaim {
        height: state.header.height.get(),
        hash: state.hash,
        last_opening: state.last_opening,
        utxos: state.utxo_hash.hash(),
        registry: state.registry.hash(),
        supply: state.supply.get(),
        accrued_fees: state.accrued_fees.get(),
        next_validators: state.validators.hash(),
    }
}
