//! What a node is told about its network when it starts.

use crate::limits::{
    CLOSE_TIMEOUT_MS, DIAL_BACKOFF_FIRST_MS, DIAL_BACKOFF_MAX_MS, DIAL_TIMEOUT_MS, EXPLORE_MS, FEELER_MS,
    HANDSHAKE_TIMEOUT_MS, MAX_AGENT_BYTES, MAX_ENDPOINT_BYTES, MAX_INBOUND_PER_IP, MAX_LINKS, PEER_ANSWER_MS,
    PEER_EXCHANGE_MS, PING_INTERVAL_MS, SAVE_PEERS_MS, SILENCE_TIMEOUT_MS, STEADY_LINK_MS,
};
use crate::signer::LinkProver;
use crate::storage::files::Files;
use crate::types::hash::ChainId;
use crate::types::keys::SecretKey;
use crate::types::number::TimeMs;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, for what peers are told and how far they are off.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> TimeMs + Send + Sync>);

impl Clock {
    /// A clock that says what `now` says.
    pub fn new(now: impl Fn() -> TimeMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The system's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// The time.
    pub fn now(&self) -> TimeMs {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// The data directory, where the network keeps whom it knows over restarts.
#[derive(Clone)]
pub struct Disk(pub Arc<dyn Files>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({})", self.0.root().display())
    }
}

/// How long things may take and how often they are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// For a TCP connection.
    pub dial: Duration,
    /// From the connection until both `Hello`s are said.
    pub handshake: Duration,
    /// Between two pings.
    pub ping: Duration,
    /// Until a silent link is dropped.
    pub silence: Duration,
    /// For telling the other end why a link is closed.
    pub close: Duration,
    /// Between two questions for addresses.
    pub exchange: Duration,
    /// Least time between two answers with addresses.
    pub answer: Duration,
    /// First pause before an address is dialed again.
    pub backoff_first: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// A link that held this long was a success.
    pub steady: Duration,
    /// Between two looks into the address book.
    pub explore: Duration,
    /// Between two tests of addresses that were only told.
    pub feeler: Duration,
    /// Between two savings of the address book.
    pub save: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            dial: Duration::from_millis(DIAL_TIMEOUT_MS),
            handshake: Duration::from_millis(HANDSHAKE_TIMEOUT_MS),
            ping: Duration::from_millis(PING_INTERVAL_MS),
            silence: Duration::from_millis(SILENCE_TIMEOUT_MS),
            close: Duration::from_millis(CLOSE_TIMEOUT_MS),
            exchange: Duration::from_millis(PEER_EXCHANGE_MS),
            answer: Duration::from_millis(PEER_ANSWER_MS),
            backoff_first: Duration::from_millis(DIAL_BACKOFF_FIRST_MS),
            backoff_max: Duration::from_millis(DIAL_BACKOFF_MAX_MS),
            steady: Duration::from_millis(STEADY_LINK_MS),
            explore: Duration::from_millis(EXPLORE_MS),
            feeler: Duration::from_millis(FEELER_MS),
            save: Duration::from_millis(SAVE_PEERS_MS),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The chain.
    pub chain: ChainId,
    /// The node's key.
    pub node_key: SecretKey,
    /// What proves to peers which masternode this is; `None` for an observer.
    pub prover: Option<LinkProver>,
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Where others reach this node, `host:port`, if that is not where it listens.
    pub advertise: Option<String>,
    /// Whom to keep a link to, `host:port`.
    pub seeds: Vec<String>,
    /// Most links in all.
    pub max_links: usize,
    /// Most inbound links from one IP address.
    pub max_inbound_per_ip: usize,
    /// Name and version of this software.
    pub agent: String,
    /// The wall clock.
    pub clock: Clock,
    /// Where to keep `peers.json` and `bans.json`; `None`: nowhere.
    pub disk: Option<Disk>,
    /// How long a node that is provably at fault is kept out; zero: not at all.
    pub fault_ban: Duration,
    /// Where random choices about the address book start; secret, so that nobody can foresee them.
    pub seed: [u8; 32],
    /// See [`Timings`].
    pub timings: Timings,
}

/// Settings that others would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Too long for `Hello`.
    #[error("{what} has {length} bytes, {limit} allowed")]
    TooLong {
        /// Which setting.
        what: &'static str,
        /// Its length.
        length: usize,
        /// Most allowed.
        limit: usize,
    },
}

impl Settings {
    /// The defaults for a node on `chain`: it listens nowhere and knows nobody.
    pub fn new(chain: ChainId, node_key: SecretKey) -> Self {
        Self {
            chain,
            node_key,
            prover: None,
            listen: None,
            advertise: None,
            seeds: Vec::new(),
            max_links: MAX_LINKS,
            max_inbound_per_ip: MAX_INBOUND_PER_IP,
            agent: concat!("timed/", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: Clock::system(),
            disk: None,
            fault_ban: Duration::from_secs(24 * 3_600),
            seed: rand::random(),
            timings: Timings::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let advertise = self.advertise.as_deref().unwrap_or_default();
        let texts = [("advertise", advertise, MAX_ENDPOINT_BYTES), ("agent", self.agent.as_str(), MAX_AGENT_BYTES)];
        match texts.into_iter().find(|(_, text, limit)| text.len() > *limit) {
            Some((what, text, limit)) => Err(SettingsError::TooLong { what, length: text.len(), limit }),
            None => Ok(()),
        }
    }
}
