//! How much a replica holds: every collection that peers or users can make grow.

use super::Replica;

/// Elements held, for metrics and for the test that they stay bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Transactions in the pool that are not final.
    pub pool: usize,
    /// Transactions waiting for a parent.
    pub orphans: usize,
    /// Transactions waited for from peers.
    pub wanted: usize,
    /// Transactions in Snowball.
    pub sampling: usize,
    /// Batches of votes and receipts held.
    pub batches: usize,
    /// Proposals of the current height.
    pub proposals: usize,
    /// Own transactions and votes on blocks waiting for a signature.
    pub unsigned: usize,
    /// Own batches repeated.
    pub repeated: usize,
    /// Pieces of evidence.
    pub evidence: usize,
    /// Bodies kept for evidence.
    pub evidence_bodies: usize,
    /// Events that wait for the disk.
    pub waiting_events: usize,
    /// Blocks not yet in the store.
    pub unapplied_blocks: usize,
    /// Votes and proposals remembered for passing them on.
    pub gossip: usize,
    /// Votes and proposals that peers offered and that are waited for.
    pub gossip_wanted: usize,
    /// Headers known above the tip.
    pub headers: usize,
    /// Blocks above the tip that are asked for or here.
    pub blocks_ahead: usize,
    /// Links.
    pub peers: usize,
    /// Masternodes whose word that they run was passed on lately.
    pub presences: usize,
}

impl Replica {
    /// Elements held.
    pub fn memory(&self) -> MemoryUse {
        let (unsigned, repeated) = self.own.len();
        let (evidence, evidence_bodies) = self.evidence.len();
        let (headers, blocks_ahead) = self.sync.held();
        MemoryUse {
            pool: self.ledger.not_final().0,
            orphans: self.ledger.orphans(),
            wanted: self.fetch.len() + self.awaited.len(),
            sampling: self.snowball.held(),
            batches: self.finality.batches_held(),
            proposals: self.proposals.len(),
            unsigned: unsigned + self.unasked.len(),
            repeated,
            evidence,
            evidence_bodies,
            waiting_events: self.out.waiting(),
            unapplied_blocks: self.unapplied.len(),
            gossip: self.gossip.len(),
            gossip_wanted: self.wants.len(),
            headers,
            blocks_ahead,
            peers: self.peers.len(),
            presences: self.presence.len(),
        }
    }
}
