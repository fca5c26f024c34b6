//! Masternodes, and how they agree.

use super::api::Api;
use super::context::Context;
use super::cursor::Cursor;
use super::errors::Failure;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{ConsensusInfo, ConsensusParameters, MasternodePage, SnowballInfo, Text, VotedInfo};
use crate::replica::Replica;
use crate::tsdc::Step;
use crate::types::block::BftKind;
use crate::types::hash::BlockHash;
use crate::types::number::View;
use std::sync::Arc;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.reading("list_masternodes", list_masternodes)?;
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
    let mut rest = tip.registry.iter().filter(|record| after.is_none_or(|after| record.id > after));
    let masternodes: Vec<_> = rest.by_ref().take(limit).map(|record| context.masternode(record)).collect();
    let last = masternodes.last().filter(|_| rest.next().is_some());
    let next_cursor = last.map(|last| Cursor::Masternode(last.id.0).write());
    Ok(MasternodePage { masternodes, next_cursor })
}

/// Agreement on the next block, as the replica sees it.
struct Agreement {
    height: u64,
    epoch: u64,
    started: bool,
    view: u32,
    step: Step,
    locked: Option<(View, BlockHash)>,
    valid: Option<(View, BlockHash)>,
    prepared_weight: u64,
    precommitted_weight: u64,
    snowball: SnowballInfo,
}

impl Agreement {
    fn of(replica: &Replica) -> Self {
        let (tsdc, memory, ledger) = (replica.tsdc(), replica.memory(), replica.ledger());
        Self {
            height: replica.height().get(),
            epoch: replica.epoch().get(),
            started: tsdc.is_started(),
            view: tsdc.view().get(),
            step: tsdc.step(),
            locked: tsdc.locked(),
            valid: tsdc.valid(),
            prepared_weight: tsdc.voted_weight(BftKind::Prepare).get(),
            precommitted_weight: tsdc.voted_weight(BftKind::Precommit).get(),
            snowball: SnowballInfo {
                sampling: memory.sampling,
                pool: memory.pool,
                waiting: memory.orphans,
                batches: memory.batches,
                certified_bytes: ledger.certified_bytes(),
            },
        }
    }
}

async fn get_consensus_info(context: Arc<Context>) -> Result<ConsensusInfo, Failure> {
    let inner = context.node.ask(Agreement::of).await?;
    let voted = |(view, hash): (View, BlockHash)| VotedInfo { view: view.get(), block_hash: Text(hash) };
    let chain = context.chain();
    Ok(ConsensusInfo {
        height: inner.height,
        epoch: inner.epoch,
        started: inner.started,
        view: inner.view,
        step: match inner.step {
            Step::Propose => "propose",
            Step::Prepare => "prepare",
            Step::Precommit => "precommit",
        },
        locked: inner.locked.map(voted),
        valid: inner.valid.map(voted),
        prepared_weight: inner.prepared_weight,
        precommitted_weight: inner.precommitted_weight,
        total_weight: context.view().tip().validators.total().get(),
        beacon_permille: context.node.beacon().permille(),
        beacon_ms: context.node.beacon().whole_ms(),
        alarm: context.alarm(),
        signing: context.signing(),
        snowball: inner.snowball,
        parameters: ConsensusParameters {
            slot_ms: chain.slot_ms,
            epoch_slots: chain.epoch_slots,
            snowball: chain.snowball,
            tsdc: chain.tsdc,
        },
    })
}
