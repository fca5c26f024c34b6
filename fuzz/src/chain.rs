//! The chain of all targets, and a verifier that remembers from one input to the next, as that of a node does.

use std::sync::LazyLock;
use timed::chain::spec::{Chain, ChainSpec};
use timed::ledger::verify::Verifier;
use timed::types::keys::SecretKey;
use timed::types::lock::Lock;

pub static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let key = SecretKey::from_bytes(&[1; 32]).public_key();
    let spec = ChainSpec::dev(1_700_000_000_000, key, Lock::of_key(&key), Vec::new()).unwrap();
    Chain::new(spec).unwrap()
});

pub static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(CHAIN.clone()));
