//! What a node can tell of its chain, apart from how it is kept.
//!
//! Everything answered belongs to one tip: of a block that is being applied nothing shows before all of it does.

use super::block_files::BlockFilesError;
use super::block_record::{BlockHead, StoredBlock, StoredTransaction};
use super::files::FileError;
use super::lock::LockError;
use super::snapshots::SnapshotFilesError;
use crate::ledger::execute::Punishment;
use crate::ledger::utxo::Utxo;
use crate::replica::message::SealedHeader;
use crate::types::block::{Commit, Header};
use crate::types::hash::{BlockHash, ChainId, Txid};
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The index is not what was written. It holds nothing of its own: it can be put away and made anew.
    #[error(
        "the database db/ is damaged: {what}. Nothing is lost: `timed db verify --repair` puts it away and makes it anew \
         from blocks/ and journal/"
    )]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Reading or writing the index failed.
    #[error("the database db/ failed: {0}")]
    Index(sled::Error),
    /// Reading or writing blocks failed.
    #[error(transparent)]
    Blocks(#[from] BlockFilesError),
    /// The index cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file of the index cannot be synced.
    #[error(transparent)]
    File(#[from] FileError),
    /// Written by another version.
    #[error("the database db/ has format {found}, this version of timed has {expected}: use the version that wrote it")]
    OtherFormat {
        /// The database's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The database of another chain.
    #[error("the database db/ belongs to chain {found}, this node runs {expected}: give each chain a data directory")]
    OtherChain {
        /// The database's.
        found: ChainId,
        /// The node's.
        expected: ChainId,
    },
    /// A block that does not follow the tip.
    #[error("block {found} cannot be applied on {tip}")]
    OutOfOrder {
        /// Height of the tip.
        tip: Height,
        /// Height of the block.
        found: Height,
    },
    /// A block of the files that its chain does not have.
    #[error(
        "block {height} in blocks/ cannot be applied: {reason}; `timed db verify --repair` says what is damaged and repairs \
         what has a second copy"
    )]
    BadBlock {
        /// Its height.
        height: Height,
        /// Why.
        reason: String,
    },
    /// Blocks that nothing leads to.
    #[error(
        "blocks/ begins with block {first} and there is no snapshot in snapshots/ that it could go on from: restore one, or \
         run `timed db verify --repair --from-peers`"
    )]
    NoBase {
        /// The first block there is.
        first: Height,
    },
    /// The snapshot that blocks go on from is damaged.
    #[error(
        "the snapshot of block {height} in snapshots/ is damaged ({reason}), and blocks/ goes on from it: restore it, or run \
         `timed db verify --repair --from-peers`"
    )]
    BadBase {
        /// Its height.
        height: Height,
        /// What is wrong.
        reason: String,
    },
    /// A block that is not kept.
    #[error("block {height} is not kept here: this node has blocks from height {first} on")]
    Pruned {
        /// Its height.
        height: Height,
        /// The first that is kept.
        first: Height,
    },
    /// An earlier write failed.
    #[error("an earlier write to the store failed; nothing is written until the node has been started anew")]
    Failed,
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(_) => Self::Index(error),
            // Its own version number comes out of a damaged file like any other.
            sled::Error::Corruption { .. }
            | sled::Error::CollectionNotFound(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Unsupported(_) => Self::Damaged { what: error.to_string() },
        }
    }
}

impl From<SnapshotFilesError> for StoreError {
    fn from(error: SnapshotFilesError) -> Self {
        match error {
            SnapshotFilesError::File(error) => Self::File(error),
            SnapshotFilesError::Damaged { height, reason } => Self::BadBase { height, reason },
        }
    }
}

/// A header with what is known of its block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredHeader {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// Bytes of the block's transactions, with what they spend; 0 for genesis.
    pub stored_bytes: u32,
}

/// A transaction in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchivedTransaction {
    /// Height of the block.
    pub height: Height,
    /// Position in the block, coinbase included.
    pub position: u32,
    /// The transaction and what it spends.
    pub stored: StoredTransaction,
}

/// What a transaction did to a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// Height of the block.
    pub height: Height,
    /// The transaction. Of a punishment, which is none: what made the collateral that is taken, and the name of the output
    /// that is left of it.
    pub txid: Txid,
    /// Sum of its outputs with the lock.
    pub received: Amount,
    /// Sum of what it spends with the lock.
    pub sent: Amount,
    /// Whether a punishment did it, and no transaction.
    pub is_punishment: bool,
}

/// What a lock has in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LockTotals {
    /// Sum of its unspent outputs.
    pub balance: Amount,
    /// How many there are.
    pub outputs: u64,
}

/// What the chain has at its tip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Height of the tip.
    pub height: Height,
    /// Transactions in all blocks, coinbases included.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// Their sum.
    pub supply: Amount,
}

/// The chain as it is kept. Lists come in pages of at most [`crate::limits::MAX_PAGE`] entries.
///
/// Every method fails with [`StoreError`] if what it needs cannot be read.
#[allow(clippy::missing_errors_doc)] // Said once, above.
pub trait Archive: Send + Sync {
    /// Counts and sums.
    fn totals(&self) -> Totals;

    /// The header at `height`.
    fn header(&self, height: Height) -> Result<Option<StoredHeader>, StoreError>;

    /// Where the block with this hash stands.
    fn height_of(&self, hash: &BlockHash) -> Result<Option<Height>, StoreError>;

    /// The block at `height`.
    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError>;

    /// The block at `height` without its transactions; nothing for genesis and for the block of a snapshot that the
    /// node began with.
    fn head(&self, height: Height) -> Result<Option<BlockHead>, StoreError>;

    /// What made the block at `height` final; nothing for genesis.
    fn commit(&self, height: Height) -> Result<Option<Commit>, StoreError>;

    /// A transaction, with its place.
    fn transaction(&self, txid: &Txid) -> Result<Option<ArchivedTransaction>, StoreError>;

    /// An unspent output.
    fn unspent_output(&self, outpoint: &OutPoint) -> Result<Option<Utxo>, StoreError>;

    /// Which transaction spent an output, and in which block.
    fn spent_by(&self, outpoint: &OutPoint) -> Result<Option<(Txid, Height)>, StoreError>;

    /// Collaterals that the block at `height` took to punish, and what it left of each, ascending by what it took.
    fn taken(&self, height: Height) -> Result<Vec<Punishment>, StoreError>;

    /// The punishment that took this output or left it, and the height of its block.
    fn punishment_of(&self, outpoint: &OutPoint) -> Result<Option<(Height, Punishment)>, StoreError>;

    /// What a lock has: one look-up, however much it has.
    fn lock_totals(&self, lock: &Lock) -> Result<LockTotals, StoreError>;

    /// Unspent outputs of a lock, ascending, those after `after`.
    fn unspent_of(
        &self,
        lock: &Lock,
        after: Option<OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, Utxo)>, StoreError>;

    /// What touched a lock, newest first, those older than `before`.
    fn history_of(
        &self,
        lock: &Lock,
        before: Option<(Height, Txid)>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError>;

    /// The set that signs the blocks of `epoch`.
    fn validators(&self, epoch: Epoch) -> Result<Option<ValidatorSet>, StoreError>;

    /// The block that closed `epoch`, with its commit and the next set where that is another one. From genesis on, also where
    /// its block is not kept.
    fn end_of_epoch(&self, epoch: Epoch) -> Result<Option<SealedHeader>, StoreError>;
}
