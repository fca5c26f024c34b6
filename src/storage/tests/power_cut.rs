//! Power is cut before every sync of a history; what is left is opened, and has everything that was acknowledged.

use super::recording::{Event, Image, RecordingFiles, materialize, torn};
use super::scene::Scene;
use crate::replica::command::JournalRecord;
use crate::storage::files::DiskFiles;
use crate::storage::recovery::{self, DataDirectory};
use crate::storage::votes_file::VOTES_FILE;
use crate::types::number::Height;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::sync::Arc;

/// What was acknowledged: records of the journal, the generation of `votes.log` and its bytes, and a block.
#[derive(Clone, Default, Debug)]
struct Acknowledged {
    records: usize,
    generation: usize,
    vote_bytes: usize,
    height: u64,
}

/// A node without a replica: it writes what one would, in the same order.
struct Shell<'a> {
    scene: &'a Scene,
    files: Arc<RecordingFiles<Acknowledged>>,
    directory: DataDirectory,
    /// Every record ever appended.
    written: Vec<JournalRecord>,
    /// What `votes.log` held in each generation, and the block that closed the one before.
    votes: Vec<(Vec<u8>, u64)>,
    acknowledged: Acknowledged,
}

impl<'a> Shell<'a> {
    fn start(scene: &'a Scene, root: &std::path::Path) -> Self {
        let files = RecordingFiles::new(root, Acknowledged::default());
        let directory = recovery::open(files.clone(), scene.options(), &mut |_| {}).unwrap();
        let votes = vec![(Vec::new(), 0)];
        let acknowledged = Acknowledged::default();
        Self { scene, files, directory, written: Vec::new(), votes, acknowledged }
    }

    fn append(&mut self, record: JournalRecord) {
        self.directory.log.append(&record).unwrap();
        self.written.push(record);
    }

    fn append_votes(&mut self, bytes: &[u8]) {
        self.directory.log.append_votes(bytes);
        self.votes.last_mut().unwrap().0.extend_from_slice(bytes);
    }

    fn sync(&mut self, height: u64) {
        self.directory.log.sync().unwrap();
        self.acknowledged = Acknowledged {
            records: self.written.len(),
            generation: self.votes.len() - 1,
            vote_bytes: self.votes.last().unwrap().0.len(),
            height,
        };
        self.files.acknowledge(self.acknowledged.clone());
    }

    /// One height: records in one or several batches, the block, the store; and now and then a flush.
    fn block(&mut self, rng: &mut ChaCha12Rng, height: u64) {
        let mut records = self.scene.records(height);
        let block = records.pop().unwrap();
        for record in records {
            self.append(record);
            let count: u8 = rng.random_range(0..40);
            self.append_votes(&vec![height as u8; usize::from(count)]);
            if rng.random_bool(0.25) {
                self.sync(height - 1);
            }
        }
        self.append(block);
        if self.scene.closes(height) {
            let anew = vec![100 + height as u8; 50];
            self.directory.log.replace_votes(anew.clone());
            self.votes.push((anew, height));
        }
        self.sync(height);
        self.directory.store.apply(&[self.scene.blocks[height as usize - 1].clone()]).unwrap();
        if rng.random_bool(0.4) {
            let synced = self.directory.log.synced_sequence();
            assert_eq!(self.directory.store.flush(synced).unwrap(), Height::new(height));
            self.directory.log.retire(Height::new(height)).unwrap();
        }
    }
}

/// A history with everything that a cut during it has to be judged by.
struct History {
    scene: Scene,
    events: Vec<Event<Acknowledged>>,
    written: Vec<JournalRecord>,
    votes: Vec<(Vec<u8>, u64)>,
}

impl History {
    fn random(seed: u64, heights: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let scene = Scene::random(seed, heights);
        let root = tempfile::tempdir().unwrap();
        let mut shell = Shell::start(&scene, root.path());
        for height in 1..=heights {
            shell.block(&mut rng, height);
        }
        let (events, written, votes) = (shell.files.events(), shell.written.clone(), shell.votes.clone());
        drop(shell);
        Self { scene, events, written, votes }
    }

    /// Opens what a cut left, and holds it to what was acknowledged. Whether the index had to be made anew.
    fn check(&self, image: &Image, acknowledged: &Acknowledged, may_need_repair: bool) -> bool {
        let root = materialize(image);
        let files = Arc::new(DiskFiles::new(root.path()));
        let (directory, repaired) = match recovery::open(files.clone(), self.scene.options(), &mut |_| {}) {
            Ok(directory) => (directory, false),
            Err(e) if e.is_repairable() && may_need_repair => {
                recovery::repair(files.clone(), self.scene.options(), &mut |_| {}).unwrap();
                (recovery::open(files, self.scene.options(), &mut |_| {}).unwrap(), true)
            }
            Err(e) => panic!("{acknowledged:?}: {e}"),
        };
        self.scene.check_store(&directory.store);
        let tip = directory.state.height().get();
        self.check_journal(&directory, acknowledged, tip);
        self.check_votes(directory.votes.as_deref(), acknowledged, tip.max(last_block(&directory.records)));
        self.go_on(&directory);
        repaired
    }

    fn check_journal(&self, directory: &DataDirectory, acknowledged: &Acknowledged, tip: u64) {
        let records = &directory.records;
        let dropped = directory.log.first_sequence() as usize - 1;
        let end = dropped + records.len();
        assert_eq!(*records, self.written[dropped..end], "records {dropped} to {end}");
        assert!(end >= acknowledged.records, "{end} records, {acknowledged:?}");
        if let Some(last) = dropped.checked_sub(1) {
            // Of the epoch of the last record dropped, the store has everything.
            let mut closings = self.written[last..].iter().filter_map(block_height).filter(|h| self.scene.closes(*h));
            let closed = closings.next().is_some_and(|closing| closing <= tip);
            assert!(closed, "record {last} was dropped, the tip is {tip}");
        }
        assert!(tip.max(last_block(records)) >= acknowledged.height, "the tip is {tip}, {acknowledged:?}");
    }

    fn check_votes(&self, found: Option<&[u8]>, acknowledged: &Acknowledged, tip: u64) {
        let found = found.unwrap_or_default();
        let is_of = |generation: usize| {
            let (bytes, closed_by) = &self.votes[generation];
            let least = if generation == acknowledged.generation { acknowledged.vote_bytes } else { 50 };
            let both = least.min(found.len());
            found.len() >= least && found.len() <= bytes.len() && found[..both] == bytes[..both] && *closed_by <= tip
        };
        let later = acknowledged.generation..self.votes.len().min(acknowledged.generation + 2);
        assert!(later.into_iter().any(is_of), "{} bytes of {VOTES_FILE}, {acknowledged:?}, tip {tip}", found.len());
    }

    /// The rest of the chain can be applied: first what the journal has, as a replica would.
    fn go_on(&self, directory: &DataDirectory) {
        let tip = directory.state.height().get() as usize;
        for block in &self.scene.blocks[tip..] {
            directory.store.apply(&[block.clone()]).unwrap();
        }
        self.scene.check_store(&directory.store);
    }
}

fn block_height(record: &JournalRecord) -> Option<u64> {
    match record {
        JournalRecord::Block(sealed) => Some(sealed.block.header.height.get()),
        _ => None,
    }
}

fn last_block(records: &[JournalRecord]) -> u64 {
    records.iter().filter_map(block_height).max().unwrap_or(0)
}

#[test]
fn everything_acknowledged_survives_a_power_cut_before_any_sync() {
    let history = History::random(1, 11);
    assert!(history.events.len() > 60, "{} syncs", history.events.len());
    for event in &history.events {
        history.check(&event.durable, &event.acknowledged, false);
    }
}

#[test]
fn everything_acknowledged_survives_a_kill_before_any_sync() {
    let history = History::random(2, 11);
    for event in &history.events {
        history.check(&event.present, &event.acknowledged, false);
    }
}

#[test]
fn everything_acknowledged_survives_a_power_cut_that_leaves_part_of_what_was_not_synced() {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let history = History::random(3, 11);
    let repaired =
        history.events.iter().filter(|event| history.check(&torn(event, &mut rng), &event.acknowledged, true));
    println!("{} of {} needed a new index", repaired.count(), history.events.len());
}
