//! What a node keeps of the chain: snapshots of the state, and blocks no further back than it has to.
//!
//! Invariant: the chain can always be made anew from what is there. Blocks go only up to a snapshot that is whole, by
//! files; and the oldest snapshot that leads to the first block left stays.

use super::SledStore;
use super::schema::{damaged, read, read_outpoint};
use crate::ledger::snapshot::Manifest;
use crate::ledger::utxo::Utxo;
use crate::replica::Store;
use crate::storage::block_files::BLOCKS_DIRECTORY;
use crate::storage::files::{list_numbered, numbered};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::{Archive, StoreError};
use crate::types::number::{Epoch, Height};
use std::sync::atomic::Ordering;
use tracing::warn;

/// How much a node keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// A snapshot is due this many blocks after the last one, when an epoch closes; 0: none is ever made.
    pub snapshot_every: u64,
    /// Blocks kept at least; 0: all.
    pub prune_blocks: u64,
}

/// What tending did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tended {
    /// Height and bytes of the snapshot that was made.
    pub snapshot: Option<(Height, u64)>,
    /// The first block kept, if some were removed.
    pub pruned_to: Option<Height>,
}

impl SledStore {
    /// The snapshots of this data directory.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Adds the ends of epochs that are known and not in their file yet. Where blocks that had them are not kept, none
    /// can be added: this node does not serve them then.
    pub(super) fn complete_epochs(&self) -> Result<(), StoreError> {
        let current = self.view().state.child_epoch(&self.options.chain);
        while self.epochs.next_epoch() < current {
            let Some(height) = self.height_of_end(self.epochs.next_epoch())? else { return Ok(()) };
            let Some(end) = Store::sealed_header(self, height) else { return Ok(()) };
            self.epochs.push(&end)?;
        }
        Ok(())
    }

    /// Height of the block that closed an epoch that is over, if the index goes back so far: the first that opened as many
    /// slots as its epoch has. Headers ascend in that number.
    fn height_of_end(&self, epoch: Epoch) -> Result<Option<Height>, StoreError> {
        let Some(wanted) = epoch.next().get().checked_mul(self.options.chain.epoch_slots) else { return Ok(None) };
        let opened =
            |height| self.header_record(Height::new(height)).map(|found| found.map(|found| found.header.opened));
        let (mut below, mut at) = (self.base_height().get(), self.view().state.height().get());
        match opened(below)? {
            Some(opened) if opened < wanted => {}
            found => return Ok(found.filter(|opened| *opened == wanted).map(|_| Height::new(below))),
        }
        while at.saturating_sub(below) > 1 {
            let middle = below + (at - below) / 2;
            match opened(middle)? {
                Some(opened) if opened < wanted => below = middle,
                Some(_) => at = middle,
                None => return Ok(None),
            }
        }
        Ok(opened(at)?.filter(|opened| *opened == wanted).map(|_| Height::new(at)))
    }

    /// Makes the snapshot that is due at the tip, which closed its epoch, and removes what is no longer to be kept. A
    /// snapshot is given up soon after `is_stopping` says so.
    ///
    /// # Errors
    /// [`StoreError`]. The chain is as it was; what was begun is done anew the next time.
    pub fn tend(&self, keep: &Keep, is_stopping: &dyn Fn() -> bool) -> Result<Tended, StoreError> {
        let tip = self.view().state.height();
        let snapshots = self.snapshots();
        let mut tended = Tended::default();
        if keep.is_snapshot_due(tip, snapshots.heights()?.last().copied()) {
            let Some(manifest) = self.write_snapshot(is_stopping)? else { return Ok(tended) };
            tended.snapshot = Some((tip, manifest.chunk_bytes()));
        }
        let heights = snapshots.heights()?;
        let base = heights.iter().rfind(|height| height.get().saturating_add(keep.prune_blocks) <= tip.get()).copied();
        if let Some(base) = base.filter(|_| keep.prune_blocks > 0) {
            tended.pruned_to = self.prune(base.next())?;
        }
        let first = self.first_block();
        let leads_to_first = heights.iter().find(|height| height.next() >= first).filter(|_| first > Height::new(1));
        // The one after it becomes the next base once it is old enough.
        let is_pruning = keep.prune_blocks > 0;
        let next_base = heights.iter().find(|height| Some(**height) > base).filter(|_| is_pruning);
        let needed: Vec<Height> = [leads_to_first, next_base].into_iter().flatten().copied().collect();
        snapshots.remove_old(&needed)?;
        Ok(tended)
    }

    /// Writes the snapshot of the tip; `None` if it was given up, or cannot be. No block is applied meanwhile; reads go on.
    fn write_snapshot(&self, is_stopping: &dyn Fn() -> bool) -> Result<Option<Manifest>, StoreError> {
        let _no_block_now = self.lock_writer();
        let state = self.view().state.clone();
        let height = state.height();
        let no_parent = || damaged(format!("the header before block {height} is missing"));
        let parent = height.previous().and_then(|before| self.header_record(before).transpose());
        let parent = parent.ok_or_else(no_parent)??.header;
        let commit = Archive::commit(self, height)?.ok_or_else(no_parent)?;
        let mut writer = self.snapshots().write(height)?;
        for entry in &self.trees.utxos {
            if is_stopping() {
                return Ok(None);
            }
            let (key, bytes) = entry?;
            let outpoint = read_outpoint(&key).ok_or_else(|| damaged("a key of the unspent outputs is none"))?;
            let utxo: Utxo = read("utxos", &bytes)?;
            writer.push(&outpoint, &utxo)?;
        }
        let manifest = writer.finish(|chunks| Manifest::of(&state, parent, commit, chunks))?;
        if manifest.is_none() {
            warn!(%height, "too many masternodes for a snapshot: none is made, and no more blocks are removed");
        }
        Ok(manifest)
    }

    /// Removes the files of which no block is at or above `keep_from`; the first block kept, if some went.
    fn prune(&self, keep_from: Height) -> Result<Option<Height>, StoreError> {
        let _no_block_now = self.lock_writer();
        let numbers = list_numbered(&*self.files, BLOCKS_DIRECTORY)?;
        let behind = numbers.iter().skip(1).filter(|next| **next <= keep_from.get()).count();
        let Some(first) = numbers.get(behind).filter(|_| behind > 0) else { return Ok(None) };
        // Before the files go, so that nobody who finds one missing wonders.
        self.first_block.fetch_max(*first, Ordering::AcqRel);
        for number in &numbers[..behind] {
            self.files.remove(&numbered(BLOCKS_DIRECTORY, *number))?;
            // One after the other: a power cut leaves no gap.
            self.files.sync_directory(BLOCKS_DIRECTORY)?;
        }
        Ok(Some(self.first_block()))
    }
}

impl Keep {
    /// Whether a snapshot is due at this height, the end of an epoch, if the last one was made at `last`.
    fn is_snapshot_due(&self, tip: Height, last: Option<Height>) -> bool {
        let due = last.unwrap_or(Height::ZERO).get().saturating_add(self.snapshot_every);
        self.snapshot_every > 0 && tip.get() >= due
    }
}
