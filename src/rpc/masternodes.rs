//! Masternodes: their records, their part in the newest blocks, when they lead, and how this node's own stands.

mod agreement;
mod details;
mod standing;

use super::api::Api;
use super::context::Context;
use super::cursor::Cursor;
use super::errors::Failure;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{LeaderInfo, LeaderSchedule, MasternodeDetails, MasternodePage, MasternodeStatus, Text};
use crate::chain::leader::Leaders;
use crate::chain::registry::{Masternode, MasternodeState};
use crate::limits::MAX_SCHEDULED_VIEWS;
use crate::node::clock;
use crate::types::hash::MasternodeId;
use crate::types::keys::PublicKey;
use crate::types::number::View;
use agreement::get_consensus_info;
use standing::Facts;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.reading("list_masternodes", list_masternodes)?;
    api.reading("get_masternode", get_masternode)?;
    api.reading("masternode_status", masternode_status)?;
    api.reading("get_leader_schedule", get_leader_schedule)?;
    api.waiting("get_consensus_info", |context, _| get_consensus_info(context))
}

fn list_masternodes(context: &Context, arguments: &Arguments) -> Result<MasternodePage, Failure> {
    let limit = arguments.limit()?;
    let after = match arguments.cursor()? {
        None => None,
        Some(Cursor::Masternode(id)) => Some(id),
        Some(_) => return Err(Failure::BadCursor),
    };
    let tip = context.view().tip();
    let commits = context.participation(&tip)?;
    let connected = context.connected_masternodes();
    let mut rest = tip.registry.iter().filter(|record| after.is_none_or(|after| record.id > after));
    let page = rest.by_ref().take(limit).map(|record| context.masternode_entry(record, &commits, &connected));
    let masternodes: Vec<_> = page.collect();
    let last = masternodes.last().filter(|_| rest.next().is_some());
    let next_cursor = last.map(|last| Cursor::Masternode(last.record.id.0).write());
    Ok(MasternodePage { masternodes, next_cursor })
}

fn get_masternode(context: &Context, arguments: &Arguments) -> Result<MasternodeDetails, Failure> {
    let text = arguments.text("id")?;
    let names = MasternodeId::from_hex(text).zip(PublicKey::from_hex(text));
    let (id, key) = names
        .ok_or_else(|| Failure::out_of_range("id", "64 hex digits: the id of a masternode, or its consensus key"))?;
    let tip = context.view().tip();
    let record = tip.registry.get(&id).or_else(|| tip.registry.by_key(&key));
    let record = record.ok_or_else(|| Failure::Unknown { what: "masternode", id: text.to_owned() })?;
    context.masternode_details(&tip, record)
}

fn masternode_status(context: &Context, _: &Arguments) -> Result<MasternodeStatus, Failure> {
    let tip = context.view().tip();
    let (key, gauges) = (context.node.masternode(), context.view().gauges());
    let record = key.and_then(|key| tip.registry.by_key(&key));
    let other_here = context.node.network().advertised().and_then(|address| {
        let is_here = |m: &&Masternode| {
            !matches!(m.state, MasternodeState::Unbonding { .. }) && m.endpoint.eq_ignore_ascii_case(address)
        };
        tip.registry.iter().find(is_here)
    });
    let other_here = other_here.filter(|_| record.is_none());
    let shown = record.or(other_here).map(|record| context.masternode_details(&tip, record)).transpose()?;
    let signing = context.node.signing();
    let silent = context.alarm().or_else(|| signing.floor().is_none().then(|| signing.to_string()));
    let facts = Facts {
        clock_is_wrong: gauges.is_clock_wrong,
        behind: gauges.is_behind.then_some((tip.height(), gauges.sync_target)),
        key,
        record,
        details: shown.as_ref(),
        registration: key.and_then(|key| context.view().registration(&key)),
        unregistration: record.and_then(|record| context.view().unregistration(&record.id)),
        other_here,
        silent,
        idle_slots: context.idle_slots(),
        has_peers: !context.node.network().peers().is_empty(),
    };
    let verdict = facts.judge();
    Ok(MasternodeStatus {
        state: verdict.state.name(),
        why: verdict.why,
        what_to_do: verdict.what_to_do,
        height: tip.height().get(),
        epoch: tip.child_epoch(context.chain()).get(),
        consensus_key: key.map(Text),
        signing: context.signing(),
        masternode: shown,
    })
}

/// Leaders follow from the tip's beacon, so those of the next height are known, and no others.
fn get_leader_schedule(context: &Context, arguments: &Arguments) -> Result<LeaderSchedule, Failure> {
    let views = arguments.number_to("views", MAX_SCHEDULED_VIEWS)?;
    let (chain, tip) = (context.chain(), context.view().tip());
    let mut leaders = Leaders::new(tip.header.beacon, tip.child_height(), &tip.validators);
    let views = u32::try_from(views).unwrap_or(u32::MAX);
    let of_view = |view: u32| {
        let member = tip.validators.get(&leaders.of(View::new(view)))?;
        Some(LeaderInfo {
            view,
            masternode: Text(member.id),
            consensus_key: Text(member.consensus_key),
            weight: member.weight.get(),
        })
    };
    let slot = chain.slot_at(clock::now()).max(tip.header.slot);
    Ok(LeaderSchedule {
        height: tip.child_height().get(),
        epoch: tip.child_epoch(chain).get(),
        next_slot_time: chain.slot_start(slot.next()).0,
        views: (0..views).filter_map(of_view).collect(),
    })
}
