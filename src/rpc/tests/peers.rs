//! What an operator does about other nodes.

use super::harness::{Served, code_and_reason, request};
use crate::network::{CloseReason, Event, LinkError, Network, Settings};
use crate::types::keys::SecretKey;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

/// Calls a method as the administrator.
async fn admin(served: &Served, method: &str, params: Value) -> Result<Value, Value> {
    let mut answer = served.post_with(&[&served.admin()], &request(1, method, params)).await;
    match answer.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(answer["result"].take()),
    }
}

async fn refused(served: &Served, method: &str, params: Value) -> (i64, String) {
    code_and_reason(&admin(served, method, params.clone()).await.expect_err(&format!("{method}({params})")))
}

/// Another node, which listens, and dials these.
async fn other(served: &Served, seeds: Vec<String>) -> (Network, Receiver<Event>) {
    let settings = Settings::new(served.chain.id(), SecretKey::from_bytes(&[40; 32]));
    let listen = Some("127.0.0.1:0".parse().unwrap());
    Network::start(Settings { listen, seeds, ..settings }).await.unwrap()
}

async fn connected(events: &mut Receiver<Event>) {
    while !matches!(events.recv().await.unwrap(), Event::Connected { .. }) {}
}

async fn disconnected(events: &mut Receiver<Event>) -> LinkError {
    loop {
        if let Event::Disconnected { reason, .. } = events.recv().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_changes_links_and_bans() {
    let served = Served::start().await;
    for (method, params) in [
        ("add_node", json!(["127.0.0.1:1"])),
        ("disconnect_node", json!(["1"])),
        ("set_ban", json!(["192.0.2.1"])),
        ("clear_banned", json!([])),
    ] {
        assert_eq!(served.fails(method, params).await, (-32003, "not_permitted".to_owned()), "{method}");
    }
    assert_eq!(served.ok("list_banned", json!([])).await, json!([]));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_added_dialed_disconnected_and_removed() {
    let served = Served::start().await;
    let (network, mut events) = other(&served, Vec::new()).await;
    let address = network.handle().listen_address().unwrap().to_string();
    assert_eq!(admin(&served, "addnode", json!([address, "add"])).await, Ok(Value::Null));
    connected(&mut events).await;
    assert_eq!(refused(&served, "add_node", json!([address])).await, (-23, "already_added".to_owned()));
    assert_eq!(admin(&served, "add_node", json!([address, "remove"])).await, Ok(Value::Null));
    assert_eq!(refused(&served, "add_node", json!([address, "remove"])).await, (-24, "not_added".to_owned()));
    let peers = served.ok("get_peer_info", json!([])).await;
    assert_eq!((&peers[0]["score"], &peers[0]["direction"]), (&json!(100), &json!("outbound")));
    assert_eq!(admin(&served, "disconnect_node", json!({ "node": peers[0]["id"] })).await, Ok(Value::Null));
    assert_eq!(disconnected(&mut events).await, LinkError::ClosedByPeer(CloseReason::Requested));
    // The other end may know first.
    while !served.handle().network().peers().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused(&served, "disconnect_node", json!([address])).await, (-29, "not_connected".to_owned()));
    for (params, reason) in [
        (json!(["nowhere"]), "out_of_range"),
        (json!(["127.0.0.1:0"]), "out_of_range"),
        (json!([format!("{}:1", "a".repeat(300))]), "out_of_range"),
        (json!([address, "onetry"]), "out_of_range"),
        (json!([7]), "wrong_type"),
    ] {
        assert_eq!(refused(&served, "add_node", params).await.1, reason);
    }
    network.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_is_cut_off_and_kept_out_until_the_ban_is_lifted() {
    let served = Served::start().await;
    let here = served.handle().network().listen_address().unwrap().to_string();
    let (network, mut events) = other(&served, vec![here]).await;
    connected(&mut events).await;
    let node = network.handle().node_id().to_string();
    assert_eq!(admin(&served, "set_ban", json!([node, "add", 600])).await, Ok(Value::Null));
    assert_eq!(disconnected(&mut events).await, LinkError::ClosedByPeer(CloseReason::Banned));
    let bans = served.ok("list_banned", json!([])).await;
    let ban = &bans[0];
    assert_eq!((&ban["who"], &ban["kind"], &ban["by"]), (&json!(node), &json!("node"), &json!("operator")));
    assert_eq!(ban["until"].as_u64().unwrap() - ban["since"].as_u64().unwrap(), 600_000);
    assert!(served.handle().network().peers().is_empty());
    assert_eq!(admin(&served, "set_ban", json!([node, "remove"])).await, Ok(Value::Null));
    assert_eq!(refused(&served, "set_ban", json!([node, "remove"])).await, (-30, "not_banned".to_owned()));
    connected(&mut events).await;
    network.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_has_an_end_that_makes_sense() {
    let served = Served::start().await;
    for params in [
        json!(["192.0.2.0/24"]),
        json!(["node.example"]),
        json!(["192.0.2.1", "forever"]),
        json!(["192.0.2.1", "add", 1_000, true]),
        json!(["192.0.2.1", "add", 0, true]),
        json!(["192.0.2.1", "add", u64::MAX]),
    ] {
        assert_eq!(refused(&served, "set_ban", params).await, (-8, "out_of_range".to_owned()));
    }
    assert_eq!(served.ok("list_banned", json!([])).await, json!([]), "nothing changed");
    admin(&served, "setban", json!(["2001:db8::1"])).await.unwrap();
    admin(&served, "set_ban", json!(["192.0.2.1", "add", 4_000_000_000_u64 - 1_900_000_000, true])).await.unwrap();
    let bans = served.ok("listbanned", json!([])).await;
    assert_eq!((bans[0]["who"].as_str(), bans[0]["until"].as_u64()), (Some("192.0.2.1"), Some(2_100_000_000_000)));
    assert_eq!(bans[1]["who"].as_str(), Some("2001:db8::"), "its network");
    assert_eq!(bans[1]["until"].as_u64().unwrap() - bans[1]["since"].as_u64().unwrap(), 3_600_000, "as configured");
    assert_eq!(admin(&served, "clear_banned", json!([])).await, Ok(Value::Null));
    assert_eq!(served.ok("list_banned", json!([])).await, json!([]));
    served.stop().await;
}
