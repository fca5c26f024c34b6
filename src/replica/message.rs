//! What nodes tell each other about payments and blocks, and the one door through which it comes in.
//!
//! [`Message`] is what a peer sent: bytes that decoded. [`verify`], or [`verify_all`] for many, turns it into a [`VerifiedMessage`], the only form
//! the replica takes. What cannot be judged without the state (a commit, whose signers stand in the order of a
//! validator set) is checked by the replica with the same [`Verifier`].

mod batch;
mod check;
mod past;
mod sealed;

pub use batch::verify_all;
pub use check::{BadPart, BlockToCheck, CheckedBlock, check_blocks};
pub use past::HistoryRequest;
pub use sealed::{ReceivedBlock, ReceivedHeader, SealedBlock, SealedHeader};

use crate::crypto::vdf::beacon;
use crate::ledger::VerifiedTx;
use crate::ledger::rules::TxError;
use crate::ledger::snapshot::Manifest;
use crate::ledger::verify::{Verifier, VerifyError};
use crate::limits::{
    MAX_BLOCKS_PER_MESSAGE, MAX_MESSAGE_BYTES, MAX_OFFERS_PER_MESSAGE, MAX_QUERY_TXIDS, MAX_REQUEST_TXIDS,
    MAX_TOLD_LINKS,
};
use crate::snowball::Answer;
use crate::types::block::{BftVote, Commit, Proposal, commit_root, tx_root};
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::keys::{PublicKey, Signature};
use crate::types::merkle;
use crate::types::number::{Epoch, Height};
use crate::types::presence::Presence;
use crate::types::transaction::{HashedTx, Transaction};
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use bincode::{Decode, Encode};
use std::sync::Arc;

/// What one node tells another (`protocol.md` 10; handshake and addresses belong to the network layer).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Message {
    /// Heartbeat: the sender's tip, and what it can be asked for.
    Status {
        /// Height of the tip.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// The lowest height from which on the sender has blocks.
        lowest: Height,
    },
    /// "I have these transactions."
    TxAnnounce(Vec<Txid>),
    /// "Send me these transactions."
    GetTxs(Vec<Txid>),
    /// Transactions, asked for or new.
    Txs(Vec<Transaction>),
    /// One round of Snowball for several transactions.
    SampleQuery {
        /// The asker's number for this question.
        query: u64,
        /// What it asks about.
        txids: Vec<Txid>,
    },
    /// The answers, in the order of the question.
    SampleResponse {
        /// The asker's number.
        query: u64,
        /// One a transaction.
        answers: Vec<Answer>,
    },
    /// Votes or receipts.
    Votes(VoteBatch),
    /// "Send me the batches of this epoch that hold these transactions."
    GetVotes {
        /// The epoch.
        epoch: Epoch,
        /// The transactions.
        txids: Vec<Txid>,
    },
    /// A block is offered.
    Proposal(Box<Proposal>),
    /// A prepare or precommit.
    BftVote(BftVote),
    /// A height is decided.
    Commit(Commit),
    /// "Send me these blocks, as many of them as fit."
    GetBlocks {
        /// First height wanted.
        from: Height,
        /// How many, at most [`MAX_BLOCKS_PER_MESSAGE`].
        count: u32,
    },
    /// Blocks of consecutive heights.
    Blocks(Vec<SealedBlock>),
    /// A double signature.
    Evidence(Box<Evidence>),
    /// "Send me headers from this height on, as many as fit."
    GetHeaders {
        /// First height wanted.
        from: Height,
    },
    /// Headers of consecutive heights.
    Headers(Vec<SealedHeader>),
    /// "Send me the blocks that closed the epochs from this one on, as many as fit."
    GetEpochs {
        /// First epoch wanted.
        from: Epoch,
    },
    /// Blocks that closed consecutive epochs, each with the next set if it is another one; none if the sender knows none.
    Epochs(Vec<SealedHeader>),
    /// "Send me the manifest of a snapshot."
    GetSnapshot {
        /// Height of its block; `None`: the newest you have.
        height: Option<Height>,
    },
    /// A snapshot's manifest, if the sender has it.
    SnapshotManifest(Option<Box<Manifest>>),
    /// "Send me a chunk of a snapshot."
    GetSnapshotChunk {
        /// Height of its block.
        height: Height,
        /// Which chunk.
        index: u32,
    },
    /// A chunk of a snapshot.
    SnapshotChunk {
        /// Height of its block.
        height: Height,
        /// Which chunk.
        index: u32,
        /// The chunk, if the sender has it.
        bytes: Option<Vec<u8>>,
    },
    /// "These masternodes are at the other ends of my links": what they sign need not be passed on to the sender.
    Links(Vec<PublicKey>),
    /// "I have the votes and proposals with these signatures."
    IHave(Vec<Signature>),
    /// "Send me those with these signatures."
    IWant(Vec<Signature>),
    /// "This run of a node holds the key."
    Presence(Presence),
}

crate::wire!(Message, MAX_MESSAGE_BYTES, 4 * MAX_MESSAGE_BYTES);

impl ReceivedBlock {
    /// The first part that is not what the header names; `None` if all are.
    pub(super) fn part_unlike_header(&self) -> Option<&'static str> {
        let coinbase = self.coinbase.iter().map(|tx| tx.body.txid());
        let txids: Vec<Txid> = coinbase.chain(self.txs.iter().map(|tx| tx.txid())).collect();
        let evidence: Vec<Hash> = self.evidence.iter().map(|e| e.hash()).collect();
        let header = &self.header;
        if tx_root(&txids) != header.tx_root {
            Some("the list of transactions")
        } else if commit_root(self.last_commit.as_ref()) != header.last_commit_root {
            Some("the parent's commit")
        } else if merkle::root(evidence.iter().map(Hash::as_bytes)) != header.evidence_root {
            Some("the evidence")
        } else if self.vdf.as_ref().is_some_and(|vdf| beacon(vdf) != header.beacon) {
            Some("the delay function's output")
        } else {
            None
        }
    }
}

/// A message that passed every check that needs no state.
#[allow(clippy::large_enum_variant)] // Moved once, never stored in bulk.
#[derive(Clone, Debug)]
pub enum VerifiedMessage {
    /// See [`Message::Status`].
    Status {
        /// Height of the tip.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// The lowest height from which on the sender has blocks.
        lowest: Height,
    },
    /// See [`Message::TxAnnounce`].
    TxAnnounce(Vec<Txid>),
    /// See [`Message::GetTxs`].
    GetTxs(Vec<Txid>),
    /// See [`Message::Txs`].
    Txs(Vec<VerifiedTx>),
    /// See [`Message::SampleQuery`].
    SampleQuery {
        /// The asker's number.
        query: u64,
        /// What it asks about.
        txids: Vec<Txid>,
    },
    /// See [`Message::SampleResponse`].
    SampleResponse {
        /// The asker's number.
        query: u64,
        /// One a transaction.
        answers: Vec<Answer>,
    },
    /// See [`Message::Votes`].
    Votes(Arc<Verified<VoteBatch>>),
    /// See [`Message::GetVotes`].
    GetVotes {
        /// The epoch.
        epoch: Epoch,
        /// The transactions.
        txids: Vec<Txid>,
    },
    /// See [`Message::Proposal`].
    Proposal(Arc<Verified<Proposal>>),
    /// See [`Message::BftVote`].
    BftVote(Arc<Verified<BftVote>>),
    /// See [`Message::Commit`]; still to be checked against its set.
    Commit(Commit),
    /// See [`Message::GetBlocks`].
    GetBlocks {
        /// First height wanted.
        from: Height,
        /// How many.
        count: u32,
    },
    /// See [`Message::Blocks`]; nothing in them is checked before the replica says what they have to be.
    Blocks(Vec<SealedBlock>),
    /// See [`Message::Evidence`].
    Evidence(Verified<Evidence>),
    /// See [`Message::GetHeaders`].
    GetHeaders {
        /// First height wanted.
        from: Height,
    },
    /// See [`Message::Headers`]; commits still to be checked against their sets.
    Headers(Vec<ReceivedHeader>),
    /// A question about the past whose answer needs the store.
    AboutHistory(HistoryRequest),
    /// See [`Message::Links`].
    Links(Vec<PublicKey>),
    /// See [`Message::IHave`].
    IHave(Vec<Signature>),
    /// See [`Message::IWant`].
    IWant(Vec<Signature>),
    /// See [`Message::Presence`].
    Presence(Verified<Presence>),
}

/// Why a message is refused: a provable fault of who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// A list longer than the protocol allows, or empty where it may not be.
    #[error("{what}: {len} entries, 1 to {limit} allowed")]
    BadLength {
        /// Which list.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The most allowed.
        limit: usize,
    },
    /// A transaction breaks a rule that needs no state.
    #[error("transaction {txid}: {reason}")]
    Transaction {
        /// Which one.
        txid: Txid,
        /// What it breaks.
        reason: TxError,
    },
    /// A signature or the shape of a signed message is bad.
    #[error(transparent)]
    Signed(#[from] VerifyError),
    /// A block's first transaction is a coinbase exactly when the others are not.
    #[error("block {0}: a coinbase out of place")]
    Coinbase(Height),
    /// An answer that only who begins with a snapshot asks for.
    #[error("{0}, which nobody asked for")]
    Unasked(&'static str),
    /// A header among others that does not fit them, or that comes with a set it does not name.
    #[error("header {height} {what}")]
    Header {
        /// Its height.
        height: Height,
        /// What is wrong.
        what: &'static str,
    },
}

fn bounded<T>(what: &'static str, list: &[T], limit: usize) -> Result<(), MessageFault> {
    if list.is_empty() || list.len() > limit {
        return Err(MessageFault::BadLength { what, len: list.len(), limit });
    }
    Ok(())
}

/// Checks everything about `message` that needs no state.
///
/// # Errors
/// [`MessageFault`]: the sender is provably at fault.
pub fn verify(verifier: &Verifier, message: Message) -> Result<VerifiedMessage, MessageFault> {
    Ok(match message {
        Message::Status { height, hash, lowest } => VerifiedMessage::Status { height, hash, lowest },
        Message::TxAnnounce(txids) => {
            bounded("announced transactions", &txids, MAX_REQUEST_TXIDS)?;
            VerifiedMessage::TxAnnounce(txids)
        }
        Message::GetTxs(txids) => {
            bounded("transactions asked for", &txids, MAX_REQUEST_TXIDS)?;
            VerifiedMessage::GetTxs(txids)
        }
        Message::Txs(txs) => {
            bounded("transactions", &txs, MAX_REQUEST_TXIDS)?;
            VerifiedMessage::Txs(verify_transactions(verifier, txs)?)
        }
        Message::SampleQuery { query, txids } => {
            bounded("sampled transactions", &txids, MAX_QUERY_TXIDS)?;
            VerifiedMessage::SampleQuery { query, txids }
        }
        Message::SampleResponse { query, answers } => {
            bounded("answers", &answers, MAX_QUERY_TXIDS)?;
            VerifiedMessage::SampleResponse { query, answers }
        }
        Message::Votes(batch) => VerifiedMessage::Votes(Arc::new(verifier.vote_batch(batch)?)),
        Message::GetVotes { epoch, txids } => {
            bounded("transactions asked for", &txids, MAX_REQUEST_TXIDS)?;
            VerifiedMessage::GetVotes { epoch, txids }
        }
        Message::Proposal(proposal) => VerifiedMessage::Proposal(Arc::new(verifier.proposal(*proposal)?)),
        Message::BftVote(vote) => VerifiedMessage::BftVote(Arc::new(verifier.bft_vote(vote)?)),
        Message::Commit(commit) => VerifiedMessage::Commit(commit),
        Message::GetBlocks { from, count } => {
            if count == 0 || count as usize > MAX_BLOCKS_PER_MESSAGE {
                let (what, len, limit) = ("blocks asked for", count as usize, MAX_BLOCKS_PER_MESSAGE);
                return Err(MessageFault::BadLength { what, len, limit });
            }
            VerifiedMessage::GetBlocks { from, count }
        }
        Message::Blocks(blocks) => {
            bounded("blocks", &blocks, MAX_BLOCKS_PER_MESSAGE)?;
            VerifiedMessage::Blocks(blocks)
        }
        Message::Evidence(evidence) => VerifiedMessage::Evidence(verifier.evidence(*evidence)?),
        Message::GetHeaders { from } => VerifiedMessage::GetHeaders { from },
        Message::GetEpochs { from } => VerifiedMessage::AboutHistory(HistoryRequest::Epochs { from }),
        Message::GetSnapshot { height } => VerifiedMessage::AboutHistory(HistoryRequest::Manifest { height }),
        Message::GetSnapshotChunk { height, index } => {
            VerifiedMessage::AboutHistory(HistoryRequest::Chunk { height, index })
        }
        // A joiner asks for these before there is a replica, over links of its own.
        Message::Epochs(_) => return Err(MessageFault::Unasked("ends of epochs")),
        Message::SnapshotManifest(_) | Message::SnapshotChunk { .. } => {
            return Err(MessageFault::Unasked("a part of a snapshot"));
        }
        Message::Headers(headers) => VerifiedMessage::Headers(sealed::verify_headers(verifier, headers)?),
        Message::Links(keys) if keys.is_empty() => VerifiedMessage::Links(keys),
        Message::Links(keys) => {
            bounded("links to masternodes", &keys, MAX_TOLD_LINKS)?;
            VerifiedMessage::Links(keys)
        }
        Message::IHave(signatures) => {
            bounded("signatures announced", &signatures, MAX_OFFERS_PER_MESSAGE)?;
            VerifiedMessage::IHave(signatures)
        }
        Message::IWant(signatures) => {
            bounded("signatures asked for", &signatures, MAX_OFFERS_PER_MESSAGE)?;
            VerifiedMessage::IWant(signatures)
        }
        Message::Presence(presence) => VerifiedMessage::Presence(verifier.presence(presence)?),
    })
}

fn verify_transactions(verifier: &Verifier, txs: Vec<Transaction>) -> Result<Vec<VerifiedTx>, MessageFault> {
    let hashed: Vec<HashedTx> = txs.into_iter().map(HashedTx::new).collect();
    let txids: Vec<Txid> = hashed.iter().map(HashedTx::txid).collect();
    let results = verifier.transactions(hashed).into_iter().zip(txids);
    results.map(|(result, txid)| result.map_err(|reason| MessageFault::Transaction { txid, reason })).collect()
}

/// Verifies the transactions and the evidence of a block; the header and the commits need the state.
///
/// # Errors
/// [`MessageFault`]: the sender is provably at fault.
pub fn verify_block(verifier: &Verifier, sealed: SealedBlock) -> Result<ReceivedBlock, MessageFault> {
    let SealedBlock { block, commit } = sealed;
    let mut txs = block.txs;
    let opens = txs.first().is_some_and(|tx| tx.body.is_coinbase());
    let coinbase = opens.then(|| txs.remove(0));
    if txs.iter().any(|tx| tx.body.is_coinbase()) {
        return Err(MessageFault::Coinbase(block.header.height));
    }
    let evidence: Result<Vec<_>, _> = block.evidence.into_iter().map(|e| verifier.evidence(e)).collect();
    Ok(ReceivedBlock {
        header: block.header,
        coinbase,
        txs: verify_transactions(verifier, txs)?,
        last_commit: block.last_commit,
        evidence: evidence?,
        vdf: block.vdf,
        commit,
    })
}
