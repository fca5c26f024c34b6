//! What the store answers is what the chain says, worked out here a second time from the blocks alone.

use super::scene::{Scene, on_failure};
use crate::chain::genesis::genesis;
use crate::ledger::utxo::StateRead as _;
use crate::storage::files::DiskFiles;
use crate::storage::sled_store::{SledStore, StoreOptions};
use crate::storage::store::{Archive, HistoryEntry, LockTotals, StoreError};
use crate::types::hash::{BlockHash, Txid};
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, Transaction, TxOut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn full(seed: u64, heights: u64) -> (Scene, Arc<SledStore>, tempfile::TempDir) {
    let scene = Scene::random(seed, heights);
    let root = tempfile::tempdir().unwrap();
    let store = SledStore::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
    for blocks in scene.blocks.chunks(4) {
        store.apply(blocks).unwrap();
    }
    (scene, store, root)
}

/// Every transaction with its height and position.
fn transactions(scene: &Scene) -> Vec<(Height, u32, Transaction)> {
    let first = genesis(&scene.chain).unwrap().block;
    let blocks = std::iter::once(&first).chain(scene.blocks.iter().map(|block| &block.block));
    let all = blocks
        .flat_map(|block| block.txs.iter().zip(0..).map(|(tx, position)| (block.header.height, position, tx.clone())));
    all.collect()
}

/// Every output that a transaction made.
fn outputs(transactions: &[(Height, u32, Transaction)]) -> BTreeMap<OutPoint, TxOut> {
    let of_tx = |tx: &Transaction| {
        let txid = tx.body.txid();
        tx.body.outputs.clone().into_iter().zip(0..).map(move |(out, index)| (OutPoint { txid, index }, out))
    };
    transactions.iter().flat_map(|(_, _, tx)| of_tx(tx)).collect()
}

/// What touched each lock, newest first: transactions, and what punishments took and left.
fn histories(scene: &Scene) -> BTreeMap<Lock, Vec<HistoryEntry>> {
    let all = transactions(scene);
    let outputs = outputs(&all);
    let mut moves: BTreeMap<(Lock, Height, Txid), (u64, u64, bool)> = BTreeMap::new();
    let is_tx: BTreeSet<(Height, Txid)> = all.iter().map(|(height, _, tx)| (*height, tx.body.txid())).collect();
    let mut add = |lock: Lock, height: Height, txid: Txid, received: u64, sent: u64| {
        let entry = moves.entry((lock, height, txid)).or_default();
        *entry = (entry.0 + received, entry.1 + sent, !is_tx.contains(&(height, txid)));
    };
    for (height, _, tx) in &all {
        let txid = tx.body.txid();
        tx.body.outputs.iter().for_each(|out| add(out.lock, *height, txid, out.value.get(), 0));
        for out in tx.body.inputs.iter().map(|outpoint| outputs[outpoint]) {
            add(out.lock, *height, txid, 0, out.value.get());
        }
    }
    // A punishment swaps one output for another, which no transaction made.
    for height in 1..scene.utxos.len() {
        let (before, after) = (&scene.utxos[height - 1], &scene.utxos[height]);
        let spent: BTreeSet<&OutPoint> =
            scene.blocks[height - 1].block.txs.iter().flat_map(|tx| &tx.body.inputs).collect();
        for (outpoint, utxo) in before.iter().filter(|(at, _)| !after.contains_key(at) && !spent.contains(at)) {
            add(utxo.out.lock, Height::new(height as u64), outpoint.txid, 0, utxo.out.value.get());
        }
        for (outpoint, utxo) in after.iter().filter(|(at, _)| !before.contains_key(at) && !outputs.contains_key(at)) {
            add(utxo.out.lock, Height::new(height as u64), outpoint.txid, utxo.out.value.get(), 0);
        }
    }
    let mut histories: BTreeMap<Lock, Vec<HistoryEntry>> = BTreeMap::new();
    for ((lock, height, txid), (received, sent, is_punishment)) in moves.into_iter().rev() {
        let (received, sent) = (Amount::new(received), Amount::new(sent));
        histories.entry(lock).or_default().push(HistoryEntry { height, txid, received, sent, is_punishment });
    }
    histories
}

#[test]
fn the_history_of_an_address_is_everything_that_touched_it_newest_first() {
    let (scene, store, _root) = full(31, 12);
    let histories = histories(&scene);
    assert!(histories.len() > 8);
    for (lock, expected) in &histories {
        assert_eq!(&store.history_of(lock, None, 1_000).unwrap(), expected);
        let mut paged: Vec<HistoryEntry> = Vec::new();
        loop {
            let before = paged.last().map(|entry| (entry.height, entry.txid));
            let page = store.history_of(lock, before, 3).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(&paged, expected);
    }
    let punished = scene.blocks[3]
        .changes
        .spent
        .iter()
        .find(|(at, _)| scene.blocks[3].block.txs.iter().all(|tx| !tx.body.inputs.contains(at)));
    let owner = punished.expect("block 4 punishes").1.out.lock;
    assert!(histories[&owner].iter().any(|entry| entry.height.get() == 4 && entry.sent > Amount::ZERO));
}

#[test]
fn the_balance_of_an_address_is_the_sum_of_its_unspent_outputs() {
    let (scene, store, _root) = full(32, 12);
    let utxos = scene.utxos.last().unwrap();
    for lock in histories(&scene).keys() {
        let expected: Vec<_> =
            utxos.iter().filter(|(_, utxo)| utxo.out.lock == *lock).map(|(at, u)| (*at, *u)).collect();
        let balance = Amount::checked_sum(expected.iter().map(|(_, utxo)| utxo.out.value)).unwrap();
        assert_eq!(store.lock_totals(lock).unwrap(), LockTotals { balance, outputs: expected.len() as u64 });
        assert_eq!(store.unspent_of(lock, None, 1_000).unwrap(), expected);
        let mut paged = Vec::new();
        while let page = store.unspent_of(lock, paged.last().map(|(at, _)| *at), 2).unwrap()
            && !page.is_empty()
        {
            paged.extend(page);
        }
        assert_eq!(paged, expected);
    }
    let stranger = Lock::KeyHash([9; 32]);
    assert_eq!(store.lock_totals(&stranger).unwrap(), LockTotals::default());
    assert!(store.history_of(&stranger, None, 10).unwrap().is_empty());
}

#[test]
fn a_transaction_is_found_with_its_place_and_what_it_spends() {
    let (scene, store, _root) = full(33, 10);
    let all = transactions(&scene);
    let outputs = outputs(&all);
    for (height, position, tx) in &all {
        let txid = tx.body.txid();
        let found = store.transaction(&txid).unwrap().unwrap();
        assert_eq!((found.height, found.position, &found.stored.tx), (*height, *position, tx));
        let spent: Vec<TxOut> = tx.body.inputs.iter().map(|outpoint| outputs[outpoint]).collect();
        assert_eq!(found.stored.spent, spent);
        assert_eq!(store.archived_height(&txid), Some(*height));
        for outpoint in &tx.body.inputs {
            assert_eq!(store.spent_by(outpoint).unwrap(), Some((txid, *height)));
            assert_eq!(store.spender(outpoint), Some(txid));
            assert_eq!(store.utxo(outpoint), None);
        }
    }
    assert_eq!(store.totals().transactions, all.len() as u64);
    assert_eq!(store.transaction(&Txid([1; 32])).unwrap(), None);
    let unspent = scene.utxos.last().unwrap().keys().next().unwrap();
    assert_eq!(store.spent_by(unspent).unwrap(), None);
}

#[test]
fn a_block_is_found_by_height_and_by_hash() {
    let (scene, store, _root) = full(34, 10);
    for (state, height) in scene.states.iter().zip(0..).map(|(state, height)| (state, Height::new(height))) {
        let header = store.header(height).unwrap().unwrap();
        assert_eq!((&header.header, header.hash), (&state.header, state.hash));
        assert_eq!(store.height_of(&state.hash).unwrap(), Some(height));
        let stored = store.block(height).unwrap().unwrap();
        assert_eq!(stored.block.header, state.header);
        assert_eq!(stored.block.txs.len(), stored.spent.len());
        assert_eq!(store.commit(height).unwrap(), stored.commit);
        let child_epoch = state.child_epoch(&scene.chain);
        assert_eq!(store.validators(child_epoch).unwrap().as_ref(), Some(&*state.validators));
    }
    let above = Height::new(11);
    assert_eq!(store.header(above).unwrap(), None);
    assert_eq!(store.block(above).unwrap(), None);
    assert_eq!(store.height_of(&BlockHash([1; 32])).unwrap(), None);
}

#[test]
fn blocks_are_applied_in_order_and_once() {
    let scene = Scene::random(35, 4);
    let root = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(scene.chain.clone(), scene.verifier.clone(), 0, on_failure);
    let store = SledStore::open(Arc::new(DiskFiles::new(root.path())), options, &mut |_| {}).unwrap();
    assert!(matches!(store.apply(&scene.blocks[1..]), Err(StoreError::OutOfOrder { .. })));
    assert_eq!(store.apply(&scene.blocks[..2]).unwrap(), Height::new(2));
    let other = Scene::random(36, 3);
    assert!(matches!(store.apply(&other.blocks[2..]), Err(StoreError::OutOfOrder { .. })), "of another history");
    assert_eq!(store.apply(&scene.blocks).unwrap(), Height::new(4), "two of them are there already");
    scene.check_store(&store);
}

#[test]
fn a_punishment_is_told_by_its_block_and_by_both_its_outputs_and_histories_add_up() {
    let (scene, store, root) = full(37, 9);
    let punishing: Vec<usize> = (1..=9).filter(|at| !scene.blocks[at - 1].block.evidence.is_empty()).collect();
    assert_eq!(punishing, [4]);
    let check = |store: &SledStore| {
        for height in 0..=9 {
            let taken = store.taken(Height::new(height)).unwrap();
            assert_eq!(taken.len(), usize::from(height == 4), "height {height}");
        }
        assert_eq!(store.taken(Height::new(10)).unwrap(), []);
        let punishment = store.taken(Height::new(4)).unwrap()[0];
        // What the chain had before and after, worked out by the ledger's test store.
        let (before, after) = (&scene.utxos[3], &scene.utxos[4]);
        assert_eq!(before[&punishment.taken].out, punishment.before);
        assert!(!after.contains_key(&punishment.taken));
        assert_eq!(after[&punishment.left].out, punishment.after);
        assert!(punishment.after.value < punishment.before.value && punishment.after.lock == punishment.before.lock);
        for outpoint in [punishment.taken, punishment.left] {
            assert_eq!(store.punishment_of(&outpoint).unwrap(), Some((Height::new(4), punishment)));
        }
        let others = scene.utxos[9].keys().filter(|outpoint| **outpoint != punishment.left);
        others.for_each(|outpoint| assert_eq!(store.punishment_of(outpoint).unwrap(), None));
        let history = store.history_of(&punishment.before.lock, None, 1_000).unwrap();
        let of_punishment: Vec<&HistoryEntry> = history.iter().filter(|entry| entry.is_punishment).collect();
        assert_eq!(of_punishment.len(), 2, "one side each");
        let total = |part: fn(&HistoryEntry) -> Amount| history.iter().map(|entry| part(entry).get()).sum::<u64>();
        let balance = store.lock_totals(&punishment.before.lock).unwrap().balance.get();
        assert_eq!(total(|entry| entry.received) - total(|entry| entry.sent), balance);
    };
    check(&store);
    drop(store);
    // Read back from disk, and from an index that was made anew from the blocks.
    let reopen = || SledStore::open(Arc::new(DiskFiles::new(root.path())), scene.options(), &mut |_| {}).unwrap();
    check(&reopen());
    std::fs::remove_dir_all(root.path().join("db")).unwrap();
    check(&reopen());
}
