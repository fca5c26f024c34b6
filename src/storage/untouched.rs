//! Files that are read and never changed: what opens a data directory can look at one without leaving a trace. What it
//! would have cut off is noted, since that is what a crash left.

use super::files::{Append, FileError, Files};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A file that would have been cut off, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The file.
    pub file: String,
    /// How many bytes would stay.
    pub kept_bytes: u64,
}

/// Reads of `inner`; writes go nowhere and succeed.
pub struct Untouched {
    inner: Arc<dyn Files>,
    cuts: Mutex<Vec<Cut>>,
}

impl Untouched {
    /// Looks at these files.
    pub fn new(inner: Arc<dyn Files>) -> Self {
        Self { inner, cuts: Mutex::default() }
    }

    /// What would have been cut off or removed so far.
    pub fn cuts(&self) -> Vec<Cut> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, file: &str, kept_bytes: u64) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).push(Cut { file: file.to_owned(), kept_bytes });
    }
}

impl Files for Untouched {
    fn root(&self) -> &Path {
        self.inner.root()
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, FileError> {
        self.inner.list(directory)
    }

    fn create_directory(&self, _: &str) -> Result<(), FileError> {
        Ok(())
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, FileError> {
        self.inner.read(file)
    }

    fn read_at(&self, file: &str, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
        self.inner.read_at(file, offset, length)
    }

    fn length(&self, file: &str) -> Result<u64, FileError> {
        self.inner.length(file)
    }

    fn append(&self, _: &str) -> Result<Box<dyn Append>, FileError> {
        Ok(Box::new(Nowhere))
    }

    fn truncate(&self, file: &str, length: u64) -> Result<(), FileError> {
        self.note(file, length);
        Ok(())
    }

    fn rename(&self, _: &str, _: &str) -> Result<(), FileError> {
        Ok(())
    }

    fn remove(&self, file: &str) -> Result<(), FileError> {
        if self.inner.length(file).is_ok_and(|bytes| bytes > 0) {
            self.note(file, 0);
        }
        Ok(())
    }

    fn sync(&self, _: &str) -> Result<(), FileError> {
        Ok(())
    }

    fn sync_directory(&self, _: &str) -> Result<(), FileError> {
        Ok(())
    }
}

struct Nowhere;

impl Append for Nowhere {
    fn append(&mut self, _: &[u8]) -> Result<(), FileError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), FileError> {
        Ok(())
    }
}
