//! Blocks offered for the current height: gathered, executed once, and looked at until they can be prepared.

use super::command::PeerId;
use crate::ledger::VerifiedTx;
use crate::ledger::execute::Executed;
use crate::limits::{MAX_BAD_ENCODINGS, MAX_GARBLED_PROPOSALS, MAX_PROPOSALS, MAX_PROPOSALS_A_VIEW};
use crate::types::block::Proposal;
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, Txid, Wtxid};
use crate::types::number::TimeMs;
use crate::types::verified::Verified;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A block that follows every rule that holds always (`protocol.md` 7.3), with all it consists of.
#[derive(Debug)]
pub(super) struct ValidBlock {
    pub(super) executed: Executed,
    pub(super) txs: Vec<VerifiedTx>,
    pub(super) evidence: Vec<Verified<Evidence>>,
}

/// How far a candidate is.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Transactions are missing.
    Gathering,
    /// It breaks a rule that holds always.
    Invalid,
    /// It follows them all.
    Valid(Arc<ValidBlock>),
}

/// A block offered, under the first proposal that brought it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) proposal: Arc<Verified<Proposal>>,
    pub(super) from: Option<PeerId>,
    pub(super) standing: Standing,
    /// When to look again whether this masternode may prepare it; `None` once it may or never can.
    pub(super) next_look: Option<TimeMs>,
    /// Whether the leader was told what it left out.
    pub(super) leader_was_told: bool,
}

/// All candidates of a height, and transactions that only they need.
///
/// A proposal's signature covers the header alone. Whoever passes it on can swap the rest, and the witnesses of its
/// transactions too. So what does not fit the header condemns the block only if its leader sent it over its own link;
/// from anybody else it is dropped, and looked at again when it comes again, a few times.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    candidates: BTreeMap<BlockHash, Candidate>,
    missing: BTreeSet<Txid>,
    supplied: BTreeMap<Txid, VerifiedTx>,
    /// Encodings whose witnesses do not open what they spend.
    bad_encodings: BTreeSet<Wtxid>,
    /// How often a block came with content that is not its own.
    garbled: BTreeMap<BlockHash, u32>,
}

impl Proposals {
    /// Drops a candidate whose content is not what its header names.
    pub(super) fn drop_garbled(&mut self, hash: BlockHash) {
        self.candidates.remove(&hash);
        let times = self.garbled.entry(hash).or_default();
        *times = times.saturating_add(1);
    }

    /// Whether a block came garbled so often that it is taken from its leader alone.
    pub(super) fn is_garbled_often(&self, hash: &BlockHash) -> bool {
        self.garbled.len() >= MAX_PROPOSALS || self.garbled.get(hash).is_some_and(|t| *t >= MAX_GARBLED_PROPOSALS)
    }

    /// An encoding does not open what it spends: it is not taken again, another one is waited for.
    pub(super) fn refuse_encoding(&mut self, tx: &VerifiedTx) {
        if self.bad_encodings.len() < MAX_BAD_ENCODINGS {
            self.bad_encodings.insert(tx.wtxid());
        }
        self.supplied.remove(&tx.txid());
    }

    /// Takes a block offered, if it is new and there is room: a few a view, so that a leader cannot crowd out others.
    pub(super) fn add(&mut self, now: TimeMs, from: Option<PeerId>, proposal: Arc<Verified<Proposal>>) {
        let hash = proposal.header.hash();
        if self.candidates.contains_key(&hash) {
            return;
        }
        let of_view = self.candidates.values().filter(|c| c.proposal.view == proposal.view).count();
        if of_view >= MAX_PROPOSALS_A_VIEW || self.candidates.len() >= MAX_PROPOSALS {
            return;
        }
        let standing = Standing::Gathering;
        let candidate = Candidate { proposal, from, standing, next_look: Some(now), leader_was_told: false };
        self.candidates.insert(hash, candidate);
    }

    /// Makes room: forgets blocks of views before `view` that `is_needed` does not name.
    pub(super) fn forget_before(&mut self, view: crate::types::number::View, is_needed: impl Fn(&BlockHash) -> bool) {
        if self.candidates.len() >= MAX_PROPOSALS / 2 {
            self.candidates.retain(|hash, c| c.proposal.view >= view || is_needed(hash));
        }
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<&Candidate> {
        self.candidates.get(hash)
    }

    pub(super) fn get_mut(&mut self, hash: &BlockHash) -> Option<&mut Candidate> {
        self.candidates.get_mut(hash)
    }

    pub(super) fn valid(&self, hash: &BlockHash) -> Option<Arc<ValidBlock>> {
        match &self.candidates.get(hash)?.standing {
            Standing::Valid(block) => Some(block.clone()),
            _ => None,
        }
    }

    /// Candidates to look at now.
    pub(super) fn due(&self, now: TimeMs) -> Vec<BlockHash> {
        let due = self.candidates.iter().filter(|(_, c)| c.next_look.is_some_and(|at| at <= now));
        due.map(|(hash, _)| *hash).collect()
    }

    pub(super) fn next_look(&self) -> Option<TimeMs> {
        self.candidates.values().filter_map(|c| c.next_look).min()
    }

    /// Notes that a candidate lacks these.
    pub(super) fn miss(&mut self, txids: &[Txid]) {
        self.missing.extend(txids);
    }

    /// A transaction came in; kept if a candidate lacks it, whatever the pool thinks of it.
    pub(super) fn supply(&mut self, tx: &VerifiedTx) {
        if self.bad_encodings.contains(&tx.wtxid()) || !self.missing.remove(&tx.txid()) {
            return;
        }
        self.supplied.insert(tx.txid(), tx.clone());
        for candidate in self.candidates.values_mut() {
            if matches!(candidate.standing, Standing::Gathering) {
                candidate.next_look = Some(TimeMs(0));
            }
        }
    }

    pub(super) fn transaction(&self, txid: &Txid) -> Option<VerifiedTx> {
        self.supplied.get(txid).cloned()
    }

    /// The height is decided.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }
}
