//! Votes and receipts that make payments final, in batches under one signature (`protocol.md` 6).

use super::codec::encode_into;
use super::hash::{ChainId, Domain, Hash, Txid};
use super::keys::{PublicKey, Signature};
use super::merkle;
use super::number::Epoch;
use super::transaction::TxBody;
use crate::limits::{MAX_BATCH_TXIDS, MAX_TX_WIRE_BYTES, MAX_VALIDATORS};
use bincode::{Decode, Encode};

/// What a batch says of its transactions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum FinalityKind {
    /// "I accepted it, and no rival of it this epoch."
    Vote,
    /// "I hold its certificate: votes of a quorum."
    Receipt,
}

/// One signature over 1 to 1,024 transactions, none twice, in any order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct VoteBatch {
    /// The epoch in which it counts.
    pub epoch: Epoch,
    /// Votes or receipts.
    pub kind: FinalityKind,
    /// Consensus key of the signer.
    pub voter: PublicKey,
    /// What is voted for.
    pub txids: Vec<Txid>,
    /// Over [`finality_digest`].
    pub signature: Signature,
}

crate::wire!(VoteBatch, 256 + 32 * MAX_BATCH_TXIDS, 512 + 96 * MAX_BATCH_TXIDS);

/// What the signature of a batch with this Merkle `root` over its txids covers.
pub fn finality_digest(chain: &ChainId, epoch: Epoch, kind: FinalityKind, voter: &PublicKey, root: &Hash) -> Hash {
    let mut bytes = chain.0.to_vec();
    encode_into(&epoch, &mut bytes);
    bytes.push(match kind {
        FinalityKind::Vote => 0,
        FinalityKind::Receipt => 1,
    });
    bytes.extend_from_slice(&voter.0);
    bytes.extend_from_slice(&root.0);
    Domain::FINALITY_VOTE.hash(&bytes)
}

impl VoteBatch {
    /// Merkle root over the txids.
    pub fn root(&self) -> Hash {
        merkle::root(self.txids.iter().map(Txid::as_bytes))
    }

    /// What `signature` covers.
    pub fn digest(&self, chain: &ChainId) -> Hash {
        finality_digest(chain, self.epoch, self.kind, &self.voter, &self.root())
    }
}

/// One transaction's part of a batch: what its signature covers can be recomputed from this alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Receipt {
    /// Consensus key of the signer.
    pub voter: PublicKey,
    /// Position of the transaction in the batch.
    pub index: u32,
    /// Number of transactions in the batch.
    pub count: u32,
    /// Merkle path to the signed root.
    pub path: Vec<Hash>,
    /// Signature of the batch.
    pub signature: Signature,
}

/// Receipts of a quorum: anyone who knows the epoch's set can check it offline.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct FinalityProof {
    /// The final transaction.
    pub txid: Txid,
    /// The epoch whose set signed.
    pub epoch: Epoch,
    /// One a signer, ascending by voter.
    pub receipts: Vec<Receipt>,
}

// A path of a batch has at most 10 levels.
crate::wire!(FinalityProof, 64 + MAX_VALIDATORS * 512, 256 + MAX_VALIDATORS * 1024);

/// One side of a double vote: the body shows which outpoints it spends, the path that its voter signed it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct VotePart {
    /// The transaction voted for.
    pub body: TxBody,
    /// Position in the batch.
    pub index: u32,
    /// Size of the batch.
    pub count: u32,
    /// Merkle path to the signed root.
    pub path: Vec<Hash>,
    /// Signature of the batch.
    pub signature: Signature,
}

crate::wire!(VotePart, MAX_TX_WIRE_BYTES + 1024, 4 * MAX_TX_WIRE_BYTES + 4096);
