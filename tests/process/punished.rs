//! A masternode that signed two things is punished, and what that took and left shows wherever its owner looks.

use crate::cluster::{Cluster, wait_for};
use serde_json::{Value, json};
use std::sync::Arc;
use timed::network::{Event, Network, Settings};
use timed::replica::Message;
use timed::types::address::to_address;
use timed::types::block::{BftKind, bft_digest};
use timed::types::evidence::{BftPart, Evidence};
use timed::types::hash::BlockHash;
use timed::types::keys::SecretKey;
use timed::types::lock::Lock;
use timed::types::number::{Height, View};

/// Tells the nodes of two prepares by one key that exclude each other, until they have it in a block.
fn accuse(cluster: &Cluster, key: &SecretKey) -> u64 {
    let chain = cluster.chain();
    let part = |block: u8| {
        let (height, view, kind) = (Height::new(7), View::ZERO, BftKind::Prepare);
        let block_hash = Some(BlockHash([block; 32]));
        let signature = key.sign(&bft_digest(&chain.id(), height, view, kind, block_hash));
        BftPart { height, view, kind, block_hash, signature }
    };
    let evidence = Arc::new(Message::Evidence(Box::new(Evidence::of_bft(key.public_key(), part(1), part(2)))));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut settings = Settings::new(chain.id(), SecretKey::from_bytes(&[0x78; 32]));
    settings.seeds = (0..cluster.len()).map(|node| format!("127.0.0.1:{}", cluster.p2p_port(node))).collect();
    let (network, mut events) = runtime.block_on(Network::start(settings)).unwrap();
    let handle = network.handle();
    runtime.spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::Connected { peer, .. } = event {
                handle.send_message(peer, &evidence).unwrap();
            }
        }
    });
    let mut next = 1;
    let height = wait_for("a punishment in a block", || {
        let block = cluster.call(0, "get_block", json!([next, 1])).ok()?;
        let found = !block["punishments"].as_array()?.is_empty();
        next += u64::from(!found);
        found.then_some(next)
    });
    runtime.block_on(network.stop());
    height
}

fn units(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// What node 0 says of the punishment in the block at `height` holds together.
fn check(cluster: &Cluster, height: u64, address: &str) {
    for verbosity in [1, 2, 3] {
        let block = cluster.call(0, "get_block", json!([height, verbosity])).unwrap();
        assert_eq!(block["punishments"].as_array().unwrap().len(), 1, "{block}");
    }
    let block = cluster.call(0, "get_block", json!([height, 3])).unwrap();
    let punishment = &block["punishments"][0];
    assert_eq!(punishment["address"], json!(address));
    let (taken, left) = (&punishment["taken"], &punishment["left"]);
    assert!(units(&left["value"]) < units(&taken["value"]), "{punishment}");
    let out = |side: &Value| cluster.call(0, "get_tx_out", json!([side["txid"], side["index"]])).unwrap();
    let (gone, rest) = (out(taken), out(left));
    assert_eq!((&gone["state"], &gone["spent_height"]), (&json!("taken"), &json!(height)), "{gone}");
    assert_eq!(gone["value"], taken["value"]);
    assert_eq!((&rest["state"], &rest["height"], &rest["bonded"]), (&json!("unspent"), &json!(height), &json!(true)));
    assert_eq!(rest["value"], left["value"]);
    let mut entries = Vec::new();
    let mut cursor = json!(null);
    loop {
        let page = cluster.call(0, "get_address_history", json!([address, cursor, 1_000])).unwrap();
        entries.extend(page["entries"].as_array().unwrap().clone());
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let of_punishment: Vec<&Value> = entries.iter().filter(|entry| entry["kind"] == "punishment").collect();
    assert_eq!(of_punishment.len(), 2, "{of_punishment:?}");
    assert!(of_punishment.iter().all(|entry| entry["height"] == json!(height)));
    let sum = |part: &str| entries.iter().map(|entry| units(&entry[part])).sum::<u64>();
    let balance = cluster.call(0, "get_balance", json!([address])).unwrap();
    assert_eq!(sum("received") - sum("sent"), units(&balance["archived"]), "{balance}");
}

#[test]
fn what_a_punishment_took_and_left_shows_in_blocks_histories_and_outputs() {
    let mut cluster = Cluster::running(4, 29_200, 1_000);
    let key = timed::keyfile::read(&cluster.folder(3).join("masternode.key")).unwrap();
    let chain = cluster.chain();
    // The faucet owns the collaterals; nobody pays in this test, but rewards come in. They belong to it too.
    let address = to_address(&Lock::of_key(&cluster.faucet().public_key()), &chain.address_hrp).unwrap();
    let height = accuse(&cluster, &key);
    cluster.wait_height(0, height + 2);
    let status = wait_for("its own node to know", || {
        let status = cluster.call(3, "masternode_status", json!([])).ok()?;
        (status["state"] == json!("slashed")).then_some(status)
    });
    assert_eq!(status["masternode"]["slashed"], json!(true), "{status}");
    // All stop for the figures to stand still: three of four are no network.
    (1..4).for_each(|node| cluster.kill(node));
    let last = cluster.height(0);
    check(&cluster, height, &address);
    cluster.stop(0);
    cluster.start(0);
    check(&cluster, height, &address);
    assert_eq!(cluster.height(0), last, "nothing went on meanwhile");
}
