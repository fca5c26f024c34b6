//! `timed check`: everything that would keep a node from starting, without starting it.

use super::data_dir::{self, CHAIN_FILE, NODE_KEY_FILE};
use super::{CliError, Global};
use crate::chain::genesis::genesis;
use crate::chain::spec::{Chain, ChainSpec};
use crate::config::{Config, ports};
use crate::keyfile;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

/// A node wants this much free disk.
const MIN_FREE_BYTES: u64 = 512 * 1024 * 1024;

/// Checks and reports.
pub fn run(global: &Global) -> Result<(), CliError> {
    let config = global.settings()?;
    let spec = config.chain_spec().map_err(CliError::usage)?;
    say!("{}", describe(&config.chain, spec.clone()).map_err(CliError::Usage)?);
    let mut problems = Vec::new();
    let mut report = |what: &str, outcome: Result<String, String>| match outcome {
        Ok(fine) => say!("{what:<15} {fine}"),
        Err(problem) => {
            say!("{what:<15} {problem}");
            problems.push(what.to_owned());
        }
    };
    let folder = data_dir::path_of(&config)?;
    report("data dir", check_folder(&folder, &spec));
    report("free disk", check_disk(&folder));
    report("keys", check_keys(&config, &folder));
    let [p2p, rpc, _] = ports(&spec.name);
    report("P2P port", check_port(config.p2p.listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, p2p)))));
    report("RPC port", check_port(config.rpc.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, rpc)))));
    if problems.is_empty() {
        return Ok(());
    }
    Err(CliError::Usage(format!("not ready: {}", problems.join(", "))))
}

/// What a chain spec fixes: its id, its genesis block, its masternodes.
fn describe(name: &str, spec: ChainSpec) -> Result<String, String> {
    spec.check().map_err(|e| format!("{name}: {e}"))?;
    let head = format!(
        "chain           {} (addresses start with {}1)\nslots           {} ms, {} to an epoch\nblocks          {} bytes at most",
        spec.name, spec.address_hrp, spec.slot_ms, spec.epoch_slots, spec.max_block_bytes
    );
    if spec.masternodes.is_empty() {
        return Ok(format!("{head}\nnot launched    it names no masternodes yet, so it has no genesis block"));
    }
    let chain = Chain::new(spec).map_err(|e| format!("{name}: {e}"))?;
    let genesis = genesis(&chain).map_err(|e| format!("{name}: {e}"))?;
    Ok(format!(
        "{head}\nchain id        {}\ngenesis block   {}\nmasternodes     {} of weight {}\nsupply          {} units",
        chain.id(),
        genesis.block.header.hash(),
        genesis.validators.len(),
        genesis.validators.total(),
        genesis.supply
    ))
}

fn check_folder(folder: &Path, spec: &ChainSpec) -> Result<String, String> {
    if !folder.exists() {
        return Ok(format!("{} (will be made)", folder.display()));
    }
    let kept = folder.join(CHAIN_FILE);
    if kept.exists() {
        let kept = data_dir::read_chain(&kept).map_err(|e| e.to_string())?;
        if kept.id() != spec.id() {
            return Err(format!("{} holds another chain, {}: choose another --data-dir", folder.display(), kept.name));
        }
    }
    Ok(folder.display().to_string())
}

fn check_disk(folder: &Path) -> Result<String, String> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(existing).map_err(|e| format!("cannot be told: {e}"))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let megabytes = free / 1_000_000;
    if free < MIN_FREE_BYTES {
        return Err(format!("{megabytes} MB at {}: a node stops below 512 MiB", existing.display()));
    }
    Ok(format!("{megabytes} MB"))
}

fn check_keys(config: &Config, folder: &Path) -> Result<String, String> {
    let node_key = folder.join(NODE_KEY_FILE);
    if node_key.exists() {
        keyfile::read(&node_key).map_err(|e| e.to_string())?;
    }
    match &config.masternode.key_file {
        None => Ok("no masternode key: the node observes".to_owned()),
        Some(path) => {
            let key = keyfile::read(path).map_err(|e| e.to_string())?;
            Ok(format!("masternode {}", key.public_key()))
        }
    }
}

fn check_port(address: SocketAddr) -> Result<String, String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(e) => Err(format!("{address}: {e}")),
    }
}
