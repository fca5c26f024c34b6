//! Why a block is not valid on its parent (`protocol.md` 7.3, "Always"): one variant a rule.

use crate::ledger::rejection::Rejection;
use crate::ledger::verify::VerifyError;
use crate::types::hash::{BlockHash, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::{Height, Slot};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSetError;

/// A rule that a block breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The parent's height or `opened` is the largest there is.
    #[error("no block can follow height {0}")]
    LastHeight(Height),
    /// A slot before the parent's.
    #[error("slot {slot} is before the parent's, {parent}")]
    SlotBeforeParent {
        /// The block's slot.
        slot: Slot,
        /// The parent's slot.
        parent: Slot,
    },
    /// The block after genesis opens a slot.
    #[error("the block after genesis opens a slot")]
    OverflowOnGenesis,
    /// An overflow block with too little in it.
    #[error("{bytes} bytes of transactions do not justify an overflow block, {least} do")]
    OverflowTooSmall {
        /// Bytes of its transactions.
        bytes: u64,
        /// Least bytes.
        least: u64,
    },
    /// Transactions and evidence are too large together.
    #[error("transactions and evidence of {bytes} bytes are more than {limit}")]
    TooLarge {
        /// Their bytes.
        bytes: u64,
        /// Most bytes.
        limit: u64,
    },
    /// A transaction does not follow the one before it by txid.
    #[error("the transaction {txid} is out of order or stands twice")]
    TxOutOfOrder {
        /// The first that is.
        txid: Txid,
    },
    /// More transactions than can be counted.
    #[error("more than 2^32 transactions")]
    TooManyTransactions,
    /// The parent's commit is missing.
    #[error("the commit of the parent is missing")]
    MissingCommit,
    /// Nobody signed genesis.
    #[error("there is no commit of genesis")]
    UnexpectedCommit,
    /// A commit of another block than the parent.
    #[error("a commit of the block {found} at height {height} instead of the parent's")]
    OtherCommit {
        /// Height it names.
        height: Height,
        /// Block it names.
        found: BlockHash,
    },
    /// The commit is not one of the parent's set.
    #[error("the parent's commit: {0}")]
    BadCommit(VerifyError),
    /// Evidence is out of order, or two pieces are against one signer.
    #[error("evidence: {0}")]
    Evidence(VerifyError),
    /// Evidence against a key without a record, or against a masternode that was slashed before.
    #[error("there is nothing to punish {voter} by")]
    NothingToPunish {
        /// The key.
        voter: PublicKey,
    },
    /// A block that opens a slot advances the beacon.
    #[error("the proof of the beacon is missing")]
    MissingVdf,
    /// An overflow block repeats its parent's beacon.
    #[error("an overflow block has no proof of a beacon")]
    UnexpectedVdf,
    /// Not the output of the delay function for this parent.
    #[error("the proof of the beacon is not valid")]
    BadVdf,
    /// The proposer is not in the set that signs the block.
    #[error("the proposer {proposer} is not in the set that signs the block")]
    ForeignProposer {
        /// The proposer.
        proposer: PublicKey,
    },
    /// A transaction breaks a rule. One with other witnesses may pass: a body has one txid with any of them.
    #[error("transaction {txid}: {rule}")]
    Transaction {
        /// Which one.
        txid: Txid,
        /// The rule.
        rule: Rejection,
    },
    /// Two transactions spend one output.
    #[error("{one} and {other} both spend {outpoint}")]
    DoubleSpend {
        /// The output.
        outpoint: OutPoint,
        /// One of them.
        one: Txid,
        /// The other.
        other: Txid,
    },
    /// Supply, fees or reward pass `u64`.
    #[error("the block's amounts pass 2^64 units")]
    AmountOverflow,
    /// The registry makes no validator set.
    #[error("the next set: {0}")]
    NextSet(ValidatorSetError),
    /// The header is not the one that follows from the block's content.
    #[error("the header's {field} is not what the block's content makes it")]
    HeaderDiffers {
        /// The first field that differs.
        field: &'static str,
    },
}
