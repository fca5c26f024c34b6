//! The bytes of one block in a file of blocks.
//!
//! ```text
//! length u32 | head length u32 | height u64 | head checksum [u8; 16] | body checksum [u8; 16] | head | body
//! ```
//!
//! (numbers little-endian, `length` counts everything.) The head is `encode` of everything of a block but its
//! transactions, with its commit; the body is `encode` of one [`StoredTransaction`] after the other, so each can be
//! read by itself. The head checksum covers what comes before it and the head; the body checksum covers the head
//! checksum and the body: with both right, it is the record that was written.

use crate::limits::{MAX_BLOCK_WIRE_BYTES, MAX_INPUTS, MAX_STORED_BLOCK_BYTES, MAX_TX_WIRE_BYTES};
use crate::types::block::{Block, Commit, Header, VdfProof};
use crate::types::codec::{decode_with_limit, encode_into};
use crate::types::evidence::Evidence;
use crate::types::number::Height;
use crate::types::transaction::{Transaction, TxOut};
use bincode::{Decode, Encode};

/// Bytes of a record before its head.
pub const RECORD_HEADER_BYTES: usize = 4 + 4 + 8 + CHECKSUM_BYTES + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 16;
/// Where the first checksum stands.
const CHECKED_BYTES: usize = 4 + 4 + 8;

/// Memory that decoding may take: elements count at their size in memory.
const HEAD_MEMORY: usize = 4 * MAX_BLOCK_WIRE_BYTES;
const TRANSACTION_MEMORY: usize = 4 * (MAX_TX_WIRE_BYTES + 48 * MAX_INPUTS);

/// A transaction as it is kept: with what it spends, so that it can be told what it is worth without the others.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct StoredTransaction {
    /// The transaction.
    pub tx: Transaction,
    /// The outputs that it spends, in the order of its inputs.
    pub spent: Vec<TxOut>,
}

/// A block as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// What made it final; `None` for genesis, which nobody signs.
    pub commit: Option<Commit>,
    /// What each of the block's transactions spends, in the order of its inputs.
    pub spent: Vec<Vec<TxOut>>,
}

/// Everything of a block but its transactions.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BlockHead {
    /// The header.
    pub header: Header,
    /// The parent's commit.
    pub last_commit: Option<Commit>,
    /// Double signatures.
    pub evidence: Vec<Evidence>,
    /// The beacon's proof.
    pub vdf: Option<VdfProof>,
    /// What made the block final.
    pub commit: Commit,
}

/// Why bytes are not the record they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut short, or changed.
    #[error("the record is cut short or damaged")]
    Damaged,
    /// Intact, and not understood.
    #[error("the record is intact, but this version of timed cannot read it: {0}")]
    Unreadable(String),
}

/// A record, and where in it each transaction stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Offset from the start of the record, and length.
    pub(super) transactions: Vec<(u32, u32)>,
}

/// The record of `block`, whose transactions but the coinbase spend `inputs`.
pub(super) fn encode_record(block: &Block, commit: &Commit, inputs: &[Vec<TxOut>]) -> Encoded {
    let mut bytes = vec![0; RECORD_HEADER_BYTES];
    let Block { header, txs, last_commit, evidence, vdf } = block;
    // As `BlockHead` is encoded, without a copy of it.
    encode_into(&(header, last_commit, evidence, vdf, commit), &mut bytes);
    let head_end = bytes.len();
    let coinbases = txs.len().saturating_sub(inputs.len());
    let nothing = Vec::new();
    let spent = std::iter::repeat_n(&nothing, coinbases).chain(inputs);
    let mut transactions = Vec::with_capacity(txs.len());
    for (tx, spent) in txs.iter().zip(spent) {
        let start = bytes.len();
        encode_into(&(tx, spent), &mut bytes);
        transactions.push((to_u32(start), to_u32(bytes.len() - start)));
    }
    let length = to_u32(bytes.len()).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes[4..8].copy_from_slice(&to_u32(head_end - RECORD_HEADER_BYTES).to_le_bytes());
    bytes[8..CHECKED_BYTES].copy_from_slice(&header.height.get().to_le_bytes());
    let head_checksum = checksum(&bytes[..CHECKED_BYTES], &bytes[RECORD_HEADER_BYTES..head_end]);
    let body_checksum = checksum(&head_checksum, &bytes[head_end..]);
    bytes[CHECKED_BYTES..CHECKED_BYTES + CHECKSUM_BYTES].copy_from_slice(&head_checksum);
    bytes[CHECKED_BYTES + CHECKSUM_BYTES..RECORD_HEADER_BYTES].copy_from_slice(&body_checksum);
    Encoded { bytes, transactions }
}

/// What the start of a record says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordHeader {
    /// Bytes of the whole record.
    pub(super) length: u32,
    /// Bytes from the start of the record to the end of its head.
    pub(super) head_end: u32,
    pub(super) height: Height,
}

impl RecordHeader {
    /// Reads the start of a record; nothing of it is checked but that it can be.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let length = read_u32(bytes)?;
        let head_end = read_u32(bytes.get(4..)?)?.checked_add(to_u32(RECORD_HEADER_BYTES))?;
        let height = Height::new(u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?));
        let is_possible = head_end <= length && length <= to_u32(MAX_STORED_BLOCK_BYTES);
        is_possible.then_some(Self { length, head_end, height })
    }
}

/// The intact record at the start of `bytes`, if there is one.
pub(super) fn intact_record(bytes: &[u8]) -> Option<(RecordHeader, &[u8])> {
    let header = RecordHeader::read(bytes)?;
    let record = bytes.get(..header.length as usize)?;
    let (head, body) = record.split_at(header.head_end as usize);
    let head_checksum = intact_head(head)?;
    let is_intact = checksum(head_checksum, body) == head[CHECKED_BYTES + CHECKSUM_BYTES..RECORD_HEADER_BYTES];
    is_intact.then_some((header, record))
}

/// The checksum of the head, if it is right. `bytes` are a record up to the end of its head.
fn intact_head(bytes: &[u8]) -> Option<&[u8]> {
    let stored = bytes.get(CHECKED_BYTES..CHECKED_BYTES + CHECKSUM_BYTES)?;
    let head = bytes.get(RECORD_HEADER_BYTES..)?;
    (checksum(&bytes[..CHECKED_BYTES], head) == stored).then_some(stored)
}

/// The head of a record, given its bytes up to the head's end.
///
/// # Errors
/// [`RecordError`].
pub(super) fn decode_head(bytes: &[u8]) -> Result<BlockHead, RecordError> {
    intact_head(bytes).ok_or(RecordError::Damaged)?;
    whole::<BlockHead, HEAD_MEMORY>(&bytes[RECORD_HEADER_BYTES..])
}

/// The block of a record.
///
/// # Errors
/// [`RecordError`].
pub(super) fn decode_record(bytes: &[u8]) -> Result<StoredBlock, RecordError> {
    let (record, bytes) =
        intact_record(bytes).filter(|(_, record)| record.len() == bytes.len()).ok_or(RecordError::Damaged)?;
    let (head, mut body) = bytes.split_at(record.head_end as usize);
    let BlockHead { header, last_commit, evidence, vdf, commit } = decode_head(head)?;
    let (mut txs, mut spent) = (Vec::new(), Vec::new());
    while !body.is_empty() {
        let (transaction, used) = prefix::<StoredTransaction, TRANSACTION_MEMORY>(body)?;
        txs.push(transaction.tx);
        spent.push(transaction.spent);
        body = &body[used..];
    }
    Ok(StoredBlock { block: Block { header, txs, last_commit, evidence, vdf }, commit: Some(commit), spent })
}

/// One transaction of a record, given its bytes.
///
/// # Errors
/// [`RecordError::Unreadable`]: no checksum covers it alone, so the caller compares the txid.
pub(super) fn decode_transaction(bytes: &[u8]) -> Result<StoredTransaction, RecordError> {
    whole::<StoredTransaction, TRANSACTION_MEMORY>(bytes)
}

fn prefix<T: Decode<()>, const MEMORY: usize>(bytes: &[u8]) -> Result<(T, usize), RecordError> {
    decode_with_limit::<T, MEMORY>(bytes).map_err(|e| RecordError::Unreadable(e.to_string()))
}

fn whole<T: Decode<()>, const MEMORY: usize>(bytes: &[u8]) -> Result<T, RecordError> {
    let (value, used) = prefix::<T, MEMORY>(bytes)?;
    if used != bytes.len() {
        return Err(RecordError::Unreadable(format!("{} bytes left over", bytes.len() - used)));
    }
    Ok(value)
}

fn to_u32(length: usize) -> u32 {
    // A block is at most `MAX_STORED_BLOCK_BYTES`; a longer record could not be read back and says so.
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn checksum(before: &[u8], bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(bytes);
    let mut half = [0; CHECKSUM_BYTES];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_BYTES]);
    half
}
