//! Blocks on their way into the store, and what the store keeps of them.
//!
//! A snapshot is of one block's state, so the blocks that come together are cut where one is due. While the node catches
//! up none is made: each would be out of date before anybody fetched it.

use super::clock;
use super::disk::{BlockSink, StoreJob};
use crate::chain::spec::Chain;
use crate::replica::CommittedBlock;
use crate::storage::sled_store::{Keep, SledStore, Tended};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// See the module.
pub struct Keeper {
    store: Arc<SledStore>,
    keep: Keep,
    chain: Chain,
    stop: CancellationToken,
}

impl Keeper {
    /// Puts blocks into `store`. A snapshot under way is given up when the node is to `stop`.
    pub fn new(store: Arc<SledStore>, keep: Keep, chain: Chain, stop: CancellationToken) -> Self {
        Self { store, keep, chain, stop }
    }

    /// Whether the block closed an epoch, and not long ago.
    fn is_time_to_tend(&self, block: &CommittedBlock) -> bool {
        let epoch_ms = self.chain.epoch_slots.saturating_mul(self.chain.slot_ms);
        let age_ms = clock::now().since(self.chain.slot_start(block.changes.state.header.slot));
        self.keep.snapshot_every > 0 && block.changes.closed_epoch.is_some() && age_ms < epoch_ms
    }

    /// What fails here costs a snapshot or disk space: the node goes on.
    fn tend(&self) {
        match self.store.tend(&self.keep, &|| self.stop.is_cancelled()) {
            Ok(Tended { snapshot, pruned_to }) => {
                if let Some((height, bytes)) = snapshot {
                    info!(height = height.get(), bytes, "made a snapshot");
                }
                if let Some(first) = pruned_to {
                    info!(first = first.get(), "removed old blocks");
                }
            }
            Err(error) => warn!(%error, "no snapshot was made"),
        }
    }
}

impl BlockSink for Keeper {
    fn apply(&mut self, blocks: &[StoreJob]) -> Result<(), String> {
        for together in blocks.split_inclusive(|(block, _)| self.is_time_to_tend(block)) {
            let Some((last, synced)) = together.last() else { continue };
            let list: Vec<_> = together.iter().map(|(block, _)| Arc::clone(block)).collect();
            self.store.apply(&list).map_err(|e| e.to_string())?;
            self.store.flush(*synced).map_err(|e| e.to_string())?;
            if self.is_time_to_tend(last) {
                self.tend();
            }
        }
        Ok(())
    }
}
