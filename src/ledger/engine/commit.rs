//! What a final block does to everything under way.

use super::Ledger;
use crate::ledger::VerifiedTx;
use crate::ledger::execute::BlockChanges;
use crate::ledger::pool::{PoolEntry, Stage};
use crate::ledger::rejection::Rejection;
use crate::limits::MAX_POLLED_RIVALS;
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Height, TimeMs};
use crate::types::transaction::OutPoint;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a block did to the transactions under way.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// The block's transactions without the coinbase, whether they were known here or not.
    pub archived: Vec<Txid>,
    /// Transactions that left the pool because of it, and any that [`Ledger::take_dropped`] was not asked for.
    pub dropped: Vec<(Txid, Rejection)>,
    /// After a block that closes its epoch: everything in the pool, by txid. Nothing of it is
    /// certified any more; it is sampled and voted for anew.
    pub resample: Vec<VerifiedTx>,
    /// Orphans that may have waited for the block, to be submitted again.
    pub retry: Vec<VerifiedTx>,
    /// Payments that were final here and that no block holds although their epoch has closed, or that a block
    /// contradicts. Only a Byzantine third of the weight can bring that about: the node raises an alarm. The
    /// contradicted ones are dropped, the others kept, still final, without a certificate.
    pub final_not_archived: Vec<Txid>,
}

/// The block does not follow the tip; nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {height} on {prev} does not follow the tip, {tip} at height {tip_height}")]
pub struct NotTheNextBlock {
    /// Height of the block.
    pub height: Height,
    /// The parent it names.
    pub prev: BlockHash,
    /// The tip.
    pub tip: BlockHash,
    /// Height of the tip.
    pub tip_height: Height,
}

impl Ledger {
    /// Whether these are changes to the tip.
    pub fn is_next(&self, changes: &BlockChanges) -> bool {
        let header = &changes.state.header;
        header.prev == self.tip.hash && header.height == self.tip.child_height()
    }

    /// The block is final: its state is the tip, its transactions are archived.
    ///
    /// # Errors
    /// [`NotTheNextBlock`] if it was executed on another parent than the tip; then nothing is changed.
    pub fn commit(&mut self, now: TimeMs, changes: Arc<BlockChanges>) -> Result<Committed, NotTheNextBlock> {
        let header = &changes.state.header;
        if !self.is_next(&changes) {
            let (tip, tip_height) = (self.tip.hash, self.tip.height());
            return Err(NotTheNextBlock { height: header.height, prev: header.prev, tip, tip_height });
        }
        self.tip = changes.state.clone();
        self.archived.push(Arc::clone(&changes));
        self.orphans.expire(now);
        self.rejected.expire(now);
        self.rejected.forget_changeable();

        let mut final_not_archived = self.archive(now, &changes.txs);
        if changes.closed_epoch.is_some() {
            final_not_archived.extend(self.void_certificates());
        }
        self.judge_all_again(now);
        if changes.closed_epoch.is_some() {
            self.thin_out_rivals();
        }
        let retry = changes.txids.iter().flat_map(|txid| self.orphans.take_children(txid)).collect();
        Ok(Committed {
            archived: changes.txs.iter().map(|tx| tx.txid()).collect(),
            dropped: self.take_dropped(),
            resample: changes.closed_epoch.map_or_else(Vec::new, |_| self.in_common_order()),
            retry,
            final_not_archived,
        })
    }

    /// Takes `txs` out of the pool, then their rivals. Returns rivals that were final.
    fn archive(&mut self, now: TimeMs, txs: &[VerifiedTx]) -> Vec<Txid> {
        for txid in txs.iter().map(|tx| tx.txid()) {
            self.pool.remove(&txid);
            self.orphans.remove_txid(&txid);
            self.rejected.remove(&txid);
        }
        let mut contradicted = Vec::new();
        for tx in txs {
            for (rival, outpoint) in self.pool.rivals(tx) {
                let was_final = self.pool.get(&rival).is_some_and(|entry| entry.stage == Stage::Finalized);
                self.drop_entry(now, &rival, Rejection::Conflict { outpoint, spent_by: Some(tx.txid()) });
                if was_final {
                    contradicted.push(rival);
                }
            }
        }
        // What spends a payment that is gone for good rests on nothing.
        for gone in &contradicted {
            for child in self.pool.children(gone) {
                self.judge_again(now, &child);
            }
        }
        contradicted
    }

    /// The epoch is over, and its certificates with it. Returns what is final all the same.
    fn void_certificates(&mut self) -> Vec<Txid> {
        let all: Vec<Txid> = self.pool.iter().map(|(txid, _)| *txid).collect();
        let is_final = |entry: &PoolEntry| entry.stage == Stage::Finalized;
        for txid in &all {
            self.pool.change(txid, |entry| {
                entry.certified_at = None;
                entry.voted = false;
                if !is_final(entry) {
                    entry.stage = Stage::Sampling;
                }
            });
        }
        all.into_iter().filter(|txid| self.pool.get(txid).is_some_and(is_final)).collect()
    }

    /// Judges again what a new tip can decide otherwise. A transaction that was valid and whose inputs no block
    /// spent stays so, but for its payload: outputs of final transactions stay, and nothing that is unspent
    /// becomes a collateral except by a registration that names it.
    fn judge_all_again(&mut self, now: TimeMs) {
        let invalid = self.pool.invalid();
        let judge = self.judge();
        let overturned =
            |txid: &&Txid| self.pool.get(txid).is_some_and(|entry| judge.check_payload(&entry.tx).is_err());
        let again: BTreeSet<Txid> =
            invalid.iter().chain(self.pool.with_payload().iter().filter(overturned)).copied().collect();
        for txid in &again {
            self.judge_again(now, txid);
        }
    }

    /// Of the rivals that an epoch left undecided, those with the lowest txids stay: as many as are polled, and the same
    /// ones wherever the same were known. Others make room, so that an owner who signed many can spend anew.
    fn thin_out_rivals(&mut self) {
        let is_surplus = |txid: &Txid, entry: &PoolEntry| {
            let is_among_first = |outpoint: &OutPoint| {
                let lower = self.pool.spenders(outpoint).iter().filter(|spender| *spender < txid);
                lower.count() < MAX_POLLED_RIVALS
            };
            !entry.is_kept() && !entry.tx.inputs().iter().all(is_among_first)
        };
        let surplus = self.pool.iter().filter(|(txid, entry)| is_surplus(txid, entry));
        let surplus: Vec<(Txid, OutPoint)> =
            surplus.filter_map(|(txid, entry)| Some((*txid, *entry.tx.inputs().first()?))).collect();
        for (txid, outpoint) in surplus {
            self.pool.remove(&txid);
            self.dropped.push((txid, Rejection::TooManyRivals { outpoint }));
        }
    }

    /// By txid: of two rivals every node that knows both sees the same one first in the new epoch, so that their votes
    /// do not split again.
    fn in_common_order(&self) -> Vec<VerifiedTx> {
        self.pool.iter().map(|(_, entry)| entry.tx.clone()).collect()
    }
}
