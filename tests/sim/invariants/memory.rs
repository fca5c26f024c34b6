//! S10: memory within `limits.rs`.

use super::report::Report;
use std::collections::BTreeMap;

/// What must be counted in every node, by the names under which it is shown.
pub const STRUCTURES: [&str; 14] = [
    "pool transactions",
    "orphans",
    "rejected transactions",
    "wanted transactions",
    "sampled transactions",
    "stored batches",
    "proposals",
    "unsigned transactions",
    "repeated batches",
    "evidence",
    "evidence bodies",
    "waiting events",
    "unapplied blocks",
    "peers",
];

/// How full one structure of a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// One of [`STRUCTURES`].
    pub structure: &'static str,
    /// Elements, or bytes.
    pub count: u64,
    /// The most that `limits.rs` and the chain spec allow.
    pub limit: u64,
}

/// The highest count of each structure on any node.
#[derive(Default)]
pub struct Memory {
    peaks: BTreeMap<&'static str, u64>,
}

impl Memory {
    /// Checks what a node uses now.
    pub fn check(&mut self, node: usize, usages: &[Usage], report: &mut Report) {
        for usage in usages {
            let Usage { structure, count, limit } = *usage;
            report.expect("S10", count <= limit, || format!("node {node}: {count} {structure}, {limit} allowed"));
            let peak = self.peaks.entry(structure).or_default();
            *peak = (*peak).max(count);
        }
        for structure in STRUCTURES {
            let is_counted = usages.iter().any(|usage| usage.structure == structure);
            report.expect("S10", is_counted, || format!("node {node} does not count its {structure}"));
        }
    }

    /// The highest counts.
    pub fn peaks(&self) -> &BTreeMap<&'static str, u64> {
        &self.peaks
    }
}
