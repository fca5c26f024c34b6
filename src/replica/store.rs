//! What a replica reads of the chain.

use super::message::{SealedBlock, SealedHeader};
use crate::ledger::utxo::StateRead;
use crate::types::number::Height;
use std::sync::Arc;

/// What a replica reads: the state after some block that is durable, and the blocks up to it.
pub trait Store: StateRead {
    /// The block at `height` with its commit, if it is stored and not pruned. Genesis, which nobody signs, is none.
    fn sealed_block(&self, height: Height) -> Option<Arc<SealedBlock>>;

    /// Its header with the commit and the set that signs the next blocks, without reading the block.
    fn sealed_header(&self, height: Height) -> Option<SealedHeader>;

    /// The lowest height from which on every block up to the tip is here, 1 if all are.
    fn lowest_block(&self) -> Height;
}
