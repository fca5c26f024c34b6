//! What is asked of the signer, what it answers, and why it refuses.

use crate::types::block::{BftKind, BftVote, Proposal};
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Epoch, Height, View};
use crate::types::transaction::OutPoint;
use crate::types::vote::VoteBatch;
use std::collections::BTreeSet;
use std::fmt;

/// What to sign.
#[allow(clippy::large_enum_variant)] // Made and taken one by one, never kept in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignRequest {
    /// Votes for transactions, each with all the outpoints it spends.
    Votes {
        /// The current epoch.
        epoch: Epoch,
        /// Any number; more than a batch holds makes several batches.
        txs: Vec<(Txid, Vec<OutPoint>)>,
    },
    /// Receipts for transactions whose certificates are on disk.
    Receipts {
        /// The current epoch.
        epoch: Epoch,
        /// Any number.
        txids: Vec<Txid>,
    },
    /// A proposal. Its `leader` and `signature` are filled in here, whatever they are.
    Proposal {
        /// The proposal.
        proposal: Proposal,
    },
    /// A prepare or precommit.
    Bft {
        /// Height voted on.
        height: Height,
        /// View voted in.
        view: View,
        /// Prepare or precommit.
        kind: BftKind,
        /// The block, or `None` for nil.
        block_hash: Option<BlockHash>,
        /// The lock with this vote applied: the paper's `lockedRound` and `lockedValue`.
        lock: Option<(View, BlockHash)>,
        /// The paper's `validRound` and `validValue`.
        valid: Option<(View, BlockHash)>,
        /// For a prepare of a proved proposal: the view of its proof ([`Proposal::proof_view`]), the paper's `vr`. It
        /// must have been checked that a quorum prepared the block there.
        proof_view: Option<View>,
        /// For a prepare of a block that closes its epoch; looked at for nothing else.
        closing: Option<Closing>,
    },
}

/// What a prepare of a block that closes its epoch has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closing {
    /// The epoch it closes.
    pub epoch: Epoch,
    /// Everything the block archives.
    pub txids: BTreeSet<Txid>,
    /// Whether the proposal is fresh: a proved one is prepared whatever it leaves out (`protocol.md` 7.3).
    pub fresh: bool,
}

/// A message with its signature. It exists only once its record is synced.
#[allow(clippy::large_enum_variant)] // As above.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignedMessage {
    /// Votes or receipts.
    Votes(VoteBatch),
    /// A proposal.
    Proposal(Proposal),
    /// A prepare or precommit.
    Bft(BftVote),
}

/// What somebody said under this signer's key.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// Votes or receipts.
    Votes(&'a VoteBatch),
    /// A proposal.
    Proposal(&'a Proposal),
    /// A prepare or precommit.
    Bft(&'a BftVote),
}

/// A request is granted: its messages come out of [`super::Signer::flushed`] once `seq` is synced.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "what is not appended and synced is never signed"]
pub struct Appended {
    /// To append to `votes.log`; empty if everything asked for was signed before.
    pub bytes: Vec<u8>,
    /// The record to report synced. Equal to an earlier one if `bytes` is empty.
    pub seq: u64,
    /// Transactions left out of the batches, each with an outpoint for which another vote of this epoch stands.
    pub refused: Vec<(Txid, OutPoint)>,
}

/// The whole of `votes.log` anew.
///
/// The shell puts it in the old file's place in one step: written beside it, synced, renamed over it, the directory
/// synced. It stands in one order with the appends: those handed out before are in it, later ones go behind it.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "later appends belong behind this content"]
pub struct Rewritten {
    /// The content.
    pub bytes: Vec<u8>,
    /// Its last record, to report synced.
    pub seq: u64,
}

impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rewritten({} bytes, up to record {})", self.bytes.len(), self.seq)
    }
}

/// The order of what a masternode signs in a view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// A proposal.
    Propose,
    /// A prepare, the paper's prevote.
    Prepare,
    /// A precommit.
    Precommit,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Propose => "proposal",
            Self::Prepare => "prepare",
            Self::Precommit => "precommit",
        })
    }
}

impl From<BftKind> for Step {
    fn from(kind: BftKind) -> Self {
        match kind {
            BftKind::Prepare => Self::Prepare,
            BftKind::Precommit => Self::Precommit,
        }
    }
}

/// Why the signer does not sign. Nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `votes.log` is lost: what this key signed before is unknown.
    #[error("votes.log is missing, so this key may have signed anything before; see --accept-lost-votes")]
    LogLost,
    /// Another run signs with this key, or signed what this one's log does not know.
    #[error("another node signs with this key, or votes.log is an old copy; nothing is signed before a restart")]
    KeyElsewhere,
    /// A write of `votes.log` failed: what is on disk is unknown until it is read again.
    #[error("writing votes.log failed; nothing is signed before a restart")]
    FlushFailed,
    /// Too much waits for the disk.
    #[error("{0} signed messages already wait for the disk")]
    Busy(usize),
    /// What this key signed at this height was lost.
    #[error("votes at height {height} may be lost: blocks are signed from height {from_height} on")]
    HeightLost {
        /// Asked for.
        height: Height,
        /// First height that is signed.
        from_height: Height,
    },
    /// What this key voted and receipted in this epoch was lost.
    #[error("votes of epoch {epoch} may be lost: payments are signed from epoch {from_epoch} on")]
    EpochLost {
        /// Asked for.
        epoch: Epoch,
        /// First epoch that is signed.
        from_epoch: Epoch,
    },
    /// A higher block was signed.
    #[error("height {height} has passed: height {signed} was signed")]
    HeightPassed {
        /// Asked for.
        height: Height,
        /// Signed.
        signed: Height,
    },
    /// A later view or step of the height was signed.
    #[error("the {step} of view {view} has passed: the {signed_step} of view {signed_view} was signed")]
    StepPassed {
        /// View asked for.
        view: View,
        /// Step asked for.
        step: Step,
        /// View signed.
        signed_view: View,
        /// Step signed.
        signed_step: Step,
    },
    /// Another value was signed here.
    #[error("another {step} was signed at height {height}, view {view}")]
    Contradiction {
        /// The height.
        height: Height,
        /// The view.
        view: View,
        /// The step.
        step: Step,
    },
    /// The request forgets or lowers the lock, or its lock is of a view that is still to come.
    #[error("the lock on block {1} of view {0} cannot be replaced by what the request says")]
    LockGoesBack(View, BlockHash),
    /// A precommit of a block without the lock on it.
    #[error("a precommit of a block comes with the lock on it")]
    PrecommitWithoutLock,
    /// A prepare of another block than the locked one, without a newer proof.
    #[error("locked on block {1} since view {0}, and the proposal proves nothing newer")]
    Locked(View, BlockHash),
    /// The request is of another epoch than the current one.
    #[error("epoch {epoch} is not the current one, {current}")]
    NotCurrentEpoch {
        /// Asked for.
        epoch: Epoch,
        /// The current one.
        current: Epoch,
    },
    /// A block that closes the epoch was prepared: no vote or receipt of it ever again.
    #[error("a block that closes epoch {0} was prepared")]
    EpochClosing(Epoch),
    /// A fresh closing block leaves out what this masternode receipted.
    #[error("the closing block leaves out payments receipted here, {} of them at least", missing.len())]
    ReceiptsLeftOut {
        /// Which ones, ascending, as many as fit a request.
        missing: Vec<Txid>,
    },
    /// The epoch has had more votes than can be remembered.
    #[error("{0} outpoints of this epoch are voted for, which is the most the signer remembers")]
    EpochFull(usize),
    /// A transaction to vote for spends no outpoint or more than one can.
    #[error("transaction {txid} spends {inputs} outpoints")]
    BadInputs {
        /// Which one.
        txid: Txid,
        /// How many it is said to spend.
        inputs: usize,
    },
}
