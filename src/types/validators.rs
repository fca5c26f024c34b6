//! The validator set of an epoch: who may sign, and with what weight.

use super::codec::encode;
use super::hash::{Domain, Hash, MasternodeId};
use super::keys::PublicKey;
use super::lock::Lock;
use super::number::Weight;
use bincode::{Decode, Encode};

/// A member of a validator set, as it was at the epoch's boundary.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Validator {
    /// The masternode.
    pub id: MasternodeId,
    /// The key that signs.
    pub consensus_key: PublicKey,
    /// Its weight, at least 1.
    pub weight: Weight,
    /// Who gets its rewards.
    pub payout: Lock,
}

/// All members of an epoch's set, in ascending order of their consensus keys, with the total weight and the hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorSet {
    members: Vec<Validator>,
    total: Weight,
    hash: Hash,
}

/// Why a list is not a validator set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Two members have one key.
    #[error("two members have the consensus key {0}")]
    DuplicateKey(PublicKey),
    /// A member without weight.
    #[error("the member with the consensus key {0} has no weight")]
    NoWeight(PublicKey),
    /// The weights add up past `u64`.
    #[error("the weights add up to more than 2^64")]
    TotalTooLarge,
}

impl ValidatorSet {
    /// Sorts `members` by key and checks them.
    ///
    /// # Errors
    /// [`ValidatorSetError`] if two share a key, one has no weight, or the total does not fit.
    pub fn new(mut members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        members.sort_by_key(|m| m.consensus_key);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].consensus_key == pair[1].consensus_key) {
            return Err(ValidatorSetError::DuplicateKey(pair[0].consensus_key));
        }
        if let Some(member) = members.iter().find(|m| m.weight == Weight::ZERO) {
            return Err(ValidatorSetError::NoWeight(member.consensus_key));
        }
        let total = Weight::checked_sum(members.iter().map(|m| m.weight)).ok_or(ValidatorSetError::TotalTooLarge)?;
        let hash = Domain::VALIDATORS.hash(&encode(&members));
        Ok(Self { members, total, hash })
    }

    /// The members, ascending by consensus key.
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Weight of all members together.
    pub fn total(&self) -> Weight {
        self.total
    }

    /// `H("validators", encode(members))`.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Position of the member with this key.
    pub fn position(&self, key: &PublicKey) -> Option<usize> {
        self.members.binary_search_by(|m| m.consensus_key.cmp(key)).ok()
    }

    /// The member with this key.
    pub fn get(&self, key: &PublicKey) -> Option<&Validator> {
        self.position(key).map(|i| &self.members[i])
    }

    /// Weight of the key, zero for a stranger.
    pub fn weight(&self, key: &PublicKey) -> Weight {
        self.get(key).map_or(Weight::ZERO, |m| m.weight)
    }

    /// Weight of the distinct members among `keys`; strangers and repetitions add nothing.
    pub fn weight_of<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> Weight {
        let mut seen = vec![false; self.members.len()];
        for key in keys {
            if let Some(position) = self.position(key) {
                seen[position] = true;
            }
        }
        let present = self.members.iter().zip(seen).filter(|(_, seen)| *seen);
        // A part of a total that fits.
        present.fold(Weight::ZERO, |sum, (m, _)| sum.checked_add(m.weight).unwrap_or(self.total))
    }
}
