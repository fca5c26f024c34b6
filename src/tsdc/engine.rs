//! Agreement on one height: messages in, what to sign and what was agreed out.
//!
//! The engine keeps what was received, asks [`State`] which rule of the paper applies, and turns its answer into
//! [`TsdcOutput`]s. It never signs: its step moves on when it asks for a signature, and its own vote counts when it
//! comes back through [`Tsdc::vote`], after the disk acknowledged it.

use super::ballots::Threshold;
use super::evidence::Equivocators;
use super::output::{Restored, TsdcOutput};
use super::proposals::Proposals;
use super::state::{Action, Facts, Offer, OfferKind, State, Step, Timeout, Verdict};
use super::tally::{Outcome, Tally};
use super::timeouts::Timeouts;
use crate::chain::leader::Leaders;
use crate::chain::spec::Chain;
use crate::limits::TSDC_PROPOSAL_VIEWS_AHEAD;
use crate::types::block::{BftKind, BftVote, Commit, PrepareProof, Proposal};
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, Hash};
use crate::types::keys::PublicKey;
use crate::types::number::{Height, TimeMs, View};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use std::sync::Arc;

/// The agreement on one height, as one masternode or one observer takes part in it.
#[derive(Debug)]
pub struct Tsdc {
    pub(super) height: Height,
    pub(super) set: Arc<ValidatorSet>,
    /// Position in the set; an observer has none and signs nothing.
    pub(super) me: Option<usize>,
    pub(super) started: bool,
    pub(super) state: State,
    pub(super) tally: Tally,
    pub(super) proposals: Proposals,
    timeouts: Timeouts,
    leaders: Leaders,
    /// The last view in which a proposal was asked for.
    asked_in: Option<View>,
    /// The last vote that the signer refused.
    refused: Option<(View, BftKind)>,
    equivocators: Equivocators,
    pub(super) committed: Option<Commit>,
    outputs: Vec<TsdcOutput>,
}

impl Tsdc {
    /// The agreement on `height`, whose parent has `beacon`, among `set`. Nothing happens before [`Tsdc::start`], except
    /// that messages are kept and a commit is honoured. `me` is this masternode's consensus key; without it, or with
    /// one outside the set, the engine follows and signs nothing.
    pub fn new(
        chain: Chain,
        height: Height,
        beacon: Hash,
        set: Arc<ValidatorSet>,
        me: Option<PublicKey>,
        restored: Restored,
    ) -> Self {
        let mut engine = Self {
            height,
            me: me.and_then(|key| set.position(&key)),
            started: false,
            state: State::default(),
            tally: Tally::new(height, set.clone()),
            proposals: Proposals::default(),
            timeouts: Timeouts::new(chain.tsdc),
            leaders: Leaders::new(beacon, height, &set),
            asked_in: None,
            refused: None,
            equivocators: Equivocators::default(),
            committed: None,
            outputs: Vec::new(),
            set,
        };
        engine.restore(restored);
        engine
    }

    fn restore(&mut self, restored: Restored) {
        let me = self.me.and_then(|me| self.set.members().get(me)).map(|m| m.consensus_key);
        let (view, step) = me.and_then(|me| restored.position(self.height, &me)).unwrap_or_default();
        self.state = State::resume(view, step, restored.locked, restored.valid);
        self.enter_tally();
        let height = self.height;
        for vote in restored.votes.iter().filter(|vote| vote.height == height) {
            let outcome = self.tally.vote(vote);
            self.heed(&outcome);
        }
        for proposal in restored.proposals.into_iter().filter(|p| p.header.height == height) {
            let hash = proposal.header.hash();
            self.proposals.insert(proposal, hash, true);
        }
        if let Some((hash, proof)) = restored.proof {
            let outcome = self.tally.prove(hash, &proof);
            self.heed(&outcome);
        }
    }

    /// The height starts: lines 10-21. After a restart it goes on where the last signature was made. Repeating it
    /// changes nothing.
    pub fn start(&mut self, now: TimeMs) {
        self.timeouts.observe(now);
        self.begin();
        self.settle();
    }

    fn begin(&mut self) {
        if !self.started && self.committed.is_none() {
            self.started = true;
            self.open_view();
        }
    }

    /// A proposal, own ones included. Counts if it is of this height and signed by its view's leader; the leader's first
    /// of a view is acted on.
    pub fn proposal(&mut self, now: TimeMs, proposal: Arc<Verified<Proposal>>) {
        self.timeouts.observe(now);
        let view = proposal.view;
        let ahead = view.get().checked_sub(self.state.view.get());
        let is_near = ahead.is_some_and(|ahead| ahead <= TSDC_PROPOSAL_VIEWS_AHEAD);
        let is_open = self.committed.is_none() && proposal.header.height == self.height;
        if !is_open || !is_near || self.leader(view) != proposal.leader {
            return;
        }
        let hash = proposal.header.hash();
        let wanted = self.tally.is_prepared(view, hash);
        if self.proposals.insert(proposal, hash, wanted) {
            self.settle();
        }
    }

    /// Prepares of a quorum of this height for the block `hash`, as a proved proposal brings them along: they join the
    /// tally. Checked against this height's set by who verified them.
    pub fn proof(&mut self, now: TimeMs, proof: Verified<PrepareProof>, hash: BlockHash) {
        self.timeouts.observe(now);
        let outcome = self.tally.prove(hash, &proof);
        self.counted(&outcome, true);
    }

    /// The verdict on a block. Say it when it is known whether the block is valid, and again when it has become
    /// acceptable.
    pub fn judged(&mut self, now: TimeMs, hash: BlockHash, verdict: Verdict) {
        self.timeouts.observe(now);
        self.proposals.judge(&hash, verdict);
        self.settle();
    }

    /// A prepare or precommit of this height, own ones included.
    pub fn vote(&mut self, now: TimeMs, vote: Arc<Verified<BftVote>>) {
        self.timeouts.observe(now);
        if vote.height == self.height {
            let ahead = !self.started || vote.view > self.state.view;
            let outcome = self.tally.vote(&vote);
            self.counted(&outcome, ahead);
        }
    }

    /// A vote that comes when the height is over. It settles nothing any more, and may still contradict another one of its
    /// signer.
    ///
    /// # Errors
    /// If it does: the evidence, the first time for this signer.
    pub fn late_vote(&mut self, vote: &Verified<BftVote>) -> Result<(), Option<Box<Evidence>>> {
        if vote.height != self.height {
            return Ok(());
        }
        match self.tally.vote(vote).conflicts.first() {
            None => Ok(()),
            Some((voter, one, other)) => Err(self.equivocators.evidence(*voter, one, other).map(Box::new)),
        }
    }

    /// A whole commit of this height, checked against its set: it decides, whatever was counted before.
    pub fn certificate(&mut self, now: TimeMs, commit: Verified<Commit>) {
        self.timeouts.observe(now);
        if commit.height == self.height && commit.signatures.len() == self.set.len() {
            let outcome = self.tally.commit(&commit);
            self.decide(commit.into_inner());
            self.heed(&outcome);
        }
    }

    /// The signer refused a vote that was asked for: nil takes its place, unless the step is over. That refused too,
    /// nothing is signed in this step.
    pub fn refused(&mut self, now: TimeMs, view: View, kind: BftKind) {
        self.timeouts.observe(now);
        let step = match kind {
            BftKind::Prepare => Step::Prepare,
            BftKind::Precommit => Step::Precommit,
        };
        let is_current = self.started && (self.state.view, self.state.step) == (view, step);
        if is_current && self.committed.is_none() && self.refused != Some((view, kind)) {
            self.refused = Some((view, kind));
            self.sign(kind, None);
        }
    }

    /// Time passed: fires the timeouts that are due (lines 57-67).
    pub fn tick(&mut self, now: TimeMs) {
        self.timeouts.observe(now);
        while let Some(timeout) = self.timeouts.due() {
            if let Some((state, action)) = self.state.on_timeout(timeout) {
                self.apply(state, action);
            }
            self.settle();
        }
    }

    /// When [`Tsdc::tick`] is due, if ever. A clock that jumps back brings this forward at the next input, so tick now
    /// and then in any case.
    pub fn next_wake(&self) -> Option<TimeMs> {
        self.timeouts.next_wake()
    }

    /// What there is to do, in order.
    pub fn drain(&mut self) -> Vec<TsdcOutput> {
        std::mem::take(&mut self.outputs)
    }

    fn counted(&mut self, outcome: &Outcome, ahead: bool) {
        self.heed(outcome);
        if ahead || !outcome.reached.is_empty() {
            self.settle();
        }
    }

    /// What counting brought about that holds in any view and step.
    fn heed(&mut self, outcome: &Outcome) {
        for (voter, one, other) in &outcome.conflicts {
            let evidence = self.equivocators.evidence(*voter, one, other);
            self.outputs.extend(evidence.map(|evidence| TsdcOutput::Evidence(Box::new(evidence))));
        }
        for (view, kind, threshold) in &outcome.reached {
            if let (BftKind::Precommit, Threshold::Value(Some(hash))) = (kind, threshold) {
                self.decide(self.tally.commit_of(*view, *hash, None)); // 49-51, of whatever view
            }
        }
    }

    /// Lines 49-54, as far as they concern this height: the next one is another engine.
    fn decide(&mut self, commit: Commit) {
        match &mut self.committed {
            Some(known) if (known.view, known.block_hash) == (commit.view, commit.block_hash) => {
                for (slot, signature) in known.signatures.iter_mut().zip(commit.signatures) {
                    *slot = slot.or(signature);
                }
            }
            Some(_) => {}
            None => {
                self.timeouts.clear();
                self.committed = Some(commit.clone());
                self.outputs.push(TsdcOutput::Committed(commit));
            }
        }
    }

    /// Applies rules until none applies, then asks for what they lack.
    fn settle(&mut self) {
        if !self.started && self.is_joinable() {
            self.begin();
        }
        while self.started
            && self.committed.is_none()
            && let Some((state, action)) = self.state.next(&self.facts())
        {
            self.apply(state, action);
        }
        if self.committed.is_none() {
            self.ask_for_verdicts();
            self.ask_for_proposal();
        }
    }

    /// Whether others started this height by the rules: a third of the weight has voted (line 55), or the leader's
    /// proposal would be prepared here (`protocol.md` 7.1).
    fn is_joinable(&self) -> bool {
        let offered = self.offer().and_then(|offer| offer.verdict);
        self.tally.third_at().is_some() || offered.is_some_and(|v| v.valid && v.acceptable)
    }

    fn facts(&self) -> Facts {
        let view = self.state.view;
        let prepares = self.tally.ballots(view, BftKind::Prepare);
        let prepared = prepares.and_then(|b| b.value());
        let is_valid = |hash: &BlockHash| self.proposals.verdict(hash).is_some_and(|v| v.valid);
        Facts {
            offer: self.offer(),
            prepared_any: prepares.is_some_and(|b| b.any()),
            prepared_nil: prepared == Some(None),
            prepared_valid: prepared.flatten().filter(is_valid),
            precommitted_any: self.tally.ballots(view, BftKind::Precommit).is_some_and(|b| b.any()),
            third_at: self.tally.third_at(),
        }
    }

    fn offer(&self) -> Option<Offer> {
        let (hash, proposal) = self.proposals.first(self.state.view)?;
        let kind = proposal
            .proof_view()
            .map_or(OfferKind::Fresh, |view| OfferKind::Proved { view, quorum: self.tally.is_prepared(view, hash) });
        Some(Offer { hash, verdict: self.proposals.verdict(&hash), kind })
    }

    fn apply(&mut self, state: State, action: Action) {
        let before = std::mem::replace(&mut self.state, state);
        if let Some((view, hash)) = state.valid.filter(|_| state.valid != before.valid) {
            self.tally.pin(view);
            self.outputs.push(TsdcOutput::Valid(view, hash));
        }
        if let Some((view, hash)) = state.locked.filter(|_| state.locked != before.locked) {
            self.outputs.push(TsdcOutput::Locked(view, hash));
        }
        match action {
            Action::StartView => self.enter_view(),
            Action::Vote(kind, value) => self.sign(kind, value),
            Action::Arm(timeout) => self.timeouts.arm(timeout, state.view),
            Action::Note => {}
        }
    }

    /// A new view: what was kept for the one before it goes.
    fn enter_view(&mut self) {
        let mut kept: Vec<BlockHash> = [self.state.valid, self.state.locked].iter().flatten().map(|v| v.1).collect();
        kept.dedup();
        self.proposals.enter(self.state.view, &kept);
        self.enter_tally();
        self.timeouts.clear();
        self.open_view();
    }

    /// Lines 14-21. The leader's proposal is bounded by the timeout too: it may have nothing to propose.
    fn open_view(&mut self) {
        if self.state.step == Step::Propose {
            self.timeouts.arm(Timeout::Propose, self.state.view);
        }
        self.outputs.push(TsdcOutput::ViewChanged(self.state.view));
    }

    fn enter_tally(&mut self) {
        let pinned = [self.state.locked, self.state.valid].into_iter().flatten().map(|(view, _)| view);
        self.tally.enter(self.state.view, pinned.collect());
    }

    /// Asks for a signature, unless a vote of this key for this view and kind is known already.
    fn sign(&mut self, kind: BftKind, block_hash: Option<BlockHash>) {
        let State { view, locked: lock, valid, .. } = self.state;
        let Some(me) = self.me else { return };
        if self.tally.vote_of(me, view, kind).is_none() {
            self.outputs.push(TsdcOutput::Sign { view, kind, block_hash, lock, valid });
        }
    }

    /// Asks for the verdicts that lines 23, 29 and 36 of this view need.
    fn ask_for_verdicts(&mut self) {
        let view = self.state.view;
        let offered = self.offer().map(|offer| {
            let fresh = offer.kind == OfferKind::Fresh && self.state.step == Step::Propose;
            (offer.hash, fresh)
        });
        let prepared = self.tally.ballots(view, BftKind::Prepare).and_then(|b| b.value()).flatten();
        for (hash, fresh) in offered.into_iter().chain(prepared.map(|hash| (hash, false))) {
            if self.proposals.must_ask(&hash, view, fresh) {
                self.outputs.push(TsdcOutput::Judge(hash));
            }
        }
    }

    /// Lines 14-19, if this masternode leads the view. A valid value waits for its proof, without which nobody could
    /// accept it.
    fn ask_for_proposal(&mut self) {
        let State { view, step, valid, .. } = self.state;
        if !self.started || step != Step::Propose || self.asked_in == Some(view) || self.proposals.first(view).is_some()
        {
            return;
        }
        let Some(me) = self.me.and_then(|me| self.set.members().get(me)).map(|m| m.consensus_key) else { return };
        let is_provable = valid.is_none_or(|(view, hash)| self.tally.is_prepared(view, hash));
        if self.leader(view) == me && is_provable {
            self.asked_in = Some(view);
            self.outputs.push(TsdcOutput::Propose { view, value: valid });
        }
    }

    /// The leader of `view`.
    pub fn leader(&mut self, view: View) -> PublicKey {
        self.leaders.of(view)
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
