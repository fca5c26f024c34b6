//! The only holder of the masternode key, and the guard against signing twice (`protocol.md` 6, 7.4).
//!
//! A request is decided, recorded and remembered in one step ([`Signer::request`]); the shell appends the record to
//! `votes.log` and syncs it; only then does the signature come into being ([`Signer::flushed`]). That is a matter of
//! types: the key signs `Durable` statements, and only the outbox makes one, from what was reported synced.
//!
//! # Order of calls
//! 1. [`Signer::open`] with the content of `votes.log`. Put [`Recovered::rewrite`] in the file's place, or sync the file
//!    if there is none; then [`Signer::flushed`] with [`Recovered::seq`].
//! 2. If the tip's child is in epoch `e > 0`: [`Signer::epoch_closed`]`(e - 1)`.
//! 3. [`Signer::archived`] for every block of the epoch, from the chain: the log does not know what was archived. Before
//!    that a fresh closing block may be refused for lack of what earlier blocks hold.
//! 4. [`Signer::repeat`], [`Signer::request`], in any order; every write that they return goes to the file in the order
//!    in which it was returned. [`Signer::flushed`] after each sync. For each new block [`Signer::archived`], then
//!    [`Signer::epoch_closed`] if it closed an epoch.
//! 5. [`Signer::flush_failed`] if any write or sync fails; only a restart from step 1 helps.
//!
//! What is decided elsewhere: the rule of the clock near an epoch's end, backpressure, and whether a vote's transaction
//! or certificate is any good (`protocol.md` 6). The signer holds a masternode to one word, not to a wise one.

mod durable;
mod key;
mod log;
mod lost;
mod policy;
mod record;
mod request;
#[allow(clippy::module_inception)] // The module's one type that others hold.
mod signer;
#[cfg(test)]
mod tests;

pub use key::LinkProver;
pub use log::recover::{LogReport, SignerError, Tail, inspect, surviving_reach};
pub use lost::{Floor, LostVotes};
pub use policy::BftRecovered;
pub use request::{Appended, Closing, Refusal, Rewritten, Said, SignRequest, SignedMessage, Step};
pub use signer::{LogContents, Recovered, Signer};
