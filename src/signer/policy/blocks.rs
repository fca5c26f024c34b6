//! What may be signed about blocks (`protocol.md` 7.4): one value a step of a view of a height, never backwards, never
//! against the lock.
//!
//! The lock rules are those of the Tendermint algorithm (arXiv 1807.04938, Algorithm 1, lines 22-43), restated over
//! what one masternode signs, so that a mistake of the engine cannot break them.

use crate::limits::MAX_REMEMBERED_BLOCK_MESSAGES;
use crate::signer::log::Ticket;
use crate::signer::record::Record;
use crate::signer::request::{Refusal, Step};
use crate::types::block::BftKind;
use crate::types::hash::BlockHash;
use crate::types::number::{Height, View};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A block at the view in which a quorum prepared it.
pub(super) type Lock = Option<(View, BlockHash)>;

/// What was signed at a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Proposal { proof_view: Option<View>, block_hash: BlockHash },
    Vote(Option<BlockHash>),
}

/// A vote that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct VoteAsked {
    pub(super) height: Height,
    pub(super) view: View,
    pub(super) kind: BftKind,
    pub(super) block_hash: Option<BlockHash>,
    pub(super) lock: Lock,
    pub(super) valid: Lock,
    pub(super) proof_view: Option<View>,
}

/// Whether a granted request says something new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    New,
    Repeated,
}

/// What was signed at the current height. Memory: [`MAX_REMEMBERED_BLOCK_MESSAGES`].
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) height: Height,
    /// Ordered as signing is: the last one is the latest.
    pub(super) signed: BTreeMap<(View, Step), (Ticket, Value)>,
    pub(super) lock: Lock,
    pub(super) valid: Lock,
}

impl Blocks {
    /// Whether this may be signed at this step.
    pub(super) fn check_step(&self, height: Height, view: View, step: Step, value: Value) -> Result<Grant, Refusal> {
        if height < self.height {
            return Err(Refusal::HeightPassed { height, signed: self.height });
        }
        if height > self.height {
            return Ok(Grant::New);
        }
        match self.signed.get(&(view, step)) {
            Some((_, signed)) if *signed == value => return Ok(Grant::Repeated),
            Some(_) => return Err(Refusal::Contradiction { height, view, step }),
            None => {}
        }
        match self.signed.last_key_value() {
            Some((&(signed_view, signed_step), _)) if (view, step) < (signed_view, signed_step) => {
                Err(Refusal::StepPassed { view, step, signed_view, signed_step })
            }
            _ => Ok(Grant::New),
        }
    }

    /// Whether this value was not signed here, as far as that is remembered.
    pub(super) fn is_foreign(&self, height: Height, at: (View, Step), value: Value) -> bool {
        match height.cmp(&self.height) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => {
                let is_full = self.signed.len() >= MAX_REMEMBERED_BLOCK_MESSAGES;
                let is_forgotten = is_full && self.signed.first_key_value().is_some_and(|(first, _)| at < *first);
                !is_forgotten && self.signed.get(&at).is_none_or(|(_, signed)| *signed != value)
            }
        }
    }

    /// Whether this vote may be signed.
    pub(super) fn check_vote(&self, vote: &VoteAsked) -> Result<Grant, Refusal> {
        let grant = self.check_step(vote.height, vote.view, vote.kind.into(), Value::Vote(vote.block_hash))?;
        if grant == Grant::New {
            self.check_lock(vote)?;
        }
        Ok(grant)
    }

    /// The lock never goes back; a block is precommitted with the lock on it (lines 37-40), and prepared against the
    /// lock only with the prepares of a later view (lines 23, 29). The paper's line 29 also allows the lock's own view,
    /// where two blocks can have a quorum only if a third of the weight is Byzantine; that is not signed here.
    fn check_lock(&self, vote: &VoteAsked) -> Result<(), Refusal> {
        let recorded = self.lock.filter(|_| vote.height == self.height);
        let kept = match (recorded, vote.lock) {
            (Some(old), Some(new)) => new == old || new.0 > old.0,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if let Some((view, block_hash)) = recorded.filter(|_| !kept) {
            return Err(Refusal::LockGoesBack(view, block_hash));
        }
        if let Some((view, block_hash)) = vote.lock.filter(|(view, _)| *view > vote.view) {
            return Err(Refusal::LockGoesBack(view, block_hash));
        }
        match (vote.kind, vote.block_hash, vote.lock) {
            (BftKind::Precommit, Some(block_hash), lock) if lock != Some((vote.view, block_hash)) => {
                Err(Refusal::PrecommitWithoutLock)
            }
            (BftKind::Prepare, Some(block_hash), Some((locked_view, locked))) if block_hash != locked => {
                let is_newer = |view: View| locked_view < view && view < vote.view;
                if vote.proof_view.is_some_and(is_newer) { Ok(()) } else { Err(Refusal::Locked(locked_view, locked)) }
            }
            _ => Ok(()),
        }
    }

    /// Remembers a signed value.
    pub(super) fn apply(&mut self, ticket: Ticket, height: Height, at: (View, Step), value: Value) {
        if height < self.height {
            return;
        }
        if height > self.height {
            *self = Self { height, ..Self::default() };
        }
        self.signed.insert(at, (ticket, value));
        while self.signed.len() > MAX_REMEMBERED_BLOCK_MESSAGES {
            self.signed.pop_first();
        }
    }

    /// Remembers a lock and a valid value of this height.
    pub(super) fn apply_lock(&mut self, height: Height, lock: Lock, valid: Lock) {
        if height == self.height {
            self.lock = newer(self.lock, lock);
            self.valid = newer(self.valid, valid);
        }
    }

    /// Records that bring back this state.
    pub(super) fn snapshot(&self, out: &mut Vec<Record>) {
        let height = self.height;
        for (&(view, step), &(_, value)) in &self.signed {
            out.push(match (value, step) {
                (Value::Proposal { proof_view, block_hash }, _) => {
                    Record::Proposal { height, view, proof_view, block_hash }
                }
                (Value::Vote(block_hash), step) => {
                    let kind = if step == Step::Prepare { BftKind::Prepare } else { BftKind::Precommit };
                    // The lock follows; which epoch it closed is in `Record::Current`.
                    Record::Vote { height, view, kind, block_hash, lock: None, valid: None, closes: None }
                }
            });
        }
        out.push(Record::Lock { height, lock: self.lock, valid: self.valid });
    }
}

fn newer(old: Lock, new: Lock) -> Lock {
    if new.map(|(view, _)| view) >= old.map(|(view, _)| view) { new } else { old }
}
