//! How a connection went, and what that says about the address that was dialed.

use super::error::LinkError;
use super::hello::HelloError;
use super::message::CloseReason;
use crate::types::link::NodeId;
use std::time::Duration;

/// How a connection went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    /// Who was at the other end, if that was proved.
    pub node: Option<NodeId>,
    /// For how long the link was up; `None` if it never was.
    pub held: Option<Duration>,
    pub reason: LinkError,
}

/// What it says about the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The address is this node's.
    Itself,
    /// There is another link to the node.
    LinkedOtherwise,
    /// A link held.
    Success,
    /// Somebody is there whom this node wants no link to.
    Unwanted,
    /// No link, or none that held.
    Failure,
}

impl Ended {
    /// See [`Outcome`]; a link that held for `steady` was a success.
    pub(super) fn outcome(&self, steady: Duration) -> Outcome {
        use CloseReason::{Duplicate, SameKey, SelfConnection, UnknownProtocol, WrongChain};
        match &self.reason {
            LinkError::Hello(HelloError::SelfConnection) | LinkError::ClosedByPeer(SelfConnection) => Outcome::Itself,
            LinkError::Closed(Duplicate) | LinkError::ClosedByPeer(Duplicate) => Outcome::LinkedOtherwise,
            LinkError::Closed(CloseReason::Fault)
            | LinkError::ClosedByPeer(UnknownProtocol | WrongChain | SameKey)
            | LinkError::Hello(_) => Outcome::Unwanted,
            reason if reason.is_fault() => Outcome::Unwanted,
            _ if self.held.is_some_and(|held| held >= steady) => Outcome::Success,
            _ => Outcome::Failure,
        }
    }
}
