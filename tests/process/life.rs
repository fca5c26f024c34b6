//! An ordinary life: payments, blocks, stops and starts.

use crate::cluster::{Cluster, open_for_damage, timed, wait_for};
use crate::payer::{Payer, send, send_and_wait, stranger};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};
use timed::types::address::to_address;

#[test]
fn a_payment_is_final_then_in_a_block_then_in_the_balance_of_every_node() {
    let cluster = Cluster::running(4, 30_000, 1_000);
    let mut payer = Payer::new(&cluster);
    let (coin, to) = (payer.coins[0], stranger(1));
    let address = to_address(&to, &payer.chain.address_hrp).unwrap();
    let tx = payer.pay(coin, to, 5_000_000);
    let txid = send_and_wait(&cluster, 1, &tx);
    cluster.wait_status(&txid, "archived");
    for node in 0..cluster.len() {
        let balance = cluster.call(node, "get_balance", json!([address])).unwrap();
        assert_eq!(balance["balance"], json!("5000000"), "node {node}: {balance}");
        let tx = cluster.call(node, "get_transaction", json!([txid])).unwrap();
        let block = cluster.call(node, "get_block", json!([tx["height"], 1])).unwrap();
        assert_eq!(block["hash"], tx["block_hash"]);
        assert!(block["transactions"].as_array().unwrap().contains(&json!(txid)));
    }
    // Of what the next block has on record every node says the same: who signed, and so who is paid.
    let last = cluster.height(0);
    (0..cluster.len()).for_each(|node| cluster.wait_height(node, last));
    for height in 1..last {
        let commits = (0..cluster.len()).map(|node| cluster.call(node, "get_commit", json!([height])).unwrap());
        let commits: Vec<_> = commits.collect();
        assert!(commits.windows(2).all(|pair| pair[0] == pair[1]), "height {height}: {commits:?}");
    }
    // Sending again what is archived is an error that says so.
    let again = send(&cluster, 2, &tx).unwrap_err();
    assert!(format!("{again:?}").contains("-27"), "{again:?}");
}

#[test]
fn three_of_four_go_on_and_the_fourth_catches_up() {
    let mut cluster = Cluster::running(4, 30_100, 1_000);
    let mut payer = Payer::new(&cluster);
    cluster.kill(3);
    let before = cluster.height(0);
    let mut last = String::new();
    for round in 0..5 {
        let coin = payer.coins[round];
        let tx = payer.pay(coin, stranger(2), 1_000_000);
        last = send_and_wait(&cluster, round % 3, &tx);
    }
    cluster.wait_status(&last, "archived");
    cluster.wait_height(0, before + 3);
    cluster.start(3);
    cluster.wait_status(&last, "archived");
    cluster.wait_height(3, cluster.height(0));
}

#[test]
fn of_two_rivals_at_two_nodes_at_most_one_is_final_and_every_node_says_the_same() {
    let cluster = Cluster::running(4, 30_200, 1_000);
    let mut payer = Payer::new(&cluster);
    let mut pairs = Vec::new();
    for round in 0..20 {
        let coin = payer.coins[round];
        let pair = [stranger(3), stranger(4)].map(|to| payer.pay(coin, to, 1_000_000));
        pair.iter().enumerate().for_each(|(node, tx)| {
            // The second may come too late already.
            send(&cluster, node, tx).ok();
        });
        pairs.push(pair.map(|tx| tx.body.txid().to_string()));
    }
    let target = cluster.height(0) + 25;
    cluster.wait_height(0, target);
    for pair in pairs {
        let archived = |node: usize| {
            let is_there = |txid: &&String| cluster.status(node, txid).as_deref() == Some("archived");
            pair.iter().filter(is_there).cloned().collect::<Vec<_>>()
        };
        let first = archived(0);
        assert!(first.len() <= 1, "both archived: {first:?}");
        for node in 1..4 {
            wait_for("the same verdict", || (archived(node) == first).then_some(()));
        }
    }
}

#[test]
fn a_node_under_load_stops_cleanly_within_ten_seconds() {
    let mut cluster = Cluster::running(4, 30_300, 1_000);
    let mut payer = Payer::new(&cluster);
    for round in 0..200 {
        let coin = payer.coins[round];
        let tx = payer.pay(coin, stranger(5), 1_000_000);
        send(&cluster, round % 4, &tx).unwrap();
    }
    let begin = Instant::now();
    let status = cluster.stop(2);
    assert!(status.success(), "{status}\n{}", cluster.log(2));
    assert!(begin.elapsed() < Duration::from_secs(10) + Duration::from_secs(5));
    cluster.start(2);
    cluster.wait_height(2, cluster.height(0));
}

#[test]
fn a_node_refuses_the_data_directory_of_another_chain_and_one_that_is_in_use() {
    let mut cluster = Cluster::running(1, 30_400, 1_000);
    let config = cluster.folder(0).join("config.toml");
    let second = timed().arg("--config").arg(&config).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another timed uses this data directory"), "{said}");
    cluster.kill(0);
    let other = Cluster::new(1, 30_410, 1_000);
    let wrong =
        timed().arg("--config").arg(&config).arg("--chain").arg(other.net().join("chain.toml")).output().unwrap();
    assert!(!wrong.status.success());
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("chain"), "{said}");
}

#[test]
fn a_damaged_database_is_put_away_and_made_anew() {
    let mut cluster = Cluster::running(1, 30_500, 400);
    let mut payer = Payer::new(&cluster);
    let coin = payer.coins[0];
    let tx = payer.pay(coin, stranger(6), 1_000_000);
    let txid = send_and_wait(&cluster, 0, &tx);
    cluster.wait_status(&txid, "archived");
    let height = cluster.height(0) + 3;
    cluster.wait_height(0, height);
    cluster.stop(0);
    let before = cluster.folder(0).join("db");
    damage(&before.join("db"));
    cluster.start(0);
    assert!(cluster.height(0) >= height, "nothing of the chain is lost");
    cluster.wait_status(&txid, "archived");
    let names = std::fs::read_dir(cluster.folder(0)).unwrap().map(|entry| entry.unwrap().file_name());
    let put_away = names.map(|name| name.to_string_lossy().into_owned()).any(|name| name.starts_with("db.damaged"));
    let was_repaired = cluster.log(0).contains("made anew");
    assert!(put_away == was_repaired, "what is damaged is kept, and the operator is told");
}

/// Flips bytes all over a file.
fn damage(path: &std::path::Path) {
    let mut file = open_for_damage(path.to_owned());
    let length = file.metadata().unwrap().len();
    for at in (0..length).step_by(997) {
        file.seek(SeekFrom::Start(at)).unwrap();
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 0x5a]).unwrap();
    }
    file.sync_all().unwrap();
}

#[test]
fn a_development_node_is_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = timed()
        .args(["--dev", "--data-dir"])
        .arg(dir.path())
        .env("TIMED_RPC__LISTEN", "127.0.0.1:30601")
        .env("TIMED_P2P__LISTEN", "127.0.0.1:30600")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("RPC") && first.contains("http://127.0.0.1:30601"), "{first}");
    let faucet = lines.map(Result::unwrap).find(|line| line.starts_with("faucet")).unwrap();
    let address = faucet.split([' ', ',']).find(|word| word.starts_with("rtime1")).unwrap().to_owned();
    let height = || {
        crate::rpc::call(([127, 0, 0, 1], 30_601).into(), "get_block_count", json!([]))
            .ok()
            .and_then(|count| count.as_u64())
    };
    wait_for("three blocks", || height().filter(|height| *height >= 3));
    let balance = crate::rpc::call(([127, 0, 0, 1], 30_601).into(), "get_balance", json!([address])).unwrap();
    assert!(balance["spendable"].as_str().unwrap().parse::<u64>().unwrap() > 0, "{balance}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_node_goes_on_when_nobody_reads_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = timed()
        .args(["--dev", "--data-dir"])
        .arg(dir.path())
        .env("TIMED_RPC__LISTEN", "127.0.0.1:30621")
        .env("TIMED_P2P__LISTEN", "127.0.0.1:30620")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed before there is anything to read.
    drop((child.stdout.take(), child.stderr.take()));
    let height = || crate::rpc::call(([127, 0, 0, 1], 30_621).into(), "get_block_count", json!([])).ok()?.as_u64();
    wait_for("a block", || height().filter(|height| *height >= 1));
    child.kill().unwrap();
    child.wait().unwrap();
}
