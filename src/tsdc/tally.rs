//! All votes of one height: who voted what in which view, within bounds.
//!
//! - A member's first vote of a view and kind counts; a different second one is returned as a conflict.
//! - Whole certificates (prepares or precommits of a quorum) are honoured as they are, whatever was counted before.
//! - Kept are: the current view, [`TSDC_PAST_VIEWS`] before it, the pinned ones (of the locked and the valid value), and
//!   of each member its votes in the [`TSDC_FUTURE_VIEWS`] highest views beyond. What was dropped comes again,
//!   because everybody repeats its votes until the height is decided.
//! - Of each member the highest view it voted in is remembered in any case: a third of the weight at or beyond a view
//!   contains an honest member that got there by the rules.

use super::ballots::{Ballot, Ballots, Threshold};
use crate::limits::{TSDC_FUTURE_VIEWS, TSDC_PAST_VIEWS, TSDC_PROOFS};
use crate::types::block::{BftKind, BftVote, Commit, PrepareProof};
use crate::types::evidence::BftPart;
use crate::types::hash::BlockHash;
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{Height, View, Weight};
use crate::types::validators::ValidatorSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What counting brought about.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Thresholds that were reached just now.
    pub reached: Vec<(View, BftKind, Threshold)>,
    /// Members that voted twice, with both votes.
    pub conflicts: Vec<(PublicKey, BftPart, BftPart)>,
}

#[derive(Default, Debug)]
struct ViewBallots {
    prepares: Ballots,
    precommits: Ballots,
}

impl ViewBallots {
    fn of(&self, kind: BftKind) -> &Ballots {
        match kind {
            BftKind::Prepare => &self.prepares,
            BftKind::Precommit => &self.precommits,
        }
    }

    fn of_mut(&mut self, kind: BftKind) -> &mut Ballots {
        match kind {
            BftKind::Prepare => &mut self.prepares,
            BftKind::Precommit => &mut self.precommits,
        }
    }

    fn has_quorum(&self) -> bool {
        self.prepares.any() || self.precommits.any()
    }
}

/// The votes of one height.
#[derive(Debug)]
pub(super) struct Tally {
    height: Height,
    set: Arc<ValidatorSet>,
    current: View,
    pinned: BTreeSet<View>,
    views: BTreeMap<View, ViewBallots>,
    /// Of each member the views beyond the current one in which a vote of it is kept.
    ahead: BTreeMap<usize, BTreeSet<View>>,
    highest: BTreeMap<usize, View>,
    weight_at_highest: BTreeMap<View, Weight>,
    proofs: BTreeMap<View, (BlockHash, PrepareProof)>,
}

impl Tally {
    /// No votes yet.
    pub fn new(height: Height, set: Arc<ValidatorSet>) -> Self {
        Self {
            height,
            set,
            current: View::ZERO,
            pinned: BTreeSet::new(),
            views: BTreeMap::new(),
            ahead: BTreeMap::new(),
            highest: BTreeMap::new(),
            weight_at_highest: BTreeMap::new(),
            proofs: BTreeMap::new(),
        }
    }

    /// The current view is `view` now, and the votes of the `pinned` ones are wanted however old. Forgets the rest.
    pub fn enter(&mut self, view: View, pinned: BTreeSet<View>) {
        self.current = view;
        self.pinned = pinned;
        let (current, pinned) = (self.current, &self.pinned);
        self.views.retain(|view, _| is_kept(*view, current, pinned));
        for views in self.ahead.values_mut() {
            views.retain(|ahead| *ahead > view);
        }
        self.ahead.retain(|_, views| !views.is_empty());
    }

    /// The votes of `view` are wanted from now on, however old.
    pub fn pin(&mut self, view: View) {
        self.pinned.insert(view);
    }

    /// Counts `vote`, which is of this height. Strangers' votes count nothing.
    pub fn vote(&mut self, vote: &BftVote) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(position) = self.set.position(&vote.voter) {
            let ballot = Ballot { value: vote.block_hash, signature: vote.signature };
            self.cast(position, vote.view, vote.kind, ballot, &mut outcome);
        }
        outcome
    }

    /// Honours prepares of a quorum for `hash`.
    pub fn prove(&mut self, hash: BlockHash, proof: &PrepareProof) -> Outcome {
        let outcome = self.certificate(proof.view, BftKind::Prepare, hash, &proof.signatures);
        self.proofs.entry(proof.view).or_insert_with(|| (hash, proof.clone()));
        if self.proofs.len() > TSDC_PROOFS {
            let oldest = self.proofs.keys().find(|view| !self.pinned.contains(view) && **view != proof.view);
            if let Some(oldest) = oldest.copied() {
                self.proofs.remove(&oldest);
            }
        }
        outcome
    }

    /// Honours precommits of a quorum.
    pub fn commit(&mut self, commit: &Commit) -> Outcome {
        self.pin(commit.view);
        self.certificate(commit.view, BftKind::Precommit, commit.block_hash, &commit.signatures)
    }

    fn certificate(&mut self, view: View, kind: BftKind, hash: BlockHash, signatures: &[Option<Signature>]) -> Outcome {
        let mut outcome = Outcome::default();
        for (position, signature) in signatures.iter().enumerate().take(self.set.len()) {
            if let Some(signature) = *signature {
                self.cast(position, view, kind, Ballot { value: Some(hash), signature }, &mut outcome);
            }
        }
        if is_kept(view, self.current, &self.pinned) {
            let reached = self.views.entry(view).or_default().of_mut(kind).certify(Some(hash));
            outcome.reached.extend(reached.into_iter().map(|threshold| (view, kind, threshold)));
        }
        outcome
    }

    fn cast(&mut self, position: usize, view: View, kind: BftKind, ballot: Ballot, outcome: &mut Outcome) {
        self.note_highest(position, view);
        if let Some(first) = self.views.get(&view).and_then(|votes| votes.of(kind).get(position)) {
            if first.value != ballot.value {
                let voter = self.set.members().get(position).map(|m| m.consensus_key);
                let part = |ballot: &Ballot| BftPart {
                    height: self.height,
                    view,
                    kind,
                    block_hash: ballot.value,
                    signature: ballot.signature,
                };
                outcome.conflicts.extend(voter.map(|voter| (voter, part(first), part(&ballot))));
            }
            return;
        }
        if !is_kept(view, self.current, &self.pinned) || (view > self.current && !self.make_room(position, view)) {
            return;
        }
        let reached = self.views.entry(view).or_default().of_mut(kind).cast(&self.set, position, ballot);
        outcome.reached.extend(reached.into_iter().map(|threshold| (view, kind, threshold)));
    }

    /// Whether a vote of this member in the future `view` may be kept. Its lowest future view gives way to a higher
    /// one, unless a quorum voted there, of which no vote may be lost.
    fn make_room(&mut self, position: usize, view: View) -> bool {
        let kept = self.ahead.entry(position).or_default();
        kept.insert(view);
        if kept.len() <= TSDC_FUTURE_VIEWS {
            return true;
        }
        let lowest = kept.iter().copied().find(|v| *v == view || !self.views.get(v).is_some_and(|b| b.has_quorum()));
        let Some(lowest) = lowest else { return true };
        kept.remove(&lowest);
        if lowest == view {
            return false;
        }
        if let Some(votes) = self.views.get_mut(&lowest) {
            votes.prepares.withdraw(&self.set, position);
            votes.precommits.withdraw(&self.set, position);
            if votes.prepares.is_empty() && votes.precommits.is_empty() {
                self.views.remove(&lowest);
            }
        }
        true
    }

    fn note_highest(&mut self, position: usize, view: View) {
        let before = self.highest.get(&position).copied();
        if before.is_some_and(|before| before >= view) {
            return;
        }
        let weight = self.set.members().get(position).map_or(Weight::ZERO, |m| m.weight);
        if let Some(before) = before
            && let Some(sum) = self.weight_at_highest.get_mut(&before)
        {
            *sum = sum.checked_sub(weight).unwrap_or_default();
            if *sum == Weight::ZERO {
                self.weight_at_highest.remove(&before);
            }
        }
        self.highest.insert(position, view);
        let sum = self.weight_at_highest.entry(view).or_default();
        // A part of a total that fits.
        *sum = sum.checked_add(weight).unwrap_or(self.set.total());
    }

    /// The highest view at or beyond which a third of the weight has voted (line 55).
    pub fn third_at(&self) -> Option<View> {
        let mut sum = Weight::ZERO;
        for (view, weight) in self.weight_at_highest.iter().rev() {
            sum = sum.checked_add(*weight).unwrap_or(self.set.total());
            if sum.is_third_of(self.set.total()) {
                return Some(*view);
            }
        }
        None
    }

    /// The votes of a view and kind, if any are kept.
    pub fn ballots(&self, view: View, kind: BftKind) -> Option<&Ballots> {
        self.views.get(&view).map(|votes| votes.of(kind))
    }

    /// Whether prepares of a quorum for `hash` at `view` are here.
    pub fn is_prepared(&self, view: View, hash: BlockHash) -> bool {
        let counted = self.ballots(view, BftKind::Prepare).is_some_and(|b| b.value() == Some(Some(hash)));
        counted || self.proofs.get(&view).is_some_and(|(proved, _)| *proved == hash)
    }

    /// Prepares of a quorum for `hash` at `view`.
    pub fn proof(&self, view: View, hash: BlockHash) -> Option<PrepareProof> {
        if let Some((_, proof)) = self.proofs.get(&view).filter(|(proved, _)| *proved == hash) {
            return Some(proof.clone());
        }
        let ballots = self.ballots(view, BftKind::Prepare)?;
        if !ballots.weight_for(Some(hash)).is_quorum_of(self.set.total()) {
            return None;
        }
        let mut signatures = vec![None; self.set.len()];
        ballots.fill(Some(hash), &mut signatures);
        Some(PrepareProof { view, signatures })
    }

    /// Precommits for `hash` at `view` added to those of `base`.
    pub fn commit_of(&self, view: View, hash: BlockHash, base: Option<&Commit>) -> Commit {
        let mut signatures = base.map_or_else(|| vec![None; self.set.len()], |commit| commit.signatures.clone());
        if let Some(ballots) = self.ballots(view, BftKind::Precommit) {
            ballots.fill(Some(hash), &mut signatures);
        }
        Commit { height: self.height, view, block_hash: hash, signatures }
    }

    /// Every vote kept of the member at `position`, ascending by view.
    pub fn votes_of(&self, position: usize) -> Vec<BftVote> {
        let kinds = self.views.keys().flat_map(|view| [(*view, BftKind::Prepare), (*view, BftKind::Precommit)]);
        kinds.filter_map(|(view, kind)| self.vote_of(position, view, kind)).collect()
    }

    /// What the member at `position` voted.
    pub fn vote_of(&self, position: usize, view: View, kind: BftKind) -> Option<BftVote> {
        let ballot = self.ballots(view, kind)?.get(position)?;
        let voter = self.set.members().get(position)?.consensus_key;
        let (height, block_hash, signature) = (self.height, ballot.value, ballot.signature);
        Some(BftVote { height, view, kind, block_hash, voter, signature })
    }

    /// The votes by which anybody may enter the current view: precommits of a quorum of the view before, or votes of
    /// a third of the weight, one a member, at or beyond it.
    pub fn entry_votes(&self) -> Vec<BftVote> {
        let before = self.current.previous();
        if let Some(before) = before
            && let Some(ballots) = self.ballots(before, BftKind::Precommit).filter(|b| b.any())
        {
            return ballots.iter().filter_map(|(at, _)| self.vote_of(at, before, BftKind::Precommit)).collect();
        }
        let latest = |at: usize| {
            let votes = self.views.range(self.current..).rev();
            let mut found = votes.flat_map(|(view, _)| [(*view, BftKind::Precommit), (*view, BftKind::Prepare)]);
            found.find_map(|(view, kind)| self.vote_of(at, view, kind))
        };
        if before.is_none() {
            return Vec::new();
        }
        self.highest.iter().filter(|(_, view)| **view >= self.current).filter_map(|(at, _)| latest(*at)).collect()
    }
}

/// Whether votes of `view` are kept when `current` is the current view and `pinned` are wanted however old.
fn is_kept(view: View, current: View, pinned: &BTreeSet<View>) -> bool {
    view.get().saturating_add(TSDC_PAST_VIEWS) >= current.get() || pinned.contains(&view)
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
