//! Votes and receipts make payments final (`protocol.md` 6).
//!
//! A *vote* says "I accepted this transaction, and no rival of it this epoch"; votes of a quorum are its
//! *certificate*. A *receipt* says "I hold its certificate"; receipts of a quorum make it *final*. [`Finality`]
//! counts both for every node, observers included: it signs nothing and decides nothing.
//!
//! Why it is safe: two rivals certified in one epoch would need votes of a third of the weight twice. Such voters
//! are reported, and so are the certificates, should it come to them. That nothing final is lost between epochs
//! is the business of the closing block (`protocol.md` 7.3) and of the signer.
//!
//! A voter that votes for two rivals counts for both: its weight is what Byzantine weight is, and nodes that saw
//! its votes in different orders must not count differently.

mod batches;
mod buffer;
mod evidence;
mod proof;
mod spends;
mod support;
mod tally;
#[cfg(test)]
mod tests;

pub use proof::{ProofError, verify_proof};

use crate::types::evidence::Evidence;
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Weight};
use crate::types::transaction::{OutPoint, TxBody};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use crate::types::vote::{FinalityKind, FinalityProof, VoteBatch};
use buffer::Buffer;
use std::sync::Arc;
use tally::Tally;

/// What counting showed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FinalityEvent {
    /// Votes of a quorum are here. The transaction may not be.
    Certified(Txid),
    /// Receipts of a quorum are here. The transaction, or its certificate, may not be.
    Final(Txid),
    /// One voter signed votes for two transactions that spend one outpoint. Reported once a voter and epoch, since
    /// it is punished once; [`Finality::double_vote_evidence`] makes the proof.
    DoubleVote {
        /// The voter.
        voter: PublicKey,
        /// The transaction it voted for first, as seen here.
        one: Txid,
        /// The other.
        other: Txid,
    },
    /// Two transactions that spend one outpoint are certified: a third of the weight is Byzantine.
    RivalCertificates {
        /// The one certified first, as seen here.
        one: Txid,
        /// The other.
        other: Txid,
    },
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Whether it said anything that was not counted, or kept for the next epoch, before.
    pub is_new: bool,
    /// What counting it showed.
    pub events: Vec<FinalityEvent>,
}

/// The count of the current epoch, the kept one of the last, and what came too early for the next.
pub struct Finality {
    current: Tally,
    last: Option<Tally>,
    buffer: Buffer,
}

impl Finality {
    /// Starts counting in `epoch`, whose members are `set`.
    pub fn new(epoch: Epoch, set: Arc<ValidatorSet>) -> Self {
        Self { current: Tally::new(epoch, set), last: None, buffer: Buffer::default() }
    }

    /// The epoch that is counted.
    pub fn epoch(&self) -> Epoch {
        self.current.epoch()
    }

    /// Counts a batch: of this epoch at once, of the next one when it begins (within bounds), of others never.
    /// Batches of keys outside the epoch's set count nothing.
    pub fn count(&mut self, batch: Arc<Verified<VoteBatch>>) -> Counted {
        let mut events = Vec::new();
        let position = self.current.set().position(&batch.voter);
        let is_new = if batch.epoch == self.current.epoch() {
            position.is_some_and(|position| self.current.add(&batch, position, &mut events))
        } else if Some(self.current.epoch()) == batch.epoch.previous() {
            self.buffer.insert(batch, position.is_some())
        } else {
            false
        };
        Counted { is_new, events }
    }

    /// [`Self::count`], where it does not matter whether it was new.
    pub fn add(&mut self, batch: Arc<Verified<VoteBatch>>) -> Vec<FinalityEvent> {
        self.count(batch).events
    }

    /// `txid` is a transaction held here, and spends `inputs`: its votes no longer fall under the bound on made-up
    /// txids, and votes for rivals of it are seen. Unless it is archived, it is still known in the next epoch, and
    /// beyond that if it is learned again.
    pub fn learn(&mut self, txid: Txid, inputs: &[OutPoint]) -> Vec<FinalityEvent> {
        let mut events = Vec::new();
        self.current.learn(txid, inputs, &mut events);
        events
    }

    /// `txid` was dropped here and is known no more. What is certified, final or archived stays.
    pub fn forget(&mut self, txid: &Txid) {
        self.current.forget(txid);
    }

    /// `txids` are in a block. Their votes, receipts and proofs stay, the latest
    /// [`MAX_ARCHIVED_TALLIES`](crate::limits::MAX_ARCHIVED_TALLIES) of them, until the epoch after the next.
    pub fn archived(&mut self, txids: &[Txid]) {
        for txid in txids {
            self.current.archive(txid);
        }
    }

    /// The epoch is closed: the next one begins, with `set`, and what came early for it is counted.
    pub fn close_epoch(&mut self, set: Arc<ValidatorSet>) -> Vec<FinalityEvent> {
        let next = self.current.next(set);
        self.last = Some(std::mem::replace(&mut self.current, next));
        self.buffer.take().flat_map(|batch| self.add(batch)).collect()
    }

    /// Whether votes of a quorum of this epoch are here.
    pub fn is_certified(&self, txid: &Txid) -> bool {
        self.current.has_quorum(txid, FinalityKind::Vote)
    }

    /// Whether receipts of a quorum of this epoch are here.
    pub fn is_final(&self, txid: &Txid) -> bool {
        self.current.has_quorum(txid, FinalityKind::Receipt)
    }

    /// Weight that voted for `txid` in this epoch.
    pub fn vote_weight(&self, txid: &Txid) -> Weight {
        self.current.weight(txid, FinalityKind::Vote)
    }

    /// Weight that signed receipts for `txid` in this epoch.
    pub fn receipt_weight(&self, txid: &Txid) -> Weight {
        self.current.weight(txid, FinalityKind::Receipt)
    }

    /// The batches with this epoch's votes for `txid`, one a voter, whether or not they are a quorum.
    pub fn certificate_batches(&self, txid: &Txid) -> Vec<Arc<Verified<VoteBatch>>> {
        self.current.signed(txid, FinalityKind::Vote).map(|(_, batch)| batch.clone()).collect()
    }

    /// The batches with this epoch's receipts for `txid`, one a voter, whether or not they are a quorum.
    pub fn receipt_batches(&self, txid: &Txid) -> Vec<Arc<Verified<VoteBatch>>> {
        self.current.signed(txid, FinalityKind::Receipt).map(|(_, batch)| batch.clone()).collect()
    }

    /// The batches of this epoch that name any of `txids`, each once: what answers a request for their votes.
    pub fn batches(&self, txids: &[Txid]) -> Vec<Arc<Verified<VoteBatch>>> {
        self.current.batches(txids)
    }

    /// Receipts of a quorum for `txid`, of this epoch or the last.
    pub fn proof(&self, txid: &Txid) -> Option<FinalityProof> {
        self.tallies().find_map(|tally| proof::cut(tally, txid))
    }

    /// Proof that `voter` voted for two transactions in one epoch, this or the last; `None` if it did not, as far as
    /// is known here, or if the two share no input.
    pub fn double_vote_evidence(&self, voter: &PublicKey, one: &TxBody, other: &TxBody) -> Option<Evidence> {
        self.tallies().find_map(|tally| evidence::cut(tally, voter, one, other))
    }

    /// Batches held, of this epoch and the last.
    pub fn batches_held(&self) -> usize {
        self.tallies().map(Tally::batches_held).sum()
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        std::iter::once(&self.current).chain(&self.last)
    }
}
