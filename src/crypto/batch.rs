//! Verification of Ed25519 signatures under the ZIP-215 rules, one by one and in batches.
//!
//! Invariant: [`verify_all`] answers for each signature what [`verify`] answers for it, and every node answers the
//! same. ZIP-215 makes that possible: the equation is checked times the cofactor 8, points may be encoded
//! non-canonically, `s` may not. Other Ed25519 verifiers disagree among themselves on such inputs, and a
//! disagreement here would split the chain.
//!
//! The coefficients of a batch are drawn from a hash over all of it, so nobody can choose signatures whose errors
//! cancel without the 2^128 tries that forging a signature takes, and the same batch is always judged alike.
//! Source: ZIP-215; "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), section 5.

use crate::limits::MAX_SIGNATURE_BATCH;
use crate::types::hash::Hash;
use crate::types::keys::{PublicKey, Signature};
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rayon::prelude::*;

/// From how many signatures on one equation for all is cheaper than one for each.
const WORTH_A_BATCH: usize = 3;

/// A claim: `key` signed `digest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignatureCheck {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// What is said to be signed.
    pub digest: Hash,
    /// The signature.
    pub signature: Signature,
}

impl SignatureCheck {
    fn item(&self) -> Item {
        Item::from((VerificationKeyBytes::from(self.key.0), self.signature.0.into(), self.digest.as_bytes()))
    }
}

/// Whether the claim is true.
pub fn verify(check: &SignatureCheck) -> bool {
    VerificationKey::try_from(check.key.0)
        .and_then(|key| key.verify(&check.signature.0.into(), check.digest.as_bytes()))
        .is_ok()
}

/// Which of the claims are true, in their order: [`verify`] of each, for a fraction of its cost.
///
/// Many signatures are spread over the threads of the `rayon` pool in which this is called. A false claim costs
/// its batch of at most [`MAX_SIGNATURE_BATCH`] a second look, each signature by itself.
pub fn verify_all(checks: &[SignatureCheck]) -> Vec<bool> {
    let share = checks.len().div_ceil(rayon::current_num_threads().max(1));
    let batch_size = share.clamp(WORTH_A_BATCH, MAX_SIGNATURE_BATCH);
    if checks.len() <= batch_size {
        return verify_batch(checks);
    }
    checks.par_chunks(batch_size).flat_map_iter(verify_batch).collect()
}

fn verify_batch(checks: &[SignatureCheck]) -> Vec<bool> {
    if checks.len() >= WORTH_A_BATCH && all_true(checks) {
        return vec![true; checks.len()];
    }
    checks.iter().map(verify).collect()
}

/// Whether every claim is true, by one equation.
fn all_true(checks: &[SignatureCheck]) -> bool {
    let mut verifier = Verifier::new();
    let mut transcript = blake3::Hasher::new_derive_key("timecoin local batch of signatures");
    for check in checks {
        transcript.update(&check.key.0).update(&check.digest.0).update(&check.signature.0);
        verifier.queue(check.item());
    }
    verifier.verify(ChaCha20Rng::from_seed(*transcript.finalize().as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Domain;
    use crate::types::keys::SecretKey;

    /// `count` true claims, each by its own key.
    fn claims(count: u64) -> Vec<SignatureCheck> {
        let claim = |i: u64| {
            let digest = Domain::BFT_VOTE.hash(&i.to_le_bytes());
            let key = SecretKey::from_bytes(&digest.0);
            SignatureCheck { key: key.public_key(), digest, signature: key.sign(&digest) }
        };
        (0..count).map(claim).collect()
    }

    /// Adds `by` to the scalar of a signature; its lowest byte does not overflow in these tests.
    fn shift_scalar(claim: &mut SignatureCheck, by: i8) {
        claim.signature.0[32] = claim.signature.0[32].checked_add_signed(by).unwrap();
    }

    #[test]
    fn the_false_claims_are_named_wherever_they_stand() {
        let good = claims(2 * MAX_SIGNATURE_BATCH as u64 + 7);
        assert_eq!(verify_all(&good), vec![true; good.len()]);
        for bad in [0, MAX_SIGNATURE_BATCH - 1, MAX_SIGNATURE_BATCH, good.len() - 1] {
            let mut claims = good.clone();
            claims[bad].digest.0[31] ^= 1;
            let verdicts = verify_all(&claims);
            let named: Vec<usize> = (0..claims.len()).filter(|i| !verdicts[*i]).collect();
            assert_eq!(named, [bad]);
        }
    }

    #[test]
    fn errors_that_cancel_in_the_sum_are_found() {
        let mut claims: Vec<_> =
            claims(64).into_iter().filter(|c| (1..255).contains(&c.signature.0[32])).take(4).collect();
        shift_scalar(&mut claims[0], 1);
        shift_scalar(&mut claims[2], -1);
        assert_eq!(verify_all(&claims), [false, true, false, true]);
    }

    #[test]
    fn small_batches_are_judged_like_large_ones() {
        assert_eq!(verify_all(&[]), Vec::<bool>::new());
        for count in 1..=4 {
            let mut claims = claims(count);
            assert_eq!(verify_all(&claims), vec![true; claims.len()]);
            claims[0].key = PublicKey([2; 32]);
            assert!(!verify(&claims[0]));
            let expected: Vec<bool> = claims.iter().map(verify).collect();
            assert_eq!(verify_all(&claims), expected);
        }
    }

    #[test]
    fn one_key_may_sign_many_times() {
        let key = SecretKey::from_bytes(&[5; 32]);
        let claim = |i: u8| {
            let digest = Domain::SIGHASH.hash(&[i]);
            SignatureCheck { key: key.public_key(), digest, signature: key.sign(&digest) }
        };
        let mut claims: Vec<_> = (0..20).map(claim).collect();
        claims[3].digest = claims[4].digest;
        let verdicts = verify_all(&claims);
        assert!(verdicts.iter().enumerate().all(|(i, verdict)| *verdict == (i != 3)));
    }
}
