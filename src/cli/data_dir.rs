//! The data directory as commands find it and make it.

use super::CliError;
use crate::chain::spec::ChainSpec;
use crate::config::Config;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A copy of the chain spec; a node refuses to run another chain on the same directory.
pub const CHAIN_FILE: &str = "chain.toml";
/// The key by which other nodes know this one.
pub const NODE_KEY_FILE: &str = "node.key";
/// The consensus key.
pub const MASTERNODE_KEY_FILE: &str = "masternode.key";
/// The funded key of a development chain.
pub const FAUCET_KEY_FILE: &str = "faucet.key";
/// The configuration that `timed init` writes.
pub const CONFIG_FILE: &str = "config.toml";

/// Where this configuration keeps everything: `data_dir`, or `~/.timed/CHAIN`.
pub fn path_of(config: &Config) -> Result<PathBuf, CliError> {
    if let Some(path) = &config.data_dir {
        return Ok(path.clone());
    }
    let name = Path::new(&config.chain).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| CliError::usage("HOME is not set: say --data-dir DIR"))?;
    Ok(PathBuf::from(home).join(".timed").join(name.unwrap_or_else(|| config.chain.clone())))
}

/// Makes a directory, and those it is in, for its owner alone.
pub fn create(path: &Path) -> Result<(), CliError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| CliError::failure(format!("cannot make the directory {}: {e}", path.display())))
}

/// Writes a file that is not there yet.
pub fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| CliError::failure(format!("cannot write {}: {e}", path.display())))
}

/// Copies the chain spec into the directory, or compares it with the copy that is there.
pub fn keep_chain(path: &Path, spec: &ChainSpec) -> Result<(), CliError> {
    let file = path.join(CHAIN_FILE);
    if !file.exists() {
        return write_new(&file, &spec.to_toml().map_err(CliError::usage)?);
    }
    let kept = read_chain(&file)?;
    if kept.id() == spec.id() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{} holds the chain {} ({}), not {} ({}): give each chain a data directory of its own",
        path.display(),
        kept.name,
        kept.id(),
        spec.name,
        spec.id()
    )))
}

/// Reads a chain spec from a file.
pub fn read_chain(file: &Path) -> Result<ChainSpec, CliError> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|e| CliError::usage(format!("cannot read {}: {e}", file.display())))?;
    ChainSpec::from_toml(&text).map_err(|e| CliError::usage(format!("{}: {e}", file.display())))
}
