//! What the oracle found broken.

/// A broken invariant of `testing.md`, or `"rule"` for a block that breaks a rule of `protocol.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// `"S1"` to `"S12"`, `"L1"` to `"L3"`, `"M1"` to `"M4"`, `"lock"` or `"rule"`.
    pub invariant: &'static str,
    /// Virtual time of the last event the oracle had seen, in milliseconds.
    pub now_ms: u64,
    /// What is wrong, with the values that show it.
    pub text: String,
}

/// Violations of one invariant kept in full: a broken run breaks at every event, and the first ones tell why.
const MAX_KEPT: usize = 16;

/// Collects violations.
#[derive(Default)]
pub struct Report {
    /// Time of the last event, in milliseconds.
    pub now_ms: u64,
    kept: Vec<Violation>,
    total: u64,
}

impl Report {
    /// Notes that `invariant` is broken.
    pub fn broken(&mut self, invariant: &'static str, text: String) {
        self.total += 1;
        if self.kept.iter().filter(|v| v.invariant == invariant).count() < MAX_KEPT {
            self.kept.push(Violation { invariant, now_ms: self.now_ms, text });
        }
    }

    /// Notes that `invariant` is broken unless `holds`.
    pub fn expect(&mut self, invariant: &'static str, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.broken(invariant, text());
        }
    }

    /// The first violations, in the order in which they were found.
    pub fn kept(&self) -> &[Violation] {
        &self.kept
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}
