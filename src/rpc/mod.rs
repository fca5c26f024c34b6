//! JSON-RPC 2.0 over HTTP and WebSockets, on one port. `docs/rpc.md` is its public description.
//!
//! ```text
//! socket ─ server ─┬─ http ──────┐                      ┌─ chain, transactions, addresses, ..   read view and store
//!                  └─ websocket ─┴─ dispatch ── api ────┼─ submit                               through the verify stage
//!                     hosts, auth   rate, methods       └─ subscribe                            read the feed
//! ```
//!
//! # What holds
//! - **Nothing is told as final that is not on disk**: from `certified` on, a status comes from the node's view or its
//!   store. What only the replica knows is asked of it and told as what it is.
//! - **View before store** (`lookup`): what goes from the view is in the store by then.
//! - **One table** ([`methods`]) says what there is, with which parameters, for whom. Calls in a batch take the way of
//!   calls alone.
//! - **Bounded**: connections, bytes of a request and of an answer, calls of a batch and of a WebSocket, reads of the store
//!   at a time, subscriptions, what waits for a subscriber, bytes of answers that wait for all clients together. A slow
//!   client waits, or is cut off.
//!
//! The transports are here and not jsonrpsee's own, which starts a task for every message of a WebSocket without bound and
//! answers some errors without `data`; jsonrpsee keeps the methods, subscriptions, and the types of the wire.

mod addresses;
mod answer;
mod api;
mod auth;
mod batch;
mod chain;
mod coins;
mod context;
mod control;
mod convert;
mod cursor;
mod dispatch;
mod epochs;
mod errors;
mod finality;
mod health;
mod history;
mod hosts;
mod http;
mod listen;
mod lookup;
mod masternodes;
mod mempool;
pub mod methods;
mod network;
mod params;
mod participation;
mod peers;
mod progress;
mod proofs;
mod rate;
mod register;
mod server;
mod shared;
mod stall;
mod start_error;
mod starting;
mod submit;
mod subscribe;
#[cfg(test)]
mod tests;
mod transactions;
pub mod types;
mod unsent;
mod websocket;

pub use auth::{AuthError, COOKIE_FILE, COOKIE_USER};
pub use cursor::Cursor;
pub use errors::Failure;
pub use params::{Arguments, BlockName};
pub use proofs::{GivenProof, read_proof};
pub use server::Server;
pub use start_error::StartError;
pub use starting::Starting;
pub use submit::read_unsigned;
