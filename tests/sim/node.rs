//! One node: the production replica and signer, and around them the shell's part as the daemon plays it.
//!
//! Commands run in order. What was appended is synced as one: first the journal, then `votes.log`, of which nothing is
//! written before (a recorded lock always has its block and its proof on disk); then the signatures that the signer
//! releases, then the word that the writes are on disk, and the store takes in the blocks among them.

use crate::disk::{Disk, Tear};
use crate::invariants::recovery::Durable;
use crate::judge;
use crate::rng::Rng;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use timed::chain::spec::Chain;
use timed::ledger::PoolLimits;
use timed::ledger::verify::Verifier;
use timed::replica::command::{Command, CommittedBlock, Event, Input, JournalRecord, OwnMessage, PeerId, WriteSeq};
use timed::replica::message::{BlockToCheck, Message, SealedBlock};
use timed::replica::{Recovery, Replica, ReplicaConfig, Store, history};
use timed::signer::{LogContents, Recovered, Said, SignRequest, SignedMessage, Signer};
use timed::storage::journal::{self, Journal};
use timed::storage::memory::MemoryStore;
use timed::types::hash::{Hash, Txid};
use timed::types::keys::SecretKey;
use timed::types::number::{Epoch, Height, TimeMs};

/// What a node wants from the world around it.
#[allow(clippy::large_enum_variant)] // Moved once.
pub enum Effect {
    /// To one peer.
    Send(PeerId, Arc<Message>),
    /// To all peers.
    Broadcast(Arc<Message>),
    /// A user is told.
    Notify(Event),
    /// The delay function.
    Vdf(Hash, u64),
    /// A block is final here.
    Committed(Arc<CommittedBlock>),
    /// A block that the journal has, synced, is in the store too.
    Applied(Height),
    /// A signature came out of the signer; again after a restart?
    Signed(SignedMessage, bool),
    /// A peer is said to be at fault.
    Blamed(PeerId, &'static str),
    /// It signs nothing more, because another run has its key.
    FellSilent,
}

/// Why a node is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// It was stopped between two commands.
    Crash,
    /// Its disk failed or is full.
    Disk,
}

/// What is on its way to the disk.
struct Syncing {
    seq: WriteSeq,
    signed: u64,
    /// The last segment and its length; all earlier segments are covered.
    segment: Option<(u64, usize)>,
    journal: u64,
    /// What is to be written to `votes.log` once the journal is synced; `None` when that is done.
    votes: Option<Vec<VotesWrite>>,
}

/// A write to `votes.log`.
enum VotesWrite {
    Append(Vec<u8>),
    Replace(Vec<u8>),
}

/// A node that runs.
pub struct Running {
    /// The replica.
    pub replica: Replica,
    verifier: Arc<Verifier>,
    signer: Option<Signer>,
    journal: Journal,
    written: WriteSeq,
    signed: u64,
    /// Waits for the journal to be synced.
    unwritten_votes: Vec<VotesWrite>,
    syncing: Option<Syncing>,
    /// Up to where everything was synced and released: writes, and records of the signer.
    done: (WriteSeq, u64),
    /// The world's time of the next tick that is scheduled.
    pub wake_at: Option<u64>,
    /// Seed of the delay function it waits for.
    pub vdf: Option<Hash>,
    inbox: VecDeque<Input>,
    /// Blocks that wait for their record in the journal to be synced: the store is never ahead of it.
    unstored: VecDeque<(WriteSeq, Arc<CommittedBlock>)>,
    /// A sync will fail.
    pub sync_fails: bool,
}

/// What stays the same from run to run.
pub struct Node {
    /// Its consensus key.
    pub key: Option<SecretKey>,
    /// What its clock adds to the world's.
    pub clock_ms: i64,
    /// Its files.
    pub disk: Disk,
    /// Its store.
    pub store: Arc<MemoryStore>,
    /// What runs.
    pub running: Option<Running>,
    /// Which run it is: what was scheduled for an earlier one is void.
    pub run: u32,
    /// Commands after which it crashes.
    pub crash_after: Option<(u64, Tear, bool, u64)>,
    /// The operator's word about lost votes: first height and epoch that may be signed.
    pub accept_lost: Option<(Height, Epoch)>,
    /// First height and epoch that it signs in, because the end of its votes.log was lost; before that epoch it does not
    /// prepare a fresh closing block either.
    pub silent_below: (u64, u64),
    /// Payments its users were told final, in any run.
    pub told: BTreeSet<Txid>,
    /// Commands executed in all.
    pub commands: u64,
    /// Whether it minds that another run has its key.
    pub is_careful: bool,
}

/// A node that started.
pub struct Opened {
    /// Height of its store, and what was left of its journal.
    pub found: (u64, Vec<Durable>),
    /// What it made of that.
    pub recovered: judge::Recovered,
    /// Whether it still runs after its first commands.
    pub done: Result<(), Down>,
}

/// What every node of a world shares.
pub struct Shared {
    /// The chain.
    pub chain: Chain,
    /// The one verifier: it remembers what it checked.
    pub verifier: Arc<Verifier>,
}

impl Node {
    /// A node with an empty disk.
    pub fn new(key: Option<SecretKey>, store: Arc<MemoryStore>) -> Self {
        Self {
            key,
            clock_ms: 0,
            disk: Disk::default(),
            store,
            running: None,
            run: 0,
            crash_after: None,
            accept_lost: None,
            silent_below: (0, 0),
            told: BTreeSet::new(),
            commands: 0,
            is_careful: true,
        }
    }

    /// Whether its signer would sign.
    pub fn signs(&self) -> bool {
        let running = self.running.as_ref().filter(|running| !running.replica.key_is_elsewhere());
        running.and_then(|running| running.signer.as_ref()).is_some_and(|signer| !signer.is_silent())
    }

    /// What its clock says at the world's time `now`.
    pub fn clock(&self, now: u64) -> TimeMs {
        TimeMs(now.saturating_add_signed(self.clock_ms))
    }

    /// Starts it from what is on its disk.
    ///
    /// # Errors
    /// Why it refuses to start, in words.
    pub fn open(
        &mut self,
        shared: &Shared,
        rng: &mut Rng,
        now: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Opened, String> {
        let contents = journal::read(&shared.chain.id(), &self.disk.journal_segments()).map_err(|e| e.to_string())?;
        self.disk.cut_journal(&contents.kept_bytes);
        let state = self.store.tip();
        let found = (state.header.height.get(), contents.records.iter().map(judge::durable).collect());
        let (signer, recovered) = self.open_signer(shared)?;
        let config = ReplicaConfig {
            chain: shared.chain.clone(),
            key: self.key.as_ref().map(SecretKey::public_key),
            seed: rng.bytes(),
            pool: PoolLimits::default(),
            listens: self.is_careful,
        };
        let recovery = Recovery { state, journal: contents.records, signer: recovered.map(|recovered| recovered.bft) };
        let store: Arc<dyn Store> = self.store.clone();
        let clock = self.clock(now);
        let (replica, commands) =
            Replica::open(config, shared.verifier.clone(), store, recovery, clock).map_err(|e| e.to_string())?;
        let epoch = replica.epoch();
        let opened_with = judge::recovered(&replica);
        self.run += 1;
        self.running = Some(Running {
            replica,
            verifier: shared.verifier.clone(),
            signer,
            journal: contents.journal,
            written: WriteSeq::default(),
            signed: 0,
            unwritten_votes: Vec::new(),
            syncing: None,
            done: (WriteSeq::default(), 0),
            wake_at: None,
            vdf: None,
            inbox: VecDeque::new(),
            unstored: VecDeque::new(),
            sync_fails: false,
        });
        if let Some(before) = epoch.previous() {
            self.signer_block(&[], Some(before));
        }
        let mut done = self.execute(rng, commands, effects);
        if done.is_ok() {
            let signer = self.running.as_ref().and_then(|running| running.signer.as_ref());
            let repeat = signer.map(Signer::repeat).unwrap_or_default();
            let inputs = release(shared, repeat, true, effects)?;
            done = self.feed(rng, now, inputs, effects);
        }
        Ok(Opened { found, recovered: opened_with, done })
    }

    /// The signer, in the order of calls that its module demands.
    fn open_signer(&mut self, shared: &Shared) -> Result<(Option<Signer>, Option<Recovered>), String> {
        let Some(key) = self.key.clone() else { return Ok((None, None)) };
        let log = match &self.disk.votes {
            Some(file) => LogContents::Bytes(file.bytes().to_vec()),
            None => LogContents::Missing { fresh: self.run == 0 },
        };
        let (mut signer, recovered) = Signer::open(shared.chain.id(), key, log).map_err(|e| e.to_string())?;
        let mut seq = recovered.seq;
        self.silent_below = (recovered.floor.0.get(), recovered.floor.1.get());
        match &recovered.rewrite {
            Some(rewrite) => self.disk.votes.get_or_insert_default().replace(rewrite.bytes.clone()),
            None => {
                if let Some(file) = &mut self.disk.votes {
                    file.sync(file.len());
                }
            }
        }
        if let Some((height, epoch)) = self.accept_lost.filter(|_| recovered.is_lost) {
            let rewrite = signer.accept_lost_votes(height, epoch).map_err(|e| e.to_string())?;
            seq = rewrite.seq;
            self.disk.votes.get_or_insert_default().replace(rewrite.bytes);
        }
        signer.flushed(seq);
        Ok((Some(signer), Some(recovered)))
    }

    /// Gives inputs to the replica and does what it says.
    pub fn feed(&mut self, rng: &mut Rng, now: u64, inputs: Vec<Input>, effects: &mut Vec<Effect>) -> Result<(), Down> {
        let clock = self.clock(now);
        let Some(running) = &mut self.running else { return Ok(()) };
        running.inbox.extend(inputs);
        loop {
            let Some(running) = &mut self.running else { return Ok(()) };
            let Some(input) = running.inbox.pop_front() else { return Ok(()) };
            let commands = running.replica.step(clock, input);
            self.execute(rng, commands, effects)?;
        }
    }

    fn execute(&mut self, rng: &mut Rng, commands: Vec<Command>, effects: &mut Vec<Effect>) -> Result<(), Down> {
        for command in commands {
            self.commands += 1;
            if let Some((left, ..)) = &mut self.crash_after {
                if *left == 0 {
                    return Err(Down::Crash);
                }
                *left -= 1;
            }
            self.execute_one(rng, command, effects)?;
        }
        Ok(())
    }

    fn execute_one(&mut self, rng: &mut Rng, command: Command, effects: &mut Vec<Effect>) -> Result<(), Down> {
        match command {
            Command::Write { seq, record } => self.write(rng, seq, &record)?,
            Command::Commit { seq, block } => {
                let signer = self.running.as_mut().and_then(|running| running.signer.as_mut());
                if let Some(signer) = signer.filter(|_| self.is_careful)
                    && let Some(vote) = block.precommit_of(&signer.public_key())
                    && signer.hears(Said::Bft(&vote))
                {
                    effects.push(Effect::FellSilent);
                }
                let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
                self.write(rng, seq, &JournalRecord::Block(sealed))?;
                if block.changes.closed_epoch.is_some() {
                    self.disk.end_segment(block.changes.height.get());
                }
                if let Some(running) = &mut self.running {
                    running.unstored.push_back((seq, block.clone()));
                }
                effects.push(Effect::Committed(block));
            }
            Command::Apply(block) => {
                self.store.apply(&block).map_err(|_| Down::Disk)?;
                effects.push(Effect::Applied(block.changes.height));
            }
            Command::Sign { seq, request } => self.sign(seq, request),
            Command::OwnHeard { .. } => {}
            Command::OwnSaid(said) => {
                let signer = self.running.as_mut().and_then(|running| running.signer.as_mut());
                let signer = signer.filter(|_| self.is_careful);
                if signer.is_some_and(|signer| signer.hears(said.as_said())) {
                    effects.push(Effect::FellSilent);
                }
            }
            Command::KeyElsewhere => {
                let signer = self.running.as_mut().and_then(|running| running.signer.as_mut());
                // One that does not listen is not told, and the other way round it goes on.
                let signer = signer.filter(|_| self.is_careful);
                if let Some(signer) = signer {
                    signer.fall_silent();
                    effects.push(Effect::FellSilent);
                }
            }
            Command::Claim(claim) => {
                let signer = self.running.as_ref().and_then(|running| running.signer.as_ref());
                let word =
                    signer.filter(|signer| !signer.is_silent()).map(|signer| signer.link_prover().present(claim));
                effects.extend(word.map(|word| Effect::Broadcast(Arc::new(Message::Presence(word)))));
            }
            Command::Fault { peer, what } => effects.push(Effect::Blamed(peer, what)),
            Command::SignerBlock { txids, closed } => self.signer_block(&txids, closed),
            Command::Send { to, message } => effects.push(Effect::Send(to, message)),
            Command::Serve { to, request } => {
                let answer = history::answer(&*self.store, &request);
                effects.extend(answer.map(|message| Effect::Send(to, Arc::new(message))));
            }
            Command::CheckBlocks { from, blocks } => self.check_blocks(from, blocks),
            Command::Broadcast(message) => effects.push(Effect::Broadcast(message)),
            Command::ComputeVdf { seed, iterations } => {
                if let Some(running) = &mut self.running {
                    running.vdf = Some(seed);
                }
                effects.push(Effect::Vdf(seed, iterations));
            }
            Command::Notify(event) => effects.push(Effect::Notify(event)),
        }
        Ok(())
    }

    fn check_blocks(&mut self, from: PeerId, blocks: Vec<BlockToCheck>) {
        if let Some(running) = &mut self.running {
            running.inbox.push_back(Input::of_checked(&running.verifier, from, blocks));
        }
    }

    fn write(&mut self, rng: &mut Rng, seq: WriteSeq, record: &JournalRecord) -> Result<(), Down> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let next = running.journal.next_sequence();
        let (_, bytes) = running.journal.append(record);
        running.written = seq;
        let fits = self.disk.reserve(bytes.len());
        let file = self.disk.journal(next);
        if !fits {
            file.append_part(rng, &bytes);
            return Err(Down::Disk);
        }
        file.append(&bytes);
        Ok(())
    }

    fn sign(&mut self, seq: WriteSeq, request: SignRequest) {
        let Some(running) = &mut self.running else { return };
        running.written = seq;
        let Some(signer) = &mut running.signer else { return };
        match signer.request(request.clone()) {
            Ok(appended) => {
                running.signed = running.signed.max(appended.seq);
                running.unwritten_votes.push(VotesWrite::Append(appended.bytes));
            }
            Err(reason) => running.inbox.push_back(Input::Refused { request, reason }),
        }
    }

    fn write_votes(&mut self, rng: &mut Rng, writes: Vec<VotesWrite>) -> Result<(), Down> {
        for write in writes {
            match write {
                VotesWrite::Append(bytes) => {
                    let fits = self.disk.reserve(bytes.len());
                    let file = self.disk.votes.get_or_insert_default();
                    if !fits {
                        file.append_part(rng, &bytes);
                        return Err(Down::Disk);
                    }
                    file.append(&bytes);
                }
                VotesWrite::Replace(bytes) => self.disk.votes.get_or_insert_default().replace(bytes),
            }
        }
        Ok(())
    }

    fn signer_block(&mut self, txids: &[Txid], closed: Option<Epoch>) {
        let Some(signer) = self.running.as_mut().and_then(|running| running.signer.as_mut()) else { return };
        signer.archived(txids);
        if let Some(epoch) = closed
            && let Some(rewritten) = signer.epoch_closed(epoch)
            && let Some(running) = &mut self.running
        {
            running.signed = running.signed.max(rewritten.seq);
            running.unwritten_votes.push(VotesWrite::Replace(rewritten.bytes));
        }
    }

    /// The last write of this run that is synced.
    pub fn flushed(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.done.0.0)
    }

    /// Starts a sync if something waits for one and none is under way; whether it did.
    pub fn start_sync(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        if running.syncing.is_some() || running.done == (running.written, running.signed) {
            return false;
        }
        let last = self.disk.segments.last().map(|(first, file)| (*first, file.len()));
        running.syncing = Some(Syncing {
            seq: running.written,
            signed: running.signed,
            segment: last,
            journal: running.journal.next_sequence() - 1,
            votes: Some(std::mem::take(&mut running.unwritten_votes)),
        });
        true
    }

    /// A sync is done: that of the journal, after which that of `votes.log` starts, or that one, after which everything
    /// it covers may be told. Returns whether another one is under way.
    pub fn synced(
        &mut self,
        shared: &Shared,
        rng: &mut Rng,
        now: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Result<bool, Down>, String> {
        let Some(running) = &mut self.running else { return Ok(Ok(false)) };
        let Some(mut syncing) = running.syncing.take() else { return Ok(Ok(false)) };
        if running.sync_fails {
            if let Some(signer) = &mut running.signer {
                signer.flush_failed();
            }
            return Ok(Err(Down::Disk));
        }
        if let Some(votes) = syncing.votes.take() {
            if let Some((last, len)) = syncing.segment {
                for (first, file) in self.disk.segments.iter_mut().filter(|(first, _)| *first <= last) {
                    file.sync(if *first == last { len } else { file.len() });
                }
            }
            running.journal.synced(syncing.journal);
            if !votes.is_empty() {
                running.syncing = Some(syncing);
                return Ok(self.write_votes(rng, votes).map(|()| true));
            }
        } else if let Some(votes) = &mut self.disk.votes {
            // Nothing is written to it while this sync is under way.
            votes.sync(votes.len());
        }
        self.finish_sync(shared, rng, now, &syncing, effects).map(|fed| fed.map(|()| false))
    }

    /// Everything that `syncing` covers is on disk.
    fn finish_sync(
        &mut self,
        shared: &Shared,
        rng: &mut Rng,
        now: u64,
        syncing: &Syncing,
        effects: &mut Vec<Effect>,
    ) -> Result<Result<(), Down>, String> {
        let Some(running) = &mut self.running else { return Ok(Ok(())) };
        running.done = (syncing.seq, syncing.signed);
        while let Some((_, block)) = running.unstored.pop_front_if(|(seq, _)| *seq <= syncing.seq) {
            if self.store.apply(&block).is_err() {
                return Ok(Err(Down::Disk));
            }
            effects.push(Effect::Applied(block.changes.height));
        }
        let released = running.signer.as_mut().map(|signer| signer.flushed(syncing.signed)).unwrap_or_default();
        let mut inputs = release(shared, released, false, effects)?;
        inputs.push(Input::Flushed(syncing.seq));
        Ok(self.feed(rng, now, inputs, effects))
    }

    /// Stops it; `tear` says what the crash leaves of its files, `store_lost` whether the store loses blocks too.
    pub fn crash(&mut self, rng: &mut Rng, tear: Tear, store_lost: bool) {
        self.running = None;
        self.crash_after = None;
        self.disk.crash(rng, tear);
        if store_lost {
            let durable = self.store.durable_height().get();
            let tip = self.store.tip().header.height.get();
            self.store.lose_above(Height::new(rng.range(durable, tip)));
        }
    }
}

/// Signatures as inputs: checked like anybody's.
fn release(
    shared: &Shared,
    signed: Vec<SignedMessage>,
    again: bool,
    effects: &mut Vec<Effect>,
) -> Result<Vec<Input>, String> {
    let verifier = &shared.verifier;
    let mut inputs = Vec::with_capacity(signed.len() + 1);
    for message in signed {
        effects.push(Effect::Signed(message.clone(), again));
        let own = match message {
            SignedMessage::Votes(batch) => {
                OwnMessage::Votes(Arc::new(verifier.vote_batch(batch).map_err(|e| e.to_string())?))
            }
            SignedMessage::Proposal(proposal) => {
                OwnMessage::Proposal(Arc::new(verifier.proposal(proposal).map_err(|e| e.to_string())?))
            }
            SignedMessage::Bft(vote) => OwnMessage::Bft(Arc::new(verifier.bft_vote(vote).map_err(|e| e.to_string())?)),
        };
        inputs.push(Input::Signed(own));
    }
    Ok(inputs)
}
