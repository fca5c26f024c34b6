//! Making the index durable.

use super::schema::{META_JOURNAL, value};
use super::{INDEX_DIRECTORY, SledStore};
use crate::storage::files::FileError;
use crate::storage::store::StoreError;
use crate::types::number::Height;

/// Where sled puts values that are too large for a page.
const BLOBS_DIRECTORY: &str = "db/blobs";

impl SledStore {
    /// The index survives a power cut as it is now; returns the height of its tip. `journal` is the last record of the
    /// journal that is synced, remembered so that its loss is noticed.
    ///
    /// # Errors
    /// [`StoreError`]; nothing more can be applied then.
    pub fn flush(&self, journal: u64) -> Result<Height, StoreError> {
        let mut writer = self.lock_writer();
        if writer.has_failed {
            return Err(StoreError::Failed);
        }
        let flushed = self.flush_all(journal);
        writer.has_failed |= flushed.is_err();
        flushed.map(|()| self.view().state.height())
    }

    fn flush_all(&self, journal: u64) -> Result<(), StoreError> {
        self.trees.meta.insert(META_JOURNAL, value(&journal))?;
        self.db.flush()?;
        // Sled writes its files back without waiting for the disk: what it calls flushed may be in the page cache only.
        self.sync_files(BLOBS_DIRECTORY)?;
        self.sync_files(INDEX_DIRECTORY)?;
        self.files.sync_directory("")?;
        Ok(())
    }

    fn sync_files(&self, directory: &str) -> Result<(), FileError> {
        for name in self.files.list(directory)? {
            match self.files.sync(&format!("{directory}/{name}")) {
                // A snapshot or a blob that sled has replaced since.
                Err(e) if e.is_missing() => {}
                synced => synced?,
            }
        }
        self.files.sync_directory(directory)
    }
}
