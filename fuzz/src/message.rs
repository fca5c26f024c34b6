//! What travels in frames, through decoding and verification.

use super::chain::VERIFIER;
use super::codec::accepted;
use std::sync::Arc;
use timed::network::Wire;
use timed::replica::message::{verify, verify_all};

/// The bytes are the body of a frame.
pub fn check(data: &[u8]) {
    let Some(Wire::Replica(message)) = accepted::<Wire>(data) else { return };
    let message = Arc::unwrap_or_clone(message);
    let alone = format!("{:?}", verify(&VERIFIER, message.clone()));
    // Twice: what was verified before is judged as what was not.
    let together = verify_all(&VERIFIER, vec![message.clone(), message]);
    assert!(together.iter().all(|verdict| format!("{verdict:?}") == alone), "{alone}\n{together:?}");
}
