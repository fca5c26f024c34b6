//! The thread that runs the replica: takes what arrived, steps, does what the replica says, shows what happened.
//!
//! Nothing here waits for a peer or a user. It waits for the disk only when more writes are under way than the disk's
//! queue holds.

use super::beacon::BeaconWorker;
use super::check::BlockChecker;
use super::clock;
use super::disk::DiskHandle;
use super::feed::Feed;
use super::history::HistoryServer;
use super::input::{Inbox, InputKind, NodeInput, Question};
use super::lanes::Taken;
use super::signing::SigningState;
use super::view::{Gauges, View};
use crate::ledger::{Stage, Submission, VerifiedTx};
use crate::limits::{BUSY_STEP_INPUTS, BUSY_STEP_INTERVAL, MAX_STEP_INPUTS, STRANGERS_SHARE, STRANGERS_STEP_WEIGHT};
use crate::replica::{Command, CommittedBlock, Event, Input, Message, PeerId, Replica};
use crate::signer::LinkProver;
use crate::types::number::{Height, TimeMs};
use std::sync::Arc;
use std::time::Instant;
use tracing::{debug, error, info, trace, warn};

/// The way out to other nodes. Neither call waits.
pub trait Wire: Send {
    /// To one peer, if it is still there.
    fn send(&self, to: PeerId, message: &Arc<Message>);
    /// A peer is provably at fault.
    fn punish(&self, peer: PeerId, fault: &str);
    /// To every peer.
    fn broadcast(&self, message: &Arc<Message>);
    /// What peers that connect are told about the tip.
    fn set_tip(&self, height: Height);
}

/// Everything the thread owns.
pub struct Core<W> {
    /// The protocol.
    pub replica: Replica,
    /// What reaches it.
    pub inbox: Arc<Inbox>,
    /// Journal, `votes.log`, signer and store.
    pub disk: DiskHandle,
    /// Other nodes.
    pub wire: W,
    /// The past, for whoever asks.
    pub history: HistoryServer,
    /// Checks blocks of the past.
    pub checker: BlockChecker,
    /// The delay function.
    pub beacon: BeaconWorker,
    /// The masternode's key, where it promises nothing; `None` for an observer.
    pub prover: Option<LinkProver>,
    /// Whether this node signs.
    pub signing: Arc<SigningState>,
    /// What users see.
    pub view: Arc<View>,
    /// What users hear.
    pub feed: Arc<Feed>,
}

/// Why the thread ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// The disk failed. What it has is unknown, so nothing more may be signed or promised by this process.
    #[error("{0}")]
    Disk(String),
}

impl<W: Wire> Core<W> {
    /// Runs until the inbox is closed and empty; `first` is what the replica wanted done when it was opened. Returns the
    /// transactions that are not final, which nothing on disk remembers.
    ///
    /// # Errors
    /// [`CoreError`] if the node cannot go on.
    pub fn run(mut self, first: Vec<Command>) -> Result<Vec<VerifiedTx>, CoreError> {
        let outcome = self.work(first).map(|()| self.not_final());
        self.disk.close();
        self.history.stop();
        self.checker.stop();
        self.beacon.stop();
        outcome
    }

    fn work(&mut self, first: Vec<Command>) -> Result<(), CoreError> {
        if let Some(before) = self.replica.epoch().previous() {
            // What the signer remembers of epochs that have closed is void.
            self.disk.run(Command::SignerBlock { txids: Arc::default(), closed: Some(before) });
        }
        self.execute(clock::now(), first);
        self.view.set_gauges(Gauges::of(&self.replica));
        self.disk.repeat_signed();
        // When strangers have their turn: they get a share of this thread's time, however much they ask for.
        let mut turn = Instant::now();
        loop {
            let turn_in = turn.saturating_duration_since(Instant::now());
            let (share, wait) = match turn_in.is_zero() {
                true => (STRANGERS_STEP_WEIGHT, clock::until(self.replica.next_wake())),
                false => (0, clock::until(self.replica.next_wake()).min(turn_in)),
            };
            let taken = self.inbox.take(MAX_STEP_INPUTS, share, Some(wait));
            let Taken::Items { items, of_strangers } = taken else { return Ok(()) };
            let mut inputs = Vec::with_capacity(items.len().max(1));
            let mut questions = Vec::new();
            let mut holds = Vec::new();
            let (now, started) = (clock::now(), Instant::now());
            for NodeInput { kind, held } in items {
                holds.extend(held);
                match kind {
                    InputKind::Replica(input) => inputs.push(input),
                    InputKind::Stored(height) => {
                        inputs.push(Input::Applied(height));
                        self.view.stored(height);
                    }
                    InputKind::Submit { txs, answer } => {
                        let outcome = self.submit(txs, &mut inputs);
                        // Who asked may have hung up.
                        answer.send(Ok(outcome)).ok();
                    }
                    InputKind::Question(question) => questions.push(question),
                    InputKind::DiskFailed(reason) => return Err(CoreError::Disk(reason)),
                }
            }
            if inputs.is_empty() {
                inputs.push(Input::Tick);
            }
            let commands = self.replica.step_all(now, inputs);
            self.execute(now, commands);
            self.view.set_gauges(Gauges::of(&self.replica));
            self.answer(questions);
            let is_busy = holds.len() >= BUSY_STEP_INPUTS;
            drop(holds);
            if of_strangers > 0 {
                turn = Instant::now() + started.elapsed() * (STRANGERS_SHARE - 1);
            }
            if is_busy {
                // Lets more arrive: what many small steps cost grows with their number, and so does the wait for a core.
                std::thread::sleep(BUSY_STEP_INTERVAL.saturating_sub(started.elapsed()));
            }
        }
    }

    fn not_final(&self) -> Vec<VerifiedTx> {
        let open = self.replica.ledger().entries().filter(|(_, entry)| entry.stage < Stage::Certified);
        open.map(|(_, entry)| Arc::clone(&entry.tx)).collect()
    }

    /// What will become of these, as far as can be said before they are taken in.
    fn submit(&self, txs: Vec<VerifiedTx>, inputs: &mut Vec<Input>) -> Submission {
        let mut outcome = Submission::Known;
        for tx in txs {
            outcome = self.replica.ledger().test(&tx);
            inputs.push(Input::Submit(tx));
        }
        outcome
    }

    fn answer(&self, questions: Vec<Question>) {
        questions.into_iter().for_each(|question| question(&self.replica));
    }

    fn execute(&mut self, now: TimeMs, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Send { to, message } => self.wire.send(to, &message),
                Command::Serve { to, request } => self.history.serve(to, request),
                Command::CheckBlocks { from, blocks } => self.checker.check(from, blocks),
                Command::Fault { peer, what } => self.wire.punish(peer, what),
                Command::Broadcast(message) => self.wire.broadcast(&message),
                // Who does not sign is in nobody's way, and has nothing to ask.
                Command::Claim(claim) => {
                    let prover = self.prover.as_ref().filter(|_| self.signing.get().is_under_way());
                    let present = prover.map(|prover| prover.present(claim));
                    present.into_iter().for_each(|word| self.wire.broadcast(&Arc::new(Message::Presence(word))));
                }
                Command::ComputeVdf { seed, iterations } => self.beacon.compute(seed, iterations),
                Command::Notify(event) => self.notify(now, event),
                Command::Commit { seq, block } => {
                    self.view.add_block(now, Arc::clone(&block));
                    self.disk.run(Command::Commit { seq, block });
                }
                Command::Apply(block) => self.apply(now, block),
                Command::Write { .. }
                | Command::Sign { .. }
                | Command::OwnHeard { .. }
                | Command::OwnSaid(_)
                | Command::KeyElsewhere
                | Command::SignerBlock { .. } => self.disk.run(command),
            }
        }
    }

    /// A block that the journal had before this run: users see it at once.
    fn apply(&mut self, now: TimeMs, block: Arc<CommittedBlock>) {
        let told = Event::BlockCommitted {
            height: block.changes.height,
            hash: block.commit.block_hash,
            txids: block.changes.txids.clone(),
        };
        self.view.add_block(now, Arc::clone(&block));
        self.view.tell(now, &told, self.replica.ledger());
        self.disk.run(Command::Apply(block));
    }

    fn notify(&self, now: TimeMs, event: Event) {
        self.view.tell(now, &event, self.replica.ledger());
        log(&event, self.replica.is_behind());
        if let Event::BlockCommitted { height, .. } = &event {
            self.wire.set_tip(*height);
        }
        self.feed.tell(now, event);
    }
}

/// One line for what an operator wants to see pass by.
fn log(event: &Event, is_behind: bool) {
    match event {
        Event::BlockCommitted { height, hash, .. } if is_behind => trace!(height = height.get(), ?hash, "old block"),
        Event::BlockCommitted { height, hash, txids } => {
            info!(height = height.get(), ?hash, transactions = txids.len(), "block");
        }
        Event::ViewChanged { height, view } if view.get() > 0 => {
            warn!(height = height.get(), view = view.get(), "view change");
        }
        Event::Alarm(alarm) => error!(?alarm, "a third of the weight is Byzantine: this node signs nothing any more"),
        Event::Rejected { txid, reason } => debug!(?txid, %reason, "rejected"),
        Event::Admitted(txid) => trace!(?txid, "admitted"),
        Event::Accepted(txid) => trace!(?txid, "accepted"),
        Event::Certified { txid, epoch } => trace!(?txid, epoch = epoch.get(), "certified"),
        Event::Finalized { txid, epoch } => trace!(?txid, epoch = epoch.get(), "final"),
        Event::ViewChanged { .. } => {}
    }
}
