//! Snowball: masternodes ask random samples of one another until they agree which payments to support
//! (`protocol.md` 5; Rocket et al., "Scalable and Probabilistic Leaderless BFT Consensus through Metastability",
//! 2019, sections 2.4 and 2.5).
//!
//! Safety never rests on it: it decides for which of several rivals a masternode votes, and the votes decide. So what
//! an answer says binds nobody, and a sample that lies or is silent delays an honest payment but does not stop it.
//!
//! [`Snowball`] is a state machine without IO: transactions, answers, liveness and time come in, questions and
//! acceptances go out through [`Snowball::drain`]. The same seed and inputs give the same outputs.
//!
//! Beyond the text, for cost only: after a poll that was answered but not won, a transaction is polled once at a
//! time and waits longer with each further loss (`params`); polls of one transaction that start together ask a
//! common member once; at most [`MAX_POLLED_TXIDS`](crate::limits::MAX_POLLED_TXIDS) transactions are polled at a
//! time. What was accepted is not polled any more, nor are its rivals: its vote is out and cannot be taken back.

mod conflict;
mod engine;
mod outpoint;
mod params;
mod poll;
mod query;
mod rounds;
mod sample;
#[cfg(test)]
mod tests;
mod timeouts;

pub use engine::{SamplingStatus, Snowball, SnowballOutput};
pub use poll::Answer;
