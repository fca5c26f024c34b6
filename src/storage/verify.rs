//! A whole data directory looked at (`timed db verify`), each part against the others, and put right as far as that loses
//! nothing.
//!
//! Looking changes nothing, but that sled finishes in `db/` what a crash left half done, as at any start. Putting right
//! renames and writes anew; nothing is removed. What can be put right follows from who holds what: the index comes from the
//! blocks, blocks since the last epoch closed are in the journal too, older ones and the journal have no second copy here.

mod repair;
mod stats;
mod walk;

pub use stats::{Sizes, Stats};

use super::block_files::BLOCKS_DIRECTORY;
use super::files::{FileError, Files, list_numbered, numbered};
use super::journal::JournalError;
use super::journal_files::{JournalFiles, JournalFilesError};
use super::lock::DirectoryLock;
use super::recovery::{self, DirectoryError, block_heights};
use super::replay::ReplayCounts;
use super::sled_store::{self, Counts, SledStore, StoreOptions};
use super::store::StoreError;
use super::untouched::Untouched;
use super::votes_file::VOTES_FILE;
use crate::replica::command::JournalRecord;
use crate::signer::{self, LogReport, SignerError, Tail};
use crate::types::hash::BlockHash;
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, Height};
use std::fmt;
use std::sync::Arc;
use walk::{Walk, index_problem};

/// A part of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// The index.
    Index,
    /// The chain.
    Blocks,
    /// What the chain goes on from, where it does not go back to genesis.
    Snapshots,
    /// What was acknowledged.
    Journal,
    /// What was signed.
    Votes,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "db/",
            Self::Blocks => "blocks/",
            Self::Snapshots => "snapshots/",
            Self::Journal => "journal/",
            Self::Votes => "votes.log",
        })
    }
}

/// What puts a part right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// [`Directory::repair`]: nothing is lost.
    Repair,
    /// A backup, or [`Directory::leave_to_peers`].
    Peers,
    /// Only the operator's word that the file is lost: the node signs from where nothing can have been signed.
    AcceptLostVotes,
    /// Nothing here: the version, key or chain that it belongs to.
    Elsewhere,
}

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub part: Part,
    /// What was found, for people.
    pub what: String,
    /// What helps.
    pub remedy: Remedy,
}

/// What the journal holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JournalCounts {
    /// Records.
    pub records: u64,
    /// Blocks among them.
    pub blocks: u64,
}

/// Everything found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Findings {
    /// The chain in `blocks/`, as far as it is good.
    pub chain: ReplayCounts,
    /// Height of the snapshot that it goes on from; `None`: genesis.
    pub base: Option<Height>,
    /// Height of its last good block.
    pub height: Height,
    /// Hash of that block.
    pub hash: BlockHash,
    /// The supply after it.
    pub supply: Amount,
    /// The index, if it is good.
    pub index: Option<Counts>,
    /// The journal, if it is good.
    pub journal: Option<JournalCounts>,
    /// `votes.log`, if it is there and good.
    pub votes: Option<LogReport>,
    /// What is as it may be after a crash: the next start deals with it.
    pub notes: Vec<String>,
    /// What is damaged.
    pub problems: Vec<Problem>,
    /// Where the last good block ends: number of the file, and offset.
    good_end: Option<(u64, u64)>,
}

/// How far looking at the blocks has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Height of the block.
    pub height: Height,
    /// Bytes of `blocks/` gone through.
    pub done_bytes: u64,
    /// Bytes of `blocks/`.
    pub total_bytes: u64,
}

/// A data directory, locked.
pub struct Directory {
    files: Arc<dyn Files>,
    options: StoreOptions,
    /// The masternode's key, if the node has one.
    key: Option<PublicKey>,
    lock: DirectoryLock,
}

impl Directory {
    /// Locks the directory of `files`, which is this chain's.
    ///
    /// # Errors
    /// [`DirectoryError`]: it is in use, or another chain's.
    pub fn lock(files: Arc<dyn Files>, options: StoreOptions, key: Option<PublicKey>) -> Result<Self, DirectoryError> {
        let lock = DirectoryLock::acquire(files.root())?;
        recovery::check_chain(&Untouched::new(Arc::clone(&files)), &options.chain)?;
        Ok(Self { files, options, key, lock })
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// [`DirectoryError`] if it cannot be looked at; what is damaged is in the [`Findings`].
    pub fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Findings, DirectoryError> {
        let untouched = Arc::new(Untouched::new(Arc::clone(&self.files)));
        let mut problems = Vec::new();
        let store = match SledStore::open_to_check(Arc::clone(&self.files), self.options.clone()) {
            Ok(store) => Some(store),
            Err(error) => {
                problems.push(index_problem(error)?);
                None
            }
        };
        let synced = store.as_ref().and_then(|store| store.journal_synced().ok()).unwrap_or(0);
        let indexed = store.as_ref().map(|store| store.tip().height());
        let walk = sled_store::base_of(&self.files)
            .and_then(|base| Walk::new(&self.options, (&self.files, base), store, self.block_bytes()?));
        let (mut walk, end) = match walk {
            Err(error @ (StoreError::NoBase { .. } | StoreError::BadBase { .. })) => {
                // Nothing to go through the blocks from.
                let mut walk = Walk::new(&self.options, (&self.files, None), None, 0)?;
                walk.problem(Part::Snapshots, &what_of_base(&error), Remedy::Peers);
                (walk, Some(error))
            }
            walk => {
                let mut walk = walk?;
                let end = walk.go(&untouched, &self.options, progress)?;
                (walk, end)
            }
        };
        walk.problems.extend(problems);
        let journal = JournalFiles::open(untouched.clone(), &self.options.chain, self.options.journal_segment_bytes);
        let is_whole = end.is_none() && walk.is_whole(indexed, &untouched);
        let journal = self.judge_journal(&mut walk, journal, (is_whole, synced))?;
        if !walk.problems.iter().any(|problem| problem.part == Part::Snapshots) {
            walk.judge_end(end, indexed, journal.as_deref(), &untouched);
        }
        let votes = self.judge_votes(&mut walk)?;
        let mut findings = walk.findings();
        findings.journal = journal.map(|records| JournalCounts {
            records: records.len() as u64,
            blocks: block_heights(&records).count() as u64,
        });
        findings.votes = votes;
        findings.problems.sort_by_key(|problem| problem.part);
        Ok(findings)
    }

    fn block_bytes(&self) -> Result<u64, FileError> {
        let numbers = list_numbered(&*self.files, BLOCKS_DIRECTORY)?;
        let lengths = numbers.iter().map(|number| self.files.length(&numbered(BLOCKS_DIRECTORY, *number)));
        lengths.sum()
    }

    /// The records, if the journal is whole and goes with the chain.
    fn judge_journal(
        &self,
        walk: &mut Walk,
        opened: Result<(JournalFiles, Vec<JournalRecord>), JournalFilesError>,
        (is_chain_whole, synced): (bool, u64),
    ) -> Result<Option<Vec<JournalRecord>>, DirectoryError> {
        let (journal, records) = match opened {
            Ok(opened) => opened,
            Err(JournalFilesError::File(error)) => return Err(error.into()),
            Err(error) => {
                walk.problem(Part::Journal, &what_of_journal(&error), Remedy::Peers);
                return Ok(None);
            }
        };
        // Of a chain that is cut short nobody can say which epochs it closed.
        let tip = if is_chain_whole { walk.replay.state().height() } else { Height::ZERO };
        let closes = |height| Ok(!is_chain_whole || walk.replay.closed_epoch(height));
        let has_blocks = tip > walk.replay.base();
        let judged = recovery::check_journal((tip, has_blocks, synced), &journal, &records, &closes);
        if let Err(error) = judged.and_then(|()| match is_chain_whole {
            true => recovery::check_blocks(&records, tip),
            false => Ok(()),
        }) {
            let part = if matches!(error, DirectoryError::BlocksLost { .. }) { Part::Blocks } else { Part::Journal };
            walk.problem(part, &what_of_directory(&error), Remedy::Peers);
            return Ok((part == Part::Blocks).then_some(records));
        }
        Ok(Some(records))
    }

    fn judge_votes(&self, walk: &mut Walk) -> Result<Option<LogReport>, DirectoryError> {
        let content = match self.files.read(VOTES_FILE) {
            Err(error) if error.is_missing() => {
                let registry = &walk.replay.state().registry;
                if self.key.is_some_and(|key| registry.by_key(&key).is_some()) {
                    walk.notes.push(
                        "votes.log is missing and the key is a masternode's: the node observes until it is started once \
                         with --accept-lost-votes"
                            .to_owned(),
                    );
                }
                return Ok(None);
            }
            content => content?,
        };
        match signer::inspect(self.options.chain.id(), self.key, &content) {
            Ok(report) => {
                match report.tail {
                    Tail::Whole => {}
                    Tail::Torn => walk.notes.push("votes.log ends torn: what stood there was never sent".to_owned()),
                    Tail::Repaired => {
                        walk.notes.push("a record of votes.log has one damaged copy; the other is good".to_owned());
                    }
                    Tail::Lost => walk.notes.push(
                        "the last record of votes.log is damaged in both copies: the node signs from the next height and \
                         the next epoch on"
                            .to_owned(),
                    ),
                }
                Ok(Some(report))
            }
            Err(SignerError::Damaged { offset, sequence }) => {
                let what = format!("byte {offset}, in record {sequence}, which had been written to disk");
                walk.problem(Part::Votes, &what, Remedy::AcceptLostVotes);
                Ok(None)
            }
            Err(error) => {
                walk.problem(Part::Votes, &error, Remedy::Elsewhere);
                Ok(None)
            }
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({:?})", self.lock)
    }
}

/// What is wrong, without the advice that the node gives when it refuses to start: here it depends on more than the part.
fn what_of_journal(error: &JournalFilesError) -> String {
    match error {
        JournalFilesError::Journal(JournalError::Damaged { sequence, segment, offset, synced }) => format!(
            "segment {segment}, byte {offset}: record {sequence} cannot be read, and everything up to record {synced} had \
             been written to disk"
        ),
        error => error.to_string(),
    }
}

fn what_of_base(error: &StoreError) -> String {
    match error {
        StoreError::NoBase { first } => format!("none leads to block {first}, the first in blocks/"),
        StoreError::BadBase { height, reason } => format!("that of block {height} is damaged: {reason}"),
        error => error.to_string(),
    }
}

fn what_of_directory(error: &DirectoryError) -> String {
    match error {
        DirectoryError::JournalLost { part, first, next } => {
            format!("its {part} is missing: it has records {first} up to, not including, {next}")
        }
        DirectoryError::BlocksLost { expected, found } => {
            format!("block {expected} is missing; journal/ goes on with block {found}")
        }
        error => error.to_string(),
    }
}
