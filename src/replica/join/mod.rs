//! Beginning with a snapshot: a node without a chain gets the state as of a late block from its peers and believes none
//! of them (`protocol.md` 9).
//!
//! 1. *Epochs*: from the set of genesis on, the block that closed each epoch names the set of the next ([`epochs`]). Peers
//!    are asked in turn until none knows a further one.
//! 2. *Checkpoint*, if the operator has one: the block at its height, signed by the set of its epoch, has its hash.
//! 3. *Offers*: every peer names its newest snapshot. One counts if its block is among those that closed the last epochs.
//!    What honest nodes offer is the same to the byte, so the offer of most peers is tried first.
//! 4. *Chunks* of it, from all who offer it, several at a time; each has to hash to what the manifest says.
//! 5. The sum of all has to be the state root of the block. If not, everybody who offered it is at fault, and another
//!    offer is tried.
//!
//! A state machine like the replica's: [`Joiner::step`] takes what happened and says what to do. What is on disk is the
//! shell's: after a restart it goes on with the chunks that it has.

mod chunks;
pub mod epochs;
mod offers;
mod peer;

use super::command::PeerId;
use super::message::{Message, SealedHeader};
use crate::chain::spec::{Chain, SpecError};
use crate::ledger::snapshot::{CheckedManifest, Manifest};
use crate::ledger::verify::Verifier;
use crate::limits::{JOIN_ENDS_KEPT, JOIN_RETRY_MS};
use crate::types::hash::{BlockHash, Hash};
use crate::types::number::{Epoch, Height, TimeMs};
use crate::types::validators::ValidatorSet;
use chunks::Download;
use epochs::{EpochChain, EpochError};
use peer::Peer;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What happens to a joiner.
#[derive(Clone, Debug)]
pub enum JoinInput {
    /// Time passed.
    Tick,
    /// A link is up.
    Connected(PeerId),
    /// A link is down.
    Disconnected(PeerId),
    /// A peer said something.
    Message {
        /// Which peer.
        from: PeerId,
        /// What.
        message: Message,
    },
    /// How many leading chunks of the snapshot that was begun are on disk.
    Held(usize),
    /// What came of adding up.
    Completed(Completion),
}

/// What comes of adding up the chunks of a snapshot that are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completion {
    /// They are the state of the block.
    Proved,
    /// They are what the manifest says, and not the state of the block.
    WrongState,
    /// The disk does not have what was put there: no peer's fault.
    Damaged,
}

/// What the shell has to do, in order.
#[derive(Clone, Debug)]
pub enum JoinCommand {
    /// To one peer.
    Send {
        /// Which.
        to: PeerId,
        /// What.
        message: Message,
    },
    /// A peer sent what it can only have made wrong itself.
    Fault {
        /// Which.
        peer: PeerId,
        /// What.
        what: &'static str,
    },
    /// Keep the end of the next epoch: who begins with this node needs it.
    KeepEpoch(Box<SealedHeader>),
    /// The ends of epochs that were kept are another chain's.
    ForgetEpochs,
    /// Begin to fetch this snapshot, or go on with it; answered by [`JoinInput::Held`].
    Begin(Arc<Manifest>),
    /// Keep the next chunk.
    Append(Vec<u8>),
    /// All chunks are there: compare their sum with the state root; answered by [`JoinInput::Completed`].
    Complete(CheckedManifest),
    /// Peers have been asked, and none has a snapshot.
    NobodyHasOne,
}

/// How far a joiner is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinProgress {
    /// Follows the sets: the epoch whose end is looked for.
    Epochs(Epoch),
    /// Waits for offers.
    Offers,
    /// Fetches.
    Chunks {
        /// Height of the snapshot's block.
        height: Height,
        /// Chunks on disk.
        held: usize,
        /// Chunks in all.
        chunks: usize,
        /// Bytes of all chunks.
        bytes: u64,
    },
    /// Adds up.
    Proving,
    /// The snapshot is proved.
    Done,
}

enum Stage {
    Epochs { asked: Option<(PeerId, TimeMs)> },
    Checkpoint { asked: Option<(PeerId, TimeMs)> },
    Offers { since: TimeMs },
    Chunks(Download),
    Proving(Hash),
    Done,
}

/// See the module.
pub struct Joiner {
    verifier: Arc<Verifier>,
    chain: Chain,
    epochs: EpochChain,
    /// The blocks that closed the last epochs, oldest first.
    ends: VecDeque<(Height, BlockHash)>,
    /// Peers whose word the epochs rest on.
    suppliers: BTreeSet<PeerId>,
    /// A block known from elsewhere, until it is found.
    checkpoint: Option<(Height, BlockHash)>,
    /// The set that signs the block of the checkpoint, once its epoch is known.
    checkpoint_set: Option<Arc<ValidatorSet>>,
    /// What an earlier run began to fetch.
    begun: Option<Arc<Manifest>>,
    peers: BTreeMap<PeerId, Peer>,
    offers: BTreeMap<Hash, CheckedManifest>,
    /// Manifests whose chunks were not the state.
    refused: BTreeSet<Hash>,
    stage: Stage,
    out: Vec<JoinCommand>,
}

impl Joiner {
    /// A joiner that knows the chain spec, a block the operator believes in, and what an earlier run kept: ends of epochs,
    /// which are checked again, and the snapshot that it began to fetch.
    ///
    /// # Errors
    /// What genesis says of the chain spec.
    pub fn new(
        chain: Chain,
        verifier: Arc<Verifier>,
        checkpoint: Option<(Height, BlockHash)>,
        (kept, begun): (Vec<SealedHeader>, Option<Manifest>),
    ) -> Result<Self, SpecError> {
        let mut joiner = Self {
            epochs: EpochChain::new(chain.clone())?,
            verifier,
            chain,
            ends: VecDeque::new(),
            suppliers: BTreeSet::new(),
            checkpoint,
            checkpoint_set: None,
            begun: begun.map(Arc::new),
            peers: BTreeMap::new(),
            offers: BTreeMap::new(),
            refused: BTreeSet::new(),
            stage: Stage::Epochs { asked: None },
            out: Vec::new(),
        };
        for end in kept {
            if joiner.extend(end).is_err() {
                joiner.start_over();
                break;
            }
        }
        Ok(joiner)
    }

    /// Takes one input; returns what has to be done, in order.
    pub fn step(&mut self, now: TimeMs, input: JoinInput) -> Vec<JoinCommand> {
        match input {
            JoinInput::Tick => {}
            JoinInput::Connected(peer) => drop(self.peers.insert(peer, Peer::default())),
            JoinInput::Disconnected(peer) => self.disconnected(peer),
            JoinInput::Message { from, message } => self.message(from, message),
            JoinInput::Held(held) => self.held(held),
            JoinInput::Completed(outcome) => self.completed(now, outcome),
        }
        self.settle(now);
        std::mem::take(&mut self.out)
    }

    /// How far it is.
    pub fn progress(&self) -> JoinProgress {
        match &self.stage {
            Stage::Epochs { .. } | Stage::Checkpoint { .. } => JoinProgress::Epochs(self.epochs.epoch()),
            Stage::Offers { .. } => JoinProgress::Offers,
            Stage::Chunks(download) => download.progress(),
            Stage::Proving(_) => JoinProgress::Proving,
            Stage::Done => JoinProgress::Done,
        }
    }

    fn send(&mut self, to: PeerId, message: Message) {
        self.out.push(JoinCommand::Send { to, message });
    }

    /// A peer at fault is asked for nothing more, even before its link is down.
    fn fault(&mut self, peer: PeerId, what: &'static str) {
        self.disconnected(peer);
        self.out.push(JoinCommand::Fault { peer, what });
    }

    fn disconnected(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        match &mut self.stage {
            Stage::Epochs { asked } | Stage::Checkpoint { asked } if asked.is_some_and(|(of, _)| of == peer) => {
                *asked = None
            }
            _ => {}
        }
    }

    fn message(&mut self, from: PeerId, message: Message) {
        if !self.peers.contains_key(&from) {
            return;
        }
        match message {
            Message::Epochs(ends) => self.heard_epochs(from, ends),
            Message::Headers(headers) => self.heard_headers(from, headers),
            Message::SnapshotManifest(manifest) => self.heard_offer(from, manifest.map(|manifest| *manifest)),
            Message::SnapshotChunk { height, index, bytes } => self.heard_chunk(from, height, index, bytes),
            // What running nodes tell each other.
            _ => {}
        }
    }

    fn settle(&mut self, now: TimeMs) {
        match &self.stage {
            Stage::Epochs { .. } | Stage::Checkpoint { .. } => self.ask_one(now),
            Stage::Offers { since } => {
                let since = *since;
                self.look_at_offers(now, since);
            }
            Stage::Chunks(_) => self.ask_for_chunks(now),
            Stage::Proving(_) | Stage::Done => {}
        }
    }

    /// Epochs and checkpoint: one peer is asked at a time, until it has nothing more.
    fn ask_one(&mut self, now: TimeMs) {
        let (Stage::Epochs { asked } | Stage::Checkpoint { asked }) = &mut self.stage else { return };
        if let Some((peer, at)) = *asked {
            if now.since(at) < JOIN_RETRY_MS && at <= now {
                return;
            }
            *asked = None;
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.stalls = peer.stalls.saturating_add(1);
                peer.is_exhausted = true;
            }
        }
        let willing = self.peers.iter().filter(|(_, peer)| !peer.is_exhausted);
        let next = willing.min_by_key(|(id, peer)| (peer.stalls, **id)).map(|(id, _)| *id);
        match next {
            Some(peer) => {
                let question = match &mut self.stage {
                    Stage::Checkpoint { asked } => {
                        *asked = Some((peer, now));
                        let from = self.checkpoint.map_or(Height::ZERO, |(height, _)| height);
                        Message::GetHeaders { from }
                    }
                    Stage::Epochs { asked } => {
                        *asked = Some((peer, now));
                        Message::GetEpochs { from: self.epochs.epoch() }
                    }
                    _ => return,
                };
                self.send(peer, question);
            }
            None if self.peers.is_empty() => {}
            None => self.all_asked(now),
        }
    }

    fn all_asked(&mut self, now: TimeMs) {
        self.peers.values_mut().for_each(|peer| peer.is_exhausted = false);
        let is_checkpoint_next = self.checkpoint.is_some() && self.checkpoint_set.is_some();
        self.stage = match self.stage {
            Stage::Epochs { .. } if is_checkpoint_next => Stage::Checkpoint { asked: None },
            // A checkpoint above all that is known is the blocks' to be compared with.
            Stage::Epochs { .. } => Stage::Offers { since: now },
            // Nobody has the block of the checkpoint: begun anew, perhaps others come.
            _ => Stage::Epochs { asked: None },
        };
    }

    fn heard_epochs(&mut self, from: PeerId, ends: Vec<SealedHeader>) {
        let Stage::Epochs { asked } = &mut self.stage else { return };
        if asked.is_none_or(|(peer, _)| peer != from) {
            return;
        }
        *asked = None;
        let before = self.epochs.epoch();
        for end in ends {
            // A late answer to an earlier question tells what is known by now; one that skips an epoch is of no use.
            match self.epochs.place_of(&end) {
                Some(Ordering::Less) => continue,
                Some(Ordering::Greater) => break,
                Some(Ordering::Equal) | None => {}
            }
            if self.extend(end.clone()).is_err() {
                return self.fault(from, "an epoch's end that is none");
            }
            self.out.push(JoinCommand::KeepEpoch(Box::new(end)));
        }
        if self.epochs.epoch() > before {
            self.suppliers.insert(from);
        } else if let Some(peer) = self.peers.get_mut(&from) {
            peer.is_exhausted = true;
        }
    }

    /// Another epoch has ended.
    fn extend(&mut self, end: SealedHeader) -> Result<(), EpochError> {
        let set = Arc::clone(self.epochs.set());
        self.epochs.extend(&self.verifier, end)?;
        let (height, hash) = self.epochs.last();
        let before = self.ends.back().map_or(Height::ZERO, |(height, _)| *height);
        self.ends.push_back((height, hash));
        if self.ends.len() > JOIN_ENDS_KEPT {
            self.ends.pop_front();
        }
        if self.checkpoint.is_some_and(|(at, _)| before < at && at <= height) {
            self.checkpoint_set = Some(set);
        }
        Ok(())
    }

    fn heard_headers(&mut self, from: PeerId, headers: Vec<SealedHeader>) {
        let (Stage::Checkpoint { asked }, Some((height, hash)), Some(set)) =
            (&mut self.stage, self.checkpoint, self.checkpoint_set.clone())
        else {
            return;
        };
        if asked.is_none_or(|(peer, _)| peer != from) {
            return;
        }
        *asked = None;
        let Some(SealedHeader { header, commit, .. }) = headers.into_iter().next() else { return };
        let is_commit = commit.block_hash == header.hash() && commit.height == header.height;
        if header.height != height || !is_commit || self.verifier.commit(commit.clone(), &set).is_err() {
            return self.fault(from, "a header without a commit of its set");
        }
        if commit.block_hash == hash {
            self.checkpoint = None;
            self.stage = Stage::Epochs { asked: None };
            return;
        }
        // Whoever led here follows a chain that the operator knows to be another one.
        for peer in std::mem::take(&mut self.suppliers) {
            self.fault(peer, "epochs of a chain without the checkpoint");
        }
        self.start_over();
    }

    /// Forgets everything but the peers.
    fn start_over(&mut self) {
        if let Ok(epochs) = EpochChain::new(self.chain.clone()) {
            self.epochs = epochs;
        }
        self.out.push(JoinCommand::ForgetEpochs);
        self.ends.clear();
        self.checkpoint_set = None;
        self.offers.clear();
        for peer in self.peers.values_mut() {
            *peer = Peer { stalls: peer.stalls, ..Peer::default() };
        }
        self.stage = Stage::Epochs { asked: None };
    }

    fn completed(&mut self, now: TimeMs, outcome: Completion) {
        let Stage::Proving(hash) = self.stage else { return };
        match outcome {
            Completion::Proved => self.stage = Stage::Done,
            Completion::WrongState => {
                self.refuse(hash);
                self.stage = Stage::Offers { since: now };
            }
            // What was begun is gone on with: the shell finds what of it is good.
            Completion::Damaged => self.ask_anew(),
        }
    }
}
