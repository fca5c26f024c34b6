//! A value that passed every check that needs no state: the only form in which the engines take input.

use std::fmt;
use std::ops::Deref;

/// A `T` whose signatures and stateless rules were checked.
///
/// The constructor is sealed: only `ledger::verify` calls it, and a test of the crate's structure holds it to
/// that. What one masternode signs itself comes back through the same check.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Marks `value` as checked. Only `ledger::verify` may call this.
    pub(crate) fn seal(value: T) -> Self {
        Self(value)
    }

    /// The value, no longer marked.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
