//! A damaged index is refused and made anew; a directory that is not this node's, or not all there, is refused.

use super::recording::RecordingFiles;
use super::scene::Scene;
use crate::chain::spec::{Chain, ChainSpec};
use crate::ledger::testing;
use crate::ledger::verify::Verifier;
use crate::storage::files::{DiskFiles, Files};
use crate::storage::recovery::{self, CHAIN_FILE, DataDirectory, DirectoryError};
use crate::storage::sled_store::StoreOptions;
use crate::storage::store::StoreError;
use crate::types::number::Height;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::path::Path;
use std::sync::Arc;

fn open(scene: &Scene, root: &Path) -> Result<DataDirectory, DirectoryError> {
    recovery::open(Arc::new(DiskFiles::new(root)), scene.options(), &mut |_| {})
}

/// A data directory with the whole scene in it, flushed after every second block.
pub(super) fn filled(scene: &Scene) -> tempfile::TempDir {
    filled_with(scene, scene.options())
}

/// The same with other options.
pub(super) fn filled_with(scene: &Scene, options: StoreOptions) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let files = Arc::new(DiskFiles::new(root.path()));
    let mut directory = recovery::open(files, options, &mut |_| {}).unwrap();
    for (block, height) in scene.blocks.iter().zip(1..) {
        scene.records(height).iter().for_each(|record| directory.log.append(record).unwrap());
        directory.log.sync().unwrap();
        directory.store.apply(&[block.clone()]).unwrap();
        if height % 2 == 0 {
            directory.store.flush(directory.log.synced_sequence()).unwrap();
            directory.log.retire(Height::new(height)).unwrap();
        }
    }
    root
}

pub(super) fn clone_of(root: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let clone = tempfile::tempdir().unwrap();
    copy(root, clone.path());
    clone
}

#[test]
fn a_damaged_index_is_refused_or_harmless_and_is_made_anew_with_the_same_state() {
    let scene = Scene::random(41, 9);
    let root = filled(&scene);
    let mut rng = ChaCha12Rng::seed_from_u64(41);
    for case in 0..40 {
        let damaged = clone_of(root.path());
        let files = Arc::new(DiskFiles::new(damaged.path()));
        let file = damaged.path().join("db/db");
        let mut bytes = std::fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        match case % 3 {
            0 => bytes[rng.random_range(0..=used)] ^= 1 << rng.random_range(0..8),
            1 => bytes[rng.random_range(0..=used)..].iter_mut().take(4_096).for_each(|byte| *byte = 0),
            _ => bytes.truncate(rng.random_range(0..=used)),
        }
        std::fs::write(&file, &bytes).unwrap();
        match open(&scene, damaged.path()) {
            Ok(directory) => {
                // Old pages, which nothing points at; an older state, from which the index caught up; or a page of a tree
                // that a start does not go through.
                assert_eq!(directory.state, scene.states[9]);
                if scene.verify_index(&directory.store).is_ok() {
                    continue;
                }
            }
            Err(error) => assert!(error.is_repairable(), "case {case}: {error}"),
        }
        let repaired = recovery::repair(files.clone(), scene.options(), &mut |_| {}).unwrap();
        assert_eq!(repaired.put_away.as_deref(), Some("db.damaged-0"));
        assert_eq!(repaired.height, Height::new(9));
        assert!(files.length("db.damaged-0/db").is_ok(), "it is put away, not deleted");
        let directory = open(&scene, damaged.path()).unwrap();
        assert_eq!(directory.state.header.state_root, scene.states[9].header.state_root);
        scene.check_store(&directory.store);
    }
}

type Change = Box<dyn Fn(&sled::Db)>;

/// Changes what the index holds, behind the store's back.
fn change_index(root: &Path, change: impl Fn(&sled::Db)) -> tempfile::TempDir {
    let changed = clone_of(root);
    let db = sled::open(changed.path().join("db")).unwrap();
    change(&db);
    db.flush().unwrap();
    drop(db);
    changed
}

fn flip(db: &sled::Db, tree: &str) {
    let last = db.open_tree(tree).unwrap().last().unwrap().unwrap().0;
    flip_at(db, tree, &last);
}

fn flip_at(db: &sled::Db, tree: &str, key: &[u8]) {
    let tree = db.open_tree(tree).unwrap();
    let mut value = tree.get(key).unwrap().unwrap();
    let last = value.len() - 1;
    value[last] ^= 1;
    tree.insert(key, value).unwrap();
}

#[test]
fn an_index_that_is_intact_and_wrong_is_refused_and_nothing_is_changed() {
    let scene = Scene::random(49, 6);
    let root = filled(&scene);
    let wrong: [(&str, Change); 6] = [
        ("an output", Box::new(|db| flip(db, "utxos"))),
        ("an output missing", Box::new(|db| drop(db.open_tree("utxos").unwrap().pop_max().unwrap()))),
        ("a masternode", Box::new(|db| flip(db, "masternodes"))),
        ("a member of the set", Box::new(|db| flip(db, "validators"))),
        ("the tip's header", Box::new(|db| drop(db.open_tree("headers").unwrap().pop_max().unwrap()))),
        ("the tip", Box::new(|db| flip_at(db, "meta", b"tip"))),
    ];
    for (what, change) in wrong {
        let changed = change_index(root.path(), change);
        match open(&scene, changed.path()).map(|_| ()) {
            Err(error) => assert!(error.is_repairable(), "{what}: {error}"),
            Ok(()) => panic!("{what} was taken"),
        }
        let files = Arc::new(DiskFiles::new(changed.path()));
        assert!(files.list("db.damaged-0").unwrap().is_empty());
        recovery::repair(files, scene.options(), &mut |_| {}).unwrap();
        scene.check_store(&open(&scene, changed.path()).unwrap().store);
    }
}

#[test]
fn the_long_check_finds_what_a_start_does_not_look_at() {
    let scene = Scene::random(50, 6);
    let root = filled(&scene);
    for tree in ["tx_index", "unspent", "spent", "history", "block_by_hash"] {
        let changed = change_index(root.path(), |db| drop(db.open_tree(tree).unwrap().pop_max().unwrap()));
        let directory = open(&scene, changed.path()).unwrap();
        assert!(scene.verify_index(&directory.store).is_err(), "{tree}");
    }
}

#[test]
fn an_index_that_is_gone_is_made_anew_at_the_next_start() {
    let scene = Scene::random(42, 7);
    let root = filled(&scene);
    std::fs::remove_dir_all(root.path().join("db")).unwrap();
    let mut heights = Vec::new();
    let directory = recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |height| {
        heights.push(height.get())
    });
    scene.check_store(&directory.unwrap().store);
    assert_eq!(heights, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_second_repair_finds_a_name_of_its_own() {
    let scene = Scene::random(43, 3);
    let root = filled(&scene);
    let files = Arc::new(DiskFiles::new(root.path()));
    for expected in ["db.damaged-0", "db.damaged-1"] {
        let repaired = recovery::repair(files.clone(), scene.options(), &mut |_| {}).unwrap();
        assert_eq!(repaired.put_away.as_deref(), Some(expected));
    }
}

fn another_chain() -> StoreOptions {
    let chain = Chain::new(ChainSpec { name: "another".to_owned(), ..testing::spec() }).unwrap();
    StoreOptions::new(chain.clone(), Arc::new(Verifier::new(chain)), 0, super::scene::on_failure)
}

#[test]
fn the_directory_of_another_chain_is_refused() {
    let scene = Scene::random(44, 3);
    let root = filled(&scene);
    let files: Arc<DiskFiles> = Arc::new(DiskFiles::new(root.path()));
    let refused = recovery::open(files.clone(), another_chain(), &mut |_| {}).map(|_| ());
    assert!(matches!(refused, Err(DirectoryError::OtherChain { .. })), "{refused:?}");
    std::fs::remove_file(root.path().join(CHAIN_FILE)).unwrap();
    let refused = recovery::open(files, another_chain(), &mut |_| {}).map(|_| ());
    assert!(matches!(refused, Err(DirectoryError::Store(StoreError::OtherChain { .. }))), "{refused:?}");
}

#[test]
fn a_directory_in_use_is_refused() {
    let scene = Scene::random(45, 1);
    let root = tempfile::tempdir().unwrap();
    let directory = open(&scene, root.path()).unwrap();
    assert!(matches!(open(&scene, root.path()), Err(DirectoryError::Lock(_))));
    drop(directory);
    assert!(open(&scene, root.path()).is_ok());
}

#[test]
fn a_journal_that_lost_synced_records_is_refused() {
    let scene = Scene::random(46, 8);
    let root = filled(&scene);
    let journal = root.path().join("journal");
    let segments = DiskFiles::new(root.path()).list("journal").unwrap();
    let without = |names: &[String]| {
        let clone = clone_of(root.path());
        names.iter().for_each(|name| std::fs::remove_file(clone.path().join("journal").join(name)).unwrap());
        open(&scene, clone.path()).map(|_| ())
    };
    assert!(without(&[]).is_ok());
    assert!(segments.len() > 1, "{segments:?}");
    for (names, expected) in
        [(&segments[..], "end"), (&segments[segments.len() - 1..], "end"), (&segments[..1], "beginning")]
    {
        match without(names) {
            Err(DirectoryError::JournalLost { part, .. }) => assert_eq!(part, expected),
            other => panic!("{names:?}: {other:?}"),
        }
    }
    // A new index remembers nothing, but a chain without a journal was not written by a node.
    std::fs::remove_dir_all(root.path().join("db")).unwrap();
    std::fs::remove_dir_all(&journal).unwrap();
    assert!(matches!(open(&scene, root.path()), Err(DirectoryError::JournalLost { .. })));
}

#[test]
fn blocks_missing_between_store_and_journal_are_noticed() {
    let scene = Scene::random(47, 6);
    let root = tempfile::tempdir().unwrap();
    let mut directory = open(&scene, root.path()).unwrap();
    for height in [1, 2, 4] {
        scene.records(height).iter().for_each(|record| directory.log.append(record).unwrap());
    }
    directory.log.sync().unwrap();
    drop(directory);
    match open(&scene, root.path()).map(|_| ()) {
        Err(DirectoryError::BlocksLost { expected, found }) => assert_eq!((expected.get(), found.get()), (3, 4)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_that_fills_up_under_the_blocks_stops_the_store_and_loses_nothing() {
    let scene = Scene::random(48, 6);
    for space in (0..9_000).step_by(900) {
        let root = tempfile::tempdir().unwrap();
        let files = RecordingFiles::new(root.path(), ());
        files.stop_recording();
        let mut directory = recovery::open(files.clone(), scene.options(), &mut |_| {}).unwrap();
        (1..=6).flat_map(|height| scene.records(height)).for_each(|r| directory.log.append(&r).unwrap());
        directory.log.sync().unwrap();
        directory.store.apply(&scene.blocks[..2]).unwrap();
        files.limit_space(Some(space));
        let failed = scene.blocks[2..].iter().map(|block| directory.store.apply(&[block.clone()])).find(Result::is_err);
        files.limit_space(None);
        if failed.is_some() {
            let refused = directory.store.apply(&scene.blocks[2..]);
            assert!(matches!(refused, Err(StoreError::Failed)), "{space} bytes: {refused:?}");
        }
        drop(directory);
        let directory = open(&scene, root.path()).unwrap();
        assert_eq!(directory.records.len(), (1..=6).flat_map(|height| scene.records(height)).count());
        assert!(directory.state.height() >= Height::new(2));
        directory.store.apply(&scene.blocks).unwrap();
        scene.check_store(&directory.store);
    }
}
