//! Signing what was planned, or what was made elsewhere and may be signed in part.

use super::{Consent, Plan};
use crate::types::hash::{ChainId, Hash};
use crate::types::keys::SecretKey;
use crate::types::lock::{Lock, Witness};
use crate::types::transaction::{Transaction, sighash};

/// Why a transaction cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A lock that no key of the wallet opens, and nobody has opened.
    #[error("the wallet has no key for the lock {lock:?}")]
    NoKey {
        /// The lock.
        lock: Lock,
    },
    /// A lock of several keys, which the transaction does not name.
    #[error("the lock {lock:?} is of several keys, and the transaction does not say which")]
    KeysUnknown {
        /// The lock.
        lock: Lock,
    },
}

impl Plan {
    /// The transaction, signed for the chain `chain` with the keys that `key_of` knows. Of a consent of several keys all
    /// those sign that are known, as many as are needed; see [`missing_signatures`].
    ///
    /// # Errors
    /// [`SignError::NoKey`].
    pub fn sign<'a>(
        &self,
        chain: &ChainId,
        key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
    ) -> Result<Transaction, SignError> {
        let witnesses = self.content.consent.as_ref().and_then(Consent::unsigned).into_iter().collect();
        complete(Transaction { body: self.body(), witnesses }, &self.locks(), chain, key_of)
    }
}

/// The transaction with a witness for each of `locks`, in their order: those that it has, with further signatures where
/// they are of several keys, and new ones. Whether the signatures that it has are good is not looked at.
///
/// # Errors
/// [`SignError`].
pub fn complete<'a>(
    tx: Transaction,
    locks: &[Lock],
    chain: &ChainId,
    key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
) -> Result<Transaction, SignError> {
    let digest = sighash(chain, &tx.body.txid());
    let witness = |lock: &Lock| match tx.witnesses.iter().find(|witness| witness.lock() == *lock) {
        Some(begun) => Ok(with_own_signatures(begun.clone(), &digest, &key_of)),
        None => match (lock, key_of(lock)) {
            (_, Some(key)) => Ok(Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) }),
            (Lock::KeyHash(_), None) => Err(SignError::NoKey { lock: *lock }),
            (Lock::Multisig(_), None) => Err(SignError::KeysUnknown { lock: *lock }),
        },
    };
    let witnesses = locks.iter().map(witness).collect::<Result<_, _>>()?;
    Ok(Transaction { body: tx.body, witnesses })
}

/// A witness of several keys with the signatures of those that are known, up to its threshold.
fn with_own_signatures<'a>(
    mut witness: Witness,
    digest: &Hash,
    key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
) -> Witness {
    if let Witness::Multi { threshold, keys, signatures } = &mut witness {
        for (key, place) in keys.iter().zip(0..) {
            let is_enough = signatures.iter().flatten().count() >= usize::from(*threshold);
            if let Some(entry) = signatures.get_mut(place).filter(|entry| entry.is_none() && !is_enough) {
                *entry = key_of(&Lock::of_key(key)).map(|own| own.sign(digest));
            }
        }
    }
    witness
}

/// How many signatures of several keys a transaction lacks.
pub fn missing_signatures(tx: &Transaction) -> usize {
    let missing = |witness: &Witness| match witness {
        Witness::Key { .. } => 0,
        Witness::Multi { threshold, signatures, .. } => {
            usize::from(*threshold).saturating_sub(signatures.iter().flatten().count())
        }
    };
    tx.witnesses.iter().map(missing).sum()
}
