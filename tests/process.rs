//! Nodes as a user starts them: real processes, TCP, sled, JSON-RPC.
//!
//! `cargo test --release --test process` runs a few crashes; `KILL_CYCLES=100 cargo test --release --test process
//! kill_cycles -- --ignored --nocapture` runs 100 and prints what was acknowledged, lost, signed twice.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::float_arithmetic)]

#[path = "process/cluster.rs"]
mod cluster;
#[path = "process/floods.rs"]
mod floods;
#[path = "process/grown.rs"]
mod grown;
#[path = "process/intruder.rs"]
mod intruder;
#[path = "process/machines.rs"]
mod machines;
#[path = "process/offences.rs"]
mod offences;
#[path = "process/payer.rs"]
mod payer;
#[path = "python/mod.rs"]
mod python;
#[path = "process/rpc.rs"]
mod rpc;
#[path = "process/tmpfs.rs"]
mod tmpfs;
#[path = "process/traffic.rs"]
mod traffic;
#[path = "seeded_bugs/tree.rs"]
mod tree;
#[path = "process/watch.rs"]
mod watch;
#[path = "process/wire.rs"]
mod wire;

#[path = "process/banned.rs"]
mod banned;
#[path = "process/catch_up.rs"]
mod catch_up;
#[path = "process/cheater.rs"]
mod cheater;
#[path = "process/clients.rs"]
mod clients;
#[path = "process/crashes.rs"]
mod crashes;
#[path = "process/db.rs"]
mod db;
#[path = "process/far_apart.rs"]
mod far_apart;
#[path = "process/full_disk.rs"]
mod full_disk;
#[path = "process/hostile.rs"]
mod hostile;
#[path = "process/joiner.rs"]
mod joiner;
#[path = "process/liar.rs"]
mod liar;
#[path = "process/life.rs"]
mod life;
#[path = "process/light.rs"]
mod light;
#[path = "process/lost_votes.rs"]
mod lost_votes;
#[path = "process/membership.rs"]
mod membership;
#[path = "process/partitions.rs"]
mod partitions;
#[path = "process/punished.rs"]
mod punished;
#[path = "process/snapshots.rs"]
mod snapshots;
#[path = "process/states.rs"]
mod states;
#[path = "process/twice.rs"]
mod twice;
