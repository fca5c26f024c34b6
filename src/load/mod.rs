//! The parts of the load generator that need no node: what is to be signed and when it is due, how coins are split,
//! what came of it. The command line drives them against running nodes.

pub mod blocks;
pub mod book;
pub mod coins;
pub mod latency;
pub mod payments;
pub mod reads;
pub mod report;
pub mod schedule;
