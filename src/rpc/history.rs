//! `get_address_history`: what touched an address, newest first: transactions in no block, those of blocks that the
//! store does not answer for yet, those of the store.

use super::context::Context;
use super::cursor::{Cursor, cut};
use super::errors::Failure;
use super::lookup::{stage, sum};
use super::params::Arguments;
use super::types::{History, HistoryItem, Stage, Text};
use crate::node::view::{Pending, Status};
use crate::storage::moved::history_of;
use crate::storage::store::HistoryEntry;
use crate::types::hash::Txid;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height, TimeMs};
use crate::types::transaction::TxOut;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Answers a call.
pub fn history(context: &Context, arguments: &Arguments) -> Result<History, Failure> {
    let lock = arguments.address("address", &context.chain().address_hrp)?;
    let (cursor, limit) = (arguments.cursor()?, arguments.limit()?);
    let wanted = limit.saturating_add(1);
    let mut page = Vec::new();
    let before = match cursor {
        None => {
            pending(context, &lock, None, wanted, &mut page)?;
            None
        }
        Some(Cursor::PendingEntry(time, txid)) => {
            pending(context, &lock, Some((time, txid)), wanted, &mut page)?;
            None
        }
        Some(Cursor::ArchivedEntry(height, txid)) => Some((height, txid)),
        Some(_) => return Err(Failure::BadCursor),
    };
    archived(context, &lock, before, wanted, &mut page)?;
    let next_cursor = cut(&mut page, limit).map(|cursor| cursor.write());
    Ok(History { entries: page.into_iter().map(|(_, item)| item).collect(), next_cursor })
}

type Page = Vec<(Cursor, HistoryItem)>;

/// Transactions in no block, the last to come in first.
fn pending(
    context: &Context,
    lock: &Lock,
    before: Option<(TimeMs, Txid)>,
    wanted: usize,
    page: &mut Page,
) -> Result<(), Failure> {
    let mut touching = context.view().touching(lock);
    touching.retain(|pending| pending.status < Status::Archived);
    touching.sort_by_key(|pending| Reverse((pending.first_seen, pending.tx.txid())));
    let place = |pending: &Pending| (pending.first_seen, pending.tx.txid());
    let rest = touching.iter().filter(|pending| before.is_none_or(|before| place(pending) < before));
    for pending in rest.take(wanted) {
        let mut sent = Vec::new();
        for input in pending.tx.inputs() {
            sent.extend(context.output(input)?);
        }
        let item = HistoryItem {
            txid: Text(pending.tx.txid()),
            height: None,
            time: pending.first_seen.0,
            received: Text(of_lock(&pending.tx.body().outputs, lock)),
            sent: Text(of_lock(&sent, lock)),
            status: stage(pending.status),
            kind: "transaction",
        };
        page.push((Cursor::PendingEntry(pending.first_seen, pending.tx.txid()), item));
    }
    Ok(())
}

/// Sum of the outputs of a lock.
fn of_lock(outs: &[TxOut], lock: &Lock) -> Amount {
    sum(outs.iter().filter(|out| out.lock == *lock))
}

/// Transactions in blocks, those of the highest block first.
fn archived(
    context: &Context,
    lock: &Lock,
    before: Option<(Height, Txid)>,
    wanted: usize,
    page: &mut Page,
) -> Result<(), Failure> {
    let (stored, blocks) = context.sources().recent()?;
    let mut times = Times { context, known: BTreeMap::new() };
    for block in blocks.into_iter().rev() {
        let height = block.changes.height;
        let mut entries = history_of(lock, height, &block.block.txs, &block.changes);
        entries.retain(|entry| before.is_none_or(|before| (entry.height, entry.txid) < before));
        entries.sort_by_key(|entry| Reverse(entry.txid));
        for entry in entries.into_iter().take(wanted.saturating_sub(page.len())) {
            page.push(times.item(entry)?);
        }
    }
    // The store may have gone on since: what it took in was told above.
    let above = (stored.next(), Txid::ZERO);
    let mut before = before.map_or(above, |before| before.min(above));
    while page.len() < wanted {
        let more = context.archive().history_of(lock, Some(before), wanted.saturating_sub(page.len()))?;
        let Some(last) = more.last() else { return Ok(()) };
        before = (last.height, last.txid);
        for entry in more {
            page.push(times.item(entry)?);
        }
    }
    Ok(())
}

/// Times of blocks, each looked up once.
struct Times<'a> {
    context: &'a Context,
    known: BTreeMap<Height, u64>,
}

impl Times<'_> {
    fn item(&mut self, entry: HistoryEntry) -> Result<(Cursor, HistoryItem), Failure> {
        let time = match self.known.get(&entry.height) {
            Some(time) => *time,
            None => {
                let header = self.context.header_at(entry.height)?;
                let time = header.map_or(0, |(header, _)| self.context.chain().slot_start(header.slot).0);
                self.known.insert(entry.height, time);
                time
            }
        };
        let item = HistoryItem {
            txid: Text(entry.txid),
            height: Some(entry.height.get()),
            time,
            received: Text(entry.received),
            sent: Text(entry.sent),
            status: Stage::Archived,
            kind: if entry.is_punishment { "punishment" } else { "transaction" },
        };
        Ok((Cursor::ArchivedEntry(entry.height, entry.txid), item))
    }
}
