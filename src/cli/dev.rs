//! `timed --dev`: a chain of one masternode that elects itself, with a funded key, ready in under a second.

use super::data_dir::{self, CHAIN_FILE, FAUCET_KEY_FILE, MASTERNODE_KEY_FILE};
use super::{CliError, Global, announce, logging, run};
use crate::chain::spec::{Allocation, Chain, ChainSpec};
use crate::keyfile;
use crate::node::{clock, fresh_votes_log};
use crate::types::address::to_address;
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What the faucet has at genesis: 1,000,000 TIME in this many outputs, so that many payments can start at once.
const FAUCET_OUTPUTS: u64 = 100;
const FAUCET_OUTPUT_UNITS: u64 = 10_000 * 100_000_000;

/// Runs it.
pub fn run(global: &Global) -> Result<(), CliError> {
    let mut config = global.settings()?;
    logging::start(&config.log)?;
    let (folder, is_temporary) = match &config.data_dir {
        Some(folder) => (folder.clone(), false),
        None => (temporary_folder(), true),
    };
    data_dir::create(&folder)?;
    let (spec, faucet) = open(&folder)?;
    config.chain = folder.join(CHAIN_FILE).display().to_string();
    config.masternode.key_file = Some(folder.join(MASTERNODE_KEY_FILE));
    let local = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let [p2p, rpc, _] = crate::config::ports(&spec.name);
    config.p2p.listen = config.p2p.listen.or(local(p2p));
    config.rpc.listen = config.rpc.listen.or(local(rpc));
    let faucet_address =
        to_address(&Lock::of_key(&faucet.public_key()), &spec.address_hrp).map_err(CliError::failure)?;
    let chain = Chain::new(spec).map_err(CliError::failure)?;
    let options = run::node_options(&config, chain, &folder)?;
    let outcome = run::run_node(&config, options, |address| {
        let (dir, key) = (folder.display(), folder.join(FAUCET_KEY_FILE));
        let fate = if is_temporary { " (removed at the end)" } else { "" };
        announce(&format!(
            "RPC        http://{address}\ndata dir   {dir}{fate}\nfaucet     {faucet_address}, key in {}\n\
             try        timed --rpc-url http://{address} rpc get_balance {faucet_address}",
            key.display()
        ));
    });
    if is_temporary && let Err(e) = std::fs::remove_dir_all(&folder) {
        eprintln!("timed: cannot remove {}: {e}", folder.display());
    }
    outcome
}

/// The chain of a folder that was used before, or a new one.
fn open(folder: &Path) -> Result<(ChainSpec, SecretKey), CliError> {
    let faucet = keyfile::read_or_create(&folder.join(FAUCET_KEY_FILE)).map_err(CliError::failure)?;
    let file = folder.join(CHAIN_FILE);
    if file.exists() {
        return Ok((data_dir::read_chain(&file)?, faucet));
    }
    let masternode = keyfile::read_or_create(&folder.join(MASTERNODE_KEY_FILE)).map_err(CliError::failure)?;
    let owner = Lock::of_key(&faucet.public_key());
    let coin = Allocation { address: owner, amount: Amount::new(FAUCET_OUTPUT_UNITS) };
    let coins = (0..FAUCET_OUTPUTS).map(|_| coin.clone()).collect();
    let spec = ChainSpec::dev(clock::now().0, masternode.public_key(), owner, coins);
    let spec = spec.ok_or_else(|| CliError::failure("the built-in chain dev is damaged"))?;
    data_dir::write_new(&file, &spec.to_toml().map_err(CliError::failure)?)?;
    fresh_votes_log(folder, spec.id(), masternode).map_err(CliError::failure)?;
    Ok((spec, faucet))
}

fn temporary_folder() -> PathBuf {
    std::env::temp_dir().join(format!("timed-dev-{}-{:08x}", std::process::id(), rand::random::<u32>()))
}
