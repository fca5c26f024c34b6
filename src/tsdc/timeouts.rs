//! The timeouts of the current view, as deadlines on the clock that the engine is told.
//!
//! A clock may jump. Forward, a deadline passes early, which costs a view change at most. Backward, every deadline moves
//! back by as much, so that none is ever further away than its timeout: see [`Timeouts::observe`].

use super::state::Timeout;
use crate::chain::spec::TsdcSpec;
use crate::types::number::{TimeMs, View};
use std::collections::BTreeMap;

/// Deadlines of one view, at most one a kind.
#[derive(Debug)]
pub(super) struct Timeouts {
    spec: TsdcSpec,
    armed: BTreeMap<Timeout, TimeMs>,
    clock: TimeMs,
}

impl Timeouts {
    /// Nothing armed.
    pub fn new(spec: TsdcSpec) -> Self {
        Self { spec, armed: BTreeMap::new(), clock: TimeMs(0) }
    }

    /// Tells the time. Every input of the engine does, before anything else.
    pub fn observe(&mut self, now: TimeMs) {
        let back = self.clock.since(now);
        if back > 0 {
            for deadline in self.armed.values_mut() {
                deadline.0 = deadline.0.saturating_sub(back);
            }
        }
        self.clock = now;
    }

    /// Schedules a timeout of `view`, from the time last told.
    pub fn arm(&mut self, timeout: Timeout, view: View) {
        self.armed.insert(timeout, self.clock.plus(self.duration_ms(timeout, view)));
    }

    /// The step's timeout plus `view * delta_ms` (`protocol.md` 7.4), in milliseconds; at most what `u64` holds.
    fn duration_ms(&self, timeout: Timeout, view: View) -> u64 {
        let base = match timeout {
            Timeout::Propose => self.spec.propose_ms,
            Timeout::Prepare => self.spec.prepare_ms,
            Timeout::Precommit => self.spec.precommit_ms,
        };
        let growth = u64::from(view.get()).checked_mul(self.spec.delta_ms);
        growth.and_then(|growth| growth.checked_add(base)).unwrap_or(u64::MAX)
    }

    /// Takes one timeout that is due.
    pub fn due(&mut self) -> Option<Timeout> {
        let timeout = self.armed.iter().find(|(_, deadline)| **deadline <= self.clock).map(|(timeout, _)| *timeout)?;
        self.armed.remove(&timeout);
        Some(timeout)
    }

    /// Forgets all: the view is over.
    pub fn clear(&mut self) {
        self.armed.clear();
    }

    /// When the next one is due.
    pub fn next_wake(&self) -> Option<TimeMs> {
        self.armed.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        let mut timeouts =
            Timeouts::new(TsdcSpec { propose_ms: 100, prepare_ms: 200, precommit_ms: 300, delta_ms: 10 });
        timeouts.observe(TimeMs(1_000));
        timeouts
    }

    #[test]
    fn a_timeout_grows_with_the_view() {
        for (timeout, view, due) in
            [(Timeout::Propose, 0, 1_100), (Timeout::Prepare, 3, 1_230), (Timeout::Precommit, 100, 2_300)]
        {
            let mut timeouts = timeouts();
            timeouts.arm(timeout, View::new(view));
            assert_eq!(timeouts.next_wake(), Some(TimeMs(due)));
            timeouts.observe(TimeMs(due - 1));
            assert_eq!(timeouts.due(), None);
            timeouts.observe(TimeMs(due));
            assert_eq!(timeouts.due(), Some(timeout));
            assert_eq!(timeouts.due(), None);
        }
    }

    #[test]
    fn a_timeout_past_the_end_of_time_stays_there() {
        let mut timeouts =
            Timeouts::new(TsdcSpec { propose_ms: 100, prepare_ms: 200, precommit_ms: 300, delta_ms: u64::MAX });
        timeouts.arm(Timeout::Propose, View::MAX);
        assert_eq!(timeouts.next_wake(), Some(TimeMs(u64::MAX)));
    }

    #[test]
    fn a_clock_that_jumps_back_takes_the_deadlines_along() {
        let mut timeouts = timeouts();
        timeouts.arm(Timeout::Prepare, View::ZERO);
        timeouts.observe(TimeMs(1_050));
        timeouts.observe(TimeMs(10));
        assert_eq!(timeouts.next_wake(), Some(TimeMs(160)), "150 ms were left");
        timeouts.observe(TimeMs(160));
        assert_eq!(timeouts.due(), Some(Timeout::Prepare));
    }

    #[test]
    fn a_cleared_timeout_never_fires() {
        let mut timeouts = timeouts();
        timeouts.arm(Timeout::Propose, View::ZERO);
        timeouts.clear();
        timeouts.observe(TimeMs(u64::MAX));
        assert_eq!(timeouts.due(), None);
        assert_eq!(timeouts.next_wake(), None);
    }
}
