//! Checks blocks of the past on a thread of its own, which spreads the signatures over all cores: neither payments nor
//! block votes queue behind them.
//!
//! What waits here is bounded by what the replica asks peers for.

use super::input::{Inbox, NodeInput};
use super::lanes::Lane;
use crate::ledger::verify::Verifier;
use crate::replica::message::BlockToCheck;
use crate::replica::{Input, PeerId};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Blocks that one peer sent together.
type Job = (PeerId, Vec<BlockToCheck>);

/// The thread that checks.
pub struct BlockChecker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl BlockChecker {
    /// Starts the thread; results go to `inbox`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(verifier: Arc<Verifier>, inbox: Arc<Inbox>) -> std::io::Result<Self> {
        let (jobs, incoming) = channel::<Job>();
        let work = move || {
            while let Ok((from, blocks)) = incoming.recv() {
                let checked = Input::of_checked(&verifier, from, blocks);
                inbox.push(Lane::Express, NodeInput::replica(checked));
            }
        };
        let thread = std::thread::Builder::new().name("check-blocks".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Takes blocks to check; never waits.
    pub fn check(&self, from: PeerId, blocks: Vec<BlockToCheck>) {
        if let Some(jobs) = &self.jobs {
            // The thread is gone only if it panicked, and has said so.
            jobs.send((from, blocks)).ok();
        }
    }

    /// Checks what is there and ends the thread.
    pub fn stop(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
