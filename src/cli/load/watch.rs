//! Hearing of finality: one subscription to one node for all transactions.
//!
//! Asking for each would cost the nodes more: every question goes through the thread that runs the protocol, while what
//! happens is told once and written by threads of the RPC server.

use super::send::Clock;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::remote::is_final;
use crate::load::book::Book;
use crate::types::hash::Txid;
use jsonrpsee::core::client::{Subscription, SubscriptionClientT as _};
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde::Deserialize;
use serde_json::Value;

/// Items that wait for this process at most; beyond that the subscription is resumed from where it was.
const MAX_WAITING: usize = 65_536;
/// So many interruptions in a row without an item in between are no hiccup.
const MAX_FAILURES: usize = 5;

/// An item of `subscribe_transactions`.
#[derive(Deserialize)]
struct Item {
    sequence: u64,
    txid: String,
    status: String,
    reason: Option<String>,
}

/// See the module.
pub struct Watch {
    url: String,
    client: WsClient,
    items: Subscription<Item>,
    last: Option<u64>,
    gaps: u64,
}

impl Watch {
    /// Listens from now on.
    pub async fn open(node: &Client) -> Result<Self, CliError> {
        let url = node.url().replacen("http", "ws", 1);
        let (client, items) = subscribe(&url, None).await?;
        Ok(Self { url, client, items, last: None, gaps: 0 })
    }

    /// How often it was cut off.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Writes down what is heard, for ever. Returns only if nothing more can be heard.
    pub async fn follow(&mut self, book: &Book, clock: Clock) -> CliError {
        let mut failures = 0;
        loop {
            match self.items.next().await {
                Some(Ok(item)) => {
                    failures = 0;
                    self.last = Some(item.sequence);
                    note(book, &item, clock.now_us());
                }
                Some(Err(error)) => return CliError::failure(format!("a subscription item makes no sense: {error}")),
                None => {
                    failures += 1;
                    self.gaps += 1;
                    if failures > MAX_FAILURES {
                        return CliError::failure(format!("{} cuts off every subscription", self.url));
                    }
                    // What was heard before the cut is sent once more; it changes nothing.
                    match subscribe(&self.url, self.last).await {
                        Ok((client, items)) => (self.client, self.items) = (client, items),
                        Err(error) => return error,
                    }
                }
            }
        }
    }
}

async fn subscribe(url: &str, from: Option<u64>) -> Result<(WsClient, Subscription<Item>), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failure(format!("cannot subscribe at {url}: {error}"));
    let builder = WsClientBuilder::default().max_buffer_capacity_per_subscription(MAX_WAITING);
    let client = builder.build(url).await.map_err(|e| failed(&e))?;
    let mut parameters = ArrayParams::new();
    parameters.insert(Value::Null).map_err(|e| failed(&e))?;
    parameters.insert(from).map_err(|e| failed(&e))?;
    let items = client.subscribe("subscribe_transactions", parameters, "unsubscribe_transactions").await;
    Ok((client, items.map_err(|e| failed(&e))?))
}

fn note(book: &Book, item: &Item, now_us: u64) {
    let Some(number) = Txid::from_hex(&item.txid).and_then(|txid| book.number_of(&txid)) else { return };
    match item.status.as_str() {
        "rejected" => book.rejected(number, item.reason.clone().unwrap_or_default()),
        status if is_final(status) => book.finalized(number, now_us),
        _ => {}
    }
}
