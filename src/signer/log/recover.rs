//! Reading `votes.log`, and what is made of its end. The rules, and why they are safe, stand in [`super`].

use super::frame::{self, CopyError, FILE_HEADER_BYTES, FileHeader, HeaderError, Link, RecordCopy};
use super::{Log, Ticket};
use crate::signer::record::Record;
use crate::types::codec::{self, CodecError};
use crate::types::hash::ChainId;
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Height};

/// Why `votes.log` cannot be used. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not a `votes.log` at all.
    #[error("the file given as votes.log is something else; put it away and restore the right one")]
    OtherFile,
    /// Written by a later version.
    #[error("votes.log has format {0}, which this version of timed does not know: use the version that wrote it")]
    UnknownVersion(u32),
    /// The log of another chain.
    #[error("votes.log belongs to chain {found}, this node runs {expected}")]
    OtherChain {
        /// The log's.
        found: ChainId,
        /// The node's.
        expected: ChainId,
    },
    /// The log of another key.
    #[error(
        "it belongs to the key {found}, and masternode.key_file has {expected}: put the right key there; if this node is to have \
         another one from now on, move votes.log away to where its key is, since each key needs its own"
    )]
    OtherKey {
        /// The log's.
        found: PublicKey,
        /// The node's.
        expected: PublicKey,
    },
    /// A record that had been acknowledged is damaged.
    #[error(
        "votes.log is damaged at byte {offset} (record {sequence}), in what had been written to disk; signing without \
         it could sign twice. Restore the file only from a copy made after this node last ran; otherwise start once \
         with --accept-lost-votes, which puts it away"
    )]
    Damaged {
        /// Where.
        offset: u64,
        /// The first record that cannot be read; 0 for the file's header.
        sequence: u64,
    },
    /// An intact record of a kind that this version does not know.
    #[error("record {sequence} of votes.log is intact, but this version of timed cannot read it: {reason}")]
    Unreadable {
        /// Which record.
        sequence: u64,
        /// What the decoder said.
        reason: CodecError,
    },
}

/// In which shape the end of the log was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// As written.
    Whole,
    /// A record had one damaged copy and was read from the other: nothing is lost.
    Repaired,
    /// Something was cut off that had never been synced, so nothing of it had left.
    Torn,
    /// Something was cut off that may have been signed: blocks are signed from the next height on, payments from the
    /// next epoch on.
    Lost,
}

/// What was read.
#[derive(Debug)]
pub(in crate::signer) struct Contents {
    /// Goes on behind the last record read. If the tail is not whole, it has to be rewritten before anything else.
    pub(in crate::signer) log: Log,
    pub(in crate::signer) tail: Tail,
    /// Bytes up to the end of the last record that has both copies.
    pub(in crate::signer) valid_length: u64,
}

/// What a log says of itself, without a signer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogReport {
    /// Whose it is.
    pub key: PublicKey,
    /// Whole records.
    pub records: u64,
    /// In which shape its end is.
    pub tail: Tail,
    /// Highest height and epoch of which anything was signed.
    pub reach: (Height, Epoch),
    /// First height and first epoch that are signed; zero unless votes were lost once.
    pub floor: (Height, Epoch),
}

/// Looks through the content of a `votes.log`, that of `key` if one is given. Changes nothing.
///
/// # Errors
/// [`SignerError`] as the signer would say it.
pub fn inspect(chain: ChainId, key: Option<PublicKey>, file: &[u8]) -> Result<LogReport, SignerError> {
    let of_file = FileHeader::read(file).map(|header| header.key);
    let key = key.or(of_file.ok()).unwrap_or_default();
    let (mut records, mut reach, mut floor) = (0, (Height::ZERO, Epoch::ZERO), (Height::ZERO, Epoch::ZERO));
    let contents = recover(chain, key, file, |_, record| {
        records += 1;
        reach = further(reach, record.reach());
        if let Record::Floor { height, epoch } = record {
            floor = (height, epoch);
        }
    })?;
    Ok(LogReport { key, records, tail: contents.tail, reach, floor })
}

/// Highest height and epoch that any intact record of a file speaks of, however damaged the file is: at least as far
/// was signed. Zero if there is none.
pub fn surviving_reach(file: &[u8]) -> (Height, Epoch) {
    let copies = frame::read(file).ok().map(|copy| (0, copy)).into_iter().chain(later_copies(file));
    let records = copies.filter_map(|(_, copy)| codec::decode::<Record>(copy.payload).ok());
    records.fold((Height::ZERO, Epoch::ZERO), |reach, record| further(reach, record.reach()))
}

fn further(a: (Height, Epoch), b: (Height, Epoch)) -> (Height, Epoch) {
    (a.0.max(b.0), a.1.max(b.1))
}

/// Reads a file, hands each record in order to `apply`.
pub(in crate::signer) fn recover(
    chain: ChainId,
    key: PublicKey,
    file: &[u8],
    mut apply: impl FnMut(Ticket, Record),
) -> Result<Contents, SignerError> {
    let header = read_header(chain, key, file)?;
    let mut reader = Reader::new(file, &header);
    while let Some(copy) = reader.next_record()? {
        let record = codec::decode(copy.payload)
            .map_err(|reason| SignerError::Unreadable { sequence: copy.sequence, reason })?;
        apply(Ticket(copy.sequence), record);
    }
    let tail = reader.judge_tail()?;
    if tail == Tail::Lost {
        // What stands intact behind the loss cannot be trusted to be all, but says how far signing had gone.
        for (_, copy) in later_copies(reader.rest()) {
            if let Ok(record) = codec::decode::<Record>(copy.payload) {
                let (height, epoch) = record.reach();
                apply(Ticket(copy.sequence), Record::Reach { height, epoch });
            }
        }
    }
    let last = reader.expected.saturating_sub(1);
    let size_bytes = file.len() as u64;
    // What can be read counts as not synced before the shell has synced it anew: it may stand in the page cache only.
    let log = Log { chain, key, last, synced: 0, link: reader.link, size_bytes, rewritten_bytes: 0 };
    Ok(Contents { log, tail, valid_length: reader.valid_length as u64 })
}

fn read_header(chain: ChainId, key: PublicKey, file: &[u8]) -> Result<FileHeader, SignerError> {
    let header = FileHeader::read(file).map_err(|e| match e {
        HeaderError::OtherFile => SignerError::OtherFile,
        HeaderError::Damaged => SignerError::Damaged { offset: 0, sequence: 0 },
        HeaderError::Version(version) => SignerError::UnknownVersion(version),
    })?;
    if header.chain != chain {
        return Err(SignerError::OtherChain { found: header.chain, expected: chain });
    }
    if header.key != key {
        return Err(SignerError::OtherKey { found: header.key, expected: key });
    }
    Ok(header)
}

struct Reader<'a> {
    /// The file without zeros at its end.
    written: &'a [u8],
    has_trailing_zeros: bool,
    offset: usize,
    valid_length: usize,
    /// Sequence number and link of the record that comes next.
    expected: u64,
    link: Link,
    /// Up to here everything was synced, as the records read say.
    attested: u64,
    /// First record with a damaged copy, and where it starts.
    repaired: Option<(u64, usize)>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a [u8], header: &FileHeader) -> Self {
        let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self {
            written: &file[..end],
            has_trailing_zeros: end < file.len(),
            offset: FILE_HEADER_BYTES,
            valid_length: FILE_HEADER_BYTES,
            expected: header.first,
            link: header.link(),
            // A file is never written without records.
            attested: header.first,
            repaired: None,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.written.get(self.offset..).unwrap_or_default()
    }

    /// The next record, from whichever of its copies is intact; `None` where none is.
    fn next_record(&mut self) -> Result<Option<RecordCopy<'a>>, SignerError> {
        let rest = self.rest();
        let Some(copy) = self.first_copy(rest).or_else(|| self.second_copy(rest)) else { return Ok(None) };
        let size = copy.bytes.len();
        let is_whole = rest.starts_with(copy.bytes) && rest[size..].starts_with(copy.bytes);
        if let Some((sequence, offset)) = self.repaired.filter(|(sequence, _)| *sequence <= copy.synced) {
            return Err(damaged(offset, sequence));
        }
        if !is_whole {
            self.repaired.get_or_insert((self.expected, self.offset));
        }
        self.attested = self.attested.max(copy.synced);
        self.offset += rest.len().min(2 * size);
        if self.repaired.is_none() {
            self.valid_length = self.offset;
        }
        self.expected = self.expected.saturating_add(1);
        self.link = copy.checksum;
        Ok(Some(copy))
    }

    fn first_copy(&self, rest: &'a [u8]) -> Option<RecordCopy<'a>> {
        frame::read(rest).ok().filter(|copy| copy.sequence == self.expected && copy.link == self.link)
    }

    /// The first copy is damaged, perhaps in its length: the second is found by itself, as far from the start as it is
    /// long.
    fn second_copy(&self, rest: &'a [u8]) -> Option<RecordCopy<'a>> {
        let is_next = |copy: &RecordCopy<'_>| copy.sequence == self.expected && copy.link == self.link;
        later_copies(rest).find(|(at, copy)| is_next(copy) && *at == copy.bytes.len()).map(|(_, copy)| copy)
    }

    /// What the bytes are worth in which no next record could be read.
    fn judge_tail(&self) -> Result<Tail, SignerError> {
        let rest = self.rest();
        // An append is one record in two copies: what is shorter was never synced whole, damaged or not.
        let cut_short = rest.len() < frame::least_record_bytes(rest) || frame::read(rest) == Err(CopyError::CutShort);
        let later = later_copies(rest).map(|(_, copy)| copy.synced).max().unwrap_or(0);
        if let Some((sequence, offset)) = self.repaired.filter(|(sequence, _)| *sequence <= later) {
            return Err(damaged(offset, sequence));
        }
        // An intact record that does not follow from the one before was not torn: one of the two was exchanged.
        let is_out_of_place = frame::read(rest).is_ok();
        if is_out_of_place || self.attested.max(later) >= self.expected {
            return Err(damaged(self.offset, self.expected));
        }
        Ok(match self.repaired {
            _ if !cut_short => Tail::Lost,
            _ if !rest.is_empty() => Tail::Torn,
            Some(_) => Tail::Repaired,
            None if self.has_trailing_zeros => Tail::Torn,
            None => Tail::Whole,
        })
    }
}

fn damaged(offset: usize, sequence: u64) -> SignerError {
    SignerError::Damaged { offset: offset as u64, sequence }
}

/// Every intact copy behind the first byte, with where it starts.
fn later_copies(bytes: &[u8]) -> impl Iterator<Item = (usize, RecordCopy<'_>)> {
    (1..bytes.len()).filter_map(|at| frame::read(&bytes[at..]).ok().map(|copy| (at, copy)))
}
