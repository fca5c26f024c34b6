//! The journal as files: segments below `journal/`, each named by the sequence number of its first record, with `.epoch`
//! behind it if an epoch begins there.
//!
//! Invariants: the last segment is the one that is written to, and there always is one, so that the journal never
//! loses count; what [`JournalFiles::sync`] returned for survives a power cut, in whatever segments it stands; a
//! segment goes only as a whole, the oldest first, and only when [`JournalFiles::retire`] is told that the store is
//! durable up to the block that closed the epoch of its last record: everything final in an epoch is in its blocks.
//! After a failed write or sync nothing more is written: what the disk holds is unknown until it is read anew.

use super::files::{Append, FileError, Files, file_number, numbered};
use super::journal::{self, Journal, JournalError, Segment};
use crate::chain::spec::{Chain, ChainSpec};
use crate::replica::command::JournalRecord;
use crate::types::number::Height;
use std::collections::VecDeque;
use std::sync::Arc;

/// Where the segments are.
pub const JOURNAL_DIRECTORY: &str = "journal";

/// Why the journal's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFilesError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What the files hold is no journal, or no longer all of it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An earlier write or sync failed.
    #[error("the journal could not be written before; nothing is written until the node has been started anew")]
    Failed,
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy)]
struct SegmentFile {
    first: u64,
    /// The records before it are of epochs that are over: none is missing if they are.
    begins_epoch: bool,
    /// The block that closed the epoch of the last record in it; `None` if that epoch has not closed.
    useless_from: Option<Height>,
}

/// The journal of a node that runs.
pub struct JournalFiles {
    files: Arc<dyn Files>,
    chain: Chain,
    /// A segment takes no further record once it has this many bytes.
    segment_bytes: u64,
    journal: Journal,
    segments: VecDeque<SegmentFile>,
    current: Box<dyn Append>,
    current_bytes: u64,
    /// Appended and not yet handed to the system.
    buffer: Vec<u8>,
    /// Earlier segments with bytes that are not synced.
    unsynced: Vec<Box<dyn Append>>,
    /// The directory has a segment that it was not synced with.
    is_directory_unsynced: bool,
    /// The last record closed an epoch: the next one starts a segment.
    is_epoch_over: bool,
    has_failed: bool,
}

impl std::fmt::Debug for JournalFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JournalFiles({:?}, next {})", self.segments, self.journal.next_sequence())
    }
}

impl JournalFiles {
    /// Reads the journal, cuts off a torn tail and syncs the rest; starts a journal if there is none.
    ///
    /// # Errors
    /// [`JournalFilesError`]: a file cannot be read or written, or an acknowledged record is lost.
    pub fn open(
        files: Arc<dyn Files>,
        chain: &Chain,
        segment_bytes: u64,
    ) -> Result<(Self, Vec<JournalRecord>), JournalFilesError> {
        files.create_directory(JOURNAL_DIRECTORY)?;
        files.sync_directory("")?;
        let found: Vec<SegmentFile> =
            files.list(JOURNAL_DIRECTORY)?.iter().filter_map(|name| SegmentFile::named(name)).collect();
        let mut contents = Vec::with_capacity(found.len());
        for segment in &found {
            contents.push(files.read(&segment.name())?);
        }
        let segments: Vec<Segment<'_>> =
            found.iter().zip(&contents).map(|(found, bytes)| Segment { first: found.first, bytes }).collect();
        let read = journal::read(&chain.id(), &segments)?;
        let (mut kept, current_bytes) = keep(&*files, &found, &contents, &read)?;
        // Only a new journal has no segment: the one that the next record goes into is kept, torn or not.
        let first = SegmentFile { first: read.journal.next_sequence(), begins_epoch: true, useless_from: None };
        let last = *kept.back().unwrap_or(&first);
        if kept.is_empty() {
            kept.push_back(first);
        }
        let current = files.append(&last.name())?;
        files.sync_directory(JOURNAL_DIRECTORY)?;
        let mut journal = Self {
            files,
            chain: chain.clone(),
            segment_bytes,
            journal: read.journal,
            segments: kept,
            current,
            current_bytes,
            buffer: Vec::new(),
            unsynced: Vec::new(),
            is_directory_unsynced: false,
            is_epoch_over: false,
            has_failed: false,
        };
        journal.find_closed_epochs(&read.records);
        Ok((journal, read.records))
    }

    fn find_closed_epochs(&mut self, records: &[JournalRecord]) {
        let Some(start) = self.segments.front().map(|segment| segment.first) else { return };
        for (sequence, record) in (start..).zip(records) {
            self.is_epoch_over = false;
            if let Some(height) = closing_height(&self.chain, record) {
                self.close_epoch(height, sequence);
            }
        }
    }

    /// Adds a record. It is in no file before [`JournalFiles::sync`] or a full segment.
    ///
    /// # Errors
    /// [`JournalFilesError`]; nothing can be appended after one.
    pub fn append(&mut self, record: &JournalRecord) -> Result<(), JournalFilesError> {
        self.check_writable()?;
        let is_full = self.is_epoch_over || self.current_bytes >= self.segment_bytes;
        if is_full && self.current_bytes > 0 {
            let rolled = self.start_segment();
            self.or_fail(rolled)?;
        }
        self.is_epoch_over = false;
        let (sequence, bytes) = self.journal.append(record);
        self.current_bytes = self.current_bytes.saturating_add(bytes.len() as u64);
        self.buffer.extend_from_slice(&bytes);
        if let Some(height) = closing_height(&self.chain, record) {
            self.close_epoch(height, sequence);
        }
        Ok(())
    }

    /// Everything appended is on disk when this returns.
    ///
    /// # Errors
    /// [`JournalFilesError`]; nothing can be appended after one.
    pub fn sync(&mut self) -> Result<(), JournalFilesError> {
        self.check_writable()?;
        let synced = self.sync_files();
        self.or_fail(synced)?;
        let last = self.journal.next_sequence().saturating_sub(1);
        self.journal.synced(last);
        Ok(())
    }

    /// The store is durable up to `height`: removes the segments that are of no use any more; returns how many.
    ///
    /// # Errors
    /// [`JournalFilesError::File`]: some may be there still, which harms nothing.
    pub fn retire(&mut self, height: Height) -> Result<usize, JournalFilesError> {
        self.check_writable()?;
        let before = self.segments.len();
        while self.segments.len() > 1 && self.segments.front().is_some_and(|segment| segment.is_useless_at(height)) {
            if self.is_directory_unsynced {
                // The segment that stays has to be there for good before another goes.
                let synced = self.sync_files();
                self.or_fail(synced)?;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.files.remove(&segment.name())?;
            }
        }
        let removed = before - self.segments.len();
        if removed > 0 {
            self.files.sync_directory(JOURNAL_DIRECTORY)?;
        }
        Ok(removed)
    }

    /// Sequence number of the last record that is synced: what the store remembers, to notice if it is gone.
    pub fn synced_sequence(&self) -> u64 {
        self.journal.synced_sequence()
    }

    /// Whether its first record is the first of an epoch.
    pub fn begins_with_epoch(&self) -> bool {
        self.segments.front().is_some_and(|segment| segment.begins_epoch)
    }

    /// Whether the journal begins in an epoch that a block up to `height` closed: then its beginning is of no use.
    pub fn begins_before_epoch_of(&self, height: Height) -> bool {
        self.segments.front().is_some_and(|segment| segment.is_useless_at(height))
    }

    /// Sequence number of the first record in the files, or of the first that will be.
    pub fn first_sequence(&self) -> u64 {
        self.segments.front().map_or(1, |segment| segment.first)
    }

    /// Sequence number of the next record.
    pub fn next_sequence(&self) -> u64 {
        self.journal.next_sequence()
    }

    /// A block closed its epoch as record `sequence`: every record up to it will be useless.
    fn close_epoch(&mut self, height: Height, sequence: u64) {
        for segment in self.segments.iter_mut().filter(|segment| segment.first <= sequence) {
            segment.useless_from.get_or_insert(height);
        }
        self.is_epoch_over = true;
    }

    fn start_segment(&mut self) -> Result<(), JournalFilesError> {
        self.write_buffer()?;
        let first = self.journal.next_sequence();
        let segment = SegmentFile { first, begins_epoch: self.is_epoch_over, useless_from: None };
        let next = self.files.append(&segment.name())?;
        self.unsynced.push(std::mem::replace(&mut self.current, next));
        self.segments.push_back(segment);
        self.current_bytes = 0;
        self.is_directory_unsynced = true;
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), JournalFilesError> {
        self.current.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn sync_files(&mut self) -> Result<(), JournalFilesError> {
        if self.buffer.is_empty() && self.unsynced.is_empty() && !self.is_directory_unsynced {
            return Ok(());
        }
        for mut segment in self.unsynced.drain(..) {
            segment.sync()?;
        }
        self.write_buffer()?;
        self.current.sync()?;
        if self.is_directory_unsynced {
            self.files.sync_directory(JOURNAL_DIRECTORY)?;
            self.is_directory_unsynced = false;
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), JournalFilesError> {
        if self.has_failed { Err(JournalFilesError::Failed) } else { Ok(()) }
    }

    fn or_fail<T>(&mut self, result: Result<T, JournalFilesError>) -> Result<T, JournalFilesError> {
        self.has_failed |= result.is_err();
        result
    }
}

/// Cuts off what is torn and syncs the rest; returns the segments that stay, and the bytes of the last one.
fn keep(
    files: &dyn Files,
    found: &[SegmentFile],
    contents: &[Vec<u8>],
    read: &journal::Contents,
) -> Result<(VecDeque<SegmentFile>, u64), FileError> {
    let next = read.journal.next_sequence();
    let (mut kept, mut last_bytes) = (VecDeque::with_capacity(found.len()), 0);
    for ((segment, bytes), kept_bytes) in found.iter().zip(contents).zip(&read.kept_bytes) {
        if *kept_bytes == 0 && segment.first != next {
            files.remove(&segment.name())?;
            continue;
        }
        if *kept_bytes < bytes.len() {
            files.truncate(&segment.name(), *kept_bytes as u64)?;
        }
        // Later records will say that all of this was synced: it may stand in the page cache only.
        files.sync(&segment.name())?;
        kept.push_back(*segment);
        last_bytes = *kept_bytes as u64;
    }
    Ok((kept, last_bytes))
}

/// What is behind the number in the name of a segment with which an epoch begins.
const EPOCH_SUFFIX: &str = ".epoch";

impl SegmentFile {
    fn name(&self) -> String {
        let suffix = if self.begins_epoch { EPOCH_SUFFIX } else { "" };
        numbered(JOURNAL_DIRECTORY, self.first) + suffix
    }

    fn named(name: &str) -> Option<Self> {
        let plain = name.strip_suffix(EPOCH_SUFFIX);
        let first = file_number(plain.unwrap_or(name))?;
        Some(Self { first, begins_epoch: plain.is_some(), useless_from: None })
    }

    fn is_useless_at(&self, height: Height) -> bool {
        self.useless_from.is_some_and(|from| from <= height)
    }
}

/// The height of the block in `record`, if that block closes its epoch.
fn closing_height(spec: &ChainSpec, record: &JournalRecord) -> Option<Height> {
    let JournalRecord::Block(sealed) = record else { return None };
    let header = &sealed.block.header;
    let opens_slot = sealed.block.vdf.is_some();
    (opens_slot && spec.opening_closes_epoch(header.opened)).then_some(header.height)
}
