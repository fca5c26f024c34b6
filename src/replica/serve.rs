//! Serving the past.
//!
//! A replica answers itself only what it has in memory: the blocks that its store does not answer for yet. Everything
//! else is a [`Command::Serve`]: reading blocks takes long, and nobody may hold up a block vote by asking for history.

use super::Replica;
use super::command::{Command, CommittedBlock, PeerId};
use super::history;
use super::message::HistoryRequest;
use super::message::{SealedBlock, SealedHeader};
use crate::types::number::Height;
use std::sync::Arc;

impl Replica {
    /// Answers what is in memory, and leaves the rest to the shell.
    pub(super) fn serve_history(&mut self, to: PeerId, request: HistoryRequest) {
        let Some(from) = request.from() else { return self.out.push(Command::Serve { to, request }) };
        if from > self.ledger.tip().height() {
            return;
        }
        let is_in_memory = self.unapplied.front().is_some_and(|oldest| oldest.changes.height <= from);
        if !is_in_memory {
            return self.out.push(Command::Serve { to, request });
        }
        let recent = |height: Height| self.unapplied.iter().find(|block| block.changes.height == height);
        let answer = match request {
            HistoryRequest::Headers { .. } => {
                history::headers(from, |height| recent(height).map(|block| sealed_header(block)))
            }
            HistoryRequest::Blocks { count, .. } => {
                history::blocks(from, count, |height| recent(height).map(|block| sealed_block(block)))
            }
            HistoryRequest::Epochs { .. } | HistoryRequest::Manifest { .. } | HistoryRequest::Chunk { .. } => None,
        };
        if let Some(answer) = answer {
            self.out.send(to, answer);
        }
    }

    /// A block of the chain, wherever it is.
    pub(super) fn sealed_block(&self, height: Height) -> Option<Arc<SealedBlock>> {
        let recent = self.unapplied.iter().find(|block| block.changes.height == height);
        recent.map(|block| Arc::new(sealed_block(block))).or_else(|| self.store.sealed_block(height))
    }
}

fn sealed_block(block: &CommittedBlock) -> SealedBlock {
    SealedBlock { block: block.block.clone(), commit: block.commit.clone() }
}

fn sealed_header(block: &CommittedBlock) -> SealedHeader {
    let state = &block.changes.state;
    SealedHeader::new(state.header.clone(), block.commit.clone(), &state.validators)
}
