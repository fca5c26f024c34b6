//! Votes on blocks that the engine wanted while the node could not sign. The engine asks once, and a height may need them.

use super::Replica;
use crate::limits::MAX_UNASKED_VOTES;
use crate::types::block::BftKind;
use crate::types::hash::BlockHash;
use crate::types::number::{Height, View};
use std::collections::VecDeque;

/// A vote that the engine wants signed.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) view: View,
    pub(super) kind: BftKind,
    pub(super) block_hash: Option<BlockHash>,
    pub(super) lock: Option<(View, BlockHash)>,
    pub(super) valid: Option<(View, BlockHash)>,
}

/// Those of one height, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    height: Height,
    asks: VecDeque<Ask>,
}

impl Unasked {
    pub(super) fn keep(&mut self, height: Height, ask: Ask) {
        if self.height != height {
            *self = Self { height, asks: VecDeque::new() };
        }
        if self.asks.len() >= MAX_UNASKED_VOTES {
            self.asks.pop_front();
        }
        self.asks.push_back(ask);
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }
}

impl Replica {
    /// Asks for them once the node may sign, if their height is still being decided.
    pub(super) fn ask_what_was_unasked(&mut self) {
        if self.unasked.asks.is_empty() || !self.may_sign() {
            return;
        }
        let Unasked { height, asks } = std::mem::take(&mut self.unasked);
        for Ask { view, kind, block_hash, lock, valid } in asks {
            if height == self.height() {
                self.ask_for_bft_vote(view, kind, block_hash, lock, valid);
            }
        }
    }
}
