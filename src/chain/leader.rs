//! Who leads: an urn of the set's weight, drawn from by hashes of the beacon (`protocol.md` 7.2).
//!
//! A drawn leader leaves the urn until all have led, so views in a row have different leaders; at each height the
//! urn is full again. The beacon comes from a delay function, whose seed is made here too.

use crate::types::hash::{BlockHash, Domain, Hash};
use crate::types::keys::PublicKey;
use crate::types::number::{Height, View};
use crate::types::validators::ValidatorSet;

/// The seed of the delay function of the block that opens the `opened`-th slot:
/// `H("vdf seed", parent.beacon || hash of the last slot-opening block || opened as u64 le)`.
pub fn vdf_seed(parent_beacon: &Hash, last_opening: &BlockHash, opened: u64) -> Hash {
    Domain::VDF_SEED.hash_all(&[&parent_beacon.0, &last_opening.0, &opened.to_le_bytes()])
}

/// The leader of one view; who asks for many keeps [`Leaders`]. The zero key for an empty set, which no chain has.
pub fn leader(beacon: &Hash, height: Height, view: View, set: &ValidatorSet) -> PublicKey {
    Leaders::new(*beacon, height, set).of(view)
}

/// The leaders of one height, drawn as they are asked for. Remembers those of one urn.
///
/// A draw costs the members left in the urn, a view far off at most one urn's: whole urns before it are skipped,
/// since each starts full.
#[derive(Clone, Debug)]
pub struct Leaders {
    beacon: Hash,
    height: Height,
    /// Keys and weights, in the order of the set.
    members: Vec<(PublicKey, u64)>,
    /// How many times the urn was emptied before the one that `drawn` is from.
    round: u32,
    drawn: Vec<PublicKey>,
    /// Positions of the members still in the urn, ascending, and their weight together.
    urn: Vec<usize>,
    weight: u64,
}

impl Leaders {
    /// The leaders of `height`, whose parent has this `beacon`, among `set`.
    pub fn new(beacon: Hash, height: Height, set: &ValidatorSet) -> Self {
        let members = set.members().iter().map(|m| (m.consensus_key, m.weight.get())).collect();
        let mut leaders = Self { beacon, height, members, round: 0, drawn: Vec::new(), urn: Vec::new(), weight: 0 };
        leaders.fill_urn(0);
        leaders
    }

    /// The leader of `view`; the zero key for an empty set.
    pub fn of(&mut self, view: View) -> PublicKey {
        // A set has at most 2^32 members by far.
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let (Some(round), Some(turn)) = (view.get().checked_div(members), view.get().checked_rem(members)) else {
            return PublicKey::default();
        };
        if round != self.round {
            self.fill_urn(round);
        }
        let turn = turn as usize;
        while self.drawn.len() <= turn {
            let Some(key) = self.draw() else { break };
            self.drawn.push(key);
        }
        self.drawn.get(turn).copied().unwrap_or_default()
    }

    fn fill_urn(&mut self, round: u32) {
        self.round = round;
        self.drawn.clear();
        self.urn = (0..self.members.len()).collect();
        // The total of a set fits.
        self.weight = self.members.iter().fold(0, |sum, (_, weight)| sum.saturating_add(*weight));
    }

    /// Draws for the first view of this urn that has no leader yet.
    fn draw(&mut self) -> Option<PublicKey> {
        let members = u32::try_from(self.members.len()).ok()?;
        let view = self.round.checked_mul(members)?.checked_add(u32::try_from(self.drawn.len()).ok()?)?;
        let hash = Domain::LEADER.hash_all(&[&self.beacon.0, &self.height.get().to_le_bytes(), &view.to_le_bytes()]);
        let (first_half, _) = hash.0.split_first_chunk::<16>()?;
        let mut point = u128::from_le_bytes(*first_half).checked_rem(u128::from(self.weight))?;
        for (i, position) in self.urn.iter().enumerate() {
            let (key, weight) = *self.members.get(*position)?;
            if point < u128::from(weight) {
                self.urn.remove(i);
                self.weight = self.weight.checked_sub(weight)?;
                return Some(key);
            }
            point -= u128::from(weight);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::vectors;
    use crate::types::hash::MasternodeId;
    use crate::types::lock::Lock;
    use crate::types::number::Weight;
    use crate::types::validators::Validator;
    use proptest::prelude::*;

    fn key(i: usize) -> PublicKey {
        PublicKey([u8::try_from(i).unwrap(); 32])
    }

    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(i, weight): (usize, &u64)| Validator {
            id: MasternodeId(key(i).0),
            consensus_key: key(i),
            weight: Weight::new(*weight),
            payout: Lock::KeyHash([0; 32]),
        };
        ValidatorSet::new(weights.iter().enumerate().map(member).collect()).unwrap()
    }

    #[test]
    fn the_leaders_are_those_of_the_vectors() {
        for vector in vectors::get("leaders").as_array().unwrap() {
            let numbers = |name: &str| -> Vec<u64> {
                vector[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
            };
            let set = set(&numbers("weights"));
            let beacon = Hash::from_hex(vector["beacon"].as_str().unwrap()).unwrap();
            let height = Height::new(vector["height"].as_u64().unwrap());
            for (view, member) in (0u32..).zip(numbers("views")) {
                let expected = key(usize::try_from(member).unwrap());
                assert_eq!(leader(&beacon, height, View::new(view), &set), expected);
            }
        }
    }

    #[test]
    fn the_seed_is_that_of_the_vector() {
        let vector = vectors::get("vdf_seed");
        let hash = |name: &str| Hash::from_hex(vector[name].as_str().unwrap()).unwrap();
        let opened = vector["opened"].as_u64().unwrap();
        let seed = vdf_seed(&hash("parent_beacon"), &hash("last_opening_block").into(), opened);
        assert_eq!(seed, hash("seed"));
    }

    #[test]
    fn nobody_leads_an_empty_set() {
        let nobody = ValidatorSet::new(Vec::new()).unwrap();
        assert_eq!(leader(&Hash::ZERO, Height::ZERO, View::MAX, &nobody), PublicKey::default());
    }

    proptest! {
        #[test]
        fn every_member_leads_once_before_any_leads_again(
            beacon: [u8; 32],
            height: u64,
            weights in prop::collection::vec(1u64..=1_000, 1..40),
            round in 0u32..1_000_000,
        ) {
            let set = set(&weights);
            let members = u32::try_from(weights.len()).unwrap();
            let mut leaders = Leaders::new(Hash(beacon), Height::new(height), &set);
            let mut led: Vec<PublicKey> =
                (round * members..(round + 1) * members).map(|v| leaders.of(View::new(v))).collect();
            led.sort();
            let all: Vec<PublicKey> = set.members().iter().map(|m| m.consensus_key).collect();
            prop_assert_eq!(led, all);
        }

        #[test]
        fn the_order_of_asking_does_not_matter(views in prop::collection::vec(any::<u32>(), 1..20), near in 0u32..30) {
            let set = set(&[10, 100, 1_000, 10]);
            let mut leaders = Leaders::new(Hash([7; 32]), Height::new(9), &set);
            for view in views.into_iter().chain([near, 0, near + 1, u32::MAX]).map(View::new) {
                prop_assert_eq!(leaders.of(view), leader(&Hash([7; 32]), Height::new(9), view, &set));
            }
        }
    }
}
