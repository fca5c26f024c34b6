//! Subscriptions over a WebSocket: new blocks, and how far transactions have come.
//!
//! Every item has a sequence number; who was cut off subscribes again with `from` the last number it saw. Nobody waits
//! for a subscriber: one that takes nothing for a while is told `lagged`, and its subscription ends.

use super::api::Api;
use super::context::Context;
use super::errors::Failure;
use super::params::Arguments;
use super::progress::Filter;
use super::start_error::StartError;
use super::transactions::stage_of;
use super::types::{BlockItem, Progress, Stage, Text};
use crate::limits::{LAGGED_AFTER_MS, SUBSCRIPTION_CHUNK};
use crate::node::clock;
use crate::node::feed::Told;
use crate::types::hash::Txid;
use crate::types::number::Height;
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::core::server::{PendingSubscriptionSink, SendTimeoutError, SubscriptionSink};
use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Adds the subscriptions.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.subscription("subscribe_blocks", |context, arguments, pending| async move {
        match first_block(&context, &arguments) {
            Ok(next) => serve(pending, |sink| async move { blocks(&context, &sink, next).await }).await,
            Err(failure) => reject(pending, failure).await,
        }
    })?;
    api.subscription("subscribe_transactions", |context, arguments, pending| async move {
        let prepared = address_filter(&context, &arguments)
            .and_then(|filter| Ok((filter, Events::from(&context, wanted(&arguments)?)?)));
        match prepared {
            Ok((filter, events)) => {
                serve(pending, |sink| async move { transactions(&context, &sink, filter, events).await }).await
            }
            Err(failure) => reject(pending, failure).await,
        }
    })?;
    api.subscription("subscribe_status", |context, arguments, pending| async move {
        match status_of(&context, &arguments).await {
            Ok((first, filter, events)) => {
                let work = |sink| async move {
                    if let Some(first) = first {
                        send(&sink, &first, first.sequence).await?;
                    }
                    transactions(&context, &sink, filter, events).await
                };
                serve(pending, work).await
            }
            Err(failure) => reject(pending, failure).await,
        }
    })
}

/// Why a subscription ends before its subscriber wants it to.
enum End {
    /// The subscriber is told.
    Failed(Failure),
    /// Nobody is there to be told, or there is nothing to tell.
    Quiet,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn reject(pending: PendingSubscriptionSink, failure: Failure) -> Result<(), SubscriptionError> {
    pending.reject(failure).await;
    Ok(())
}

/// Accepts the subscription and does the work of it until that ends or the subscriber has had enough.
async fn serve<A>(
    pending: PendingSubscriptionSink,
    work: impl FnOnce(SubscriptionSink) -> A,
) -> Result<(), SubscriptionError>
where
    A: Future<Output = Result<(), End>>,
{
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    let closed = sink.clone();
    let end = tokio::select! {
        end = work(sink) => end,
        () = closed.closed() => return Ok(()),
    };
    match end {
        Err(End::Failed(failure)) => {
            let error = serde_json::value::to_raw_value(&ErrorObjectOwned::from(failure));
            // An error object is JSON.
            error.map_or(Ok(()), |error| Err(SubscriptionError::from_json(error)))
        }
        Ok(()) | Err(End::Quiet) => Ok(()),
    }
}

/// Sends an item; a subscriber that has no room for it for too long is told where to resume.
async fn send(sink: &SubscriptionSink, item: &impl Serialize, sequence: u64) -> Result<(), End> {
    let json = serde_json::value::to_raw_value(item).map_err(|e| Failure::Internal(e.to_string()))?;
    match sink.send_timeout(json, Duration::from_millis(LAGGED_AFTER_MS)).await {
        Ok(()) => Ok(()),
        Err(SendTimeoutError::Timeout(_)) => Err(Failure::Lagged { next: sequence }.into()),
        Err(SendTimeoutError::Closed(_)) => Err(End::Quiet),
    }
}

/// `from`, if it is given.
fn wanted(arguments: &Arguments) -> Result<Option<u64>, Failure> {
    arguments.has("from").then(|| arguments.number("from")).transpose()
}

/// The first block to send: `from`, or the one after the tip.
fn first_block(context: &Context, arguments: &Arguments) -> Result<Height, Failure> {
    let tip = context.view().tip().height();
    let next = wanted(arguments)?.map_or(tip.next(), Height::new);
    if next > tip.next() {
        return Err(Failure::past_tip("from", tip));
    }
    Ok(next)
}

/// Every block from `next` on. They are read from the store, so no subscriber can be too far behind.
async fn blocks(context: &Arc<Context>, sink: &SubscriptionSink, mut next: Height) -> Result<(), End> {
    let mut events = context.node.feed().listen();
    loop {
        while next <= context.view().tip().height() {
            let items = context.read(move |context| block_items(context, next)).await?;
            for item in items {
                send(sink, &item, item.sequence).await?;
                next = Height::new(item.height).next();
            }
        }
        let told = tokio::select! {
            told = events.recv() => told,
            () = context.node.stopping().cancelled() => return Err(End::Quiet),
        };
        match told {
            // Whatever it was: the loop looks at the tip.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(End::Quiet),
        }
    }
}

fn block_items(context: &Context, from: Height) -> Result<Vec<BlockItem>, Failure> {
    let mut items = Vec::new();
    for height in (from.get()..).take(SUBSCRIPTION_CHUNK) {
        let Some((header, hash)) = context.header_at(Height::new(height))? else { break };
        items.push(BlockItem {
            sequence: height,
            height,
            hash: Text(hash),
            previous_hash: Text(header.prev),
            slot: header.slot.get(),
            time: context.chain().slot_start(header.slot).0,
            transaction_count: header.tx_count,
        });
    }
    Ok(items)
}

/// What happens, from some event on.
struct Events {
    kept: VecDeque<Arc<Told>>,
    live: broadcast::Receiver<Arc<Told>>,
    /// Number of the next event.
    next: u64,
}

impl Events {
    /// Everything from the event with this sequence number on, or from now on.
    fn from(context: &Context, sequence: Option<u64>) -> Result<Self, Failure> {
        let feed = context.node.feed();
        let Some(sequence) = sequence else {
            let live = feed.listen();
            return Ok(Self { kept: VecDeque::new(), live, next: feed.last().saturating_add(1) });
        };
        let number = context.event_number(sequence);
        if number > feed.last().saturating_add(1) {
            return Err(Failure::Gone { from: sequence, earliest: context.sequence(feed.last().saturating_add(1)) });
        }
        let kept = feed.listen_from(number);
        let gone = |earliest| Failure::Gone { from: sequence, earliest: context.sequence(earliest) };
        let (kept, live) = kept.map_err(|error| gone(error.earliest))?;
        Ok(Self { kept: kept.into(), live, next: number })
    }

    /// The next event.
    async fn next(&mut self, context: &Context) -> Result<Arc<Told>, End> {
        let told = match self.kept.pop_front() {
            Some(told) => told,
            None => match self.live.recv().await {
                Ok(told) => told,
                Err(RecvError::Lagged(_)) => return Err(Failure::Lagged { next: context.sequence(self.next) }.into()),
                Err(RecvError::Closed) => return Err(End::Quiet),
            },
        };
        self.next = told.sequence.saturating_add(1);
        Ok(told)
    }
}

fn address_filter(context: &Context, arguments: &Arguments) -> Result<Filter, Failure> {
    if !arguments.has("address") {
        return Ok(Filter::all());
    }
    Ok(Filter::lock(arguments.address("address", &context.chain().address_hrp)?))
}

/// How far a transaction is now, unless the caller resumes, and what is told of it later.
async fn status_of(
    context: &Arc<Context>,
    arguments: &Arguments,
) -> Result<(Option<Progress>, Filter, Events), Failure> {
    let (txid, from) = (arguments.txid("txid")?, wanted(arguments)?);
    // Before the look, so that nothing is missed in between.
    let events = Events::from(context, from)?;
    let first = match from {
        Some(_) => None,
        None => Some(progress_now(context, txid, context.sequence(events.next.saturating_sub(1))).await?),
    };
    Ok((first, Filter::one(txid), events))
}

async fn progress_now(context: &Arc<Context>, txid: Txid, sequence: u64) -> Result<Progress, Failure> {
    let status = stage_of(context, txid).await?;
    let (_, height) = context.known_stage(&txid)?;
    let reason = context.rejection(&txid).filter(|_| status == Stage::Rejected).map(|rejection| rejection.reason());
    let height = height.map(Height::get);
    Ok(Progress { sequence, time: clock::now().0, txid: Text(txid), status, reason, height })
}

/// Every step of the transactions that pass the filter.
async fn transactions(
    context: &Arc<Context>,
    sink: &SubscriptionSink,
    mut filter: Filter,
    mut events: Events,
) -> Result<(), End> {
    loop {
        let told = tokio::select! {
            told = events.next(context) => told?,
            () = context.node.stopping().cancelled() => return Err(End::Quiet),
        };
        for item in filter.items(context, &told).await? {
            send(sink, &item, item.sequence).await?;
        }
    }
}
