//! What goes into a replica and what comes out.
//!
//! **Durable before visible.** Writes carry a sequence number. The shell appends them in order, syncs, and says
//! [`Input::Flushed`]; the replica holds back whatever depends on a write until then, and a signature does not exist
//! before its record in `votes.log` is synced: [`Input::Signed`] is how the replica first sees it. So every
//! [`Command::Send`], [`Command::Broadcast`] and [`Command::Notify`] may run the moment it is read.

use super::message::HistoryRequest;
use super::message::{BadPart, BlockToCheck, CheckedBlock, Message, SealedBlock, VerifiedMessage, check_blocks};
use crate::ledger::VerifiedTx;
use crate::ledger::execute::BlockChanges;
use crate::ledger::rejection::Rejection;
use crate::ledger::verify::Verifier;
use crate::signer::{Refusal, Said, SignRequest};
use crate::types::block::{BftKind, BftVote, Block, Commit, PrepareProof, Proposal, VdfProof};
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Height, View};
use crate::types::presence::Claim;
use crate::types::transaction::Transaction;
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// A link to another node, named by the shell; a reconnected peer has a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u64);

/// Position of a write among all writes of this run, from 1 on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WriteSeq(pub u64);

/// What this masternode signed, checked like anybody's message.
#[derive(Clone, Debug)]
pub enum OwnMessage {
    /// Votes or receipts.
    Votes(Arc<Verified<VoteBatch>>),
    /// A proposal.
    Proposal(Arc<Verified<Proposal>>),
    /// A prepare or precommit.
    Bft(Arc<Verified<BftVote>>),
}

impl OwnMessage {
    /// As the signer is told it.
    pub fn as_said(&self) -> Said<'_> {
        match self {
            Self::Votes(batch) => Said::Votes(batch),
            Self::Proposal(proposal) => Said::Proposal(proposal),
            Self::Bft(vote) => Said::Bft(vote),
        }
    }
}

/// What happens to a replica.
#[allow(clippy::large_enum_variant)] // Moved once, never stored in bulk.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed; due after [`super::Replica::next_wake`].
    Tick,
    /// A link is up; `key` if the peer proved that it holds this consensus key.
    Connected {
        /// The link.
        peer: PeerId,
        /// The masternode at its end.
        key: Option<PublicKey>,
    },
    /// A link is down.
    Disconnected {
        /// The link.
        peer: PeerId,
    },
    /// A peer said something.
    Message {
        /// Which peer.
        from: PeerId,
        /// What.
        message: VerifiedMessage,
    },
    /// A user handed in a transaction.
    Submit(VerifiedTx),
    /// The signer's record is synced and the signature exists.
    Signed(OwnMessage),
    /// The signer's guard refused.
    Refused {
        /// What was asked.
        request: SignRequest,
        /// Why not.
        reason: Refusal,
    },
    /// What became of blocks that were to be checked.
    BlocksChecked {
        /// Who sent them.
        from: PeerId,
        /// The height of the first, and how many they are.
        heights: (Height, u32),
        /// The blocks, or what is wrong with one of them.
        blocks: Result<Vec<CheckedBlock>, BadPart>,
    },
    /// Every write up to and including this one is synced.
    Flushed(WriteSeq),
    /// The store answers for blocks up to this height, durably.
    Applied(Height),
    /// Whether the clock that `now` comes from is plainly wrong: nothing is signed by it.
    ClockIsWrong(bool),
    /// The delay function is done.
    Vdf {
        /// Its seed.
        seed: Hash,
        /// Output and proof.
        proof: Box<VdfProof>,
    },
}

impl Input {
    /// Checks blocks as [`Command::CheckBlocks`] wants it.
    pub fn of_checked(verifier: &Verifier, from: PeerId, blocks: Vec<BlockToCheck>) -> Self {
        let first = blocks.first().map_or(Height::ZERO, |block| block.sealed.block.header.height);
        let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        Self::BlocksChecked { from, heights: (first, count), blocks: check_blocks(verifier, blocks) }
    }
}

/// A block that is final, with what it changes.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// The block.
    pub block: Block,
    /// Its commit.
    pub commit: Commit,
    /// What the store has to do.
    pub changes: Arc<BlockChanges>,
}

impl CommittedBlock {
    /// The precommit of this key in the block's commit.
    pub fn precommit_of(&self, key: &PublicKey) -> Option<BftVote> {
        let Commit { height, view, block_hash, signatures } = &self.commit;
        let position = self.changes.state.signers.position(key)?;
        let signature = (*signatures.get(position)?)?;
        let (kind, block_hash) = (BftKind::Precommit, Some(*block_hash));
        Some(BftVote { height: *height, view: *view, kind, block_hash, voter: *key, signature })
    }
}

/// What has to survive a crash besides what was signed. Appended to the journal in order.
///
/// Replaying all records since a block, in order, gives back every promise made since.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum JournalRecord {
    /// A transaction that is certified, or stands in a block this masternode may be locked on.
    Tx(Transaction),
    /// Votes or receipts behind a certificate or a final payment.
    Votes(VoteBatch),
    /// A proposal this masternode prepared or precommitted.
    Proposal(Proposal),
    /// Prepares of a quorum behind a lock.
    Prepares {
        /// Height of the lock.
        height: Height,
        /// The block locked on.
        block_hash: BlockHash,
        /// The prepares.
        proof: PrepareProof,
    },
    /// A final block.
    Block(SealedBlock),
}

crate::wire!(JournalRecord, crate::limits::MAX_BLOCK_WIRE_BYTES + 64, 4 * crate::limits::MAX_BLOCK_WIRE_BYTES);

/// What a user may be told. Sent only after what it says is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Valid, and being sampled.
    Admitted(Txid),
    /// Refused, or dropped later.
    Rejected {
        /// Which transaction.
        txid: Txid,
        /// Why.
        reason: Rejection,
    },
    /// Snowball accepted it here, for the first time in this epoch. It promises nothing, and a payment whose votes come
    /// first is never accepted.
    Accepted(Txid),
    /// Votes of a quorum.
    Certified {
        /// The payment.
        txid: Txid,
        /// The epoch whose set signed. It may have closed when this is told.
        epoch: Epoch,
    },
    /// Receipts of a quorum: final in this epoch.
    Finalized {
        /// The payment.
        txid: Txid,
        /// The epoch whose set signed.
        epoch: Epoch,
    },
    /// A block is final.
    BlockCommitted {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// Its transactions, coinbase included.
        txids: Vec<Txid>,
    },
    /// The height entered this view.
    ViewChanged {
        /// The height.
        height: Height,
        /// The view.
        view: View,
    },
    /// A third of the weight is Byzantine: this node signs nothing any more.
    Alarm(Alarm),
}

/// What only a Byzantine third of the weight can bring about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// Two rivals were certified in one epoch.
    RivalCertificates {
        /// One.
        one: Txid,
        /// The other.
        other: Txid,
    },
    /// A payment that was final here is not in the chain when its epoch closed.
    FinalNotArchived(Txid),
    /// A block with a valid commit that breaks a rule of validity.
    InvalidCommit {
        /// Its height.
        height: Height,
        /// Which rule.
        reason: String,
    },
}

/// What the shell has to do, in order.
#[allow(clippy::large_enum_variant)] // Moved once, never stored in bulk.
#[derive(Clone, Debug)]
pub enum Command {
    /// Append to the journal.
    Write {
        /// Its number.
        seq: WriteSeq,
        /// The record.
        record: Box<JournalRecord>,
    },
    /// Apply to the store a block that the journal has already: after a restart.
    Apply(Arc<CommittedBlock>),
    /// Append the block to the journal and, once that is synced, apply it to the store: a store that is ahead of its
    /// journal would let what is written next stand behind a block that a crash can still take back.
    Commit {
        /// Its number.
        seq: WriteSeq,
        /// The block.
        block: Arc<CommittedBlock>,
    },
    /// Ask the signer; its record goes to `votes.log` under this number.
    Sign {
        /// Its number.
        seq: WriteSeq,
        /// What to sign.
        request: SignRequest,
    },
    /// A message that this node's key signed came from a peer: further than any before, of this height and this epoch, zero
    /// where it speaks of none. Matters to a masternode whose `votes.log` is lost.
    OwnHeard {
        /// Highest height.
        height: Height,
        /// Highest epoch.
        epoch: Epoch,
    },
    /// While this node may sign, a peer sent what its key signed. The signer knows whether it did ([`crate::signer::Signer::hears`]).
    OwnSaid(OwnMessage),
    /// Sign this with the key, and send it to all peers. It promises nothing, so no record is needed.
    Claim(Claim),
    /// Another run signs with the key: this one signs nothing more.
    KeyElsewhere,
    /// Tell the signer what a block archived, and that the epoch closed if it did.
    SignerBlock {
        /// The block's transactions.
        txids: Arc<Vec<Txid>>,
        /// The epoch it closed.
        closed: Option<Epoch>,
    },
    /// To one peer.
    Send {
        /// Which.
        to: PeerId,
        /// What.
        message: Arc<Message>,
    },
    /// Look up what a peer asks of the past, and send it, see [`super::history::answer`]. It need not be done at once, and a
    /// shell with too much of it may leave it: who gets no answer asks somebody else.
    Serve {
        /// Who asks.
        to: PeerId,
        /// For what.
        request: HistoryRequest,
    },
    /// Check these blocks of consecutive heights, see [`super::message::check_blocks`], and say what became of them. It need
    /// not be done at once.
    CheckBlocks {
        /// Who sent them.
        from: PeerId,
        /// The blocks.
        blocks: Vec<BlockToCheck>,
    },
    /// A peer sent what it can only have made wrong itself.
    Fault {
        /// Which.
        peer: PeerId,
        /// What.
        what: &'static str,
    },
    /// To every peer.
    Broadcast(Arc<Message>),
    /// Evaluate the delay function in the background; a newer one replaces it.
    ComputeVdf {
        /// Its seed.
        seed: Hash,
        /// Squarings.
        iterations: u64,
    },
    /// Tell users.
    Notify(Event),
}
