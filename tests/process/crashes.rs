//! `kill -9` under load: everything acknowledged is there afterwards, and no key signed two things.

use crate::cluster::{Cluster, wait_for};
use crate::payer::{Payer, send, stranger};
use crate::watch::Watch;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use timed::types::transaction::Transaction;

/// Payments on their way at a time.
const IN_FLIGHT: usize = 40;

/// How long a kill waits for something to become final.
const PROGRESS: Duration = Duration::from_secs(15);

/// What a run of crashes came to.
struct Outcome {
    kills: u64,
    acknowledged: usize,
    lost: Vec<String>,
    heard: usize,
    signed_twice: usize,
}

/// Kills one node or all of them at random moments while payments flow; every payment that a node called final counts as
/// acknowledged.
fn crash(base_port: u16, cycles: u64) -> Outcome {
    let mut rng = ChaCha12Rng::seed_from_u64(cycles);
    let mut cluster = Cluster::running(4, base_port, 1_000);
    let mut payer = Payer::new(&cluster);
    let watch = Watch::start(&payer.chain, &cluster.p2p_addresses());
    let mut under_way: BTreeMap<String, Transaction> = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    let mut kills = 0;
    for cycle in 0..cycles {
        let looks = 3 + rng.random_range(0..12);
        // A node that starts listens before it signs: between two kills something becomes final.
        let (mut looked, before, patience) = (0, acknowledged.len(), Instant::now() + PROGRESS);
        while looked < looks || (acknowledged.len() == before && Instant::now() < patience) {
            looked += 1;
            pay_and_look(&cluster, &mut payer, &mut rng, &mut under_way, &mut acknowledged);
        }
        // Every fifth time the power goes for all of them.
        let victims: Vec<usize> = if cycle % 5 == 4 { (0..4).collect() } else { vec![rng.random_range(0..4)] };
        victims.iter().for_each(|node| cluster.kill(*node));
        kills += victims.len() as u64;
        if victims.len() == 1 {
            (0..3).for_each(|_| pay_and_look(&cluster, &mut payer, &mut rng, &mut under_way, &mut acknowledged));
        }
        victims.iter().for_each(|node| cluster.spawn(*node));
        victims.iter().for_each(|node| cluster.wait_until_up(*node));
    }
    let reference = cluster.height(0) + 2;
    (0..4).for_each(|node| cluster.wait_height(node, reference));
    let is_lost = |txid: &&String| {
        let archived = |node| cluster.status(node, txid).as_deref() == Some("archived");
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..4).for_each(|node| wait_for("what was acknowledged", || archived(node).then_some(())));
        }));
        found.is_err()
    };
    let lost = acknowledged.iter().filter(is_lost).cloned().collect();
    let (heard, signed_twice) = watch.verdict(&payer.made);
    Outcome { kills, acknowledged: acknowledged.len(), lost, heard, signed_twice }
}

fn pay_and_look(
    cluster: &Cluster,
    payer: &mut Payer,
    rng: &mut ChaCha12Rng,
    under_way: &mut BTreeMap<String, Transaction>,
    acknowledged: &mut BTreeSet<String>,
) {
    let up: Vec<usize> = (0..cluster.len()).filter(|node| cluster.is_running(*node)).collect();
    let mut some = || up[rng.next_u32() as usize % up.len()];
    while under_way.len() < IN_FLIGHT {
        let Some(coin) = payer.coins.pop() else { break };
        let tx = payer.pay(coin, stranger(9), 10_000);
        under_way.insert(tx.body.txid().to_string(), tx);
    }
    for (txid, tx) in std::mem::take(under_way) {
        let node = some();
        // Handed in again and again, as users do who see nothing happen; a node may be on its way up.
        send(cluster, node, &tx).ok();
        match cluster.status(some(), &txid).as_deref() {
            Some("finalized" | "archived") => {
                acknowledged.insert(txid);
                payer.coins.insert(0, Payer::rest_of(&tx));
            }
            _ => {
                under_way.insert(txid, tx);
            }
        }
    }
}

fn report(outcome: &Outcome) {
    println!(
        "{} kills: {} payments acknowledged, {} lost; {} votes heard, {} signed twice",
        outcome.kills,
        outcome.acknowledged,
        outcome.lost.len(),
        outcome.heard,
        outcome.signed_twice
    );
    assert!(outcome.acknowledged > 0 && outcome.heard > 0, "a run in which nothing happened shows nothing");
    assert!(outcome.lost.is_empty(), "acknowledged and lost: {:?}", outcome.lost);
    assert_eq!(outcome.signed_twice, 0);
}

#[test]
fn nothing_acknowledged_is_lost_when_nodes_are_killed() {
    report(&crash(30_700, 6));
}

#[test]
#[ignore = "takes minutes"]
fn kill_cycles() {
    let cycles = std::env::var("KILL_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    report(&crash(31_800, cycles));
}
