//! Starting a node and stopping it: everything opened in order, joined, and closed in the opposite order.

use super::beacon::BeaconWorker;
use super::check::BlockChecker;
use super::core::{Core, CoreError, Wire};
use super::disk::{DiskHandle, DiskThreads};
use super::feed::Feed;
use super::handle::{NodeHandle, Parts};
use super::history::{HistoryServer, HistoryWire};
use super::input::{Held, Inbox, NodeInput};
use super::keeper::Keeper;
use super::lanes::Lane;
use super::options::{NodeOptions, StartError};
use super::startup::Startup;
use super::verify::{FaultSink, Standing, VerifyStage, VerifyThreads};
use super::view::View;
use super::votes::{self, OpenedVotes, VotesError, VotesOptions};
use super::{clock, clock_watch, join, lanes, masternode_links};
use crate::chain::spec::Chain;
use crate::config::SyncMode;
use crate::ledger::VerifiedTx;
use crate::ledger::state::ChainState;
use crate::ledger::verify::Verifier;
use crate::network::{Disk, Event as NetworkEvent, Handle as NetworkHandle, Network, Settings};
use crate::replica::{Input, Message, PeerId, Recovery, Replica, ReplicaConfig};
use crate::signer::Signer;
use crate::storage::files::DiskFiles;
use crate::storage::mempool_file;
use crate::storage::recovery::{self, DataDirectory, DirectoryError};
use crate::storage::sled_store::{SledStore, StoreOptions};
use crate::storage::store::{Archive, StoreError};
use crate::storage::write_ahead::WriteAhead;
use crate::types::hash::BlockHash;
use crate::types::keys::PublicKey;
use crate::types::number::Height;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// Bytes of the operating system's randomness behind the replica's choices.
const SEED_BYTES: usize = 32;

/// A node that runs.
pub struct Node {
    handle: NodeHandle,
    network: Network,
    inbox: Arc<Inbox>,
    verify: VerifyThreads,
    disk: DiskThreads,
    core: JoinHandle<()>,
    ended: oneshot::Receiver<Result<Vec<VerifiedTx>, CoreError>>,
    files: Arc<DiskFiles>,
    pump: tokio::task::JoinHandle<()>,
    background: TaskTracker,
    _directory: crate::storage::lock::DirectoryLock,
}

/// The index cannot be read while somebody waits for the answer: nothing could be answered rightly.
fn stop_at_once(error: &StoreError) -> ! {
    error!(%error, "the node cannot go on");
    std::process::abort()
}

impl Node {
    /// Opens the data directory, goes on where it says the node was, and joins the network.
    ///
    /// # Errors
    /// [`StartError`]: nothing has been signed or promised.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        Self::start_telling(options, &Startup::default()).await
    }

    /// The same; `startup` says meanwhile what takes so long.
    ///
    /// # Errors
    /// [`StartError`]: nothing has been signed or promised.
    pub async fn start_telling(options: NodeOptions, startup: &Startup) -> Result<Self, StartError> {
        let verifier = Arc::new(Verifier::new(options.chain.clone()));
        let files = Arc::new(DiskFiles::new(&options.data_dir));
        if options.sync == SyncMode::Snapshot {
            join::run(&options, &files, &verifier, startup).await?;
        }
        startup.set("opening the database");
        let open = Opening {
            chain: options.chain.clone(),
            cache_bytes: options.cache_bytes,
            verifier: Arc::clone(&verifier),
            startup: startup.clone(),
        };
        let opened = Arc::clone(&files);
        // It can take minutes, and a signal is to be heard meanwhile.
        let directory =
            tokio::task::spawn_blocking(move || open.run(&opened)).await.map_err(std::io::Error::other)??;
        let DataDirectory { store, mut log, state, records, votes, lock } = directory;
        let view = Arc::new(View::new(state.clone()));
        let OpenedVotes { signer, bft, guard } = open_votes(&options, &files, &state, votes, &mut log)?;
        let (prover, signing, shown) = (signer.as_ref().map(Signer::link_prover), guard.state(), guard.state());
        let key = signer.as_ref().map(Signer::public_key);
        let config = ReplicaConfig {
            chain: options.chain.clone(),
            key,
            seed: rand::random::<[u8; SEED_BYTES]>(),
            pool: options.pool,
            listens: true,
        };
        let recovery = Recovery { state, journal: records, signer: bft };
        check_checkpoint(&store, options.checkpoint)?;
        let (mut replica, first) = Replica::open(config, Arc::clone(&verifier), store.clone(), recovery, clock::now())?;
        if let Some((height, hash)) = options.checkpoint {
            replica.trust(height, hash);
        }
        view.restore(replica.ledger());
        let height = replica.ledger().tip().height();
        info!(height = height.get(), masternode = key.map(|key| key.to_string()), "opened");

        let inbox: Arc<Inbox> = Arc::new(lanes::Lanes::default());
        let mut settings = Settings::new(options.chain.id(), options.node_key);
        settings.prover.clone_from(&prover);
        settings.listen = options.listen;
        settings.advertise = options.advertise;
        settings.seeds = options.seeds;
        settings.fault_ban = options.ban;
        settings.disk = Some(Disk(files.clone()));
        settings.max_links = options.max_peers;
        settings.max_inbound_per_ip = options.max_inbound_per_ip;
        let (network, events) = Network::start(settings).await?;
        network.handle().set_tip(height);
        let (stage, verify) = VerifyStage::start(Arc::clone(&verifier), Arc::clone(&inbox), faults(network.handle()))?;
        match mempool_file::load(&*files) {
            Ok(txs) => stage.restore(txs),
            Err(error) => warn!(%error, "transactions that were not final are forgotten"),
        }
        let pump = tokio::spawn(pump(events, Arc::clone(&stage), Arc::clone(&inbox), Arc::clone(&view)));
        let stop = CancellationToken::new();
        let sink = Keeper::new(Arc::clone(&store), options.keep, options.chain.clone(), stop.clone());
        let (disk, disk_threads) =
            DiskHandle::start(log, (signer, guard), Arc::clone(&verifier), Arc::clone(&inbox), sink)?;
        let beacon = BeaconWorker::start(Arc::clone(&inbox), files.clone(), options.chain.slot_ms)?;
        let history = HistoryServer::start(store.clone(), Links(network.handle()))?;
        let feed = Arc::new(Feed::default());
        let (tolerated_ms, checking) = (options.chain.clock_tolerance_ms, Arc::clone(&verifier));
        let handle = NodeHandle::new(Parts {
            chain: options.chain,
            masternode: key,
            signing,
            pool: options.pool,
            data_dir: options.data_dir,
            view: Arc::clone(&view),
            feed: Arc::clone(&feed),
            archive: store as Arc<dyn Archive>,
            verifier,
            stage,
            inbox: Arc::clone(&inbox),
            network: network.handle(),
            beacon: beacon.progress(),
            stop,
        });
        let background = TaskTracker::new();
        let (watched, watch_stop) = (Arc::clone(&view), handle.stopping().clone());
        let watch = clock_watch::run(network.handle(), watched, tolerated_ms, Arc::clone(&inbox), watch_stop);
        background.spawn(watch);
        if let Some(key) = key {
            let draw = masternode_links::Draw::new(key, rand::random::<[u8; SEED_BYTES]>());
            let (view, blocks, stop) = (Arc::clone(&view), feed.listen(), handle.stopping().clone());
            background.spawn(masternode_links::run(draw, view, blocks, network.handle(), stop));
        }
        let wire = Links(network.handle());
        let checker = BlockChecker::start(checking, Arc::clone(&inbox))?;
        let inbox_of_core = Arc::clone(&inbox);
        let core = Core {
            replica,
            inbox: inbox_of_core,
            disk,
            wire,
            history,
            checker,
            beacon,
            prover,
            signing: shown,
            view,
            feed,
        };
        let (tell, ended) = oneshot::channel();
        let stop = handle.stopping().clone();
        let core = std::thread::Builder::new().name("replica".to_owned()).spawn(move || {
            let outcome = core.run(first);
            // The node may have been dropped.
            tell.send(outcome).ok();
            stop.cancel();
        })?;
        let disk = disk_threads;
        Ok(Self { handle, network, inbox, verify, disk, core, ended, files, pump, background, _directory: lock })
    }

    /// The node as its users reach it.
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }

    /// Stops: no more inputs, then what is under way, then the disk.
    ///
    /// # Errors
    /// [`CoreError`] if the node had already stopped by itself.
    pub async fn stop(self) -> Result<(), CoreError> {
        self.handle.stop();
        self.background.close();
        self.background.wait().await;
        self.network.stop().await;
        self.pump.abort();
        let Self { inbox, verify, disk, core, ended, files, _directory, .. } = self;
        let joined = tokio::task::spawn_blocking(move || {
            verify.stop();
            inbox.close();
            // A thread that panicked has said so on its way out.
            core.join().ok();
            disk.join();
        });
        joined.await.ok();
        let silent = || CoreError::Disk("the replica's thread ended without a word".to_owned());
        let not_final = ended.await.unwrap_or_else(|_| Err(silent()))?;
        if let Err(error) = mempool_file::save(&*files, not_final.iter().map(|tx| tx.tx())) {
            warn!(%error, "transactions that are not final will be forgotten");
        }
        Ok(())
    }
}

/// What a data directory is opened with.
struct Opening {
    chain: Chain,
    cache_bytes: u64,
    verifier: Arc<Verifier>,
    startup: Startup,
}

impl Opening {
    fn run(&self, files: &Arc<DiskFiles>) -> Result<DataDirectory, DirectoryError> {
        let verifier = || Arc::clone(&self.verifier);
        let store = || StoreOptions::new(self.chain.clone(), verifier(), self.cache_bytes, stop_at_once);
        let mut last = std::time::Instant::now();
        let mut progress = |height: Height| {
            if last.elapsed() >= Duration::from_secs(2) {
                last = std::time::Instant::now();
                info!(height = height.get(), "the database catches up with blocks/");
                self.startup.set(format!("the database catches up with blocks/, at height {height}"));
            }
        };
        match recovery::open(files.clone(), store(), &mut progress) {
            Err(error) if error.is_repairable() => {
                warn!(%error, "making the database anew");
                let repaired = recovery::repair(files.clone(), store(), &mut progress)?;
                let put_away = repaired.put_away.unwrap_or_default();
                warn!(height = repaired.height.get(), put_away, "the database has been made anew");
                recovery::open(files.clone(), store(), &mut progress)
            }
            opened => opened,
        }
    }
}

/// What is on disk has to have the block that the operator knows of.
fn check_checkpoint(store: &SledStore, checkpoint: Option<(Height, BlockHash)>) -> Result<(), StartError> {
    let Some((height, expected)) = checkpoint else { return Ok(()) };
    let found = match store.header(height) {
        // It began with a snapshot of a later block, whose sets lead back to genesis past the checkpoint's.
        Err(StoreError::Pruned { .. }) => return Ok(()),
        found => found?,
    };
    match found.map(|header| header.hash).filter(|found| *found != expected) {
        Some(found) => Err(StartError::Checkpoint { height, found, expected }),
        None => Ok(()),
    }
}

fn open_votes(
    options: &NodeOptions,
    files: &DiskFiles,
    state: &ChainState,
    votes: Option<Vec<u8>>,
    log: &mut WriteAhead,
) -> Result<OpenedVotes, VotesError> {
    let (key, word) = (options.masternode_key.clone(), options.accept_lost_votes);
    votes::open(&VotesOptions { chain: &options.chain, key, word }, files, state, votes, log)
}

/// A peer that proves itself faulty is cut off and kept out.
fn faults(network: NetworkHandle) -> FaultSink {
    Arc::new(move |peer, fault| {
        warn!(peer = peer.0, %fault, "a peer is at fault");
        network.punish(peer, &fault.to_string());
    })
}

/// Hands on what peers say, and who they are: a key that anybody can make for himself counts for nothing.
async fn pump(mut events: mpsc::Receiver<NetworkEvent>, stage: Arc<VerifyStage>, inbox: Arc<Inbox>, view: Arc<View>) {
    let mut keys: BTreeMap<PeerId, PublicKey> = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match event {
            NetworkEvent::Connected { peer, info } => {
                info!(peer = peer.0, address = %info.address, masternode = info.masternode.is_some(), "connected");
                keys.extend(info.masternode.map(|key| (peer, key)));
                inbox.push(Lane::Express, NodeInput::replica(Input::Connected { peer, key: info.masternode }));
            }
            NetworkEvent::Message { peer, message, size: _, allowance } => {
                let is_registered = |key| view.tip().registry.by_key(key).is_some_and(|record| !record.slashed);
                let standing = match keys.get(&peer).is_some_and(is_registered) {
                    true => Standing::Masternode,
                    false => Standing::Stranger,
                };
                stage.message(peer, standing, message, Held::Link(allowance));
            }
            NetworkEvent::Disconnected { peer, reason } => {
                info!(peer = peer.0, %reason, "disconnected");
                keys.remove(&peer);
                inbox.push(Lane::Express, NodeInput::replica(Input::Disconnected { peer }));
            }
        }
    }
}

/// Links as the replica's thread sees them.
struct Links(NetworkHandle);

impl Wire for Links {
    fn send(&self, to: PeerId, message: &Arc<Message>) {
        if let Err(error) = self.0.send_message(to, message) {
            error!(%error, "a message was not sent");
        }
    }

    fn punish(&self, peer: PeerId, fault: &str) {
        warn!(peer = peer.0, fault, "a peer is at fault");
        self.0.punish(peer, fault);
    }

    fn broadcast(&self, message: &Arc<Message>) {
        if let Err(error) = self.0.broadcast_message(message) {
            error!(%error, "a message was not sent");
        }
    }

    fn set_tip(&self, height: Height) {
        self.0.set_tip(height);
    }
}

impl HistoryWire for Links {
    fn send(&self, to: PeerId, message: &Arc<Message>) {
        Wire::send(self, to, message);
    }

    fn unread_bytes(&self, peer: PeerId) -> usize {
        self.0.unread_bytes(peer)
    }
}
