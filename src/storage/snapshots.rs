//! Snapshots as files: `snapshots/`, two files for each, named by the height of its block.
//!
//! `HEIGHT.utxos` holds the chunks one after the other, `HEIGHT.manifest` what they are and everything else. Each is
//! written under another name and synced; the manifest gets its name last, so a snapshot that has one is whole. What a
//! crash left under other names is written over the next time.
//!
//! One that is being fetched grows under the names `HEIGHT.utxos.part` and `HEIGHT.manifest.part`: its manifest is there
//! from the beginning, and as many chunks count as have the hashes that it names.

use super::files::{Append, FileError, Files, file_number, numbered};
use crate::chain::spec::ChainSpec;
use crate::ledger::snapshot::{CheckedManifest, ChunkInfo, Chunker, Manifest, SnapshotError, Summing};
use crate::ledger::state::ChainState;
use crate::ledger::utxo::Utxo;
use crate::ledger::verify::Verifier;
use crate::limits::{MAX_SNAPSHOT_MANIFEST_BYTES, SNAPSHOTS_KEPT};
use crate::replica::join::Completion;
use crate::types::codec::{decode, encode, encoded_size};
use crate::types::hash::Domain;
use crate::types::number::Height;
use crate::types::transaction::OutPoint;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the files are.
pub const SNAPSHOTS_DIRECTORY: &str = "snapshots";

const CHUNKS: &str = "utxos";
const MANIFEST: &str = "manifest";
/// Bytes of the hash before a manifest.
const HASH_BYTES: usize = 32;

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFilesError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its files are not what was written.
    #[error("the snapshot of block {height} in snapshots/ is damaged: {reason}")]
    Damaged {
        /// Height of its block.
        height: Height,
        /// What is wrong.
        reason: String,
    },
}

/// The snapshots of a data directory.
#[derive(Clone)]
pub struct Snapshots {
    files: Arc<dyn Files>,
    /// The one of which chunks were asked for last: peers ask for them one by one.
    served: Arc<Mutex<Option<Arc<Manifest>>>>,
}

impl Snapshots {
    /// Those of the data directory of `files`.
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self { files, served: Arc::default() }
    }

    /// Heights of the snapshots that are whole, ascending.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn heights(&self) -> Result<Vec<Height>, FileError> {
        let names = self.files.list(SNAPSHOTS_DIRECTORY)?;
        let manifests = names.iter().filter_map(|name| file_number(name.strip_suffix(&format!(".{MANIFEST}"))?));
        Ok(manifests.map(Height::new).collect())
    }

    /// The manifest at `height`.
    ///
    /// # Errors
    /// [`SnapshotFilesError`].
    pub fn manifest(&self, height: Height) -> Result<Manifest, SnapshotFilesError> {
        let manifest = self.read_manifest(&name(height, MANIFEST), height)?;
        let (found, expected) = (self.files.length(&name(height, CHUNKS))?, manifest.chunk_bytes());
        if found != expected {
            let reason = format!("{found} bytes of unspent outputs are there, {expected} belong to it");
            return Err(SnapshotFilesError::Damaged { height, reason });
        }
        Ok(manifest)
    }

    /// Chunk `index` of the snapshot with this manifest. It may be damaged: whoever gets it compares hashes.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn chunk(&self, manifest: &Manifest, index: usize) -> Result<Option<Vec<u8>>, FileError> {
        let Some(info) = manifest.chunks.get(index) else { return Ok(None) };
        let offset = manifest.chunks[..index].iter().map(|chunk| u64::from(chunk.bytes)).sum();
        self.files.read_at(&name(manifest.height(), CHUNKS), offset, info.bytes as usize).map(Some)
    }

    /// Goes through the outputs of a snapshot, which are handed to `take` before they are proved, and returns the state that
    /// they are proved to be.
    ///
    /// # Errors
    /// [`SnapshotFilesError`], or what `take` says.
    pub fn read<E: From<SnapshotFilesError>>(
        &self,
        checked: &CheckedManifest,
        mut take: impl FnMut(Vec<(OutPoint, Utxo)>) -> Result<(), E>,
    ) -> Result<ChainState, E> {
        let manifest = checked.manifest();
        let damaged = |e: SnapshotError| damaged(manifest.height(), &e);
        let mut sum: Summing = checked.summing();
        for index in 0..manifest.chunks.len() {
            let chunk = self.chunk(manifest, index).map_err(SnapshotFilesError::from)?.unwrap_or_default();
            take(sum.add(&chunk).map_err(damaged)?)?;
        }
        Ok(sum.finish().map_err(damaged)?)
    }

    /// The manifest at `height`, its parts compared and its commit checked.
    ///
    /// # Errors
    /// [`SnapshotFilesError`].
    pub fn checked(
        &self,
        height: Height,
        spec: &ChainSpec,
        verifier: &Verifier,
    ) -> Result<CheckedManifest, SnapshotFilesError> {
        self.manifest(height)?.check(spec, verifier).map_err(|e| damaged(height, &e))
    }

    /// The manifest at `height`, or the newest, for whoever asks for it. One that is damaged is not offered: other nodes have
    /// it, and the next one made here is good.
    pub fn offered(&self, height: Option<Height>) -> Option<Arc<Manifest>> {
        let heights = self.heights().ok()?;
        let height = height.or_else(|| heights.last().copied()).filter(|height| heights.contains(height))?;
        self.served(height)
    }

    /// A chunk of a snapshot that is offered, if it is what the manifest says.
    pub fn offered_chunk(&self, height: Height, index: u32) -> Option<Vec<u8>> {
        let (manifest, index) = (self.served(height)?, index as usize);
        let chunk = self.chunk(&manifest, index).ok()??;
        (manifest.chunks.get(index) == Some(&ChunkInfo::of(&chunk))).then_some(chunk)
    }

    /// The manifest at `height`, read once for all who fetch it at the same time.
    fn served(&self, height: Height) -> Option<Arc<Manifest>> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manifest) = served.as_ref().filter(|manifest| manifest.height() == height) {
            return Some(Arc::clone(manifest));
        }
        let manifest = Arc::new(self.manifest(height).ok()?);
        *served = Some(Arc::clone(&manifest));
        Some(manifest)
    }

    /// Begins to write the snapshot at `height`.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, height: Height) -> Result<SnapshotWriter, FileError> {
        self.files.create_directory(SNAPSHOTS_DIRECTORY)?;
        self.files.sync_directory("")?;
        let new = format!("{}.new", name(height, CHUNKS));
        self.files.remove(&new)?;
        let handle = self.files.append(&new)?;
        Ok(SnapshotWriter { snapshots: self.clone(), height, handle, chunker: Chunker::default() })
    }

    /// Removes all that nobody needs: not among the newest, and not in `needed`. What an unfinished writing or fetching left,
    /// too: who calls this does neither.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remove_old(&self, needed: &[Height]) -> Result<(), FileError> {
        let heights = self.heights()?;
        if heights.is_empty() {
            return Ok(());
        }
        let old = heights.len().saturating_sub(SNAPSHOTS_KEPT);
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for height in heights[..old].iter().filter(|height| !needed.contains(height)) {
            // The manifest first: what has none is no snapshot.
            self.files.remove(&name(*height, MANIFEST))?;
            self.files.sync_directory(SNAPSHOTS_DIRECTORY)?;
            self.files.remove(&name(*height, CHUNKS))?;
        }
        let kept = self.heights()?;
        let is_left = |name: &&String| {
            let (number, rest) = name.split_once('.').unwrap_or((name, ""));
            let is_whole = [CHUNKS, MANIFEST].contains(&rest);
            file_number(number).is_some_and(|height| !is_whole || !kept.contains(&Height::new(height)))
        };
        for name in self.files.list(SNAPSHOTS_DIRECTORY)?.iter().filter(is_left) {
            self.files.remove(&format!("{SNAPSHOTS_DIRECTORY}/{name}"))?;
        }
        self.files.sync_directory(SNAPSHOTS_DIRECTORY)
    }

    fn read_manifest(&self, file: &str, height: Height) -> Result<Manifest, SnapshotFilesError> {
        let bytes = self.files.read(file)?;
        let damaged = |reason: &str| SnapshotFilesError::Damaged { height, reason: reason.to_owned() };
        let (hash, encoded) = bytes.split_at_checked(HASH_BYTES).ok_or_else(|| damaged("its manifest is cut short"))?;
        if Domain::SNAPSHOT.hash(encoded).0 != hash {
            return Err(damaged("its manifest is not what was written"));
        }
        let manifest: Manifest = decode(encoded).map_err(|e| damaged(&format!("its manifest: {e}")))?;
        if manifest.height() != height {
            return Err(damaged("its manifest is another one's"));
        }
        Ok(manifest)
    }

    fn write_manifest(&self, file: &str, manifest: &Manifest) -> Result<(), FileError> {
        let encoded = encode(manifest);
        self.files.remove(file)?;
        let mut handle = self.files.append(file)?;
        handle.append(&Domain::SNAPSHOT.hash(&encoded).0)?;
        handle.append(&encoded)?;
        handle.sync()
    }

    /// Gives both files of a snapshot the names of one that is whole.
    fn complete(&self, height: Height, suffix: &str) -> Result<(), FileError> {
        for (part, is_last) in [(CHUNKS, false), (MANIFEST, true)] {
            let name = name(height, part);
            match self.files.rename(&format!("{name}.{suffix}"), &name) {
                // Done before a crash: the manifest, which comes last, still had its other name.
                Err(e) if e.is_missing() && !is_last && self.files.length(&name).is_ok() => {}
                renamed => renamed?,
            }
            self.files.sync_directory(SNAPSHOTS_DIRECTORY)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshots({})", self.files.root().display())
    }
}

fn name(height: Height, part: &str) -> String {
    format!("{}.{part}", numbered(SNAPSHOTS_DIRECTORY, height.get()))
}

fn damaged(height: Height, reason: &SnapshotError) -> SnapshotFilesError {
    SnapshotFilesError::Damaged { height, reason: reason.to_string() }
}

/// A snapshot that is being written.
pub struct SnapshotWriter {
    snapshots: Snapshots,
    height: Height,
    handle: Box<dyn Append>,
    chunker: Chunker,
}

impl SnapshotWriter {
    /// Adds the next output, in ascending order.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn push(&mut self, outpoint: &OutPoint, utxo: &Utxo) -> Result<(), FileError> {
        match self.chunker.push(outpoint, utxo) {
            Some(chunk) => self.handle.append(&chunk),
            None => Ok(()),
        }
    }

    /// Makes the snapshot whole; `manifest` makes its manifest of names of chunks and the number of outputs. `None`, and
    /// nothing is made, if that is larger than anybody could read or send: the registry has no bound.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn finish(
        mut self,
        manifest: impl FnOnce((Vec<ChunkInfo>, u64)) -> Manifest,
    ) -> Result<Option<Manifest>, FileError> {
        let (last, chunks, outputs) = self.chunker.finish();
        if let Some(last) = last {
            self.handle.append(&last)?;
        }
        self.handle.sync()?;
        let manifest = manifest((chunks, outputs));
        if encoded_size(&manifest) > MAX_SNAPSHOT_MANIFEST_BYTES {
            self.snapshots.files.remove(&format!("{}.new", name(self.height, CHUNKS)))?;
            return Ok(None);
        }
        self.snapshots.write_manifest(&format!("{}.new", name(self.height, MANIFEST)), &manifest)?;
        self.snapshots.complete(self.height, "new")?;
        Ok(Some(manifest))
    }
}

/// A snapshot that is being fetched.
pub struct PartialSnapshot {
    snapshots: Snapshots,
    manifest: Arc<Manifest>,
    handle: Box<dyn Append>,
    /// Chunks on disk.
    held: usize,
}

impl PartialSnapshot {
    /// What an earlier run began to fetch: its manifest, newest first if there are several.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn begun(snapshots: &Snapshots) -> Result<Option<Manifest>, FileError> {
        let names = snapshots.files.list(SNAPSHOTS_DIRECTORY)?;
        let begun = names.iter().rev().filter_map(|name| file_number(name.strip_suffix(&format!(".{MANIFEST}.part"))?));
        for height in begun.map(Height::new) {
            match snapshots.read_manifest(&format!("{}.part", name(height, MANIFEST)), height) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(SnapshotFilesError::File(error)) => return Err(error),
                // Cut short by a crash: begun anew.
                Err(SnapshotFilesError::Damaged { .. }) => {}
            }
        }
        Ok(None)
    }

    /// Goes on with the snapshot that has this manifest, or begins it; whatever else was begun is dropped.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(snapshots: &Snapshots, manifest: Arc<Manifest>) -> Result<Self, FileError> {
        let files = &snapshots.files;
        files.create_directory(SNAPSHOTS_DIRECTORY)?;
        files.sync_directory("")?;
        let height = manifest.height();
        let (chunks, kept) = (format!("{}.part", name(height, CHUNKS)), format!("{}.part", name(height, MANIFEST)));
        let is_begun = snapshots.read_manifest(&kept, height).is_ok_and(|found| found == *manifest);
        for other in files.list(SNAPSHOTS_DIRECTORY)? {
            let other = format!("{SNAPSHOTS_DIRECTORY}/{other}");
            if other.ends_with(".part") && !(is_begun && (other == chunks || other == kept)) {
                files.remove(&other)?;
            }
        }
        if !is_begun {
            snapshots.write_manifest(&kept, &manifest)?;
        }
        let whole = name(height, CHUNKS);
        if is_begun && files.length(&chunks).is_err_and(|e| e.is_missing()) && files.length(&whole).is_ok() {
            // A crash came between the two new names of a snapshot that was all there.
            files.rename(&whole, &chunks)?;
        }
        let held = held_chunks(&**files, &chunks, &manifest)?;
        let handle = files.append(&chunks)?;
        files.sync_directory(SNAPSHOTS_DIRECTORY)?;
        Ok(Self { snapshots: snapshots.clone(), manifest, handle, held })
    }

    /// How many chunks are on disk.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Adds the next chunk, whose hash the caller has compared. Not synced: a chunk that a crash damages is fetched again.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn append(&mut self, chunk: &[u8]) -> Result<(), FileError> {
        self.handle.append(chunk)?;
        self.held += 1;
        Ok(())
    }

    /// All chunks are there: compares their sum with the state root; then it is a snapshot like those made here.
    ///
    /// If that is not the block's state, the files are dropped.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn complete(mut self, checked: &CheckedManifest) -> Result<Completion, FileError> {
        self.handle.sync()?;
        let (files, height) = (&self.snapshots.files, self.manifest.height());
        let part = format!("{}.part", name(height, CHUNKS));
        let mut sum = checked.summing();
        let mut offset = 0;
        for chunk in &self.manifest.chunks {
            let bytes = files.read_at(&part, offset, chunk.bytes as usize)?;
            offset += u64::from(chunk.bytes);
            match sum.add(&bytes) {
                Ok(_) => {}
                Err(SnapshotError::OtherChunk(_)) => return Ok(Completion::Damaged),
                Err(_) => return self.drop_files(),
            }
        }
        if sum.finish().is_err() {
            return self.drop_files();
        }
        self.snapshots.complete(height, "part")?;
        Ok(Completion::Proved)
    }

    fn drop_files(&self) -> Result<Completion, FileError> {
        for part in [MANIFEST, CHUNKS] {
            self.snapshots.files.remove(&format!("{}.part", name(self.manifest.height(), part)))?;
        }
        Ok(Completion::WrongState)
    }
}

/// Leading chunks of the file that are what the manifest names; cuts off what comes after them.
fn held_chunks(files: &dyn Files, file: &str, manifest: &Manifest) -> Result<usize, FileError> {
    let length = match files.length(file) {
        Err(e) if e.is_missing() => return Ok(0),
        length => length?,
    };
    let (mut held, mut end) = (0, 0u64);
    for chunk in &manifest.chunks {
        let next = end + u64::from(chunk.bytes);
        if next > length || ChunkInfo::of(&files.read_at(file, end, chunk.bytes as usize)?) != *chunk {
            break;
        }
        (held, end) = (held + 1, next);
    }
    if end < length {
        files.truncate(file, end)?;
    }
    Ok(held)
}
