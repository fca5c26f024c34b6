//! What of this epoch is in the journal already.

use crate::types::hash::Txid;
use crate::types::keys::Signature;
use std::collections::BTreeSet;

/// What of this epoch is in the journal already, so that the records since a closing block are complete in themselves.
/// Writing something twice does no harm: what no longer matters, or not soon, is forgotten.
#[derive(Debug, Default)]
pub(super) struct Journaled {
    /// Not archived.
    txs: BTreeSet<Txid>,
    /// Since the last block, and between the one before and the last.
    batches: [BTreeSet<Signature>; 2],
}

impl Journaled {
    /// Whether the transaction is not in the journal yet; from now on it counts as written.
    pub(super) fn is_new_tx(&mut self, txid: Txid) -> bool {
        self.txs.insert(txid)
    }

    /// Whether the batch with this signature is not in the journal yet; from now on it counts as written.
    pub(super) fn is_new_batch(&mut self, signature: Signature) -> bool {
        let [recent, older] = &mut self.batches;
        !older.contains(&signature) && recent.insert(signature)
    }

    /// A block archived these, and may have closed the epoch.
    pub(super) fn block(&mut self, txids: &[Txid], closed: bool) {
        if closed {
            *self = Self::default();
            return;
        }
        txids.iter().for_each(|txid| {
            self.txs.remove(txid);
        });
        let [recent, older] = &mut self.batches;
        *older = std::mem::take(recent);
    }
}
