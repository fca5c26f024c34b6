//! Signing what was planned, or what was made elsewhere and may be signed in part.

use super::Plan;
use crate::crypto::batch::{SignatureCheck, verify};
use crate::types::hash::{ChainId, Hash};
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::lock::{Lock, Witness};
use crate::types::transaction::{Transaction, sighash};
use crate::wallet::multisig::Multisig;

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
    /// A lock of several keys, whose signatures are not as many, or not where, they could be.
    #[error("the signatures for the lock {lock:?} do not fit its keys")]
    Malformed {
        /// The lock.
        lock: Lock,
    },
    /// Somebody else's signature is wrong: the transaction was changed after it, or it is of another chain.
    #[error("the signature of the key {key} is not one of this transaction")]
    BadSignature {
        /// Whose it is said to be.
        key: PublicKey,
    },
    /// Signatures are missing, of which the wallet can make none.
    #[error("{missing} signatures are missing, and the wallet has none of the keys that have not signed")]
    NothingToAdd {
        /// How many.
        missing: usize,
    },
}

impl Plan {
    /// The transaction, signed for the chain `chain` with the keys that `key_of` knows. Of several keys all those sign that
    /// are known, as many as are needed; see [`missing_signatures`].
    ///
    /// # Errors
    /// [`SignError::NoKey`], [`SignError::NothingToAdd`].
    pub fn sign<'a>(
        &self,
        chain: &ChainId,
        key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
    ) -> Result<Transaction, SignError> {
        let unsigned = Transaction { body: self.body(), witnesses: Vec::new() };
        complete(unsigned, &self.locks(), self.content.multisig.as_ref(), chain, key_of)
    }
}

/// The transaction with a witness for each of `locks`, in their order: those that it has, with further signatures where
/// they are of several keys, and new ones. `multisig` names the keys of a lock for which it has none yet.
///
/// # Errors
/// [`SignError`].
pub fn complete<'a>(
    tx: Transaction,
    locks: &[Lock],
    multisig: Option<&Multisig>,
    chain: &ChainId,
    key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
) -> Result<Transaction, SignError> {
    let digest = sighash(chain, &tx.body.txid());
    let named = |lock: &Lock| multisig.filter(|multisig| multisig.lock() == *lock).map(Multisig::unsigned);
    let witness = |lock: &Lock| {
        let begun = tx.witnesses.iter().find(|witness| witness.lock() == *lock).cloned();
        match (begun.or_else(|| named(lock)), key_of(lock)) {
            (Some(begun), _) => {
                check(&begun, &digest)?;
                Ok(with_own_signatures(begun, &digest, &key_of))
            }
            (None, Some(key)) => Ok(Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) }),
            (None, None) => Err(match lock {
                Lock::KeyHash(_) => SignError::NoKey { lock: *lock },
                Lock::Multisig(_) => SignError::KeysUnknown { lock: *lock },
            }),
        }
    };
    let witnesses = locks.iter().map(witness).collect::<Result<Vec<_>, _>>()?;
    let made = |witnesses: &[Witness]| witnesses.iter().map(|witness| witness.signatures().count()).sum::<usize>();
    let has_added = made(&witnesses) > made(&tx.witnesses);
    let signed = Transaction { body: tx.body, witnesses };
    match missing_signatures(&signed) {
        missing if missing > 0 && !has_added => Err(SignError::NothingToAdd { missing }),
        _ => Ok(signed),
    }
}

/// What others signed has to be of this transaction: who adds to it would find out at the end that it is worth nothing.
fn check(begun: &Witness, digest: &Hash) -> Result<(), SignError> {
    if let Witness::Multi { threshold, keys, signatures } = begun
        && (signatures.len() != keys.len() || signatures.iter().flatten().count() > usize::from(*threshold))
    {
        return Err(SignError::Malformed { lock: begun.lock() });
    }
    let is_wrong = |(key, signature): &(&PublicKey, &Signature)| {
        !verify(&SignatureCheck { key: **key, digest: *digest, signature: **signature })
    };
    match begun.signatures().find(is_wrong) {
        Some((key, _)) => Err(SignError::BadSignature { key: *key }),
        None => Ok(()),
    }
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
