//! `votes.log` as bytes: what to append for a record, and the whole file anew. Reading is in [`recover`].
//!
//! A file header (chain and key: the log of another is refused), then records. Each record is written **twice**, one
//! copy right behind the other, in one append ([`frame`] has the layout). Why, and what is made of a damaged end:
//!
//! - *Cut short* within the first copy, or within the second if the first is damaged: the append was never synced, so
//!   the signature never left. Truncated. The same holds for zeros at the end: a file that grew before its content
//!   reached the disk. No copy ends in zero.
//! - *Damaged in one copy*: the other copy has it all. This must not be guessed at, for the record may have been
//!   synced, and its signature be out, when the disk flipped a bit; truncating it would sign twice. Repaired.
//! - *Damaged in both copies at the end*: more than one fault, or a torn write that left holes. Whether it was synced
//!   cannot be known. Every record but the first of a height or epoch finds in front of it a [`Record::Reach`] that
//!   says how far it can have gone; so the record is dropped, and signing goes on past that height and epoch.
//! - *Anywhere else*: refused. Each record says up to where everything was synced when it was written, and names the
//!   checksum of the one before: none can be lost or exchanged in the middle unnoticed. A rewritten file is synced
//!   before it takes the old one's place, so its records say that of all of it.
//!
//! What no file can show is the loss of synced records exactly at its end. A disk that forgets what it acknowledged
//! needs to be replaced, and its owner to say `--accept-lost-votes`.

pub(super) mod frame;
pub(super) mod recover;

use super::record::Record;
use crate::types::codec::encode;
use crate::types::hash::ChainId;
use crate::types::keys::PublicKey;
use frame::{FileHeader, Link};

/// Position of a record in the log. Only the log makes one, so who holds one has a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// The record's sequence number.
    pub(super) fn sequence(self) -> u64 {
        self.0
    }
}

/// Where the log ends, and what the next record has to say.
#[derive(Debug)]
pub(super) struct Log {
    chain: ChainId,
    key: PublicKey,
    last: u64,
    synced: u64,
    link: Link,
    size_bytes: u64,
    rewritten_bytes: u64,
}

impl Log {
    /// A log without a file; [`Log::rewrite`] makes the file.
    pub(super) fn new(chain: ChainId, key: PublicKey) -> Self {
        Self { chain, key, last: 0, synced: 0, link: Link::default(), size_bytes: 0, rewritten_bytes: 0 }
    }

    /// The last record.
    pub(super) fn last(&self) -> Ticket {
        Ticket(self.last)
    }

    /// Everything up to this record is on disk: later records will say so.
    pub(super) fn set_synced(&mut self, sequence: u64) {
        self.synced = self.synced.max(sequence.min(self.last));
    }

    /// Whether the file has doubled since it was rewritten, and is worth the effort.
    pub(super) fn is_worth_rewriting(&self) -> bool {
        self.size_bytes >= crate::limits::MIN_COMPACTED_LOG_BYTES.max(self.rewritten_bytes.saturating_mul(2))
    }

    /// Puts the bytes of `record` at the end of `out`.
    pub(super) fn append(&mut self, record: &Record, out: &mut Vec<u8>) -> Ticket {
        self.write(record, self.synced, out)
    }

    /// A whole file of these records.
    pub(super) fn rewrite(&mut self, records: &[Record]) -> Vec<u8> {
        let header = FileHeader { chain: self.chain, key: self.key, first: self.last.saturating_add(1) };
        let mut out = header.to_bytes();
        self.link = header.link();
        self.size_bytes = out.len() as u64;
        // The file counts only once it is synced as a whole.
        let end = self.last.saturating_add(records.len() as u64);
        for record in records {
            self.write(record, end, &mut out);
        }
        self.rewritten_bytes = self.size_bytes;
        out
    }

    fn write(&mut self, record: &Record, synced: u64, out: &mut Vec<u8>) -> Ticket {
        let start = out.len();
        self.last = self.last.saturating_add(1);
        self.link = frame::write(self.last, synced, &self.link, &encode(record), out);
        out.extend_from_within(start..);
        self.size_bytes = self.size_bytes.saturating_add((out.len() - start) as u64);
        Ticket(self.last)
    }
}
