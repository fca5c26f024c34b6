//! What reaches the thread that runs the replica.

use super::lanes::Lanes;
use crate::ledger::{Submission, VerifiedTx};
use crate::network::Allowance;
use crate::replica::{Input, MessageFault, Replica};
use crate::types::number::Height;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The queue in front of the replica.
pub type Inbox = Lanes<NodeInput>;

/// A question about the replica's inner state. It is asked between two steps and must be cheap.
pub type Question = Box<dyn FnOnce(&Replica) + Send>;

/// Where a user hears what became of a transaction.
pub type SubmitAnswer = oneshot::Sender<Result<Submission, SubmitError>>;

/// What keeps a queue bounded: whoever adds to it from outside holds this until its entry has been dealt with.
#[derive(Debug)]
pub enum Held {
    /// Room that a link has for messages under way.
    Link(Allowance),
    /// Room that all users have together.
    User(OwnedSemaphorePermit),
}

/// One entry of the [`Inbox`].
pub struct NodeInput {
    /// What it is.
    pub kind: InputKind,
    /// What whoever sent it holds until it has been dealt with.
    pub held: Option<Held>,
}

/// What an entry of the [`Inbox`] is.
#[allow(clippy::large_enum_variant)] // Moved once.
pub enum InputKind {
    /// For the replica.
    Replica(Input),
    /// A user's transactions; the answer says what becomes of the last.
    Submit {
        /// The transactions, in order.
        txs: Vec<VerifiedTx>,
        /// Where the answer goes.
        answer: SubmitAnswer,
    },
    /// The store answers for blocks up to this height, durably.
    Stored(Height),
    /// Somebody wants to know.
    Question(Question),
    /// A disk failed: nothing more may be promised.
    DiskFailed(String),
}

impl NodeInput {
    /// An input of the replica from inside the node.
    pub fn replica(input: Input) -> Self {
        Self { kind: InputKind::Replica(input), held: None }
    }
}

/// Why the ledger was not asked about a user's transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It breaks a rule on its own.
    #[error(transparent)]
    Invalid(#[from] MessageFault),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}
