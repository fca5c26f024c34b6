//! The votes of one view and kind: one a member, and which thresholds they reached.
//!
//! Invariant: `weights` and `cast_weight` are sums over `cast`; each member stands in `cast` once, with its first vote.

use crate::types::hash::BlockHash;
use crate::types::keys::Signature;
use crate::types::number::Weight;
use crate::types::validators::ValidatorSet;
use std::collections::BTreeMap;

/// What one member voted, with the signature that proves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ballot {
    /// A block, or `None` for nil.
    pub value: Option<BlockHash>,
    /// The member's.
    pub signature: Signature,
}

/// What a quorum of one view and kind says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Threshold {
    /// A quorum voted, for whatever.
    Any,
    /// A quorum voted for this: a block, or nil.
    Value(Option<BlockHash>),
}

/// The votes of one view and kind.
#[derive(Clone, Default, Debug)]
pub(super) struct Ballots {
    cast: BTreeMap<usize, Ballot>,
    weights: BTreeMap<Option<BlockHash>, Weight>,
    cast_weight: Weight,
    any: bool,
    value: Option<Option<BlockHash>>,
}

impl Ballots {
    /// Counts the first vote of the member at `position`. Says which thresholds this vote reached: each is told once.
    pub fn cast(&mut self, set: &ValidatorSet, position: usize, ballot: Ballot) -> Vec<Threshold> {
        let Some(member) = set.members().get(position) else { return Vec::new() };
        if self.cast.contains_key(&position) {
            return Vec::new();
        }
        self.cast.insert(position, ballot);
        // A part of a total that fits.
        let total = set.total();
        self.cast_weight = self.cast_weight.checked_add(member.weight).unwrap_or(total);
        let weight = self.weights.entry(ballot.value).or_default();
        *weight = weight.checked_add(member.weight).unwrap_or(total);
        let quorum_for_value = weight.is_quorum_of(total);
        let quorum = self.cast_weight.is_quorum_of(total);
        self.reach(quorum, quorum_for_value.then_some(ballot.value))
    }

    /// Takes a quorum for `value` as given, on the word of a whole certificate.
    pub fn certify(&mut self, value: Option<BlockHash>) -> Vec<Threshold> {
        self.reach(true, Some(value))
    }

    fn reach(&mut self, quorum: bool, value: Option<Option<BlockHash>>) -> Vec<Threshold> {
        let mut reached = Vec::new();
        if quorum && !self.any {
            self.any = true;
            reached.push(Threshold::Any);
        }
        if let Some(value) = value
            && self.value.is_none()
        {
            self.value = Some(value);
            reached.push(Threshold::Value(value));
        }
        reached
    }

    /// Forgets the vote of the member at `position`. Thresholds once reached stay: ask [`Ballots::any`] before.
    pub fn withdraw(&mut self, set: &ValidatorSet, position: usize) {
        let Some(ballot) = self.cast.remove(&position) else { return };
        let weight = set.members().get(position).map_or(Weight::ZERO, |m| m.weight);
        self.cast_weight = self.cast_weight.checked_sub(weight).unwrap_or_default();
        if let Some(sum) = self.weights.get_mut(&ballot.value) {
            *sum = sum.checked_sub(weight).unwrap_or_default();
            if *sum == Weight::ZERO {
                self.weights.remove(&ballot.value);
            }
        }
    }

    /// The vote of the member at `position`.
    pub fn get(&self, position: usize) -> Option<&Ballot> {
        self.cast.get(&position)
    }

    /// Every vote, with its member's position.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Ballot)> {
        self.cast.iter().map(|(position, ballot)| (*position, ballot))
    }

    /// Whether nobody voted.
    pub fn is_empty(&self) -> bool {
        self.cast.is_empty() && !self.any
    }

    /// Whether a quorum voted, for whatever.
    pub fn any(&self) -> bool {
        self.any
    }

    /// What a quorum voted for. With less than a third Byzantine there is at most one such value.
    pub fn value(&self) -> Option<Option<BlockHash>> {
        self.value
    }

    /// Weight of all who voted.
    pub fn cast_weight(&self) -> Weight {
        self.cast_weight
    }

    /// Weight of the votes for `value`.
    pub fn weight_for(&self, value: Option<BlockHash>) -> Weight {
        self.weights.get(&value).copied().unwrap_or_default()
    }

    /// Writes the signatures for `value` into the places of `signatures` that are empty.
    pub fn fill(&self, value: Option<BlockHash>, signatures: &mut [Option<Signature>]) {
        for (position, ballot) in self.cast.iter().filter(|(_, ballot)| ballot.value == value) {
            if let Some(slot) = signatures.get_mut(*position) {
                slot.get_or_insert(ballot.signature);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, set_of};
    use super::*;

    fn ballot(value: Option<BlockHash>) -> Ballot {
        Ballot { value, signature: Signature([1; 64]) }
    }

    #[test]
    fn each_threshold_is_told_once() {
        let set = set_of(&[1, 1, 1, 1]);
        let mut ballots = Ballots::default();
        let value = Some(block(1));
        assert_eq!(ballots.cast(&set, 0, ballot(value)), []);
        assert_eq!(ballots.cast(&set, 1, ballot(None)), []);
        assert_eq!(ballots.cast(&set, 2, ballot(value)), [Threshold::Any]);
        assert_eq!(ballots.cast(&set, 2, ballot(value)), []);
        assert_eq!(ballots.cast(&set, 3, ballot(value)), [Threshold::Value(value)]);
        assert_eq!(ballots.certify(value), []);
        assert_eq!(ballots.value(), Some(value));
    }

    #[test]
    fn a_quorum_is_weighed_not_counted() {
        let set = set_of(&[1, 1, 1, 7]);
        let mut ballots = Ballots::default();
        for position in 0..3 {
            assert_eq!(ballots.cast(&set, position, ballot(None)), []);
        }
        assert_eq!(ballots.cast(&set, 3, ballot(None)), [Threshold::Any, Threshold::Value(None)]);
    }

    #[test]
    fn a_member_is_counted_once_with_its_first_vote() {
        let set = set_of(&[1, 1, 1]);
        let mut ballots = Ballots::default();
        ballots.cast(&set, 0, ballot(None));
        assert_eq!(ballots.cast(&set, 0, ballot(Some(block(1)))), []);
        assert_eq!(ballots.weight_for(Some(block(1))), Weight::ZERO);
        assert_eq!(ballots.cast_weight(), Weight::new(1));
    }

    #[test]
    fn a_withdrawn_vote_weighs_nothing() {
        let set = set_of(&[2, 1, 1]);
        let mut ballots = Ballots::default();
        ballots.cast(&set, 0, ballot(None));
        ballots.withdraw(&set, 0);
        ballots.withdraw(&set, 0);
        assert!(ballots.is_empty());
        assert_eq!(ballots.cast_weight(), Weight::ZERO);
        assert_eq!(ballots.weight_for(None), Weight::ZERO);
    }
}
