//! The way through the blocks, with the index beside it, and what the end of it means.

use super::{Findings, Part, Problem, Progress, Remedy};
use crate::replica::command::JournalRecord;
use crate::storage::block_files::{BLOCKS_DIRECTORY, BlockFiles, BlockFilesError, BlockLocation, IndexEnd, Unindexed};
use crate::storage::files::Files;
use crate::storage::journal_files::JOURNAL_DIRECTORY;
use crate::storage::recovery::{DirectoryError, block_heights};
use crate::storage::replay::Replay;
use crate::storage::sled_store::{Counts, IndexCheck, SledStore, StoreOptions};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::StoreError;
use crate::storage::untouched::Untouched;
use crate::types::number::Height;
use std::fmt;
use std::sync::Arc;

/// What an error of the index says of the directory; errors that say nothing of it are handed on.
pub(super) fn index_problem(error: StoreError) -> Result<Problem, DirectoryError> {
    match error {
        StoreError::Damaged { what } => Ok(Problem { part: Part::Index, what, remedy: Remedy::Repair }),
        StoreError::OtherFormat { .. } => {
            Ok(Problem { part: Part::Index, what: error.to_string(), remedy: Remedy::Repair })
        }
        // The index points at what `blocks/` does not have: the walk through the blocks says what.
        StoreError::Blocks(error) => Ok(Problem { part: Part::Blocks, what: error.to_string(), remedy: Remedy::Peers }),
        error => Err(error.into()),
    }
}

/// The way through the blocks.
pub(super) struct Walk {
    pub(super) replay: Replay,
    check: Option<IndexCheck>,
    index: Option<Counts>,
    good_end: Option<(u64, u64)>,
    bytes: (u64, u64),
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Walk {
    pub(super) fn new(
        options: &StoreOptions,
        (files, base): (&Arc<dyn Files>, Option<Height>),
        store: Option<Arc<SledStore>>,
        total_bytes: u64,
    ) -> Result<Self, StoreError> {
        let (chain, verifier) = (options.chain.clone(), Arc::clone(&options.verifier));
        let replay = match base {
            Some(height) => Replay::from_snapshot(chain, verifier, &Snapshots::new(Arc::clone(files)), height)?,
            None => Replay::new(chain, verifier)?,
        };
        let check = store.map(IndexCheck::new);
        let bytes = (0, total_bytes);
        let mut walk =
            Self { replay, check, index: None, good_end: None, bytes, notes: Vec::new(), problems: Vec::new() };
        walk.check_index(|check, replay| check.begin(replay))?;
        Ok(walk)
    }

    pub(super) fn problem(&mut self, part: Part, what: &dyn fmt::Display, remedy: Remedy) {
        self.problems.push(Problem { part, what: what.to_string(), remedy });
    }

    /// Goes through all blocks; the first that is not good ends it, and is returned.
    pub(super) fn go(
        &mut self,
        files: &Arc<Untouched>,
        options: &StoreOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<StoreError>, DirectoryError> {
        let files: Arc<dyn Files> = files.clone();
        let base = IndexEnd::Base(self.replay.base());
        let walked = BlockFiles::open(files, options.block_file_bytes, base, |found| self.take(&found, progress));
        match walked.map(drop) {
            Ok(()) => Ok(None),
            Err(WalkError::Chain(StoreError::Blocks(BlockFilesError::File(error)))) => Err(error.into()),
            Err(WalkError::Chain(error)) => Ok(Some(error)),
            Err(WalkError::Index(error)) => Err(error.into()),
        }
    }

    fn take(&mut self, found: &Unindexed, progress: &mut dyn FnMut(Progress)) -> Result<(), WalkError> {
        let location: BlockLocation = found.location;
        let block = self.replay.block(&found.stored)?;
        self.good_end = Some((location.file, location.offset.saturating_add(u64::from(location.length))));
        self.bytes.0 = self.bytes.0.saturating_add(u64::from(location.length));
        self.check_index(|check, _| check.block(&block, location)).map_err(WalkError::Index)?;
        let (done_bytes, total_bytes) = self.bytes;
        progress(Progress { height: block.changes.height, done_bytes, total_bytes });
        Ok(())
    }

    /// Has the index checked, if it is good so far. What is wrong with it does not end the way through the blocks.
    fn check_index(
        &mut self,
        look: impl FnOnce(&mut IndexCheck, &Replay) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(check) = &mut self.check else { return Ok(()) };
        let looked = look(check, &self.replay).and_then(|()| {
            let is_at_tip = check.tip() == self.replay.state().height();
            is_at_tip.then(|| check.finish(&self.replay)).transpose()
        });
        match looked {
            Ok(counts) => self.index = self.index.or(counts),
            Err(StoreError::Damaged { what }) => {
                self.check = None;
                self.index = None;
                self.problem(Part::Index, &what, Remedy::Repair);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether the blocks end where a block does, and no earlier than the index: `indexed` is its tip.
    pub(super) fn is_whole(&self, indexed: Option<Height>, files: &Untouched) -> bool {
        let is_cut = files.cuts().iter().any(|cut| cut.file.starts_with(BLOCKS_DIRECTORY));
        !is_cut && indexed.is_none_or(|indexed| indexed <= self.replay.state().height())
    }

    /// What the end of the blocks means: `end` is what stopped the way, `indexed` the tip of the index.
    pub(super) fn judge_end(
        &mut self,
        end: Option<StoreError>,
        indexed: Option<Height>,
        journal: Option<&[JournalRecord]>,
        files: &Untouched,
    ) {
        let next = self.replay.state().height().next();
        let is_in_journal = journal.is_some_and(|records| block_heights(records).any(|height| height == next));
        let remedy = if is_in_journal { Remedy::Repair } else { Remedy::Peers };
        let cut = files.cuts().into_iter().find(|cut| cut.file.starts_with(BLOCKS_DIRECTORY));
        // An index that points at more than there is shows that more was there.
        let is_unread = self.problems.iter().any(|problem| problem.part == Part::Blocks);
        let is_ahead = is_unread || indexed.is_some_and(|indexed| indexed >= next);
        let what = match (&end, &cut) {
            (Some(StoreError::Blocks(BlockFilesError::Damaged { file, offset, height, reason })), _) => {
                Some(format!("{file} is damaged at byte {offset}, block {height}: {reason}"))
            }
            (Some(error), _) => Some(error.to_string()),
            (None, Some(cut)) if is_ahead || !is_in_journal => {
                Some(format!("{} is damaged at byte {}, block {next}", cut.file, cut.kept_bytes))
            }
            (None, Some(cut)) => {
                self.notes.push(format!("{} ends torn; the journal has block {next}", cut.file));
                None
            }
            (None, None) if is_ahead && !is_unread => Some(format!("they end before block {next}, which db/ has")),
            (None, None) => None,
        };
        if let Some(what) = what {
            self.problems.retain(|problem| problem.part != Part::Blocks);
            self.problem(Part::Blocks, &what, remedy);
        } else {
            // What the index could not read of them is good after all.
            let unread = self.problems.iter_mut().filter(|problem| problem.part == Part::Blocks);
            unread.for_each(|problem| (problem.part, problem.remedy) = (Part::Index, Remedy::Repair));
            self.note_what_lags(indexed, journal);
        }
        let journal_cut = files.cuts().into_iter().find(|cut| cut.file.starts_with(JOURNAL_DIRECTORY));
        self.notes.extend(journal_cut.map(|cut| format!("{} ends torn: it was never acknowledged", cut.file)));
    }

    fn note_what_lags(&mut self, indexed: Option<Height>, journal: Option<&[JournalRecord]>) {
        let height = self.replay.state().height();
        if let Some(indexed) = indexed.filter(|indexed| *indexed < height) {
            let lag = height.get() - indexed.get();
            self.notes.push(format!("db/ is {lag} blocks behind blocks/ and catches up at the next start"));
        }
        let above = journal.map_or(0, |records| block_heights(records).filter(|at| *at > height).count());
        if above > 0 {
            self.notes.push(format!("{above} blocks are in journal/ only, and join blocks/ at the next start"));
        }
    }

    pub(super) fn findings(self) -> Findings {
        let state = self.replay.state();
        Findings {
            chain: self.replay.counts(),
            base: Some(self.replay.base()).filter(|base| *base > Height::ZERO),
            height: state.height(),
            hash: state.hash,
            supply: state.supply,
            index: self.index,
            journal: None,
            votes: None,
            notes: self.notes,
            problems: self.problems,
            good_end: self.good_end,
        }
    }
}

/// What ends the way through the blocks.
enum WalkError {
    /// The blocks are not good.
    Chain(StoreError),
    /// The index cannot be read.
    Index(StoreError),
}

impl From<StoreError> for WalkError {
    fn from(error: StoreError) -> Self {
        Self::Chain(error)
    }
}

impl From<BlockFilesError> for WalkError {
    fn from(error: BlockFilesError) -> Self {
        Self::Chain(error.into())
    }
}
