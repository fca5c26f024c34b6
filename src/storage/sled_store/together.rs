//! Applying several blocks in one go, while the store catches up: fewer puts, and those in long sorted runs.
//!
//! What one block creates and a later one of them spends never gets into the index; each tree takes its entries in
//! ascending order over all blocks, several trees at once; one transaction makes the last of the blocks the tip. So all of
//! them show at once, and what a crash interrupts is done again like a single block: `meta` says from which height on the
//! tip's blocks went in together, and the next start removes what they spend.

use super::apply::{Placed, Step, entries, make_tip, remove_spent};
use super::schema::{LOCK_BYTES, Trees, outpoint_key};
use super::{SledStore, View};
use crate::ledger::utxo::Utxo;
use crate::storage::store::StoreError;
use crate::types::id_map::IdSet;
use crate::types::transaction::OutPoint;
use rayon::prelude::*;
use sled::Tree;
use std::collections::{HashMap, HashSet};

type Entry = (Vec<u8>, Vec<u8>);

impl SledStore {
    /// Takes blocks of consecutive heights into the index whose records are synced.
    pub(super) fn index_together(&self, blocks: &[Placed<'_>]) -> Result<(), StoreError> {
        let steps: Vec<Step<'_>> = blocks
            .iter()
            .map(|(block, location, places)| Step {
                location: Some(*location),
                places,
                txs: &block.block.txs,
                changes: &block.changes,
            })
            .collect();
        let Some(last) = steps.last() else { return Ok(()) };
        let before = self.view();
        let mut totals = (before.transactions, before.outputs);
        for step in &steps {
            totals = step.totals_after(totals.0, totals.1)?;
        }
        let (spent, passing) = net_of(&steps);
        put_hidden(&self.trees, &steps, &passing)?;
        make_tip(&self.trees, &self.options.chain, Some(&before.state.registry), &steps, totals)?;
        let (transactions, outputs) = totals;
        let state = &last.changes.state;
        let leaving: IdSet<OutPoint> = spent.iter().map(|(outpoint, _)| *outpoint).collect();
        self.set_view(View { state: state.clone(), transactions, outputs, leaving });
        remove_spent(&self.trees, &spent)?;
        self.set_view(View { state: state.clone(), transactions, outputs, leaving: IdSet::default() });
        Ok(())
    }
}

/// What the blocks spend of what was there before them, and the keys of what they create and spend themselves.
pub(super) fn net_of(steps: &[Step<'_>]) -> (Vec<(OutPoint, Utxo)>, HashSet<Vec<u8>>) {
    let mut created: IdSet<OutPoint> = IdSet::default();
    let (mut spent, mut passing) = (Vec::new(), HashSet::new());
    for step in steps {
        for (outpoint, utxo) in &step.changes.spent {
            if created.remove(outpoint) {
                passing.insert(outpoint_key(outpoint).to_vec());
            } else {
                spent.push((*outpoint, *utxo));
            }
        }
        created.extend(step.changes.created.iter().map(|(outpoint, _)| *outpoint));
    }
    (spent, passing)
}

/// Puts that nobody sees before the last block is the tip.
pub(super) fn put_hidden(trees: &Trees, steps: &[Step<'_>], passing: &HashSet<Vec<u8>>) -> Result<(), StoreError> {
    let mut of_tree: Vec<(Tree, Vec<Entry>)> = trees.all().map(|tree| (tree.clone(), Vec::new())).into();
    let (utxos, unspent) = (trees.utxos.name(), trees.unspent.name());
    let mut totals = HashMap::new();
    for step in steps {
        entries(trees, step, &mut totals, &mut |tree, key, value| {
            let name = tree.name();
            let is_passing = (name == utxos && passing.contains(key))
                || (name == unspent && key.get(LOCK_BYTES..).is_some_and(|outpoint| passing.contains(outpoint)));
            if !is_passing && let Some((_, list)) = of_tree.iter_mut().find(|(tree, _)| tree.name() == name) {
                list.push((key.to_vec(), value));
            }
            Ok(())
        })?;
    }
    of_tree.into_par_iter().try_for_each(|(tree, mut list)| {
        list.sort_unstable();
        list.into_iter().try_for_each(|(key, value)| Ok(tree.insert(key, value).map(drop)?))
    })
}
