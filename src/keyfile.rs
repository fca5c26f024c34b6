//! Key files: the 32-byte Ed25519 secret as 64 hex digits and a newline, readable by its owner alone.

use crate::types::keys::SecretKey;
use rand::Rng as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most bytes of a key file that are read: the digits, and some room for line ends.
const MAX_FILE_BYTES: u64 = 128;
/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system says no.
    #[error("cannot {action} the key file {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Others can read it.
    #[error("the key file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Something else than a key.
    #[error("{path} is no key file: 64 hex digits and a newline are expected")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a key.
///
/// # Errors
/// [`KeyFileError`]; a file that others can read is refused.
pub fn read(path: &Path) -> Result<SecretKey, KeyFileError> {
    let io = |action| move |reason| KeyFileError::Io { action, path: path.to_owned(), reason };
    let file = File::open(path).map_err(io("open"))?;
    // The mode of what was opened, not of what the name leads to by now.
    let mode = file.metadata().map_err(io("look at"))?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::ReadableByOthers { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(io("read"))?;
    parse(&text).ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
}

/// Reads a key from its 64 hex digits; space around them does not matter.
pub fn parse(text: &str) -> Option<SecretKey> {
    let mut secret = Zeroizing::new([0u8; 32]);
    let decoded = base16ct::mixed::decode(text.trim(), secret.as_mut()).ok()?;
    (decoded.len() == 32).then(|| SecretKey::from_bytes(&secret))
}

/// Writes `key` to a new file that only its owner can read, and syncs it.
///
/// # Errors
/// [`KeyFileError::Io`]; a file that is there already is never overwritten.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
    let io = |action| move |reason| KeyFileError::Io { action, path: path.to_owned(), reason };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("create"))?;
    let mut text = Zeroizing::new([0u8; 65]);
    let bytes = key.to_bytes();
    // 64 digits fit in 65 bytes.
    base16ct::lower::encode(bytes.as_ref(), &mut text[..64]).map(drop).unwrap_or_default();
    text[64] = b'\n';
    file.write_all(text.as_ref()).map_err(io("write"))?;
    file.sync_all().map_err(io("write"))
}

/// Reads the key in `path`, or makes a new one there.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_or_create(path: &Path) -> Result<SecretKey, KeyFileError> {
    if path.exists() {
        return read(path);
    }
    let key = generate();
    create(path, &key)?;
    Ok(key)
}

/// A new key, from the system's randomness.
pub fn generate() -> SecretKey {
    let mut seed = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(seed.as_mut());
    SecretKey::from_bytes(&seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("timed-keyfile-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_key_that_was_written_is_read_again_and_never_overwritten() {
        let folder = folder("again");
        let path = folder.join("a.key");
        let key = SecretKey::from_bytes(&[7; 32]);
        create(&path, &key).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", "07".repeat(32)));
        assert_eq!(read(&path).unwrap().public_key(), key.public_key());
        let other = SecretKey::from_bytes(&[8; 32]);
        assert!(matches!(create(&path, &other), Err(KeyFileError::Io { action: "create", .. })));
        assert_eq!(read_or_create(&path).unwrap().public_key(), key.public_key());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_cure() {
        let folder = folder("mode");
        let path = folder.join("a.key");
        create(&path, &SecretKey::from_bytes(&[7; 32])).unwrap();
        for mode in [0o640, 0o604, 0o644, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"00 ".repeat(32)] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&format!(" {}\r\n", "Ab".repeat(32))).is_some());
    }
}
