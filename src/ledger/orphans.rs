//! Transactions that wait for a parent: one that is unknown here, or known and not final yet.
//!
//! Bounds: number, bytes, how many wait for one output, and time. What is one too many displaces the oldest: an
//! orphan proves nothing about fees, so there is no better order. Each waits for the first output it misses; when
//! that is there it is judged again, and may wait for the next.
//! Two encodings of one txid are two orphans, so one with a bad witness does not keep out the good one.

use super::VerifiedTx;
use crate::limits::{MAX_ORPHAN_BYTES, MAX_ORPHANS, MAX_ORPHANS_OF_AN_OUTPUT, ORPHAN_EXPIRY_MS};
use crate::types::hash::{Txid, Wtxid};
use crate::types::number::TimeMs;
use crate::types::transaction::OutPoint;
use std::collections::{BTreeMap, BTreeSet};

struct Orphan {
    tx: VerifiedTx,
    waits_for: OutPoint,
    since: TimeMs,
    number: u64,
}

/// All orphans.
#[derive(Default)]
pub(super) struct Orphans {
    by_wtxid: BTreeMap<Wtxid, Orphan>,
    by_txid: BTreeSet<(Txid, Wtxid)>,
    /// By output waited for, the oldest first.
    waiting: BTreeSet<(OutPoint, u64, Wtxid)>,
    by_age: BTreeMap<u64, Wtxid>,
    bytes: u64,
    next_number: u64,
}

impl Orphans {
    /// Keeps `tx` until `waits_for` is there.
    pub(super) fn insert(&mut self, now: TimeMs, tx: VerifiedTx, waits_for: OutPoint) {
        let (txid, wtxid) = (tx.txid(), tx.wtxid());
        self.remove(&wtxid);
        let of_output = (waits_for, 0, Wtxid::ZERO)..=(waits_for, u64::MAX, Wtxid([u8::MAX; 32]));
        if self.waiting.range(of_output.clone()).count() >= MAX_ORPHANS_OF_AN_OUTPUT
            && let Some((_, _, oldest)) = self.waiting.range(of_output).next().copied()
        {
            self.remove(&oldest);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.bytes += u64::from(tx.size_bytes());
        self.by_txid.insert((txid, wtxid));
        self.waiting.insert((waits_for, number, wtxid));
        self.by_age.insert(number, wtxid);
        self.by_wtxid.insert(wtxid, Orphan { tx, waits_for, since: now, number });
        while self.by_wtxid.len() > MAX_ORPHANS || self.bytes > MAX_ORPHAN_BYTES {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            self.remove(&oldest.clone());
        }
    }

    /// Takes out those that wait for an output of `parent`, the oldest of each output first.
    pub(super) fn take_children(&mut self, parent: &Txid) -> Vec<VerifiedTx> {
        let first = (OutPoint { txid: *parent, index: 0 }, 0, Wtxid::ZERO);
        let last = (OutPoint { txid: *parent, index: u32::MAX }, u64::MAX, Wtxid([u8::MAX; 32]));
        let children: Vec<Wtxid> = self.waiting.range(first..=last).map(|(_, _, wtxid)| *wtxid).collect();
        children.iter().filter_map(|wtxid| self.remove(wtxid)).collect()
    }

    /// Forgets every encoding of `txid`.
    pub(super) fn remove_txid(&mut self, txid: &Txid) {
        let encodings: Vec<Wtxid> = self.encodings(txid).collect();
        for wtxid in encodings {
            self.remove(&wtxid);
        }
    }

    /// Forgets those that have waited too long.
    pub(super) fn expire(&mut self, now: TimeMs) {
        while let Some((_, wtxid)) = self.by_age.first_key_value() {
            let wtxid = *wtxid;
            if self.by_wtxid.get(&wtxid).is_none_or(|orphan| now.since(orphan.since) <= ORPHAN_EXPIRY_MS) {
                break;
            }
            self.remove(&wtxid);
        }
    }

    /// Some encoding of `txid`.
    pub(super) fn get(&self, txid: &Txid) -> Option<&VerifiedTx> {
        let wtxid = self.encodings(txid).next()?;
        self.by_wtxid.get(&wtxid).map(|orphan| &orphan.tx)
    }

    pub(super) fn len(&self) -> usize {
        self.by_wtxid.len()
    }

    fn encodings(&self, txid: &Txid) -> impl Iterator<Item = Wtxid> {
        self.by_txid.range((*txid, Wtxid::ZERO)..=(*txid, Wtxid([u8::MAX; 32]))).map(|(_, wtxid)| *wtxid)
    }

    fn remove(&mut self, wtxid: &Wtxid) -> Option<VerifiedTx> {
        let orphan = self.by_wtxid.remove(wtxid)?;
        self.by_txid.remove(&(orphan.tx.txid(), *wtxid));
        self.waiting.remove(&(orphan.waits_for, orphan.number, *wtxid));
        self.by_age.remove(&orphan.number);
        self.bytes -= u64::from(orphan.tx.size_bytes());
        Some(orphan.tx)
    }
}
