//! The life of one link: Noise, `Hello`, a place in the table, then reading, writing and pinging until one of them ends.
//!
//! Invariants: the node hears of a link only after both `Hello`s, and of its end exactly once; a reader waits for its own
//! allowance only; nobody waits for a writer. It is one task: dropping its future ends the link.

use super::address::{is_worth_dialing, listen_address};
use super::conversation::{Conversation, Introduction};
use super::ended::Ended;
use super::error::LinkError;
use super::event::{Allowance, Event};
use super::frame::ReceivedFrame;
use super::message::{CloseReason, PeerAddress, Priority, Wire, is_history};
use super::meter::{Cost, Meter, Verdict, signature_checks};
use super::outgoing::Outgoing;
use super::peer::{Link, PeerInfo, Rank};
use super::shared::Shared;
use super::stream::{FrameReader, FrameWriter};
use super::table::InboundSlot;
use crate::limits::{
    DECODED_APART_FROM_BYTES, INBOUND_ALLOWANCE_BYTES, MAX_ADDRESSES_PER_MESSAGE, MIN_INBOUND_CHARGE_BYTES,
};
use crate::replica::Message;
use crate::types::codec::decode;
use crate::types::link::{NodeId, Role};
use rand::seq::{IteratorRandom as _, SliceRandom as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, info};

/// A connection, fresh.
#[derive(Debug)]
pub(super) struct Socket<R, W> {
    pub reader: R,
    pub writer: W,
    /// The other end.
    pub address: SocketAddr,
    /// This node's role.
    pub role: Role,
}

/// Makes a link of a connection and keeps it until it ends.
pub(super) async fn run<R, W>(shared: &Shared, socket: Socket<R, W>, mut slot: Option<InboundSlot>) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Socket { reader, writer, address, role } = socket;
    let deadline = Instant::now() + shared.settings.timings.handshake;
    let secured = until(shared, deadline, Conversation::open(shared, reader, writer, role)).await;
    let mut conversation = match secured {
        Ok(conversation) => conversation,
        Err(reason) => {
            if role == Role::Initiator && matches!(reason, LinkError::Noise(_)) {
                // The chain is part of the handshake: who is of another one fails right here.
                info!(%address, %reason, "no link: no node of this chain is there");
            }
            return never_up(address, None, reason);
        }
    };
    let (id, node) = (conversation.node_id, Some(conversation.node_id));
    let introduction = until(shared, deadline, conversation.introduce(shared)).await;
    let link = introduction.and_then(|introduction| {
        if shared.guard.keeps_out_node(id) || shared.guard.keeps_out(address.ip()) {
            return Err(LinkError::Closed(CloseReason::Banned));
        }
        let link = Arc::new(new_link(shared, &conversation, address, role, introduction));
        shared.table.admit(&link).map_err(LinkError::Closed)?;
        Ok(link)
    });
    if let Some(slot) = &mut slot {
        slot.handshake_done();
    }
    let link = match link {
        Ok(link) => link,
        Err(reason) => {
            shared.guard.judge(&shared.table, id, address.ip(), &reason);
            conversation.farewell(shared, &reason).await;
            return never_up(address, node, reason);
        }
    };
    note_address(shared, &link);
    let since = Instant::now();
    let reason = live(shared, &link, &mut conversation).await;
    info!(peer = link.info.peer.0, %reason, "link down");
    shared.guard.judge(&shared.table, id, address.ip(), &reason);
    conversation.farewell(shared, &reason).await;
    Ended { node, held: Some(since.elapsed()), reason }
}

/// A link that this node dialed shows that a node is there; one that another dialed shows what it says of itself.
fn note_address(shared: &Shared, link: &Link) {
    let (info, now) = (&link.info, shared.settings.clock.now());
    match (info.role, info.listen) {
        (Role::Initiator, _) => shared.book().met(info.address, now),
        (Role::Responder, Some(listen)) if is_worth_dialing(&listen, info.address.ip()) => {
            shared.book().learn(listen, info.address.ip(), now);
        }
        (Role::Responder, _) => {}
    }
}

fn never_up(address: SocketAddr, node: Option<NodeId>, reason: LinkError) -> Ended {
    debug!(%address, %reason, "no link");
    Ended { node, held: None, reason }
}

/// Runs a part of the handshake, unless time is up or the node stops.
pub(super) async fn until<T>(
    shared: &Shared,
    deadline: Instant,
    part: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let limit_ms = u64::try_from(shared.settings.timings.handshake.as_millis()).unwrap_or(u64::MAX);
    tokio::select! {
        () = shared.cancel.cancelled() => Err(LinkError::Closed(CloseReason::Stopping)),
        done = timeout_at(deadline, part) => done.unwrap_or(Err(LinkError::HandshakeTimeout(limit_ms))),
    }
}

fn new_link<R, W>(
    shared: &Shared,
    conversation: &Conversation<R, W>,
    address: SocketAddr,
    role: Role,
    introduction: Introduction,
) -> Link {
    let Introduction { mine, theirs } = introduction;
    let (initiator, responder) = match role {
        Role::Initiator => (&mine, &theirs),
        Role::Responder => (&theirs, &mine),
    };
    let rank = Rank {
        dialed_by_smaller: initiator.node_id < responder.node_id,
        dialed: initiator.time,
        handshake_hash: conversation.handshake_hash,
    };
    let listen = match role {
        Role::Initiator => Some(address),
        Role::Responder => listen_address(theirs.listen.as_deref(), address.ip()),
    };
    let info = PeerInfo {
        peer: shared.table.next_peer(),
        node_id: conversation.node_id,
        role,
        address,
        listen,
        agent: theirs.agent,
        protocol: theirs.protocol,
        masternode: theirs.masternode.map(|proof| proof.consensus_key),
        tip: theirs.tip,
        connected: shared.settings.clock.now(),
    };
    let outgoing = Outgoing::new(shared.table.budget.clone());
    Link::new(info, rank, theirs.nonce, outgoing, conversation.traffic.clone())
}

/// From `Connected` to `Disconnected`.
async fn live<R, W>(shared: &Shared, link: &Arc<Link>, conversation: &mut Conversation<R, W>) -> LinkError
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let info = link.info.clone();
    let (peer, masternode) = (info.peer, info.masternode);
    info!(peer = peer.0, node = ?info.node_id, address = %info.address, role = ?info.role, ?masternode, "link up");
    let told = tokio::select! {
        reason = ended_here(shared, link) => Err(reason),
        sent = shared.events.send(Event::Connected { peer, info }) =>
            sent.map_err(|_| LinkError::Closed(CloseReason::Stopping)),
    };
    if let Err(reason) = told {
        shared.table.remove(link);
        return reason;
    }
    // Each arm ends the link, so it does not matter what another one was in the middle of; the writer keeps what it
    // began, for the farewell. No arm goes first always, or it could starve the others.
    let reason = tokio::select! {
        reason = ended_here(shared, link) => reason,
        reason = read(shared, link, &mut conversation.reader) => reason,
        reason = write(link, &mut conversation.writer) => reason,
        reason = beat(shared, link) => reason,
    };
    shared.table.remove(link);
    tokio::select! {
        () = shared.cancel.cancelled() => {}
        sent = shared.events.send(Event::Disconnected { peer, reason: reason.clone() }) => {
            if sent.is_err() {
                debug!(peer = peer.0, "nobody listens to the network any more");
            }
        }
    }
    reason
}

/// Returns when this node ends the link, or all links.
async fn ended_here(shared: &Shared, link: &Link) -> LinkError {
    tokio::select! {
        reason = link.closed() => reason,
        () = shared.cancel.cancelled() => LinkError::Closed(CloseReason::Stopping),
    }
}

async fn write<W: AsyncWrite + Unpin>(link: &Link, writer: &mut FrameWriter<W>) -> LinkError {
    loop {
        if let Err(error) = writer.write_all(|| link.outgoing.pop()).await {
            return error;
        }
        link.outgoing.changed().await;
    }
}

/// Asks for signs of life, and for addresses.
async fn beat(shared: &Shared, link: &Link) -> LinkError {
    let timings = shared.settings.timings;
    let [mut ping, mut exchange] = [timings.ping, timings.exchange].map(interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    exchange.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Ticks are cancel-safe.
        let said = tokio::select! {
            _ = ping.tick() => link.ping(rand::random(), shared.settings.clock.now()),
            _ = exchange.tick() => {
                link.asks_for_peers.store(true, Ordering::Relaxed);
                link.say(&Wire::GetPeers, Priority::Bulk)
            }
        };
        if let Err(error) = said {
            return error.into();
        }
    }
}

async fn read<R: AsyncRead + Unpin>(shared: &Shared, link: &Link, reader: &mut FrameReader<R>) -> LinkError {
    let allowance = Arc::new(Semaphore::new(INBOUND_ALLOWANCE_BYTES));
    let (mut last_answer, mut meter) = (None, Meter::new(Instant::now()));
    loop {
        let cost = match read_one(shared, link, reader, &allowance, &mut last_answer).await {
            Ok(cost) => cost,
            Err(error) => return error,
        };
        let Verdict { pause, score } = meter.charge(cost, Instant::now());
        link.score.store(score, Ordering::Relaxed);
        if score == 0 {
            return LinkError::OverRate;
        }
        if pause > Duration::ZERO {
            sleep(pause).await;
        }
    }
}

async fn read_one<R: AsyncRead + Unpin>(
    shared: &Shared,
    link: &Link,
    reader: &mut FrameReader<R>,
    allowance: &Arc<Semaphore>,
    last_answer: &mut Option<Instant>,
) -> Result<Cost, LinkError> {
    let frame = reader.next_frame().await?;
    let size = frame.size();
    let mut cost = Cost { bytes: u64::try_from(size).unwrap_or(u64::MAX), checks: 0 };
    let charge = u32::try_from(size.clamp(MIN_INBOUND_CHARGE_BYTES, INBOUND_ALLOWANCE_BYTES)).unwrap_or(u32::MAX);
    // The semaphore is never closed.
    let permit = allowance.clone().acquire_many_owned(charge).await;
    let permit = permit.map_err(|_| LinkError::Closed(CloseReason::Stopping))?;
    match open(frame).await? {
        Wire::Ping { nonce } => {
            link.say(&Wire::Pong { nonce, time: shared.settings.clock.now() }, Priority::Urgent)?;
        }
        Wire::Pong { nonce, time } => link.pong(nonce, time),
        Wire::GetPeers => {
            if last_answer.is_none_or(|at| at.elapsed() >= shared.settings.timings.answer) {
                *last_answer = Some(Instant::now());
                link.say(&Wire::Peers(addresses(shared, link)), Priority::Bulk)?;
            }
        }
        Wire::Peers(addresses) => learn(shared, link, &addresses)?,
        Wire::Close(reason) => return Err(LinkError::ClosedByPeer(reason)),
        Wire::Replica(message) => {
            cost.checks = signature_checks(&message);
            let message = Arc::unwrap_or_clone(message);
            if is_history(&message) && link.history_came() {
                // Who catches up sets the pace itself, and bounds what it asks for.
                cost = Cost::default();
            }
            if let Message::Status { height, .. } = &message {
                link.set_tip(*height);
            }
            let event = Event::Message { peer: link.info.peer, message, size, allowance: Allowance(permit) };
            shared.events.send(event).await.map_err(|_| LinkError::Closed(CloseReason::Stopping))?;
        }
    }
    Ok(cost)
}

/// Unpacks and decodes; what takes long not on the tasks that move bytes.
async fn open(frame: ReceivedFrame) -> Result<Wire, LinkError> {
    let open = |frame: ReceivedFrame| Ok(decode(&frame.unpack()?)?);
    if frame.size() <= DECODED_APART_FROM_BYTES {
        return open(frame);
    }
    // It ends early only when the runtime does.
    tokio::task::spawn_blocking(move || open(frame)).await.unwrap_or(Err(LinkError::Closed(CloseReason::Stopping)))
}

/// Nodes that this one is linked to, and others at which it met a node, drawn at random. What was only told is not told
/// on: nobody spreads through this node what is not there.
fn addresses(shared: &Shared, asker: &Link) -> Vec<PeerAddress> {
    let links = shared.table.links();
    let may_be = |address: &SocketAddr| {
        Some(*address) != asker.info.listen && is_worth_dialing(address, asker.info.address.ip())
    };
    let others = links.values().filter(|link| link.info.peer != asker.info.peer);
    let linked = others.filter_map(|link| link.info.listen).filter(may_be);
    let mut known = linked.sample(&mut rand::rng(), MAX_ADDRESSES_PER_MESSAGE);
    let further = shared
        .book()
        .sample(MAX_ADDRESSES_PER_MESSAGE - known.len(), |address| may_be(address) && !known.contains(address));
    known.extend(further);
    known.shuffle(&mut rand::rng());
    known.into_iter().map(PeerAddress::from).collect()
}

fn learn(shared: &Shared, link: &Link, addresses: &[PeerAddress]) -> Result<(), LinkError> {
    if addresses.len() > MAX_ADDRESSES_PER_MESSAGE {
        return Err(LinkError::TooManyAddresses(addresses.len()));
    }
    if !link.asks_for_peers.swap(false, Ordering::Relaxed) {
        return Ok(());
    }
    let teller = link.info.address.ip();
    let now = shared.settings.clock.now();
    let told = addresses.iter().map(|address| SocketAddr::from(*address));
    {
        let mut book = shared.book();
        told.filter(|address| is_worth_dialing(address, teller)).for_each(|address| book.learn(address, teller, now));
    }
    shared.learnt.notify_one();
    Ok(())
}

#[cfg(test)]
mod tests;
