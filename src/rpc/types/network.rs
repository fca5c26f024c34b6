//! Other nodes.

use super::Text;
use crate::types::keys::PublicKey;
use crate::types::link::NodeId;
use serde::Serialize;

/// `get_network_info`.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkInfo {
    /// This node's key.
    pub node_id: Text<NodeId>,
    /// Name and version of this software.
    pub agent: String,
    /// Where it listens.
    pub listen: Option<String>,
    /// Links.
    pub peers: usize,
    /// Links that others opened.
    pub inbound: usize,
    /// Links that this node opened.
    pub outbound: usize,
    /// Links to masternodes.
    pub masternodes: usize,
    /// Bytes that came over the links that are up.
    pub bytes_received: u64,
    /// Bytes sent over them.
    pub bytes_sent: u64,
    /// By how much the clocks of most peers are ahead of this one's.
    pub clock_offset_ms: Option<i64>,
}

/// One entry of `get_peer_info`.
#[derive(Clone, Debug, Serialize)]
pub struct PeerDetails {
    /// The link's number.
    pub id: u64,
    /// The node's key.
    pub node_id: Text<NodeId>,
    /// The other end of the connection.
    pub address: String,
    /// Where others reach the peer.
    pub listen: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// Name and version of its software.
    pub agent: String,
    /// Version of the protocol.
    pub version: u32,
    /// The masternode's consensus key.
    pub masternode: Option<Text<PublicKey>>,
    /// Height of its tip, as it says.
    pub height: u64,
    /// Time of a ping there and back.
    pub latency_ms: Option<u64>,
    /// By how much its clock is ahead of this one's.
    pub clock_offset_ms: Option<i64>,
    /// Bytes that came.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes that wait to be sent.
    pub bytes_waiting: usize,
    /// How well it keeps to its rates, 0 to 100; at 0 the link ends.
    pub score: u32,
    /// Since when the link is up.
    pub connected: u64,
}

/// One entry of `list_banned`.
#[derive(Clone, Debug, Serialize)]
pub struct BanInfo {
    /// A node's key, or an IP address; an IPv6 address stands for its network of 64 bits.
    pub who: String,
    /// `node` or `address`.
    pub kind: &'static str,
    /// Since when.
    pub since: u64,
    /// Until when.
    pub until: u64,
    /// Why.
    pub reason: String,
    /// `operator`, or `node` if it proved itself at fault here.
    pub by: &'static str,
}
