//! Transactions.

use super::Text;
use crate::types::hash::{BlockHash, MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::Amount;
use serde::Serialize;

/// How far a transaction has come (`protocol.md` 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Not known here.
    Unknown,
    /// Refused, or dropped later.
    Rejected,
    /// Waits for a transaction that it spends.
    Seen,
    /// Valid, and being sampled.
    Sampling,
    /// Snowball accepted it.
    Accepted,
    /// Votes of a quorum.
    Certified,
    /// Receipts of a quorum, on disk: it stays.
    Finalized,
    /// In a block.
    Archived,
}

impl Stage {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Seen => "seen",
            Self::Sampling => "sampling",
            Self::Accepted => "accepted",
            Self::Certified => "certified",
            Self::Finalized => "finalized",
            Self::Archived => "archived",
        }
    }

    /// What [`Stage::name`] wrote, of those that one can wait for.
    pub fn to_wait_for(name: &str) -> Option<Self> {
        let all = [Self::Seen, Self::Sampling, Self::Accepted, Self::Certified, Self::Finalized, Self::Archived];
        all.into_iter().find(|stage| stage.name() == name)
    }
}

/// `get_transaction`. Of a transaction that was refused no more is kept than why.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionInfo {
    /// Its name.
    pub txid: Text<Txid>,
    /// How far it has come.
    pub status: Stage,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// Height of the block that holds it.
    pub height: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<Text<BlockHash>>,
    /// Blocks from that one to the tip; 0 if no block holds it.
    pub confirmations: u64,
    /// What it pays; `None` for a coinbase, and where not all it spends is known.
    pub fee: Option<Text<Amount>>,
    /// Encoded bytes.
    pub size: Option<u32>,
    /// What it spends.
    pub inputs: Vec<InputInfo>,
    /// What it creates.
    pub outputs: Vec<OutputInfo>,
    /// What else it does.
    pub payload: Option<PayloadInfo>,
    /// The sender's memo.
    pub memo: Option<String>,
    /// When it came in here, if that was not before a block took it.
    pub first_seen: Option<u64>,
    /// When it became final here, likewise.
    pub finalized_at: Option<u64>,
    /// The transaction in the protocol's encoding.
    pub hex: Option<String>,
}

/// What a transaction spends. Value and address are `None` where the output is not known here.
#[derive(Clone, Debug, Serialize)]
pub struct InputInfo {
    /// The transaction that made the output.
    pub txid: Text<Txid>,
    /// Its position there.
    pub index: u32,
    /// Units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Option<Text<Amount>>>,
    /// Whose it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Option<String>>,
}

/// What a transaction creates.
#[derive(Clone, Debug, Serialize)]
pub struct OutputInfo {
    /// Its position.
    pub index: u32,
    /// Units.
    pub value: Text<Amount>,
    /// Whose it is.
    pub address: String,
    /// The final or archived transaction that spends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent_by: Option<Option<Text<Txid>>>,
}

/// What a transaction does besides moving value.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PayloadInfo {
    /// Nothing.
    Transfer,
    /// Pays the masternodes of a block.
    Coinbase {
        /// Height of the block.
        height: u64,
    },
    /// Registers a masternode.
    Register {
        /// The key that will vote.
        consensus_key: Text<PublicKey>,
        /// Who gets the rewards.
        payout: String,
        /// Where it listens.
        endpoint: String,
        /// Which output is the collateral.
        collateral_index: u32,
    },
    /// Changes a masternode.
    Update {
        /// Which.
        masternode: Text<MasternodeId>,
        /// Who gets the rewards from now on, if that changes.
        payout: Option<String>,
        /// Where it listens from now on, if that changes.
        endpoint: Option<String>,
    },
    /// Asks for a masternode to leave.
    Unregister {
        /// Which.
        masternode: Text<MasternodeId>,
    },
}

/// A transaction by itself: `decode_raw_transaction`, and those of `get_block`.
#[derive(Clone, Debug, Serialize)]
pub struct DecodedTransaction {
    /// Its name.
    pub txid: Text<Txid>,
    /// Encoded bytes.
    pub size: u32,
    /// What it spends; with values only where they were asked for.
    pub inputs: Vec<InputInfo>,
    /// What it creates.
    pub outputs: Vec<OutputInfo>,
    /// What else it does.
    pub payload: PayloadInfo,
    /// The sender's memo.
    pub memo: String,
    /// How many locks it has witnesses for.
    pub witnesses: usize,
}

/// One entry of `get_transaction_status`.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionStatus {
    /// The transaction.
    pub txid: Text<Txid>,
    /// How far it has come.
    pub status: Stage,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// Snowball polls won.
    pub polls_won: u64,
    /// Snowball polls won in a row.
    pub polls_in_a_row: u64,
    /// Weight of its votes in this epoch.
    pub vote_weight: u64,
    /// Weight of its receipts in this epoch.
    pub receipt_weight: u64,
    /// Others that spend what it spends.
    pub rivals: Vec<Text<Txid>>,
}

impl TransactionStatus {
    /// That of a transaction in a block: nobody polls and votes any more.
    pub fn archived(txid: Txid) -> Self {
        Self {
            txid: Text(txid),
            status: Stage::Archived,
            reason: None,
            polls_won: 0,
            polls_in_a_row: 0,
            vote_weight: 0,
            receipt_weight: 0,
            rivals: Vec::new(),
        }
    }
}

/// One entry of `test_mempool_accept`.
#[derive(Clone, Debug, Serialize)]
pub struct Acceptance {
    /// The transaction.
    pub txid: Text<Txid>,
    /// Whether it would be taken in.
    pub allowed: bool,
    /// Why not, or how not at once: `waits` for a parent, `known` already.
    pub reason: Option<&'static str>,
    /// The same for people.
    pub message: Option<String>,
    /// Encoded bytes.
    pub size: u32,
    /// The parents it waits for.
    pub missing: Vec<Text<Txid>>,
}

/// `get_mempool_info`.
#[derive(Clone, Debug, Serialize)]
pub struct MempoolInfo {
    /// Transactions that are not final.
    pub transactions: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Most transactions kept.
    pub max_transactions: usize,
    /// Most bytes kept.
    pub max_bytes: u64,
    /// Least fee in units a byte.
    pub min_fee_rate: Text<u64>,
    /// Bytes certified or final and in no block.
    pub certified_bytes: u64,
    /// Transactions that wait for a parent.
    pub waiting: usize,
}

/// `get_raw_mempool`.
#[derive(Clone, Debug, Serialize)]
pub struct TxidPage {
    /// Transactions that no block holds, ascending.
    pub txids: Vec<Text<Txid>>,
    /// Where the next page begins; `None` after the last.
    pub next_cursor: Option<String>,
}

/// An output by name.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OutPointInfo {
    /// The transaction.
    pub txid: Text<Txid>,
    /// Position among its outputs.
    pub index: u32,
}

/// An item of `subscribe_transactions` and `subscribe_status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Progress {
    /// To resume from; grows, also over restarts. All transactions of a block have one.
    pub sequence: u64,
    /// When it happened here.
    pub time: u64,
    /// The transaction.
    pub txid: Text<Txid>,
    /// How far it has come.
    pub status: Stage,
    /// Why it was refused.
    pub reason: Option<&'static str>,
    /// Height of the block that holds it.
    pub height: Option<u64>,
}
