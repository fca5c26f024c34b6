//! The chain in block files, indexed by sled.
//!
//! Invariants:
//! - **The index holds nothing of its own.** A block is synced in its file before anything of it is put into the index, so
//!   the index can lag behind the files, never lead, and can be put away and made anew.
//! - **A block shows at once or not at all.** What it adds carries its height and stays hidden while that is above the
//!   tip; one sled transaction across trees makes it the tip; then what it spends is removed, hidden meanwhile by a set
//!   in memory. A crash anywhere leaves the tip before or after; what it left half done is redone at the next start.
//!
//! Why not one transaction for everything: sled locks out every reader of the process while one runs, 1.4 s for a block
//! of 10,000 payments, and keeps all of it in memory several times over (`docs/benchmarks.md`). Sorted puts take a third
//! of the time and disturb nobody.

mod apply;
mod base;
mod check;
mod flush;
mod keep;
mod read;
mod schema;
mod together;
mod verify;

pub use base::base_of;
pub use keep::{Keep, Tended};
pub use verify::{Counts, IndexCheck};

use super::block_files::{BLOCKS_DIRECTORY, BlockFiles, BlockReader, Unindexed};
use super::block_record::{StoredBlock, encode_record};
use super::epochs_file::EpochEnds;
use super::files::{Files, list_numbered};
use super::lock::wait_until_free;
use super::replay::spent_by_each;
use super::snapshots::Snapshots;
use super::store::StoreError;
use crate::chain::genesis::genesis;
use crate::chain::spec::Chain;
use crate::ledger::PoolLimits;
use crate::ledger::state::ChainState;
use crate::ledger::verify::Verifier;
use crate::limits::{BLOCK_FILE_BYTES, CATCH_UP_BLOCKS, CATCH_UP_BYTES, JOURNAL_SEGMENT_BYTES, MIN_STORE_CACHE_BYTES};
use crate::replica::command::{Command, CommittedBlock, JournalRecord};
use crate::replica::message::SealedBlock;
use crate::replica::{Recovery, Replica, ReplicaConfig};
use crate::types::id_map::IdSet;
use crate::types::number::{Height, TimeMs};
use crate::types::transaction::OutPoint;
use schema::{BaseRecord, META_JOURNAL, Trees, damaged, read as read_value, read_base};
use sled::{Db, Mode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Where the index is.
pub const INDEX_DIRECTORY: &str = "db";

/// Sled's memory at its peak, in multiples of the cache it is given.
const PEAK_OF_CACHE: u64 = 5;

/// What happens when the replica asks and the store cannot read: the node must not go on, for no answer is the right one.
pub type OnFailure = fn(&StoreError) -> !;

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreOptions {
    /// The chain.
    pub chain: Chain,
    /// Checks blocks that the index lacks; best the node's own, which remembers signatures.
    pub verifier: Arc<Verifier>,
    /// Memory for the index in bytes, caches and everything.
    pub cache_bytes: u64,
    /// A file of blocks takes no further block once it has this many bytes.
    pub block_file_bytes: u64,
    /// A segment of the journal takes no further record once it has this many bytes.
    pub journal_segment_bytes: u64,
    /// Stops the node.
    pub on_failure: OnFailure,
}

impl StoreOptions {
    /// Options with the usual sizes of files.
    pub fn new(chain: Chain, verifier: Arc<Verifier>, cache_bytes: u64, on_failure: OnFailure) -> Self {
        let (block_file_bytes, journal_segment_bytes) = (BLOCK_FILE_BYTES, JOURNAL_SEGMENT_BYTES);
        Self { chain, verifier, cache_bytes, block_file_bytes, journal_segment_bytes, on_failure }
    }
}

/// The tip, and what of the index does not belong to it although it is there.
struct View {
    state: ChainState,
    transactions: u64,
    outputs: u64,
    /// Spent by the tip, and not removed yet.
    leaving: IdSet<OutPoint>,
}

struct Writer {
    /// `None` while the index catches up with them.
    blocks: Option<BlockFiles>,
    has_failed: bool,
}

/// See the module.
pub struct SledStore {
    options: StoreOptions,
    files: Arc<dyn Files>,
    reader: BlockReader,
    genesis: StoredBlock,
    db: Db,
    trees: Trees,
    /// The snapshot that the index was made from; `None`: genesis.
    base: Option<BaseRecord>,
    snapshots: Snapshots,
    /// The ends of epochs, for those who begin with a snapshot.
    epochs: EpochEnds,
    /// Height of the first block that is kept. Raised before a file goes.
    first_block: AtomicU64,
    view: RwLock<Arc<View>>,
    writer: Mutex<Writer>,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SledStore(at {})", self.view().state.height())
    }
}

impl SledStore {
    /// Opens the store of a data directory that is locked, checks the index against its tip, and applies the blocks that
    /// the files have and the index lacks; `progress` is told of each height. Makes a new index if there is none.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] if the index is to be made anew.
    pub fn open(
        files: Arc<dyn Files>,
        options: StoreOptions,
        progress: &mut dyn FnMut(Height),
    ) -> Result<Arc<Self>, StoreError> {
        // Sled panics at some damage where it could say so.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let store = Arc::new(Self::open_index(files.clone(), options)?);
            store.read_blocks(files, progress)?;
            store.complete_epochs()?;
            Ok(store)
        }));
        opened.unwrap_or_else(|panic| Err(damaged(panic_text(&*panic))))
    }

    /// Opens the index alone and checks it against its tip: no block can be applied. What a crash left half done in it is
    /// finished, as at any start; nothing else is changed.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] if the index is to be made anew.
    pub fn open_to_check(files: Arc<dyn Files>, options: StoreOptions) -> Result<Arc<Self>, StoreError> {
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_index(files, options).map(Arc::new)));
        opened.unwrap_or_else(|panic| Err(damaged(panic_text(&*panic))))
    }

    fn open_index(files: Arc<dyn Files>, options: StoreOptions) -> Result<Self, StoreError> {
        let genesis = genesis(&options.chain)
            .map_err(|e| StoreError::BadBlock { height: Height::ZERO, reason: e.to_string() })?;
        let genesis = StoredBlock { block: genesis.block, commit: None, spent: vec![Vec::new()] };
        let db = open_sled(&files.root().join(INDEX_DIRECTORY), options.cache_bytes)?;
        let trees = Trees::open(&db)?;
        let reader = BlockReader::new(files.clone());
        let first = list_numbered(&*files, BLOCKS_DIRECTORY)?.first().copied().unwrap_or(1);
        let view = match check::open_view(&trees, &reader, &options.chain, Height::new(first))? {
            Some(view) => view,
            None => Self::begin(&files, &trees, &options, &genesis)?,
        };
        let base = read_base(&trees.meta)?;
        let first = first.max(base.as_ref().map_or(1, |base| base.height.next().get()));
        let (first_block, view) = (AtomicU64::new(first), RwLock::new(Arc::new(view)));
        let writer = Mutex::new(Writer { blocks: None, has_failed: false });
        let epochs = EpochEnds::open(Arc::clone(&files))?;
        let snapshots = Snapshots::new(Arc::clone(&files));
        Ok(Self { options, files, reader, genesis, db, trees, base, snapshots, epochs, first_block, view, writer })
    }

    /// An index without a tip holds nothing that counts: it is begun anew, from genesis or from a snapshot.
    fn begin(
        files: &Arc<dyn Files>,
        trees: &Trees,
        options: &StoreOptions,
        genesis: &StoredBlock,
    ) -> Result<View, StoreError> {
        for tree in trees.all() {
            tree.clear()?;
        }
        let Some(base) = base::base_of(files)? else { return check::start(trees, &options.chain, genesis) };
        let snapshots = Snapshots::new(Arc::clone(files));
        let checked = snapshots.checked(base, &options.chain, &options.verifier)?;
        base::put_base(trees, &options.chain, &snapshots, &checked)
    }

    fn read_blocks(
        self: &Arc<Self>,
        files: Arc<dyn Files>,
        progress: &mut dyn FnMut(Height),
    ) -> Result<(), StoreError> {
        let indexed = self.index_end()?;
        let mut chunk = Chunk::default();
        let blocks = BlockFiles::open(files, self.options.block_file_bytes, indexed, |found| {
            chunk.push(found);
            if chunk.is_full() {
                self.catch_up(std::mem::take(&mut chunk), progress)?;
            }
            Ok::<(), StoreError>(())
        })?;
        self.catch_up(chunk, progress)?;
        self.lock_writer().blocks = Some(blocks);
        Ok(())
    }

    /// Height of the block that the index was made from: of a snapshot, or of genesis.
    pub fn base_height(&self) -> Height {
        self.base.as_ref().map_or(Height::ZERO, |base| base.height)
    }

    /// Height of the first block that is kept, genesis apart.
    pub fn first_block(&self) -> Height {
        Height::new(self.first_block.load(Ordering::Acquire))
    }

    /// State after the last block applied.
    pub fn tip(&self) -> ChainState {
        self.view().state.clone()
    }

    /// The last record of the journal that was synced when the index was last flushed; 0 for a new index.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal_synced(&self) -> Result<u64, StoreError> {
        let position = self.trees.meta.get(META_JOURNAL)?;
        position.map_or(Ok(0), |bytes| read_value("meta", &bytes))
    }

    #[cfg(test)]
    pub(super) fn location(&self, height: Height) -> Option<super::block_files::BlockLocation> {
        self.header_record(height).ok().flatten().and_then(|record| record.location)
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> Arc<dyn Files> {
        Arc::clone(&self.files)
    }

    /// Bytes of the index on disk.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn index_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.db.size_on_disk()?)
    }

    /// Applies blocks that the files have, as a node would that was sent them: every signature and every rule is checked.
    fn catch_up(self: &Arc<Self>, chunk: Chunk, progress: &mut dyn FnMut(Height)) -> Result<(), StoreError> {
        let Chunk { blocks: found, .. } = chunk;
        let Some(first) = found.first().map(|found| found.stored.block.header.height) else { return Ok(()) };
        let (chain, pool) = (self.options.chain.clone(), PoolLimits::default());
        let config = ReplicaConfig { chain, key: None, seed: [0; 32], pool, listens: false };
        let journal = found.iter().filter_map(|found| {
            let commit = found.stored.commit.clone()?;
            Some(JournalRecord::Block(SealedBlock { block: found.stored.block.clone(), commit }))
        });
        let recovery = Recovery { state: self.tip(), journal: journal.collect(), signer: None };
        let opened = Replica::open(config, self.options.verifier.clone(), self.clone(), recovery, TimeMs(0));
        let (_, commands) = opened.map_err(|e| StoreError::BadBlock { height: first, reason: e.to_string() })?;
        let applied = commands.into_iter().filter_map(|command| match command {
            Command::Apply(block) => Some(block),
            _ => None,
        });
        for (found, block) in found.iter().zip(applied) {
            let CommittedBlock { block: content, commit, changes } = &*block;
            let encoded = encode_record(content, commit, &changes.inputs);
            let spent = spent_by_each(&content.txs, &changes.inputs);
            if encoded.bytes.len() != found.location.length as usize || found.stored.spent != spent {
                let reason = "it names other outputs as spent than its transactions spend".to_owned();
                return Err(StoreError::BadBlock { height: changes.height, reason });
            }
            self.index(&block, found.location, &encoded.transactions)?;
            progress(changes.height);
        }
        let last = found.last().map(|found| found.stored.block.header.height);
        if last != Some(self.tip().height()) {
            return Err(StoreError::OutOfOrder { tip: self.tip().height(), found: first });
        }
        Ok(())
    }

    fn view(&self) -> Arc<View> {
        // What is behind the lock is replaced whole, so a panic cannot leave it half changed.
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while a block was applied leaves the store as a crash would: nothing more is written.
        self.writer.lock().unwrap_or_else(|poisoned| {
            let mut writer = poisoned.into_inner();
            writer.has_failed = true;
            writer
        })
    }
}

/// Blocks that are applied together.
#[derive(Default)]
struct Chunk {
    blocks: Vec<Unindexed>,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, found: Unindexed) {
        self.bytes = self.bytes.saturating_add(found.location.length as usize);
        self.blocks.push(found);
    }

    fn is_full(&self) -> bool {
        self.bytes >= CATCH_UP_BYTES || self.blocks.len() >= CATCH_UP_BLOCKS
    }
}

fn open_sled(path: &Path, cache_bytes: u64) -> Result<Db, StoreError> {
    let cache_bytes = cache_bytes.max(MIN_STORE_CACHE_BYTES) / PEAK_OF_CACHE;
    wait_until_free(&path.join("db"))?;
    // The storage thread says when to flush.
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    Ok(config.mode(Mode::HighThroughput).open()?)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "sled panicked".to_owned())
}

#[cfg(test)]
mod tests;
