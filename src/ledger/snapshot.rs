//! The state after a block that closed its epoch, to begin a node with (`protocol.md` 9).
//!
//! A [`Manifest`] holds everything but the unspent outputs, which come in chunks: state entries one after the other, in
//! ascending order of their outpoints. What a snapshot is does not depend on who makes it, so nodes that take one at the
//! same height serve the same bytes.
//!
//! Two steps lead from bytes to a state that may be built upon. [`Manifest::check`] compares the manifest with a commit
//! and the two sets, whose hashes are in the header; that the first of them may sign is the caller's to know.
//! [`Summing`] takes the chunks in, and at the end compares the state's root with the header's: only then is any of
//! it proved.

use super::state::ChainState;
use super::utxo::Utxo;
use super::verify::{Verifier, VerifyError};
use crate::chain::genesis::{state_entry, state_root};
use crate::chain::registry::{Masternode, Registry, RegistryError};
use crate::chain::spec::ChainSpec;
use crate::crypto::lthash::LtHash;
use crate::limits::{MAX_SNAPSHOT_CHUNK_BYTES, MAX_SNAPSHOT_CHUNKS, MAX_SNAPSHOT_MANIFEST_BYTES};
use crate::types::block::{Commit, Header};
use crate::types::codec::{decode_with_limit, encode, encode_into};
use crate::types::hash::{Domain, Hash};
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, TxOut};
use crate::types::validators::{Validator, ValidatorSet, ValidatorSetError};
use bincode::{Decode, Encode};
use rayon::prelude::*;
use std::sync::Arc;

/// Memory that decoding one entry may take.
const ENTRY_MEMORY: usize = 1_024;

/// Name and length of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChunkInfo {
    /// `H("snapshot chunk", bytes)`.
    pub hash: Hash,
    /// How many bytes, 1 to [`MAX_SNAPSHOT_CHUNK_BYTES`].
    pub bytes: u32,
}

impl ChunkInfo {
    /// That of a chunk.
    pub fn of(chunk: &[u8]) -> Self {
        // A chunk is at most a megabyte.
        Self { hash: Domain::SNAPSHOT_CHUNK.hash(chunk), bytes: u32::try_from(chunk.len()).unwrap_or(u32::MAX) }
    }
}

/// Everything of a snapshot but the unspent outputs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Manifest {
    /// The block's header.
    pub header: Header,
    /// Its parent's: shows that the block opened a slot.
    pub parent: Header,
    /// What made the block final.
    pub commit: Commit,
    /// The set that signs the block.
    pub signers: Vec<Validator>,
    /// The set that signs its child.
    pub validators: Vec<Validator>,
    /// The registry, ascending by id.
    pub masternodes: Vec<Masternode>,
    /// Sum of the unspent outputs.
    pub supply: Amount,
    /// Fees that wait for the next block that opens a slot.
    pub accrued_fees: Amount,
    /// How many unspent outputs there are.
    pub outputs: u64,
    /// The chunks, in order.
    pub chunks: Vec<ChunkInfo>,
}

crate::wire!(Manifest, MAX_SNAPSHOT_MANIFEST_BYTES, 4 * MAX_SNAPSHOT_MANIFEST_BYTES);

/// Why a snapshot is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A part of the manifest contradicts another.
    #[error("its {0} is not what its header says")]
    Contradiction(&'static str),
    /// The commit is none.
    #[error("its commit: {0}")]
    Commit(#[from] VerifyError),
    /// A set is none.
    #[error("a set of validators: {0}")]
    Set(#[from] ValidatorSetError),
    /// The registry is none.
    #[error("its registry: {0}")]
    Registry(#[from] RegistryError),
    /// Too many chunks, or one too long or empty.
    #[error(
        "{0} chunks of 1 to {MAX_SNAPSHOT_CHUNK_BYTES} bytes are not what it has; {MAX_SNAPSHOT_CHUNKS} are allowed"
    )]
    Chunks(usize),
    /// A chunk is not the one that the manifest names.
    #[error("chunk {0} is not the one that its manifest names")]
    OtherChunk(usize),
    /// A chunk is not a list of entries that go on where the one before ended.
    #[error("chunk {0} is not a list of unspent outputs in order")]
    BadChunk(usize),
    /// The outputs are not those of the block's state.
    #[error("its unspent outputs are not those that the block's state root covers")]
    WrongState,
}

/// A manifest whose parts go together, with a commit of the set it names.
#[derive(Clone, Debug)]
pub struct CheckedManifest {
    manifest: Arc<Manifest>,
    signers: Arc<ValidatorSet>,
    validators: Arc<ValidatorSet>,
    registry: Registry,
}

impl Manifest {
    /// `H("snapshot", encode(manifest))`: two nodes that serve the same snapshot name it alike.
    pub fn hash(&self) -> Hash {
        Domain::SNAPSHOT.hash(&encode(self))
    }

    /// That of the state after a block with this parent and this commit, whose outputs are in these chunks.
    pub fn of(state: &ChainState, parent: Header, commit: Commit, (chunks, outputs): (Vec<ChunkInfo>, u64)) -> Self {
        Self {
            header: state.header.clone(),
            parent,
            commit,
            signers: state.signers.members().to_vec(),
            validators: state.validators.members().to_vec(),
            masternodes: state.registry.iter().cloned().collect(),
            supply: state.supply,
            accrued_fees: state.accrued_fees,
            outputs,
            chunks,
        }
    }

    /// Height of the block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Bytes of all chunks.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// Compares the parts with each other and checks the commit against the set that the header names.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn check(self, spec: &ChainSpec, verifier: &Verifier) -> Result<CheckedManifest, SnapshotError> {
        let (header, parent) = (&self.header, &self.parent);
        let is_next = parent.hash() == header.prev && header.height == parent.height.next();
        let is_opening = parent.opened.checked_add(1) == Some(header.opened);
        let hash = header.hash();
        let signers = ValidatorSet::new(self.signers.clone())?;
        let validators = ValidatorSet::new(self.validators.clone())?;
        let registry = Registry::from_records(self.masternodes.iter().cloned())?;
        let agree = [
            (header.chain_id == spec.id(), "chain"),
            (is_next, "parent"),
            (is_opening && spec.opening_closes_epoch(header.opened), "place at the end of an epoch"),
            (self.commit.height == header.height && self.commit.block_hash == hash, "commit"),
            (signers.hash() == header.validators_hash && signers.members() == self.signers, "set"),
            (validators.hash() == header.next_validators_hash && validators.members() == self.validators, "next set"),
            (registry.validators()?.hash() == header.next_validators_hash, "registry"),
        ];
        if let Some((_, part)) = agree.into_iter().find(|(agrees, _)| !agrees) {
            return Err(SnapshotError::Contradiction(part));
        }
        let is_sized = |chunk: &ChunkInfo| (1..=MAX_SNAPSHOT_CHUNK_BYTES).contains(&(chunk.bytes as usize));
        if self.chunks.len() > MAX_SNAPSHOT_CHUNKS || !self.chunks.iter().all(is_sized) {
            return Err(SnapshotError::Chunks(self.chunks.len()));
        }
        verifier.commit(self.commit.clone(), &signers)?;
        let (signers, validators) = (Arc::new(signers), Arc::new(validators));
        Ok(CheckedManifest { manifest: Arc::new(self), signers, validators, registry })
    }
}

impl CheckedManifest {
    /// What was checked.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The set that signs the block.
    pub fn signers(&self) -> &Arc<ValidatorSet> {
        &self.signers
    }

    /// The set that signs its child.
    pub fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }

    /// Begins to take the chunks in.
    pub fn summing(&self) -> Summing {
        Summing { checked: self.clone(), last: None, next: 0, hash: LtHash::default(), value: Amount::ZERO, outputs: 0 }
    }
}

/// The unspent outputs of a snapshot, added up chunk by chunk.
#[derive(Clone, Debug)]
pub struct Summing {
    checked: CheckedManifest,
    last: Option<OutPoint>,
    next: usize,
    hash: LtHash,
    value: Amount,
    outputs: u64,
}

impl Summing {
    /// Takes the next chunk in and returns what it holds.
    ///
    /// # Errors
    /// [`SnapshotError::OtherChunk`], [`SnapshotError::BadChunk`].
    pub fn add(&mut self, chunk: &[u8]) -> Result<Vec<(OutPoint, Utxo)>, SnapshotError> {
        let bad = SnapshotError::BadChunk(self.next);
        if self.checked.manifest.chunks.get(self.next) != Some(&ChunkInfo::of(chunk)) {
            return Err(SnapshotError::OtherChunk(self.next));
        }
        let entries = read_chunk(chunk).ok_or_else(|| bad.clone())?;
        let mut last = self.last;
        for (outpoint, utxo) in &entries {
            if last.is_some_and(|last| *outpoint <= last) || utxo.created > self.checked.manifest.height() {
                return Err(bad);
            }
            last = Some(*outpoint);
            self.value = self.value.checked_add(utxo.out.value).ok_or_else(|| bad.clone())?;
        }
        let sum = |entries: &[(OutPoint, Utxo)]| {
            let mut hash = LtHash::default();
            entries.iter().for_each(|(outpoint, utxo)| hash.add(&state_entry(outpoint, &utxo.out, utxo.created)));
            hash
        };
        let parts: Vec<LtHash> = entries.par_chunks(1_024).map(sum).collect();
        parts.iter().for_each(|part| self.hash.add_all(part));
        (self.last, self.next) = (last, self.next + 1);
        self.outputs = self.outputs.saturating_add(entries.len() as u64);
        Ok(entries)
    }

    /// The state after the block, once all chunks are in and their sum is what the header commits to.
    ///
    /// # Errors
    /// [`SnapshotError::WrongState`].
    pub fn finish(self) -> Result<ChainState, SnapshotError> {
        let CheckedManifest { manifest, signers, validators, registry } = self.checked;
        let root = state_root(&self.hash, &registry, manifest.supply, manifest.accrued_fees);
        let found = (self.next, self.outputs, self.value, root);
        if found != (manifest.chunks.len(), manifest.outputs, manifest.supply, manifest.header.state_root) {
            return Err(SnapshotError::WrongState);
        }
        let hash = manifest.header.hash();
        Ok(ChainState {
            header: manifest.header.clone(),
            hash,
            last_opening: hash,
            signers,
            validators,
            registry,
            utxo_hash: self.hash,
            supply: manifest.supply,
            accrued_fees: manifest.accrued_fees,
        })
    }
}

fn read_chunk(mut bytes: &[u8]) -> Option<Vec<(OutPoint, Utxo)>> {
    let mut entries = Vec::with_capacity(bytes.len() / 64);
    while !bytes.is_empty() {
        let ((outpoint, out, created), used) =
            decode_with_limit::<(OutPoint, TxOut, Height), ENTRY_MEMORY>(bytes).ok()?;
        if state_entry(&outpoint, &out, created) != bytes[..used] {
            return None;
        }
        entries.push((outpoint, Utxo { out, created }));
        bytes = &bytes[used..];
    }
    Some(entries)
}

/// Cuts unspent outputs into chunks, each as long as fits.
#[derive(Default, Debug)]
pub struct Chunker {
    chunk: Vec<u8>,
    chunks: Vec<ChunkInfo>,
    outputs: u64,
}

impl Chunker {
    /// Takes the next output, in ascending order; returns a chunk that is full now.
    pub fn push(&mut self, outpoint: &OutPoint, utxo: &Utxo) -> Option<Vec<u8>> {
        let before = self.chunk.len();
        encode_into(&(outpoint, utxo.out, utxo.created), &mut self.chunk);
        self.outputs = self.outputs.saturating_add(1);
        if self.chunk.len() <= MAX_SNAPSHOT_CHUNK_BYTES {
            return None;
        }
        let entry = self.chunk.split_off(before);
        let full = std::mem::replace(&mut self.chunk, entry);
        self.chunks.push(ChunkInfo::of(&full));
        Some(full)
    }

    /// The last chunk, if anything is left for one; names of all chunks; how many outputs there were.
    pub fn finish(mut self) -> (Option<Vec<u8>>, Vec<ChunkInfo>, u64) {
        let last = (!self.chunk.is_empty()).then_some(self.chunk);
        self.chunks.extend(last.as_deref().map(ChunkInfo::of));
        (last, self.chunks, self.outputs)
    }
}
