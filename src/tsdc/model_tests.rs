//! Agreement and termination in random worlds: 4 to 7 masternodes of unequal weight and an observer, messages late,
//! lost, repeated and out of order, crashes, clocks that jump, and one Byzantine masternode below a third of the weight.
//! From [`CALM`] on messages flow. One seed decides everything.
//!
//! Chance alone seldom hurts, so the world is out to harm: who has committed is often cut off and the others
//! restarted, and the Byzantine masternode, which knows everything, helps a block to its commit at one node and
//! offers the others another one, with any proof there is.

use super::testing::{HEIGHT, chain, header, key, proposal, set_of, vote};
use super::{Restored, Tsdc, TsdcOutput, Verdict};
use crate::types::block::{BftKind, BftVote, Commit, Header, PrepareProof, Proposal};
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, Hash};
use crate::types::number::{TimeMs, View};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// When faults stop, in milliseconds.
const CALM: u64 = 6_000;
/// When everybody must have committed.
const END: u64 = 120_000;
const TICK_MS: u64 = 25;
const REPEAT_MS: u64 = 200;

type Vote = Arc<Verified<BftVote>>;
type Offer = Arc<Verified<Proposal>>;

#[derive(Clone)]
enum Event {
    Vote(Vote),
    Proposal(Offer),
    Commit(Commit),
    /// What this node signed is on disk, with lock and valid value.
    Signed(Vote, Option<(View, BlockHash)>, Option<(View, BlockHash)>),
    Proposed(Offer),
    Verdict(BlockHash, Verdict),
    Start,
    Tick,
    Repeat,
    Misbehave,
}

/// What of a node survives a crash, and what is known of it from outside.
#[derive(Default)]
struct Node {
    engine: Option<Tsdc>,
    life: u32,
    clock_offset: u64,
    disk_busy_until: u64,
    votes: Vec<Vote>,
    proposals: Vec<Offer>,
    locked: Option<(View, BlockHash)>,
    valid: Option<(View, BlockHash)>,
    proof: Option<(BlockHash, PrepareProof)>,
    committed: Option<Commit>,
}

struct World {
    rng: ChaCha8Rng,
    set: Arc<ValidatorSet>,
    byzantine: Option<usize>,
    now: u64,
    sequence: u64,
    /// By time and order of sending: receiver, the life it is meant for (0: any), what.
    events: BTreeMap<(u64, u64), (usize, u32, Event)>,
    nodes: Vec<Node>,
    /// Every header that was ever proposed; an odd `opened` is invalid.
    blocks: BTreeMap<BlockHash, Header>,
    heard: Vec<Vote>,
    loss_percent: u64,
    /// Nothing that this node sends arrives before all is calm.
    muted: Option<usize>,
    /// The Byzantine masternode says nothing any more once all is calm.
    falls_silent: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |n: u64| rng.next_u64() % n;
        let members = 4 + below(4) as usize;
        let mut weights: Vec<u64> = (0..members).map(|_| 1 + below(9)).collect();
        let liar = below(members as u64) as usize;
        let honest = weights.iter().sum::<u64>() - weights[liar];
        weights[liar] = (honest - 1) / 2; // just below a third of all
        let byzantine = (weights[liar] > 0).then_some(liar);
        weights[liar] = weights[liar].max(1);
        let loss_percent = below(60);
        let falls_silent = below(2) == 0;
        let mut world = Self {
            rng,
            set: set_of(&weights),
            byzantine,
            now: 0,
            sequence: 0,
            events: BTreeMap::new(),
            nodes: (0..=members).map(|_| Node::default()).collect(),
            blocks: BTreeMap::new(),
            heard: Vec::new(),
            loss_percent,
            muted: None,
            falls_silent,
        };
        for node in 0..=members {
            world.nodes[node].clock_offset = 1_000_000 + world.below(10_000);
            world.boot(node);
            world.after(5, node, 0, Event::Tick);
            world.after(7, node, 0, Event::Repeat);
        }
        // One waits for the others to start the height.
        for node in 1..=members {
            let delay = world.below(1_500);
            world.after(delay, node, 0, Event::Start);
        }
        if let Some(node) = byzantine {
            world.after(1, node, 0, Event::Misbehave);
        }
        world
    }

    fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn is_calm(&self) -> bool {
        self.now >= CALM
    }

    fn after(&mut self, delay: u64, node: usize, life: u32, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), (node, life, event));
    }

    /// To one node, as the network likes.
    fn send(&mut self, from: usize, to: usize, event: Event) {
        if !self.is_calm() && self.muted == Some(from) {
            return;
        }
        let (loss, copies, most) =
            if self.is_calm() { (0, 1, 40) } else { (self.loss_percent, 1 + self.below(2), 900) };
        for _ in 0..copies {
            if !self.chance(loss) {
                let delay = 1 + self.below(most);
                self.after(delay, to, 0, event.clone());
            }
        }
    }

    fn broadcast(&mut self, from: usize, event: Event) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.send(from, to, event.clone());
        }
    }

    fn time(&self, node: usize) -> TimeMs {
        TimeMs(self.now + self.nodes[node].clock_offset)
    }

    /// The disk takes its time, but writes in order.
    fn disk_delay(&mut self, at: usize) -> u64 {
        let done = (self.now + 1 + self.below(30)).max(self.nodes[at].disk_busy_until);
        self.nodes[at].disk_busy_until = done;
        done - self.now
    }

    /// Makes an engine of what the node's disk holds.
    fn boot(&mut self, at: usize) {
        let me = self.set.members().get(at).map(|m| m.consensus_key);
        let node = &mut self.nodes[at];
        let restored = Restored {
            locked: node.locked,
            valid: node.valid,
            proof: node.proof.clone().map(|(hash, proof)| (hash, Verified::seal(proof))),
            votes: node.votes.clone(),
            proposals: node.proposals.clone(),
            ..Restored::default()
        };
        node.life += 1;
        node.engine = Some(Tsdc::new(chain(), HEIGHT, Hash::ZERO, self.set.clone(), me, restored));
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), (at, life, event))) = self.events.pop_first() else { return false };
        self.now = time;
        if life != 0 && life != self.nodes[at].life {
            return true; // meant for a life that ended in a crash
        }
        if let (true, Event::Tick | Event::Repeat) = (self.byzantine == Some(at), &event) {
            return true; // plays by no rules, has no engine to run
        }
        let now = self.time(at);
        match event {
            Event::Misbehave => self.misbehave(at),
            Event::Tick => self.tick(at),
            Event::Repeat => self.repeat(at),
            Event::Start => self.engine(at).start(now),
            Event::Vote(vote) => self.engine(at).vote(now, vote),
            Event::Signed(vote, lock, valid) => {
                self.keep_vote(at, &vote);
                self.nodes[at].locked = lock;
                self.nodes[at].valid = valid;
                self.engine(at).vote(now, vote.clone());
                self.heard.push(vote.clone());
                self.broadcast(at, Event::Vote(vote));
            }
            Event::Proposed(offer) => {
                self.nodes[at].proposals.push(offer.clone());
                self.receive(at, offer.clone());
                self.broadcast(at, Event::Proposal(offer));
            }
            Event::Proposal(offer) => self.receive(at, offer),
            Event::Commit(commit) => self.engine(at).certificate(now, Verified::seal(commit)),
            Event::Verdict(hash, verdict) => self.engine(at).judged(now, hash, verdict),
        }
        self.react(at);
        true
    }

    fn engine(&mut self, at: usize) -> &mut Tsdc {
        self.nodes[at].engine.as_mut().unwrap()
    }

    fn receive(&mut self, at: usize, offer: Offer) {
        let now = self.time(at);
        let hash = offer.header.hash();
        if let Some(proof) = offer.proof.clone().filter(|proof| proof.signatures.iter().any(|s| s.is_some())) {
            self.engine(at).proof(now, Verified::seal(proof), hash);
        }
        self.engine(at).proposal(now, offer);
    }

    /// The signer's guard, as a check: nothing is signed twice or out of order.
    fn keep_vote(&mut self, at: usize, vote: &Vote) {
        let position = |vote: &Vote| (vote.view, vote.kind);
        let last = self.nodes[at].votes.iter().map(position).max();
        assert!(last < Some(position(vote)), "node {at} signs {vote:?} after {last:?}");
        self.nodes[at].votes.push(vote.clone());
    }

    fn tick(&mut self, at: usize) {
        self.after(TICK_MS, at, 0, Event::Tick);
        if !self.is_calm() && self.chance(1) {
            self.nodes[at].clock_offset = 1_000_000 + self.below(10_000);
        }
        if !self.is_calm() && self.chance(1) {
            self.crash(at);
        }
        let now = self.time(at);
        self.engine(at).tick(now);
    }

    fn repeat(&mut self, at: usize) {
        self.after(REPEAT_MS, at, 0, Event::Repeat);
        if let Some(commit) = self.nodes[at].committed.clone() {
            return self.broadcast(at, Event::Commit(commit));
        }
        let me = self.set.members().get(at).map(|m| m.consensus_key);
        let engine = self.engine(at);
        let (own, entry, offers) = (engine.votes(), engine.entry_votes(), engine.proposals());
        for vote in own.into_iter().chain(entry) {
            self.broadcast(at, Event::Vote(Arc::new(Verified::seal(vote))));
        }
        // Only its leader repeats a proposal: others may never see one that a Byzantine leader showed to few.
        for offer in offers.into_iter().filter(|offer| Some(offer.leader) == me) {
            self.broadcast(at, Event::Proposal(offer));
        }
    }

    fn react(&mut self, at: usize) {
        let life = self.nodes[at].life;
        for output in self.engine(at).drain() {
            match output {
                TsdcOutput::Sign { view, kind, block_hash, lock, valid } => {
                    let vote = vote(at, view.get(), kind, block_hash);
                    let delay = self.disk_delay(at);
                    self.after(delay, at, life, Event::Signed(vote, lock, valid));
                }
                TsdcOutput::Propose { view, value } => self.propose(at, view, value),
                TsdcOutput::Judge(hash) => self.judge(at, hash),
                TsdcOutput::Valid(view, hash) => {
                    let proof = self.engine(at).prepare_proof(view, hash).unwrap();
                    let offer = self.engine(at).proposal_of(&hash).unwrap();
                    self.nodes[at].proof = Some((hash, proof));
                    self.nodes[at].proposals.push(offer);
                }
                TsdcOutput::Evidence(evidence) => self.check_evidence(&evidence),
                TsdcOutput::Committed(commit) => self.check_commit(at, commit),
                TsdcOutput::ViewChanged(_) | TsdcOutput::Locked(..) => {}
            }
        }
    }

    fn judge(&mut self, at: usize, hash: BlockHash) {
        let life = self.nodes[at].life;
        let valid = self.blocks[&hash].opened.is_multiple_of(2);
        let delay = 1 + self.below(40);
        if self.is_calm() || self.chance(70) {
            self.after(delay, at, life, Event::Verdict(hash, Verdict { valid, acceptable: valid }));
        } else if self.chance(50) {
            self.after(delay, at, life, Event::Verdict(hash, Verdict { valid, acceptable: false }));
            self.after(delay + 100, at, life, Event::Verdict(hash, Verdict { valid, acceptable: valid }));
        }
    }

    fn propose(&mut self, at: usize, view: View, value: Option<(View, BlockHash)>) {
        let life = self.nodes[at].life;
        let offer = match value {
            Some((valid, hash)) => {
                let proof = self.engine(at).prepare_proof(valid, hash).unwrap();
                proposal(key(at), view.get(), self.blocks[&hash].clone(), Some(proof))
            }
            None if !self.is_calm() && self.chance(20) => return,
            None => proposal(key(at), view.get(), self.build(0), None),
        };
        let delay = self.disk_delay(at);
        self.after(delay, at, life, Event::Proposed(offer));
    }

    fn build(&mut self, invalid: u64) -> Header {
        let header = header(2 * self.blocks.len() as u64 + invalid);
        self.blocks.insert(header.hash(), header.clone());
        header
    }

    /// Anything one key can sign, to anybody.
    fn misbehave(&mut self, at: usize) {
        if self.is_calm() && self.falls_silent {
            return;
        }
        let delay = 1 + self.below(60);
        self.after(delay, at, 0, Event::Misbehave);
        let target = self.below(self.nodes.len() as u64) as usize;
        let current = self.engine(target).view().get();
        let view = match self.below(10) {
            0 => u32::MAX - self.below(5) as u32,
            1 => current + 100 + self.below(5) as u32,
            2..=4 => (current + self.below(4) as u32).saturating_sub(1),
            _ => current,
        };
        if self.engine(at).leader(View::new(view)) == key(at) && self.chance(60) {
            let offer = self.any_proposal(at, view);
            return self.send(at, target, Event::Proposal(offer));
        }
        let kind = if self.chance(50) { BftKind::Prepare } else { BftKind::Precommit };
        let followed = self.heard.iter().rev().find(|v| v.view.get() == view && v.kind == kind).map(|v| v.block_hash);
        let pick = self.below(1 + self.blocks.len() as u64) as usize;
        let value = if self.chance(70) { followed } else { None };
        let value = value.unwrap_or_else(|| self.blocks.keys().rev().nth(pick).copied());
        self.send(at, target, Event::Vote(vote(at, view, kind, value)));
    }

    /// Fresh, invalid, proved by any quorum of prepares ever heard, or by none; another block than what is committed.
    fn any_proposal(&mut self, at: usize, view: u32) -> Offer {
        let pick = self.below(1_000) as usize;
        let committed = self.nodes.iter().find_map(|node| node.committed.as_ref()).map(|commit| commit.block_hash);
        let mut proofs = self.known_proofs(at, view);
        proofs.retain(|(hash, _)| Some(*hash) != committed);
        if !proofs.is_empty() && self.chance(70) {
            let (hash, proof) = proofs[pick % proofs.len()].clone();
            return proposal(key(at), view, self.blocks[&hash].clone(), Some(proof));
        }
        let invalid = u64::from(self.chance(20));
        let header = if self.chance(50) || self.blocks.is_empty() {
            self.build(invalid)
        } else {
            self.blocks.values().nth(pick % self.blocks.len()).unwrap().clone()
        };
        let claimed = (view > 0 && self.chance(20))
            .then(|| PrepareProof { view: View::new(view - 1), signatures: vec![None; self.set.len()] });
        proposal(key(at), view, header, claimed)
    }

    fn known_proofs(&self, at: usize, before: u32) -> Vec<(BlockHash, PrepareProof)> {
        let mut prepared: BTreeMap<(View, BlockHash), BTreeSet<usize>> = BTreeMap::new();
        for vote in self.heard.iter().filter(|v| v.kind == BftKind::Prepare && v.view.get() < before) {
            if let (Some(hash), Some(position)) = (vote.block_hash, self.set.position(&vote.voter)) {
                prepared.entry((vote.view, hash)).or_default().extend([position, at]);
            }
        }
        let members: Vec<_> = self.set.members().iter().map(|m| m.consensus_key).collect();
        let is_quorum = |positions: &BTreeSet<usize>| {
            self.set.weight_of(positions.iter().map(|position| &members[*position])).is_quorum_of(self.set.total())
        };
        let quorums = prepared.into_iter().filter(|(_, positions)| is_quorum(positions));
        let proof = |((view, hash), positions): ((View, BlockHash), BTreeSet<usize>)| {
            let positions: Vec<usize> = positions.into_iter().collect();
            (hash, super::testing::prepares(members.len(), &positions, view.get(), hash))
        };
        quorums.map(proof).collect()
    }

    fn check_commit(&mut self, at: usize, commit: Commit) {
        let signers = self.set.members().iter().zip(&commit.signatures).filter(|(_, s)| s.is_some());
        let weight = self.set.weight_of(signers.map(|(member, _)| &member.consensus_key));
        assert!(weight.is_quorum_of(self.set.total()), "a commit without a quorum");
        assert_eq!(self.blocks[&commit.block_hash].opened % 2, 0, "an invalid block was committed");
        for other in self.nodes.iter().filter_map(|node| node.committed.as_ref()) {
            assert_eq!(other.block_hash, commit.block_hash, "two blocks at one height");
        }
        self.nodes[at].committed = Some(commit);
        if !self.is_calm() && self.muted.is_none() && self.chance(80) {
            self.muted = Some(at);
            for other in (0..self.nodes.len()).filter(|other| *other != at) {
                if self.chance(30) {
                    self.crash(other);
                }
            }
        }
    }

    fn crash(&mut self, at: usize) {
        self.boot(at);
        let delay = 1 + self.below(1_000);
        self.after(delay, at, 0, Event::Start);
    }

    fn check_evidence(&self, evidence: &Evidence) {
        let Evidence::Bft { voter, a, b } = evidence else { panic!("{evidence:?}") };
        assert_eq!(self.byzantine.map(key), Some(*voter), "an honest masternode is accused");
        assert_eq!((a.height, a.view, a.kind), (b.height, b.view, b.kind));
        assert_ne!(a.block_hash, b.block_hash);
    }

    fn is_done(&self) -> bool {
        let honest = self.nodes.iter().enumerate().filter(|(at, _)| Some(*at) != self.byzantine);
        honest.into_iter().all(|(_, node)| node.committed.is_some())
    }
}

/// Runs one world; returns when everybody had committed.
fn run(seed: u64) -> u64 {
    let mut world = World::new(seed);
    while !world.is_done() {
        assert!(world.step() && world.now < END, "seed {seed}: no commit everywhere by {} ms", world.now);
    }
    world.now
}

#[test]
fn honest_masternodes_agree_always_and_commit_once_messages_flow() {
    let seeds = std::env::var("TSDC_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(600);
    let mut latest = 0;
    for seed in 0..seeds {
        let end = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed} fails"));
        latest = latest.max(end);
    }
    println!("{seeds} worlds, the slowest decided after {latest} ms, calm from {CALM} ms");
}
