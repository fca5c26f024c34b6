//! Proofs that a transaction is final.

use super::Text;
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::keys::PublicKey;
use serde::Serialize;

/// `get_finality_proof`: everything needed to check it offline, but the validator set, which the checker has to trust.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Proof {
    /// Receipts of a quorum.
    Receipts(ReceiptProof),
    /// A place in a block that has a commit.
    Block(BlockProof),
}

/// Receipts of a quorum for a transaction.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptProof {
    /// The transaction.
    pub txid: Text<Txid>,
    /// The epoch whose set signed.
    pub epoch: u64,
    /// One a signer, ascending by voter.
    pub receipts: Vec<ReceiptPart>,
}

/// One masternode's receipt.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptPart {
    /// Its consensus key.
    pub voter: Text<PublicKey>,
    /// Position of the transaction in the signed batch.
    pub index: u32,
    /// Size of the batch.
    pub count: u32,
    /// Merkle path to the signed root.
    pub path: Vec<Text<Hash>>,
    /// Signature of the batch.
    pub signature: String,
}

/// A transaction's place in a block that has a commit.
#[derive(Clone, Debug, Serialize)]
pub struct BlockProof {
    /// The transaction.
    pub txid: Text<Txid>,
    /// Height of the block.
    pub height: u64,
    /// Its header in the protocol's encoding.
    pub header: String,
    /// The precommits; `None` for genesis, which follows from the chain spec.
    pub commit: Option<CommitParts>,
    /// Position of the transaction in the block.
    pub index: u32,
    /// Transactions of the block.
    pub count: u32,
    /// Merkle path to the header's root.
    pub path: Vec<Text<Hash>>,
}

/// Precommits of a quorum.
#[derive(Clone, Debug, Serialize)]
pub struct CommitParts {
    /// Height of the block.
    pub height: u64,
    /// View of the precommits.
    pub view: u32,
    /// The block.
    pub block_hash: Text<BlockHash>,
    /// One entry a member, in the order of the set that signs the block.
    pub signatures: Vec<Option<String>>,
}

/// `verify_finality_proof`.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether the transaction is final, as far as the proof says.
    pub valid: bool,
    /// `receipts` or `block`.
    pub kind: &'static str,
    /// The transaction.
    pub txid: Text<Txid>,
    /// The epoch whose set was asked for its weights.
    pub epoch: Option<u64>,
    /// Height of the block.
    pub height: Option<u64>,
    /// Weight that signed.
    pub signed_weight: Option<u64>,
    /// Weight of the set.
    pub total_weight: Option<u64>,
    /// What is wrong.
    pub reason: Option<String>,
}
