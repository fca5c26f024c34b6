//! The one byte encoding of the protocol: `bincode` 2 with its standard configuration.
//!
//! Invariants: a value has exactly one encoding ([`decode`] refuses trailing bytes and any input that
//! re-encodes differently), and decoding never allocates past the type's bound, whatever a length claims.

use bincode::config::{Configuration, Limit, standard};
use bincode::{Decode, Encode};

/// Why bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than any valid encoding of the type.
    #[error("{size} bytes are more than the {limit} a value of this kind may have")]
    TooLong {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Cut short, an unknown variant, a bad boolean, or a length that claims too much.
    #[error("not a valid encoding: {0}")]
    Malformed(String),
    /// Bytes are left over after the value.
    #[error("{0} bytes left over after the value")]
    TrailingBytes(usize),
    /// Decodes to a value whose only valid encoding is another one.
    #[error("not the canonical encoding of the value")]
    NotCanonical,
}

/// A type that arrives from outside: it names its bounds.
pub trait Wire: Encode + Decode<()> {
    /// Most bytes an encoding may have.
    const MAX_BYTES: usize;

    /// Decodes with the memory bound of the type.
    ///
    /// # Errors
    /// What `bincode` says of the bytes.
    fn decode_bounded(bytes: &[u8]) -> Result<(Self, usize), bincode::error::DecodeError>;
}

/// Declares a type's bounds: most encoded bytes, and most bytes of memory while decoding. The second counts
/// elements at their size in memory, so it is larger.
#[macro_export]
macro_rules! wire {
    ($type:ty, $max_bytes:expr, $max_memory:expr) => {
        impl $crate::types::codec::Wire for $type {
            const MAX_BYTES: usize = $max_bytes;

            fn decode_bounded(bytes: &[u8]) -> Result<(Self, usize), bincode::error::DecodeError> {
                $crate::types::codec::decode_with_limit::<Self, { $max_memory }>(bytes)
            }
        }
    };
}

/// Decodes a prefix of `bytes` within `MEMORY` bytes.
///
/// # Errors
/// What `bincode` says of the bytes.
pub fn decode_with_limit<T: Decode<()>, const MEMORY: usize>(
    bytes: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    let config: Configuration<_, _, Limit<MEMORY>> = standard().with_limit::<MEMORY>();
    bincode::decode_from_slice(bytes, config)
}

/// The encoding of `value`.
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, &mut out);
    out
}

/// Appends the encoding of `value` to `out`.
pub fn encode_into<T: Encode + ?Sized>(value: &T, out: &mut Vec<u8>) {
    struct Appender<'a>(&'a mut Vec<u8>);
    impl bincode::enc::write::Writer for Appender<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    // Only a writer, a poisoned lock, a `SystemTime` before 1970 or a path that is not UTF-8 can fail to
    // encode; the writer above never fails and no type of the protocol contains the others.
    #[allow(clippy::expect_used)]
    bincode::encode_into_writer(value, Appender(out), standard()).expect("encoding into memory cannot fail");
}

/// Number of bytes `encode(value)` would have.
pub fn encoded_size<T: Encode + ?Sized>(value: &T) -> usize {
    let mut counter = bincode::enc::write::SizeWriter::default();
    // As in `encode_into`: counting bytes cannot fail.
    #[allow(clippy::expect_used)]
    bincode::encode_into_writer(value, &mut counter, standard()).expect("counting bytes cannot fail");
    counter.bytes_written
}

/// The value whose encoding `bytes` is.
///
/// # Errors
/// [`CodecError`] if `bytes` is not the one encoding of a value within the type's bounds.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > T::MAX_BYTES {
        return Err(CodecError::TooLong { size: bytes.len(), limit: T::MAX_BYTES });
    }
    let (value, used) = T::decode_bounded(bytes).map_err(|e| CodecError::Malformed(e.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::TrailingBytes(bytes.len() - used));
    }
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical);
    }
    Ok(value)
}
