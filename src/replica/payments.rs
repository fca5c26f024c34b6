//! A payment's way from its first sight to finality: pool, Snowball, vote, certificate, receipt, final.

use super::command::{Event, JournalRecord, OwnMessage, PeerId};
use super::message::Message;
use super::{Alarm, Replica};
use crate::finality::{Counted, FinalityEvent};
use crate::ledger::pool::Stage;
use crate::ledger::rejection::Rejection;
use crate::ledger::{Submission, VerifiedTx};
use crate::limits::{MAX_MESSAGE_BYTES, MAX_VOTES_ANSWER, RELAY_FANOUT};
use crate::signer::SignRequest;
use crate::snowball::{Answer, SnowballOutput};
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, TimeMs};
use crate::types::verified::Verified;
use crate::types::vote::{FinalityKind, VoteBatch};
use rand::seq::IteratorRandom as _;
use std::sync::Arc;

/// Where a transaction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    User,
    Peer(PeerId),
    /// It waited here for another transaction.
    Retry,
}

impl Source {
    fn peer(self) -> Option<PeerId> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::User | Self::Retry => None,
        }
    }
}

impl Replica {
    /// A transaction to be admitted, if it is valid here.
    pub(super) fn transaction(&mut self, now: TimeMs, source: Source, tx: VerifiedTx) {
        let txid = tx.txid();
        self.fetch.done(&txid);
        self.proposals.supply(&tx);
        if self.awaited.contains(&txid) {
            if matches!(self.ledger.test(&tx), Submission::Rejected(rule) if rule.is_about_witnesses()) {
                // Certified with other witnesses: these do not open what it spends.
                self.fetch.again(now, txid, source.peer());
                return;
            }
            self.awaited.remove(&txid);
            self.learn(now, &tx);
            if self.finality.is_certified(&txid) || self.finality.is_final(&txid) {
                self.hold_certified(now, tx.clone());
            }
            if self.finality.is_final(&txid) {
                self.hold_final(now, txid);
            }
            return;
        }
        match self.ledger.submit(now, tx.clone()) {
            Submission::New => {
                self.admitted(now, &tx);
                self.out.notify(Event::Admitted(txid));
                self.relay(source, &tx);
            }
            Submission::Known => {
                if source == Source::User {
                    self.relay(source, &tx);
                }
            }
            Submission::Orphan { missing } => {
                for parent in missing {
                    self.fetch.want(now, parent, source.peer());
                }
            }
            Submission::Rejected(reason) => {
                self.out.notify(Event::Rejected { txid, reason });
            }
        }
    }

    /// A transaction that became valid here: rivals are noted, sampling starts.
    pub(super) fn admitted(&mut self, now: TimeMs, tx: &VerifiedTx) {
        let txid = tx.txid();
        self.snowball.add(now, txid, tx.inputs());
        for rival in self.ledger.rivals(&txid) {
            if let Some(entry) = self.ledger.entry(&rival) {
                self.evidence.remember_body(rival, entry.tx.body());
                self.evidence.remember_body(txid, tx.body());
            }
        }
        self.learn(now, tx);
        if self.member().is_none() {
            // Who does not sample would not notice that votes passed it by.
            self.stalled.watch(now, txid);
        }
    }

    fn learn(&mut self, now: TimeMs, tx: &VerifiedTx) {
        let events = self.finality.learn(tx.txid(), tx.inputs());
        self.finality_events(now, None, events);
    }

    /// A user's transaction goes to every peer whole. Another's is announced to a few, and sampling tells the rest; those
    /// that have few masternodes to hear of it from are told in any case.
    fn relay(&mut self, source: Source, tx: &VerifiedTx) {
        if source == Source::User {
            return self.out.publish(tx);
        }
        let source = source.peer();
        let key = source.and_then(|peer| self.peers.key_of(peer));
        let peers = &self.peers;
        let needs_it = |peer: &PeerId| {
            let has_it = key.is_some_and(|key| peers.is_linked(*peer, &key));
            peers.told_links(*peer).is_some_and(|links| links < RELAY_FANOUT) && !has_it
        };
        let others = || peers.ids().filter(|peer| Some(*peer) != source);
        let told = others().sample(&mut self.rng, RELAY_FANOUT);
        let needy: Vec<PeerId> = others().filter(|peer| needs_it(peer) && !told.contains(peer)).collect();
        told.into_iter().chain(needy).for_each(|peer| self.out.announce(peer, tx.txid()));
    }

    pub(super) fn announced(&mut self, now: TimeMs, from: PeerId, txids: &[Txid]) {
        for txid in txids {
            if self.is_unknown(txid) {
                self.fetch.want(now, *txid, Some(from));
            }
        }
    }

    /// Neither in the pool nor archived nor known to be bad.
    fn is_unknown(&self, txid: &Txid) -> bool {
        self.ledger.entry(txid).is_none()
            && self.ledger.rejection(txid).is_none()
            && self.ledger.view().archived_height(txid).is_none()
    }

    pub(super) fn serve_txs(&mut self, to: PeerId, txids: &[Txid]) {
        let mut bytes = 0usize;
        let mut txs = Vec::new();
        for txid in txids {
            let held = self.ledger.entry(txid).map(|e| e.tx.clone()).or_else(|| self.proposals.transaction(txid));
            if let Some(tx) = held {
                bytes = bytes.saturating_add(tx.size_bytes() as usize);
                if bytes > MAX_MESSAGE_BYTES / 2 {
                    break;
                }
                txs.push(tx.tx().clone());
            }
        }
        if !txs.is_empty() {
            self.out.send(to, Message::Txs(txs));
        }
    }

    pub(super) fn sample_query(&mut self, now: TimeMs, from: PeerId, query: u64, txids: &[Txid]) {
        if self.member().is_none() {
            return;
        }
        let answers = txids.iter().map(|txid| self.answer(now, from, txid)).collect();
        self.out.send(from, Message::SampleResponse { query, answers });
    }

    /// An answer is no vote and binds nobody (`protocol.md` 5).
    fn answer(&mut self, now: TimeMs, from: PeerId, txid: &Txid) -> Answer {
        if let Some(answer) = self.snowball.answer(txid) {
            return answer;
        }
        if let Some(entry) = self.ledger.entry(txid) {
            return if entry.stage >= Stage::Certified { Answer::Accept } else { Answer::Unknown };
        }
        if let Some(rejection) = self.ledger.rejection(txid) {
            return match rejection {
                Rejection::Conflict { spent_by: Some(winner), .. } => Answer::Prefer(vec![*winner]),
                _ => Answer::Invalid,
            };
        }
        if self.ledger.view().archived_height(txid).is_some() {
            return Answer::Accept;
        }
        self.fetch.want(now, *txid, Some(from));
        Answer::Unknown
    }

    pub(super) fn sample_response(&mut self, now: TimeMs, from: PeerId, query: u64, answers: &[Answer]) {
        let Some(key) = self.peers.key_of(from) else { return };
        for answer in answers {
            if let Answer::Prefer(rivals) = answer {
                self.announced(now, from, rivals);
            }
        }
        self.snowball.respond(now, &key, query, answers);
    }

    /// Acts on what Snowball says; whether it said anything.
    pub(super) fn drain_snowball(&mut self, now: TimeMs) -> bool {
        let outputs = self.snowball.drain();
        let progress = !outputs.is_empty();
        for output in outputs {
            match output {
                SnowballOutput::Query { to, query, txids } => {
                    if let Some(peer) = self.peers.of_key(&to) {
                        self.out.send(peer, Message::SampleQuery { query, txids });
                    }
                }
                SnowballOutput::Accepted(txid) => {
                    if self.ledger.set_accepted(&txid) {
                        self.out.notify(Event::Accepted(txid));
                    }
                    self.own.queue(FinalityKind::Vote, txid);
                    self.stalled.watch(now, txid);
                }
            }
        }
        progress
    }

    /// Whether payments of this epoch may be signed for: not once the clock is in a slot whose opening block would close
    /// the epoch, so that all receipts are settled before that block is proposed.
    fn may_sign_payments(&self, now: TimeMs) -> bool {
        self.may_sign() && !self.slot_tip().is_closing(&self.chain, now)
    }

    pub(super) fn ask_signer_for_votes(&mut self, now: TimeMs) {
        if !self.may_sign_payments(now) {
            return;
        }
        let epoch = self.epoch();
        let ledger = &self.ledger;
        let receipts = self.own.next_batch(FinalityKind::Receipt, |txid| ledger.entry(txid).is_some());
        if !receipts.is_empty() {
            let seq = self.out.sign(SignRequest::Receipts { epoch, txids: receipts });
            self.own.with_signer(FinalityKind::Receipt, seq);
        }
        if !self.ledger.may_vote() {
            return;
        }
        let may_vote = |txid: &Txid| ledger.entry(txid).is_some_and(|e| e.valid && e.stage < Stage::Certified);
        let votes = self.own.next_batch(FinalityKind::Vote, may_vote);
        let txs: Vec<_> =
            votes.into_iter().filter_map(|txid| Some((txid, self.ledger.entry(&txid)?.tx.inputs().to_vec()))).collect();
        if !txs.is_empty() {
            txs.iter().for_each(|(txid, _)| self.ledger.set_voted(txid));
            let seq = self.out.sign(SignRequest::Votes { epoch, txs });
            self.own.with_signer(FinalityKind::Vote, seq);
        }
    }

    /// A batch from a peer, or this masternode's own.
    pub(super) fn votes(&mut self, now: TimeMs, from: Option<PeerId>, batch: Arc<Verified<VoteBatch>>) {
        let Counted { is_new, events } = self.finality.count(batch.clone());
        self.pass_on_votes(now, from, batch, is_new);
        self.finality_events(now, from, events);
    }

    pub(super) fn finality_events(&mut self, now: TimeMs, from: Option<PeerId>, events: Vec<FinalityEvent>) {
        for event in events {
            match event {
                FinalityEvent::Certified(txid) => {
                    self.snowball.certified(&txid);
                    match self.held(&txid) {
                        Some(tx) => self.hold_certified(now, tx),
                        None => self.await_transaction(now, from, txid),
                    }
                }
                FinalityEvent::Final(txid) => match self.held(&txid) {
                    Some(_) => self.hold_final(now, txid),
                    None => self.await_transaction(now, from, txid),
                },
                FinalityEvent::DoubleVote { voter, one, other } => self.prove_double_vote(now, voter, one, other),
                FinalityEvent::RivalCertificates { one, other } => {
                    self.raise(Alarm::RivalCertificates { one, other });
                }
            }
        }
    }

    fn await_transaction(&mut self, now: TimeMs, from: Option<PeerId>, txid: Txid) {
        if self.ledger.view().archived_height(&txid).is_none() {
            self.awaited.insert(txid);
            self.fetch.want(now, txid, from);
        }
    }

    /// Votes of a quorum and the transaction are here: both go to disk, and the receipt behind them.
    fn hold_certified(&mut self, now: TimeMs, tx: VerifiedTx) {
        let txid = tx.txid();
        if self.ledger.entry(&txid).is_none() && self.ledger.view().archived_height(&txid).is_some() {
            return;
        }
        self.ledger.set_certified(now, tx.clone());
        self.journal_tx(&tx);
        for batch in self.finality.certificate_batches(&txid) {
            self.journal_batch(&batch);
        }
        let epoch = self.finality.epoch();
        self.out.notify_when_durable(Event::Certified { txid, epoch });
        if self.member().is_some() {
            self.own.queue(FinalityKind::Receipt, txid);
        }
        self.stalled.watch(now, txid);
    }

    /// Receipts of a quorum are here: to disk, then to users; its outputs can be spent.
    fn hold_final(&mut self, now: TimeMs, txid: Txid) {
        let epoch = self.finality.epoch();
        let Some(tx) = self.held(&txid) else { return };
        if self.ledger.entry(&txid).is_none_or(|e| e.stage < Stage::Certified) {
            // Receipts of a quorum imply a certificate, even if too few votes came by here to show it.
            self.ledger.set_certified(now, tx.clone());
        }
        self.journal_tx(&tx);
        for batch in self.finality.receipt_batches(&txid) {
            self.journal_batch(&batch);
        }
        self.stalled.forget(&txid);
        let rivals = self.ledger.rivals(&txid);
        let retry = self.ledger.set_final(now, &txid);
        self.snowball.remove(&txid);
        rivals.iter().for_each(|rival| self.snowball.remove(rival));
        self.out.notify_when_durable(Event::Finalized { txid, epoch });
        retry.into_iter().for_each(|tx| self.transaction(now, Source::Retry, tx));
    }

    pub(super) fn journal_tx(&mut self, tx: &VerifiedTx) {
        if self.journaled.is_new_tx(tx.txid()) {
            self.out.write(JournalRecord::Tx(tx.tx().clone()));
        }
    }

    fn journal_batch(&mut self, batch: &Arc<Verified<VoteBatch>>) {
        if self.journaled.is_new_batch(batch.signature) {
            self.out.write(JournalRecord::Votes((***batch).clone()));
        }
    }

    /// What the signer released: counted like anybody's, sent to everybody, repeated.
    pub(super) fn signed(&mut self, now: TimeMs, message: OwnMessage) {
        match message {
            OwnMessage::Votes(batch) => {
                if batch.epoch != self.epoch() {
                    return;
                }
                self.out.broadcast(Message::Votes((**batch).clone()));
                self.own.repeat(now, batch.clone());
                self.votes(now, None, batch);
            }
            OwnMessage::Proposal(proposal) => self.own_proposal(now, proposal),
            OwnMessage::Bft(vote) => self.own_bft_vote(now, vote),
        }
    }

    pub(super) fn serve_votes(&mut self, to: PeerId, epoch: Epoch, txids: &[Txid]) {
        if epoch != self.finality.epoch() {
            return;
        }
        self.send_votes(to, txids);
    }

    /// Sends every batch held that has a vote or receipt for one of `txids`, each once, up to a bound.
    pub(super) fn send_votes(&mut self, to: PeerId, txids: &[Txid]) {
        for batch in self.finality.batches(txids).into_iter().take(MAX_VOTES_ANSWER) {
            self.out.send(to, Message::Votes((**batch).clone()));
        }
    }

    fn prove_double_vote(&mut self, now: TimeMs, voter: PublicKey, one: Txid, other: Txid) {
        let body = |txid: &Txid| {
            let held = self.ledger.entry(txid).map(|e| e.tx.body().clone());
            held.or_else(|| self.evidence.body(txid).cloned())
        };
        let (Some(one), Some(other)) = (body(&one), body(&other)) else { return };
        if let Some(evidence) = self.finality.double_vote_evidence(&voter, &one, &other) {
            self.found_evidence(now, evidence);
        }
    }
}
