//! One node's whole protocol as one state machine without IO.
//!
//! A [`Replica`] joins the engines: the ledger says what is valid, Snowball which payment to support, finality what
//! is certified and final, TSDC which block is next. It takes an [`Input`] and the time and returns [`Command`]s; the
//! daemon and the simulator run the same one. The signer is not inside: it sits with the disk, and its messages
//! arrive as inputs like everybody else's.
//!
//! Rules kept here, because they concern more than one engine:
//! - a receipt is asked for only behind the writes of its transaction and its certificate (`protocol.md` 6);
//! - nothing is signed for payments while the clock is in a slot whose opening block would close the epoch, nothing
//!   at all after an alarm or while the node is behind;
//! - a precommit is asked for only behind the writes of the block and of the prepares it is locked by.

mod blocks;
pub mod command;
mod commit;
mod evidence;
mod fetch;
mod gossip;
pub mod history;
pub mod join;
mod journaled;
mod memory;
pub mod message;
mod outbox;
mod own_votes;
mod payments;
mod peers;
mod presence;
mod proposals;
mod recovery;
mod relay;
mod repeat;
mod serve;
mod stalled;
mod store;
mod sync;
mod unasked;
mod wants;
mod whole;

pub use command::{Alarm, Command, CommittedBlock, Event, Input, JournalRecord, OwnMessage, PeerId, WriteSeq};
pub use memory::MemoryUse;
pub use message::{HistoryRequest, Message, MessageFault, SealedBlock, SealedHeader, VerifiedMessage};
pub use recovery::{OpenError, Recovery};
pub use store::Store;

use crate::chain::leader::vdf_seed;
use crate::chain::spec::Chain;
use crate::finality::Finality;
use crate::ledger::pool::PoolLimits;
use crate::ledger::rejection::Rejection;
use crate::ledger::verify::Verifier;
use crate::ledger::{Ledger, VerifiedTx};
use crate::limits::HEARTBEAT_MS;
use crate::snowball::Snowball;
use crate::tsdc::Tsdc;
use crate::types::block::{Commit, VdfProof};
use crate::types::hash::{Hash, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::{Epoch, Height, TimeMs};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use payments::Source;
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What a replica is.
#[derive(Clone)]
pub struct ReplicaConfig {
    /// The chain.
    pub chain: Chain,
    /// The consensus key this node may sign with; `None` for an observer.
    pub key: Option<PublicKey>,
    /// Where its random choices start; secret, so that nobody can foresee whom it samples.
    pub seed: [u8; 32],
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Whether it finds out first that no other run signs with its key.
    pub listens: bool,
}

/// The delay function of the next slot-opening block.
struct Beacon {
    seed: Hash,
    proof: Option<Box<VdfProof>>,
    is_asked: bool,
}

/// See the module.
pub struct Replica {
    chain: Chain,
    me: Option<PublicKey>,
    verifier: Arc<Verifier>,
    store: Arc<dyn Store>,
    rng: ChaCha12Rng,
    ledger: Ledger,
    snowball: Snowball,
    finality: Finality,
    tsdc: Tsdc,
    /// Precommits for the tip: the next block's `last_commit`. `None` at genesis.
    tip_commit: Option<Arc<Verified<Commit>>>,
    /// The agreement on the tip, for votes that come late; `None` after a start.
    settled: Option<Tsdc>,
    beacon: Beacon,
    out: outbox::Outbox,
    peers: peers::Peers,
    fetch: fetch::Fetch,
    gossip: gossip::Gossip,
    wants: wants::Wants,
    relay: relay::Relay,
    own: own_votes::OwnVotes,
    /// Payments certified or final by their batches whose transaction is not here yet.
    awaited: BTreeSet<Txid>,
    journaled: journaled::Journaled,
    stalled: stalled::Stalled,
    proposals: proposals::Proposals,
    offer: Option<blocks::Offer>,
    evidence: evidence::EvidencePool,
    sync: sync::Sync,
    repeat: repeat::Repeat,
    /// Blocks the store does not answer for yet, oldest first.
    unapplied: VecDeque<Arc<CommittedBlock>>,
    alarm: Option<Alarm>,
    clock_is_wrong: bool,
    presence: presence::Watch,
    /// Votes that the engine wanted while this node could not sign.
    unasked: unasked::Unasked,
    /// How far messages of this node's key go that peers sent.
    heard_own: (Height, Epoch),
    next_heartbeat: TimeMs,
}

impl Replica {
    /// Takes one input; returns what has to be done, in order. Time never runs backwards inside: an earlier `now` than
    /// before only delays what is due.
    pub fn step(&mut self, now: TimeMs, input: Input) -> Vec<Command> {
        self.step_all(now, std::iter::once(input))
    }

    /// Takes several inputs at once, so that one message, one signature and one sync cover what they bring.
    pub fn step_all(&mut self, now: TimeMs, inputs: impl IntoIterator<Item = Input>) -> Vec<Command> {
        for input in inputs {
            self.take(now, input);
        }
        self.settle(now);
        self.out.take()
    }

    fn take(&mut self, now: TimeMs, input: Input) {
        match input {
            Input::Tick => {}
            Input::Connected { peer, key } => self.connected(now, peer, key),
            Input::Disconnected { peer } => {
                self.sync.gone(peer);
                if let Some(key) = self.peers.disconnect(peer) {
                    self.snowball.set_live(key, false);
                }
                self.gossip.forget_peer(peer);
            }
            Input::Message { from, message } => self.message(now, from, message),
            Input::Submit(tx) => self.transaction(now, Source::User, tx),
            Input::Signed(message) => self.signed(now, message),
            Input::Refused { request, reason } => self.refused(now, &request, &reason),
            Input::BlocksChecked { from, heights, blocks } => self.blocks_checked(from, heights, blocks),
            Input::Flushed(seq) => {
                self.out.flushed(seq);
                self.own.flushed(seq);
            }
            Input::Applied(height) => self.applied(height),
            Input::ClockIsWrong(is_wrong) => self.clock_is_wrong = is_wrong,
            Input::Vdf { seed, proof } => {
                if self.beacon.seed == seed {
                    self.beacon.proof = Some(proof);
                }
            }
        }
    }

    fn message(&mut self, now: TimeMs, from: PeerId, message: VerifiedMessage) {
        if !self.peers.contains(from) {
            return;
        }
        if let Some(key) = self.peers.heard(now, from) {
            self.snowball.set_live(key, true);
        }
        if !self.hear_own(&message) {
            return;
        }
        match message {
            VerifiedMessage::Status { height, hash: _, lowest } => self.peers.claims(from, height, lowest),
            VerifiedMessage::TxAnnounce(txids) => self.announced(now, from, &txids),
            VerifiedMessage::GetTxs(txids) => self.serve_txs(from, &txids),
            VerifiedMessage::Txs(txs) => {
                txs.into_iter().for_each(|tx| self.transaction(now, Source::Peer(from), tx));
            }
            VerifiedMessage::SampleQuery { query, txids } => self.sample_query(now, from, query, &txids),
            VerifiedMessage::SampleResponse { query, answers } => self.sample_response(now, from, query, &answers),
            VerifiedMessage::Votes(batch) => self.votes(now, Some(from), batch),
            VerifiedMessage::GetVotes { epoch, txids } => self.serve_votes(from, epoch, &txids),
            VerifiedMessage::Proposal(proposal) => self.proposal(now, Some(from), proposal),
            VerifiedMessage::BftVote(vote) => self.bft_vote(now, from, vote),
            VerifiedMessage::Commit(commit) => self.heard_commit(now, from, commit),
            VerifiedMessage::GetBlocks { from: height, count } => {
                self.serve_history(from, HistoryRequest::Blocks { from: height, count });
            }
            VerifiedMessage::Blocks(blocks) => self.blocks(now, from, blocks),
            VerifiedMessage::Evidence(evidence) => self.heard_evidence(now, evidence),
            VerifiedMessage::GetHeaders { from: height } => {
                self.serve_history(from, HistoryRequest::Headers { from: height });
            }
            VerifiedMessage::AboutHistory(request) => self.serve_history(from, request),
            VerifiedMessage::Links(keys) => self.heard_links(now, from, keys),
            VerifiedMessage::IHave(ids) => self.offered(now, from, &ids),
            VerifiedMessage::IWant(ids) => self.serve_offers(from, &ids),
            VerifiedMessage::Presence(presence) => self.heard_presence(now, from, presence),
            VerifiedMessage::Headers(headers) => self.headers(now, from, headers),
        }
    }

    /// Signatures are checked by now, so nobody else can make this go further. Whether the message is to be taken: what the own
    /// key signed cannot be judged while this node is behind, and is asked for again when it no longer is.
    fn hear_own(&mut self, message: &VerifiedMessage) -> bool {
        let (said, id, height, epoch) = match message {
            VerifiedMessage::Votes(batch) if self.me == Some(batch.voter) => {
                (OwnMessage::Votes(batch.clone()), batch.signature, Height::ZERO, batch.epoch)
            }
            VerifiedMessage::Proposal(proposal) if self.me == Some(proposal.leader) => {
                (OwnMessage::Proposal(proposal.clone()), proposal.signature, proposal.header.height, Epoch::ZERO)
            }
            VerifiedMessage::BftVote(vote) if self.me == Some(vote.voter) => {
                (OwnMessage::Bft(vote.clone()), vote.signature, vote.height, Epoch::ZERO)
            }
            _ => return true,
        };
        let further = (self.heard_own.0.max(height), self.heard_own.1.max(epoch));
        if further != self.heard_own {
            self.heard_own = further;
            self.out.push(Command::OwnHeard { height: further.0, epoch: further.1 });
        }
        if self.is_behind() {
            return false;
        }
        // What is remembered here came from the signer, or was judged when it came first.
        if !self.gossip.holds(&id) {
            self.out.push(Command::OwnSaid(said));
        }
        true
    }

    fn connected(&mut self, now: TimeMs, peer: PeerId, key: Option<PublicKey>) {
        self.peers.connect(now, peer, key);
        if let Some(key) = key {
            self.snowball.set_live(key, true);
        }
        self.out.send(peer, self.own_status());
        self.tell_links_to(peer);
        self.greet(peer);
    }

    /// Runs the engines until none has anything more to say.
    fn settle(&mut self, now: TimeMs) {
        self.listen(now);
        self.ask_what_was_unasked();
        self.apply_checked(now);
        self.drop_rejected();
        for key in self.peers.fallen_silent(now) {
            self.snowball.set_live(key, false);
        }
        self.snowball.tick(now);
        self.tsdc.tick(now);
        loop {
            self.start_height(now);
            self.look_at_proposals(now);
            let progress = self.drain_snowball(now) | self.drain_tsdc(now);
            if !progress {
                break;
            }
        }
        self.propose(now);
        self.ask_signer_for_votes(now);
        self.chase_stalled(now);
        for (peer, txids) in self.fetch.requests(now, &self.peers) {
            self.out.send(peer, Message::GetTxs(txids));
        }
        self.repeat_what_is_due(now);
        self.gossip(now);
        self.continue_sync(now);
        self.want_beacon();
        if now >= self.next_heartbeat {
            self.next_heartbeat = now.plus(HEARTBEAT_MS);
            let status = self.own_status();
            self.out.broadcast(status);
            self.tell_changed_links();
            self.forget_presences(now);
        }
    }

    /// When to call [`Replica::step`] with [`Input::Tick`] if nothing else happens before.
    pub fn next_wake(&self) -> TimeMs {
        let next_slot = self.chain.slot_start(self.ledger.tip().header.slot.next());
        let wakes = [
            self.snowball.next_wake(),
            self.tsdc.next_wake(),
            self.fetch.next_wake(),
            self.gossip.next_wake(),
            self.wants.next_wake(),
            self.own.next_wake(),
            self.proposals.next_look(),
            self.stalled.next_wake(),
            self.next_sync_wake(),
            self.presence.next_wake(),
            Some(self.repeat.next_wake()),
            Some(next_slot).filter(|_| !self.tsdc.is_started()),
        ];
        wakes.into_iter().flatten().fold(self.next_heartbeat, TimeMs::min)
    }

    /// Height being decided.
    pub fn height(&self) -> Height {
        self.ledger.tip().child_height()
    }

    /// Epoch of the height being decided.
    pub fn epoch(&self) -> Epoch {
        self.ledger.tip().child_epoch(&self.chain)
    }

    fn set(&self) -> Arc<ValidatorSet> {
        self.ledger.tip().validators.clone()
    }

    /// This node's key, if it is in the set that decides the current height.
    fn member(&self) -> Option<PublicKey> {
        self.me.filter(|key| self.ledger.tip().validators.get(key).is_some())
    }

    /// Whether this node may sign anything now: a member, no alarm, not behind, by a clock that may be right, and no other
    /// run with its key.
    fn may_sign(&self) -> bool {
        self.member().is_some() && self.is_unhindered()
    }

    /// The same, a member or not.
    fn is_unhindered(&self) -> bool {
        let is_hindered = self.alarm.is_some() || self.clock_is_wrong || self.sync.is_behind();
        !is_hindered && self.presence.may_sign()
    }

    /// A transaction of the pool, or one that waits for a parent.
    fn held(&self, txid: &Txid) -> Option<VerifiedTx> {
        self.ledger.entry(txid).map(|entry| &entry.tx).or_else(|| self.ledger.orphan(txid)).cloned()
    }

    /// Forgets what the pool dropped of its own accord, and tells users; but not what is there again because it turned out
    /// to be certified, as when the journal is replayed: users may have been told that it is final.
    fn drop_rejected(&mut self) {
        for (txid, reason) in self.ledger.take_dropped() {
            if self.ledger.entry(&txid).is_none() {
                self.dropped(txid, &reason);
            }
        }
    }

    fn dropped(&mut self, txid: Txid, reason: &Rejection) {
        self.snowball.remove(&txid);
        self.finality.forget(&txid);
        self.out.notify(Event::Rejected { txid, reason: reason.clone() });
    }

    fn raise(&mut self, alarm: Alarm) {
        self.out.notify(Event::Alarm(alarm.clone()));
        self.alarm.get_or_insert(alarm);
    }

    fn want_beacon(&mut self) {
        let tip = self.ledger.tip();
        let seed = vdf_seed(&tip.header.beacon, &tip.last_opening, tip.header.opened.saturating_add(1));
        if seed != self.beacon.seed {
            self.beacon = Beacon { seed, proof: None, is_asked: false };
        }
        // While this node is behind, somebody else has computed it long ago.
        if !self.beacon.is_asked && !self.is_behind() {
            self.beacon.is_asked = true;
            self.out.push(Command::ComputeVdf { seed, iterations: self.chain.vdf_iterations });
        }
    }

    /// Tip, unarchived transactions and their states.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Votes, receipts and proofs of this epoch and the last.
    pub fn finality(&self) -> &Finality {
        &self.finality
    }

    /// Agreement on the current height.
    pub fn tsdc(&self) -> &Tsdc {
        &self.tsdc
    }

    /// Sampling of payments.
    pub fn snowball(&self) -> &Snowball {
        &self.snowball
    }

    /// Why this node signs nothing any more, if so.
    pub fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    /// Whether this node signs nothing because its clock is plainly wrong.
    pub fn clock_is_wrong(&self) -> bool {
        self.clock_is_wrong
    }

    /// Whether this node signs nothing because another run signs with its key.
    pub fn key_is_elsewhere(&self) -> bool {
        self.presence.is_silent()
    }

    /// Whether a peer has proved a block that is not here: this node signs nothing until it is.
    pub fn is_behind(&self) -> bool {
        self.sync.is_behind()
    }
}

#[cfg(test)]
mod tests;
