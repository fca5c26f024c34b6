//! Why a link ended, and whose fault that is.

use super::frame::FrameError;
use super::hello::HelloError;
use super::message::CloseReason;
use super::noise::{HandshakeError, NoiseError};
use crate::types::codec::CodecError;
use std::io;

/// Why there is no link, or no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody answers at the address.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    /// The other end closed the connection and did not say why.
    #[error("the other end hung up")]
    HungUp,
    /// Not done with the handshake in time.
    #[error("no handshake within {0} ms")]
    HandshakeTimeout(u64),
    /// Nothing came for too long.
    #[error("silent for {0} ms")]
    Silent(u64),
    /// More waits for it than may: it does not take what it is sent, or not as fast as it comes.
    #[error("too slow: {0} bytes wait for it")]
    Slow(usize),
    /// No channel, or something in it that the other end's node did not send.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// No frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its `Hello` is refused.
    #[error("Hello: {0}")]
    Hello(#[from] HelloError),
    /// A frame that holds no message.
    #[error("a message: {0}")]
    Message(#[from] CodecError),
    /// More addresses than one message may have.
    #[error("{0} addresses in one message")]
    TooManyAddresses(usize),
    /// It sent more than its rates allow for so long that its score was used up.
    #[error("too much for too long: its score is used up")]
    OverRate,
    /// The other end closed it.
    #[error("closed by the other end: {0}")]
    ClosedByPeer(CloseReason),
    /// This end closed it.
    #[error("closed: {0}")]
    Closed(CloseReason),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::HungUp,
            kind => Self::Broken(kind),
        }
    }
}

impl From<HandshakeError> for LinkError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Io(error) => error.into(),
            HandshakeError::Noise(error) => error.into(),
        }
    }
}

impl LinkError {
    /// Whether the other end provably broke the protocol. Before the handshake is done nothing proves who that is.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Noise(_) | Self::Frame(_) | Self::Message(_) | Self::TooManyAddresses(_) => true,
            Self::Hello(error) => error.is_fault(),
            _ => false,
        }
    }

    /// Whether the node that proved who it is broke the protocol. Unlike [`LinkError::is_fault`] this leaves out what
    /// anybody on the way could have done: bytes that are not the channel's.
    pub(super) fn is_proved_fault(&self) -> bool {
        self.is_fault() && !matches!(self, Self::Noise(_))
    }

    /// What the other end is told, if it is worth the try.
    pub(super) fn to_tell(&self) -> Option<CloseReason> {
        match self {
            Self::Closed(reason) => Some(*reason),
            Self::Hello(error) => Some(error.to_tell()),
            Self::OverRate => Some(CloseReason::Fault),
            error if error.is_fault() => Some(CloseReason::Fault),
            _ => None,
        }
    }
}
