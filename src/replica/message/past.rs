//! What is asked of the chain's past.

use crate::types::number::{Epoch, Height};

/// A question about the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistoryRequest {
    /// Headers from this height on.
    Headers {
        /// The first.
        from: Height,
    },
    /// Blocks from this height on.
    Blocks {
        /// The first.
        from: Height,
        /// How many.
        count: u32,
    },
    /// The ends of epochs.
    Epochs {
        /// The first epoch.
        from: Epoch,
    },
    /// A snapshot's manifest.
    Manifest {
        /// Height of its block; `None`: the newest.
        height: Option<Height>,
    },
    /// A chunk of a snapshot.
    Chunk {
        /// Height of its block.
        height: Height,
        /// Which chunk.
        index: u32,
    },
}

impl HistoryRequest {
    /// The first height that is asked for; `None` if this is not about the newest blocks.
    pub(in crate::replica) fn from(&self) -> Option<Height> {
        match self {
            Self::Headers { from } | Self::Blocks { from, .. } => Some(*from),
            Self::Epochs { .. } | Self::Manifest { .. } | Self::Chunk { .. } => None,
        }
    }
}
