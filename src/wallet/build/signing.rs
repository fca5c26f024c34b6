//! Signing what was planned.

use super::Plan;
use crate::types::hash::ChainId;
use crate::types::keys::SecretKey;
use crate::types::lock::{Lock, Witness};
use crate::types::transaction::{Transaction, sighash};

/// Why a transaction cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A coin that is not the wallet's.
    #[error("the wallet has no key for the lock {lock:?} of a coin that is to be spent")]
    NoKey {
        /// Its lock.
        lock: Lock,
    },
}

impl Plan {
    /// The transaction, signed for the chain `chain` with the keys that `key_of` knows.
    ///
    /// # Errors
    /// [`SignError::NoKey`].
    pub fn sign<'a>(
        &self,
        chain: &ChainId,
        key_of: impl Fn(&Lock) -> Option<&'a SecretKey>,
    ) -> Result<Transaction, SignError> {
        let body = self.body();
        let digest = sighash(chain, &body.txid());
        let witness = |lock: Lock| {
            let key = key_of(&lock).ok_or(SignError::NoKey { lock })?;
            Ok(Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) })
        };
        let witnesses = self.locks().into_iter().map(witness).collect::<Result<_, _>>()?;
        Ok(Transaction { body, witnesses })
    }
}
