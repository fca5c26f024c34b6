//! The layer between the store's rules and the file system: few operations, each named for what it promises.
//!
//! Files are named by their path below the data directory, with `/`. What a power cut may do to them is what these
//! rules assume, and what the tests' own layer does: bytes that were not synced may be there wholly, partly or
//! garbled; a file whose directory was not synced since it was made, renamed or removed may be there under its old
//! name, its new one, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An operation on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl FileError {
    /// Whether the file or directory is not there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == ErrorKind::NotFound
    }

    /// Whether the disk is full, or the user's share of it.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}

/// A file open for appending.
pub trait Append: Send {
    /// Puts `bytes` at the end. If it fails, any part of them may be there.
    ///
    /// # Errors
    /// [`FileError`].
    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError>;

    /// Everything appended so far is on disk when this returns. If it fails, nobody knows what is: trying again proves
    /// nothing, for the system may have dropped what it could not write.
    ///
    /// # Errors
    /// [`FileError`].
    fn sync(&mut self) -> Result<(), FileError>;
}

/// The files of one data directory.
pub trait Files: Send + Sync {
    /// The data directory.
    fn root(&self) -> &Path;

    /// Names of the files in a directory, ascending; none if there is no such directory. Directories are left out.
    ///
    /// # Errors
    /// [`FileError`].
    fn list(&self, directory: &str) -> Result<Vec<String>, FileError>;

    /// Makes a directory below one that exists; fine if it is there.
    ///
    /// # Errors
    /// [`FileError`].
    fn create_directory(&self, directory: &str) -> Result<(), FileError>;

    /// Everything in a file.
    ///
    /// # Errors
    /// [`FileError`]; [`FileError::is_missing`] if there is none.
    fn read(&self, file: &str) -> Result<Vec<u8>, FileError>;

    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`FileError`], also if the file is too short.
    fn read_at(&self, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, FileError>;

    /// Bytes in a file.
    ///
    /// # Errors
    /// [`FileError`]; [`FileError::is_missing`] if there is none.
    fn length(&self, file: &str) -> Result<u64, FileError>;

    /// Opens a file for appending; makes it if there is none.
    ///
    /// # Errors
    /// [`FileError`].
    fn append(&self, file: &str) -> Result<Box<dyn Append>, FileError>;

    /// Cuts a file off. Not synced.
    ///
    /// # Errors
    /// [`FileError`].
    fn truncate(&self, file: &str, length: u64) -> Result<(), FileError>;

    /// Gives a file or directory another name; takes the place of a file that has it.
    ///
    /// # Errors
    /// [`FileError`].
    fn rename(&self, from: &str, to: &str) -> Result<(), FileError>;

    /// Removes a file; fine if there is none.
    ///
    /// # Errors
    /// [`FileError`].
    fn remove(&self, file: &str) -> Result<(), FileError>;

    /// What is in the file is on disk when this returns, whoever wrote it.
    ///
    /// # Errors
    /// [`FileError`].
    fn sync(&self, file: &str) -> Result<(), FileError>;

    /// Which files the directory has is on disk when this returns.
    ///
    /// # Errors
    /// [`FileError`].
    fn sync_directory(&self, directory: &str) -> Result<(), FileError>;
}

/// The files of a directory of the file system.
#[derive(Debug, Clone)]
pub struct DiskFiles {
    root: PathBuf,
}

impl DiskFiles {
    /// The files below `root`, which exists.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn with<T>(
        &self,
        action: &'static str,
        name: &str,
        run: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, FileError> {
        let path = if name.is_empty() { self.root.clone() } else { self.root.join(name) };
        run(&path).map_err(|source| FileError { action, path, source })
    }
}

impl Files for DiskFiles {
    fn root(&self) -> &Path {
        &self.root
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, FileError> {
        self.with("list", directory, |path| {
            let entries = match fs::read_dir(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
            names.sort_unstable();
            Ok(names)
        })
    }

    fn create_directory(&self, directory: &str) -> Result<(), FileError> {
        self.with("make the directory", directory, |path| match fs::create_dir(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        })
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, FileError> {
        self.with("read", file, |path| fs::read(path))
    }

    fn read_at(&self, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
        self.with("read", file, |path| {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        })
    }

    fn length(&self, file: &str) -> Result<u64, FileError> {
        self.with("look at", file, |path| Ok(fs::metadata(path)?.len()))
    }

    fn append(&self, file: &str) -> Result<Box<dyn Append>, FileError> {
        self.with("open", file, |path| {
            let handle = OpenOptions::new().append(true).create(true).open(path)?;
            Ok(Box::new(DiskAppend { handle, path: path.to_owned() }) as Box<dyn Append>)
        })
    }

    fn truncate(&self, file: &str, length: u64) -> Result<(), FileError> {
        self.with("cut off", file, |path| OpenOptions::new().write(true).open(path)?.set_len(length))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.with("rename", from, |path| fs::rename(path, self.root.join(to)))
    }

    fn remove(&self, file: &str) -> Result<(), FileError> {
        self.with("remove", file, |path| match fs::remove_file(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
    }

    fn sync(&self, file: &str) -> Result<(), FileError> {
        self.with("sync", file, |path| File::open(path)?.sync_all())
    }

    fn sync_directory(&self, directory: &str) -> Result<(), FileError> {
        self.with("sync the directory", directory, |path| File::open(path)?.sync_all())
    }
}

struct DiskAppend {
    handle: File,
    path: PathBuf,
}

impl Append for DiskAppend {
    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.handle.write_all(bytes);
        written.map_err(|source| FileError { action: "write to", path: self.path.clone(), source })
    }

    fn sync(&mut self) -> Result<(), FileError> {
        // The size is synced with the data: without it the data could not be read back.
        let synced = self.handle.sync_data();
        synced.map_err(|source| FileError { action: "sync", path: self.path.clone(), source })
    }
}

/// Files that are numbered in one directory have names of this many digits, so that names sort like numbers.
const NUMBER_DIGITS: usize = 20;

/// The name of file number `number` in `directory`.
pub(super) fn numbered(directory: &str, number: u64) -> String {
    format!("{directory}/{number:0NUMBER_DIGITS$}")
}

/// The numbers of the numbered files in `directory`, ascending. Files with other names are not ours: left alone.
pub(super) fn list_numbered(files: &dyn Files, directory: &str) -> Result<Vec<u64>, FileError> {
    Ok(files.list(directory)?.iter().filter_map(|name| file_number(name)).collect())
}

/// The number that is the name of a numbered file.
pub(super) fn file_number(name: &str) -> Option<u64> {
    let is_number = name.len() == NUMBER_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_number)
}
