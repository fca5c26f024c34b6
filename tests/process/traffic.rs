//! Payments and rival pairs that keep coming while a network is cut in two, and what each node says of them.

use crate::cluster::{Cluster, wait_for};
use crate::payer::{Payer, send, stranger};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Every how many rounds two rivals go out.
const RIVALS_EVERY: usize = 4;
/// Most txids in one question.
const MAX_ASKED: usize = 1_000;

/// See the module.
pub struct Traffic {
    pub payer: Payer,
    /// Between two rounds: short enough that something is always under way, and long enough that the coins last.
    pause: Duration,
    rounds: usize,
    /// Payments without a rival.
    plain: BTreeSet<String>,
    pairs: Vec<[String; 2]>,
    /// Who said of what that it is final.
    said: BTreeMap<String, BTreeSet<usize>>,
}

impl Traffic {
    pub fn new(cluster: &Cluster, pause: Duration) -> Self {
        let (payer, said) = (Payer::new(cluster), BTreeMap::new());
        Self { payer, pause, rounds: 0, plain: BTreeSet::new(), pairs: Vec::new(), said }
    }

    /// Goes on for that long; rivals go to one node of each side. Returns what was handed in.
    pub fn flow(&mut self, cluster: &Cluster, sides: &[Vec<usize>; 2], length: Duration) -> BTreeSet<String> {
        let mut handed_in = BTreeSet::new();
        let end = Instant::now() + length;
        while Instant::now() < end {
            let node = self.rounds % cluster.len();
            self.rounds += 1;
            let coin = self.payer.coins.pop().unwrap();
            let tx = self.payer.pay(coin, stranger(40), 10_000);
            let txid = send(cluster, node, &tx).unwrap();
            handed_in.insert(txid.clone());
            self.plain.insert(txid);
            if self.rounds.is_multiple_of(RIVALS_EVERY) {
                handed_in.extend(self.rivals(cluster, sides));
            }
            self.look(cluster);
            // Paces the load; nothing is waited for.
            std::thread::sleep(self.pause);
        }
        handed_in
    }

    fn rivals(&mut self, cluster: &Cluster, sides: &[Vec<usize>; 2]) -> [String; 2] {
        let coin = self.payer.coins.pop().unwrap();
        let pair = [0, 1].map(|side| {
            let tx = self.payer.pay(coin, stranger(41 + u8::try_from(side).unwrap()), 10_000);
            // The second may come too late.
            send(cluster, sides[side][0], &tx).ok();
            tx.body.txid().to_string()
        });
        self.pairs.push(pair.clone());
        pair
    }

    /// Asks every node about everything that it did not call final yet.
    pub fn look(&mut self, cluster: &Cluster) {
        for node in 0..cluster.len() {
            let all = self.plain.iter().chain(self.pairs.iter().flatten());
            let is_open = |txid: &&String| self.said.get(*txid).is_none_or(|nodes| !nodes.contains(&node));
            let open: Vec<String> = all.filter(is_open).cloned().collect();
            for part in open.chunks(MAX_ASKED) {
                let Ok(answer) = cluster.call(node, "get_transaction_status", json!([part])) else { continue };
                for entry in answer.as_array().unwrap() {
                    if matches!(entry["status"].as_str(), Some("finalized" | "archived")) {
                        self.said.entry(entry["txid"].as_str().unwrap().to_owned()).or_default().insert(node);
                    }
                }
            }
        }
    }

    /// Those of `txids` that one of these nodes called final.
    pub fn final_at(&self, nodes: &[usize], txids: &BTreeSet<String>) -> usize {
        let is_final = |txid: &&String| self.said.get(*txid).is_some_and(|said| nodes.iter().any(|n| said.contains(n)));
        txids.iter().filter(is_final).count()
    }

    /// After everything healed: what anybody called final is archived everywhere, no two rivals are, and what has no rival
    /// is final. Returns how many payments and pairs there were.
    pub fn settle(&mut self, cluster: &Cluster) -> (usize, usize) {
        for txid in self.said.keys().chain(&self.plain) {
            cluster.wait_status(txid, "archived");
        }
        self.look(cluster);
        for pair in &self.pairs {
            let is_said = |txid: &&String| self.said.contains_key(*txid);
            assert!(pair.iter().filter(is_said).count() <= 1, "both called final: {pair:?} {:?}", self.said);
            let archived = |node| pair.clone().map(|txid| cluster.status(node, &txid).as_deref() == Some("archived"));
            for node in 1..cluster.len() {
                wait_for("one verdict", || (archived(node) == archived(0)).then_some(()));
            }
            assert!(archived(0) != [true, true], "both archived: {pair:?}");
        }
        (self.plain.len(), self.pairs.len())
    }
}
