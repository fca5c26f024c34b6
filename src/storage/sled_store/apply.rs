//! Applying a block: hidden puts, the step that makes it the tip, removals. See the module above for why in this order.
//!
//! Everything here gives the same keys and values when it is done again, so an interrupted block is applied by applying
//! it. Keys are put in ascending order: sled takes them three times as fast.

use super::schema::{
    FORMAT, HeaderRecord, HistoryRecord, META_CHAIN, META_FORMAT, META_TIP, META_TOGETHER, Punished, Spender,
    TipRecord, Trees, TxPlace, damaged, height_key, history_key, lock_key, outpoint_key, read, taken_key, unspent_key,
    validator_key, value,
};
use super::{SledStore, View, Writer};
use crate::chain::registry::{Masternode, Registry};
use crate::chain::spec::ChainSpec;
use crate::ledger::execute::BlockChanges;
use crate::ledger::state::ChainState;
use crate::ledger::utxo::Utxo;
use crate::replica::command::CommittedBlock;
use crate::storage::block_files::BlockLocation;
use crate::storage::block_record::encode_record;
use crate::storage::moved::{Moved, moved, sums};
use crate::storage::store::{LockTotals, StoreError};
use crate::types::hash::MasternodeId;
use crate::types::id_map::IdSet;
use crate::types::lock::Lock;
use crate::types::number::Height;
use crate::types::transaction::{OutPoint, Transaction};
use sled::Tree;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

type Output = (OutPoint, Utxo);

/// A block, where it stands, and where in its record each transaction does.
pub(super) type Placed<'a> = (&'a CommittedBlock, BlockLocation, &'a [(u32, u32)]);

/// Everything about a block that the index takes in.
pub(super) struct Step<'a> {
    pub(super) location: Option<BlockLocation>,
    /// Offset and length of each transaction in the block's record.
    pub(super) places: &'a [(u32, u32)],
    pub(super) txs: &'a [Transaction],
    pub(super) changes: &'a BlockChanges,
}

impl SledStore {
    /// Applies blocks in order; those it has already are passed over. Whoever calls it has their journal records synced.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] if one does not follow the tip, and nothing has changed then; any other, and nothing
    /// more can be applied.
    pub fn apply(&self, blocks: &[Arc<CommittedBlock>]) -> Result<Height, StoreError> {
        let mut writer = self.lock_writer();
        if writer.has_failed {
            return Err(StoreError::Failed);
        }
        let tip = self.view().state.clone();
        let new: Vec<_> = blocks.iter().filter(|block| block.changes.height > tip.height()).collect();
        let mut expected = (tip.height(), tip.hash);
        for block in &new {
            let header = &block.changes.state.header;
            if header.height != expected.0.next() || header.prev != expected.1 {
                return Err(StoreError::OutOfOrder { tip: expected.0, found: header.height });
            }
            expected = (header.height, block.changes.state.hash);
        }
        let applied = self.apply_in_order(&mut writer, &new);
        writer.has_failed |= applied.is_err();
        applied.map(|()| expected.0)
    }

    fn apply_in_order(&self, writer: &mut Writer, blocks: &[&Arc<CommittedBlock>]) -> Result<(), StoreError> {
        let files = writer.blocks.as_mut().ok_or(StoreError::Failed)?;
        let mut places = Vec::with_capacity(blocks.len());
        for block in blocks {
            let record = encode_record(&block.block, &block.commit, &block.changes.inputs);
            let location = files.append(block.changes.height, &record)?;
            places.push((location, record.transactions));
        }
        if !blocks.is_empty() {
            files.sync()?;
        }
        let placed: Vec<Placed<'_>> = blocks
            .iter()
            .zip(&places)
            .map(|(block, (location, places))| (&***block, *location, places.as_slice()))
            .collect();
        match placed[..] {
            [(block, location, places)] => self.index(block, location, places)?,
            _ => self.index_together(&placed)?,
        }
        if blocks.iter().any(|block| block.changes.closed_epoch.is_some()) { self.complete_epochs() } else { Ok(()) }
    }

    /// Takes a block into the index whose record is synced.
    pub(super) fn index(
        &self,
        block: &CommittedBlock,
        location: BlockLocation,
        places: &[(u32, u32)],
    ) -> Result<(), StoreError> {
        let step = Step { location: Some(location), places, txs: &block.block.txs, changes: &block.changes };
        let before = self.view();
        let totals = step.totals_after(before.transactions, before.outputs)?;
        put_hidden(&self.trees, &step)?;
        make_tip(&self.trees, &self.options.chain, Some(&before.state.registry), std::slice::from_ref(&step), totals)?;
        let leaving: IdSet<OutPoint> = step.changes.spent.iter().map(|(outpoint, _)| *outpoint).collect();
        let (transactions, outputs) = totals;
        self.set_view(View { state: step.changes.state.clone(), transactions, outputs, leaving });
        remove_spent(&self.trees, &step.changes.spent)?;
        let leaving = IdSet::default();
        self.set_view(View { state: step.changes.state.clone(), transactions, outputs, leaving });
        Ok(())
    }
}

/// Makes genesis the tip of an empty index.
pub(super) fn put_genesis(trees: &Trees, spec: &ChainSpec, step: &Step<'_>) -> Result<(), StoreError> {
    put_hidden(trees, step)?;
    trees.meta.insert(META_FORMAT, value(&FORMAT))?;
    trees.meta.insert(META_CHAIN, value(&step.changes.state.header.chain_id))?;
    let totals = step.totals_after(0, 0)?;
    make_tip(trees, spec, None, std::slice::from_ref(step), totals)
}

impl Step<'_> {
    fn height(&self) -> Height {
        self.changes.height
    }

    /// Transactions and unspent outputs in all, from how many there were.
    pub(super) fn totals_after(&self, transactions: u64, outputs: u64) -> Result<(u64, u64), StoreError> {
        let changes = self.changes;
        let transactions = transactions.checked_add(changes.txids.len() as u64);
        let outputs = outputs.checked_add(changes.created.len() as u64);
        let outputs = outputs.and_then(|sum| sum.checked_sub(changes.spent.len() as u64));
        transactions.zip(outputs).ok_or_else(|| damaged("the counts of transactions and outputs do not add up"))
    }
}

/// Puts that nobody sees before the block is the tip.
pub(super) fn put_hidden(trees: &Trees, step: &Step<'_>) -> Result<(), StoreError> {
    for_each_entry(trees, step, &mut |tree, key, value| Ok(tree.insert(key, value).map(drop)?))
}

/// Where the entries of a block go: tree, key, value.
pub(super) type Sink<'a> = dyn FnMut(&Tree, &[u8], Vec<u8>) -> Result<(), StoreError> + 'a;

/// Every entry that a block adds, those of one tree in ascending order. Amounts in `history` follow from what the tree
/// has below the block.
pub(super) fn for_each_entry(trees: &Trees, step: &Step<'_>, sink: &mut Sink<'_>) -> Result<(), StoreError> {
    entries(trees, step, &mut RunningTotals::new(), sink)
}

/// What locks have after blocks that are not in the index yet.
pub(super) type RunningTotals = HashMap<Lock, LockTotals>;

/// [`for_each_entry`] of a block behind others that `totals` has seen, and sees it.
pub(super) fn entries(
    trees: &Trees,
    step: &Step<'_>,
    totals: &mut RunningTotals,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    let (changes, height) = (step.changes, step.height());
    let places = step.places.iter().copied().chain(std::iter::repeat((0, 0)));
    let positions = changes.txids.iter().zip(0u32..).zip(places);
    let places = positions.map(|((txid, position), bytes)| (txid.0, value(&TxPlace { height, position, bytes })));
    in_order(&trees.tx_index, places, sink)?;
    let created = &changes.created;
    in_order(&trees.utxos, created.iter().map(|(outpoint, utxo)| (outpoint_key(outpoint), value(utxo))), sink)?;
    let unspent = created.iter().map(|(outpoint, utxo)| (unspent_key(&utxo.out.lock, outpoint), Vec::new()));
    in_order(&trees.unspent, unspent, sink)?;
    let spent = changes.txids.iter().zip(step.txs).flat_map(|(txid, tx)| {
        tx.body.inputs.iter().map(|outpoint| (outpoint_key(outpoint), value(&Spender { txid: *txid, height })))
    });
    in_order(&trees.spent, spent, sink)?;
    let punished = &changes.punished;
    in_order(&trees.taken, punished.iter().map(|p| (taken_key(height, &p.taken), value(p))), sink)?;
    let places = punished.iter().flat_map(|punishment| {
        let place = value(&Punished { height, taken: punishment.taken });
        [punishment.taken, punishment.left].map(|outpoint| (outpoint_key(&outpoint), place.clone()))
    });
    in_order(&trees.punished, places, sink)?;
    history_entries(&trees.history, step, totals, sink)?;
    let state = &changes.state;
    if height == Height::ZERO || changes.closed_epoch.is_some() {
        let epoch = changes.closed_epoch.map_or_else(Default::default, |epoch| epoch.next());
        let members = state.validators.members().iter().zip(0u32..);
        let members = members.map(|(member, position)| (validator_key(epoch, position), value(member)));
        in_order(&trees.validators, members, sink)?;
    }
    Ok(())
}

fn in_order<K: AsRef<[u8]> + Ord>(
    tree: &Tree,
    entries: impl Iterator<Item = (K, Vec<u8>)>,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    let mut entries: Vec<(K, Vec<u8>)> = entries.collect();
    entries.sort_unstable();
    entries.into_iter().try_for_each(|(key, value)| sink(tree, key.as_ref(), value))
}

fn history_entries(
    history: &Tree,
    step: &Step<'_>,
    totals: &mut RunningTotals,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    for of_lock in moved(step.txs, step.changes).chunk_by(|a, b| a.lock == b.lock) {
        let lock = of_lock[0].lock;
        let before = match totals.get(&lock) {
            Some(before) => *before,
            None => last_totals(history, &lock_key(&lock), step.height())?,
        };
        let after @ LockTotals { balance, outputs } = totals_after(before, of_lock)?;
        totals.insert(lock, after);
        for of_tx in of_lock.chunk_by(|a, b| a.txid == b.txid) {
            let (received, sent) = sums(of_tx).ok_or_else(|| damaged("the amounts of a transaction do not add up"))?;
            let record = HistoryRecord { received, sent, balance, outputs, is_punishment: of_tx[0].is_punishment };
            sink(history, &history_key(&of_lock[0].lock, step.height(), &of_tx[0].txid), value(&record))?;
        }
    }
    Ok(())
}

/// What a lock has after the block, from what it had before and what moved.
fn totals_after(before: LockTotals, moved: &[Moved]) -> Result<LockTotals, StoreError> {
    let balance = sums(moved).and_then(|(received, sent)| before.balance.checked_add(received)?.checked_sub(sent));
    let created = moved.iter().filter(|moved| moved.is_received).count() as u64;
    let outputs = before.outputs.checked_add(created).and_then(|all| all.checked_sub(moved.len() as u64 - created));
    let totals = balance.zip(outputs).map(|(balance, outputs)| LockTotals { balance, outputs });
    totals.ok_or_else(|| damaged("the balance of an address falls below zero"))
}

/// What a lock has after the blocks below `height`.
pub(super) fn last_totals(history: &Tree, lock: &[u8], height: Height) -> Result<LockTotals, StoreError> {
    let end = [lock, &height_key(height)].concat();
    let Some(entry) = history.range(lock..&end).next_back() else {
        return Ok(LockTotals::default());
    };
    let record: HistoryRecord = read("history", &entry?.1)?;
    Ok(LockTotals { balance: record.balance, outputs: record.outputs })
}

/// The one step that shows the blocks: everything or nothing of them. They have consecutive heights.
pub(super) fn make_tip(
    trees: &Trees,
    spec: &ChainSpec,
    registry: Option<&Registry>,
    steps: &[Step<'_>],
    (transactions, outputs): (u64, u64),
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Ok(()) };
    let header = |step: &Step<'_>| {
        let state = &step.changes.state;
        let record = HeaderRecord { header: state.header.clone(), hash: state.hash, location: step.location };
        (height_key(step.height()), state.hash, value(&record))
    };
    let new_headers: Vec<_> = steps.iter().map(header).collect();
    let state = &last.changes.state;
    let (tip, together) = (value(&tip_record(spec, state, transactions, outputs)), value(&first.height()));
    let (changed, gone) = registry_changes(registry, &state.registry);
    let changed: Vec<_> = changed.into_iter().map(|record| (record.id.0, value(record))).collect();
    let all = (&trees.headers, &trees.block_by_hash, &trees.masternodes, &trees.meta);
    let done = all.transaction(|(headers, block_by_hash, masternodes, meta)| {
        for (key, hash, header) in &new_headers {
            headers.insert(key, header.as_slice())?;
            block_by_hash.insert(&hash.0, key)?;
        }
        for (id, record) in &changed {
            masternodes.insert(id, record.as_slice())?;
        }
        for id in &gone {
            masternodes.remove(&id.0)?;
        }
        meta.insert(META_TOGETHER, together.as_slice())?;
        meta.insert(META_TIP, tip.as_slice())?;
        Ok::<(), ConflictableTransactionError<Infallible>>(())
    });
    done.map_err(|e| match e {
        TransactionError::Storage(error) => StoreError::from(error),
        TransactionError::Abort(never) => match never {},
    })
}

fn tip_record(spec: &ChainSpec, state: &ChainState, transactions: u64, outputs: u64) -> TipRecord {
    TipRecord {
        height: state.height(),
        last_opening: state.last_opening,
        epoch: state.child_epoch(spec),
        utxo_hash: state.utxo_hash.clone(),
        supply: state.supply,
        accrued_fees: state.accrued_fees,
        transactions,
        outputs,
    }
}

/// Records that are new or different, and those that are gone.
fn registry_changes<'a>(before: Option<&'a Registry>, after: &'a Registry) -> (Vec<&'a Masternode>, Vec<MasternodeId>) {
    // Both hashes were computed for the state roots.
    if before.is_some_and(|before| before.hash() == after.hash()) {
        return (Vec::new(), Vec::new());
    }
    let is_new = |record: &&Masternode| before.and_then(|before| before.get(&record.id)) != Some(*record);
    let changed = after.iter().filter(is_new).collect();
    let gone = before.into_iter().flat_map(Registry::iter).map(|record| record.id);
    (changed, gone.filter(|id| after.get(id).is_none()).collect())
}

/// Removes what the tip spends: first from the list of its lock, so that nothing is left in one that no output needs.
pub(super) fn remove_spent(trees: &Trees, spent: &[Output]) -> Result<(), StoreError> {
    let mut unspent: Vec<_> = spent.iter().map(|(outpoint, utxo)| unspent_key(&utxo.out.lock, outpoint)).collect();
    unspent.sort_unstable();
    for key in unspent {
        trees.unspent.remove(key)?;
    }
    let mut utxos: Vec<_> = spent.iter().map(|(outpoint, _)| outpoint_key(outpoint)).collect();
    utxos.sort_unstable();
    for key in utxos {
        trees.utxos.remove(key)?;
    }
    Ok(())
}
