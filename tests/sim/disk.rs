//! What a node has on disk, and what a crash leaves of it.

use crate::rng::Rng;
use timed::storage::journal::Segment;

/// One append-only file.
#[derive(Clone, Debug, Default)]
pub struct File {
    bytes: Vec<u8>,
    synced: usize,
    /// Where the last append began.
    last_append: usize,
}

/// What a crash does to the part of a file that was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tear {
    /// All of it survives: the process died, not the machine.
    Nothing,
    /// All of it is lost.
    Everything,
    /// It is cut off at some byte.
    Cut,
    /// It is cut off at some byte, and a bit before that is flipped.
    Flip,
    /// This many bytes of it survive.
    Keep(usize),
}

impl File {
    /// Everything in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes, not synced yet.
    pub fn append(&mut self, bytes: &[u8]) {
        self.last_append = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds the first part of `bytes` only: the disk is full.
    pub fn append_part(&mut self, rng: &mut Rng, bytes: &[u8]) {
        let part = rng.index(bytes.len().max(1));
        self.append(&bytes[..part]);
    }

    /// The first `len` bytes are safe.
    pub fn sync(&mut self, len: usize) {
        self.synced = self.synced.max(len.min(self.bytes.len()));
    }

    /// Another content takes the place of this one, in one step and synced (written beside it, synced, renamed).
    pub fn replace(&mut self, bytes: Vec<u8>) {
        self.synced = bytes.len();
        self.last_append = bytes.len();
        self.bytes = bytes;
    }

    /// Cuts the file, as recovery does with a torn tail, and syncs it.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.synced = self.bytes.len();
        self.last_append = self.last_append.min(self.bytes.len());
    }

    /// A crash: what was synced stays, `tear` says what becomes of the rest.
    pub fn crash(&mut self, rng: &mut Rng, tear: Tear) {
        let unsynced = self.bytes.len() - self.synced;
        match tear {
            Tear::Nothing => {}
            Tear::Everything => self.bytes.truncate(self.synced),
            Tear::Keep(bytes) => self.bytes.truncate(self.synced.saturating_add(bytes)),
            Tear::Cut | Tear::Flip => self.bytes.truncate(self.synced + rng.index(unsynced + 1)),
        }
        let from = self.synced.max(self.last_append.min(self.bytes.len()));
        if tear == Tear::Flip && from < self.bytes.len() {
            let at = from + rng.index(self.bytes.len() - from);
            self.bytes[at] ^= 1 << rng.below(8);
        }
    }
}

/// The files of one node, apart from its store.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What the signer signed; `None` before there was one, or when it was lost.
    pub votes: Option<File>,
    /// Segments of the journal by the sequence number of their first record, ascending.
    pub segments: Vec<(u64, File)>,
    /// The store height from which on a segment is of no use: the height of the closing block that ends it.
    pub done_at: Vec<u64>,
    /// Bytes that may still be written before the disk is full.
    pub space: Option<usize>,
}

impl Disk {
    /// The last segment of the journal.
    pub fn journal(&mut self, next_sequence: u64) -> &mut File {
        if self.segments.len() == self.done_at.len() {
            self.segments.push((next_sequence, File::default()));
        }
        let last = self.segments.len() - 1;
        &mut self.segments[last].1
    }

    /// The record just appended ended an epoch: the next one begins a new segment.
    pub fn end_segment(&mut self, height: u64) {
        self.done_at.push(height);
    }

    /// Drops the segments that a store which is durable up to `height` makes useless.
    pub fn drop_segments(&mut self, height: u64) {
        while self.done_at.first().is_some_and(|done| *done <= height) {
            self.done_at.remove(0);
            self.segments.remove(0);
        }
    }

    /// The journal as it is read back.
    pub fn journal_segments(&self) -> Vec<Segment<'_>> {
        self.segments.iter().map(|(first, file)| Segment { first: *first, bytes: file.bytes() }).collect()
    }

    /// Cuts a torn tail off the journal. Segments without a record left go.
    pub fn cut_journal(&mut self, kept_bytes: &[usize]) {
        for (position, ((_, file), kept)) in self.segments.iter_mut().zip(kept_bytes).enumerate() {
            if *kept < file.len() {
                self.done_at.truncate(position);
            }
            file.truncate(*kept);
        }
        let used = kept_bytes.iter().rposition(|kept| *kept > 0).map_or(0, |last| last + 1);
        self.segments.truncate(used);
        self.done_at.truncate(used);
    }

    /// Bytes that wait to be synced, of the file with most of them.
    pub fn unsynced_bytes(&self) -> usize {
        let files = self.segments.iter().map(|(_, file)| file).chain(&self.votes);
        files.map(|file| file.bytes.len() - file.synced).max().unwrap_or(0)
    }

    /// Takes `bytes` off the free space; false if they do not fit.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        match &mut self.space {
            Some(space) if *space < bytes => {
                *space = 0;
                false
            }
            Some(space) => {
                *space -= bytes;
                true
            }
            None => true,
        }
    }

    /// A crash of the machine, or of the process alone.
    pub fn crash(&mut self, rng: &mut Rng, tear: Tear) {
        if let Some(votes) = &mut self.votes {
            votes.crash(rng, tear);
        }
        for (_, file) in &mut self.segments {
            file.crash(rng, tear);
        }
    }
}
