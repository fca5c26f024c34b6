//! ZIP-215: which Ed25519 signatures are valid, in the cases where verifiers disagree among themselves.
//!
//! Source: ZIP-215 with its 196 published cases (every encoding of a point of small order as key and as `R`, `s` = 0);
//! "Taming the many EdDSAs" (2020), table 5.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use timed::crypto::batch::{SignatureCheck, verify, verify_all};
use timed::types::hash::{Domain, Hash};
use timed::types::hex;
use timed::types::keys::{PublicKey, SecretKey, Signature};

/// The eight points whose order divides eight, then the six other encodings of `y` or of the sign that ZIP-215 lets
/// pass for some of them.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// The order of the base point, little-endian.
const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn small_order(index: usize) -> [u8; 32] {
    hex::decode_array(SMALL_ORDER[index]).unwrap()
}

fn signature(r: [u8; 32], s: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    Signature(bytes)
}

/// One of the 196 published cases.
fn published(key: usize, r: usize, digest: Hash) -> SignatureCheck {
    SignatureCheck { key: PublicKey(small_order(key)), digest, signature: signature(small_order(r), [0; 32]) }
}

/// A true claim.
fn signed(seed: u8, message: u8) -> SignatureCheck {
    let key = SecretKey::from_bytes(&[seed; 32]);
    let digest = Domain::SIGHASH.hash(&[message]);
    SignatureCheck { key: key.public_key(), digest, signature: key.sign(&digest) }
}

/// Replaces `s` by `s` + the order of the base point.
fn with_larger_scalar(check: SignatureCheck) -> SignatureCheck {
    let order: [u8; 32] = hex::decode_array(GROUP_ORDER).unwrap();
    let mut larger = check;
    let mut carry = 0;
    for (digit, order) in larger.signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        (*digit, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    larger
}

#[test]
fn the_196_published_cases_are_valid_alone_and_in_a_batch() {
    let digest = Domain::SIGHASH.hash(b"Zcash");
    let cases: Vec<_> = (0..14).flat_map(|key| (0..14).map(move |r| published(key, r, digest))).collect();
    assert_eq!(cases.len(), 196);
    for case in &cases {
        assert!(verify(case), "{case:?}");
    }
    assert_eq!(verify_all(&cases), vec![true; 196]);
    // A batch of none but small order points does not hide what an honest signature in it says.
    let mixed: Vec<_> = cases.iter().copied().chain([signed(1, 1)]).collect();
    assert_eq!(verify_all(&mixed), vec![true; 197]);
}

#[test]
fn the_published_encodings_are_fourteen_different_ones() {
    let distinct: std::collections::BTreeSet<_> = SMALL_ORDER.iter().collect();
    assert_eq!(distinct.len(), 14);
}

#[test]
fn a_scalar_that_is_not_reduced_is_refused() {
    for seed in 1..=4 {
        let honest = signed(seed, 0);
        let larger = with_larger_scalar(honest);
        assert!(verify(&honest) && !verify(&larger));
        assert_eq!(verify_all(&[honest, larger, honest, honest]), [true, false, true, true]);
    }
    let order = hex::decode_array(GROUP_ORDER).unwrap();
    let zero_as_order =
        SignatureCheck { signature: signature(small_order(0), order), ..published(0, 0, Hash([1; 32])) };
    assert!(!verify(&zero_as_order));
    assert_eq!(verify_all(&[zero_as_order; 3]), [false; 3]);
}

#[test]
fn bytes_that_are_no_point_are_refused_as_key_and_as_r() {
    // y = 2 is on no point of the curve.
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let honest = signed(1, 1);
    let as_key = SignatureCheck { key: PublicKey(no_point), ..honest };
    let as_r = SignatureCheck { signature: signature(no_point, [0; 32]), ..published(0, 0, honest.digest) };
    assert!(!verify(&as_key) && !verify(&as_r));
    assert_eq!(verify_all(&[honest, as_key, as_r, honest]), [true, false, false, true]);
}

#[test]
fn a_key_of_small_order_does_not_sign_for_another_key() {
    let honest = signed(7, 7);
    for index in 0..14 {
        assert!(!verify(&SignatureCheck { key: PublicKey(small_order(index)), ..honest }));
    }
}

/// What may be done to a claim.
#[derive(Clone, Debug)]
enum Change {
    None,
    KeyBit(usize),
    DigestBit(usize),
    SignatureBit(usize),
    LargerScalar,
    SmallOrder(usize, usize),
    Random([u8; 32], [u8; 32], [u8; 32]),
}

impl Change {
    fn apply(&self, mut check: SignatureCheck) -> SignatureCheck {
        match *self {
            Self::None => {}
            Self::KeyBit(bit) => check.key.0[bit / 8] ^= 1 << (bit % 8),
            Self::DigestBit(bit) => check.digest.0[bit / 8] ^= 1 << (bit % 8),
            Self::SignatureBit(bit) => check.signature.0[bit / 8] ^= 1 << (bit % 8),
            Self::LargerScalar => check = with_larger_scalar(check),
            Self::SmallOrder(key, r) => check = published(key, r, check.digest),
            Self::Random(key, r, s) => {
                check.key = PublicKey(key);
                check.signature = signature(r, s);
            }
        }
        check
    }

    fn keeps_it_valid(&self) -> bool {
        matches!(self, Self::None | Self::SmallOrder(..))
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => Just(Change::None),
        1 => (0usize..256).prop_map(Change::KeyBit),
        1 => (0usize..256).prop_map(Change::DigestBit),
        2 => (0usize..512).prop_map(Change::SignatureBit),
        1 => Just(Change::LargerScalar),
        2 => (0usize..14, 0usize..14).prop_map(|(key, r)| Change::SmallOrder(key, r)),
        1 => any::<([u8; 32], [u8; 32], [u8; 32])>().prop_map(|(key, r, s)| Change::Random(key, r, s)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_batch_judges_as_each_signature_by_itself(
        claims in prop::collection::vec((0u8..6, any::<u8>(), change()), 0..24),
    ) {
        let checks: Vec<_> = claims.iter().map(|(seed, message, change)| change.apply(signed(*seed, *message))).collect();
        let single: Vec<bool> = checks.iter().map(verify).collect();
        prop_assert_eq!(&verify_all(&checks), &single);
        let expected: Vec<bool> = claims.iter().map(|(_, _, change)| change.keeps_it_valid()).collect();
        prop_assert_eq!(single, expected);
    }
}
