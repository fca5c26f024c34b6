//! What the protocol speaks of, and its bytes. No rule that needs state is here.

pub mod address;
pub mod bft_vote;
pub mod block;
pub mod codec;
pub mod evidence;
pub mod hash;
pub mod hex;
pub mod id_map;
pub mod keys;
pub mod link;
pub mod lock;
pub mod merkle;
pub mod number;
pub mod presence;
pub mod transaction;
pub mod validators;
pub mod verified;
pub mod vote;
