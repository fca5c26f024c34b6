//! Addresses: a text that is taken is the address, in either case, of the lock it is read as.

use super::chain::CHAIN;
use timed::types::address::{from_address, to_address};
use timed::types::lock::Lock;

/// The bytes are a text, and a lock.
pub fn check(data: &[u8]) {
    let hrp = &CHAIN.address_hrp;
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(lock) = from_address(text, hrp)
    {
        assert_eq!(to_address(&lock, hrp).unwrap(), text.to_lowercase());
    }
    if let Some((kind, hash)) = data.split_first_chunk::<1>()
        && let Some((hash, rest)) = hash.split_first_chunk::<32>()
    {
        let lock = if kind[0] & 1 == 0 { Lock::KeyHash(*hash) } else { Lock::Multisig(*hash) };
        let address = to_address(&lock, hrp).unwrap();
        assert_eq!(from_address(&address, hrp), Ok(lock));
        assert_eq!(from_address(&address.to_uppercase(), hrp), Ok(lock));
        // The checksum finds any one character that is another.
        if let [at, by, ..] = rest {
            let mut text = address.into_bytes();
            let at = usize::from(*at) % text.len();
            let other = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"[usize::from(*by) % 32];
            if text[at] != other && at > hrp.len() {
                text[at] = other;
                assert!(from_address(std::str::from_utf8(&text).unwrap(), hrp).is_err(), "{text:?}");
            }
        }
    }
}
