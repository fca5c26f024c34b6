//! Who may spend an output: the holder of one key, or a threshold of several.

use super::codec::encode_into;
use super::hash::Domain;
use super::keys::{PublicKey, Signature};
use crate::limits::MAX_MULTISIG_KEYS;
use bincode::{Decode, Encode};

/// The condition on an output, as the hash of what will satisfy it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum Lock {
    /// `H("address", public key)`.
    KeyHash([u8; 32]),
    /// `H("multisig", encode(threshold) || encode(keys))`.
    Multisig([u8; 32]),
}

/// What satisfies a lock: keys that hash to it, and their signatures.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum Witness {
    /// For a [`Lock::KeyHash`].
    Key {
        /// The key whose hash is the lock.
        pubkey: PublicKey,
        /// Its signature over the transaction's signature hash.
        signature: Signature,
    },
    /// For a [`Lock::Multisig`].
    Multi {
        /// How many signatures the lock asks for, 1 to the number of keys.
        threshold: u8,
        /// 1 to 16 keys, strictly ascending.
        keys: Vec<PublicKey>,
        /// One entry a key, exactly `threshold` of them present.
        signatures: Vec<Option<Signature>>,
    },
}

impl Lock {
    /// The lock of one key.
    pub fn of_key(key: &PublicKey) -> Self {
        Self::KeyHash(Domain::ADDRESS.hash(&key.0).0)
    }

    /// The lock of `threshold` of `keys`; the keys must be strictly ascending for it to be spendable.
    pub fn of_keys(threshold: u8, keys: &[PublicKey]) -> Self {
        let mut bytes = Vec::with_capacity(2 + 32 * keys.len());
        encode_into(&threshold, &mut bytes);
        encode_into(keys, &mut bytes);
        Self::Multisig(Domain::MULTISIG.hash(&bytes).0)
    }
}

impl Witness {
    /// The lock this witness is for. Says nothing about its signatures.
    pub fn lock(&self) -> Lock {
        match self {
            Self::Key { pubkey, .. } => Lock::of_key(pubkey),
            Self::Multi { threshold, keys, .. } => Lock::of_keys(*threshold, keys),
        }
    }

    /// Whether keys, threshold and entries have a shape that could satisfy a lock (`protocol.md` 3): 1 to 16 keys
    /// strictly ascending, one entry a key, exactly `threshold >= 1` signatures.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Multi { threshold, keys, signatures } => {
                let threshold = usize::from(*threshold);
                (1..=MAX_MULTISIG_KEYS).contains(&keys.len())
                    && (1..=keys.len()).contains(&threshold)
                    && keys.windows(2).all(|pair| pair[0] < pair[1])
                    && signatures.len() == keys.len()
                    && signatures.iter().flatten().count() == threshold
            }
        }
    }

    /// Each key that signed, with its signature.
    pub fn signatures(&self) -> impl Iterator<Item = (&PublicKey, &Signature)> {
        let (one, many) = match self {
            Self::Key { pubkey, signature } => (Some((pubkey, signature)), None),
            Self::Multi { keys, signatures, .. } => {
                (None, Some(keys.iter().zip(signatures).filter_map(|(k, s)| s.as_ref().map(|s| (k, s)))))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
