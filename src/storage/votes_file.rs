//! `votes.log` as a file. Its bytes are the signer's; here it is appended to, synced, read whole, and replaced whole.
//!
//! Nothing reaches the file before [`VotesFile::sync`]: whoever syncs the journal first has it on disk before any vote
//! that rests on it, whatever the system writes back on its own.

use super::files::{Append, FileError, Files};
use std::sync::Arc;

/// The file's name.
pub const VOTES_FILE: &str = "votes.log";
/// Where it is written anew before it takes the old one's place.
const NEW_VOTES_FILE: &str = "votes.log.new";

/// The file while the node runs.
pub struct VotesFile {
    files: Arc<dyn Files>,
    file: Option<Box<dyn Append>>,
    /// Takes the place of the file at the next sync.
    replacement: Option<Vec<u8>>,
    /// Comes behind the file, or behind what replaces it.
    appended: Vec<u8>,
    /// What the file holds may be in the page cache only.
    is_unsynced: bool,
}

impl std::fmt::Debug for VotesFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VotesFile({} bytes wait)", self.appended.len())
    }
}

impl VotesFile {
    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(files: Arc<dyn Files>) -> Result<(Self, Option<Vec<u8>>), FileError> {
        // What was to take the file's place and did not: the file itself counts.
        files.remove(NEW_VOTES_FILE)?;
        let content = match files.read(VOTES_FILE) {
            Err(e) if e.is_missing() => None,
            content => Some(content?),
        };
        let file = content.is_some().then(|| files.append(VOTES_FILE)).transpose()?;
        let is_unsynced = content.is_some();
        Ok((Self { files, file, replacement: None, appended: Vec::new(), is_unsynced }, content))
    }

    /// Adds bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        self.appended.extend_from_slice(bytes);
    }

    /// Lets `bytes` take the place of everything so far.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        self.replacement = Some(bytes);
        self.appended.clear();
    }

    /// Everything added is on disk when this returns, and what was there when it was opened.
    ///
    /// # Errors
    /// [`FileError`]; what the file holds is unknown then, until it is read anew.
    pub fn sync(&mut self) -> Result<(), FileError> {
        if self.replacement.is_none() && self.appended.is_empty() && !self.is_unsynced {
            return Ok(());
        }
        if let Some(bytes) = self.replacement.take() {
            let mut new = self.files.append(NEW_VOTES_FILE)?;
            new.append(&bytes)?;
            new.append(&self.appended)?;
            new.sync()?;
            self.files.rename(NEW_VOTES_FILE, VOTES_FILE)?;
            self.files.sync_directory("")?;
            // The handle follows the file to its new name.
            self.file = Some(new);
        } else if let Some(file) = &mut self.file {
            file.append(&self.appended)?;
            file.sync()?;
        } else {
            let mut file = self.files.append(VOTES_FILE)?;
            file.append(&self.appended)?;
            file.sync()?;
            self.files.sync_directory("")?;
            self.file = Some(file);
        }
        self.appended.clear();
        self.is_unsynced = false;
        Ok(())
    }
}
