//! This node, and agreement.

use super::{MasternodeDetails, MasternodeInfo, Text};
use crate::types::hash::{BlockHash, ChainId};
use crate::types::keys::PublicKey;
use crate::types::link::NodeId;
use serde::Serialize;

/// `get_consensus_info`.
#[derive(Clone, Debug, Serialize)]
pub struct ConsensusInfo {
    /// Height that is decided.
    pub height: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Whether the clock lets the height begin.
    pub started: bool,
    /// The view.
    pub view: u32,
    /// `propose`, `prepare` or `precommit`.
    pub step: &'static str,
    /// The lock.
    pub locked: Option<VotedInfo>,
    /// The newest value that a quorum prepared.
    pub valid: Option<VotedInfo>,
    /// Weight whose prepares of this view are here.
    pub prepared_weight: u64,
    /// Weight whose precommits of this view are here.
    pub precommitted_weight: u64,
    /// Weight of the set.
    pub total_weight: u64,
    /// How far the delay function of the next block is, in thousandths.
    pub beacon_permille: u32,
    /// How long all of it takes here, in milliseconds, once that is known.
    pub beacon_ms: Option<u64>,
    /// Why this node signs nothing any more.
    pub alarm: Option<String>,
    /// Whether this node signs.
    pub signing: SigningInfo,
    /// Payments on their way.
    pub snowball: SnowballInfo,
    /// What the chain spec says of all this.
    pub parameters: ConsensusParameters,
}

/// A block and the view in which it was voted for.
#[derive(Clone, Debug, Serialize)]
pub struct VotedInfo {
    /// The view.
    pub view: u32,
    /// The block.
    pub block_hash: Text<BlockHash>,
}

/// Payments on their way.
#[derive(Clone, Debug, Serialize)]
pub struct SnowballInfo {
    /// Transactions that are sampled.
    pub sampling: usize,
    /// Transactions in the pool that are not final.
    pub pool: usize,
    /// Transactions that wait for a parent.
    pub waiting: usize,
    /// Batches of votes and receipts held.
    pub batches: usize,
    /// Bytes certified and in no block.
    pub certified_bytes: u64,
}

/// Numbers of the chain spec.
#[derive(Clone, Debug, Serialize)]
pub struct ConsensusParameters {
    /// Length of a slot.
    pub slot_ms: u64,
    /// Slot-opening blocks of an epoch.
    pub epoch_slots: u64,
    /// Sampling.
    pub snowball: crate::chain::spec::SnowballSpec,
    /// Timeouts of block agreement.
    pub tsdc: crate::chain::spec::TsdcSpec,
}

/// Whether this node signs.
#[derive(Clone, Debug, Serialize)]
pub struct SigningInfo {
    /// `observer` (no key), `signs`, `votes_lost` (see the detail), `accepting` (the loss is accepted, and a block is waited
    /// for that says from where to sign).
    pub state: &'static str,
    /// First height that is signed; 0 unless votes were lost. `None` if nothing is signed.
    pub from_height: Option<u64>,
    /// First epoch of which payments are signed, likewise.
    pub from_epoch: Option<u64>,
    /// Why, and what to do.
    pub detail: String,
}

/// `get_node_info`.
#[derive(Clone, Debug, Serialize)]
pub struct NodeInfo {
    /// Version of this software.
    pub version: &'static str,
    /// Name and version, as peers see it.
    pub agent: String,
    /// Name of the chain.
    pub chain: String,
    /// Its id.
    pub chain_id: Text<ChainId>,
    /// This node's key.
    pub node_id: Text<NodeId>,
    /// `masternode` or `observer`.
    pub role: &'static str,
    /// The consensus key.
    pub consensus_key: Option<Text<PublicKey>>,
    /// Its masternode, if it is registered.
    pub masternode: Option<MasternodeInfo>,
    /// Whether it signs.
    pub signing: SigningInfo,
    /// Height of the tip.
    pub height: u64,
    /// When the node started.
    pub started: u64,
    /// Seconds since then.
    pub uptime: u64,
}

/// `masternode_status`.
#[derive(Clone, Debug, Serialize)]
pub struct MasternodeStatus {
    /// `clock_wrong`, `behind`, `key_mismatch`, `slashed`, `unbonding`, `leaving`, `pending`, `missing_votes`, `active` or
    /// `not_registered`.
    pub state: &'static str,
    /// Why, in a sentence.
    pub why: String,
    /// What to do, in a sentence.
    pub what_to_do: String,
    /// Height of the tip.
    pub height: u64,
    /// Epoch of the next block.
    pub epoch: u64,
    /// This node's consensus key.
    pub consensus_key: Option<Text<PublicKey>>,
    /// Whether the node signs.
    pub signing: SigningInfo,
    /// The masternode of that key; under `key_mismatch` the one that is registered at this node's address.
    pub masternode: Option<MasternodeDetails>,
}

/// `get_health` and `GET /health`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// `ok`, `degraded` (a check fails), `critical` (an alarm: this node signs nothing), `starting` (no node yet).
    pub status: &'static str,
    /// Whether every check passes.
    pub healthy: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}
