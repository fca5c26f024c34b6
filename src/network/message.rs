//! What travels in a frame after `Hello`: what concerns the link itself, and what replicas tell each other.

use super::frame::{Frame, FrameError};
use crate::limits::{MAX_ADDRESSES_PER_MESSAGE, MAX_MESSAGE_BYTES};
use crate::replica::Message;
use crate::types::codec::encode;
use crate::types::evidence::Evidence;
use crate::types::number::TimeMs;
use bincode::{Decode, Encode};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The body of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Wire {
    /// "Are you there?"
    Ping {
        /// Any number.
        nonce: u64,
    },
    /// "Yes."
    Pong {
        /// The number of the question.
        nonce: u64,
        /// The answerer's clock.
        time: TimeMs,
    },
    /// "Whom do you know?"
    GetPeers,
    /// Addresses of nodes, at most [`MAX_ADDRESSES_PER_MESSAGE`].
    Peers(Vec<PeerAddress>),
    /// The last message of a link.
    Close(CloseReason),
    /// Of payments and blocks.
    Replica(Arc<Message>),
}

// The longest replica message and the variant's index; decoding counts lists at their size in memory.
crate::wire!(Wire, MAX_MESSAGE_BYTES, 4 * MAX_MESSAGE_BYTES + 64 * MAX_ADDRESSES_PER_MESSAGE);

impl Wire {
    /// Encoded for any number of receivers.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub fn frame(&self) -> Result<Frame, FrameError> {
        Frame::new(&encode(self))
    }
}

/// A replica's message, encoded once for all receivers.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn replica_frame(message: &Arc<Message>) -> Result<Frame, FrameError> {
    Wire::Replica(message.clone()).frame()
}

/// Where a node listens. IPv4 as in RFC 4291, section 2.5.5.2 (`::ffff:a.b.c.d`), so that an address has one encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct PeerAddress {
    ip: [u8; 16],
    port: u16,
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { ip: ip.octets(), port: address.port() }
    }
}

impl From<PeerAddress> for SocketAddr {
    fn from(address: PeerAddress) -> Self {
        Self::new(Ipv6Addr::from(address.ip).to_canonical(), address.port)
    }
}

/// Why a node closes a link, told to the other end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode, thiserror::Error)]
pub enum CloseReason {
    /// It stops.
    #[error("the node stops")]
    Stopping,
    /// Another version of the protocol.
    #[error("another version of the protocol")]
    UnknownProtocol,
    /// Another chain.
    #[error("another chain")]
    WrongChain,
    /// Both ends are the same node.
    #[error("a link of a node to itself")]
    SelfConnection,
    /// The node key is in use by another node than the one that says so.
    #[error("two nodes have the same node key")]
    SameKey,
    /// There is another link between these nodes.
    #[error("there is another link between these nodes")]
    Duplicate,
    /// It has as many links as it may.
    #[error("all links are taken")]
    Full,
    /// A breach of the protocol.
    #[error("a breach of the protocol")]
    Fault,
    /// Its operator, or its rules about peers.
    #[error("closed by the operator")]
    Requested,
    /// It keeps the other node or its address out for a time.
    #[error("this node is kept out for a time")]
    Banned,
}

/// What goes first where not everything can.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Priority {
    /// Agreement on blocks, and signs of life: little, and never to wait behind payments.
    Urgent,
    /// Everything else.
    Bulk,
}

/// Whether a message asks for the past, with whose answer the one who asks sets the pace.
pub(super) fn asks_for_history(message: &Message) -> bool {
    matches!(
        message,
        Message::GetBlocks { .. }
            | Message::GetHeaders { .. }
            | Message::GetEpochs { .. }
            | Message::GetSnapshot { .. }
            | Message::GetSnapshotChunk { .. }
    )
}

/// Whether a message is such an answer.
pub(super) fn is_history(message: &Message) -> bool {
    matches!(
        message,
        Message::Blocks(_)
            | Message::Headers(_)
            | Message::Epochs(_)
            | Message::SnapshotManifest(_)
            | Message::SnapshotChunk { .. }
    )
}

/// The priority of what a replica says.
pub fn priority(message: &Message) -> Priority {
    match message {
        // Of votes on payments it holds their bodies, and whoever cheats chooses how large they are.
        Message::Evidence(evidence) => match **evidence {
            Evidence::Bft { .. } => Priority::Urgent,
            Evidence::Finality { .. } => Priority::Bulk,
        },
        Message::Status { .. }
        | Message::Proposal(_)
        | Message::BftVote(_)
        | Message::Commit(_)
        | Message::Links(_)
        | Message::IHave(_)
        | Message::IWant(_)
        | Message::Presence(_) => Priority::Urgent,
        Message::TxAnnounce(_)
        | Message::GetTxs(_)
        | Message::Txs(_)
        | Message::SampleQuery { .. }
        | Message::SampleResponse { .. }
        | Message::Votes(_)
        | Message::GetVotes { .. }
        | Message::GetBlocks { .. }
        | Message::Blocks(_)
        | Message::GetHeaders { .. }
        | Message::Headers(_)
        | Message::GetEpochs { .. }
        | Message::Epochs(_)
        | Message::GetSnapshot { .. }
        | Message::SnapshotManifest(_)
        | Message::GetSnapshotChunk { .. }
        | Message::SnapshotChunk { .. } => Priority::Bulk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::decode;
    use crate::types::hash::Txid;
    use crate::types::number::Height;

    #[test]
    fn an_address_has_one_encoding() {
        for (text, ip) in [
            ("192.0.2.7:24000", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]),
            ("[2001:db8::1]:1", [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(PeerAddress::from(address), PeerAddress { ip, port: address.port() });
            assert_eq!(SocketAddr::from(PeerAddress::from(address)), address);
        }
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:24000".parse().unwrap();
        assert_eq!(SocketAddr::from(PeerAddress::from(mapped)).to_string(), "192.0.2.7:24000");
    }

    #[test]
    fn a_replica_message_is_the_body_behind_its_number() {
        let message = Message::TxAnnounce(vec![Txid([7; 32])]);
        let frame = replica_frame(&Arc::new(message.clone())).unwrap();
        let body = &frame.bytes()[super::super::frame::HEADER_BYTES..];
        assert_eq!(body[0], 5);
        assert_eq!(decode::<Message>(&body[1..]).unwrap(), message);
        assert_eq!(decode::<Wire>(body).unwrap(), Wire::Replica(Arc::new(message)));
    }

    #[test]
    fn block_votes_do_not_queue_behind_payments() {
        let status = Message::Status { height: Height::ZERO, hash: Default::default(), lowest: Height::ZERO };
        assert_eq!(priority(&status), Priority::Urgent);
        assert_eq!(priority(&Message::Txs(Vec::new())), Priority::Bulk);
    }
}
