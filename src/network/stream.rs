//! Frames over a channel: reading them as they come, writing them together.
//!
//! Invariants: all state of a read or a write that is not finished is in [`FrameReader`] and [`FrameWriter`], so their
//! futures may be dropped at any await and called again. A writer holds at most [`WRITE_BATCH_BYTES`] in plain and once
//! more encrypted, however long its frames are.

use super::error::LinkError;
use super::frame::{FrameParser, HEADER_BYTES, ReceivedFrame};
use super::noise::{LENGTH_BYTES, NoiseError, Opener, Sealer, TAG_BYTES};
use crate::limits::WRITE_BATCH_BYTES;
use bytes::{Buf as _, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Least room made before reading from the socket.
const READ_BYTES: usize = 16_384;

/// Bytes that went over a link, encrypted, without the handshake.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The half of a link that listens.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    opener: Opener,
    /// As it came, not yet decrypted.
    raw: BytesMut,
    parser: FrameParser,
    silence: Duration,
    traffic: Arc<Traffic>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of at most `limit` bytes; fails when nothing comes for `silence`.
    pub fn new(source: R, opener: Opener, limit: usize, silence: Duration, traffic: Arc<Traffic>) -> Self {
        Self { source, opener, raw: BytesMut::new(), parser: FrameParser::new(limit), silence, traffic }
    }

    /// From now on frames of at most `limit` bytes are taken.
    pub fn set_limit(&mut self, limit: usize) {
        self.parser.set_limit(limit);
    }

    /// The next frame. Cancel-safe: what came of it is kept.
    ///
    /// # Errors
    /// [`LinkError`]: the link is of no use any more.
    pub async fn next_frame(&mut self) -> Result<ReceivedFrame, LinkError> {
        loop {
            if let Some(frame) = self.parser.next_frame()? {
                return Ok(frame);
            }
            if !self.open_next()? {
                self.fill().await?;
            }
        }
    }

    /// Decrypts the next Noise message, if all of it is here; whether it was. A message that could not even hold a
    /// longest frame by itself is refused at its length, so before `Hello` nobody sends more than the handshake's limit.
    fn open_next(&mut self) -> Result<bool, LinkError> {
        let Some(prefix) = self.raw.first_chunk::<LENGTH_BYTES>() else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes(*prefix));
        let most = self.parser.limit() + HEADER_BYTES + TAG_BYTES;
        if length > most {
            return Err(NoiseError::Length { found: length, least: TAG_BYTES + 1, most }.into());
        }
        let Some(message) = self.raw.get(LENGTH_BYTES..LENGTH_BYTES + length) else { return Ok(false) };
        self.opener.decrypt(message, self.parser.buffer())?;
        self.raw.advance(LENGTH_BYTES + length);
        Ok(true)
    }

    async fn fill(&mut self) -> Result<(), LinkError> {
        self.raw.reserve(READ_BYTES);
        // `read_buf` is cancel-safe: either bytes are in `raw`, or none were taken.
        let read = tokio::time::timeout(self.silence, self.source.read_buf(&mut self.raw)).await;
        let silent = |_| LinkError::Silent(u64::try_from(self.silence.as_millis()).unwrap_or(u64::MAX));
        match read.map_err(silent)?? {
            0 => Err(LinkError::HungUp),
            count => {
                self.traffic.received.fetch_add(count as u64, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Reads and forgets until the other end hangs up.
    pub async fn drain(&mut self) {
        loop {
            self.raw.clear();
            self.raw.reserve(READ_BYTES);
            if !matches!(self.source.read_buf(&mut self.raw).await, Ok(1..)) {
                return;
            }
        }
    }
}

/// The half of a link that speaks.
#[derive(Debug)]
pub struct FrameWriter<W> {
    sink: W,
    sealer: Sealer,
    /// What is left of a frame longer than a batch.
    rest: Bytes,
    plain: BytesMut,
    /// Encrypted and not yet with the socket.
    sealed: BytesMut,
    traffic: Arc<Traffic>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes to `sink`.
    pub fn new(sink: W, sealer: Sealer, traffic: Arc<Traffic>) -> Self {
        let (plain, sealed) = (BytesMut::new(), BytesMut::new());
        Self { sink, sealer, rest: Bytes::new(), plain, sealed, traffic }
    }

    /// Writes what `next` gives until it gives nothing more, as much at a time as a batch holds. Cancel-safe: what was
    /// taken from `next` is kept and goes first the next time.
    ///
    /// # Errors
    /// [`LinkError`]: the link is of no use any more.
    pub async fn write_all(&mut self, mut next: impl FnMut() -> Option<Bytes>) -> Result<(), LinkError> {
        loop {
            self.flush().await?;
            self.gather(&mut next);
            if self.plain.is_empty() {
                return Ok(());
            }
            self.sealer.encrypt(&self.plain, &mut self.sealed)?;
            self.plain.clear();
        }
    }

    fn gather(&mut self, next: &mut impl FnMut() -> Option<Bytes>) {
        while self.plain.len() < WRITE_BATCH_BYTES {
            if self.rest.is_empty() {
                let Some(frame) = next() else { return };
                self.rest = frame;
            }
            let part = self.rest.len().min(WRITE_BATCH_BYTES - self.plain.len());
            self.plain.extend_from_slice(&self.rest.split_to(part));
        }
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        while self.sealed.has_remaining() {
            // `write_buf` is cancel-safe: it takes from `sealed` what the socket took.
            let count = self.sink.write_buf(&mut self.sealed).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.traffic.sent.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(self.sink.flush().await?)
    }

    /// Writes what was begun, then `last`, and says that nothing more comes.
    ///
    /// # Errors
    /// [`LinkError`]: the link was of no use any more.
    pub async fn finish(&mut self, last: Option<Bytes>) -> Result<(), LinkError> {
        let mut last = last;
        self.write_all(|| last.take()).await?;
        Ok(self.sink.shutdown().await?)
    }

    /// What it writes to.
    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.sink
    }
}

#[cfg(test)]
mod tests;
