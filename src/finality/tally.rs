//! Votes and receipts of one epoch, counted by transaction (`protocol.md` 6).
//!
//! Invariants: what is counted does not depend on the order in which batches come, as long as no voter passes its
//! bounds; each threshold is reported once, by the batch that reaches it; a batch that adds nothing is not held.
//!
//! A voter can sign any 32 bytes, so txids are held on its account until somebody else answers for them: the
//! ledger, which has the transaction ([`Tally::learn`]), or a third of the weight, which contains an honest
//! masternode that had it.

use super::FinalityEvent;
use super::batches::{BatchId, Batches};
use super::spends::{Spends, Standing};
use super::support::Support;
use crate::limits::{MAX_ARCHIVED_TALLIES, MAX_LEARNED_TXIDS, MAX_UNKNOWN_TXIDS_PER_VOTER};
use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Weight};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use crate::types::vote::{FinalityKind, VoteBatch};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What is known of one transaction in the epoch.
#[derive(Default)]
struct Entry {
    votes: Support,
    receipts: Support,
    /// What it spends, once it was learned.
    inputs: Option<Box<[OutPoint]>>,
    /// Somebody besides its voters answers for it.
    is_known: bool,
    /// Another known transaction spends one of its inputs.
    is_contested: bool,
    is_archived: bool,
    /// Known from the last epoch, and not learned again in this one.
    is_inherited: bool,
}

impl Entry {
    fn support(&self, kind: FinalityKind) -> &Support {
        match kind {
            FinalityKind::Vote => &self.votes,
            FinalityKind::Receipt => &self.receipts,
        }
    }

    fn has_voter(&self, position: usize) -> bool {
        self.votes.has(position) || self.receipts.has(position)
    }

    /// Everyone who signed anything about it.
    fn voters(&self) -> impl Iterator<Item = usize> {
        self.votes.positions().chain(self.receipts.positions().filter(|position| !self.votes.has(*position)))
    }
}

/// The count of one epoch.
pub(super) struct Tally {
    epoch: Epoch,
    set: Arc<ValidatorSet>,
    batches: Batches,
    // Never iterated.
    entries: IdMap<Txid, Entry>,
    spends: Spends,
    /// Learned and not archived.
    learned: BTreeSet<Txid>,
    /// Archived and still held, oldest first.
    archived: VecDeque<Txid>,
    /// By position: how many txids only its voters answer for.
    unknown: Vec<usize>,
    /// By position: who was reported for a double vote.
    double_voters: Vec<bool>,
}

impl Tally {
    /// How many batches are held.
    pub(super) fn batches_held(&self) -> usize {
        self.batches.len()
    }

    /// Nothing counted yet.
    pub(super) fn new(epoch: Epoch, set: Arc<ValidatorSet>) -> Self {
        let members = set.len();
        Self {
            epoch,
            set,
            batches: Batches::new(members),
            entries: IdMap::default(),
            spends: Spends::default(),
            learned: BTreeSet::new(),
            archived: VecDeque::new(),
            unknown: vec![0; members],
            double_voters: vec![false; members],
        }
    }

    /// The count of the next epoch, which knows the transactions that were learned in this one and not archived: so
    /// early votes for them are no votes for unknown ones.
    pub(super) fn next(&self, set: Arc<ValidatorSet>) -> Self {
        let mut next = Self::new(self.epoch.next(), set);
        for txid in &self.learned {
            let Some(entry) = self.entries.get(txid).filter(|entry| !entry.is_inherited) else { continue };
            if let Some(inputs) = entry.inputs.as_deref() {
                // Nobody has voted yet, so there is nothing to report.
                next.learn(*txid, inputs, &mut Vec::new());
            }
            if let Some(entry) = next.entries.get_mut(txid) {
                entry.is_inherited = true;
            }
        }
        next
    }

    /// The epoch.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The epoch's set.
    pub(super) fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// Weight behind `kind` of statements about `txid`.
    pub(super) fn weight(&self, txid: &Txid, kind: FinalityKind) -> Weight {
        self.entries.get(txid).map_or(Weight::ZERO, |entry| entry.support(kind).weight())
    }

    /// Whether a quorum made the statement.
    pub(super) fn has_quorum(&self, txid: &Txid, kind: FinalityKind) -> bool {
        self.weight(txid, kind).is_quorum_of(self.set.total())
    }

    /// The batches behind `kind` of statements about `txid`, with their voters' positions, in order of arrival.
    pub(super) fn signed(
        &self,
        txid: &Txid,
        kind: FinalityKind,
    ) -> impl Iterator<Item = (usize, &Arc<Verified<VoteBatch>>)> {
        let ids = self.entries.get(txid).map_or(&[][..], |entry| entry.support(kind).batches());
        ids.iter().filter_map(|id| Some((self.batches.position(*id)?, self.batches.get(*id)?)))
    }

    /// The batches that say anything about any of `txids`, each once.
    pub(super) fn batches(&self, txids: &[Txid]) -> Vec<Arc<Verified<VoteBatch>>> {
        let entries = txids.iter().filter_map(|txid| self.entries.get(txid));
        let ids: BTreeSet<BatchId> =
            entries.flat_map(|entry| entry.votes.batches().iter().chain(entry.receipts.batches())).copied().collect();
        ids.into_iter().filter_map(|id| self.batches.get(id).cloned()).collect()
    }

    /// Counts a batch of the voter at `position`; whether it added anything.
    pub(super) fn add(
        &mut self,
        batch: &Arc<Verified<VoteBatch>>,
        position: usize,
        events: &mut Vec<FinalityEvent>,
    ) -> bool {
        let Some(id) = self.batches.insert(batch.clone(), position) else { return false };
        for txid in &batch.txids {
            self.count(*txid, batch.kind, position, id, events);
        }
        !self.batches.drop_unused(id)
    }

    fn count(
        &mut self,
        txid: Txid,
        kind: FinalityKind,
        position: usize,
        batch: BatchId,
        events: &mut Vec<FinalityEvent>,
    ) {
        let has_room = self.unknown[position] < MAX_UNKNOWN_TXIDS_PER_VOTER;
        let entry = match self.entries.get_mut(&txid) {
            Some(entry) => entry,
            None if has_room => self.entries.entry(txid).or_default(),
            None => return,
        };
        if !entry.is_known && !entry.has_voter(position) {
            if !has_room {
                return;
            }
            self.unknown[position] += 1;
        }
        let support = match kind {
            FinalityKind::Vote => &mut entry.votes,
            FinalityKind::Receipt => &mut entry.receipts,
        };
        let total = self.set.total();
        let had_quorum = support.weight().is_quorum_of(total);
        if !support.insert(position, self.set.members()[position].weight, batch) {
            return;
        }
        self.batches.acquire(batch);
        let weight = support.weight();
        if !entry.is_known && weight.is_third_of(total) {
            Self::make_known(entry, &mut self.unknown);
        }
        let is_contested = entry.is_contested && kind == FinalityKind::Vote;
        if !had_quorum && weight.is_quorum_of(total) {
            match kind {
                FinalityKind::Vote => self.certify(txid, events),
                FinalityKind::Receipt => events.push(FinalityEvent::Final(txid)),
            }
        }
        if is_contested {
            self.find_double_votes(txid, position, events);
        }
    }

    /// From now on `txid` is known to be a transaction that spends `inputs`.
    pub(super) fn learn(&mut self, txid: Txid, inputs: &[OutPoint], events: &mut Vec<FinalityEvent>) {
        if let Some(entry) = self.entries.get_mut(&txid).filter(|entry| entry.inputs.is_some()) {
            entry.is_inherited = false;
            return;
        }
        if self.learned.len() >= MAX_LEARNED_TXIDS {
            return;
        }
        let entry = self.entries.entry(txid).or_default();
        Self::make_known(entry, &mut self.unknown);
        entry.inputs = Some(inputs.into());
        if !entry.is_archived {
            self.learned.insert(txid);
        }
        let is_certified = entry.votes.weight().is_quorum_of(self.set.total());
        for outpoint in inputs {
            self.contest(txid, outpoint, events);
        }
        if is_certified {
            self.find_rival_certificates(txid, events);
        }
    }

    /// Writes down that `txid` spends `outpoint`, and if others do too, who voted for it.
    fn contest(&mut self, txid: Txid, outpoint: &OutPoint, events: &mut Vec<FinalityEvent>) {
        let standing = self.spends.add(*outpoint, txid);
        if let Standing::RivalOf(first) = standing
            && let Some(rival) = self.entries.get_mut(&first)
        {
            rival.is_contested = true;
            for position in rival.votes.positions() {
                self.spends.vote(outpoint, position, first);
            }
        }
        if standing == Standing::Alone {
            return;
        }
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        entry.is_contested = true;
        for position in entry.votes.positions() {
            if let Some(one) = self.spends.vote(outpoint, position, txid) {
                Self::report(&self.set, &mut self.double_voters, position, one, txid, events);
            }
        }
    }

    /// Reports the voter at `position` if besides `txid` it voted for a rival of it.
    fn find_double_votes(&mut self, txid: Txid, position: usize, events: &mut Vec<FinalityEvent>) {
        let Some(inputs) = self.entries.get(&txid).and_then(|entry| entry.inputs.as_deref()) else { return };
        for outpoint in inputs {
            if let Some(one) = self.spends.vote(outpoint, position, txid) {
                Self::report(&self.set, &mut self.double_voters, position, one, txid, events);
            }
        }
    }

    fn report(
        set: &ValidatorSet,
        double_voters: &mut [bool],
        position: usize,
        one: Txid,
        other: Txid,
        events: &mut Vec<FinalityEvent>,
    ) {
        if !std::mem::replace(&mut double_voters[position], true) {
            let voter = set.members()[position].consensus_key;
            events.push(FinalityEvent::DoubleVote { voter, one, other });
        }
    }

    fn certify(&mut self, txid: Txid, events: &mut Vec<FinalityEvent>) {
        events.push(FinalityEvent::Certified(txid));
        self.find_rival_certificates(txid, events);
    }

    /// Claims the inputs of `txid`, which is certified, and reports each rival that claimed one before.
    fn find_rival_certificates(&mut self, txid: Txid, events: &mut Vec<FinalityEvent>) {
        let Some(inputs) = self.entries.get(&txid).and_then(|entry| entry.inputs.as_deref()) else { return };
        let rivals: BTreeSet<Txid> = inputs.iter().filter_map(|outpoint| self.spends.certify(outpoint, txid)).collect();
        events.extend(rivals.into_iter().map(|one| FinalityEvent::RivalCertificates { one, other: txid }));
    }

    /// `txid` is in a block: it is kept among the last [`MAX_ARCHIVED_TALLIES`] of its kind.
    pub(super) fn archive(&mut self, txid: &Txid) {
        let Some(entry) = self.entries.get_mut(txid) else { return };
        if std::mem::replace(&mut entry.is_archived, true) {
            return;
        }
        Self::make_known(entry, &mut self.unknown);
        self.learned.remove(txid);
        self.archived.push_back(*txid);
        if self.archived.len() > MAX_ARCHIVED_TALLIES
            && let Some(oldest) = self.archived.pop_front()
        {
            self.remove(&oldest);
        }
    }

    /// Nobody holds `txid` any more. What is certified, final or archived stays.
    pub(super) fn forget(&mut self, txid: &Txid) {
        let is_decided = self.has_quorum(txid, FinalityKind::Vote) || self.has_quorum(txid, FinalityKind::Receipt);
        if !is_decided && !self.entries.get(txid).is_some_and(|entry| entry.is_archived) {
            self.remove(txid);
        }
    }

    fn remove(&mut self, txid: &Txid) {
        let Some(mut entry) = self.entries.remove(txid) else { return };
        Self::make_known(&mut entry, &mut self.unknown);
        for id in entry.votes.batches().iter().chain(entry.receipts.batches()) {
            self.batches.release(*id);
        }
        for outpoint in entry.inputs.iter().flatten() {
            self.spends.remove(outpoint, txid);
        }
        self.learned.remove(txid);
    }

    /// Takes the transaction off its voters' accounts.
    fn make_known(entry: &mut Entry, unknown: &mut [usize]) {
        if !std::mem::replace(&mut entry.is_known, true) {
            for position in entry.voters() {
                unknown[position] = unknown[position].saturating_sub(1);
            }
        }
    }

    /// The vote of `voter` for `txid`.
    pub(super) fn vote_of(&self, voter: &PublicKey, txid: &Txid) -> Option<&Arc<Verified<VoteBatch>>> {
        let position = self.set.position(voter)?;
        self.signed(txid, FinalityKind::Vote).find(|(signer, _)| *signer == position).map(|(_, batch)| batch)
    }

    /// Transactions, batches and outpoints held, and txids on each voter's account.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize, usize, &[usize]) {
        (self.entries.len(), self.batches.len(), self.spends.len(), &self.unknown)
    }
}
