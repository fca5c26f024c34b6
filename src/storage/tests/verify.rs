//! The long check names every part that is damaged, says what helps, and a repair does.

use super::damage::{clone_of, filled, filled_with};
use super::scene::Scene;
use crate::storage::block_record::StoredBlock;
use crate::storage::files::{DiskFiles, Files};
use crate::storage::recovery;
use crate::storage::replay::Replay;
use crate::storage::sled_store::StoreOptions;
use crate::storage::store::{Archive as _, StoreError};
use crate::storage::verify::{Directory, Findings, Part, Remedy};
use crate::types::number::{Amount, Height};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn lock(scene: &Scene, root: &Path) -> Directory {
    Directory::lock(Arc::new(DiskFiles::new(root)), scene.options(), None).unwrap()
}

fn verify(scene: &Scene, root: &Path) -> Findings {
    lock(scene, root).verify(&mut |_| {}).unwrap()
}

/// Everything but sled's own files and the lock, by name.
fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = DiskFiles::new(root);
    let mut names = Vec::new();
    for folder in ["blocks", "journal", "."] {
        names.extend(files.list(folder).unwrap().into_iter().map(|name| format!("{folder}/{name}")));
    }
    names.into_iter().map(|name| (name.clone(), files.read(&name).unwrap())).collect()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// The file of blocks that holds the block at `height`, and where that begins.
fn place(scene: &Scene, root: &Path, height: u64) -> (std::path::PathBuf, usize) {
    let directory = recovery::open(Arc::new(DiskFiles::new(root)), scene.options(), &mut |_| {}).unwrap();
    let location = directory.store.location(Height::new(height)).unwrap();
    (root.join(format!("blocks/{:020}", location.file)), usize::try_from(location.offset).unwrap())
}

#[test]
fn a_healthy_directory_is_found_healthy_and_left_as_it_is() {
    let scene = Scene::random(71, 9);
    let root = filled(&scene);
    let before = contents(root.path());
    let mut heights = Vec::new();
    let findings = lock(&scene, root.path()).verify(&mut |progress| {
        assert!(progress.done_bytes <= progress.total_bytes);
        heights.push(progress.height.get());
    });
    let findings = findings.unwrap();
    assert_eq!((findings.problems.as_slice(), findings.notes.as_slice()), (&[][..], &[][..]));
    assert_eq!(heights, (1..=9).collect::<Vec<_>>());
    assert_eq!((findings.chain.blocks, findings.height, findings.hash), (10, Height::new(9), scene.states[9].hash));
    assert_eq!(findings.supply, scene.states[9].supply);
    assert_eq!(findings.index.unwrap().outputs, scene.utxos[9].len() as u64);
    let signed: usize = scene.blocks.iter().map(|b| b.commit.signatures.iter().flatten().count()).sum();
    assert!(findings.chain.signatures > signed as u64, "commits, and payments too");
    assert_eq!(contents(root.path()), before, "looking changes nothing");
}

#[test]
fn an_index_that_lags_is_no_damage() {
    let scene = Scene::random(72, 6);
    let root = filled(&scene);
    std::fs::remove_dir_all(root.path().join("db")).unwrap();
    let findings = verify(&scene, root.path());
    assert_eq!(findings.problems, []);
    assert!(findings.notes.iter().any(|note| note.contains("6 blocks behind")), "{:?}", findings.notes);
}

#[test]
fn every_entry_of_the_index_counts() {
    let scene = Scene::random(73, 6);
    let root = filled(&scene);
    let trees = [
        "headers",
        "block_by_hash",
        "tx_index",
        "utxos",
        "unspent",
        "spent",
        "taken",
        "punished",
        "history",
        "validators",
    ];
    for tree in trees {
        for change in ["missing", "another", "one more"] {
            if (tree, change) == ("unspent", "one more") {
                // It names an output that there is not, and so counts for nothing.
                continue;
            }
            let changed = clone_of(root.path());
            let db = sled::open(changed.path().join("db")).unwrap();
            let entries = db.open_tree(tree).unwrap();
            // Not the tip's own, which a start looks at already.
            let (mut key, mut value) = entries.first().unwrap().unwrap();
            match change {
                "missing" => drop(entries.remove(&key).unwrap()),
                "another" => {
                    let Some(last) = value.last_mut() else { continue };
                    *last ^= 1;
                    entries.insert(key, value).unwrap();
                }
                _ => {
                    *key.last_mut().unwrap() ^= 1;
                    entries.insert(key, value).unwrap();
                }
            }
            db.flush().unwrap();
            drop((entries, db));
            let directory = lock(&scene, changed.path());
            let findings = directory.verify(&mut |_| {}).unwrap();
            let found: Vec<_> = findings.problems.iter().map(|problem| (problem.part, problem.remedy)).collect();
            assert_eq!(found, [(Part::Index, Remedy::Repair)], "{tree}, {change}: {:?}", findings.problems);
            let (directory, away) = directory.repair(&findings, &mut |_| {}).unwrap();
            assert_eq!(away, ["db.damaged-0"]);
            assert_eq!(directory.verify(&mut |_| {}).unwrap().problems, [], "{tree}, {change}");
        }
    }
}

#[test]
fn a_damaged_block_that_the_journal_has_is_repaired_from_it() {
    let scene = Scene::random(74, 8);
    // The journal begins with the epoch of the tip.
    let first = (1..=8).rev().find(|height| *height == 1 || scene.closes(height - 1)).unwrap();
    assert!(first > 1, "an epoch closed");
    for height in [first, 8] {
        let root = filled(&scene);
        let (file, offset) = place(&scene, root.path(), height);
        flip(&file, offset + 60);
        let directory = lock(&scene, root.path());
        let findings = directory.verify(&mut |_| {}).unwrap();
        let problem = findings.problems.iter().find(|problem| problem.part == Part::Blocks).unwrap();
        assert_eq!(problem.remedy, Remedy::Repair, "{problem:?}");
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(problem.what.contains(&name) && problem.what.contains(&format!("block {height}")), "{problem:?}");
        assert_eq!(findings.height, Height::new(height - 1));
        let (directory, away) = directory.repair(&findings, &mut |_| {}).unwrap();
        assert!(away.iter().any(|name| name.starts_with("blocks/")), "{away:?}");
        let after = directory.verify(&mut |_| {}).unwrap();
        assert_eq!(after.problems, []);
        drop(directory);
        // The next start takes the rest from the journal.
        let opened = recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
        assert_eq!(opened.state, scene.states[height as usize - 1]);
        opened.store.apply(&scene.blocks).unwrap();
        scene.check_store(&opened.store);
    }
}

#[test]
fn a_damaged_block_that_nothing_else_has_is_left_to_a_backup_or_to_peers() {
    let scene = Scene::random(75, 8);
    let root = filled(&scene);
    let (file, offset) = place(&scene, root.path(), 2);
    let whole = std::fs::read(&file).unwrap();
    flip(&file, offset + 60);
    let directory = lock(&scene, root.path());
    let findings = directory.verify(&mut |_| {}).unwrap();
    let blocks: Vec<_> = findings.problems.iter().filter(|problem| problem.part == Part::Blocks).collect();
    assert!(blocks.len() == 1 && blocks[0].what.contains("block 2"), "{:?}", findings.problems);
    assert_eq!(blocks[0].remedy, Remedy::Peers);
    drop(directory);
    std::fs::write(&file, whole).unwrap();
    assert_eq!(verify(&scene, root.path()).problems, [], "a backup helps");
    let away = lock(&scene, root.path()).leave_to_peers().unwrap();
    assert_eq!(away, ["db.damaged-0", "journal.damaged-0", "blocks.damaged-0", "snapshots.damaged-0"]);
    let opened = recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
    assert_eq!(opened.state, scene.states[0], "a new beginning");
}

#[test]
fn damage_in_the_only_file_of_blocks_is_not_taken_for_a_torn_end_nor_for_damage_of_the_journal() {
    let scene = Scene::random(79, 8);
    let options = || StoreOptions { block_file_bytes: u64::MAX, ..scene.options() };
    let root = filled_with(&scene, options());
    let (file, offset) = place(&scene, root.path(), 2);
    flip(&file, offset + 60);
    let directory = Directory::lock(Arc::new(DiskFiles::new(root.path())), options(), None).unwrap();
    let findings = directory.verify(&mut |_| {}).unwrap();
    let found: Vec<_> = findings.problems.iter().map(|problem| (problem.part, problem.remedy)).collect();
    assert_eq!(found, [(Part::Blocks, Remedy::Peers)], "{:?}", findings.problems);
    assert!(findings.problems[0].what.contains("block 2"), "{:?}", findings.problems);
}

#[test]
fn a_damaged_journal_is_named_and_left_as_it_is() {
    let scene = Scene::random(76, 7);
    let root = filled(&scene);
    // The index remembers how far the journal was synced.
    let directory = recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
    directory.store.flush(directory.log.synced_sequence()).unwrap();
    drop(directory);
    let files = DiskFiles::new(root.path());
    let names = files.list("journal").unwrap();
    let first = root.path().join("journal").join(&names[0]);
    flip(&first, 70);
    let before = contents(root.path());
    let findings = verify(&scene, root.path());
    let found: Vec<_> = findings.problems.iter().map(|problem| (problem.part, problem.remedy)).collect();
    assert_eq!(found, [(Part::Journal, Remedy::Peers)], "{:?}", findings.problems);
    assert_eq!(contents(root.path()), before);
}

#[test]
fn a_block_that_breaks_a_rule_is_refused_wherever_it_came_from() {
    let scene = Scene::random(77, 4);
    let stored = |height: usize| {
        let block = &scene.blocks[height - 1];
        let spent = crate::storage::replay::spent_by_each(&block.block.txs, &block.changes.inputs);
        StoredBlock { block: block.block.clone(), commit: Some(block.commit.clone()), spent }
    };
    let mut replay = Replay::new(scene.chain.clone(), scene.verifier.clone()).unwrap();
    assert!(matches!(replay.block(&stored(2)), Err(StoreError::BadBlock { .. })), "not the next one");
    let last = (1..=4).rev().find(|height| stored(*height).block.txs.len() > 1).unwrap();
    for height in 1..last {
        replay.block(&stored(height)).unwrap();
    }
    type Change = Box<dyn Fn(&mut StoredBlock)>;
    let changes: [(&str, Change); 7] = [
        ("a signature of the commit", Box::new(|s| s.commit.as_mut().unwrap().signatures[0] = None)),
        ("the whole commit", Box::new(|s| s.commit = None)),
        ("its view", Box::new(|s| s.commit.as_mut().unwrap().view = crate::types::number::View::new(9))),
        ("a transaction", Box::new(|s| drop(s.block.txs.pop()))),
        ("a witness", Box::new(|s| s.block.txs.last_mut().unwrap().witnesses.clear())),
        ("what it spends", Box::new(|s| s.spent.last_mut().unwrap()[0].value = Amount::new(1))),
        ("the state root", Box::new(|s| s.block.header.state_root = crate::types::hash::Hash::ZERO)),
    ];
    for (what, change) in changes {
        let mut bad = stored(last);
        change(&mut bad);
        // One signature less may still be a quorum.
        let refused = replay.block(&bad);
        if what == "a signature of the commit" && refused.is_ok() {
            replay = Replay::new(scene.chain.clone(), scene.verifier.clone()).unwrap();
            (1..last).for_each(|height| drop(replay.block(&stored(height)).unwrap()));
            continue;
        }
        assert!(matches!(refused, Err(StoreError::BadBlock { .. })), "{what}");
    }
    replay.block(&stored(last)).unwrap();
    assert_eq!(replay.state(), &scene.states[last]);
}

#[test]
fn figures_are_those_of_the_directory() {
    let scene = Scene::random(78, 6);
    let root = filled(&scene);
    let stats = lock(&scene, root.path()).stats().unwrap();
    assert_eq!((stats.tip.height, stats.hash), (Height::new(6), scene.states[6].hash));
    assert_eq!(stats.totals.outputs, scene.utxos[6].len() as u64);
    assert_eq!((stats.blocks_height, stats.journal_height), (Height::new(6), Some(Height::new(6))));
    let files = DiskFiles::new(root.path());
    let blocks = files.list("blocks").unwrap();
    let bytes: u64 = blocks.iter().map(|name| files.length(&format!("blocks/{name}")).unwrap()).sum();
    assert_eq!(stats.sizes.blocks, bytes);
    assert!(stats.sizes.index > 0 && stats.sizes.journal > 0 && stats.sizes.votes == 0);
    let tree = |name: &str| stats.trees.iter().find(|(tree, _)| *tree == name).unwrap().1;
    assert_eq!((tree("utxos"), tree("headers")), (stats.totals.outputs, 7));
    assert_eq!(tree("tx_index"), stats.totals.transactions);
    let opened = recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
    assert_eq!(opened.store.totals(), stats.totals);
}
