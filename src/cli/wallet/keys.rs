//! Whose keys: those of a wallet's file, or one plain key file. Passphrases come from a file or a terminal, never from
//! arguments or the environment, which others on the machine may see.

use super::default_file;
use crate::cli::CliError;
use crate::keyfile;
use crate::types::address::{from_address, to_address};
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::wallet::keystore::{Keystore, Unlocked};
use crate::wallet::multisig::Multisig;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// Most bytes of a passphrase.
const MAX_PASSPHRASE_BYTES: u64 = 1_024;

/// What a shell shows for a command that was interrupted: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

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
    /// The address of several keys: how many of which public keys it takes. What is spent, shown or changed is then its own;
    /// each owner signs with the keys he has.
    #[arg(long, global = true, value_name = "COUNT:KEY,KEY,..")]
    multisig: Option<Multisig>,
}

/// Whose coins are meant, and keys as far as they are known without the passphrase.
pub struct Locked {
    own: Own,
    multisig: Option<Multisig>,
}

enum Own {
    Wallet(Keystore),
    Key(SecretKey),
    /// For an address of several keys, which can be looked at without any.
    Nothing,
}

/// The keys by their locks.
pub type Keys = BTreeMap<Lock, SecretKey>;

impl Source {
    /// The wallet's file, for commands that nothing but a wallet makes sense for.
    pub fn wallet_file(&self) -> Result<PathBuf, CliError> {
        if self.key_file.is_some() {
            return Err(CliError::usage("--key-file names one key, which is no wallet: say --wallet FILE"));
        }
        if self.multisig.is_some() {
            return Err(CliError::usage("--multisig names keys, which are no wallet: leave it away"));
        }
        self.file()
    }

    fn file(&self) -> Result<PathBuf, CliError> {
        self.wallet.clone().map_or_else(default_file, Ok)
    }

    /// Opens what is named, without asking for a passphrase.
    pub fn open(&self) -> Result<Locked, CliError> {
        let own = match &self.key_file {
            Some(path) => keyfile::read(path).map(Own::Key).map_err(CliError::failure)?,
            None if self.multisig.is_some() && self.wallet.is_none() && !default_file()?.exists() => Own::Nothing,
            None => Keystore::open(&self.file()?).map(Own::Wallet).map_err(CliError::failure)?,
        };
        Ok(Locked { own, multisig: self.multisig.clone() })
    }

    /// Opens the wallet with its passphrase.
    pub fn unlock(&self, keystore: Keystore) -> Result<Unlocked, CliError> {
        let passphrase = self.passphrase()?;
        keystore.unlock(&passphrase).map_err(CliError::failure)
    }

    /// All keys.
    pub fn keys(&self, locked: Locked) -> Result<Keys, CliError> {
        match locked.own {
            Own::Wallet(keystore) => Ok(self.unlock(keystore)?.keys().collect()),
            Own::Key(key) => Ok(Keys::from([(Lock::of_key(&key.public_key()), key)])),
            Own::Nothing => Err(CliError::failure(format!(
                "there is no wallet {} to sign with: say --wallet FILE or --key-file FILE",
                default_file()?.display()
            ))),
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
    /// The keys that were named for an address of several.
    pub fn multisig(&self) -> Option<&Multisig> {
        self.multisig.as_ref()
    }

    /// What the addresses of its chain start with, if that is known here.
    pub fn address_hrp(&self) -> Option<&str> {
        match &self.own {
            Own::Wallet(keystore) => Some(keystore.address_hrp()),
            Own::Key(_) | Own::Nothing => None,
        }
    }

    /// The addresses that are meant, on the chain whose addresses start with `hrp`: that of several keys, or all own ones.
    pub fn addresses(&self, hrp: &str) -> Result<Vec<String>, CliError> {
        match &self.multisig {
            Some(multisig) => to_address(&multisig.lock(), hrp).map(|address| vec![address]).map_err(CliError::failure),
            None => self.own_addresses(hrp),
        }
    }

    fn own_addresses(&self, hrp: &str) -> Result<Vec<String>, CliError> {
        match &self.own {
            Own::Wallet(keystore) if keystore.address_hrp() == hrp => Ok(keystore.addresses().to_vec()),
            Own::Wallet(keystore) => Err(CliError::usage(format!(
                "the wallet {} is of a chain whose addresses start with {}1, here they start with {hrp}1: \
                 make another with timed --chain CHAIN wallet --wallet FILE new",
                keystore.path().display(),
                keystore.address_hrp(),
            ))),
            Own::Key(key) => {
                let address = to_address(&Lock::of_key(&key.public_key()), hrp).map_err(CliError::failure)?;
                Ok(vec![address])
            }
            Own::Nothing => Ok(Vec::new()),
        }
    }

    /// The addresses that are meant, with their locks.
    pub fn locks(&self, hrp: &str) -> Result<Vec<(String, Lock)>, CliError> {
        with_locks(self.addresses(hrp)?, hrp)
    }

    /// The addresses whose keys are here, with their locks.
    pub fn own_locks(&self, hrp: &str) -> Result<Vec<(String, Lock)>, CliError> {
        with_locks(self.own_addresses(hrp)?, hrp)
    }
}

fn with_locks(addresses: Vec<String>, hrp: &str) -> Result<Vec<(String, Lock)>, CliError> {
    let lock = |text: String| from_address(&text, hrp).map(|lock| (text, lock)).map_err(CliError::failure);
    addresses.into_iter().map(lock).collect()
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
    leave_terminal_as_it_is()?;
    match rpassword::prompt_password(prompt) {
        Ok(passphrase) => Ok(Zeroizing::new(passphrase)),
        // Whoever was to wait for that ends the program.
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => loop {
            std::thread::park();
        },
        Err(e) => {
            Err(CliError::failure(format!("no terminal to ask for the passphrase ({e}); say --passphrase-file FILE")))
        }
    }
}

/// From now on an interrupt (Ctrl-C) ends the program with the terminal as it is now: one that comes while it is asked for a
/// passphrase would leave it showing nothing of what is typed.
fn leave_terminal_as_it_is() -> Result<(), CliError> {
    let Ok(terminal) = File::open("/dev/tty") else { return Ok(()) };
    let Ok(before) = tcgetattr(&terminal) else { return Ok(()) };
    let (ready, is_ready) = std::sync::mpsc::channel();
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            ready.send(()).ok();
            interrupt.recv().await;
            tcsetattr(&terminal, OptionalActions::Now, &before).ok();
            eprintln!();
            std::process::exit(INTERRUPTED)
        })
    };
    std::thread::spawn(move || -> std::io::Result<()> { wait() });
    // If it cannot be waited for, the thread has ended, and with it the channel.
    is_ready.recv().map_err(|_| CliError::failure("cannot wait for interrupts"))
}

/// Asks on the terminal whether to go on; `otherwise` says what was not done.
pub fn confirm(question: &str, otherwise: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage("there is no terminal to ask on; say --yes to go on without asking"));
    }
    // Not to standard output, which may be for a pipe.
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().map_err(CliError::failure)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::failure)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::failure(otherwise)),
    }
}
