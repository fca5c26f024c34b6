//! When each payment is due, and which node it goes to.
//!
//! The loop is open: a payment is due at its time whether earlier ones were answered or not, and its latency counts from
//! then. So a node that stalls is charged with the whole wait of everybody who would have paid meanwhile, and not only
//! with that of the one payment it stalled on ("coordinated omission").

use std::ops::Range;

/// Most transactions of one request; also what nodes take at most if they are not told otherwise.
pub const MAX_BATCH: usize = 50;
/// A request waits this long for further transactions that fall due, in microseconds.
pub const BATCH_WINDOW_US: u64 = 5_000;

/// When payment `position` is due at `rate` a second, in microseconds from the start.
pub fn due_us(position: u64, rate: u64) -> u64 {
    let us = u128::from(position) * 1_000_000 / u128::from(rate.max(1));
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// Whether the payment at `position` is a double spend, if `percent` of all are: evenly spread.
pub fn is_double_spend(position: u64, percent: u8) -> bool {
    let before = |position: u64| u128::from(position) * u128::from(percent) / 100;
    before(position) != before(position.saturating_add(1))
}

/// What a sender does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing is left.
    Done,
    /// Wait until this time, then ask again. Microseconds from the start.
    WaitUntil(u64),
    /// Send this many.
    Take(usize),
}

/// What goes to one node, in the order in which it falls due.
#[derive(Debug, Default)]
pub struct Queue {
    /// Number of the transaction, and when it is due.
    items: Vec<(u32, u64)>,
    sent: usize,
}

impl Queue {
    /// Adds a transaction that is due no earlier than those before.
    pub fn push(&mut self, transaction: u32, due_us: u64) {
        self.items.push((transaction, due_us));
    }

    /// What to do at the time `now_us`.
    pub fn next(&self, now_us: u64) -> Next {
        let Some((_, first)) = self.items.get(self.sent) else { return Next::Done };
        let full = self.items.get(self.sent + MAX_BATCH - 1).map_or(u64::MAX, |(_, due)| *due);
        let ready = first.saturating_add(BATCH_WINDOW_US).min(full);
        if now_us < ready {
            return Next::WaitUntil(ready);
        }
        let due = self.items[self.sent..].iter().take(MAX_BATCH).take_while(|(_, due)| *due <= now_us);
        Next::Take(due.count())
    }

    /// Takes what [`Queue::next`] said is to be sent.
    pub fn take(&mut self, count: usize) -> Vec<u32> {
        let end = self.sent.saturating_add(count).min(self.items.len());
        let taken: Range<usize> = self.sent..end;
        self.sent = end;
        self.items[taken].iter().map(|(transaction, _)| *transaction).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_due_at_even_times() {
        assert_eq!([0, 1, 2, 5_000].map(|position| due_us(position, 5_000)), [0, 200, 400, 1_000_000]);
        assert_eq!([0, 1, 2, 3].map(|position| due_us(position, 3)), [0, 333_333, 666_666, 1_000_000]);
        assert_eq!(due_us(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn double_spends_are_as_many_as_asked_for_and_spread() {
        for percent in [0, 1, 5, 50, 100] {
            let positions: Vec<u64> = (0..1_000).filter(|position| is_double_spend(*position, percent)).collect();
            assert_eq!(positions.len(), usize::from(percent) * 10, "{percent} %");
        }
        let gaps: Vec<u64> = (0..100).filter(|position| is_double_spend(*position, 5)).collect();
        assert_eq!(gaps, [19, 39, 59, 79, 99]);
    }

    fn queue(dues: impl IntoIterator<Item = u64>) -> Queue {
        let mut queue = Queue::default();
        dues.into_iter().zip(0..).for_each(|(due, transaction)| queue.push(transaction, due));
        queue
    }

    #[test]
    fn a_request_waits_for_its_window_and_takes_what_is_due_by_then() {
        let mut queue = queue([1_000, 3_000, 5_999, 6_001]);
        assert_eq!(queue.next(0), Next::WaitUntil(6_000));
        assert_eq!(queue.next(5_999), Next::WaitUntil(6_000));
        assert_eq!(queue.next(6_000), Next::Take(3));
        assert_eq!(queue.take(3), [0, 1, 2]);
        assert_eq!(queue.next(6_001), Next::WaitUntil(11_001));
        assert_eq!(queue.next(99_000), Next::Take(1));
        assert_eq!(queue.take(1), [3]);
        assert_eq!(queue.next(99_000), Next::Done);
    }

    #[test]
    fn a_full_request_leaves_at_once() {
        let queue = queue((0..120).map(|i| i * 10));
        assert_eq!(queue.next(0), Next::WaitUntil(490));
        assert_eq!(queue.next(490), Next::Take(MAX_BATCH));
        assert_eq!(queue.next(1_000_000), Next::Take(MAX_BATCH), "never more than a node takes");
    }

    #[test]
    fn what_fell_due_during_a_stall_is_sent_and_not_left_out() {
        let mut queue = queue((0..1_000).map(|i| i * 1_000));
        let mut sent = Vec::new();
        while let Next::Take(count) = queue.next(999_000) {
            sent.extend(queue.take(count));
        }
        assert_eq!(sent, (0..1_000).collect::<Vec<u32>>());
    }
}
