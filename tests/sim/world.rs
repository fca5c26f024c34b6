//! The world: one queue of events, one virtual clock, one seed.
//!
//! An event happens to one node; what the node wants then (messages, syncs, ticks) becomes further events. The oracle
//! hears everything that anybody puts on a wire and everything honest nodes sign, commit and tell.

use crate::byzantine::{Byzantine, Conspiracy, Said};
use crate::disk::Tear;
use crate::faults::{BEGINNING_MS, Fault, Plan};
use crate::invariants::recovery::Durable;
use crate::invariants::replay::Replay;
use crate::joining::Joining;
use crate::judge;
use crate::load::owners::{Candidate, Owners};
use crate::load::{Coin, Kind, Load};
use crate::network::{Network, Quality};
use crate::node::{Down, Effect, Node, Opened, Shared};
use crate::oracle::Oracle;
use crate::report::Counts;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::traffic::Traffic;
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;
use timed::chain::spec::{Allocation, Chain, GenesisMasternode};
use timed::crypto::vdf;
use timed::ledger::state::ChainState;
use timed::ledger::utxo::StateRead as _;
use timed::ledger::verify::Verifier;
use timed::replica::command::{Event, Input, PeerId};
use timed::replica::join::JoinInput;
use timed::replica::message::{self, Message, VerifiedMessage};
use timed::replica::{Replica, Store as _};
use timed::storage::memory::MemoryStore;
use timed::types::block::VdfProof;
use timed::types::codec::{decode, encode};
use timed::types::hash::{Hash, Txid};
use timed::types::keys::SecretKey;
use timed::types::lock::Lock;
use timed::types::number::{Amount, Height, UNITS_PER_TIME};
use timed::types::transaction::{HashedTx, Transaction};

/// A message under way, verified once for all its receivers.
struct Envelope {
    message: Arc<Message>,
    verified: OnceCell<Result<VerifiedMessage, String>>,
    is_broken: bool,
}

/// What can happen.
enum Happening {
    Deliver { to: usize, from: usize, peer: PeerId, envelope: Rc<Envelope> },
    Tick { node: usize, run: u32 },
    Synced { node: usize, run: u32 },
    Stored { node: usize, run: u32, height: Height },
    Vdf { node: usize, run: u32, seed: Hash },
    Fault(usize),
    Unblock { pairs: Vec<(usize, usize)> },
    Reconnect { pairs: Vec<(usize, usize)> },
    Start { node: usize },
    Act { node: usize },
    Users,
    Join { node: usize },
}

struct Scheduled {
    at: u64,
    order: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What a scenario does with one message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// Nothing.
    Pass,
    /// It is lost.
    Drop,
    /// It is late by this much more, in milliseconds.
    Delay(u64),
}

/// A scenario's hand in the network: time, sender, receiver, message.
pub type Gatekeeper = Box<dyn FnMut(u64, usize, usize, &Message) -> Gate>;

/// What a Byzantine masternode says instead: sender, receiver, what it would have said.
pub type Forger = Box<dyn FnMut(usize, usize, &Message) -> Option<Message>>;

/// Chances of the parts of a world.
struct Chances {
    network: Rng,
    users: Rng,
    byzantine: Rng,
    disk: Rng,
    times: Rng,
}

/// See the module.
pub struct World {
    /// What it is made of.
    pub plan: Plan,
    /// What all nodes share.
    pub shared: Shared,
    /// The nodes: masternodes, twins, observers, spares.
    pub nodes: Vec<Node>,
    /// The links.
    pub network: Network,
    /// The judge.
    pub oracle: Oracle,
    /// The users.
    pub load: Load,
    /// What the world's time is, in milliseconds.
    pub now: u64,
    /// What happened.
    pub trace: Trace,
    /// What was counted.
    pub counts: Counts,
    /// What went wrong that the oracle cannot see.
    pub failures: Vec<String>,
    /// Nodes of which another has the key, started by an operator's mistake.
    pub twins: BTreeSet<usize>,
    /// How often one of them fell silent.
    pub silenced: usize,
    /// Nodes whose delay function takes so long, in milliseconds.
    pub slow_vdf: BTreeMap<usize, u64>,
    /// A scenario's hand in the network.
    pub gate: Option<Gatekeeper>,
    /// What travels, if that is measured.
    pub traffic: Option<Traffic>,
    /// A scenario's hand in what Byzantine masternodes say.
    pub forger: Option<Forger>,
    /// Byzantine masternodes by node.
    pub byzantine: BTreeMap<usize, Byzantine>,
    /// Nodes that begin with a snapshot and have none yet.
    joining: BTreeMap<usize, Joining>,
    conspiracy: Conspiracy,
    queue: BinaryHeap<Reverse<Scheduled>>,
    next_order: u64,
    chances: Chances,
    vdf: BTreeMap<Hash, VdfProof>,
    users_active: bool,
    faults_active: bool,
    looks: u64,
}

/// The fullest purse of each owner, in TIME.
const PURSE_TIME: u64 = 16_000;

fn secret(seed: u64, kind: u8, index: usize) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = kind;
    bytes[9..17].copy_from_slice(&(index as u64).to_le_bytes());
    SecretKey::from_bytes(&bytes)
}

/// The chain of a plan: its masternodes belong to users, its coins too.
fn chain_of(plan: &Plan, keys: &[SecretKey], users: &[SecretKey]) -> Chain {
    let mut spec = plan.spec.clone();
    let lock = |user: usize| Lock::of_key(&users[user % users.len()].public_key());
    for (position, tier) in plan.tiers.iter().enumerate() {
        spec.masternodes.push(GenesisMasternode {
            consensus_key: keys[position].public_key(),
            owner: lock(position),
            payout: lock(position + 1),
            tier: spec.tiers[*tier].name.clone(),
            endpoint: String::new(),
        });
    }
    for owner in 0..plan.owners {
        let values = [PURSE_TIME, PURSE_TIME / 2, PURSE_TIME / 4].into_iter().chain([1; 20]);
        let coin =
            |time: u64| Allocation { address: lock(plan.users + owner), amount: Amount::new(time * UNITS_PER_TIME) };
        spec.allocations.extend(values.map(coin));
    }
    for user in 0..plan.users {
        for coin in 0..plan.coins {
            let amount = if coin == 0 { 3_000 * UNITS_PER_TIME } else { (1 + coin as u64) * UNITS_PER_TIME };
            spec.allocations.push(Allocation { address: lock(user), amount: Amount::new(amount) });
        }
    }
    for _ in 0..plan.shared_coins {
        spec.allocations.push(Allocation { address: shared_lock(users), amount: Amount::new(UNITS_PER_TIME) });
    }
    Chain::new(spec).unwrap()
}

/// The lock that either of two users opens.
fn shared_lock(users: &[SecretKey]) -> Lock {
    let mut keys: Vec<_> = users.iter().take(2).map(SecretKey::public_key).collect();
    keys.sort();
    Lock::of_keys(1, &keys)
}

impl World {
    /// A world at its beginning: every node is started, every pair connected.
    pub fn new(plan: Plan, is_printed: bool) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0x77);
        let users: Vec<SecretKey> = (0..plan.users + plan.owners).map(|i| secret(plan.seed, 1, i)).collect();
        let masternodes = plan.tiers.len();
        let keys: Vec<SecretKey> = (0..masternodes + plan.spares).map(|i| secret(plan.seed, 2, i)).collect();
        let chain = chain_of(&plan, &keys, &users);
        let (genesis, utxos) = ChainState::genesis(&chain).unwrap();
        let locks: Vec<Lock> = users.iter().map(|key| Lock::of_key(&key.public_key())).collect();
        let mut coins = BTreeMap::new();
        for (outpoint, utxo) in &utxos {
            let owner = locks.iter().position(|lock| *lock == utxo.out.lock);
            if let Some(owner) = owner.filter(|_| !genesis.registry.is_collateral(outpoint)) {
                coins.insert(*outpoint, Coin { value: utxo.out.value.get(), owner });
            }
        }
        let oracle_registry = Replay::new(&chain, BTreeSet::new()).registry().clone();
        let candidates =
            (0..keys.len()).map(|key| Candidate { key: keys[key].clone(), is_honest: !plan.is_bad_key(key) });
        let owners = Owners::new(candidates.collect(), &oracle_registry);
        let mut load = Load::new(chain.clone(), users, coins, (plan.users, owners));
        let shared = |utxo: &timed::ledger::utxo::Utxo| utxo.out.lock == shared_lock(&load.keys);
        load.shared = utxos.iter().filter(|(_, utxo)| shared(utxo)).map(|(o, u)| (*o, u.out.value.get())).collect();
        load.may_enter = keys[masternodes..].to_vec();
        load.may_leave = may_leave(&plan, &genesis, &keys, &locks);
        let node_keys = (0..masternodes)
            .map(|m| Some(keys[m].clone()))
            .chain(plan.twins.iter().map(|m| Some(keys[*m].clone())))
            .chain((0..plan.observers).map(|_| None))
            .chain(keys[masternodes..].iter().cloned().map(Some));
        let nodes: Vec<Node> =
            node_keys.map(|key| Node::new(key, Arc::new(MemoryStore::new(genesis.clone(), utxos.clone())))).collect();
        let mut byzantine = BTreeMap::new();
        for (masternode, tactics) in &plan.byzantine {
            byzantine.insert(*masternode, Byzantine::new(chain.clone(), keys[*masternode].clone(), *tactics));
        }
        for (position, masternode) in plan.twins.iter().enumerate() {
            // A twin is an honest program with a key that it should not have; what else its owner does, the other does.
            let node = masternodes + position;
            byzantine.insert(node, Byzantine::new(chain.clone(), keys[*masternode].clone(), Default::default()));
            byzantine
                .entry(plan.node_of_key(*masternode))
                .or_insert_with(|| Byzantine::new(chain.clone(), keys[*masternode].clone(), Default::default()));
        }
        for (place, tactics) in &plan.byzantine_spares {
            let key = keys[masternodes + place].clone();
            byzantine.insert(plan.spare(*place), Byzantine::new(chain.clone(), key, *tactics));
        }
        for (place, tactics) in &plan.bad_relays {
            // Its key is nobody's.
            let key = secret(plan.seed, 3, *place);
            byzantine.insert(plan.observer(*place), Byzantine::new(chain.clone(), key, *tactics));
        }
        let dishonest: BTreeSet<_> =
            byzantine.keys().filter_map(|node| nodes[*node].key.as_ref()).map(SecretKey::public_key).collect();
        let honest = keys.iter().map(SecretKey::public_key).filter(|key| !dishonest.contains(key)).collect();
        let count = nodes.len();
        let mut world = Self {
            oracle: Oracle::new(&chain, honest),
            shared: Shared { verifier: Arc::new(Verifier::new(chain.clone())), chain },
            network: Network::new(count),
            load,
            now: BEGINNING_MS,
            trace: Trace::new(is_printed),
            counts: Counts { seeds: 1, ..Counts::default() },
            failures: Vec::new(),
            twins: BTreeSet::new(),
            silenced: 0,
            slow_vdf: BTreeMap::new(),
            gate: None,
            traffic: None,
            forger: None,
            byzantine,
            joining: BTreeMap::new(),
            conspiracy: Conspiracy::default(),
            queue: BinaryHeap::new(),
            next_order: 0,
            chances: Chances {
                network: rng.fork(),
                users: rng.fork(),
                byzantine: rng.fork(),
                disk: rng.fork(),
                times: rng.fork(),
            },
            vdf: BTreeMap::new(),
            users_active: true,
            faults_active: true,
            looks: 0,
            nodes,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].clock_ms = self.small_skew();
            self.nodes[node].is_careful = self.is_honest(node);
            if !self.plan.late.contains(&node) {
                self.start(node);
            }
        }
        for node in self.byzantine.keys().copied().collect::<Vec<_>>() {
            self.schedule(self.now + 200, Happening::Act { node });
        }
        for (position, (at, _)) in self.plan.faults.clone().iter().enumerate() {
            self.schedule(BEGINNING_MS + at, Happening::Fault(position));
        }
        if self.plan.load_every_ms > 0 {
            self.schedule(self.now + 500, Happening::Users);
        }
    }

    fn small_skew(&mut self) -> i64 {
        let most = self.plan.skew_ms;
        self.chances.times.below(2 * most + 1) as i64 - most as i64
    }

    fn schedule(&mut self, at: u64, what: Happening) {
        self.next_order += 1;
        self.queue.push(Reverse(Scheduled { at: at.max(self.now), order: self.next_order, what }));
    }

    /// Whether a node follows the rules.
    pub fn is_honest(&self, node: usize) -> bool {
        !self.byzantine.contains_key(&node)
    }

    /// The nodes that follow the rules.
    pub fn honest(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_honest(*node)).collect()
    }

    /// Honest nodes that run.
    pub fn running(&self) -> Vec<usize> {
        self.honest().into_iter().filter(|node| self.nodes[*node].running.is_some()).collect()
    }

    /// The replica of a node that runs.
    pub fn replica(&self, node: usize) -> Option<&Replica> {
        self.nodes[node].running.as_ref().map(|running| &running.replica)
    }

    /// Height of a node's tip, running or not.
    pub fn height(&self, node: usize) -> u64 {
        match self.replica(node) {
            Some(replica) => replica.ledger().tip().header.height.get(),
            None => self.nodes[node].store.tip().header.height.get(),
        }
    }

    /// Highest tip of an honest node.
    pub fn highest(&self) -> u64 {
        self.honest().into_iter().map(|node| self.height(node)).max().unwrap_or(0)
    }

    /// Lowest tip of an honest node.
    pub fn lowest(&self) -> u64 {
        self.honest().into_iter().map(|node| self.height(node)).min().unwrap_or(0)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.next_event(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, at most `ms`; whether it was done.
    pub fn run_until(&mut self, ms: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + ms;
        loop {
            if done(self) {
                return true;
            }
            // Looking costs more than an event.
            for _ in 0..50 {
                if !self.next_event(end) {
                    self.now = self.now.max(end);
                    return done(self);
                }
            }
            if self.has_failed() {
                return false;
            }
        }
    }

    /// Like [`Self::run_until`], but looks after every single event.
    pub fn run_until_event(&mut self, ms: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + ms;
        while !done(self) {
            if !self.next_event(end) {
                return false;
            }
        }
        true
    }

    /// Whether something went wrong already.
    pub fn has_failed(&self) -> bool {
        !self.failures.is_empty() || !self.oracle.violations().is_empty()
    }

    fn next_event(&mut self, end: u64) -> bool {
        if self.queue.peek().is_none_or(|Reverse(next)| next.at > end) {
            return false;
        }
        if let Some(Reverse(next)) = self.queue.pop() {
            self.now = next.at;
            self.happen(next.what);
        }
        true
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Deliver { to, from, peer, envelope } => self.deliver(to, from, peer, &envelope),
            Happening::Tick { node, run } => {
                let is_current = self.nodes[node].run == run;
                let due = self.nodes[node].running.as_mut().filter(|running| running.wake_at == Some(self.now));
                if let Some(running) = due.filter(|_| is_current) {
                    running.wake_at = None;
                    self.trace.note(self.now, node, 1, 0, String::new);
                    self.feed(node, vec![Input::Tick]);
                }
            }
            Happening::Synced { node, run } if self.nodes[node].run == run => self.synced(node),
            Happening::Stored { node, run, height } if self.nodes[node].run == run => self.stored(node, height),
            Happening::Vdf { node, run, seed } if self.nodes[node].run == run => self.vdf_done(node, seed),
            Happening::Synced { .. } | Happening::Stored { .. } | Happening::Vdf { .. } => {}
            Happening::Fault(position) => {
                if self.faults_active {
                    let (_, fault) = self.plan.faults[position].clone();
                    self.fault(fault);
                }
            }
            Happening::Unblock { pairs } => self.network.unblock(&pairs),
            Happening::Reconnect { pairs } => pairs.iter().for_each(|(a, b)| self.connect(*a, *b)),
            Happening::Start { node } => {
                if self.nodes[node].running.is_none() {
                    self.start(node);
                }
            }
            Happening::Join { node } => {
                if self.joining.contains_key(&node) {
                    self.schedule(self.now + 50, Happening::Join { node });
                    self.feed_joining(node, JoinInput::Tick);
                }
            }
            Happening::Act { node } => self.act(node),
            Happening::Users => self.users(),
        }
    }

    // ---- nodes

    /// Starts a node that is down, and connects it.
    pub fn start(&mut self, node: usize) {
        let mut effects = Vec::new();
        let has_state = self.nodes[node].store.tip().height() > Height::ZERO;
        let is_restart = self.nodes[node].run > 0 || has_state;
        self.nodes[node].disk.space = None;
        let opened = self.nodes[node].open(&self.shared, &mut self.chances.disk, self.now, &mut effects);
        let height = self.height(node);
        let outcome = opened.as_ref().map(|opened| opened.done).map_err(Clone::clone);
        self.trace.note(self.now, node, 2, height, || format!("starts at height {height}: {outcome:?}"));
        let Opened { found, recovered, done } = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                self.failures.push(format!("node {node} refuses to start: {reason}"));
                return;
            }
        };
        if is_restart {
            self.counts.restarts += 1;
            self.check_restart(node, &found, &recovered);
        }
        self.settle(node, effects, done);
        for other in 0..self.nodes.len() {
            self.connect(node, other);
        }
    }

    /// Nothing told before may be gone, and nothing that the disk still promises.
    fn check_restart(&mut self, node: usize, found: &(u64, Vec<Durable>), recovered: &judge::Recovered) {
        if self.is_honest(node) {
            judge::restart(&mut self.oracle, self.now, node, recovered, (found.0, &found.1));
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let is_planned = self.plan.links.as_ref().is_none_or(|links| links.contains(&(a.min(b), a.max(b))));
        if !is_planned || !self.is_up(a) || !self.is_up(b) {
            return;
        }
        let Some((at_a, at_b)) = self.network.connect(a, b) else { return };
        let key_of = |node: usize| self.nodes[node].key.as_ref().map(SecretKey::public_key);
        let (key_a, key_b) = (key_of(a), key_of(b));
        self.trace.note(self.now, a, 3, b as u64, || format!("connected to {b}"));
        self.feed(a, vec![Input::Connected { peer: at_a, key: key_b }]);
        // The one may have crashed at this very input, and the link with it.
        if self.network.name(b, a) == Some(at_b) {
            self.feed(b, vec![Input::Connected { peer: at_b, key: key_a }]);
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        let Some((at_a, at_b)) = self.network.disconnect(a, b) else { return };
        self.trace.note(self.now, a, 4, b as u64, || format!("disconnected from {b}"));
        self.feed(a, vec![Input::Disconnected { peer: at_a }]);
        self.feed(b, vec![Input::Disconnected { peer: at_b }]);
    }

    /// Stops a node now.
    pub fn crash(&mut self, node: usize, tear: Tear, store_lost: bool) {
        if self.nodes[node].running.is_none() {
            return;
        }
        self.counts.crashes += 1;
        self.nodes[node].crash(&mut self.chances.disk, tear, store_lost);
        self.trace.note(self.now, node, 5, 0, || format!("crashes, {tear:?}, store lost: {store_lost}"));
        for other in 0..self.nodes.len() {
            self.disconnect(node, other);
        }
        // It may have been the only one that had a piece; who else has one says it again.
        self.oracle.forget_evidence();
    }

    /// Stops a node now; it comes back after `ms`.
    pub fn crash_for(&mut self, node: usize, tear: Tear, store_lost: bool, ms: u64) {
        self.crash(node, tear, store_lost);
        self.schedule(self.now + ms, Happening::Start { node });
    }

    /// A node stopped by itself: it comes back after a while.
    fn fall(&mut self, node: usize, down: Down) {
        let (tear, store_lost, ms) = match (down, self.nodes[node].crash_after) {
            (Down::Crash, Some((_, tear, store_lost, ms))) => (tear, store_lost, ms),
            _ => (Tear::Cut, true, 1_000),
        };
        if down == Down::Disk {
            self.counts.disk_faults += 1;
        }
        self.crash(node, tear, store_lost);
        self.schedule(self.now + ms, Happening::Start { node });
    }

    /// Whether a node has links.
    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].running.is_some() || self.joining.contains_key(&node)
    }

    /// Starts a node that has no chain with a joiner, and connects it.
    pub fn join(&mut self, node: usize) {
        let joining = Joining::new(&self.shared, None);
        self.begin_joining(node, joining);
    }

    /// The same, with what [`World::interrupt_join`] left on its disk.
    pub fn join_again(&mut self, node: usize, kept: Joining) {
        let joining = Joining::new(&self.shared, Some(kept));
        self.begin_joining(node, joining);
    }

    fn begin_joining(&mut self, node: usize, joining: Joining) {
        self.joining.insert(node, joining);
        self.schedule(self.now + 50, Happening::Join { node });
        for other in 0..self.nodes.len() {
            self.connect(node, other);
        }
    }

    /// Stops a joiner; what its disk has.
    pub fn interrupt_join(&mut self, node: usize) -> Joining {
        for other in 0..self.nodes.len() {
            self.disconnect(node, other);
        }
        self.joining.remove(&node).unwrap()
    }

    fn feed_joining(&mut self, node: usize, input: JoinInput) {
        let Some(joining) = self.joining.get_mut(&node) else { return };
        let mut effects = Vec::new();
        let clock = self.nodes[node].clock(self.now);
        let joined = joining.step(clock, input, &mut effects);
        self.after(node, effects);
        if let Some(store) = joined {
            drop(self.interrupt_join(node));
            self.nodes[node].store = Arc::new(store);
            self.start(node);
        }
    }

    fn feed(&mut self, node: usize, inputs: Vec<Input>) {
        if self.joining.contains_key(&node) {
            for input in inputs {
                match input {
                    Input::Connected { peer, .. } => self.feed_joining(node, JoinInput::Connected(peer)),
                    Input::Disconnected { peer } => self.feed_joining(node, JoinInput::Disconnected(peer)),
                    _ => {}
                }
            }
            return;
        }
        let mut effects = Vec::new();
        let result = self.nodes[node].feed(&mut self.chances.disk, self.now, inputs, &mut effects);
        self.settle(node, effects, result);
    }

    /// What was done before a node fell is done.
    fn settle(&mut self, node: usize, effects: Vec<Effect>, result: Result<(), Down>) {
        self.after(node, effects);
        if let Err(down) = result {
            self.fall(node, down);
        }
    }

    fn after(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            self.effect(node, effect);
        }
        if self.nodes[node].start_sync() {
            self.plan_sync(node);
        }
        self.plan_tick(node);
        if self.is_honest(node)
            && let Some(running) = &self.nodes[node].running
        {
            judge::see(&mut self.oracle, self.now, node, &running.replica, self.nodes[node].flushed());
            self.looks += 1;
            if self.looks.is_multiple_of(64) {
                judge::measure(&mut self.oracle, self.now, node, &running.replica, self.nodes.len());
            }
        }
    }

    fn plan_sync(&mut self, node: usize) {
        let (low, high) = self.plan.sync_ms;
        let (at, run) = (self.now + self.chances.times.range(low, high), self.nodes[node].run);
        self.schedule(at, Happening::Synced { node, run });
    }

    fn plan_tick(&mut self, node: usize) {
        let (now, clock_ms, run) = (self.now, self.nodes[node].clock_ms, self.nodes[node].run);
        let Some(running) = &mut self.nodes[node].running else { return };
        let local = running.replica.next_wake().0;
        let at = local.saturating_add_signed(-clock_ms).max(now + 1);
        if running.wake_at.is_none_or(|scheduled| at < scheduled) {
            running.wake_at = Some(at);
            self.schedule(at, Happening::Tick { node, run });
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        let is_honest = self.is_honest(node);
        match effect {
            Effect::Send(peer, message) => {
                if let Some(to) = self.network.behind(node, peer) {
                    self.say(node, &[to], message);
                }
            }
            Effect::Broadcast(message) => {
                let neighbours = self.network.neighbours(node);
                self.say(node, &neighbours, message);
            }
            Effect::Notify(event) => self.told(node, &event),
            Effect::Blamed(peer, what) => {
                let honest = self.network.behind(node, peer).filter(|other| self.is_honest(*other));
                if let (Some(other), true) = (honest, self.is_honest(node)) {
                    self.failures.push(format!("node {node} blames node {other}, which is honest: {what}"));
                }
            }
            Effect::FellSilent if self.twins.contains(&node) => self.silenced += 1,
            Effect::FellSilent => {
                self.failures.push(format!("node {node} takes its own past for another run with its key"));
            }
            Effect::Vdf(seed, iterations) => {
                self.vdf.entry(seed).or_insert_with(|| vdf::evaluate(&seed, iterations));
                let (low, high) = self.plan.vdf_ms;
                let usual_ms = self.chances.times.range(low, high);
                let at = self.now + self.slow_vdf.get(&node).copied().unwrap_or(usual_ms);
                self.schedule(at, Happening::Vdf { node, run: self.nodes[node].run, seed });
            }
            Effect::Committed(block) => {
                let height = block.changes.height;
                self.trace.note(self.now, node, 6, block.changes.state.hash.0[0].into(), || {
                    let header = &block.block.header;
                    format!(
                        "commits {height} {:?} view {} slot {} opened {} txs {} closes {:?}",
                        block.changes.state.hash,
                        block.commit.view,
                        header.slot,
                        header.opened,
                        header.tx_count,
                        block.changes.closed_epoch
                    )
                });
                if is_honest {
                    judge::commit(&mut self.oracle, self.now, node, &block);
                    self.count_block(&block.block);
                    block.changes.txids.iter().for_each(|txid| self.load.became_final(txid));
                }
            }
            Effect::Applied(height) => {
                let run = self.nodes[node].run;
                let (low, high) = self.plan.store_ms;
                let at = self.now + self.chances.times.range(low, high);
                self.schedule(at, Happening::Stored { node, run, height });
            }
            Effect::Signed(message, again) => {
                if is_honest {
                    judge::release(&mut self.oracle, self.now, &message, again);
                }
            }
        }
    }

    fn count_block(&mut self, block: &timed::types::block::Block) {
        let height = block.header.height.get();
        if height > self.counts.blocks {
            self.counts.blocks = height;
            self.counts.evidence += block.evidence.len() as u64;
            self.counts.epochs = block.header.opened / self.plan.spec.epoch_slots;
        }
    }

    fn told(&mut self, node: usize, event: &Event) {
        self.trace.note(self.now, node, 7, 0, || format!("tells {event:?}"));
        if !self.is_honest(node) {
            return;
        }
        judge::tell(&mut self.oracle, self.now, node, event);
        match event {
            Event::Finalized { txid, .. } => {
                self.nodes[node].told.insert(*txid);
                if let Some(traffic) = &mut self.traffic {
                    traffic.finals.push((*txid, self.now));
                }
                self.load.became_final(txid);
                if let Some(Kind::Invalid(what)) = self.load.submitted.get(txid).map(|s| s.kind) {
                    self.failures.push(format!("node {node} calls {txid} final, which has a fault: {what}"));
                }
            }
            Event::ViewChanged { view, .. } if view.get() > 0 => {
                self.counts.view_changes += 1;
                self.counts.highest_view = self.counts.highest_view.max(u64::from(view.get()));
            }
            _ => {}
        }
    }

    fn synced(&mut self, node: usize) {
        let mut effects = Vec::new();
        self.trace.note(self.now, node, 8, 0, String::new);
        let result = self.nodes[node].synced(&self.shared, &mut self.chances.disk, self.now, &mut effects);
        match result {
            Ok(result) => {
                if result == Ok(true) {
                    self.plan_sync(node);
                }
                self.settle(node, effects, result.map(drop));
            }
            Err(reason) => self.failures.push(format!("node {node} signed what does not verify: {reason}")),
        }
    }

    fn stored(&mut self, node: usize, height: Height) {
        self.nodes[node].store.make_durable(height);
        let durable = self.nodes[node].store.durable_height();
        self.nodes[node].disk.drop_segments(durable.get());
        self.feed(node, vec![Input::Applied(durable)]);
    }

    fn vdf_done(&mut self, node: usize, seed: Hash) {
        let wanted = self.nodes[node].running.as_ref().is_some_and(|running| running.vdf == Some(seed));
        if let Some(proof) = self.vdf.get(&seed).filter(|_| wanted) {
            let proof = Box::new(proof.clone());
            self.feed(node, vec![Input::Vdf { seed, proof }]);
        }
    }

    // ---- messages

    fn say(&mut self, from: usize, receivers: &[usize], message: Arc<Message>) {
        if self.is_honest(from) {
            judge::hear(&mut self.oracle, self.now, &message);
            if let Message::Evidence(piece) = &*message {
                self.oracle.tell_evidence(piece);
            }
            let envelope = self.seal(message, false);
            receivers.iter().for_each(|to| self.send(from, *to, &envelope));
            return;
        }
        self.conspiracy.listen(&mut self.chances.byzantine, &message);
        let rival = self.other_proposal(from, &message);
        let whole = self.seal(message.clone(), false);
        let mut heard = false;
        for to in receivers {
            let rival = rival.as_ref().filter(|(_, for_all)| *for_all || to % 2 == 1);
            let story = rival.map_or(&message, |(rival, _)| rival).clone();
            let Some(byzantine) = self.byzantine.get_mut(&from) else { continue };
            let said = byzantine.tamper(&mut self.chances.byzantine, &mut self.conspiracy, *to, &story);
            for Said { message: said, is_broken } in said {
                let forged = self.forger.as_mut().and_then(|forger| forger(from, *to, &said));
                let said = forged.map_or(said, Arc::new);
                if Arc::ptr_eq(&said, &whole.message) {
                    if !heard {
                        judge::hear(&mut self.oracle, self.now, &said);
                        heard = true;
                    }
                    self.send(from, *to, &whole);
                } else {
                    judge::hear(&mut self.oracle, self.now, &said);
                    let envelope = self.seal(said, is_broken);
                    self.send(from, *to, &envelope);
                }
            }
        }
    }

    fn other_proposal(&mut self, from: usize, message: &Message) -> Option<(Arc<Message>, bool)> {
        let Message::Proposal(proposal) = message else { return None };
        let replica = self.nodes[from].running.as_ref().map(|running| &running.replica)?;
        let byzantine = self.byzantine.get(&from)?;
        let (rival, for_all) =
            byzantine.other_proposal(&mut self.chances.byzantine, &self.shared.verifier, replica, proposal)?;
        let rival = Arc::new(Message::Proposal(Box::new(rival)));
        self.conspiracy.acts += 1;
        self.conspiracy.listen(&mut self.chances.byzantine, &rival);
        Some((rival, for_all))
    }

    /// Now and then a message goes through the codec, as on a real wire.
    fn seal(&mut self, message: Arc<Message>, is_broken: bool) -> Rc<Envelope> {
        if self.chances.network.chance(20) {
            let bytes = encode(&*message);
            match decode::<Message>(&bytes) {
                Ok(decoded) if decoded == *message => {}
                other => self.failures.push(format!("the codec made {other:?} of {message:?}")),
            }
        }
        Rc::new(Envelope { message, verified: OnceCell::new(), is_broken })
    }

    fn send(&mut self, from: usize, to: usize, envelope: &Rc<Envelope>) {
        let Some(peer) = self.network.name(to, from) else { return };
        let gate = match &mut self.gate {
            Some(gate) => gate(self.now, from, to, &envelope.message),
            None => Gate::Pass,
        };
        let late = match gate {
            Gate::Pass => 0,
            Gate::Drop => return,
            Gate::Delay(ms) => ms,
        };
        let arrivals = self.network.arrivals(&mut self.chances.network, self.now, from, to);
        for at in arrivals.into_iter().flatten() {
            self.schedule(at + late, Happening::Deliver { to, from, peer, envelope: envelope.clone() });
        }
    }

    fn deliver(&mut self, to: usize, from: usize, peer: PeerId, envelope: &Rc<Envelope>) {
        if self.network.name(to, from) != Some(peer) || !self.is_up(to) {
            return;
        }
        self.counts.messages += 1;
        if self.joining.contains_key(&to) {
            let message = (*envelope.message).clone();
            return self.feed_joining(to, JoinInput::Message { from: peer, message });
        }
        if let Some(traffic) = &mut self.traffic {
            traffic.count(&envelope.message);
        }
        self.trace.note(self.now, to, 9, from as u64, || match &*envelope.message {
            Message::Status { .. } | Message::SampleQuery { .. } | Message::SampleResponse { .. } => String::new(),
            message => format!("hears from {from}: {}", brief(message)),
        });
        if !self.is_honest(to) {
            self.conspiracy.listen(&mut self.chances.byzantine, &envelope.message);
        }
        let verifier = &self.shared.verifier;
        let verified = envelope
            .verified
            .get_or_init(|| message::verify(verifier, (*envelope.message).clone()).map_err(|fault| fault.to_string()));
        match verified {
            Ok(_) if envelope.is_broken => {
                self.failures.push(format!("a broken signature passed: {:?}", envelope.message));
            }
            Ok(message) => {
                let message = message.clone();
                self.feed(to, vec![Input::Message { from: peer, message }]);
            }
            Err(reason) => {
                self.counts.refused += 1;
                if self.is_honest(from) {
                    self.failures.push(format!("an honest message is refused: {reason}: {:?}", envelope.message));
                }
            }
        }
    }

    fn act(&mut self, node: usize) {
        let pause = self.chances.byzantine.range(50, 500);
        self.schedule(self.now + pause, Happening::Act { node });
        if !self.faults_active && !self.plan.byzantine_stay {
            return;
        }
        let Some(running) = &self.nodes[node].running else { return };
        let epoch = running.replica.epoch();
        let neighbours = self.network.neighbours(node);
        let Some(byzantine) = self.byzantine.get_mut(&node).filter(|_| !neighbours.is_empty()) else { return };
        let said =
            byzantine.act(&mut self.chances.byzantine, &mut self.conspiracy, epoch, &self.load.rivals, &neighbours);
        for (to, message) in said {
            judge::hear(&mut self.oracle, self.now, &message);
            let envelope = self.seal(message, false);
            self.send(node, to, &envelope);
        }
    }

    // ---- users

    fn users(&mut self) {
        if !self.users_active {
            return;
        }
        let pause = self.chances.users.range(1, 2 * self.plan.load_every_ms);
        self.schedule(self.now + pause, Happening::Users);
        let up: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].running.is_some()).collect();
        if up.is_empty() {
            return;
        }
        let mix = self.plan.mix;
        if mix.membership > 0 && self.chances.users.chance(mix.membership) {
            let registry = self.oracle.replay().registry();
            for submission in self.load.deed(&mut self.chances.users, registry, &up) {
                self.submit(submission.node, submission.tx);
            }
            return;
        }
        for submission in self.load.next(&mut self.chances.users, &mix, &up) {
            self.submit(submission.node, submission.tx);
        }
    }

    /// Hands a transaction to a node, as RPC does: checked first.
    pub fn submit(&mut self, node: usize, tx: Transaction) {
        let hashed = HashedTx::new(tx);
        let txid = hashed.txid();
        self.trace.note(self.now, node, 10, txid.0[0].into(), || format!("is handed {txid:?}"));
        let kind = self.load.submitted.get(&txid).map(|s| s.kind);
        match self.shared.verifier.transaction(hashed) {
            Ok(tx) if kind == Some(Kind::Invalid("bad signature")) => {
                self.failures.push(format!("a bad signature passed: {tx:?}"));
            }
            Ok(tx) => {
                if matches!(kind, Some(Kind::Plain | Kind::Rival)) {
                    self.oracle.submit(self.now, tx.tx());
                }
                self.feed(node, vec![Input::Submit(tx)]);
            }
            Err(reason) => {
                if !matches!(kind, Some(Kind::Invalid(_))) {
                    self.failures.push(format!("a valid transaction is refused: {reason}"));
                }
            }
        }
    }

    /// A random payment at a node; its txid.
    pub fn pay(&mut self, node: usize) -> Option<Txid> {
        let tx = self.load.payment(&mut self.chances.users)?;
        let txid = tx.body.txid();
        self.load.hand_in(node, tx.clone(), Kind::Plain);
        self.submit(node, tx);
        Some(txid)
    }

    /// Two or three rivals at these nodes; their txids.
    pub fn pay_twice(&mut self, nodes: &[usize]) -> Vec<Txid> {
        let submissions = self.load.rivals(&mut self.chances.users, nodes);
        let txids = submissions.iter().map(|s| s.tx.body.txid()).collect();
        submissions.into_iter().for_each(|s| self.submit(s.node, s.tx));
        txids
    }

    /// Users do nothing of their own any more.
    pub fn stop_users(&mut self) {
        self.users_active = false;
    }

    /// Hands every valid transaction that is not final yet to a node, and to another, as users do who wait in vain.
    pub fn hand_in_again(&mut self) {
        let running = self.running();
        for txid in self.load.unfinished() {
            let node = *self.chances.users.pick(&running);
            if let Some(tx) = self.load.hand_in_again(&txid, node) {
                self.submit(node, tx);
            }
        }
    }

    /// Spends every contested coin that is free, at some node.
    pub fn spend_again(&mut self) -> usize {
        let free = self.load.free_again();
        let running = self.running();
        for outpoint in &free {
            let node = *self.chances.users.pick(&running);
            if let Some(tx) = self.load.spend_again(&mut self.chances.users, *outpoint) {
                self.submit(node, tx);
            }
        }
        free.len()
    }

    /// Whether the node knows the payment to be final.
    pub fn is_final_at(&self, node: usize, txid: &Txid) -> bool {
        let store = &self.nodes[node].store;
        // Who began with a snapshot has what came before it, and does not know by which payments.
        let is_before = |other: &Node| other.store.archived_height(txid).is_some_and(|at| at < store.lowest_block());
        let is_here = self.nodes[node].told.contains(txid) || store.archived_height(txid).is_some();
        is_here || (store.lowest_block() > Height::new(1) && self.nodes.iter().any(is_before))
    }

    // ---- faults

    /// Lets a fault happen.
    pub fn fault(&mut self, fault: Fault) {
        self.trace.note(self.now, 0, 11, 0, || format!("FAULT {fault:?}"));
        match fault {
            Fault::Crash { node, after_commands, tear, store_lost, down_ms } => {
                self.nodes[node].crash_after = Some((after_commands, tear, store_lost, down_ms));
            }
            Fault::SyncError { node, .. } => {
                if let Some(running) = &mut self.nodes[node].running {
                    running.sync_fails = true;
                }
            }
            Fault::DiskFull { node, space, .. } => self.nodes[node].disk.space = Some(space),
            Fault::Swallow { pairs, ms } => {
                self.counts.partitions += 1;
                pairs.iter().for_each(|(from, to)| self.network.block(*from, *to));
                self.schedule(self.now + ms, Happening::Unblock { pairs });
            }
            Fault::Cut { pairs, ms } => {
                self.counts.partitions += 1;
                pairs.iter().for_each(|(a, b)| self.disconnect(*a, *b));
                self.schedule(self.now + ms, Happening::Reconnect { pairs });
            }
            Fault::Clock { node, offset_ms } => {
                self.counts.clock_jumps += 1;
                self.nodes[node].clock_ms = offset_ms;
                self.plan_tick(node);
            }
            Fault::AllDown { tear, ms } => {
                for node in 0..self.nodes.len() {
                    self.crash(node, tear, true);
                    let late = self.chances.times.below(500);
                    self.schedule(self.now + ms + late, Happening::Start { node });
                }
            }
            Fault::Weather(quality) => self.weather(quality),
            Fault::Turn { node, tactics } => {
                if let Some(byzantine) = self.byzantine.get_mut(&node) {
                    byzantine.tactics = tactics;
                }
            }
        }
    }

    /// The same quality for all links.
    pub fn weather(&mut self, quality: Quality) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                self.network.set_quality(a, b, quality);
            }
        }
    }

    /// No more faults: the network is good, clocks are right, disks work, every node runs.
    pub fn heal(&mut self) {
        self.faults_active = false;
        self.gate = None;
        self.forger = None;
        self.network.unblock_all();
        self.weather(Quality::GOOD);
        self.plan.sync_ms = (1, 4);
        self.plan.skew_ms = self.plan.skew_ms.min(50);
        if !self.plan.byzantine_stay {
            self.calm_byzantine();
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].crash_after = None;
            let was_wrong = self.nodes[node].clock_ms.unsigned_abs() > 1_000;
            self.nodes[node].clock_ms = self.small_skew();
            if let Some(running) = &mut self.nodes[node].running {
                running.sync_fails = false;
            }
            // A clock that was far off is set right by its operator, who restarts the node.
            if was_wrong {
                self.crash(node, Tear::Nothing, false);
            }
            self.nodes[node].disk.space = None;
            if self.nodes[node].running.is_none() {
                self.start(node);
            }
        }
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    /// Byzantine masternodes do nothing wrong any more, apart from running twice.
    pub fn calm_byzantine(&mut self) {
        self.byzantine.values_mut().for_each(|byzantine| byzantine.tactics = Default::default());
    }

    /// The world is over: what it counted.
    pub fn finish(&mut self) -> Counts {
        self.counts.submitted = self.load.submitted.len() as u64;
        self.counts.finals = self.load.submitted.values().filter(|s| s.is_final).count() as u64;
        self.counts.byzantine_acts = self.conspiracy.acts;
        self.counts.members = self.oracle.replay().members().tally();
        self.counts.virtual_ms = self.now - BEGINNING_MS;
        self.counts
    }
}

/// Masternodes that may leave without the Byzantine weight coming near a third: honest ones, lightest first.
fn may_leave(
    plan: &Plan,
    genesis: &ChainState,
    keys: &[SecretKey],
    locks: &[Lock],
) -> Vec<(timed::types::hash::MasternodeId, usize)> {
    let bad = |m: &usize| plan.is_bad_key(*m);
    let byzantine: u64 = (0..plan.tiers.len()).filter(bad).map(|m| plan.weight(m)).sum();
    let mut order: Vec<usize> = (0..plan.tiers.len()).filter(|m| !bad(m)).collect();
    order.sort_by_key(|m| (plan.weight(*m), *m));
    let mut total = plan.total_weight();
    let mut leaving = Vec::new();
    for masternode in order {
        let rest = total - plan.weight(masternode);
        if byzantine * 3 >= rest || plan.tiers.len() - leaving.len() <= 3 {
            break;
        }
        total = rest;
        let record = genesis.registry.by_key(&keys[masternode].public_key());
        if let Some(record) = record
            && let Some(owner) = locks.iter().position(|lock| *lock == record.owner)
        {
            leaving.push((record.id, owner));
        }
    }
    leaving
}

/// A line about a message.
fn brief(message: &Message) -> String {
    match message {
        Message::Votes(batch) => {
            format!("{:?} of {:?} in epoch {} for {:?}", batch.kind, batch.voter, batch.epoch, batch.txids)
        }
        Message::Proposal(p) => format!(
            "proposal {} view {} {:?} slot {} proof {:?} txs {:?}",
            p.header.height,
            p.view,
            p.header.hash(),
            p.header.slot,
            p.proof_view(),
            p.txids
        ),
        Message::BftVote(v) => {
            format!("{:?} {} view {} for {:?} of {:?}", v.kind, v.height, v.view, v.block_hash, v.voter)
        }
        Message::Commit(c) => format!("commit {} view {} {:?}", c.height, c.view, c.block_hash),
        Message::Txs(txs) => format!("txs {:?}", txs.iter().map(|tx| tx.body.txid()).collect::<Vec<_>>()),
        Message::Blocks(blocks) => {
            format!("blocks {:?}", blocks.iter().map(|b| b.block.header.height).collect::<Vec<_>>())
        }
        Message::Headers(headers) => {
            format!("headers {:?}", headers.iter().map(|sealed| sealed.header.height).collect::<Vec<_>>())
        }
        Message::Evidence(evidence) => format!("evidence against {:?}", evidence.voter()),
        other => format!("{other:?}"),
    }
}
