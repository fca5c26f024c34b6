//! What can be said of one masternode besides its record.

use crate::chain::leader::Leaders;
use crate::chain::registry::{Masternode, MasternodeState};
use crate::ledger::state::ChainState;
use crate::limits::MAX_SCHEDULED_VIEWS;
use crate::node::clock;
use crate::rpc::context::Context;
use crate::rpc::errors::Failure;
use crate::rpc::participation::{Commits, Counted};
use crate::rpc::types::{MasternodeDetails, MasternodeEntry, Text, Turn};
use crate::storage::store::StoreError;
use crate::types::block::Header;
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Height, View};
use crate::types::validators::ValidatorSet;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Context {
    /// Consensus keys that a link is up to, and this node's own.
    pub(super) fn connected_masternodes(&self) -> BTreeSet<PublicKey> {
        let linked = self.node.network().peers().into_iter().filter_map(|peer| peer.info.masternode);
        linked.chain(self.node.masternode()).collect()
    }

    /// A masternode in a list.
    pub(super) fn masternode_entry(
        &self,
        record: &Masternode,
        commits: &Commits,
        connected: &BTreeSet<PublicKey>,
    ) -> MasternodeEntry {
        MasternodeEntry {
            record: self.masternode(record),
            connected: connected.contains(&record.consensus_key),
            votes_missed: commits.missed_by(record),
        }
    }

    /// What the blocks of the tip's epoch and of the one before say of who signed.
    ///
    /// # Errors
    /// [`Failure`] if they cannot be read.
    pub(super) fn participation(&self, tip: &ChainState) -> Result<Commits, Failure> {
        let current = tip.child_epoch(self.chain());
        let first = current.previous().unwrap_or(current);
        let mut sets: Vec<Arc<ValidatorSet>> = Vec::new();
        self.participation.up_to(tip.height(), first, |height| self.counted(height, &mut sets))
    }

    /// What one block says of it; nothing if it holds no commit, or is not kept. `sets` are those met before.
    fn counted(&self, height: Height, sets: &mut Vec<Arc<ValidatorSet>>) -> Result<Option<Counted>, Failure> {
        let Some(parent_height) = height.previous() else { return Ok(None) };
        let (header, last_commit) = match self.view().block(height) {
            Some(recent) => (recent.block.header.clone(), recent.block.last_commit.clone()),
            None => match self.archive().head(height) {
                Ok(Some(head)) => (head.header, head.last_commit),
                Ok(None) | Err(StoreError::Pruned { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        let (Some(commit), Some((parent, _))) = (last_commit, self.header_at(parent_height)?) else { return Ok(None) };
        let mut set_of = |header: &Header| match sets.iter().find(|set| set.hash() == header.validators_hash) {
            Some(set) => Ok::<_, Failure>(Some(Arc::clone(set))),
            None => {
                let set = self.signers_at(header.height)?;
                sets.extend(set.clone());
                Ok(set)
            }
        };
        let (Some(own_set), Some(parent_set)) = (set_of(&header)?, set_of(&parent)?) else { return Ok(None) };
        Ok(Some(Counted {
            height,
            epoch: self.chain().epoch_of_child(parent.opened),
            proposer: header.proposer,
            reward: header.reward,
            own_set,
            parent_set,
            signed: commit.signatures.iter().map(Option::is_some).collect(),
        }))
    }

    /// All of a masternode that is registered at this tip.
    ///
    /// # Errors
    /// [`Failure`] if the newest blocks cannot be read.
    pub(super) fn masternode_details(
        &self,
        tip: &ChainState,
        record: &Masternode,
    ) -> Result<MasternodeDetails, Failure> {
        let (chain, current) = (self.chain(), tip.child_epoch(self.chain()));
        let commits = self.participation(tip)?;
        let ahead = tip.registry.ahead(&record.id);
        let moves_in = tip.registry.moves_in(chain, current, &record.id);
        let collateral_epoch = match record.state {
            MasternodeState::Unbonding { until_epoch } => Some(until_epoch),
            // It leaves with the block that closes the epoch before.
            MasternodeState::Leaving => moves_in.and_then(Epoch::previous).map(|last| chain.unbonded_from(last)),
            MasternodeState::Queued | MasternodeState::Active => None,
        };
        let next_slot = chain.slot_at(clock::now()).max(tip.header.slot).next();
        let begins = |epoch: Epoch| chain.epoch_begins(epoch, tip.header.opened, next_slot).0;
        Ok(MasternodeDetails {
            entry: self.masternode_entry(record, &commits, &self.connected_masternodes()),
            unregistration: self.view().unregistration(&record.id).map(|(txid, _)| Text(txid)),
            queue_position: ahead.map(|ahead| ahead.saturating_add(1)),
            earliest_epoch: moves_in.map(Epoch::get),
            earliest_time: moves_in.map(begins),
            collateral_epoch: collateral_epoch.map(Epoch::get),
            collateral_time: collateral_epoch.map(begins),
            next_turn: next_turn(tip, &record.consensus_key),
            participation: commits.of(record, chain.reward.proposer_bps),
        })
    }
}

/// The first view of the next height in which this key leads.
fn next_turn(tip: &ChainState, key: &PublicKey) -> Option<Turn> {
    tip.validators.get(key)?;
    let mut leaders = Leaders::new(tip.header.beacon, tip.child_height(), &tip.validators);
    // All lead once before any leads again.
    let views = u64::try_from(tip.validators.len()).unwrap_or(u64::MAX).min(MAX_SCHEDULED_VIEWS);
    let views = 0..u32::try_from(views).unwrap_or(u32::MAX);
    let view = views.into_iter().find(|view| leaders.of(View::new(*view)) == *key)?;
    Some(Turn { height: tip.child_height().get(), view })
}
