//! What `masternode_status` says where the node itself is at fault: another key than the registered one, a wrong clock.

use crate::cluster::{Cluster, timed, wait_for};
use serde_json::{Value, json};
use timed::network::{Clock, Network, Settings};
use timed::types::keys::SecretKey;
use timed::types::number::TimeMs;

/// The node that something is wrong with.
const NODE: usize = 3;
/// Peers whose clocks agree against it: more than the honest ones.
const LIARS: u16 = 5;
const BASE_PORT: u16 = 29_100;
/// By how much they are off.
const AHEAD_MS: u64 = 90_000;

/// Waits for a state, and holds what the command says against it.
fn wait_state(cluster: &Cluster, state: &str) -> Value {
    let found = wait_for(state, || {
        let found = cluster.call(NODE, "masternode_status", json!([])).ok()?;
        (found["state"] == json!(state)).then_some(found)
    });
    let url = format!("http://{}", cluster.rpc_address(NODE));
    let output = timed().args(["--rpc-url", &url, "masternode", "status"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(state) && said.contains(found["what_to_do"].as_str().unwrap()), "{said}");
    assert_eq!(output.status.success(), state == "active", "{said}");
    found
}

#[test]
fn another_key_than_the_registered_one_is_told_apart_from_none() {
    let mut cluster = Cluster::running(4, 29_000, 1_000);
    let active = wait_state(&cluster, "active");
    let registered = active["consensus_key"].clone();
    let [(key, key_aside), (log, log_aside)] =
        ["masternode.key", "votes.log"].map(|name| (cluster.folder(NODE).join(name), cluster.net().join(name)));
    assert!(cluster.stop(NODE).success());
    std::fs::rename(&key, &key_aside).unwrap();
    let other = timed::keyfile::generate();
    timed::keyfile::create(&key, &other).unwrap();
    // With the log of the key that was there it does not even start.
    let refused = timed().arg("--config").arg(cluster.folder(NODE).join("config.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("move votes.log away"), "{said}");
    std::fs::rename(&log, &log_aside).unwrap();
    cluster.start(NODE);
    let mismatch = wait_state(&cluster, "key_mismatch");
    let why = mismatch["why"].as_str().unwrap();
    assert_eq!(mismatch["consensus_key"], json!(other.public_key().to_string()));
    assert_eq!(mismatch["masternode"]["consensus_key"], registered, "{mismatch}");
    assert!(why.contains(registered.as_str().unwrap()) && why.contains(&other.public_key().to_string()), "{why}");
    // Put right, it votes again.
    assert!(cluster.stop(NODE).success());
    std::fs::rename(&key_aside, &key).unwrap();
    std::fs::rename(&log_aside, &log).unwrap();
    cluster.start(NODE);
    assert_eq!(wait_state(&cluster, "active")["consensus_key"], registered);
}

#[test]
fn a_clock_that_most_peers_call_wrong_is_told_and_told_no_more_when_they_are_gone() {
    let mut cluster = Cluster::running(4, BASE_PORT, 1_000);
    wait_state(&cluster, "active");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ahead = Clock::new(|| TimeMs(Clock::system().now().0 + AHEAD_MS));
    let addresses: Vec<String> = (0..LIARS).map(|n| format!("127.0.0.1:{}", BASE_PORT + 50 + n)).collect();
    let liars: Vec<Network> = addresses
        .iter()
        .zip(0x60..)
        .map(|(address, seed)| {
            let mut settings = Settings::new(cluster.chain().id(), SecretKey::from_bytes(&[seed; 32]));
            settings.listen = Some(address.parse().unwrap());
            // The first to come is the one that was told to: the others hear of it, and find no room.
            settings.max_inbound_per_ip = 1;
            settings.clock = ahead.clone();
            let (network, mut events) = runtime.block_on(Network::start(settings)).unwrap();
            runtime.spawn(async move { while events.recv().await.is_some() {} });
            network
        })
        .collect();
    // Who merely connects has no say: the node is told to go to them.
    assert!(cluster.stop(NODE).success());
    let file = cluster.folder(NODE).join("config.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let seeds = addresses.iter().map(|address| format!("{address:?}, ")).collect::<String>();
    std::fs::write(&file, config.replace("seeds = [", &format!("seeds = [{seeds}"))).unwrap();
    cluster.start(NODE);
    let wrong = wait_state(&cluster, "clock_wrong");
    assert!(wrong["why"].as_str().unwrap().contains("clock"), "{wrong}");
    liars.into_iter().for_each(|network| runtime.block_on(network.stop()));
    wait_state(&cluster, "active");
}
