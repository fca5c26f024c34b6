//! The configuration: defaults < file < environment < command line, checked before anything starts.
//!
//! A key nobody knows is an error that names the key, where it stands, and the nearest key there is. Secrets are not in
//! here: only the names of the files that hold them.

use crate::chain::spec::{ChainSpec, SpecError};
use crate::limits::MAX_BAN_SECONDS;
use crate::types::hash::BlockHash;
use crate::types::number::Height;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Prefix of the environment variables that set keys: `TIMED_RPC__LISTEN` sets `rpc.listen`.
pub const ENVIRONMENT: &str = "TIMED_";
/// Longest ban: ten years.
const MAX_BAN_HOURS: u64 = MAX_BAN_SECONDS / 3_600;
/// Variables with that prefix that are no keys of the configuration.
const OTHER_VARIABLES: [&str; 5] = ["config", "data_dir", "chain", "rpc_url", "test"];

/// Everything a node can be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `mainnet`, `testnet`, `dev`, or the path of a chain spec.
    pub chain: String,
    /// Where the node keeps everything; `None`: `~/.timed/CHAIN`.
    pub data_dir: Option<PathBuf>,
    /// Links to other nodes.
    pub p2p: P2p,
    /// JSON-RPC.
    pub rpc: Rpc,
    /// The masternode; without a key the node observes.
    pub masternode: Masternode,
    /// Transactions that are not final yet.
    pub mempool: Mempool,
    /// How a new node catches up.
    pub sync: Sync,
    /// Files and memory.
    pub storage: Storage,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// What is logged.
    pub log: Log,
}

/// See [`Config::p2p`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct P2p {
    /// Address to accept links on; `None`: all addresses, the chain's port.
    pub listen: Option<SocketAddr>,
    /// Address under which others reach this node, if it is not the one it listens on.
    pub advertise: Option<String>,
    /// Nodes to begin with, `host:port`.
    pub seeds: Vec<String>,
    /// Most links.
    pub max_peers: usize,
    /// Most links that others opened from one IP address.
    pub max_inbound_per_ip: usize,
    /// How long a node that proved itself faulty is kept out, in hours.
    pub ban_hours: u64,
}

/// See [`Config::rpc`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpc {
    /// Address to serve on; `None`: loopback, the chain's port.
    pub listen: Option<SocketAddr>,
    /// Whether an address that others can reach may be served without tokens.
    pub public: bool,
    /// Names, roles and hashes of tokens.
    pub tokens_file: Option<PathBuf>,
    /// Further values of the `Host` header that are taken.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call; none: no web page may.
    pub cors_origins: Vec<String>,
    /// Most connections.
    pub max_connections: u32,
    /// Most bytes of a request.
    pub max_request_bytes: u32,
    /// Most calls in a batch.
    pub max_batch: u32,
    /// Most calls a second from one address; 0: any number.
    pub max_requests_per_second: u32,
}

/// See [`Config::masternode`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masternode {
    /// The file with the consensus key; `None`: the node observes.
    pub key_file: Option<PathBuf>,
}

/// See [`Config::mempool`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mempool {
    /// Most transactions.
    pub max_transactions: usize,
    /// Most bytes of them together.
    pub max_bytes: u64,
}

/// How a new node gets the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// Every block from genesis on.
    Full,
    /// The state as of a late block, proved by the commits of the epochs before it, and the blocks after it.
    Snapshot,
}

/// See [`Config::sync`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// How the state is got.
    pub mode: SyncMode,
    /// `HEIGHT:HASH` of a block known from elsewhere; the node refuses a chain without it.
    pub checkpoint: Option<String>,
}

/// See [`Config::storage`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Bytes of the database's cache.
    pub cache_bytes: u64,
    /// Blocks kept at least; 0: all.
    pub prune_blocks: u64,
    /// Blocks between two snapshots at least; 0: none is made.
    pub snapshot_every: u64,
}

/// See [`Config::metrics`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address to serve figures on; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// How lines of the log look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Plain on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

/// See [`Config::log`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives like `info,timed::network=debug`.
    pub level: String,
    /// A file to append to besides the terminal.
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain: "mainnet".to_owned(),
            data_dir: None,
            p2p: P2p::default(),
            rpc: Rpc::default(),
            masternode: Masternode::default(),
            mempool: Mempool::default(),
            sync: Sync::default(),
            storage: Storage::default(),
            metrics: Metrics::default(),
            log: Log::default(),
        }
    }
}

impl Default for P2p {
    fn default() -> Self {
        Self { listen: None, advertise: None, seeds: Vec::new(), max_peers: 125, max_inbound_per_ip: 2, ban_hours: 24 }
    }
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            listen: None,
            public: false,
            tokens_file: None,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            max_connections: 256,
            max_request_bytes: 4_000_000,
            max_batch: 50,
            max_requests_per_second: 0,
        }
    }
}

impl Default for Mempool {
    fn default() -> Self {
        Self { max_transactions: 10_000, max_bytes: 300_000_000 }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self { mode: SyncMode::Full, checkpoint: None }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { cache_bytes: 64_000_000, prune_blocks: 0, snapshot_every: 1_008 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned(), file: None }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A key nobody knows.
    #[error("{source_name}: there is no key \"{key}\"{}", nearest.as_ref().map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default())]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The file or the environment.
        source_name: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type, or no TOML.
    #[error("{0}")]
    Malformed(Box<figment::Error>),
    /// A value that makes no sense.
    #[error("{key} = {value}: {problem}")]
    BadValue {
        /// The key, with its section.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The chain spec.
    #[error("chain {name}: {reason}")]
    Chain {
        /// Its name or file.
        name: String,
        /// What is wrong.
        reason: SpecError,
    },
    /// The file of the chain spec cannot be read.
    #[error("{name} is no built-in chain (mainnet, testnet, dev), and reading it as a file failed: {reason}")]
    NoSuchChain {
        /// What was asked for.
        name: String,
        /// What the system says.
        reason: std::io::Error,
    },
}

impl Config {
    /// Reads defaults, then `file`, then the environment, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] with the first thing that is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read(file, Env::prefixed(ENVIRONMENT).ignore(&OTHER_VARIABLES).split("__"))
    }

    /// Reads defaults, then this text of a file, and checks the whole. The environment does not count.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::extract(Figment::from(Serialized::defaults(Self::default())).merge(Toml::string(text)), None)
    }

    fn read(file: Option<&Path>, environment: Env) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })?;
            // The text was read here, so that a file that is missing is an error and not an empty configuration.
            figment = figment.merge(Toml::string(&text));
        }
        Self::extract(figment.merge(environment), file)
    }

    fn extract(figment: Figment, file: Option<&Path>) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(|e| explain(e, file))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone do not say.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let bad =
            |key, value: String, problem: &str| Err(ConfigError::BadValue { key, value, problem: problem.to_owned() });
        if self.p2p.max_peers == 0 || self.p2p.max_peers > 1_000 {
            return bad("p2p.max_peers", self.p2p.max_peers.to_string(), "1 to 1000 links can be held");
        }
        if self.p2p.ban_hours > MAX_BAN_HOURS {
            return bad("p2p.ban_hours", self.p2p.ban_hours.to_string(), "0 (nobody is kept out) to 87600 hours");
        }
        if let Some(seed) = self.p2p.seeds.iter().find(|seed| !is_host_and_port(seed)) {
            return bad("p2p.seeds", seed.clone(), "a seed is written host:port");
        }
        if self.mempool.max_transactions == 0 {
            return bad("mempool.max_transactions", "0".to_owned(), "a node that takes no transaction is of no use");
        }
        if !(1_000_000..=64_000_000_000).contains(&self.storage.cache_bytes) {
            let value = self.storage.cache_bytes.to_string();
            return bad("storage.cache_bytes", value, "1 MB to 64 GB, in bytes");
        }
        if self.storage.prune_blocks > 0 && self.storage.snapshot_every == 0 {
            let problem = "blocks go only where a snapshot leads to those that stay: set storage.snapshot_every too";
            return bad("storage.prune_blocks", self.storage.prune_blocks.to_string(), problem);
        }
        if let Some(listen) = self.rpc.listen.filter(|at| !at.ip().is_loopback())
            && !self.rpc.public
            && self.rpc.tokens_file.is_none()
        {
            let problem = "others could reach this address; set rpc.public = true or rpc.tokens_file to allow that";
            return bad("rpc.listen", listen.to_string(), problem);
        }
        if self.rpc.max_batch == 0 || self.rpc.max_connections == 0 || self.rpc.max_request_bytes < 1_024 {
            let value = format!("{} / {}", self.rpc.max_batch, self.rpc.max_connections);
            return bad("rpc.max_batch, max_connections", value, "at least 1 each, and requests of 1024 bytes");
        }
        self.checkpoint().map(drop)
    }

    /// `sync.checkpoint`, read.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`].
    pub fn checkpoint(&self) -> Result<Option<(Height, BlockHash)>, ConfigError> {
        let Some(text) = &self.sync.checkpoint else { return Ok(None) };
        let parts = text.split_once(':').and_then(|(height, hash)| {
            Some((Height::new(height.trim().parse().ok()?), BlockHash::from_hex(hash.trim())?))
        });
        let problem = "a checkpoint is written HEIGHT:HASH, the hash as 64 hex digits".to_owned();
        let bad = || ConfigError::BadValue { key: "sync.checkpoint", value: text.clone(), problem };
        parts.map(Some).ok_or_else(bad)
    }

    /// The chain spec that `chain` names.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchChain`], [`ConfigError::Chain`].
    pub fn chain_spec(&self) -> Result<ChainSpec, ConfigError> {
        chain_spec(&self.chain)
    }
}

/// The chain spec of a built-in chain, or that in a file.
///
/// # Errors
/// [`ConfigError::NoSuchChain`], [`ConfigError::Chain`].
pub fn chain_spec(name: &str) -> Result<ChainSpec, ConfigError> {
    if let Some(spec) = ChainSpec::builtin(name) {
        return Ok(spec);
    }
    let text = std::fs::read_to_string(name);
    let text = text.map_err(|reason| ConfigError::NoSuchChain { name: name.to_owned(), reason })?;
    ChainSpec::from_toml(&text).map_err(|reason| ConfigError::Chain { name: name.to_owned(), reason })
}

/// The ports of a chain: links, JSON-RPC, figures.
pub fn ports(chain_name: &str) -> [u16; 3] {
    let first = match chain_name {
        "mainnet" => 24_000,
        "testnet" => 24_100,
        _ => 24_200,
    };
    [first, first + 1, first + 2]
}

/// Whether an address can be reached from this machine only.
pub fn is_local(address: &IpAddr) -> bool {
    address.is_loopback()
}

/// Whether a text is `host:port` with a port that can be dialed. What the host is, nobody knows before it is looked up.
pub fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

/// Says what the reader of a file wants to know: which key, where, and what was meant.
fn explain(error: figment::Error, file: Option<&Path>) -> ConfigError {
    let is_environment = error.metadata.as_ref().is_some_and(|m| m.name.contains("environment"));
    let source_name = match (is_environment, file) {
        (true, _) => "environment".to_owned(),
        (false, Some(file)) => file.display().to_string(),
        (false, None) => "configuration".to_owned(),
    };
    if let figment::error::Kind::UnknownField(found, expected) = &error.kind {
        let section: String = error.path.iter().filter(|part| *part != found).map(|part| format!("{part}.")).collect();
        let distance = |known: &&&str| strsim::damerau_levenshtein(known, found);
        let nearest = expected.iter().min_by_key(distance).filter(|known| distance(known) <= 1 + found.len() / 2);
        return ConfigError::UnknownKey {
            key: format!("{section}{found}"),
            source_name,
            nearest: nearest.map(|known| format!("{section}{known}")),
        };
    }
    ConfigError::Malformed(Box::new(error.with_path(&source_name)))
}

#[cfg(test)]
mod tests;
