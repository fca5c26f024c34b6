//! One link that is up: who is at its other end, what waits for it, how it does, and how it is ended.

use super::error::LinkError;
use super::frame::{Frame, FrameError};
use super::message::{CloseReason, Priority, Wire};
use super::outgoing::Outgoing;
use super::stream::Traffic;
use crate::limits::{MAX_AWAITED_HISTORY, MAX_SCORE};
use crate::replica::PeerId;
use crate::types::keys::PublicKey;
use crate::types::link::{NodeId, Role};
use crate::types::number::{Height, TimeMs};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is known of a peer when its link comes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerInfo {
    /// The link's name: a reconnected peer has a new one.
    pub peer: PeerId,
    /// The node's key, proved.
    pub node_id: NodeId,
    /// This node's role: initiator of an outbound link, responder of an inbound one.
    pub role: Role,
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Where others reach the peer, if that is known.
    pub listen: Option<SocketAddr>,
    /// Name and version of its software.
    pub agent: String,
    /// Version of the protocol.
    pub protocol: u32,
    /// The masternode's consensus key, proved.
    pub masternode: Option<PublicKey>,
    /// Height of its tip when it connected.
    pub tip: Height,
    /// Since when the link is up.
    pub connected: TimeMs,
}

/// How a peer does, for users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSnapshot {
    /// What was known from the start.
    pub info: Arc<PeerInfo>,
    /// Time of a ping there and back.
    pub latency: Option<Duration>,
    /// By how many milliseconds its clock is ahead of this node's.
    pub clock_offset_ms: Option<i64>,
    /// Height of its tip, as it says.
    pub tip: Height,
    /// Bytes that came.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes that wait to be sent.
    pub bytes_waiting: usize,
    /// How well it keeps to its rates, 0 to [`MAX_SCORE`]; at 0 its link ends.
    pub score: u32,
}

/// Which of two links between the same two running nodes stays: the greater one. Both ends compute the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    /// The node with the smaller key dialed.
    pub dialed_by_smaller: bool,
    /// What the clock of who dialed said: the later one, since it dials anew only when it believes the other one dead.
    pub dialed: TimeMs,
    /// Decides the rest.
    pub handshake_hash: [u8; 32],
}

/// A ping under way.
#[derive(Clone, Copy, Debug)]
struct Ping {
    nonce: u64,
    sent: Instant,
    clock: TimeMs,
}

/// No latency or clock offset is known yet.
const UNKNOWN_LATENCY: u64 = u64::MAX;
const UNKNOWN_OFFSET: i64 = i64::MIN;

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub info: Arc<PeerInfo>,
    pub rank: Rank,
    /// The nonce of its `Hello`: another one means that the node started anew.
    pub run: u64,
    pub outgoing: Outgoing,
    pub traffic: Arc<Traffic>,
    /// Whether an answer with addresses is awaited.
    pub asks_for_peers: AtomicBool,
    /// Answers about the past that are awaited: they are this node's wish and cost the peer nothing.
    history_awaited: AtomicU32,
    /// See [`PeerSnapshot::score`].
    pub score: AtomicU32,
    tip: AtomicU64,
    latency_us: AtomicU64,
    clock_offset_ms: AtomicI64,
    ping: Mutex<Option<Ping>>,
    end: OnceLock<LinkError>,
    ended: CancellationToken,
}

impl Link {
    pub(super) fn new(info: PeerInfo, rank: Rank, run: u64, outgoing: Outgoing, traffic: Arc<Traffic>) -> Self {
        Self {
            tip: AtomicU64::new(info.tip.get()),
            info: Arc::new(info),
            rank,
            run,
            outgoing,
            traffic,
            asks_for_peers: AtomicBool::new(false),
            history_awaited: AtomicU32::new(0),
            score: AtomicU32::new(MAX_SCORE),
            latency_us: AtomicU64::new(UNKNOWN_LATENCY),
            clock_offset_ms: AtomicI64::new(UNKNOWN_OFFSET),
            ping: Mutex::new(None),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Something of the past was asked for.
    pub(super) fn await_history(&self) {
        let more = |awaited: u32| (awaited < MAX_AWAITED_HISTORY).then_some(awaited + 1);
        // Beyond the bound an answer is charged for: nobody is asked so much who answers.
        self.history_awaited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
    }

    /// Something of the past came; whether anything was asked for.
    pub(super) fn history_came(&self) -> bool {
        let fewer = |awaited: u32| awaited.checked_sub(1);
        self.history_awaited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }

    /// Whether this link takes the place of `other`, to the same node: always if that node started anew since.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        self.run != other.run || self.rank > other.rank
    }

    /// Queues a frame. A peer for which too much waits is dropped.
    pub(super) fn send(&self, frame: &Frame, priority: Priority) {
        if let Err(full) = self.outgoing.push(frame.bytes().clone(), priority) {
            self.close(LinkError::Slow(full.bytes));
        }
    }

    /// Queues what concerns the link itself.
    pub(super) fn say(&self, message: &Wire, priority: Priority) -> Result<(), FrameError> {
        self.send(&message.frame()?, priority);
        Ok(())
    }

    /// Ends the link; the first reason counts.
    pub(super) fn close(&self, reason: LinkError) {
        self.end.get_or_init(|| reason);
        self.ended.cancel();
    }

    /// Returns when the link is ended by this node. Cancel-safe.
    pub(super) async fn closed(&self) -> LinkError {
        self.ended.cancelled().await;
        self.end.get().cloned().unwrap_or(LinkError::Closed(CloseReason::Stopping))
    }

    /// Sends a ping; an older one still under way does not count any more.
    pub(super) fn ping(&self, nonce: u64, clock: TimeMs) -> Result<(), FrameError> {
        *self.lock_ping() = Some(Ping { nonce, sent: Instant::now(), clock });
        self.say(&Wire::Ping { nonce }, Priority::Urgent)
    }

    /// The answer to a ping: half of the way there and back it was under way.
    pub(super) fn pong(&self, nonce: u64, their_clock: TimeMs) {
        let Some(ping) = self.lock_ping().take_if(|ping| ping.nonce == nonce) else { return };
        let latency = ping.sent.elapsed();
        let half_ms = u64::try_from(latency.as_millis() / 2).unwrap_or(u64::MAX);
        let expected = ping.clock.plus(half_ms);
        let ahead = i64::try_from(their_clock.since(expected)).unwrap_or(i64::MAX);
        let behind = i64::try_from(expected.since(their_clock)).unwrap_or(i64::MAX);
        self.clock_offset_ms.store(ahead.saturating_sub(behind), Ordering::Relaxed);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(UNKNOWN_LATENCY - 1);
        self.latency_us.store(latency_us, Ordering::Relaxed);
    }

    /// Nothing panics while it holds the lock.
    fn lock_ping(&self) -> std::sync::MutexGuard<'_, Option<Ping>> {
        self.ping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_tip(&self, tip: Height) {
        self.tip.store(tip.get(), Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> PeerSnapshot {
        let latency_us = Some(self.latency_us.load(Ordering::Relaxed)).filter(|us| *us != UNKNOWN_LATENCY);
        let offset = Some(self.clock_offset_ms.load(Ordering::Relaxed)).filter(|ms| *ms != UNKNOWN_OFFSET);
        PeerSnapshot {
            info: self.info.clone(),
            latency: latency_us.map(Duration::from_micros),
            clock_offset_ms: offset,
            tip: Height::new(self.tip.load(Ordering::Relaxed)),
            bytes_received: self.traffic.received(),
            bytes_sent: self.traffic.sent(),
            bytes_waiting: self.outgoing.bytes(),
            score: self.score.load(Ordering::Relaxed),
        }
    }
}
