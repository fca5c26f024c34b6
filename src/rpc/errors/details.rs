//! `data` of an error: the reason, and what else a program may want to know.

use super::Failure;
use crate::ledger::Rejection;
use crate::types::transaction::OutPoint;
use serde_json::{Map, Value, json};

impl Failure {
    /// The fields of the error that a program may want.
    fn details(&self) -> Value {
        match self {
            Self::UnknownMethod { name, nearest } => json!({ "method": name, "nearest": nearest }),
            Self::NeedsWebSocket { method } => json!({ "method": method }),
            Self::UnknownParameter { name, .. } => json!({ "parameter": name }),
            Self::ExtraParameter { most, given, .. } => json!({ "most": most, "given": given }),
            Self::MissingParameter { name, .. } => json!({ "parameter": name }),
            Self::WrongType { name, expected } => json!({ "parameter": name, "expected": expected }),
            Self::OutOfRange { name, .. } => json!({ "parameter": name }),
            Self::Pruned { height, first } => json!({ "height": height.get(), "first": first.get() }),
            Self::Gone { from, earliest } => json!({ "from": from, "earliest": earliest }),
            Self::Unknown { id, .. } => json!({ "id": id }),
            Self::CannotDecode { name, problem } => json!({ "parameter": name, "problem": problem }),
            Self::Rejected(rejection) => of_rejection(rejection),
            Self::AlreadyArchived { txid } => json!({ "txid": txid.to_string() }),
            Self::Timeout { timeout_ms, status } => json!({ "timeout_ms": timeout_ms, "status": status }),
            Self::Lagged { next } => json!({ "next": next }),
            Self::RateLimited { limit } | Self::TooManySubscriptions { limit } => json!({ "limit": limit }),
            Self::RequestTooLarge { limit } | Self::ResponseTooLarge { limit } | Self::BatchTooLarge { limit } => {
                json!({ "limit": limit })
            }
            _ => Value::Null,
        }
    }

    /// `data`: the reason first.
    pub fn data(&self) -> Value {
        let mut data = Map::new();
        data.insert("reason".to_owned(), self.reason().into());
        if let Value::Object(details) = self.details() {
            data.extend(details);
        }
        Value::Object(data)
    }
}

/// What is known of a refusal besides its reason.
fn of_rejection(rejection: &Rejection) -> Value {
    let of_output = |outpoint: &OutPoint| json!({ "txid": outpoint.txid.to_string(), "index": outpoint.index });
    match rejection {
        Rejection::Conflict { outpoint, spent_by } => {
            json!({ "output": of_output(outpoint), "spent_by": spent_by.map(|txid| txid.to_string()) })
        }
        Rejection::NoSuchOutput { outpoint }
        | Rejection::MissingInput { outpoint }
        | Rejection::Bonded { outpoint }
        | Rejection::PendingCollateral { outpoint }
        | Rejection::TooManyRivals { outpoint } => json!({ "output": of_output(outpoint) }),
        Rejection::FeeTooLow { fee, least } => json!({ "fee": fee.to_string(), "least": least.to_string() }),
        Rejection::Overspent { inputs, outputs } => {
            json!({ "inputs": inputs.to_string(), "outputs": outputs.to_string() })
        }
        Rejection::UnknownMasternode { masternode } | Rejection::AlreadyLeaving { masternode } => {
            json!({ "masternode": masternode.to_string() })
        }
        Rejection::KeyTaken { key } => json!({ "key": key.to_string() }),
        Rejection::TierNotReached { value } => json!({ "value": value.to_string() }),
        _ => Value::Null,
    }
}
