//! Building payments: which coins to spend, the exact fee, what comes back; then signing.
//!
//! Invariants of a [`Plan`]: inputs = outputs + fee; the fee is at least the rate times the encoded size and exceeds it
//! only by what would have been too little to come back; no output is below the chain's least; at most
//! `MAX_INPUTS` inputs and `max_tx_bytes` bytes. All arithmetic is checked.

mod selection;
mod signing;

pub use selection::{plan_payment, plan_sweep};
pub use signing::SignError;

use super::amounts;
use crate::limits::MAX_MEMO_BYTES;
use crate::types::codec::encoded_size;
use crate::types::keys::{PublicKey, Signature};
use crate::types::lock::{Lock, Witness};
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};
use std::collections::BTreeSet;

/// An output that can be spent, of one of the wallet's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Which one.
    pub outpoint: OutPoint,
    /// Units.
    pub value: Amount,
    /// Whose: a [`Lock::KeyHash`].
    pub lock: Lock,
}

/// What the chain asks of a payment, and what the user adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Units for each byte: the chain's least, or more.
    pub fee_rate: u64,
    /// Least value of an output, in units.
    pub min_output: Amount,
    /// Most bytes of a transaction.
    pub max_tx_bytes: u64,
}

/// A transaction that only lacks signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What is spent, the largest first.
    pub coins: Vec<Coin>,
    /// The payment first, then what comes back.
    pub outputs: Vec<TxOut>,
    /// Units.
    pub fee: Amount,
    /// At most 80 bytes.
    pub memo: Vec<u8>,
}

/// Why there is no such payment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Less than an output may hold.
    #[error("{} TIME is too little to be paid: the least is {} TIME", amounts::format(*.amount), amounts::format(*.least))]
    AmountTooSmall {
        /// What was to be paid.
        amount: Amount,
        /// The chain's least output.
        least: Amount,
    },
    /// A memo longer than allowed.
    #[error("a memo of {bytes} bytes is longer than {limit}", limit = MAX_MEMO_BYTES)]
    MemoTooLong {
        /// Its length.
        bytes: usize,
    },
    /// All coins together do not pay for it.
    #[error("{} TIME and a fee of {} TIME are needed, {} TIME can be spent now",
        amounts::format(*.amount), amounts::format(*.fee), amounts::format(*.spendable))]
    Insufficient {
        /// What was to be paid.
        amount: Amount,
        /// The fee of the transaction that would spend everything.
        fee: Amount,
        /// Everything there is.
        spendable: Amount,
    },
    /// The coins would pay for it, but not those that fit one transaction.
    #[error("the money is in too many small outputs: one transaction can spend {inputs} of them, the largest of which pay \
        {} TIME at most. Pay in several parts, or merge them first: timed wallet sweep", amounts::format(*.reach))]
    TooFragmented {
        /// How many coins fit.
        inputs: usize,
        /// What those could pay, fee taken off.
        reach: Amount,
    },
    /// Nothing that would be worth its fee.
    #[error("there is nothing to sweep: no output that can be spent now is worth more than its fee")]
    NothingToSweep,
    /// Sums past 64 bits: the chain spec or the node's answer is nonsense.
    #[error("the amounts add up to more than 2^64 units")]
    Overflow,
}

impl Plan {
    /// Encoded size of the signed transaction in bytes.
    pub fn size_bytes(&self) -> u64 {
        size_of(&self.coins, &self.outputs, &self.memo)
    }

    /// Sum of what is spent.
    pub fn spent(&self) -> Option<Amount> {
        Amount::checked_sum(self.coins.iter().map(|coin| coin.value))
    }

    /// What the transaction's id covers.
    pub fn body(&self) -> TxBody {
        body_of(&self.coins, &self.outputs, &self.memo)
    }

    /// The locks to be opened, in the order in which the inputs first need them.
    pub fn locks(&self) -> Vec<Lock> {
        distinct_locks(&self.coins)
    }
}

fn distinct_locks(coins: &[Coin]) -> Vec<Lock> {
    let mut seen = BTreeSet::new();
    coins.iter().map(|coin| coin.lock).filter(|lock| seen.insert(*lock)).collect()
}

fn body_of(coins: &[Coin], outputs: &[TxOut], memo: &[u8]) -> TxBody {
    TxBody {
        version: 1,
        inputs: coins.iter().map(|coin| coin.outpoint).collect(),
        outputs: outputs.to_vec(),
        payload: Payload::Transfer,
        memo: memo.to_vec(),
    }
}

/// The size that the signed transaction will have: a witness of a key has one length, whatever is in it.
fn size_of(coins: &[Coin], outputs: &[TxOut], memo: &[u8]) -> u64 {
    let blank = Witness::Key { pubkey: PublicKey([0; 32]), signature: Signature([0; 64]) };
    let witnesses = vec![blank; distinct_locks(coins).len()];
    // A size in memory fits 64 bits.
    u64::try_from(encoded_size(&Transaction { body: body_of(coins, outputs, memo), witnesses })).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
