//! The file on disk: never overwritten when it is new, replaced as a whole when it changes, for its owner alone.

use super::Cost;
use crate::limits::{MAX_KEYSTORE_BYTES, MAX_WALLET_ADDRESSES};
use crate::types::address::AddressError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a wallet's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is none.
    #[error("there is no wallet at {path}: make one with timed wallet new, or name another with --wallet")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path} is there already and is never overwritten: choose another file with --wallet")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system says no.
    #[error("cannot {action} the wallet {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Others can read it.
    #[error("the wallet {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Something else than a wallet.
    #[error("{path} is no wallet that can be read: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The secret cannot be decrypted.
    #[error("the passphrase is wrong, or the wallet {path} was changed")]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// More addresses than a wallet has.
    #[error("{count} addresses are more than the {limit} a wallet may have", limit = MAX_WALLET_ADDRESSES)]
    TooManyAddresses {
        /// How many.
        count: usize,
    },
    /// A prefix that addresses cannot have.
    #[error("no addresses can be made: {reason}")]
    BadPrefix {
        /// What is wrong.
        reason: AddressError,
    },
    /// A cost that Argon2 does not take.
    #[error("a passphrase cannot be turned into a key at this cost: {cost:?}")]
    BadCost {
        /// The cost.
        cost: Cost,
    },
    /// Encryption failed, which it does only for secrets of gigabytes.
    #[error("the wallet could not be encrypted")]
    Unsealed,
}

/// Reads the file.
pub fn read(path: &Path) -> Result<Vec<u8>, KeystoreError> {
    let io = |action| move |reason| KeystoreError::Io { action, path: path.to_owned(), reason };
    let file = File::open(path).map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => KeystoreError::Missing { path: path.to_owned() },
        _ => io("open")(reason),
    })?;
    // The mode of what was opened, not of what the name leads to by now.
    let mode = file.metadata().map_err(io("look at"))?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeystoreError::ReadableByOthers { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_KEYSTORE_BYTES).read_to_end(&mut bytes).map_err(io("read"))?;
    Ok(bytes)
}

/// Writes a file that is not there yet.
pub fn create(path: &Path, text: &str) -> Result<(), KeystoreError> {
    let written = write_new(path, text).and_then(|()| sync_folder(path));
    written.map_err(|reason| match reason.kind() {
        io::ErrorKind::AlreadyExists => KeystoreError::Exists { path: path.to_owned() },
        _ => KeystoreError::Io { action: "create", path: path.to_owned(), reason },
    })
}

/// Puts a new file in the place of the old one: whoever reads gets one of the two, whole, also after a power cut.
pub fn replace(path: &Path, text: &str) -> Result<(), KeystoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    let written = write_new(&beside, text).and_then(|()| fs::rename(&beside, path)).and_then(|()| sync_folder(path));
    written.map_err(|reason| {
        // What could not take its place is of no use; that it cannot be removed either changes nothing.
        fs::remove_file(&beside).ok();
        KeystoreError::Io { action: "rewrite", path: path.to_owned(), reason }
    })
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a file's name in its folder last.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
