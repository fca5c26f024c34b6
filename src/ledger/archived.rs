//! The archived state as of the tip: what the store holds, and over it the blocks it does not answer for yet.
//!
//! Invariant: a read sees every committed block, whether or how far the store has caught up. A layer goes only when
//! the store is said to answer for its block; until then it overrides the store, which may be ahead of what was said.

use super::execute::BlockChanges;
use super::utxo::{StateRead, Utxo};
use crate::types::hash::Txid;
use crate::types::number::Height;
use crate::types::transaction::OutPoint;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The store and the layers over it. The maps are looked up in, never iterated.
pub(super) struct Archived {
    store: Arc<dyn StateRead>,
    layers: VecDeque<Arc<BlockChanges>>,
    /// The last change of an output in any layer, with the layer's height; `None` if it is spent.
    outputs: HashMap<OutPoint, (Height, Option<Utxo>)>,
    spenders: HashMap<OutPoint, Txid>,
    heights: HashMap<Txid, Height>,
}

impl Archived {
    pub(super) fn new(store: Arc<dyn StateRead>) -> Self {
        let (outputs, spenders, heights) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { store, layers: VecDeque::new(), outputs, spenders, heights }
    }

    /// Adds the block after the last one.
    pub(super) fn push(&mut self, changes: Arc<BlockChanges>) {
        let height = changes.height;
        for (outpoint, _) in &changes.spent {
            self.outputs.insert(*outpoint, (height, None));
        }
        for (outpoint, utxo) in &changes.created {
            self.outputs.insert(*outpoint, (height, Some(*utxo)));
        }
        for tx in &changes.txs {
            self.spenders.extend(tx.inputs().iter().map(|outpoint| (*outpoint, tx.txid())));
        }
        self.heights.extend(changes.txids.iter().map(|txid| (*txid, height)));
        self.layers.push_back(changes);
    }

    /// Drops the layers up to `height`: the store answers for them.
    pub(super) fn flushed(&mut self, height: Height) {
        while let Some(layer) = self.layers.pop_front_if(|layer| layer.height <= height) {
            let touched = layer.spent.iter().chain(&layer.created).map(|(outpoint, _)| outpoint);
            for outpoint in touched {
                // A later layer that spends the output still has to say so.
                if self.outputs.get(outpoint).is_some_and(|(changed, _)| *changed == layer.height) {
                    self.outputs.remove(outpoint);
                }
            }
            for outpoint in layer.txs.iter().flat_map(|tx| tx.inputs()) {
                self.spenders.remove(outpoint);
            }
            for txid in &layer.txids {
                self.heights.remove(txid);
            }
        }
    }

    /// How many blocks the store does not answer for yet.
    pub(super) fn unflushed(&self) -> usize {
        self.layers.len()
    }
}

impl StateRead for Archived {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        match self.outputs.get(outpoint) {
            Some((_, changed)) => *changed,
            None => self.store.utxo(outpoint),
        }
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.heights.get(txid).copied().or_else(|| self.store.archived_height(txid))
    }

    fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied().or_else(|| self.store.spender(outpoint))
    }
}
