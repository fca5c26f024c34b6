//! Beginning with a snapshot: before there is a replica, a [`Joiner`] fetches and proves one, over links of its own.
//!
//! What it leaves in the data directory is what the node then starts from, like any other time. Killed on the way, it goes
//! on with the chunks that are there.

use super::clock;
use super::options::{NodeOptions, StartError};
use super::startup::Startup;
use crate::chain::spec::Chain;
use crate::ledger::snapshot::Manifest;
use crate::ledger::verify::Verifier;
use crate::limits::{JOIN_TICK, MAX_JOIN_INPUTS};
use crate::network::{Allowance, Disk, Event, Handle, Network, Settings};
use crate::replica::join::{Completion, JoinCommand, JoinInput, JoinProgress, Joiner};
use crate::replica::{PeerId, SealedHeader};
use crate::storage::block_files::BLOCKS_DIRECTORY;
use crate::storage::epochs_file::EpochEnds;
use crate::storage::files::{DiskFiles, FileError, Files};
use crate::storage::lock::DirectoryLock;
use crate::storage::recovery;
use crate::storage::sled_store::INDEX_DIRECTORY;
use crate::storage::snapshots::{PartialSnapshot, Snapshots};
use crate::types::hash::BlockHash;
use crate::types::number::{Epoch, Height};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

/// Lines about progress come this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How the thread that joins ends.
enum Outcome {
    /// A proved snapshot is in the data directory.
    Joined,
    /// Nobody offers one.
    NobodyHasOne,
    /// Nobody waits any more.
    Abandoned,
}

/// What reaches the thread, with what its sender holds until it is dealt with.
type Arrived = (JoinInput, Option<Allowance>);

/// Fetches a snapshot into a data directory that holds nothing of the chain yet. Where peers have none, that is said and the
/// chain comes block by block.
///
/// # Errors
/// [`StartError`]. What was fetched stays.
pub async fn run(
    options: &NodeOptions,
    files: &Arc<DiskFiles>,
    verifier: &Arc<Verifier>,
    startup: &Startup,
) -> Result<(), StartError> {
    let lock = DirectoryLock::acquire(files.root()).map_err(recovery::DirectoryError::from)?;
    recovery::check_chain(&**files, &options.chain)?;
    if !is_new(&**files).map_err(recovery::DirectoryError::from)? {
        info!("the data directory has a chain or a snapshot: none is fetched");
        return Ok(());
    }
    info!("looking for a snapshot to begin with");
    let mut settings = Settings::new(options.chain.id(), options.node_key.clone());
    settings.seeds = options.seeds.clone();
    settings.fault_ban = options.ban;
    settings.disk = Some(Disk(files.clone()));
    settings.max_links = options.max_peers;
    let (network, events) = Network::start(settings).await?;
    let (arrive, arrived) = sync_channel(MAX_JOIN_INPUTS);
    let snapshots = Snapshots::new(Arc::clone(files) as Arc<dyn Files>);
    let epochs = EpochEnds::open(Arc::clone(files) as Arc<dyn Files>).map_err(recovery::DirectoryError::from)?;
    let chain = (options.chain.clone(), options.checkpoint);
    let work = Work::new((snapshots, epochs), (network.handle(), startup.clone()), chain, verifier)?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        // Who waits may have gone.
        tell.send(work.run(&arrived)).ok();
    })?;
    let pumped = tokio::spawn(pump(events, arrive));
    let outcome = told.await;
    pumped.abort();
    network.stop().await;
    drop(lock);
    match outcome {
        Ok(Ok(Outcome::Joined)) => Ok(()),
        Ok(Ok(Outcome::NobodyHasOne)) => {
            warn!("no peer has a snapshot: every block from genesis on is fetched instead");
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(Outcome::Abandoned)) | Err(_) => Err(std::io::Error::other("the join ended without a word").into()),
    }
}

/// Whether nothing of the chain is here.
fn is_new(files: &dyn Files) -> Result<bool, FileError> {
    let is_empty = |directory: &str| files.list(directory).map(|names| names.is_empty());
    // A snapshot that is whole is begun from without asking anybody.
    let is_whole = |name: &String| name.ends_with(".manifest");
    let has_snapshot = files.list(crate::storage::snapshots::SNAPSHOTS_DIRECTORY)?.iter().any(is_whole);
    Ok(is_empty(BLOCKS_DIRECTORY)? && is_empty(INDEX_DIRECTORY)? && !has_snapshot)
}

/// Hands on what peers say. Who says more than is dealt with waits, and nobody else: each has an allowance.
async fn pump(mut events: mpsc::Receiver<Event>, arrive: SyncSender<Arrived>) {
    while let Some(event) = events.recv().await {
        let mut arrived = match event {
            Event::Connected { peer, info } => {
                info!(peer = peer.0, address = %info.address, "connected");
                (JoinInput::Connected(peer), None)
            }
            Event::Message { peer, message, allowance, .. } => {
                (JoinInput::Message { from: peer, message }, Some(allowance))
            }
            Event::Disconnected { peer, reason } => {
                info!(peer = peer.0, %reason, "disconnected");
                (JoinInput::Disconnected(peer), None)
            }
        };
        loop {
            match arrive.try_send(arrived) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => arrived = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            tokio::time::sleep(JOIN_TICK).await;
        }
    }
}

/// Everything the thread owns.
struct Work {
    joiner: Joiner,
    snapshots: Snapshots,
    epochs: EpochEnds,
    partial: Option<PartialSnapshot>,
    network: Handle,
    startup: Startup,
    told: Instant,
    nobody_has_one: bool,
}

impl Work {
    fn new(
        (snapshots, epochs): (Snapshots, EpochEnds),
        (network, startup): (Handle, Startup),
        (chain, checkpoint): (Chain, Option<(Height, BlockHash)>),
        verifier: &Arc<Verifier>,
    ) -> Result<Self, StartError> {
        let kept = Self::kept(&snapshots, &epochs).map_err(recovery::DirectoryError::from)?;
        let joiner = Joiner::new(chain, Arc::clone(verifier), checkpoint, kept).map_err(std::io::Error::other)?;
        let (told, nobody_has_one) = (Instant::now(), false);
        Ok(Self { joiner, snapshots, epochs, partial: None, network, startup, told, nobody_has_one })
    }

    /// What an earlier run left.
    fn kept(snapshots: &Snapshots, epochs: &EpochEnds) -> Result<(Vec<SealedHeader>, Option<Manifest>), FileError> {
        let ends = (0..epochs.next_epoch().get()).map(|epoch| epochs.get(Epoch::new(epoch)));
        let ends: Vec<Option<SealedHeader>> = ends.collect::<Result<_, FileError>>()?;
        Ok((ends.into_iter().flatten().collect(), PartialSnapshot::begun(snapshots)?))
    }

    fn run(mut self, arrived: &Receiver<Arrived>) -> Result<Outcome, StartError> {
        loop {
            let (input, held) = match arrived.recv_timeout(JOIN_TICK) {
                Ok(arrived) => arrived,
                Err(RecvTimeoutError::Timeout) => (JoinInput::Tick, None),
                Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::Abandoned),
            };
            self.step(input).map_err(recovery::DirectoryError::from)?;
            drop(held);
            self.tell();
            if self.joiner.progress() == JoinProgress::Done {
                return Ok(Outcome::Joined);
            }
            if self.nobody_has_one {
                return Ok(Outcome::NobodyHasOne);
            }
        }
    }

    /// One input, and what follows from it.
    fn step(&mut self, input: JoinInput) -> Result<(), FileError> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for command in self.joiner.step(clock::now(), input) {
                inputs.extend(self.execute(command)?);
            }
        }
        Ok(())
    }

    fn execute(&mut self, command: JoinCommand) -> Result<Option<JoinInput>, FileError> {
        match command {
            JoinCommand::Send { to, message } => {
                if let Err(error) = self.network.send_message(to, &Arc::new(message)) {
                    warn!(%error, "a message was not sent");
                }
            }
            JoinCommand::Fault { peer: PeerId(peer), what } => {
                warn!(peer, fault = what, "a peer is at fault");
                self.network.punish(PeerId(peer), what);
            }
            JoinCommand::KeepEpoch(end) => self.epochs.push(&end)?,
            JoinCommand::ForgetEpochs => self.epochs.clear()?,
            JoinCommand::Begin(manifest) => {
                let (height, bytes, chunks) = (manifest.height().get(), manifest.chunk_bytes(), manifest.chunks.len());
                let partial = PartialSnapshot::open(&self.snapshots, manifest)?;
                let held = partial.held();
                info!(height, bytes, chunks, held, "fetching a snapshot");
                self.partial = Some(partial);
                return Ok(Some(JoinInput::Held(held)));
            }
            JoinCommand::Append(chunk) => {
                if let Some(partial) = &mut self.partial {
                    partial.append(&chunk)?;
                }
            }
            JoinCommand::Complete(checked) => {
                let Some(partial) = self.partial.take() else { return Ok(None) };
                let (outcome, height) = (partial.complete(&checked)?, checked.manifest().height().get());
                match outcome {
                    Completion::Proved => info!(height, "the snapshot is proved"),
                    Completion::WrongState => warn!(height, "the snapshot is not the state of its block: refused"),
                    Completion::Damaged => warn!(height, "the disk changed what was put there: fetched again"),
                }
                return Ok(Some(JoinInput::Completed(outcome)));
            }
            JoinCommand::NobodyHasOne => self.nobody_has_one = true,
        }
        Ok(None)
    }

    /// What RPC says, and a line now and then.
    fn tell(&mut self) {
        let progress = self.joiner.progress();
        self.startup.set(match &progress {
            JoinProgress::Epochs(epoch) => format!("following the sets of validators to a snapshot, at epoch {epoch}"),
            JoinProgress::Offers => "waiting for offers of snapshots".to_owned(),
            JoinProgress::Chunks { height, held, chunks, .. } => {
                format!("fetching the snapshot of block {height}, {held} of {chunks} chunks are here")
            }
            JoinProgress::Proving | JoinProgress::Done => "proving a snapshot".to_owned(),
        });
        if self.told.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.told = Instant::now();
        match progress {
            JoinProgress::Epochs(epoch) => info!(epoch = epoch.get(), "following the sets of validators"),
            JoinProgress::Offers => info!("waiting for offers of snapshots"),
            JoinProgress::Chunks { height, held, chunks, .. } => {
                info!(height = height.get(), held, chunks, "fetching a snapshot");
            }
            JoinProgress::Proving | JoinProgress::Done => {}
        }
    }
}
