//! `timed devnet`: networks of several masternodes on this machine.

use super::data_dir::{self, CHAIN_FILE, CONFIG_FILE, FAUCET_KEY_FILE, MASTERNODE_KEY_FILE, NODE_KEY_FILE};
use super::{CliError, Global, announce};
use crate::chain::spec::{Allocation, ChainSpec, GenesisMasternode};
use crate::config::chain_spec;
use crate::keyfile;
use crate::node::{clock, fresh_votes_log};
use crate::types::address::to_address;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command as Process};
use tokio::signal::unix::{SignalKind, signal};

/// Outputs of the faucet at genesis, and units in each.
const FAUCET_OUTPUTS: u64 = 1_000;
const FAUCET_OUTPUT_UNITS: u64 = 10_000 * 100_000_000;
/// Ports from one node to the next.
const PORTS_A_NODE: u16 = 10;
/// Nodes that a devnet may have.
const MAX_NODES: u16 = 100;
/// How long nodes have to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What to do with a network.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Makes a folder with a chain, a funded key, and a configuration for each node. The chain has the rules of `dev`, or
    /// of the chain that --chain names.
    Init {
        /// How many masternodes.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_NODES)))]
        nodes: u16,
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
        /// Length of a slot in milliseconds; that of the chain whose rules are taken if not given.
        #[arg(long, value_parser = clap::value_parser!(u64).range(200..=3_600_000))]
        slot_ms: Option<u64>,
        /// P2P port of node 0; RPC is on the next one, node 1 ten further on.
        #[arg(long, default_value_t = 25_200)]
        base_port: u16,
    },
    /// Runs all nodes of a folder until Ctrl-C.
    Run {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
    },
}

/// Does it.
pub fn run(global: &Global, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Init { nodes, dir, slot_ms, base_port } => {
            let mut rules = chain_spec(global.chain.as_deref().unwrap_or("dev")).map_err(CliError::usage)?;
            rules.slot_ms = slot_ms.unwrap_or(rules.slot_ms);
            init(*nodes, dir, rules, *base_port)
        }
        Command::Run { dir } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(CliError::failure)?.block_on(run_all(dir))
        }
    }
}

/// Makes the folder; `spec` says everything but the name, the start, the masternodes and the money.
fn init(nodes: u16, dir: &Path, mut spec: ChainSpec, base_port: u16) -> Result<(), CliError> {
    let last_port = u32::from(base_port) + u32::from(nodes) * u32::from(PORTS_A_NODE);
    if last_port > u32::from(u16::MAX) {
        return Err(CliError::Usage(format!("--base-port {base_port} leaves no room for {nodes} nodes")));
    }
    data_dir::create(dir)?;
    let dir = dir.canonicalize().map_err(|e| CliError::failure(format!("{}: {e}", dir.display())))?;
    let chain_file = dir.join(CHAIN_FILE);
    if chain_file.exists() {
        return Err(CliError::Usage(format!("{} is there already: choose another --dir", chain_file.display())));
    }
    let faucet = keyfile::read_or_create(&dir.join(FAUCET_KEY_FILE)).map_err(CliError::failure)?;
    let owner = Lock::of_key(&faucet.public_key());
    let mut keys = Vec::new();
    for node in 0..nodes {
        let folder = dir.join(format!("node{node}"));
        data_dir::create(&folder)?;
        keyfile::read_or_create(&folder.join(NODE_KEY_FILE)).map_err(CliError::failure)?;
        keys.push(keyfile::read_or_create(&folder.join(MASTERNODE_KEY_FILE)).map_err(CliError::failure)?);
    }
    let p2p = |node: u16| base_port + node * PORTS_A_NODE;
    spec.name = "devnet".to_owned();
    spec.genesis_time_ms = clock::now().0;
    let tier = spec.tiers.first().map(|tier| tier.name.clone()).unwrap_or_default();
    let masternode = |(node, key): (u16, &crate::types::keys::SecretKey)| GenesisMasternode {
        consensus_key: key.public_key(),
        owner,
        payout: owner,
        tier: tier.clone(),
        endpoint: format!("127.0.0.1:{}", p2p(node)),
    };
    spec.masternodes = (0..nodes).zip(&keys).map(masternode).collect();
    let coin = Allocation { address: owner, amount: Amount::new(FAUCET_OUTPUT_UNITS) };
    spec.allocations = (0..FAUCET_OUTPUTS).map(|_| coin.clone()).collect();
    spec.check().map_err(|e| CliError::usage(format!("such a chain cannot be: {e}")))?;
    for (node, key) in (0..nodes).zip(keys) {
        let folder = dir.join(format!("node{node}"));
        fresh_votes_log(&folder, spec.id(), key).map_err(CliError::failure)?;
        data_dir::write_new(&folder.join(CONFIG_FILE), &config_of(&dir, node, nodes, base_port))?;
    }
    // Last: without it the folder is no network yet.
    data_dir::write_new(&chain_file, &spec.to_toml().map_err(CliError::failure)?)?;
    let address = to_address(&owner, &spec.address_hrp).map_err(CliError::failure)?;
    say!("chain     {} ({})", chain_file.display(), spec.id());
    say!("faucet    {address}, key in {}", dir.join(FAUCET_KEY_FILE).display());
    (0..nodes).for_each(|node| say!("node {node}    RPC http://127.0.0.1:{}", p2p(node) + 1));
    say!("\nrun it with: timed devnet run --dir {}", dir.display());
    Ok(())
}

/// The configuration of one node, which knows all others.
fn config_of(dir: &Path, node: u16, nodes: u16, base_port: u16) -> String {
    let port = base_port + node * PORTS_A_NODE;
    let folder = dir.join(format!("node{node}"));
    let others = (0..nodes).filter(|other| *other != node);
    let seeds: Vec<String> =
        others.map(|other| format!("\"127.0.0.1:{}\"", base_port + other * PORTS_A_NODE)).collect();
    format!(
        "chain = {:?}\ndata_dir = {folder:?}\n\n[p2p]\nlisten = \"127.0.0.1:{port}\"\nseeds = [{}]\n\
         max_inbound_per_ip = 125\n\n[rpc]\nlisten = \"127.0.0.1:{}\"\n\n[masternode]\nkey_file = {:?}\n",
        dir.join(CHAIN_FILE),
        seeds.join(", "),
        port + 1,
        folder.join(MASTERNODE_KEY_FILE),
    )
}

/// Runs every node as a process of its own; their logs go to `node.log` in their folders.
async fn run_all(dir: &Path) -> Result<(), CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::failure)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failure)?;
    let program = std::env::current_exe().map_err(CliError::failure)?;
    let mut nodes = Vec::new();
    for node in 0..MAX_NODES {
        let folder = dir.join(format!("node{node}"));
        let config = folder.join(CONFIG_FILE);
        if !config.exists() {
            break;
        }
        let log = folder.join("node.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.map_err(|e| CliError::failure(format!("cannot write {}: {e}", log.display())))?;
        let child = Process::new(&program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // A Ctrl-C on the terminal is for this process, which stops the nodes itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|e| CliError::failure(format!("cannot start {}: {e}", program.display())))?;
        announce(&format!("node {node}    running, log in {}", log.display()));
        nodes.push((node, log, child));
    }
    if nodes.is_empty() {
        return Err(CliError::Usage(format!("{} holds no devnet: run timed devnet init first", dir.display())));
    }
    let mut failed = None;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    while failed.is_none() {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = look.tick() => {
                for (node, log, child) in &mut nodes {
                    if let Ok(Some(status)) = child.try_wait() {
                        failed = Some(format!("node {node} ended ({status}); see {}", log.display()));
                    }
                }
            }
        }
    }
    announce("stopping");
    stop_all(&mut nodes).await;
    failed.map_or(Ok(()), |reason| Err(CliError::Failure(reason)))
}

/// Asks every node to stop, and waits; who does not is killed.
async fn stop_all(nodes: &mut [(u16, PathBuf, Child)]) {
    for (_, _, child) in nodes.iter() {
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            // It may have ended in the meantime.
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
    }
    for (node, _, child) in nodes {
        if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            announce(&format!("node {node} does not stop and is killed"));
            child.kill().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_rules_of_the_chain_it_is_made_after() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.toml");
        let spec =
            ChainSpec { overflow_min_bytes: 1_900_000, slot_ms: 7_000, ..ChainSpec::builtin("testnet").unwrap() };
        std::fs::write(&rules, spec.to_toml().unwrap()).unwrap();
        let made = |chain: Option<&Path>, slot_ms, dir: &str| {
            let dir = folder.path().join(dir);
            let global = Global { chain: chain.map(|file| file.to_str().unwrap().to_owned()), ..Global::default() };
            run(&global, &Command::Init { nodes: 2, dir: dir.clone(), slot_ms, base_port: 25_200 }).unwrap();
            chain_spec(dir.join(CHAIN_FILE).to_str().unwrap()).unwrap()
        };
        let after_file = made(Some(&rules), None, "file");
        assert_eq!((after_file.overflow_min_bytes, after_file.slot_ms), (1_900_000, 7_000));
        assert_eq!((after_file.masternodes.len(), after_file.name.as_str()), (2, "devnet"));
        assert_eq!(made(Some(&rules), Some(300), "faster").slot_ms, 300);
        let usual = made(None, None, "usual");
        let dev = ChainSpec::builtin("dev").unwrap();
        assert_eq!((usual.overflow_min_bytes, usual.slot_ms), (dev.overflow_min_bytes, 2_000));
    }
}
