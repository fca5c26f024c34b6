//! Who comes late: a node that fetches the whole chain from blocks, and one of another chain.

use crate::cluster::{Cluster, timed, wait_for};
use crate::payer::{Payer, send, send_and_wait, stranger};
use serde_json::json;
use timed::types::address::to_address;

/// Strangers who get payments.
const RECEIVERS: u8 = 5;
/// Blocks that are there when the joiner begins: several epochs of a devnet.
const BLOCKS: u64 = 40;

#[test]
fn a_node_that_joins_late_from_an_empty_directory_answers_as_the_others_do() {
    let mut cluster = Cluster::running(4, 31_400, 400);
    let mut payer = Payer::new(&cluster);
    let mut last = String::new();
    for round in 0..60 {
        let coin = payer.coins[round];
        let tx = payer.pay(coin, stranger(20 + u8::try_from(round).unwrap() % RECEIVERS), 1_000_000 + round as u64);
        last = send(&cluster, round % 4, &tx).unwrap();
        // Spread over many blocks.
        if round % 10 == 9 {
            cluster.wait_status(&last, "archived");
        }
    }
    cluster.wait_height(0, BLOCKS);
    let joiner = cluster.add_observer(&[1]);
    cluster.start(joiner);
    cluster.wait_height(joiner, BLOCKS);
    cluster.wait_status(&last, "archived");
    for height in 0..=BLOCKS {
        let block = |node| cluster.call(node, "get_block", json!([height, 2])).unwrap();
        assert_eq!(block(joiner), block(0), "height {height}");
    }
    // Of archived payments only, so that blocks meanwhile change nothing.
    for receiver in 20..20 + RECEIVERS {
        let address = to_address(&stranger(receiver), &payer.chain.address_hrp).unwrap();
        for method in ["get_balance", "list_unspent", "get_address_history"] {
            let answer = |node| cluster.call(node, method, json!([address])).unwrap();
            assert_eq!(answer(joiner), answer(0), "{method}");
        }
        let balance = cluster.call(joiner, "get_balance", json!([address])).unwrap();
        let received: u64 = balance["archived"].as_str().unwrap().parse().unwrap();
        assert!(received >= 12_000_000, "twelve payments of a million and more each: {balance}");
    }
    // From now on it is a node like any other: what is handed in there becomes final.
    let coin = payer.coins[60];
    let tx = payer.pay(coin, stranger(20), 70_000);
    let txid = send_and_wait(&cluster, joiner, &tx);
    cluster.wait_status(&txid, "archived");
    assert!(cluster.stop(joiner).success());
    let verified = timed().args(["db", "verify", "--data-dir"]).arg(cluster.folder(joiner)).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn a_node_of_another_chain_is_refused_and_does_no_harm() {
    let home = Cluster::running(4, 31_460, 1_000);
    let mut payer = Payer::new(&home);
    let mut abroad = Cluster::new(1, 31_500, 1_000);
    let config = abroad.folder(0).join("config.toml");
    let seeds = format!("seeds = [\"127.0.0.1:{}\"]", home.p2p_port(0));
    let text = std::fs::read_to_string(&config).unwrap().replace("seeds = []", &seeds);
    assert!(text.contains(&seeds), "{text}");
    std::fs::write(&config, text + "\n[log]\nlevel = \"info,timed::network=debug\"\n").unwrap();
    abroad.start(0);
    let reason =
        wait_for("a refusal", || abroad.log(0).lines().find(|line| line.contains("no link")).map(str::to_owned));
    println!("the stranger is told: {reason}");
    assert!(reason.contains("Noise"), "{reason}");
    // It dials again and again meanwhile.
    let height = home.height(0) + 3;
    for round in 0..5 {
        let coin = payer.coins[round];
        let tx = payer.pay(coin, stranger(30), 10_000);
        send_and_wait(&home, round % 4, &tx);
    }
    home.wait_height(0, height);
    let peers = home.call(0, "get_peer_info", json!([])).unwrap();
    assert_eq!(peers.as_array().map_or(0, Vec::len), 3, "{peers}");
    assert_eq!(abroad.call(0, "get_peer_info", json!([])).unwrap(), json!([]));
    abroad.wait_height(0, 2);
}
