//! `timed key`: files with Ed25519 keys.

use super::{CliError, Global};
use crate::config::Config;
use crate::keyfile;
use crate::types::address::to_address;
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most bytes read of a key on standard input.
const MAX_INPUT_BYTES: u64 = 1_024;

/// What to do with a key file.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Makes a new key.
    New {
        /// Where to write it; a file that is there already is not overwritten.
        file: PathBuf,
    },
    /// Shows the public key and the address of a key.
    Show {
        /// The key file.
        file: PathBuf,
    },
    /// Writes a key from 64 hex digits on standard input.
    Import {
        /// Where to write it; a file that is there already is not overwritten.
        file: PathBuf,
    },
}

/// Does it.
pub fn run(global: &Global, command: &Command) -> Result<(), CliError> {
    let config = global.settings()?;
    match command {
        Command::New { file } => {
            let key = keyfile::generate();
            keyfile::create(file, &key).map_err(CliError::failure)?;
            show(&config, file, &key)
        }
        Command::Show { file } => {
            let key = keyfile::read(file).map_err(CliError::failure)?;
            show(&config, file, &key)
        }
        Command::Import { file } => {
            let mut text = zeroize::Zeroizing::new(String::new());
            let read = std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut text);
            read.map_err(|e| CliError::failure(format!("cannot read standard input: {e}")))?;
            let key = keyfile::parse(&text);
            let key = key.ok_or_else(|| CliError::failure("64 hex digits are expected on standard input"))?;
            keyfile::create(file, &key).map_err(CliError::failure)?;
            show(&config, file, &key)
        }
    }
}

fn show(config: &Config, file: &Path, key: &SecretKey) -> Result<(), CliError> {
    let spec = config.chain_spec().map_err(CliError::usage)?;
    let public = key.public_key();
    let address = to_address(&Lock::of_key(&public), &spec.address_hrp).map_err(CliError::failure)?;
    say!("file        {}\npublic key  {public}\naddress     {address}", file.display());
    Ok(())
}
