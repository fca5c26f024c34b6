//! Numbers of the protocol as types of their own: heights, slots, epochs, views, weights and amounts
//! cannot be mixed up, and none of them overflows in silence.
//!
//! None has `From<u64>`: who makes one says which one it is.

use bincode::{Decode, Encode};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
        pub struct $name($inner);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$inner>::MAX);

            /// Wraps a plain number.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The plain number.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// `self + other`, or `None` past the largest value.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// `self - other`, or `None` below zero.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// The next number; stays at the largest value.
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The number before, or `None` at zero.
            pub fn previous(self) -> Option<Self> {
                self.0.checked_sub(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// An amount of money in units; 1 TIME is [`UNITS_PER_TIME`] units.
    Amount(u64)
}
number! {
    /// Height of a block; genesis is 0.
    Height(u64)
}
number! {
    /// Number of a slot since genesis.
    Slot(u64)
}
number! {
    /// An epoch: the span of one validator set.
    Epoch(u64)
}
number! {
    /// A view (round) of one height.
    View(u32)
}
number! {
    /// Voting weight.
    Weight(u64)
}

/// Units in one TIME.
pub const UNITS_PER_TIME: u64 = 100_000_000;

/// Milliseconds since the Unix epoch, or on the simulator's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Encode, Decode)]
pub struct TimeMs(pub u64);

impl TimeMs {
    /// This time `ms` milliseconds later; stays at the end of time.
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, 0 if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Amount {
    /// Sum of amounts, or `None` past `u64`.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Amount>) -> Option<Amount> {
        amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
    }
}

impl Weight {
    /// Sum of weights, or `None` past `u64`.
    pub fn checked_sum(weights: impl IntoIterator<Item = Weight>) -> Option<Weight> {
        weights.into_iter().try_fold(Weight::ZERO, Weight::checked_add)
    }

    /// Whether this much of `total` is a quorum: two thirds or more of a positive total.
    ///
    /// With Byzantine weight strictly below one third, two quorums share an honest masternode.
    pub fn is_quorum_of(self, total: Weight) -> bool {
        total.0 > 0 && u128::from(self.0) * 3 >= u128::from(total.0) * 2
    }

    /// Whether this much of `total` is a third or more, and so contains an honest masternode.
    pub fn is_third_of(self, total: Weight) -> bool {
        total.0 > 0 && u128::from(self.0) * 3 >= u128::from(total.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_equal_masternodes_keep_a_quorum_with_one_down() {
        assert!(Weight::new(2).is_quorum_of(Weight::new(3)));
        assert!(!Weight::new(1).is_quorum_of(Weight::new(3)));
        assert!(!Weight::ZERO.is_quorum_of(Weight::ZERO));
        assert!(!Weight::new(66).is_quorum_of(Weight::new(100)));
        assert!(Weight::new(67).is_quorum_of(Weight::new(100)));
        assert!(Weight::MAX.is_quorum_of(Weight::MAX));
    }

    #[test]
    fn a_third_counts_from_exactly_one_third() {
        assert!(Weight::new(1).is_third_of(Weight::new(3)));
        assert!(!Weight::new(33).is_third_of(Weight::new(100)));
        assert!(!Weight::ZERO.is_third_of(Weight::ZERO));
    }

    #[test]
    fn amounts_do_not_wrap() {
        assert_eq!(Amount::MAX.checked_add(Amount::new(1)), None);
        assert_eq!(Amount::checked_sum([Amount::MAX, Amount::new(1)]), None);
        assert_eq!(Amount::ZERO.previous(), None);
    }
}
