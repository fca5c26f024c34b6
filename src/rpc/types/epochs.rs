//! Epochs and who signs in them.

use super::Text;
use super::finality::CommitParts;
use crate::types::hash::{Hash, MasternodeId};
use crate::types::keys::PublicKey;
use serde::Serialize;

/// `get_epochs`.
#[derive(Clone, Debug, Serialize)]
pub struct EpochPage {
    /// The ends of consecutive epochs.
    pub epochs: Vec<EpochEnd>,
    /// The epoch that the next page begins with; `None` if no more are over.
    pub next_epoch: Option<u64>,
}

/// The block that closed an epoch: enough for whoever trusts the set that signs it to trust the next one.
#[derive(Clone, Debug, Serialize)]
pub struct EpochEnd {
    /// The epoch it closed.
    pub epoch: u64,
    /// Height of the block.
    pub height: u64,
    /// Its header in the protocol's encoding.
    pub header: String,
    /// The precommits.
    pub commit: CommitParts,
    /// The set of the next epoch, where that is another one.
    pub next_validators: Option<Vec<Member>>,
}

/// `get_validators`: the set that signs in an epoch.
#[derive(Clone, Debug, Serialize)]
pub struct ValidatorsInfo {
    /// The epoch.
    pub epoch: u64,
    /// `validators_hash` in the headers of its blocks.
    pub hash: Text<Hash>,
    /// Weight of all members together.
    pub total_weight: u64,
    /// The members, in the order in which a commit has their signatures.
    pub validators: Vec<Member>,
}

/// A member of a validator set, with the fields that its hash is made of in their order.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// The masternode.
    pub id: Text<MasternodeId>,
    /// The key it signs with.
    pub consensus_key: Text<PublicKey>,
    /// Its weight in this epoch.
    pub weight: u64,
    /// Address of its rewards in this epoch.
    pub payout: String,
}
