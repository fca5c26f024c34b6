//! A block that is applied half: nothing of it shows, and the next start finishes or forgets it.

use super::SledStore;
use super::apply::{Step, make_tip, put_hidden, remove_spent};
use crate::storage::block_record::encode_record;
use crate::storage::files::DiskFiles;
use crate::storage::tests::scene::Scene;
use std::path::Path;
use std::sync::Arc;

/// How far a block got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Got {
    Nowhere,
    ToItsFile,
    IntoOneTree(usize),
    Hidden,
    ToTheTip,
    ToHalfOfTheRemovals,
}

fn open(scene: &Scene, root: &Path) -> Arc<SledStore> {
    SledStore::open(Arc::new(DiskFiles::new(root)), scene.options(), &mut |_| {}).unwrap()
}

/// Applies the block after the tip as far as `got`, past the store's own view of it.
fn apply_half(scene: &Scene, store: &SledStore, got: Got) {
    let before = store.view();
    let block = &scene.blocks[before.state.height().get() as usize];
    if got == Got::Nowhere {
        return;
    }
    let record = encode_record(&block.block, &block.commit, &block.changes.inputs);
    let mut writer = store.lock_writer();
    let files = writer.blocks.as_mut().unwrap();
    let location = files.append(block.changes.height, &record).unwrap();
    files.sync().unwrap();
    let places = &record.transactions;
    let step = Step { location: Some(location), places, txs: &block.block.txs, changes: &block.changes };
    if got == Got::ToItsFile {
        return;
    }
    if let Got::IntoOneTree(tree) = got {
        // As if only this tree's puts had reached the disk.
        let trees: Vec<Vec<_>> = store.trees.all().map(|tree| tree.iter().map(Result::unwrap).collect()).into();
        put_hidden(&store.trees, &step).unwrap();
        for (other, entries) in
            store.trees.all().into_iter().zip(trees).enumerate().filter(|(at, _)| *at != tree).map(|(_, x)| x)
        {
            other.clear().unwrap();
            entries.into_iter().for_each(|(key, value)| drop(other.insert(key, value).unwrap()));
        }
        return;
    }
    put_hidden(&store.trees, &step).unwrap();
    if got == Got::Hidden {
        return;
    }
    let totals = step.totals_after(before.transactions, before.outputs).unwrap();
    make_tip(&store.trees, &scene.chain, Some(&before.state.registry), &step, totals).unwrap();
    if got == Got::ToHalfOfTheRemovals {
        let spent = &block.changes.spent;
        remove_spent(&store.trees, &spent[..spent.len() / 2]).unwrap();
    }
}

fn steps() -> Vec<Got> {
    let mut steps = vec![Got::Nowhere, Got::ToItsFile, Got::Hidden, Got::ToTheTip, Got::ToHalfOfTheRemovals];
    steps.extend((0..11).map(Got::IntoOneTree));
    steps
}

#[test]
fn nothing_of_a_block_shows_before_all_of_it_does() {
    let scene = Scene::random(51, 6);
    // Block 4 punishes, 3 and 6 or so close an epoch.
    for height in [2, 3, 4, 5] {
        let root = tempfile::tempdir().unwrap();
        let store = open(&scene, root.path());
        store.apply(&scene.blocks[..height]).unwrap();
        apply_half(&scene, &store, Got::Hidden);
        scene.check_store(&store);
        assert_eq!(store.tip().height().get(), height as u64);
    }
}

#[test]
fn a_start_finishes_what_was_applied_half() {
    let scene = Scene::random(52, 6);
    for height in [1, 2, 3, 4, 5] {
        for got in steps() {
            let root = tempfile::tempdir().unwrap();
            let store = open(&scene, root.path());
            store.apply(&scene.blocks[..height]).unwrap();
            apply_half(&scene, &store, got);
            drop(store);
            let store = open(&scene, root.path());
            let expected = height + usize::from(got != Got::Nowhere);
            assert_eq!(store.tip().height().get(), expected as u64, "{got:?} at {height}");
            scene.check_store(&store);
            store.apply(&scene.blocks[expected..]).unwrap();
            scene.check_store(&store);
        }
    }
}

#[test]
fn a_half_applied_block_that_the_files_lost_leaves_no_trace() {
    let scene = Scene::random(53, 5);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    store.apply(&scene.blocks[..4]).unwrap();
    let lengths: Vec<(std::path::PathBuf, u64)> = std::fs::read_dir(root.path().join("blocks"))
        .unwrap()
        .map(|entry| (entry.as_ref().unwrap().path(), entry.unwrap().metadata().unwrap().len()))
        .collect();
    apply_half(&scene, &store, Got::Hidden);
    drop(store);
    for entry in std::fs::read_dir(root.path().join("blocks")).unwrap() {
        let path = entry.unwrap().path();
        match lengths.iter().find(|(known, _)| *known == path) {
            Some((_, length)) => std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(*length).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    }
    let store = open(&scene, root.path());
    assert_eq!(store.tip().height().get(), 4);
    scene.check_store(&store);
}
