//! A disk that fills up under load: the node says so and stops, the others go on, and with more room it goes on too.

use crate::cluster::{Cluster, wait_for};
use crate::payer::{Payer, send, send_and_wait, stranger};
use crate::tmpfs::Tmpfs;
use crate::watch::Watch;
use std::collections::BTreeSet;

/// The node with the small disk.
const SMALL: usize = 3;
/// What it starts with, and by how much it grows each time: a devnet's node takes about 1,500 at its start, and
/// some thousand to open an index that could not be written to its end.
const FIRST_KIB: u64 = 4_096;
const MORE_KIB: u64 = 6_000;
/// How often it runs full: each time another file is the one that hits the end.
const ROUNDS: u64 = 2;
/// Payments under way at a time.
const IN_FLIGHT: usize = 100;

/// Payments that keep flowing, and what the node with the small disk said of them.
struct Load {
    payer: Payer,
    under_way: Vec<timed::types::transaction::Transaction>,
    /// Final by the word of the node with the small disk.
    told: BTreeSet<String>,
    /// Final by the word of another one.
    others: usize,
}

impl Load {
    /// Hands in payments at all nodes that run and asks what became of the earlier ones.
    fn step(&mut self, cluster: &Cluster) {
        while self.under_way.len() < IN_FLIGHT {
            let Some(coin) = self.payer.coins.pop() else { break };
            let tx = self.payer.pay(coin, stranger(8), 10_000);
            // A node that is about to stop may refuse; the others hear of it.
            (0..cluster.len()).for_each(|node| drop(send(cluster, node, &tx)));
            self.under_way.push(tx);
        }
        for tx in std::mem::take(&mut self.under_way) {
            let txid = tx.body.txid().to_string();
            let is_final = |node| matches!(cluster.status(node, &txid).as_deref(), Some("finalized" | "archived"));
            let (here, there) = (is_final(SMALL), is_final(0));
            if here {
                self.told.insert(txid);
            }
            // A coin is spent anew once both have said so, or the small one cannot.
            if there && (here || !cluster.is_running(SMALL)) {
                self.others += 1;
                self.payer.coins.insert(0, Payer::rest_of(&tx));
            } else {
                self.under_way.push(tx);
            }
        }
    }
}

/// The node ended by itself, said what it could not write, and did not say so by crashing.
fn check_end(cluster: &Cluster, status: std::process::ExitStatus, log_before: usize) {
    let log = cluster.log(SMALL);
    let said = &log[log_before..];
    let complaint = said.lines().rev().find(|line| line.contains("No space left on device"));
    let complaint = complaint.unwrap_or_else(|| panic!("{status}, and no word of the disk: {said}"));
    eprintln!("the node ended with {status}: {complaint}");
    // A file by its path, or the index, whose files sled does not name.
    let folder = cluster.folder(SMALL).display().to_string();
    assert!(complaint.contains(&folder) || complaint.contains("db/"), "it does not say what: {complaint}");
    assert_eq!(status.code(), Some(1), "{said}");
}

#[test]
fn a_node_whose_disk_is_full_says_so_and_stops_and_loses_nothing() {
    let mut cluster = Cluster::new(4, 31_300, 1_000);
    let folder = cluster.folder(SMALL);
    let disk = match Tmpfs::over(&folder, FIRST_KIB) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("SKIPPED: cannot mount a small file system, so no disk ran full: {reason}");
            return;
        }
    };
    // The log of the node is the operator's, on another disk.
    let log = cluster.net().join("small.log");
    std::os::unix::fs::symlink(log, folder.join("node.log")).unwrap();
    cluster.start_all();
    let payer = Payer::new(&cluster);
    let watch = Watch::start(&payer.chain, &cluster.p2p_addresses());
    let mut load = Load { payer, under_way: Vec::new(), told: BTreeSet::new(), others: 0 };
    for round in 1..=ROUNDS {
        let log_before = cluster.log(SMALL).len();
        let told_before = load.told.len();
        let status = wait_for("a full disk", || {
            load.step(&cluster);
            cluster.ended(SMALL)
        });
        check_end(&cluster, status, log_before);
        println!("round {round}: {} told as final by it, {} bytes free", load.told.len() - told_before, disk.free());
        // Without more room it does not come back, says why, and does no harm trying.
        let log_before = cluster.log(SMALL).len();
        cluster.spawn(SMALL);
        let (height, others) = (cluster.height(0), load.others);
        let status = wait_for("the end of a node without room", || {
            load.step(&cluster);
            cluster.ended(SMALL)
        });
        check_end(&cluster, status, log_before);
        wait_for("the others to go on", || {
            load.step(&cluster);
            (cluster.height(0) >= height + 3 && load.others > others).then_some(())
        });
        disk.resize(FIRST_KIB + round * MORE_KIB + if round == ROUNDS { 200_000 } else { 0 });
        cluster.start(SMALL);
    }
    let coin = load.payer.coins.pop().unwrap();
    let tx = load.payer.pay(coin, stranger(8), 10_000);
    let last = send_and_wait(&cluster, SMALL, &tx);
    cluster.wait_status(&last, "archived");
    cluster.wait_height(SMALL, cluster.height(0));
    assert!(load.told.len() > 100, "{} payments filled no disk", load.told.len());
    for txid in &load.told {
        cluster.wait_status(txid, "archived");
    }
    let (heard, signed_twice) = watch.verdict(&load.payer.made);
    println!("{} told as final, none lost; {heard} votes heard, {signed_twice} signed twice", load.told.len());
    assert!(heard > 100, "{heard}");
    assert_eq!(signed_twice, 0);
}
