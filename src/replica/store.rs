//! What a replica reads of the chain.

use super::message::{SealedBlock, SealedHeader};
use crate::ledger::snapshot::Manifest;
use crate::ledger::utxo::StateRead;
use crate::types::number::{Epoch, Height};
use std::sync::Arc;

/// What a replica reads: the state after some block that is durable, and the blocks up to it.
pub trait Store: StateRead {
    /// The block at `height` with its commit, if it is stored and not pruned. Genesis, which nobody signs, is none.
    fn sealed_block(&self, height: Height) -> Option<Arc<SealedBlock>>;

    /// Its header with the commit and the set that signs the next blocks, without reading the block.
    fn sealed_header(&self, height: Height) -> Option<SealedHeader>;

    /// The block that closed `epoch`, as [`Store::sealed_header`] has it, also where its block is not kept.
    fn epoch_end(&self, epoch: Epoch) -> Option<SealedHeader>;

    /// The manifest of the snapshot of the block at `height`, or of the newest one.
    fn snapshot(&self, height: Option<Height>) -> Option<Manifest>;

    /// A chunk of the snapshot at `height`.
    fn snapshot_chunk(&self, height: Height, index: u32) -> Option<Vec<u8>>;

    /// The lowest height from which on every block up to the tip is here, 1 if all are.
    fn lowest_block(&self) -> Height;
}
