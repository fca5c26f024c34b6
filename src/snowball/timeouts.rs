//! Things that become due a fixed time after they were put in, so in the order in which they came.

use crate::types::number::TimeMs;
use std::collections::VecDeque;

/// A queue by time. Times put in never go back: the engine's clock does not.
pub(super) struct Timeouts<T>(VecDeque<(TimeMs, T)>);

impl<T> Default for Timeouts<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Timeouts<T> {
    /// `item` becomes due at `at`.
    pub(super) fn push(&mut self, at: TimeMs, item: T) {
        self.0.push_back((at, item));
    }

    /// The next item that is due at `now`.
    pub(super) fn pop_due(&mut self, now: TimeMs) -> Option<T> {
        self.0.pop_front_if(|(at, _)| *at <= now).map(|(_, item)| item)
    }

    /// Drops items from the front for as long as they are over: nothing wakes up for them.
    pub(super) fn skip(&mut self, is_over: impl Fn(&T) -> bool) {
        while self.0.pop_front_if(|(_, item)| is_over(item)).is_some() {}
    }

    /// When the first item is due.
    pub(super) fn next(&self) -> Option<TimeMs> {
        self.0.front().map(|(at, _)| *at)
    }
}
