//! The network of a node: listens, dials, and gives the node one handle for all links.

use super::dial::{self, DialCommand, Mail};
use super::error::LinkError;
use super::event::Event;
use super::frame::{Frame, FrameError};
use super::message::{CloseReason, Priority, priority, replica_frame};
use super::noise::NoiseError;
use super::peer::PeerSnapshot;
use super::session;
use super::settings::{Settings, SettingsError};
use super::shared::Shared;
use super::table::InboundSlot;
use crate::limits::MAX_KNOWN_ADDRESSES;
use crate::replica::{Message, PeerId};
use crate::types::link::{NodeId, Role};
use crate::types::number::Height;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
        let (shared, receivers) = Shared::new(settings, listen_address)?;
        let shared = Arc::new(shared);
        let (dialer, commands) = mpsc::channel(MAX_KNOWN_ADDRESSES);
        let mail = Mail { commands, learnt: receivers.learnt };
        shared.tracker.spawn(dial::run(shared.clone(), dialer.clone(), mail));
        if let Some(listener) = listener {
            shared.tracker.spawn(accept(shared.clone(), listener));
        }
        shared.tracker.close();
        Ok((Self { handle: Handle { shared, dialer, listen_address } }, receivers.events))
    }

    /// The handle for everybody else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells all peers, closes all links, and returns when every task has ended.
    pub async fn stop(self) {
        self.handle.shared.cancel.cancel();
        self.handle.shared.tracker.wait().await;
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

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        // Accepting is cancel-safe.
        let accepted = tokio::select! {
            () = shared.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
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
        self.send(peer, &replica_frame(message)?, priority(message));
        Ok(())
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

    /// Keeps up a link to `host:port`, like a seed's. Whether the dialer takes it: not if it has too much to do.
    pub fn want(&self, address: String) -> bool {
        self.dialer.try_send(DialCommand::Want(address)).is_ok()
    }

    /// Dials this address no more; a link to it stays. Whether the dialer takes it.
    pub fn forget(&self, address: String) -> bool {
        self.dialer.try_send(DialCommand::Forget(address)).is_ok()
    }

    /// All peers, in the order in which they connected.
    pub fn peers(&self) -> Vec<PeerSnapshot> {
        self.shared.table.links().values().map(|link| link.snapshot()).collect()
    }
}

#[cfg(test)]
mod tests;
