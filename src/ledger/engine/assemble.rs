//! Which certified payments a block on the tip takes in, and which one a block leaves out (`protocol.md` 7.3).
//!
//! Both ask the same question of each transaction, [`Ledger::place`], so that a block assembled here is never
//! refused here. Why that holds: what [`Ledger::assemble`] passed over had, when its turn came, all it spends in the
//! tip or the block, and did not fit; the block has only grown since, so it still does not fit. What never got its
//! turn waits for an ancestor that was passed over. And if a transaction with its certified ancestors would fit,
//! so would the first of them that is not in the block, alone: it is enough to look at single transactions.

use super::Ledger;
use crate::ledger::VerifiedTx;
use crate::ledger::pool::{PoolEntry, Stage};
use crate::ledger::utxo::StateRead as _;
use crate::types::hash::Txid;
use crate::types::number::TimeMs;
use std::collections::{BTreeMap, BTreeSet};

/// How a certified transaction stands to a block on the tip.
enum Place {
    /// Everything it spends is unspent on the tip or created in the block, and nothing in the block spends it.
    Fits,
    /// The same, once these are in the block too.
    After(BTreeSet<Txid>),
    /// It cannot stand in this block.
    Never,
}

impl Ledger {
    /// The certified transactions for a block on the tip, of at most `limit` bytes together: those includable with
    /// certified ancestors, the oldest certificate first, parents before children. Ascending by txid.
    pub fn assemble(&self, limit: u64) -> Vec<VerifiedTx> {
        let (chosen, _) = self.choose(limit, u64::MAX);
        chosen.into_values().collect()
    }

    /// Bytes of what a block on the tip could take in if there were no limit, counted until they reach `enough`.
    pub fn includable_bytes(&self, enough: u64) -> u64 {
        self.choose(u64::MAX, enough).1
    }

    /// Chooses until `enough` bytes are.
    fn choose(&self, limit: u64, enough: u64) -> (BTreeMap<Txid, VerifiedTx>, u64) {
        let mut chosen: BTreeMap<Txid, VerifiedTx> = BTreeMap::new();
        let mut used = 0u64;
        let mut ready = BTreeSet::new();
        let mut waits: BTreeMap<Txid, BTreeSet<Txid>> = BTreeMap::new();
        let mut children: BTreeMap<Txid, Vec<&PoolEntry>> = BTreeMap::new();
        for (at, entry) in self.pool.certified() {
            match self.place(entry, |_| false) {
                Place::Never => {}
                Place::Fits => {
                    ready.insert((at, entry.number, entry.tx.txid()));
                }
                Place::After(parents) => {
                    parents.iter().for_each(|parent| children.entry(*parent).or_default().push(entry));
                    waits.insert(entry.tx.txid(), parents);
                }
            }
        }
        while let Some((_, _, txid)) = ready.pop_first() {
            let Some(entry) = self.pool.get(&txid) else { continue };
            let size = u64::from(entry.tx.size_bytes());
            let fits = used.checked_add(size).is_some_and(|sum| sum <= limit);
            if !fits || self.is_spent_by(entry, |rival| chosen.contains_key(rival)) {
                continue;
            }
            used += size;
            chosen.insert(txid, entry.tx.clone());
            if used >= enough {
                break;
            }
            for child in children.remove(&txid).unwrap_or_default() {
                let id = child.tx.txid();
                let Some(parents) = waits.get_mut(&id) else { continue };
                parents.remove(&txid);
                if let (true, Some(at)) = (parents.is_empty(), child.certified_at) {
                    ready.insert((at, child.number, id));
                }
            }
        }
        (chosen, used)
    }

    /// A transaction that a block on the tip with the transactions `included`, of `used_bytes` with its evidence,
    /// should not have left out: certified here for longer than the grace, as are the ancestors it needs, includable,
    /// and small enough to fit in still.
    pub fn left_out(&self, now: TimeMs, included: &BTreeSet<Txid>, used_bytes: u64) -> Option<Txid> {
        let room = self.chain.max_block_bytes.saturating_sub(used_bytes);
        let grace = self.chain.inclusion_grace_ms;
        let is_left_out = |entry: &PoolEntry| {
            u64::from(entry.tx.size_bytes()) <= room
                && !included.contains(&entry.tx.txid())
                && matches!(self.place(entry, |txid| included.contains(txid)), Place::Fits)
        };
        let old_enough = self.pool.certified().take_while(|(at, _)| now.since(*at) > grace);
        old_enough.map(|(_, entry)| entry).find(|entry| is_left_out(entry)).map(|entry| entry.tx.txid())
    }

    /// How `entry` stands to a block on the tip that holds what `is_in_block` says.
    fn place(&self, entry: &PoolEntry, is_in_block: impl Fn(&Txid) -> bool) -> Place {
        // Without a known fee it breaks a rule, or spends what nobody here knows.
        if entry.fee.is_none() || entry.certified_at.is_none() || self.is_spent_by(entry, &is_in_block) {
            return Place::Never;
        }
        let mut missing = BTreeSet::new();
        for outpoint in entry.tx.inputs() {
            if is_in_block(&outpoint.txid) {
                continue;
            }
            match self.pool.get(&outpoint.txid) {
                Some(parent) if parent.certified_at.is_some() => {
                    missing.insert(outpoint.txid);
                }
                Some(_) => return Place::Never,
                // What is valid spends only what is archived and unspent, or of a final transaction in the pool.
                None if entry.valid || self.archived.utxo(outpoint).is_some() => {}
                None => return Place::Never,
            }
        }
        if missing.is_empty() { Place::Fits } else { Place::After(missing) }
    }

    /// Whether a rival stands in the block, or is final, as `entry` is not, and so must stand in one.
    fn is_spent_by(&self, entry: &PoolEntry, is_in_block: impl Fn(&Txid) -> bool) -> bool {
        let txid = entry.tx.txid();
        let outranks = |rival: &Txid| self.pool.get(rival).is_some_and(|rival| rival.stage == Stage::Finalized);
        let outranks = |rival: &Txid| entry.stage != Stage::Finalized && outranks(rival);
        let takes = |rival: &Txid| *rival != txid && (is_in_block(rival) || outranks(rival));
        entry.tx.inputs().iter().any(|outpoint| self.pool.spenders(outpoint).iter().any(&takes))
    }
}
