//! How the node does: one line a check, for people and for whatever restarts or alerts.

use super::context::Context;
use super::types::{Check, Health};
use crate::limits::{HEALTH_ANSWER_MS, LOW_DISK_BYTES};
use crate::network::ClockOffset;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Looks at everything.
pub async fn health(context: &Arc<Context>) -> Health {
    // That it answers is what is asked.
    let answer = timeout(Duration::from_millis(HEALTH_ANSWER_MS), context.node.ask(|_| ())).await;
    let checks = vec![
        node(matches!(answer, Ok(Ok(())))),
        alarm(context),
        signing(context),
        peers(context),
        syncing(context),
        blocks(context),
        clock(context),
        beacon(context),
        disk(context).await,
    ];
    let healthy = checks.iter().all(|check| check.ok);
    let status = match healthy {
        true => "ok",
        false if context.view().alarm().is_some() => "critical",
        false => "degraded",
    };
    Health { status, healthy, checks }
}

/// Whether the protocol's thread answers.
fn node(answers: bool) -> Check {
    let detail = if answers { "answers" } else { "does not answer" };
    Check { name: "node", ok: answers, detail: detail.to_owned() }
}

fn alarm(context: &Context) -> Check {
    let alarm = context.alarm();
    Check { name: "alarm", ok: alarm.is_none(), detail: alarm.unwrap_or_else(|| "none".to_owned()) }
}

/// A masternode that is in the registry and does not sign is missed by the others.
fn signing(context: &Context) -> Check {
    let signing = context.node.signing();
    let key = context.node.masternode();
    let is_registered = key.is_some_and(|key| context.view().tip().registry.by_key(&key).is_some());
    Check { name: "signing", ok: signing.floor().is_some() || !is_registered, detail: signing.to_string() }
}

/// A chain of one masternode needs no peers there.
fn peers(context: &Context) -> Check {
    let peers = context.node.network().peers().len();
    let tip = context.view().tip();
    let is_alone =
        tip.validators.len() == 1 && context.node.masternode().is_some_and(|key| tip.validators.get(&key).is_some());
    Check { name: "peers", ok: peers > 0 || is_alone, detail: format!("{peers} connected") }
}

fn syncing(context: &Context) -> Check {
    let (height, gauges) = (context.view().tip().height(), context.view().gauges());
    let is_behind = gauges.is_behind;
    let detail = match is_behind {
        true => format!("at height {height} of {}, catching up", gauges.sync_target.max(height)),
        false => format!("at height {height}"),
    };
    Check { name: "syncing", ok: !is_behind, detail }
}

/// A chain without two thirds of its weight stands still, with whatever its nodes do.
fn blocks(context: &Context) -> Check {
    let idle = context.idle_slots();
    let detail = match idle {
        None => "come".to_owned(),
        Some(slots) => {
            format!("none for {slots} slots: two thirds of the weight have to sign, and do not, or are not reached")
        }
    };
    Check { name: "blocks", ok: idle.is_none(), detail }
}

/// A clock that is off by more than the chain allows makes for proposals that nobody prepares.
fn clock(context: &Context) -> Check {
    let offset = ClockOffset::of(&context.node.network().peers());
    let (tolerated, is_wrong) = (context.chain().clock_tolerance_ms, context.view().gauges().is_clock_wrong);
    let mut detail = match offset {
        None => "nobody to compare with".to_owned(),
        Some(offset) => format!("peers are {} ms ahead, {tolerated} ms are tolerated", offset.median_ms),
    };
    if is_wrong {
        detail.push_str("; the node signs nothing until the clock is set right");
    }
    Check { name: "clock", ok: !is_wrong && offset.is_none_or(|offset| !offset.exceeds(tolerated)), detail }
}

/// A masternode that has no proof when its turn as leader comes offers nothing.
fn beacon(context: &Context) -> Check {
    let (whole_ms, slot_ms) = (context.node.beacon().whole_ms(), context.chain().slot_ms);
    let is_slow = whole_ms.is_some_and(|ms| ms > slot_ms);
    let key = context.node.masternode();
    let is_member = key.is_some_and(|key| context.view().tip().validators.get(&key).is_some());
    let mut detail = match whole_ms {
        None => "not measured yet".to_owned(),
        Some(ms) => format!("the delay function takes {ms} ms, a slot has {slot_ms}"),
    };
    if is_slow {
        detail.push_str("; turns as leader pass by: a faster core is needed, or one that has less else to do");
    }
    Check { name: "beacon", ok: !(is_slow && is_member), detail }
}

async fn disk(context: &Arc<Context>) -> Check {
    let folder = context.node.data_dir().clone();
    // Not with the reads of calls: those may all be busy.
    let free = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder));
    let free = match free.await {
        Ok(stat) => stat.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match free {
        Ok(free) => Check { name: "disk", ok: free >= LOW_DISK_BYTES, detail: format!("{} MiB free", free >> 20) },
        Err(error) => Check { name: "disk", ok: false, detail: format!("cannot be looked at: {error}") },
    }
}
