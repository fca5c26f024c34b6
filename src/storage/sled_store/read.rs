//! Reading: what a block above the tip added, and what the tip spends, does not show.

use super::apply::last_totals;
use super::check::validator_set;
use super::schema::{
    HISTORY_BYTES, HeaderRecord, HistoryRecord, LOCK_BYTES, Punished, Spender, TxPlace, UNSPENT_BYTES, damaged,
    height_key, history_key, lock_key, outpoint_key, read, read_history_key, read_outpoint, taken_key, unspent_key,
};
use super::{SledStore, View};
use crate::ledger::execute::Punishment;
use crate::ledger::snapshot::Manifest;
use crate::ledger::utxo::{StateRead, Utxo};
use crate::limits::MAX_PAGE;
use crate::replica::Store;
use crate::replica::message::{SealedBlock, SealedHeader};
use crate::storage::block_files::BlockFilesError;
use crate::storage::block_record::{BlockHead, RecordError, StoredBlock, StoredTransaction};
use crate::storage::store::{Archive, ArchivedTransaction, HistoryEntry, LockTotals, StoreError, StoredHeader, Totals};
use crate::types::block::Commit;
use crate::types::hash::{BlockHash, Txid};
use crate::types::lock::Lock;
use crate::types::number::{Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use bincode::Decode;
use sled::Tree;
use std::ops::Bound;
use std::sync::Arc;

/// How often a list is read anew because a block was applied meanwhile, before it makes blocks wait.
const HOPEFUL_READS: u32 = 3;

impl SledStore {
    /// Reads what takes several look-ups as of one tip.
    fn at_one_tip<T>(&self, read: impl Fn(&View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        for _ in 0..HOPEFUL_READS {
            let view = self.view();
            let answer = read(&view)?;
            if Arc::ptr_eq(&view, &self.view()) {
                return Ok(answer);
            }
        }
        let _no_block_now = self.lock_writer();
        read(&self.view())
    }

    fn utxo_at(&self, view: &View, outpoint: &OutPoint) -> Result<Option<Utxo>, StoreError> {
        if view.leaving.contains(outpoint) {
            return Ok(None);
        }
        let utxo: Option<Utxo> = lookup(&self.trees.utxos, "utxos", &outpoint_key(outpoint))?;
        Ok(utxo.filter(|utxo| utxo.created <= view.state.height()))
    }

    pub(super) fn header_record(&self, height: Height) -> Result<Option<HeaderRecord>, StoreError> {
        if height > self.view().state.height() {
            return Ok(None);
        }
        if height == Height::ZERO && self.base.is_some() {
            // The index begins later; genesis follows from the chain spec.
            let header = self.genesis.block.header.clone();
            return Ok(Some(HeaderRecord { hash: header.hash(), header, location: None }));
        }
        lookup(&self.trees.headers, "headers", &height_key(height))
    }

    fn tx_place(&self, txid: &Txid) -> Result<Option<TxPlace>, StoreError> {
        let place: Option<TxPlace> = lookup(&self.trees.tx_index, "tx_index", &txid.0)?;
        Ok(place.filter(|place| place.height <= self.view().state.height()))
    }

    fn pruned(&self, height: Height) -> StoreError {
        StoreError::Pruned { height, first: self.first_block() }
    }

    /// Reads of a block as long as it is kept.
    fn kept<T>(&self, height: Height, read: impl FnOnce() -> Result<T, BlockFilesError>) -> Result<T, StoreError> {
        if height < self.first_block() {
            return Err(self.pruned(height));
        }
        match read() {
            // Its file went meanwhile.
            Err(BlockFilesError::File(error)) if error.is_missing() && height < self.first_block() => {
                Err(self.pruned(height))
            }
            read => Ok(read?),
        }
    }

    fn genesis_transaction(&self, place: &TxPlace) -> Option<StoredTransaction> {
        let tx = self.genesis.block.txs.get(usize::try_from(place.position).ok()?)?;
        Some(StoredTransaction { tx: tx.clone(), spent: Vec::new() })
    }

    fn read_sealed_header(&self, height: Height) -> Result<Option<SealedHeader>, StoreError> {
        let commit = match self.commit(height) {
            Err(StoreError::Pruned { .. }) | Ok(None) => return Ok(None),
            Ok(Some(commit)) => commit,
            Err(error) => return Err(error),
        };
        let Some(HeaderRecord { header, .. }) = self.header_record(height)? else { return Ok(None) };
        if header.next_validators_hash == header.validators_hash {
            return Ok(Some(SealedHeader { header, commit, next_set: None }));
        }
        let epoch = self.options.chain.epoch_of_child(header.opened);
        let next = self.validators(epoch)?.filter(|next| next.hash() == header.next_validators_hash);
        let next = next.ok_or_else(|| damaged(format!("the set of epoch {epoch} is not the one of block {height}")))?;
        Ok(Some(SealedHeader::new(header, commit, &next)))
    }

    /// The answer, or the end of the node: a wrong one would have it sign what it must not.
    fn or_stop<T>(&self, answer: Result<T, StoreError>) -> T {
        answer.unwrap_or_else(|error| (self.options.on_failure)(&error))
    }
}

fn lookup<T: Decode<()>>(tree: &Tree, name: &'static str, key: &[u8]) -> Result<Option<T>, StoreError> {
    tree.get(key)?.map(|bytes| read(name, &bytes)).transpose()
}

impl StateRead for SledStore {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.or_stop(self.unspent_output(outpoint))
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.or_stop(self.tx_place(txid)).map(|place| place.height)
    }

    fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.or_stop(self.spent_by(outpoint)).map(|(txid, _)| txid)
    }

    fn output_count(&self, txid: &Txid) -> Option<usize> {
        match self.transaction(txid) {
            Err(StoreError::Pruned { .. }) => None,
            found => self.or_stop(found).map(|archived| archived.stored.tx.body.outputs.len()),
        }
    }
}

impl Store for SledStore {
    fn sealed_block(&self, height: Height) -> Option<Arc<SealedBlock>> {
        let stored = match self.block(height) {
            Err(StoreError::Pruned { .. }) => None,
            found => self.or_stop(found),
        }?;
        Some(Arc::new(SealedBlock { block: stored.block, commit: stored.commit? }))
    }

    fn sealed_header(&self, height: Height) -> Option<SealedHeader> {
        self.or_stop(self.read_sealed_header(height))
    }

    fn lowest_block(&self) -> Height {
        self.first_block()
    }

    fn epoch_end(&self, epoch: Epoch) -> Option<SealedHeader> {
        self.or_stop(self.end_of_epoch(epoch))
    }

    fn snapshot(&self, height: Option<Height>) -> Option<Manifest> {
        self.snapshots.offered(height).map(Arc::unwrap_or_clone)
    }

    fn snapshot_chunk(&self, height: Height, index: u32) -> Option<Vec<u8>> {
        self.snapshots.offered_chunk(height, index)
    }
}

impl Archive for SledStore {
    fn totals(&self) -> Totals {
        let view = self.view();
        let View { state, transactions, outputs, .. } = &*view;
        Totals { height: state.height(), transactions: *transactions, outputs: *outputs, supply: state.supply }
    }

    fn header(&self, height: Height) -> Result<Option<StoredHeader>, StoreError> {
        let record = self.header_record(height)?;
        if record.is_none() && height < self.base_height() {
            return Err(self.pruned(height));
        }
        Ok(record.map(|HeaderRecord { header, hash, location }| {
            let stored_bytes = location.map_or(0, |at| at.length.saturating_sub(at.head_end));
            StoredHeader { header, hash, stored_bytes }
        }))
    }

    fn height_of(&self, hash: &BlockHash) -> Result<Option<Height>, StoreError> {
        let Some(height) = self.trees.block_by_hash.get(hash.0)? else { return Ok(None) };
        let height = height.as_ref().try_into().map(u64::from_be_bytes);
        let height = Height::new(height.map_err(|_| damaged("a value of block_by_hash is none"))?);
        Ok(Some(height).filter(|height| *height <= self.view().state.height()))
    }

    fn block(&self, height: Height) -> Result<Option<StoredBlock>, StoreError> {
        let record = match self.header_record(height)? {
            None if height < self.base_height() => return Err(self.pruned(height)),
            None => return Ok(None),
            Some(record) => record,
        };
        let location = match record.location {
            None if height == Height::ZERO => return Ok(Some(self.genesis.clone())),
            location => location.ok_or_else(|| self.pruned(height))?,
        };
        let stored = self.kept(height, || self.reader.block(height, &location))?;
        if stored.block.header != record.header {
            return Err(damaged(format!("blocks/ has another block at height {height}")));
        }
        Ok(Some(stored))
    }

    fn head(&self, height: Height) -> Result<Option<BlockHead>, StoreError> {
        let Some(location) = self.header_record(height)?.and_then(|record| record.location) else { return Ok(None) };
        self.kept(height, || self.reader.head(height, &location)).map(Some)
    }

    fn commit(&self, height: Height) -> Result<Option<Commit>, StoreError> {
        if let Some(base) = self.base.as_ref().filter(|base| base.height == height) {
            return Ok(Some(base.commit.clone()));
        }
        let Some(location) = self.header_record(height)?.and_then(|record| record.location) else { return Ok(None) };
        self.kept(height, || self.reader.head(height, &location)).map(|head| Some(head.commit))
    }

    fn transaction(&self, txid: &Txid) -> Result<Option<ArchivedTransaction>, StoreError> {
        let Some(place) = self.tx_place(txid)? else { return Ok(None) };
        let missing = || damaged(format!("the place of transaction {txid} has no block"));
        let record = self.header_record(place.height)?.ok_or_else(missing)?;
        let stored = match &record.location {
            None => self.genesis_transaction(&place).ok_or_else(missing)?,
            Some(location) => {
                let read = || self.reader.transaction(place.height, location, place.bytes);
                let stored = self.kept(place.height, read)?;
                if stored.tx.body.txid() != *txid {
                    return Err(BlockFilesError::damaged(location, place.height, RecordError::Damaged).into());
                }
                stored
            }
        };
        Ok(Some(ArchivedTransaction { height: place.height, position: place.position, stored }))
    }

    fn unspent_output(&self, outpoint: &OutPoint) -> Result<Option<Utxo>, StoreError> {
        self.utxo_at(&self.view(), outpoint)
    }

    fn spent_by(&self, outpoint: &OutPoint) -> Result<Option<(Txid, Height)>, StoreError> {
        let spender: Option<Spender> = lookup(&self.trees.spent, "spent", &outpoint_key(outpoint))?;
        let spender = spender.filter(|spender| spender.height <= self.view().state.height());
        Ok(spender.map(|Spender { txid, height }| (txid, height)))
    }

    fn taken(&self, height: Height) -> Result<Vec<Punishment>, StoreError> {
        if height > self.view().state.height() {
            return Ok(Vec::new());
        }
        let taken = self.trees.taken.scan_prefix(height_key(height)).values();
        taken.map(|bytes| read("taken", &bytes?)).collect()
    }

    fn punishment_of(&self, outpoint: &OutPoint) -> Result<Option<(Height, Punishment)>, StoreError> {
        let place: Option<Punished> = lookup(&self.trees.punished, "punished", &outpoint_key(outpoint))?;
        let Some(Punished { height, taken }) = place.filter(|place| place.height <= self.view().state.height()) else {
            return Ok(None);
        };
        let punishment = lookup(&self.trees.taken, "taken", &taken_key(height, &taken))?;
        let punishment = punishment.ok_or_else(|| damaged(format!("the punishment that took {taken} is missing")))?;
        Ok(Some((height, punishment)))
    }

    fn lock_totals(&self, lock: &Lock) -> Result<LockTotals, StoreError> {
        last_totals(&self.trees.history, &lock_key(lock), self.view().state.height().next())
    }

    fn unspent_of(
        &self,
        lock: &Lock,
        after: Option<OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, Utxo)>, StoreError> {
        let limit = limit.min(MAX_PAGE);
        let start = after.map_or(Bound::Included(lock_key(lock).to_vec()), |after| {
            Bound::Excluded(unspent_key(lock, &after).to_vec())
        });
        let mut end = [u8::MAX; UNSPENT_BYTES];
        end[..LOCK_BYTES].copy_from_slice(&lock_key(lock));
        self.at_one_tip(|view| {
            let mut page = Vec::new();
            for key in self.trees.unspent.range((start.clone(), Bound::Included(end.to_vec()))).keys() {
                if page.len() >= limit {
                    break;
                }
                let outpoint = read_outpoint(key?.get(LOCK_BYTES..).unwrap_or_default());
                let outpoint = outpoint.ok_or_else(|| damaged("a key of unspent is none"))?;
                page.extend(self.utxo_at(view, &outpoint)?.map(|utxo| (outpoint, utxo)));
            }
            Ok(page)
        })
    }

    fn history_of(
        &self,
        lock: &Lock,
        before: Option<(Height, Txid)>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let tip = self.view().state.height();
        let newest = history_key(lock, tip.next(), &Txid::ZERO);
        let end: [u8; HISTORY_BYTES] =
            before.map_or(newest, |(height, txid)| history_key(lock, height, &txid)).min(newest);
        let mut page = Vec::new();
        for entry in self.trees.history.range(&lock_key(lock)[..]..&end[..]).rev() {
            if page.len() >= limit.min(MAX_PAGE) {
                break;
            }
            let (key, bytes) = entry?;
            let (height, txid) = read_history_key(&key).ok_or_else(|| damaged("a key of history is none"))?;
            if txid == Txid::ZERO {
                // What the address had in the snapshot that the index was made from: the sum of what is not known.
                continue;
            }
            let HistoryRecord { received, sent, is_punishment, .. } = read("history", &bytes)?;
            page.push(HistoryEntry { height, txid, received, sent, is_punishment });
        }
        Ok(page)
    }

    fn validators(&self, epoch: Epoch) -> Result<Option<ValidatorSet>, StoreError> {
        if epoch > self.view().state.child_epoch(&self.options.chain) {
            return Ok(None);
        }
        validator_set(&self.trees.validators, epoch)
    }

    fn end_of_epoch(&self, epoch: Epoch) -> Result<Option<SealedHeader>, StoreError> {
        Ok(self.epochs.get(epoch)?)
    }
}
