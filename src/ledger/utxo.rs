//! Unspent outputs of the chain, and how the ledger reads them.

use crate::types::hash::Txid;
use crate::types::number::Height;
use crate::types::transaction::{OutPoint, TxOut};
use bincode::{Decode, Encode};

/// An unspent output with the height of the block that created it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Utxo {
    /// Value and lock.
    pub out: TxOut,
    /// Height of the block it was archived in.
    pub created: Height,
}

/// The archived state after some block: what a store answers.
///
/// Reads are expected to be served from memory or a local disk; a store that cannot read stops the node itself and
/// never answers `None` for something it holds.
pub trait StateRead: Send + Sync {
    /// The output, if it is archived and not spent by an archived transaction.
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo>;

    /// Height of the block that holds this transaction.
    fn archived_height(&self, txid: &Txid) -> Option<Height>;

    /// The archived transaction that spent this output. A store without such an index answers `None`: then a
    /// refusal says that an output is spent, not by whom.
    fn spender(&self, _outpoint: &OutPoint) -> Option<Txid> {
        None
    }

    /// How many outputs an archived transaction has, spent ones included. A store that keeps no transactions answers
    /// `None`: then an output that never was passes for one that is spent.
    fn output_count(&self, _txid: &Txid) -> Option<usize> {
        None
    }
}
