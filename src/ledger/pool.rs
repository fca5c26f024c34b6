//! Transactions that no block holds yet, with the indexes that keep every question about them cheap.
//!
//! Invariants, kept by `Pool::change`: the indexes say what the entries say; an entry that is not certified is
//! valid; what is not final stays within the limits unless certified transactions alone exceed them. Rivals live
//! side by side: Snowball decides between them.

use super::VerifiedTx;
use super::rejection::Rejection;
use crate::limits::MAX_RIVALS;
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, TimeMs};
use crate::types::transaction::{HashedTx, OutPoint, Payload, TxOut};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How much the pool keeps of what is not final yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolLimits {
    /// Most transactions.
    pub max_transactions: usize,
    /// Most bytes of them together.
    pub max_bytes: u64,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { max_transactions: 10_000, max_bytes: 300_000_000 }
    }
}

/// How far a transaction has come here (`protocol.md` 3). `Seen` is an orphan's stage, `Archived` a block's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Valid, and being sampled.
    Sampling,
    /// Snowball accepted it.
    Accepted,
    /// Votes of a quorum.
    Certified,
    /// Receipts of a quorum: its outputs can be spent.
    Finalized,
}

/// A transaction in the pool.
#[derive(Clone, Debug)]
pub struct PoolEntry {
    /// The transaction, in an encoding that is valid as far as anyone here can tell.
    pub tx: VerifiedTx,
    /// How far it has come in this epoch.
    pub stage: Stage,
    /// Whether it is valid in the state that voters go by. Only certified transactions are kept while they are not.
    pub valid: bool,
    /// Its fee. `None` only for a certified transaction while it spends something unknown, or breaks a rule.
    pub fee: Option<Amount>,
    /// When it came in.
    pub received: TimeMs,
    /// Since when its certificate of this epoch is known here; grace begins anew at a restart.
    pub certified_at: Option<TimeMs>,
    /// Whether this masternode voted for it in this epoch.
    pub voted: bool,
    /// Order of coming in.
    pub(super) number: u64,
}

impl PoolEntry {
    /// A fresh entry.
    pub(super) fn new(now: TimeMs, tx: VerifiedTx, fee: Option<Amount>, valid: bool) -> Self {
        let (stage, certified_at) = (Stage::Sampling, None);
        Self { tx, stage, valid, fee, received: now, certified_at, voted: false, number: 0 }
    }

    /// Whether it stays whatever happens in its epoch: certified or final.
    pub fn is_kept(&self) -> bool {
        self.stage >= Stage::Certified || self.certified_at.is_some()
    }

    /// What it is worth keeping, if it may be displaced. Of two with one rate the older one stays.
    fn eviction_rank(&self) -> Option<(u128, Reverse<u64>)> {
        let fee = self.fee.filter(|_| !self.voted && !self.is_kept())?;
        Some((fee_rate(fee, self.tx.size_bytes()), Reverse(self.number)))
    }
}

/// Units per byte, times 2^32.
fn fee_rate(fee: Amount, size_bytes: u32) -> u128 {
    (u128::from(fee.get()) << 32) / u128::from(size_bytes.max(1))
}

/// The transactions that no block holds yet.
pub(super) struct Pool {
    limits: PoolLimits,
    entries: BTreeMap<Txid, PoolEntry>,
    /// Who spends an output, the first seen first.
    spenders: BTreeMap<OutPoint, Vec<Txid>>,
    /// Those with a payload other than a transfer.
    with_payload: BTreeSet<Txid>,
    registrations: BTreeSet<(PublicKey, Txid)>,
    evictable: BTreeSet<((u128, Reverse<u64>), Txid)>,
    /// By the time of certification, then of coming in.
    certified: BTreeSet<(TimeMs, u64, Txid)>,
    certified_bytes: u64,
    invalid: BTreeSet<Txid>,
    not_final: usize,
    not_final_bytes: u64,
    next_number: u64,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            spenders: BTreeMap::new(),
            with_payload: BTreeSet::new(),
            registrations: BTreeSet::new(),
            evictable: BTreeSet::new(),
            certified: BTreeSet::new(),
            certified_bytes: 0,
            invalid: BTreeSet::new(),
            not_final: 0,
            not_final_bytes: 0,
            next_number: 0,
        }
    }

    pub(super) fn get(&self, txid: &Txid) -> Option<&PoolEntry> {
        self.entries.get(txid)
    }

    /// All entries, ascending by txid.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Txid, &PoolEntry)> {
        self.entries.iter()
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, mut entry: PoolEntry) {
        let tx = std::sync::Arc::clone(&entry.tx);
        let txid = tx.txid();
        entry.number = self.next_number;
        self.next_number += 1;
        for outpoint in tx.inputs() {
            self.spenders.entry(*outpoint).or_default().push(txid);
        }
        if tx.body().payload != Payload::Transfer {
            self.with_payload.insert(txid);
        }
        if let Payload::Register(register) = &tx.body().payload {
            self.registrations.insert((register.consensus_key, txid));
        }
        self.index(txid, &entry);
        self.entries.insert(txid, entry);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, txid: &Txid) -> Option<PoolEntry> {
        let entry = self.entries.remove(txid)?;
        self.unindex(*txid, &entry);
        for outpoint in entry.tx.inputs() {
            if let Some(spenders) = self.spenders.get_mut(outpoint) {
                spenders.retain(|spender| spender != txid);
                if spenders.is_empty() {
                    self.spenders.remove(outpoint);
                }
            }
        }
        self.with_payload.remove(txid);
        if let Payload::Register(register) = &entry.tx.body().payload {
            self.registrations.remove(&(register.consensus_key, *txid));
        }
        Some(entry)
    }

    /// Changes anything of an entry but its txid and number.
    pub(super) fn change(&mut self, txid: &Txid, change: impl FnOnce(&mut PoolEntry)) {
        // Out of the map while the indexes change, without the map changing its shape.
        let mut entries = std::mem::take(&mut self.entries);
        if let Some(entry) = entries.get_mut(txid) {
            self.unindex(*txid, entry);
            change(entry);
            self.index(*txid, entry);
        }
        self.entries = entries;
    }

    fn index(&mut self, txid: Txid, entry: &PoolEntry) {
        let size = u64::from(entry.tx.size_bytes());
        if let Some(rank) = entry.eviction_rank() {
            self.evictable.insert((rank, txid));
        }
        if let Some(at) = entry.certified_at {
            self.certified.insert((at, entry.number, txid));
            self.certified_bytes += size;
        }
        if !entry.valid {
            self.invalid.insert(txid);
        }
        if entry.stage != Stage::Finalized {
            self.not_final += 1;
            self.not_final_bytes += size;
        }
    }

    fn unindex(&mut self, txid: Txid, entry: &PoolEntry) {
        let size = u64::from(entry.tx.size_bytes());
        if let Some(rank) = entry.eviction_rank() {
            self.evictable.remove(&(rank, txid));
        }
        if let Some(at) = entry.certified_at {
            self.certified.remove(&(at, entry.number, txid));
            self.certified_bytes -= size;
        }
        self.invalid.remove(&txid);
        if entry.stage != Stage::Finalized {
            self.not_final -= 1;
            self.not_final_bytes -= size;
        }
    }

    /// Who spends this output, the first seen first.
    pub(super) fn spenders(&self, outpoint: &OutPoint) -> &[Txid] {
        self.spenders.get(outpoint).map_or(&[], Vec::as_slice)
    }

    /// The final transaction that spends this output.
    pub(super) fn final_spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        let is_final = |txid: &&Txid| self.get(txid).is_some_and(|entry| entry.stage == Stage::Finalized);
        self.spenders(outpoint).iter().find(is_final).copied()
    }

    /// Others that spend an output of `tx`, ascending, each with one such output.
    pub(super) fn rivals(&self, tx: &HashedTx) -> BTreeMap<Txid, OutPoint> {
        let of_output = |outpoint: &OutPoint| {
            let outpoint = *outpoint;
            self.spenders(&outpoint).iter().map(move |spender| (*spender, outpoint))
        };
        tx.inputs().iter().flat_map(of_output).filter(|(spender, _)| *spender != tx.txid()).collect()
    }

    /// Those that spend an output of `parent`, ascending by output.
    pub(super) fn children(&self, parent: &Txid) -> BTreeSet<Txid> {
        let (first, last) = (OutPoint { txid: *parent, index: 0 }, OutPoint { txid: *parent, index: u32::MAX });
        self.spenders.range(first..=last).flat_map(|(_, spenders)| spenders.iter().copied()).collect()
    }

    /// An output of a transaction in the pool, at whatever stage.
    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let index = usize::try_from(outpoint.index).ok()?;
        self.get(&outpoint.txid)?.tx.body().outputs.get(index)
    }

    /// Those whose payload asks for more than a transfer, ascending.
    pub(super) fn with_payload(&self) -> &BTreeSet<Txid> {
        &self.with_payload
    }

    /// Registrations of a consensus key, ascending by txid.
    pub(super) fn registrations(&self, key: &PublicKey) -> impl Iterator<Item = Txid> {
        let all = (*key, Txid::ZERO)..=(*key, Txid([u8::MAX; 32]));
        self.registrations.range(all).map(|(_, txid)| *txid)
    }

    /// The final registration of a consensus key.
    pub(super) fn final_registration(&self, key: &PublicKey) -> Option<Txid> {
        self.registrations(key).find(|txid| self.get(txid).is_some_and(|entry| entry.stage == Stage::Finalized))
    }

    /// The certified ones, the oldest certificate first.
    pub(super) fn certified(&self) -> impl Iterator<Item = (TimeMs, &PoolEntry)> {
        self.certified.iter().filter_map(|(at, _, txid)| self.get(txid).map(|entry| (*at, entry)))
    }

    pub(super) fn certified_bytes(&self) -> u64 {
        self.certified_bytes
    }

    /// Those that are not valid here, ascending.
    pub(super) fn invalid(&self) -> &BTreeSet<Txid> {
        &self.invalid
    }

    /// Whether there is room for one more rival at each output of `tx`; certified rivals take none.
    pub(super) fn check_rivals(&self, tx: &HashedTx) -> Result<(), Rejection> {
        let contenders = |outpoint: &OutPoint| {
            let spenders = self.spenders(outpoint).iter();
            spenders.filter(|txid| self.get(txid).is_some_and(|entry| !entry.is_kept())).count()
        };
        match tx.inputs().iter().find(|outpoint| contenders(outpoint) >= MAX_RIVALS) {
            Some(outpoint) => Err(Rejection::TooManyRivals { outpoint: *outpoint }),
            None => Ok(()),
        }
    }

    /// What has to go for `tx`: the lowest fee rates among those that may go, all lower than its own.
    ///
    /// # Errors
    /// [`Rejection::MempoolFull`] if that does not make enough room.
    pub(super) fn displaced_by(&self, tx: &HashedTx, fee: Amount) -> Result<Vec<Txid>, Rejection> {
        let rate = fee_rate(fee, tx.size_bytes());
        let (displaced, fits) = self.displaced(tx.size_bytes(), |victim| victim < rate);
        fits.then_some(displaced).ok_or(Rejection::MempoolFull { fee, size: tx.size_bytes() })
    }

    /// What has to go for a certified transaction, whatever it pays; as much as may go.
    pub(super) fn displaced_by_certified(&self, tx: &HashedTx) -> Vec<Txid> {
        self.displaced(tx.size_bytes(), |_| true).0
    }

    fn displaced(&self, size_bytes: u32, may_go: impl Fn(u128) -> bool) -> (Vec<Txid>, bool) {
        let mut count = self.not_final + 1;
        let mut bytes = self.not_final_bytes + u64::from(size_bytes);
        let mut displaced = Vec::new();
        let fits = |count: usize, bytes: u64| count <= self.limits.max_transactions && bytes <= self.limits.max_bytes;
        for ((rate, _), txid) in &self.evictable {
            if fits(count, bytes) || !may_go(*rate) {
                break;
            }
            count -= 1;
            bytes -= self.get(txid).map_or(0, |entry| u64::from(entry.tx.size_bytes()));
            displaced.push(*txid);
        }
        (displaced, fits(count, bytes))
    }

    /// How many there are, final ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many are not final, and their bytes: what the limits are about.
    pub(super) fn not_final(&self) -> (usize, u64) {
        (self.not_final, self.not_final_bytes)
    }
}
