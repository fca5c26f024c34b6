//! The node: threads, files, sockets and clocks around the replica. Nothing here decides a rule of the protocol.
//!
//! ```text
//! links ──▶ verify stage ──▶ inbox ──▶ replica's thread ──▶ links
//! RPC   ──▶      │                        │      │     └──▶ view, feed ──▶ RPC
//!                ▼                        ▼      ▼
//!          faults end links            beacon  disk: journal, votes.log, signer ──▶ inbox
//!                                                └──▶ store ──▶ inbox
//! ```

pub mod beacon;
pub mod check;
pub mod clock;
pub mod clock_watch;
pub mod core;
pub mod disk;
pub mod feed;
pub mod handle;
pub mod history;
pub mod input;
mod join;
mod keeper;
pub mod lanes;
pub mod masternode_links;
pub mod options;
pub mod run;
pub mod signing;
pub mod startup;
pub mod verify;
pub mod view;
pub mod votes;

pub use handle::{NodeHandle, Stopping};
pub use options::{NodeOptions, StartError};
pub use run::Node;
pub use startup::Startup;
pub use votes::{LostVotesWord, fresh_votes_log};
