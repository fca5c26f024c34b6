//! What the tasks of one network share.

use super::event::Event;
use super::noise::{Identity, NoiseError};
use super::settings::Settings;
use super::table::Table;
use crate::limits::{INBOUND_ALLOWANCE_BYTES, MIN_INBOUND_CHARGE_BYTES};
use crate::types::number::Height;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub settings: Settings,
    pub identity: Identity,
    /// Names this run of the node in `Hello`.
    pub nonce: u64,
    /// What `Hello` says about where this node listens.
    pub listen: Option<String>,
    pub table: Arc<Table>,
    pub events: mpsc::Sender<Event>,
    /// Addresses that peers told.
    pub learnt: mpsc::Sender<Vec<SocketAddr>>,
    pub cancel: CancellationToken,
    pub tracker: TaskTracker,
    pub tip: AtomicU64,
}

/// Answers of peers with addresses that wait to be looked at.
const LEARNT_MESSAGES: usize = 16;

/// The other ends of the channels in [`Shared`].
#[derive(Debug)]
pub(super) struct Receivers {
    pub events: mpsc::Receiver<Event>,
    pub learnt: mpsc::Receiver<Vec<SocketAddr>>,
}

impl Shared {
    /// For a node that listens at `listen_address`.
    ///
    /// # Errors
    /// [`NoiseError`]: no key can be drawn.
    pub(super) fn new(settings: Settings, listen_address: Option<SocketAddr>) -> Result<(Self, Receivers), NoiseError> {
        // Besides its messages a link has a beginning and an end.
        let events_per_link = INBOUND_ALLOWANCE_BYTES / MIN_INBOUND_CHARGE_BYTES + 2;
        let (events, events_receiver) = mpsc::channel(settings.max_links.saturating_add(1) * events_per_link);
        let (learnt, learnt_receiver) = mpsc::channel(LEARNT_MESSAGES);
        let shared = Self {
            identity: Identity::new(settings.chain, settings.node_key.clone())?,
            nonce: rand::random(),
            listen: settings.advertise.clone().or_else(|| listen_address.map(|address| address.to_string())),
            table: Arc::new(Table::new(settings.max_links, settings.max_inbound_per_ip)),
            settings,
            events,
            learnt,
            cancel: CancellationToken::new(),
            tracker: TaskTracker::new(),
            tip: AtomicU64::new(0),
        };
        Ok((shared, Receivers { events: events_receiver, learnt: learnt_receiver }))
    }

    /// Height of this node's tip.
    pub(super) fn tip(&self) -> Height {
        Height::new(self.tip.load(Ordering::Relaxed))
    }
}
