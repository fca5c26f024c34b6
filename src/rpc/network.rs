//! Other nodes.

use super::api::Api;
use super::context::Context;
use super::errors::Failure;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{NetworkInfo, PeerDetails, Text};
use crate::network::{ClockOffset, PeerSnapshot};
use crate::types::link::Role;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.quick("get_network_info", get_network_info)?;
    api.quick("get_peer_info", get_peer_info)
}

/// Name and version of this software, as peers see it.
pub fn agent() -> String {
    concat!("timed/", env!("CARGO_PKG_VERSION")).to_owned()
}

fn get_network_info(context: &Context, _: &Arguments) -> Result<NetworkInfo, Failure> {
    let network = context.node.network();
    let peers = network.peers();
    let inbound = peers.iter().filter(|peer| peer.info.role == Role::Responder).count();
    Ok(NetworkInfo {
        node_id: Text(network.node_id()),
        agent: agent(),
        listen: network.listen_address().map(|address| address.to_string()),
        peers: peers.len(),
        inbound,
        outbound: peers.len().saturating_sub(inbound),
        masternodes: peers.iter().filter(|peer| peer.info.masternode.is_some()).count(),
        bytes_received: peers.iter().fold(0, |sum, peer| peer.bytes_received.saturating_add(sum)),
        bytes_sent: peers.iter().fold(0, |sum, peer| peer.bytes_sent.saturating_add(sum)),
        clock_offset_ms: ClockOffset::of(&peers).map(|offset| offset.median_ms),
    })
}

fn get_peer_info(context: &Context, _: &Arguments) -> Result<Vec<PeerDetails>, Failure> {
    let details = |peer: PeerSnapshot| PeerDetails {
        id: peer.info.peer.0,
        node_id: Text(peer.info.node_id),
        address: peer.info.address.to_string(),
        listen: peer.info.listen.map(|address| address.to_string()),
        direction: match peer.info.role {
            Role::Initiator => "outbound",
            Role::Responder => "inbound",
        },
        agent: peer.info.agent.clone(),
        version: peer.info.protocol,
        masternode: peer.info.masternode.map(Text),
        height: peer.tip.get(),
        latency_ms: peer.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        clock_offset_ms: peer.clock_offset_ms,
        bytes_received: peer.bytes_received,
        bytes_sent: peer.bytes_sent,
        bytes_waiting: peer.bytes_waiting,
        score: peer.score,
        connected: peer.info.connected.0,
    };
    Ok(context.node.network().peers().into_iter().map(details).collect())
}
