//! Blocks, commits, and the messages by which masternodes agree on one (`protocol.md` 7).

use super::codec::{encode, encode_into};
use super::evidence::Evidence;
use super::hash::{BlockHash, ChainId, Domain, Hash, Txid};
use super::keys::{PublicKey, Signature};
use super::merkle;
use super::number::{Amount, Height, Slot, View};
use super::transaction::Transaction;
use crate::limits::{MAX_BLOCK_WIRE_BYTES, MAX_PROPOSAL_WIRE_BYTES, MAX_VALIDATORS};
use bincode::{Decode, Encode};

pub use super::bft_vote::{BftKind, BftVote, bft_digest};

/// What a block's hash covers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Header {
    /// 1.
    pub version: u16,
    /// The chain.
    pub chain_id: ChainId,
    /// One more than the parent's.
    pub height: Height,
    /// The slot the block stands in: its time is the slot's start.
    pub slot: Slot,
    /// How many blocks have opened a slot since genesis, this one included.
    pub opened: u64,
    /// The parent.
    pub prev: BlockHash,
    /// Merkle root of the txids, coinbase included.
    pub tx_root: Hash,
    /// Number of transactions, coinbase included.
    pub tx_count: u32,
    /// State after the block.
    pub state_root: Hash,
    /// `H("commit", encode(last_commit))`.
    pub last_commit_root: Hash,
    /// Merkle root of the hashes of the evidence.
    pub evidence_root: Hash,
    /// Hash of the set that signs this block.
    pub validators_hash: Hash,
    /// Hash of the set that signs the child.
    pub next_validators_hash: Hash,
    /// Randomness that draws the leaders of the child's height.
    pub beacon: Hash,
    /// Consensus key of who built the block.
    pub proposer: PublicKey,
    /// Subsidy and fees paid out in the coinbase, as far as its signers earned them.
    pub reward: Amount,
}

crate::wire!(Header, 512, 1024);

impl Header {
    /// `H("block", encode(header))`.
    pub fn hash(&self) -> BlockHash {
        Domain::BLOCK.hash(&encode(self)).into()
    }
}

/// Precommits of a quorum for one block at one view.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Commit {
    /// Height of the block.
    pub height: Height,
    /// View of the precommits.
    pub view: View,
    /// The block.
    pub block_hash: BlockHash,
    /// One entry a member, in validator-set order.
    pub signatures: Vec<Option<Signature>>,
}

crate::wire!(Commit, 64 + MAX_VALIDATORS * 65, 256 + MAX_VALIDATORS * 80);

/// `H("commit", encode(last_commit))`.
pub fn commit_root(commit: Option<&Commit>) -> Hash {
    Domain::COMMIT.hash(&encode(&commit))
}

/// Output and proof of the delay function, each 2,048 bits big-endian.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct VdfProof {
    /// `x^(2^iterations)`, the canonical representative.
    pub y: [u8; 256],
    /// Wesolowski's proof, the canonical representative.
    pub proof: [u8; 256],
}

impl std::fmt::Debug for VdfProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VdfProof({})", super::hex::encode(&self.y[..4]))
    }
}

/// A whole block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Block {
    /// What the hash covers.
    pub header: Header,
    /// The coinbase, if the block opens a slot, then the rest in ascending order of txid.
    pub txs: Vec<Transaction>,
    /// The parent's commit; `None` only on genesis and its child.
    pub last_commit: Option<Commit>,
    /// Double signatures to punish, ascending by hash.
    pub evidence: Vec<Evidence>,
    /// The beacon's proof, if the block opens a slot and is not genesis.
    pub vdf: Option<VdfProof>,
}

crate::wire!(Block, MAX_BLOCK_WIRE_BYTES, 4 * MAX_BLOCK_WIRE_BYTES);

/// Merkle root over txids.
pub fn tx_root<'a>(txids: impl IntoIterator<Item = &'a Txid>) -> Hash {
    merkle::root(txids.into_iter().map(Txid::as_bytes))
}

/// Merkle root over the hashes of `evidence`.
pub fn evidence_root(evidence: &[Evidence]) -> Hash {
    let hashes: Vec<Hash> = evidence.iter().map(Evidence::hash).collect();
    merkle::root(hashes.iter().map(Hash::as_bytes))
}

/// Prepares of a quorum for one block at one view: the paper's proof of lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct PrepareProof {
    /// View of the prepares.
    pub view: View,
    /// One entry a member, in validator-set order.
    pub signatures: Vec<Option<Signature>>,
}

/// A block offered at one view, without the transactions and the coinbase that its receivers have or recompute.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Proposal {
    /// The view; the height is the header's.
    pub view: View,
    /// The prepares of an earlier view that make this a proved proposal; `None` for a fresh one.
    pub proof: Option<PrepareProof>,
    /// The header.
    pub header: Header,
    /// Txids in block order, without the coinbase.
    pub txids: Vec<Txid>,
    /// As in the block.
    pub last_commit: Option<Commit>,
    /// As in the block.
    pub evidence: Vec<Evidence>,
    /// As in the block.
    pub vdf: Option<VdfProof>,
    /// Consensus key of the view's leader, who signs.
    pub leader: PublicKey,
    /// Over [`proposal_digest`].
    pub signature: Signature,
}

crate::wire!(Proposal, MAX_PROPOSAL_WIRE_BYTES, 4 * MAX_PROPOSAL_WIRE_BYTES);

/// What the signature of a proposal covers.
pub fn proposal_digest(
    chain: &ChainId,
    height: Height,
    view: View,
    proof_view: Option<View>,
    block_hash: BlockHash,
) -> Hash {
    let mut bytes = chain.0.to_vec();
    encode_into(&(height, view, proof_view, block_hash), &mut bytes);
    Domain::PROPOSAL.hash(&bytes)
}

impl Proposal {
    /// View of the proof, the paper's `validRound`.
    pub fn proof_view(&self) -> Option<View> {
        self.proof.as_ref().map(|p| p.view)
    }

    /// What `signature` covers.
    pub fn digest(&self, chain: &ChainId) -> Hash {
        proposal_digest(chain, self.header.height, self.view, self.proof_view(), self.header.hash())
    }
}
