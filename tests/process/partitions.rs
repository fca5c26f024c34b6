//! Nodes on machines of their own whose network is cut in two under load, and healed.

use crate::cluster::{Cluster, wait_longer};
use crate::traffic::Traffic;
use crate::watch::Watch;
use std::time::{Duration, Instant};

/// How long nodes may take to find each other again and catch up: they dial again after a minute at most.
const LEVEL: Duration = Duration::from_secs(300);

/// Most payments handed in during a cut.
const ROUNDS: u32 = 250;

/// What a partition came to.
pub struct Outcome {
    pub payments: usize,
    pub pairs: usize,
    /// Of what was handed in during the cut: final before it healed, on each side.
    pub final_during: [usize; 2],
    /// From healing until all nodes have one height, a new block among what they have.
    pub level_after: Duration,
    pub heard: usize,
}

fn heights(cluster: &Cluster) -> Vec<u64> {
    (0..cluster.len()).map(|node| cluster.height(node)).collect()
}

/// Cuts `beyond` off from the other nodes of a running cluster for that long.
pub fn partition(cluster: &Cluster, beyond: &[usize], before: Duration, cut: Duration) -> Outcome {
    let mut traffic = Traffic::new(cluster, cut / ROUNDS);
    let watch = Watch::start(&traffic.payer.chain, &cluster.p2p_addresses());
    let sides = [(0..cluster.len()).filter(|node| !beyond.contains(node)).collect(), beyond.to_vec()];
    traffic.flow(cluster, &sides, before);
    cluster.wire().cut(beyond);
    let start = heights(cluster);
    let handed_in = traffic.flow(cluster, &sides, cut);
    let end = heights(cluster);
    let final_during = [0, 1].map(|side| traffic.final_at(&sides[side], &handed_in));
    cluster.wire().heal();
    let healed = Instant::now();
    for (side, nodes) in sides.iter().enumerate() {
        // All masternodes of a devnet weigh the same, and two thirds are not enough.
        if nodes.len() * 3 > 2 * cluster.len() {
            assert!(nodes.iter().all(|node| end[*node] > start[*node]), "stood still: {start:?} {end:?}");
            assert!(final_during[side] > 0, "a side with a quorum finalized nothing");
        } else {
            // A block may have been on its way to its commit.
            assert!(nodes.iter().all(|node| end[*node] <= start[*node] + 1), "no quorum: {start:?} {end:?}");
            assert_eq!(final_during[side], 0, "a side without a quorum called payments final");
        }
    }
    let highest = end.iter().max().copied().unwrap();
    wait_longer(LEVEL, "all nodes level", || {
        let now = heights(cluster);
        now.iter().all(|height| *height > highest && *height == now[0]).then_some(())
    });
    let level_after = healed.elapsed();
    let (payments, pairs) = traffic.settle(cluster);
    let (heard, signed_twice) = watch.verdict(&traffic.payer.made);
    assert_eq!(signed_twice, 0);
    assert!(heard > 100, "{heard}");
    Outcome { payments, pairs, final_during, level_after, heard }
}

/// Four nodes, ten seconds; says so and does nothing where machines cannot be made.
fn ten_seconds_without(beyond: &[usize]) {
    let mut cluster = match Cluster::on_machines(4, 0, 1_000) {
        Ok(cluster) => cluster,
        Err(reason) => {
            eprintln!("SKIPPED: cannot make machines, so no network was cut in two: {reason}");
            return;
        }
    };
    cluster.start_all();
    cluster.wait_height(0, 2);
    let outcome = partition(&cluster, beyond, Duration::from_secs(3), Duration::from_secs(10));
    let (carried, stopped) = cluster.wire().counts();
    println!(
        "{beyond:?} cut off for 10 s: {} payments and {} pairs, {:?} final meanwhile on the two sides; level {:.1} s after \
         healing; {} votes heard; {carried} frames carried, {stopped} stopped",
        outcome.payments,
        outcome.pairs,
        outcome.final_during,
        outcome.level_after.as_secs_f64(),
        outcome.heard
    );
}

#[test]
fn two_of_four_cut_off_from_the_other_two_agree_on_everything_afterwards() {
    ten_seconds_without(&[2, 3]);
}

#[test]
fn one_of_four_cut_off_calls_nothing_final_and_catches_up_while_three_go_on() {
    ten_seconds_without(&[3]);
}
