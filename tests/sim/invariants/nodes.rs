//! What each honest node went through and told its users. S8: heights, views, epochs and flushed positions only grow.
//! S9: what was told final or committed stays.

use super::replay::Replay;
use super::report::Report;
use std::collections::{BTreeMap, BTreeSet};
use timed::types::hash::{BlockHash, Txid};

/// What a node tells a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// Votes of a quorum in this epoch.
    Certified(Txid, u64),
    /// Receipts of a quorum in this epoch.
    Finalized(Txid, u64),
    /// Refused or dropped.
    Rejected(Txid),
    /// A block is final.
    Committed {
        /// Its height.
        height: u64,
        /// Its hash.
        hash: BlockHash,
        /// What it archives, coinbase included.
        txids: Vec<Txid>,
    },
    /// A height entered a view.
    ViewChanged {
        /// The height.
        height: u64,
        /// The view.
        view: u32,
    },
    /// The node believes that a third of the weight is Byzantine.
    Alarm(String),
}

/// How far a node is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Position {
    /// Height of its tip.
    pub height: u64,
    /// View of the height it agrees on, the child of the tip.
    pub view: u32,
    /// Epoch of that height.
    pub epoch: u64,
    /// Last write of this run that is synced.
    pub flushed: u64,
}

#[derive(Default)]
struct Node {
    /// Height of its last commit.
    height: u64,
    /// Height and view it was last told or seen in.
    view: (u64, u32),
    position: Position,
    told_height: u64,
    /// Told final, not archived here yet, with the epoch.
    told_finals: BTreeMap<Txid, u64>,
}

/// The honest nodes, by index.
#[derive(Default)]
pub struct Nodes(BTreeMap<usize, Node>);

impl Nodes {
    /// Height of the node's last commit.
    pub fn height(&self, node: usize) -> u64 {
        self.0.get(&node).map_or(0, |n| n.height)
    }

    /// A node committed the block at `height`, which the oracle executed if `replay` reaches that far.
    pub fn commit(&mut self, index: usize, height: u64, replay: &Replay, report: &mut Report) {
        let node = self.0.entry(index).or_default();
        let before = node.height;
        report.expect("S8", height == before + 1, || format!("node {index} commits height {height} after {before}"));
        node.height = height;
        node.told_finals.retain(|txid, _| replay.archived_at(txid).is_none_or(|at| at > height));
        let Some(block) = replay.at(height).filter(|block| block.closes) else { return };
        for (txid, epoch) in node.told_finals.iter().filter(|(_, epoch)| **epoch <= block.epoch) {
            report.broken(
                "S9",
                format!("node {index} told that {txid:?} is final in epoch {epoch}; block {height} closed it without"),
            );
        }
    }

    /// A node told something about a payment or a block. Quorums behind it are judged elsewhere.
    pub fn tell(&mut self, index: usize, told: &Told, replay: &Replay, report: &mut Report) {
        let node = self.0.entry(index).or_default();
        match told {
            Told::Certified(..) => {}
            Told::Finalized(txid, epoch) => {
                if replay.archived_at(txid).is_none_or(|at| at > node.height) {
                    node.told_finals.insert(*txid, *epoch);
                }
            }
            Told::Rejected(txid) => {
                let epoch = node.told_finals.get(txid);
                report.expect("S9", epoch.is_none(), || {
                    format!("node {index} rejects {txid:?}, told final in {epoch:?}")
                });
            }
            Told::Committed { height, hash, txids } => {
                let block = replay.at(*height);
                let is_so = block.is_none_or(|b| b.hash == *hash && b.txids[..] == txids[..]);
                report.expect("S9", is_so, || {
                    format!("node {index} tells of block {height} as {hash:?}, which is {:?}", block.map(|b| b.hash))
                });
                let committed = node.height;
                report.expect("S9", *height <= committed, || {
                    format!("node {index} tells of block {height} before committing it, at {committed}")
                });
                node.told_height = node.told_height.max(*height);
            }
            Told::ViewChanged { height, view } => {
                let before = node.view;
                report.expect("S8", (*height, *view) >= before, || {
                    format!("node {index} enters height {height}, view {view} after {before:?}")
                });
                node.view = before.max((*height, *view));
            }
            Told::Alarm(text) => report.broken("S3", format!("node {index} raises an alarm: {text}")),
        }
    }

    /// How far a node is now.
    pub fn see(&mut self, index: usize, now: Position, report: &mut Report) {
        let node = self.0.entry(index).or_default();
        let before = node.position;
        let view_grows = now.height > before.height || now.view >= before.view;
        let grows = now.height >= before.height && now.epoch >= before.epoch && now.flushed >= before.flushed;
        report.expect("S8", grows && view_grows, || format!("node {index} goes from {before:?} to {now:?}"));
        node.position = now;
    }

    /// A node is back with the state of `height` and these payments final but not archived: nothing told may be gone.
    pub fn restart(
        &mut self,
        index: usize,
        height: u64,
        finals: &BTreeSet<Txid>,
        replay: &Replay,
        report: &mut Report,
    ) {
        let node = self.0.entry(index).or_default();
        let told = node.told_height;
        report.expect("S9", height >= told, || format!("node {index} told of block {told}, and restarts at {height}"));
        for (txid, epoch) in &node.told_finals {
            let is_kept = finals.contains(txid) || replay.archived_at(txid).is_some_and(|at| at <= height);
            report.expect("S9", is_kept, || {
                format!("node {index} told that {txid:?} is final in epoch {epoch}, and restarts without")
            });
        }
        node.told_finals.retain(|txid, _| replay.archived_at(txid).is_none_or(|at| at > height));
        node.height = height;
        // A new run starts its views and its writes anew; what it may sign is judged by the signatures.
        node.view = (0, 0);
        node.position = Position { height, epoch: replay.epoch_after(height).unwrap_or(0), ..Position::default() };
    }
}
