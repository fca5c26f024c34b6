//! What waits to be sent to one peer: two queues, urgent before bulk, bounded in frames and bytes.
//!
//! Invariants: nobody waits to put something in; a full queue is an error, and its peer is dropped. All queues share one
//! budget; beyond it a peer may have its fair share waiting, so that a slow one cannot cost the others their links.

use super::message::Priority;
use crate::limits::{FAIR_QUEUED_BYTES, MAX_QUEUED_BYTES, MAX_QUEUED_BYTES_IN_ALL, MAX_QUEUED_FRAMES};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that wait for all peers.
#[derive(Clone, Debug, Default)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Bytes that wait.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// More waits than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes in {frames} frames wait for this peer")]
pub struct QueueFull {
    /// Bytes that wait.
    pub bytes: usize,
    /// Frames that wait.
    pub frames: usize,
}

#[derive(Debug, Default)]
struct Queues {
    urgent: VecDeque<Bytes>,
    bulk: VecDeque<Bytes>,
    bytes: usize,
}

/// The queues of one peer.
#[derive(Debug)]
pub struct Outgoing {
    queues: Mutex<Queues>,
    changed: Notify,
    budget: Budget,
}

impl Outgoing {
    /// Empty queues under the common budget.
    pub fn new(budget: Budget) -> Self {
        Self { queues: Mutex::default(), changed: Notify::new(), budget }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`QueueFull`]: it was not added.
    pub fn push(&self, frame: Bytes, priority: Priority) -> Result<(), QueueFull> {
        let mut queues = self.lock();
        let bytes = queues.bytes.saturating_add(frame.len());
        let frames = queues.urgent.len() + queues.bulk.len() + 1;
        let is_over_budget = self.budget.used().saturating_add(frame.len()) > MAX_QUEUED_BYTES_IN_ALL;
        if bytes > MAX_QUEUED_BYTES || frames > MAX_QUEUED_FRAMES || (is_over_budget && bytes > FAIR_QUEUED_BYTES) {
            return Err(QueueFull { bytes: queues.bytes, frames: frames - 1 });
        }
        queues.bytes = bytes;
        self.budget.0.fetch_add(frame.len(), Ordering::Relaxed);
        match priority {
            Priority::Urgent => queues.urgent.push_back(frame),
            Priority::Bulk => queues.bulk.push_back(frame),
        }
        drop(queues);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next frame: the oldest urgent one, or the oldest of all if there is none.
    pub fn pop(&self) -> Option<Bytes> {
        let mut queues = self.lock();
        let urgent = queues.urgent.pop_front();
        let frame = urgent.or_else(|| queues.bulk.pop_front())?;
        queues.bytes -= frame.len();
        self.budget.0.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// Ends when something was added since it last ended; perhaps once too often. For one waiter. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let waiting = self.bytes();
        self.budget.0.fetch_sub(waiting, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Outgoing {
        Outgoing::new(Budget::default())
    }

    #[test]
    fn urgent_frames_overtake_bulk_and_each_kind_keeps_its_order() {
        let queue = queue();
        for (name, priority) in
            [("a", Priority::Bulk), ("b", Priority::Urgent), ("c", Priority::Bulk), ("d", Priority::Urgent)]
        {
            queue.push(Bytes::from_static(name.as_bytes()), priority).unwrap();
        }
        let order: Vec<Bytes> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[test]
    fn what_waits_is_bounded_in_frames() {
        let queue = queue();
        for _ in 0..MAX_QUEUED_FRAMES {
            queue.push(Bytes::from_static(b"x"), Priority::Bulk).unwrap();
        }
        let full = queue.push(Bytes::from_static(b"x"), Priority::Urgent).unwrap_err();
        assert_eq!(full, QueueFull { bytes: MAX_QUEUED_FRAMES, frames: MAX_QUEUED_FRAMES });
        queue.pop().unwrap();
        queue.push(Bytes::from_static(b"x"), Priority::Urgent).unwrap();
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let queue = queue();
        let half = Bytes::from(vec![0; MAX_QUEUED_BYTES / 2]);
        queue.push(half.clone(), Priority::Bulk).unwrap();
        queue.push(half, Priority::Urgent).unwrap();
        assert!(queue.push(Bytes::from_static(b"x"), Priority::Urgent).is_err());
        assert_eq!(queue.bytes(), MAX_QUEUED_BYTES);
    }

    #[test]
    fn beyond_the_common_budget_each_peer_keeps_its_fair_share() {
        let budget = Budget::default();
        let big = Bytes::from(vec![0; MAX_QUEUED_BYTES]);
        let slow: Vec<Outgoing> = std::iter::repeat_with(|| Outgoing::new(budget.clone()))
            .take(MAX_QUEUED_BYTES_IN_ALL / MAX_QUEUED_BYTES)
            .collect();
        slow.iter().for_each(|queue| queue.push(big.clone(), Priority::Bulk).unwrap());
        let queue = Outgoing::new(budget.clone());
        assert!(queue.push(big.slice(..FAIR_QUEUED_BYTES + 1), Priority::Bulk).is_err());
        queue.push(big.slice(..FAIR_QUEUED_BYTES), Priority::Bulk).unwrap();
        drop(slow);
        assert_eq!(budget.used(), FAIR_QUEUED_BYTES, "a dropped peer gives back what waited for it");
        queue.push(big.slice(..FAIR_QUEUED_BYTES + 1), Priority::Bulk).unwrap();
        while queue.pop().is_some() {}
        assert_eq!(budget.used(), 0);
    }
}
