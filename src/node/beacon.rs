//! The delay function in the background: one evaluation at a time, a newer one replaces it.

use super::input::{Inbox, NodeInput};
use super::lanes::Lane;
use crate::crypto::vdf::Evaluation;
use crate::replica::Input;
use crate::types::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// Multiplications between two looks at what is asked for, about a tenth of a second.
const SLICE: u64 = 40_000;

/// An evaluation that was asked for.
struct Job {
    seed: Hash,
    iterations: u64,
}

/// How far the evaluation under way is, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct BeaconProgress(Arc<AtomicU32>);

impl BeaconProgress {
    /// In thousandths; 1000 when it is done.
    pub fn permille(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The thread that evaluates.
pub struct BeaconWorker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    progress: BeaconProgress,
}

impl BeaconWorker {
    /// Starts the thread; results go to `inbox`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(inbox: Arc<Inbox>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let progress = BeaconProgress::default();
        let shown = progress.clone();
        let thread =
            std::thread::Builder::new().name("beacon".to_owned()).spawn(move || work(&receiver, &inbox, &shown.0))?;
        Ok(Self { jobs: Some(sender), thread: Some(thread), progress })
    }

    /// Starts an evaluation; one under way is given up.
    pub fn compute(&self, seed: Hash, iterations: u64) {
        if let Some(jobs) = &self.jobs {
            // The thread is gone only if it panicked; then this node proposes nothing, and the others go on.
            jobs.send(Job { seed, iterations }).ok();
        }
    }

    /// How far the evaluation under way is.
    pub fn progress(&self) -> BeaconProgress {
        self.progress.clone()
    }

    /// Ends the thread.
    pub fn stop(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn work(jobs: &Receiver<Job>, inbox: &Inbox, permille: &AtomicU32) {
    let mut next = jobs.recv().ok();
    while let Some(job) = next {
        next = match evaluate(job, jobs, inbox, permille) {
            Outcome::Done => jobs.recv().ok(),
            Outcome::Replaced(job) => Some(job),
            Outcome::Stopped => None,
        };
    }
}

enum Outcome {
    Done,
    Replaced(Job),
    Stopped,
}

fn evaluate(job: Job, jobs: &Receiver<Job>, inbox: &Inbox, permille: &AtomicU32) -> Outcome {
    let mut evaluation = Evaluation::new(&job.seed, job.iterations);
    while !evaluation.is_done() {
        let progress = evaluation.advance(SLICE);
        let share = u128::from(progress.done) * 1_000 / u128::from(progress.total.max(1));
        permille.store(u32::try_from(share).unwrap_or(1_000), Ordering::Relaxed);
        match jobs.try_recv() {
            Ok(newer) => return Outcome::Replaced(newer),
            Err(TryRecvError::Disconnected) => return Outcome::Stopped,
            Err(TryRecvError::Empty) => {}
        }
    }
    let proof = Box::new(evaluation.finish());
    inbox.push(Lane::Express, NodeInput::replica(Input::Vdf { seed: job.seed, proof }));
    Outcome::Done
}
