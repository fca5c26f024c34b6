//! Beginning with a snapshot, against peers that serve, stall, go, lie and know another chain.

use super::scene::Scene;
use crate::ledger::snapshot::{CheckedManifest, Manifest, Summing};
use crate::ledger::state::ChainState;
use crate::limits::{JOIN_OFFERS_WAIT_MS, JOIN_RETRY_MS, JOIN_SETTLE_MS};
use crate::replica::join::{Completion, JoinCommand, JoinInput, JoinProgress, Joiner};
use crate::replica::{HistoryRequest, history};
use crate::replica::{Message, PeerId, SealedHeader, Store as _};
use crate::storage::memory::MemoryStore;
use crate::types::hash::BlockHash;
use crate::types::number::{Height, TimeMs};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How a peer behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Serves,
    /// Answers nothing.
    Silent,
    /// Has blocks and no snapshot.
    HasNone,
    /// Changes a byte of every chunk.
    BadChunks,
    /// Offers a snapshot with one more in its queue than the chain has, in chunks that go with its manifest.
    WrongState,
    /// Offers a snapshot of a block that is not there.
    Ahead,
    /// Leaves every second question about chunks unanswered.
    Lossy,
}

/// A world of one joiner and those it is linked to.
struct Net {
    now: u64,
    joiner: Joiner,
    servers: BTreeMap<PeerId, (Manner, MemoryStore)>,
    epochs: Vec<SealedHeader>,
    chunks: Vec<Vec<u8>>,
    begun: Option<Arc<Manifest>>,
    faulty: Vec<PeerId>,
    asked: BTreeMap<PeerId, usize>,
    nobody: bool,
    state: Option<ChainState>,
}

fn store(scene: &Scene, height: u64) -> MemoryStore {
    let (state, utxos) = ChainState::genesis(&scene.chain).unwrap();
    let store = MemoryStore::new(state, utxos);
    scene.blocks[..height as usize].iter().for_each(|block| store.apply(block).unwrap());
    store
}

fn request(message: &Message) -> HistoryRequest {
    match *message {
        Message::GetEpochs { from } => HistoryRequest::Epochs { from },
        Message::GetHeaders { from } => HistoryRequest::Headers { from },
        Message::GetSnapshot { height } => HistoryRequest::Manifest { height },
        Message::GetSnapshotChunk { height, index } => HistoryRequest::Chunk { height, index },
        _ => panic!("a joiner asks for the past only"),
    }
}

impl Net {
    fn new(
        scene: &Scene,
        checkpoint: Option<(Height, BlockHash)>,
        servers: impl IntoIterator<Item = (Manner, u64)>,
    ) -> Self {
        let joiner = Joiner::new(scene.chain.clone(), scene.verifier.clone(), checkpoint, Default::default()).unwrap();
        let servers = servers.into_iter().zip(1..).map(|((manner, height), id)| {
            let store = store(scene, height);
            (PeerId(id), (manner, store))
        });
        let servers: BTreeMap<_, _> = servers.collect();
        let mut net = Self {
            now: 1_000,
            joiner,
            servers,
            epochs: Vec::new(),
            chunks: Vec::new(),
            begun: None,
            faulty: Vec::new(),
            asked: BTreeMap::new(),
            nobody: false,
            state: None,
        };
        net.servers.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| net.step(JoinInput::Connected(id)));
        net
    }

    /// One input and everything that follows from it at once.
    fn step(&mut self, input: JoinInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.joiner.step(TimeMs(self.now), input) {
                match command {
                    JoinCommand::Send { to, message } => inputs.extend(self.answer(to, &message)),
                    JoinCommand::Fault { peer, .. } => {
                        self.faulty.push(peer);
                        self.servers.remove(&peer);
                        inputs.push_back(JoinInput::Disconnected(peer));
                    }
                    JoinCommand::Begin(manifest) => {
                        if self.begun.as_ref() != Some(&manifest) {
                            self.chunks.clear();
                        }
                        self.begun = Some(manifest);
                        inputs.push_back(JoinInput::Held(self.chunks.len()));
                    }
                    JoinCommand::KeepEpoch(end) => self.epochs.push(*end),
                    JoinCommand::ForgetEpochs => self.epochs.clear(),
                    JoinCommand::Append(chunk) => self.chunks.push(chunk),
                    JoinCommand::Complete(checked) => inputs.push_back(JoinInput::Completed(self.prove(&checked))),
                    JoinCommand::NobodyHasOne => self.nobody = true,
                }
            }
        }
    }

    fn prove(&mut self, checked: &CheckedManifest) -> Completion {
        let mut sum: Summing = checked.summing();
        let is_good = self.chunks.iter().all(|chunk| sum.add(chunk).is_ok());
        self.state = sum.finish().ok().filter(|_| is_good);
        if self.state.is_some() {
            return Completion::Proved;
        }
        self.begun = None;
        Completion::WrongState
    }

    fn answer(&mut self, to: PeerId, message: &Message) -> Option<JoinInput> {
        let (manner, store) = self.servers.get(&to)?;
        let asked = self.asked.entry(to).or_default();
        *asked += 1;
        let mut answer = history::answer(store, &request(message))?;
        match (manner, &mut answer) {
            (Manner::Silent, _) => return None,
            (Manner::HasNone, Message::SnapshotManifest(manifest)) => *manifest = None,
            (Manner::Ahead, Message::SnapshotManifest(Some(manifest))) => {
                manifest.header.height = Height::new(1_000_000)
            }
            (Manner::BadChunks, Message::SnapshotChunk { bytes: Some(bytes), .. }) => bytes[0] ^= 1,
            (Manner::WrongState, Message::SnapshotManifest(Some(manifest))) => {
                manifest.masternodes[0].endpoint.push('x')
            }
            (Manner::Lossy, Message::SnapshotChunk { .. }) if asked.is_multiple_of(2) => return None,
            _ => {}
        }
        Some(JoinInput::Message { from: to, message: answer })
    }

    /// Lets time pass until the snapshot is proved, or `ms` are over; how long it took.
    fn run(&mut self, ms: u64) -> u64 {
        let start = self.now;
        while self.joiner.progress() != JoinProgress::Done && self.now < start + ms {
            self.now += 50;
            self.step(JoinInput::Tick);
        }
        self.now - start
    }

    /// The state after the block at `height`, proved.
    fn joined_at(&mut self, scene: &Scene, height: u64, ms: u64) -> u64 {
        let took = self.run(ms);
        assert_eq!(self.joiner.progress(), JoinProgress::Done, "after {took} ms; at fault: {:?}", self.faulty);
        assert_eq!(self.state.as_ref(), Some(&scene.states[height as usize]));
        took
    }
}

/// A chain of 31 blocks, and the height where its last epoch ended.
fn scene() -> (Scene, u64) {
    let scene = Scene::random(11, 31);
    let last = (1..=31).rfind(|height| scene.closes(*height)).unwrap();
    (scene, last)
}

#[test]
fn the_newest_snapshot_is_fetched_and_proved_at_once() {
    let (scene, last) = scene();
    let mut net = Net::new(&scene, None, [(Manner::Serves, 31); 3]);
    assert!(net.joined_at(&scene, last, 5_000) <= JOIN_SETTLE_MS + 100);
    assert!(net.faulty.is_empty() && !net.nobody);
}

#[test]
fn who_is_silent_stalls_or_has_nothing_delays_and_does_not_stop() {
    let (scene, last) = scene();
    let manners = [Manner::Silent, Manner::HasNone, Manner::Lossy].map(|manner| (manner, 31));
    let mut net = Net::new(&scene, None, manners);
    let took = net.joined_at(&scene, last, 60_000);
    assert!(took >= JOIN_RETRY_MS, "the silent one was waited for");
    assert!(net.faulty.is_empty());
    // With one that serves beside it, the silent one costs one wait for the epochs and one for its offer.
    let mut net = Net::new(&scene, None, [(Manner::Silent, 31), (Manner::Serves, 31)]);
    assert!(net.joined_at(&scene, last, 60_000) <= JOIN_RETRY_MS + JOIN_OFFERS_WAIT_MS + JOIN_SETTLE_MS);
}

#[test]
fn who_offers_what_no_epoch_leads_to_does_not_stop_it() {
    let (scene, last) = scene();
    let mut net = Net::new(&scene, None, [(Manner::Ahead, 31), (Manner::Ahead, 31), (Manner::Serves, 31)]);
    net.joined_at(&scene, last, 10_000);
}

#[test]
fn a_changed_chunk_is_its_senders_fault_and_comes_from_another() {
    let (scene, last) = scene();
    let mut net = Net::new(&scene, None, [(Manner::BadChunks, 31), (Manner::Serves, 31)]);
    net.joined_at(&scene, last, 30_000);
    assert_eq!(net.faulty, [PeerId(1)]);
}

#[test]
fn a_state_that_is_not_the_blocks_is_refused_however_many_offer_it() {
    let (scene, last) = scene();
    let liars = [(Manner::WrongState, 31); 3];
    let mut net = Net::new(&scene, None, liars.into_iter().chain([(Manner::Serves, 31)]));
    net.joined_at(&scene, last, 60_000);
    assert_eq!(net.faulty, [1, 2, 3].map(PeerId));
}

#[test]
fn peers_that_are_behind_do_not_hide_those_that_are_not() {
    let (scene, last) = scene();
    let mut net = Net::new(&scene, None, [(Manner::Serves, 12), (Manner::Serves, 13), (Manner::Serves, 31)]);
    // Most offer an older one; both are proved, and blocks lead on from either.
    let took = net.run(60_000);
    let height = net.state.as_ref().unwrap().height().get();
    assert!(took < 2_000 && (height == last || scene.closes(height)), "height {height} after {took} ms");
    // Who is behind offers nothing while the first epoch lasts, and that is what most say.
    let mut net = Net::new(&scene, None, [(Manner::Serves, 1), (Manner::Serves, 2), (Manner::Serves, 31)]);
    net.joined_at(&scene, last, 60_000);
}

#[test]
fn a_fetch_that_was_cut_off_is_gone_on_with() {
    let (scene, last) = scene();
    let mut net = Net::new(&scene, None, [(Manner::Serves, 31)]);
    net.joined_at(&scene, last, 5_000);
    let (begun, chunks) = (net.begun.take().unwrap(), std::mem::take(&mut net.chunks));
    let ends = std::mem::take(&mut net.epochs);
    assert!(ends.len() > 4);
    let joiner = |begun: &Manifest| {
        let kept = (ends.clone(), Some(begun.clone()));
        Joiner::new(scene.chain.clone(), scene.verifier.clone(), None, kept)
    };
    let mut again = Net::new(&scene, None, []);
    (again.joiner, again.begun, again.chunks) = (joiner(&begun).unwrap(), Some(Arc::clone(&begun)), chunks);
    again.servers.insert(PeerId(1), (Manner::Serves, store(&scene, 31)));
    again.step(JoinInput::Connected(PeerId(1)));
    again.joined_at(&scene, last, 5_000);
    let questions = again.asked[&PeerId(1)];
    assert!(questions <= 2, "the next epoch and the manifest, and no chunk that is there: {questions}");
    assert!(again.epochs.is_empty());
    // What nobody has any more is let go.
    let old = store(&scene, 9).snapshot(None).unwrap();
    let mut other = Net::new(&scene, None, []);
    (other.joiner, other.begun) = (joiner(&old).unwrap(), Some(Arc::new(old)));
    other.servers.insert(PeerId(1), (Manner::Serves, store(&scene, 31)));
    other.step(JoinInput::Connected(PeerId(1)));
    other.joined_at(&scene, last, 30_000);
}

#[test]
fn a_checkpoint_of_this_chain_is_found_and_one_of_another_keeps_away() {
    let (scene, last) = scene();
    for height in [1, last / 2, last] {
        let hash = scene.states[height as usize].hash;
        let mut net = Net::new(&scene, Some((Height::new(height), hash)), [(Manner::Serves, 31); 2]);
        net.joined_at(&scene, last, 10_000);
    }
    let other = BlockHash([9; 32]);
    for height in [1, last / 2, last] {
        let mut net = Net::new(&scene, Some((Height::new(height), other)), [(Manner::Serves, 31); 2]);
        net.run(30_000);
        assert!(net.state.is_none() && !net.faulty.is_empty(), "checkpoint at {height}");
    }
}

#[test]
fn where_nobody_has_one_that_is_said() {
    let (scene, _) = scene();
    let mut net = Net::new(&scene, None, [(Manner::HasNone, 31), (Manner::Serves, 2)]);
    net.run(JOIN_OFFERS_WAIT_MS + 500);
    assert!(net.nobody && net.state.is_none() && net.faulty.is_empty());
    let mut alone = Net::new(&scene, None, []);
    alone.run(60_000);
    assert!(!alone.nobody, "nobody was asked");
}
