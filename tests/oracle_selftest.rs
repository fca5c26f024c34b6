//! The oracle of the simulator on trial: a clean history leaves it silent, and for each invariant a history that breaks
//! it, and as little else as possible, makes it fire.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "oracle_selftest/history.rs"]
mod history;
#[path = "sim/invariants/mod.rs"]
mod invariants;
#[path = "sim/oracle.rs"]
mod oracle;

#[path = "oracle_selftest/blocks.rs"]
mod blocks;
#[path = "oracle_selftest/members.rs"]
mod members;
#[path = "oracle_selftest/nodes.rs"]
mod nodes;
#[path = "oracle_selftest/payments.rs"]
mod payments;
#[path = "oracle_selftest/vectors.rs"]
mod vectors;
