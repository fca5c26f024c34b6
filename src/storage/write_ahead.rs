//! What is written before anything is promised: the journal and `votes.log`, synced together.
//!
//! Invariants: the journal is synced before a byte of `votes.log` is written, so a recorded receipt always has its
//! transaction and certificate on disk, and votes of an epoch are forgotten only behind the block that closed it. After
//! a failure nothing more is written, and nothing more may be acknowledged: the node starts anew and reads what there is.

use super::files::FileError;
use super::journal_files::{JournalFiles, JournalFilesError};
use super::votes_file::VotesFile;
use crate::replica::command::JournalRecord;
use crate::types::number::Height;

/// Why nothing can be promised any more.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalFilesError),
    /// `votes.log` cannot be written.
    #[error(transparent)]
    Votes(#[from] FileError),
    /// An earlier write failed.
    #[error("an earlier write failed; nothing is written until the node has been started anew")]
    Failed,
}

impl WriteError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Journal(JournalFilesError::File(error)) | Self::Votes(error) => error.is_full(),
            Self::Journal(_) | Self::Failed => false,
        }
    }
}

/// The journal and `votes.log` of a node that runs.
#[derive(Debug)]
pub struct WriteAhead {
    journal: JournalFiles,
    votes: VotesFile,
    has_failed: bool,
}

impl WriteAhead {
    /// Joins the two.
    pub fn new(journal: JournalFiles, votes: VotesFile) -> Self {
        Self { journal, votes, has_failed: false }
    }

    /// Adds a record to the journal.
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written after one.
    pub fn append(&mut self, record: &JournalRecord) -> Result<(), WriteError> {
        self.check_writable()?;
        let appended = self.journal.append(record).map_err(WriteError::from);
        self.or_fail(appended)
    }

    /// Adds bytes to `votes.log`.
    pub fn append_votes(&mut self, bytes: &[u8]) {
        self.votes.append(bytes);
    }

    /// Lets `bytes` take the place of `votes.log` and of everything added to it so far.
    pub fn replace_votes(&mut self, bytes: Vec<u8>) {
        self.votes.replace(bytes);
    }

    /// Everything added is on disk when this returns, and may be acknowledged.
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written after one.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.check_writable()?;
        let synced = self.sync_both();
        self.or_fail(synced)
    }

    /// Sequence number of the first record that the journal still has.
    pub fn first_sequence(&self) -> u64 {
        self.journal.first_sequence()
    }

    /// Sequence number of the last record of the journal that is synced.
    pub fn synced_sequence(&self) -> u64 {
        self.journal.synced_sequence()
    }

    /// The store is durable up to `height`: lets older segments go; returns how many.
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written after one.
    pub fn retire(&mut self, height: Height) -> Result<usize, WriteError> {
        self.check_writable()?;
        let retired = self.journal.retire(height).map_err(WriteError::from);
        self.or_fail(retired)
    }

    fn sync_both(&mut self) -> Result<(), WriteError> {
        self.journal.sync()?;
        self.votes.sync()?;
        Ok(())
    }

    fn check_writable(&self) -> Result<(), WriteError> {
        if self.has_failed { Err(WriteError::Failed) } else { Ok(()) }
    }

    fn or_fail<T>(&mut self, result: Result<T, WriteError>) -> Result<T, WriteError> {
        self.has_failed |= result.is_err();
        result
    }
}
