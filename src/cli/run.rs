//! `timed`: runs the node until it is told to stop.

use super::data_dir::{self, NODE_KEY_FILE};
use super::{CliError, Global, logging, progress};
use crate::chain::spec::Chain;
use crate::config::{Config, SyncMode, ports};
use crate::keyfile;
use crate::ledger::PoolLimits;
use crate::node::{LostVotesWord, Node, NodeOptions, Startup};
use crate::rpc;
use crate::storage::lock::DirectoryLock;
use crate::storage::sled_store::Keep;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// A stop takes at most this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the node that the configuration describes.
pub fn run(global: &Global, accept_lost_votes: Option<LostVotesWord>, sync: Option<SyncMode>) -> Result<(), CliError> {
    let mut config = global.settings()?;
    config.sync.mode = sync.unwrap_or(config.sync.mode);
    if accept_lost_votes.is_some() && config.masternode.key_file.is_none() {
        let text = "--accept-lost-votes is about what a masternode signed, and this node has no masternode.key_file";
        return Err(CliError::usage(text));
    }
    logging::start(&config.log)?;
    let chain = launched_chain(&config)?;
    let folder = data_dir::path_of(&config)?;
    data_dir::create(&folder)?;
    let options = NodeOptions { accept_lost_votes, ..node_options(&config, chain, &folder)? };
    run_node(&config, options, |_| {})
}

/// The chain of the configuration, if it has a genesis block.
pub fn launched_chain(config: &Config) -> Result<Chain, CliError> {
    let spec = config.chain_spec().map_err(CliError::usage)?;
    if spec.masternodes.is_empty() {
        let text = "names no masternodes yet, so it has no genesis block; try --dev, or timed devnet";
        return Err(CliError::Usage(format!("the chain {} {text}", spec.name)));
    }
    Chain::new(spec).map_err(|e| CliError::usage(format!("chain {}: {e}", config.chain)))
}

/// What a node is started with.
pub fn node_options(config: &Config, chain: Chain, folder: &Path) -> Result<NodeOptions, CliError> {
    let node_key = keyfile::read_or_create(&folder.join(NODE_KEY_FILE)).map_err(CliError::usage)?;
    let masternode_key =
        config.masternode.key_file.as_deref().map(keyfile::read).transpose().map_err(CliError::usage)?;
    let listen = config.p2p.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, ports(&chain.name)[0])));
    let pool = PoolLimits { max_transactions: config.mempool.max_transactions, max_bytes: config.mempool.max_bytes };
    Ok(NodeOptions {
        chain,
        data_dir: folder.to_owned(),
        node_key,
        masternode_key,
        accept_lost_votes: None,
        listen: Some(listen),
        advertise: config.p2p.advertise.clone(),
        seeds: config.p2p.seeds.clone(),
        max_peers: config.p2p.max_peers,
        max_inbound_per_ip: config.p2p.max_inbound_per_ip,
        ban: Duration::from_secs(config.p2p.ban_hours.saturating_mul(3_600)),
        pool,
        cache_bytes: config.storage.cache_bytes,
        sync: config.sync.mode,
        checkpoint: config.checkpoint().map_err(CliError::usage)?,
        keep: Keep { snapshot_every: config.storage.snapshot_every, prune_blocks: config.storage.prune_blocks },
    })
}

/// Runs a node until a signal, an admin's call, or a failure stops it. `started` hears where RPC is served.
pub fn run_node(config: &Config, options: NodeOptions, started: impl FnOnce(SocketAddr)) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::failure(format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(serve(config, options, started));
    // What is left are tasks that nobody waits for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: &Config, options: NodeOptions, started: impl FnOnce(SocketAddr)) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(|e| CliError::failure(format!("cannot listen to signals: {e}")))?;
    let rpc_port = ports(&options.chain.name)[1];
    let listen = config.rpc.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, rpc_port)));
    // Whoever has the directory has the ports too, and of the two that is what there is to know.
    drop(DirectoryLock::acquire(&options.data_dir).map_err(CliError::failure)?);
    let startup = Startup::default();
    let starting = rpc::Starting::listen(&config.rpc, listen, startup.clone()).await.map_err(CliError::failure)?;
    let node = tokio::select! {
        node = starting.answer_until(Node::start_telling(options, &startup)) => node.map_err(CliError::failure)?,
        name = signals.next() => {
            info!(signal = name, "stopped before the node had started; what it has of the chain stays");
            return Ok(());
        }
    };
    let handle = node.handle();
    let server = match rpc::Server::take_over(handle.clone(), &config.rpc, starting) {
        Ok(server) => server,
        Err(reason) => {
            if let Err(error) = node.stop().await {
                error!(%error, "stopping");
            }
            return Err(CliError::failure(reason));
        }
    };
    info!(rpc = %server.local_addr(), p2p = ?handle.network().listen_address(), "running");
    started(server.local_addr());
    let progress = tokio::spawn(progress::follow(handle.clone()));
    tokio::select! {
        name = signals.next() => info!(signal = name, "stopping"),
        () = handle.stopping().cancelled() => info!("stopping"),
    }
    let stopping = async {
        // It ends with the node's stop; a bar is taken away by then or not at all.
        progress.abort();
        server.stop().await;
        node.stop().await
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_TIMEOUT, stopping) => match stopped {
            Ok(Ok(())) => {
                info!("stopped");
                Ok(())
            }
            Ok(Err(reason)) => Err(CliError::failure(reason)),
            Err(_) => Err(CliError::failure("not everything ended within 10 s; what was acknowledged is on disk")),
        },
        name = signals.next() => {
            warn!(signal = name, "stopped at once; what was acknowledged is on disk");
            Err(CliError::failure("stopped at once"))
        }
    }
}

/// The signals that stop a node.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one. Cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
