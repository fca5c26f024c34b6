//! Catching up: blocks that others have and this node lacks, taken in order, each behind its commit.

use super::Replica;
use super::command::{Alarm, Command, CommittedBlock, PeerId};
use super::message::{Message, ReceivedBlock};
use crate::ledger::execute::{BlockBody, BlockError};
use crate::ledger::rejection::Rejection;
use crate::limits::{MAX_BLOCKS_PER_MESSAGE, SYNC_RETRY_MS};
use crate::types::block::{Block, Commit};
use crate::types::number::{Height, TimeMs};
use crate::types::verified::Verified;

/// Blocks asked for at a time.
const MAX_BLOCKS_ASKED: u32 = MAX_BLOCKS_PER_MESSAGE as u32;

/// What is asked for, and whether a peer has proved that this node is behind.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// A commit of the current height whose block is not here.
    awaited: Option<Verified<Commit>>,
    asked: Option<(PeerId, TimeMs)>,
    last_peer: Option<PeerId>,
}

impl Sync {
    pub(super) fn await_block(&mut self, commit: Verified<Commit>) {
        self.awaited = Some(commit);
    }

    pub(super) fn awaited(&self) -> Option<&Verified<Commit>> {
        self.awaited.as_ref()
    }

    /// A higher commit was proved: neither votes nor proposals until its block is here.
    pub(super) fn is_behind(&self) -> bool {
        self.awaited.is_some()
    }

    pub(super) fn caught_up_to(&mut self, height: Height) {
        if self.awaited.as_ref().is_some_and(|c| c.height <= height) {
            self.awaited = None;
        }
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

/// What became of a block from a peer.
enum Taken {
    /// It is the tip.
    Yes,
    /// It does not follow the tip, or nobody may go further.
    No,
    /// Its sender made it wrong: what a quorum signed says otherwise.
    Faulty(&'static str),
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
    pub(super) fn own_status(&self) -> Message {
        let tip = self.ledger.tip();
        Message::Status { height: tip.header.height, hash: tip.hash, lowest: self.store.lowest_block() }
    }

    pub(super) fn heard_commit(&mut self, now: TimeMs, commit: Commit) {
        if commit.height != self.height() {
            return;
        }
        let set = self.set();
        if let Ok(commit) = self.verifier.commit(commit, &set) {
            self.tsdc.certificate(now, commit);
        }
    }

    /// Asks a peer for blocks if one has more and none is being asked.
    pub(super) fn continue_sync(&mut self, now: TimeMs) {
        let tip = self.ledger.tip().header.height;
        let patient = self
            .sync
            .asked
            .is_some_and(|(peer, at)| self.peers.contains(peer) && now.since(at) < SYNC_RETRY_MS && at <= now);
        if patient {
            return;
        }
        let last = self.sync.last_peer;
        let above: Vec<PeerId> = self.peers.with_block(tip.next()).collect();
        let next = above.iter().copied().find(|p| Some(*p) > last).or_else(|| above.first().copied());
        let next = next.or_else(|| if self.sync.is_behind() { self.peers.after(last) } else { None });
        self.sync.asked = next.map(|peer| (peer, now));
        if let Some(peer) = next {
            self.sync.last_peer = Some(peer);
            self.out.send(peer, Message::GetBlocks { from: tip.next(), count: MAX_BLOCKS_ASKED });
        }
    }

    /// Blocks from a peer: applied in order as far as they follow the tip.
    pub(super) fn blocks(&mut self, now: TimeMs, from: PeerId, blocks: Vec<ReceivedBlock>) {
        if self.sync.asked.is_some_and(|(peer, _)| peer == from) {
            self.sync.asked = None;
        }
        for received in blocks {
            if received.header.height < self.height() {
                continue;
            }
            match self.take_block(now, received) {
                Taken::Yes => {}
                Taken::No => return,
                Taken::Faulty(what) => return self.out.push(Command::Fault { peer: from, what }),
            }
        }
    }

    /// Applies a block that has its commit, if it follows the tip. A block that its set committed and that breaks
    /// a rule can only come from a Byzantine third (or a fault of this node): an alarm, and no further.
    fn take_block(&mut self, now: TimeMs, received: ReceivedBlock) -> Taken {
        if received.header.height != self.height() {
            return Taken::No;
        }
        if received.commit.block_hash != received.header.hash() {
            return Taken::Faulty("a block with the commit of another");
        }
        let set = self.set();
        let Ok(commit) = self.verifier.commit(received.commit.clone(), &set) else {
            return Taken::Faulty("a block without a commit of its set");
        };
        match self.execute_received(&received) {
            Ok(block) => {
                self.apply(now, block, commit);
                Taken::Yes
            }
            Err(BadBlock::Tampered(part)) => Taken::Faulty(part),
            Err(BadBlock::Invalid(reason)) => {
                self.raise(Alarm::InvalidCommit { height: received.header.height, reason });
                Taken::No
            }
        }
    }

    /// Executes a block as received, whose header a commit names.
    ///
    /// # Errors
    /// [`BadBlock`]: only an invalid one says anything about who committed it.
    pub(super) fn execute_received(&self, received: &ReceivedBlock) -> Result<CommittedBlock, BadBlock> {
        if let Some(part) = received.part_unlike_header() {
            return Err(BadBlock::Tampered(part));
        }
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
