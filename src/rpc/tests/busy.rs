//! Calls while others are slow: the thread of the protocol, or clients that take nothing.

use super::harness::{Served, bytes, lock, request};
use crate::config;
use crate::rpc::Server;
use crate::rpc::methods::{Access, METHODS};
use crate::rpc::unsent::Unsent;
use serde_json::json;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::time::timeout;

/// What needs the state of the engines, or hands something in. Everything else is answered from the view and the store.
const ASKS_THE_REPLICA: &[&str] =
    &["get_consensus_info", "get_health", "send_raw_transaction", "test_mempool_accept", "stop"];

/// After this a call counts as waiting for ever.
const FOR_EVER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_view_and_store_know_is_told_while_the_replica_is_busy() {
    let served = Served::start().await;
    let tx = served.pay(0, lock(1), 1_000_000);
    let (hex, address) = (bytes(&tx), served.address_of(&lock(1)));
    let txid = served.send_until(&tx, "archived").await["txid"].clone();
    let proof = served.ok("get_finality_proof", json!([txid])).await;
    // A question that takes as long as this test wants.
    let (entered, is_entered) = channel();
    let (release, is_released) = channel::<()>();
    let node = served.handle();
    let question = tokio::spawn(async move {
        node.ask(move |_| {
            entered.send(()).unwrap();
            is_released.recv().ok();
        })
        .await
    });
    tokio::task::spawn_blocking(move || is_entered.recv().unwrap()).await.unwrap();
    let masternode = served.ok("list_masternodes", json!([])).await["masternodes"][0]["id"].clone();
    let parameters = |method: &str| match method {
        "get_block_hash" | "get_block" | "get_block_header" => json!([0]),
        "get_commit" => json!([1]),
        "get_transaction" | "get_finality_proof" | "wait_for_transaction" => json!([txid]),
        "get_transaction_status" => json!([[txid, txid]]),
        "decode_raw_transaction" => json!([hex]),
        "create_raw_transaction" => json!([[{ "txid": txid, "index": 0 }], [{ "address": address, "value": "20000" }]]),
        "get_balance" | "list_unspent" | "get_address_history" | "validate_address" => json!([address]),
        "get_tx_out" => json!([txid, 0]),
        "verify_finality_proof" => json!([proof]),
        "get_masternode" => json!([masternode]),
        _ => json!([]),
    };
    let reads = METHODS.iter().filter(|method| {
        method.unsubscribe.is_none() && method.access == Access::Open && !ASKS_THE_REPLICA.contains(&method.name)
    });
    for method in reads {
        let answer = timeout(FOR_EVER, served.call(method.name, parameters(method.name))).await;
        let answer = answer.unwrap_or_else(|_| panic!("{} waits for the replica", method.name));
        assert!(answer.is_ok(), "{}: {answer:?}", method.name);
    }
    let status = served.ok("get_transaction_status", json!([[txid]])).await;
    assert_eq!((status[0]["status"].as_str(), &status[0]["vote_weight"]), (Some("archived"), &json!(0)), "{status}");
    release.send(()).unwrap();
    question.await.unwrap().unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_too_many_answers_untaken_is_cut_off_and_nobody_else() {
    let served = Served::start().await;
    let one = request(1, "get_block", json!([0, 3]));
    let batch = json!(vec![one; 50]).to_string();
    let (_, _, answer) = served.http("POST", "/", &[], &batch).await;
    let (unsent, address) = (Unsent::new(4 * answer.len()), "127.0.0.1:0".parse().unwrap());
    let server = Server::start_bounded(served.handle(), &config::Rpc::default(), address, unsent).await.unwrap();
    let served = served.at(&server);
    let mut greedy = served.socket().await;
    let mut polite = served.socket().await;
    // Calls without end, no answer taken: once the sockets are full, answers wait in the server.
    let mut sent = 0;
    while greedy.try_send(&batch).await {
        sent += 1;
    }
    let mut taken = 0;
    while greedy.next().await.is_some() {
        taken += 1;
    }
    assert!(taken < sent, "{taken} answers of {sent} came: nothing was cut off");
    assert!(polite.call("get_block_count", json!([])).await.is_ok());
    assert!(served.ok("get_block_count", json!([])).await.is_u64());
    server.stop().await;
    served.stop().await;
}
