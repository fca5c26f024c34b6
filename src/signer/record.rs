//! What one record of `votes.log` says. No signatures: signing is deterministic, so the statement is enough.

use crate::limits::MAX_SIGNER_RECORD_BYTES;
use crate::types::block::BftKind;
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Epoch, Height, View};
use crate::types::transaction::OutPoint;
use crate::types::vote::FinalityKind;
use bincode::{Decode, Encode};

/// One thing to remember. Applying all records in order gives the state of the guard.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) enum Record {
    /// What follows may speak of heights and epochs up to these.
    ///
    /// Always a record of its own, before the first that goes there: so however much of a later record is lost, it is
    /// known how far it can have reached.
    Reach { height: Height, epoch: Epoch },
    /// Earlier records may be lost: blocks are signed from this height on, payments from this epoch on.
    Floor { height: Height, epoch: Epoch },
    /// A proposal was signed.
    Proposal { height: Height, view: View, proof_view: Option<View>, block_hash: BlockHash },
    /// A prepare or precommit was signed, with the lock and the valid value of that moment. `closes` is set by the
    /// prepare of a block that closes an epoch.
    Vote {
        height: Height,
        view: View,
        kind: BftKind,
        block_hash: Option<BlockHash>,
        lock: Option<(View, BlockHash)>,
        valid: Option<(View, BlockHash)>,
        closes: Option<Epoch>,
    },
    /// In a rewritten log: the lock and the valid value of the height.
    Lock { height: Height, lock: Option<(View, BlockHash)>, valid: Option<(View, BlockHash)> },
    /// A batch was signed: its txids in their order, and, for votes, everything they spend.
    Batch { epoch: Epoch, kind: FinalityKind, txids: Vec<Txid>, spends: Vec<OutPoint> },
    /// In a rewritten log: outpoints voted for in the epoch.
    Spent { epoch: Epoch, outpoints: Vec<OutPoint> },
    /// In a rewritten log: the current epoch, and whether a block that closes it was prepared.
    Current { epoch: Epoch, closing: bool },
}

crate::wire!(Record, MAX_SIGNER_RECORD_BYTES, 4 * MAX_SIGNER_RECORD_BYTES);

impl Record {
    /// The height and the epoch the record speaks of, zero where it speaks of none.
    pub(super) fn reach(&self) -> (Height, Epoch) {
        match self {
            Self::Reach { height, epoch } => (*height, *epoch),
            // Nothing is signed by saying these.
            Self::Floor { .. } | Self::Lock { .. } | Self::Current { .. } => (Height::ZERO, Epoch::ZERO),
            Self::Proposal { height, .. } => (*height, Epoch::ZERO),
            Self::Vote { height, closes, .. } => (*height, closes.unwrap_or_default()),
            Self::Batch { epoch, .. } | Self::Spent { epoch, .. } => (Height::ZERO, *epoch),
        }
    }
}
