use super::*;
use crate::types::hex;
use proptest::prelude::*;

const SEED: Hash = Hash([3; 32]);

/// The modulus, big-endian.
fn modulus() -> [u8; 256] {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/protocol.json")).unwrap();
    let smaller = hex::decode_array::<256>(vectors["vdf"][3]["y"].as_str().unwrap()).unwrap();
    let larger = hex::decode_array::<256>(vectors["vdf_bad"][0]["y"].as_str().unwrap()).unwrap();
    add(&smaller, &larger)
}

fn add(a: &[u8; 256], b: &[u8; 256]) -> [u8; 256] {
    let mut carry = 0;
    let mut sum = [0; 256];
    for i in (0..256).rev() {
        let digit = u16::from(a[i]) + u16::from(b[i]) + carry;
        (sum[i], carry) = (digit as u8, digit >> 8);
    }
    assert_eq!(carry, 0);
    sum
}

fn subtract(a: &[u8; 256], b: &[u8; 256]) -> [u8; 256] {
    let mut borrow = 0;
    let mut difference = [0; 256];
    for i in (0..256).rev() {
        let digit = i16::from(a[i]) - i16::from(b[i]) - borrow;
        (difference[i], borrow) = (digit.rem_euclid(256) as u8, i16::from(digit < 0));
    }
    assert_eq!(borrow, 0);
    difference
}

fn number(value: u8) -> [u8; 256] {
    let mut bytes = [0; 256];
    bytes[255] = value;
    bytes
}

#[test]
fn input_and_prime_are_those_of_the_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/protocol.json")).unwrap();
    for vector in vectors["vdf"].as_array().unwrap() {
        let text = |key: &str| vector[key].as_str().unwrap();
        let x = Element::challenge(&Hash::from_hex(text("seed")).unwrap()).to_bytes();
        assert_eq!(hex::encode(&x), text("input"));
        let y = hex::decode_array(text("y")).unwrap();
        let prime = prime::challenge_prime(&x, &y, vector["iterations"].as_u64().unwrap());
        assert_eq!(hex::encode(&<[u8; 32]>::from(prime.to_be_bytes())), text("prime"));
    }
}

#[test]
fn an_output_belongs_to_its_seed_and_its_iterations() {
    let proof = evaluate(&SEED, 1_000);
    assert!(verify(&SEED, 1_000, &proof));
    assert!(!verify(&SEED, 999, &proof));
    assert!(!verify(&SEED, 1_001, &proof));
    assert!(!verify(&Hash([4; 32]), 1_000, &proof));
}

#[test]
fn only_the_smaller_representative_is_accepted() {
    let (n, proof) = (modulus(), evaluate(&SEED, 1_000));
    let other = |value: &[u8; 256]| subtract(&n, value);
    assert!(!verify(&SEED, 1_000, &VdfProof { y: other(&proof.y), ..proof.clone() }));
    assert!(!verify(&SEED, 1_000, &VdfProof { proof: other(&proof.proof), ..proof.clone() }));
    // Below 256 iterations the proof is 1, so that 1 + N fits 2,048 bits.
    let short = evaluate(&SEED, 100);
    assert_eq!(short.proof, number(1));
    assert!(verify(&SEED, 100, &short));
    assert!(!verify(&SEED, 100, &VdfProof { proof: add(&n, &number(1)), ..short }));
}

#[test]
fn zero_is_never_an_output_or_a_proof() {
    let proof = evaluate(&SEED, 1_000);
    for zero in [number(0), modulus()] {
        assert!(!verify(&SEED, 1_000, &VdfProof { y: zero, ..proof.clone() }));
        assert!(!verify(&SEED, 1_000, &VdfProof { proof: zero, ..proof.clone() }));
        assert!(!verify(&SEED, 1_000, &VdfProof { y: zero, proof: zero }));
    }
}

#[test]
fn progress_grows_to_its_end_and_work_past_it_changes_nothing() {
    let mut evaluation = Evaluation::new(&SEED, 3_000);
    let mut last = evaluation.progress();
    assert_eq!(last.done, 0);
    while !evaluation.is_done() {
        let now = evaluation.advance(257);
        assert!(now.done > last.done && now.done <= now.total && now.total == last.total, "{now:?} after {last:?}");
        last = now;
    }
    assert_eq!(last.done, last.total);
    assert_eq!(evaluation.advance(u64::MAX), last);
    assert_eq!(evaluation.finish(), evaluate(&SEED, 3_000));
}

#[test]
fn no_time_is_spent_on_iterations_nobody_can_do() {
    let mut evaluation = Evaluation::new(&SEED, u64::MAX / 2);
    assert_eq!(evaluation.advance(1_000).done, 1_000);
    assert!(!evaluation.is_done());
    assert!(!verify(&SEED, u64::MAX, &evaluate(&SEED, 10)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_evaluation_can_be_paused_anywhere(
        seed in any::<[u8; 32]>(),
        iterations in 0u64..1_500,
        steps in prop::collection::vec(0u64..400, 0..12),
    ) {
        let seed = Hash(seed);
        let mut evaluation = Evaluation::new(&seed, iterations);
        for step in steps {
            evaluation.advance(step);
        }
        let proof = evaluation.finish();
        prop_assert_eq!(&proof, &evaluate(&seed, iterations));
        prop_assert!(verify(&seed, iterations, &proof));
    }

    #[test]
    fn a_changed_bit_is_noticed(bit in 0usize..4_096) {
        let mut proof = evaluate(&SEED, 300);
        let bytes = if bit < 2_048 { &mut proof.y } else { &mut proof.proof };
        bytes[bit % 2_048 / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify(&SEED, 300, &proof));
    }
}
