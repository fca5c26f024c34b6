//! How a transaction comes in.

use super::Ledger;
use crate::ledger::VerifiedTx;
use crate::ledger::judge::Verdict;
use crate::ledger::pool::PoolEntry;
use crate::ledger::rejection::Rejection;
use crate::ledger::utxo::StateRead as _;
use crate::types::hash::Txid;
use crate::types::number::{Amount, TimeMs};
use crate::types::transaction::OutPoint;
use std::collections::BTreeSet;

/// What became of a transaction that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submission {
    /// Valid in state, and new: it can be sampled.
    New,
    /// In the pool or in a block already.
    Known,
    /// Kept until its parents are here and final.
    Orphan {
        /// Those that are not, ascending; some may be in the pool.
        missing: Vec<Txid>,
    },
    /// Refused.
    Rejected(Rejection),
}

impl Ledger {
    /// Takes in a transaction. The first valid encoding of a txid is kept; rivals are kept side by side.
    ///
    /// What it displaces from a full pool is told by [`Ledger::take_dropped`].
    pub fn submit(&mut self, now: TimeMs, tx: VerifiedTx) -> Submission {
        self.orphans.expire(now);
        self.rejected.expire(now);
        let txid = tx.txid();
        if self.pool.get(&txid).is_some() {
            self.offer_encoding(now, tx);
            return Submission::Known;
        }
        if let Some(rejection) = self.rejected.of_encoding(&txid, &tx.wtxid()) {
            return Submission::Rejected(rejection.clone());
        }
        match self.judge().judge(&tx) {
            Verdict::Valid(fee) => self.admit(now, tx, fee),
            _ if self.is_archived(&txid) => Submission::Known,
            Verdict::Waits(missing) => self.adopt(now, tx, &missing),
            Verdict::Invalid(rejection) => {
                self.rejected.insert(now, txid, tx.wtxid(), rejection.clone());
                Submission::Rejected(rejection)
            }
        }
    }

    /// Whether `tx` would be let in, without letting it in.
    pub fn test(&self, tx: &VerifiedTx) -> Submission {
        let txid = tx.txid();
        if self.pool.get(&txid).is_some() {
            return Submission::Known;
        }
        match self.judge().judge(tx) {
            Verdict::Waits(_) | Verdict::Invalid(_) if self.is_archived(&txid) => Submission::Known,
            Verdict::Waits(missing) => Submission::Orphan { missing: parents(&missing) },
            Verdict::Invalid(rejection) => Submission::Rejected(rejection),
            Verdict::Valid(fee) => match self.room_for(tx, fee) {
                Ok(_) => Submission::New,
                Err(rejection) => Submission::Rejected(rejection),
            },
        }
    }

    /// Whether a block holds it. To be asked of what is not valid only: what is spends outputs that no block spent, so
    /// no block holds it, and the store need not look for what it does not have.
    fn is_archived(&self, txid: &Txid) -> bool {
        self.archived.archived_height(txid).is_some()
    }

    fn admit(&mut self, now: TimeMs, tx: VerifiedTx, fee: Amount) -> Submission {
        match self.room_for(&tx, fee) {
            Ok(displaced) => self.displace(displaced),
            // Says nothing about the transaction, so it is not remembered.
            Err(rejection) => return Submission::Rejected(rejection),
        }
        self.add(now, PoolEntry::new(now, tx, Some(fee), true));
        Submission::New
    }

    /// What has to go to let in a valid transaction.
    fn room_for(&self, tx: &VerifiedTx, fee: Amount) -> Result<Vec<Txid>, Rejection> {
        self.pool.check_rivals(tx)?;
        self.pool.displaced_by(tx, fee)
    }

    pub(super) fn displace(&mut self, displaced: Vec<Txid>) {
        for txid in displaced {
            self.pool.remove(&txid);
            self.dropped.push((txid, Rejection::Evicted));
        }
    }

    /// Adds an entry, and looks again at what spends it.
    pub(super) fn add(&mut self, now: TimeMs, entry: PoolEntry) {
        let txid = entry.tx.txid();
        self.orphans.remove_txid(&txid);
        self.rejected.remove(&txid);
        self.pool.insert(entry);
        self.judge_children_again(now, &txid);
    }

    fn adopt(&mut self, now: TimeMs, tx: VerifiedTx, missing: &[OutPoint]) -> Submission {
        if let Some(first) = missing.first() {
            self.orphans.insert(now, tx, *first);
        }
        Submission::Orphan { missing: parents(missing) }
    }

    /// Another encoding of a transaction in the pool replaces one that breaks a rule or cannot be judged. Where the
    /// new one cannot be judged either, it waits as an orphan.
    pub(super) fn offer_encoding(&mut self, now: TimeMs, tx: VerifiedTx) {
        let txid = tx.txid();
        let open = |entry: &PoolEntry| entry.fee.is_none() && entry.tx.wtxid() != tx.wtxid();
        if !self.pool.get(&txid).is_some_and(open) {
            return;
        }
        let fee = self.judge().block_fee(&tx);
        if fee.is_some() {
            self.pool.change(&txid, |entry| {
                entry.tx = tx;
                entry.fee = fee;
            });
            self.judge_again(now, &txid);
        } else if let Verdict::Waits(missing) = self.judge().judge(&tx) {
            self.adopt(now, tx, &missing);
        }
    }

    /// Judges an entry again. One that is not valid stays only if it is certified or final.
    pub(super) fn judge_again(&mut self, now: TimeMs, txid: &Txid) {
        let Some(entry) = self.pool.get(txid) else { return };
        let (judge, tx) = (self.judge(), entry.tx.clone());
        let verdict = judge.judge(&tx);
        let kept = entry.is_kept();
        let fee = entry.fee.or_else(|| judge.block_fee(&tx));
        match verdict {
            Verdict::Valid(fee) => self.pool.change(txid, |entry| {
                entry.valid = true;
                entry.fee = Some(fee);
            }),
            _ if kept => self.pool.change(txid, |entry| {
                entry.valid = false;
                entry.fee = fee;
            }),
            Verdict::Invalid(rejection) => self.drop_entry(now, txid, rejection),
            Verdict::Waits(missing) => {
                self.pool.remove(txid);
                self.adopt(now, tx, &missing);
            }
        }
    }

    /// Entries that were not valid may be, and fees may be known, now that `parent` came or became final.
    pub(super) fn judge_children_again(&mut self, now: TimeMs, parent: &Txid) {
        for child in self.pool.children(parent) {
            if self.pool.get(&child).is_some_and(|entry| !entry.valid) {
                self.judge_again(now, &child);
            }
        }
    }

    pub(super) fn drop_entry(&mut self, now: TimeMs, txid: &Txid, rejection: Rejection) {
        if let Some(entry) = self.pool.remove(txid) {
            self.rejected.insert(now, *txid, entry.tx.wtxid(), rejection.clone());
            self.dropped.push((*txid, rejection));
        }
    }
}

fn parents(missing: &[OutPoint]) -> Vec<Txid> {
    missing.iter().map(|outpoint| outpoint.txid).collect::<BTreeSet<_>>().into_iter().collect()
}
