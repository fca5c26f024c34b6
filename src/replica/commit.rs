//! A height is decided: the block is applied, and if it closed its epoch, the next one begins.

use super::Replica;
use super::command::{Alarm, Command, CommittedBlock, Event, PeerId};
use super::message::SealedBlock;
use super::payments::Source;
use super::proposals::ValidBlock;
use crate::ledger::verify::Verifier;
use crate::ledger::{Committed, NotTheNextBlock};
use crate::signer::SignRequest;
use crate::tsdc::{Restored, Tsdc};
use crate::types::block::{BftKind, BftVote, Block, Commit};
use crate::types::hash::BlockHash;
use crate::types::number::{Height, TimeMs};
use crate::types::verified::Verified;
use std::sync::Arc;

impl Replica {
    /// Quorum precommits for a block of the current height; the block itself may not be here.
    pub(super) fn committed(&mut self, now: TimeMs, commit: Commit) {
        let set = self.set();
        let Ok(commit) = self.verifier.commit(commit, &set) else { return };
        if self.sync.contradicts_checkpoint(commit.height, commit.block_hash) {
            let reason = "it is not the block of sync.checkpoint".to_owned();
            return self.raise(Alarm::InvalidCommit { height: commit.height, reason });
        }
        match self.proposals.valid(&commit.block_hash) {
            Some(block) => self.apply_candidate(now, &block, commit),
            None => self.sync.await_block(commit),
        }
    }

    /// A candidate became valid: applied at once if it is the block a commit waits for.
    pub(super) fn commit_if_awaited(&mut self, now: TimeMs, hash: BlockHash) {
        let awaited = self.sync.awaited().filter(|c| c.block_hash == hash).cloned();
        if let (Some(commit), Some(block)) = (awaited, self.proposals.valid(&hash)) {
            self.apply_candidate(now, &block, commit);
        }
    }

    fn apply_candidate(&mut self, now: TimeMs, block: &ValidBlock, commit: Verified<Commit>) {
        let Some(candidate) = self.proposals.get(&commit.block_hash) else { return };
        let coinbase = block.executed.coinbase.clone();
        let sealed = SealedBlock {
            block: Block {
                header: block.executed.header.clone(),
                txs: coinbase.into_iter().chain(block.txs.iter().map(|tx| tx.tx().clone())).collect(),
                last_commit: candidate.proposal.last_commit.clone(),
                evidence: candidate.proposal.evidence.clone(),
                vdf: candidate.proposal.vdf.clone(),
            },
            commit: (*commit).clone(),
        };
        let changes = block.executed.changes.clone();
        self.apply(now, CommittedBlock { block: sealed.block, commit: sealed.commit, changes }, commit);
    }

    /// Makes `block` the tip.
    pub(super) fn apply(&mut self, now: TimeMs, block: CommittedBlock, commit: Verified<Commit>) {
        let block = Arc::new(block);
        if !self.ledger.is_next(&block.changes) {
            return;
        }
        let (commit, may_precommit) = (self.completed(commit), self.tsdc.may_precommit_at(block.commit.view));
        // First of all: what the new epoch writes comes behind the block that began it.
        self.out.commit(block.clone());
        let Ok(committed) = self.advance(now, &block, commit) else { return };
        self.out.push(Command::SignerBlock {
            txids: Arc::new(block.changes.txids.clone()),
            closed: block.changes.closed_epoch,
        });
        self.unapplied.push_back(block.clone());
        self.out.notify_when_durable(Event::BlockCommitted {
            height: block.changes.height,
            hash: block.commit.block_hash,
            txids: block.changes.txids.clone(),
        });
        for (txid, reason) in &committed.dropped {
            self.dropped(*txid, reason);
        }
        for txid in committed.final_not_archived {
            self.raise(Alarm::FinalNotArchived(txid));
        }
        for tx in committed.resample {
            self.admitted(now, &tx);
        }
        for tx in committed.retry {
            self.transaction(now, Source::Retry, tx);
        }
        if !self.is_behind() {
            // Of the past nobody needs to hear.
            self.out.broadcast(super::Message::Commit(block.commit.clone()));
            let status = self.own_status();
            self.out.broadcast(status);
        }
        if may_precommit {
            self.ask_for_late_precommit();
        }
        self.want_beacon();
    }

    /// Moves every engine to the next height; shared with recovery, which has nobody to tell.
    ///
    /// # Errors
    /// [`NotTheNextBlock`] if it was executed on another tip; nothing has changed then.
    pub(super) fn advance(
        &mut self,
        now: TimeMs,
        block: &CommittedBlock,
        commit: Verified<Commit>,
    ) -> Result<Committed, NotTheNextBlock> {
        let committed = self.ledger.commit(now, block.changes.clone())?;
        for txid in &block.changes.txids {
            self.snowball.remove(txid);
            self.fetch.done(txid);
            self.awaited.remove(txid);
        }
        committed.dropped.iter().for_each(|(txid, _)| self.snowball.remove(txid));
        self.finality.archived(&block.changes.txids);
        self.tip_commit = Some(Arc::new(commit));
        self.proposals.clear();
        self.journaled.block(&block.changes.txids, block.changes.closed_epoch.is_some());
        self.gossip.clear_height();
        self.relay.clear_height();
        self.offer = None;
        self.sync.tip_is(&block.changes.state);
        let registry = &self.ledger.tip().registry;
        self.evidence.retain(|voter| registry.by_key(voter).is_some_and(|m| !m.slashed));
        let next = self.tsdc_of_next_height(Restored::default());
        self.settled = Some(std::mem::replace(&mut self.tsdc, next));
        if block.changes.closed_epoch.is_some() {
            self.begin_epoch(now);
        }
        Ok(committed)
    }

    pub(super) fn tsdc_of_next_height(&self, restored: Restored) -> Tsdc {
        let tip = self.ledger.tip();
        let height = tip.child_height();
        Tsdc::new(self.chain.clone(), height, tip.header.beacon, tip.validators.clone(), self.me, restored)
    }

    /// Everything of the old epoch that is not archived is void; its payments are sampled anew by who calls this.
    fn begin_epoch(&mut self, now: TimeMs) {
        let set = self.set();
        self.own.clear();
        self.gossip.begin_epoch(self.ledger.tip().child_epoch(&self.chain));
        self.stalled.clear();
        self.awaited.clear();
        self.snowball.start_epoch(set.clone());
        for key in self.peers.live_keys() {
            self.snowball.set_live(key, true);
        }
        let events = self.finality.close_epoch(set);
        self.finality_events(now, None, events);
    }

    /// The store answers for blocks up to `height`.
    pub(super) fn applied(&mut self, height: Height) {
        self.ledger.flushed(height);
        while self.unapplied.front().is_some_and(|b| b.changes.height <= height) {
            self.unapplied.pop_front();
        }
    }
}

/// Precommits for the tip, which is settled without them. They join the commit that the next block carries: who takes one in
/// gains by it, and its signer is paid (`protocol.md` 8).
impl Replica {
    /// A prepare or precommit from a peer.
    pub(super) fn bft_vote(&mut self, now: TimeMs, from: PeerId, vote: Arc<Verified<BftVote>>) {
        if vote.height == self.height() {
            self.pass_on_bft_vote(now, from, &vote);
            self.tsdc.vote(now, vote);
            return;
        }
        match self.settled.as_mut().map_or(Ok(()), |settled| settled.late_vote(&vote)) {
            Ok(()) => self.late_precommit(now, Some(from), vote),
            Err(evidence) => evidence.into_iter().for_each(|evidence| self.found_evidence(now, *evidence)),
        }
    }

    /// One of a peer, or this masternode's own.
    pub(super) fn late_precommit(&mut self, now: TimeMs, from: Option<PeerId>, vote: Arc<Verified<BftVote>>) {
        let whole = self.tip_commit.as_ref();
        let whole = whole.and_then(|commit| Verifier::with_precommit(commit, &vote, &self.ledger.tip().signers));
        let Some(commit) = whole else { return };
        self.tip_commit = Some(Arc::new(commit));
        match from {
            // The next leader may be linked to this node, and not to its voter.
            Some(from) => self.pass_on_late_precommit(now, from, vote),
            None => self.out.broadcast(super::Message::BftVote((**vote).clone())),
        }
    }

    /// The commit with the precommits that came here besides.
    fn completed(&self, commit: Verified<Commit>) -> Verified<Commit> {
        let whole = self.tsdc.completed(&commit);
        if whole == *commit {
            return commit;
        }
        self.verifier.commit(whole, &self.set()).unwrap_or(commit)
    }

    /// Asks for this masternode's own, which others did not wait for. What the block's quorum prepared is the lock, as for
    /// any precommit.
    fn ask_for_late_precommit(&mut self) {
        let (Some(me), Some(commit)) = (self.me, &self.tip_commit) else { return };
        let tip = self.ledger.tip();
        let is_missing = |position: usize| commit.signatures.get(position).is_some_and(Option::is_none);
        if !self.is_unhindered() || !tip.signers.position(&me).is_some_and(is_missing) {
            return;
        }
        let (height, view, prepared) = (commit.height, commit.view, Some((commit.view, commit.block_hash)));
        self.out.sign(SignRequest::Bft {
            height,
            view,
            kind: BftKind::Precommit,
            block_hash: Some(commit.block_hash),
            lock: prepared,
            valid: prepared,
            proof_view: None,
            closing: None,
        });
    }
}
