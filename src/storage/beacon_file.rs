//! How far the delay function of the next block is, so that a restart goes on with it. A convenience and no promise: nothing
//! is synced, and whoever uses what is here checks the proof that comes of it.
//!
//! ```text
//! "timed beacon v1\n" | seed [32] | iterations u64 | check [16] | (power [256] | check [16])..       (little-endian)
//! ```
//! A power is an intermediate value that the evaluation keeps. `check` is of all before it; records end where it is wrong.

use super::files::{Append, FileError, Files};
use crate::crypto::vdf::POWER_BYTES;
use crate::types::hash::Hash;
use std::sync::Arc;

/// The file's name.
pub const BEACON_FILE: &str = "beacon.dat";

const MAGIC: &[u8; 16] = b"timed beacon v1\n";
const CHECK_BYTES: usize = 16;
const HEAD_BYTES: usize = MAGIC.len() + 32 + 8;

/// An intermediate value.
pub type Power = [u8; POWER_BYTES];

/// The file, open behind what counts in it.
pub struct BeaconFile {
    handle: Box<dyn Append>,
    hasher: blake3::Hasher,
}

impl BeaconFile {
    /// The file of this evaluation, and the powers that an earlier run left in it. Another evaluation's is begun anew.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(files: &Arc<dyn Files>, seed: &Hash, iterations: u64) -> Result<(Self, Vec<Power>), FileError> {
        let found = match files.read(BEACON_FILE) {
            Err(e) if e.is_missing() => Vec::new(),
            found => found?,
        };
        let head = [&MAGIC[..], seed.as_bytes(), &iterations.to_le_bytes()].concat();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        let (powers, length) = read(&found, &head, &mut hasher);
        if length == 0 {
            files.remove(BEACON_FILE)?;
        } else if length < found.len() {
            files.truncate(BEACON_FILE, length as u64)?;
        }
        let mut handle = files.append(BEACON_FILE)?;
        if length == 0 {
            handle.append(&[&head[..], &check(&hasher)].concat())?;
        }
        Ok((Self { handle, hasher }, powers))
    }

    /// Adds the powers that come next.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn append(&mut self, powers: &[Power]) -> Result<(), FileError> {
        let mut bytes = Vec::with_capacity(powers.len() * (POWER_BYTES + CHECK_BYTES));
        for power in powers {
            self.hasher.update(power);
            bytes.extend_from_slice(power);
            bytes.extend_from_slice(&check(&self.hasher));
        }
        self.handle.append(&bytes)
    }
}

/// The first bytes of the hash of all that went in.
fn check(hasher: &blake3::Hasher) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// The powers in `found`, and how many bytes of it count; `hasher`, which has had `head`, goes along.
fn read(found: &[u8], head: &[u8], hasher: &mut blake3::Hasher) -> (Vec<Power>, usize) {
    let Some(mut rest) = found.strip_prefix(head).and_then(|rest| rest.strip_prefix(&check(hasher))) else {
        return (Vec::new(), 0);
    };
    let (mut powers, mut length) = (Vec::new(), HEAD_BYTES + CHECK_BYTES);
    while let Some((power, after)) = rest.split_first_chunk::<POWER_BYTES>() {
        let mut next = hasher.clone();
        next.update(power);
        let Some(after) = after.strip_prefix(&check(&next)) else { break };
        (*hasher, rest) = (next, after);
        powers.push(*power);
        length += POWER_BYTES + CHECK_BYTES;
    }
    (powers, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::DiskFiles;

    const SEED: Hash = Hash([3; 32]);

    fn files(directory: &tempfile::TempDir) -> Arc<dyn Files> {
        Arc::new(DiskFiles::new(directory.path()))
    }

    fn powers(from: u8, count: u8) -> Vec<Power> {
        (from..from + count).map(|n| [n; POWER_BYTES]).collect()
    }

    #[test]
    fn what_was_kept_is_found_again_and_of_another_evaluation_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let (mut file, found) = BeaconFile::open(&files, &SEED, 900).unwrap();
        assert!(found.is_empty());
        file.append(&powers(1, 3)).unwrap();
        file.append(&[]).unwrap();
        drop(file);
        let (mut file, found) = BeaconFile::open(&files, &SEED, 900).unwrap();
        assert_eq!(found, powers(1, 3));
        file.append(&powers(4, 2)).unwrap();
        drop(file);
        assert_eq!(BeaconFile::open(&files, &SEED, 900).unwrap().1, powers(1, 5));
        for (seed, iterations) in [(SEED, 901), (Hash([4; 32]), 901), (SEED, 900)] {
            assert!(BeaconFile::open(&files, &seed, iterations).unwrap().1.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_or_damaged_ends_the_powers_and_more_follow_behind() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        BeaconFile::open(&files, &SEED, 900).unwrap().0.append(&powers(1, 2)).unwrap();
        let whole = files.read(BEACON_FILE).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            for bytes in [&whole[..at], &damaged[..]] {
                std::fs::write(directory.path().join(BEACON_FILE), bytes).unwrap();
                let (mut file, found) = BeaconFile::open(&files, &SEED, 900).unwrap();
                assert!(found.len() < 2 && powers(1, 2).starts_with(&found), "{at}");
                file.append(&powers(9, 1)).unwrap();
                drop(file);
                let (_, again) = BeaconFile::open(&files, &SEED, 900).unwrap();
                assert_eq!(again, [found, powers(9, 1)].concat(), "{at}");
            }
        }
    }
}
