//! What the index is made from before any block: genesis, or the snapshot that `blocks/` goes on from.
//!
//! A node that was given a snapshot has no blocks up to it, and one that prunes has removed them: then a snapshot in
//! `snapshots/` is as much of the chain as `blocks/` is, and the index can be made anew from the two.

use super::View;
use super::schema::{
    BaseRecord, FORMAT, HeaderRecord, HistoryRecord, META_BASE, META_CHAIN, META_FORMAT, META_TIP, TipRecord, Trees,
    damaged, height_key, history_key, outpoint_key, read, unspent_key, validator_key, value,
};
use crate::chain::spec::Chain;
use crate::ledger::snapshot::CheckedManifest;
use crate::ledger::state::ChainState;
use crate::ledger::utxo::Utxo;
use crate::limits::SNAPSHOT_OUTPUTS_TOGETHER;
use crate::storage::block_files::BLOCKS_DIRECTORY;
use crate::storage::files::{Files, list_numbered};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::StoreError;
use crate::types::hash::Txid;
use crate::types::id_map::IdSet;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The snapshot that the chain in these files begins with; `None` if that is genesis.
///
/// # Errors
/// [`StoreError::NoBase`] if `blocks/` begins above genesis and no snapshot leads to it, or files cannot be read.
pub fn base_of(files: &Arc<dyn Files>) -> Result<Option<Height>, StoreError> {
    let heights = Snapshots::new(Arc::clone(files)).heights()?;
    match list_numbered(&**files, BLOCKS_DIRECTORY)?.first() {
        Some(0 | 1) => Ok(None),
        // The oldest that leads to them: most blocks can be gone through then.
        Some(first) => {
            let base = heights.into_iter().find(|height| height.next() >= Height::new(*first));
            base.map(Some).ok_or(StoreError::NoBase { first: Height::new(*first) })
        }
        None => Ok(heights.last().copied()),
    }
}

/// Makes the block of a snapshot the tip of an empty index.
pub(super) fn put_base(
    trees: &Trees,
    chain: &Chain,
    snapshots: &Snapshots,
    checked: &CheckedManifest,
) -> Result<View, StoreError> {
    let mut outputs = Outputs { trees, height: checked.manifest().height(), waiting: Vec::new() };
    let state = snapshots.read(checked, |entries| outputs.take(entries))?;
    outputs.put_waiting()?;
    let epoch = state.child_epoch(chain);
    put_set(trees, epoch, &state.validators)?;
    if let Some(closed) = epoch.previous() {
        put_set(trees, closed, &state.signers)?;
    }
    for record in state.registry.iter() {
        trees.masternodes.insert(record.id.0, value(record))?;
    }
    let key = height_key(state.height());
    let header = HeaderRecord { header: state.header.clone(), hash: state.hash, location: None };
    trees.headers.insert(key, value(&header))?;
    trees.block_by_hash.insert(state.hash.0, &key)?;
    trees.meta.insert(META_FORMAT, value(&FORMAT))?;
    trees.meta.insert(META_CHAIN, value(&state.header.chain_id))?;
    let base = BaseRecord { height: state.height(), commit: checked.manifest().commit.clone() };
    trees.meta.insert(META_BASE, value(&base))?;
    let outputs = checked.manifest().outputs;
    // Last: an index without a tip is begun anew.
    trees.meta.insert(META_TIP, value(&tip_record(&state, epoch, outputs)))?;
    Ok(View { state, transactions: 0, outputs, leaving: IdSet::default() })
}

fn tip_record(state: &ChainState, epoch: Epoch, outputs: u64) -> TipRecord {
    TipRecord {
        height: state.height(),
        last_opening: state.last_opening,
        epoch,
        utxo_hash: state.utxo_hash.clone(),
        supply: state.supply,
        accrued_fees: state.accrued_fees,
        transactions: 0,
        outputs,
    }
}

fn put_set(trees: &Trees, epoch: Epoch, set: &ValidatorSet) -> Result<(), StoreError> {
    for (member, position) in set.members().iter().zip(0u32..) {
        trees.validators.insert(validator_key(epoch, position), value(member))?;
    }
    Ok(())
}

/// Puts the outputs of a snapshot, as many as memory allows sorted at once.
struct Outputs<'a> {
    trees: &'a Trees,
    height: Height,
    waiting: Vec<(Lock, OutPoint, Amount)>,
}

impl Outputs<'_> {
    fn take(&mut self, entries: Vec<(OutPoint, Utxo)>) -> Result<(), StoreError> {
        for (outpoint, utxo) in &entries {
            self.trees.utxos.insert(outpoint_key(outpoint), value(utxo))?;
        }
        self.waiting.extend(entries.into_iter().map(|(outpoint, utxo)| (utxo.out.lock, outpoint, utxo.out.value)));
        if self.waiting.len() >= SNAPSHOT_OUTPUTS_TOGETHER { self.put_waiting() } else { Ok(()) }
    }

    /// The lists of addresses, and what each address has.
    fn put_waiting(&mut self) -> Result<(), StoreError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        let mut totals: BTreeMap<Lock, (Amount, u64)> = BTreeMap::new();
        for (lock, outpoint, amount) in &waiting {
            self.trees.unspent.insert(unspent_key(lock, outpoint), Vec::new())?;
            let (balance, outputs) = totals.entry(*lock).or_insert((Amount::ZERO, 0));
            // A part of a supply that fits.
            *balance = balance.checked_add(*amount).ok_or_else(|| damaged("the unspent outputs add up past 2^64"))?;
            *outputs += 1;
        }
        for (lock, (balance, outputs)) in totals {
            let key = history_key(&lock, self.height, &Txid::ZERO);
            let before =
                self.trees.history.get(key)?.map(|bytes| read::<HistoryRecord>("history", &bytes)).transpose()?;
            let before = before.map_or((Amount::ZERO, 0), |record| (record.balance, record.outputs));
            let balance = balance.checked_add(before.0);
            let balance = balance.ok_or_else(|| damaged("the unspent outputs add up past 2^64"))?;
            let record = HistoryRecord {
                received: Amount::ZERO,
                sent: Amount::ZERO,
                balance,
                outputs: outputs.saturating_add(before.1),
                is_punishment: false,
            };
            self.trees.history.insert(key, value(&record))?;
        }
        Ok(())
    }
}
