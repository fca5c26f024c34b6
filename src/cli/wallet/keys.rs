//! Whose keys: those of a wallet's file, or one plain key file. Passphrases come from a file or a terminal, never from
//! arguments or the environment, which others on the machine may see.

use super::default_file;
use crate::cli::CliError;
use crate::keyfile;
use crate::types::address::{from_address, to_address};
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::wallet::keystore::{Keystore, Unlocked};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most bytes of a passphrase.
const MAX_PASSPHRASE_BYTES: u64 = 1_024;

/// Where the keys are.
#[derive(clap::Args, Debug)]
pub struct Source {
    /// The wallet's file; ~/.timed/wallet.json if none is named.
    #[arg(long, global = true, value_name = "FILE")]
    wallet: Option<PathBuf>,
    /// Use this one key (64 hex digits, like faucet.key) instead of a wallet.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "wallet")]
    key_file: Option<PathBuf>,
    /// File with the wallet's passphrase; without it the terminal is asked.
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Keys as far as they are known without the passphrase.
pub enum Locked {
    /// Those of a wallet.
    Wallet(Keystore),
    /// One key.
    Key(SecretKey),
}

/// The keys by their locks.
pub type Keys = BTreeMap<Lock, SecretKey>;

impl Source {
    /// The wallet's file, for commands that a key file makes no sense for.
    pub fn wallet_file(&self) -> Result<PathBuf, CliError> {
        if self.key_file.is_some() {
            return Err(CliError::usage("--key-file names one key, which is no wallet: say --wallet FILE"));
        }
        self.wallet.clone().map_or_else(default_file, Ok)
    }

    /// Opens what is named, without asking for a passphrase.
    pub fn open(&self) -> Result<Locked, CliError> {
        match &self.key_file {
            Some(path) => keyfile::read(path).map(Locked::Key).map_err(CliError::failure),
            None => Keystore::open(&self.wallet_file()?).map(Locked::Wallet).map_err(CliError::failure),
        }
    }

    /// Opens the wallet with its passphrase.
    pub fn unlock(&self, keystore: Keystore) -> Result<Unlocked, CliError> {
        let passphrase = self.passphrase()?;
        keystore.unlock(&passphrase).map_err(CliError::failure)
    }

    /// All keys.
    pub fn keys(&self, locked: Locked) -> Result<Keys, CliError> {
        match locked {
            Locked::Wallet(keystore) => Ok(self.unlock(keystore)?.keys().collect()),
            Locked::Key(key) => Ok(Keys::from([(Lock::of_key(&key.public_key()), key)])),
        }
    }

    /// The passphrase of a wallet there is.
    fn passphrase(&self) -> Result<Zeroizing<String>, CliError> {
        match &self.passphrase_file {
            Some(path) => read_passphrase(path),
            None => ask("passphrase: "),
        }
    }

    /// The passphrase of a wallet that is to be made: asked for twice.
    pub fn new_passphrase(&self) -> Result<Zeroizing<String>, CliError> {
        let passphrase = match &self.passphrase_file {
            Some(path) => read_passphrase(path)?,
            None => {
                let first = ask("passphrase for the new wallet: ")?;
                if first != ask("once more: ")? {
                    return Err(CliError::failure("the two passphrases differ; nothing was made"));
                }
                first
            }
        };
        if passphrase.is_empty() {
            return Err(CliError::failure("an empty passphrase protects nothing; nothing was made"));
        }
        Ok(passphrase)
    }
}

impl Locked {
    /// The addresses on the chain whose addresses start with `hrp`.
    pub fn addresses(&self, hrp: &str) -> Result<Vec<String>, CliError> {
        match self {
            Self::Wallet(keystore) if keystore.address_hrp() == hrp => Ok(keystore.addresses().to_vec()),
            Self::Wallet(keystore) => Err(CliError::usage(format!(
                "the wallet {} is of a chain whose addresses start with {}1, here they start with {hrp}1: \
                 make another with timed --chain CHAIN wallet --wallet FILE new",
                keystore.path().display(),
                keystore.address_hrp(),
            ))),
            Self::Key(key) => {
                let address = to_address(&Lock::of_key(&key.public_key()), hrp).map_err(CliError::failure)?;
                Ok(vec![address])
            }
        }
    }

    /// The same as locks.
    pub fn locks(&self, hrp: &str) -> Result<Vec<(String, Lock)>, CliError> {
        let addresses = self.addresses(hrp)?.into_iter();
        addresses.map(|text| from_address(&text, hrp).map(|lock| (text, lock)).map_err(CliError::failure)).collect()
    }
}

/// Reads a passphrase from a file: all of it but the end of its line.
fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let failed =
        |e: std::io::Error| CliError::failure(format!("cannot read the passphrase file {}: {e}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        eprintln!("timed: others can read {}; run: chmod 600 {}", path.display(), path.display());
    }
    // Large enough from the start: growing would leave a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * 1_024));
    file.take(MAX_PASSPHRASE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_PASSPHRASE_BYTES {
        return Err(CliError::failure(format!("{}: a passphrase has at most 1024 bytes", path.display())));
    }
    let end = text.strip_suffix('\n').map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len());
    text.truncate(end);
    Ok(text)
}

/// Asks on the terminal, without showing what is typed.
fn ask(prompt: &str) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|e| {
        CliError::failure(format!("no terminal to ask for the passphrase ({e}); say --passphrase-file FILE"))
    })
}

/// Asks on the terminal whether to go on.
pub fn confirm(question: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage("there is no terminal to ask on; say --yes to go on without asking"));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush().map_err(CliError::failure)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::failure)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::failure("not sent")),
    }
}
