//! The bytes of the journal: what a node acknowledged and its store may not have yet.
//!
//! A journal is a row of records, cut into segments at any record; a segment is named by the sequence number of its
//! first record. A record is
//!
//! ```text
//! length u32 | sequence u64 | synced u64 | link [u8; 16] | checksum [u8; 16] | payload        (little-endian)
//! ```
//!
//! `payload` is `encode(JournalRecord)`, `checksum` the first half of the BLAKE3 hash of everything else in the record,
//! `link` the checksum of the record before (the first half of the chain id before record 1), `synced` the sequence
//! number up to which everything was known to be on disk when the record was written.
//!
//! Invariant: what was acknowledged is never dropped in silence. A crash may leave any part of what was not synced, so
//! reading stops at the first damaged record, and the rest is cut off as a torn tail; but if a record anywhere says
//! that the damaged one had been synced, then the disk lost an acknowledged record, and [`read`] refuses.

use crate::replica::command::JournalRecord;
use crate::types::codec::{self, CodecError, Wire, encode};
use crate::types::hash::ChainId;

/// Bytes of a record before its payload.
pub const HEADER_BYTES: usize = 4 + 8 + 8 + CHECKSUM_BYTES + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 16;

type Checksum = [u8; CHECKSUM_BYTES];

/// Why a journal cannot be read. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A record that had been synced is not there any more.
    #[error(
        "the journal is damaged: record {sequence} (segment {segment}, byte {offset}) had been written to disk, \
         and so had everything up to record {synced}. Restore journal/ from a backup made after this node last ran, or \
         accept that payments acknowledged in this epoch are unknown here and let `timed db verify --repair --from-peers` \
         put the chain away, so that the next start fetches it from other nodes"
    )]
    Damaged {
        /// First record that is damaged.
        sequence: u64,
        /// The segment in which it stands, by its name.
        segment: u64,
        /// Where in the segment.
        offset: usize,
        /// Up to here everything had been synced.
        synced: u64,
    },
    /// A segment is missing, or stands in the wrong place.
    #[error("the journal has a gap: the segment that starts with record {found} comes where record {expected} belongs")]
    Gap {
        /// Record that should come.
        expected: u64,
        /// Name of the segment that comes.
        found: u64,
    },
    /// An intact record that this version cannot read, or the journal of another chain.
    #[error("record {sequence} of the journal is intact, but no record this version of timed knows: {reason}")]
    Unreadable {
        /// Which record.
        sequence: u64,
        /// What the decoder said.
        reason: CodecError,
    },
    /// Record 1 does not belong to this chain.
    #[error("the journal belongs to another chain")]
    OtherChain,
}

/// One file of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Sequence number of its first record, which is its name.
    pub first: u64,
    /// What the file holds.
    pub bytes: &'a [u8],
}

/// What a journal held.
#[derive(Debug)]
pub struct Contents {
    /// The records in order.
    pub records: Vec<JournalRecord>,
    /// How many bytes of each segment to keep; what is behind them is a torn tail, to be cut off before anything is
    /// appended.
    pub kept_bytes: Vec<usize>,
    /// Appends behind the last record kept.
    pub journal: Journal,
}

/// Makes the records that are appended.
#[derive(Debug, Clone)]
pub struct Journal {
    next: u64,
    synced: u64,
    link: Checksum,
}

impl Journal {
    /// An empty journal of this chain; its first segment is named 1.
    pub fn new(chain: &ChainId) -> Self {
        Self { next: 1, synced: 0, link: first_link(chain) }
    }

    /// Sequence number of the next record: the name of a segment that starts here.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The bytes to append for `record`, and its sequence number.
    pub fn append(&mut self, record: &JournalRecord) -> (u64, Vec<u8>) {
        let payload = encode(record);
        let sequence = self.next;
        // A record is at most `JournalRecord::MAX_BYTES`, a few megabytes; a longer one could not be read back and
        // its checksum would say so.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&self.synced.to_le_bytes());
        bytes.extend_from_slice(&self.link);
        let checksum = checksum(&bytes, &payload);
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(&payload);
        self.next = self.next.saturating_add(1);
        self.link = checksum;
        (sequence, bytes)
    }

    /// The last record known to be on disk; 0 if none is.
    pub fn synced_sequence(&self) -> u64 {
        self.synced
    }

    /// Everything up to this record is on disk. Later records say so, which tells a torn tail from damage.
    pub fn synced(&mut self, sequence: u64) {
        self.synced = self.synced.max(sequence.min(self.next.saturating_sub(1)));
    }
}

/// Reads the segments of a journal, in order.
///
/// # Errors
/// [`JournalError`]: an acknowledged record is lost, or the segments are not those of one journal of this chain.
pub fn read(chain: &ChainId, segments: &[Segment<'_>]) -> Result<Contents, JournalError> {
    let start = segments.first().map_or(1, |segment| segment.first);
    let mut reader = Reader {
        records: Vec::new(),
        kept_bytes: vec![0; segments.len()],
        next: start,
        synced: 0,
        link: (start <= 1).then(|| first_link(chain)),
    };
    for (position, segment) in segments.iter().enumerate() {
        if segment.first != reader.next {
            // A segment named after records that were lost with the tail of the one before: all of it is torn,
            // unless something says otherwise.
            reader.refuse_if_synced(segments, position, 0)?;
            if segment.first < reader.next {
                return Err(JournalError::Gap { expected: reader.next, found: segment.first });
            }
            break;
        }
        let complete = reader.segment(segments, position)?;
        if !complete {
            break;
        }
    }
    let link = reader.link.unwrap_or_else(|| first_link(chain));
    // What was read is synced before anything new is appended: the shell syncs what it cut.
    let journal = Journal { next: reader.next, synced: reader.next.saturating_sub(1), link };
    Ok(Contents { records: reader.records, kept_bytes: reader.kept_bytes, journal })
}

struct Reader {
    records: Vec<JournalRecord>,
    kept_bytes: Vec<usize>,
    next: u64,
    synced: u64,
    /// `None` before the first record of a journal whose beginning was dropped.
    link: Option<Checksum>,
}

impl Reader {
    /// Reads the records of one segment; false if its tail is torn.
    fn segment(&mut self, segments: &[Segment<'_>], position: usize) -> Result<bool, JournalError> {
        let bytes = segments[position].bytes;
        let mut offset = 0;
        while offset < bytes.len() {
            let Some(frame) = Frame::parse(&bytes[offset..]).filter(|frame| self.continues(frame)) else {
                return self.refuse_if_synced(segments, position, offset).map(|()| false);
            };
            let record = codec::decode(frame.payload)
                .map_err(|reason| JournalError::Unreadable { sequence: frame.sequence, reason })?;
            self.records.push(record);
            self.next = frame.sequence.saturating_add(1);
            self.synced = self.synced.max(frame.synced);
            self.link = Some(frame.checksum);
            offset += frame.len();
            self.kept_bytes[position] = offset;
        }
        Ok(true)
    }

    fn continues(&self, frame: &Frame<'_>) -> bool {
        frame.sequence == self.next && self.link.is_none_or(|link| link == frame.link)
    }

    /// Record `self.next` is not at `offset` of the segment at `position`: an error if it had been synced.
    fn refuse_if_synced(&self, segments: &[Segment<'_>], position: usize, offset: usize) -> Result<(), JournalError> {
        let here = std::iter::once(&segments[position].bytes[offset..]);
        let later = segments.iter().skip(position + 1).map(|segment| segment.bytes);
        let claims = here.chain(later).filter_map(|bytes| self.latest_claim(bytes));
        let synced = claims.fold(self.synced, u64::max);
        if self.next == 1 && Frame::parse(segments[position].bytes).is_some_and(|frame| frame.sequence == 1) {
            return Err(JournalError::OtherChain);
        }
        if synced < self.next {
            return Ok(());
        }
        Err(JournalError::Damaged { sequence: self.next, segment: segments[position].first, offset, synced })
    }

    /// The highest `synced` of any intact record in `bytes` that comes after the damaged one.
    fn latest_claim(&self, bytes: &[u8]) -> Option<u64> {
        // A record needs its header, so there are not more of them than this; it keeps the search from hashing
        // at every byte.
        let most = self.next.saturating_add(bytes.len() as u64);
        let mut offset = 0;
        let mut claim = None;
        while offset + HEADER_BYTES <= bytes.len() {
            let sequence = read_u64(&bytes[offset + 4..]);
            let plausible = sequence.is_some_and(|sequence| sequence > self.next && sequence <= most);
            match plausible.then(|| Frame::parse(&bytes[offset..])).flatten() {
                Some(frame) => {
                    claim = claim.max(Some(frame.synced));
                    offset += frame.len();
                }
                None => offset += 1,
            }
        }
        claim
    }
}

/// An intact record.
struct Frame<'a> {
    sequence: u64,
    synced: u64,
    link: Checksum,
    checksum: Checksum,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The record at the start of `bytes`, if it is whole and its checksum is right.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = u32::from_le_bytes(bytes.first_chunk::<4>().copied()?) as usize;
        if length > JournalRecord::MAX_BYTES {
            return None;
        }
        let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
        let covered = &bytes[..HEADER_BYTES - CHECKSUM_BYTES];
        let stored = bytes[HEADER_BYTES - CHECKSUM_BYTES..].first_chunk::<CHECKSUM_BYTES>().copied()?;
        (checksum(covered, payload) == stored).then_some(Self {
            sequence: read_u64(&bytes[4..])?,
            synced: read_u64(&bytes[12..])?,
            link: bytes[20..].first_chunk::<CHECKSUM_BYTES>().copied()?,
            checksum: stored,
            payload,
        })
    }

    fn len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

fn read_u64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

fn first_link(chain: &ChainId) -> Checksum {
    half(&chain.0)
}

fn checksum(header: &[u8], payload: &[u8]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(payload);
    half(hasher.finalize().as_bytes())
}

fn half(bytes: &[u8; 32]) -> Checksum {
    let mut half = [0; CHECKSUM_BYTES];
    half.copy_from_slice(&bytes[..CHECKSUM_BYTES]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::{BlockHash, Txid};
    use crate::types::keys::{PublicKey, Signature};
    use crate::types::number::{Epoch, Height};
    use crate::types::vote::{FinalityKind, VoteBatch};
    use proptest::prelude::*;

    const CHAIN: ChainId = ChainId([7; 32]);

    fn record(n: u8) -> JournalRecord {
        JournalRecord::Votes(VoteBatch {
            epoch: Epoch::new(u64::from(n)),
            kind: FinalityKind::Vote,
            voter: PublicKey([n; 32]),
            txids: vec![Txid([n; 32]); usize::from(n % 5) + 1],
            signature: Signature([n; 64]),
        })
    }

    /// A journal of `count` records of which the first `synced` were synced before the others were written, and where
    /// each record ends.
    fn written(count: u8, synced: u64) -> (Vec<u8>, Vec<usize>) {
        let mut journal = Journal::new(&CHAIN);
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for n in 1..=count {
            if u64::from(n) == synced + 1 {
                journal.synced(synced);
            }
            bytes.extend_from_slice(&journal.append(&record(n)).1);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read_one(bytes: &[u8]) -> Result<Contents, JournalError> {
        read(&CHAIN, &[Segment { first: 1, bytes }])
    }

    #[test]
    fn what_was_written_is_read_back_across_segments() {
        let (bytes, ends) = written(9, 0);
        let segments: Vec<Segment<'_>> = [(1, 0, 3), (4, 3, 7), (8, 7, 9), (10, 9, 9)]
            .map(|(first, a, b)| Segment { first, bytes: &bytes[ends[a]..ends[b]] })
            .into();
        let contents = read(&CHAIN, &segments).unwrap();
        assert_eq!(contents.records, (1..=9).map(record).collect::<Vec<_>>());
        assert_eq!(contents.journal.next_sequence(), 10);
        let without_the_first = read(&CHAIN, &segments[1..]).unwrap();
        assert_eq!(without_the_first.records, (4..=9).map(record).collect::<Vec<_>>());
        assert!(read(&CHAIN, &[]).unwrap().records.is_empty());
    }

    #[test]
    fn a_tail_torn_at_any_byte_leaves_the_whole_records_before_it() {
        let (bytes, ends) = written(6, 3);
        for cut in ends[3]..bytes.len() {
            let contents = read_one(&bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(contents.records.len(), whole, "cut at {cut}");
            assert_eq!(contents.kept_bytes, vec![ends[whole]]);
        }
    }

    #[test]
    fn what_is_appended_behind_a_cut_tail_is_read_back() {
        let (mut bytes, ends) = written(4, 2);
        bytes.truncate(ends[4] - 1);
        let mut contents = read_one(&bytes).unwrap();
        bytes.truncate(contents.kept_bytes[0]);
        bytes.extend_from_slice(&contents.journal.append(&record(50)).1);
        let records = read_one(&bytes).unwrap().records;
        assert_eq!(records, vec![record(1), record(2), record(3), record(50)]);
    }

    #[test]
    fn damage_to_a_synced_record_is_refused_wherever_it_is() {
        let (bytes, ends) = written(6, 3);
        for at in 0..ends[3] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let sequence = ends.iter().filter(|end| **end <= at).count() as u64;
            match read_one(&damaged) {
                Err(JournalError::Damaged { sequence: found, synced: 3, .. }) => assert_eq!(found, sequence),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }

    #[test]
    fn damage_to_records_that_were_never_synced_is_a_torn_tail() {
        let (bytes, ends) = written(6, 3);
        for at in ends[3]..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let whole = ends.iter().filter(|end| **end <= at).count() - 1;
            assert_eq!(read_one(&damaged).unwrap().records.len(), whole, "byte {at}");
        }
    }

    #[test]
    fn a_later_segment_does_not_survive_the_tail_before_it_unless_it_says_that_it_was_synced() {
        let (bytes, ends) = written(6, 0);
        let torn = [Segment { first: 1, bytes: &bytes[..ends[2] - 1] }, Segment { first: 4, bytes: &bytes[ends[3]..] }];
        let contents = read(&CHAIN, &torn).unwrap();
        assert_eq!((contents.records.len(), contents.kept_bytes), (1, vec![ends[1], 0]));

        let (bytes, ends) = written(6, 3);
        let lost = [Segment { first: 1, bytes: &bytes[..ends[2]] }, Segment { first: 4, bytes: &bytes[ends[3]..] }];
        assert!(matches!(read(&CHAIN, &lost), Err(JournalError::Damaged { sequence: 3, synced: 3, .. })));
        let twice = [Segment { first: 1, bytes: &bytes[..ends[2]] }, Segment { first: 1, bytes: &bytes[..ends[2]] }];
        assert_eq!(read(&CHAIN, &twice).err(), Some(JournalError::Gap { expected: 3, found: 1 }));
    }

    #[test]
    fn the_journal_of_another_chain_is_refused() {
        let (bytes, _) = written(2, 0);
        let other = ChainId([8; 32]);
        assert_eq!(read(&other, &[Segment { first: 1, bytes: &bytes }]).err(), Some(JournalError::OtherChain));
    }

    #[test]
    fn an_intact_record_of_an_unknown_kind_is_refused_and_not_cut_off() {
        let mut journal = Journal::new(&CHAIN);
        let mut bytes = journal.append(&JournalRecord::Prepares {
            height: Height::new(1),
            block_hash: BlockHash::ZERO,
            proof: crate::types::block::PrepareProof { view: Default::default(), signatures: Vec::new() },
        });
        bytes.1[HEADER_BYTES] = 200;
        let sum = checksum(&bytes.1[..HEADER_BYTES - CHECKSUM_BYTES], &bytes.1[HEADER_BYTES..]);
        bytes.1[HEADER_BYTES - CHECKSUM_BYTES..HEADER_BYTES].copy_from_slice(&sum);
        assert!(matches!(read_one(&bytes.1), Err(JournalError::Unreadable { sequence: 1, .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), keep in 0usize..200) {
            let (mut good, _) = written(3, 1);
            good.truncate(keep);
            good.extend_from_slice(&bytes);
            let _ignored = read_one(&good);
        }
    }
}
