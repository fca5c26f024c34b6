//! The bytes of one copy of a record, and of the file's header. Little-endian.
//!
//! ```text
//! file   = "timed votes.log\n" | version u32 | chain id [32] | public key [32] | first sequence u64 | check [16] | a5
//! copy   = length u32 | sequence u64 | synced u64 | link [16] | check [8] | payload | checksum [16] | a5
//! record = copy copy
//! ```
//!
//! `link` is the `checksum` of the record before, the file's `check` for the first; `check` covers what stands before
//! it, so that a `length` can be believed although the copy is cut short; `checksum` covers all before it. The last
//! byte is not zero, so zeros at the end of a file belong to no copy. Checksums are the first bytes of BLAKE3 in
//! `derive_key` mode.

use crate::limits::MAX_SIGNER_RECORD_BYTES;
use crate::types::hash::ChainId;
use crate::types::keys::PublicKey;

/// Names the record before.
pub(in crate::signer) type Link = [u8; 16];

const CONTEXT: &str = "timecoin v1 votes.log";
const MAGIC: &[u8; 16] = b"timed votes.log\n";
const VERSION: u32 = 1;
const END: u8 = 0xa5;
const CHECKED_BYTES: usize = 4 + 8 + 8 + 16;
const COPY_HEADER_BYTES: usize = CHECKED_BYTES + 8;
const COPY_TRAILER_BYTES: usize = 16 + 1;
/// Bytes of the file's header.
pub(in crate::signer) const FILE_HEADER_BYTES: usize = 16 + 4 + 32 + 32 + 8 + 16 + 1;

/// Whose log it is, and the number of its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::signer) struct FileHeader {
    pub(in crate::signer) chain: ChainId,
    pub(in crate::signer) key: PublicKey,
    pub(in crate::signer) first: u64,
}

/// Why the first bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::signer) enum HeaderError {
    /// Not a `votes.log`.
    OtherFile,
    /// Too short or changed.
    Damaged,
    /// Intact, of another version.
    Version(u32),
}

impl FileHeader {
    fn checked_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.first.to_le_bytes());
        out
    }

    /// What the first record links to.
    pub(in crate::signer) fn link(&self) -> Link {
        checksum(&self.checked_bytes())
    }

    /// The bytes at the start of the file.
    pub(in crate::signer) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.checked_bytes();
        let check: Link = checksum(&out);
        out.extend_from_slice(&check);
        out.push(END);
        out
    }

    /// Reads the start of a file.
    pub(in crate::signer) fn read(file: &[u8]) -> Result<Self, HeaderError> {
        let mut input = file;
        let magic = take::<16>(&mut input).ok_or(HeaderError::Damaged)?;
        if magic != *MAGIC {
            return Err(HeaderError::OtherFile);
        }
        let mut fields = || -> Option<(u32, Self)> {
            let version = u32::from_le_bytes(take(&mut input)?);
            let (chain, key) = (ChainId(take(&mut input)?), PublicKey(take(&mut input)?));
            let first = u64::from_le_bytes(take(&mut input)?);
            let covered: Link = checksum(&file[..file.len() - input.len()]);
            let intact = take(&mut input)? == covered && take(&mut input)? == [END];
            intact.then_some((version, Self { chain, key, first }))
        };
        match fields() {
            Some((VERSION, header)) => Ok(header),
            Some((version, _)) => Err(HeaderError::Version(version)),
            None => Err(HeaderError::Damaged),
        }
    }
}

/// One intact copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::signer) struct RecordCopy<'a> {
    pub(in crate::signer) sequence: u64,
    /// Up to here everything was synced when this was written.
    pub(in crate::signer) synced: u64,
    pub(in crate::signer) link: Link,
    pub(in crate::signer) payload: &'a [u8],
    pub(in crate::signer) checksum: Link,
    /// All of it.
    pub(in crate::signer) bytes: &'a [u8],
}

/// Why bytes do not start with an intact copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::signer) enum CopyError {
    /// As far as they go they may be one, but they end too early.
    CutShort,
    /// They are none.
    Damaged,
}

/// Appends one copy; returns its checksum.
pub(in crate::signer) fn write(sequence: u64, synced: u64, link: &Link, payload: &[u8], out: &mut Vec<u8>) -> Link {
    let start = out.len();
    // A longer one than `MAX_SIGNER_RECORD_BYTES` is never made: the policy bounds what goes into a record.
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(link);
    let check: [u8; 8] = checksum(&out[start..]);
    out.extend_from_slice(&check);
    out.extend_from_slice(payload);
    let checksum: Link = checksum(&out[start..]);
    out.extend_from_slice(&checksum);
    out.push(END);
    checksum
}

/// Least bytes that a record can have by what its damaged first copy says: its length is believed if the header is
/// intact.
pub(in crate::signer) fn least_record_bytes(bytes: &[u8]) -> usize {
    let mut input = bytes;
    let length = take(&mut input).map(u32::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    let check = bytes.get(CHECKED_BYTES..COPY_HEADER_BYTES);
    let is_intact = bytes.len() >= COPY_HEADER_BYTES && check == Some(&checksum::<8>(&bytes[..CHECKED_BYTES])[..]);
    let payload = length.filter(|length| is_intact && *length <= MAX_SIGNER_RECORD_BYTES).unwrap_or(0);
    2 * (COPY_HEADER_BYTES + payload + COPY_TRAILER_BYTES)
}

/// The copy that `bytes` start with.
///
/// # Errors
/// [`CopyError`] if there is none.
pub(in crate::signer) fn read(bytes: &[u8]) -> Result<RecordCopy<'_>, CopyError> {
    let mut input = bytes;
    let header = (|| {
        let length = u32::from_le_bytes(take(&mut input)?);
        let (sequence, synced) = (u64::from_le_bytes(take(&mut input)?), u64::from_le_bytes(take(&mut input)?));
        Some((length, sequence, synced, take::<16>(&mut input)?, take::<8>(&mut input)?))
    })();
    let (length, sequence, synced, link, check) = header.ok_or(CopyError::CutShort)?;
    let length = usize::try_from(length).ok().filter(|l| *l <= MAX_SIGNER_RECORD_BYTES).ok_or(CopyError::Damaged)?;
    if check != checksum::<8>(&bytes[..CHECKED_BYTES]) {
        return Err(CopyError::Damaged);
    }
    let covered = COPY_HEADER_BYTES + length;
    let bytes = bytes.get(..covered + COPY_TRAILER_BYTES).ok_or(CopyError::CutShort)?;
    let found: Link = checksum(&bytes[..covered]);
    if bytes[covered..covered + 16] != found || bytes[covered + 16] != END {
        return Err(CopyError::Damaged);
    }
    Ok(RecordCopy { sequence, synced, link, payload: &bytes[COPY_HEADER_BYTES..covered], checksum: found, bytes })
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

fn checksum<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    blake3::Hasher::new_derive_key(CONTEXT).update(bytes).finalize_xof().fill(&mut out);
    out
}
