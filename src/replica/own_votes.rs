//! This masternode's own votes and receipts: waiting to be signed, on their way through the signer, and repeated
//! until their transactions are archived or their epoch closes.
//!
//! At most one batch of each kind is with the signer at a time. While it is there the next one gathers, so one
//! signature and one sync cover what a few milliseconds bring (`architecture.md`, Speed).

use super::command::WriteSeq;
use crate::limits::{MAX_BATCH_TXIDS, REPEAT_VOTES_FIRST_MS, REPEAT_VOTES_MAX_MS};
use crate::types::hash::Txid;
use crate::types::number::TimeMs;
use crate::types::verified::Verified;
use crate::types::vote::{FinalityKind, VoteBatch};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What waits for the signer, of one kind.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Txid>,
    queued: BTreeSet<Txid>,
    with_signer: Option<WriteSeq>,
}

impl Lane {
    fn push(&mut self, txid: Txid) {
        if self.queued.insert(txid) {
            self.queue.push_back(txid);
        }
    }

    fn take(&mut self, keep: impl Fn(&Txid) -> bool) -> Vec<Txid> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH_TXIDS {
            let Some(txid) = self.queue.pop_front() else { break };
            self.queued.remove(&txid);
            if keep(&txid) {
                batch.push(txid);
            }
        }
        batch
    }
}

#[derive(Debug)]
struct Repeated {
    batch: Arc<Verified<VoteBatch>>,
    interval_ms: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct OwnVotes {
    votes: Lane,
    receipts: Lane,
    repeated: BTreeMap<(TimeMs, u64), Repeated>,
    next_id: u64,
}

impl OwnVotes {
    pub(super) fn queue(&mut self, kind: FinalityKind, txid: Txid) {
        self.lane(kind).push(txid);
    }

    fn lane(&mut self, kind: FinalityKind) -> &mut Lane {
        match kind {
            FinalityKind::Vote => &mut self.votes,
            FinalityKind::Receipt => &mut self.receipts,
        }
    }

    /// The next batch for the signer, of transactions that `keep` still wants; empty if one is there already.
    pub(super) fn next_batch(&mut self, kind: FinalityKind, keep: impl Fn(&Txid) -> bool) -> Vec<Txid> {
        let lane = self.lane(kind);
        if lane.with_signer.is_some() { Vec::new() } else { lane.take(keep) }
    }

    /// A batch went to the signer under this number.
    pub(super) fn with_signer(&mut self, kind: FinalityKind, seq: WriteSeq) {
        self.lane(kind).with_signer = Some(seq);
    }

    /// The signer refused: it is free for the next batch of this kind.
    pub(super) fn signer_answered(&mut self, kind: FinalityKind) {
        self.lane(kind).with_signer = None;
    }

    /// Everything up to `seq` is synced, and what the signer granted of it was released.
    pub(super) fn flushed(&mut self, seq: WriteSeq) {
        for lane in [&mut self.votes, &mut self.receipts] {
            lane.with_signer = lane.with_signer.filter(|asked| *asked > seq);
        }
    }

    pub(super) fn repeat(&mut self, now: TimeMs, batch: Arc<Verified<VoteBatch>>) {
        self.repeat_after(now, Repeated { batch, interval_ms: REPEAT_VOTES_FIRST_MS });
    }

    fn repeat_after(&mut self, now: TimeMs, repeated: Repeated) {
        self.next_id = self.next_id.wrapping_add(1);
        self.repeated.insert((now.plus(repeated.interval_ms), self.next_id), repeated);
    }

    /// Batches to send again now; those with no transaction that `is_pending` are forgotten.
    pub(super) fn due(&mut self, now: TimeMs, is_pending: impl Fn(&Txid) -> bool) -> Vec<Arc<Verified<VoteBatch>>> {
        let mut due = Vec::new();
        while let Some(entry) = self.repeated.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let Repeated { batch, interval_ms } = entry.remove();
            if !batch.txids.iter().any(&is_pending) {
                continue;
            }
            due.push(batch.clone());
            let interval_ms = interval_ms.saturating_mul(2).min(REPEAT_VOTES_MAX_MS);
            self.repeat_after(now, Repeated { batch, interval_ms });
        }
        due
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.repeated.keys().next().map(|(due, _)| *due)
    }

    /// A new epoch: everything of the old one is void.
    pub(super) fn clear(&mut self) {
        *self = Self { next_id: self.next_id, ..Self::default() };
    }

    /// (waiting for the signer, repeated).
    pub(super) fn len(&self) -> (usize, usize) {
        (self.votes.queue.len() + self.receipts.queue.len(), self.repeated.len())
    }
}
