//! What a joiner knows of a peer.

use crate::types::hash::Hash;
use crate::types::number::TimeMs;
use std::collections::BTreeMap;

/// What a peer has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    #[default]
    Unasked,
    Asked,
    /// Nothing that counts.
    Nothing,
    /// The snapshot with this manifest.
    Has(Hash),
}

/// A peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Knows no further epoch, or does not answer.
    pub(super) is_exhausted: bool,
    pub(super) offer: Offer,
    /// Offered a snapshot of an epoch whose end nobody had told of.
    pub(super) was_ahead: bool,
    /// Chunks asked for, and when.
    pub(super) asked: BTreeMap<u32, TimeMs>,
    /// Questions it left unanswered.
    pub(super) stalls: u32,
}
