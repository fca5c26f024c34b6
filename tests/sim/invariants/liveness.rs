//! L1 to L3: what must come true after the faults have stopped.

use super::finality::Finality;
use super::nodes::Nodes;
use super::registry::{Registry, Standing};
use super::replay::Replay;
use super::report::Report;
use std::collections::{BTreeMap, BTreeSet};
use timed::types::hash::Txid;
use timed::types::transaction::{OutPoint, Payload, TxBody};

/// L1: every node committed at least `least` blocks since it stood at the height in `since`.
pub fn check_progress(nodes: &Nodes, since: &BTreeMap<usize, u64>, least: u64, report: &mut Report) {
    for (node, from) in since {
        let now = nodes.height(*node);
        report.expect("L1", now >= from + least, || format!("node {node} went from height {from} to {now} only"));
    }
}

/// Whether everything `txid` needs is there: what it spends archived and unspent, or made by a final transaction.
fn is_valid(txid: &Txid, replay: &Replay, finality: &Finality) -> bool {
    let Some(body) = finality.spends().body(txid) else { return false };
    has_ground(body, replay.registry())
        && body.inputs.iter().all(|input| {
            let is_archived = replay.output(input).is_some() && !replay.registry().binds(input);
            let maker = finality.spends().body(&input.txid);
            let is_made = maker.is_some_and(|body| (input.index as usize) < body.outputs.len());
            is_archived || is_made && finality.is_final(&input.txid) && replay.archived_at(&input.txid).is_none()
        })
}

/// Whether what `body` asks of the registry can still be done: masternodes leave, and what is asked of one that is gone
/// is no longer valid.
pub fn has_ground(body: &TxBody, registry: &Registry) -> bool {
    match &body.payload {
        Payload::Transfer | Payload::Coinbase { .. } => true,
        Payload::Register(register) => registry.records().iter().all(|r| r.key != register.consensus_key),
        Payload::Update(update) => registry.get(&update.masternode).is_some(),
        Payload::Unregister { masternode } => {
            registry.get(masternode).is_some_and(|r| matches!(r.standing, Standing::Queued | Standing::Active))
        }
    }
}

/// Whether nothing that `body` spends is bound as collateral, or was taken by a punishment.
pub fn has_inputs(body: &TxBody, replay: &Replay) -> bool {
    body.inputs.iter().all(|input| {
        let is_known = replay.output(input).is_some() || replay.spender(input).is_some();
        let is_taken = !is_known && replay.archived_at(&input.txid).is_some();
        !is_taken && !replay.registry().binds(input)
    })
}

/// L2 for user transactions, and L3 for probes: each without a rival that could be made final is final or archived.
pub fn check_final(
    invariant: &'static str,
    txids: &BTreeSet<Txid>,
    replay: &Replay,
    finality: &Finality,
    report: &mut Report,
) {
    for txid in txids {
        let is_done = replay.archived_at(txid).is_some() || finality.is_final(txid);
        let mut rivals = finality.spends().rivals(txid);
        let is_excused = match invariant {
            "L2" => rivals.next().is_some(),
            _ => rivals.any(|rival| finality.is_final(rival)),
        };
        let is_due = !is_done && !is_excused && is_valid(txid, replay, finality);
        report.expect(invariant, !is_due, || format!("{txid:?} is valid and not final"));
    }
}

/// L3: outputs that several transactions spend, none of which is archived or possibly final: by the rules free again
/// once the epoch has closed. The world spends each anew and asks whether that becomes final.
pub fn free_again(replay: &Replay, finality: &Finality) -> Vec<OutPoint> {
    let contested = finality.spends().contested().iter();
    let is_free = |outpoint: &&OutPoint| {
        let spender = finality.possible_spender(outpoint).filter(|txid| replay.archived_at(txid).is_none());
        replay.output(outpoint).is_some() && spender.is_none()
    };
    contested.filter(is_free).copied().collect()
}
