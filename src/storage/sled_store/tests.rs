//! A block that is applied half: nothing of it shows, and the next start finishes or forgets it.

use super::apply::{Step, make_tip, put_hidden, remove_spent};
use super::{SledStore, together};
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
    make_tip(&store.trees, &scene.chain, Some(&before.state.registry), std::slice::from_ref(&step), totals).unwrap();
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

/// Applies all blocks after the tip in one go as far as `got`, past the store's own view of them.
fn apply_half_together(scene: &Scene, store: &SledStore, got: Got) {
    let before = store.view();
    let blocks = &scene.blocks[before.state.height().get() as usize..];
    let mut writer = store.lock_writer();
    let files = writer.blocks.as_mut().unwrap();
    let mut records = Vec::new();
    for block in blocks {
        let record = encode_record(&block.block, &block.commit, &block.changes.inputs);
        records.push((files.append(block.changes.height, &record).unwrap(), record));
    }
    files.sync().unwrap();
    let mut steps = Vec::new();
    for (block, (location, record)) in blocks.iter().zip(&records) {
        let places = &record.transactions;
        steps.push(Step { location: Some(*location), places, txs: &block.block.txs, changes: &block.changes });
    }
    let (spent, passing) = together::net_of(&steps);
    together::put_hidden(&store.trees, &steps, &passing).unwrap();
    if got == Got::Hidden {
        return;
    }
    let mut totals = (before.transactions, before.outputs);
    for step in &steps {
        totals = step.totals_after(totals.0, totals.1).unwrap();
    }
    make_tip(&store.trees, &scene.chain, Some(&before.state.registry), &steps, totals).unwrap();
    if got == Got::ToHalfOfTheRemovals {
        remove_spent(&store.trees, &spent[..spent.len() / 2]).unwrap();
    }
}

#[test]
fn blocks_that_go_in_together_show_together_and_a_start_finishes_them() {
    let scene = Scene::random(54, 14);
    for behind in [0, 3, 7] {
        for got in [Got::Hidden, Got::ToTheTip, Got::ToHalfOfTheRemovals] {
            let root = tempfile::tempdir().unwrap();
            let store = open(&scene, root.path());
            store.apply(&scene.blocks[..behind]).unwrap();
            apply_half_together(&scene, &store, got);
            if got == Got::Hidden {
                scene.check_store(&store);
                assert_eq!(store.tip().height().get(), behind as u64, "nothing shows yet");
            }
            drop(store);
            let store = open(&scene, root.path());
            assert_eq!(store.tip().height().get(), 14, "{got:?} behind {behind}");
            scene.check_store(&store);
        }
    }
}

#[test]
fn however_many_go_in_together_the_index_is_the_same() {
    let scene = Scene::random(55, 16);
    for sizes in [vec![16], vec![1, 15], vec![5, 1, 4, 6], vec![2; 8], vec![1; 16]] {
        let root = tempfile::tempdir().unwrap();
        let store = open(&scene, root.path());
        let mut from = 0;
        for size in &sizes {
            store.apply(&scene.blocks[from..from + size]).unwrap();
            from += size;
            scene.check_store(&store);
        }
        assert_eq!(store.tip().height().get(), 16, "{sizes:?}");
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
