//! The archived state as of the tip: what the store holds, and over it the blocks it does not answer for yet.
//!
//! The newest unspent outputs stay here when the store has them too: money that has just come is what is spent most, and
//! a look-up on disk costs a hundred times one here.
//!
//! Invariant: a read sees every committed block, whether or how far the store has caught up. A layer goes only when
//! the store is said to answer for its block; until then it overrides the store, which may be ahead of what was said.

use super::execute::BlockChanges;
use super::utxo::{StateRead, Utxo};
use crate::limits::MAX_RECENT_OUTPUTS;
use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::number::Height;
use crate::types::transaction::OutPoint;
use std::collections::VecDeque;
use std::sync::Arc;

/// The store and the layers over it. The maps are looked up in, never iterated.
pub(super) struct Archived {
    store: Arc<dyn StateRead>,
    layers: VecDeque<Arc<BlockChanges>>,
    /// The last change of an output in any layer, with the layer's height; `None` if it is spent.
    outputs: IdMap<OutPoint, (Height, Option<Utxo>)>,
    spenders: IdMap<OutPoint, Txid>,
    heights: IdMap<Txid, Height>,
    /// Unspent in the store, and in no layer. The queue has every key, oldest first, and perhaps some that are gone.
    recent: IdMap<OutPoint, Utxo>,
    recent_order: VecDeque<OutPoint>,
}

impl Archived {
    pub(super) fn new(store: Arc<dyn StateRead>) -> Self {
        Self {
            store,
            layers: VecDeque::new(),
            outputs: IdMap::default(),
            spenders: IdMap::default(),
            heights: IdMap::default(),
            recent: IdMap::default(),
            recent_order: VecDeque::new(),
        }
    }

    /// Adds the block after the last one.
    pub(super) fn push(&mut self, changes: Arc<BlockChanges>) {
        let height = changes.height;
        for (outpoint, _) in &changes.spent {
            self.recent.remove(outpoint);
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
                if self.outputs.get(outpoint).is_some_and(|(changed, _)| *changed == layer.height)
                    && let Some((_, Some(utxo))) = self.outputs.remove(outpoint)
                {
                    self.remember(*outpoint, utxo);
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

    fn remember(&mut self, outpoint: OutPoint, utxo: Utxo) {
        self.recent.insert(outpoint, utxo);
        self.recent_order.push_back(outpoint);
        if self.recent_order.len() > MAX_RECENT_OUTPUTS
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
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
            None => self.recent.get(outpoint).copied().or_else(|| self.store.utxo(outpoint)),
        }
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.heights.get(txid).copied().or_else(|| self.store.archived_height(txid))
    }

    fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied().or_else(|| self.store.spender(outpoint))
    }

    /// Of the coinbase of a block that the store does not answer for yet, nothing is said.
    fn output_count(&self, txid: &Txid) -> Option<usize> {
        let layer = self.heights.get(txid).and_then(|height| self.layers.iter().find(|layer| layer.height == *height));
        match layer {
            Some(layer) => layer.txs.iter().find(|tx| tx.txid() == *txid).map(|tx| tx.body().outputs.len()),
            None => self.store.output_count(txid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{World, lock, spec};
    use crate::types::number::Amount;
    use crate::types::transaction::TxOut;

    /// A store that is asked for outputs it must not be asked for.
    struct Stale(Utxo);

    impl StateRead for Stale {
        fn utxo(&self, _: &OutPoint) -> Option<Utxo> {
            Some(self.0)
        }

        fn archived_height(&self, _: &Txid) -> Option<Height> {
            None
        }
    }

    #[test]
    fn a_recent_output_is_at_hand_until_it_is_spent_and_never_after() {
        let mut world = World::of(spec());
        let first = world.open(&[]);
        let paid = world.pay(&[world.coin(0)], &[7]);
        let second = world.open(std::slice::from_ref(&paid));
        let created = second.changes.created.iter().find(|(outpoint, _)| outpoint.txid == paid.txid());
        let (outpoint, utxo) = *created.unwrap();
        let other = Utxo { created: Height::new(99), ..utxo };
        let mut archived = Archived::new(Arc::new(Stale(other)));
        archived.push(first.changes.clone());
        archived.push(second.changes.clone());
        assert_eq!(archived.utxo(&outpoint), Some(utxo), "of a layer");
        archived.flushed(second.changes.height);
        assert_eq!(archived.utxo(&outpoint), Some(utxo), "the store is not asked");
        let spend = BlockChanges { spent: vec![(outpoint, utxo)], created: Vec::new(), ..(*second.changes).clone() };
        let spend = BlockChanges { height: spend.height.next(), ..spend };
        archived.push(Arc::new(spend.clone()));
        assert_eq!(archived.utxo(&outpoint), None, "spent by a layer");
        archived.flushed(spend.height);
        assert_eq!(archived.utxo(&outpoint), Some(other), "now only the store knows, and this one is wrong");
    }

    #[test]
    fn the_oldest_recent_outputs_make_room() {
        let (outpoint, utxo) = (
            OutPoint { txid: Txid::ZERO, index: 0 },
            Utxo { out: TxOut { value: Amount::new(1), lock: lock(1) }, created: Height::ZERO },
        );
        let mut archived = Archived::new(Arc::new(Stale(utxo)));
        for index in 0..u32::try_from(MAX_RECENT_OUTPUTS).unwrap() + 3 {
            archived.remember(OutPoint { index, ..outpoint }, utxo);
        }
        assert_eq!((archived.recent.len(), archived.recent_order.len()), (MAX_RECENT_OUTPUTS, MAX_RECENT_OUTPUTS));
        assert!(!archived.recent.contains_key(&OutPoint { index: 2, ..outpoint }));
        assert!(archived.recent.contains_key(&OutPoint { index: 3, ..outpoint }));
    }
}
