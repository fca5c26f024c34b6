//! A masternode started twice with one key, on two nodes that are not linked to each other.

use crate::cluster::{Cluster, wait_for};
use crate::payer::{Payer, send, stranger};
use crate::watch::Watch;
use serde_json::json;
use std::time::Duration;

/// The masternode of which there are two.
const FIRST: usize = 3;

fn signing(cluster: &Cluster, node: usize) -> Option<String> {
    let info = cluster.call(node, "get_node_info", json!([])).ok()?;
    info["signing"]["state"].as_str().map(str::to_owned)
}

/// Two payments of one coin, to two nodes at once: what masternodes vote for depends on what they hear first.
fn pay_rivals(cluster: &Cluster, payer: &mut Payer, round: usize) {
    let coin = payer.coins[round % payer.coins.len()];
    for (node, amount) in [(0, 1_000_000), (1, 2_000_000)] {
        let tx = payer.pay(coin, stranger(7), amount);
        // The second may be refused, and the coin be spent by now.
        send(cluster, node, &tx).ok();
    }
}

/// How the two are started.
#[derive(Clone, Copy, Debug)]
enum Start {
    Later,
    Together,
    FromAnOldCopy,
}

/// Starts both so many times, each time until one has fallen silent, and says what that led to.
fn start_twice(base_port: u16, tries: usize) {
    let mut cluster = Cluster::running(4, base_port, 1_000);
    let mut payer = Payer::new(&cluster);
    let watch = Watch::start(&payer.chain, &cluster.p2p_addresses());
    cluster.wait_height(FIRST, 2);
    let copy = cluster.add_copy(FIRST);
    let votes = [FIRST, copy].map(|node| cluster.folder(node).join("votes.log"));
    let (mut round, mut silenced) = (0, [0, 0]);
    for turn in 0..tries {
        let start = [Start::Later, Start::Together, Start::FromAnOldCopy][turn % 3];
        for _ in 0..turn % 5 {
            pay_rivals(&cluster, &mut payer, round);
            round += 1;
            std::thread::sleep(Duration::from_millis(60));
        }
        match start {
            Start::Later => {
                std::fs::copy(&votes[0], &votes[1]).unwrap();
            }
            Start::Together => {
                cluster.kill(FIRST);
                std::fs::copy(&votes[0], &votes[1]).unwrap();
                cluster.spawn(FIRST);
            }
            // As old as the last try.
            Start::FromAnOldCopy => {}
        }
        cluster.spawn(copy);
        let silent: Vec<usize> = wait_for("one of two to fall silent", || {
            pay_rivals(&cluster, &mut payer, round);
            round += 1;
            let states = [FIRST, copy].map(|node| signing(&cluster, node));
            let is_silent = |node: &usize| states[*node].as_deref() == Some("key_elsewhere");
            Some((0..2).filter(is_silent).collect::<Vec<_>>()).filter(|silent| !silent.is_empty())
        });
        silent.iter().for_each(|node| silenced[*node] += 1);
        let health = cluster.call([FIRST, copy][silent[0]], "get_health", json!([])).unwrap();
        assert_eq!(health["healthy"], json!(false), "{health}");
        cluster.kill(copy);
        if silent.contains(&0) {
            // The copy went on: what it signed is in its log, and goes with the key.
            cluster.kill(FIRST);
            std::fs::copy(&votes[1], &votes[0]).unwrap();
            cluster.start(FIRST);
        }
        wait_for("the first to sign", || (signing(&cluster, FIRST)? == "signs").then_some(()));
    }
    let height = cluster.height(0) + 3;
    (0..4).for_each(|node| cluster.wait_height(node, height));
    let (heard, signed_twice) = watch.verdict(&payer.made);
    println!(
        "{tries} times started twice: {} times the first fell silent, {} times the copy; {heard} votes heard, \
         {signed_twice} contradictions",
        silenced[0], silenced[1]
    );
    assert!(heard > 20 * tries, "{heard}");
    assert_eq!(signed_twice, 0);
}

#[test]
fn a_masternode_that_is_started_twice_signs_nothing_twice() {
    start_twice(32_600, 3);
}

/// `cargo test --release --test process -- --ignored --nocapture started_twice_a_hundred`
#[test]
#[ignore = "takes ten minutes"]
fn a_masternode_that_is_started_twice_a_hundred_times_signs_nothing_twice() {
    start_twice(32_640, 100);
}
