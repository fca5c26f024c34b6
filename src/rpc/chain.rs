//! Blocks and the chain.

use super::api::Api;
use super::context::Context;
use super::convert::{commit_summary, confirmations, encoded, signed_weight};
use super::errors::Failure;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{
    BlockInfo, BlockTransactions, BlockchainInfo, CommitInfo, CommitSignature, HeaderInfo, PunishedOutput,
    PunishmentInfo, Text, Whole,
};
use crate::ledger::execute::Punishment;
use crate::node::clock;
use crate::types::block::Header;
use crate::types::codec::encoded_size;
use crate::types::hash::BlockHash;
use crate::types::hex;
use crate::types::number::Height;
use crate::types::transaction::{HashedTx, OutPoint, TxOut};
use serde_json::Value;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.quick("get_blockchain_info", get_blockchain_info)?;
    api.quick("get_block_count", |context, _| Ok(context.view().tip().height().get()))?;
    api.quick("get_best_block_hash", |context, _| Ok(Text(context.view().tip().hash)))?;
    api.reading("get_block_hash", get_block_hash)?;
    api.reading("get_block", get_block)?;
    api.reading("get_block_header", get_block_header)?;
    api.reading("get_commit", get_commit)?;
    api.reading("get_chain_spec", get_chain_spec)
}

fn get_blockchain_info(context: &Context, _: &Arguments) -> Result<BlockchainInfo, Failure> {
    let (chain, tip) = (context.chain(), context.view().tip());
    let slot = chain.slot_at(clock::now()).max(tip.header.slot);
    let gauges = context.view().gauges();
    Ok(BlockchainInfo {
        chain: chain.name.clone(),
        chain_id: Text(chain.id()),
        height: tip.height().get(),
        best_block_hash: Text(tip.hash),
        slot: tip.header.slot.get(),
        opened: tip.header.opened,
        epoch: tip.child_epoch(chain).get(),
        next_slot_time: chain.slot_start(slot.next()).0,
        state_root: Text(tip.header.state_root),
        supply: Text(tip.supply),
        masternodes: tip.validators.len(),
        total_weight: tip.validators.total().get(),
        syncing: gauges.is_behind,
        sync_height: gauges.sync_target.max(tip.height()).get(),
    })
}

fn get_block_hash(context: &Context, arguments: &Arguments) -> Result<Text<BlockHash>, Failure> {
    let height = arguments.height("height")?;
    let hash = context.hash_at(height)?;
    hash.map(Text).ok_or_else(|| Failure::past_tip("height", context.view().tip().height()))
}

/// The parent's hash; genesis has none.
fn parent(header: &Header) -> Option<Text<BlockHash>> {
    (header.height > Height::ZERO).then_some(Text(header.prev))
}

fn get_block(context: &Context, arguments: &Arguments) -> Result<Whole<BlockInfo>, Failure> {
    let verbosity = arguments.number_to("verbosity", 3)?;
    let height = context.height_of(arguments.block("block")?)?;
    let found = context.block_at(height)?;
    let block = found.block();
    if verbosity == 0 {
        return Ok(Whole::Hex(encoded(block)));
    }
    let header = &block.header;
    let whole = |(position, tx): (usize, &crate::types::transaction::Transaction)| {
        let spent = (verbosity == 3).then(|| found.spent(position));
        context.decoded(&HashedTx::new(tx.clone()), spent)
    };
    let transactions = match verbosity {
        1 => BlockTransactions::Txids(block.txs.iter().map(|tx| Text(tx.body.txid())).collect()),
        _ => BlockTransactions::Whole(block.txs.iter().enumerate().map(whole).collect()),
    };
    let commit = context.commit_at(height)?.zip(context.signers_at(height)?);
    Ok(Whole::Fields(Box::new(BlockInfo {
        hash: Text(header.hash()),
        height: height.get(),
        slot: header.slot.get(),
        time: context.chain().slot_start(header.slot).0,
        previous_hash: parent(header),
        next_hash: context.hash_at(height.next())?.map(Text),
        proposer: Text(header.proposer),
        reward: Text(header.reward),
        transaction_count: header.tx_count,
        transaction_root: Text(header.tx_root),
        state_root: Text(header.state_root),
        size: encoded_size(block),
        commit: commit.map(|(commit, set)| commit_summary(&commit, &set)),
        punishments: context.punishments_at(height)?.iter().map(|punishment| punished(context, punishment)).collect(),
        transactions,
    })))
}

fn punished(context: &Context, punishment: &Punishment) -> PunishmentInfo {
    let side = |outpoint: &OutPoint, out: &TxOut| PunishedOutput {
        txid: Text(outpoint.txid),
        index: outpoint.index,
        value: Text(out.value),
    };
    PunishmentInfo {
        address: context.address(&punishment.before.lock),
        taken: side(&punishment.taken, &punishment.before),
        left: side(&punishment.left, &punishment.after),
    }
}

fn get_block_header(context: &Context, arguments: &Arguments) -> Result<Whole<HeaderInfo>, Failure> {
    let verbose = arguments.flag("verbose")?;
    let height = context.height_of(arguments.block("block")?)?;
    let (header, hash) = context.header_at(height)?.ok_or_else(|| Failure::past_tip("block", height))?;
    if !verbose {
        return Ok(Whole::Hex(encoded(&header)));
    }
    Ok(Whole::Fields(Box::new(HeaderInfo {
        hash: Text(hash),
        version: header.version,
        chain_id: Text(header.chain_id),
        height: height.get(),
        slot: header.slot.get(),
        opened: header.opened,
        time: context.chain().slot_start(header.slot).0,
        previous_hash: parent(&header),
        next_hash: context.hash_at(height.next())?.map(Text),
        confirmations: confirmations(height, context.view().tip().height()),
        transaction_root: Text(header.tx_root),
        transaction_count: header.tx_count,
        state_root: Text(header.state_root),
        last_commit_root: Text(header.last_commit_root),
        evidence_root: Text(header.evidence_root),
        validators_hash: Text(header.validators_hash),
        next_validators_hash: Text(header.next_validators_hash),
        beacon: Text(header.beacon),
        proposer: Text(header.proposer),
        reward: Text(header.reward),
    })))
}

fn get_commit(context: &Context, arguments: &Arguments) -> Result<CommitInfo, Failure> {
    let height = context.height_of(arguments.block("block")?)?;
    let commit = context.commit_at(height)?.zip(context.signers_at(height)?);
    let (commit, set) = commit.ok_or_else(|| Failure::out_of_range("block", "nobody signs genesis"))?;
    let signed = set.members().iter().zip(&commit.signatures);
    let signatures = signed.filter_map(|(member, signature)| {
        Some(CommitSignature {
            masternode: Text(member.id),
            consensus_key: Text(member.consensus_key),
            weight: member.weight.get(),
            signature: hex::encode(&signature.as_ref()?.0),
        })
    });
    Ok(CommitInfo {
        height: height.get(),
        view: commit.view.get(),
        block_hash: Text(commit.block_hash),
        signed_weight: signed_weight(&commit, &set).get(),
        total_weight: set.total().get(),
        signatures: signatures.collect(),
        hex: encoded(&commit),
    })
}

/// The chain spec as its file has it, with amounts as strings, and the id that follows from it.
fn get_chain_spec(context: &Context, _: &Arguments) -> Result<Value, Failure> {
    let failed = |problem: String| Failure::Internal(problem);
    let text = context.chain().to_text().map_err(|e| failed(e.to_string()))?;
    let mut spec = serde_json::to_value(text).map_err(|e| failed(e.to_string()))?;
    write_as_string(spec.pointer_mut("/min_output"));
    write_as_string(spec.pointer_mut("/reward/base"));
    for (list, field) in [("tiers", "collateral"), ("allocations", "amount")] {
        let entries = spec.get_mut(list).and_then(Value::as_array_mut);
        entries.into_iter().flatten().for_each(|entry| write_as_string(entry.get_mut(field)));
    }
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("chain_id".to_owned(), context.chain().id().to_string().into());
    }
    Ok(spec)
}

fn write_as_string(value: Option<&mut Value>) {
    if let Some(value) = value.filter(|value| value.is_u64()) {
        *value = value.to_string().into();
    }
}
