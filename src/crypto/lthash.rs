//! The hash of a set that can be kept up to date: adding or removing an entry costs the entry, not the set.
//!
//! Invariant: equal sets have equal hashes, in whatever order their entries came and went. The caller keeps it a
//! set: what is removed was added, and nothing is added twice without a removal in between.
//! Source: LtHash (Bellare and Micciancio 1997; Lewi et al., "Securing Update Propagation with Homomorphic
//! Hashing", 2019) with 1,024 lanes of 16 bits, expanded by BLAKE3; `protocol.md` 9.

use crate::types::hash::{Domain, Hash};
use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

const LANES: usize = 1_024;
const BYTES: usize = 2 * LANES;

/// Sum of the expanded entries, lane by lane. Encodes as 2,048 bytes, lanes little-endian.
#[derive(Clone, PartialEq, Eq)]
pub struct LtHash(Box<[u16; LANES]>);

crate::wire!(LtHash, BYTES, 2 * BYTES);

/// The empty set.
impl Default for LtHash {
    fn default() -> Self {
        Self(Box::new([0; LANES]))
    }
}

impl LtHash {
    /// Adds `entry` to the set.
    pub fn add(&mut self, entry: &[u8]) {
        self.each_lane(entry, u16::wrapping_add);
    }

    /// Removes `entry`, which was added before.
    pub fn remove(&mut self, entry: &[u8]) {
        self.each_lane(entry, u16::wrapping_sub);
    }

    /// Adds every entry of `other`, which shares none with this set.
    pub fn add_all(&mut self, other: &Self) {
        for (lane, more) in self.0.iter_mut().zip(other.0.iter()) {
            *lane = lane.wrapping_add(*more);
        }
    }

    /// `H("utxos", lanes)`.
    pub fn hash(&self) -> Hash {
        Domain::UTXOS.hash(&self.to_bytes())
    }

    fn each_lane(&mut self, entry: &[u8], combine: impl Fn(u16, u16) -> u16) {
        let mut expanded = [0; BYTES];
        Domain::STATE_ENTRY.fill(entry, &mut expanded);
        for (lane, bytes) in self.0.iter_mut().zip(expanded.as_chunks::<2>().0) {
            *lane = combine(*lane, u16::from_le_bytes(*bytes));
        }
    }

    fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (out, lane) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(self.0.iter()) {
            *out = lane.to_le_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut hash = Self::default();
        for (lane, bytes) in hash.0.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *lane = u16::from_le_bytes(*bytes);
        }
        hash
    }
}

impl std::fmt::Debug for LtHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LtHash({:?})", self.hash())
    }
}

impl Encode for LtHash {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.to_bytes().encode(encoder)
    }
}

impl<Context> Decode<Context> for LtHash {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(&<[u8; BYTES]>::decode(decoder)?))
    }
}

bincode::impl_borrow_decode!(LtHash);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::{decode, encode};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of<'a>(entries: impl IntoIterator<Item = &'a Vec<u8>>) -> LtHash {
        let mut hash = LtHash::default();
        entries.into_iter().for_each(|entry| hash.add(entry));
        hash
    }

    proptest! {
        #[test]
        fn the_order_of_changes_does_not_matter(
            entries in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..40), 1..20),
            leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let all: Vec<_> = entries.iter().collect();
            let gone: BTreeSet<_> = leaving.iter().map(|i| all[i.index(all.len())]).collect();
            let mut hash = of(all.iter().rev().copied());
            prop_assert_eq!(hash.hash(), of(&entries).hash());
            gone.iter().for_each(|entry| hash.remove(entry));
            prop_assert_eq!(&hash, &of(all.iter().filter(|e| !gone.contains(*e)).copied()));
            all.iter().filter(|e| !gone.contains(*e)).for_each(|entry| hash.remove(entry));
            prop_assert_eq!(hash, LtHash::default());
        }
    }

    #[test]
    fn the_union_of_two_sets_is_the_set_of_both() {
        let mut both = of(&[vec![1], vec![2]]);
        both.add_all(&of(&[vec![3]]));
        assert_eq!(both, of(&[vec![3], vec![2], vec![1]]));
    }

    #[test]
    fn another_entry_gives_another_hash() {
        assert_ne!(of(&[vec![1]]).hash(), of(&[vec![2]]).hash());
        assert_ne!(of(&[vec![1]]).hash(), LtHash::default().hash());
        assert_ne!(of(&[vec![1], vec![2]]).hash(), of(&[vec![1, 2]]).hash());
    }

    #[test]
    fn lanes_are_encoded_little_endian_without_a_length() {
        let mut hash = LtHash::default();
        hash.0[0] = 0x0201;
        hash.0[LANES - 1] = 0xfffe;
        let bytes = encode(&hash);
        assert_eq!(bytes.len(), BYTES);
        assert_eq!((&bytes[..2], &bytes[BYTES - 2..]), (&[1, 2][..], &[0xfe, 0xff][..]));
        assert_eq!(decode::<LtHash>(&bytes), Ok(hash));
        assert!(decode::<LtHash>(&bytes[1..]).is_err());
    }
}
