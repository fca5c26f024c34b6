//! Handing in transactions, and waiting for what becomes of them.

use super::api::Api;
use super::context::Context;
use super::convert::encoded;
use super::errors::Failure;
use super::params::{self, Arguments};
use super::start_error::StartError;
use super::transactions::{get_transaction, stage_of};
use super::types::{Acceptance, Stage, Text, TransactionInfo, Whole};
use crate::ledger::rules::TxError;
use crate::ledger::{Submission, VerifiedTx};
use crate::limits::{MAX_INPUTS, MAX_MEMO_BYTES, MAX_OUTPUTS, MAX_WAIT_MS, SEEN_POLL_MS};
use crate::node::feed::Told;
use crate::node::input::SubmitError;
use crate::replica::{Event, MessageFault};
use crate::types::address::from_address;
use crate::types::hash::Txid;
use crate::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.waiting("send_raw_transaction", |context, arguments| async move {
        send_raw_transaction(&context, arguments.encoded("hex")?).await
    })?;
    api.waiting("test_mempool_accept", |context, arguments| async move {
        let txs = arguments.encoded_list("hexes")?;
        drop(arguments);
        test_mempool_accept(&context, txs).await
    })?;
    api.quick("create_raw_transaction", create_raw_transaction)?;
    api.waiting("wait_for_transaction", |context, arguments| async move {
        let name = arguments.text("status")?;
        let known = "seen, sampling, accepted, certified, finalized or archived";
        let wanted = Stage::to_wait_for(name).ok_or_else(|| Failure::out_of_range("status", known))?;
        let timeout_ms = arguments.number_to("timeout_ms", MAX_WAIT_MS)?;
        wait_for_transaction(&context, arguments.txid("txid")?, wanted, timeout_ms).await
    })
}

async fn send_raw_transaction(context: &Arc<Context>, tx: Transaction) -> Result<Text<Txid>, Failure> {
    let txid = tx.body.txid();
    match context.node.submit(tx).await {
        // What waits for a parent is kept, and goes on when that is final.
        Ok(Submission::New | Submission::Orphan { .. }) => Ok(Text(txid)),
        Ok(Submission::Known) => match context.known_stage(&txid)? {
            (Stage::Archived, _) => Err(Failure::AlreadyArchived { txid }),
            _ => Ok(Text(txid)),
        },
        Ok(Submission::Rejected(rejection)) => Err(Failure::Rejected(rejection)),
        Err(SubmitError::Invalid(MessageFault::Transaction { reason, .. })) => Err(Failure::Invalid(reason)),
        Err(SubmitError::Invalid(fault)) => Err(Failure::Internal(fault.to_string())),
        Err(SubmitError::Stopping) => Err(Failure::Stopping),
    }
}

/// Whether each transaction would be taken in, all of them on the same state.
async fn test_mempool_accept(context: &Arc<Context>, txs: Vec<Transaction>) -> Result<Vec<Acceptance>, Failure> {
    let hashed: Vec<HashedTx> = txs.into_iter().map(HashedTx::new).collect();
    let names: Vec<(Txid, u32)> = hashed.iter().map(|tx| (tx.txid(), tx.size_bytes())).collect();
    let checked = context.read(move |context| Ok(context.node.verifier().transactions(hashed))).await?;
    let tested = context.node.ask(move |replica| {
        let test = |tx: Result<VerifiedTx, TxError>| tx.map(|tx| replica.ledger().test(&tx));
        checked.into_iter().map(test).collect::<Vec<_>>()
    });
    let tested = tested.await?;
    Ok(names.into_iter().zip(tested).map(|((txid, size), outcome)| acceptance(txid, size, outcome)).collect())
}

fn acceptance(txid: Txid, size: u32, outcome: Result<Submission, TxError>) -> Acceptance {
    let (allowed, reason, message, missing) = match outcome {
        Ok(Submission::New) => (true, None, None, Vec::new()),
        Ok(Submission::Known) => (false, Some("known"), None, Vec::new()),
        Ok(Submission::Orphan { missing }) => (false, Some("missing_input"), None, missing),
        Ok(Submission::Rejected(rejection)) => {
            (false, Some(rejection.reason()), Some(rejection.to_string()), Vec::new())
        }
        Err(error) => (false, Some(error.reason()), Some(error.to_string()), Vec::new()),
    };
    Acceptance { txid: Text(txid), allowed, reason, message, size, missing: missing.into_iter().map(Text).collect() }
}

fn create_raw_transaction(context: &Context, arguments: &Arguments) -> Result<String, Failure> {
    read_unsigned(arguments, &context.chain().address_hrp).map(|tx| encoded(&tx))
}

/// A transaction without witnesses, to be signed elsewhere, from the parameters of `create_raw_transaction`, on the chain
/// whose addresses start with `hrp`.
///
/// # Errors
/// [`Failure`]: the first parameter that is wrong.
pub fn read_unsigned(arguments: &Arguments, hrp: &str) -> Result<Transaction, Failure> {
    let inputs = params::list("inputs", arguments.value("inputs"))?;
    let inputs: Vec<OutPoint> = inputs.iter().map(read_input).collect::<Result<_, _>>()?;
    let outputs = read_outputs(arguments.value("outputs"), hrp)?;
    for (name, count, most) in [("inputs", inputs.len(), MAX_INPUTS), ("outputs", outputs.len(), MAX_OUTPUTS)] {
        if count == 0 || count > most {
            return Err(Failure::out_of_range(name, format!("1 to {most} entries")));
        }
    }
    let memo = match arguments.has("memo") {
        true => params::bytes("memo", arguments.value("memo"))?,
        false => Vec::new(),
    };
    if memo.len() > MAX_MEMO_BYTES {
        return Err(Failure::out_of_range("memo", format!("at most {MAX_MEMO_BYTES} bytes")));
    }
    let body = TxBody { version: 1, inputs, outputs, payload: Payload::Transfer, memo };
    Ok(Transaction { body, witnesses: Vec::new() })
}

/// `{txid, index}`; Bitcoin says `vout` for the index.
fn read_input(value: &Value) -> Result<OutPoint, Failure> {
    let expected = "a list of {txid, index}";
    let fields = value.as_object().ok_or_else(|| Failure::WrongType { name: "inputs".to_owned(), expected })?;
    let field = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let index = if fields.contains_key("vout") { "vout" } else { "index" };
    let number = params::number("inputs.index", field(index))?;
    let index =
        u32::try_from(number).map_err(|_| Failure::out_of_range("inputs.index", format!("0 to {}", u32::MAX)))?;
    Ok(OutPoint { txid: params::txid("inputs.txid", field("txid"))?, index })
}

/// A list of `{address, value}` or, as Bitcoin has it, of `{ADDRESS: VALUE, ..}`.
fn read_outputs(value: &Value, hrp: &str) -> Result<Vec<TxOut>, Failure> {
    let expected = "a list of {address, value}, or an object of values by address";
    let wrong = || Failure::WrongType { name: "outputs".to_owned(), expected };
    let entries = match value {
        Value::Object(_) => std::slice::from_ref(value),
        other => params::list("outputs", other)?,
    };
    let mut outputs = Vec::new();
    let read = |address: &str, value: &Value| {
        Ok::<_, Failure>(TxOut { value: params::amount("outputs.value", value)?, lock: from_address(address, hrp)? })
    };
    for entry in entries {
        let fields = entry.as_object().ok_or_else(wrong)?;
        match (fields.get("address"), fields.get("value")) {
            (Some(address), Some(value)) if fields.len() == 2 => {
                outputs.push(read(params::text("outputs.address", address)?, value)?);
            }
            _ => {
                for (address, value) in fields {
                    outputs.push(read(address, value)?);
                }
            }
        }
    }
    Ok(outputs)
}

async fn wait_for_transaction(
    context: &Arc<Context>,
    txid: Txid,
    wanted: Stage,
    timeout_ms: u64,
) -> Result<Whole<TransactionInfo>, Failure> {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    // Before the first look, so that nothing is missed in between.
    let mut events = context.node.feed().listen();
    // Of what waits for a parent nobody is told.
    let is_untold = wanted == Stage::Seen;
    let mut looks = interval(Duration::from_millis(SEEN_POLL_MS));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let stage = stage_of(context, txid).await?;
        if stage >= wanted {
            return get_transaction(context, txid, true).await;
        }
        if let Some(rejection) = context.rejection(&txid).filter(|_| stage == Stage::Rejected) {
            return Err(Failure::Rejected(rejection.as_ref().clone()));
        }
        let news = async {
            // Both are cancel-safe: an event that is lost here is looked for at the top.
            tokio::select! {
                heard = hear_of(&mut events, &txid) => heard,
                _ = looks.tick(), if is_untold => Ok(()),
                () = context.node.stopping().cancelled() => Err(Failure::Stopping),
            }
        };
        match timeout_at(deadline, news).await {
            Ok(heard) => heard?,
            Err(_) => return Err(Failure::Timeout { timeout_ms, status: stage.name() }),
        }
    }
}

/// Returns when something happened to the transaction, or so much happened that some of it was missed.
async fn hear_of(events: &mut broadcast::Receiver<Arc<Told>>, txid: &Txid) -> Result<(), Failure> {
    loop {
        match events.recv().await {
            Ok(told) if concerns(&told.event, txid) => return Ok(()),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return Ok(()),
            Err(broadcast::error::RecvError::Closed) => return Err(Failure::Stopping),
        }
    }
}

/// Whether an event says something about a transaction.
fn concerns(event: &Event, txid: &Txid) -> bool {
    match event {
        Event::Admitted(named) | Event::Accepted(named) | Event::Certified { txid: named, .. } => named == txid,
        Event::Rejected { txid: named, .. } | Event::Finalized { txid: named, .. } => named == txid,
        Event::BlockCommitted { txids, .. } => txids.contains(txid),
        Event::ViewChanged { .. } | Event::Alarm(_) => false,
    }
}
