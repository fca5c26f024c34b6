//! Who signs in an epoch, and the blocks that closed the epochs: what a light verifier follows the sets through, from
//! genesis to now in a few calls.

use super::api::Api;
use super::context::Context;
use super::convert::{commit_parts, encoded};
use super::errors::Failure;
use super::finality::set_of;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{EpochEnd, EpochPage, Member, Text, ValidatorsInfo};
use crate::limits::MAX_RPC_EPOCHS_BYTES;
use crate::node::view::View;
use crate::replica::message::SealedHeader;
use crate::types::codec::encoded_size;
use crate::types::number::{Epoch, Height};
use crate::types::validators::Validator;
use std::collections::BTreeMap;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.reading("get_epochs", get_epochs)?;
    api.reading("get_validators", get_validators)
}

fn get_epochs(context: &Context, arguments: &Arguments) -> Result<EpochPage, Failure> {
    let (limit, first) = (arguments.limit()?, arguments.number("from_epoch")?);
    let current = context.view().tip().child_epoch(context.chain());
    if Epoch::new(first) > current {
        return Err(past_current("from_epoch", current));
    }
    let recent = recent_ends(context.view());
    let (mut epochs, mut bytes, mut epoch) = (Vec::new(), 0usize, Epoch::new(first));
    while epochs.len() < limit && epoch < current {
        let end = match recent.get(&epoch) {
            Some(end) => Some(end.clone()),
            None => context.archive().end_of_epoch(epoch)?,
        };
        let end = match end {
            Some(end) => end,
            None if epochs.is_empty() => {
                return Err(Failure::Unknown { what: "end of epoch", id: epoch.to_string() });
            }
            // Whoever goes on is told.
            None => break,
        };
        bytes = bytes.saturating_add(encoded_size(&end));
        if bytes > MAX_RPC_EPOCHS_BYTES && !epochs.is_empty() {
            break;
        }
        epochs.push(epoch_end(context, epoch, &end));
        epoch = epoch.next();
    }
    Ok(EpochPage { epochs, next_epoch: (epoch < current).then_some(epoch.get()) })
}

/// The ends of epochs in the blocks that the store does not answer for yet.
fn recent_ends(view: &View) -> BTreeMap<Epoch, SealedHeader> {
    let heights = (0..=view.tip().height().get()).rev().map(Height::new);
    let blocks = heights.map_while(|height| view.block(height));
    let ends = blocks.filter_map(|block| {
        let (epoch, header) = (block.changes.closed_epoch?, block.block.header.clone());
        Some((epoch, SealedHeader::new(header, block.commit.clone(), &block.changes.state.validators)))
    });
    ends.collect()
}

fn epoch_end(context: &Context, epoch: Epoch, end: &SealedHeader) -> EpochEnd {
    EpochEnd {
        epoch: epoch.get(),
        height: end.header.height.get(),
        header: encoded(&end.header),
        commit: commit_parts(&end.commit),
        next_validators: end.next_set.as_ref().map(|members| to_members(context, members)),
    }
}

fn to_members(context: &Context, members: &[Validator]) -> Vec<Member> {
    let member = |member: &Validator| Member {
        id: Text(member.id),
        consensus_key: Text(member.consensus_key),
        weight: member.weight.get(),
        payout: context.address(&member.payout),
    };
    members.iter().map(member).collect()
}

fn get_validators(context: &Context, arguments: &Arguments) -> Result<ValidatorsInfo, Failure> {
    let current = context.view().tip().child_epoch(context.chain());
    let epoch = match arguments.has("epoch") {
        true => Epoch::new(arguments.number("epoch")?),
        false => current,
    };
    if epoch > current {
        return Err(past_current("epoch", current));
    }
    let unknown = || Failure::Unknown { what: "validator set of epoch", id: epoch.to_string() };
    let set = set_of(context, epoch)?.ok_or_else(unknown)?;
    Ok(ValidatorsInfo {
        epoch: epoch.get(),
        hash: Text(set.hash()),
        total_weight: set.total().get(),
        validators: to_members(context, set.members()),
    })
}

fn past_current(name: &str, current: Epoch) -> Failure {
    Failure::out_of_range(name, format!("the current epoch is {current}"))
}
