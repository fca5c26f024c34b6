//! A queue with an express lane, between threads that must not wait for each other.
//!
//! What block agreement needs and what the disk reports travel in the express lane and are taken first, all of them;
//! payments come after, a bounded number at a time, so a flood of payments delays a block vote by one batch at most.
//!
//! The queue itself refuses nothing: whoever adds something from outside holds an allowance (of its peer, or of all
//! users together) and sends it along with the item; it is free again once the item has been dealt with. So the sum
//! of all allowances bounds the queue.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where an item waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Taken first.
    Express,
    /// Taken in bounded numbers once the express lane is empty.
    Ordinary,
}

#[derive(Debug)]
struct Inner<T> {
    express: VecDeque<T>,
    ordinary: VecDeque<T>,
    is_closed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Lanes<T> {
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        let inner = Inner { express: VecDeque::new(), ordinary: VecDeque::new(), is_closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new() }
    }
}

/// What was taken out at once.
#[derive(Debug)]
pub enum Taken<T> {
    /// Items, those of the express lane first; none if the time ran out.
    Items(Vec<T>),
    /// The queue is closed and empty.
    Closed,
}

impl<T> Lanes<T> {
    /// Adds an item; one that comes after the closing is dropped.
    pub fn push(&self, lane: Lane, item: T) {
        self.push_all(lane, std::iter::once(item));
    }

    /// Adds items, in order.
    pub fn push_all(&self, lane: Lane, items: impl IntoIterator<Item = T>) {
        let mut inner = self.lock();
        if inner.is_closed {
            return;
        }
        match lane {
            Lane::Express => inner.express.extend(items),
            Lane::Ordinary => inner.ordinary.extend(items),
        }
        self.arrived.notify_one();
    }

    /// Nothing is taken in any more; what is there is still handed out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits until something is there or `timeout` is over (`None`: for ever); takes the express lane whole and at most
    /// `ordinary` items of the other.
    pub fn take(&self, ordinary: usize, timeout: Option<Duration>) -> Taken<T> {
        let is_idle = |inner: &mut Inner<T>| inner.express.is_empty() && inner.ordinary.is_empty() && !inner.is_closed;
        let guard = self.lock();
        let mut inner = match timeout {
            Some(timeout) => {
                self.arrived.wait_timeout_while(guard, timeout, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.arrived.wait_while(guard, is_idle).unwrap_or_else(PoisonError::into_inner),
        };
        let mut items: Vec<T> = inner.express.drain(..).collect();
        let count = inner.ordinary.len().min(ordinary);
        items.extend(inner.ordinary.drain(..count));
        if items.is_empty() && inner.is_closed { Taken::Closed } else { Taken::Items(items) }
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        let inner = self.lock();
        inner.express.len() + inner.ordinary.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing in here panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn items(taken: Taken<u32>) -> Vec<u32> {
        match taken {
            Taken::Items(items) => items,
            Taken::Closed => panic!("closed"),
        }
    }

    #[test]
    fn the_express_lane_goes_first_and_the_other_in_bounded_numbers() {
        let lanes = Lanes::default();
        lanes.push_all(Lane::Ordinary, 0..10);
        lanes.push_all(Lane::Express, [100, 101]);
        assert_eq!(items(lanes.take(3, None)), [100, 101, 0, 1, 2]);
        lanes.push(Lane::Express, 102);
        assert_eq!(items(lanes.take(1, None)), [102, 3]);
        assert_eq!(lanes.len(), 6);
    }

    #[test]
    fn a_closed_queue_hands_out_what_it_has_and_takes_nothing() {
        let lanes = Lanes::default();
        lanes.push(Lane::Ordinary, 1);
        lanes.close();
        lanes.push(Lane::Ordinary, 2);
        assert_eq!(items(lanes.take(9, None)), [1]);
        assert!(matches!(lanes.take(9, None), Taken::Closed));
    }

    #[test]
    fn who_waits_is_woken_by_an_item_and_by_the_closing() {
        let lanes = Arc::new(Lanes::default());
        let waiter = {
            let lanes = lanes.clone();
            std::thread::spawn(move || (items(lanes.take(1, None)), matches!(lanes.take(1, None), Taken::Closed)))
        };
        lanes.push(Lane::Express, 7);
        while !lanes.is_empty() {
            std::thread::yield_now();
        }
        lanes.close();
        assert_eq!(waiter.join().unwrap(), (vec![7], true));
    }

    #[test]
    fn time_runs_out() {
        let lanes: Lanes<u32> = Lanes::default();
        assert!(items(lanes.take(1, Some(Duration::ZERO))).is_empty());
    }
}
