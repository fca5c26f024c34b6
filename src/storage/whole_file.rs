//! Small files that are read and written as a whole: what they say is the last version that was written, or one before.

use super::files::{FileError, Files};

/// Writes a file of these parts in place of the one that has its name. A crash leaves the one or the other.
///
/// # Errors
/// [`FileError`]: the old file is still there.
pub fn replace(files: &dyn Files, name: &str, parts: &[&[u8]]) -> Result<(), FileError> {
    let fresh = format!("{name}.new");
    files.remove(&fresh)?;
    let mut file = files.append(&fresh)?;
    for part in parts {
        file.append(part)?;
    }
    file.sync()?;
    files.rename(&fresh, name)?;
    files.sync_directory("")
}

/// The bytes of a file; `None` if it is longer than `most`, whatever it holds.
///
/// # Errors
/// [`FileError`]; [`FileError::is_missing`] if there is none.
pub fn read_at_most(files: &dyn Files, name: &str, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    if files.length(name)? > most {
        return Ok(None);
    }
    files.read(name).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::DiskFiles;

    #[test]
    fn a_file_is_what_was_written_last_and_no_longer_than_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::new(directory.path());
        assert!(read_at_most(&files, "x", 9).unwrap_err().is_missing());
        replace(&files, "x", &[b"long", b" text"]).unwrap();
        assert_eq!(read_at_most(&files, "x", 9).unwrap().as_deref(), Some(&b"long text"[..]));
        assert_eq!(read_at_most(&files, "x", 8).unwrap(), None);
        // What a crash left in the middle of writing.
        files.append("x.new").unwrap().append(b"half").unwrap();
        replace(&files, "x", &[b"b"]).unwrap();
        assert_eq!(read_at_most(&files, "x", 9).unwrap().as_deref(), Some(&b"b"[..]));
        assert_eq!(files.list("").unwrap(), ["x"]);
    }
}
