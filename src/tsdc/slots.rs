//! When a height starts, and which kind of block it may propose (`protocol.md` 7.1): a pure function of the tip, the
//! clock and what waits to be archived.
//!
//! Clocks and backlogs differ a little from node to node, so the two sides of a proposal are not mirror images:
//!
//! - [`Tip::next_block`] is what a masternode does by its own clock and its own backlog.
//! - [`Tip::accepts`] is what it puts up with from a leader. It never looks at its own backlog: an overflow block proves
//!   its need by what it holds (`overflow_min_bytes`, each transaction certified here), a closing block by what the
//!   signer knows to be archived. So nodes that see a backlog just below and just above the bound follow each other's
//!   proposals. It also never asks that the height has started by its own clock, only that the slot is within
//!   `clock_tolerance_ms`, so a leader whose clock is ahead is followed at once.
//!
//! Every epoch ends: once the closing slot has come, votes and receipts of the epoch stop ([`Tip::is_closing`]), so the
//! backlog only shrinks by the overflow blocks that are still allowed, each of which archives at least
//! `overflow_min_bytes` of it.

use crate::chain::spec::ChainSpec;
use crate::types::number::{Slot, TimeMs};

/// What the next block's slot depends on: two fields of the tip's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Slot of the tip.
    pub slot: Slot,
    /// How many blocks have opened a slot; 0 is genesis alone.
    pub opened: u64,
}

/// What the height after the tip may do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextBlock {
    /// Start, and propose a block that opens `slot`.
    Opening {
        /// The slot the clock is in.
        slot: Slot,
    },
    /// Start, and propose a further block of the tip's slot.
    Overflow,
    /// Do not start yet. A proposal that is acceptable, or votes of a third of the weight, start the height earlier.
    Wait {
        /// When the next slot starts.
        until: TimeMs,
    },
}

/// Why a fresh proposal's slot is not acceptable here and now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlotError {
    /// Before the tip's slot; or in slot 0, where genesis stands alone.
    #[error("slot {slot} does not follow the tip's slot {tip}")]
    NotAfterTip {
        /// Slot of the proposal.
        slot: Slot,
        /// Slot of the tip.
        tip: Slot,
    },
    /// The slot is not the current one by the local clock, give or take the tolerance.
    #[error("slot {slot} is not current: by this clock it is between slots {earliest} and {latest}")]
    NotCurrent {
        /// Slot of the proposal.
        slot: Slot,
        /// Slot at the earliest time it may be.
        earliest: Slot,
        /// Slot at the latest time it may be.
        latest: Slot,
    },
}

impl Tip {
    /// What the next height may do at `now`. `includable_bytes`: encoded size of all transactions that are certified
    /// here, unarchived, and includable on this tip with their certified ancestors; one that nothing can include yet
    /// must not count, or it would keep an epoch from closing.
    pub fn next_block(&self, spec: &ChainSpec, now: TimeMs, includable_bytes: u64) -> NextBlock {
        let slot = spec.slot_at(now);
        if slot > self.slot {
            // What does not fit the closing block goes before it.
            let overflows = self.is_before_closing(spec) && includable_bytes > spec.max_block_bytes;
            return if overflows && !self.is_genesis() { NextBlock::Overflow } else { NextBlock::Opening { slot } };
        }
        if includable_bytes >= spec.overflow_min_bytes && !self.is_genesis() {
            return NextBlock::Overflow;
        }
        NextBlock::Wait { until: spec.slot_start(self.slot.next()) }
    }

    /// Whether a fresh proposal for `slot` is acceptable at `now`, as far as the slot goes. Its other rules (`opened`,
    /// sizes, content) are checked where blocks are.
    ///
    /// # Errors
    /// [`SlotError`]: not after the tip, or not current.
    pub fn accepts(&self, spec: &ChainSpec, now: TimeMs, slot: Slot) -> Result<(), SlotError> {
        if slot < self.slot || (slot == self.slot && self.is_genesis()) {
            return Err(SlotError::NotAfterTip { slot, tip: self.slot });
        }
        if slot == self.slot && self.is_before_closing(spec) {
            return Ok(());
        }
        let earliest = spec.slot_at(TimeMs(now.0.saturating_sub(spec.clock_tolerance_ms)));
        let latest = spec.slot_at(now.plus(spec.clock_tolerance_ms));
        if (earliest..=latest).contains(&slot) {
            return Ok(());
        }
        Err(SlotError::NotCurrent { slot, earliest, latest })
    }

    /// Whether the clock is past the tip's slot and the next slot-opening block closes the epoch: from here on nobody
    /// signs votes or receipts of this epoch (`protocol.md` 6).
    pub fn is_closing(&self, spec: &ChainSpec, now: TimeMs) -> bool {
        spec.slot_at(now) > self.slot && self.is_before_closing(spec)
    }

    /// Whether the next slot-opening block closes the epoch.
    pub fn is_before_closing(&self, spec: &ChainSpec) -> bool {
        self.opened.checked_add(1).is_some_and(|opened| spec.opening_closes_epoch(opened))
    }

    /// Height 1 opens a slot, whatever waits.
    fn is_genesis(&self) -> bool {
        self.opened == 0
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
