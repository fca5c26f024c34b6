//! The validator set of an epoch as the oracle computed it, and its own quorum arithmetic (`protocol.md` 1).

use super::digest;
use std::collections::BTreeSet;
use timed::types::codec::encode;
use timed::types::hash::Hash;
use timed::types::keys::PublicKey;
use timed::types::validators::Validator;

/// Who may sign in one epoch.
#[derive(Debug)]
pub struct Committee {
    /// The epoch.
    pub epoch: u64,
    /// Ascending by consensus key.
    pub members: Vec<Validator>,
    /// Weight of all.
    pub total: u128,
    /// Weight of those who are not honest.
    pub byzantine: u128,
    /// `H("validators", encode(members))`.
    pub hash: Hash,
}

impl Committee {
    /// The set of `epoch`.
    pub fn new(epoch: u64, mut members: Vec<Validator>, honest: &BTreeSet<PublicKey>) -> Self {
        members.sort_by_key(|m| m.consensus_key.0);
        let weigh = |counts: &dyn Fn(&Validator) -> bool| {
            members.iter().filter(|m| counts(m)).map(|m| u128::from(m.weight.get())).sum()
        };
        let (total, byzantine) = (weigh(&|_| true), weigh(&|m| !honest.contains(&m.consensus_key)));
        let hash = digest::h("timecoin v1 validators", &[&encode(&members)]);
        Self { epoch, members, total, byzantine, hash }
    }

    /// The member with this key.
    pub fn member(&self, key: &PublicKey) -> Option<&Validator> {
        let position = self.members.binary_search_by(|m| m.consensus_key.0.cmp(&key.0)).ok()?;
        self.members.get(position)
    }

    /// Weight of the key; 0 for who is not in the set.
    pub fn weight(&self, key: &PublicKey) -> u128 {
        self.member(key).map_or(0, |m| u128::from(m.weight.get()))
    }

    /// Whether what is missing from `weight` is at most a third of the whole set.
    pub fn is_quorum(&self, weight: u128) -> bool {
        self.total > 0 && self.total.saturating_sub(weight) * 3 <= self.total
    }
}
