//! What every connection needs, and what each has of its own.

use super::auth::Gate;
use super::context::Context;
use super::dispatch::Dispatcher;
use super::hosts::Hosts;
use super::unsent::{Backlog, Unsent};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every connection needs.
pub struct Shared {
    pub(super) context: Arc<Context>,
    pub(super) dispatcher: Dispatcher,
    pub(super) gate: Gate,
    pub(super) hosts: Hosts,
    pub(super) max_request_bytes: usize,
    pub(super) unsent: Arc<Unsent>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// A connection, whatever is spoken over it.
pub struct Connection {
    /// Answers that wait for its client.
    pub(super) backlog: Arc<Backlog>,
    /// Its place among all connections.
    pub(super) _place: OwnedSemaphorePermit,
}
