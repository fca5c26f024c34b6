//! Transactions that are known: what they are, how far they have come.

use super::api::Api;
use super::context::Context;
use super::convert::{confirmations, encoded};
use super::errors::Failure;
use super::lookup::{FoundTx, stage, sum};
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{DecodedTransaction, InputInfo, OutputInfo, Stage, Text, TransactionInfo, TransactionStatus, Whole};
use crate::ledger::VerifiedTx;
use crate::node::view::{Pending, Status};
use crate::replica::Replica;
use crate::storage::store::ArchivedTransaction;
use crate::types::hash::{BlockHash, Txid};
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{HashedTx, OutPoint, Transaction, TxOut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.waiting("get_transaction", |context, arguments| async move {
        let (txid, verbose) = (arguments.txid("txid")?, arguments.flag("verbose")?);
        get_transaction(&context, txid, verbose).await
    })?;
    api.waiting("get_transaction_status", |context, arguments| async move {
        let txids = arguments.txids("txids")?;
        drop(arguments);
        get_transaction_status(&context, txids).await
    })?;
    api.quick("decode_raw_transaction", decode_raw_transaction)
}

/// What only the replica knows of a transaction that no block holds. None of it is told as final.
#[derive(Clone, Debug, Default)]
struct Inner {
    /// It waits for a parent.
    is_waiting: bool,
    polls_won: u64,
    polls_in_a_row: u64,
    vote_weight: u64,
    receipt_weight: u64,
    rivals: Vec<Txid>,
}

impl Inner {
    fn of(replica: &Replica, txid: &Txid) -> Self {
        let (ledger, finality) = (replica.ledger(), replica.finality());
        let sampling = replica.snowball().status(txid);
        let (polls_won, polls_in_a_row) = sampling.as_ref().map_or((0, 0), |s| (s.polls_won, s.polls_in_a_row));
        Self {
            is_waiting: ledger.orphan(txid).is_some(),
            polls_won,
            polls_in_a_row,
            vote_weight: finality.vote_weight(txid).get(),
            receipt_weight: finality.receipt_weight(txid).get(),
            rivals: sampling.map_or_else(|| ledger.rivals(txid), |sampling| sampling.rivals),
        }
    }
}

/// How far a transaction has come, given what view and store say: of what waits for a parent they know nothing.
fn stage_with(known: Stage, is_waiting: bool) -> Stage {
    match known {
        // What waits is looked at again, whatever was said of it before.
        Stage::Unknown | Stage::Rejected if is_waiting => Stage::Seen,
        other => other,
    }
}

/// How far a transaction has come.
pub async fn stage_of(context: &Arc<Context>, txid: Txid) -> Result<Stage, Failure> {
    let (known, _) = context.known_stage(&txid)?;
    if known >= Stage::Sampling {
        return Ok(known);
    }
    let is_waiting = context.node.ask(move |replica| replica.ledger().orphan(&txid).is_some()).await?;
    // It may have gone on while the question waited.
    let (known, _) = context.known_stage(&txid)?;
    Ok(stage_with(known, is_waiting))
}

/// Everything about a transaction, or only its bytes.
pub async fn get_transaction(
    context: &Arc<Context>,
    txid: Txid,
    verbose: bool,
) -> Result<Whole<TransactionInfo>, Failure> {
    if let Some(found) = context.read(move |context| known(context, &txid, verbose)).await? {
        return Ok(found);
    }
    // What is in neither view nor store may wait for a parent. Or it has just been handed in: then it is in the view by
    // the time the question is answered.
    let waiting = context.node.ask(move |replica| replica.ledger().orphan(&txid).cloned()).await?;
    context
        .read(move |context| match known(context, &txid, verbose)? {
            Some(found) => Ok(found),
            None => waiting_or_rejected(context, &txid, waiting, verbose),
        })
        .await
}

/// A transaction that view or store have.
fn known(context: &Context, txid: &Txid, verbose: bool) -> Result<Option<Whole<TransactionInfo>>, Failure> {
    let Some(found) = context.transaction(txid)? else { return Ok(None) };
    if !verbose {
        let tx = match &found {
            FoundTx::Pending(pending) => pending.tx.tx(),
            FoundTx::Archived(archived) => &archived.stored.tx,
        };
        return Ok(Some(Whole::Hex(encoded(tx))));
    }
    let info = match found {
        FoundTx::Pending(pending) => of_pending(context, &pending)?,
        FoundTx::Archived(archived) => of_archived(context, archived)?,
    };
    Ok(Some(Whole::Fields(Box::new(info))))
}

/// One that neither has.
fn waiting_or_rejected(
    context: &Context,
    txid: &Txid,
    waiting: Option<VerifiedTx>,
    verbose: bool,
) -> Result<Whole<TransactionInfo>, Failure> {
    let unknown = || Failure::Unknown { what: "transaction", id: txid.to_string() };
    let info = match waiting {
        Some(waiting) if !verbose => return Ok(Whole::Hex(encoded(waiting.tx()))),
        Some(waiting) => {
            let info = of_tx(context, &waiting, &spent_by(context, &waiting)?, Stage::Seen)?;
            TransactionInfo { fee: None, ..info }
        }
        // Of a refused one there are no bytes.
        None => of_rejected(context, txid).filter(|_| verbose).ok_or_else(unknown)?,
    };
    Ok(Whole::Fields(Box::new(info)))
}

fn of_rejected(context: &Context, txid: &Txid) -> Option<TransactionInfo> {
    let rejection = context.rejection(txid)?;
    Some(TransactionInfo {
        txid: Text(*txid),
        status: Stage::Rejected,
        reason: Some(rejection.reason()),
        height: None,
        block_hash: None,
        confirmations: 0,
        fee: None,
        size: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        payload: None,
        memo: None,
        first_seen: None,
        finalized_at: None,
        hex: None,
    })
}

/// What a transaction in no block spends, as far as that is known.
fn spent_by(context: &Context, tx: &HashedTx) -> Result<Vec<Option<TxOut>>, Failure> {
    tx.inputs().iter().map(|input| context.output(input)).collect()
}

fn of_pending(context: &Context, pending: &Pending) -> Result<TransactionInfo, Failure> {
    let spent = spent_by(context, &pending.tx)?;
    let mut info = of_tx(context, &pending.tx, &spent, stage(pending.status))?;
    info.fee = pending.fee.map(Text).or(info.fee);
    info.first_seen = Some(pending.first_seen.0);
    info.finalized_at = pending.finalized.map(|(time, _)| time.0);
    place(context, &mut info, pending.block);
    Ok(info)
}

fn of_archived(context: &Context, archived: ArchivedTransaction) -> Result<TransactionInfo, Failure> {
    let ArchivedTransaction { height, stored, .. } = archived;
    let spent: Vec<Option<TxOut>> = stored.spent.into_iter().map(Some).collect();
    let mut info = of_tx(context, &HashedTx::new(stored.tx), &spent, Stage::Archived)?;
    // The store may be a moment ahead of the tip that users see.
    let hash = match context.hash_at(height)? {
        Some(hash) => Some(hash),
        None => context.archive().header(height)?.map(|header| header.hash),
    };
    place(context, &mut info, hash.map(|hash| (height, hash)));
    Ok(info)
}

fn place(context: &Context, info: &mut TransactionInfo, block: Option<(Height, BlockHash)>) {
    info.height = block.map(|(height, _)| height.get());
    info.block_hash = block.map(|(_, hash)| Text(hash));
    info.confirmations = block.map_or(0, |(height, _)| confirmations(height, context.view().tip().height()));
}

fn of_tx(context: &Context, tx: &HashedTx, spent: &[Option<TxOut>], status: Stage) -> Result<TransactionInfo, Failure> {
    let inputs = |(input, spent): (&OutPoint, &Option<TxOut>)| context.input(input, spent.as_ref());
    let inputs: Vec<InputInfo> = tx.inputs().iter().zip(spent).map(inputs).collect();
    Ok(TransactionInfo {
        txid: Text(tx.txid()),
        status,
        reason: None,
        height: None,
        block_hash: None,
        confirmations: 0,
        fee: fee(tx.tx(), spent).map(Text),
        size: Some(tx.size_bytes()),
        inputs,
        outputs: outputs(context, tx)?,
        payload: Some(context.payload(&tx.body().payload)),
        memo: Some(hex::encode(&tx.body().memo)),
        first_seen: None,
        finalized_at: None,
        hex: Some(encoded(tx.tx())),
    })
}

/// What a transaction pays, if all it spends is known; nothing for a coinbase and genesis, which pay nobody.
fn fee(tx: &Transaction, spent: &[Option<TxOut>]) -> Option<Amount> {
    let spent: Vec<TxOut> = spent.iter().copied().collect::<Option<_>>()?;
    if spent.is_empty() {
        return None;
    }
    sum(&spent).checked_sub(sum(&tx.body.outputs))
}

/// Outputs with the final or archived transaction that spends each.
fn outputs(context: &Context, tx: &HashedTx) -> Result<Vec<OutputInfo>, Failure> {
    let locks: BTreeSet<Lock> = tx.body().outputs.iter().map(|out| out.lock).collect();
    let touching = locks.iter().flat_map(|lock| context.view().touching(lock));
    let finals = touching.filter(|pending| pending.status >= Status::Finalized);
    let spends: BTreeMap<OutPoint, Txid> = finals
        .flat_map(|pending| {
            let txid = pending.tx.txid();
            pending
                .tx
                .inputs()
                .iter()
                .filter(|input| input.txid == tx.txid())
                .map(|input| (*input, txid))
                .collect::<Vec<_>>()
        })
        .collect();
    let mut outputs = context.outputs(tx.tx());
    for (output, (outpoint, _)) in outputs.iter_mut().zip(tx.outputs()) {
        let spender = match spends.get(&outpoint) {
            Some(spender) => Some(*spender),
            None => context.archive().spent_by(&outpoint)?.map(|(txid, _)| txid),
        };
        output.spent_by = Some(spender.map(Text));
    }
    Ok(outputs)
}

async fn get_transaction_status(context: &Arc<Context>, txids: Vec<Txid>) -> Result<Vec<TransactionStatus>, Failure> {
    let (txids, open) = context
        .read(move |context| {
            let mut open = BTreeSet::new();
            for txid in &txids {
                if context.known_stage(txid)?.0 != Stage::Archived {
                    open.insert(*txid);
                }
            }
            Ok((txids, open))
        })
        .await?;
    // Of what a block holds nobody polls and votes any more.
    let inner = match open.is_empty() {
        true => BTreeMap::new(),
        false => {
            let asked =
                move |replica: &Replica| open.into_iter().map(|txid| (txid, Inner::of(replica, &txid))).collect();
            context.node.ask(asked).await?
        }
    };
    context.read(move |context| txids.iter().map(|txid| status(context, txid, inner.get(txid))).collect()).await
}

/// `inner`: nothing for what a block holds.
fn status(context: &Context, txid: &Txid, inner: Option<&Inner>) -> Result<TransactionStatus, Failure> {
    let Some(inner) = inner else { return Ok(TransactionStatus::archived(*txid)) };
    let (known, _) = context.known_stage(txid)?;
    let status = stage_with(known, inner.is_waiting);
    let rejection = context.rejection(txid).filter(|_| status == Stage::Rejected);
    Ok(TransactionStatus {
        txid: Text(*txid),
        status,
        reason: rejection.map(|rejection| rejection.reason()),
        polls_won: inner.polls_won,
        polls_in_a_row: inner.polls_in_a_row,
        vote_weight: inner.vote_weight,
        receipt_weight: inner.receipt_weight,
        rivals: inner.rivals.iter().copied().map(Text).collect(),
    })
}

fn decode_raw_transaction(context: &Context, arguments: &Arguments) -> Result<DecodedTransaction, Failure> {
    let tx: Transaction = arguments.encoded("hex")?;
    Ok(context.decoded(&HashedTx::new(tx), None))
}
