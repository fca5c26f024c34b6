//! Frames: messages as they stand in the stream of a channel.
//!
//! `u32` little-endian length of the body, one byte of flags (1: zstd), body. Invariants: a length beyond the limit is
//! an error before any byte of its body is looked at or room made for it; what is unpacked says beforehand how long it
//! is, and is no longer than a body may be. The parser takes bytes however they were cut and gives the same frames.

use crate::limits::{COMPRESSED_FROM_BYTES, MAX_MESSAGE_BYTES};
use bytes::{Buf as _, Bytes, BytesMut};
use zstd::bulk::Decompressor;

/// Bytes before a frame's body.
pub const HEADER_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;
/// zstd's fastest regular level: most of what nodes exchange is hashes and signatures, which no level makes smaller.
const LEVEL: i32 = 1;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A body longer than allowed, as its length says, or once unpacked.
    #[error("a frame of {length} bytes, {limit} allowed")]
    TooLong {
        /// What it says.
        length: u64,
        /// Most allowed.
        limit: usize,
    },
    /// Flags of another version.
    #[error("the flags {0:#04x} are not known")]
    UnknownFlags(u8),
    /// It does not say how long it is once unpacked.
    #[error("a compressed frame without its size")]
    SizeMissing,
    /// It does not unpack to what it says.
    #[error("cannot unpack a frame: {0}")]
    Damaged(String),
}

/// A message ready for any number of receivers: header and body, made once, shared by all queues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame(Bytes);

impl Frame {
    /// The frame of this body, compressed if it is long and that makes it smaller.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: nobody would take it.
    pub fn new(body: &[u8]) -> Result<Self, FrameError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(FrameError::TooLong { length: body.len() as u64, limit: MAX_MESSAGE_BYTES });
        }
        // What fails to compress travels as it is.
        let packed = (body.len() > COMPRESSED_FROM_BYTES).then(|| zstd::bulk::compress(body, LEVEL).ok()).flatten();
        Ok(match packed.filter(|packed| packed.len() < body.len()) {
            Some(packed) => Self::with_flags(COMPRESSED, &packed),
            None => Self::with_flags(PLAIN, body),
        })
    }

    /// `body` is at most [`MAX_MESSAGE_BYTES`] long, so its length fits.
    fn with_flags(flags: u8, body: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&[flags]);
        bytes.extend_from_slice(body);
        Self(bytes.freeze())
    }

    /// Header and body.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A frame that came, still packed if it came so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedFrame {
    body: Bytes,
    /// Bytes once unpacked.
    size: usize,
    is_compressed: bool,
}

impl ReceivedFrame {
    fn new(flags: u8, body: Bytes, limit: usize) -> Result<Self, FrameError> {
        match flags {
            PLAIN => Ok(Self { size: body.len(), body, is_compressed: false }),
            COMPRESSED => {
                let size = Decompressor::upper_bound(&body).ok_or(FrameError::SizeMissing)?;
                if size > limit {
                    return Err(FrameError::TooLong { length: size as u64, limit });
                }
                Ok(Self { body, size, is_compressed: true })
            }
            flags => Err(FrameError::UnknownFlags(flags)),
        }
    }

    /// Bytes of the message, unpacked.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The message's bytes.
    ///
    /// # Errors
    /// [`FrameError::Damaged`].
    pub fn unpack(self) -> Result<Bytes, FrameError> {
        if !self.is_compressed {
            return Ok(self.body);
        }
        let unpacked = zstd::bulk::decompress(&self.body, self.size);
        Ok(unpacked.map_err(|e| FrameError::Damaged(e.to_string()))?.into())
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameParser {
    buffer: BytesMut,
    limit: usize,
}

impl FrameParser {
    /// A parser for bodies of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// From now on bodies of at most `limit` bytes are taken.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Most bytes of a body.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Where what comes is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, if all of it is here. After an error the stream is of no use any more.
    ///
    /// # Errors
    /// [`FrameError`]: no frame begins here.
    pub fn next_frame(&mut self) -> Result<Option<ReceivedFrame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u64::from(u32::from_le_bytes(*length));
        let fits = usize::try_from(length).ok().filter(|length| *length <= self.limit);
        let Some(length) = fits else { return Err(FrameError::TooLong { length, limit: self.limit }) };
        let Some(flags) = self.buffer.get(LENGTH_BYTES).copied() else { return Ok(None) };
        if flags > COMPRESSED {
            return Err(FrameError::UnknownFlags(flags));
        }
        if self.buffer.len() - HEADER_BYTES < length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(length).freeze();
        ReceivedFrame::new(flags, body, self.limit).map(Some)
    }
}

#[cfg(test)]
mod tests;
