//! Blocks and the chain.

use super::{DecodedTransaction, Text};
use crate::types::hash::{BlockHash, ChainId, Hash, MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::Amount;
use serde::Serialize;

/// `get_blockchain_info`.
#[derive(Clone, Debug, Serialize)]
pub struct BlockchainInfo {
    /// Name of the chain.
    pub chain: String,
    /// Its id.
    pub chain_id: Text<ChainId>,
    /// Height of the tip.
    pub height: u64,
    /// Its hash.
    pub best_block_hash: Text<BlockHash>,
    /// Its slot.
    pub slot: u64,
    /// How many blocks have opened a slot since genesis.
    pub opened: u64,
    /// Epoch of the next block.
    pub epoch: u64,
    /// When the next slot starts.
    pub next_slot_time: u64,
    /// State after the tip.
    pub state_root: Text<Hash>,
    /// Sum of all unspent outputs.
    pub supply: Text<Amount>,
    /// Members of the set that decides the next block.
    pub masternodes: usize,
    /// Their weight.
    pub total_weight: u64,
    /// Whether a peer has proved a higher block.
    pub syncing: bool,
    /// The highest block that a peer says to have, or the tip.
    pub sync_height: u64,
}

/// Something whole, or only its bytes as hex.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Whole<T> {
    /// Bytes in the protocol's encoding.
    Hex(String),
    /// Field by field.
    Fields(Box<T>),
}

/// `get_block`.
#[derive(Clone, Debug, Serialize)]
pub struct BlockInfo {
    /// Its hash.
    pub hash: Text<BlockHash>,
    /// Its height.
    pub height: u64,
    /// Its slot.
    pub slot: u64,
    /// Start of the slot.
    pub time: u64,
    /// The parent; `None` for genesis.
    pub previous_hash: Option<Text<BlockHash>>,
    /// The child; `None` for the tip.
    pub next_hash: Option<Text<BlockHash>>,
    /// Consensus key of who built it.
    pub proposer: Text<PublicKey>,
    /// What the coinbase was to pay.
    pub reward: Text<Amount>,
    /// Transactions, coinbase included.
    pub transaction_count: u32,
    /// Merkle root of their txids.
    pub transaction_root: Text<Hash>,
    /// State after the block.
    pub state_root: Text<Hash>,
    /// Encoded bytes.
    pub size: usize,
    /// What made it final; `None` for genesis.
    pub commit: Option<CommitSummary>,
    /// Collaterals that it took to punish, and what it left of them: no transaction says so.
    pub punishments: Vec<PunishmentInfo>,
    /// Its transactions, coinbase first.
    pub transactions: BlockTransactions,
}

/// A collateral that gave way to a smaller output.
#[derive(Clone, Debug, Serialize)]
pub struct PunishmentInfo {
    /// Whose.
    pub address: String,
    /// The output that went.
    pub taken: PunishedOutput,
    /// The output that came.
    pub left: PunishedOutput,
}

/// One side of a punishment.
#[derive(Clone, Debug, Serialize)]
pub struct PunishedOutput {
    /// What made it; of an output that is left, a name that no transaction has.
    pub txid: Text<Txid>,
    /// Its position there.
    pub index: u32,
    /// Units.
    pub value: Text<Amount>,
}

/// Transactions of a block.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum BlockTransactions {
    /// By name.
    Txids(Vec<Text<Txid>>),
    /// Whole.
    Whole(Vec<DecodedTransaction>),
}

/// A commit in short.
#[derive(Clone, Debug, Serialize)]
pub struct CommitSummary {
    /// View in which it was agreed.
    pub view: u32,
    /// How many signed.
    pub signers: usize,
    /// Their weight.
    pub signed_weight: u64,
}

/// `get_block_header`.
#[derive(Clone, Debug, Serialize)]
pub struct HeaderInfo {
    /// Hash of the block.
    pub hash: Text<BlockHash>,
    /// Version of the header.
    pub version: u16,
    /// Id of the chain.
    pub chain_id: Text<ChainId>,
    /// Height.
    pub height: u64,
    /// Slot.
    pub slot: u64,
    /// How many blocks have opened a slot since genesis, this one included.
    pub opened: u64,
    /// Start of the slot.
    pub time: u64,
    /// The parent; `None` for genesis.
    pub previous_hash: Option<Text<BlockHash>>,
    /// The child; `None` for the tip.
    pub next_hash: Option<Text<BlockHash>>,
    /// Blocks from this one to the tip.
    pub confirmations: u64,
    /// Merkle root of the txids.
    pub transaction_root: Text<Hash>,
    /// Transactions, coinbase included.
    pub transaction_count: u32,
    /// State after the block.
    pub state_root: Text<Hash>,
    /// Hash of the parent's commit.
    pub last_commit_root: Text<Hash>,
    /// Merkle root of the evidence.
    pub evidence_root: Text<Hash>,
    /// The set that signs this block.
    pub validators_hash: Text<Hash>,
    /// The set that signs the child.
    pub next_validators_hash: Text<Hash>,
    /// Randomness that draws the child's leaders.
    pub beacon: Text<Hash>,
    /// Consensus key of who built it.
    pub proposer: Text<PublicKey>,
    /// What the coinbase was to pay.
    pub reward: Text<Amount>,
}

/// `get_commit`.
#[derive(Clone, Debug, Serialize)]
pub struct CommitInfo {
    /// Height of the block.
    pub height: u64,
    /// View in which it was agreed.
    pub view: u32,
    /// The block.
    pub block_hash: Text<BlockHash>,
    /// Weight that signed.
    pub signed_weight: u64,
    /// Weight of the set.
    pub total_weight: u64,
    /// Who signed, in the order of the set.
    pub signatures: Vec<CommitSignature>,
    /// The commit in the protocol's encoding.
    pub hex: String,
}

/// One member's part of a commit.
#[derive(Clone, Debug, Serialize)]
pub struct CommitSignature {
    /// The masternode.
    pub masternode: Text<MasternodeId>,
    /// Its consensus key.
    pub consensus_key: Text<PublicKey>,
    /// Its weight.
    pub weight: u64,
    /// Its signature.
    pub signature: String,
}

/// An item of `subscribe_blocks`.
#[derive(Clone, Debug, Serialize)]
pub struct BlockItem {
    /// To resume from: the height.
    pub sequence: u64,
    /// Height of the block.
    pub height: u64,
    /// Its hash.
    pub hash: Text<BlockHash>,
    /// The parent.
    pub previous_hash: Text<BlockHash>,
    /// Its slot.
    pub slot: u64,
    /// Start of the slot.
    pub time: u64,
    /// Transactions, coinbase included.
    pub transaction_count: u32,
}
