//! What one payment costs one node on its whole way through production replicas: admission, polls asked and answered,
//! votes, receipts, finality with its certificates in the journal.
//!
//! `cargo bench --bench replica`. Masternodes of equal weight, all linked to each other, receive a burst of payments
//! between them; messages arrive whole and at once, disks sync at once. The clock runs for one of them: its replica, its
//! signer, the bytes of its journal, and the signatures of everything it hears, checked on one core in batches of what
//! came in together. Encoding for the wire, links and the disk are not in it. It is a core's time, so that a busy machine
//! does not count. The elements of the throughput are payments; the limit is what a core checks of signatures.

// A bench that cannot set up what it measures has nothing to say but why.
#![allow(clippy::expect_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::ThreadPoolBuilder;
use rustix::time::{ClockId, clock_gettime};
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timed::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use timed::crypto::batch::{SignatureCheck, verify_all};
use timed::ledger::PoolLimits;
use timed::ledger::state::ChainState;
use timed::ledger::verify::Verifier;
use timed::replica::message::verify;
use timed::replica::{Command, Event, Input, Message, OwnMessage, PeerId, VerifiedMessage, WriteSeq};
use timed::replica::{Recovery, Replica, ReplicaConfig};
use timed::signer::{LogContents, SignedMessage, Signer};
use timed::storage::journal::Journal;
use timed::storage::memory::MemoryStore;
use timed::types::hash::Domain;
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, TimeMs, UNITS_PER_TIME};
use timed::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut, sighash};

const SET_SIZES: [usize; 4] = [4, 16, 64, 256];
/// Payments at once; the large burst for sets up to this size.
const BURSTS: [(usize, usize); 2] = [(64, 256), (1_024, 64)];
/// Signatures of one equation.
const LIMIT_BATCH: usize = 512;
/// Genesis: the first slot lasts for the whole bench, so no block comes in between.
const START: TimeMs = TimeMs(1_000_000);
/// The node whose time is taken.
const MEASURED: usize = 0;

/// What the measured node spent.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// On signatures and rules that need no state.
    verification: Duration,
    /// On everything else.
    protocol: Duration,
}

/// What this thread has spent on a core so far.
fn core_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).expect("not negative")
}

/// A chain, its payments, and what every node of it starts from.
struct Scene {
    chain: Chain,
    keys: Vec<SecretKey>,
    state: ChainState,
    store: Arc<MemoryStore>,
    payments: Vec<HashedTx>,
}

fn secret(kind: &str, number: usize) -> SecretKey {
    SecretKey::from_bytes(&Domain::TXID.hash(format!("{kind} {number}").as_bytes()).0)
}

impl Scene {
    fn new(masternodes: usize, payments: usize) -> Self {
        let keys: Vec<SecretKey> = (0..masternodes).map(|i| secret("masternode", i)).collect();
        let users: Vec<SecretKey> = (0..payments).map(|i| secret("user", i)).collect();
        let mut spec = ChainSpec::builtin("mainnet").expect("built in");
        spec.genesis_time_ms = START.0;
        let masternode = |key: &SecretKey| {
            let (consensus_key, lock) = (key.public_key(), Lock::of_key(&key.public_key()));
            let endpoint = "127.0.0.1:24200".to_owned();
            GenesisMasternode { consensus_key, owner: lock, payout: lock, tier: spec.tiers[0].name.clone(), endpoint }
        };
        let masternodes = keys.iter().map(masternode).collect();
        spec.masternodes = masternodes;
        let coin = |key: &SecretKey| Allocation {
            address: Lock::of_key(&key.public_key()),
            amount: Amount::new(UNITS_PER_TIME),
        };
        spec.allocations = users.iter().map(coin).collect();
        let chain = Chain::new(spec).expect("a valid chain");
        let (state, utxos) = ChainState::genesis(&chain).expect("a valid chain");
        let coin_of = |user: &SecretKey| {
            let lock = Lock::of_key(&user.public_key());
            utxos.iter().find(|(_, utxo)| utxo.out.lock == lock).map(|(outpoint, _)| *outpoint).expect("a coin each")
        };
        let payments = users.iter().map(|user| pay(&chain, user, coin_of(user))).collect();
        let store = Arc::new(MemoryStore::new(state.clone(), utxos.clone()));
        Self { chain, keys, state, store, payments }
    }

    fn node(&self, number: usize) -> Node {
        let key = &self.keys[number];
        let config = ReplicaConfig {
            chain: self.chain.clone(),
            key: Some(key.public_key()),
            seed: Domain::TXID.hash(&number.to_le_bytes()).0,
            pool: PoolLimits::default(),
            listens: false,
        };
        let fresh = LogContents::Missing { fresh: true };
        let (mut signer, recovered) = Signer::open(self.chain.id(), key.clone(), fresh).expect("a new log");
        signer.flushed(recovered.seq);
        let recovery = Recovery { state: self.state.clone(), journal: Vec::new(), signer: Some(recovered.bft) };
        // Nothing that the replica wants at its start concerns payments.
        let verifier = Arc::new(Verifier::new(self.chain.clone()));
        let (replica, _) =
            Replica::open(config, verifier, self.store.clone(), recovery, START).expect("nothing to recover");
        let journal = Journal::new(&self.chain.id());
        Node { replica, signer, journal, own: Vec::new(), mail: Vec::new(), finals: 0 }
    }
}

fn pay(chain: &Chain, user: &SecretKey, coin: OutPoint) -> HashedTx {
    let lock = Lock::of_key(&user.public_key());
    let half = Amount::new(UNITS_PER_TIME / 2 - 50_000);
    let outputs = vec![TxOut { value: half, lock }; 2];
    let body = TxBody { version: 1, inputs: vec![coin], outputs, payload: Payload::Transfer, memo: Vec::new() };
    let signature = user.sign(&sighash(&chain.id(), &body.txid()));
    HashedTx::new(Transaction { body, witnesses: vec![Witness::Key { pubkey: user.public_key(), signature }] })
}

/// What came in, with the link it came over.
type Mail = Vec<(PeerId, Rc<Envelope>)>;
/// What goes out: to one peer, or to all.
type Sent = Vec<(Option<PeerId>, Arc<Message>)>;

/// A message under way, verified once for all receivers whose time is not taken.
struct Envelope {
    message: Arc<Message>,
    verified: OnceCell<VerifiedMessage>,
}

struct Node {
    replica: Replica,
    signer: Signer,
    journal: Journal,
    own: Vec<Input>,
    mail: Mail,
    finals: usize,
}

impl Node {
    /// Runs commands; what came out of the signer, and what goes out.
    fn execute(&mut self, commands: Vec<Command>) -> (Vec<SignedMessage>, Sent) {
        let (mut sent, mut written, mut signed) = (Vec::new(), None::<WriteSeq>, None);
        for command in commands {
            match command {
                Command::Write { seq, record } => {
                    std::hint::black_box(self.journal.append(&record));
                    written = Some(seq);
                }
                Command::Sign { seq, request } => {
                    signed = Some(self.signer.request(request).expect("nothing contradicts it").seq);
                    written = Some(seq);
                }
                Command::Send { to, message } => sent.push((Some(to), message)),
                Command::Broadcast(message) => sent.push((None, message)),
                Command::Notify(Event::Finalized { .. }) => self.finals += 1,
                Command::Notify(_)
                | Command::ComputeVdf { .. }
                | Command::OwnHeard { .. }
                | Command::OwnSaid(_)
                | Command::Claim(_)
                | Command::KeyElsewhere
                | Command::CheckBlocks { .. }
                | Command::Fault { .. }
                | Command::Serve { .. }
                | Command::SignerBlock { .. } => {}
                Command::Apply(_) | Command::Commit { .. } => unreachable!("no block comes in between"),
            }
        }
        // Synced at once.
        let released = signed.map(|seq| self.signer.flushed(seq)).unwrap_or_default();
        self.own.extend(written.map(Input::Flushed));
        (released, sent)
    }
}

/// What the signer released, checked like anybody's.
fn own_message(verifier: &Verifier, message: SignedMessage) -> Input {
    let own = match message {
        SignedMessage::Votes(batch) => OwnMessage::Votes(Arc::new(verifier.vote_batch(batch).expect("just signed"))),
        SignedMessage::Proposal(proposal) => {
            OwnMessage::Proposal(Arc::new(verifier.proposal(proposal).expect("just signed")))
        }
        SignedMessage::Bft(vote) => OwnMessage::Bft(Arc::new(verifier.bft_vote(vote).expect("just signed"))),
    };
    Input::Signed(own)
}

/// A message that came in, while what is verified together with others is not.
enum Pending {
    Votes,
    Txs(usize),
    Done(Box<VerifiedMessage>),
}

/// Verifies what came in together, as a verify stage does: all votes at once, and all transactions.
fn verify_together(verifier: &Verifier, messages: Vec<Message>) -> Vec<VerifiedMessage> {
    let (mut batches, mut txs) = (Vec::new(), Vec::new());
    let pending: Vec<Pending> = messages
        .into_iter()
        .map(|message| match message {
            Message::Votes(batch) => {
                batches.push(batch);
                Pending::Votes
            }
            Message::Txs(some) => {
                let count = some.len();
                txs.extend(some.into_iter().map(HashedTx::new));
                Pending::Txs(count)
            }
            message => Pending::Done(Box::new(verify(verifier, message).expect("an honest message"))),
        })
        .collect();
    let mut batches = verifier.vote_batches(batches).into_iter().map(|batch| batch.expect("an honest vote"));
    let mut txs = verifier.transactions(txs).into_iter().map(|tx| tx.expect("a valid payment"));
    let finish = |pending| match pending {
        Pending::Votes => VerifiedMessage::Votes(Arc::new(batches.next().expect("one for each"))),
        Pending::Txs(count) => VerifiedMessage::Txs(txs.by_ref().take(count).collect()),
        Pending::Done(message) => *message,
    };
    pending.into_iter().map(finish).collect()
}

/// All nodes, and the messages between them.
struct World {
    nodes: Vec<Node>,
    now: TimeMs,
    /// Of the measured node: it has seen nothing yet.
    own_verifier: Verifier,
    /// Of all others together.
    shared_verifier: Verifier,
    cost: Cost,
    /// Messages that the measured node heard, and how many of them were votes or receipts.
    heard: (usize, usize),
}

impl World {
    fn new(scene: &Scene) -> Self {
        let nodes = (0..scene.keys.len()).map(|number| scene.node(number)).collect();
        let [own_verifier, shared_verifier] = [(); 2].map(|()| Verifier::new(scene.chain.clone()));
        let mut world = Self { nodes, now: START, own_verifier, shared_verifier, cost: Cost::default(), heard: (0, 0) };
        for (number, node) in world.nodes.iter_mut().enumerate() {
            for (other, key) in scene.keys.iter().enumerate().filter(|(other, _)| *other != number) {
                node.own.push(Input::Connected { peer: PeerId(other as u64), key: Some(key.public_key()) });
            }
        }
        while world.round() {}
        (world.cost, world.heard) = (Cost::default(), (0, 0));
        world
    }

    /// Hands the payments to all nodes in turn, and waits until each node knows all of them to be final.
    fn run(&mut self, payments: &[HashedTx]) {
        let count = self.nodes.len();
        for (number, payment) in payments.iter().enumerate() {
            let to = number % count;
            let verifier = if to == MEASURED { &self.own_verifier } else { &self.shared_verifier };
            let before = core_time();
            let verified = verifier.transaction(payment.clone()).expect("a valid payment");
            if to == MEASURED {
                self.cost.verification += core_time() - before;
            }
            self.nodes[to].own.push(Input::Submit(verified));
        }
        while self.nodes.iter().any(|node| node.finals < payments.len()) {
            if !self.round() {
                // Nothing is under way: the next timeout, if one is needed at all.
                self.now = self.nodes.iter().map(|node| node.replica.next_wake()).min().unwrap_or(self.now);
                self.nodes.iter_mut().for_each(|node| node.own.push(Input::Tick));
                assert!(self.now < START.plus(60_000), "payments are stuck");
            }
        }
    }

    /// Every node takes what came in since the last round; whether there was anything.
    fn round(&mut self) -> bool {
        let count = self.nodes.len();
        let mut under_way: Vec<(usize, PeerId, Rc<Envelope>)> = Vec::new();
        let mut was_active = false;
        for number in 0..count {
            let node = &mut self.nodes[number];
            let (own, mail) = (std::mem::take(&mut node.own), std::mem::take(&mut node.mail));
            if own.is_empty() && mail.is_empty() {
                continue;
            }
            was_active = true;
            let sent = if number == MEASURED { self.step_measured(own, mail) } else { self.step(number, own, mail) };
            for (to, message) in sent {
                let envelope = Rc::new(Envelope { message, verified: OnceCell::new() });
                let receivers = match to {
                    Some(peer) => peer.0 as usize..peer.0 as usize + 1,
                    None => 0..count,
                };
                let others = receivers.filter(|other| *other != number);
                under_way.extend(others.map(|other| (other, PeerId(number as u64), envelope.clone())));
            }
        }
        for (to, from, envelope) in under_way {
            self.nodes[to].mail.push((from, envelope));
        }
        was_active
    }

    fn step(&mut self, number: usize, mut inputs: Vec<Input>, mail: Mail) -> Sent {
        let verifier = &self.shared_verifier;
        inputs.extend(mail.into_iter().map(|(from, envelope)| {
            let whole = || verify(verifier, (*envelope.message).clone()).expect("an honest message");
            Input::Message { from, message: envelope.verified.get_or_init(whole).clone() }
        }));
        let node = &mut self.nodes[number];
        let commands = node.replica.step_all(self.now, inputs);
        let (released, sent) = node.execute(commands);
        node.own.extend(released.into_iter().map(|message| own_message(verifier, message)));
        sent
    }

    fn step_measured(&mut self, mut inputs: Vec<Input>, mail: Mail) -> Sent {
        let (senders, messages): (Vec<PeerId>, Vec<Message>) =
            mail.iter().map(|(from, envelope)| (*from, (*envelope.message).clone())).unzip();
        self.heard.0 += messages.len();
        self.heard.1 += messages.iter().filter(|message| matches!(message, Message::Votes(_))).count();
        let node = &mut self.nodes[MEASURED];
        let before = core_time();
        let verified = verify_together(&self.own_verifier, messages);
        let is_verified = core_time();
        let messages = senders.into_iter().zip(verified);
        inputs.extend(messages.map(|(from, message)| Input::Message { from, message }));
        let commands = node.replica.step_all(self.now, inputs);
        let (released, sent) = node.execute(commands);
        let is_done = core_time();
        node.own.extend(released.into_iter().map(|message| own_message(&self.own_verifier, message)));
        self.cost.verification += is_verified - before + (core_time() - is_done);
        self.cost.protocol += is_done - is_verified;
        sent
    }
}

/// What everything else is measured by.
fn limit(criterion: &mut Criterion) {
    let one_core = ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let claims: Vec<SignatureCheck> = (0..LIMIT_BATCH)
        .map(|number| {
            let (key, digest) = (secret("signer", number), Domain::SIGHASH.hash(&number.to_le_bytes()));
            SignatureCheck { key: key.public_key(), digest, signature: key.sign(&digest) }
        })
        .collect();
    let mut group = criterion.benchmark_group("the limit, one core");
    group.throughput(Throughput::Elements(LIMIT_BATCH as u64)).sample_size(10);
    group.bench_function(BenchmarkId::new("signatures in a batch", LIMIT_BATCH), |bencher| {
        bencher.iter_custom(|iterations| {
            one_core.install(|| {
                let before = core_time();
                (0..iterations).for_each(|_| assert!(verify_all(&claims).into_iter().all(|good| good)));
                core_time() - before
            })
        });
    });
}

fn whole_way(criterion: &mut Criterion) {
    // What one core does.
    let one_core = ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    for (payments, largest_set) in BURSTS {
        let mut group = criterion.benchmark_group(format!("{payments} payments at once, one node's time"));
        group.throughput(Throughput::Elements(payments as u64)).sample_size(10);
        group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
        for size in SET_SIZES.into_iter().filter(|size| *size <= largest_set) {
            let scene = Scene::new(size, payments);
            let run = || {
                one_core.install(|| {
                    let mut world = World::new(&scene);
                    world.run(&scene.payments);
                    (world.cost, world.heard)
                })
            };
            let (messages, votes) = run().1;
            println!("{size} masternodes: {messages} messages to a node, {votes} of them votes or receipts");
            let mut bench = |name: &str, part: fn(Cost) -> Duration| {
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter_custom(|iterations| (0..iterations).map(|_| part(run().0)).sum());
                });
            };
            bench("all", |cost| cost.protocol + cost.verification);
            bench("without verification", |cost| cost.protocol);
        }
    }
}

criterion_group!(benches, limit, whole_way);
criterion_main!(benches);
