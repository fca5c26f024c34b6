//! What costs computing time: signatures in batches, the hash of the set of unspent outputs, the delay function.
//!
//! All of it is a function of its arguments: no clock, no randomness from outside, no state kept.

pub mod batch;
pub mod lthash;
pub mod vdf;
