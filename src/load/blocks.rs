//! What several nodes told of blocks: how long after its slot's start each was final.

use super::latency::Percentiles;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What is measured, for whoever reads the figures.
pub const METHOD: &str = "blocks that open a slot and that every node told of (subscribe_blocks); milliseconds from the \
                          slot's start to the arrival here of the first and of the last node's word, by this machine's clock";

/// Over the lines of the table.
pub const TABLE_HEAD: &str = "  height  transactions     bytes  first ms   last ms";

/// An item of `subscribe_blocks`, as far as it matters here.
#[derive(Deserialize)]
struct Item {
    height: u64,
    slot: u64,
    /// The slot's start, unix milliseconds.
    time: u64,
    transaction_count: u64,
}

/// A block that opens a slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Told {
    /// Its height.
    pub height: u64,
    /// Transactions in it, coinbase included.
    pub transactions: u64,
    /// Encoded size in bytes; 0 until it was asked for.
    pub size: u64,
    /// From the slot's start to the first node's word, in microseconds; negative if clocks differ.
    pub first_us: i64,
    /// To the last node's word.
    pub last_us: i64,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, transactions, size, first_us, last_us } = self;
        let ms = |us: &i64| us.saturating_add(500).div_euclid(1_000);
        write!(f, "{height:>8}{transactions:>14}{size:>10}{:>10}{:>10}", ms(first_us), ms(last_us))
    }
}

struct Block {
    slot: u64,
    time_ms: u64,
    transactions: u64,
    /// When each node told of it, unix microseconds.
    arrivals: Vec<Option<u64>>,
}

/// What was heard so far.
pub struct Heard {
    nodes: usize,
    blocks: BTreeMap<u64, Block>,
}

impl Heard {
    /// Of so many nodes, nothing yet.
    pub fn new(nodes: usize) -> Self {
        Self { nodes, blocks: BTreeMap::new() }
    }

    /// Node `number`, counted from 0, told this.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub fn add(&mut self, number: usize, item: &Value, now_us: u64) -> Result<(), String> {
        let item = Item::deserialize(item).map_err(|e| format!("a node's word about a block makes no sense: {e}"))?;
        let Item { height, slot, time: time_ms, transaction_count: transactions } = item;
        let new = Block { slot, time_ms, transactions, arrivals: vec![None; self.nodes] };
        let block = self.blocks.entry(height).or_insert(new);
        if let Some(arrival) = block.arrivals.get_mut(number) {
            arrival.get_or_insert(now_us);
        }
        Ok(())
    }

    /// The blocks that all nodes told of and that are known to open a slot, ascending.
    pub fn openings(&self) -> Vec<Told> {
        let told = |(height, block): (&u64, &Block)| {
            let parent = self.blocks.get(&height.checked_sub(1)?)?;
            let arrivals: Option<Vec<u64>> = block.arrivals.iter().copied().collect();
            let (first, last) = arrivals.and_then(|all| Some((*all.iter().min()?, *all.iter().max()?)))?;
            let after = |at: u64| i64::try_from(i128::from(at) - i128::from(block.time_ms) * 1_000).ok();
            let (first_us, last_us) = (after(first)?, after(last)?);
            let told = Told { height: *height, transactions: block.transactions, size: 0, first_us, last_us };
            (block.slot > parent.slot).then_some(told)
        };
        self.blocks.iter().filter_map(told).collect()
    }
}

/// Percentiles over all of `blocks`; `None` of none.
pub fn summary(blocks: &[Told]) -> Option<String> {
    let of = |part: fn(&Told) -> i64| {
        let us = blocks.iter().map(|block| u64::try_from(part(block)).unwrap_or(0));
        Percentiles::of(us.collect())
    };
    let (first, last) = (of(|block| block.first_us)?, of(|block| block.last_us)?);
    let text = |of: Percentiles| format!("p50 {} ms, p90 {} ms, max {} ms", of.p50, of.p90, of.max);
    Some(format!("{} blocks: first node {}; last node {}", blocks.len(), text(first), text(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(height: u64, slot: u64, time: u64) -> Value {
        json!({ "height": height, "slot": slot, "time": time, "transaction_count": 3, "hash": "00" })
    }

    #[test]
    fn only_blocks_that_open_a_slot_and_were_told_by_all_count() {
        let mut heard = Heard::new(2);
        // 7: parent unknown. 8: opens. 9: overflow. 10: opens, and one node is silent about it.
        let all = [(7, 70, 1_000), (8, 71, 2_000), (9, 71, 2_000), (10, 72, 3_000)];
        for (height, slot, time) in all {
            heard.add(0, &item(height, slot, time), time * 1_000 + 40_400).unwrap();
            if height != 10 {
                heard.add(1, &item(height, slot, time), time * 1_000 + 51_000).unwrap();
            }
        }
        // Said again, after a resumption: the first word counts.
        heard.add(1, &item(8, 71, 2_000), 9_000_000).unwrap();
        let told = Told { height: 8, transactions: 3, size: 0, first_us: 40_400, last_us: 51_000 };
        assert_eq!(heard.openings(), [told.clone()]);
        assert_eq!(told.to_string(), "       8             3         0        40        51");
        let summary = summary(&[told]).unwrap();
        assert_eq!(
            summary,
            "1 blocks: first node p50 40 ms, p90 40 ms, max 40 ms; last node p50 51 ms, p90 51 ms, max 51 ms"
        );
    }

    #[test]
    fn a_word_that_makes_no_sense_is_said_to_make_none() {
        let mut heard = Heard::new(1);
        assert!(heard.add(0, &json!({ "height": 1 }), 0).unwrap_err().contains("no sense"));
        assert!(heard.openings().is_empty());
        assert_eq!(summary(&[]), None);
    }
}
