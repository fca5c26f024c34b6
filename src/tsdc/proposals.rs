//! The proposals of one height, few of each view, and what is known of their blocks.
//!
//! Of one leader's proposals at one view the first is acted on; others are kept because a quorum may form on them.
//! The engine hands in those of the current view and a few beyond; kept from before are those of the locked and the valid
//! block. Of a view there are at most [`TSDC_PROPOSALS_PER_VIEW`], and one more if a quorum prepared its block.

use super::state::Verdict;
use crate::limits::TSDC_PROPOSALS_PER_VIEW;
use crate::types::block::Proposal;
use crate::types::hash::BlockHash;
use crate::types::number::View;
use crate::types::verified::Verified;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Entry {
    hash: BlockHash,
    proposal: Arc<Verified<Proposal>>,
}

#[derive(Debug, Default)]
struct Judgement {
    verdict: Option<Verdict>,
    /// The last view in which a verdict was asked for.
    asked_in: Option<View>,
}

/// The proposals of one height.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    views: BTreeMap<View, Vec<Entry>>,
    judgements: BTreeMap<BlockHash, Judgement>,
}

impl Proposals {
    /// Keeps `proposal` if there is room and no other of its view and block; says whether it was kept.
    pub fn insert(&mut self, proposal: Arc<Verified<Proposal>>, hash: BlockHash, wanted: bool) -> bool {
        let entries = self.views.entry(proposal.view).or_default();
        let room = TSDC_PROPOSALS_PER_VIEW + usize::from(wanted);
        if entries.len() >= room || entries.iter().any(|entry| entry.hash == hash) {
            return false;
        }
        entries.push(Entry { hash, proposal });
        self.judgements.entry(hash).or_default();
        true
    }

    /// The proposal of `view` to act on, with its block's hash.
    pub fn first(&self, view: View) -> Option<(BlockHash, &Arc<Verified<Proposal>>)> {
        self.views.get(&view)?.first().map(|entry| (entry.hash, &entry.proposal))
    }

    /// A proposal of this block.
    pub fn of_block(&self, hash: &BlockHash) -> Option<&Arc<Verified<Proposal>>> {
        self.views.values().flatten().find(|entry| entry.hash == *hash).map(|entry| &entry.proposal)
    }

    /// Learns the verdict on a block that is kept. An acceptance counts until the next view.
    pub fn judge(&mut self, hash: &BlockHash, verdict: Verdict) {
        if let Some(judgement) = self.judgements.get_mut(hash) {
            judgement.verdict = Some(verdict);
        }
    }

    /// What is known of a block.
    pub fn verdict(&self, hash: &BlockHash) -> Option<Verdict> {
        self.judgements.get(hash)?.verdict
    }

    /// Whether the verdict on a block that is kept has to be asked for now; says so once a view at most, and again in
    /// a later view only if acceptance counts (`fresh`) or nothing is known yet.
    pub fn must_ask(&mut self, hash: &BlockHash, view: View, fresh: bool) -> bool {
        let Some(judgement) = self.judgements.get_mut(hash) else { return false };
        let known = judgement.verdict.is_some_and(|v| !v.valid || v.acceptable || !fresh);
        if known || judgement.asked_in == Some(view) {
            return false;
        }
        judgement.asked_in = Some(view);
        true
    }

    /// A new view: forgets the views before it, except proposals of `kept` blocks, and every acceptance.
    pub fn enter(&mut self, view: View, kept: &[BlockHash]) {
        let mut missing: Vec<BlockHash> = kept.to_vec();
        self.views.retain(|at, entries| {
            if *at < view {
                entries.retain(|entry| {
                    let position = missing.iter().position(|hash| *hash == entry.hash);
                    position.map(|position| missing.swap_remove(position)).is_some()
                });
            }
            !entries.is_empty()
        });
        let views = &self.views;
        self.judgements.retain(|hash, _| views.values().flatten().any(|entry| entry.hash == *hash));
        for verdict in self.judgements.values_mut().filter_map(|judgement| judgement.verdict.as_mut()) {
            verdict.acceptable = false;
        }
    }
}
