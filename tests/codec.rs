//! Bytes from outside: a value has one encoding, whatever decodes was encoded so, nothing panics, and no length
//! makes the decoder allocate more than its type may take.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "codec/arbitrary.rs"]
mod arbitrary;
#[path = "codec/bounds.rs"]
mod bounds;

use proptest::prelude::*;
use proptest::sample::Index;
use std::fmt::Debug;
use timed::types::block::{BftVote, Block, Commit, Header, Proposal};
use timed::types::codec::{CodecError, Wire, decode, encode, encoded_size};
use timed::types::evidence::Evidence;
use timed::types::transaction::{Transaction, TxBody};
use timed::types::vote::{FinalityProof, VoteBatch, VotePart};

/// A fault in transit.
#[derive(Clone, Debug)]
enum Fault {
    Replace(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Truncate(Index),
    Append(Vec<u8>),
    /// Writes a length or number in a longer form than it needs, or a huge one.
    Varint(Index, u8),
}

fn fault() -> impl Strategy<Value = Fault> {
    let at = any::<Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..9);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, byte)| Fault::Replace(i, byte)),
        (at(), 0u8..8).prop_map(|(i, bit)| Fault::Flip(i, bit)),
        (at(), bytes()).prop_map(|(i, bytes)| Fault::Insert(i, bytes)),
        (at(), 1usize..40).prop_map(|(i, count)| Fault::Remove(i, count)),
        at().prop_map(Fault::Truncate),
        bytes().prop_map(Fault::Append),
        (at(), 251u8..=255).prop_map(|(i, marker)| Fault::Varint(i, marker)),
    ]
}

impl Fault {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Replace(i, byte) => bytes[i.index(length)] = *byte,
            Self::Flip(i, bit) => bytes[i.index(length)] ^= 1 << bit,
            Self::Insert(i, new) => drop(bytes.splice(i.index(length)..i.index(length), new.iter().copied())),
            Self::Remove(i, count) => drop(bytes.drain(i.index(length)..length.min(i.index(length) + count))),
            Self::Truncate(i) => bytes.truncate(i.index(length)),
            Self::Append(new) => bytes.extend(new),
            Self::Varint(i, marker) => {
                let at = i.index(length);
                let form = [*marker, bytes[at], 0, 0, 0, 0, 0, 0, 0];
                let width = [3, 5, 9, 9, 1][usize::from(marker - 251)];
                drop(bytes.splice(at..=at, form[..width].iter().copied()));
            }
        }
    }
}

/// `decode(encode(x)) = x`, in as many bytes as `encoded_size` says.
fn survives<T: Wire + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = encode(value);
    prop_assert_eq!(encoded_size(value), bytes.len());
    prop_assert!(bytes.len() <= T::MAX_BYTES);
    let decoded = decode::<T>(&bytes);
    prop_assert_eq!(decoded.as_ref(), Ok(value));
    Ok(())
}

/// Whatever decodes encodes to the very bytes it was read from; the rest is refused without a panic.
fn has_one_encoding<T: Wire + Debug>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decode::<T>(bytes) {
        prop_assert_eq!(encode(&value), bytes);
    }
    Ok(())
}

/// As [`has_one_encoding`] for a value that was damaged on its way; what is cut off or left over is refused.
fn stands_damage<T: Wire + Debug>(value: &T, faults: &[Fault]) -> Result<(), TestCaseError> {
    let whole = encode(value);
    let mut bytes = whole.clone();
    for fault in faults {
        fault.apply(&mut bytes);
        has_one_encoding::<T>(&bytes)?;
    }
    prop_assert!(decode::<T>(&whole[..whole.len() - 1]).is_err());
    let longer = [whole.as_slice(), &[0]].concat();
    prop_assert_eq!(decode::<T>(&longer).err(), Some(CodecError::TrailingBytes(1)));
    Ok(())
}

macro_rules! tests_of_types {
    ($($test:ident: $type:ty = $values:expr;)*) => {
        $(mod $test {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(512))]

                #[test]
                fn decodes_to_what_was_encoded(value in $values) {
                    survives::<$type>(&value)?;
                }

                #[test]
                fn has_one_encoding_when_damaged(value in $values, faults in prop::collection::vec(fault(), 1..6)) {
                    stands_damage::<$type>(&value, &faults)?;
                }

                #[test]
                fn has_one_encoding_for_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
                    has_one_encoding::<$type>(&bytes)?;
                }
            }
        })*
    };
}

tests_of_types! {
    transaction: Transaction = arbitrary::transaction();
    body: TxBody = arbitrary::body();
    block: Block = arbitrary::block();
    header: Header = arbitrary::header();
    commit: Commit = arbitrary::commit();
    bft_vote: BftVote = arbitrary::bft_vote();
    proposal: Proposal = arbitrary::proposal();
    vote_batch: VoteBatch = arbitrary::vote_batch();
    vote_part: VotePart = arbitrary::vote_part();
    finality_proof: FinalityProof = arbitrary::finality_proof();
    evidence: Evidence = arbitrary::evidence();
}
