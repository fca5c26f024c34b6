//! The blocks that closed the epochs, as headers with commits and next sets: `snapshots/epochs`, from genesis on.
//!
//! Who begins with a snapshot follows the sets through them, so they are kept when their blocks are not. A record is its
//! length (`u32`, little-endian), the first half of the BLAKE3 hash of what follows, and a header. Not synced: what a crash
//! tears off is cut off and comes from the blocks again.

use super::files::{FileError, Files};
use super::snapshots::SNAPSHOTS_DIRECTORY;
use crate::replica::message::SealedHeader;
use crate::types::codec::{Wire as _, decode, encode};
use crate::types::number::Epoch;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const EPOCHS_FILE: &str = "snapshots/epochs";
const CHECKSUM_BYTES: usize = 16;
const RECORD_HEADER_BYTES: usize = 4 + CHECKSUM_BYTES;

/// The ends of the first epochs, without a gap.
pub struct EpochEnds {
    files: Arc<dyn Files>,
    /// Where the record of each epoch starts, and where the last one ends.
    offsets: Mutex<Vec<u64>>,
}

impl EpochEnds {
    /// Reads what is there, up to the first record that is not what was written.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(files: Arc<dyn Files>) -> Result<Self, FileError> {
        let length = match files.length(EPOCHS_FILE) {
            Err(e) if e.is_missing() => 0,
            length => length?,
        };
        let mut offsets = vec![0];
        let mut end = 0;
        while let Some((_, next)) = read_record(&*files, end, length)? {
            offsets.push(next);
            end = next;
        }
        Ok(Self { files, offsets: Mutex::new(offsets) })
    }

    /// The first epoch whose end is not here.
    pub fn next_epoch(&self) -> Epoch {
        Epoch::new(self.lock().len().saturating_sub(1) as u64)
    }

    /// Adds the end of the next epoch.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn push(&self, end: &SealedHeader) -> Result<(), FileError> {
        let mut offsets = self.lock();
        if offsets.len() == 1 {
            self.files.create_directory(SNAPSHOTS_DIRECTORY)?;
        }
        let start = offsets.last().copied().unwrap_or(0);
        if self.files.length(EPOCHS_FILE).is_ok_and(|length| length > start) {
            // What a crash tore off.
            self.files.truncate(EPOCHS_FILE, start)?;
        }
        let encoded = encode(end);
        let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_le_bytes();
        let record = [&length[..], &checksum(&encoded), &encoded].concat();
        self.files.append(EPOCHS_FILE)?.append(&record)?;
        offsets.push(start + record.len() as u64);
        Ok(())
    }

    /// Forgets them all.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn clear(&self) -> Result<(), FileError> {
        let mut offsets = self.lock();
        self.files.remove(EPOCHS_FILE)?;
        offsets.truncate(1);
        Ok(())
    }

    /// The end of an epoch, if it is here.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn get(&self, epoch: Epoch) -> Result<Option<SealedHeader>, FileError> {
        let at = usize::try_from(epoch.get()).unwrap_or(usize::MAX);
        let span = {
            let offsets = self.lock();
            offsets.get(at).copied().zip(at.checked_add(1).and_then(|next| offsets.get(next)).copied())
        };
        let Some((start, end)) = span else { return Ok(None) };
        Ok(read_record(&*self.files, start, end)?.map(|(header, _)| header))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        // Nothing in here panics while it holds the lock.
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record at `start` of a file of `length` bytes, and where it ends; `None` if none is whole there.
fn read_record(files: &dyn Files, start: u64, length: u64) -> Result<Option<(SealedHeader, u64)>, FileError> {
    if length.saturating_sub(start) < RECORD_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let header = files.read_at(EPOCHS_FILE, start, RECORD_HEADER_BYTES)?;
    let (bytes, sum) = header.split_at(4);
    let bytes = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
    let end = start + (RECORD_HEADER_BYTES + bytes) as u64;
    if bytes > SealedHeader::MAX_BYTES || end > length {
        return Ok(None);
    }
    let encoded = files.read_at(EPOCHS_FILE, start + RECORD_HEADER_BYTES as u64, bytes)?;
    let record = (checksum(&encoded) == sum).then(|| decode::<SealedHeader>(&encoded).ok()).flatten();
    Ok(record.map(|record| (record, end)))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut half = [0; CHECKSUM_BYTES];
    half.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM_BYTES]);
    half
}
