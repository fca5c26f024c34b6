//! The blocks of the proven chain: which are here, which are asked for, of whom, and who is asked next.
//!
//! Ranges are asked of several peers at once, a few each. What is not answered in time is asked of another peer; a late
//! answer is still of use. Who does not answer is asked last, and not at all while others do. The blocks next to the tip
//! are waited for least, since everything behind them waits for them.
//!
//! Invariants: no block beyond the bounds of `limits.rs` is asked for or held; a block is asked of one peer at a time.

use super::window::Window;
use crate::limits::{
    ASKED_BLOCK_BYTES, BLOCK_BYTES_A_TRANSACTION, HEAD_RETRY_MS, MAX_BLOCKS_AHEAD, MAX_BLOCKS_PER_MESSAGE,
    MAX_BYTES_AHEAD, MAX_GIVEN_UP_REQUESTS, MAX_RANGE_BYTES, MAX_REQUESTS_A_PEER, MAX_STALLS, RANGE_RETRY_MS,
};
use crate::replica::command::PeerId;
use crate::replica::message::CheckedBlock;
use crate::replica::peers::Peers;
use crate::types::number::{Height, TimeMs};
use std::collections::BTreeMap;

/// Where a block is.
#[derive(Debug)]
enum Body {
    Asked(PeerId),
    /// Its signatures are being checked.
    Checking,
    Here(PeerId, Box<CheckedBlock>),
}

/// Blocks asked for together.
#[derive(Clone, Copy, Debug)]
struct Request {
    from: Height,
    count: u32,
    at: TimeMs,
}

impl Request {
    fn covers(&self, height: Height) -> bool {
        height.checked_sub(self.from).is_some_and(|offset| offset.get() < u64::from(self.count))
    }

    fn heights(&self) -> impl Iterator<Item = Height> + use<> {
        let from = self.from.get();
        (from..from.saturating_add(u64::from(self.count))).map(Height::new)
    }
}

/// How a peer does.
#[derive(Debug, Default)]
struct Source {
    open: Vec<Request>,
    /// Not answered in time.
    given_up: Vec<Request>,
    /// Requests given up since it last answered one.
    stalls: u32,
    /// When it last answered: what was asked before is looked at from then on.
    answered: TimeMs,
    /// When it was last asked, counted in requests.
    turn: u64,
    /// What it sent, only it can have made wrong: it is not asked again.
    is_faulty: bool,
}

impl Source {
    /// When `request` is late.
    fn deadline(&self, request: &Request, head: Height) -> TimeMs {
        let patience = if request.covers(head) { HEAD_RETRY_MS } else { RANGE_RETRY_MS };
        request.at.max(self.answered).plus(patience)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::replica) struct Bodies {
    bodies: BTreeMap<Height, (Body, usize)>,
    sources: BTreeMap<PeerId, Source>,
    turns: u64,
    /// The tip's child.
    head: Height,
}

impl Bodies {
    /// Blocks asked for or here.
    pub(in crate::replica) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// A link is down.
    pub(in crate::replica) fn gone(&mut self, peer: PeerId) {
        self.sources.remove(&peer);
        self.bodies.retain(|_, (body, _)| !matches!(body, Body::Asked(of) if *of == peer));
    }

    /// The tip is at `height`.
    pub(in crate::replica) fn tip_is(&mut self, height: Height) {
        self.head = height.next();
        while self.bodies.first_key_value().is_some_and(|(at, _)| *at <= height) {
            self.bodies.pop_first();
        }
    }

    /// A peer sent what only it can have made wrong.
    pub(in crate::replica) fn distrust(&mut self, peer: PeerId) {
        self.sources.entry(peer).or_default().is_faulty = true;
    }

    /// Whether it did.
    pub(in crate::replica) fn is_faulty(&self, peer: PeerId) -> bool {
        self.sources.get(&peer).is_some_and(|source| source.is_faulty)
    }

    /// A peer answers with blocks from `from` on; whether it was asked for that, in time or not. What it leaves out is
    /// asked for anew.
    pub(in crate::replica) fn answered(&mut self, now: TimeMs, peer: PeerId, from: Height) -> bool {
        let Some(source) = self.sources.get_mut(&peer) else { return false };
        let take = |requests: &mut Vec<Request>| {
            let position = requests.iter().position(|request| request.from == from)?;
            Some(requests.remove(position))
        };
        let Some(request) = take(&mut source.open).or_else(|| take(&mut source.given_up)) else { return false };
        (source.stalls, source.answered) = (0, now);
        self.let_go(peer, request);
        true
    }

    /// What `request` asked of `peer` and is not here is missing.
    fn let_go(&mut self, peer: PeerId, request: Request) {
        for height in request.heights() {
            if matches!(self.bodies.get(&height), Some((Body::Asked(of), _)) if *of == peer) {
                self.bodies.remove(&height);
            }
        }
    }

    /// A block came and is to be checked; whether nobody else's is here or being checked, and there is room.
    pub(in crate::replica) fn check(&mut self, height: Height, bytes: usize) -> bool {
        let is_wanted = self.bodies.get(&height).is_none_or(|(body, _)| matches!(body, Body::Asked(_)));
        if is_wanted {
            self.bodies.insert(height, (Body::Checking, bytes));
        }
        is_wanted
    }

    /// A block that was being checked is good.
    pub(in crate::replica) fn checked(&mut self, peer: PeerId, block: CheckedBlock) {
        if let Some((body, _)) = self.bodies.get_mut(&block.block.header.height)
            && matches!(body, Body::Checking)
        {
            *body = Body::Here(peer, Box::new(block));
        }
    }

    /// Blocks that were being checked are of no use.
    pub(in crate::replica) fn unchecked(&mut self, heights: impl IntoIterator<Item = Height>) {
        for height in heights {
            if matches!(self.bodies.get(&height), Some((Body::Checking, _))) {
                self.bodies.remove(&height);
            }
        }
    }

    /// Whether the block at `height` is here.
    pub(in crate::replica) fn is_here(&self, height: Height) -> bool {
        matches!(self.bodies.get(&height), Some((Body::Here(..), _)))
    }

    /// Takes the block at `height` if it is here, with who sent it.
    pub(in crate::replica) fn take(&mut self, height: Height) -> Option<(PeerId, CheckedBlock)> {
        if !self.is_here(height) {
            return None;
        }
        match self.bodies.remove(&height) {
            Some((Body::Here(peer, block), _)) => Some((peer, *block)),
            _ => None,
        }
    }

    /// What was asked and not answered in time is given up.
    pub(in crate::replica) fn give_up(&mut self, now: TimeMs) {
        let head = self.head;
        let mut late = Vec::new();
        for (peer, source) in &mut self.sources {
            // A clock that was set back must not make it wait for ever.
            let is_late = |request: &Request| source.deadline(request, head) <= now || request.at > now;
            let (given_up, open): (Vec<Request>, Vec<Request>) =
                source.open.iter().partition(|request| is_late(request));
            source.open = open;
            source.stalls = source.stalls.saturating_add(u32::try_from(given_up.len()).unwrap_or(u32::MAX));
            source.given_up.extend(&given_up);
            let surplus = source.given_up.len().saturating_sub(MAX_GIVEN_UP_REQUESTS);
            source.given_up.drain(..surplus);
            late.extend(given_up.into_iter().map(|request| (*peer, request)));
        }
        late.into_iter().for_each(|(peer, request)| self.let_go(peer, request));
    }

    /// When something is late.
    pub(in crate::replica) fn next_wake(&self) -> Option<TimeMs> {
        let of = |source: &Source| source.open.iter().map(|request| source.deadline(request, self.head)).min();
        self.sources.values().filter_map(of).min()
    }

    /// What to ask now, and of whom: `(peer, from, count)`.
    pub(in crate::replica) fn requests(
        &mut self,
        now: TimeMs,
        window: &Window,
        peers: &Peers,
    ) -> Vec<(PeerId, Height, u32)> {
        let (mut requests, mut bytes) = (Vec::new(), 0usize);
        if peers.ids().all(|peer| self.open(&peer) >= MAX_REQUESTS_A_PEER) {
            return requests;
        }
        let (mut height, mut ahead) = (self.head, 0);
        while ahead < MAX_BLOCKS_AHEAD && bytes < MAX_BYTES_AHEAD {
            if let Some((_, held)) = self.bodies.get(&height) {
                bytes = bytes.saturating_add(*held);
                (height, ahead) = (height.next(), ahead + 1);
                continue;
            }
            let (count, range_bytes) = self.missing_from(height, window);
            if count == 0 {
                break;
            }
            // A range whose beginning nobody can send now waits; others behind it need not.
            if let Some((peer, has_up_to)) = self.source_of(height, peers) {
                let most = has_up_to.get().saturating_sub(height.get()).saturating_add(1);
                let count = count.min(u32::try_from(most).unwrap_or(u32::MAX));
                self.ask(now, peer, height, count, window);
                requests.push((peer, height, count));
            }
            bytes = bytes.saturating_add(range_bytes);
            height = Height::new(height.get().saturating_add(u64::from(count)));
            ahead += count as usize;
        }
        requests
    }

    /// How many blocks are missing from `height` on that may be asked for together, and their bytes, about.
    fn missing_from(&self, height: Height, window: &Window) -> (u32, usize) {
        let (mut count, mut bytes, mut at) = (0u32, 0usize, height);
        while (count as usize) < MAX_BLOCKS_PER_MESSAGE && !self.bodies.contains_key(&at) {
            let Some(known) = window.get(at) else { break };
            let further = bytes.saturating_add(expected_bytes(known.tx_count));
            if count > 0 && further > MAX_RANGE_BYTES {
                break;
            }
            (count, bytes, at) = (count + 1, further, at.next());
        }
        (count, bytes)
    }

    /// The best peer that has the block at `height` and may be asked for more, and how far it has blocks.
    fn source_of(&self, height: Height, peers: &Peers) -> Option<(PeerId, Height)> {
        let stalls = |peer: &PeerId| self.sources.get(peer).map_or(0, |source| source.stalls);
        let with_block = || peers.with_block(height).filter(|(peer, _)| !self.is_faulty(*peer));
        let least = with_block().map(|(peer, _)| stalls(&peer)).min()?;
        let may_be_asked = |(peer, _): &(PeerId, Height)| {
            let is_left_out = stalls(peer) >= MAX_STALLS && least < MAX_STALLS;
            !is_left_out && self.open(peer) < MAX_REQUESTS_A_PEER
        };
        let turn = |peer: &PeerId| self.sources.get(peer).map_or(0, |source| source.turn);
        with_block().filter(may_be_asked).min_by_key(|(peer, _)| (stalls(peer), self.open(peer), turn(peer), *peer))
    }

    /// Requests that wait for a peer's answer.
    fn open(&self, peer: &PeerId) -> usize {
        self.sources.get(peer).map_or(0, |source| source.open.len())
    }

    fn ask(&mut self, now: TimeMs, peer: PeerId, from: Height, count: u32, window: &Window) {
        self.turns = self.turns.saturating_add(1);
        let source = self.sources.entry(peer).or_default();
        source.turn = self.turns;
        let request = Request { from, count, at: now };
        source.open.push(request);
        for height in request.heights() {
            let bytes = expected_bytes(window.get(height).map_or(0, |known| known.tx_count));
            self.bodies.insert(height, (Body::Asked(peer), bytes));
        }
    }
}

/// What a block with so many transactions will have, about.
fn expected_bytes(tx_count: u32) -> usize {
    ASKED_BLOCK_BYTES.saturating_add((tx_count as usize).saturating_mul(BLOCK_BYTES_A_TRANSACTION))
}

#[cfg(test)]
mod tests;
