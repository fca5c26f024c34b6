//! The chain executed once more from blocks alone: nothing of the index is believed.
//!
//! Each block is linked to the one before, its commit checked against the set of its height, its transactions verified
//! and executed to the header that it has; and after each the supply is what issuance says (`protocol.md` 8): genesis and
//! all coinbases less fees and punishments, which must also be the sum of what is unspent. It begins at genesis, or where
//! blocks are not kept so far back, at the snapshot that they go on from, whose state a commit has proved.
//!
//! Memory: every unspent output, about 150 bytes each.

use super::block_record::StoredBlock;
use super::snapshots::Snapshots;
use super::store::StoreError;
use crate::chain::spec::Chain;
use crate::ledger::execute::{BlockBody, BlockChanges, execute};
use crate::ledger::state::ChainState;
use crate::ledger::utxo::{StateRead, Utxo};
use crate::ledger::verify::Verifier;
use crate::replica::command::CommittedBlock;
use crate::replica::message::{SealedBlock, verify_block};
use crate::types::block::Commit;
use crate::types::hash::Txid;
use crate::types::lock::Witness;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, Transaction, TxOut};
use std::collections::HashMap;
use std::sync::Arc;

/// What was gone through so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReplayCounts {
    /// Blocks, genesis included.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Signatures of transactions, commits and evidence. One that stands in two places counts twice.
    pub signatures: u64,
}

/// See the module.
pub struct Replay {
    chain: Chain,
    verifier: Arc<Verifier>,
    /// Height of the block that it began at.
    base: Height,
    /// Transactions of genesis and what they did, if it began there.
    genesis: Option<(Vec<Transaction>, BlockChanges)>,
    state: ChainState,
    unspent: Unspent,
    counts: ReplayCounts,
    /// Genesis and coinbases less fees and punishments.
    issued: Amount,
    /// Blocks that closed an epoch.
    closing: Vec<Height>,
}

/// Unspent outputs, and their sum.
#[derive(Default)]
struct Unspent {
    outputs: HashMap<OutPoint, Utxo>,
    value: Amount,
}

impl StateRead for Unspent {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.outputs.get(outpoint).copied()
    }

    /// Execution does not ask: a txid comes twice only if its inputs do.
    fn archived_height(&self, _: &Txid) -> Option<Height> {
        None
    }
}

impl Replay {
    /// Stands at genesis.
    ///
    /// # Errors
    /// [`StoreError::BadBlock`] if the chain spec has no genesis.
    pub fn new(chain: Chain, verifier: Arc<Verifier>) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::BadBlock { height: Height::ZERO, reason };
        let (state, created) = ChainState::genesis(&chain).map_err(|e| bad(e.to_string()))?;
        let genesis = crate::chain::genesis::genesis(&chain).map_err(|e| bad(e.to_string()))?.block.txs;
        let value = Amount::checked_sum(created.iter().map(|(_, utxo)| utxo.out.value));
        let value = value.ok_or_else(|| bad("its outputs add up past 2^64".to_owned()))?;
        let unspent = Unspent { outputs: created.iter().copied().collect(), value };
        let counts = ReplayCounts { blocks: 1, transactions: genesis.len() as u64, signatures: 0 };
        let issued = state.supply;
        let changes = BlockChanges {
            height: Height::ZERO,
            spent: Vec::new(),
            created,
            txids: genesis.iter().map(|tx| tx.body.txid()).collect(),
            txs: Vec::new(),
            inputs: Vec::new(),
            fees: Amount::ZERO,
            slashed: Amount::ZERO,
            punished: Vec::new(),
            state: state.clone(),
            closed_epoch: None,
        };
        let (base, genesis, closing) = (Height::ZERO, Some((genesis, changes)), Vec::new());
        Ok(Self { chain, verifier, base, genesis, state, unspent, counts, issued, closing })
    }

    /// Stands at the block of a snapshot.
    ///
    /// # Errors
    /// [`StoreError::BadBase`] if it is not what its header commits to.
    pub fn from_snapshot(
        chain: Chain,
        verifier: Arc<Verifier>,
        snapshots: &Snapshots,
        height: Height,
    ) -> Result<Self, StoreError> {
        let checked = snapshots.checked(height, &chain, &verifier)?;
        let mut unspent = Unspent::default();
        let state = snapshots.read(&checked, |entries| {
            unspent.outputs.extend(entries);
            Ok::<(), StoreError>(())
        })?;
        let signatures = checked.manifest().commit.signatures.iter().flatten().count() as u64;
        let counts = ReplayCounts { signatures, ..ReplayCounts::default() };
        let (issued, closing) = (state.supply, vec![height]);
        unspent.value = state.supply;
        Ok(Self { chain, verifier, base: height, genesis: None, state, unspent, counts, issued, closing })
    }

    /// Height of the block that it began at.
    pub fn base(&self) -> Height {
        self.base
    }

    /// State after the last block.
    pub fn state(&self) -> &ChainState {
        &self.state
    }

    /// What was gone through.
    pub fn counts(&self) -> ReplayCounts {
        self.counts
    }

    /// Unspent outputs after the last block.
    pub fn unspent(&self) -> &HashMap<OutPoint, Utxo> {
        &self.unspent.outputs
    }

    /// The transactions of genesis and what they did, if it began there.
    pub fn genesis(&self) -> Option<(&[Transaction], &BlockChanges)> {
        self.genesis.as_ref().map(|(txs, changes)| (txs.as_slice(), changes))
    }

    /// Whether the block at `height`, one gone through, closed its epoch.
    pub fn closed_epoch(&self, height: Height) -> bool {
        self.closing.binary_search(&height).is_ok()
    }

    /// Goes on to the next block.
    ///
    /// # Errors
    /// [`StoreError::BadBlock`]: it is not the next one, or breaks a rule. The replay stays where it was.
    pub fn block(&mut self, stored: &StoredBlock) -> Result<CommittedBlock, StoreError> {
        let height = stored.block.header.height;
        let bad = |reason: String| StoreError::BadBlock { height, reason };
        let block = self.execute(stored).map_err(bad)?;
        let after = self.supply_after(&block).map_err(bad)?;
        (self.issued, self.unspent.value) = (after, after);
        let changes = &block.changes;
        // What a block makes and spends itself is on neither list.
        for (outpoint, _) in &changes.spent {
            self.unspent.outputs.remove(outpoint);
        }
        self.unspent.outputs.extend(changes.created.iter().copied());
        self.counts.blocks += 1;
        self.counts.transactions += block.block.txs.len() as u64;
        self.counts.signatures += signatures(stored);
        self.closing.extend(changes.closed_epoch.map(|_| changes.height));
        self.state = changes.state.clone();
        Ok(block)
    }

    fn execute(&self, stored: &StoredBlock) -> Result<CommittedBlock, String> {
        let header = &stored.block.header;
        if header.height != self.state.child_height() || header.prev != self.state.hash {
            return Err("it does not follow from the one before".to_owned());
        }
        let commit = stored.commit.clone().ok_or("nobody signed it")?;
        if commit.block_hash != header.hash() {
            return Err("its commit is another block's".to_owned());
        }
        self.verifier.commit(commit.clone(), &self.state.validators).map_err(|e| format!("its commit: {e}"))?;
        let sealed = SealedBlock { block: stored.block.clone(), commit: commit.clone() };
        let received = verify_block(&self.verifier, sealed).map_err(|e| e.to_string())?;
        let last_commit = received.last_commit.clone().map(|last| self.verifier.commit(last, &self.state.signers));
        let last_commit = last_commit.transpose().map_err(|e| format!("its parent's commit: {e}"))?;
        let body = BlockBody {
            slot: header.slot,
            proposer: header.proposer,
            txs: &received.txs,
            last_commit: last_commit.as_ref(),
            evidence: &received.evidence,
            vdf: received.vdf.as_ref(),
        };
        let executed = execute(&self.chain, &self.state, &self.unspent, &self.verifier, &body);
        let executed = executed.map_err(|e| e.to_string())?;
        executed.check(header).map_err(|e| e.to_string())?;
        if executed.coinbase != received.coinbase {
            return Err("its coinbase is not the one that follows".to_owned());
        }
        if spent_by_each(&stored.block.txs, &executed.changes.inputs) != stored.spent {
            return Err("it names other outputs as spent than its transactions spend".to_owned());
        }
        Ok(CommittedBlock { block: stored.block.clone(), commit, changes: executed.changes })
    }

    /// The supply after `block`: computed from what it issues, compared with what it leaves unspent and with its state.
    fn supply_after(&self, block: &CommittedBlock) -> Result<Amount, String> {
        let changes = &block.changes;
        let minted = block.block.txs.iter().filter(|tx| tx.body.is_coinbase()).flat_map(|tx| &tx.body.outputs);
        let sum = |parts: &mut dyn Iterator<Item = Amount>| Amount::checked_sum(parts);
        let minted = sum(&mut minted.map(|out| out.value));
        let issued = minted.and_then(|minted| self.issued.checked_add(minted));
        let issued = issued.and_then(|sum| sum.checked_sub(changes.fees)?.checked_sub(changes.slashed));
        let created = sum(&mut changes.created.iter().map(|(_, utxo)| utxo.out.value));
        let spent = sum(&mut changes.spent.iter().map(|(_, utxo)| utxo.out.value));
        let unspent = created.and_then(|created| self.unspent.value.checked_add(created));
        let unspent = unspent.zip(spent).and_then(|(all, spent)| all.checked_sub(spent));
        let supply = changes.state.supply;
        match (issued, unspent) {
            (Some(issued), Some(unspent)) if issued == supply && unspent == supply => Ok(supply),
            (issued, unspent) => Err(format!(
                "the supply does not add up: {supply} units by its state, {} by what was issued, {} by what is unspent",
                shown(issued),
                shown(unspent)
            )),
        }
    }
}

/// What each of `txs` spends, of which all but the coinbase spend `inputs`.
pub(super) fn spent_by_each(txs: &[Transaction], inputs: &[Vec<TxOut>]) -> Vec<Vec<TxOut>> {
    let coinbases = txs.len().saturating_sub(inputs.len());
    std::iter::repeat_n(Vec::new(), coinbases).chain(inputs.iter().cloned()).collect()
}

fn shown(amount: Option<Amount>) -> String {
    amount.map_or_else(|| "more than there can be".to_owned(), |amount| amount.to_string())
}

/// How many signatures a block holds.
fn signatures(stored: &StoredBlock) -> u64 {
    let of_commit = |commit: &Commit| commit.signatures.iter().flatten().count();
    let commits: usize = stored.commit.iter().chain(&stored.block.last_commit).map(of_commit).sum();
    let of_witness = |witness: &Witness| match witness {
        Witness::Key { .. } => 1,
        Witness::Multi { signatures, .. } => signatures.iter().flatten().count(),
    };
    let witnesses: usize = stored.block.txs.iter().flat_map(|tx| &tx.witnesses).map(of_witness).sum();
    (commits + witnesses + 2 * stored.block.evidence.len()) as u64
}
