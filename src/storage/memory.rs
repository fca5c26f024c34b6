//! A store in memory, for the simulator and for tests: it can be taken back to what a crash would have left.
//!
//! Invariants: the blocks applied are those of heights 1 to the tip without a gap; `durable` is at most the tip and
//! only grows; below `durable` nothing can be taken back.

use crate::ledger::execute::BlockChanges;
use crate::ledger::state::ChainState;
use crate::ledger::utxo::{StateRead, Utxo};
use crate::replica::Store;
use crate::replica::command::CommittedBlock;
use crate::replica::message::{SealedBlock, SealedHeader};
use crate::types::hash::Txid;
use crate::types::number::Height;
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Why a block cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {found} cannot be applied on height {tip}")]
pub struct OutOfOrder {
    /// Height of the tip.
    pub tip: Height,
    /// Height of the block.
    pub found: Height,
}

/// Archived state in memory, with what is durable of it.
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

struct Inner {
    utxos: HashMap<OutPoint, Utxo>,
    archived: HashMap<Txid, Height>,
    /// Each with the set that signs its child.
    blocks: BTreeMap<Height, (Arc<SealedBlock>, Arc<ValidatorSet>)>,
    /// State after the last durable block.
    durable: ChainState,
    /// What blocks did that are applied and not yet durable, oldest first.
    volatile: VecDeque<Arc<BlockChanges>>,
}

impl MemoryStore {
    /// A store that holds the genesis state.
    pub fn new(genesis: ChainState, utxos: Vec<(OutPoint, Utxo)>) -> Self {
        let inner = Inner {
            utxos: utxos.into_iter().collect(),
            archived: HashMap::new(),
            blocks: BTreeMap::new(),
            durable: genesis,
            volatile: VecDeque::new(),
        };
        Self { inner: RwLock::new(inner) }
    }

    /// Applies a block; it is not durable yet.
    ///
    /// # Errors
    /// [`OutOfOrder`] if it is not the child of the tip; nothing has changed then.
    pub fn apply(&self, block: &CommittedBlock) -> Result<(), OutOfOrder> {
        let mut inner = self.write();
        let changes = &block.changes;
        let tip = inner.tip().header.height;
        if changes.height != tip.next() {
            return Err(OutOfOrder { tip, found: changes.height });
        }
        // Outputs made and spent in one block are on both lists: creating comes first.
        inner.utxos.extend(changes.created.iter().cloned());
        for (outpoint, _) in &changes.spent {
            inner.utxos.remove(outpoint);
        }
        inner.archived.extend(changes.txids.iter().map(|txid| (*txid, changes.height)));
        let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
        inner.blocks.insert(changes.height, (Arc::new(sealed), Arc::clone(&changes.state.validators)));
        inner.volatile.push_back(Arc::clone(changes));
        Ok(())
    }

    /// Everything up to this height, or up to the tip if that is lower, is on disk.
    pub fn make_durable(&self, height: Height) {
        let mut inner = self.write();
        while let Some(first) = inner.volatile.front().filter(|first| first.height <= height) {
            inner.durable = first.state.clone();
            inner.volatile.pop_front();
        }
    }

    /// Takes back every block above `height` that is not durable: what a crash may do.
    pub fn lose_above(&self, height: Height) {
        let mut inner = self.write();
        while let Some(last) = inner.volatile.pop_back_if(|last| last.height > height) {
            inner.utxos.extend(last.spent.iter().cloned());
            for (outpoint, _) in &last.created {
                inner.utxos.remove(outpoint);
            }
            for txid in &last.txids {
                inner.archived.remove(txid);
            }
            inner.blocks.remove(&last.height);
        }
    }

    /// State after the last block applied.
    pub fn tip(&self) -> ChainState {
        self.read().tip().clone()
    }

    /// Height up to which nothing can be lost.
    pub fn durable_height(&self) -> Height {
        self.read().durable.header.height
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // A panic while the lock was held leaves a store that nobody trusts anyway: the test has failed.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tip(&self) -> &ChainState {
        self.volatile.back().map_or(&self.durable, |last| &last.state)
    }
}

impl StateRead for MemoryStore {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.read().utxos.get(outpoint).cloned()
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.read().archived.get(txid).copied()
    }
}

impl Store for MemoryStore {
    fn sealed_block(&self, height: Height) -> Option<Arc<SealedBlock>> {
        self.read().blocks.get(&height).map(|(sealed, _)| Arc::clone(sealed))
    }

    fn sealed_header(&self, height: Height) -> Option<SealedHeader> {
        let inner = self.read();
        let (sealed, next) = inner.blocks.get(&height)?;
        Some(SealedHeader::new(sealed.block.header.clone(), sealed.commit.clone(), next))
    }

    fn lowest_block(&self) -> Height {
        Height::new(1)
    }
}
