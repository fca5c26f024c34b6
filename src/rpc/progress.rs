//! From what the node tells to what a subscriber hears of transactions.

use super::context::Context;
use super::errors::Failure;
use super::lookup::FoundTx;
use super::types::{Progress, Stage, Text};
use crate::limits::MAX_WATCHED_TXIDS;
use crate::node::feed::Told;
use crate::replica::Event;
use crate::types::hash::Txid;
use crate::types::lock::Lock;
use crate::types::number::Height;
use crate::types::transaction::Transaction;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which transactions a subscriber hears of.
#[derive(Clone, Debug)]
pub struct Filter {
    which: Which,
    /// Those of a lock that were told of and are in no block: of one that is dropped, nothing else is left.
    watched: BTreeSet<Txid>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    All,
    Lock(Lock),
    One(Txid),
}

impl Filter {
    fn new(which: Which) -> Self {
        Self { which, watched: BTreeSet::new() }
    }

    /// All of them.
    pub fn all() -> Self {
        Self::new(Which::All)
    }

    /// Those that pay to a lock or spend from it.
    pub fn lock(lock: Lock) -> Self {
        Self::new(Which::Lock(lock))
    }

    /// One.
    pub fn one(txid: Txid) -> Self {
        Self::new(Which::One(txid))
    }

    /// What an event says of the transactions that pass.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn items(&mut self, context: &Arc<Context>, told: &Told) -> Result<Vec<Progress>, Failure> {
        let progress = |txid, status, reason, height: Option<Height>| Progress {
            sequence: context.sequence(told.sequence),
            time: told.time.0,
            txid: Text(txid),
            status,
            reason,
            height: height.map(Height::get),
        };
        let (txid, status, reason) = match &told.event {
            Event::Admitted(txid) => (*txid, Stage::Sampling, None),
            Event::Accepted(txid) => (*txid, Stage::Accepted, None),
            Event::Certified { txid, .. } => (*txid, Stage::Certified, None),
            Event::Finalized { txid, .. } => (*txid, Stage::Finalized, None),
            Event::Rejected { txid, reason } => (*txid, Stage::Rejected, Some(reason.reason())),
            Event::BlockCommitted { height, txids, .. } => {
                let archived = self.archived(context, *height, txids).await?;
                let item = |txid| progress(txid, Stage::Archived, None, Some(*height));
                return Ok(archived.into_iter().map(item).collect());
            }
            Event::ViewChanged { .. } | Event::Alarm(_) => return Ok(Vec::new()),
        };
        let passes = match self.which {
            Which::All => true,
            Which::One(wanted) => wanted == txid,
            Which::Lock(_) if status == Stage::Rejected => self.watched.remove(&txid),
            Which::Lock(lock) => self.watched.contains(&txid) || self.is_of_lock(context, txid, lock).await?,
        };
        Ok(passes.then(|| progress(txid, status, reason, None)).into_iter().collect())
    }

    async fn is_of_lock(&mut self, context: &Arc<Context>, txid: Txid, lock: Lock) -> Result<bool, Failure> {
        let is_touched = match context.view().pending(&txid) {
            Some(pending) => touches(pending.tx.tx(), &lock),
            // An event of a while ago.
            None => context.read(move |context| is_archived_of(context, &txid, &lock)).await?,
        };
        if is_touched {
            if self.watched.len() >= MAX_WATCHED_TXIDS {
                self.watched.pop_first();
            }
            self.watched.insert(txid);
        }
        Ok(is_touched)
    }

    /// Which transactions of a block pass.
    async fn archived(&mut self, context: &Arc<Context>, height: Height, txids: &[Txid]) -> Result<Vec<Txid>, Failure> {
        match self.which {
            Which::All => Ok(txids.to_vec()),
            Which::One(wanted) => Ok(txids.iter().filter(|txid| **txid == wanted).copied().collect()),
            Which::Lock(lock) => {
                let of_lock = context.read(move |context| {
                    let block = context.block_at(height)?;
                    let touching = block.block().txs.iter().filter(|tx| touches(tx, &lock));
                    Ok(touching.map(|tx| tx.body.txid()).collect::<Vec<_>>())
                });
                let of_lock = of_lock.await?;
                for txid in &of_lock {
                    self.watched.remove(txid);
                }
                Ok(of_lock)
            }
        }
    }
}

fn is_archived_of(context: &Context, txid: &Txid, lock: &Lock) -> Result<bool, Failure> {
    Ok(match context.transaction(txid)? {
        Some(FoundTx::Pending(pending)) => touches(pending.tx.tx(), lock),
        Some(FoundTx::Archived(archived)) => touches(&archived.stored.tx, lock),
        None => false,
    })
}

/// Whether a transaction pays to a lock or opens it.
fn touches(tx: &Transaction, lock: &Lock) -> bool {
    tx.body.outputs.iter().any(|out| out.lock == *lock) || tx.witnesses.iter().any(|witness| witness.lock() == *lock)
}
