//! Opening the index: what its tip says is compared with what its header commits to, output by output.
//!
//! Before that, what a crash left half done is finished: what the tip spends is removed, what a block above the tip
//! added is dropped.

use super::View;
use super::apply::{Step, put_genesis, remove_spent};
use super::schema::{
    FORMAT, HeaderRecord, META_CHAIN, META_FORMAT, META_TIP, META_TOGETHER, TipRecord, Trees, damaged, height_key,
    outpoint_key, read, read_outpoint, unspent_key, validator_key,
};
use crate::chain::genesis::{state_entry, state_root};
use crate::chain::registry::{Masternode, Registry};
use crate::chain::spec::Chain;
use crate::crypto::lthash::LtHash;
use crate::ledger::execute::BlockChanges;
use crate::ledger::state::ChainState;
use crate::ledger::utxo::Utxo;
use crate::storage::block_files::{BlockReader, IndexEnd};
use crate::storage::block_record::StoredBlock;
use crate::storage::store::StoreError;
use crate::types::hash::{ChainId, Txid};
use crate::types::id_map::IdSet;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::validators::{Validator, ValidatorSet};
use rayon::prelude::*;
use sled::{IVec, Tree};
use std::sync::Arc;

/// The tip of the index, checked; `None` if the index has none.
pub(super) fn open_view(
    trees: &Trees,
    reader: &BlockReader,
    chain: &Chain,
    first_kept: Height,
) -> Result<Option<View>, StoreError> {
    check_owner(trees, chain)?;
    let Some(tip) = trees.meta.get(META_TIP)? else { return Ok(None) };
    let tip: TipRecord = read("meta", &tip)?;
    let header = tip_header(trees, &tip)?;
    let (registry, signers, validators) = members(trees, &tip, &header)?;
    finish_removals(trees, reader, &header, first_kept)?;
    let sums = sum_utxos(trees, tip.height)?;
    if (&sums.hash, sums.value, sums.outputs) != (&tip.utxo_hash, tip.supply, tip.outputs) {
        let what = "the unspent outputs are not those of its tip";
        return Err(damaged(format!(
            "{what}, height {}: {} of them found, {} expected",
            tip.height, sums.outputs, tip.outputs
        )));
    }
    if state_root(&sums.hash, &registry, tip.supply, tip.accrued_fees) != header.header.state_root {
        return Err(damaged(format!("the state is not the one that its tip, height {}, commits to", tip.height)));
    }
    let state = ChainState {
        hash: header.hash,
        header: header.header,
        last_opening: tip.last_opening,
        signers,
        validators,
        registry,
        utxo_hash: tip.utxo_hash,
        supply: tip.supply,
        accrued_fees: tip.accrued_fees,
    };
    Ok(Some(View { state, transactions: tip.transactions, outputs: tip.outputs, leaving: IdSet::default() }))
}

/// Format and chain, as far as the index says.
fn check_owner(trees: &Trees, chain: &Chain) -> Result<(), StoreError> {
    if let Some(found) = trees.meta.get(META_FORMAT)? {
        let found: u32 = read("meta", &found)?;
        if found != FORMAT {
            return Err(StoreError::OtherFormat { found, expected: FORMAT });
        }
    }
    if let Some(found) = trees.meta.get(META_CHAIN)? {
        let found: ChainId = read("meta", &found)?;
        if found != chain.id() {
            return Err(StoreError::OtherChain { found, expected: chain.id() });
        }
    }
    Ok(())
}

/// Makes genesis the tip of an empty index.
pub(super) fn start(trees: &Trees, chain: &Chain, genesis: &StoredBlock) -> Result<View, StoreError> {
    let bad = |e: crate::chain::spec::SpecError| StoreError::BadBlock { height: Height::ZERO, reason: e.to_string() };
    let (state, created) = ChainState::genesis(chain).map_err(bad)?;
    let changes = BlockChanges {
        height: Height::ZERO,
        spent: Vec::new(),
        created,
        txids: genesis.block.txs.iter().map(|tx| tx.body.txid()).collect(),
        txs: Vec::new(),
        inputs: Vec::new(),
        fees: Amount::ZERO,
        slashed: Amount::ZERO,
        punished: Vec::new(),
        state,
        closed_epoch: None,
    };
    let step = Step { location: None, places: &[], txs: &genesis.block.txs, changes: &changes };
    put_genesis(trees, chain, &step)?;
    let (transactions, outputs) = step.totals_after(0, 0)?;
    Ok(View { state: changes.state, transactions, outputs, leaving: IdSet::default() })
}

fn tip_header(trees: &Trees, tip: &TipRecord) -> Result<HeaderRecord, StoreError> {
    let header = trees.headers.get(height_key(tip.height))?;
    let header = header.ok_or_else(|| damaged(format!("the header of its tip, height {}, is missing", tip.height)))?;
    let header: HeaderRecord = read("headers", &header)?;
    if header.header.height != tip.height || header.header.hash() != header.hash {
        return Err(damaged(format!("the header of its tip, height {}, is another block's", tip.height)));
    }
    Ok(header)
}

type Members = (Registry, Arc<ValidatorSet>, Arc<ValidatorSet>);

/// The registry, the set that signs the tip, and the set that signs its child.
fn members(trees: &Trees, tip: &TipRecord, header: &HeaderRecord) -> Result<Members, StoreError> {
    let records: Result<Vec<Masternode>, StoreError> =
        trees.masternodes.iter().map(|entry| read("masternodes", &entry?.1)).collect();
    let registry = Registry::from_records(records?).map_err(|e| damaged(format!("the registry is none: {e}")))?;
    let missing = || damaged(format!("the validator set of epoch {} is missing or another one", tip.epoch));
    let validators = Arc::new(validator_set(&trees.validators, tip.epoch)?.ok_or_else(missing)?);
    if validators.hash() != header.header.next_validators_hash {
        return Err(missing());
    }
    if validators.hash() == header.header.validators_hash {
        return Ok((registry, Arc::clone(&validators), validators));
    }
    let before = tip.epoch.previous().map(|epoch| validator_set(&trees.validators, epoch)).transpose()?.flatten();
    let signers = before.filter(|set| set.hash() == header.header.validators_hash).ok_or_else(missing)?;
    Ok((registry, Arc::new(signers), validators))
}

/// The set of an epoch, if the index has it.
pub(super) fn validator_set(tree: &Tree, epoch: Epoch) -> Result<Option<ValidatorSet>, StoreError> {
    let range = validator_key(epoch, 0)..=validator_key(epoch, u32::MAX);
    let members: Result<Vec<Validator>, StoreError> =
        tree.range(range).map(|entry| read("validators", &entry?.1)).collect();
    let set = ValidatorSet::new(members?).map_err(|e| damaged(format!("the set of epoch {epoch} is none: {e}")))?;
    Ok(Some(set).filter(|set| !set.is_empty()))
}

/// Removes what the tip spends, and the blocks that went in together with it, and a crash left.
/// Of blocks that are not kept nothing is left: they went after all that was done.
fn finish_removals(
    trees: &Trees,
    reader: &BlockReader,
    tip: &HeaderRecord,
    first_kept: Height,
) -> Result<(), StoreError> {
    let first = trees.meta.get(META_TOGETHER)?.map(|bytes| read::<Height>("meta", &bytes)).transpose()?;
    let last = tip.header.height;
    for height in first.unwrap_or(last).max(first_kept).get()..last.get() {
        let record = trees.headers.get(height_key(Height::new(height)))?;
        let record = record.ok_or_else(|| damaged(format!("the header of block {height} is missing")))?;
        remove_left(trees, reader, &read("headers", &record)?)?;
    }
    remove_left(trees, reader, tip)
}

fn remove_left(trees: &Trees, reader: &BlockReader, header: &HeaderRecord) -> Result<(), StoreError> {
    let height = header.header.height;
    let Some(location) = &header.location else { return Ok(()) };
    let block = reader.block(height, location)?;
    if block.block.header != header.header {
        return Err(damaged(format!("blocks/ has another block at the height of its tip, {height}")));
    }
    let taken = trees.taken.scan_prefix(height_key(height)).keys();
    let taken: Result<Vec<OutPoint>, StoreError> = taken
        .map(|key| read_outpoint(&key?[8..]).ok_or_else(|| damaged("a key of the outputs taken is none")))
        .collect();
    let inputs = block.block.txs.iter().flat_map(|tx| tx.body.inputs.iter().copied());
    let mut left = Vec::new();
    for outpoint in inputs.chain(taken?) {
        if let Some(utxo) = trees.utxos.get(outpoint_key(&outpoint))? {
            left.push((outpoint, read("utxos", &utxo)?));
        }
    }
    remove_spent(trees, &left)
}

/// What all unspent outputs come to.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) hash: LtHash,
    pub(super) value: Amount,
    pub(super) outputs: u64,
}

impl Sums {
    fn join(mut self, other: &Self) -> Result<Self, StoreError> {
        self.hash.add_all(&other.hash);
        let value = self.value.checked_add(other.value);
        self.value = value.ok_or_else(|| damaged("the unspent outputs add up past 2^64"))?;
        self.outputs = self.outputs.saturating_add(other.outputs);
        Ok(self)
    }
}

/// Goes through every unspent output as of `tip`; drops those of a block above it.
pub(super) fn sum_utxos(trees: &Trees, tip: Height) -> Result<Sums, StoreError> {
    // Txids are hashes: each first byte has about as many.
    let parts = (0..=u8::MAX).into_par_iter().map(|first| sum_part(trees, tip, first));
    let parts: Result<Vec<Sums>, StoreError> = parts.collect();
    parts?.iter().try_fold(Sums::default(), Sums::join)
}

fn sum_part(trees: &Trees, tip: Height, first: u8) -> Result<Sums, StoreError> {
    let mut sums = Sums::default();
    for entry in trees.utxos.scan_prefix([first]) {
        let (key, bytes): (IVec, IVec) = entry?;
        let utxo: Utxo = read("utxos", &bytes)?;
        let outpoint = read_outpoint(&key).ok_or_else(|| damaged("a key of the unspent outputs is none"))?;
        if utxo.created > tip {
            trees.unspent.remove(unspent_key(&utxo.out.lock, &outpoint))?;
            trees.utxos.remove(&key)?;
            continue;
        }
        sums.hash.add(&state_entry(&outpoint, &utxo.out, utxo.created));
        sums = sums.join(&Sums { hash: LtHash::default(), value: utxo.out.value, outputs: 1 })?;
    }
    Ok(sums)
}

/// Where the index ends in the files.
pub(super) fn index_end(trees: &Trees, tip: Height) -> Result<IndexEnd, StoreError> {
    let header = trees.headers.get(height_key(tip))?;
    let header: Option<HeaderRecord> = header.map(|bytes| read("headers", &bytes)).transpose()?;
    let location = header.and_then(|header| header.location);
    Ok(location.map_or(IndexEnd::Base(tip), |location| IndexEnd::Block(tip, location)))
}

/// The txid of an entry of the transaction index.
pub(super) fn read_txid(key: &[u8]) -> Result<Txid, StoreError> {
    key.try_into().map(Txid).map_err(|_| damaged("a key of the transaction index is none"))
}
