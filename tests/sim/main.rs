//! The deterministic simulator: the production replica, signer and journal in a world of delay, loss, crashes, broken
//! disks, wrong clocks and Byzantine masternodes, judged by an oracle that shares no predicate with them.
//!
//! `cargo test --release --test sim` runs a few hundred seeds and every named scenario;
//! `cargo test --release --test sim -- --ignored` runs 10,000 seeds; `SIM_FIRST_SEED` and `SIM_SEEDS` choose others,
//! `SIM_STOP_AT_FIRST=1` ends a run with the first that fails.
//! `SIM_SEED=7 cargo test --release --test sim one_seed -- --nocapture` replays one with a trace, `SIM_SPARSE_SEED=7` and
//! `one_sparse_seed` one of those in which masternodes are not all linked, `SIM_MEMBER_SEED=7` and `one_membership_seed` one of
//! those in which they come and go.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod byzantine;
mod control;
mod copies;
mod disk;
mod faults;
mod invariants;
mod joining;
mod judge;
mod load;
mod membership;
mod network;
mod node;
mod oracle;
mod report;
mod rng;
mod scenarios;
mod seeds;
mod slow_beacon;
mod sparse;
mod syncing;
mod trace;
mod traffic;
mod world;
