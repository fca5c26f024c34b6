//! The batches of an epoch, each stored once, for as long as a tally refers to it.
//!
//! Invariant: a batch is held exactly while something uses it, and the batches held of one voter name at most
//! [`MAX_HELD_TXIDS_PER_VOTER`] txids, however they are cut.

use crate::limits::MAX_HELD_TXIDS_PER_VOTER;
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use std::sync::Arc;

/// Names a batch in [`Batches`]; four bytes, since a payment has one for each voter and kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct BatchId(u32);

struct Held {
    batch: Arc<Verified<VoteBatch>>,
    position: usize,
    uses: u32,
}

/// All batches in use.
pub(super) struct Batches {
    slots: Vec<Option<Held>>,
    free: Vec<BatchId>,
    /// Txids in the batches held, by position of the voter.
    held_txids: Vec<usize>,
}

impl Batches {
    /// None yet, of a set of `members`.
    pub(super) fn new(members: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), held_txids: vec![0; members] }
    }

    /// Holds `batch` of the voter at `position`, in use by nothing yet; `None` if that voter has no room left.
    pub(super) fn insert(&mut self, batch: Arc<Verified<VoteBatch>>, position: usize) -> Option<BatchId> {
        let held = self.held_txids.get_mut(position)?;
        let with_it = held.saturating_add(batch.txids.len());
        if with_it > MAX_HELD_TXIDS_PER_VOTER {
            return None;
        }
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = BatchId(u32::try_from(self.slots.len()).ok()?);
                self.slots.push(None);
                id
            }
        };
        *held = with_it;
        self.slots[id.0 as usize] = Some(Held { batch, position, uses: 0 });
        Some(id)
    }

    /// One more tally refers to the batch.
    pub(super) fn acquire(&mut self, id: BatchId) {
        if let Some(held) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) {
            held.uses += 1;
        }
    }

    /// One tally less refers to the batch.
    pub(super) fn release(&mut self, id: BatchId) {
        if let Some(held) = self.slots.get_mut(id.0 as usize).and_then(Option::as_mut) {
            held.uses = held.uses.saturating_sub(1);
            self.drop_unused(id);
        }
    }

    /// Lets go of the batch if nothing refers to it; whether it did.
    pub(super) fn drop_unused(&mut self, id: BatchId) -> bool {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return false };
        let Some(held) = slot.take_if(|held| held.uses == 0) else { return false };
        self.held_txids[held.position] -= held.batch.txids.len();
        self.free.push(id);
        true
    }

    /// The batch.
    pub(super) fn get(&self, id: BatchId) -> Option<&Arc<Verified<VoteBatch>>> {
        self.slots.get(id.0 as usize)?.as_ref().map(|held| &held.batch)
    }

    /// Position of the batch's voter.
    pub(super) fn position(&self, id: BatchId) -> Option<usize> {
        self.slots.get(id.0 as usize)?.as_ref().map(|held| held.position)
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
