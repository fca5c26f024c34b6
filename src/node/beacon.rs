//! The delay function in the background: one evaluation at a time, a newer one replaces it, a restart goes on with it.

use super::input::{Inbox, NodeInput};
use super::lanes::Lane;
use crate::crypto::vdf::{Evaluation, Progress, verify};
use crate::replica::Input;
use crate::storage::beacon_file::{BEACON_FILE, BeaconFile, Power};
use crate::storage::files::Files;
use crate::types::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Multiplications between two looks at what is asked for, about a tenth of a second.
const SLICE: u64 = 40_000;
/// What a restart goes on with is written so often; an evaluation that takes less leaves nothing.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);

/// An evaluation that was asked for.
struct Job {
    seed: Hash,
    iterations: u64,
}

/// How far the evaluation under way is, and how long one takes, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct BeaconProgress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    permille: AtomicU32,
    /// 0: not known yet.
    whole_ms: AtomicU64,
}

impl BeaconProgress {
    /// In thousandths; 1000 when it is done.
    pub fn permille(&self) -> u32 {
        self.0.permille.load(Ordering::Relaxed)
    }

    /// How long a whole evaluation takes here, in milliseconds, as the last one shows.
    pub fn whole_ms(&self) -> Option<u64> {
        Some(self.0.whole_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    fn set(&self, done: u64, total: u64) {
        let share = u128::from(done) * 1_000 / u128::from(total.max(1));
        self.0.permille.store(u32::try_from(share).unwrap_or(1_000), Ordering::Relaxed);
    }

    fn set_whole_ms(&self, ms: u64) {
        self.0.whole_ms.store(ms.max(1), Ordering::Relaxed);
    }
}

/// The thread that evaluates.
pub struct BeaconWorker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    progress: BeaconProgress,
}

impl BeaconWorker {
    /// Starts the thread; results go to `inbox`, what a restart goes on with to `files`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(inbox: Arc<Inbox>, files: Arc<dyn Files>, slot_ms: u64) -> std::io::Result<Self> {
        let (sender, jobs) = channel();
        let progress = BeaconProgress::default();
        let work = Work { jobs, inbox, progress: progress.clone(), files, slot_ms };
        let thread = std::thread::Builder::new().name("beacon".to_owned()).spawn(move || work.run())?;
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

/// The evaluations of one chain, one after the other.
struct Work {
    jobs: Receiver<Job>,
    inbox: Arc<Inbox>,
    progress: BeaconProgress,
    files: Arc<dyn Files>,
    slot_ms: u64,
}

enum Outcome {
    Done,
    Replaced(Job),
    Stopped,
}

impl Work {
    fn run(&self) {
        let mut next = self.jobs.recv().ok();
        while let Some(job) = next {
            next = match self.evaluate(job) {
                Outcome::Done => self.jobs.recv().ok(),
                Outcome::Replaced(job) => Some(job),
                Outcome::Stopped => None,
            };
        }
    }

    fn evaluate(&self, job: Job) -> Outcome {
        let (kept, resumed) = Kept::open(&self.files, &job);
        self.evaluate_from(job, kept, &resumed)
    }

    fn evaluate_from(&self, job: Job, mut kept: Kept, resumed: &[Power]) -> Outcome {
        let is_resumed = !resumed.is_empty();
        let mut evaluation = Evaluation::resume(&job.seed, job.iterations, resumed);
        let begun = (Instant::now(), evaluation.progress().done);
        while !evaluation.is_done() {
            let progress = evaluation.advance(SLICE);
            self.progress.set(progress.done, progress.total);
            kept.keep(&evaluation, false);
            let ended = match self.jobs.try_recv() {
                Ok(newer) => Outcome::Replaced(newer),
                Err(TryRecvError::Disconnected) => Outcome::Stopped,
                Err(TryRecvError::Empty) => continue,
            };
            kept.keep(&evaluation, true);
            self.took(begun, progress);
            return ended;
        }
        self.took(begun, evaluation.progress());
        let proof = Box::new(evaluation.finish());
        if is_resumed && !verify(&job.seed, job.iterations, &proof) {
            warn!("what was kept of the delay function is wrong: evaluated anew");
            if let Err(error) = self.files.remove(BEACON_FILE) {
                warn!(%error, "a restart will find it again");
            }
            let nothing = Kept { file: None, count: 0, written: Instant::now() };
            return self.evaluate_from(job, nothing, &[]);
        }
        self.inbox.push(Lane::Express, NodeInput::replica(Input::Vdf { seed: job.seed, proof }));
        Outcome::Done
    }

    /// Says whether this machine is fast enough: a block's proof takes the time from the block before, which is a slot.
    fn took(&self, (begun, at_first): (Instant, u64), progress: Progress) {
        let done = progress.done.saturating_sub(at_first);
        // Less says too little.
        if u128::from(done) * 10 < u128::from(progress.total) || done == 0 {
            return;
        }
        let whole_ms = begun.elapsed().as_millis() * u128::from(progress.total) / u128::from(done);
        let whole_ms = u64::try_from(whole_ms).unwrap_or(u64::MAX);
        let was_slow = self.progress.whole_ms().is_some_and(|ms| ms > self.slot_ms);
        self.progress.set_whole_ms(whole_ms);
        let is_slow = whole_ms > self.slot_ms;
        if is_slow && !was_slow {
            warn!(
                takes_ms = whole_ms,
                slot_ms = self.slot_ms,
                "the delay function takes longer than a slot: this node votes, and its turns as leader pass by; it needs a \
                 faster core, or one that has less else to do"
            );
        } else if was_slow && !is_slow {
            info!(takes_ms = whole_ms, "the delay function is done within a slot again");
        }
    }
}

/// What a restart goes on with.
struct Kept {
    /// `None` if it cannot be written: then a restart begins anew.
    file: Option<BeaconFile>,
    count: usize,
    written: Instant,
}

impl Kept {
    fn open(files: &Arc<dyn Files>, job: &Job) -> (Self, Vec<Power>) {
        let opened = BeaconFile::open(files, &job.seed, job.iterations);
        let (file, powers) = match opened {
            Ok((file, powers)) => (Some(file), powers),
            Err(error) => {
                warn!(%error, "a restart will begin the delay function anew");
                (None, Vec::new())
            }
        };
        (Self { file, count: powers.len(), written: Instant::now() }, powers)
    }

    /// Writes what is new, now and then, or `now`.
    fn keep(&mut self, evaluation: &Evaluation, now: bool) {
        if !now && self.written.elapsed() < KEEP_INTERVAL {
            return;
        }
        self.written = Instant::now();
        let Some(file) = &mut self.file else { return };
        let new = evaluation.kept(self.count);
        self.count += new.len();
        if let Err(error) = file.append(&new) {
            warn!(%error, "a restart will begin the delay function anew");
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::input::InputKind;
    use crate::node::lanes::{Lanes, Taken};
    use crate::storage::files::DiskFiles;

    /// Starts a thread and waits until the evaluation is at `permille` or done; what it showed first, and the thread.
    fn evaluate_to(files: &Arc<dyn Files>, inbox: &Arc<Inbox>, job: (Hash, u64), permille: u32) -> (u32, BeaconWorker) {
        let worker = BeaconWorker::start(Arc::clone(inbox), Arc::clone(files), 1_000_000).unwrap();
        worker.compute(job.0, job.1);
        let first = loop {
            let shown = worker.progress().permille();
            if shown > 0 {
                break shown;
            }
            std::thread::yield_now();
        };
        while worker.progress().permille() < permille {
            std::thread::yield_now();
        }
        (first, worker)
    }

    #[test]
    fn a_restart_goes_on_where_the_last_run_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let files: Arc<dyn Files> = Arc::new(DiskFiles::new(directory.path()));
        let inbox: Arc<Inbox> = Arc::new(Lanes::default());
        let (seed, iterations) = (Hash([5; 32]), 600_000);
        let (first, worker) = evaluate_to(&files, &inbox, (seed, iterations), 400);
        assert!(first < 300);
        worker.stop();
        let (first, worker) = evaluate_to(&files, &inbox, (seed, iterations), 1_000);
        assert!(first >= 350, "it goes on at {first} per mille");
        let came = inbox.take(10, 0, Some(Duration::from_secs(60)));
        assert!(worker.progress().whole_ms().is_some());
        // Another evaluation is not taken for this one.
        let (other, other_worker) = evaluate_to(&files, &inbox, (Hash([6; 32]), iterations), 1);
        assert!(other < 300);
        other_worker.stop();
        worker.stop();
        let Taken::Items { items, .. } = came else { panic!("nothing came") };
        let proofs = items.into_iter().filter_map(|item| match item.kind {
            InputKind::Replica(Input::Vdf { seed, proof }) => Some((seed, proof)),
            _ => None,
        });
        let proofs: Vec<_> = proofs.collect();
        assert!(matches!(proofs.as_slice(), [(found, proof)] if *found == seed && verify(&seed, iterations, proof)));
    }
}
