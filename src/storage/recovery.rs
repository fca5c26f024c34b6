//! Opening a data directory: lock, chain, index, blocks, journal, `votes.log`, each checked against the others; and
//! putting a damaged index away and making it anew.
//!
//! Nothing is ever deleted that was not replaced, and nothing acknowledged is missing in silence: what the journal had
//! when the index was flushed has to be there, and its blocks have to follow the store's tip without a gap.

use super::files::{FileError, Files};
use super::journal_files::{JournalFiles, JournalFilesError};
use super::lock::{DirectoryLock, LockError};
use super::sled_store::{INDEX_DIRECTORY, SledStore, StoreOptions};
use super::store::{Archive, StoreError};
use super::votes_file::VotesFile;
use super::write_ahead::WriteAhead;
use crate::chain::spec::{Chain, ChainSpec};
use crate::ledger::state::ChainState;
use crate::replica::command::JournalRecord;
use crate::types::hash::ChainId;
use crate::types::number::Height;
use std::sync::Arc;

/// The copy of the chain spec that says whose data directory it is.
pub const CHAIN_FILE: &str = "chain.toml";
const NEW_CHAIN_FILE: &str = "chain.toml.new";

/// Why a data directory cannot be used. Nothing in it was lost.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process uses it, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store cannot be used; [`DirectoryError::is_repairable`] if its index is to be made anew.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalFilesError),
    /// The data directory of another chain.
    #[error("the data directory belongs to chain {found}, this node runs {expected}: give each chain one of its own")]
    OtherChain {
        /// The directory's.
        found: ChainId,
        /// The node's.
        expected: ChainId,
    },
    /// `chain.toml` cannot be understood.
    #[error("chain.toml in the data directory is damaged ({0}); put the file with this chain's spec in its place")]
    BadChainFile(String),
    /// The journal has lost records that had been synced.
    #[error(
        "the journal is not all there: its {part} is missing, it has records {first} up to, not including, {next}. Restore \
         journal/ from a backup made after this node last ran, or accept that payments acknowledged in this epoch are \
         unknown here and let `timed db verify --repair --from-peers` put the chain away, so that the next start fetches it \
         from other nodes"
    )]
    JournalLost {
        /// Beginning or end.
        part: &'static str,
        /// First record that is found.
        first: u64,
        /// First record after those that are found.
        next: u64,
    },
    /// Blocks between the store's tip and the journal are missing.
    #[error(
        "block {expected} is neither in blocks/ nor in journal/, which go on with block {found}: restore blocks/, or run \
         `timed db verify --repair --from-peers`"
    )]
    BlocksLost {
        /// The block after the last one that is there.
        expected: Height,
        /// The next block that the journal has.
        found: Height,
    },
}

impl DirectoryError {
    /// Whether [`repair`] helps: only the index is damaged, and everything it needs is elsewhere.
    pub fn is_repairable(&self) -> bool {
        matches!(self, Self::Store(StoreError::Damaged { .. } | StoreError::OtherFormat { .. }))
    }
}

/// An open data directory: what the storage thread owns, and what the replica and the signer start from.
#[derive(Debug)]
pub struct DataDirectory {
    /// The chain: blocks, index, state.
    pub store: Arc<SledStore>,
    /// Journal and `votes.log`.
    pub log: WriteAhead,
    /// State after the store's tip.
    pub state: ChainState,
    /// All records of the journal, in order.
    pub records: Vec<JournalRecord>,
    /// What `votes.log` holds; `None` if there is none.
    pub votes: Option<Vec<u8>>,
    /// Dropped last.
    pub lock: DirectoryLock,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Where the damaged index is now, below the data directory; `None` if there was no index.
    pub put_away: Option<String>,
    /// The tip of the new one.
    pub height: Height,
}

/// Opens the data directory of `files`, which exists; an empty one becomes that of this chain. `progress` is told of
/// each block that the index had to catch up with.
///
/// # Errors
/// [`DirectoryError`].
pub fn open(
    files: Arc<dyn Files>,
    options: StoreOptions,
    progress: &mut dyn FnMut(Height),
) -> Result<DataDirectory, DirectoryError> {
    let lock = DirectoryLock::acquire(files.root())?;
    check_chain(&*files, &options.chain)?;
    open_locked(files, options, lock, progress)
}

/// Puts the index away under another name and makes it anew from the blocks; checks every signature of the chain.
///
/// # Errors
/// [`DirectoryError`]; the index stays put away, and what there is of the new one is gone on with next time.
pub fn repair(
    files: Arc<dyn Files>,
    options: StoreOptions,
    progress: &mut dyn FnMut(Height),
) -> Result<Repaired, DirectoryError> {
    let lock = DirectoryLock::acquire(files.root())?;
    check_chain(&*files, &options.chain)?;
    repair_locked(files, options, lock, progress).map(|(repaired, _)| repaired)
}

/// [`repair`] of a directory that is locked and this chain's; hands the lock back.
pub(super) fn repair_locked(
    files: Arc<dyn Files>,
    options: StoreOptions,
    lock: DirectoryLock,
    progress: &mut dyn FnMut(Height),
) -> Result<(Repaired, DirectoryLock), DirectoryError> {
    let put_away = put_away(&*files, INDEX_DIRECTORY)?;
    let directory = open_locked(files, options, lock, progress)?;
    let height = directory.state.height();
    directory.store.flush(directory.log.synced_sequence())?;
    Ok((Repaired { put_away, height }, directory.lock))
}

fn open_locked(
    files: Arc<dyn Files>,
    options: StoreOptions,
    lock: DirectoryLock,
    progress: &mut dyn FnMut(Height),
) -> Result<DataDirectory, DirectoryError> {
    let (chain, segment_bytes) = (options.chain.clone(), options.journal_segment_bytes);
    let store = SledStore::open(files.clone(), options, progress)?;
    let (journal, records) = JournalFiles::open(files.clone(), &chain, segment_bytes)?;
    let state = store.tip();
    let closes = |height| closes_epoch(&store, &chain, height);
    let has_blocks = state.height() > store.base_height();
    check_journal((state.height(), has_blocks, store.journal_synced()?), &journal, &records, &closes)?;
    check_blocks(&records, state.height())?;
    let (votes_file, votes) = VotesFile::open(files)?;
    let log = WriteAhead::new(journal, votes_file);
    Ok(DataDirectory { store, log, state, records, votes, lock })
}

/// Whose data directory this is; an empty one becomes this chain's.
///
/// # Errors
/// [`DirectoryError`].
pub fn check_chain(files: &dyn Files, chain: &Chain) -> Result<(), DirectoryError> {
    let text = match files.read(CHAIN_FILE) {
        Err(e) if e.is_missing() => return write_chain(files, chain),
        text => text?,
    };
    let text = String::from_utf8(text).map_err(|e| DirectoryError::BadChainFile(e.to_string()))?;
    let found = ChainSpec::from_toml(&text).map_err(|e| DirectoryError::BadChainFile(e.to_string()))?.id();
    if found != chain.id() {
        return Err(DirectoryError::OtherChain { found, expected: chain.id() });
    }
    Ok(())
}

fn write_chain(files: &dyn Files, chain: &Chain) -> Result<(), DirectoryError> {
    let text = chain.to_toml().map_err(|e| DirectoryError::BadChainFile(e.to_string()))?;
    files.remove(NEW_CHAIN_FILE)?;
    let mut file = files.append(NEW_CHAIN_FILE)?;
    file.append(text.as_bytes())?;
    file.sync()?;
    files.rename(NEW_CHAIN_FILE, CHAIN_FILE)?;
    Ok(files.sync_directory("")?)
}

/// The journal begins where an epoch does, or in one that is over, and ends no earlier than it once did: of an index with
/// this tip, made of blocks or not, that remembers this record as synced. `closes` says whether a block closed its epoch.
pub(super) fn check_journal(
    (tip, has_blocks, synced): (Height, bool, u64),
    journal: &JournalFiles,
    records: &[JournalRecord],
    closes: &dyn Fn(Height) -> Result<bool, StoreError>,
) -> Result<(), DirectoryError> {
    let (first, next) = (journal.first_sequence(), journal.next_sequence());
    let lost = |part| Err(DirectoryError::JournalLost { part, first, next });
    // A new index remembers nothing; but each block of the chain was in the journal once.
    if next <= synced.max(u64::from(has_blocks)) {
        return lost("end");
    }
    if first == 1 || journal.begins_before_epoch_of(tip) {
        return Ok(());
    }
    // Every block is in the journal, so the one before its first was the last that was dropped.
    let before = block_heights(records).next().map_or(Some(tip), Height::previous);
    let begins_epoch = before.map(closes).transpose()?;
    if journal.begins_with_epoch() && begins_epoch == Some(true) { Ok(()) } else { lost("beginning") }
}

/// Whether the block at `height` is in the store and closed its epoch.
fn closes_epoch(store: &SledStore, chain: &ChainSpec, height: Height) -> Result<bool, StoreError> {
    if height > Height::ZERO && height == store.base_height() {
        // Snapshots are taken of no other blocks.
        return Ok(true);
    }
    let opened = |height| store.header(height).map(|found| found.map(|found| found.header.opened));
    let (Some(before), Some(opened)) = (height.previous().map(opened).transpose()?.flatten(), opened(height)?) else {
        return Ok(false);
    };
    Ok(opened > before && chain.opening_closes_epoch(opened))
}

/// Heights of the blocks in the journal, in its order.
pub(super) fn block_heights(records: &[JournalRecord]) -> impl Iterator<Item = Height> {
    records.iter().filter_map(|record| match record {
        JournalRecord::Block(sealed) => Some(sealed.block.header.height),
        _ => None,
    })
}

/// The blocks of the journal go on where the store ends.
pub(super) fn check_blocks(records: &[JournalRecord], tip: Height) -> Result<(), DirectoryError> {
    let mut expected = tip.next();
    for found in block_heights(records).filter(|height| *height > tip) {
        if found != expected {
            return Err(DirectoryError::BlocksLost { expected, found });
        }
        expected = found.next();
    }
    Ok(())
}

/// Gives a file or directory a name by which nothing looks for it; returns the name, or `None` if there is nothing.
///
/// # Errors
/// [`FileError`].
pub fn put_away(files: &dyn Files, name: &str) -> Result<Option<String>, FileError> {
    let mut number = 0u64;
    let away = loop {
        let away = format!("{name}.damaged-{number}");
        if files.length(&away).is_err_and(|e| e.is_missing()) {
            break away;
        }
        number = number.saturating_add(1);
    };
    match files.rename(name, &away) {
        Err(e) if e.is_missing() => Ok(None),
        renamed => {
            renamed?;
            files.sync_directory(name.rsplit_once('/').map_or("", |(directory, _)| directory))?;
            Ok(Some(away))
        }
    }
}
