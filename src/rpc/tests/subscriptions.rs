//! Subscriptions: what comes, in which order, from where on, and what becomes of who does not keep up.

use super::harness::{Served, code_and_reason, lock};
use crate::limits::EVENTS_QUEUED;
use crate::replica::Event;
use crate::types::hash::Txid;
use crate::types::number::{Height, TimeMs, View};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_in_order_and_from_any_height_on() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    assert!(socket.call("subscribe_blocks", json!([])).await.is_ok());
    let first = socket.item().await;
    let second = socket.item().await;
    assert_eq!(second["previous_hash"], first["hash"]);
    assert_eq!(second["sequence"].as_u64(), first["sequence"].as_u64().map(|sequence| sequence + 1));
    assert_eq!(served.ok("get_block_hash", json!([second["height"]])).await, second["hash"]);

    let mut resumed = served.socket().await;
    assert!(resumed.call("subscribe_blocks", json!({ "from": 0 })).await.is_ok());
    for height in 0..=second["height"].as_u64().unwrap() {
        assert_eq!(resumed.item().await["height"], height);
    }
    let error = resumed.call("subscribe_blocks", json!([1_000_000])).await.unwrap_err();
    assert_eq!(code_and_reason(&error), (-8, "out_of_range".to_owned()));
    served.stop().await;
}

/// Items of a transaction up to this status, from the subscription's next one on.
async fn items_until(socket: &mut super::harness::Socket, txid: &str, status: &str) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let item = socket.item().await;
        if item["txid"] == txid {
            items.push(item.clone());
            if item["status"] == status {
                return items;
            }
        }
    }
}

fn statuses(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["status"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_to_an_address_hears_of_its_payments_alone_and_resumes() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    assert!(socket.call("subscribe_transactions", json!([served.address_of(&lock(1))])).await.is_ok());
    served.send_until(&served.pay(0, lock(2), 5_000_000), "finalized").await;
    let tx = served.pay(1, lock(1), 5_000_000);
    let txid = tx.body.txid().to_string();
    served.send_until(&tx, "archived").await;
    let mut items = Vec::new();
    while items.last().is_none_or(|item: &Value| item["status"] != "archived") {
        items.push(socket.item().await);
    }
    assert!(items.iter().all(|item| item["txid"] == txid.as_str()), "{items:?}");
    assert_eq!(statuses(&items), ["sampling", "accepted", "certified", "finalized", "archived"]);
    let sequences: Vec<u64> = items.iter().map(|item| item["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted());
    assert!(sequences.iter().all(|sequence| *sequence < 1 << 53), "JavaScript keeps them");

    let mut resumed = served.socket().await;
    let parameters = json!({ "address": null, "from": sequences[2] });
    assert!(resumed.call("subscribe_transactions", parameters).await.is_ok());
    let rest = items_until(&mut resumed, &txid, "archived").await;
    assert_eq!(rest, items[2..], "with the item that was resumed from, and nothing before");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_comes_at_once_and_then_each_step() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let tx = served.pay(0, lock(1), 5_000_000);
    let txid = tx.body.txid().to_string();
    assert!(socket.call("subscribe_status", json!([txid])).await.is_ok());
    assert_eq!(socket.item().await["status"], "unknown");
    served.send_until(&tx, "archived").await;
    let items = items_until(&mut socket, &txid, "archived").await;
    assert_eq!(statuses(&items), ["sampling", "accepted", "certified", "finalized", "archived"]);
    assert!(items[4]["height"].is_u64());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_never_was_cannot_be_resumed_from() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    for from in [0, 1, (1_u64 << 53) - 1] {
        let error = socket.call("subscribe_transactions", json!({ "from": from })).await.unwrap_err();
        assert_eq!(code_and_reason(&error), (-8, "gone".to_owned()), "{from}");
        assert!(error["data"]["earliest"].is_u64());
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_unsubscribes_hears_no_more() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let id = socket.call("subscribe_transactions", json!([])).await.unwrap();
    assert_eq!(socket.call("unsubscribe_transactions", json!([id])).await.unwrap(), true);
    served.send_until(&served.pay(0, lock(1), 5_000_000), "finalized").await;
    // Nothing stands before the answer to this.
    assert!(socket.call("uptime", json!([])).await.is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_keep_up_is_told_and_its_subscription_ends() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    assert!(socket.call("subscribe_transactions", json!([])).await.is_ok());
    let feed = served.handle();
    // Far more than the queues of the feed, of the connection and of the kernel hold, while nobody reads. Events that
    // nobody hears of make the feed overflow for a subscriber that is held up.
    let flood = tokio::task::spawn_blocking(move || {
        for number in 0..8 * EVENTS_QUEUED {
            let txid = Txid(std::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(0)));
            feed.feed().tell(TimeMs(0), Event::Admitted(txid));
            feed.feed().tell(TimeMs(0), Event::ViewChanged { height: Height::new(1), view: View::new(0) });
        }
    });
    flood.await.unwrap();
    let mut last = 0;
    let error = loop {
        let message = socket.next().await.unwrap();
        let params = &message["params"];
        if params["error"].is_object() {
            break params["error"].clone();
        }
        last = params["result"]["sequence"].as_u64().unwrap_or(last);
    };
    assert_eq!(code_and_reason(&error), (-32001, "lagged".to_owned()));
    assert!(error["data"]["next"].as_u64().unwrap() > last);
    // The connection is there still, the subscription is not.
    assert!(socket.call("uptime", json!([])).await.is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_room_for_so_many_subscriptions() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let status = json!(["00".repeat(32)]);
    for _ in 0..crate::limits::MAX_SUBSCRIPTIONS {
        socket.send(&super::harness::request(1, "subscribe_status", status.clone()).to_string()).await;
        // The answer and the first item.
        assert!(socket.next().await.unwrap()["result"].is_u64() && socket.next().await.is_some());
    }
    let error = socket.call("subscribe_status", status).await.unwrap_err();
    assert_eq!(code_and_reason(&error), (-32006, "too_many_subscriptions".to_owned()));
    served.stop().await;
}
