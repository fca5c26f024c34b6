//! The keys behind an address of several keys: the chain knows their hash alone, so who spends has to name them.

use crate::limits::MAX_MULTISIG_KEYS;
use crate::types::keys::{PublicKey, Signature};
use crate::types::lock::{Lock, Witness};
use std::str::FromStr;

/// So many of these keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Multisig {
    /// 1 to the number of keys.
    threshold: u8,
    /// 1 to 16, strictly ascending.
    keys: Vec<PublicKey>,
}

/// Why keys make no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MultisigError {
    /// Not the way it is written.
    #[error("write it COUNT:KEY,KEY,.., as in 2:ab..,cd..,ef.., each key as 64 hex digits")]
    Unreadable,
    /// A key that stands there twice.
    #[error("the key {0} is named twice")]
    Twice(PublicKey),
    /// Bytes that are no key.
    #[error("{0} is no public key: is it written right?")]
    NoKey(PublicKey),
    /// Too many or too few.
    #[error("it takes 1 to {MAX_MULTISIG_KEYS} keys, and at least one and at most all of them")]
    Count,
}

impl Multisig {
    /// Of `threshold` of `keys`, in any order.
    ///
    /// # Errors
    /// [`MultisigError::Twice`], [`MultisigError::NoKey`], [`MultisigError::Count`].
    pub fn new(threshold: u8, mut keys: Vec<PublicKey>) -> Result<Self, MultisigError> {
        keys.sort_unstable();
        if let Some(key) = keys.iter().find(|key| !key.is_sound()) {
            return Err(MultisigError::NoKey(*key));
        }
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MultisigError::Twice(pair[0]));
        }
        if keys.len() > MAX_MULTISIG_KEYS || !(1..=keys.len()).contains(&usize::from(threshold)) {
            return Err(MultisigError::Count);
        }
        Ok(Self { threshold, keys })
    }

    /// Signatures that open it.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The keys, strictly ascending.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Its lock.
    pub fn lock(&self) -> Lock {
        Lock::of_keys(self.threshold, &self.keys)
    }

    /// Keys and threshold without signatures.
    pub fn unsigned(&self) -> Witness {
        self.witness(|_| None)
    }

    /// A witness of the length that the signed one has.
    pub fn blank(&self) -> Witness {
        self.witness(|place| (place < usize::from(self.threshold)).then_some(Signature([0; 64])))
    }

    fn witness(&self, signature: impl Fn(usize) -> Option<Signature>) -> Witness {
        let signatures = (0..self.keys.len()).map(signature).collect();
        Witness::Multi { threshold: self.threshold, keys: self.keys.clone(), signatures }
    }
}

impl FromStr for Multisig {
    type Err = MultisigError;

    /// Reads `COUNT:KEY,KEY,..`.
    fn from_str(text: &str) -> Result<Self, MultisigError> {
        let (threshold, keys) = text.split_once(':').ok_or(MultisigError::Unreadable)?;
        let threshold = threshold.parse().map_err(|_| MultisigError::Unreadable)?;
        let keys: Option<Vec<PublicKey>> = keys.split(',').map(|key| PublicKey::from_hex(key.trim())).collect();
        Self::new(threshold, keys.ok_or(MultisigError::Unreadable)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SecretKey;

    fn key(n: u8) -> PublicKey {
        SecretKey::from_bytes(&[n; 32]).public_key()
    }

    #[test]
    fn keys_are_read_in_any_order_and_nonsense_is_not() {
        let mut both = [key(1), key(2)];
        both.sort();
        let [a, b] = both;
        let read: Multisig = format!("2:{b}, {a}").parse().unwrap();
        assert_eq!(read, Multisig { threshold: 2, keys: vec![a, b] });
        assert!(read.blank().is_well_formed() && read.blank().lock() == read.lock());
        assert_eq!(read.unsigned().lock(), read.lock());
        let many = |count: u8| (0..count).map(|n| key(n).to_string()).collect::<Vec<_>>().join(",");
        assert!(format!("16:{}", many(16)).parse::<Multisig>().is_ok());
        // No point of the curve, and one of small order.
        let [off_curve, weak] = [2, 1].map(|first| {
            let mut bytes = [0; 32];
            bytes[0] = first;
            PublicKey(bytes)
        });
        for (wrong, why) in [
            ("2".to_owned(), MultisigError::Unreadable),
            ("2:".to_owned(), MultisigError::Unreadable),
            (format!("x:{a}"), MultisigError::Unreadable),
            (format!("256:{a}"), MultisigError::Unreadable),
            (format!("1:{a},zz"), MultisigError::Unreadable),
            (format!("0:{a}"), MultisigError::Count),
            (format!("2:{a}"), MultisigError::Count),
            (format!("1:{}", many(17)), MultisigError::Count),
            (format!("1:{a},{a}"), MultisigError::Twice(a)),
            (format!("1:{a},{off_curve}"), MultisigError::NoKey(off_curve)),
            (format!("1:{a},{weak}"), MultisigError::NoKey(weak)),
        ] {
            assert_eq!(wrong.parse::<Multisig>(), Err(why), "{wrong}");
        }
    }
}
