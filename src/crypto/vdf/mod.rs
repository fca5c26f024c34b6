//! Wesolowski's delay function: nobody knows its output before having done all squarings, one after the other, and
//! anybody checks the output in milliseconds.
//!
//! `y = x^(2^T) mod N` for the challenge `x` of a seed, in the group of residues modulo the RSA-2048 challenge
//! number with `v` and `N - v` identified (its factors were destroyed by RSA Laboratories, so nobody knows the
//! group's order and with it a short cut; without the identification `-1` would be a known element of order 2).
//! The proof is `x^floor(2^T / l)` for a prime `l` drawn by hashing `x`, `y` and `T`.
//! Source: B. Wesolowski, "Efficient verifiable delay functions" (2019), sections 3 and 4; `protocol.md` 7.2.

mod evaluation;
mod group;
mod prime;
#[cfg(test)]
mod tests;

pub use evaluation::{Evaluation, Progress};

use crate::types::block::VdfProof;
use crate::types::hash::{Domain, Hash};
use group::Element;

/// Bytes of a residue, big-endian.
pub const POWER_BYTES: usize = 256;

/// Evaluates the function for `seed` with `iterations` squarings, at one go.
pub fn evaluate(seed: &Hash, iterations: u64) -> VdfProof {
    Evaluation::new(seed, iterations).finish()
}

/// Whether `proof` is the output for `seed` after `iterations` squarings, with a proof of it, both canonical.
pub fn verify(seed: &Hash, iterations: u64, proof: &VdfProof) -> bool {
    let Some(witness) = Element::from_canonical(&proof.proof) else {
        return false;
    };
    if Element::from_canonical(&proof.y).is_none() {
        return false;
    }
    let x = Element::challenge(seed);
    let prime = prime::challenge_prime(&x.to_bytes(), &proof.y, iterations);
    let remainder = prime::power_of_two(iterations, &prime);
    witness.pow(prime.as_ref()).times(&x.pow(&remainder)).canonical() == proof.y
}

/// `H("beacon", y)`: the randomness in an output.
pub fn beacon(proof: &VdfProof) -> Hash {
    Domain::BEACON.hash(&proof.y)
}
