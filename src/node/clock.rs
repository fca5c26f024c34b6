//! The wall clock.

use crate::types::number::TimeMs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the wall clock says; 0 before 1970.
pub fn now() -> TimeMs {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    TimeMs(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// How long it is until `at`; zero if that has passed.
pub fn until(at: TimeMs) -> Duration {
    Duration::from_millis(at.0.saturating_sub(now().0))
}
