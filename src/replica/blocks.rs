//! The agreement on the next block: when its height starts, what is offered, judged and asked of the signer.

use super::Replica;
use super::command::{JournalRecord, PeerId};
use super::message::Message;
use super::proposals::{Standing, ValidBlock};
use super::unasked::Ask;
use crate::ledger::VerifiedTx;
use crate::ledger::execute::{BlockBody, BlockError, Executed, evidence_bytes, execute};
use crate::limits::REJUDGE_MS;
use crate::signer::{Closing, Refusal, SignRequest};
use crate::tsdc::slots::{NextBlock, Tip};
use crate::tsdc::{Step, TsdcOutput, Verdict};
use crate::types::block::{BftKind, BftVote, Commit, Proposal};
use crate::types::hash::{BlockHash, Txid};
use crate::types::keys::Signature;
use crate::types::number::{TimeMs, View};
use crate::types::verified::Verified;
use crate::types::vote::FinalityKind;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What this node was asked to offer and has not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    view: View,
    value: Option<(View, BlockHash)>,
}

impl Replica {
    pub(super) fn slot_tip(&self) -> Tip {
        let header = &self.ledger.tip().header;
        Tip { slot: header.slot, opened: header.opened }
    }

    /// Which block may be started on the tip now.
    fn next_block(&self, now: TimeMs) -> NextBlock {
        // What can be included is less than what is certified: mostly that alone answers.
        let certified = self.ledger.certified_bytes();
        let includable = if certified < self.chain.overflow_min_bytes {
            certified
        } else {
            self.ledger.includable_bytes(self.chain.max_block_bytes.saturating_add(1))
        };
        self.slot_tip().next_block(&self.chain, now, includable)
    }

    pub(super) fn start_height(&mut self, now: TimeMs) {
        if !self.tsdc.is_started() && !matches!(self.next_block(now), NextBlock::Wait { .. }) {
            self.tsdc.start(now);
        }
    }

    /// A block is offered for the current height.
    pub(super) fn proposal(&mut self, now: TimeMs, from: Option<PeerId>, proposal: Arc<Verified<Proposal>>) {
        if proposal.header.height != self.height() || proposal.leader != self.tsdc.leader(proposal.view) {
            return;
        }
        if proposal.proof.is_none() && proposal.header.proposer != proposal.leader {
            return;
        }
        let hash = proposal.header.hash();
        let is_known = self.gossip.holds(&proposal.signature);
        if !self.has_good_delay_proof(&proposal) || !(is_known || self.is_whole(&proposal)) {
            return;
        }
        if self.proposals.is_garbled_often(&hash) && !self.is_from_leader(from, &proposal) {
            return;
        }
        if let Some(proof) = proposal.proof.clone() {
            let set = self.set();
            match self.verifier.prepare_proof(self.height(), hash, proof, &set) {
                Ok(proof) if proof.view < proposal.view => self.tsdc.proof(now, proof, hash),
                _ => return,
            }
        }
        let view = self.tsdc.view();
        let needed = [self.tsdc.locked(), self.tsdc.valid()];
        self.proposals.forget_before(view, |h| needed.iter().flatten().any(|(_, needed)| needed == h));
        self.proposals.add(now, from, proposal.clone());
        self.pass_on_proposal(now, from, &proposal);
        self.tsdc.proposal(now, proposal);
        // The engine may know the proposal's view only now: whatever was found out about the block is told again.
        self.tell_verdict(now, hash);
    }

    /// Acts on what the agreement says; whether it said anything.
    pub(super) fn drain_tsdc(&mut self, now: TimeMs) -> bool {
        let outputs = self.tsdc.drain();
        let progress = !outputs.is_empty();
        let height = self.height();
        for output in outputs {
            match output {
                // A commit may show that somebody signed twice, and it ends the height.
                TsdcOutput::Evidence(evidence) => self.found_evidence(now, *evidence),
                // What else the engine said of a height that is over is of no use any more.
                _ if self.height() != height => {}
                TsdcOutput::Propose { view, value } => self.offer = Some(Offer { view, value }),
                TsdcOutput::Judge(hash) => self.tell_verdict(now, hash),
                TsdcOutput::Sign { view, kind, block_hash, lock, valid } => {
                    self.ask_for_bft_vote(view, kind, block_hash, lock, valid);
                }
                TsdcOutput::Committed(commit) => self.committed(now, commit),
                TsdcOutput::ViewChanged(view) => {
                    self.out.notify(super::Event::ViewChanged { height, view });
                }
                TsdcOutput::Locked(..) => {}
                TsdcOutput::Valid(view, hash) => self.journal_valid(view, hash),
            }
        }
        progress
    }

    /// Gathers, executes and judges the candidates that are due.
    pub(super) fn look_at_proposals(&mut self, now: TimeMs) {
        for hash in self.proposals.due(now) {
            if let Some(candidate) = self.proposals.get_mut(&hash) {
                candidate.next_look = None;
            }
            if self.proposals.get(&hash).is_some_and(|c| matches!(c.standing, Standing::Gathering)) {
                self.gather(now, hash);
            }
            self.tell_verdict(now, hash);
            self.commit_if_awaited(now, hash);
        }
    }

    /// Executes a candidate whose transactions are all here, and asks for those that are not.
    fn gather(&mut self, now: TimeMs, hash: BlockHash) {
        let Some(candidate) = self.proposals.get(&hash) else { return };
        let (proposal, from) = (candidate.proposal.clone(), candidate.from);
        // In the pool, a fee is known only of an encoding that opens what it spends.
        let pooled = |txid: &Txid| self.ledger.entry(txid).filter(|e| e.fee.is_some()).map(|e| e.tx.clone());
        let held = |txid: &Txid| pooled(txid).or_else(|| self.proposals.transaction(txid));
        let found: Vec<Option<VerifiedTx>> = proposal.txids.iter().map(held).collect();
        let missing: Vec<Txid> =
            proposal.txids.iter().zip(&found).filter(|(_, tx)| tx.is_none()).map(|(id, _)| *id).collect();
        if !missing.is_empty() {
            self.proposals.miss(&missing);
            missing.into_iter().for_each(|txid| self.fetch.want(now, txid, from));
            return;
        }
        let txs: Vec<VerifiedTx> = found.into_iter().flatten().collect();
        let standing = match self.execute_proposal(&proposal, &txs) {
            Ok(block) => Standing::Valid(Arc::new(block)),
            Err(Some(BlockError::Transaction { txid, rule })) if rule.is_about_witnesses() => {
                // Another encoding may be the one that was certified.
                let bad = txs.iter().find(|tx| tx.txid() == txid);
                bad.into_iter().for_each(|tx| self.proposals.refuse_encoding(tx));
                self.proposals.miss(&[txid]);
                self.fetch.again(now, txid, from);
                return;
            }
            Err(_) if self.is_from_leader(from, &proposal) => Standing::Invalid,
            Err(_) => {
                self.gossip.forget(&proposal.signature);
                return self.proposals.drop_garbled(hash);
            }
        };
        if let Some(candidate) = self.proposals.get_mut(&hash) {
            candidate.standing = standing;
        }
    }

    /// The rules of `protocol.md` 7.3 that hold always.
    ///
    /// # Errors
    /// The rule that is broken; `None` if it is one of the parent's commit or of the evidence.
    fn execute_proposal(&self, proposal: &Proposal, txs: &[VerifiedTx]) -> Result<ValidBlock, Option<BlockError>> {
        let last_commit = self.check_last_commit(proposal.last_commit.as_ref()).ok_or(None)?;
        let evidence: Option<Vec<_>> =
            proposal.evidence.iter().map(|e| self.verifier.evidence(e.clone()).ok()).collect();
        let evidence = evidence.ok_or(None)?;
        let body = BlockBody {
            slot: proposal.header.slot,
            proposer: proposal.header.proposer,
            txs,
            last_commit: last_commit.as_ref(),
            evidence: &evidence,
            vdf: proposal.vdf.as_ref(),
        };
        let executed = self.execute(&body)?;
        executed.check(&proposal.header)?;
        Ok(ValidBlock { executed, txs: txs.to_vec(), evidence })
    }

    pub(super) fn execute(&self, body: &BlockBody<'_>) -> Result<Executed, BlockError> {
        execute(&self.chain, self.ledger.tip(), self.ledger.view(), &self.verifier, body)
    }

    /// The parent's commit as the child carries it: any quorum of the parent's set for the tip.
    pub(super) fn check_last_commit(&self, commit: Option<&Commit>) -> Option<Option<Verified<Commit>>> {
        let tip = self.ledger.tip();
        match commit {
            None => Some(None),
            Some(commit) if commit.height != tip.header.height || commit.block_hash != tip.hash => None,
            Some(commit) => self.verifier.commit(commit.clone(), &tip.signers).ok().map(Some),
        }
    }

    /// Tells the agreement what is known about a block, and looks again soon if it could become acceptable.
    fn tell_verdict(&mut self, now: TimeMs, hash: BlockHash) {
        let Some(candidate) = self.proposals.get(&hash) else { return };
        let block = match &candidate.standing {
            Standing::Gathering => return,
            Standing::Invalid => {
                self.tsdc.judged(now, hash, Verdict { valid: false, acceptable: false });
                return;
            }
            Standing::Valid(block) => block.clone(),
        };
        let obstacle = self.obstacle(now, &block);
        self.tsdc.judged(now, hash, Verdict { valid: true, acceptable: obstacle.is_none() });
        let Some(obstacle) = obstacle else { return };
        self.work_on_obstacle(hash, &obstacle);
        let can_still_prepare = self.tsdc.step() == Step::Propose;
        if let Some(candidate) = self.proposals.get_mut(&hash)
            && can_still_prepare
            && candidate.proposal.view >= self.tsdc.view()
        {
            candidate.next_look = Some(now.plus(REJUDGE_MS));
        }
    }

    /// Why this masternode does not prepare a fresh block now: the rules of `protocol.md` 7.3 that depend on what is
    /// known here. The closing rule is the signer's.
    fn obstacle(&self, now: TimeMs, block: &ValidBlock) -> Option<Obstacle> {
        if self.slot_tip().accepts(&self.chain, now, block.executed.header.slot).is_err() {
            return Some(Obstacle::Slot);
        }
        let uncertified = block.txs.iter().map(|tx| tx.txid()).filter(|txid| !self.finality.is_certified(txid));
        let uncertified: Vec<Txid> = uncertified.collect();
        if !uncertified.is_empty() {
            return Some(Obstacle::Uncertified(uncertified));
        }
        let included: BTreeSet<Txid> = block.txs.iter().map(|tx| tx.txid()).collect();
        let tx_bytes: u64 = block.txs.iter().map(|tx| u64::from(tx.size_bytes())).sum();
        let used = evidence_bytes(&block.evidence).saturating_add(tx_bytes);
        self.ledger.left_out(now, &included, used).map(Obstacle::LeftOut)
    }

    fn work_on_obstacle(&mut self, hash: BlockHash, obstacle: &Obstacle) {
        let Some(candidate) = self.proposals.get_mut(&hash) else { return };
        if std::mem::replace(&mut candidate.leader_was_told, true) {
            return;
        }
        let (leader, from) = (candidate.proposal.leader, candidate.from);
        let Some(peer) = from.or_else(|| self.peers.of_key(&leader)) else { return };
        match obstacle {
            Obstacle::Slot => {}
            Obstacle::Uncertified(txids) => {
                let epoch = self.epoch();
                for txids in txids.chunks(crate::limits::MAX_REQUEST_TXIDS) {
                    self.out.send(peer, Message::GetVotes { epoch, txids: txids.to_vec() });
                }
            }
            Obstacle::LeftOut(txid) => {
                let Some(leader) = self.peers.of_key(&leader) else { return };
                if let Some(tx) = self.held(txid) {
                    self.out.send(leader, Message::Txs(vec![tx.tx().clone()]));
                }
                self.send_votes(leader, &[*txid]);
            }
        }
    }

    /// Asks the signer for a prepare or precommit, behind the writes a lock needs.
    pub(super) fn ask_for_bft_vote(
        &mut self,
        view: View,
        kind: BftKind,
        block_hash: Option<BlockHash>,
        lock: Option<(View, BlockHash)>,
        valid: Option<(View, BlockHash)>,
    ) {
        if !self.may_sign() {
            // The engine asks once.
            let height = self.height();
            self.unasked.keep(height, Ask { view, kind, block_hash, lock, valid });
            return;
        }
        let prepared = block_hash.filter(|_| kind == BftKind::Prepare);
        if prepared.is_some_and(|hash| self.proposals.valid(&hash).is_none()) {
            // Whether it closes the epoch is unknown, so the signer could not guard the epoch's receipts.
            return;
        }
        let proof_view = prepared.and_then(|hash| self.proof_view(view, hash));
        let closing = prepared.and_then(|hash| self.closing(hash, proof_view.is_none()));
        let height = self.height();
        self.out.sign(SignRequest::Bft { height, view, kind, block_hash, lock, valid, proof_view, closing });
    }

    /// What the signer has to know of a block that closes the epoch.
    fn closing(&self, hash: BlockHash, fresh: bool) -> Option<Closing> {
        let block = self.proposals.valid(&hash)?;
        let epoch = block.executed.changes.closed_epoch?;
        let txids = block.txs.iter().map(|tx| tx.txid()).collect();
        Some(Closing { epoch, txids, fresh })
    }

    /// The proof under which `view` offers the block, if it is a proved proposal.
    fn proof_view(&self, view: View, hash: BlockHash) -> Option<View> {
        let proposals = self.tsdc.proposals();
        proposals.iter().find(|p| p.view == view && p.header.hash() == hash)?.proof_view()
    }

    /// A quorum prepared this block: it and the prepares go to disk, before the precommit that is asked for next, so
    /// that after a restart it can be offered again with its proof.
    fn journal_valid(&mut self, view: View, hash: BlockHash) {
        let Some(candidate) = self.proposals.get(&hash) else { return };
        let proposal = candidate.proposal.clone();
        if let Some(block) = self.proposals.valid(&hash) {
            block.txs.iter().for_each(|tx| self.journal_tx(tx));
        }
        self.out.write(JournalRecord::Proposal((**proposal).clone()));
        if let Some(proof) = self.tsdc.prepare_proof(view, hash) {
            let height = self.height();
            self.out.write(JournalRecord::Prepares { height, block_hash: hash, proof });
        }
    }

    /// Offers a block if this node leads the view, as soon as it can.
    pub(super) fn propose(&mut self, now: TimeMs) {
        let Some(offer) = self.offer else { return };
        if offer.view != self.tsdc.view() {
            self.offer = None;
            return;
        }
        if !self.may_sign() {
            return;
        }
        let proposal = match offer.value {
            Some((proof_view, hash)) => self.offer_again(offer.view, proof_view, hash),
            None => self.build(now, offer.view),
        };
        if let Some(proposal) = proposal {
            self.offer = None;
            self.out.sign(SignRequest::Proposal { proposal });
        }
    }

    fn offer_again(&self, view: View, proof_view: View, hash: BlockHash) -> Option<Proposal> {
        let original = &self.proposals.get(&hash)?.proposal;
        let proof = self.tsdc.prepare_proof(proof_view, hash)?;
        let leader = self.me?;
        Some(Proposal { view, proof: Some(proof), leader, signature: Signature([0; 64]), ..(***original).clone() })
    }

    /// A fresh block on the tip; `None` if none may stand there now, or the beacon is not ready.
    fn build(&mut self, now: TimeMs, view: View) -> Option<Proposal> {
        let me = self.me?;
        let (slot, opens) = match self.next_block(now) {
            NextBlock::Opening { slot } => (slot, true),
            NextBlock::Overflow => (self.ledger.tip().header.slot, false),
            NextBlock::Wait { .. } => return None,
        };
        let vdf = if opens { Some(*self.beacon.proof.clone()?) } else { None };
        let evidence = self.evidence_for_block(opens);
        let evidence_bytes = evidence_bytes(&evidence);
        let txs = self.ledger.assemble(self.chain.max_block_bytes.saturating_sub(evidence_bytes));
        let last_commit = self.tip_commit.clone();
        let body = BlockBody {
            slot,
            proposer: me,
            txs: &txs,
            last_commit: last_commit.as_deref(),
            evidence: &evidence,
            vdf: vdf.as_ref(),
        };
        let executed = self.execute(&body).ok()?;
        Some(Proposal {
            view,
            proof: None,
            header: executed.header,
            txids: txs.iter().map(|tx| tx.txid()).collect(),
            last_commit: last_commit.map(|c| (**c).clone()),
            evidence: evidence.into_iter().map(Verified::into_inner).collect(),
            vdf,
            leader: me,
            signature: Signature([0; 64]),
        })
    }

    pub(super) fn own_proposal(&mut self, now: TimeMs, proposal: Arc<Verified<Proposal>>) {
        if proposal.header.height != self.height() {
            return;
        }
        self.out.broadcast(Message::Proposal(Box::new((**proposal).clone())));
        self.proposal(now, None, proposal);
    }

    pub(super) fn own_bft_vote(&mut self, now: TimeMs, vote: Arc<Verified<BftVote>>) {
        if vote.height != self.height() {
            return self.late_precommit(now, None, vote);
        }
        self.out.broadcast(Message::BftVote((**vote).clone()));
        self.tsdc.vote(now, vote);
    }

    /// The signer's guard refused.
    pub(super) fn refused(&mut self, now: TimeMs, request: &SignRequest, reason: &Refusal) {
        if *reason == Refusal::KeyElsewhere {
            self.presence.fall_silent();
        }
        match request {
            SignRequest::Votes { .. } => self.own.signer_answered(FinalityKind::Vote),
            SignRequest::Receipts { .. } => self.own.signer_answered(FinalityKind::Receipt),
            SignRequest::Proposal { .. } => {}
            SignRequest::Bft { height, view, kind, .. } => {
                if let Refusal::ReceiptsLeftOut { missing } = reason {
                    self.tell_what_is_left_out(missing);
                }
                if *height == self.height() {
                    self.tsdc.refused(now, *view, *kind);
                }
            }
        }
    }

    /// A closing block leaves out what this masternode receipted: every coming leader has to know it, this one too.
    fn tell_what_is_left_out(&mut self, missing: &[Txid]) {
        let batches = self.finality.batches(missing);
        for batch in batches.into_iter().take(crate::limits::MAX_VOTES_ANSWER) {
            self.out.broadcast(Message::Votes((**batch).clone()));
        }
        let txs: Vec<_> = missing.iter().filter_map(|txid| self.held(txid)).collect();
        for some in txs.chunks(LEFT_OUT_TXS_A_MESSAGE) {
            self.out.broadcast(Message::Txs(some.iter().map(|tx| tx.tx().clone()).collect()));
        }
    }
}

/// Transactions of any size that fit a message together.
const LEFT_OUT_TXS_A_MESSAGE: usize = crate::limits::MAX_MESSAGE_BYTES / crate::limits::MAX_TX_WIRE_BYTES;

/// What keeps this masternode from preparing a fresh block.
#[derive(Debug)]
enum Obstacle {
    Slot,
    Uncertified(Vec<Txid>),
    LeftOut(Txid),
}
