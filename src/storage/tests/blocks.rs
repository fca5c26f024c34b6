//! Block files: every byte counts, a torn end is cut off, anything else is refused.

use super::recording::materialize;
use super::scene::Scene;
use crate::replica::{HistoryRequest, Message, Store as _, history};
use crate::storage::block_files::BlockFilesError;
use crate::storage::block_record::{RECORD_HEADER_BYTES, decode_head, decode_record, encode_record};
use crate::storage::files::{DiskFiles, Files};
use crate::storage::recovery::{self, DirectoryError};
use crate::storage::sled_store::SledStore;
use crate::storage::store::StoreError;
use crate::types::number::Height;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn open(scene: &Scene, root: &Path) -> Result<Arc<SledStore>, StoreError> {
    SledStore::open(Arc::new(DiskFiles::new(root)), scene.options(), &mut |_| {})
}

/// Everything below `root`, by name.
fn copy(root: &Path) -> BTreeMap<String, Arc<Vec<u8>>> {
    let mut image = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if root.join(&name).is_dir() {
                folders.push(name);
            } else {
                image.insert(name.clone(), Arc::new(std::fs::read(root.join(&name)).unwrap()));
            }
        }
    }
    image
}

#[test]
fn a_record_is_what_was_written_or_none() {
    let scene = Scene::random(21, 5);
    let block = &scene.blocks[4];
    let record = encode_record(&block.block, &block.commit, &block.changes.inputs);
    let stored = decode_record(&record.bytes).unwrap();
    assert_eq!((&stored.block, stored.commit.as_ref()), (&block.block, Some(&block.commit)));
    assert_eq!(stored.spent[1..], block.changes.inputs[..], "behind the coinbase, which spends nothing");
    for at in 0..record.bytes.len() {
        let mut bad = record.bytes.clone();
        bad[at] ^= 1;
        assert!(decode_record(&bad).is_err(), "byte {at}");
        assert!(decode_record(&record.bytes[..at]).is_err(), "cut at {at}");
    }
    let head_end = record.transactions[0].0 as usize;
    assert_eq!(decode_head(&record.bytes[..head_end]).unwrap().commit, block.commit);
    for at in (0..head_end).filter(|at| !(RECORD_HEADER_BYTES - 16..RECORD_HEADER_BYTES).contains(at)) {
        let mut bad = record.bytes[..head_end].to_vec();
        bad[at] ^= 1;
        assert!(decode_head(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn a_block_torn_at_any_byte_that_the_index_does_not_have_is_cut_off() {
    let scene = Scene::random(22, 3);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path()).unwrap();
    store.apply(&scene.blocks[..2]).unwrap();
    drop(store);
    let before = copy(root.path());
    let store = open(&scene, root.path()).unwrap();
    store.apply(&scene.blocks[2..]).unwrap();
    drop(store);
    let after = copy(root.path());
    let name = after.keys().rfind(|name| name.starts_with("blocks/")).unwrap();
    let (old, new) = (before.get(name).map_or(0, |bytes| bytes.len()), after[name].len());
    for cut in (old..=new).filter(|cut| cut % 41 == 0 || *cut + 3 > new) {
        let mut image = before.clone();
        image.insert(name.clone(), Arc::new(after[name][..cut].to_vec()));
        let torn = materialize(&image);
        let store = open(&scene, torn.path()).unwrap();
        assert_eq!(store.tip().height().get(), if cut == new { 3 } else { 2 }, "cut at {cut}");
        store.apply(&scene.blocks[2..]).unwrap();
        scene.check_store(&store);
        // What the index has is not cut off.
        drop(store);
        let mut image = copy(torn.path());
        image.insert(name.clone(), Arc::new(after[name][..cut.min(new - 1)].to_vec()));
        let bad = materialize(&image);
        let refused = open(&scene, bad.path()).map(|_| ());
        assert!(matches!(refused, Err(StoreError::Blocks(_))), "cut at {cut}: {refused:?}");
    }
}

#[test]
fn blocks_are_found_in_as_many_files_as_it_takes() {
    let scene = Scene::random(23, 12);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path()).unwrap();
    for blocks in scene.blocks.chunks(3) {
        store.apply(blocks).unwrap();
    }
    assert!(DiskFiles::new(root.path()).list("blocks").unwrap().len() > 3);
    for block in &scene.blocks {
        let found = store.sealed_block(block.changes.height).unwrap();
        assert_eq!((&found.block, &found.commit), (&block.block, &block.commit));
    }
    assert!(store.sealed_block(Height::ZERO).is_none() && store.sealed_block(Height::new(13)).is_none());
    assert_eq!(store.lowest_block(), Height::new(1));
    drop(store);
    scene.check_store(&open(&scene, root.path()).unwrap());
}

#[test]
fn headers_lead_from_set_to_set_without_the_blocks() {
    let scene = Scene::random(25, 12);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path()).unwrap();
    store.apply(&scene.blocks).unwrap();
    let Some(Message::Headers(headers)) = history::answer(&*store, &HistoryRequest::Headers { from: Height::new(1) })
    else {
        panic!("there are headers")
    };
    for (sealed, block) in headers.iter().zip(&scene.blocks) {
        let state = &block.changes.state;
        assert_eq!((&sealed.header, &sealed.commit), (&block.block.header, &block.commit));
        let changes = state.signers.hash() != state.validators.hash();
        assert_eq!(sealed.next_set.as_deref(), changes.then(|| state.validators.members()));
    }
    assert_eq!(headers.len(), scene.blocks.len());
    assert!(headers.iter().any(|sealed| sealed.next_set.is_some()), "no set changed");
    assert_eq!(history::answer(&*store, &HistoryRequest::Headers { from: Height::ZERO }), None);
    assert_eq!(history::answer(&*store, &HistoryRequest::Headers { from: Height::new(13) }), None);
    let Some(Message::Blocks(blocks)) =
        history::answer(&*store, &HistoryRequest::Blocks { from: Height::new(3), count: 2 })
    else {
        panic!("there are blocks")
    };
    assert!(blocks.iter().map(|sealed| sealed.block.header.height.get()).eq([3, 4]));
}

#[test]
fn damage_in_the_middle_of_the_blocks_is_refused_and_names_the_file() {
    let scene = Scene::random(24, 12);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path()).unwrap();
    store.apply(&scene.blocks).unwrap();
    drop(store);
    let mut image = copy(root.path());
    image.retain(|name, _| name.starts_with("blocks/"));
    let names: Vec<String> = image.keys().cloned().collect();
    let mut bad = image[&names[1]].to_vec();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    let mut flipped = image.clone();
    flipped.insert(names[1].clone(), Arc::new(bad));
    let expected = |image, is_right: fn(&BlockFilesError, &str) -> bool| {
        let root = materialize(image);
        match recovery::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}) {
            Err(DirectoryError::Store(StoreError::Blocks(error))) if is_right(&error, &names[1]) => {}
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    expected(&flipped, |error, name| matches!(error, BlockFilesError::Damaged { file, .. } if file == name));
    let mut gap = image.clone();
    gap.remove(&names[1]);
    expected(&gap, |error, _| matches!(error, BlockFilesError::Gap { .. }));
}

#[test]
fn without_an_index_a_damaged_end_is_set_aside() {
    let scene = Scene::random(25, 6);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path()).unwrap();
    store.apply(&scene.blocks).unwrap();
    drop(store);
    let mut image = copy(root.path());
    image.retain(|name, _| name.starts_with("blocks/"));
    let last = image.keys().next_back().unwrap().clone();
    let mut bad = image[&last].to_vec();
    bad[10] ^= 1;
    image.insert(last.clone(), Arc::new(bad.clone()));
    let root = materialize(&image);
    let store = open(&scene, root.path()).unwrap();
    assert!(store.tip().height().get() < 6);
    scene.check_store(&store);
    assert_eq!(DiskFiles::new(root.path()).read(&format!("{last}.torn-0")).unwrap(), bad);
    let rest = store.tip().height().get() as usize;
    store.apply(&scene.blocks[rest..]).unwrap();
    scene.check_store(&store);
}
