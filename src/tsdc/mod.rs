//! TSDC: agreement of a validator set on one block a height (`protocol.md` 7).
//!
//! # Protocol
//! The Tendermint algorithm (arXiv 1807.04938, Algorithm 1), one [`Tsdc`] a height: the leader of a view proposes a
//! block, everyone *prepares* it (the paper's prevote), a quorum of prepares locks it and lets everyone *precommit* it,
//! and a quorum of precommits at one view is the commit. `state` holds the rules with the paper's line numbers.
//!
//! # Where it differs from the paper
//! - Votes weigh what their voters do; a quorum is two thirds or more of the weight, `f + 1` is a third or more.
//! - A proposal that repeats a valid value carries the prepares that prove it; certificates count whole (line 28), so a
//!   lock known to one node does not depend on votes that others lost.
//! - Lines 36 and 49 take a block from any proposal of it, and line 49 commits before the block is here.
//! - Line 55 skips to the *highest* view at or beyond which a third has voted, and also starts a height that the
//!   local clock has not started yet; so does a proposal that would be prepared here.
//! - The propose timeout binds the leader too, which may have nothing to propose.
//! - Memory is bounded: see `tally` and `proposals`.
//!
//! # Why it is safe
//! Byzantine weight is below a third, so two quorums share an honest masternode. A commit of `b` at view `v` has
//! precommits of a quorum, whose honest part locked `b` at `v`. In a later view they prepare another block only on
//! proof of prepares of a quorum for it at a view `>= v` (line 29); the first such proof would need an honest one of them
//! to have prepared it without one. So no other block is ever prepared by a quorum, let alone committed. This needs that
//! nobody honest signs two values at a step, that a lock is only ever replaced by a newer one, and that both
//! survive a restart: [`TsdcOutput::Sign`] carries the lock to disk before the vote leaves.
//!
//! # Why it is live
//! After messages flow: own votes ([`Tsdc::votes`]), the proposal ([`Tsdc::proposals`]) and what brought a node
//! into its view ([`Tsdc::entry_votes`]) are repeated, so all honest masternodes reach the highest view any of them is
//! in; timeouts grow until one view is long enough; its honest leader proposes the newest valid value with its proof,
//! which every lock gives way to.

mod ballots;
mod engine;
mod evidence;
mod output;
mod proposals;
mod queries;
pub mod slots;
mod state;
mod tally;
mod timeouts;

pub use engine::Tsdc;
pub use output::{Restored, TsdcOutput};
pub use state::{Step, Verdict};

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod testing;
