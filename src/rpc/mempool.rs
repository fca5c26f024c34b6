//! Transactions that no block holds yet.

use super::api::Api;
use super::context::Context;
use super::cursor::Cursor;
use super::errors::Failure;
use super::params::Arguments;
use super::start_error::StartError;
use super::types::{MempoolInfo, Text, TxidPage};

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.quick("get_mempool_info", get_mempool_info)?;
    api.reading("get_raw_mempool", get_raw_mempool)
}

fn get_mempool_info(context: &Context, _: &Arguments) -> Result<MempoolInfo, Failure> {
    let (gauges, pool) = (context.view().gauges(), context.node.pool());
    Ok(MempoolInfo {
        transactions: gauges.not_final,
        bytes: gauges.not_final_bytes,
        max_transactions: pool.max_transactions,
        max_bytes: pool.max_bytes,
        min_fee_rate: Text(context.chain().min_fee_rate),
        certified_bytes: gauges.certified_bytes,
        waiting: gauges.waiting,
    })
}

fn get_raw_mempool(context: &Context, arguments: &Arguments) -> Result<TxidPage, Failure> {
    let limit = arguments.limit()?;
    let after = match arguments.cursor()? {
        None => None,
        Some(Cursor::Mempool(txid)) => Some(txid),
        Some(_) => return Err(Failure::BadCursor),
    };
    let mut txids = context.view().pending_page(after, limit.saturating_add(1));
    let is_last = txids.len() <= limit;
    txids.truncate(limit);
    let next = txids.last().filter(|_| !is_last).map(|txid| Cursor::Mempool(*txid).write());
    Ok(TxidPage { txids: txids.into_iter().map(Text).collect(), next_cursor: next })
}
