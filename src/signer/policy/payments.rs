//! What may be signed about payments (`protocol.md` 6): one vote an outpoint an epoch, nothing of an epoch but the
//! current one, nothing more once a block that closes it was prepared, and no such prepare of a fresh block that
//! leaves out what was receipted here.
//!
//! The last two are what finality rests on: a final payment has receipts of a quorum, a closing block prepares of a
//! quorum, and an honest masternode in both saw the payment in the block. So both are decided here, in one step with
//! the record, from what this key signed and not from what an engine believes.

use super::batches::Batches;
use crate::limits::{
    MAX_BATCH_TXIDS, MAX_EPOCH_ARCHIVED, MAX_EPOCH_OUTPOINTS, MAX_INPUTS, MAX_RECORD_OUTPOINTS, MAX_REPORTED_RECEIPTS,
};
use crate::signer::log::Ticket;
use crate::signer::record::Record;
use crate::signer::request::{Closing, Refusal};
use crate::types::hash::Txid;
use crate::types::number::Epoch;
use crate::types::transaction::OutPoint;
use crate::types::vote::{FinalityKind, VoteBatch};
use std::collections::BTreeSet;

/// What was signed in the current epoch. Memory: [`MAX_EPOCH_OUTPOINTS`] and [`MAX_EPOCH_ARCHIVED`] entries.
#[derive(Debug, Default)]
pub(super) struct Payments {
    pub(super) epoch: Epoch,
    /// A block that closes the epoch was prepared.
    pub(super) closing: bool,
    /// Every outpoint voted for, whether or not its transaction is archived by now.
    pub(super) spent: BTreeSet<OutPoint>,
    pub(super) votes: Batches,
    pub(super) receipts: Batches,
    /// In the chain, as the replica said.
    archived: BTreeSet<Txid>,
}

/// What becomes of a request for a batch.
#[derive(Debug, Default)]
pub(super) struct Batched {
    /// New batches: the txids and everything they spend.
    pub(super) fresh: Vec<(Vec<Txid>, Vec<OutPoint>)>,
    /// Batches signed before that hold something asked for.
    pub(super) known: BTreeSet<Ticket>,
    /// Left out, each with the outpoint another vote stands for.
    pub(super) refused: Vec<(Txid, OutPoint)>,
}

impl Batched {
    fn push(&mut self, txid: Txid, inputs: &[OutPoint]) {
        let fits = |(txids, spends): &&mut (Vec<Txid>, Vec<OutPoint>)| {
            txids.len() < MAX_BATCH_TXIDS && spends.len() + inputs.len() <= MAX_RECORD_OUTPOINTS
        };
        match self.fresh.last_mut().filter(fits) {
            Some((txids, spends)) => {
                txids.push(txid);
                spends.extend_from_slice(inputs);
            }
            None => self.fresh.push((vec![txid], inputs.to_vec())),
        }
    }
}

impl Payments {
    /// Sorts the transactions into new batches, old ones, and conflicts.
    pub(super) fn check_votes(&self, epoch: Epoch, txs: &[(Txid, Vec<OutPoint>)]) -> Result<Batched, Refusal> {
        self.check_open(epoch)?;
        let mut batched = Batched::default();
        let (mut asked, mut spent_here) = (BTreeSet::new(), BTreeSet::new());
        for (txid, inputs) in txs {
            if !(1..=MAX_INPUTS).contains(&inputs.len()) {
                return Err(Refusal::BadInputs { txid: *txid, inputs: inputs.len() });
            }
            if self.archived.contains(txid) || !asked.insert(*txid) {
                continue;
            }
            if let Some(ticket) = self.votes.ticket(txid) {
                batched.known.insert(ticket);
                continue;
            }
            match inputs.iter().find(|o| self.spent.contains(o) || spent_here.contains(*o)) {
                Some(outpoint) => batched.refused.push((*txid, *outpoint)),
                None => {
                    spent_here.extend(inputs.iter().copied());
                    batched.push(*txid, inputs);
                }
            }
        }
        if self.spent.len() + spent_here.len() > MAX_EPOCH_OUTPOINTS {
            return Err(Refusal::EpochFull(self.spent.len()));
        }
        Ok(batched)
    }

    /// Sorts the transactions into new batches and old ones.
    pub(super) fn check_receipts(&self, epoch: Epoch, txids: &[Txid]) -> Result<Batched, Refusal> {
        self.check_open(epoch)?;
        let mut batched = Batched::default();
        let mut asked = BTreeSet::new();
        for txid in txids {
            if self.archived.contains(txid) || !asked.insert(*txid) {
                continue;
            }
            match self.receipts.ticket(txid) {
                Some(ticket) => {
                    batched.known.insert(ticket);
                }
                None => batched.push(*txid, &[]),
            }
        }
        if self.receipts.size() + asked.len() > MAX_EPOCH_OUTPOINTS {
            return Err(Refusal::EpochFull(self.receipts.size()));
        }
        Ok(batched)
    }

    fn check_open(&self, epoch: Epoch) -> Result<(), Refusal> {
        self.check_current(epoch)?;
        if self.closing { Err(Refusal::EpochClosing(epoch)) } else { Ok(()) }
    }

    fn check_current(&self, epoch: Epoch) -> Result<(), Refusal> {
        if epoch == self.epoch { Ok(()) } else { Err(Refusal::NotCurrentEpoch { epoch, current: self.epoch }) }
    }

    /// Whether a block that closes the epoch may be prepared.
    pub(super) fn check_closing(&self, closing: &Closing, from_epoch: Epoch) -> Result<(), Refusal> {
        self.check_current(closing.epoch)?;
        if !closing.fresh {
            return Ok(());
        }
        if closing.epoch < from_epoch {
            return Err(Refusal::EpochLost { epoch: closing.epoch, from_epoch });
        }
        let left_out = self.receipts.open().filter(|txid| !closing.txids.contains(txid));
        let missing: Vec<Txid> = left_out.take(MAX_REPORTED_RECEIPTS).copied().collect();
        if missing.is_empty() { Ok(()) } else { Err(Refusal::ReceiptsLeftOut { missing }) }
    }

    /// Whether some of these were not signed here, as far as that is remembered.
    pub(super) fn is_foreign(&self, batch: &VoteBatch) -> bool {
        let signed = match batch.kind {
            FinalityKind::Vote => &self.votes,
            FinalityKind::Receipt => &self.receipts,
        };
        // Of what is archived only that is known.
        let is_unknown = |txid: &Txid| signed.ticket(txid).is_none() && !self.archived.contains(txid);
        let knows_archived = self.archived.len() < MAX_EPOCH_ARCHIVED;
        batch.epoch > self.epoch || (batch.epoch == self.epoch && knows_archived && batch.txids.iter().any(is_unknown))
    }

    /// Goes on to `epoch`, if it is a later one.
    pub(super) fn enter(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// Remembers a signed batch.
    pub(super) fn apply_batch(
        &mut self,
        ticket: Ticket,
        epoch: Epoch,
        kind: FinalityKind,
        txids: Vec<Txid>,
        spends: Vec<OutPoint>,
    ) {
        self.apply_spent(epoch, spends);
        if epoch == self.epoch {
            match kind {
                FinalityKind::Vote => self.votes.insert(ticket, txids),
                FinalityKind::Receipt => self.receipts.insert(ticket, txids),
            }
        }
    }

    /// Remembers outpoints voted for.
    pub(super) fn apply_spent(&mut self, epoch: Epoch, outpoints: Vec<OutPoint>) {
        self.enter(epoch);
        if epoch == self.epoch {
            self.spent.extend(outpoints);
        }
    }

    /// Remembers that a block that closes `epoch` was prepared.
    pub(super) fn apply_closing(&mut self, epoch: Epoch) {
        self.enter(epoch);
        self.closing |= epoch == self.epoch;
    }

    /// These are in the chain.
    pub(super) fn archived(&mut self, txids: &[Txid]) {
        for txid in txids {
            self.votes.archived(txid);
            self.receipts.archived(txid);
            if self.archived.len() < MAX_EPOCH_ARCHIVED {
                self.archived.insert(*txid);
            }
        }
    }

    /// Records that bring back this state, except what is archived.
    pub(super) fn snapshot(&self, out: &mut Vec<Record>) {
        let epoch = self.epoch;
        out.push(Record::Current { epoch, closing: self.closing });
        let spent: Vec<OutPoint> = self.spent.iter().copied().collect();
        out.extend(spent.chunks(MAX_RECORD_OUTPOINTS).map(|part| Record::Spent { epoch, outpoints: part.to_vec() }));
        for (kind, batches) in [(FinalityKind::Vote, &self.votes), (FinalityKind::Receipt, &self.receipts)] {
            let records = batches.iter().map(|(_, txids)| (txids.to_vec(), Vec::new()));
            out.extend(records.map(|(txids, spends)| Record::Batch { epoch, kind, txids, spends }));
        }
    }
}
