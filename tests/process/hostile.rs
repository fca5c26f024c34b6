//! Hostile peers over real sockets against one node of a live network: honest payments go on becoming final, the node's
//! memory stays bounded, and who offends is cut off. Latencies are printed and not asserted.

use crate::cluster::Cluster;
use crate::floods::{self, Flood, Flooded, RIVAL_COINS};
use crate::intruder::{Fate, Target};
use crate::offences::{self, Offence, drip_on_many_sockets};
use crate::payer::{Payer, send, stranger};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use timed::load::latency::Percentiles;

/// The node that is attacked.
const VICTIM: usize = 0;
/// Who attacks at a time.
const OFFENDERS: u64 = 4;
/// Number of the first peer that floods: other nodes than those that offend.
const FLOODERS: u64 = 1 << 40;
/// More memory than the bounds of `limits.rs` let a node of four need, however it is attacked.
const MOST_MEMORY_KIB: u64 = 1_500_000;
/// Pause between two payments: a light load.
const PAUSE: Duration = Duration::from_millis(50);

/// Honest payments through the victim, one after the other, until `over`; how long each took to become final there.
fn pay_on(cluster: &Cluster, payer: &mut Payer, over: &AtomicBool) -> Vec<u64> {
    let mut latencies = Vec::new();
    // At least one, however short the time was.
    while latencies.is_empty() || !over.load(Ordering::Relaxed) {
        let coin = payer.coins.pop().unwrap();
        let tx = payer.pay(coin, stranger(60), 10_000);
        let begin = Instant::now();
        let txid = send(cluster, VICTIM, &tx).unwrap();
        cluster.call(VICTIM, "wait_for_transaction", json!([txid, "finalized", 50_000])).unwrap();
        latencies.push(u64::try_from(begin.elapsed().as_micros()).unwrap());
        payer.coins.insert(0, Payer::rest_of(&tx));
        std::thread::sleep(PAUSE);
    }
    latencies
}

/// Ends what looks at its flag when it is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pays while `attack` runs, and prints what that came to.
fn under<T>(cluster: &Cluster, payer: &mut Payer, name: &str, attack: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let (done, latencies) = std::thread::scope(|scope| {
        let paying = scope.spawn(|| pay_on(cluster, payer, &over));
        // Dropped also where the attack panics, or the payments would go on for ever.
        let ending = Ending(&over);
        let done = attack();
        drop(ending);
        (done, paying.join().unwrap())
    });
    let count = latencies.len();
    let Percentiles { p50, p99, max, .. } = Percentiles::of(latencies).unwrap();
    let memory = cluster.memory_kib(VICTIM);
    println!("{name}: {count} payments final, p50 {p50} ms, p99 {p99} ms, longest {max} ms; {} MiB", memory / 1_024);
    assert!(memory < MOST_MEMORY_KIB, "{name}: {memory} KiB");
    done
}

/// Commits an offence over and over, each time as somebody else; everybody who came that far has to be cut off.
fn repeat(target: &Target, offence: &Offence, length: Duration) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let end = Instant::now() + length;
    let fates = std::thread::scope(|scope| {
        let offend = || {
            let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
            while Instant::now() < end {
                let begin = Instant::now();
                let fate = (offence.commit)(target, NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(Fate::Refused);
                *fates.entry(fate).or_default() += 1;
                std::thread::sleep(offence.every.saturating_sub(begin.elapsed()));
            }
            fates
        };
        let offenders: Vec<_> = (0..OFFENDERS).map(|_| scope.spawn(offend)).collect();
        let mut all: BTreeMap<Fate, u64> = BTreeMap::new();
        for (fate, count) in offenders.into_iter().flat_map(|offender| offender.join().unwrap()) {
            *all.entry(fate).or_default() += count;
        }
        all
    });
    let cut: u64 = fates.iter().filter(|(fate, _)| matches!(fate, Fate::Cut(_))).map(|(_, count)| count).sum();
    let seconds = length.as_secs_f64();
    let signatures = (offence.signatures * cut) as f64 / seconds;
    println!("    {fates:?} in {seconds} s; {signatures:.0} bad signatures a second");
    assert!(!fates.contains_key(&Fate::Kept), "{}: kept", offence.name);
    assert!(cut > 0, "{}: nobody came as far as that", offence.name);
    if let Some(reason) = offence.told {
        assert!(fates.contains_key(&Fate::Cut(Some(reason.to_owned()))), "{}: nobody was told why", offence.name);
    }
}

/// Floods the node as several peers; says how much of it there was.
fn flood(target: &Target, flood: &Flood, length: Duration) {
    let (end, flooded) = (Instant::now() + length, Flooded::default());
    std::thread::scope(|scope| {
        for number in 0..OFFENDERS {
            let flooded = &flooded;
            scope.spawn(move || flood.run(target, FLOODERS + number, end, flooded));
        }
    });
    let [units, links, cut] = [&flooded.units, &flooded.links, &flooded.cut].map(|count| count.load(Ordering::Relaxed));
    let a_second = units as f64 / length.as_secs_f64();
    println!("    {a_second:.0} {} a second over {links} links, {cut} of them cut off", flood.unit);
    assert!(units > 0, "{}: nobody came as far as that", flood.name);
}

fn attacked(base_port: u16, each: Duration, sockets: usize) {
    let cluster = Cluster::running(4, base_port, 1_000);
    let mut payer = Payer::new(&cluster);
    let target = Target { address: cluster.p2p_address(VICTIM), chain: payer.chain.id() };
    let honest = honest_peers(&cluster);
    assert_eq!(honest.len(), 3, "{honest:?}");
    under(&cluster, &mut payer, "quiet", || std::thread::sleep(each));
    let theirs = payer.coins.split_off(payer.coins.len() - RIVAL_COINS);
    for flooding in floods::all(&payer, theirs).iter().filter(|flooding| is_wanted(flooding.name)) {
        under(&cluster, &mut payer, flooding.name, || flood(&target, flooding, each));
    }
    for offence in offences::all(&payer.chain, cluster.rpc_address(VICTIM)).iter().filter(|o| is_wanted(o.name)) {
        under(&cluster, &mut payer, offence.name, || repeat(&target, offence, each));
    }
    let name = format!("slow bytes on {sockets} sockets");
    if is_wanted("slow bytes") {
        let closed = under(&cluster, &mut payer, &name, || drip_on_many_sockets(&target, sockets, each));
        println!("    {closed} sockets closed by the node, all in the end");
    }
    under(&cluster, &mut payer, "quiet again", || std::thread::sleep(each));
    let height = cluster.height(VICTIM) + 2;
    (0..4).for_each(|node| cluster.wait_height(node, height));
    assert_eq!(honest_peers(&cluster), honest, "honest links held, and no other one is there");
}

/// Whether this attack is one of those that `HOSTILE` names, or all are wanted.
fn is_wanted(name: &str) -> bool {
    std::env::var("HOSTILE").ok().is_none_or(|wanted| wanted.split(',').any(|wanted| name.contains(wanted)))
}

/// The links of the victim: who, and since when.
fn honest_peers(cluster: &Cluster) -> Vec<(Value, Value)> {
    let peers = cluster.call(VICTIM, "get_peer_info", json!([])).unwrap();
    let mut peers: Vec<_> =
        peers.as_array().unwrap().iter().map(|peer| (peer["node_id"].clone(), peer["address"].clone())).collect();
    peers.sort_by_key(|(node, _)| node.to_string());
    peers
}

#[test]
fn hostile_peers_are_cut_off_and_payments_go_on() {
    attacked(31_600, Duration::from_secs(2), 1_000);
}

#[test]
#[ignore = "takes minutes"]
fn hostile_peers_for_long() {
    let seconds = std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    attacked(31_650, Duration::from_secs(seconds), 1_000);
}
