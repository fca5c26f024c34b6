//! What the network tells the node.

use super::error::LinkError;
use super::peer::PeerInfo;
use crate::replica::{Message, PeerId};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A peer's claim on this node's attention, as large as its message. While the node holds it, the peer's further messages
/// find that much less room; when there is none, this node stops reading from that peer, and from no other.
#[derive(Debug)]
#[must_use = "dropping it lets the peer send more: keep it until the message is dealt with"]
pub struct Allowance(pub(super) OwnedSemaphorePermit);

impl Allowance {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }
}

/// What happens on the network. Of one link: `Connected`, messages, `Disconnected`, in this order, each end once.
#[derive(Debug)]
pub enum Event {
    /// A link is up.
    Connected {
        /// The link.
        peer: PeerId,
        /// Who is at its other end.
        info: Arc<PeerInfo>,
    },
    /// A peer said something. It decoded, and nothing more is known about it.
    Message {
        /// The link.
        peer: PeerId,
        /// What.
        message: Message,
        /// Encoded bytes.
        size: usize,
        /// To be dropped when the message is dealt with.
        allowance: Allowance,
    },
    /// A link is down.
    Disconnected {
        /// The link.
        peer: PeerId,
        /// Why.
        reason: LinkError,
    },
}
