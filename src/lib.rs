//! The full node of TIME Coin.
//!
//! Modules form layers, and imports go one way (`tests/layers.rs` holds them to it):
//! `types < crypto < chain < ledger < snowball, finality, tsdc, signer < replica < storage < network < node < rpc < cli`.
//! Everything up to `replica` is a state machine without IO: time, randomness and what the disk acknowledged
//! arrive as inputs, what is to be done leaves as commands.

#![cfg_attr(test, allow(clippy::cloned_ref_to_slice_refs))] // A test reads better with `[tx.clone()]`.

pub mod chain;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod finality;
pub mod keyfile;
pub mod ledger;
pub mod limits;
pub mod load;
pub mod network;
pub mod node;
pub mod replica;
pub mod rpc;
pub mod signer;
pub mod snowball;
pub mod storage;
pub mod tsdc;
pub mod types;
pub mod wallet;
