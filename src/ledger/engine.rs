//! The tip, the archived state, and the transactions on their way to a block, as one machine without clock or disk.
//!
//! Invariants: what is final here can be spent and its rivals are gone; what is certified is kept until a block
//! holds it, or a rival of it, or the epoch closes; everything else in the pool is valid on the tip. A refused
//! transaction changes nothing but the memory of the refusal.

mod assemble;
mod commit;
mod progress;
mod submit;

pub use commit::{Committed, NotTheNextBlock};
pub use submit::Submission;

use super::VerifiedTx;
use super::archived::Archived;
use super::judge::Judge;
use super::orphans::Orphans;
use super::pool::{Pool, PoolEntry, PoolLimits, Stage};
use super::rejected::Rejected;
use super::rejection::Rejection;
use super::state::ChainState;
use super::utxo::StateRead;
use crate::chain::spec::Chain;
use crate::types::hash::Txid;
use crate::types::number::Height;
use crate::types::transaction::OutPoint;
use std::sync::Arc;

/// Life of an output (`protocol.md` 3), as seen here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutPointState {
    /// Archived, or of a final transaction, and no spend of it is known. A collateral is one too.
    Unspent,
    /// A spend of it is known that is not final; of rivals, the first seen.
    Locked(Txid),
    /// A final transaction spends it.
    Spent(Txid),
    /// A block holds the spend; by whom and where, if the store still knows.
    Archived {
        /// The spender.
        by: Option<Txid>,
        /// Height of its block.
        height: Option<Height>,
    },
    /// Not there: unknown, or of a transaction that is not final.
    Missing,
}

/// What a node knows about money: the archived state and everything under way.
pub struct Ledger {
    chain: Chain,
    tip: ChainState,
    archived: Archived,
    pool: Pool,
    orphans: Orphans,
    rejected: Rejected,
    dropped: Vec<(Txid, Rejection)>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger(at {}, {} in the pool)", self.tip.height(), self.pool.len())
    }
}

impl Ledger {
    /// A ledger whose tip is `state`, for which `store` answers, with nothing under way.
    pub fn new(chain: Chain, state: ChainState, store: Arc<dyn StateRead>, limits: PoolLimits) -> Self {
        Self {
            chain,
            tip: state,
            archived: Archived::new(store),
            pool: Pool::new(limits),
            orphans: Orphans::default(),
            rejected: Rejected::default(),
            dropped: Vec::new(),
        }
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The state after the last block.
    pub fn tip(&self) -> &ChainState {
        &self.tip
    }

    /// The archived state as of the tip, blocks that are not flushed included.
    pub fn view(&self) -> &dyn StateRead {
        &self.archived
    }

    /// The store answers for blocks up to `height` from now on.
    pub fn flushed(&mut self, height: Height) {
        self.archived.flushed(height);
    }

    /// How many committed blocks are kept in memory because the store does not answer for them yet. Whoever commits
    /// waits for the store before this grows large.
    pub fn unflushed(&self) -> usize {
        self.archived.unflushed()
    }

    /// A transaction that no block holds and that is more than an orphan.
    pub fn entry(&self, txid: &Txid) -> Option<&PoolEntry> {
        self.pool.get(txid)
    }

    /// All of these, ascending by txid.
    pub fn entries(&self) -> impl Iterator<Item = (&Txid, &PoolEntry)> {
        self.pool.iter()
    }

    /// How many transactions of the pool are not final, and their bytes: what [`PoolLimits`] bound.
    pub fn not_final(&self) -> (usize, u64) {
        self.pool.not_final()
    }

    /// A transaction that waits for a parent.
    pub fn orphan(&self, txid: &Txid) -> Option<&VerifiedTx> {
        self.orphans.get(txid)
    }

    /// How many encodings of transactions wait for a parent.
    pub fn orphans(&self) -> usize {
        self.orphans.len()
    }

    /// Why a transaction was refused or dropped, while that is remembered.
    pub fn rejection(&self, txid: &Txid) -> Option<&Rejection> {
        self.rejected.get(txid)
    }

    /// How many refusals are remembered.
    pub fn rejections(&self) -> usize {
        self.rejected.len()
    }

    /// Takes what was dropped from the pool since the last call, other than by [`Ledger::commit`], which says so
    /// itself: displaced from the full pool, or rivals of what became final. To be asked after every call that
    /// takes `&mut self`.
    pub fn take_dropped(&mut self) -> Vec<(Txid, Rejection)> {
        std::mem::take(&mut self.dropped)
    }

    /// Other transactions in the pool that spend an output of this one, ascending; none for one not in the pool.
    pub fn rivals(&self, txid: &Txid) -> Vec<Txid> {
        self.pool.get(txid).map_or_else(Vec::new, |entry| self.pool.rivals(&entry.tx).into_keys().collect())
    }

    /// Where an output stands in its life.
    pub fn outpoint_state(&self, outpoint: &OutPoint) -> OutPointState {
        if let Some(spender) = self.pool.final_spender(outpoint) {
            return OutPointState::Spent(spender);
        }
        let of_final = self.pool.get(&outpoint.txid).is_some_and(|parent| parent.stage == Stage::Finalized);
        if (of_final && self.pool.output(outpoint).is_some()) || self.archived.utxo(outpoint).is_some() {
            let valid = |txid: &&Txid| self.pool.get(txid).is_some_and(|entry| entry.valid);
            let spender = self.pool.spenders(outpoint).iter().find(valid);
            return spender.map_or(OutPointState::Unspent, |spender| OutPointState::Locked(*spender));
        }
        let by = self.archived.spender(outpoint);
        if by.is_none() && self.archived.archived_height(&outpoint.txid).is_none() {
            return OutPointState::Missing;
        }
        OutPointState::Archived { by, height: by.and_then(|by| self.archived.archived_height(&by)) }
    }

    /// Bytes certified here and not in a block: the measure of backpressure, and what may start an overflow block.
    pub fn certified_bytes(&self) -> u64 {
        self.pool.certified_bytes()
    }

    /// Whether so little is certified and unarchived that a masternode may vote (`protocol.md` 6).
    pub fn may_vote(&self) -> bool {
        self.certified_bytes() <= self.chain.max_block_bytes.saturating_mul(2)
    }

    fn judge(&self) -> Judge<'_> {
        Judge { chain: &self.chain, tip: &self.tip, archived: &self.archived, pool: &self.pool }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod inclusion_tests;
