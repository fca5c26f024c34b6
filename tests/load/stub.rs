//! A node that is none: the part of JSON-RPC that the load generator calls, which behaves as a test wants.

use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::server::{RpcModule, Server, ServerHandle};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{PendingSubscriptionSink, SubscriptionMessage};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timed::types::codec::decode;
use timed::types::hex;
use timed::types::transaction::{OutPoint, Transaction};
use tokio::sync::{broadcast, oneshot};

/// Coins of whoever asks.
pub const COINS: u64 = 2_000;
const ADDRESS: &str = "rtime1address";

/// How it behaves; by default as a node does, and at once.
#[derive(Clone, Copy, Default)]
pub struct Behaviour {
    /// From taken to final, in milliseconds.
    pub delay_ms: u64,
    /// Every so many transactions it refuses one: `fee_too_low`.
    pub refuses_every: Option<usize>,
    /// Every so many of those it takes, it drops one: `evicted`.
    pub drops_every: Option<usize>,
    /// Takes both of two rivals and makes both final.
    pub likes_rivals: bool,
    /// After so many transactions it answers nothing any more.
    pub silent_after: Option<usize>,
    /// After so many transactions it is gone.
    pub dies_after: Option<usize>,
    /// Takes transactions under another name, and does nothing with them.
    pub names_another: bool,
    /// Tells of one transaction less than it is asked for.
    pub tells_less: bool,
}

/// What it has seen.
#[derive(Default)]
pub struct Seen {
    pub taken: usize,
    pub refused: usize,
    pub dropped: usize,
    pub calls: BTreeMap<&'static str, u64>,
    heard: usize,
    spent: BTreeSet<OutPoint>,
    finals: BTreeSet<String>,
    die: Option<oneshot::Sender<()>>,
}

pub struct Stub {
    pub behaviour: Behaviour,
    pub seen: Mutex<Seen>,
    events: broadcast::Sender<Value>,
}

/// A running one.
pub struct Running {
    pub url: String,
    pub stub: Arc<Stub>,
    _handle: ServerHandle,
}

/// Starts one on a port of its own.
pub async fn start(behaviour: Behaviour) -> Running {
    let (die, death) = oneshot::channel();
    let seen = Mutex::new(Seen { die: Some(die), ..Seen::default() });
    let stub = Arc::new(Stub { behaviour, seen, events: broadcast::Sender::new(65_536) });
    let server = Server::builder().build("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let handle = server.start(methods(Arc::clone(&stub)));
    let dying = handle.clone();
    tokio::spawn(async move {
        if death.await.is_ok() {
            dying.stop().unwrap();
        }
    });
    Running { url, stub, _handle: handle }
}

fn methods(stub: Arc<Stub>) -> RpcModule<Stub> {
    let mut module = RpcModule::from_arc(stub);
    for (name, answer) in [
        (
            "get_chain_spec",
            json!({ "address_hrp": "rtime", "slot_ms": 1_000, "max_tx_bytes": 100_000, "min_fee_rate": 10,
                "min_output": "1000" }),
        ),
        ("get_blockchain_info", json!({ "chain_id": "00".repeat(32) })),
        ("get_block_count", json!(7)),
        ("get_block", json!({ "transactions": ["aa", "bb"] })),
        ("get_transaction", json!({ "outputs": [{ "address": ADDRESS }] })),
        ("get_balance", json!({ "balance": "5" })),
    ] {
        let count = move |_: Params<'_>, stub: &Stub, _: &_| {
            *stub.seen.lock().unwrap().calls.entry(name).or_default() += 1;
            answer.clone()
        };
        module.register_method(name, count).unwrap();
    }
    module.register_method("list_unspent", |params, _, _| list_unspent(&params)).unwrap();
    module
        .register_async_method("send_raw_transaction", |params, stub, _| async move {
            let hex = params.one::<String>().unwrap();
            send(&stub, &hex).await
        })
        .unwrap();
    module
        .register_async_method("get_transaction_status", |params, stub, _| async move {
            let txids = params.one::<Vec<String>>().unwrap();
            statuses(&stub, &txids).await
        })
        .unwrap();
    let subscribed = module.register_subscription(
        "subscribe_transactions",
        "subscribe_transactions",
        "unsubscribe_transactions",
        |_, pending, stub, _| subscribe(pending, stub),
    );
    subscribed.unwrap();
    module
}

fn list_unspent(params: &Params<'_>) -> Value {
    let (_, cursor, limit) = params.parse::<(Value, Option<String>, u64)>().unwrap();
    let from: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
    let to = COINS.min(from + limit);
    let coin = |index: u64| json!({ "txid": "11".repeat(32), "index": index, "value": "1000000", "height": 1, "status": "archived" });
    let utxos: Vec<Value> = (from..to).map(coin).collect();
    json!({ "utxos": utxos, "next_cursor": (to < COINS).then(|| to.to_string()) })
}

fn error(code: i32, reason: &str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, "no", Some(json!({ "reason": reason })))
}

/// Takes a transaction or not; what it says.
async fn send(stub: &Arc<Stub>, hex: &str) -> Result<Value, ErrorObjectOwned> {
    let tx: Transaction = decode(&hex::decode(hex).unwrap()).unwrap();
    let txid = tx.body.txid().to_string();
    match admit(stub, &tx) {
        Admitted::Silent => std::future::pending().await,
        Admitted::Nothing => return Ok(json!("00".repeat(32))),
        Admitted::Refused(code, reason) => return Err(error(code, reason)),
        Admitted::Dropped => tell(stub, &txid, "rejected", Some("evicted")),
        Admitted::Taken => {
            let (stub, txid) = (Arc::clone(stub), txid.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(stub.behaviour.delay_ms)).await;
                stub.seen.lock().unwrap().finals.insert(txid.clone());
                tell(&stub, &txid, "finalized", None);
            });
        }
    }
    Ok(json!(txid))
}

enum Admitted {
    Taken,
    Dropped,
    Refused(i32, &'static str),
    Nothing,
    Silent,
}

fn admit(stub: &Stub, tx: &Transaction) -> Admitted {
    let behaviour = stub.behaviour;
    let mut seen = stub.seen.lock().unwrap();
    seen.heard += 1;
    let heard = seen.heard;
    let every = |nth: Option<usize>, count: usize| nth.is_some_and(|nth| count.is_multiple_of(nth));
    if behaviour.dies_after.is_some_and(|most| heard > most) {
        if let Some(die) = seen.die.take() {
            die.send(()).unwrap();
        }
        return Admitted::Silent;
    }
    if behaviour.silent_after.is_some_and(|most| heard > most) {
        return Admitted::Silent;
    }
    if behaviour.names_another {
        return Admitted::Nothing;
    }
    if every(behaviour.refuses_every, heard) {
        seen.refused += 1;
        return Admitted::Refused(-26, "fee_too_low");
    }
    let is_rival = tx.body.inputs.iter().any(|input| !seen.spent.insert(*input));
    if is_rival && !behaviour.likes_rivals {
        return Admitted::Refused(-25, "conflict");
    }
    seen.taken += 1;
    if every(behaviour.drops_every, seen.taken) {
        seen.dropped += 1;
        return Admitted::Dropped;
    }
    Admitted::Taken
}

fn tell(stub: &Stub, txid: &str, status: &str, reason: Option<&str>) {
    // It fails only where nobody listens.
    stub.events.send(json!({ "sequence": 1, "txid": txid, "status": status, "reason": reason })).ok();
}

async fn statuses(stub: &Stub, txids: &[String]) -> Vec<Value> {
    let is_silent = |seen: &Seen| stub.behaviour.silent_after.is_some_and(|most| seen.heard > most);
    if is_silent(&stub.seen.lock().unwrap()) {
        std::future::pending::<()>().await;
    }
    let seen = stub.seen.lock().unwrap();
    let status = |txid: &String| {
        let status = if seen.finals.contains(txid) { "finalized" } else { "unknown" };
        json!({ "status": status, "reason": null })
    };
    txids.iter().skip(usize::from(stub.behaviour.tells_less)).map(status).collect()
}

async fn subscribe(pending: PendingSubscriptionSink, stub: Arc<Stub>) -> SubscriptionResult {
    let mut events = stub.events.subscribe();
    let sink = pending.accept().await?;
    loop {
        tokio::select! {
            () = sink.closed() => return Ok(()),
            event = events.recv() => {
                let item: SubscriptionMessage = to_raw_value(&event?)?.into();
                sink.send(item).await?;
            }
        }
    }
}
