//! Putting a directory right. Everything damaged gets another name; nothing is removed.

use super::{Directory, Findings, Part};
use crate::storage::block_files::BLOCKS_DIRECTORY;
use crate::storage::files::{FileError, Files, list_numbered, numbered};
use crate::storage::journal_files::JOURNAL_DIRECTORY;
use crate::storage::recovery::{self, DirectoryError, put_away};
use crate::storage::sled_store::INDEX_DIRECTORY;
use crate::storage::snapshots::SNAPSHOTS_DIRECTORY;
use crate::types::number::Height;
use std::sync::Arc;

impl Directory {
    /// Puts right what can be without losing anything: damaged blocks that the journal has are cut off, with all behind
    /// them, and the index is made anew. Returns the names that the damaged parts have now.
    ///
    /// # Errors
    /// [`DirectoryError`]; what was put away stays so, and the next repair goes on.
    pub fn repair(
        self,
        findings: &Findings,
        progress: &mut dyn FnMut(Height),
    ) -> Result<(Self, Vec<String>), DirectoryError> {
        let mut away = Vec::new();
        if findings.problems.iter().any(|problem| problem.part == Part::Blocks) {
            // It may lead now.
            away.extend(put_away(&*self.files, INDEX_DIRECTORY)?);
            away.extend(cut_blocks(&*self.files, findings.good_end)?);
        }
        let Self { files, options, key, lock } = self;
        let (repaired, lock) = recovery::repair_locked(Arc::clone(&files), options.clone(), lock, progress)?;
        away.extend(repaired.put_away);
        Ok((Self { files, options, key, lock }, away))
    }

    /// Puts index, blocks, snapshots and journal away, so that the next start fetches the chain from other nodes. Payments that were
    /// acknowledged in this epoch and are in no block yet are forgotten here. Returns the names they have now.
    ///
    /// # Errors
    /// [`FileError`]; what was put away stays so.
    pub fn leave_to_peers(&self) -> Result<Vec<String>, FileError> {
        let mut away = Vec::new();
        // The index first: without it the others are never taken for less than they were.
        for part in [INDEX_DIRECTORY, JOURNAL_DIRECTORY, BLOCKS_DIRECTORY, SNAPSHOTS_DIRECTORY] {
            away.extend(put_away(&*self.files, part)?);
        }
        Ok(away)
    }
}

/// Sets aside what comes behind the last good block: whole files under other names, the file that holds it as a copy.
fn cut_blocks(files: &dyn Files, good_end: Option<(u64, u64)>) -> Result<Vec<String>, FileError> {
    let (last, end) = good_end.unwrap_or_default();
    let mut away = Vec::new();
    for number in list_numbered(files, BLOCKS_DIRECTORY)?.into_iter().rev() {
        let name = numbered(BLOCKS_DIRECTORY, number);
        if good_end.is_none() || number > last {
            away.extend(put_away(files, &name)?);
        } else if number == last && files.length(&name)? > end {
            let good = files.read_at(&name, 0, usize::try_from(end).unwrap_or(usize::MAX))?;
            let copy = format!("{name}.good");
            files.remove(&copy)?;
            let mut file = files.append(&copy)?;
            file.append(&good)?;
            file.sync()?;
            away.extend(put_away(files, &name)?);
            files.rename(&copy, &name)?;
            files.sync_directory(BLOCKS_DIRECTORY)?;
        }
    }
    Ok(away)
}
