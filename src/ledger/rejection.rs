//! Why a transaction is refused in some state (`protocol.md` 3, "Valid in state"): one variant a rule.

use crate::limits::MAX_ENDPOINT_BYTES;
use crate::types::hash::{MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::OutPoint;

/// A verdict "invalid in state", or why the pool does not keep a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A final or archived transaction spends the same output.
    #[error("the output {outpoint} is spent{}", spent_by.map(|txid| format!(" by {txid}")).unwrap_or_default())]
    Conflict {
        /// The output.
        outpoint: OutPoint,
        /// Who spent it, where the store still knows.
        spent_by: Option<Txid>,
    },
    /// The transaction that is to be spent, in the pool or archived, has no such output.
    #[error("the output {outpoint} does not exist")]
    NoSuchOutput {
        /// The output.
        outpoint: OutPoint,
    },
    /// In a block: the output is neither unspent on the parent nor created in the block.
    #[error("the output {outpoint} is not there to be spent")]
    MissingInput {
        /// The output.
        outpoint: OutPoint,
    },
    /// The output is the collateral of a masternode.
    #[error("the output {outpoint} is a masternode's collateral")]
    Bonded {
        /// The output.
        outpoint: OutPoint,
    },
    /// The output is named as collateral by a registration that no block holds yet.
    #[error("the output {outpoint} is to become a masternode's collateral")]
    PendingCollateral {
        /// The output.
        outpoint: OutPoint,
    },
    /// No witness is for this lock.
    #[error("no witness opens the lock {lock:?}")]
    LockNotWitnessed {
        /// The lock.
        lock: Lock,
    },
    /// A witness opens nothing.
    #[error("the witness for the lock {lock:?} opens nothing")]
    UnusedWitness {
        /// Its lock.
        lock: Lock,
    },
    /// The witnesses are the right ones in another order.
    #[error("witness {position} is out of order")]
    WitnessOutOfOrder {
        /// The first that is.
        position: usize,
    },
    /// The inputs add up past `u64`.
    #[error("the inputs add up to more than 2^64 units")]
    InputsOverflow,
    /// More goes out than comes in.
    #[error("outputs of {outputs} units exceed inputs of {inputs}")]
    Overspent {
        /// Sum of the inputs.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
    },
    /// The fee is too low for the size.
    #[error("a fee of {fee} units is below the least, {least}")]
    FeeTooLow {
        /// The fee it pays.
        fee: Amount,
        /// The least fee for its size.
        least: Amount,
    },
    /// A masternode, or a final registration, has the consensus key.
    #[error("the consensus key {key} is taken")]
    KeyTaken {
        /// The key.
        key: PublicKey,
    },
    /// A collateral below the lowest tier's.
    #[error("a collateral of {value} units reaches no tier")]
    TierNotReached {
        /// Its value.
        value: Amount,
    },
    /// An endpoint longer than allowed.
    #[error("an endpoint of {bytes} bytes is longer than {limit}", limit = MAX_ENDPOINT_BYTES)]
    EndpointTooLong {
        /// Its length.
        bytes: usize,
    },
    /// No masternode has this id.
    #[error("there is no masternode {masternode}")]
    UnknownMasternode {
        /// The id.
        masternode: MasternodeId,
    },
    /// The masternode is leaving or unbonding: there is nothing left to change or to ask for.
    #[error("the masternode {masternode} is already leaving")]
    AlreadyLeaving {
        /// The id.
        masternode: MasternodeId,
    },
    /// The pool is full of transactions that pay at least as much a byte.
    #[error("the pool is full and a fee of {fee} units for {size} bytes displaces nothing in it")]
    MempoolFull {
        /// The fee it pays.
        fee: Amount,
        /// Its size in bytes.
        size: u32,
    },
    /// As many rivals for this output are known as the pool keeps.
    #[error("too many transactions that spend {outpoint} are known")]
    TooManyRivals {
        /// The output.
        outpoint: OutPoint,
    },
    /// Dropped from the full pool for one that pays more a byte.
    #[error("dropped from the full pool for a transaction that pays more a byte")]
    Evicted,
}

impl Rejection {
    /// A stable identifier for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::NoSuchOutput { .. } | Self::MissingInput { .. } => "missing_input",
            Self::Bonded { .. } | Self::PendingCollateral { .. } => "bonded",
            Self::LockNotWitnessed { .. } => "lock_not_witnessed",
            Self::UnusedWitness { .. } => "unused_witness",
            Self::WitnessOutOfOrder { .. } => "witness_out_of_order",
            Self::InputsOverflow => "inputs_overflow",
            Self::Overspent { .. } => "overspent",
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::KeyTaken { .. } => "key_taken",
            Self::TierNotReached { .. } => "tier_not_reached",
            Self::EndpointTooLong { .. } => "endpoint_too_long",
            Self::UnknownMasternode { .. } => "unknown_masternode",
            Self::AlreadyLeaving { .. } => "already_leaving",
            Self::MempoolFull { .. } => "mempool_full",
            Self::TooManyRivals { .. } => "too_many_rivals",
            Self::Evicted => "evicted",
        }
    }

    /// Whether it is the witnesses that are wrong: the same body may be valid with others.
    pub fn is_about_witnesses(&self) -> bool {
        matches!(self, Self::LockNotWitnessed { .. } | Self::UnusedWitness { .. } | Self::WitnessOutOfOrder { .. })
    }

    /// Whether another tip, or another state of the pool, may decide otherwise. What follows from the bodies of
    /// archived or final transactions stays; bonds, keys and room come and go.
    pub fn may_change(&self) -> bool {
        match self {
            Self::Bonded { .. }
            | Self::PendingCollateral { .. }
            | Self::MissingInput { .. }
            | Self::KeyTaken { .. }
            | Self::UnknownMasternode { .. }
            | Self::AlreadyLeaving { .. }
            | Self::MempoolFull { .. }
            | Self::TooManyRivals { .. }
            | Self::Evicted
            // The authorizing witness is part of the needed ones, and its owner that of a masternode in state.
            | Self::LockNotWitnessed { .. }
            | Self::UnusedWitness { .. }
            | Self::WitnessOutOfOrder { .. } => true,
            Self::Conflict { .. }
            | Self::NoSuchOutput { .. }
            | Self::InputsOverflow
            | Self::Overspent { .. }
            | Self::FeeTooLow { .. }
            | Self::TierNotReached { .. }
            | Self::EndpointTooLong { .. } => false,
        }
    }
}
