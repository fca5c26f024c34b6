//! How a transaction moves on: accepted, voted for, certified, final (`protocol.md` 3, 5, 6).

use super::Ledger;
use crate::ledger::VerifiedTx;
use crate::ledger::judge::Verdict;
use crate::ledger::pool::{PoolEntry, Stage};
use crate::ledger::rejection::Rejection;
use crate::ledger::utxo::StateRead as _;
use crate::types::hash::Txid;
use crate::types::number::TimeMs;
use crate::types::transaction::Payload;

impl Ledger {
    /// Snowball accepted it; whether that is news. Nothing happens to one that is further already, or not in the pool.
    pub fn set_accepted(&mut self, txid: &Txid) -> bool {
        let is_news = self.pool.get(txid).is_some_and(|entry| entry.stage < Stage::Accepted);
        if is_news {
            self.pool.change(txid, |entry| entry.stage = Stage::Accepted);
        }
        is_news
    }

    /// This masternode votes for it: it is not displaced from the pool in this epoch.
    pub fn set_voted(&mut self, txid: &Txid) {
        self.pool.change(txid, |entry| entry.voted = true);
    }

    /// It has a certificate of this epoch. Whoever holds that keeps the transaction, whatever it was here before:
    /// an orphan, rejected, invalid. The first call starts its grace (`protocol.md` 7.3).
    pub fn set_certified(&mut self, now: TimeMs, tx: VerifiedTx) {
        let txid = tx.txid();
        let certify = |entry: &mut PoolEntry| {
            entry.stage = entry.stage.max(Stage::Certified);
            entry.certified_at.get_or_insert(now);
        };
        if self.pool.get(&txid).is_some() {
            self.pool.change(&txid, certify);
            self.offer_encoding(now, tx);
            return;
        }
        if self.archived.archived_height(&txid).is_some() {
            return;
        }
        let (valid, fee) = match self.judge().judge(&tx) {
            Verdict::Valid(fee) => (true, Some(fee)),
            Verdict::Waits(_) | Verdict::Invalid(_) => (false, self.judge().block_fee(&tx)),
        };
        self.displace(self.pool.displaced_by_certified(&tx));
        let mut entry = PoolEntry::new(now, tx, fee, valid);
        certify(&mut entry);
        self.add(now, entry);
    }

    /// It has receipts of a quorum: its outputs can be spent, and its rivals are gone for good, except for certified
    /// ones, which prove that a third of the weight is Byzantine. Rivals dropped are told by
    /// [`Ledger::take_dropped`].
    ///
    /// Returns orphans that may have waited for it, to be submitted again. Does nothing for a transaction that is
    /// not in the pool: [`Ledger::set_certified`] brings it in.
    pub fn set_final(&mut self, now: TimeMs, txid: &Txid) -> Vec<VerifiedTx> {
        let Some(entry) = self.pool.get(txid) else { return Vec::new() };
        let tx = entry.tx.clone();
        self.pool.change(txid, |entry| {
            entry.stage = Stage::Finalized;
            entry.certified_at.get_or_insert(now);
        });
        for (rival, outpoint) in self.pool.rivals(&tx) {
            if self.pool.get(&rival).is_some_and(PoolEntry::is_kept) {
                self.judge_again(now, &rival);
            } else {
                self.drop_entry(now, &rival, Rejection::Conflict { outpoint, spent_by: Some(*txid) });
            }
        }
        if let Payload::Register(register) = &tx.body().payload {
            // This one too: of two that became final, the one with the lower txid is the one that holds the key.
            let all: Vec<Txid> = self.pool.registrations(&register.consensus_key).collect();
            all.iter().for_each(|registration| self.judge_again(now, registration));
        }
        self.judge_children_again(now, txid);
        self.orphans.take_children(txid)
    }
}
