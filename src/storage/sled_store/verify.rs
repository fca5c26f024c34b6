//! The index against the chain (`timed db verify`): the entries that applying a block puts are there, and no others.
//! A start checks the state at the tip only.

use super::apply::{Step, for_each_entry};
use super::check::{index_end, read_txid};
use super::schema::{
    HeaderRecord, LOCK_BYTES, Punished, Spender, TxPlace, damaged, outpoint_key, read, read_history_key, read_outpoint,
    unspent_key,
};
use super::{SledStore, View};
use crate::ledger::execute::BlockChanges;
use crate::ledger::utxo::Utxo;
use crate::replica::command::CommittedBlock;
use crate::storage::block_files::{BlockLocation, IndexEnd};
use crate::storage::block_record::encode_record;
use crate::storage::replay::Replay;
use crate::storage::store::{Archive, StoreError};
use crate::types::number::{Epoch, Height};
use crate::types::transaction::{OutPoint, Transaction};
use sled::Tree;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What an index holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Height of its tip.
    pub height: Height,
    /// Transactions in blocks up to it, coinbases included.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// Addresses that ever had one.
    pub locks: u64,
}

/// Whether an entry, by key and value, is of a block up to the tip.
type Counted<'a> = dyn Fn(&[u8], &[u8]) -> Result<bool, StoreError> + 'a;

/// Goes along with a [`Replay`] up to the tip of the index. No block may be applied meanwhile.
pub struct IndexCheck {
    store: Arc<SledStore>,
    view: Arc<View>,
    /// Entries that are there by what the blocks say, by name of the tree.
    expected: BTreeMap<Vec<u8>, u64>,
    /// The block of the snapshot that the replay began at: entries up to it are not counted.
    base: Option<Height>,
}

impl IndexCheck {
    /// Checks this index.
    pub fn new(store: Arc<SledStore>) -> Self {
        let view = store.view();
        Self { store, view, expected: BTreeMap::new(), base: None }
    }

    /// Height of the tip of the index: where [`IndexCheck::finish`] belongs.
    pub fn tip(&self) -> Height {
        self.view.state.height()
    }

    /// Where the replay begins: of genesis everything is there, of what came before a snapshot nothing can be said.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the first entry that is missing or another.
    pub fn begin(&mut self, replay: &Replay) -> Result<(), StoreError> {
        let Some((txs, changes)) = replay.genesis() else {
            self.base = Some(replay.base());
            return Ok(());
        };
        self.entries(&Step { location: None, places: &[], txs, changes })
    }

    /// The next block, which stands at `location`. Blocks above the tip are passed over.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the first entry that is missing or another.
    pub fn block(&mut self, block: &CommittedBlock, location: BlockLocation) -> Result<(), StoreError> {
        let CommittedBlock { block: content, commit, changes } = block;
        if changes.height > self.tip() {
            return Ok(());
        }
        let record = encode_record(content, commit, &changes.inputs);
        let (txs, changes): (&[Transaction], &BlockChanges) = (&content.txs, changes);
        self.entries(&Step { location: Some(location), places: &record.transactions, txs, changes })
    }

    fn entries(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        let state = &step.changes.state;
        let height = state.height();
        let record = HeaderRecord { header: state.header.clone(), hash: state.hash, location: step.location };
        if self.store.header_record(height)?.as_ref() != Some(&record) {
            return Err(damaged(format!("the header of block {height} is missing, or another's")));
        }
        if self.store.height_of(&state.hash)? != Some(height) {
            return Err(damaged(format!("block {height} is not found by its hash")));
        }
        let expected = &mut self.expected;
        for_each_entry(&self.store.trees, step, &mut |tree, key, value| {
            let name = tree.name();
            if [&b"utxos"[..], b"unspent"].contains(&name.as_ref()) {
                // May have been spent since.
                return Ok(());
            }
            match expected.get_mut(name.as_ref()) {
                Some(count) => *count += 1,
                None => drop(expected.insert(name.to_vec(), 1)),
            }
            match tree.get(key)? {
                Some(found) if found == value => Ok(()),
                found => {
                    let what = if found.is_some() { "is not what its block says" } else { "is missing" };
                    let tree = String::from_utf8_lossy(&name).into_owned();
                    Err(damaged(format!("an entry of {tree} for block {height} {what}")))
                }
            }
        })
    }

    /// The replay has come to the tip of the index: the unspent outputs are the same, and nothing else is indexed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn finish(&self, replay: &Replay) -> Result<Counts, StoreError> {
        let state = &self.view.state;
        if replay.state() != state {
            return Err(damaged(format!("the state at its tip, height {}, is not the chain's", state.height())));
        }
        self.check_outputs(replay.unspent())?;
        self.check_counts()?;
        let (transactions, outputs) = (self.view.transactions, self.view.outputs);
        // Of a chain whose beginning is not kept, the index may count more than there is to go through.
        let counted = if self.base.is_some() { transactions } else { replay.counts().transactions };
        if (transactions, outputs) != (counted, replay.unspent().len() as u64) {
            return Err(damaged("its tip counts other transactions or outputs than there are"));
        }
        Ok(Counts { height: state.height(), transactions, outputs, locks: self.store.locks()? })
    }

    fn check_outputs(&self, unspent: &HashMap<OutPoint, Utxo>) -> Result<(), StoreError> {
        let trees = &self.store.trees;
        for (outpoint, utxo) in unspent {
            let found = trees.utxos.get(outpoint_key(outpoint))?.map(|bytes| read::<Utxo>("utxos", &bytes));
            if found.transpose()? != Some(*utxo) {
                return Err(damaged(format!("output {outpoint} is missing, or another one")));
            }
            if trees.unspent.get(unspent_key(&utxo.out.lock, outpoint))?.is_none() {
                return Err(damaged(format!("output {outpoint} is not on the list of its address")));
            }
        }
        for (name, tree, prefix) in [("utxos", &trees.utxos, 0), ("unspent", &trees.unspent, LOCK_BYTES)] {
            for key in tree.iter().keys() {
                let key = key?;
                let outpoint = key.get(prefix..).and_then(read_outpoint);
                let outpoint = outpoint.ok_or_else(|| damaged(format!("a key of {name} is none")))?;
                if self.store.unspent_output(&outpoint)?.is_none() {
                    // Hidden: of a block that a crash left half applied.
                    continue;
                }
                let utxo = unspent.get(&outpoint).ok_or_else(|| damaged(format!("output {outpoint} is spent")))?;
                if name == "unspent" && key[..] != unspent_key(&utxo.out.lock, &outpoint) {
                    return Err(damaged(format!("output {outpoint} is on the list of another address")));
                }
            }
        }
        Ok(())
    }

    /// No entry but those gone through. What a block above the tip added before a crash does not count.
    fn check_counts(&self) -> Result<(), StoreError> {
        let (trees, tip) = (&self.store.trees, self.tip());
        let chain = &self.store.options.chain;
        let epoch = self.view.state.child_epoch(chain);
        let is_counted = |height: Height| height <= tip && self.base.is_none_or(|base| height > base);
        let number = |key: &[u8]| key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let bad_key = |tree: &str| damaged(format!("a key of {tree} is none"));
        let places = |key: &[u8], bytes: &[u8]| {
            read_txid(key)?;
            Ok(is_counted(read::<TxPlace>("tx_index", bytes)?.height))
        };
        self.count(&trees.tx_index, &places)?;
        self.count(&trees.spent, &|_, bytes| Ok(is_counted(read::<Spender>("spent", bytes)?.height)))?;
        self.count(&trees.taken, &|key, _| Ok(is_counted(Height::new(number(key).ok_or_else(|| bad_key("taken"))?))))?;
        self.count(&trees.punished, &|_, bytes| Ok(is_counted(read::<Punished>("punished", bytes)?.height)))?;
        self.count(&trees.history, &|key, _| {
            Ok(is_counted(read_history_key(key).ok_or_else(|| bad_key("history"))?.0))
        })?;
        let base_epoch = self.base.and_then(|base| self.expected_epoch(base));
        self.count(&trees.validators, &|key, _| {
            let of = Epoch::new(number(key).ok_or_else(|| bad_key("validators"))?);
            Ok(of <= epoch && base_epoch.is_none_or(|base| of > base))
        })?;
        let blocks = tip.get().saturating_add(1).saturating_sub(self.base.map_or(0, |base| base.get() + 1));
        let above = self.base.map_or(0, |base| base.get() + 1).to_be_bytes();
        let headers = trees.headers.range(above..).count() as u64;
        let hashes = trees
            .block_by_hash
            .iter()
            .values()
            .try_fold(0u64, |found, value| Ok::<u64, StoreError>(found + u64::from(value?[..] >= above[..])))?;
        for (name, found) in [("headers", headers), ("block_by_hash", hashes)] {
            if found != blocks {
                return Err(damaged(format!("{name} has {found} entries, the chain has {blocks} blocks")));
            }
        }
        Ok(())
    }

    /// The epoch that the block of the snapshot began: its set, and those before, are not made by blocks gone through.
    fn expected_epoch(&self, base: Height) -> Option<Epoch> {
        let header = self.store.header_record(base).ok()??.header;
        Some(self.store.options.chain.epoch_of_child(header.opened))
    }

    fn count(&self, tree: &Tree, counts: &Counted<'_>) -> Result<(), StoreError> {
        let mut found = 0u64;
        for entry in tree {
            let (key, value) = entry?;
            found += u64::from(counts(&key, &value)?);
        }
        let name = tree.name();
        let expected = self.expected.get(name.as_ref()).copied().unwrap_or(0);
        if found == expected {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        Err(damaged(format!("{name} has {found} entries, the blocks make {expected}")))
    }
}

impl SledStore {
    /// Where the index ends in the files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(in crate::storage) fn index_end(&self) -> Result<IndexEnd, StoreError> {
        index_end(&self.trees, self.view().state.height())
    }

    /// Entries of each tree, by its name. Takes a pass over all of them.
    pub fn tree_sizes(&self) -> Vec<(&'static str, u64)> {
        let trees = &self.trees;
        let named = [
            ("headers", &trees.headers),
            ("block_by_hash", &trees.block_by_hash),
            ("tx_index", &trees.tx_index),
            ("utxos", &trees.utxos),
            ("unspent", &trees.unspent),
            ("spent", &trees.spent),
            ("taken", &trees.taken),
            ("punished", &trees.punished),
            ("history", &trees.history),
            ("masternodes", &trees.masternodes),
            ("validators", &trees.validators),
        ];
        named.map(|(name, tree)| (name, tree.len() as u64)).to_vec()
    }

    /// How many addresses ever had an output. Takes one look-up for each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn locks(&self) -> Result<u64, StoreError> {
        let history = &self.trees.history;
        let mut locks = 0;
        let mut next = history.first()?;
        while let Some((key, _)) = next {
            let lock = key.get(..LOCK_BYTES).ok_or_else(|| damaged("a key of history is none"))?;
            locks += 1;
            next = next_lock(lock).map_or(Ok(None), |after| history.range(after..).next().transpose())?;
        }
        Ok(locks)
    }
}

/// The first key that sorts behind every key that starts with `lock`.
fn next_lock(lock: &[u8]) -> Option<Vec<u8>> {
    let mut after = lock.to_vec();
    while let Some(last) = after.pop() {
        if let Some(more) = last.checked_add(1) {
            after.push(more);
            return Some(after);
        }
    }
    None
}
