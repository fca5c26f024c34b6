//! What every method works with: the node, and room for reads that may take a while.

use super::errors::Failure;
use super::participation::Participation;
use crate::chain::spec::Chain;
use crate::limits::{IDLE_SLOTS, MAX_RPC_READS};
use crate::node::clock;
use crate::node::handle::NodeHandle;
use crate::node::view::View;
use crate::storage::store::Archive;
use crate::types::address::to_address;
use crate::types::lock::Lock;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// 2020-01-01 in Unix seconds: sequence numbers count from there, so that they fit in 53 bits, which JavaScript keeps
/// exactly, until 2088.
const SEQUENCE_EPOCH_S: u64 = 1_577_836_800;
/// Events a second that a node would have to tell for its numbers to meet those of its next run: 2^22.
const SEQUENCE_BITS: u32 = 22;

/// See the module.
pub struct Context {
    /// The node.
    pub node: NodeHandle,
    /// Who signed the newest blocks.
    pub(super) participation: Participation,
    reads: Arc<Semaphore>,
    first_sequence: u64,
}

impl Context {
    /// The context of a node.
    pub fn new(node: NodeHandle) -> Self {
        let seconds = (node.started().0 / 1_000).saturating_sub(SEQUENCE_EPOCH_S);
        let first_sequence = seconds.saturating_mul(1 << SEQUENCE_BITS);
        let (participation, reads) = (Participation::default(), Arc::new(Semaphore::new(MAX_RPC_READS)));
        Self { node, participation, reads, first_sequence }
    }

    /// For how many slots there has been no block while this node ran, if for more than happens to a chain that goes on.
    pub fn idle_slots(&self) -> Option<u64> {
        let (chain, now) = (self.chain(), clock::now());
        let since_tip = chain.slot_at(now).get().saturating_sub(self.view().tip().header.slot.get());
        let since_start = now.since(self.node.started()) / chain.slot_ms.max(1);
        Some(since_tip.min(since_start)).filter(|slots| *slots > IDLE_SLOTS)
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        self.node.chain()
    }

    /// Tip and transactions under way.
    pub fn view(&self) -> &View {
        self.node.view()
    }

    /// The chain as the store knows it.
    pub fn archive(&self) -> &dyn Archive {
        &**self.node.archive()
    }

    /// The address of a lock.
    pub fn address(&self, lock: &Lock) -> String {
        // The prefix of a checked chain is one.
        to_address(lock, &self.chain().address_hrp).unwrap_or_default()
    }

    /// Number under which users know event `number` of this run's feed. Numbers of later runs are greater, so who
    /// resumes with one of an earlier run is told that it is gone.
    pub fn sequence(&self, number: u64) -> u64 {
        self.first_sequence.saturating_add(number)
    }

    /// Event of this run's feed that users know under `sequence`; 0 for one of an earlier run.
    pub fn event_number(&self, sequence: u64) -> u64 {
        sequence.saturating_sub(self.first_sequence)
    }

    /// Runs what reads the store more than a few times where it keeps nobody waiting.
    ///
    /// # Errors
    /// What `work` says, and [`Failure::Stopping`].
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| Failure::Stopping)?;
        let context = Arc::clone(self);
        let running = tokio::task::spawn_blocking(move || {
            let answer = work(&context);
            drop(permit);
            answer
        });
        running.await.unwrap_or_else(|error| Err(Failure::Internal(error.to_string())))
    }
}
