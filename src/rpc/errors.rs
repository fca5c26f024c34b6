//! Why a call fails, as its caller is told: a code, a text that says what to do, and `data.reason`, which programs can
//! rely on.
//!
//! Here are the failures and their texts, in `codes` their numbers and reasons, in `details` the other fields of `data`.

mod codes;
mod details;

use crate::ledger::Rejection;
use crate::ledger::rules::TxError;
use crate::network::{AddNodeError, TooManyBans};
use crate::node::handle::Stopping;
use crate::storage::store::StoreError;
use crate::types::address::AddressError;
use crate::types::codec::CodecError;
use crate::types::hash::Txid;
use crate::types::number::Height;
use jsonrpsee::types::ErrorObjectOwned;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not JSON.
    #[error("the request is no JSON")]
    Parse,
    /// JSON, but no request.
    #[error("no JSON-RPC 2.0 request: {problem}")]
    InvalidRequest {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No method has this name.
    #[error("there is no method {name}{}", nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    UnknownMethod {
        /// The name asked for.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A subscription over HTTP.
    #[error("{method} sends many answers: call it over a WebSocket, outside a batch")]
    NeedsWebSocket {
        /// The method.
        method: &'static str,
    },
    /// Parameters that are neither an array nor an object.
    #[error("parameters are an array or an object")]
    BadParameters,
    /// A name that no parameter of the method has.
    #[error("{method} has no parameter \"{name}\"; it takes ({known})")]
    UnknownParameter {
        /// The method.
        method: &'static str,
        /// The name given.
        name: String,
        /// The method's parameters.
        known: String,
    },
    /// More parameters than the method has.
    #[error("{method} takes at most {most} parameters ({known}), {given} were given")]
    ExtraParameter {
        /// The method.
        method: &'static str,
        /// How many it has.
        most: usize,
        /// How many were given.
        given: usize,
        /// The method's parameters.
        known: String,
    },
    /// A parameter that has to be there is not.
    #[error("{method} needs the parameter \"{name}\"")]
    MissingParameter {
        /// The method.
        method: &'static str,
        /// The parameter.
        name: &'static str,
    },
    /// A value of another kind.
    #[error("\"{name}\" has to be {expected}")]
    WrongType {
        /// The parameter.
        name: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A value of the right kind that makes no sense.
    #[error("\"{name}\" is out of range: {problem}")]
    OutOfRange {
        /// The parameter.
        name: String,
        /// What is allowed.
        problem: String,
    },
    /// A cursor that no page of this list came with.
    #[error("\"cursor\" is not one that this method gave out")]
    BadCursor,
    /// A block that this node does not keep.
    #[error("block {height} is not kept here, only those from {first} on: ask a node that keeps all")]
    Pruned {
        /// The block asked for, or the one that holds what was asked for.
        height: Height,
        /// The first block that is kept.
        first: Height,
    },
    /// An event that is no longer kept, or not of this node.
    #[error(
        "event {from} cannot be resumed from, the earliest kept is {earliest}: read the state, then subscribe anew"
    )]
    Gone {
        /// What was asked for.
        from: u64,
        /// The earliest one.
        earliest: u64,
    },
    /// No block, transaction or the like has this name.
    #[error("no {what} {id} is known")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// Not an address of this chain.
    #[error("{reason}")]
    BadAddress {
        /// What is wrong.
        reason: AddressError,
    },
    /// Bytes that are not what they should be.
    #[error("\"{name}\" cannot be decoded: {problem}")]
    CannotDecode {
        /// The parameter.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A transaction that is not even valid on its own.
    #[error("{0}")]
    Invalid(TxError),
    /// A transaction that the state refuses.
    #[error("{0}")]
    Rejected(Rejection),
    /// A transaction that a block holds.
    #[error("the transaction {txid} is in the chain already")]
    AlreadyArchived {
        /// The transaction.
        txid: Txid,
    },
    /// There is no node yet.
    #[error("the node is starting: {doing}; try again")]
    Starting {
        /// What it is busy with.
        doing: String,
    },
    /// Blocks are applied so fast that nothing stable can be read.
    #[error("the node is catching up with the chain; try again")]
    Syncing,
    /// The node is on its way down.
    #[error("the node is stopping")]
    Stopping,
    /// It did not happen in time.
    #[error("after {timeout_ms} ms the transaction is {status}")]
    Timeout {
        /// How long was waited.
        timeout_ms: u64,
        /// How far it came.
        status: &'static str,
    },
    /// A subscriber takes less than happens.
    #[error("this subscription is closed: more happened than was taken; resume from {next}")]
    Lagged {
        /// Sequence number of the first item that was not sent.
        next: u64,
    },
    /// The caller may not do this.
    #[error("{what}: authenticate with the cookie in the data directory (HTTP Basic) or with a token")]
    NotPermitted {
        /// What is not allowed.
        what: &'static str,
    },
    /// Too many calls.
    #[error("more than {limit} calls a second from one address; wait a second")]
    RateLimited {
        /// How many are allowed.
        limit: u32,
    },
    /// Too many subscriptions on one connection.
    #[error("more than {limit} subscriptions on one connection")]
    TooManySubscriptions {
        /// How many are allowed.
        limit: u32,
    },
    /// A request with too many bytes.
    #[error("a request has at most {limit} bytes")]
    RequestTooLarge {
        /// How many are allowed.
        limit: usize,
    },
    /// An answer with too many bytes.
    #[error("the answer would have more than {limit} bytes; ask for less")]
    ResponseTooLarge {
        /// How many are allowed.
        limit: usize,
    },
    /// A batch with too many calls.
    #[error("a batch holds at most {limit} calls")]
    BatchTooLarge {
        /// How many are allowed.
        limit: usize,
    },
    /// A wish about another node that cannot be fulfilled.
    #[error("{0}")]
    Peer(PeerProblem),
    /// Something in the node failed.
    #[error("the node failed: {0}")]
    Internal(String),
}

impl Failure {
    /// A parameter whose value is not in range.
    pub fn out_of_range(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::OutOfRange { name: name.into(), problem: problem.into() }
    }

    /// A parameter whose bytes are not what they should be.
    pub fn cannot_decode(name: impl Into<String>, problem: &CodecError) -> Self {
        Self::CannotDecode { name: name.into(), problem: problem.to_string() }
    }

    /// A height past the tip.
    pub fn past_tip(name: &str, tip: Height) -> Self {
        Self::out_of_range(name, format!("the tip is at height {tip}"))
    }
}

impl From<Failure> for ErrorObjectOwned {
    fn from(failure: Failure) -> Self {
        Self::owned(failure.code(), failure.to_string(), Some(failure.data()))
    }
}

/// Why a wish about another node is not fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerProblem {
    /// Of the operator's list of addresses.
    #[error(transparent)]
    Added(AddNodeError),
    /// No link is to it.
    #[error("no link is to this node; get_peer_info names those that are")]
    NotConnected,
    /// It was let in all the time.
    #[error("no ban names this; list_banned names those that hold")]
    NotBanned,
    /// No further ban is taken.
    #[error("{TooManyBans}")]
    TooManyBans,
}

impl From<PeerProblem> for Failure {
    fn from(problem: PeerProblem) -> Self {
        Self::Peer(problem)
    }
}

impl From<AddNodeError> for Failure {
    fn from(error: AddNodeError) -> Self {
        Self::Peer(PeerProblem::Added(error))
    }
}

impl From<Stopping> for Failure {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Pruned { height, first } => Self::Pruned { height, first },
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<AddressError> for Failure {
    fn from(reason: AddressError) -> Self {
        Self::BadAddress { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::number::Amount;
    use crate::types::transaction::OutPoint;
    use serde_json::Value;

    fn outpoint() -> OutPoint {
        OutPoint { txid: Txid([7; 32]), index: 3 }
    }

    #[test]
    fn an_input_spent_by_another_names_it() {
        let spent_by = Some(Txid([9; 32]));
        let failure = Failure::Rejected(Rejection::Conflict { outpoint: outpoint(), spent_by });
        assert_eq!((failure.code(), failure.reason()), (-25, "conflict"));
        assert_eq!(failure.data()["spent_by"], "09".repeat(32));
    }

    #[test]
    fn a_fee_too_low_names_the_least_fee() {
        let rejection = Rejection::FeeTooLow { fee: Amount::new(1), least: Amount::new(25_000) };
        let failure = Failure::Rejected(rejection);
        assert_eq!((failure.code(), failure.reason()), (-26, "fee_too_low"));
        assert_eq!(failure.data()["least"], "25000");
    }

    #[test]
    fn the_reason_stands_in_the_data_of_every_error() {
        let missing = Failure::Rejected(Rejection::NoSuchOutput { outpoint: outpoint() });
        let starting = Failure::Starting { doing: "opening".to_owned() };
        for failure in [
            Failure::Parse,
            Failure::BadCursor,
            Failure::Syncing,
            starting,
            Failure::BatchTooLarge { limit: 5 },
            missing,
        ] {
            let (code, reason) = (failure.code(), failure.reason());
            let error = ErrorObjectOwned::from(failure);
            let data: Value = serde_json::from_str(error.data().unwrap().get()).unwrap();
            assert_eq!((error.code(), data["reason"].as_str()), (code, Some(reason)));
        }
    }
}
