//! The server over real sockets, in front of a real node: a chain of one masternode that elects itself.

mod access;
mod busy;
mod calls;
mod epochs;
mod harness;
mod masternodes;
mod payments;
mod peers;
mod speed;
mod starting;
mod subscriptions;
