//! What an operator does about other nodes: whom to dial, whom to cut off, whom to keep out.

use super::api::Api;
use super::context::Context;
use super::errors::{Failure, PeerProblem};
use super::params::Arguments;
use super::start_error::StartError;
use super::types::BanInfo;
use crate::config::is_host_and_port;
use crate::limits::{MAX_BAN_SECONDS, MAX_ENDPOINT_BYTES};
use crate::network::{Ban, Banned, CloseReason, PeerSnapshot, read_banned};
use crate::node::clock;
use crate::types::number::TimeMs;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.quick("add_node", add_node)?;
    api.quick("disconnect_node", disconnect_node)?;
    api.quick("list_banned", list_banned)?;
    api.quick("set_ban", set_ban)?;
    api.quick("clear_banned", |context, _| {
        context.node.network().clear_bans();
        Ok(())
    })
}

/// What `command` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Add,
    Remove,
}

fn change(arguments: &Arguments) -> Result<Change, Failure> {
    match arguments.text("command")? {
        "add" => Ok(Change::Add),
        "remove" => Ok(Change::Remove),
        _ => Err(Failure::out_of_range("command", "\"add\" or \"remove\"")),
    }
}

fn add_node(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let (node, network) = (arguments.text("node")?, context.node.network());
    if !is_host_and_port(node) || node.len() > MAX_ENDPOINT_BYTES {
        return Err(Failure::out_of_range("node", "an address is written host:port"));
    }
    match change(arguments)? {
        Change::Add => Ok(network.add_node(node)?),
        Change::Remove => Ok(network.remove_node(node)?),
    }
}

/// By the link's number, the node's key, or an address of either end of the way to it.
fn disconnect_node(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let network = context.node.network();
    let number = arguments.value("node").as_u64();
    let node = if number.is_some() { "" } else { arguments.text("node")? };
    let is_it = |peer: &PeerSnapshot| {
        let info = &peer.info;
        number == Some(info.peer.0)
            || node == info.peer.0.to_string()
            || node == info.node_id.to_string()
            || node == info.address.to_string()
            || info.listen.is_some_and(|listen| node == listen.to_string())
    };
    let found: Vec<PeerSnapshot> = network.peers().into_iter().filter(is_it).collect();
    if found.is_empty() {
        return Err(PeerProblem::NotConnected.into());
    }
    found.iter().for_each(|peer| network.disconnect(peer.info.peer, CloseReason::Requested));
    Ok(())
}

fn list_banned(context: &Context, _: &Arguments) -> Result<Vec<BanInfo>, Failure> {
    let info = |(who, ban): (Banned, Ban)| BanInfo {
        who: who.to_string(),
        kind: match who {
            Banned::Node(_) => "node",
            Banned::Place(_) => "address",
        },
        since: ban.since.0,
        until: ban.until.0,
        reason: ban.reason,
        by: if ban.by_operator { "operator" } else { "node" },
    };
    Ok(context.node.network().bans().into_iter().map(info).collect())
}

fn set_ban(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let network = context.node.network();
    let who = read_banned(arguments.text("who")?);
    let who = who.ok_or_else(|| Failure::out_of_range("who", "an IP address, or a node's key as 64 hex digits"))?;
    let (seconds, is_absolute) = (arguments.number("bantime")?, arguments.flag("absolute")?);
    if change(arguments)? == Change::Remove {
        return if network.lift_ban(&who) { Ok(()) } else { Err(PeerProblem::NotBanned.into()) };
    }
    let now = clock::now();
    let until = match seconds {
        0 if is_absolute => return Err(Failure::out_of_range("bantime", "an absolute time is in seconds since 1970")),
        0 => now.plus(u64::try_from(network.ban_length().as_millis()).unwrap_or(u64::MAX)),
        seconds if is_absolute => TimeMs(seconds.saturating_mul(1_000)),
        seconds => now.plus(seconds.saturating_mul(1_000)),
    };
    if until <= now || until.since(now) > MAX_BAN_SECONDS.saturating_mul(1_000) {
        let problem = format!("a ban ends after now and within {MAX_BAN_SECONDS} seconds");
        return Err(Failure::out_of_range("bantime", problem));
    }
    network.ban(who, until, "set by the operator").map_err(|_| PeerProblem::TooManyBans.into())
}
