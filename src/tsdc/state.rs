//! The rules of the Tendermint algorithm as one pure state machine.
//!
//! Source: Buchman, Kwon, Milosevic, "The latest gossip on BFT consensus", arXiv 1807.04938, Algorithm 1; the numbers
//! beside the rules are its lines. Its `round` is our *view*, its `prevote` our *prepare*.
//!
//! The paper's rules are conditions on everything received so far, so here too: [`Facts`] says what holds in the
//! current view, and [`State::next`] names the first rule that applies. Nothing depends on the order of arrival.
//!
//! Lines 1-10 are [`State::default`], 49-54 (the decision) are the engine's: they hold in any view and step.

use crate::types::block::BftKind;
use crate::types::hash::BlockHash;
use crate::types::number::View;

/// Where in its view a masternode stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Step {
    /// Waits for the proposal.
    #[default]
    Propose,
    /// Has prepared.
    Prepare,
    /// Has precommitted.
    Precommit,
}

/// The verdict on a block (`protocol.md` 7.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// It keeps the rules that hold always. Never changes.
    pub valid: bool,
    /// It also keeps, here and now, the rules for one's own prepare of a fresh proposal.
    pub acceptable: bool,
}

/// A timeout of the current view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timeout {
    /// Lines 21, 57-60.
    Propose,
    /// Lines 35, 61-64.
    Prepare,
    /// Lines 48, 65-67.
    Precommit,
}

/// What the current view's leader proposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    /// The block.
    pub hash: BlockHash,
    /// What is known of the block.
    pub verdict: Option<Verdict>,
    /// How it was proposed.
    pub kind: OfferKind,
}

/// A proposal is fresh or proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OfferKind {
    /// Without an earlier view's prepares: the paper's `vr = -1`.
    Fresh,
    /// With the prepares of `view`.
    Proved {
        /// The paper's `vr`.
        view: View,
        /// Whether a quorum of that view's prepares for this block is here.
        quorum: bool,
    },
}

/// What the messages received so far say about the current view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts {
    /// What its leader proposed first.
    pub offer: Option<Offer>,
    /// A quorum prepared, whatever.
    pub prepared_any: bool,
    /// A quorum prepared nil.
    pub prepared_nil: bool,
    /// A quorum prepared this block, and it is here and valid.
    pub prepared_valid: Option<BlockHash>,
    /// A quorum precommitted, whatever.
    pub precommitted_any: bool,
    /// The highest view at or beyond which a third of the weight has voted.
    pub third_at: Option<View>,
}

/// What a rule asks of the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// The state is in a new view: lines 14-21.
    StartView,
    /// Sign and send this vote of the state's view.
    Vote(BftKind, Option<BlockHash>),
    /// Schedule this timeout of the state's view.
    Arm(Timeout),
    /// Nothing beyond the new state.
    Note,
}

/// One masternode's state at one height.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    /// `round`.
    pub view: View,
    /// `step`.
    pub step: Step,
    /// `lockedRound` and `lockedValue`.
    pub locked: Option<(View, BlockHash)>,
    /// `validRound` and `validValue`.
    pub valid: Option<(View, BlockHash)>,
    /// Line 34 has applied in this view.
    prepare_armed: bool,
    /// Line 36 has applied in this view.
    value_seen: bool,
    /// Line 47 has applied in this view.
    precommit_armed: bool,
}

impl State {
    /// The state of who restarts at `view` and `step` with these values. A valid value never stays behind the lock.
    pub fn resume(view: View, step: Step, locked: Option<(View, BlockHash)>, valid: Option<(View, BlockHash)>) -> Self {
        let valid = if valid.map(|v| v.0) < locked.map(|l| l.0) { locked } else { valid };
        Self { view, step, locked, valid, ..Self::default() }
    }

    /// Lines 11-13: `StartRound`.
    pub fn start_view(self, view: View) -> (Self, Action) {
        let next = Self { locked: self.locked, valid: self.valid, view, ..Self::default() };
        (next, Action::StartView)
    }

    /// The first rule that applies, or `None` if none does.
    ///
    /// Line 36 stands before 55, so that who is about to leave a view takes the lock along that the view gave.
    pub fn next(self, facts: &Facts) -> Option<(Self, Action)> {
        self.on_prepared_value(facts)
            .or_else(|| self.on_third_ahead(facts))
            .or_else(|| self.on_offer(facts))
            .or_else(|| self.on_quorums(facts))
    }

    /// Lines 36-43.
    fn on_prepared_value(self, facts: &Facts) -> Option<(Self, Action)> {
        let hash = facts.prepared_valid?; // 36: valid(v), and
        if self.step < Step::Prepare || self.value_seen {
            return None; // 36: step >= prevote, for the first time
        }
        let value = Some((self.view, hash));
        let seen = Self { valid: value, value_seen: true, ..self }; // 42, 43
        if self.step == Step::Prepare {
            let locked = Self { locked: value, step: Step::Precommit, ..seen }; // 37-39, 41
            return Some((locked, Action::Vote(BftKind::Precommit, Some(hash)))); // 40
        }
        Some((seen, Action::Note))
    }

    /// Lines 55-56.
    fn on_third_ahead(self, facts: &Facts) -> Option<(Self, Action)> {
        let view = facts.third_at.filter(|view| *view > self.view)?;
        Some(self.start_view(view))
    }

    /// Lines 22-33.
    fn on_offer(self, facts: &Facts) -> Option<(Self, Action)> {
        let offer = facts.offer.filter(|_| self.step == Step::Propose)?; // 22, 28
        let is_locked_value = self.locked.is_some_and(|(_, hash)| hash == offer.hash);
        let (unlocked, fine) = match offer.kind {
            // 23; acceptable: `protocol.md` 7.3
            OfferKind::Fresh => (self.locked.is_none() || is_locked_value, offer.verdict.map(|v| v.acceptable)),
            // 28: vr < round, and its prepares are here
            OfferKind::Proved { view, quorum } if quorum && view < self.view => {
                // 29
                (self.locked.is_none_or(|(locked, _)| locked <= view) || is_locked_value, Some(true))
            }
            OfferKind::Proved { .. } => return None,
        };
        let valid = offer.verdict.map(|v| v.valid);
        if !unlocked || valid == Some(false) {
            return Some(self.prepare(None)); // 26, 32
        }
        if valid == Some(true) && fine == Some(true) {
            return Some(self.prepare(Some(offer.hash))); // 24, 30
        }
        None // not judged, or not acceptable yet: the propose timeout bounds the wait
    }

    /// Lines 34-35, 44-48.
    fn on_quorums(self, facts: &Facts) -> Option<(Self, Action)> {
        if facts.prepared_nil && self.step == Step::Prepare {
            return Some(self.precommit_nil()); // 44-46
        }
        if facts.prepared_any && self.step == Step::Prepare && !self.prepare_armed {
            return Some((Self { prepare_armed: true, ..self }, Action::Arm(Timeout::Prepare))); // 34-35
        }
        if facts.precommitted_any && !self.precommit_armed {
            return Some((Self { precommit_armed: true, ..self }, Action::Arm(Timeout::Precommit))); // 47-48
        }
        None
    }

    /// Lines 57-67: a timeout of this view is over.
    pub fn on_timeout(self, timeout: Timeout) -> Option<(Self, Action)> {
        match timeout {
            Timeout::Propose if self.step == Step::Propose => Some(self.prepare(None)), // 57-60
            Timeout::Prepare if self.step == Step::Prepare => Some(self.precommit_nil()), // 61-64
            Timeout::Precommit => Some(self.start_view(self.view.next())),              // 65-67
            Timeout::Propose | Timeout::Prepare => None,
        }
    }

    fn prepare(self, value: Option<BlockHash>) -> (Self, Action) {
        (Self { step: Step::Prepare, ..self }, Action::Vote(BftKind::Prepare, value)) // 27, 33, 60
    }

    fn precommit_nil(self) -> (Self, Action) {
        (Self { step: Step::Precommit, ..self }, Action::Vote(BftKind::Precommit, None)) // 45-46, 63-64
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
