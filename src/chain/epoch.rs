//! Slots follow the clock, epochs follow the slot-opening blocks (`protocol.md` 4 and 7.1).

use super::spec::ChainSpec;
use crate::types::number::{Epoch, Slot, TimeMs};

impl ChainSpec {
    /// The slot the clock is in at `now`; slot 0 before genesis.
    ///
    /// `slot_ms` of a checked spec is positive; an unchecked spec without it has slot 0 only.
    pub fn slot_at(&self, now: TimeMs) -> Slot {
        Slot::new(now.since(TimeMs(self.genesis_time_ms)).checked_div(self.slot_ms).unwrap_or(0))
    }

    /// When `slot` starts: the time of every block in it. Stays at the end of time.
    pub fn slot_start(&self, slot: Slot) -> TimeMs {
        TimeMs(self.genesis_time_ms).plus(slot.get().saturating_mul(self.slot_ms))
    }

    /// The epoch of the child of a block whose header says `tip_opened`.
    pub fn epoch_of_child(&self, tip_opened: u64) -> Epoch {
        Epoch::new(tip_opened.checked_div(self.epoch_slots).unwrap_or(0))
    }

    /// Whether the slot-opening block whose header says `opened` closes its epoch. Genesis closes nothing. Of an
    /// overflow block, which repeats its parent's `opened`, do not ask.
    pub fn opening_closes_epoch(&self, opened: u64) -> bool {
        opened > 0 && opened.checked_rem(self.epoch_slots) == Some(0)
    }

    /// When `epoch` begins at the earliest, that is when the block is due that closes the one before: each slot from
    /// `next_slot` on has a block. `opened` is what the tip's header says. The start of `next_slot` for an epoch that
    /// has begun.
    pub fn epoch_begins(&self, epoch: Epoch, opened: u64, next_slot: Slot) -> TimeMs {
        let missing = epoch.get().saturating_mul(self.epoch_slots).saturating_sub(opened);
        self.slot_start(Slot::new(next_slot.get().saturating_add(missing.saturating_sub(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ChainSpec {
        ChainSpec { genesis_time_ms: 1_000_000, slot_ms: 2_000, epoch_slots: 10, ..ChainSpec::builtin("dev").unwrap() }
    }

    #[test]
    fn a_slot_lasts_from_its_start_to_the_next_ones() {
        let spec = spec();
        assert_eq!(spec.slot_at(TimeMs(0)), Slot::ZERO);
        for slot in [0, 1, 2, 77_000].map(Slot::new) {
            let start = spec.slot_start(slot);
            assert_eq!(spec.slot_at(start), slot);
            assert_eq!(spec.slot_at(start.plus(1_999)), slot);
            assert_eq!(spec.slot_at(start.plus(2_000)), slot.next());
        }
        assert_eq!(spec.slot_start(Slot::MAX), TimeMs(u64::MAX));
    }

    #[test]
    fn an_epoch_begins_with_the_last_block_of_the_one_before() {
        let spec = spec();
        let begins = |epoch: u64, opened, slot| spec.epoch_begins(Epoch::new(epoch), opened, Slot::new(slot));
        // Ten blocks are missing; the first is due in slot 5.
        assert_eq!(begins(1, 0, 5), spec.slot_start(Slot::new(14)));
        assert_eq!(begins(1, 9, 30), spec.slot_start(Slot::new(30)));
        assert_eq!(begins(1, 10, 31), spec.slot_start(Slot::new(31)));
        assert_eq!(begins(4, 12, 31), spec.slot_start(Slot::new(31 + 27)));
        assert_eq!(begins(u64::MAX, 0, 0), TimeMs(u64::MAX));
    }

    #[test]
    fn an_epoch_ends_with_the_block_that_fills_its_slots() {
        let spec = spec();
        assert!(!spec.opening_closes_epoch(0));
        for opened in 1..=40 {
            let epoch = spec.epoch_of_child(opened - 1);
            let next = spec.epoch_of_child(opened);
            assert_eq!(spec.opening_closes_epoch(opened), next == epoch.next(), "opened {opened}");
            assert_eq!(epoch, Epoch::new((opened - 1) / 10));
        }
    }
}
