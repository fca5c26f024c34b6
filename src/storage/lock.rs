//! The lock on a data directory: one process at a time.
//!
//! The system lets go of it when the process ends, however it ends, so a lock that is left over does not exist.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why a data directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is locked: another timed uses this data directory; stop it, or give this one a --data-dir of its own", .0.display())]
    Taken(PathBuf),
    /// The file cannot be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A locked data directory; dropping it lets go.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks the file `LOCK` in `directory`, which exists.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Taken`] if another process holds it.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("LOCK");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| LockError::Failed { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path)),
            Err(TryLockError::Error(source)) => Err(LockError::Failed { path, source }),
        }
    }
}

/// Waits until no other thread of this process has `file` locked, if it exists: threads of a database that was just
/// closed may hold on to it for a moment. To be called under the [`DirectoryLock`], which keeps other processes away.
///
/// # Errors
/// [`LockError::Failed`].
pub fn wait_until_free(file: &Path) -> Result<(), LockError> {
    let failed = |source| LockError::Failed { path: file.to_owned(), source };
    match File::open(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened.and_then(|file| file.lock()).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(directory.path()).unwrap();
        assert!(matches!(DirectoryLock::acquire(directory.path()), Err(LockError::Taken(_))));
        drop(held);
        assert!(DirectoryLock::acquire(directory.path()).is_ok());
    }
}
