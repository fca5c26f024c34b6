//! The type that stands between a request and the key: only what is synced becomes [`Durable`], and only what is
//! [`Durable`] can be signed.

use super::log::Ticket;
use std::collections::VecDeque;

/// Something whose record is synced. Only [`Outbox`] makes one.
#[derive(Debug)]
pub(super) struct Durable<T>(T);

impl<T> Durable<T> {
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

/// What waits for the disk, in the order of the records it depends on.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    /// Every record up to this one is synced.
    synced: u64,
    waiting: VecDeque<(Ticket, T)>,
}

impl<T> Outbox<T> {
    /// Empty, nothing synced.
    pub(super) fn new() -> Self {
        Self { synced: 0, waiting: VecDeque::new() }
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Holds `item` back until the record of `ticket` is synced. Tickets come in ascending order.
    pub(super) fn push(&mut self, ticket: Ticket, item: T) {
        self.waiting.push_back((ticket, item));
    }

    /// Every record up to `sequence` is synced: lets go what waited for them.
    pub(super) fn flushed(&mut self, sequence: u64) -> Vec<Durable<T>> {
        self.synced = self.synced.max(sequence);
        let free = self.waiting.iter().take_while(|(ticket, _)| ticket.sequence() <= self.synced).count();
        self.waiting.drain(..free).map(|(_, item)| Durable(item)).collect()
    }

    /// `item` once more, if the record of `ticket` is synced.
    pub(super) fn again(&self, ticket: Ticket, item: T) -> Option<Durable<T>> {
        (ticket.sequence() <= self.synced).then_some(Durable(item))
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}
