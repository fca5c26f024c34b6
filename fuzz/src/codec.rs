//! What holds for every type that travels.

use std::fmt::Debug;
use timed::types::codec::{Wire, decode, encode, encoded_size};

/// The value, if `bytes` are one: then they are its one encoding, within the bounds of its type.
pub fn accepted<T: Wire + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert!(bytes.len() <= T::MAX_BYTES);
    assert_eq!(encode(&value), bytes);
    assert_eq!(encoded_size(&value), bytes.len());
    assert_eq!(decode::<T>(bytes).as_ref(), Ok(&value));
    assert!(decode::<T>(&[bytes, &[0]].concat()).is_err(), "nothing may follow a value");
    if let [shorter @ .., _] = bytes {
        assert!(decode::<T>(shorter).is_err(), "nothing may be missing from a value");
    }
    Some(value)
}
