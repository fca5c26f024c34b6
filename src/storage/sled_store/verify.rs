//! The long check (`timed db verify`): every block against its header and its commit, every entry of the index against
//! the blocks. A start checks the state only.

use super::SledStore;
use super::apply::last_totals;
use super::check::{read_txid, sum_utxos};
use super::schema::{
    HeaderRecord, LOCK_BYTES, Spender, TxPlace, damaged, lock_key, outpoint_key, read, read_outpoint, unspent_key,
};
use crate::ledger::utxo::Utxo;
use crate::storage::block_record::StoredBlock;
use crate::storage::store::{Archive, LockTotals, StoreError};
use crate::types::block::{commit_root, evidence_root, tx_root};
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Amount, Height};

/// What a long check went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Blocks, genesis included.
    pub blocks: u64,
    /// Their transactions.
    pub transactions: u64,
    /// Unspent outputs.
    pub outputs: u64,
    /// Addresses that ever had one.
    pub locks: u64,
}

impl SledStore {
    /// Checks everything that is kept; `progress` is told of each height. No block may be applied meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: the first thing that is wrong.
    pub fn verify(&self, progress: &mut dyn FnMut(Height)) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let mut parent = BlockHash::ZERO;
        let (tip, mut opened) = (self.tip(), 0);
        let mut height = Height::ZERO;
        while height <= tip.height() {
            let missing = || damaged(format!("the header of block {height} is missing"));
            let record = self.header_record(height)?.ok_or_else(missing)?;
            let stored = self.block(height)?.ok_or_else(missing)?;
            if record.header.prev != parent || record.hash != record.header.hash() {
                return Err(damaged(format!("block {height} does not follow the one before it")));
            }
            self.verify_block(&record, &stored, opened)?;
            counts.blocks += 1;
            counts.transactions += stored.block.txs.len() as u64;
            (parent, opened) = (record.hash, record.header.opened);
            progress(height);
            height = height.next();
        }
        self.verify_transactions(counts.transactions)?;
        counts.outputs = self.verify_outputs()?;
        counts.locks = self.verify_locks(counts.outputs)?;
        Ok(counts)
    }

    /// One block; `opened` is its parent's.
    fn verify_block(&self, record: &HeaderRecord, stored: &StoredBlock, opened: u64) -> Result<(), StoreError> {
        let (header, height) = (&record.header, record.header.height);
        let wrong = |what: &str| damaged(format!("{what} of block {height} is not the one its header names"));
        let txids: Vec<Txid> = stored.block.txs.iter().map(|tx| tx.body.txid()).collect();
        if tx_root(&txids) != header.tx_root {
            return Err(wrong("the list of transactions"));
        }
        if commit_root(stored.block.last_commit.as_ref()) != header.last_commit_root {
            return Err(wrong("the parent's commit"));
        }
        if evidence_root(&stored.block.evidence) != header.evidence_root {
            return Err(wrong("the evidence"));
        }
        if let Some(commit) = &stored.commit {
            let set = self.validators(self.options.chain.epoch_of_child(opened))?;
            let set = set.filter(|set| set.hash() == header.validators_hash).ok_or_else(|| wrong("the set"))?;
            let checked = self.options.verifier.commit(commit.clone(), &set);
            if checked.is_err() || commit.block_hash != record.hash {
                return Err(wrong("the commit"));
            }
        }
        if self.height_of(&record.hash)? != Some(height) {
            return Err(wrong("the place"));
        }
        for ((txid, tx), position) in txids.iter().zip(&stored.block.txs).zip(0u32..) {
            let archived = self.transaction(txid)?.filter(|archived| {
                archived.height == height && archived.position == position && archived.stored.tx == *tx
            });
            archived.ok_or_else(|| damaged(format!("transaction {txid} of block {height} is not indexed")))?;
            for outpoint in &tx.body.inputs {
                let Some(spender) = self.trees.spent.get(outpoint_key(outpoint))? else {
                    return Err(damaged(format!("the spend of {outpoint} is not indexed")));
                };
                if read::<Spender>("spent", &spender)? != (Spender { txid: *txid, height }) {
                    return Err(damaged(format!("the spend of {outpoint} is indexed as another's")));
                }
            }
        }
        Ok(())
    }

    fn verify_transactions(&self, expected: u64) -> Result<(), StoreError> {
        let mut indexed = 0;
        let tip = self.tip().height();
        for entry in &self.trees.tx_index {
            let (key, bytes) = entry?;
            read_txid(&key)?;
            indexed += u64::from(read::<TxPlace>("tx_index", &bytes)?.height <= tip);
        }
        if indexed != expected || self.totals().transactions != expected {
            return Err(damaged(format!("{indexed} transactions are indexed, the blocks have {expected}")));
        }
        Ok(())
    }

    /// Every unspent output is on the list of its lock; their hash and sum are the tip's.
    fn verify_outputs(&self) -> Result<u64, StoreError> {
        let tip = self.tip();
        let sums = sum_utxos(&self.trees, tip.height())?;
        if (&sums.hash, sums.value) != (&tip.utxo_hash, tip.supply) {
            return Err(damaged("the unspent outputs are not those of the tip"));
        }
        for entry in &self.trees.utxos {
            let (key, bytes) = entry?;
            let utxo: Utxo = read("utxos", &bytes)?;
            let outpoint = read_outpoint(&key).ok_or_else(|| damaged("a key of the unspent outputs is none"))?;
            if self.trees.unspent.get(unspent_key(&utxo.out.lock, &outpoint))?.is_none() {
                return Err(damaged(format!("output {outpoint} is not on the list of its address")));
            }
        }
        Ok(sums.outputs)
    }

    /// The balance that the history of a lock ends with is the sum of its unspent outputs.
    fn verify_locks(&self, outputs: u64) -> Result<u64, StoreError> {
        let tip = self.tip().height();
        let (mut locks, mut found) = (0, 0);
        let mut next = self.trees.history.first()?;
        while let Some((key, _)) = next {
            let lock = key.get(..LOCK_BYTES).ok_or_else(|| damaged("a key of history is none"))?;
            let mut totals = LockTotals::default();
            for key in self.trees.unspent.scan_prefix(lock).keys() {
                let key = key?;
                let Some(utxo) = self.trees.utxos.get(&key[LOCK_BYTES..])? else { continue };
                let utxo: Utxo = read("utxos", &utxo)?;
                if lock_key(&utxo.out.lock) != lock {
                    return Err(damaged("an output is on the list of another address"));
                }
                let sum = totals.balance.checked_add(utxo.out.value);
                totals = LockTotals { balance: sum.unwrap_or(Amount::MAX), outputs: totals.outputs + 1 };
            }
            if last_totals(&self.trees.history, lock, tip.next())? != totals {
                return Err(damaged("the history of an address does not add up to its unspent outputs"));
            }
            locks += 1;
            found += totals.outputs;
            next = next_lock(lock).map_or(Ok(None), |after| self.trees.history.range(after..).next().transpose())?;
        }
        if found != outputs {
            return Err(damaged(format!("{found} unspent outputs are on the lists of addresses, there are {outputs}")));
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
