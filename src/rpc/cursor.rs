//! Where a page of a list ended. A caller hands it back as it came and reads nothing out of it.

use crate::types::codec::{decode, encode};
use crate::types::hash::{MasternodeId, Txid};
use crate::types::hex;
use crate::types::number::{Height, TimeMs};
use crate::types::transaction::OutPoint;
use bincode::{Decode, Encode};

/// The last entry of a page. Each list has kinds of its own, so a cursor of another list is found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Cursor {
    /// Of the transactions under way.
    Mempool(Txid),
    /// Of the masternodes.
    Masternode(MasternodeId),
    /// Of unspent outputs: one that no block holds yet.
    FinalOutput(OutPoint),
    /// Of unspent outputs: one in the chain.
    ArchivedOutput(OutPoint),
    /// Of unspent outputs: one that cannot be spent now.
    BoundOutput(OutPoint),
    /// Of a history: a transaction that no block holds.
    PendingEntry(TimeMs, Txid),
    /// Of a history: a transaction in the chain.
    ArchivedEntry(Height, Txid),
}

crate::wire!(Cursor, 64, 256);

impl Cursor {
    /// As callers get it.
    pub fn write(&self) -> String {
        hex::encode(&encode(self))
    }

    /// What [`Cursor::write`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        decode(&hex::decode(text)?).ok()
    }
}

/// Cuts a page of one entry too many; where the next one begins.
pub fn cut<T>(page: &mut Vec<(Cursor, T)>, limit: usize) -> Option<Cursor> {
    let is_last = page.len() <= limit;
    page.truncate(limit);
    page.last().filter(|_| !is_last).map(|(cursor, _)| *cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor::ArchivedEntry(Height::new(300), Txid([7; 32]));
        assert_eq!(Cursor::read(&cursor.write()), Some(cursor));
        assert_eq!(Cursor::read(&format!("{}00", cursor.write())), None);
        assert_eq!(Cursor::read(""), None);
    }
}
