//! What the tasks of one network share.

use super::book::Book;
use super::event::Event;
use super::guard::Guard;
use super::noise::{Identity, NoiseError};
use super::peers_file::{self, SavedBook};
use super::settings::Settings;
use super::table::Table;
use crate::limits::{INBOUND_ALLOWANCE_BYTES, MIN_INBOUND_CHARGE_BYTES};
use crate::types::number::Height;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
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
    /// Addresses that the operator wants links to.
    pub added: Mutex<BTreeSet<String>>,
    book: Mutex<Book>,
    pub guard: Guard,
    /// Told when the book has something new.
    pub learnt: Notify,
    pub cancel: CancellationToken,
    pub tracker: TaskTracker,
    pub tip: AtomicU64,
}

impl Shared {
    /// For a node that listens at `listen_address`, and what it will hear. Reads what was saved about addresses.
    ///
    /// # Errors
    /// [`NoiseError`]: no key can be drawn.
    pub(super) fn new(
        settings: Settings,
        listen_address: Option<SocketAddr>,
    ) -> Result<(Self, mpsc::Receiver<Event>), NoiseError> {
        // Besides its messages a link has a beginning and an end.
        let events_per_link = INBOUND_ALLOWANCE_BYTES / MIN_INBOUND_CHARGE_BYTES + 2;
        let (events, events_receiver) = mpsc::channel(settings.max_links.saturating_add(1) * events_per_link);
        let guard = Guard::new(&settings);
        let mut book = Book::new(settings.seed);
        if let Some(disk) = &settings.disk {
            peers_file::load(&*disk.0, &mut book, settings.clock.now());
        }
        let shared = Self {
            identity: Identity::new(settings.chain, settings.node_key.clone())?,
            nonce: rand::random(),
            listen: settings.advertise.clone().or_else(|| listen_address.map(|address| address.to_string())),
            table: Arc::new(Table::new(settings.max_links, settings.max_inbound_per_ip)),
            settings,
            events,
            added: Mutex::default(),
            book: Mutex::new(book),
            guard,
            learnt: Notify::new(),
            cancel: CancellationToken::new(),
            tracker: TaskTracker::new(),
            tip: AtomicU64::new(0),
        };
        Ok((shared, events_receiver))
    }

    /// The address book. Nothing panics or waits while it is held.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the address book if it changed since it was last saved.
    pub(super) async fn save_book(&self) {
        let Some(disk) = self.settings.disk.clone() else { return };
        let saved = {
            let mut book = self.book();
            if !book.take_changed() {
                return;
            }
            SavedBook::of(&book)
        };
        // It ends early only when the runtime does.
        if !tokio::task::spawn_blocking(move || saved.save(&*disk.0)).await.unwrap_or(false) {
            self.book().set_changed();
        }
    }

    /// Height of this node's tip.
    pub(super) fn tip(&self) -> Height {
        Height::new(self.tip.load(Ordering::Relaxed))
    }
}
