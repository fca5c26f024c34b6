//! How much of what a data directory holds (`timed db stats`).

use super::Directory;
use crate::replica::command::JournalRecord;
use crate::storage::block_files::{BLOCKS_DIRECTORY, BlockFiles};
use crate::storage::files::{FileError, Files};
use crate::storage::journal_files::{JOURNAL_DIRECTORY, JournalFiles};
use crate::storage::mempool_file::MEMPOOL_FILE;
use crate::storage::recovery::{DirectoryError, block_heights};
use crate::storage::sled_store::{INDEX_DIRECTORY, SledStore};
use crate::storage::snapshots::SNAPSHOTS_DIRECTORY;
use crate::storage::store::{Archive as _, StoreError, Totals};
use crate::storage::untouched::Untouched;
use crate::storage::votes_file::VOTES_FILE;
use crate::types::number::{Epoch, Height};
use std::sync::Arc;

/// Bytes on disk of each part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// `blocks/`.
    pub blocks: u64,
    /// `db/`, with what sled keeps beside its main file.
    pub index: u64,
    /// `journal/`.
    pub journal: u64,
    /// `snapshots/`.
    pub snapshots: u64,
    /// `votes.log`.
    pub votes: u64,
    /// `mempool.dat`.
    pub mempool: u64,
}

/// What a data directory holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Bytes of each part.
    pub sizes: Sizes,
    /// The tip of the index.
    pub tip: crate::types::block::Header,
    /// Its hash.
    pub hash: crate::types::hash::BlockHash,
    /// Epoch of its child.
    pub epoch: Epoch,
    /// Transactions, unspent outputs and supply at it.
    pub totals: Totals,
    /// Masternodes in the registry.
    pub masternodes: usize,
    /// Members of the set that signs the next block.
    pub validators: usize,
    /// Addresses that ever had an output.
    pub addresses: u64,
    /// Height of the first block that is kept, genesis apart.
    pub first_block: Height,
    /// Heights of the snapshots.
    pub snapshots: Vec<Height>,
    /// Height of the last block in `blocks/`; the index catches up at the next start.
    pub blocks_height: Height,
    /// Height of the last block in `journal/`, if it has one.
    pub journal_height: Option<Height>,
    /// Records in the journal.
    pub journal_records: u64,
    /// Entries of each tree of the index.
    pub trees: Vec<(&'static str, u64)>,
}

impl Directory {
    /// Counts everything. Takes a pass over the index, not over the blocks.
    ///
    /// # Errors
    /// [`DirectoryError`]: something cannot be read, or is damaged.
    pub fn stats(&self) -> Result<Stats, DirectoryError> {
        let store = SledStore::open_to_check(Arc::clone(&self.files), self.options.clone())?;
        let untouched: Arc<dyn Files> = Arc::new(Untouched::new(Arc::clone(&self.files)));
        let state = store.tip();
        let mut blocks_height = state.height();
        let indexed = store.index_end()?;
        BlockFiles::open::<StoreError>(untouched.clone(), self.options.block_file_bytes, indexed, |found| {
            blocks_height = found.stored.block.header.height;
            Ok(())
        })?;
        let (_, records): (_, Vec<JournalRecord>) =
            JournalFiles::open(untouched, &self.options.chain, self.options.journal_segment_bytes)?;
        Ok(Stats {
            sizes: self.sizes()?,
            epoch: state.child_epoch(&self.options.chain),
            totals: store.totals(),
            masternodes: state.registry.iter().count(),
            validators: state.validators.len(),
            addresses: store.locks()?,
            blocks_height,
            first_block: store.first_block(),
            snapshots: store.snapshots().heights()?,
            journal_height: block_heights(&records).last(),
            journal_records: records.len() as u64,
            trees: store.tree_sizes(),
            hash: state.hash,
            tip: state.header,
        })
    }

    fn sizes(&self) -> Result<Sizes, FileError> {
        let directory = |name: &str| -> Result<u64, FileError> {
            self.files.list(name)?.iter().map(|file| self.files.length(&format!("{name}/{file}"))).sum()
        };
        let file = |name: &str| match self.files.length(name) {
            Err(error) if error.is_missing() => Ok(0),
            length => length,
        };
        Ok(Sizes {
            blocks: directory(BLOCKS_DIRECTORY)?,
            index: directory(INDEX_DIRECTORY)?.saturating_add(directory(&format!("{INDEX_DIRECTORY}/blobs"))?),
            journal: directory(JOURNAL_DIRECTORY)?,
            snapshots: directory(SNAPSHOTS_DIRECTORY)?,
            votes: file(VOTES_FILE)?,
            mempool: file(MEMPOOL_FILE)?,
        })
    }
}
