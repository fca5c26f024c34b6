//! Catching up: headers and commits first, then blocks from several peers at once, applied in order.
//!
//! Headers prove how far the chain goes ([`window`]); a node is *behind* while that is above its tip, and signs nothing.
//! Blocks are taken only if they are those of the headers ([`bodies`]), checked many at a time by the shell, and executed
//! as fast as the store takes them in. Who lacks a few blocks only asks for them at once: each comes with its commit, and
//! so with its header. Everything on disk is applied blocks, so a node that was stopped goes on from its tip.

mod bodies;
mod question;
mod window;

use super::Replica;
use super::command::{Alarm, Command, CommittedBlock, PeerId};
use super::message::{BadPart, BlockToCheck, CheckedBlock, Message, ReceivedBlock, ReceivedHeader, SealedBlock};
use crate::ledger::execute::{BlockBody, BlockError};
use crate::ledger::rejection::Rejection;
use crate::ledger::state::ChainState;
use crate::limits::{
    MAX_DIRECT_BLOCKS, MAX_EXECUTED_BLOCKS_A_STEP, MAX_EXECUTED_TXS_A_STEP, MAX_UNSTORED_BLOCKS, MAX_UNSTORED_TXS,
    SYNC_RETRY_MS,
};
use crate::types::block::{Block, Commit};
use crate::types::codec::encoded_size;
use crate::types::hash::BlockHash;
use crate::types::number::{Height, TimeMs};
use crate::types::verified::Verified;
use bodies::Bodies;
use question::Question;
use window::{Refused, Window};

/// What is known of the chain above the tip, and what is asked for.
#[derive(Debug)]
pub(super) struct Sync {
    window: Window,
    bodies: Bodies,
    headers: Question,
    /// For blocks without their headers.
    direct: Question,
    /// A commit of the current height whose block is not here.
    awaited: Option<Verified<Commit>>,
    /// When that was last passed on.
    passed_on: Option<TimeMs>,
}

impl Sync {
    /// Nothing is known above `tip`.
    pub(super) fn new(tip: &ChainState) -> Self {
        let mut bodies = Bodies::default();
        bodies.tip_is(tip.height());
        Self {
            window: Window::new(tip),
            bodies,
            headers: Question::default(),
            direct: Question::default(),
            awaited: None,
            passed_on: None,
        }
    }

    pub(super) fn await_block(&mut self, commit: Verified<Commit>) {
        self.awaited = Some(commit);
    }

    pub(super) fn awaited(&self) -> Option<&Verified<Commit>> {
        self.awaited.as_ref()
    }

    /// A higher commit was proved: neither votes nor proposals until its block is here.
    pub(super) fn is_behind(&self) -> bool {
        self.awaited.is_some() || self.window.len() > 0
    }

    /// The tip moved.
    pub(super) fn tip_is(&mut self, tip: &ChainState) {
        self.window.tip_is(tip);
        self.bodies.tip_is(tip.height());
        self.awaited = self.awaited.take().filter(|commit| commit.height > tip.height());
    }

    pub(super) fn gone(&mut self, peer: PeerId) {
        self.bodies.gone(peer);
        self.headers.gone(peer);
        self.direct.gone(peer);
    }

    /// Whether the block that the operator knows to be in the chain is another one than this.
    pub(super) fn contradicts_checkpoint(&self, height: Height, hash: BlockHash) -> bool {
        self.window.contradicts_checkpoint(height, hash)
    }

    /// Headers known above the tip, and blocks asked for or here.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.window.len(), self.bodies.len())
    }
}

/// Why a block from a peer is not applied although its header has a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBlock {
    /// A part is not what the header names, or is outside it and wrong: the sender's fault, another peer may do better.
    #[error("{0} is not the block's")]
    Tampered(&'static str),
    /// What a quorum committed breaks a rule: a Byzantine third, or a fault of this program.
    #[error("{0}")]
    Invalid(String),
}

/// Whether a block with this fault may be valid with other bytes in places that its hash does not cover.
fn is_outside_header(error: &BlockError) -> bool {
    match error {
        // A spare witness changes a size.
        BlockError::BadVdf | BlockError::TooLarge { .. } | BlockError::OverflowTooSmall { .. } => true,
        BlockError::Transaction { rule, .. } => {
            rule.is_about_witnesses() || matches!(rule, Rejection::FeeTooLow { .. })
        }
        _ => false,
    }
}

impl Replica {
    /// A header at this height with another hash is refused from now on, and who tells it is at fault.
    pub fn trust(&mut self, height: Height, hash: BlockHash) {
        self.sync.window.trust((height, hash));
    }

    /// The highest block that is known to be committed: the tip, if this node is not behind.
    pub fn sync_target(&self) -> Height {
        let awaited = self.sync.awaited.as_ref().map_or(Height::ZERO, |commit| commit.height);
        self.sync.window.target().max(awaited)
    }

    pub(super) fn own_status(&self) -> Message {
        let tip = self.ledger.tip();
        Message::Status { height: tip.header.height, hash: tip.hash, lowest: self.store.lowest_block() }
    }

    /// Who passes a commit on has checked it: one of the current height that no quorum signed is its sender's fault.
    pub(super) fn heard_commit(&mut self, now: TimeMs, from: PeerId, commit: Commit) {
        if commit.height != self.height() {
            return;
        }
        let set = self.set();
        match self.verifier.commit(commit, &set) {
            Ok(commit) => self.tsdc.certificate(now, commit),
            Err(_) => self.out.push(Command::Fault { peer: from, what: "a commit that no quorum of its set signed" }),
        }
    }

    /// Asks for what is missing, as far as nobody is being asked for it.
    pub(super) fn continue_sync(&mut self, now: TimeMs) {
        let (tip, target) = (self.ledger.tip().height(), self.sync.window.target());
        self.sync.headers.expire(now);
        self.sync.headers.known(target);
        self.sync.direct.expire(now);
        self.sync.direct.known(tip);
        self.sync.bodies.give_up(now);
        let is_stuck = matches!(&self.alarm, Some(Alarm::InvalidCommit { height, .. }) if *height == self.height());
        if is_stuck {
            return;
        }
        self.ask_for_headers(now);
        self.ask_for_next_blocks(now);
        for (peer, from, count) in self.sync.bodies.requests(now, &self.sync.window, &self.peers) {
            self.out.send(peer, Message::GetBlocks { from, count });
        }
        self.pass_on_awaited(now);
    }

    fn ask_for_headers(&mut self, now: TimeMs) {
        let sync = &mut self.sync;
        if sync.window.room() == 0 || sync.headers.asked.is_some() {
            return;
        }
        let next = sync.window.target().next();
        // Who lacks a few blocks only gets their headers with them.
        let few = if sync.window.len() > 0 { 0 } else { u64::from(MAX_DIRECT_BLOCKS) };
        let least = next.get().saturating_add(few);
        let bodies = &sync.bodies;
        let above =
            self.peers.with_block(next).filter(|(peer, claims)| claims.get() >= least && !bodies.is_faulty(*peer));
        let above: Vec<PeerId> = above.map(|(peer, _)| peer).collect();
        if let Some(peer) = sync.headers.ask(now, sync.window.target(), &above) {
            self.out.send(peer, Message::GetHeaders { from: next });
        }
    }

    /// A few blocks above the tip, if no header says more of them.
    fn ask_for_next_blocks(&mut self, now: TimeMs) {
        let from = self.height();
        let sync = &mut self.sync;
        if sync.window.len() > 0 || sync.direct.asked.is_some() {
            return;
        }
        let with_block: Vec<PeerId> = self.peers.with_block(from).map(|(peer, _)| peer).collect();
        // A commit without its block may have come from one that nobody told of yet.
        let anybody = with_block.is_empty() && sync.awaited.is_some();
        let asked = if anybody { self.peers.ids().collect() } else { with_block };
        let asked: Vec<PeerId> = asked.into_iter().filter(|peer| !sync.bodies.is_faulty(*peer)).collect();
        if let Some(peer) = sync.direct.ask(now, self.ledger.tip().height(), &asked) {
            self.out.send(peer, Message::GetBlocks { from, count: MAX_DIRECT_BLOCKS });
        }
    }

    /// A commit whose block nobody seems to have may be known here alone: whoever holds the proposal commits by it.
    fn pass_on_awaited(&mut self, now: TimeMs) {
        let Some(commit) = &self.sync.awaited else { return };
        let is_due = self.sync.passed_on.is_none_or(|at| now.since(at) >= SYNC_RETRY_MS || at > now);
        if is_due && self.peers.with_block(commit.height).next().is_none() {
            self.sync.passed_on = Some(now);
            self.out.broadcast(Message::Commit((**commit).clone()));
        }
    }

    /// When something is to be asked of somebody else, or a block is here that may be executed.
    pub(super) fn next_sync_wake(&self) -> Option<TimeMs> {
        if self.sync.bodies.is_here(self.height()) && self.has_room_before_store() {
            return Some(TimeMs(0));
        }
        let sync = &self.sync;
        [sync.bodies.next_wake(), sync.headers.next_wake(), sync.direct.next_wake()].into_iter().flatten().min()
    }

    /// Headers from a peer, which follow each other.
    pub(super) fn headers(&mut self, now: TimeMs, from: PeerId, headers: Vec<ReceivedHeader>) {
        if self.sync.headers.answered(from) && self.learn_headers(from, headers) {
            self.certify_height(now);
        }
    }

    /// Extends the proven chain; whether who told it can be listened to further.
    fn learn_headers(&mut self, from: PeerId, headers: Vec<ReceivedHeader>) -> bool {
        match self.sync.window.extend(&self.chain, &self.verifier, headers) {
            Ok(()) => true,
            Err(Refused::Fault(what)) => {
                self.blame(from, what);
                false
            }
            Err(Refused::Contradiction { height }) => {
                let reason = "it does not follow a block that was committed below it".to_owned();
                self.raise(Alarm::InvalidCommit { height: height.next(), reason });
                false
            }
        }
    }

    fn blame(&mut self, peer: PeerId, what: &'static str) {
        self.sync.bodies.distrust(peer);
        self.out.push(Command::Fault { peer, what });
    }

    /// The current height may be decided by what the headers prove: its proposal may be here already.
    fn certify_height(&mut self, now: TimeMs) {
        let top = self.sync.window.top_commit().filter(|commit| commit.height == self.height());
        if let Some(commit) = top.cloned() {
            self.tsdc.certificate(now, commit);
        }
    }

    /// Blocks from a peer. Those that were asked for and are of the chain are checked; the rest cost nothing.
    pub(super) fn blocks(&mut self, now: TimeMs, from: PeerId, blocks: Vec<SealedBlock>) {
        let Some(first) = blocks.first().map(|sealed| sealed.block.header.height) else { return };
        let is_wanted = self.sync.bodies.answered(now, from, first)
            || (self.sync.direct.answered(from) && self.learn_from_blocks(now, from, &blocks));
        if !is_wanted {
            return;
        }
        let mut to_check: Vec<BlockToCheck> = Vec::new();
        for sealed in blocks {
            let height = sealed.block.header.height;
            let follows = to_check.last().is_none_or(|last| last.sealed.block.header.height.next() == height);
            if height < self.height() || !follows {
                continue;
            }
            let Some(known) = self.sync.window.get(height) else { break };
            if known.hash != sealed.block.header.hash() {
                self.blame(from, "a block that is not in the chain");
                break;
            }
            let (signers, seed) = (known.signers.clone(), known.seed);
            let parent = height.previous().and_then(|parent| self.sync.window.get(parent));
            let parent_signers =
                parent.map_or_else(|| self.ledger.tip().signers.clone(), |known| known.signers.clone());
            if self.sync.bodies.check(height, encoded_size(&sealed)) {
                to_check.push(BlockToCheck { sealed, signers, parent_signers, seed });
            }
        }
        if !to_check.is_empty() {
            self.out.push(Command::CheckBlocks { from, blocks: to_check });
        }
    }

    /// Blocks that were asked for without their headers bring them along, each with its commit. Whether any is of use.
    fn learn_from_blocks(&mut self, now: TimeMs, from: PeerId, blocks: &[SealedBlock]) -> bool {
        for SealedBlock { block, commit } in blocks {
            if block.header.height <= self.sync.window.target() {
                continue;
            }
            if self.sync.window.room() == 0 || block.header.height != self.sync.window.target().next() {
                break;
            }
            let (header, hash) = (block.header.clone(), block.header.hash());
            if commit.block_hash != hash || commit.height != header.height {
                self.blame(from, "a block with the commit of another");
                return false;
            }
            let header = ReceivedHeader { header, hash, commit: commit.clone(), next_set: None };
            if !self.learn_headers(from, vec![header]) {
                return false;
            }
        }
        self.certify_height(now);
        true
    }

    /// What became of blocks that were to be checked.
    pub(super) fn blocks_checked(
        &mut self,
        from: PeerId,
        (first, count): (Height, u32),
        blocks: Result<Vec<CheckedBlock>, BadPart>,
    ) {
        match blocks {
            Ok(blocks) => blocks.into_iter().for_each(|block| self.sync.bodies.checked(from, block)),
            Err(BadPart { what, .. }) => self.blame(from, what),
        }
        // What is good is here by now.
        let heights = first.get()..first.get().saturating_add(u64::from(count));
        self.sync.bodies.unchecked(heights.map(Height::new));
    }

    /// Whether the store keeps up, so that more blocks may wait for it.
    fn has_room_before_store(&self) -> bool {
        let waiting = self.unapplied.iter().map(|block| block.changes.txids.len()).sum::<usize>();
        self.unapplied.len() < MAX_UNSTORED_BLOCKS && waiting < MAX_UNSTORED_TXS
    }

    /// Executes and applies the blocks that are here and follow the tip, a bounded number at a time.
    pub(super) fn apply_checked(&mut self, now: TimeMs) {
        let (mut blocks, mut txs) = (0, 0usize);
        while blocks < MAX_EXECUTED_BLOCKS_A_STEP && txs < MAX_EXECUTED_TXS_A_STEP && self.has_room_before_store() {
            let Some((from, CheckedBlock { block, commit })) = self.sync.bodies.take(self.height()) else { return };
            // The tip may be another one than when it was asked for.
            if self.sync.window.get(self.height()).is_none_or(|known| known.hash != commit.block_hash) {
                return;
            }
            (blocks, txs) = (blocks + 1, txs.saturating_add(block.txs.len()));
            match self.execute_checked(&block) {
                Ok(block) => {
                    self.apply(now, block, commit);
                    self.certify_height(now);
                }
                Err(BadBlock::Tampered(part)) => return self.blame(from, part),
                // A block that its set committed and that breaks a rule can only come from a Byzantine third (or a fault of
                // this node): no further.
                Err(BadBlock::Invalid(reason)) => {
                    return self.raise(Alarm::InvalidCommit { height: self.height(), reason });
                }
            }
        }
    }

    /// Executes a block as received, whose header a commit names.
    ///
    /// # Errors
    /// [`BadBlock`]: only an invalid one says anything about who committed it.
    pub(super) fn execute_received(&self, received: &ReceivedBlock) -> Result<CommittedBlock, BadBlock> {
        match received.part_unlike_header() {
            Some(part) => Err(BadBlock::Tampered(part)),
            None => self.execute_checked(received),
        }
    }

    /// Executes a block whose parts are those of its header.
    ///
    /// # Errors
    /// [`BadBlock`].
    fn execute_checked(&self, received: &ReceivedBlock) -> Result<CommittedBlock, BadBlock> {
        let last_commit = self
            .check_last_commit(received.last_commit.as_ref())
            .ok_or_else(|| BadBlock::Invalid("the parent's commit does not verify".to_owned()))?;
        let body = BlockBody {
            slot: received.header.slot,
            proposer: received.header.proposer,
            txs: &received.txs,
            last_commit: last_commit.as_ref(),
            evidence: &received.evidence,
            vdf: received.vdf.as_ref(),
        };
        let executed = self.execute(&body).map_err(|e| {
            // Witnesses and the proof of the delay function are outside the header: whoever sent them may have made them.
            if is_outside_header(&e) {
                BadBlock::Tampered("a witness or the delay proof")
            } else {
                BadBlock::Invalid(e.to_string())
            }
        })?;
        executed.check(&received.header).map_err(|e| BadBlock::Invalid(e.to_string()))?;
        let txs = executed.coinbase.clone().into_iter().chain(received.txs.iter().map(|tx| tx.tx().clone()));
        let block = Block {
            header: received.header.clone(),
            txs: txs.collect(),
            last_commit: received.last_commit.clone(),
            evidence: received.evidence.iter().map(|e| (**e).clone()).collect(),
            vdf: received.vdf.clone(),
        };
        Ok(CommittedBlock { block, commit: received.commit.clone(), changes: executed.changes })
    }
}
