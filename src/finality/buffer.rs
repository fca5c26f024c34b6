//! Batches of the next epoch, kept until the block that closes this one is known here (`protocol.md` 6).
//!
//! The next set is not known yet. Members of this epoch's set, most of the next one, have room of their own each;
//! all other keys, of which anyone can make as many as he likes, share one room.

use crate::limits::{MAX_BUFFERED_TXIDS_OF_STRANGERS, MAX_BUFFERED_TXIDS_PER_VOTER};
use crate::types::keys::PublicKey;
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Default)]
struct Waiting {
    batches: BTreeSet<Arc<Verified<VoteBatch>>>,
    txids: usize,
}

/// Batches that wait for their epoch.
#[derive(Default)]
pub(super) struct Buffer {
    by_voter: BTreeMap<PublicKey, Waiting>,
    txids_of_strangers: usize,
}

impl Buffer {
    /// Keeps `batch` if it is new and there is room, and says whether it does; what is dropped will be repeated by its
    /// voter.
    pub(super) fn insert(&mut self, batch: Arc<Verified<VoteBatch>>, is_member: bool) -> bool {
        let more = batch.txids.len();
        let waiting = self.by_voter.get(&batch.voter);
        let of_voter = waiting.map_or(0, |waiting| waiting.txids);
        let (held, limit) = if is_member {
            (of_voter, MAX_BUFFERED_TXIDS_PER_VOTER)
        } else {
            (self.txids_of_strangers, MAX_BUFFERED_TXIDS_OF_STRANGERS)
        };
        if held + more > limit || waiting.is_some_and(|waiting| waiting.batches.contains(&batch)) {
            return false;
        }
        let waiting = self.by_voter.entry(batch.voter).or_default();
        waiting.batches.insert(batch);
        waiting.txids += more;
        if !is_member {
            self.txids_of_strangers += more;
        }
        true
    }

    /// Everything kept, by voter; nothing is kept afterwards.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<Verified<VoteBatch>>> + use<> {
        std::mem::take(self).by_voter.into_values().flat_map(|waiting| waiting.batches)
    }
}
