//! `timed init`: a data directory with keys and a commented configuration. Nothing that is there is overwritten.

use super::data_dir::{self, CONFIG_FILE, MASTERNODE_KEY_FILE, NODE_KEY_FILE};
use super::{CliError, Global};
use crate::chain::spec::ChainSpec;
use crate::config::ports;
use crate::keyfile;
use crate::node::fresh_votes_log;
use std::path::{Path, PathBuf};

/// What to make.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Make a consensus key as well, and a configuration that uses it.
    #[arg(long)]
    masternode: bool,
}

/// The configuration with every key.
const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The chain as a configuration names it that is used from any folder.
fn from_anywhere(chain: &str) -> PathBuf {
    let file = Path::new(chain);
    if ChainSpec::builtin(chain).is_some() {
        return file.to_owned();
    }
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// Makes it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let config = global.settings()?;
    let spec = config.chain_spec().map_err(CliError::usage)?;
    let folder = data_dir::path_of(&config)?;
    data_dir::create(&folder)?;
    let folder = folder.canonicalize().map_err(|e| CliError::failure(format!("{}: {e}", folder.display())))?;
    data_dir::keep_chain(&folder, &spec)?;
    let node_key = folder.join(NODE_KEY_FILE);
    let key = keyfile::read_or_create(&node_key).map_err(CliError::failure)?;
    say!("node key    {} ({})", node_key.display(), key.public_key());
    let masternode_key = folder.join(MASTERNODE_KEY_FILE);
    if arguments.masternode {
        let key = if masternode_key.exists() {
            keyfile::read(&masternode_key).map_err(CliError::failure)?
        } else {
            let key = keyfile::generate();
            keyfile::create(&masternode_key, &key).map_err(CliError::failure)?;
            // Only of a key made here and now is it known that it never signed.
            fresh_votes_log(&folder, spec.id(), key.clone()).map_err(CliError::failure)?;
            key
        };
        say!("masternode  {} ({})", masternode_key.display(), key.public_key());
    }
    let file = folder.join(CONFIG_FILE);
    if file.exists() {
        say!("config      {} was there and stays as it is", file.display());
        return Ok(());
    }
    let [p2p, rpc, metrics] = ports(&spec.name);
    let mut text = EXAMPLE
        .replace("chain = \"mainnet\"", &format!("chain = {:?}", from_anywhere(&config.chain)))
        .replace("# data_dir = \"/var/lib/timed\"", &format!("data_dir = {folder:?}"))
        .replace("0.0.0.0:24000", &format!("0.0.0.0:{p2p}"))
        .replace("127.0.0.1:24001", &format!("127.0.0.1:{rpc}"))
        .replace("127.0.0.1:24002", &format!("127.0.0.1:{metrics}"));
    if arguments.masternode {
        let key = format!("key_file = {masternode_key:?}");
        text = text.replace("# key_file = \"/var/lib/timed/masternode.key\"", &key);
    }
    data_dir::write_new(&file, &text)?;
    say!("config      {}\n\nstart it with: timed --config {}", file.display(), file.display());
    Ok(())
}
