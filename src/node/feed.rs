//! What happened, in order, for whoever wants to hear it: numbered, kept for a while, never waiting for a listener.

use crate::limits::{EVENTS_KEPT, EVENTS_QUEUED};
use crate::replica::Event;
use crate::types::number::TimeMs;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// An event with its place in the order of this run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// 1 for the first event of this run.
    pub sequence: u64,
    /// When it was told.
    pub time: TimeMs,
    /// What happened.
    pub event: Event,
}

/// The earliest event that can still be heard is a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {wanted} is gone; the earliest kept is {earliest}")]
pub struct Gone {
    /// What was asked for.
    pub wanted: u64,
    /// The earliest one kept.
    pub earliest: u64,
}

/// Hears every event from some moment on.
pub type Listener = broadcast::Receiver<Arc<Told>>;

/// See the module.
#[derive(Debug)]
pub struct Feed {
    kept: Mutex<VecDeque<Arc<Told>>>,
    live: broadcast::Sender<Arc<Told>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { kept: Mutex::new(VecDeque::new()), live: broadcast::Sender::new(EVENTS_QUEUED) }
    }
}

impl Feed {
    /// Tells everybody. One thread calls this.
    pub fn tell(&self, time: TimeMs, event: Event) {
        let mut kept = self.lock();
        let sequence = kept.back().map_or(1, |last| last.sequence.saturating_add(1));
        let told = Arc::new(Told { sequence, time, event });
        if kept.len() >= EVENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&told));
        // Under the lock, so that who subscribes misses nothing between what is kept and what is live. It fails only
        // where nobody listens.
        self.live.send(told).ok();
    }

    /// Number of the last event told; 0 before the first.
    pub fn last(&self) -> u64 {
        self.lock().back().map_or(0, |last| last.sequence)
    }

    /// Everything from now on.
    pub fn listen(&self) -> Listener {
        self.live.subscribe()
    }

    /// Everything from event `from` on: what is kept of it, and what follows. A listener that falls behind by more than
    /// the queue holds is told so by its receiver.
    ///
    /// # Errors
    /// [`Gone`] if `from` is no longer kept.
    pub fn listen_from(&self, from: u64) -> Result<(Vec<Arc<Told>>, Listener), Gone> {
        let kept = self.lock();
        let earliest = kept.front().map_or(1, |first| first.sequence);
        if from < earliest {
            return Err(Gone { wanted: from, earliest });
        }
        let backlog = kept.iter().filter(|told| told.sequence >= from).cloned().collect();
        Ok((backlog, self.live.subscribe()))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        // Nothing in here panics while it holds the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Txid;

    fn event(n: u8) -> Event {
        Event::Certified { txid: Txid([n; 32]), epoch: Default::default() }
    }

    #[test]
    fn who_resumes_misses_nothing_and_hears_nothing_twice() {
        let feed = Feed::default();
        (1..=5).for_each(|n| feed.tell(TimeMs(0), event(n)));
        let (backlog, mut live) = feed.listen_from(4).unwrap();
        feed.tell(TimeMs(0), event(6));
        let heard: Vec<u64> = backlog.iter().map(|told| told.sequence).collect();
        assert_eq!((heard, live.try_recv().unwrap().sequence), (vec![4, 5], 6));
    }

    #[test]
    fn what_is_gone_is_said_to_be_gone() {
        let feed = Feed::default();
        (0..=EVENTS_KEPT).for_each(|_| feed.tell(TimeMs(0), event(1)));
        assert_eq!(feed.listen_from(1).unwrap_err(), Gone { wanted: 1, earliest: 2 });
        assert_eq!(feed.listen_from(2).unwrap().0.len(), EVENTS_KEPT);
    }
}
