//! Which transactions are valid, what a block does to the state, and which payments wait for one
//! (`protocol.md` 3, 6, 7.3, 8, 9).

mod archived;
pub mod engine;
pub mod execute;
mod judge;
mod orphans;
pub mod payload;
pub mod pool;
mod rejected;
pub mod rejection;
pub mod rules;
pub mod snapshot;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod utxo;
mod value;
pub mod verify;
mod witness;

pub use engine::{Committed, Ledger, NotTheNextBlock, OutPointState, Submission};
pub use pool::{PoolEntry, PoolLimits, Stage};
pub use rejection::Rejection;

use crate::types::transaction::HashedTx;
use crate::types::verified::Verified;
use std::sync::Arc;

/// A transaction that is valid on its own, with every signature checked; shared, never copied.
pub type VerifiedTx = Arc<Verified<HashedTx>>;
