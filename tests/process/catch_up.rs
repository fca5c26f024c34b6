//! A node that fetches a long chain from several others: killed midway and resumed, and how fast it is.

use crate::cluster::{Cluster, timed, wait_for, wait_longer};
use crate::grown::grow;
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use timed::crypto::batch::{SignatureCheck, verify_all};
use timed::types::lock::Witness;
use timed::types::transaction::{HashedTx, sighash};

/// Nodes that serve, which observe.
const SERVERS: usize = 3;

/// A network whose masternodes never run, observers with a chain of so many blocks, and one without.
fn network(
    base_port: u16,
    blocks: usize,
    payments: usize,
    is_quick: bool,
) -> (Cluster, Vec<usize>, usize, Vec<HashedTx>) {
    let mut cluster = Cluster::new(4, base_port, 1_000);
    if is_quick {
        let file = cluster.net().join("chain.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.starts_with("vdf_iterations")).unwrap();
        std::fs::write(&file, text.replace(line, "vdf_iterations = 1")).unwrap();
    }
    let servers: Vec<usize> = (0..SERVERS).map(|_| cluster.add_observer(&[])).collect();
    let payments = grow(&cluster, &servers, blocks, payments);
    servers.iter().for_each(|server| cluster.start(*server));
    let joiner = cluster.add_observer(&servers);
    (cluster, servers, joiner, payments)
}

fn height(cluster: &Cluster, node: usize) -> Option<u64> {
    cluster.call(node, "get_block_count", json!([])).ok()?.as_u64()
}

#[test]
fn a_node_that_catches_up_is_killed_midway_and_goes_on_from_there() {
    const BLOCKS: u64 = 400;
    let (mut cluster, servers, joiner, _) = network(32_000, BLOCKS as usize, 50, true);
    cluster.spawn(joiner);
    let reached = wait_for("a part of the chain", || height(&cluster, joiner).filter(|height| *height > 20));
    let status = cluster.call(joiner, "masternode_status", json!([])).unwrap();
    if status["height"].as_u64().unwrap() < BLOCKS {
        assert_eq!(status["state"], json!("behind"), "{status}");
    }
    cluster.kill(joiner);
    println!("killed at height {reached} of {BLOCKS}");
    // One of those that serve is gone meanwhile.
    cluster.kill(servers[0]);
    cluster.start(joiner);
    let found = height(&cluster, joiner).unwrap();
    assert!(found > 0, "what was on disk before the kill is not fetched again");
    cluster.wait_height(joiner, BLOCKS);
    let info = cluster.call(joiner, "get_blockchain_info", json!([])).unwrap();
    assert_eq!((&info["syncing"], &info["sync_height"]), (&json!(false), &json!(BLOCKS)));
    for height in [1, BLOCKS / 2, BLOCKS] {
        let block = |node| cluster.call(node, "get_block", json!([height, 2])).unwrap();
        assert_eq!(block(joiner), block(servers[1]), "height {height}");
    }
    assert!(cluster.stop(joiner).success());
    let verified = timed().args(["db", "verify", "--data-dir"]).arg(cluster.folder(joiner)).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// Ends with the test, however that ends.
struct Terminal(Child);

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_terminal_shows_a_bar_while_a_node_catches_up() {
    if Command::new("script").arg("--version").output().is_err() {
        println!("SKIPPED: a node on a terminal needs script, of util-linux");
        return;
    }
    let (cluster, _, joiner, _) = network(32_200, 1_000, 30, true);
    let (config, shown) = (cluster.folder(joiner).join("config.toml"), cluster.folder(joiner).join("terminal.txt"));
    let node = format!("{} --config {}", env!("CARGO_BIN_EXE_timed"), config.display());
    let mut script = Command::new("script");
    script.args(["-qefc", &node]).arg(&shown).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _terminal = Terminal(script.spawn().unwrap());
    cluster.wait_height(joiner, 1_000);
    let said = wait_for("its last line", || {
        let said = String::from_utf8_lossy(&std::fs::read(&shown).ok()?).into_owned();
        said.contains("caught up").then_some(said)
    });
    let bars: Vec<&str> = said.split('\r').filter(|part| part.contains(" of 1000") && part.contains(" left")).collect();
    assert!(bars.iter().any(|bar| bar.contains('%') && bar.contains("block ")), "{said}");
}

/// `cargo test --release --test process -- --ignored --nocapture catches_up_on_a_hundred_thousand`
#[test]
#[ignore = "prints figures; takes minutes"]
fn a_node_catches_up_on_a_hundred_thousand_payments() {
    let blocks = setting("SYNC_BLOCKS", 101);
    let each = setting("SYNC_PAYMENTS", 1_000);
    let (mut cluster, _, joiner, payments) = network(32_100, blocks, each, false);
    let limit = signatures_a_second(&cluster, &payments);
    let begin = Instant::now();
    cluster.spawn(joiner);
    let mut first = None;
    wait_longer(Duration::from_secs(600), "the whole chain", || {
        let height = height(&cluster, joiner)?;
        first.get_or_insert_with(Instant::now);
        (height >= blocks as u64).then_some(())
    });
    let (took, up) = (begin.elapsed(), first.map_or(Duration::ZERO, |first| first.duration_since(begin)));
    let count = payments.len() as u128;
    let rate = count * 1_000 / took.as_millis();
    println!(
        "{count} payments in {blocks} blocks from {SERVERS} peers: {} ms ({} ms of it until it answered), {rate} payments/s",
        took.as_millis(),
        up.as_millis()
    );
    println!("all cores verify {limit} signatures/s in batches: {} per mille of that", rate * 1_000 / limit.max(1));
    println!("memory at its peak {} MiB", cluster.memory_kib(joiner) >> 10);
    let begin = Instant::now();
    cluster.kill(joiner);
    cluster.start(joiner);
    println!("killed and started anew: {} ms until it answers", begin.elapsed().as_millis());
    cluster.wait_height(joiner, blocks as u64);
}

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// The best of three, of the payments' own signatures, while nothing else runs but nodes that wait.
fn signatures_a_second(cluster: &Cluster, payments: &[HashedTx]) -> u128 {
    let chain = cluster.chain().id();
    let check = |tx: &HashedTx| {
        let Witness::Key { pubkey, signature } = &tx.tx().witnesses[0] else { panic!("one key signs") };
        SignatureCheck { key: *pubkey, digest: sighash(&chain, &tx.txid()), signature: *signature }
    };
    let checks: Vec<SignatureCheck> = payments.iter().take(30_000).map(check).collect();
    let run = || {
        let begin = Instant::now();
        assert!(verify_all(&checks).into_iter().all(|good| good));
        checks.len() as u128 * 1_000_000 / begin.elapsed().as_micros().max(1)
    };
    (0..3).map(|_| run()).max().unwrap()
}
