//! How masternodes agree on the next block, as this node sees it.

use crate::replica::Replica;
use crate::rpc::context::Context;
use crate::rpc::errors::Failure;
use crate::rpc::types::{ConsensusInfo, ConsensusParameters, SnowballInfo, Text, VotedInfo};
use crate::tsdc::Step;
use crate::types::block::BftKind;
use crate::types::hash::BlockHash;
use crate::types::number::View;
use std::sync::Arc;

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

/// `get_consensus_info`.
pub(super) async fn get_consensus_info(context: Arc<Context>) -> Result<ConsensusInfo, Failure> {
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
