//! Who signed one thing about one transaction, and how much they weigh together.
//!
//! Invariants: a voter counts once; the weight is the sum over the voters, a part of a total that fits `u64`.

use super::batches::BatchId;
use crate::types::number::Weight;

/// Voters by their position in the set, and the batch with the signature of each.
#[derive(Default)]
pub(super) struct Support {
    weight: Weight,
    /// One bit a position; as long as the highest position needs.
    voters: Vec<u64>,
    /// In order of arrival.
    batches: Vec<BatchId>,
}

impl Support {
    /// Weight of the voters.
    pub(super) fn weight(&self) -> Weight {
        self.weight
    }

    /// Where their signatures are, in order of arrival.
    pub(super) fn batches(&self) -> &[BatchId] {
        &self.batches
    }

    /// Whether the voter at `position` is among them.
    pub(super) fn has(&self, position: usize) -> bool {
        self.voters.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// Counts the voter at `position`, unless it was counted before; whether it was new.
    pub(super) fn insert(&mut self, position: usize, weight: Weight, batch: BatchId) -> bool {
        if self.has(position) {
            return false;
        }
        if self.voters.len() <= position / 64 {
            self.voters.resize(position / 64 + 1, 0);
        }
        self.voters[position / 64] |= 1 << (position % 64);
        self.batches.push(batch);
        // Distinct members of a set whose total fits.
        self.weight = self.weight.checked_add(weight).unwrap_or(Weight::MAX);
        true
    }

    /// Positions of the voters, ascending.
    pub(super) fn positions(&self) -> impl Iterator<Item = usize> {
        self.voters
            .iter()
            .enumerate()
            .flat_map(|(index, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_counts_once() {
        let mut support = Support::default();
        assert!(support.insert(70, Weight::new(5), BatchId::default()));
        assert!(!support.insert(70, Weight::new(5), BatchId::default()));
        assert!(support.insert(3, Weight::new(2), BatchId::default()));
        assert_eq!(support.weight(), Weight::new(7));
        assert_eq!(support.positions().collect::<Vec<_>>(), [3, 70]);
        assert_eq!(support.batches().len(), 2);
        assert!(!support.has(6));
        assert!(!support.has(4_000));
    }
}
