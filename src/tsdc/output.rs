//! What an engine asks for, and what it is given after a restart.

use super::state::Step;
use crate::types::block::{BftKind, BftVote, Commit, PrepareProof, Proposal};
use crate::types::evidence::Evidence;
use crate::types::hash::BlockHash;
use crate::types::keys::PublicKey;
use crate::types::number::{Height, View};
use crate::types::verified::Verified;
use std::sync::Arc;

/// What an engine asks for or tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TsdcOutput {
    /// This masternode leads `view`: propose. It may take until the view is over ([`TsdcOutput::ViewChanged`]).
    Propose {
        /// The view.
        view: View,
        /// The valid value to propose again with its [`proof`](super::Tsdc::prepare_proof); `None` to build a fresh one.
        value: Option<(View, BlockHash)>,
    },
    /// Sign this vote and, once it and the lock are on disk, give it to [`Tsdc::vote`](super::Tsdc::vote) and send it.
    Sign {
        /// The view.
        view: View,
        /// Prepare or precommit.
        kind: BftKind,
        /// The block, or `None` for nil.
        block_hash: Option<BlockHash>,
        /// The lock, this vote's included. Has to be on disk before the vote leaves.
        lock: Option<(View, BlockHash)>,
        /// The valid value.
        valid: Option<(View, BlockHash)>,
    },
    /// A verdict on this block is needed: see [`Tsdc::judged`](super::Tsdc::judged).
    Judge(BlockHash),
    /// Precommits of a quorum: the block is final. Its content may not be here yet.
    Committed(Commit),
    /// A voter voted twice; told once a voter.
    Evidence(Box<Evidence>),
    /// The height is in this view now.
    ViewChanged(View),
    /// This view's prepares locked this block. A precommit for it is asked for next.
    Locked(View, BlockHash),
    /// A quorum prepared this valid block. It and [its proof](super::Tsdc::prepare_proof) should survive a restart.
    Valid(View, BlockHash),
}

/// What `votes.log` and the journal say of a height after a restart. For a height without a past: the default.
///
/// The engine goes on after the last signature: it repeats what was signed and asks for nothing that contradicts it.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// View and step of the last signature, if its message is not among the following.
    pub signed: Option<(View, Step)>,
    /// The lock.
    pub locked: Option<(View, BlockHash)>,
    /// The valid value.
    pub valid: Option<(View, BlockHash)>,
    /// Prepares of a quorum behind the valid value, checked against the height's set.
    pub proof: Option<(BlockHash, Verified<PrepareProof>)>,
    /// Own votes.
    pub votes: Vec<Arc<Verified<BftVote>>>,
    /// Own proposals, and those of the locked and the valid block.
    pub proposals: Vec<Arc<Verified<Proposal>>>,
}

impl Restored {
    /// View and step of the last thing `me` signed at `height`.
    pub(super) fn position(&self, height: Height, me: &PublicKey) -> Option<(View, Step)> {
        let votes = self.votes.iter().filter(|vote| vote.height == height && vote.voter == *me).map(|vote| {
            let step = match vote.kind {
                BftKind::Prepare => Step::Prepare,
                BftKind::Precommit => Step::Precommit,
            };
            (vote.view, step)
        });
        let proposals = self.proposals.iter().filter(|p| p.header.height == height && p.leader == *me);
        votes.chain(proposals.map(|p| (p.view, Step::Propose))).chain(self.signed).max()
    }
}
