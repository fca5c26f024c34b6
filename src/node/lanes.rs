//! A queue with lanes, between threads that must not wait for each other.
//!
//! What block agreement needs and what the disk reports travel in the express lane and are taken first, all of them;
//! payments come after, a bounded number at a time, so a flood of payments delays a block vote by one batch at most. What
//! strangers say comes last, by its weight and only when whoever takes has a share for it: a flood by those who have
//! nothing at stake delays nobody who has.
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
    /// Taken last, as much at a time as its taker has a share for.
    Strangers {
        /// How much work it is, at least 1.
        weight: usize,
    },
}

#[derive(Debug)]
struct Inner<T> {
    express: VecDeque<T>,
    ordinary: VecDeque<T>,
    strangers: VecDeque<(usize, T)>,
    is_closed: bool,
}

impl<T> Inner<T> {
    fn is_empty(&self) -> bool {
        self.express.is_empty() && self.ordinary.is_empty() && self.strangers.is_empty()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Lanes<T> {
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        let inner =
            Inner { express: VecDeque::new(), ordinary: VecDeque::new(), strangers: VecDeque::new(), is_closed: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new() }
    }
}

/// What was taken out at once.
#[derive(Debug)]
pub enum Taken<T> {
    /// Items, those of the express lane first; none if the time ran out.
    Items {
        /// Them.
        items: Vec<T>,
        /// How many of them, at the end, are strangers'.
        of_strangers: usize,
    },
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
            Lane::Strangers { weight } => inner.strangers.extend(items.into_iter().map(|item| (weight, item))),
        }
        self.arrived.notify_one();
    }

    /// Nothing is taken in any more; what is there is still handed out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Waits until something is there or `timeout` is over (`None`: for ever); takes the express lane whole, at most
    /// `ordinary` items of the next, and of the strangers' what weighs `share` and no more than one item beyond. A queue
    /// that is closed hands out everything.
    pub fn take(&self, ordinary: usize, share: usize, timeout: Option<Duration>) -> Taken<T> {
        let is_idle = |inner: &mut Inner<T>| {
            let is_turn = share > 0 && !inner.strangers.is_empty();
            inner.express.is_empty() && inner.ordinary.is_empty() && !is_turn && !inner.is_closed
        };
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
        let known = items.len();
        let mut share = if inner.is_closed { usize::MAX } else { share };
        while share > 0
            && let Some((weight, item)) = inner.strangers.pop_front()
        {
            share = share.saturating_sub(weight.max(1));
            items.push(item);
        }
        let of_strangers = items.len() - known;
        if items.is_empty() && inner.is_closed { Taken::Closed } else { Taken::Items { items, of_strangers } }
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        let inner = self.lock();
        inner.express.len() + inner.ordinary.len() + inner.strangers.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
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
            Taken::Items { items, .. } => items,
            Taken::Closed => panic!("closed"),
        }
    }

    #[test]
    fn the_express_lane_goes_first_and_the_other_in_bounded_numbers() {
        let lanes = Lanes::default();
        lanes.push_all(Lane::Ordinary, 0..10);
        lanes.push_all(Lane::Express, [100, 101]);
        assert_eq!(items(lanes.take(3, 0, None)), [100, 101, 0, 1, 2]);
        lanes.push(Lane::Express, 102);
        assert_eq!(items(lanes.take(1, 0, None)), [102, 3]);
        assert_eq!(lanes.len(), 6);
    }

    #[test]
    fn strangers_come_last_and_only_as_far_as_there_is_a_share_for_them() {
        let lanes = Lanes::default();
        lanes.push_all(Lane::Strangers { weight: 2 }, [200, 201, 202]);
        lanes.push(Lane::Strangers { weight: 9 }, 203);
        assert!(items(lanes.take(9, 0, Some(Duration::ZERO))).is_empty(), "it is not their turn");
        lanes.push(Lane::Ordinary, 1);
        lanes.push(Lane::Express, 100);
        let Taken::Items { items: taken, of_strangers } = lanes.take(9, 3, None) else { panic!("closed") };
        assert_eq!((taken, of_strangers), (vec![100, 1, 200, 201], 2));
        assert_eq!(items(lanes.take(9, 1, None)), [202]);
        assert_eq!(items(lanes.take(9, 1, None)), [203], "what is heavier than the share has its turn too");
        lanes.push(Lane::Strangers { weight: 2 }, 204);
        lanes.close();
        assert_eq!(items(lanes.take(9, 0, None)), [204]);
    }

    #[test]
    fn a_closed_queue_hands_out_what_it_has_and_takes_nothing() {
        let lanes = Lanes::default();
        lanes.push(Lane::Ordinary, 1);
        lanes.close();
        lanes.push(Lane::Ordinary, 2);
        assert_eq!(items(lanes.take(9, 0, None)), [1]);
        assert!(matches!(lanes.take(9, 0, None), Taken::Closed));
    }

    #[test]
    fn who_waits_is_woken_by_an_item_and_by_the_closing() {
        let lanes = Arc::new(Lanes::default());
        let waiter = {
            let lanes = lanes.clone();
            std::thread::spawn(move || (items(lanes.take(1, 0, None)), matches!(lanes.take(1, 0, None), Taken::Closed)))
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
        assert!(items(lanes.take(1, 0, Some(Duration::ZERO))).is_empty());
    }
}
