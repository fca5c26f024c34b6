//! Transactions: what they spend, what they create, and who agreed.
//!
//! A txid covers the body only, so nobody but the owner can change it; what was verified is remembered under
//! [`Wtxid`], which covers the witnesses too, so a bad witness cannot poison a good transaction.

use super::codec::{encode, encode_into};
use super::hash::{ChainId, Domain, Hash, MasternodeId, Txid, Wtxid};
use super::keys::{PublicKey, Signature};
use super::lock::{Lock, Witness};
use super::number::{Amount, Height};
use crate::limits::MAX_TX_WIRE_BYTES;
use bincode::{Decode, Encode};
use std::fmt;

/// One output of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// Position among its outputs.
    pub index: u32,
}

impl fmt::Debug for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.txid, self.index)
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

/// An amount and who may spend it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct TxOut {
    /// Units.
    pub value: Amount,
    /// The condition.
    pub lock: Lock,
}

/// What a transaction does besides moving value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum Payload {
    /// Nothing.
    Transfer,
    /// Pays the masternodes of one block; only inside blocks.
    Coinbase {
        /// The block's height: makes the txid unique.
        height: Height,
    },
    /// Makes an output of the same transaction a masternode's collateral.
    Register(Register),
    /// Changes a masternode's payout or endpoint.
    Update(Update),
    /// Asks for a masternode to leave.
    Unregister {
        /// Which one.
        masternode: MasternodeId,
    },
}

/// A registration (`protocol.md` 4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Register {
    /// The key that will vote.
    pub consensus_key: PublicKey,
    /// Who gets the rewards.
    pub payout: Lock,
    /// Where the masternode listens; at most 255 bytes.
    pub endpoint: String,
    /// Which output of this transaction is the collateral.
    pub collateral_index: u32,
    /// The consensus key's signature: see [`Register::proof_digest`].
    pub proof: Signature,
}

impl Register {
    /// What `proof` signs: this registration with this first input and this collateral, so it is of no use elsewhere.
    pub fn proof_digest(&self, chain: &ChainId, first_input: &OutPoint, collateral: &TxOut) -> Hash {
        let mut bytes = chain.0.to_vec();
        encode_into(first_input, &mut bytes);
        encode_into(collateral, &mut bytes);
        encode_into(&(&self.consensus_key, &self.payout, &self.endpoint), &mut bytes);
        Domain::REGISTER.hash(&bytes)
    }
}

/// A change to a masternode's record; `None` keeps what is there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Update {
    /// Which one.
    pub masternode: MasternodeId,
    /// New payout.
    pub payout: Option<Lock>,
    /// New endpoint; at most 255 bytes.
    pub endpoint: Option<String>,
}

/// Everything of a transaction that its txid covers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct TxBody {
    /// 1.
    pub version: u16,
    /// What is spent.
    pub inputs: Vec<OutPoint>,
    /// What is created.
    pub outputs: Vec<TxOut>,
    /// What else it does.
    pub payload: Payload,
    /// At most 80 bytes of the sender's choice.
    pub memo: Vec<u8>,
}

impl TxBody {
    /// `H("txid", encode(body))`.
    pub fn txid(&self) -> Txid {
        Domain::TXID.hash(&encode(self)).into()
    }

    /// Whether this is a coinbase, which stands only in blocks.
    pub fn is_coinbase(&self) -> bool {
        matches!(self.payload, Payload::Coinbase { .. })
    }
}

/// What every witness of the transaction `txid` signs on `chain`.
pub fn sighash(chain: &ChainId, txid: &Txid) -> Hash {
    Domain::SIGHASH.hash_all(&[&chain.0, &txid.0])
}

/// A body and the witnesses of its inputs, one a lock, in the order in which the inputs first need them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Transaction {
    /// What the txid covers.
    pub body: TxBody,
    /// What satisfies the locks.
    pub witnesses: Vec<Witness>,
}

crate::wire!(Transaction, MAX_TX_WIRE_BYTES, 4 * MAX_TX_WIRE_BYTES);
crate::wire!(TxBody, MAX_TX_WIRE_BYTES, 4 * MAX_TX_WIRE_BYTES);

/// A transaction with what is computed from its encoding once: both hashes and the size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashedTx {
    tx: Transaction,
    txid: Txid,
    wtxid: Wtxid,
    size_bytes: u32,
}

impl HashedTx {
    /// Hashes `tx`.
    pub fn new(tx: Transaction) -> Self {
        let mut bytes = encode(&tx.body);
        let txid = Domain::TXID.hash(&bytes).into();
        encode_into(&tx.witnesses, &mut bytes);
        let wtxid = Domain::WTXID.hash(&bytes).into();
        let size_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { tx, txid, wtxid, size_bytes }
    }

    /// The transaction.
    pub fn tx(&self) -> &Transaction {
        &self.tx
    }

    /// Its body.
    pub fn body(&self) -> &TxBody {
        &self.tx.body
    }

    /// Its name.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// Its name with these witnesses.
    pub fn wtxid(&self) -> Wtxid {
        self.wtxid
    }

    /// Encoded size in bytes.
    pub fn size_bytes(&self) -> u32 {
        self.size_bytes
    }

    /// What it spends.
    pub fn inputs(&self) -> &[OutPoint] {
        &self.tx.body.inputs
    }

    /// Each output with its outpoint.
    pub fn outputs(&self) -> impl Iterator<Item = (OutPoint, &TxOut)> {
        // At most 1,024 outputs outside a coinbase, and a coinbase has one a masternode: the index fits.
        self.tx.body.outputs.iter().zip(0u32..).map(|(out, index)| (OutPoint { txid: self.txid, index }, out))
    }
}
