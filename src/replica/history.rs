//! What peers ask of the chain's past, and the answers of a store.

use super::message::{HistoryRequest, Message, SealedBlock, SealedHeader};
use super::store::Store;
use crate::limits::{MAX_BLOCKS_BYTES, MAX_BLOCKS_PER_MESSAGE, MAX_HEADERS_BYTES, MAX_HEADERS_PER_MESSAGE};
use crate::types::codec::encoded_size;
use crate::types::number::{Epoch, Height};
use bincode::Encode;

/// The answer of a store, within the bounds of a message; `None` if it has nothing of what is asked for.
pub fn answer(store: &dyn Store, request: &HistoryRequest) -> Option<Message> {
    match *request {
        HistoryRequest::Headers { from } => headers(from, |height| store.sealed_header(height)),
        HistoryRequest::Blocks { from, count } => {
            blocks(from, count, |height| store.sealed_block(height).map(|sealed| (*sealed).clone()))
        }
        // Who asks for these has to know when there is nothing.
        HistoryRequest::Epochs { from } => {
            let read = |epoch| store.epoch_end(Epoch::new(epoch));
            let ends = consecutive(from.get(), MAX_HEADERS_PER_MESSAGE, MAX_HEADERS_BYTES, read);
            Some(Message::Epochs(ends))
        }
        HistoryRequest::Manifest { height } => Some(Message::SnapshotManifest(store.snapshot(height).map(Box::new))),
        HistoryRequest::Chunk { height, index } => {
            Some(Message::SnapshotChunk { height, index, bytes: store.snapshot_chunk(height, index) })
        }
    }
}

/// Headers as [`HistoryRequest::Headers`] asks for them.
pub(super) fn headers(from: Height, read: impl Fn(Height) -> Option<SealedHeader>) -> Option<Message> {
    let read = |height| read(Height::new(height));
    let found = consecutive(from.get(), MAX_HEADERS_PER_MESSAGE, MAX_HEADERS_BYTES, read);
    (!found.is_empty()).then_some(Message::Headers(found))
}

/// Blocks as [`HistoryRequest::Blocks`] asks for them.
pub(super) fn blocks(from: Height, count: u32, read: impl Fn(Height) -> Option<SealedBlock>) -> Option<Message> {
    let most = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_BLOCKS_PER_MESSAGE);
    let found = consecutive(from.get(), most, MAX_BLOCKS_BYTES, |height| read(Height::new(height)));
    (!found.is_empty()).then_some(Message::Blocks(found))
}

/// What there is from number `from` on without a gap: at most so many, and so many bytes, but one however large it is.
fn consecutive<T: Encode>(from: u64, most: usize, most_bytes: usize, read: impl Fn(u64) -> Option<T>) -> Vec<T> {
    let (mut found, mut bytes, mut number) = (Vec::new(), 0usize, from);
    while found.len() < most {
        let Some(item) = read(number) else { break };
        bytes = bytes.saturating_add(encoded_size(&item));
        if !found.is_empty() && bytes > most_bytes {
            break;
        }
        found.push(item);
        number = number.saturating_add(1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(from: u64, most: usize, most_bytes: usize) -> Vec<u64> {
        // One byte each up to height 5, then one that alone exceeds every bound here.
        let read = |number: u64| match number {
            0 => None,
            at @ 1..=5 => Some(vec![u8::try_from(at).unwrap_or(0)]),
            6 => Some(vec![6; 100]),
            _ => None,
        };
        consecutive(from, most, most_bytes, read).iter().map(|item| u64::from(item[0])).collect()
    }

    #[test]
    fn an_answer_is_what_follows_without_a_gap_within_its_bounds() {
        assert_eq!(found(2, 3, 50), [2, 3, 4], "so many");
        assert_eq!(found(2, 9, 50), [2, 3, 4, 5], "the next one would be too much");
        assert_eq!(found(1, 9, 6), [1, 2, 3], "so many bytes");
        assert_eq!(found(6, 9, 6), [6], "one goes however large it is");
        assert_eq!(found(6, 9, 1_000), [6], "nothing beyond the end");
        assert_eq!(found(0, 9, 50), [0; 0]);
        assert_eq!(found(u64::MAX, 9, 50), [0; 0]);
    }
}
