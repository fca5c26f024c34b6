//! The guard against signing twice: decides on a request, and remembers what was decided.
//!
//! Its state changes through [`Policy::apply`] alone, by the same records whether they were just decided or are read
//! from disk, so what holds before a restart holds after it. [`Policy::decide`] changes nothing.

mod batches;
mod blocks;
mod payments;

use super::key::Statement;
use super::log::Ticket;
use super::record::Record;
use super::request::{Closing, Refusal, Said, SignRequest, Step};
use crate::types::block::{BftKind, Proposal};
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Epoch, Height, View};
use crate::types::transaction::OutPoint;
use crate::types::vote::FinalityKind;
use blocks::{Blocks, Grant, Value, VoteAsked};
use payments::{Batched, Payments};

/// What a granted request leads to.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// To record, in this order.
    pub(super) records: Vec<Record>,
    /// To sign once everything recorded so far is synced.
    pub(super) statements: Vec<Statement>,
    /// Left out of the batches.
    pub(super) refused: Vec<(Txid, OutPoint)>,
}

/// What was signed of the height last signed at (`protocol.md` 7.4): what an engine needs to go on without
/// contradicting it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BftRecovered {
    /// The height; zero if none was ever signed at. At a higher one nothing was signed.
    pub height: Height,
    /// View of the latest signature.
    pub view: View,
    /// Step of the latest signature, `None` if there is none.
    pub step: Option<Step>,
    /// Proposals signed: view, proof view, block.
    pub proposals: Vec<(View, Option<View>, BlockHash)>,
    /// Prepares signed.
    pub prepares: Vec<(View, Option<BlockHash>)>,
    /// Precommits signed.
    pub precommits: Vec<(View, Option<BlockHash>)>,
    /// The lock.
    pub locked: Option<(View, BlockHash)>,
    /// The latest valid value that came with a vote.
    pub valid: Option<(View, BlockHash)>,
}

/// Everything remembered.
#[derive(Debug, Default)]
pub(super) struct Policy {
    blocks: Blocks,
    payments: Payments,
    /// Blocks are signed from this height on, payments from this epoch on.
    floor: (Height, Epoch),
    /// What is recorded so far stays at or below these.
    reach: (Height, Epoch),
}

impl Policy {
    /// What to record and to sign for `request`, if it contradicts nothing.
    pub(super) fn decide(&self, request: SignRequest) -> Result<Decision, Refusal> {
        let mut decision = match request {
            SignRequest::Votes { epoch, txs } => {
                self.check_epoch_floor(epoch)?;
                self.batches(epoch, FinalityKind::Vote, self.payments.check_votes(epoch, &txs)?)
            }
            SignRequest::Receipts { epoch, txids } => {
                self.check_epoch_floor(epoch)?;
                self.batches(epoch, FinalityKind::Receipt, self.payments.check_receipts(epoch, &txids)?)
            }
            SignRequest::Proposal { proposal } => self.decide_proposal(proposal)?,
            SignRequest::Bft { height, view, kind, block_hash, lock, valid, proof_view, closing } => {
                let asked = VoteAsked { height, view, kind, block_hash, lock, valid, proof_view };
                self.decide_vote(&asked, closing.as_ref())?
            }
        };
        self.announce_reach(&mut decision.records);
        Ok(decision)
    }

    fn decide_proposal(&self, proposal: Proposal) -> Result<Decision, Refusal> {
        let (height, view, proof_view) = (proposal.header.height, proposal.view, proposal.proof_view());
        let block_hash = proposal.header.hash();
        self.check_height_floor(height)?;
        let value = Value::Proposal { proof_view, block_hash };
        let record = match self.blocks.check_step(height, view, Step::Propose, value)? {
            Grant::New => Some(Record::Proposal { height, view, proof_view, block_hash }),
            Grant::Repeated => None,
        };
        let statements = vec![Statement::Proposal(Box::new(proposal))];
        Ok(Decision { records: record.into_iter().collect(), statements, refused: Vec::new() })
    }

    fn decide_vote(&self, asked: &VoteAsked, closing: Option<&Closing>) -> Result<Decision, Refusal> {
        let &VoteAsked { height, view, kind, block_hash, lock, valid, .. } = asked;
        self.check_height_floor(height)?;
        let grant = self.blocks.check_vote(asked)?;
        let closing = closing.filter(|_| kind == BftKind::Prepare && block_hash.is_some());
        let mut records = Vec::new();
        if grant == Grant::New {
            if let Some(closing) = closing {
                self.payments.check_closing(closing, self.floor.1)?;
            }
            let closes = closing.map(|closing| closing.epoch);
            records.push(Record::Vote { height, view, kind, block_hash, lock, valid, closes });
        }
        let statements = vec![Statement::Bft { height, view, kind, block_hash }];
        Ok(Decision { records, statements, refused: Vec::new() })
    }

    fn batches(&self, epoch: Epoch, kind: FinalityKind, batched: Batched) -> Decision {
        let mut decision = Decision { refused: batched.refused, ..Decision::default() };
        let signed = match kind {
            FinalityKind::Vote => &self.payments.votes,
            FinalityKind::Receipt => &self.payments.receipts,
        };
        let known = batched.known.iter().filter_map(|ticket| signed.txids(*ticket)).map(<[Txid]>::to_vec);
        decision.statements.extend(known.map(|txids| Statement::Batch { epoch, kind, txids }));
        for (txids, spends) in batched.fresh {
            decision.statements.push(Statement::Batch { epoch, kind, txids: txids.clone() });
            decision.records.push(Record::Batch { epoch, kind, txids, spends });
        }
        decision
    }

    /// Puts a [`Record::Reach`] in front of records that go further than any before.
    fn announce_reach(&self, records: &mut Vec<Record>) {
        let (height, epoch) = records.iter().map(Record::reach).fold(self.reach, further);
        if (height, epoch) != self.reach {
            records.insert(0, Record::Reach { height, epoch });
        }
    }

    fn check_height_floor(&self, height: Height) -> Result<(), Refusal> {
        let from_height = self.floor.0;
        if height < from_height { Err(Refusal::HeightLost { height, from_height }) } else { Ok(()) }
    }

    fn check_epoch_floor(&self, epoch: Epoch) -> Result<(), Refusal> {
        let from_epoch = self.floor.1;
        if epoch < from_epoch { Err(Refusal::EpochLost { epoch, from_epoch }) } else { Ok(()) }
    }

    /// Remembers a record.
    pub(super) fn apply(&mut self, ticket: Ticket, record: Record) {
        self.reach = further(self.reach, record.reach());
        match record {
            Record::Reach { .. } => {}
            Record::Floor { height, epoch } => self.floor = (height, epoch),
            Record::Proposal { height, view, proof_view, block_hash } => {
                let value = Value::Proposal { proof_view, block_hash };
                self.blocks.apply(ticket, height, (view, Step::Propose), value);
            }
            Record::Vote { height, view, kind, block_hash, lock, valid, closes } => {
                self.blocks.apply(ticket, height, (view, kind.into()), Value::Vote(block_hash));
                self.blocks.apply_lock(height, lock, valid);
                if let Some(epoch) = closes {
                    self.payments.apply_closing(epoch);
                }
            }
            Record::Lock { height, lock, valid } => self.blocks.apply_lock(height, lock, valid),
            Record::Batch { epoch, kind, txids, spends } => {
                self.payments.apply_batch(ticket, epoch, kind, txids, spends);
            }
            Record::Spent { epoch, outpoints } => self.payments.apply_spent(epoch, outpoints),
            Record::Current { epoch, closing: true } => self.payments.apply_closing(epoch),
            Record::Current { epoch, closing: false } => self.payments.enter(epoch),
        }
    }

    /// Whether the key signed this elsewhere, or before a log that is older than it should be. What is below the floor, past,
    /// or forgotten, is not judged.
    pub(super) fn is_foreign(&self, said: Said<'_>) -> bool {
        // At the floor itself operators who lost too many logs accept that the key may have signed something else.
        let has_lost = self.floor != (Height::ZERO, Epoch::ZERO);
        let (from_height, from_epoch) = self.floor;
        let is_height = |height: Height| !has_lost || height > from_height;
        match said {
            Said::Votes(batch) => (!has_lost || batch.epoch > from_epoch) && self.payments.is_foreign(batch),
            Said::Proposal(proposal) => {
                let value = Value::Proposal { proof_view: proposal.proof_view(), block_hash: proposal.header.hash() };
                let height = proposal.header.height;
                is_height(height) && self.blocks.is_foreign(height, (proposal.view, Step::Propose), value)
            }
            Said::Bft(vote) => {
                let at = (vote.view, vote.kind.into());
                is_height(vote.height) && self.blocks.is_foreign(vote.height, at, Value::Vote(vote.block_hash))
            }
        }
    }

    /// Records that bring back this state, for a rewritten log.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![
            Record::Reach { height: self.reach.0, epoch: self.reach.1 },
            Record::Floor { height: self.floor.0, epoch: self.floor.1 },
        ];
        self.blocks.snapshot(&mut records);
        self.payments.snapshot(&mut records);
        records
    }

    /// The floor behind everything that can have been signed.
    pub(super) fn floor_behind_reach(&self) -> Record {
        let (height, epoch) = self.reach;
        Record::Floor { height: height.next().max(self.floor.0), epoch: epoch.next().max(self.floor.1) }
    }

    /// Every epoch up to this one has closed.
    pub(super) fn epoch_closed(&mut self, epoch: Epoch) {
        self.payments.enter(epoch.next());
    }

    /// These are in the chain.
    pub(super) fn archived(&mut self, txids: &[Txid]) {
        self.payments.archived(txids);
    }

    /// The epoch of which payments are signed.
    pub(super) fn epoch(&self) -> Epoch {
        self.payments.epoch
    }

    /// First height and first epoch that are signed.
    pub(super) fn floor(&self) -> (Height, Epoch) {
        self.floor
    }

    /// Everything to repeat: the votes of the current height, the batches of the current epoch. A proposal is not: its
    /// content is not in the log.
    pub(super) fn to_repeat(&self) -> impl Iterator<Item = (Ticket, Statement)> {
        let height = self.blocks.height;
        let votes = self.blocks.signed.iter().filter_map(move |(&(view, step), &(ticket, value))| {
            let Value::Vote(block_hash) = value else { return None };
            let kind = if step == Step::Prepare { BftKind::Prepare } else { BftKind::Precommit };
            Some((ticket, Statement::Bft { height, view, kind, block_hash }))
        });
        let (epoch, payments) = (self.payments.epoch, &self.payments);
        let kinds = [(FinalityKind::Vote, &payments.votes), (FinalityKind::Receipt, &payments.receipts)];
        let batches = kinds.into_iter().flat_map(move |(kind, batches)| {
            batches.iter().map(move |(ticket, txids)| (ticket, Statement::Batch { epoch, kind, txids: txids.to_vec() }))
        });
        votes.chain(batches)
    }

    /// What was signed of the current height.
    pub(super) fn bft_recovered(&self) -> BftRecovered {
        let Blocks { height, signed, lock, valid } = &self.blocks;
        let mut recovered = BftRecovered { height: *height, locked: *lock, valid: *valid, ..BftRecovered::default() };
        for (&(view, step), &(_, value)) in signed {
            (recovered.view, recovered.step) = (view, Some(step));
            match (value, step) {
                (Value::Proposal { proof_view, block_hash }, _) => {
                    recovered.proposals.push((view, proof_view, block_hash));
                }
                (Value::Vote(block_hash), Step::Precommit) => recovered.precommits.push((view, block_hash)),
                (Value::Vote(block_hash), _) => recovered.prepares.push((view, block_hash)),
            }
        }
        recovered
    }
}

fn further(a: (Height, Epoch), b: (Height, Epoch)) -> (Height, Epoch) {
    (a.0.max(b.0), a.1.max(b.1))
}
