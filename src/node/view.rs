//! What the node shows: the tip, transactions on their way, the newest blocks.
//!
//! One thread writes (the one that runs the replica), everybody reads, nobody waits for anybody. The view is filled by
//! what the replica tells ([`Event`]), never by its inner state, so it shows nothing as final or committed before that
//! is on disk.
//!
//! Invariants: a transaction is here from its first event until the store answers for its block, so `view, then store`
//! always finds it at least once; [`View::generation`] changes after the store took a block in and before what the
//! block holds goes from here, so two reads of one generation with a stable store in between add up.

use crate::ledger::Ledger;
use crate::ledger::VerifiedTx;
use crate::ledger::pool::Stage;
use crate::ledger::rejection::Rejection;
use crate::ledger::state::ChainState;
use crate::limits::SHOWN_REJECTIONS;
use crate::replica::{Alarm, CommittedBlock, Event, Replica};
use crate::types::hash::{BlockHash, MasternodeId, Txid};
use crate::types::id_map::IdState;
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Height, TimeMs};
use crate::types::transaction::Payload;
use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use quick_cache::sync::Cache;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a transaction has come, as users are told (`protocol.md` 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Status {
    /// Valid here, and being sampled.
    Sampling,
    /// Snowball accepted it here. It promises nothing.
    Accepted,
    /// Votes of a quorum.
    Certified,
    /// Receipts of a quorum, on disk here: it stays.
    Finalized,
    /// In a block, on disk here.
    Archived,
}

/// What of the replica's state is shown as it is: nothing here promises anything. As of its last step.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gauges {
    /// A peer has proved a block that is not here.
    pub is_behind: bool,
    /// The highest block that is known to be committed.
    pub sync_target: Height,
    /// The clock is plainly wrong, so the node signs nothing.
    pub is_clock_wrong: bool,
    /// Transactions of the pool that are not final.
    pub not_final: usize,
    /// Their bytes.
    pub not_final_bytes: u64,
    /// Bytes of what is certified or final and in no block.
    pub certified_bytes: u64,
    /// Transactions that wait for a parent.
    pub waiting: usize,
}

impl Gauges {
    /// Those of a replica between two steps.
    pub fn of(replica: &Replica) -> Self {
        let ledger = replica.ledger();
        let (not_final, not_final_bytes) = ledger.not_final();
        Self {
            is_behind: replica.is_behind(),
            sync_target: replica.sync_target(),
            is_clock_wrong: replica.clock_is_wrong(),
            not_final,
            not_final_bytes,
            certified_bytes: ledger.certified_bytes(),
            waiting: ledger.orphans(),
        }
    }
}

/// A transaction that the store does not answer for yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The transaction.
    pub tx: VerifiedTx,
    /// How far it has come.
    pub status: Status,
    /// Its fee, where that is known.
    pub fee: Option<Amount>,
    /// When it came in here.
    pub first_seen: TimeMs,
    /// When it became final here, and the epoch whose set signed.
    pub finalized: Option<(TimeMs, Epoch)>,
    /// The block that holds it.
    pub block: Option<(Height, BlockHash)>,
}

/// See the module.
#[derive(Debug)]
pub struct View {
    tip: ArcSwap<ChainState>,
    generation: AtomicU64,
    pending: DashMap<Txid, Pending, IdState>,
    /// Which of them have an output for a lock or a witness of it.
    touching: DashMap<Lock, BTreeSet<Txid>, IdState>,
    /// Committed blocks that the store does not answer for, told to users or not.
    blocks: DashMap<Height, Arc<CommittedBlock>>,
    heights: DashMap<BlockHash, Height>,
    rejections: Cache<Txid, Arc<Rejection>>,
    alarm: ArcSwapOption<Alarm>,
    gauges: ArcSwap<Gauges>,
}

impl View {
    /// A view of a node at this tip with nothing under way.
    pub fn new(tip: ChainState) -> Self {
        Self {
            tip: ArcSwap::from_pointee(tip),
            generation: AtomicU64::new(0),
            pending: DashMap::default(),
            touching: DashMap::default(),
            blocks: DashMap::new(),
            heights: DashMap::new(),
            rejections: Cache::new(SHOWN_REJECTIONS),
            alarm: ArcSwapOption::empty(),
            gauges: ArcSwap::default(),
        }
    }

    // ---- readers

    /// State after the last block that is on disk here.
    pub fn tip(&self) -> Arc<ChainState> {
        self.tip.load_full()
    }

    /// Changes whenever something goes from here because the store has it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A transaction the store does not answer for.
    pub fn pending(&self, txid: &Txid) -> Option<Pending> {
        self.pending.get(txid).map(|entry| entry.clone())
    }

    /// How many there are.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Those after `after`, ascending by txid, at most `limit`. Looks at all of them.
    pub fn pending_page(&self, after: Option<Txid>, limit: usize) -> Vec<Txid> {
        let mut page = BTreeSet::new();
        for entry in self.pending.iter().filter(|entry| after.is_none_or(|after| *entry.key() > after)) {
            if entry.status == Status::Archived {
                continue;
            }
            page.insert(*entry.key());
            if page.len() > limit {
                page.pop_last();
            }
        }
        page.into_iter().collect()
    }

    /// A registration of this consensus key that no block holds yet, the one that has come furthest. Looks at all.
    pub fn registration(&self, key: &PublicKey) -> Option<(Txid, Status)> {
        self.under_way(|payload| matches!(payload, Payload::Register(register) if register.consensus_key == *key))
    }

    /// The same of what asks for this masternode to leave.
    pub fn unregistration(&self, id: &MasternodeId) -> Option<(Txid, Status)> {
        self.under_way(|payload| matches!(payload, Payload::Unregister { masternode } if masternode == id))
    }

    fn under_way(&self, is_wanted: impl Fn(&Payload) -> bool) -> Option<(Txid, Status)> {
        let is_wanted = |pending: &Pending| is_wanted(&pending.tx.body().payload);
        let under_way = self.pending.iter().filter(|entry| entry.status < Status::Archived && is_wanted(entry));
        under_way.map(|entry| (*entry.key(), entry.status)).max_by_key(|(txid, status)| (*status, *txid))
    }

    /// Those that pay to this lock or spend from it, ascending by txid.
    pub fn touching(&self, lock: &Lock) -> Vec<Pending> {
        let txids = self.touching.get(lock).map(|txids| txids.clone()).unwrap_or_default();
        txids.iter().filter_map(|txid| self.pending(txid)).collect()
    }

    /// A block that is on disk here and that the store does not answer for yet.
    pub fn block(&self, height: Height) -> Option<Arc<CommittedBlock>> {
        let is_told = height <= self.tip.load().height();
        self.blocks.get(&height).filter(|_| is_told).map(|block| Arc::clone(&block))
    }

    /// Height of such a block.
    pub fn height_of(&self, hash: &BlockHash) -> Option<Height> {
        let height = *self.heights.get(hash)?;
        (height <= self.tip.load().height()).then_some(height)
    }

    /// Why a transaction was refused or dropped, while that is remembered.
    pub fn rejection(&self, txid: &Txid) -> Option<Arc<Rejection>> {
        self.rejections.get(txid)
    }

    /// Why this node signs nothing any more, if so.
    pub fn alarm(&self) -> Option<Arc<Alarm>> {
        self.alarm.load_full()
    }

    /// What can be counted at the replica, as of its last step.
    pub fn gauges(&self) -> Gauges {
        **self.gauges.load()
    }

    // ---- the writer

    /// The replica has made a step.
    pub fn set_gauges(&self, gauges: Gauges) {
        if self.gauges() != gauges {
            self.gauges.store(Arc::new(gauges));
        }
    }

    /// What the ledger holds after a restart: nobody is told of it again.
    pub fn restore(&self, ledger: &Ledger) {
        for (txid, entry) in ledger.entries() {
            let status = match entry.stage {
                Stage::Sampling => Status::Sampling,
                Stage::Accepted => Status::Accepted,
                Stage::Certified => Status::Certified,
                Stage::Finalized => Status::Finalized,
            };
            self.admit(ledger, *txid, entry.received);
            let epoch = ledger.tip().child_epoch(ledger.chain());
            self.change(txid, |pending| {
                pending.status = status;
                pending.finalized = (status == Status::Finalized).then_some((entry.received, epoch));
            });
        }
    }

    /// The replica tells something.
    pub fn tell(&self, now: TimeMs, event: &Event, ledger: &Ledger) {
        match event {
            Event::Admitted(txid) => self.admit(ledger, *txid, now),
            Event::Rejected { txid, reason } => {
                // What was told final stays, whatever a later alarm says of it.
                if self.pending.get(txid).is_none_or(|entry| entry.status < Status::Finalized) {
                    self.remove(txid);
                }
                self.rejections.insert(*txid, Arc::new(reason.clone()));
            }
            // An epoch that closed in the same step has voided it.
            Event::Accepted(txid) if is_accepted(ledger, txid) => {
                self.change(txid, |pending| pending.status = pending.status.max(Status::Accepted));
            }
            // Of an epoch that has closed since it is void.
            Event::Certified { txid, epoch } if *epoch == ledger.tip().child_epoch(ledger.chain()) => {
                self.admit(ledger, *txid, now);
                self.change(txid, |pending| pending.status = pending.status.max(Status::Certified));
            }
            Event::Finalized { txid, epoch } => {
                self.admit(ledger, *txid, now);
                self.change(txid, |pending| {
                    pending.status = pending.status.max(Status::Finalized);
                    pending.finalized.get_or_insert((now, *epoch));
                });
            }
            Event::BlockCommitted { height, .. } => self.show_block(*height, ledger),
            Event::Accepted(_) | Event::Certified { .. } | Event::ViewChanged { .. } => {}
            Event::Alarm(alarm) => self.alarm.store(Some(Arc::new(alarm.clone()))),
        }
    }

    /// A block is on its way to the disk; users see it once [`Event::BlockCommitted`] says that it is there.
    pub fn add_block(&self, now: TimeMs, block: Arc<CommittedBlock>) {
        let height = block.changes.height;
        for tx in &block.changes.txs {
            self.insert(tx, now, None);
        }
        self.heights.insert(block.commit.block_hash, height);
        self.blocks.insert(height, block);
    }

    /// The store answers for every block up to `height`.
    pub fn stored(&self, height: Height) {
        let gone: Vec<Arc<CommittedBlock>> =
            self.blocks.iter().filter(|entry| *entry.key() <= height).map(|entry| Arc::clone(&entry)).collect();
        if gone.is_empty() {
            return;
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        for block in gone {
            block.changes.txids.iter().for_each(|txid| self.remove(txid));
            self.heights.remove(&block.commit.block_hash);
            self.blocks.remove(&block.changes.height);
        }
    }

    fn show_block(&self, height: Height, ledger: &Ledger) {
        let Some(block) = self.blocks.get(&height).map(|entry| Arc::clone(&entry)) else { return };
        let place = (height, block.commit.block_hash);
        for txid in &block.changes.txids {
            self.change(txid, |pending| {
                pending.status = Status::Archived;
                pending.block = Some(place);
            });
        }
        if block.changes.closed_epoch.is_some() {
            // Certificates that the closing block left behind are void, and all is sampled anew, which may have begun.
            for mut entry in self.pending.iter_mut().filter(|entry| entry.status < Status::Finalized) {
                entry.status = match is_accepted(ledger, entry.key()) {
                    true => Status::Accepted,
                    false => Status::Sampling,
                };
            }
        }
        self.tip.store(Arc::new(block.changes.state.clone()));
    }

    fn admit(&self, ledger: &Ledger, txid: Txid, now: TimeMs) {
        if let Some(entry) = ledger.entry(&txid) {
            self.insert(&entry.tx, now, entry.fee);
        }
    }

    fn insert(&self, tx: &VerifiedTx, now: TimeMs, fee: Option<Amount>) {
        let txid = tx.txid();
        let mut is_new = false;
        let mut entry = self.pending.entry(txid).or_insert_with(|| {
            is_new = true;
            let (tx, status) = (Arc::clone(tx), Status::Sampling);
            Pending { tx, status, fee, first_seen: now, finalized: None, block: None }
        });
        entry.fee = entry.fee.or(fee);
        drop(entry);
        if is_new {
            self.rejections.remove(&txid);
            for lock in locks(tx) {
                self.touching.entry(lock).or_default().insert(txid);
            }
        }
    }

    fn change(&self, txid: &Txid, change: impl FnOnce(&mut Pending)) {
        if let Some(mut entry) = self.pending.get_mut(txid) {
            change(&mut entry);
        }
    }

    fn remove(&self, txid: &Txid) {
        let Some((_, pending)) = self.pending.remove(txid) else { return };
        for lock in locks(&pending.tx) {
            if let Some(mut txids) = self.touching.get_mut(&lock) {
                txids.remove(txid);
            }
            self.touching.remove_if(&lock, |_, txids| txids.is_empty());
        }
    }
}

fn is_accepted(ledger: &Ledger, txid: &Txid) -> bool {
    ledger.entry(txid).is_some_and(|entry| entry.stage >= Stage::Accepted)
}

/// Every lock that a transaction pays to or opens, once.
fn locks(tx: &VerifiedTx) -> BTreeSet<Lock> {
    let paid = tx.body().outputs.iter().map(|out| out.lock);
    paid.chain(tx.tx().witnesses.iter().map(|witness| witness.lock())).collect()
}
