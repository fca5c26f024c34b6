//! The number and the reason of each failure: what programs rely on.
//!
//! Codes below -32000 are those of JSON-RPC 2.0, small negative ones mean what they mean in Bitcoin Core.

use super::{Failure, PeerProblem};
use crate::ledger::Rejection;
use crate::network::AddNodeError;

impl Failure {
    /// The code of the error.
    pub fn code(&self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest { .. } => -32600,
            Self::UnknownMethod { .. } | Self::NeedsWebSocket { .. } => -32601,
            Self::BadParameters
            | Self::UnknownParameter { .. }
            | Self::ExtraParameter { .. }
            | Self::MissingParameter { .. } => -32602,
            Self::Internal(_) => -32603,
            Self::WrongType { .. } => -3,
            Self::Peer(PeerProblem::Added(AddNodeError::AlreadyAdded)) => -23,
            Self::Peer(PeerProblem::Added(AddNodeError::NotAdded)) => -24,
            Self::Peer(PeerProblem::NotConnected) => -29,
            Self::Peer(PeerProblem::NotBanned) => -30,
            Self::Peer(PeerProblem::TooManyBans | PeerProblem::Added(_)) => -8,
            Self::Unknown { .. } | Self::BadAddress { .. } | Self::Pruned { .. } => -5,
            Self::OutOfRange { .. } | Self::BadCursor | Self::Gone { .. } => -8,
            Self::CannotDecode { .. } => -22,
            Self::Rejected(
                Rejection::Conflict { .. } | Rejection::NoSuchOutput { .. } | Rejection::MissingInput { .. },
            ) => -25,
            Self::Invalid(_) | Self::Rejected(_) => -26,
            Self::AlreadyArchived { .. } => -27,
            Self::Starting { .. } | Self::Syncing | Self::Stopping => -28,
            Self::Timeout { .. } | Self::Lagged { .. } => -32001,
            Self::NotPermitted { .. } => -32003,
            Self::RateLimited { .. } => -32005,
            Self::TooManySubscriptions { .. } => -32006,
            Self::RequestTooLarge { .. } => -32007,
            Self::ResponseTooLarge { .. } => -32008,
            Self::BatchTooLarge { .. } => -32010,
        }
    }

    /// `data.reason`: stays the same in later versions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Parse => "parse_error",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::UnknownMethod { .. } => "unknown_method",
            Self::NeedsWebSocket { .. } => "needs_websocket",
            Self::BadParameters => "bad_parameters",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::ExtraParameter { .. } => "extra_parameter",
            Self::MissingParameter { .. } => "missing_parameter",
            Self::WrongType { .. } => "wrong_type",
            Self::OutOfRange { .. } => "out_of_range",
            Self::BadCursor => "bad_cursor",
            Self::Pruned { .. } => "pruned",
            Self::Gone { .. } => "gone",
            Self::Unknown { what: "block", .. } => "unknown_block",
            Self::Unknown { what: "transaction", .. } => "unknown_transaction",
            Self::Unknown { what: "masternode", .. } => "unknown_masternode",
            Self::Unknown { .. } => "unknown",
            Self::BadAddress { .. } => "bad_address",
            Self::CannotDecode { .. } => "cannot_decode",
            Self::Invalid(error) => error.reason(),
            Self::Rejected(rejection) => rejection.reason(),
            Self::AlreadyArchived { .. } => "already_archived",
            Self::Starting { .. } => "starting",
            Self::Syncing => "syncing",
            Self::Stopping => "stopping",
            Self::Timeout { .. } => "timeout",
            Self::Lagged { .. } => "lagged",
            Self::NotPermitted { .. } => "not_permitted",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooManySubscriptions { .. } => "too_many_subscriptions",
            Self::RequestTooLarge { .. } => "request_too_large",
            Self::ResponseTooLarge { .. } => "response_too_large",
            Self::BatchTooLarge { .. } => "batch_too_large",
            Self::Peer(PeerProblem::Added(AddNodeError::AlreadyAdded)) => "already_added",
            Self::Peer(PeerProblem::Added(AddNodeError::NotAdded)) => "not_added",
            Self::Peer(PeerProblem::Added(AddNodeError::TooMany)) => "too_many_added",
            Self::Peer(PeerProblem::Added(AddNodeError::Busy)) => "busy",
            Self::Peer(PeerProblem::NotConnected) => "not_connected",
            Self::Peer(PeerProblem::NotBanned) => "not_banned",
            Self::Peer(PeerProblem::TooManyBans) => "too_many_bans",
            Self::Internal(_) => "internal",
        }
    }
}
