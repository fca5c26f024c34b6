//! What has to hold for any bytes: one function a target, called by the fuzzer and, for every file of the corpora, by the
//! node's own tests (`tests/fuzz_corpus.rs`).
//!
//! Bytes are taken as they come, without a grammar: the corpora hold valid encodings, and the fuzzer changes those.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // A panic is how a target says that something is wrong.

pub mod address;
pub mod block;
pub mod config;
pub mod frame;
pub mod handshake;
pub mod message;
pub mod rpc;
pub mod transaction;

pub mod chain;
mod codec;

/// A target's name, which is that of its corpus, and what it holds any bytes to.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("address", address::check),
    ("block", block::check),
    ("config", config::check),
    ("frame", frame::check),
    ("handshake", handshake::check),
    ("message", message::check),
    ("rpc", rpc::check),
    ("transaction", transaction::check),
];
