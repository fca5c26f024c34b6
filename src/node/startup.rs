//! What a node that starts is busy with, for whoever waits for it. Cheap to clone.

use arc_swap::ArcSwap;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub struct Startup(Arc<ArcSwap<String>>);

impl Default for Startup {
    fn default() -> Self {
        Self(Arc::new(ArcSwap::from_pointee("starting".to_owned())))
    }
}

impl Startup {
    /// In words, without a full stop.
    pub fn doing(&self) -> String {
        String::clone(&self.0.load())
    }

    /// It is busy with something else, or further.
    pub fn set(&self, doing: impl Into<String>) {
        self.0.store(Arc::new(doing.into()));
    }
}
