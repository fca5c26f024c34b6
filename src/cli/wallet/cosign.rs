//! Signing what somebody else made: everything that the signature will be for is shown first, whatever the one who made it says.

use super::keys::{Locked, Source, confirm};
use super::pay::{cannot_sign, hand_on, read};
use super::time;
use crate::cli::remote::RemoteNode;
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::codec::encode;
use crate::types::hash::MasternodeId;
use crate::types::hex;
use crate::types::lock::{Lock, Witness};
use crate::types::number::Amount;
use crate::types::transaction::{Payload, Transaction};
use crate::wallet::build::{complete, missing_signatures};
use std::collections::BTreeSet;
use std::io::IsTerminal as _;

/// What a transaction spends of one lock.
struct Spent {
    lock: Lock,
    outputs: usize,
    value: Amount,
}

/// Signs a transaction that was made elsewhere and prints it. Signatures that it has already stay. On a terminal it asks
/// first, unless the user `is_sure`: the coins of whoever signs may be among those that are spent.
pub async fn sign(global: &Global, source: &Source, text: &str, is_sure: bool) -> Result<(), CliError> {
    let tx = read(text)?;
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let spent = spent(&node, &tx).await?;
    let own: BTreeSet<Lock> = locked.own_locks(&node.hrp)?.into_iter().map(|(_, lock)| lock).collect();
    describe(&node, &tx, &spent, &own, &locked)?;
    let mut needed: Vec<Lock> = spent.iter().map(|spent| spent.lock).collect();
    needed.extend(consent(&node, &tx.body.payload).await?.filter(|lock| !needed.contains(lock)));
    if !is_sure && std::io::stdin().is_terminal() {
        confirm("Sign it?", "not signed")?;
    }
    let multisig = locked.multisig().cloned();
    let keys = source.keys(locked)?;
    let tx = complete(tx, &needed, multisig.as_ref(), &node.chain_id, |lock| keys.get(lock));
    let tx = tx.map_err(|e| cannot_sign(&node, &e))?;
    match missing_signatures(&tx) {
        0 => say!("{}", hex::encode(&encode(&tx))),
        missing => hand_on(&tx, missing),
    }
    Ok(())
}

/// What it spends, by the locks in the order in which its inputs first need them.
async fn spent(node: &RemoteNode, tx: &Transaction) -> Result<Vec<Spent>, CliError> {
    let mut all: Vec<Spent> = Vec::new();
    for outpoint in &tx.body.inputs {
        let (lock, value) = node.owner(outpoint).await?;
        match all.iter_mut().find(|spent| spent.lock == lock) {
            Some(spent) => {
                spent.outputs += 1;
                spent.value = spent.value.checked_add(value).ok_or_else(too_much)?;
            }
            None => all.push(Spent { lock, outputs: 1, value }),
        }
    }
    Ok(all)
}

fn too_much() -> CliError {
    CliError::failure("the inputs add up to more than 2^64 units")
}

/// Says what it spends of whom, whom it pays, what it costs and what everybody will be able to read. To standard error:
/// standard output has the transaction alone, for a pipe.
fn describe(
    node: &RemoteNode,
    tx: &Transaction,
    spent: &[Spent],
    own: &BTreeSet<Lock>,
    locked: &Locked,
) -> Result<(), CliError> {
    let address = |lock: &Lock| to_address(lock, &node.hrp).map_err(CliError::failure);
    for Spent { lock, outputs, value } in spent {
        let whose = match own_keys(tx, lock, own, locked) {
            _ if own.contains(lock) => ", YOUR OWN".to_owned(),
            Some((of_own, all)) => format!(", of {all} keys, {of_own} of them yours"),
            None => String::new(),
        };
        eprintln!("spends     {} ({outputs} outputs) of {}{whose}", time(*value), address(lock)?);
    }
    for out in &tx.body.outputs {
        let whose = match () {
            () if own.contains(&out.lock) => ", your own",
            () if spent.iter().any(|spent| spent.lock == out.lock) => ", back to it",
            () => "",
        };
        eprintln!("pays       {} to {}{whose}", time(out.value), address(&out.lock)?);
    }
    let sum = Amount::checked_sum(spent.iter().map(|spent| spent.value)).ok_or_else(too_much)?;
    let paid = Amount::checked_sum(tx.body.outputs.iter().map(|out| out.value));
    let fee = paid.and_then(|paid| sum.checked_sub(paid));
    let fee = fee.ok_or_else(|| CliError::failure("the transaction pays more than it spends"))?;
    eprintln!("fee        {}", time(fee));
    if !tx.body.memo.is_empty() {
        // As text without what a terminal would take for commands.
        eprintln!("memo       \"{}\"", String::from_utf8_lossy(&tx.body.memo).escape_debug());
    }
    Ok(())
}

/// Of the keys behind `lock`, where they are known: how many are the wallet's, and how many there are.
fn own_keys(tx: &Transaction, lock: &Lock, own: &BTreeSet<Lock>, locked: &Locked) -> Option<(usize, usize)> {
    let named = locked.multisig().filter(|multisig| multisig.lock() == *lock).map(|multisig| multisig.unsigned());
    let begun = tx.witnesses.iter().find(|witness| witness.lock() == *lock).cloned();
    match begun.or(named)? {
        Witness::Multi { keys, .. } => {
            Some((keys.iter().filter(|key| own.contains(&Lock::of_key(key))).count(), keys.len()))
        }
        Witness::Key { .. } => None,
    }
}

/// Who has to agree to what a transaction does besides moving value. Says what that is.
async fn consent(node: &RemoteNode, payload: &Payload) -> Result<Option<Lock>, CliError> {
    let address = |lock: &Lock| to_address(lock, &node.hrp).map_err(CliError::failure);
    let (what, masternode): (String, &MasternodeId) = match payload {
        Payload::Transfer => return Ok(None),
        Payload::Coinbase { .. } => return Err(CliError::usage("a coinbase stands only in a block")),
        Payload::Register(register) => {
            let (key, endpoint, payout) = (register.consensus_key, &register.endpoint, address(&register.payout)?);
            let which = u64::from(register.collateral_index) + 1;
            eprintln!("registers  a masternode with the key {key}");
            eprintln!("           endpoint {} payout {payout}", endpoint.escape_debug());
            eprintln!(
                "           payment {which} is its collateral: bound until epochs after it has left, and a part of it lost"
            );
            eprintln!("           if the key signs two things that exclude each other");
            return Ok(None);
        }
        Payload::Unregister { masternode } => ("unregisters".to_owned(), masternode),
        Payload::Update(update) => {
            let payout = update.payout.as_ref().map(address).transpose()?.map(|payout| format!(" payout {payout}"));
            let endpoint = update.endpoint.as_ref().map(|endpoint| format!(" endpoint {}", endpoint.escape_debug()));
            let what = format!("updates{}{}", payout.unwrap_or_default(), endpoint.unwrap_or_default());
            (what, &update.masternode)
        }
    };
    eprintln!("masternode {masternode}\n           {what}");
    node.masternode_owner(masternode).await.map(Some)
}
