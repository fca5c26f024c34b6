//! What an address has, and what happened to it.

use super::api::Api;
use super::coins::{Added, Coins, collateral};
use super::context::Context;
use super::cursor::{Cursor, cut};
use super::errors::Failure;
use super::history::history;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{AddressInfo, Balance, Text, TxOutInfo, Unspent, UnspentPage};
use crate::node::view::Status;
use crate::types::address::from_address;
use crate::types::hash::Txid;
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, TxOut};

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.reading("get_balance", get_balance)?;
    api.reading("list_unspent", list_unspent)?;
    api.reading("get_address_history", history)?;
    api.reading("get_tx_out", get_tx_out)?;
    api.quick("validate_address", validate_address)
}

fn get_balance(context: &Context, arguments: &Arguments) -> Result<Balance, Failure> {
    let lock = arguments.address("address", &context.chain().address_hrp)?;
    let sums = context.sources().coins(&lock)?.sums();
    // Parts of a supply that fits.
    let balance = sums.archived.checked_add(sums.finalized).unwrap_or(Amount::MAX);
    let spendable = balance.checked_sub(sums.outgoing).and_then(|rest| rest.checked_sub(sums.bonded));
    Ok(Balance {
        address: context.address(&lock),
        balance: Text(balance),
        archived: Text(sums.archived),
        finalized: Text(sums.finalized),
        incoming: Text(sums.incoming),
        outgoing: Text(sums.outgoing),
        bonded: Text(sums.bonded),
        spendable: Text(spendable.unwrap_or_default()),
        utxo_count: sums.outputs,
    })
}

/// First what newer blocks and final transactions made, then what the store has, then what cannot be spent now.
fn list_unspent(context: &Context, arguments: &Arguments) -> Result<UnspentPage, Failure> {
    let lock = arguments.address("address", &context.chain().address_hrp)?;
    let (cursor, limit) = (arguments.cursor()?, arguments.limit()?);
    let coins = context.sources().coins(&lock)?;
    let mut page: Vec<(Cursor, Unspent)> = Vec::new();
    let wanted = limit.saturating_add(1);
    if matches!(cursor, None | Some(Cursor::FinalOutput(_))) {
        let after = match cursor {
            Some(Cursor::FinalOutput(outpoint)) => Some(outpoint),
            _ => None,
        };
        let free = coins.added.iter().filter(|(outpoint, _)| coins.is_free(outpoint));
        let rest = free.filter(|(outpoint, _)| after.is_none_or(|after| **outpoint > after));
        page.extend(rest.take(wanted).map(|(outpoint, added)| {
            let status = if added.height.is_some() { "archived" } else { "finalized" };
            (Cursor::FinalOutput(*outpoint), unspent(outpoint, added, status))
        }));
    }
    match cursor {
        None | Some(Cursor::FinalOutput(_)) => stored(context, &lock, &coins, None, wanted, &mut page)?,
        Some(Cursor::ArchivedOutput(after)) => stored(context, &lock, &coins, Some(after), wanted, &mut page)?,
        Some(Cursor::BoundOutput(_)) => {}
        Some(_) => return Err(Failure::BadCursor),
    }
    let after = match cursor {
        Some(Cursor::BoundOutput(outpoint)) => Some(outpoint),
        _ => None,
    };
    let locked = coins.locked.iter().map(|(outpoint, added)| (outpoint, added, "locked"));
    let bonded = coins.bonded.iter().filter(|(outpoint, _)| !coins.locked.contains_key(outpoint));
    let mut bound: Vec<_> = locked.chain(bonded.map(|(outpoint, added)| (outpoint, added, "bonded"))).collect();
    bound.sort_by_key(|(outpoint, _, _)| **outpoint);
    let rest = bound.into_iter().filter(|(outpoint, _, _)| after.is_none_or(|after| **outpoint > after));
    let room = wanted.saturating_sub(page.len());
    page.extend(
        rest.take(room)
            .map(|(outpoint, added, status)| (Cursor::BoundOutput(*outpoint), unspent(outpoint, added, status))),
    );
    let next_cursor = cut(&mut page, limit).map(|cursor| cursor.write());
    Ok(UnspentPage { utxos: page.into_iter().map(|(_, unspent)| unspent).collect(), next_cursor })
}

fn unspent(outpoint: &OutPoint, added: &Added, status: &'static str) -> Unspent {
    Unspent {
        txid: Text(outpoint.txid),
        index: outpoint.index,
        value: Text(added.value),
        height: added.height.map(Height::get),
        status,
    }
}

/// Fills the page with outputs of the store that can be spent now.
fn stored(
    context: &Context,
    lock: &Lock,
    coins: &Coins,
    mut after: Option<OutPoint>,
    wanted: usize,
    page: &mut Vec<(Cursor, Unspent)>,
) -> Result<(), Failure> {
    while page.len() < wanted {
        let more = context.archive().unspent_of(lock, after, wanted)?;
        let Some((last, _)) = more.last() else { return Ok(()) };
        after = Some(*last);
        let free = more.iter().filter(|(outpoint, _)| {
            coins.is_free(outpoint) && !coins.removed.contains_key(outpoint) && !coins.added.contains_key(outpoint)
        });
        let room = wanted.saturating_sub(page.len());
        page.extend(free.take(room).map(|(outpoint, utxo)| {
            let added = Added { value: utxo.out.value, height: Some(utxo.created) };
            (Cursor::ArchivedOutput(*outpoint), unspent(outpoint, &added, "archived"))
        }));
    }
    Ok(())
}

/// Where an output stands between its making and the block that holds its spend.
fn get_tx_out(context: &Context, arguments: &Arguments) -> Result<Option<TxOutInfo>, Failure> {
    let txid = arguments.txid("txid")?;
    let index = arguments.number_to("index", u32::MAX.into())?;
    let outpoint = OutPoint { txid, index: u32::try_from(index).unwrap_or(u32::MAX) };
    let Some((out, height)) = final_output(context, &outpoint)? else { return Ok(None) };
    let (state, spent_by, spent_height) = spend(context, &outpoint, &out.lock)?;
    // Of a final registration too, which the registry does not have before its block.
    let registering = context.view().pending(&txid).and_then(|pending| collateral(txid, pending.tx.body()));
    let bonded = registering == Some(outpoint) || context.view().tip().registry.is_collateral(&outpoint);
    Ok(Some(TxOutInfo {
        txid: Text(txid),
        index: outpoint.index,
        value: Text(out.value),
        address: context.address(&out.lock),
        height: height.map(Height::get),
        state,
        spent_by: spent_by.map(Text),
        spent_height: spent_height.map(Height::get),
        bonded,
    }))
}

/// An output of a final or archived transaction, spent or not, with the height of its block.
fn final_output(context: &Context, outpoint: &OutPoint) -> Result<Option<(TxOut, Option<Height>)>, Failure> {
    if let Some(pending) = context.view().pending(&outpoint.txid) {
        let is_final = pending.status >= Status::Finalized;
        let out = pending.tx.outputs().find(|(name, _)| name == outpoint).filter(|_| is_final);
        return Ok(out.map(|(_, out)| (*out, pending.block.map(|(height, _)| height))));
    }
    if let Some(utxo) = context.archive().unspent_output(outpoint)? {
        return Ok(Some((utxo.out, Some(utxo.created))));
    }
    if let Some((height, punishment)) = context.punishment_of(outpoint)?.filter(|(_, p)| p.left == *outpoint) {
        return Ok(Some((punishment.after, Some(height))));
    }
    let (_, height) = context.known_stage(&outpoint.txid)?;
    Ok(context.output(outpoint)?.map(|out| (out, height)))
}

/// The output's state, who spends it, and in which block.
fn spend(
    context: &Context,
    outpoint: &OutPoint,
    lock: &Lock,
) -> Result<(&'static str, Option<Txid>, Option<Height>), Failure> {
    if let Some((height, _)) = context.punishment_of(outpoint)?.filter(|(_, p)| p.taken == *outpoint) {
        return Ok(("taken", None, Some(height)));
    }
    let touching = context.view().touching(lock);
    let spenders = touching.iter().filter(|pending| pending.tx.inputs().contains(outpoint));
    // Of rivals, the one that has come furthest, and the first of those.
    let furthest = spenders.max_by_key(|pending| (pending.status, std::cmp::Reverse(pending.first_seen)));
    if let Some((txid, height)) = context.archive().spent_by(outpoint)? {
        return Ok(("archived", Some(txid), Some(height)));
    }
    Ok(match furthest {
        None => ("unspent", None, None),
        Some(pending) => {
            let state = match pending.status {
                Status::Archived => "archived",
                Status::Finalized => "spent",
                Status::Sampling | Status::Accepted | Status::Certified => "locked",
            };
            (state, Some(pending.tx.txid()), pending.block.map(|(height, _)| height))
        }
    })
}

fn validate_address(context: &Context, arguments: &Arguments) -> Result<AddressInfo, Failure> {
    Ok(match from_address(arguments.text("address")?, &context.chain().address_hrp) {
        Err(reason) => {
            AddressInfo { valid: false, address: None, kind: None, hash: None, reason: Some(reason.to_string()) }
        }
        Ok(lock) => {
            let (kind, hash) = match &lock {
                Lock::KeyHash(hash) => ("key", hash),
                Lock::Multisig(hash) => ("multisig", hash),
            };
            AddressInfo {
                valid: true,
                address: Some(context.address(&lock)),
                kind: Some(kind),
                hash: Some(hex::encode(hash)),
                reason: None,
            }
        }
    })
}
