//! Links between nodes: who hears whom, how late, how often.
//!
//! A link is a connection: both ends learn that it is up or down, and what is under way when it goes down never arrives.
//! A partition that only blocks leaves the connections up and swallows what is sent, as a failing router does.

use crate::rng::Rng;
use std::collections::BTreeSet;
use timed::replica::command::PeerId;

/// How one direction of a link treats messages. Times in milliseconds, chances in a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Least delay.
    pub base_ms: u64,
    /// Added at random, up to this.
    pub jitter_ms: u64,
    /// Chance that a message takes up to `slow_ms`.
    pub slow_permille: u64,
    /// Longest delay.
    pub slow_ms: u64,
    /// Chance that a message is lost.
    pub loss_permille: u64,
    /// Chance that it arrives twice.
    pub duplicate_permille: u64,
    /// Whether messages overtake each other.
    pub reorder: bool,
}

impl Quality {
    /// A good network: tens of milliseconds, in order, nothing lost.
    pub const GOOD: Self = Self {
        base_ms: 5,
        jitter_ms: 20,
        slow_permille: 0,
        slow_ms: 0,
        loss_permille: 0,
        duplicate_permille: 0,
        reorder: false,
    };
}

/// A connection between two nodes.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// What each end calls it: the lower node's name first.
    names: [PeerId; 2],
}

/// All links of a world.
pub struct Network {
    nodes: usize,
    links: Vec<Option<Link>>,
    quality: Vec<Quality>,
    blocked: BTreeSet<(usize, usize)>,
    /// Latest arrival so far, for links that keep the order.
    last_arrival: Vec<u64>,
    next_name: u64,
}

impl Network {
    /// `nodes` nodes, none connected.
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes,
            links: vec![None; nodes * nodes],
            quality: vec![Quality::GOOD; nodes * nodes],
            blocked: BTreeSet::new(),
            last_arrival: vec![0; nodes * nodes],
            next_name: 1,
        }
    }

    fn at(&self, from: usize, to: usize) -> usize {
        from * self.nodes + to
    }

    /// Sets how messages from `from` to `to` travel.
    pub fn set_quality(&mut self, from: usize, to: usize, quality: Quality) {
        let at = self.at(from, to);
        self.quality[at] = quality;
    }

    /// Connects two nodes; returns what `a` and `b` call the link. `None` if they are connected already.
    pub fn connect(&mut self, a: usize, b: usize) -> Option<(PeerId, PeerId)> {
        let at = self.at(a.min(b), a.max(b));
        if a == b || self.links[at].is_some() {
            return None;
        }
        let names = [PeerId(self.next_name), PeerId(self.next_name + 1)];
        self.next_name += 2;
        self.links[at] = Some(Link { names });
        let (forth, back) = (self.at(a, b), self.at(b, a));
        (self.last_arrival[forth], self.last_arrival[back]) = (0, 0);
        Some(if a < b { (names[0], names[1]) } else { (names[1], names[0]) })
    }

    /// Cuts the connection; returns what `a` and `b` called it.
    pub fn disconnect(&mut self, a: usize, b: usize) -> Option<(PeerId, PeerId)> {
        let at = self.at(a.min(b), a.max(b));
        let names = self.links[at].take()?.names;
        Some(if a < b { (names[0], names[1]) } else { (names[1], names[0]) })
    }

    /// What `node` calls its link to `other`.
    pub fn name(&self, node: usize, other: usize) -> Option<PeerId> {
        let link = self.links[self.at(node.min(other), node.max(other))]?;
        Some(if node < other { link.names[0] } else { link.names[1] })
    }

    /// Who is at the other end of what `node` calls `peer`.
    pub fn behind(&self, node: usize, peer: PeerId) -> Option<usize> {
        (0..self.nodes).find(|other| self.name(node, *other) == Some(peer))
    }

    /// Everybody `node` is connected to.
    pub fn neighbours(&self, node: usize) -> Vec<usize> {
        (0..self.nodes).filter(|other| self.name(node, *other).is_some()).collect()
    }

    /// Swallows what `from` says to `to`, until [`Self::unblock_all`].
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    /// These are heard again.
    pub fn unblock(&mut self, pairs: &[(usize, usize)]) {
        pairs.iter().for_each(|pair| {
            self.blocked.remove(pair);
        });
    }

    /// Nothing is swallowed any more.
    pub fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    /// When a message sent now arrives: never, once or twice.
    pub fn arrivals(&mut self, rng: &mut Rng, now: u64, from: usize, to: usize) -> [Option<u64>; 2] {
        let at = self.at(from, to);
        let quality = self.quality[at];
        if self.blocked.contains(&(from, to)) || rng.chance(quality.loss_permille) {
            return [None, None];
        }
        let mut arrival = || {
            let slow = if rng.chance(quality.slow_permille) { rng.range(0, quality.slow_ms) } else { 0 };
            now + quality.base_ms + rng.range(0, quality.jitter_ms) + slow
        };
        let mut first = arrival();
        let second = arrival();
        if !quality.reorder {
            first = first.max(self.last_arrival[at]);
            self.last_arrival[at] = first;
        }
        [Some(first), rng.chance(quality.duplicate_permille).then_some(second)]
    }
}
