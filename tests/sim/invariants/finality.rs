//! S2 for payments, S3 and S7: what is final for an observer who hears everything.
//!
//! Two tallies are kept of each transaction and epoch. The *actual* one counts verified signatures: whatever an honest
//! node announces must have a quorum in it. The *possible* one counts the honest signatures and the whole Byzantine
//! weight of the epoch, as if every Byzantine masternode signed everything, for old epochs and at any later time:
//! what has a quorum there may be final for somebody, one day. So no outpoint may be spent by two transactions that
//! are possibly final, whatever their epochs; the chain may not contradict one; and each must be in the chain when
//! its epoch has closed.
//!
//! Signatures are checked in batches: what is heard waits in a queue, and [`Finality::settle`] judges it together with
//! what was announced meanwhile, as of the time of the announcement.

use super::committee::Committee;
use super::digest;
use super::replay::Replay;
use super::report::Report;
use super::signatures::{Claim, Signatures};
use super::spends::Spends;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use timed::types::hash::Txid;
use timed::types::keys::{PublicKey, Signature};
use timed::types::transaction::{OutPoint, Transaction};
use timed::types::vote::{FinalityKind, VoteBatch};

/// Batches that wait at most before they are checked.
const MAX_QUEUE: usize = 128;

/// Who signed one thing of one transaction in one epoch.
#[derive(Default)]
struct Support {
    voters: Vec<PublicKey>,
    weight: u128,
    honest: u128,
    /// How many batches had been heard when the weight became a quorum.
    quorum_at: Option<usize>,
}

#[derive(Default)]
struct Tally {
    votes: Support,
    receipts: Support,
    possibly_final: bool,
}

struct EpochTally {
    committee: Arc<Committee>,
    txs: HashMap<Txid, Tally>,
    possible: BTreeSet<Txid>,
    closed_at: Option<u64>,
}

/// What somebody says has a quorum behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Announced {
    /// An honest node told of a certificate, in this epoch or the one before.
    Certified {
        /// The node.
        node: usize,
        /// The epoch of its tip's child.
        epoch: u64,
    },
    /// An honest node told that the payment is final in this epoch.
    Final {
        /// The node.
        node: usize,
        /// The epoch.
        epoch: u64,
    },
    /// A block of this epoch holds the payment.
    Archived {
        /// The block's height.
        height: u64,
        /// The block's epoch.
        epoch: u64,
    },
}

struct Announcement {
    txid: Txid,
    what: Announced,
    heard: usize,
}

/// Every vote and receipt in the world.
#[derive(Default)]
pub struct Finality {
    honest: BTreeSet<PublicKey>,
    spends: Spends,
    batches: Vec<VoteBatch>,
    by_signature: HashMap<Signature, Vec<usize>>,
    queue: Vec<usize>,
    /// Batches of epochs whose set is not known yet.
    early: BTreeMap<u64, Vec<usize>>,
    epochs: BTreeMap<u64, EpochTally>,
    announcements: Vec<Announcement>,
    /// Outputs that a possibly final transaction spends.
    spent: HashMap<OutPoint, (Txid, u64)>,
    double_voters: BTreeMap<PublicKey, u64>,
}

/// What judging needs besides the tallies.
pub struct Judge<'a> {
    /// The chain.
    pub replay: &'a Replay,
    /// Verdicts on signatures.
    pub signatures: &'a mut Signatures,
    /// Where violations go.
    pub report: &'a mut Report,
}

impl Finality {
    /// Nothing heard yet; the first epoch's set is that of genesis.
    pub fn new(replay: &Replay) -> Self {
        let mut finality = Self { honest: replay.honest.clone(), ..Self::default() };
        finality.open_epoch(0, replay);
        finality
    }

    fn open_epoch(&mut self, epoch: u64, replay: &Replay) {
        let Some(committee) = replay.committee(epoch).cloned() else { return };
        let tally = EpochTally { committee, txs: HashMap::new(), possible: BTreeSet::new(), closed_at: None };
        self.epochs.insert(epoch, tally);
        self.queue.extend(self.early.remove(&epoch).unwrap_or_default());
    }

    /// A batch came out of an honest signer or was put on a wire; `true` if it was never heard before.
    pub fn hear(&mut self, batch: &VoteBatch, judge: &mut Judge) -> bool {
        let known = self.by_signature.entry(batch.signature).or_default();
        if known.iter().any(|i| self.batches[*i] == *batch) {
            return false;
        }
        let index = self.batches.len();
        known.push(index);
        self.batches.push(batch.clone());
        match self.epochs.contains_key(&batch.epoch.get()) {
            true => self.queue.push(index),
            false => self.early.entry(batch.epoch.get()).or_default().push(index),
        }
        if self.queue.len() >= MAX_QUEUE {
            self.settle(judge);
        }
        true
    }

    /// A transaction was shown.
    pub fn learn(&mut self, tx: &Transaction, judge: &mut Judge) {
        let Some(txid) = self.spends.learn(tx) else { return };
        let epochs: Vec<u64> = self.epochs.keys().copied().collect();
        for epoch in epochs {
            let Some(tally) = self.epochs.get(&epoch).and_then(|e| e.txs.get(&txid)) else { continue };
            let (voters, possible) = (tally.votes.voters.clone(), tally.possibly_final);
            for voter in voters {
                self.check_single_vote(epoch, &voter, &txid, judge.report);
            }
            if possible {
                self.check_spends(epoch, &txid, judge);
            }
        }
    }

    /// Somebody says that `txid` has a quorum.
    pub fn announce(&mut self, txid: Txid, what: Announced) {
        self.announcements.push(Announcement { txid, what, heard: self.batches.len() });
    }

    /// A block was executed: the tip of the chain.
    pub fn archive(&mut self, txs: &[Transaction], txids: &[Txid], judge: &mut Judge) {
        let tip = judge.replay.tip().clone();
        for (tx, txid) in txs.iter().zip(txids).filter(|(tx, _)| !tx.body.is_coinbase()) {
            self.learn(tx, judge);
            self.announce(*txid, Announced::Archived { height: tip.height, epoch: tip.epoch });
            for input in &tx.body.inputs {
                if let Some((other, epoch)) = self.spent.get(input).filter(|(other, _)| other != txid) {
                    judge.report.broken(
                        "S3",
                        format!(
                            "block {} archives {txid:?}, but {other:?}, final in epoch {epoch}, spends {input:?} too",
                            tip.height
                        ),
                    );
                }
            }
        }
        if tip.closes {
            self.close_epoch(tip.epoch, tip.height, judge);
        }
    }

    fn close_epoch(&mut self, epoch: u64, height: u64, judge: &mut Judge) {
        self.open_epoch(epoch + 1, judge.replay);
        self.settle(judge);
        let Some(tally) = self.epochs.get_mut(&epoch) else { return };
        tally.closed_at = Some(height);
        for txid in &tally.possible {
            check_archived(txid, epoch, height, judge);
        }
    }

    /// Checks what waits: signatures heard, then announcements.
    pub fn settle(&mut self, judge: &mut Judge) {
        let chain = judge.replay.chain_id;
        let claim = |batch: &VoteBatch| {
            let root = digest::merkle_root(batch.txids.iter().map(|id| &id.0));
            let digest = digest::of_votes(&chain, batch.epoch.get(), batch.kind, &batch.voter, &root);
            Claim { key: batch.voter, digest, signature: batch.signature }
        };
        let waiting = std::mem::take(&mut self.queue);
        let countable = waiting.into_iter().filter(|i| self.can_count(*i));
        let claims: Vec<(usize, Claim)> = countable.map(|i| (i, claim(&self.batches[i]))).collect();
        judge.signatures.check_all(&claims.iter().map(|(_, claim)| *claim).collect::<Vec<_>>());
        for (index, claim) in claims {
            if judge.signatures.check(claim) {
                self.count(index, judge);
            }
        }
        for announcement in std::mem::take(&mut self.announcements) {
            if !self.has_quorum(&announcement) {
                let Announcement { txid, what, .. } = announcement;
                judge.report.broken("S2", format!("no quorum behind {txid:?}: {what:?}"));
            }
        }
    }

    /// Whether the batch can count: of a member, 1 to 1,024 transactions, none twice.
    fn can_count(&self, index: usize) -> bool {
        let batch = &self.batches[index];
        let epoch = self.epochs.get(&batch.epoch.get());
        let distinct: BTreeSet<&Txid> = batch.txids.iter().collect();
        let is_shaped = (1..=1_024).contains(&batch.txids.len()) && distinct.len() == batch.txids.len();
        is_shaped && epoch.is_some_and(|e| e.committee.member(&batch.voter).is_some())
    }

    fn has_quorum(&self, announcement: &Announcement) -> bool {
        let tally = |epoch: u64| self.epochs.get(&epoch).and_then(|e| e.txs.get(&announcement.txid));
        let in_time = |support: &Support| support.quorum_at.is_some_and(|at| at <= announcement.heard);
        match announcement.what {
            Announced::Certified { epoch, .. } => {
                [Some(epoch), epoch.checked_sub(1)].into_iter().flatten().filter_map(tally).any(|t| in_time(&t.votes))
            }
            Announced::Final { epoch, .. } => tally(epoch).is_some_and(|t| in_time(&t.receipts)),
            Announced::Archived { epoch, .. } => tally(epoch).is_some_and(|t| in_time(&t.votes)),
        }
    }

    /// Counts a batch whose signature is valid.
    fn count(&mut self, index: usize, judge: &mut Judge) {
        let VoteBatch { epoch, kind, voter, txids, .. } = self.batches[index].clone();
        let epoch = epoch.get();
        let is_honest = self.honest.contains(&voter);
        for txid in txids {
            let Some(of_epoch) = self.epochs.get_mut(&epoch) else { return };
            let committee = of_epoch.committee.clone();
            let tally = of_epoch.txs.entry(txid).or_default();
            let support = match kind {
                FinalityKind::Vote => &mut tally.votes,
                FinalityKind::Receipt => &mut tally.receipts,
            };
            if support.voters.contains(&voter) {
                continue;
            }
            support.voters.push(voter);
            support.weight += committee.weight(&voter);
            support.honest += if is_honest { committee.weight(&voter) } else { 0 };
            let is_new_quorum = support.quorum_at.is_none() && committee.is_quorum(support.weight);
            if is_new_quorum {
                support.quorum_at = Some(index + 1);
            }
            let possible = committee.is_quorum(support.honest + committee.byzantine);
            match kind {
                FinalityKind::Vote => {
                    self.check_single_vote(epoch, &voter, &txid, judge.report);
                    if is_new_quorum {
                        self.check_single_certificate(epoch, &txid, judge.report);
                    }
                }
                FinalityKind::Receipt if possible && !tally.possibly_final => {
                    tally.possibly_final = true;
                    of_epoch.possible.insert(txid);
                    if let Some(height) = of_epoch.closed_at {
                        check_archived(&txid, epoch, height, judge);
                    }
                    self.check_spends(epoch, &txid, judge);
                }
                FinalityKind::Receipt => {}
            }
        }
    }

    /// S7: one vote an outpoint an epoch.
    fn check_single_vote(&mut self, epoch: u64, voter: &PublicKey, txid: &Txid, report: &mut Report) {
        let Some(of_epoch) = self.epochs.get(&epoch) else { return };
        let voted = |rival: &&Txid| of_epoch.txs.get(*rival).is_some_and(|t| t.votes.voters.contains(voter));
        let Some(rival) = self.spends.rivals(txid).find(voted) else { return };
        if self.honest.contains(voter) {
            report.broken("S7", format!("{voter:?} voted for the rivals {txid:?} and {rival:?} in epoch {epoch}"));
        } else {
            self.double_voters.entry(*voter).or_insert(epoch);
        }
    }

    /// Two rival certificates in one epoch.
    fn check_single_certificate(&self, epoch: u64, txid: &Txid, report: &mut Report) {
        let Some(of_epoch) = self.epochs.get(&epoch) else { return };
        let certified = |rival: &&Txid| of_epoch.txs.get(*rival).is_some_and(|t| t.votes.quorum_at.is_some());
        if let Some(rival) = self.spends.rivals(txid).find(certified) {
            report.broken("S3", format!("the rivals {txid:?} and {rival:?} are both certified in epoch {epoch}"));
        }
    }

    /// S3: what a possibly final transaction spends, no other one does, and not the chain either.
    fn check_spends(&mut self, epoch: u64, txid: &Txid, judge: &mut Judge) {
        let Some(body) = self.spends.body(txid) else { return };
        for input in &body.inputs {
            let (other, in_epoch) = *self.spent.entry(*input).or_insert((*txid, epoch));
            judge.report.expect("S3", other == *txid, || {
                format!(
                    "{txid:?} in epoch {epoch} and {other:?} in epoch {in_epoch} are final and both spend {input:?}"
                )
            });
            let archived = judge.replay.spender(input).unwrap_or(*txid);
            judge.report.expect("S3", archived == *txid, || {
                format!("{txid:?} is final in epoch {epoch}, but {archived:?} is archived, and both spend {input:?}")
            });
        }
    }

    /// Every transaction and its rivals.
    pub fn spends(&self) -> &Spends {
        &self.spends
    }

    /// Whether verified receipts of a quorum of some epoch exist, as far as settled.
    pub fn is_final(&self, txid: &Txid) -> bool {
        self.epochs.values().any(|e| e.txs.get(txid).is_some_and(|t| t.receipts.quorum_at.is_some()))
    }

    /// The possibly final transaction that spends the output.
    pub fn possible_spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).map(|(txid, _)| *txid)
    }

    /// Byzantine masternodes that voted for rivals, with the epoch.
    pub fn double_voters(&self) -> &BTreeMap<PublicKey, u64> {
        &self.double_voters
    }

    /// How many transactions have verified receipts of a quorum, and how many different batches were heard.
    pub fn totals(&self) -> (usize, usize) {
        let is_final = |t: &&Tally| t.receipts.quorum_at.is_some();
        let finals: BTreeSet<&Txid> = self
            .epochs
            .values()
            .flat_map(|e| e.txs.iter().filter(|(_, t)| is_final(t)).map(|(txid, _)| txid))
            .collect();
        (finals.len(), self.batches.len())
    }
}

/// S7: what is final in an epoch is archived by its closing block, at `height`.
fn check_archived(txid: &Txid, epoch: u64, height: u64, judge: &mut Judge) {
    let archived = judge.replay.archived_at(txid);
    judge.report.expect("S7", archived.is_some_and(|at| at <= height), || {
        format!("{txid:?} is final in epoch {epoch}, which block {height} closed without it (archived at {archived:?})")
    });
}
