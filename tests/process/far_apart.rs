//! Seven nodes far apart: what distance, loss and a long cut cost. It prints figures and asserts none of them.

use crate::cluster::{Cluster, wait_for};
use crate::partitions::partition;
use crate::payer::{Payer, send, stranger};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use timed::load::latency::Percentiles;

const NODES: u16 = 7;
const SLOT_MS: u64 = 10_000;
/// There and back twice this.
const ONE_WAY: Duration = Duration::from_millis(50);
const LOSS_PER_MILLE: u32 = 10;
const PAYMENTS: usize = 200;
const CUT: Duration = Duration::from_secs(60);
/// Pause between two looks at a height: how exactly the time of a block is known.
const LOOK: Duration = Duration::from_millis(5);

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

fn print(what: &str, latencies: Vec<u64>) {
    let count = latencies.len();
    let Percentiles { p50, p90, p99, max } = Percentiles::of(latencies).unwrap();
    println!("{what}: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, longest {max} ms, of {count}");
}

/// Milliseconds from the start of each block's slot until a node has it, as long as `over` is not set.
fn block_times(cluster: &Cluster, node: usize, over: &AtomicBool) -> Vec<u64> {
    let mut latencies = Vec::new();
    let mut height = cluster.height(node);
    while !over.load(Ordering::Relaxed) {
        let now = cluster.height(node);
        let seen = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        if now > height {
            let header = cluster.call(node, "get_block_header", json!([now])).unwrap();
            let start = Duration::from_millis(header["time"].as_u64().unwrap());
            latencies.push(micros(seen.saturating_sub(start)));
            height = now;
        }
        std::thread::sleep(LOOK);
    }
    latencies
}

/// Payments one after the other, each at another node: from handing in until that node calls it final.
fn finality(cluster: &Cluster, payer: &mut Payer) -> Vec<u64> {
    let pay = |round: usize| {
        let coin = payer.coins.pop().unwrap();
        let tx = payer.pay(coin, stranger(50), 10_000);
        let node = round % usize::from(NODES);
        let begin = Instant::now();
        let txid = send(cluster, node, &tx).unwrap();
        cluster.call(node, "wait_for_transaction", json!([txid, "finalized", 80_000])).unwrap();
        micros(begin.elapsed())
    };
    (0..PAYMENTS).map(pay).collect()
}

fn peers(cluster: &Cluster, node: usize) -> usize {
    let peers = cluster.call(node, "get_peer_info", json!([])).ok();
    peers.and_then(|peers| peers.as_array().map(Vec::len)).unwrap_or(0)
}

#[test]
#[ignore = "takes minutes"]
fn seven_nodes_far_apart() {
    let mut cluster = match Cluster::on_machines(NODES, 1, SLOT_MS) {
        Ok(cluster) => cluster,
        Err(reason) => return eprintln!("SKIPPED: cannot make machines: {reason}"),
    };
    cluster.wire().set_line(ONE_WAY, LOSS_PER_MILLE);
    cluster.start_all();
    let all = usize::from(NODES);
    (0..all).for_each(|node| wait_for("links", || (peers(&cluster, node) == all - 1).then_some(())));
    cluster.wait_height(0, 1);

    let over = AtomicBool::new(false);
    let mut payer = Payer::new(&cluster);
    let (latencies, blocks) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| block_times(&cluster, 1, &over));
        let latencies = finality(&cluster, &mut payer);
        let height = cluster.height(1) + 4;
        cluster.wait_height(1, height);
        over.store(true, Ordering::Relaxed);
        (latencies, looking.join().unwrap())
    });
    print("finality of payments, one at a time", latencies);
    print("blocks, from the start of the slot", blocks);

    let outcome = partition(&cluster, &[4, 5, 6], Duration::from_secs(5), CUT);
    println!(
        "4 and 3 cut apart for {} s: {} payments and {} pairs, {:?} final meanwhile; level {:.1} s after healing; {} votes heard",
        CUT.as_secs(),
        outcome.payments,
        outcome.pairs,
        outcome.final_during,
        outcome.level_after.as_secs_f64(),
        outcome.heard
    );

    let observer = cluster.add_observer(&[0]);
    let begin = Instant::now();
    cluster.start(observer);
    wait_for("links to all", || (peers(&cluster, observer) == all).then_some(()));
    println!("a node that knows one other is linked to all {all} after {:.1} s", begin.elapsed().as_secs_f64());
    let (carried, lost) = cluster.wire().counts();
    println!("{carried} frames carried, {lost} lost or stopped");
}
