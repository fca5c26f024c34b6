//! Masternodes.

use super::{OutPointInfo, Text};
use crate::types::hash::{MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::Amount;
use serde::Serialize;

/// `list_masternodes`.
#[derive(Clone, Debug, Serialize)]
pub struct MasternodePage {
    /// Records, ascending by id.
    pub masternodes: Vec<MasternodeEntry>,
    /// Where the next page begins; `None` after the last.
    pub next_cursor: Option<String>,
}

/// The record of a masternode.
#[derive(Clone, Debug, Serialize)]
pub struct MasternodeInfo {
    /// Its name.
    pub id: Text<MasternodeId>,
    /// The key that votes.
    pub consensus_key: Text<PublicKey>,
    /// Whose the collateral is.
    pub owner: String,
    /// Who gets the rewards.
    pub payout: String,
    /// Where it listens.
    pub endpoint: String,
    /// The bound output.
    pub collateral: OutPointInfo,
    /// Its value.
    pub value: Text<Amount>,
    /// Name of the tier.
    pub tier: Option<String>,
    /// Weight in a set.
    pub weight: u64,
    /// `queued`, `active`, `leaving` or `unbonding`.
    pub state: &'static str,
    /// The first epoch in which the collateral is free again.
    pub until_epoch: Option<u64>,
    /// Height of registering, or of asking to leave.
    pub queued_at: u64,
    /// Whether it was punished.
    pub slashed: bool,
}

/// A masternode in a list.
#[derive(Clone, Debug, Serialize)]
pub struct MasternodeEntry {
    /// Its record.
    #[serde(flatten)]
    pub record: MasternodeInfo,
    /// Whether a link to it is up; true for this node's own.
    pub connected: bool,
    /// Commits in the blocks of this epoch and the last that lack its signature.
    pub votes_missed: u64,
}

/// `get_masternode`.
#[derive(Clone, Debug, Serialize)]
pub struct MasternodeDetails {
    /// As in a list.
    #[serde(flatten)]
    pub entry: MasternodeEntry,
    /// What asks for it to leave and is in no block yet.
    pub unregistration: Option<Text<Txid>>,
    /// Its place among those who wait to enter or to leave, 1 for the first; `None` if it does not wait.
    pub queue_position: Option<usize>,
    /// The epoch with which the wait ends, if nobody else asks for anything.
    pub earliest_epoch: Option<u64>,
    /// When that begins, if every slot has a block.
    pub earliest_time: Option<u64>,
    /// The first epoch in which the collateral is free again, of one that leaves or has left.
    pub collateral_epoch: Option<u64>,
    /// When that begins, if every slot has a block.
    pub collateral_time: Option<u64>,
    /// The first view of the next height in which it leads; `None` if it leads none of those looked at.
    pub next_turn: Option<Turn>,
    /// Its part in the newest blocks.
    pub participation: ParticipationInfo,
}

/// When a masternode leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Turn {
    /// The height.
    pub height: u64,
    /// The view there.
    pub view: u32,
}

/// What the newest blocks say of one masternode.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipationInfo {
    /// The first block that was looked at; `None` if there is none.
    pub from_height: Option<u64>,
    /// The last one.
    pub to_height: Option<u64>,
    /// Of the newest commits that could hold its signature so many were looked at.
    pub recent_commits: usize,
    /// So many of them lack it.
    pub recent_missed: usize,
    /// Epoch by epoch, the newest first.
    pub epochs: Vec<EpochParticipation>,
}

/// What the blocks of one epoch say of one masternode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochParticipation {
    /// The epoch.
    pub epoch: u64,
    /// Commits in its blocks that hold the masternode's signature.
    pub cast: u64,
    /// Commits in its blocks that could, and do not.
    pub missed: u64,
    /// Blocks that the masternode built.
    pub proposed: u64,
    /// What the coinbases paid it.
    pub received: Text<Amount>,
    /// What they would have, had every commit held its signature.
    pub expected: Text<Amount>,
}

/// `get_leader_schedule`.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderSchedule {
    /// The next height.
    pub height: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Start of the next slot.
    pub next_slot_time: u64,
    /// The leaders, from view 0 on.
    pub views: Vec<LeaderInfo>,
}

/// Who leads one view.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderInfo {
    /// The view.
    pub view: u32,
    /// The masternode.
    pub masternode: Text<MasternodeId>,
    /// Its consensus key: the `proposer` of a block that it builds there.
    pub consensus_key: Text<PublicKey>,
    /// Its weight.
    pub weight: u64,
}
