//! What users run against nodes: the wallet, the example client, the load generator.

use crate::cluster::{Cluster, timed, wait_for};
use serde_json::{Value, json};
use std::process::Output;

/// Runs a client command against node 0 and returns what it printed.
fn run(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = attempt(cluster, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn attempt(cluster: &Cluster, arguments: &[&str]) -> Output {
    let url = format!("http://127.0.0.1:{}", cluster.rpc_port(0));
    let mut command = timed();
    command.arg("--chain").arg(cluster.net().join("chain.toml")).args(["--rpc-url", &url]).args(arguments);
    command.current_dir(cluster.net()).env("HOME", cluster.net()).output().unwrap()
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
}

#[test]
fn a_wallet_receives_pays_and_is_swept() {
    let cluster = Cluster::running(4, 30_900, 1_000);
    std::fs::write(cluster.net().join("pass"), "correct horse\n").unwrap();
    let wallet = |arguments: &[&str]| {
        run(&cluster, &[&["wallet", "--wallet", "w.json", "--passphrase-file", "pass"], arguments].concat())
    };
    let faucet = |arguments: &[&str]| run(&cluster, &[&["wallet", "--key-file", "faucet.key"], arguments].concat());
    let made = wallet(&["new"]);
    let (first, second) = (field(&made, "address").to_owned(), wallet(&["address", "--new"]).trim().to_owned());
    for (address, amount) in [(&first, "12.5"), (&second, "0.00034567")] {
        let sent = faucet(&["send", "--to", address, "--amount", amount, "--memo", "rent", "--yes"]);
        assert!(["finalized", "archived"].contains(&field(&sent, "status")), "{sent}");
        assert!(field(&sent, "after").ends_with(" ms"), "{sent}");
    }
    assert_eq!(field(&wallet(&["balance"]), "spendable"), "12.50034567 TIME");
    assert_eq!(wallet(&["unspent"]).lines().count(), 2);
    let home = faucet(&["address"]).trim().to_owned();
    let sent = wallet(&["send", "--to", &home, "--amount", "2.5", "--wait", "archived", "--yes"]);
    assert_eq!(field(&sent, "status"), "archived");
    assert_eq!(wallet(&["history"]).lines().count(), 3);
    // 12.5 and 0.00034567 came, 2.5 and the fee for 212 bytes went; one output is left at each address.
    let swept = wallet(&["sweep", "--yes"]);
    assert_eq!(field(&swept, "spends"), "2 outputs of 10.00013367 TIME", "{sent}");
    assert_eq!(wallet(&["unspent"]).lines().filter(|line| line.contains(&first)).count(), 1);
    let too_much =
        attempt(&cluster, &["wallet", "--wallet", "w.json", "send", "--to", &home, "--amount", "1000", "--yes"]);
    assert_eq!(too_much.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&too_much.stderr).contains("TIME can be spent now"), "{too_much:?}");
}

#[test]
fn a_transaction_made_by_the_node_is_signed_by_the_wallet_and_handed_in() {
    let cluster = Cluster::running(1, 31_000, 1_000);
    let faucet = |arguments: &[&str]| run(&cluster, &[&["wallet", "--key-file", "faucet.key"], arguments].concat());
    let address = faucet(&["address"]).trim().to_owned();
    let coins = cluster.call(0, "list_unspent", json!([address])).unwrap();
    let coin = &coins["utxos"][0];
    let value: u64 = coin["value"].as_str().unwrap().parse().unwrap();
    let outputs = json!([{ "address": address, "value": (value - 50_000).to_string() }]);
    let inputs = json!([{ "txid": coin["txid"], "index": coin["index"] }]);
    let raw = cluster.call(0, "create_raw_transaction", json!([inputs, outputs])).unwrap();
    let signed = faucet(&["sign", raw.as_str().unwrap()]);
    let sent = run(&cluster, &["wallet", "broadcast", signed.trim(), "--wait", "certified"]);
    let decoded = cluster.call(0, "decode_raw_transaction", json!([signed.trim()])).unwrap();
    assert_eq!(decoded["txid"], field(&sent, "txid"));
}

#[test]
fn the_example_client_pays() {
    let Some(mut python) = crate::python::python("the example client") else { return };
    let cluster = Cluster::running(1, 31_100, 1_000);
    let to = "rtime1qd5j6yecm049c8cdvta5rke7sx5w6kxu5qntl282fuv5euypfzp0s2pyd3t";
    let output = python
        .args(["client.py", "--rpc", &format!("http://127.0.0.1:{}", cluster.rpc_port(0)), "--key-file"])
        .arg(cluster.net().join("faucet.key"))
        .args(["--to", to, "--amount", "5000000", "--memo", "from Python"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(["finalized", "archived"].contains(&field(&said, "status")), "{said}");
    let balance = cluster.call(0, "get_balance", json!([to])).unwrap();
    assert_eq!(balance["balance"], "5000000", "{balance}");
}

#[test]
fn a_load_with_double_spends_finds_none_with_two_winners() {
    let cluster = Cluster::running(4, 31_200, 1_000);
    let urls: Vec<String> = (0..4).map(|node| format!("http://127.0.0.1:{}", cluster.rpc_port(node))).collect();
    let load = ["load", "--key-file", "faucet.key", "--rate", "100", "--count", "1500", "--conflicts", "5", "--json"];
    let listener = {
        let listen = ["load", "blocks", "--seconds", "5", "--json"];
        let mut command = timed();
        command.args(["--rpc-url", &urls.join(",")]).args(listen).current_dir(cluster.net());
        std::thread::spawn(move || command.output().unwrap())
    };
    let mut command = timed();
    command.args(["--rpc-url", &urls.join(",")]).args(load).current_dir(cluster.net());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let heard = listener.join().unwrap();
    assert!(heard.status.success(), "{heard:?}");
    let blocks: Value = serde_json::from_slice(&heard.stdout).unwrap();
    let blocks = blocks["blocks"].as_array().unwrap();
    assert!(!blocks.is_empty(), "{heard:?}");
    for block in blocks {
        let header = cluster.call(0, "get_block", json!([block["height"]])).unwrap();
        assert_eq!(block["size"], header["size"], "{block}");
        assert!(block["last_us"].as_i64() >= block["first_us"].as_i64(), "{block}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["fan_out_transactions"].as_u64().unwrap() > 0, "1,500 payments need more coins than the faucet has");
    assert_eq!((&report["finalized"], &report["not_final"]), (&json!(1_425), &json!(0)), "{report}");
    assert_eq!(
        (&report["conflicts"]["pairs"], &report["conflicts"]["both_final"]),
        (&json!(75), &json!(0)),
        "{report}"
    );
    assert_eq!(report["errors"], json!({}), "{report}");
    wait_for("the chain to go on", || (cluster.height(0) > 3).then_some(()));
}
