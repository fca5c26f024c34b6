//! From where a masternode may sign again whose `votes.log` is lost (`protocol.md` 12).
//!
//! What the key signed is unknown, but not how far it can have gone. Let `T` be a block whose slot began after this
//! process did, and say that it is committed. A quorum prepared it when its slot came, so after everything that the key
//! signed before. Whoever signs at a height has the commit of the height below; if the key signed at `K + 1`, a quorum
//! precommitted `K` before that. The two quorums share an honest masternode, whose heights only grow: `K <= T`. So above
//! `T + 1` the key signed nothing, and of no epoch after the one that follows `T`. That holds whatever this node was told
//! and by whom; what it needs is a clock that is right within the margin, and that nobody else signs with the key.
//!
//! Messages of the key that come along anyway push the floor further: they cost nothing and stand in for a clock that is
//! wrong.

use crate::chain::spec::ChainSpec;
use crate::limits::LOST_VOTES_SLOTS;
use crate::types::number::{Epoch, Height, Slot, TimeMs};

/// First height and first epoch that are signed.
pub type Floor = (Height, Epoch);

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostVotes {
    /// A block counts if its slot begins here or later.
    after: TimeMs,
    /// Highest height and epoch of which a message of the key is known.
    reach: (Height, Epoch),
}

impl LostVotes {
    /// For a process that began at `start`. `reach`: how far the key is known to have gone, zero if nothing is known.
    pub fn new(spec: &ChainSpec, start: TimeMs, reach: (Height, Epoch)) -> Self {
        let margin = spec.slot_ms.saturating_mul(LOST_VOTES_SLOTS).saturating_add(spec.clock_tolerance_ms);
        Self { after: start.plus(margin), reach }
    }

    /// The first slot whose block counts.
    pub fn first_slot(&self, spec: &ChainSpec) -> Slot {
        let slot = spec.slot_at(self.after);
        if spec.slot_start(slot) < self.after { slot.next() } else { slot }
    }

    /// A message of the key was heard that speaks of this height and this epoch, zero where it speaks of none.
    pub fn heard(&mut self, (height, epoch): (Height, Epoch)) {
        self.reach = (self.reach.0.max(height), self.reach.1.max(epoch));
    }

    /// The block at `height`, of `slot`, is committed, and its child is of `child_epoch`: the floor, if the block counts.
    pub fn floor_behind(&self, spec: &ChainSpec, height: Height, slot: Slot, child_epoch: Epoch) -> Option<Floor> {
        if spec.slot_start(slot) < self.after {
            return None;
        }
        // The child may have been signed already.
        let from_height = height.next().max(self.reach.0).next();
        Some((from_height, child_epoch.max(self.reach.1).next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ChainSpec {
        ChainSpec { slot_ms: 2_000, clock_tolerance_ms: 500, genesis_time_ms: 10_000, ..crate::ledger::testing::spec() }
    }

    fn floor(lost: &LostVotes, height: u64, slot: u64, epoch: u64) -> Option<(u64, u64)> {
        let floor = lost.floor_behind(&spec(), Height::new(height), Slot::new(slot), Epoch::new(epoch));
        floor.map(|(height, epoch)| (height.get(), epoch.get()))
    }

    #[test]
    fn only_a_block_whose_slot_begins_well_after_the_start_says_how_far_the_key_can_have_gone() {
        // Slot 5 begins at 20,000.
        let lost = LostVotes::new(&spec(), TimeMs(20_000), (Height::ZERO, Epoch::ZERO));
        assert_eq!(floor(&lost, 100, 5, 3), None, "may have been proposed before");
        assert_eq!(floor(&lost, 100, 6, 3), None, "a whole slot and what clocks may differ by");
        assert_eq!(floor(&lost, 100, 7, 3), Some((102, 4)), "the child may be signed, and anything of its epoch");
        assert_eq!(lost.first_slot(&spec()), Slot::new(7));
        let exact = LostVotes::new(&spec(), TimeMs(21_500), (Height::ZERO, Epoch::ZERO));
        assert_eq!((exact.first_slot(&spec()), floor(&exact, 1, 7, 0)), (Slot::new(7), Some((3, 1))));
    }

    #[test]
    fn what_is_known_of_the_key_pushes_the_floor_further_and_never_back() {
        let mut lost = LostVotes::new(&spec(), TimeMs(0), (Height::new(120), Epoch::new(1)));
        assert_eq!(floor(&lost, 100, 9, 3), Some((121, 4)));
        lost.heard((Height::new(130), Epoch::ZERO));
        lost.heard((Height::ZERO, Epoch::new(8)));
        lost.heard((Height::new(7), Epoch::new(2)));
        assert_eq!(floor(&lost, 100, 9, 3), Some((131, 9)));
        assert_eq!(floor(&lost, 200, 9, 10), Some((202, 11)));
    }
}
