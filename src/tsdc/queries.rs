//! What others may ask of the agreement on a height.

use super::engine::Tsdc;
use super::state::Step;
use crate::types::block::{BftKind, BftVote, Commit, PrepareProof, Proposal};
use crate::types::hash::BlockHash;
use crate::types::number::{Height, View, Weight};
use crate::types::verified::Verified;
use std::sync::Arc;

impl Tsdc {
    /// The height.
    pub fn height(&self) -> Height {
        self.height
    }

    /// Whether the height has started here.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// The current view.
    pub fn view(&self) -> View {
        self.state.view
    }

    /// The step of the current view.
    pub fn step(&self) -> Step {
        self.state.step
    }

    /// The lock: only ever replaced by a newer one.
    pub fn locked(&self) -> Option<(View, BlockHash)> {
        self.state.locked
    }

    /// The newest value known to have been prepared by a quorum; never older than the lock.
    pub fn valid(&self) -> Option<(View, BlockHash)> {
        self.state.valid
    }

    /// The proposal of the current view to repeat until the height is decided.
    pub fn proposals(&self) -> Vec<Arc<Verified<Proposal>>> {
        self.proposals.first(self.state.view).map(|(_, proposal)| proposal.clone()).into_iter().collect()
    }

    /// A proposal of this block, if one is kept.
    pub fn proposal_of(&self, hash: &BlockHash) -> Option<Arc<Verified<Proposal>>> {
        self.proposals.of_block(hash).cloned()
    }

    /// Own votes to repeat until the height is decided: those of the views that anybody may still need.
    pub fn votes(&self) -> Vec<BftVote> {
        self.me.map(|me| self.tally.votes_of(me)).unwrap_or_default()
    }

    /// Votes of others that brought this node into its view. To be repeated while a view lasts: a Byzantine masternode
    /// may have shown its vote to one node only, which then is ahead of all others, and these cannot follow it
    /// without that vote (the paper assumes that what one correct process received, all receive).
    pub fn entry_votes(&self) -> Vec<BftVote> {
        self.tally.entry_votes()
    }

    /// Prepares of a quorum for `hash` at `view`: the proof of a proved proposal.
    pub fn prepare_proof(&self, view: View, hash: BlockHash) -> Option<PrepareProof> {
        self.tally.proof(view, hash)
    }

    /// The commit, with every precommit for it that came until now.
    pub fn commit(&self) -> Option<Commit> {
        self.committed.as_ref().map(|known| self.completed(known))
    }

    /// `commit` with every precommit for its block that came here.
    pub fn completed(&self, commit: &Commit) -> Commit {
        self.tally.commit_of(commit.view, commit.block_hash, Some(commit))
    }

    /// Whether this node has not precommitted in `view`, for whatever, and has entered no later one.
    pub fn may_precommit_at(&self, view: View) -> bool {
        (self.state.view, self.state.step) < (view, Step::Precommit)
    }

    /// Weight that has voted in the current view, for whatever.
    pub fn voted_weight(&self, kind: BftKind) -> Weight {
        self.tally.ballots(self.state.view, kind).map(|b| b.cast_weight()).unwrap_or_default()
    }
}
