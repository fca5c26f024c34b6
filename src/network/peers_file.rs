//! The address book as it is kept over restarts: `peers.json`.

use super::book::{Book, Entry};
use super::kept;
use crate::limits::MAX_PEERS_FILE_BYTES;
use crate::storage::files::Files;
use crate::types::number::TimeMs;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The file's name.
pub(super) const PEERS_FILE: &str = "peers.json";

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedBook {
    peers: Vec<SavedEntry>,
}

/// Times are unix milliseconds, zero: never.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedEntry {
    address: SocketAddr,
    source: IpAddr,
    heard: u64,
    dialed: u64,
    met: u64,
    failures: u32,
}

impl SavedBook {
    /// A book as it is now.
    pub(super) fn of(book: &Book) -> Self {
        let saved = |(address, entry): (&SocketAddr, &Entry)| SavedEntry {
            address: *address,
            source: entry.source,
            heard: entry.heard.0,
            dialed: entry.dialed.0,
            met: entry.met.0,
            failures: entry.failures,
        };
        Self { peers: book.entries().map(saved).collect() }
    }

    /// Writes it. Whether that was done.
    pub(super) fn save(&self, files: &dyn Files) -> bool {
        kept::save(files, PEERS_FILE, self)
    }
}

/// Fills a book with what was saved. What says that it happened later than now happened now, and where the last dial
/// succeeded nobody waits for a pause: links of before the restart come back at once.
pub(super) fn load(files: &dyn Files, book: &mut Book, now: TimeMs) {
    let Some(saved) = kept::load::<SavedBook>(files, PEERS_FILE, MAX_PEERS_FILE_BYTES) else { return };
    for SavedEntry { address, source, heard, dialed, met, failures } in saved.peers {
        let [heard, dialed, met] = [heard, dialed, met].map(|time| TimeMs(time).min(now));
        let dialed = if failures == 0 { TimeMs(0) } else { dialed };
        book.restore(address, Entry { source, heard, dialed, met, failures });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_NEW_ADDRESSES, MAX_NEW_PER_SOURCE, MAX_TRIED_ADDRESSES};
    use crate::storage::files::DiskFiles;

    const NOW: TimeMs = TimeMs(1_000_000);

    fn loaded(files: &DiskFiles) -> Vec<(SocketAddr, Entry)> {
        let mut book = Book::new([1; 32]);
        load(files, &mut book, NOW);
        book.entries().map(|(address, entry)| (*address, *entry)).collect()
    }

    fn write(files: &DiskFiles, bytes: &[u8]) {
        crate::storage::whole_file::replace(files, PEERS_FILE, &[bytes]).unwrap();
    }

    #[test]
    fn a_book_comes_back_as_it_was_saved() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        assert!(loaded(&files).is_empty(), "the first start");
        let mut book = Book::new([1; 32]);
        let [a, b, c]: [SocketAddr; 3] =
            ["198.51.100.1:24000", "[2001:db8::1]:7", "10.0.0.1:1"].map(|text| text.parse().unwrap());
        book.met(a, NOW);
        book.learn(b, a.ip(), TimeMs(5));
        book.learn(c, a.ip(), NOW);
        book.dialed(b, TimeMs(7));
        book.failed(b, TimeMs(8));
        assert!(SavedBook::of(&book).save(&files));
        let mut before: Vec<(SocketAddr, Entry)> = book.entries().map(|(address, entry)| (*address, *entry)).collect();
        assert_eq!((before[0].0, before[0].1.dialed), (a, NOW));
        before[0].1.dialed = TimeMs(0);
        assert_eq!(loaded(&files), before);
    }

    #[test]
    fn a_damaged_file_is_put_away_and_the_book_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        let wrong = [
            &b"{"[..],
            b"",
            b"\xff\xfe",
            br#"{"peers": [{"address": "nowhere"}]}"#,
            br#"{"peers": [], "more": 1}"#,
            &vec![b' '; usize::try_from(MAX_PEERS_FILE_BYTES).unwrap() + 1],
        ];
        for (number, bytes) in wrong.into_iter().enumerate() {
            write(&files, bytes);
            assert!(loaded(&files).is_empty());
            assert!(files.length(PEERS_FILE).unwrap_err().is_missing());
            assert_eq!(files.read(&format!("{PEERS_FILE}.damaged-{number}")).unwrap(), bytes, "it is kept");
        }
    }

    #[test]
    fn a_file_brings_no_more_than_the_book_may_hold_and_nothing_from_the_future() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        let entry = |n: u32, met: u64| SavedEntry {
            address: SocketAddr::from((std::net::Ipv4Addr::from(0x1000_0000 + n * 0x1_0000), 1)),
            source: IpAddr::from([198, 51, 100, 1]),
            heard: u64::MAX,
            dialed: u64::MAX,
            met,
            failures: u32::MAX,
        };
        let peers = (0..1_500).map(|n| entry(n, u64::MAX)).chain((2_000..2_600).map(|n| entry(n, 0))).collect();
        assert!(SavedBook { peers }.save(&files));
        let loaded = loaded(&files);
        let tried = loaded.iter().filter(|(_, entry)| entry.met == NOW).count();
        assert_eq!(tried, MAX_TRIED_ADDRESSES);
        let told = loaded.iter().filter(|(_, e)| e.source == IpAddr::from([198, 51, 100, 1]) && e.met == TimeMs(0));
        assert_eq!(told.count(), MAX_NEW_PER_SOURCE);
        assert!(loaded.len() <= MAX_TRIED_ADDRESSES + MAX_NEW_ADDRESSES);
        assert!(loaded.iter().all(|(_, entry)| entry.heard <= NOW && entry.dialed <= NOW));
    }

    #[test]
    fn a_full_book_fits_the_file() {
        let mut book = Book::new([1; 32]);
        let entry = Entry { source: IpAddr::from([0xffff; 8]), heard: NOW, dialed: NOW, met: NOW, failures: u32::MAX };
        let address = |n: u16| SocketAddr::from(([0x2abc, n, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff], 65_535));
        book.restore(address(0), entry);
        let one = serde_json::to_vec_pretty(&SavedBook::of(&book)).unwrap().len();
        // Times of the year 5138 have 14 digits.
        let most = (one + 3 * 14) * (MAX_TRIED_ADDRESSES + MAX_NEW_ADDRESSES);
        assert!(most as u64 <= MAX_PEERS_FILE_BYTES, "{most}");
    }
}
