//! The trees of the index: what their keys and values are.
//!
//! Numbers in keys are big-endian, so keys sort like numbers; values are in the protocol's encoding. What a payment
//! with one input and two outputs costs: 8 puts and 2 removes (`tx_index` 1, `utxos` 2 and 1, `unspent` 2 and 1,
//! `spent` 1, `history` 2).

use crate::crypto::lthash::LtHash;
use crate::storage::block_files::BlockLocation;
use crate::storage::store::StoreError;
use crate::types::block::{Commit, Header};
use crate::types::codec::{decode_with_limit, encode};
use crate::types::hash::{BlockHash, Txid};
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::transaction::OutPoint;
use bincode::{Decode, Encode};
use sled::{Db, Tree};

/// Version of all this.
pub(super) const FORMAT: u32 = 2;

/// Memory that decoding one value may take: every value is a few kilobytes at most.
const VALUE_MEMORY: usize = 65_536;
/// Memory that decoding the commit of a snapshot may take.
const BASE_MEMORY: usize = 1_048_576;

/// The trees.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    /// Names below; [`Meta`].
    pub(super) meta: Tree,
    /// height -> [`HeaderRecord`]
    pub(super) headers: Tree,
    /// block hash -> height
    pub(super) block_by_hash: Tree,
    /// txid -> [`TxPlace`]
    pub(super) tx_index: Tree,
    /// outpoint -> `Utxo`
    pub(super) utxos: Tree,
    /// lock, outpoint -> nothing; counts only if `utxos` has the outpoint
    pub(super) unspent: Tree,
    /// outpoint -> [`Spender`]
    pub(super) spent: Tree,
    /// height, outpoint -> `Punishment`: what a block took without a transaction, and what it left
    pub(super) taken: Tree,
    /// outpoint -> [`Punished`]: taken or left by a punishment
    pub(super) punished: Tree,
    /// lock, height, txid -> [`HistoryRecord`]
    pub(super) history: Tree,
    /// masternode id -> `Masternode`
    pub(super) masternodes: Tree,
    /// epoch, position in the set -> `Validator`
    pub(super) validators: Tree,
}

impl Trees {
    pub(super) fn open(db: &Db) -> Result<Self, sled::Error> {
        Ok(Self {
            meta: db.open_tree("meta")?,
            headers: db.open_tree("headers")?,
            block_by_hash: db.open_tree("block_by_hash")?,
            tx_index: db.open_tree("tx_index")?,
            utxos: db.open_tree("utxos")?,
            unspent: db.open_tree("unspent")?,
            spent: db.open_tree("spent")?,
            taken: db.open_tree("taken")?,
            punished: db.open_tree("punished")?,
            history: db.open_tree("history")?,
            masternodes: db.open_tree("masternodes")?,
            validators: db.open_tree("validators")?,
        })
    }

    pub(super) fn all(&self) -> [&Tree; 12] {
        [
            &self.meta,
            &self.headers,
            &self.block_by_hash,
            &self.tx_index,
            &self.utxos,
            &self.unspent,
            &self.spent,
            &self.taken,
            &self.punished,
            &self.history,
            &self.masternodes,
            &self.validators,
        ]
    }
}

/// Keys of `meta`.
pub(super) const META_FORMAT: &[u8] = b"format";
/// The chain's id.
pub(super) const META_CHAIN: &[u8] = b"chain";
/// [`TipRecord`]; absent before genesis is applied.
pub(super) const META_TIP: &[u8] = b"tip";
/// [`BaseRecord`]; absent where the index goes back to genesis.
pub(super) const META_BASE: &[u8] = b"base";
/// Height of the first of the blocks that went in together with the tip; absent before any did.
pub(super) const META_TOGETHER: &[u8] = b"together";
/// Last record of the journal that was synced at the last flush.
pub(super) const META_JOURNAL: &[u8] = b"journal";

/// The tip, and what of the state after it stands nowhere else.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct TipRecord {
    pub(super) height: Height,
    pub(super) last_opening: BlockHash,
    pub(super) epoch: Epoch,
    pub(super) utxo_hash: LtHash,
    pub(super) supply: Amount,
    pub(super) accrued_fees: Amount,
    pub(super) transactions: u64,
    pub(super) outputs: u64,
}

/// The snapshot that the index was made from.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct BaseRecord {
    pub(super) height: Height,
    /// What made its block final: no block file has it.
    pub(super) commit: Commit,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct HeaderRecord {
    pub(super) header: Header,
    pub(super) hash: BlockHash,
    /// `None` for genesis, which follows from the chain spec, and for the block of a snapshot, which is not kept.
    pub(super) location: Option<BlockLocation>,
}

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct TxPlace {
    pub(super) height: Height,
    pub(super) position: u32,
    /// Offset in the block's record, and length; both 0 in genesis.
    pub(super) bytes: (u32, u32),
}

/// Who spent an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct Spender {
    pub(super) txid: Txid,
    pub(super) height: Height,
}

/// What a transaction did to a lock, and what the lock has after the whole block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct HistoryRecord {
    pub(super) received: Amount,
    pub(super) sent: Amount,
    pub(super) balance: Amount,
    pub(super) outputs: u64,
    pub(super) is_punishment: bool,
}

/// Where a punishment stands in `taken`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct Punished {
    pub(super) height: Height,
    pub(super) taken: OutPoint,
}

pub(super) const OUTPOINT_BYTES: usize = 36;
pub(super) const LOCK_BYTES: usize = 33;
pub(super) const UNSPENT_BYTES: usize = LOCK_BYTES + OUTPOINT_BYTES;
pub(super) const HISTORY_BYTES: usize = LOCK_BYTES + 8 + 32;

pub(super) fn height_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

pub(super) fn outpoint_key(outpoint: &OutPoint) -> [u8; OUTPOINT_BYTES] {
    let mut key = [0; OUTPOINT_BYTES];
    key[..32].copy_from_slice(&outpoint.txid.0);
    key[32..].copy_from_slice(&outpoint.index.to_be_bytes());
    key
}

pub(super) fn read_outpoint(key: &[u8]) -> Option<OutPoint> {
    let (txid, index) = key.split_first_chunk::<32>()?;
    Some(OutPoint { txid: Txid(*txid), index: u32::from_be_bytes(index.try_into().ok()?) })
}

pub(super) fn lock_key(lock: &Lock) -> [u8; LOCK_BYTES] {
    let (kind, hash) = match lock {
        Lock::KeyHash(hash) => (0, hash),
        Lock::Multisig(hash) => (1, hash),
    };
    let mut key = [kind; LOCK_BYTES];
    key[1..].copy_from_slice(hash);
    key
}

pub(super) fn unspent_key(lock: &Lock, outpoint: &OutPoint) -> [u8; UNSPENT_BYTES] {
    let mut key = [0; UNSPENT_BYTES];
    key[..LOCK_BYTES].copy_from_slice(&lock_key(lock));
    key[LOCK_BYTES..].copy_from_slice(&outpoint_key(outpoint));
    key
}

pub(super) fn history_key(lock: &Lock, height: Height, txid: &Txid) -> [u8; HISTORY_BYTES] {
    let mut key = [0; HISTORY_BYTES];
    key[..LOCK_BYTES].copy_from_slice(&lock_key(lock));
    key[LOCK_BYTES..LOCK_BYTES + 8].copy_from_slice(&height_key(height));
    key[LOCK_BYTES + 8..].copy_from_slice(&txid.0);
    key
}

/// The height and the transaction of a key of `history`.
pub(super) fn read_history_key(key: &[u8]) -> Option<(Height, Txid)> {
    let (height, txid) = key.get(LOCK_BYTES..)?.split_first_chunk::<8>()?;
    Some((Height::new(u64::from_be_bytes(*height)), Txid(txid.try_into().ok()?)))
}

pub(super) fn taken_key(height: Height, outpoint: &OutPoint) -> [u8; 8 + OUTPOINT_BYTES] {
    let mut key = [0; 8 + OUTPOINT_BYTES];
    key[..8].copy_from_slice(&height_key(height));
    key[8..].copy_from_slice(&outpoint_key(outpoint));
    key
}

pub(super) fn validator_key(epoch: Epoch, position: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&epoch.get().to_be_bytes());
    key[8..].copy_from_slice(&position.to_be_bytes());
    key
}

pub(super) fn value<T: Encode>(value: &T) -> Vec<u8> {
    encode(value)
}

/// Reads a value of `tree`, which nobody but this module wrote.
pub(super) fn read<T: Decode<()>>(tree: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    match decode_with_limit::<T, VALUE_MEMORY>(bytes) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(damaged(format!("a value of {tree} is too long"))),
        Err(reason) => Err(damaged(format!("a value of {tree} cannot be read: {reason}"))),
    }
}

/// The snapshot that an index was made from, if it was made from one.
pub(super) fn read_base(meta: &Tree) -> Result<Option<BaseRecord>, StoreError> {
    let Some(bytes) = meta.get(META_BASE)? else { return Ok(None) };
    match decode_with_limit::<BaseRecord, BASE_MEMORY>(&bytes) {
        Ok((base, used)) if used == bytes.len() => Ok(Some(base)),
        _ => Err(damaged("what is remembered of the snapshot it was made from cannot be read")),
    }
}

pub(super) fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged { what: what.into() }
}
