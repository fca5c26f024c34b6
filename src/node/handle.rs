//! The node as its users reach it: RPC and the tools of the command line. Cheap to clone; nothing here can delay the
//! replica by more than a bounded question.

use super::beacon::BeaconProgress;
use super::clock;
use super::feed::Feed;
use super::input::{Held, Inbox, InputKind, NodeInput, SubmitError};
use super::lanes::Lane;
use super::signing::{Signing, SigningState};
use super::verify::VerifyStage;
use super::view::View;
use crate::chain::spec::Chain;
use crate::ledger::verify::Verifier;
use crate::ledger::{PoolLimits, Submission};
use crate::limits::{MAX_QUESTIONS, MAX_SUBMITTING};
use crate::network;
use crate::replica::Replica;
use crate::storage::store::Archive;
use crate::types::keys::PublicKey;
use crate::types::number::TimeMs;
use crate::types::transaction::Transaction;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Clone)]
pub struct NodeHandle {
    inner: Arc<Inner>,
}

/// What a handle is made of.
pub struct Parts {
    /// The chain.
    pub chain: Chain,
    /// This masternode's consensus key; `None` for an observer.
    pub masternode: Option<PublicKey>,
    /// Whether it signs.
    pub signing: Arc<SigningState>,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// Where the node keeps its files.
    pub data_dir: PathBuf,
    /// Tip and transactions under way.
    pub view: Arc<View>,
    /// What happens.
    pub feed: Arc<Feed>,
    /// The chain as the store knows it.
    pub archive: Arc<dyn Archive>,
    /// Checks what users bring.
    pub verifier: Arc<Verifier>,
    /// Where transactions go in.
    pub stage: Arc<VerifyStage>,
    /// Where questions go in.
    pub inbox: Arc<Inbox>,
    /// Other nodes.
    pub network: network::Handle,
    /// How far the delay function is.
    pub beacon: BeaconProgress,
    /// Stops the node when cancelled.
    pub stop: CancellationToken,
}

struct Inner {
    parts: Parts,
    started: TimeMs,
    submitting: Arc<Semaphore>,
    asking: Arc<Semaphore>,
}

/// The node is on its way down and answers nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopping;

impl NodeHandle {
    /// A handle of a node that has just started.
    pub fn new(parts: Parts) -> Self {
        let submitting = Arc::new(Semaphore::new(MAX_SUBMITTING));
        let asking = Arc::new(Semaphore::new(MAX_QUESTIONS));
        Self { inner: Arc::new(Inner { parts, started: clock::now(), submitting, asking }) }
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.inner.parts.chain
    }

    /// This masternode's consensus key; `None` for an observer.
    pub fn masternode(&self) -> Option<PublicKey> {
        self.inner.parts.masternode
    }

    /// Whether this node signs, and if not, why.
    pub fn signing(&self) -> Signing {
        self.inner.parts.signing.get()
    }

    /// Bounds of the pool.
    pub fn pool(&self) -> PoolLimits {
        self.inner.parts.pool
    }

    /// Where the node keeps its files.
    pub fn data_dir(&self) -> &PathBuf {
        &self.inner.parts.data_dir
    }

    /// Tip and transactions under way: what is told to users, and nothing that is not on disk.
    pub fn view(&self) -> &View {
        &self.inner.parts.view
    }

    /// What happens, as it happens.
    pub fn feed(&self) -> &Feed {
        &self.inner.parts.feed
    }

    /// The chain as the store knows it; it may be some blocks behind [`NodeHandle::view`].
    pub fn archive(&self) -> &Arc<dyn Archive> {
        &self.inner.parts.archive
    }

    /// Checks signatures of what users bring.
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.inner.parts.verifier
    }

    /// Other nodes.
    pub fn network(&self) -> &network::Handle {
        &self.inner.parts.network
    }

    /// How far the delay function of the next block is.
    pub fn beacon(&self) -> &BeaconProgress {
        &self.inner.parts.beacon
    }

    /// When the node started.
    pub fn started(&self) -> TimeMs {
        self.inner.started
    }

    /// Stops the node.
    pub fn stop(&self) {
        self.inner.parts.stop.cancel();
    }

    /// Cancelled when the node stops.
    pub fn stopping(&self) -> &CancellationToken {
        &self.inner.parts.stop
    }

    /// Hands in a transaction. Waits while too many are on their way in.
    ///
    /// # Errors
    /// [`SubmitError`] if it is not even valid on its own, or the node is stopping.
    pub async fn submit(&self, tx: Transaction) -> Result<Submission, SubmitError> {
        let permit = Arc::clone(&self.inner.submitting).acquire_owned().await;
        let permit = permit.map_err(|_| SubmitError::Stopping)?;
        let (answer, outcome) = oneshot::channel();
        self.inner.parts.stage.submit(tx, answer, Held::User(permit));
        outcome.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Asks about the replica's inner state. It is looked at between two steps, so the question must be cheap. What it
    /// tells may not be on disk yet: nothing of it may be told as final.
    ///
    /// # Errors
    /// [`Stopping`].
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Replica) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let permit = Arc::clone(&self.inner.asking).acquire_owned().await.map_err(|_| Stopping)?;
        let (answer, heard) = oneshot::channel();
        // Who asked may have hung up.
        let question = Box::new(move |replica: &Replica| drop(answer.send(question(replica))));
        let entry = NodeInput { kind: InputKind::Question(question), held: Some(Held::User(permit)) };
        self.inner.parts.inbox.push(Lane::Ordinary, entry);
        heard.await.map_err(|_| Stopping)
    }
}
