//! What a node is started with, and why it may not start.

use super::votes::{LostVotesWord, VotesError};
use crate::chain::spec::Chain;
use crate::config::SyncMode;
use crate::ledger::PoolLimits;
use crate::network::NetworkError;
use crate::replica::OpenError;
use crate::storage::recovery::DirectoryError;
use crate::storage::sled_store::Keep;
use crate::storage::store::StoreError;
use crate::storage::write_ahead::WriteError;
use crate::types::hash::BlockHash;
use crate::types::keys::SecretKey;
use crate::types::number::Height;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a node is started with.
pub struct NodeOptions {
    /// The chain.
    pub chain: Chain,
    /// The data directory, which exists.
    pub data_dir: PathBuf,
    /// By what other nodes know this one.
    pub node_key: SecretKey,
    /// The consensus key; `None`: the node observes.
    pub masternode_key: Option<SecretKey>,
    /// What to do if the key's `votes.log` is missing or damaged; `None`: observe, or refuse to start.
    pub accept_lost_votes: Option<LostVotesWord>,
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// `host:port` under which others reach this node.
    pub advertise: Option<String>,
    /// Nodes to begin with, `host:port`.
    pub seeds: Vec<String>,
    /// Most links.
    pub max_peers: usize,
    /// Most links that others opened from one IP address.
    pub max_inbound_per_ip: usize,
    /// How long a node that is provably at fault is kept out; zero: not at all.
    pub ban: Duration,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Height and hash of a block that is known to be in the chain; another one there is refused.
    pub checkpoint: Option<(Height, BlockHash)>,
    /// Memory for the index, in bytes.
    pub cache_bytes: u64,
    /// Which snapshots are made, and how many blocks are kept.
    pub keep: Keep,
    /// How a node without a chain begins.
    pub sync: SyncMode,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// `votes.log`.
    #[error(transparent)]
    Votes(#[from] VotesError),
    /// What is on disk contradicts itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The chain on disk cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain on disk is not the one that the operator knows.
    #[error(
        "block {height} on disk is {found}, and sync.checkpoint says {expected}: check the checkpoint with others; if it is \
         right, this node followed a forged history, and `timed db verify --repair --from-peers` or an empty data directory \
         starts anew"
    )]
    Checkpoint {
        /// Its height.
        height: Height,
        /// What is there.
        found: BlockHash,
        /// What should be.
        expected: BlockHash,
    },
}
