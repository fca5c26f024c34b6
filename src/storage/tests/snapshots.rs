//! Snapshots: made, read back, begun from, pruned by; and what is damaged is refused.

use super::scene::Scene;
use crate::ledger::snapshot::{Manifest, SnapshotError};
use crate::replica::join::Completion;
use crate::storage::files::{DiskFiles, Files, list_numbered};
use crate::storage::recovery::{self, DataDirectory, put_away};
use crate::storage::sled_store::{INDEX_DIRECTORY, Keep, SledStore};
use crate::storage::snapshots::{PartialSnapshot, SnapshotFilesError, Snapshots};
use crate::storage::store::{Archive, StoreError};
use crate::storage::verify::{Directory, Part, Remedy};
use crate::types::number::Height;
use std::path::Path;
use std::sync::Arc;

const EVERY: Keep = Keep { snapshot_every: 1, prune_blocks: 0 };

fn files(root: &Path) -> Arc<dyn Files> {
    Arc::new(DiskFiles::new(root))
}

fn open(scene: &Scene, root: &Path) -> Arc<SledStore> {
    SledStore::open(files(root), scene.options(), &mut |_| {}).unwrap()
}

/// Applies blocks up to `last`, tending where an epoch closes.
fn grow(scene: &Scene, store: &SledStore, last: u64, keep: &Keep) -> Vec<Height> {
    let mut made = Vec::new();
    for block in &scene.blocks[store.tip().height().get() as usize..last as usize] {
        store.apply(std::slice::from_ref(block)).unwrap();
        if block.changes.closed_epoch.is_some() {
            made.extend(store.tend(keep, &|| false).unwrap().snapshot.map(|(height, _)| height));
        }
    }
    made
}

/// Copies the snapshot at `height` as one who fetches it would.
fn fetch(scene: &Scene, from: &Snapshots, to: &Path, height: Height) -> Result<Completion, SnapshotFilesError> {
    let checked = from.checked(height, &scene.chain, &scene.verifier)?;
    let manifest = checked.manifest();
    let mut partial = PartialSnapshot::open(&Snapshots::new(files(to)), Arc::clone(manifest))?;
    for index in partial.held()..manifest.chunks.len() {
        partial.append(&from.chunk(manifest, index)?.unwrap())?;
    }
    Ok(partial.complete(&checked)?)
}

#[test]
fn a_snapshot_is_made_where_an_epoch_closes_and_is_the_state() {
    let scene = Scene::random(3, 30);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let made = grow(&scene, &store, 30, &EVERY);
    assert!(made.len() > 4 && made.iter().all(|height| scene.closes(height.get())), "{made:?}");
    let snapshots = store.snapshots();
    assert_eq!(snapshots.heights().unwrap(), made[made.len() - 2..], "the newest two are kept");
    for height in snapshots.heights().unwrap() {
        let checked = snapshots.checked(height, &scene.chain, &scene.verifier).unwrap();
        let mut outputs = Vec::new();
        let state = snapshots.read::<SnapshotFilesError>(&checked, |entries| {
            outputs.extend(entries);
            Ok(())
        });
        assert_eq!(state.unwrap(), scene.states[height.get() as usize]);
        assert!(
            outputs.iter().eq(scene.utxos[height.get() as usize]
                .iter()
                .map(|(o, u)| (*o, *u))
                .collect::<Vec<_>>()
                .iter())
        );
    }
}

#[test]
fn snapshots_are_made_no_oftener_than_asked_for() {
    let scene = Scene::random(4, 40);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let made = grow(&scene, &store, 40, &Keep { snapshot_every: 10, prune_blocks: 0 });
    assert!(made.len() >= 2 && made[0].get() >= 10, "{made:?}");
    assert!(made.windows(2).all(|pair| pair[1].get() >= pair[0].get() + 10), "{made:?}");
    let never = tempfile::tempdir().unwrap();
    let store = open(&scene, never.path());
    assert!(grow(&scene, &store, 40, &Keep::default()).is_empty());
    assert!(store.snapshots().heights().unwrap().is_empty());
}

#[test]
fn a_snapshot_is_given_up_when_the_node_stops_and_made_the_next_time() {
    let scene = Scene::random(4, 40);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let end = scene.blocks.iter().position(|block| block.changes.closed_epoch.is_some()).unwrap();
    store.apply(&scene.blocks[..=end]).unwrap();
    let asked = std::cell::Cell::new(0);
    let given_up = store.tend(&EVERY, &|| asked.replace(asked.get() + 1) > 0).unwrap();
    assert_eq!((given_up.snapshot, asked.get()), (None, 2), "asked before each output");
    assert!(store.snapshots().heights().unwrap().is_empty() && store.snapshots().offered(None).is_none());
    let made = store.tend(&EVERY, &|| false).unwrap().snapshot.unwrap().0;
    assert_eq!(made.get(), end as u64 + 1);
    let left: Vec<String> = files(root.path()).list("snapshots").unwrap();
    assert!(!left.iter().any(|name| name.ends_with(".new")), "{left:?}");
}

#[test]
fn a_manifest_that_nobody_could_read_is_not_made() {
    let scene = Scene::random(3, 30);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let made = *grow(&scene, &store, 30, &EVERY).last().unwrap();
    let snapshots = store.snapshots();
    let (heights, one) = (snapshots.heights().unwrap(), snapshots.manifest(made).unwrap());
    // Endpoints as long as may be: 8,000 are less than a message holds, 12,000 more.
    let write = |count: usize| {
        let mut record = one.masternodes[0].clone();
        record.endpoint = "e".repeat(255);
        let masternodes = vec![record; count];
        let manifest = Manifest { masternodes, chunks: Vec::new(), ..one.clone() };
        snapshots.write(made).unwrap().finish(|_| manifest).unwrap().is_some()
    };
    let before: Vec<String> = files(root.path()).list("snapshots").unwrap();
    assert!(!write(12_000));
    assert_eq!((snapshots.heights().unwrap(), files(root.path()).list("snapshots").unwrap()), (heights, before));
    assert!(snapshots.manifest(made).is_ok_and(|manifest| manifest == one), "the one that was there is still whole");
    assert!(write(8_000));
    assert_eq!(snapshots.manifest(made).unwrap().masternodes.len(), 8_000);
}

#[test]
fn what_is_no_longer_kept_is_no_longer_served() {
    let scene = Scene::random(4, 40);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let first = *grow(&scene, &store, 15, &EVERY).last().unwrap();
    let snapshots = store.snapshots();
    assert_eq!(snapshots.offered(Some(first)).map(|manifest| manifest.height()), Some(first));
    assert!(snapshots.offered_chunk(first, 0).is_some());
    grow(&scene, &store, 40, &EVERY);
    assert!(!snapshots.heights().unwrap().contains(&first));
    assert!(snapshots.offered(Some(first)).is_none() && snapshots.offered_chunk(first, 0).is_none());
}

#[test]
fn a_node_that_begins_with_a_snapshot_goes_on_like_any_other() {
    let scene = Scene::random(5, 30);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 20, &EVERY).last().unwrap();
    assert_eq!(fetch(&scene, store.snapshots(), other.path(), base).unwrap(), Completion::Proved);
    let joined = open(&scene, other.path());
    assert_eq!((joined.tip(), joined.base_height()), (scene.states[base.get() as usize].clone(), base));
    assert_eq!(joined.first_block(), base.next());
    assert!(matches!(joined.block(base), Err(StoreError::Pruned { .. })));
    assert_eq!(Archive::commit(&*joined, base).unwrap(), Archive::commit(&*store, base).unwrap());
    for last in [base.get() + 1, base.get() + 4, 30] {
        grow(&scene, &joined, last, &Keep::default());
        same_answers(&scene, &joined, last);
    }
    drop(joined);
    // Started anew, and with the index made anew from snapshot and blocks.
    same_answers(&scene, &open(&scene, other.path()), 30);
    put_away(&*files(other.path()), INDEX_DIRECTORY).unwrap().unwrap();
    same_answers(&scene, &open(&scene, other.path()), 30);
}

#[test]
fn a_directory_that_began_with_a_snapshot_is_verified_from_there() {
    let scene = Scene::random(9, 30);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 18, &EVERY).last().unwrap();
    assert_eq!(fetch(&scene, store.snapshots(), other.path(), base).unwrap(), Completion::Proved);
    let DataDirectory { store, mut log, lock, .. } =
        recovery::open(files(other.path()), scene.options(), &mut |_| {}).unwrap();
    for height in base.get() + 1..=30 {
        scene.records(height).iter().for_each(|record| log.append(record).unwrap());
    }
    log.sync().unwrap();
    grow(&scene, &store, 30, &Keep::default());
    store.flush(log.synced_sequence()).unwrap();
    drop((store, log, lock));
    let directory = || Directory::lock(files(other.path()), scene.options(), None).unwrap();
    let findings = directory().verify(&mut |_| {}).unwrap();
    assert!(findings.problems.is_empty(), "{:?}", findings.problems);
    assert_eq!((findings.height, findings.chain.blocks), (Height::new(30), 30 - base.get()));
    assert_eq!(findings.index.unwrap().height, Height::new(30));
    // An output more than the commit proves.
    let chunks = format!("snapshots/{:020}.utxos", base.get());
    let mut bytes = files(other.path()).read(&chunks).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(other.path().join(&chunks), bytes).unwrap();
    let findings = directory().verify(&mut |_| {}).unwrap();
    let problem = &findings.problems[0];
    assert_eq!((problem.part, problem.remedy), (Part::Snapshots, Remedy::Peers), "{:?}", findings.problems);
    directory().leave_to_peers().unwrap();
    assert_eq!(open(&scene, other.path()).tip().height(), Height::ZERO);
}

/// What the index says of the tip, and of each address, is what the scene has.
fn same_answers(scene: &Scene, store: &Arc<SledStore>, height: u64) {
    assert_eq!(store.tip(), scene.states[height as usize]);
    let utxos = &scene.utxos[height as usize];
    assert_eq!(store.totals().outputs, utxos.len() as u64);
    let mut locks: Vec<_> = utxos.values().map(|utxo| utxo.out.lock).collect();
    locks.sort_unstable();
    locks.dedup();
    for lock in locks {
        let of_lock: Vec<_> = utxos.iter().filter(|(_, utxo)| utxo.out.lock == lock).map(|(o, u)| (*o, *u)).collect();
        assert_eq!(store.unspent_of(&lock, None, 1_000).unwrap(), of_lock);
        let totals = store.lock_totals(&lock).unwrap();
        assert_eq!(totals.outputs, of_lock.len() as u64);
        assert_eq!(totals.balance.get(), of_lock.iter().map(|(_, utxo)| utxo.out.value.get()).sum::<u64>());
        let history = store.history_of(&lock, None, 1_000).unwrap();
        assert!(history.iter().all(|entry| entry.height > store.base_height() || store.base_height() == Height::ZERO));
    }
    for block in &scene.blocks[store.first_block().get() as usize - 1..height as usize] {
        assert_eq!(store.block(block.changes.height).unwrap().unwrap().block, block.block);
    }
}

#[test]
fn a_fetch_that_was_cut_off_goes_on_with_what_is_good() {
    let scene = Scene::random(6, 20);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 20, &EVERY).last().unwrap();
    let from = store.snapshots();
    let manifest = Arc::new(from.manifest(base).unwrap());
    let to = Snapshots::new(files(other.path()));
    assert!(PartialSnapshot::begun(&to).unwrap().is_none());
    drop(PartialSnapshot::open(&to, Arc::clone(&manifest)).unwrap());
    assert_eq!(PartialSnapshot::begun(&to).unwrap(), Some((*manifest).clone()));
    assert!(to.heights().unwrap().is_empty(), "what is begun is no snapshot");
    // A chunk that came only in part, or was changed, does not count.
    let chunk = from.chunk(&manifest, 0).unwrap().unwrap();
    for bad in [&chunk[..chunk.len() / 2], &[&chunk[..chunk.len() - 1], &[!chunk[chunk.len() - 1]]].concat()] {
        let mut partial = PartialSnapshot::open(&to, Arc::clone(&manifest)).unwrap();
        assert_eq!(partial.held(), 0);
        partial.append(bad).unwrap();
    }
    let mut partial = PartialSnapshot::open(&to, Arc::clone(&manifest)).unwrap();
    assert_eq!(partial.held(), 0);
    partial.append(&chunk).unwrap();
    drop(partial);
    let whole = PartialSnapshot::open(&to, Arc::clone(&manifest)).unwrap();
    assert_eq!(whole.held(), 1);
    // The disk changes it before it is added up: no state that anybody is to blame for.
    let part = other.path().join(format!("snapshots/{:020}.utxos.part", base.get()));
    let checked = from.checked(base, &scene.chain, &scene.verifier).unwrap();
    std::fs::write(&part, [&chunk[1..], &[0]].concat()).unwrap();
    assert_eq!(whole.complete(&checked).unwrap(), Completion::Damaged);
    assert_eq!(PartialSnapshot::open(&to, Arc::clone(&manifest)).unwrap().held(), 0);
    assert_eq!(fetch(&scene, from, other.path(), base).unwrap(), Completion::Proved);
    assert_eq!(to.heights().unwrap(), [base]);
    assert!(PartialSnapshot::begun(&to).unwrap().is_none());
}

#[test]
fn a_crash_between_the_two_names_of_a_whole_snapshot_costs_nothing() {
    let scene = Scene::random(6, 20);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 20, &EVERY).last().unwrap();
    assert_eq!(fetch(&scene, store.snapshots(), other.path(), base).unwrap(), Completion::Proved);
    let manifest = format!("snapshots/{:020}.manifest", base.get());
    files(other.path()).rename(&manifest, &format!("{manifest}.part")).unwrap();
    let to = Snapshots::new(files(other.path()));
    let begun = Arc::new(PartialSnapshot::begun(&to).unwrap().unwrap());
    assert_eq!(PartialSnapshot::open(&to, Arc::clone(&begun)).unwrap().held(), begun.chunks.len());
    assert_eq!(fetch(&scene, store.snapshots(), other.path(), base).unwrap(), Completion::Proved);
    assert_eq!(to.heights().unwrap(), [base]);
}

#[test]
fn a_snapshot_of_another_state_is_refused_whoever_signed_what() {
    let scene = Scene::random(7, 20);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 20, &EVERY).last().unwrap();
    let from = store.snapshots();
    let good = from.manifest(base).unwrap();
    let check = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest.check(&scene.chain, &scene.verifier).err()
    };
    assert_eq!(check(&|_| {}), None);
    let contradicts = |change: &dyn Fn(&mut Manifest), part| {
        assert_eq!(check(change), Some(SnapshotError::Contradiction(part)));
    };
    contradicts(&|m| m.header.state_root.0[0] ^= 1, "commit");
    contradicts(&|m| m.parent.slot = m.parent.slot.next(), "parent");
    contradicts(&|m| m.signers.truncate(1), "set");
    contradicts(&|m| m.validators.truncate(1), "next set");
    contradicts(&|m| m.masternodes.retain(|record| !record.is_member()), "registry");
    contradicts(&|m| m.commit.height = m.commit.height.next(), "commit");
    assert!(matches!(check(&|m| m.commit.signatures.fill(None)), Some(SnapshotError::Commit(_))));
    assert!(matches!(check(&|m| m.chunks[0].bytes = 0), Some(SnapshotError::Chunks(_))));
    // What the commit does not cover is found out by the state root: amounts, the queue, an output more or less.
    for change in [
        &(|m: &mut Manifest| m.supply = crate::types::number::Amount::new(m.supply.get() - 1))
            as &dyn Fn(&mut Manifest),
        &|m| m.outputs += 1,
        &|m| m.accrued_fees = crate::types::number::Amount::new(1),
        &|m| m.masternodes[0].endpoint.push('x'),
    ] {
        let mut manifest = good.clone();
        change(&mut manifest);
        let checked = manifest.check(&scene.chain, &scene.verifier).unwrap();
        let to = Snapshots::new(files(other.path()));
        let mut partial = PartialSnapshot::open(&to, Arc::clone(checked.manifest())).unwrap();
        for index in partial.held()..good.chunks.len() {
            partial.append(&from.chunk(&good, index).unwrap().unwrap()).unwrap();
        }
        assert_eq!(partial.complete(&checked).unwrap(), Completion::WrongState);
        assert!(to.heights().unwrap().is_empty() && PartialSnapshot::begun(&to).unwrap().is_none());
    }
}

#[test]
fn pruning_keeps_as_many_blocks_as_asked_for_and_what_they_go_on_from() {
    let scene = Scene::random(8, 60);
    let root = tempfile::tempdir().unwrap();
    let store = open(&scene, root.path());
    let keep = Keep { snapshot_every: 4, prune_blocks: 12 };
    let mut first = store.first_block();
    for last in (6..=60).step_by(6) {
        grow(&scene, &store, last, &keep);
        assert!(store.first_block() >= first);
        first = store.first_block();
        assert!(first.get() <= (last.saturating_sub(keep.prune_blocks) + 1).max(1), "{last}: blocks from {first} on");
        let on_disk = list_numbered(&*files(root.path()), "blocks").unwrap();
        assert_eq!(on_disk[0].max(1), first.get());
        assert!(first == Height::new(1) || store.snapshots().heights().unwrap().iter().any(|h| h.next() >= first));
        assert!(store.snapshots().heights().unwrap().len() <= 4);
    }
    assert!(first > Height::new(20), "blocks from {first} on");
    assert!(matches!(store.block(Height::new(3)), Err(StoreError::Pruned { .. })));
    let gone = scene.blocks[2].changes.txids[0];
    assert!(matches!(store.transaction(&gone), Err(StoreError::Pruned { .. })));
    same_answers(&scene, &store, 60);
    drop(store);
    same_answers(&scene, &open(&scene, root.path()), 60);
    put_away(&*files(root.path()), INDEX_DIRECTORY).unwrap().unwrap();
    let anew = open(&scene, root.path());
    assert!(anew.base_height() > Height::ZERO);
    same_answers(&scene, &anew, 60);
    // Without the snapshot nothing leads to the blocks, and the node says so.
    drop(anew);
    put_away(&*files(root.path()), INDEX_DIRECTORY).unwrap().unwrap();
    put_away(&*files(root.path()), "snapshots").unwrap().unwrap();
    let refused = SledStore::open(files(root.path()), scene.options(), &mut |_| {});
    assert!(matches!(refused, Err(StoreError::NoBase { .. })), "{refused:?}");
}

#[test]
fn a_directory_that_began_with_a_snapshot_opens_without_a_journal() {
    let scene = Scene::random(5, 20);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&scene, root.path());
    let base = *grow(&scene, &store, 20, &EVERY).last().unwrap();
    assert_eq!(fetch(&scene, store.snapshots(), other.path(), base).unwrap(), Completion::Proved);
    let opened = recovery::open(files(other.path()), scene.options(), &mut |_| {}).unwrap();
    let DataDirectory { state, records, .. } = opened;
    assert_eq!((state.height(), records.len()), (base, 0));
}
