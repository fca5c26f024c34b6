//! Building payments: which coins to spend, the exact fee, what comes back; then signing. A masternode's registration
//! and changes are payments with a payload.
//!
//! Invariants of a [`Plan`]: inputs = outputs + fee; the fee is at least the rate times the encoded size and exceeds it
//! only by what would have been too little to come back; no output is below the chain's least; at most
//! `MAX_INPUTS` inputs and `max_tx_bytes` bytes. All arithmetic is checked.

mod registration;
mod selection;
mod signing;

pub use registration::{Identity, plan_registration};
pub use selection::{plan_change, plan_payment, plan_sweep};
pub use signing::{SignError, complete, missing_signatures};

use super::amounts;
use super::multisig::Multisig;
use crate::limits::MAX_MEMO_BYTES;
use crate::types::codec::encoded_size;
use crate::types::keys::{PublicKey, Signature};
use crate::types::lock::{Lock, Witness};
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};
use std::collections::BTreeSet;

/// An output that can be spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Which one.
    pub outpoint: OutPoint,
    /// Units.
    pub value: Amount,
    /// Whose.
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

/// What a transaction says and needs whatever coins it spends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// At most 80 bytes.
    pub memo: Vec<u8>,
    /// What it does besides moving value.
    pub payload: Payload,
    /// Who has to agree besides the owners of what is spent: the owner of a masternode.
    pub consent: Option<Lock>,
    /// The keys behind the one [`Lock::Multisig`] that is opened, of coins or of the consent.
    pub multisig: Option<Multisig>,
}

/// A transaction that only lacks signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What is spent, the largest first.
    pub coins: Vec<Coin>,
    /// The payment first, if there is one, then what comes back.
    pub outputs: Vec<TxOut>,
    /// Units.
    pub fee: Amount,
    /// Everything else.
    pub content: Content,
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
    #[error("{} TIME and a fee of {} TIME are needed, {} TIME can be spent now: {} TIME are missing",
        amounts::format(*.amount), amounts::format(*.fee), amounts::format(*.spendable),
        amounts::format(missing(*.amount, *.fee, *.spendable)))]
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

/// What is there too little of.
fn missing(amount: Amount, fee: Amount, spendable: Amount) -> Amount {
    let needed = amount.checked_add(fee).unwrap_or(Amount::MAX);
    needed.checked_sub(spendable).unwrap_or_default()
}

impl Content {
    /// Of a payment with a memo.
    pub fn of_payment(memo: &[u8]) -> Self {
        Self { memo: memo.to_vec(), payload: Payload::Transfer, consent: None, multisig: None }
    }

    /// The same, spending coins of these keys.
    pub fn with_multisig(self, multisig: Option<Multisig>) -> Self {
        Self { multisig, ..self }
    }

    /// A witness of the length that the signed one for `lock` has.
    fn blank_witness(&self, lock: &Lock) -> Witness {
        match self.multisig.as_ref().filter(|multisig| multisig.lock() == *lock) {
            Some(multisig) => multisig.blank(),
            None => Witness::Key { pubkey: PublicKey([0; 32]), signature: Signature([0; 64]) },
        }
    }
}

impl Plan {
    /// Encoded size of the signed transaction in bytes.
    pub fn size_bytes(&self) -> u64 {
        size_of(&self.coins, &self.outputs, &self.content)
    }

    /// Sum of what is spent.
    pub fn spent(&self) -> Option<Amount> {
        Amount::checked_sum(self.coins.iter().map(|coin| coin.value))
    }

    /// What the transaction's id covers.
    pub fn body(&self) -> TxBody {
        body_of(&self.coins, &self.outputs, &self.content)
    }

    /// The locks to be opened, in the order in which the inputs first need them, that of a consent last.
    pub fn locks(&self) -> Vec<Lock> {
        locks_of(&self.coins, &self.content)
    }
}

fn locks_of(coins: &[Coin], content: &Content) -> Vec<Lock> {
    let mut seen = BTreeSet::new();
    coins.iter().map(|coin| coin.lock).chain(content.consent).filter(|lock| seen.insert(*lock)).collect()
}

fn body_of(coins: &[Coin], outputs: &[TxOut], content: &Content) -> TxBody {
    TxBody {
        version: 1,
        inputs: coins.iter().map(|coin| coin.outpoint).collect(),
        outputs: outputs.to_vec(),
        payload: content.payload.clone(),
        memo: content.memo.clone(),
    }
}

/// The size that the signed transaction will have: a witness has one length, whatever signatures are in it.
fn size_of(coins: &[Coin], outputs: &[TxOut], content: &Content) -> u64 {
    let witnesses = locks_of(coins, content).iter().map(|lock| content.blank_witness(lock)).collect();
    let tx = Transaction { body: body_of(coins, outputs, content), witnesses };
    // A size in memory fits 64 bits.
    u64::try_from(encoded_size(&tx)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
