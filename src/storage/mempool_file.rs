//! Transactions that were not final when the node stopped, so that users need not hand them in again. A convenience and
//! no promise: what is missing or damaged is left out, and every transaction is judged anew.
//!
//! ```text
//! checksum [u8; 16] | length u32 | encode(Transaction) | length u32 | ..                      (little-endian)
//! ```

use super::files::{FileError, Files};
use super::whole_file;
use crate::limits::MAX_TX_WIRE_BYTES;
use crate::types::codec::{decode, encode};
use crate::types::transaction::Transaction;

/// The file's name.
pub const MEMPOOL_FILE: &str = "mempool.dat";
const CHECKSUM_BYTES: usize = 16;

/// Writes `txs` in place of what was there.
///
/// # Errors
/// [`FileError`].
pub fn save<'a>(files: &dyn Files, txs: impl IntoIterator<Item = &'a Transaction>) -> Result<(), FileError> {
    let mut body = Vec::new();
    for tx in txs {
        let bytes = encode(tx);
        // A transaction that passed the verifier is far shorter.
        let Ok(length) = u32::try_from(bytes.len()) else { continue };
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&bytes);
    }
    whole_file::replace(files, MEMPOOL_FILE, &[&checksum(&body), &body])
}

/// What was saved last; nothing if that is missing or damaged.
///
/// # Errors
/// [`FileError`] if the file is there and cannot be read.
pub fn load(files: &dyn Files) -> Result<Vec<Transaction>, FileError> {
    let bytes = match files.read(MEMPOOL_FILE) {
        Err(e) if e.is_missing() => return Ok(Vec::new()),
        bytes => bytes?,
    };
    Ok(parse(&bytes).unwrap_or_default())
}

fn parse(bytes: &[u8]) -> Option<Vec<Transaction>> {
    let (sum, mut rest) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
    if *sum != checksum(rest) {
        return None;
    }
    let mut txs = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_TX_WIRE_BYTES)?;
        let (tx, after) = after.split_at_checked(length)?;
        txs.push(decode(tx).ok()?);
        rest = after;
    }
    Some(txs)
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(body);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::World;
    use crate::storage::files::DiskFiles;

    #[test]
    fn what_was_saved_is_loaded_and_what_is_damaged_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        assert!(load(&files).unwrap().is_empty());
        let world = World::default();
        let txs: Vec<Transaction> = (0..3).map(|i| world.pay(&[world.coin(i)], &[1]).tx().clone()).collect();
        save(&files, &txs).unwrap();
        assert_eq!(load(&files).unwrap(), txs);
        save(&files, &txs[..1]).unwrap();
        assert_eq!(load(&files).unwrap(), txs[..1]);
        let whole = files.read(MEMPOOL_FILE).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(parse(&damaged), None, "byte {at}");
            assert_eq!(parse(&whole[..at]), None, "cut at {at}");
        }
    }
}
