//! The disk: journal, `votes.log`, the signer between them, and the store that follows behind.
//!
//! Two threads. One writes ahead: it takes every write that is there, appends it, syncs once, and only then hands out
//! signatures and says what is on disk, so one sync covers what a few milliseconds bring. The other applies blocks to
//! the store at its own pace. After a failed write nothing is signed or promised any more: the node stops.

use super::input::{Inbox, InputKind, NodeInput};
use super::lanes::Lane;
use super::votes::Guard;
use crate::ledger::verify::{Verifier, VerifyError};
use crate::limits::{MAX_DISK_JOBS, MAX_STORED_TOGETHER};
use crate::replica::{Command, CommittedBlock, Input, JournalRecord, OwnMessage, SealedBlock, WriteSeq};
use crate::signer::{Said, SignRequest, SignedMessage, Signer};
use crate::storage::write_ahead::WriteAhead;
use crate::types::hash::Txid;
use crate::types::number::{Epoch, Height};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// What the writing thread does.
#[allow(clippy::large_enum_variant)] // Moved once.
enum Job {
    /// A command of the replica that concerns the disk.
    Run(Command),
    /// What was signed before this run and is still of use goes out again.
    Repeat,
    /// The store is durable up to here: the journal need not keep it.
    Retire(Height),
    /// No more commands will come.
    Finish,
}

/// A block on its way to the store, with the number of a record of the journal that is synced by now: the store remembers
/// it, so that the loss of a journal is noticed.
pub type StoreJob = (Arc<CommittedBlock>, u64);

/// Where the store takes blocks in.
pub trait BlockSink: Send {
    /// Applies these blocks, in order; they are durable when this returns.
    ///
    /// # Errors
    /// What went wrong, for the operator. Nothing may be applied after that.
    fn apply(&mut self, blocks: &[StoreJob]) -> Result<(), String>;
}

/// Where the replica's thread hands in what concerns the disk.
pub struct DiskHandle {
    jobs: Option<SyncSender<Job>>,
}

/// To end the threads with.
pub struct DiskThreads {
    threads: Vec<JoinHandle<()>>,
}

/// Everything the writing thread owns.
struct Writer {
    files: WriteAhead,
    signer: Option<Signer>,
    /// Looks for the place from which a signer without its log may sign.
    guard: Guard,
    verifier: Arc<Verifier>,
    inbox: Arc<Inbox>,
    store: Option<Sender<StoreJob>>,
    /// Last write appended, and last record of the signer.
    written: WriteSeq,
    signed: u64,
    is_dirty: bool,
    blocks: Vec<Arc<CommittedBlock>>,
}

impl DiskHandle {
    /// Starts the threads. The signer has been told that everything in `votes.log` is synced.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        files: WriteAhead,
        (signer, guard): (Option<Signer>, Guard),
        verifier: Arc<Verifier>,
        inbox: Arc<Inbox>,
        sink: impl BlockSink + 'static,
    ) -> std::io::Result<(Self, DiskThreads)> {
        let (jobs, incoming) = sync_channel(MAX_DISK_JOBS);
        let (store, blocks) = channel();
        let (retire, told) = (jobs.clone(), Arc::clone(&inbox));
        let writer = Writer {
            files,
            signer,
            guard,
            verifier,
            inbox,
            store: Some(store),
            written: WriteSeq::default(),
            signed: 0,
            is_dirty: false,
            blocks: Vec::new(),
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads = vec![
            thread("journal").spawn(move || writer.work(&incoming))?,
            thread("store").spawn(move || store_blocks(sink, &blocks, &retire, &told))?,
        ];
        Ok((Self { jobs: Some(jobs) }, DiskThreads { threads }))
    }

    /// Hands in a command; waits while the disk is too far behind.
    pub fn run(&self, command: Command) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone has said why in the inbox.
            jobs.send(Job::Run(command)).ok();
        }
    }

    /// What was signed before this run and is still of use reaches the replica once more.
    pub fn repeat_signed(&self) {
        if let Some(jobs) = &self.jobs {
            jobs.send(Job::Repeat).ok();
        }
    }

    /// No more will come: what is there is written, the store catches up, then the threads end.
    pub fn close(&mut self) {
        if let Some(jobs) = self.jobs.take() {
            jobs.send(Job::Finish).ok();
        }
    }
}

impl DiskThreads {
    /// Waits until everything handed in is on disk and the threads have ended.
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has said so on its way out.
            thread.join().ok();
        }
    }
}

impl Writer {
    fn work(mut self, incoming: &Receiver<Job>) {
        // Ends when nobody can send any more: the replica's thread is done, and so is the store's.
        while let Ok(first) = incoming.recv() {
            let batch = std::iter::once(first).chain(incoming.try_iter().take(MAX_DISK_JOBS));
            if let Err(reason) = self.write(batch) {
                if let Some(signer) = &mut self.signer {
                    signer.flush_failed();
                }
                let kind = InputKind::DiskFailed(reason);
                self.inbox.push(Lane::Express, NodeInput { kind, held: None });
                return;
            }
        }
    }

    /// Appends all of `batch`, syncs once, then releases what waited for that.
    fn write(&mut self, batch: impl Iterator<Item = Job>) -> Result<(), String> {
        let mut retired = None;
        for job in batch {
            match job {
                Job::Run(command) => self.append(command)?,
                Job::Repeat => self.repeat()?,
                Job::Retire(height) => retired = retired.max(Some(height)),
                Job::Finish => self.store = None,
            }
        }
        self.sync()?;
        for block in std::mem::take(&mut self.blocks) {
            self.accept_lost_votes(&block)?;
            let synced = self.files.synced_sequence();
            if let Some(store) = &self.store {
                // The store's thread is gone only after it said why.
                store.send((block, synced)).ok();
            }
        }
        match retired {
            Some(height) => self.files.retire(height).map(drop).map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }

    fn append(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Write { seq, record } => {
                self.files.append(&record).map_err(|e| e.to_string())?;
                self.wrote(seq);
            }
            Command::Commit { seq, block } => {
                let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
                self.files.append(&JournalRecord::Block(sealed)).map_err(|e| e.to_string())?;
                self.wrote(seq);
                self.hear_commit(&block);
                self.blocks.push(block);
            }
            Command::Apply(block) => self.blocks.push(block),
            Command::Sign { seq, request } => self.ask_signer(seq, request),
            Command::OwnHeard { height, epoch } => self.guard.heard((height, epoch)),
            Command::OwnSaid(said) => self.hear(said.as_said()),
            Command::KeyElsewhere => {
                self.signer.iter_mut().for_each(Signer::fall_silent);
                self.guard.key_is_elsewhere();
            }
            Command::SignerBlock { txids, closed } => self.tell_signer(&txids, closed),
            Command::Send { .. }
            | Command::Serve { .. }
            | Command::CheckBlocks { .. }
            | Command::Broadcast(_)
            | Command::Fault { .. }
            | Command::ComputeVdf { .. }
            | Command::Claim(_)
            | Command::Notify(_) => {}
        }
        Ok(())
    }

    /// Something that the key signed, wherever.
    fn hear(&mut self, said: Said<'_>) {
        if self.signer.as_mut().is_some_and(|signer| signer.hears(said)) {
            self.guard.key_is_elsewhere();
        }
    }

    /// A commit may hold what the key signed since the log was copied.
    fn hear_commit(&mut self, block: &CommittedBlock) {
        let vote = self.signer.as_ref().and_then(|signer| block.precommit_of(&signer.public_key()));
        vote.iter().for_each(|vote| self.hear(Said::Bft(vote)));
    }

    /// The block is on disk: it may say from where a signer without its log can sign.
    fn accept_lost_votes(&mut self, block: &CommittedBlock) -> Result<(), String> {
        let Some((height, epoch)) = self.guard.floor_behind(&block.changes.state) else { return Ok(()) };
        let Some(signer) = &mut self.signer else { return Ok(()) };
        let rewritten = signer.accept_lost_votes(height, epoch).map_err(|e| e.to_string())?;
        self.signed = self.signed.max(rewritten.seq);
        self.files.replace_votes(rewritten.bytes);
        self.is_dirty = true;
        self.sync()?;
        self.guard.accepted((height, epoch));
        Ok(())
    }

    fn wrote(&mut self, seq: WriteSeq) {
        self.written = seq;
        self.is_dirty = true;
    }

    fn ask_signer(&mut self, seq: WriteSeq, request: SignRequest) {
        self.wrote(seq);
        let Some(signer) = &mut self.signer else { return };
        match signer.request(request.clone()) {
            Ok(appended) => {
                self.signed = self.signed.max(appended.seq);
                self.files.append_votes(&appended.bytes);
            }
            Err(reason) => {
                let refused = Input::Refused { request, reason };
                self.inbox.push(Lane::Express, NodeInput::replica(refused));
            }
        }
    }

    fn tell_signer(&mut self, txids: &[Txid], closed: Option<Epoch>) {
        let Some(signer) = &mut self.signer else { return };
        signer.archived(txids);
        if let Some(rewritten) = closed.and_then(|epoch| signer.epoch_closed(epoch)) {
            self.signed = self.signed.max(rewritten.seq);
            self.files.replace_votes(rewritten.bytes);
            self.is_dirty = true;
        }
    }

    fn repeat(&self) -> Result<(), String> {
        let signed = self.signer.as_ref().map(Signer::repeat).unwrap_or_default();
        let inputs = own_messages(&self.verifier, signed).map_err(|e| format!("votes.log: {e}"))?;
        self.inbox.push_all(Lane::Express, inputs.into_iter().map(NodeInput::replica));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(());
        }
        self.files.sync().map_err(|e| e.to_string())?;
        let released = self.signer.as_mut().map(|signer| signer.flushed(self.signed)).unwrap_or_default();
        let mut inputs = own_messages(&self.verifier, released).map_err(|e| e.to_string())?;
        inputs.push(Input::Flushed(self.written));
        self.inbox.push_all(Lane::Express, inputs.into_iter().map(NodeInput::replica));
        Ok(())
    }
}

/// Signatures as inputs: checked like anybody's.
///
/// # Errors
/// [`VerifyError`]: the signer signed what nobody would take, which is a defect.
fn own_messages(verifier: &Verifier, signed: Vec<SignedMessage>) -> Result<Vec<Input>, VerifyError> {
    let check = |message| {
        let own = match message {
            SignedMessage::Votes(batch) => OwnMessage::Votes(Arc::new(verifier.vote_batch(batch)?)),
            SignedMessage::Proposal(proposal) => OwnMessage::Proposal(Arc::new(verifier.proposal(proposal)?)),
            SignedMessage::Bft(vote) => OwnMessage::Bft(Arc::new(verifier.bft_vote(vote)?)),
        };
        Ok(Input::Signed(own))
    };
    signed.into_iter().map(check).collect()
}

/// Applies blocks as they come, all that are there at once.
fn store_blocks(mut sink: impl BlockSink, blocks: &Receiver<StoreJob>, retire: &SyncSender<Job>, inbox: &Arc<Inbox>) {
    while let Ok(first) = blocks.recv() {
        let batch: Vec<StoreJob> = std::iter::once(first).chain(blocks.try_iter().take(MAX_STORED_TOGETHER)).collect();
        let Some(last) = batch.last().map(|(block, _)| block.changes.height) else { continue };
        if let Err(reason) = sink.apply(&batch) {
            inbox.push(Lane::Express, NodeInput { kind: InputKind::DiskFailed(reason), held: None });
            return;
        }
        inbox.push(Lane::Express, NodeInput { kind: InputKind::Stored(last), held: None });
        // The writing thread is gone only after it failed, and has said so.
        retire.send(Job::Retire(last)).ok();
    }
}
