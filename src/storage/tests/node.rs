//! A whole node, replica and signer included, that loses power: it goes on, keeps its word and signs nothing twice.
//!
//! The chain has one masternode, which agrees with itself, so everything there is to promise is promised by this node
//! alone, and nobody else remembers it.

use super::recording::{Event as Cut, RecordingFiles, materialize, torn};
use super::scene::on_failure;
use crate::chain::spec::{Allocation, Chain, ChainSpec};
use crate::crypto::vdf;
use crate::ledger::testing::{self, Coin, Draft};
use crate::ledger::verify::Verifier;
use crate::ledger::{PoolLimits, Stage, VerifiedTx};
use crate::replica::command::{Command, CommittedBlock, Event, Input, JournalRecord, OwnMessage, WriteSeq};
use crate::replica::message::SealedBlock;
use crate::replica::{Recovery, Replica, ReplicaConfig};
use crate::signer::{LogContents, SignRequest, SignedMessage, Signer};
use crate::storage::files::{DiskFiles, Files};
use crate::storage::recovery::{self, DataDirectory};
use crate::storage::sled_store::StoreOptions;
use crate::types::block::BftKind;
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Amount, Epoch, Height, TimeMs, View};
use crate::types::transaction::{OutPoint, Payload, TxBody, TxOut};
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

const GENESIS_MS: u64 = 1_000_000;
const COINS: u64 = 12;

/// What a node let out of the house: what users were told is final, blocks, and what was signed where.
#[derive(Clone, Default, Debug)]
struct Word {
    told: BTreeSet<Txid>,
    height: Height,
    votes: BTreeMap<(Height, View, BftKind), Option<BlockHash>>,
    proposals: BTreeMap<(Height, View), BlockHash>,
}

impl Word {
    fn signed(&mut self, message: &SignedMessage) {
        let twice = match message {
            SignedMessage::Bft(vote) => {
                let said = self.votes.insert((vote.height, vote.view, vote.kind), vote.block_hash);
                said.is_some_and(|said| said != vote.block_hash)
            }
            SignedMessage::Proposal(proposal) => {
                let hash = proposal.header.hash();
                let said = self.proposals.insert((proposal.header.height, proposal.view), hash);
                said.is_some_and(|said| said != hash)
            }
            SignedMessage::Votes(_) => false,
        };
        assert!(!twice, "signed twice: {message:?}");
    }
}

struct Net {
    chain: Chain,
    verifier: Arc<Verifier>,
    payments: Vec<VerifiedTx>,
}

impl Net {
    fn new() -> Self {
        let key = testing::consensus(0).public_key();
        let coin = |n| Allocation { address: testing::lock(n), amount: Amount::new(testing::COIN) };
        let spec = ChainSpec::dev(GENESIS_MS, key, testing::lock(0), (0..COINS).map(coin).collect()).unwrap();
        let chain = Chain::new(ChainSpec { vdf_iterations: 1, epoch_slots: 2, ..spec }).unwrap();
        let verifier = Arc::new(Verifier::new(chain.clone()));
        let genesis = crate::chain::genesis::genesis(&chain).unwrap().block.txs[0].body.txid();
        let pay = |n: u64| {
            let outpoint = OutPoint { txid: genesis, index: 1 + n as u32 };
            let coin = Coin { outpoint, value: testing::COIN, owner: n };
            let out = TxOut { value: Amount::new(coin.value - 1_000_000), lock: testing::lock(n + 1) };
            let (inputs, outputs) = (vec![coin.outpoint], vec![out]);
            let body = TxBody { version: 1, inputs, outputs, payload: Payload::Transfer, memo: Vec::new() };
            verifier.transaction(Draft { body, signers: vec![n] }.hashed(&chain)).unwrap()
        };
        let payments = (0..COINS).map(pay).collect();
        Self { chain, verifier, payments }
    }

    fn options(&self) -> StoreOptions {
        let options = StoreOptions::new(self.chain.clone(), self.verifier.clone(), 0, on_failure);
        StoreOptions { block_file_bytes: 4_000, journal_segment_bytes: 4_000, ..options }
    }
}

/// The shell around a replica, as the daemon's storage thread and main loop play it.
struct Node<'a> {
    net: &'a Net,
    directory: DataDirectory,
    replica: Replica,
    signer: Signer,
    now: TimeMs,
    inputs: VecDeque<Input>,
    unapplied: Vec<Arc<CommittedBlock>>,
    written: WriteSeq,
    signed: u64,
    synced: (WriteSeq, u64),
    word: Word,
    recorder: Option<Arc<RecordingFiles<(Word, TimeMs)>>>,
    /// First height and epoch that are signed: later ones than the current if the end of `votes.log` is unreadable.
    floor: (Height, Epoch),
}

impl<'a> Node<'a> {
    fn start(net: &'a Net, files: Arc<dyn Files>, now: TimeMs, word: Word) -> Self {
        let mut directory = match recovery::open(files.clone(), net.options(), &mut |_| {}) {
            Err(e) if e.is_repairable() => {
                recovery::repair(files.clone(), net.options(), &mut |_| {}).unwrap();
                recovery::open(files, net.options(), &mut |_| {}).unwrap()
            }
            opened => opened.unwrap(),
        };
        let key = testing::consensus(0);
        let config = ReplicaConfig {
            chain: net.chain.clone(),
            key: Some(key.public_key()),
            seed: [3; 32],
            pool: PoolLimits::default(),
            listens: false,
        };
        let log = directory.votes.take().map_or(LogContents::Missing { fresh: true }, LogContents::Bytes);
        let (mut signer, recovered) = Signer::open(net.chain.id(), key, log).unwrap();
        if let Some(rewrite) = &recovered.rewrite {
            directory.log.replace_votes(rewrite.bytes.clone());
        }
        directory.log.sync().unwrap();
        signer.flushed(recovered.seq);
        let journal = std::mem::take(&mut directory.records);
        let recovery = Recovery { state: directory.state.clone(), journal, signer: Some(recovered.bft) };
        let store = directory.store.clone();
        let (replica, commands) = Replica::open(config, net.verifier.clone(), store, recovery, now).unwrap();
        let (inputs, unapplied) = (VecDeque::new(), Vec::new());
        let (written, signed, recorder) = (WriteSeq::default(), recovered.seq, None);
        let (synced, floor) = ((written, signed), recovered.floor);
        let mut node = Self {
            net,
            directory,
            replica,
            signer,
            now,
            inputs,
            unapplied,
            written,
            signed,
            synced,
            word,
            recorder,
            floor,
        };
        if let Some(before) = node.replica.epoch().previous() {
            node.signer_block(&[], Some(before));
        }
        node.execute(commands);
        let again = node.signer.repeat();
        node.release(again);
        node.run();
        node
    }

    /// Takes inputs and does what comes of them until nothing is left; one sync covers what a round of them wrote.
    fn run(&mut self) {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                let commands = self.replica.step(self.now, input);
                self.execute(commands);
            }
            if (self.written, self.signed) != self.synced {
                self.directory.log.sync().unwrap();
                self.synced = (self.written, self.signed);
                let released = self.signer.flushed(self.signed);
                self.release(released);
                self.inputs.push_back(Input::Flushed(self.written));
            }
            self.apply();
            if self.inputs.is_empty() {
                return;
            }
        }
    }

    fn execute(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Write { seq, record } => self.write(seq, &record),
                Command::Commit { seq, block } => {
                    let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
                    self.write(seq, &JournalRecord::Block(sealed));
                    self.unapplied.push(block);
                }
                Command::Apply(block) => self.unapplied.push(block),
                Command::Sign { seq, request } => self.sign(seq, request),
                Command::OwnHeard { .. }
                | Command::OwnSaid(_)
                | Command::Claim(_)
                | Command::KeyElsewhere
                | Command::Fault { .. } => {}
                Command::SignerBlock { txids, closed } => self.signer_block(&txids, closed),
                Command::ComputeVdf { seed, iterations } => {
                    let proof = Box::new(vdf::evaluate(&seed, iterations));
                    self.inputs.push_back(Input::Vdf { seed, proof });
                }
                Command::Notify(event) => self.notify(event),
                Command::Send { .. } | Command::Broadcast(_) | Command::Serve { .. } | Command::CheckBlocks { .. } => {}
            }
        }
    }

    fn write(&mut self, seq: WriteSeq, record: &JournalRecord) {
        self.directory.log.append(record).unwrap();
        self.written = seq;
    }

    fn sign(&mut self, seq: WriteSeq, request: SignRequest) {
        self.written = seq;
        match self.signer.request(request.clone()) {
            Ok(appended) => {
                self.directory.log.append_votes(&appended.bytes);
                self.signed = self.signed.max(appended.seq);
            }
            Err(reason) => self.inputs.push_back(Input::Refused { request, reason }),
        }
    }

    fn signer_block(&mut self, txids: &[Txid], closed: Option<Epoch>) {
        self.signer.archived(txids);
        if let Some(rewritten) = closed.and_then(|epoch| self.signer.epoch_closed(epoch)) {
            self.directory.log.replace_votes(rewritten.bytes);
            self.signed = self.signed.max(rewritten.seq);
        }
    }

    fn notify(&mut self, event: Event) {
        match &event {
            Event::Finalized { txid, .. } => drop(self.word.told.insert(*txid)),
            Event::BlockCommitted { height, .. } => self.word.height = self.word.height.max(*height),
            Event::Alarm(alarm) => panic!("{alarm:?}"),
            _ => {}
        }
        self.note_word();
    }

    /// What left the house counts from here on.
    fn note_word(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.acknowledge((self.word.clone(), self.now));
        }
    }

    fn release(&mut self, messages: Vec<SignedMessage>) {
        for message in messages {
            self.word.signed(&message);
            self.note_word();
            let verifier = &self.net.verifier;
            let own = match message {
                SignedMessage::Votes(batch) => OwnMessage::Votes(Arc::new(verifier.vote_batch(batch).unwrap())),
                SignedMessage::Proposal(it) => OwnMessage::Proposal(Arc::new(verifier.proposal(it).unwrap())),
                SignedMessage::Bft(vote) => OwnMessage::Bft(Arc::new(verifier.bft_vote(vote).unwrap())),
            };
            self.inputs.push_back(Input::Signed(own));
        }
    }

    fn apply(&mut self) {
        let blocks = std::mem::take(&mut self.unapplied);
        if blocks.is_empty() {
            return;
        }
        let height = self.directory.store.apply(&blocks).unwrap();
        if height.get().is_multiple_of(3) {
            self.directory.store.flush(self.directory.log.synced_sequence()).unwrap();
            self.directory.log.retire(height).unwrap();
        }
        self.inputs.push_back(Input::Applied(height));
    }

    /// Lets time pass until the chain has this height.
    fn reach(&mut self, height: Height, mut each: impl FnMut(&mut Self)) {
        for _ in 0..20_000 {
            if self.replica.height() > height {
                return;
            }
            self.now = self.replica.next_wake().max(self.now.plus(1));
            self.inputs.push_back(Input::Tick);
            self.run();
            each(self);
        }
        panic!("stuck at height {}", self.replica.height());
    }

    /// Everything it ever said is so.
    fn check_word(&self) {
        let ledger = self.replica.ledger();
        for txid in &self.word.told {
            let is_final = ledger.entry(txid).is_some_and(|entry| entry.stage == Stage::Finalized);
            assert!(is_final || ledger.view().archived_height(txid).is_some(), "{txid} was final");
        }
        assert!(ledger.tip().height() >= self.word.height, "block {} was committed", self.word.height);
    }
}

fn is_archived(node: &Node<'_>, tx: &VerifiedTx) -> bool {
    node.replica.ledger().view().archived_height(&tx.txid()).is_some()
}

/// Runs a node for five heights with a payment now and then; returns what each cut would leave.
fn history(net: &Net) -> Vec<Cut<(Word, TimeMs)>> {
    let root = tempfile::tempdir().unwrap();
    let now = TimeMs(GENESIS_MS);
    let files = RecordingFiles::new(root.path(), (Word::default(), now));
    let mut node = Node::start(net, files.clone(), now, Word::default());
    node.recorder = Some(files.clone());
    let mut payments = net.payments[..8].iter();
    let mut steps = 0;
    node.reach(Height::new(5), |node| {
        steps += 1;
        if steps % 5 == 0
            && let Some(payment) = payments.next()
        {
            node.inputs.push_back(Input::Submit(payment.clone()));
            node.run();
        }
        node.note_word();
    });
    node.check_word();
    assert!(!node.word.told.is_empty() && node.word.votes.len() >= 10);
    files.events()
}

#[test]
fn a_node_that_loses_power_keeps_its_word_and_signs_nothing_twice() {
    let net = Net::new();
    let cuts = history(&net);
    let mut rng = ChaCha12Rng::seed_from_u64(61);
    let mut waits = 0;
    for (number, cut) in cuts.iter().enumerate() {
        let image = match number % 3 {
            0 => cut.durable.clone(),
            1 => cut.present.clone(),
            _ => torn(cut, &mut rng),
        };
        let (word, now) = cut.acknowledged.clone();
        let root = materialize(&image);
        let mut node = Node::start(&net, Arc::new(DiskFiles::new(root.path())), now, word);
        node.check_word();
        if node.floor.0 > node.replica.height() || node.floor.1 > node.replica.epoch() {
            // Both copies of the last record of votes.log are torn: a masternode that is alone waits for its operator.
            waits += 1;
            continue;
        }
        let last = &net.payments[COINS as usize - 1];
        node.inputs.push_back(Input::Submit(last.clone()));
        let height = node.replica.height().next();
        node.reach(height.next(), |_| {});
        node.check_word();
        assert!(is_archived(&node, last), "cut {number}: it goes on");
    }
    assert!(waits * 5 < cuts.len(), "{waits} of {} wait", cuts.len());
}
