//! The network of a node: listens, dials, and gives the node one handle for all links.

use super::bans::{Ban, Banned, TooManyBans};
use super::dial::{self, DialCommand};
use super::error::LinkError;
use super::event::Event;
use super::frame::{Frame, FrameError};
use super::message::{CloseReason, Priority, asks_for_history, priority, replica_frame};
use super::noise::NoiseError;
use super::peer::PeerSnapshot;
use super::session;
use super::settings::{Settings, SettingsError};
use super::shared::Shared;
use super::table::InboundSlot;
use super::targets::Wish;
use crate::limits::{MAX_ADDED_NODES, MAX_DIAL_COMMANDS, SAVE_BANS_MS};
use crate::replica::{Message, PeerId};
use crate::types::link::{NodeId, Role};
use crate::types::number::{Height, TimeMs};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Pause after the system refused to take a connection: it has no file descriptors or no memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Nobody would take such settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No key can be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Why the operator's wish for a link is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddNodeError {
    /// It is one already.
    #[error("this address was added before")]
    AlreadyAdded,
    /// It is none.
    #[error("this address was not added")]
    NotAdded,
    /// There are as many as there may be.
    #[error("{MAX_ADDED_NODES} addresses were added already; remove one first")]
    TooMany,
    /// The dialer has too much to do.
    #[error("the dialer is busy; try again")]
    Busy,
}

/// A running network. Dropping it stops it too, without waiting for its tasks.
#[derive(Debug)]
pub struct Network {
    handle: Handle,
}

/// What the node does with its network. Cheap to clone; never waits for a peer.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    dialer: mpsc::Sender<DialCommand>,
    listen_address: Option<SocketAddr>,
}

impl Network {
    /// Listens and dials. The receiver has room for every message that peers may have waiting, so peers wait for the node
    /// each by itself.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn start(settings: Settings) -> Result<(Self, mpsc::Receiver<Event>), NetworkError> {
        settings.check()?;
        let listener = match settings.listen {
            Some(address) => Some(listen(address).await.map_err(|source| NetworkError::Listen { address, source })?),
            None => None,
        };
        let (listener, listen_address) = listener.unzip();
        let (shared, events) = Shared::new(settings, listen_address)?;
        let shared = Arc::new(shared);
        let (dialer, commands) = mpsc::channel(MAX_DIAL_COMMANDS);
        shared.tracker.spawn(dial::run(shared.clone(), dialer.clone(), commands));
        shared.tracker.spawn(keep_bans(shared.clone()));
        if let Some(listener) = listener {
            shared.tracker.spawn(accept(shared.clone(), listener));
        }
        shared.tracker.close();
        Ok((Self { handle: Handle { shared, dialer, listen_address } }, events))
    }

    /// The handle for everybody else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells all peers, closes all links, saves address book and bans, and returns when every task has ended.
    pub async fn stop(self) {
        let shared = &self.handle.shared;
        shared.cancel.cancel();
        shared.tracker.wait().await;
        shared.save_book().await;
        shared.guard.save().await;
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.handle.shared.cancel.cancel();
    }
}

async fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Saves bans soon after they change.
async fn keep_bans(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = shared.guard.changed.notified() => shared.guard.save().await,
        }
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(SAVE_BANS_MS)) => {}
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        // Accepting is cancel-safe.
        let accepted = tokio::select! {
            () = shared.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((_, address)) if shared.guard.keeps_out(address.ip()) => debug!(%address, "connection refused: banned"),
            Ok((stream, address)) => match shared.table.reserve_inbound(address.ip()) {
                Some(slot) => {
                    shared.tracker.spawn(inbound(shared.clone(), stream, slot));
                }
                None => debug!(%address, "connection refused: too many"),
            },
            Err(error) => {
                warn!(%error, "cannot take connections");
                tokio::select! {
                    () = shared.cancel.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

async fn inbound(shared: Arc<Shared>, stream: TcpStream, slot: InboundSlot) {
    match dial::socket(stream, Role::Responder) {
        Ok(socket) => {
            session::run(&shared, socket, Some(slot)).await;
        }
        Err(error) => debug!(%error, "a connection broke before it began"),
    }
}

impl Handle {
    /// This node's key.
    pub fn node_id(&self) -> NodeId {
        self.shared.identity.node_id()
    }

    /// Where this node listens.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.listen_address
    }

    /// Where this node tells others that it listens: what its operator said, or else the address it listens at.
    pub fn advertised(&self) -> Option<&str> {
        self.shared.listen.as_deref()
    }

    /// What new peers are told about this node's tip.
    pub fn set_tip(&self, tip: Height) {
        self.shared.tip.store(tip.get(), Ordering::Relaxed);
    }

    /// Queues a frame for one peer; nothing happens if its link is down. A peer that takes too little is dropped.
    pub fn send(&self, peer: PeerId, frame: &Frame, priority: Priority) {
        if let Some(link) = self.shared.table.get(peer) {
            link.send(frame, priority);
        }
    }

    /// Queues a frame for every peer.
    pub fn broadcast(&self, frame: &Frame, priority: Priority) {
        self.shared.table.links().values().for_each(|link| link.send(frame, priority));
    }

    /// [`Handle::send`] of what a replica says.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: it was sent to nobody.
    pub fn send_message(&self, peer: PeerId, message: &Arc<Message>) -> Result<(), FrameError> {
        let frame = replica_frame(message)?;
        if asks_for_history(message)
            && let Some(link) = self.shared.table.get(peer)
        {
            link.await_history();
        }
        self.send(peer, &frame, priority(message));
        Ok(())
    }

    /// Bytes that wait to be sent to a peer; 0 if it is gone.
    pub fn unread_bytes(&self, peer: PeerId) -> usize {
        self.shared.table.get(peer).map_or(0, |link| link.outgoing.bytes())
    }

    /// [`Handle::broadcast`] of what a replica says, encoded once.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: it was sent to nobody.
    pub fn broadcast_message(&self, message: &Arc<Message>) -> Result<(), FrameError> {
        self.broadcast(&replica_frame(message)?, priority(message));
        Ok(())
    }

    /// Ends a link and tells the other end why. What waits for it is dropped.
    pub fn disconnect(&self, peer: PeerId, reason: CloseReason) {
        if let Some(link) = self.shared.table.get(peer) {
            link.close(LinkError::Closed(reason));
        }
    }

    /// A message of this link, which may have ended since, proves its node at fault: it is banned, and told so.
    pub fn punish(&self, peer: PeerId, fault: &str) {
        if let Some((node, ip)) = self.shared.table.node_of(peer) {
            self.disconnect(peer, CloseReason::Fault);
            self.shared.guard.convict(&self.shared.table, node, ip, fault);
        }
    }

    /// The operator keeps somebody out for a time. Links to it end.
    ///
    /// # Errors
    /// [`TooManyBans`]: nothing changed.
    pub fn ban(&self, who: Banned, until: TimeMs, reason: &str) -> Result<(), TooManyBans> {
        let since = self.shared.settings.clock.now();
        let ban = Ban { since, until, reason: reason.to_owned(), by_operator: true };
        self.shared.guard.ban(&self.shared.table, who, ban)
    }

    /// Lets somebody in again. Whether it was kept out.
    pub fn lift_ban(&self, who: &Banned) -> bool {
        self.shared.guard.lift(who)
    }

    /// Lets everybody in again; how many bans that ends.
    pub fn clear_bans(&self) -> usize {
        self.shared.guard.clear()
    }

    /// Every ban that holds.
    pub fn bans(&self) -> Vec<(Banned, Ban)> {
        self.shared.guard.held()
    }

    /// How long a node that is provably at fault is kept out.
    pub fn ban_length(&self) -> Duration {
        self.shared.settings.fault_ban
    }

    /// Keeps up a link to `host:port` until `wish` is taken back. Whether the dialer takes it: not if it has too much to
    /// do.
    pub fn want(&self, address: String, wish: Wish) -> bool {
        self.dialer.try_send(DialCommand::Want(address, wish)).is_ok()
    }

    /// Takes a wish back; a link to the address stays. Whether the dialer takes it.
    pub fn forget(&self, address: String, wish: Wish) -> bool {
        self.dialer.try_send(DialCommand::Forget(address, wish)).is_ok()
    }

    /// The operator wants a link to `host:port`, as long as the node runs.
    ///
    /// # Errors
    /// [`AddNodeError`]: nothing changed.
    pub fn add_node(&self, address: &str) -> Result<(), AddNodeError> {
        let mut added = self.shared.added.lock().unwrap_or_else(PoisonError::into_inner);
        match () {
            () if added.contains(address) => Err(AddNodeError::AlreadyAdded),
            () if added.len() >= MAX_ADDED_NODES => Err(AddNodeError::TooMany),
            () if !self.want(address.to_owned(), Wish::Operator) => Err(AddNodeError::Busy),
            () => {
                added.insert(address.to_owned());
                Ok(())
            }
        }
    }

    /// The operator wants this link no more; one that is up stays.
    ///
    /// # Errors
    /// [`AddNodeError`]: nothing changed.
    pub fn remove_node(&self, address: &str) -> Result<(), AddNodeError> {
        let mut added = self.shared.added.lock().unwrap_or_else(PoisonError::into_inner);
        match () {
            () if !added.contains(address) => Err(AddNodeError::NotAdded),
            () if !self.forget(address.to_owned(), Wish::Operator) => Err(AddNodeError::Busy),
            () => {
                added.remove(address);
                Ok(())
            }
        }
    }

    /// Addresses in the book: at which a node was met, and which were only told.
    pub fn known_addresses(&self) -> (usize, usize) {
        self.shared.book().len()
    }

    /// All peers, in the order in which they connected.
    pub fn peers(&self) -> Vec<PeerSnapshot> {
        self.shared.table.links().values().map(|link| link.snapshot()).collect()
    }
}

#[cfg(test)]
mod tests;
