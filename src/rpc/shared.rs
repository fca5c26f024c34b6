//! What every connection needs.

use super::auth::Gate;
use super::context::Context;
use super::dispatch::Dispatcher;
use super::hosts::Hosts;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every connection needs.
pub struct Shared {
    pub(super) context: Arc<Context>,
    pub(super) dispatcher: Dispatcher,
    pub(super) gate: Gate,
    pub(super) hosts: Hosts,
    pub(super) max_request_bytes: usize,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}
