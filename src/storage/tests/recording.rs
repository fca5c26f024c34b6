//! Files that know what of them would survive a power cut: what each held when it was last synced, and which of them
//! their directories had when those were.
//!
//! Everything is done on real files below it, so sled's files are seen as well. Before every sync an [`Event`] is kept:
//! a cut at that moment leaves anything between what was durable and what was there.

use crate::storage::files::{Append, DiskFiles, FileError, Files};
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What files hold, by their path below the data directory.
pub type Image = BTreeMap<String, Arc<Vec<u8>>>;

/// What was on disk just before a sync.
#[derive(Clone)]
pub struct Event<M> {
    /// What had been synced.
    pub durable: Image,
    /// What would be there if the process alone died.
    pub present: Image,
    /// What of that had been synced, by the names that it has now.
    synced: Image,
    /// What had been acknowledged.
    pub acknowledged: M,
}

struct Recorder<M> {
    /// Open handles of every file seen, so that no inode is given away again.
    held: BTreeMap<u64, File>,
    synced: BTreeMap<u64, Arc<Vec<u8>>>,
    /// By the directory's inode: its entries when it was last synced.
    entries: BTreeMap<u64, Vec<(String, u64)>>,
    events: Vec<Event<M>>,
    acknowledged: M,
    is_recording: bool,
    space: Option<u64>,
    sync_fails: bool,
}

/// See the module.
pub struct RecordingFiles<M> {
    real: DiskFiles,
    recorder: Arc<Mutex<Recorder<M>>>,
}

impl<M: Clone + Send + 'static> RecordingFiles<M> {
    pub fn new(root: &Path, acknowledged: M) -> Arc<Self> {
        let recorder = Recorder {
            held: BTreeMap::new(),
            synced: BTreeMap::new(),
            entries: BTreeMap::new(),
            events: Vec::new(),
            acknowledged,
            is_recording: true,
            space: None,
            sync_fails: false,
        };
        Arc::new(Self { real: DiskFiles::new(root), recorder: Arc::new(Mutex::new(recorder)) })
    }

    /// Everything synced so far may be relied on: `acknowledged` says what that is.
    pub fn acknowledge(&self, acknowledged: M) {
        self.recorder.lock().unwrap().acknowledged = acknowledged;
    }

    pub fn events(&self) -> Vec<Event<M>> {
        self.record();
        self.recorder.lock().unwrap().events.clone()
    }

    pub fn stop_recording(&self) {
        self.recorder.lock().unwrap().is_recording = false;
    }

    /// From now on this many bytes fit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.recorder.lock().unwrap().space = bytes;
    }

    pub fn fail_syncs(&self, fails: bool) {
        self.recorder.lock().unwrap().sync_fails = fails;
    }

    fn record(&self) {
        let mut recorder = self.recorder.lock().unwrap();
        if recorder.is_recording {
            recorder.record(self.real.root());
        }
    }

    fn check_sync(&self, path: &str) -> Result<(), FileError> {
        self.recorder.lock().unwrap().check_sync(&self.real.root().join(path))
    }
}

impl<M: Clone> Recorder<M> {
    fn record(&mut self, root: &Path) {
        let mut durable = Image::new();
        let root_inode = fs::metadata(root).unwrap().ino();
        self.add_durable(root_inode, "", &mut durable);
        let (mut present, mut synced) = (Image::new(), Image::new());
        let before = self.events.last().map(|event| event.present.clone()).unwrap_or_default();
        add_present(root, "", &before, &mut present);
        for name in present.keys() {
            let inode = fs::metadata(root.join(name)).ok().map(|file| file.ino());
            let content = inode.and_then(|inode| self.synced.get(&inode)).cloned();
            synced.extend(content.map(|content| (name.clone(), content)));
        }
        self.events.push(Event { durable, present, synced, acknowledged: self.acknowledged.clone() });
    }

    fn add_durable(&self, directory: u64, prefix: &str, image: &mut Image) {
        for (name, inode) in self.entries.get(&directory).into_iter().flatten() {
            let path = format!("{prefix}{name}");
            if self.entries.contains_key(inode) {
                self.add_durable(*inode, &format!("{path}/"), image);
            } else if self.held.get(inode).is_some_and(|file| file.metadata().unwrap().is_file()) {
                image.insert(path, self.synced.get(inode).cloned().unwrap_or_default());
            }
        }
    }

    fn synced(&mut self, mut file: File) {
        let inode = file.metadata().unwrap().ino();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        if self.synced.get(&inode).is_none_or(|before| **before != bytes) {
            self.synced.insert(inode, Arc::new(bytes));
        }
        self.held.insert(inode, file);
    }

    fn synced_directory(&mut self, path: &Path) {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            // Sled may have removed it meanwhile.
            let Ok(file) = File::open(entry.path()) else { continue };
            let inode = file.metadata().unwrap().ino();
            self.held.entry(inode).or_insert(file);
            entries.push((entry.file_name().into_string().unwrap(), inode));
        }
        self.entries.insert(fs::metadata(path).unwrap().ino(), entries);
    }

    fn check_sync(&self, path: &Path) -> Result<(), FileError> {
        if self.sync_fails { Err(failure("sync", path, ErrorKind::Other)) } else { Ok(()) }
    }
}

fn failure(action: &'static str, path: &Path, kind: ErrorKind) -> FileError {
    FileError { action, path: path.to_owned(), source: io::Error::from(kind) }
}

fn add_present(root: &Path, prefix: &str, before: &Image, image: &mut Image) {
    for entry in fs::read_dir(root.join(prefix)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            add_present(root, &format!("{path}/"), before, image);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            let same = before.get(&path).filter(|content| ***content == bytes).cloned();
            image.insert(path, same.unwrap_or_else(|| Arc::new(bytes)));
        }
    }
}

struct RecordingAppend<M> {
    real: Box<dyn Append>,
    handle: File,
    path: PathBuf,
    root: PathBuf,
    recorder: Arc<Mutex<Recorder<M>>>,
}

impl<M: Clone + Send + 'static> Append for RecordingAppend<M> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let mut recorder = self.recorder.lock().unwrap();
        let fits = recorder.space.map_or(bytes.len(), |space| bytes.len().min(usize::try_from(space).unwrap()));
        recorder.space = recorder.space.map(|space| space - fits as u64);
        self.real.append(&bytes[..fits])?;
        if fits < bytes.len() { Err(failure("write to", &self.path, ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), FileError> {
        let mut recorder = self.recorder.lock().unwrap();
        if recorder.is_recording {
            recorder.record(&self.root);
        }
        recorder.check_sync(&self.path)?;
        self.real.sync()?;
        recorder.synced(self.handle.try_clone().unwrap());
        Ok(())
    }
}

impl<M: Clone + Send + 'static> Files for RecordingFiles<M> {
    fn root(&self) -> &Path {
        self.real.root()
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, FileError> {
        self.real.list(directory)
    }

    fn create_directory(&self, directory: &str) -> Result<(), FileError> {
        self.real.create_directory(directory)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, FileError> {
        self.real.read(file)
    }

    fn read_at(&self, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
        self.real.read_at(file, offset, length)
    }

    fn length(&self, file: &str) -> Result<u64, FileError> {
        self.real.length(file)
    }

    fn append(&self, file: &str) -> Result<Box<dyn Append>, FileError> {
        let real = self.real.append(file)?;
        let path = self.real.root().join(file);
        let handle = File::open(&path).unwrap();
        let (root, recorder) = (self.real.root().to_owned(), self.recorder.clone());
        Ok(Box::new(RecordingAppend { real, handle, path, root, recorder }))
    }

    fn truncate(&self, file: &str, length: u64) -> Result<(), FileError> {
        self.real.truncate(file, length)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.real.rename(from, to)
    }

    fn remove(&self, file: &str) -> Result<(), FileError> {
        self.real.remove(file)
    }

    fn sync(&self, file: &str) -> Result<(), FileError> {
        self.record();
        self.check_sync(file)?;
        self.real.sync(file)?;
        let opened = File::open(self.real.root().join(file));
        self.recorder.lock().unwrap().synced(opened.map_err(|source| FileError {
            action: "open",
            path: file.into(),
            source,
        })?);
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> Result<(), FileError> {
        self.record();
        self.check_sync(directory)?;
        self.real.sync_directory(directory)?;
        self.recorder.lock().unwrap().synced_directory(&self.real.root().join(directory));
        Ok(())
    }
}

/// The files of `image` in a new directory.
pub fn materialize(image: &Image) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in image {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &**bytes).unwrap();
    }
    directory
}

/// What a power cut may leave: anything between what was durable and what was there.
pub fn torn<M>(event: &Event<M>, rng: &mut ChaCha12Rng) -> Image {
    let names: BTreeSet<&String> = event.durable.keys().chain(event.present.keys()).collect();
    let mut image = Image::new();
    for name in names {
        let (old, new) = (event.durable.get(name), event.present.get(name));
        let synced = event.synced.get(name).cloned().unwrap_or_default();
        let is_same_file = old.is_some_and(|old| Arc::ptr_eq(old, &synced));
        let survivor = match new.filter(|_| is_same_file || rng.random_bool(0.5)) {
            Some(new) if new.starts_with(&synced) => Some(torn_tail(&synced, new, rng)),
            Some(new) => Some(torn_pages(&synced, new, rng)),
            // The directory was not synced: the name still means what it meant.
            None => old.map(|old| old.to_vec()),
        };
        image.extend(survivor.map(|bytes| (name.clone(), Arc::new(bytes))));
    }
    image
}

/// Appended bytes: some of them are there, perhaps with a hole or a flipped bit.
fn torn_tail(durable: &[u8], present: &[u8], rng: &mut ChaCha12Rng) -> Vec<u8> {
    let mut bytes = present[..rng.random_range(durable.len()..=present.len())].to_vec();
    if bytes.len() > durable.len() {
        let at = rng.random_range(durable.len()..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at..].fill(0),
            _ => {}
        }
    }
    bytes
}

/// A file that is written in place: each page is the old one or the new one.
fn torn_pages(durable: &[u8], present: &[u8], rng: &mut ChaCha12Rng) -> Vec<u8> {
    const PAGE: usize = 4_096;
    let mut bytes = present.to_vec();
    for (page, old) in bytes.chunks_mut(PAGE).zip(durable.chunks(PAGE)) {
        if rng.next_u32().is_multiple_of(2) {
            let both = page.len().min(old.len());
            page[..both].copy_from_slice(&old[..both]);
        }
    }
    bytes
}
