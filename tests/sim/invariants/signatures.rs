//! Raw Ed25519 under the ZIP-215 rules, each claim checked once.

use ed25519_zebra::{Signature as RawSignature, VerificationKey, VerificationKeyBytes, batch};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashMap;
use timed::types::hash::Hash;
use timed::types::keys::{PublicKey, Signature};

/// "This key signed this digest."
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    /// Who.
    pub key: PublicKey,
    /// What.
    pub digest: Hash,
    /// The proof.
    pub signature: Signature,
}

/// Checks claims and remembers the verdicts.
pub struct Signatures {
    verdicts: HashMap<Claim, bool>,
    // The factors of a batch equation must not be known to who makes the signatures; nobody in a simulation does.
    rng: ChaCha8Rng,
}

impl Signatures {
    /// Nothing checked yet.
    pub fn new() -> Self {
        Self { verdicts: HashMap::new(), rng: ChaCha8Rng::seed_from_u64(0x0ac1e) }
    }

    /// Whether the claim is true.
    pub fn check(&mut self, claim: Claim) -> bool {
        *self.verdicts.entry(claim).or_insert_with(|| verify(&claim))
    }

    /// Checks all `claims`; ask for the verdicts with [`Signatures::check`].
    pub fn check_all(&mut self, claims: &[Claim]) {
        let new: Vec<&Claim> = claims.iter().filter(|claim| !self.verdicts.contains_key(claim)).collect();
        let mut equation = batch::Verifier::new();
        for claim in &new {
            let signature = RawSignature::from_bytes(&claim.signature.0);
            equation.queue((VerificationKeyBytes::from(claim.key.0), signature, &claim.digest.0));
        }
        let all_true = new.len() > 1 && equation.verify(&mut self.rng).is_ok();
        for claim in new {
            self.verdicts.insert(*claim, all_true || verify(claim));
        }
    }

    /// How many different claims were checked.
    pub fn checked(&self) -> usize {
        self.verdicts.len()
    }
}

fn verify(claim: &Claim) -> bool {
    let signature = RawSignature::from_bytes(&claim.signature.0);
    VerificationKey::try_from(claim.key.0).is_ok_and(|key| key.verify(&signature, &claim.digest.0).is_ok())
}
