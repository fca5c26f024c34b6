//! Nodes that begin with a snapshot, and nodes that keep no more blocks than they were told to.

use crate::cluster::{Cluster, timed, wait_for, wait_longer};
use crate::liar::Liar;
use crate::payer::{Payer, send, send_and_wait, stranger};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use timed::types::address::to_address;
use timed::types::lock::Lock;

/// Adds a section to the configuration of a node.
fn configure(cluster: &Cluster, node: usize, section: &str) {
    let path = cluster.folder(node).join("config.toml");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    writeln!(file, "\n{section}").unwrap();
}

/// A network whose nodes make a snapshot at the end of each epoch.
fn network(nodes: u16, base_port: u16, slot_ms: u64) -> Cluster {
    let mut cluster = Cluster::new(nodes, base_port, slot_ms);
    (0..cluster.len()).for_each(|node| configure(&cluster, node, "[storage]\nsnapshot_every = 1"));
    cluster.start_all();
    cluster
}

/// Files of a node's snapshots whose names end so.
fn snapshots(cluster: &Cluster, node: usize, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(cluster.folder(node).join("snapshots")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    paths
}

fn same_answers(cluster: &Cluster, payer: &Payer, joiner: usize) {
    for receiver in 50..55 {
        let address = to_address(&stranger(receiver), &payer.chain.address_hrp).unwrap();
        for method in ["get_balance", "list_unspent"] {
            let answer = |node| cluster.call(node, method, json!([address])).unwrap();
            assert_eq!(answer(joiner), answer(0), "{method}");
        }
    }
}

#[test]
fn a_node_that_begins_with_a_snapshot_believes_nobody() {
    let mut cluster = network(4, 31_560, 400);
    let mut payer = Payer::new(&cluster);
    let mut last = String::new();
    for round in 0..20 {
        let coin = payer.coins[round];
        let tx = payer.pay(coin, stranger(50 + u8::try_from(round).unwrap() % 5), 1_000_000);
        last = send(&cluster, round % 4, &tx).unwrap();
    }
    cluster.wait_status(&last, "archived");
    cluster.wait_height(0, 31);
    wait_for("two snapshots", || (snapshots(&cluster, 0, ".manifest").len() == 2).then_some(()));

    // Its first peer changes every chunk; the other one comes later.
    cluster.kill(3);
    let joiner = cluster.add_observer(&[3]);
    let port = cluster.p2p_port(joiner) + 5;
    let _liar = Liar::start(&payer.chain, ([127, 0, 0, 1], port).into(), cluster.p2p_address(1));
    let config = cluster.folder(joiner).join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let with_liar = text.replace("seeds = [", &format!("seeds = [\"127.0.0.1:{port}\", "));
    assert_ne!(text, with_liar);
    std::fs::write(&config, with_liar).unwrap();
    cluster.spawn_with(joiner, &["--sync", "snapshot"]);
    wait_for("the liar to be found out", || {
        cluster.log(joiner).contains("a chunk that is not the snapshot's").then_some(())
    });
    assert!(!cluster.log(joiner).contains("the snapshot is proved"));
    cluster.start(3);
    cluster.wait_until_up(joiner);
    let log = cluster.log(joiner);
    assert!(log.contains("the snapshot is proved") && !log.contains("every block from genesis"), "{log}");
    let bans = std::fs::read_to_string(cluster.folder(joiner).join("bans.json")).unwrap();
    assert!(bans.contains("a chunk that is not the snapshot's"), "{bans}");

    // It answers as the others do, and says what it does not have.
    let height = cluster.height(0);
    cluster.wait_height(joiner, height);
    same_answers(&cluster, &payer, joiner);
    let block = |height: Value| cluster.call(joiner, "get_block", json!([height]));
    let refused = block(json!(3)).unwrap_err();
    assert!(format!("{refused:?}").contains("not kept here"), "{refused:?}");
    assert_eq!(block(json!(height)).unwrap(), cluster.call(0, "get_block", json!([height])).unwrap());
    assert_eq!(
        cluster.call(joiner, "get_block_hash", json!([0])).unwrap(),
        cluster.call(0, "get_block_hash", json!([0])).unwrap()
    );
    let tx = payer.pay(payer.coins[20], stranger(50), 70_000);
    let txid = send_and_wait(&cluster, joiner, &tx);
    cluster.wait_status(&txid, "archived");

    // The next one can begin with what this one has, and both come back after a crash.
    let next = cluster.add_observer(&[joiner]);
    cluster.spawn_with(next, &["--sync", "snapshot"]);
    cluster.wait_until_up(next);
    assert!(cluster.log(next).contains("the snapshot is proved"), "{}", cluster.log(next));
    for node in [joiner, next] {
        cluster.kill(node);
        cluster.start(node);
        let height = cluster.height(0);
        cluster.wait_height(node, height);
        same_answers(&cluster, &payer, node);
        assert!(cluster.stop(node).success());
        let verified = timed().args(["db", "verify", "--data-dir"]).arg(cluster.folder(node)).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success() && said.contains("from the snapshot of height"), "{verified:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_snapshot_of_a_million_outputs() {
    const PAYMENTS: usize = 1_000;
    const OUTPUTS: usize = 1_000;
    let mut cluster = network(1, 31_700, 2_000);
    let mut payer = Payer::new(&cluster);
    let (mut last, started) = (String::new(), Instant::now());
    for round in 0..PAYMENTS {
        let lock = |n: usize| {
            let mut hash = [0; 32];
            let number = ((round * OUTPUTS + n) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash[..8].copy_from_slice(&number.to_be_bytes());
            Lock::KeyHash(hash)
        };
        let locks: Vec<Lock> = (0..OUTPUTS).map(lock).collect();
        let tx = payer.pay_many(payer.coins[round], &locks, 10_000);
        last = send(&cluster, 0, &tx).unwrap();
    }
    let patience = Duration::from_secs(900);
    wait_longer(patience, "the last payment in a block", || (cluster.status(0, &last)? == "archived").then_some(()));
    println!("{PAYMENTS} payments of {OUTPUTS} outputs in blocks after {:.1?}", started.elapsed());
    let big = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|file| file.len() > 70_000_000);
    wait_longer(patience, "a snapshot of it", || snapshots(&cluster, 0, ".utxos").iter().any(big).then_some(()));
    wait_for("a line about it", || cluster.log(0).contains("made a snapshot").then_some(()));
    let made = cluster.log(0);
    made.lines().filter(|line| line.contains("made a snapshot")).for_each(|line| println!("{line}"));

    let joiner = cluster.add_observer(&[0]);
    let started = Instant::now();
    cluster.spawn_with(joiner, &["--sync", "snapshot"]);
    wait_longer(patience, "the snapshot", || cluster.log(joiner).contains("the snapshot is proved").then_some(()));
    let proved = started.elapsed();
    wait_longer(patience, "an answer", || cluster.call(joiner, "get_block_count", json!([])).ok());
    let (took, memory) = (started.elapsed(), cluster.memory_kib(joiner));
    println!("proved after {proved:.1?}, answers after {took:.1?}, peak memory {} MiB", memory / 1_024);

    // Killed on the way it goes on with what it has.
    let again = cluster.add_observer(&[0]);
    cluster.spawn_with(again, &["--sync", "snapshot"]);
    wait_longer(patience, "a part of it", || {
        let parts = snapshots(&cluster, again, ".utxos.part");
        parts.iter().any(|path| std::fs::metadata(path).is_ok_and(|file| file.len() > 20_000_000)).then_some(())
    });
    cluster.kill(again);
    configure(&cluster, again, "[sync]\nmode = \"snapshot\"");
    let started = Instant::now();
    cluster.spawn(again);
    wait_longer(patience, "an answer", || cluster.call(again, "get_block_count", json!([])).ok());
    println!("killed and started again: answers after {:.1?}", started.elapsed());
    let log = cluster.log(again);
    let lines = log.lines().filter(|line| line.contains("fetching a snapshot") || line.contains("proved"));
    lines.for_each(|line| println!("{line}"));
    let total = |node| cluster.call(node, "get_blockchain_info", json!([])).unwrap()["supply"].clone();
    wait_for("the same supply", || (total(again) == total(0)).then_some(()));
}
