//! A store in memory, for the simulator and for tests: it can be taken back to what a crash would have left.
//!
//! Invariants: the blocks applied are those of heights 1 to the tip without a gap; `durable` is at most the tip and
//! only grows; below `durable` nothing can be taken back.

use crate::ledger::execute::BlockChanges;
use crate::ledger::snapshot::{Chunker, Manifest};
use crate::ledger::state::ChainState;
use crate::ledger::utxo::{StateRead, Utxo};
use crate::limits::SNAPSHOTS_KEPT;
use crate::replica::Store;
use crate::replica::command::CommittedBlock;
use crate::replica::message::{SealedBlock, SealedHeader};
use crate::types::block::Commit;
use crate::types::hash::Txid;
use crate::types::number::{Epoch, Height};
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
    /// The block of the snapshot that it began with.
    base: Option<SealedHeader>,
    /// Which block closed which epoch.
    closed: BTreeMap<Epoch, Height>,
    /// The newest snapshots with their chunks.
    snapshots: BTreeMap<Height, (Manifest, Vec<Vec<u8>>)>,
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
            base: None,
            closed: BTreeMap::new(),
            snapshots: BTreeMap::new(),
        };
        Self { inner: RwLock::new(inner) }
    }

    /// A store that begins with a snapshot whose outputs were proved to be this state.
    pub fn from_snapshot(state: ChainState, utxos: Vec<(OutPoint, Utxo)>, manifest: &Manifest) -> Self {
        let base = SealedHeader::new(manifest.header.clone(), manifest.commit.clone(), &state.validators);
        let store = Self::new(state, utxos);
        store.write().base = Some(base);
        store
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
        if let Some(epoch) = changes.closed_epoch {
            inner.closed.insert(epoch, changes.height);
            inner.make_snapshot(&block.commit);
        }
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
            inner.snapshots.remove(&last.height);
            inner.closed.retain(|_, height| *height < last.height);
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

    /// Of the tip, as a store on disk makes one.
    fn make_snapshot(&mut self, commit: &Commit) {
        let state = self.tip().clone();
        let parent = state.height().previous().and_then(|height| self.blocks.get(&height));
        let Some(parent) = parent.map(|(sealed, _)| sealed.block.header.clone()) else { return };
        let outputs: BTreeMap<&OutPoint, &Utxo> = self.utxos.iter().collect();
        let mut chunker = Chunker::default();
        let mut chunks: Vec<Vec<u8>> = outputs.into_iter().filter_map(|(at, utxo)| chunker.push(at, utxo)).collect();
        let (last, infos, outputs) = chunker.finish();
        chunks.extend(last);
        let manifest = Manifest::of(&state, parent, commit.clone(), (infos, outputs));
        self.snapshots.insert(state.height(), (manifest, chunks));
        while self.snapshots.len() > SNAPSHOTS_KEPT {
            self.snapshots.pop_first();
        }
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
        if let Some(base) = inner.base.as_ref().filter(|base| base.header.height == height) {
            return Some(base.clone());
        }
        let (sealed, next) = inner.blocks.get(&height)?;
        Some(SealedHeader::new(sealed.block.header.clone(), sealed.commit.clone(), next))
    }

    fn lowest_block(&self) -> Height {
        self.read().base.as_ref().map_or(Height::new(1), |base| base.header.height.next())
    }

    fn epoch_end(&self, epoch: Epoch) -> Option<SealedHeader> {
        let height = self.read().closed.get(&epoch).copied()?;
        self.sealed_header(height)
    }

    fn snapshot(&self, height: Option<Height>) -> Option<Manifest> {
        let inner = self.read();
        let found = match height {
            Some(height) => inner.snapshots.get(&height),
            None => inner.snapshots.last_key_value().map(|(_, found)| found),
        };
        found.map(|(manifest, _)| manifest.clone())
    }

    fn snapshot_chunk(&self, height: Height, index: u32) -> Option<Vec<u8>> {
        self.read().snapshots.get(&height)?.1.get(index as usize).cloned()
    }
}
