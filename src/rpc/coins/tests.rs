//! A balance while its payments go from the pool into a block, and the block from the view into the store, in every
//! order in which that can happen.

use super::*;
use crate::ledger::pool::PoolLimits;
use crate::ledger::testing::{COIN, Coin, World, lock, output};
use crate::ledger::{Ledger, VerifiedTx};
use crate::limits::{BLOCK_FILE_BYTES, JOURNAL_SEGMENT_BYTES};
use crate::node::view::View;
use crate::replica::{CommittedBlock, Event};
use crate::storage::files::DiskFiles;
use crate::storage::recovery;
use crate::storage::sled_store::{SledStore, StoreOptions};
use crate::types::block::Block;
use crate::types::number::TimeMs;
use std::sync::Arc;

const NOW: TimeMs = TimeMs(1);

/// A view and a store of the test chain.
struct Scene {
    world: World,
    ledger: Ledger,
    view: View,
    store: Arc<SledStore>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let world = World::default();
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            chain: world.chain.clone(),
            verifier: world.verifier.clone(),
            cache_bytes: 32_000_000,
            block_file_bytes: BLOCK_FILE_BYTES,
            journal_segment_bytes: JOURNAL_SEGMENT_BYTES,
            on_failure: |error| panic!("{error}"),
        };
        let directory = recovery::open(Arc::new(DiskFiles::new(folder.path())), options, &mut |_| {}).unwrap();
        let ledger = Ledger::new(world.chain.clone(), world.state.clone(), world.store.clone(), PoolLimits::default());
        let view = View::new(world.state.clone());
        Self { world, ledger, view, store: directory.store, _folder: folder }
    }

    fn sums(&self, person: u64) -> Sums {
        Sources { view: &self.view, archive: &*self.store }.coins(&lock(person)).unwrap().sums()
    }

    /// Balance of a person, and how many outputs make it up.
    fn balance(&self, person: u64) -> (u64, u64) {
        let sums = self.sums(person);
        (sums.archived.get() + sums.finalized.get(), sums.outputs)
    }

    fn tell(&self, event: &Event) {
        self.view.tell(NOW, event, &self.ledger);
    }

    fn admit(&mut self, tx: &VerifiedTx) {
        self.ledger.submit(NOW, tx.clone());
        self.tell(&Event::Admitted(tx.txid()));
    }

    fn finalize(&mut self, tx: &VerifiedTx) {
        let epoch = self.world.state.child_epoch(&self.world.chain);
        self.ledger.set_certified(NOW, tx.clone());
        self.tell(&Event::Certified { txid: tx.txid(), epoch });
        self.ledger.set_final(NOW, &tx.txid());
        self.tell(&Event::Finalized { txid: tx.txid(), epoch });
    }

    fn pay(&self, coins: &[Coin], to: &[u64]) -> VerifiedTx {
        self.world.pay(coins, to)
    }

    /// The next block with these, on its way to the disk.
    fn block(&mut self, txs: &[VerifiedTx]) -> Arc<CommittedBlock> {
        let (vdf, last_commit) = (self.world.vdf(), self.world.last_commit.as_ref().map(|commit| (**commit).clone()));
        let executed = self.world.open(txs);
        let inside = executed.changes.txs.iter().map(|tx| tx.tx().clone());
        let txs = executed.coinbase.clone().into_iter().chain(inside).collect();
        let block = Block { header: executed.header.clone(), txs, last_commit, evidence: Vec::new(), vdf: Some(vdf) };
        let commit = (**self.world.last_commit.as_ref().unwrap()).clone();
        let committed = Arc::new(CommittedBlock { block, commit, changes: executed.changes });
        self.view.add_block(NOW, committed.clone());
        committed
    }

    fn show(&self, block: &CommittedBlock) {
        let (height, hash, txids) = (block.changes.height, block.commit.block_hash, block.changes.txids.clone());
        self.tell(&Event::BlockCommitted { height, hash, txids });
    }

    fn store(&self, block: &Arc<CommittedBlock>) {
        self.store.apply(std::slice::from_ref(block)).unwrap();
    }

    fn forget(&self, block: &CommittedBlock) {
        self.view.stored(block.changes.height);
    }
}

/// Coins of one person at genesis.
const EACH: u64 = 5 * COIN;

#[test]
fn what_is_not_final_is_incoming_here_and_outgoing_there() {
    let mut scene = Scene::new();
    let tx = scene.pay(&[scene.world.coin(4)], &[5, 4]);
    let part = tx.body().outputs[0].value.get();
    assert_eq!((scene.balance(4), scene.balance(5)), ((EACH, 5), (EACH, 5)));
    scene.admit(&tx);
    assert_eq!((scene.balance(4), scene.balance(5)), ((EACH, 5), (EACH, 5)));
    assert_eq!((scene.sums(4).outgoing.get(), scene.sums(4).incoming.get()), (COIN, part));
    assert_eq!((scene.sums(5).outgoing.get(), scene.sums(5).incoming.get()), (0, part));
    // A rival spends the same coin once.
    scene.admit(&scene.pay(&[scene.world.coin(4)], &[6]));
    assert_eq!(scene.sums(4).outgoing.get(), COIN);
}

/// Payments to person 5 and back, a chain of them, final; and the balances of both that follow.
fn final_payments(scene: &mut Scene) -> (Vec<VerifiedTx>, [(u64, u64); 2]) {
    let one = scene.pay(&[scene.world.coin(4)], &[5, 4]);
    let two = scene.pay(&[output(&one, 0, 5)], &[4]);
    let three = scene.pay(&[scene.world.coin(5), output(&one, 1, 4)], &[5]);
    let value = |tx: &VerifiedTx, index: usize| tx.body().outputs[index].value.get();
    for tx in [&one, &two, &three] {
        scene.admit(tx);
        scene.finalize(tx);
    }
    let expected = [(EACH - COIN + value(&two, 0), 5), (EACH - COIN + value(&three, 0), 5)];
    (vec![one, two, three], expected)
}

#[test]
fn a_chain_of_final_payments_counts_what_is_left_of_it() {
    let mut scene = Scene::new();
    let (_, expected) = final_payments(&mut scene);
    assert_eq!([scene.balance(4), scene.balance(5)], expected);
    assert_eq!(scene.sums(4).archived.get(), EACH - COIN);
}

#[test]
fn a_balance_stays_while_a_block_takes_its_payments_whoever_hears_of_it_first() {
    type Step = fn(&Scene, &Arc<CommittedBlock>);
    let show: Step = |scene, block| scene.show(block);
    let store: Step = |scene, block| scene.store(block);
    let forget: Step = |scene, block| scene.forget(block);
    for order in [[show, store, forget], [store, show, forget]] {
        let mut scene = Scene::new();
        let (txs, expected) = final_payments(&mut scene);
        let block = scene.block(&txs);
        assert_eq!([scene.balance(4), scene.balance(5)], expected, "the block is on its way");
        for (number, step) in order.iter().enumerate() {
            step(&scene, &block);
            assert_eq!([scene.balance(4), scene.balance(5)], expected, "after step {number}");
        }
        assert_eq!((scene.sums(4).finalized.get(), scene.sums(4).archived.get()), (0, expected[0].0));
    }
}

#[test]
fn rewards_count_from_the_block_on_also_while_the_store_lacks_it() {
    let mut scene = Scene::new();
    let first = scene.block(&[]);
    scene.show(&first);
    let second = scene.block(&[]);
    assert_eq!(scene.balance(100), (0, 0), "nobody was told of the block");
    scene.show(&second);
    let coinbase = &second.block.txs[0].body;
    let reward: u64 = coinbase.outputs.iter().filter(|out| out.lock == lock(100)).map(|out| out.value.get()).sum();
    assert!(reward > 0);
    for step in 0..3 {
        assert_eq!(scene.balance(100), (reward, 1), "step {step}");
        match step {
            0 => {
                scene.store(&first);
                scene.store(&second);
            }
            _ => scene.forget(&second),
        }
    }
}

#[test]
fn collateral_is_bonded_and_what_is_to_become_collateral_too() {
    let mut scene = Scene::new();
    let collateral = scene.world.collateral(0).value;
    assert_eq!((scene.sums(0).bonded.get(), scene.balance(0)), (collateral, (EACH + collateral, 6)));
    assert_eq!(scene.sums(7).bonded.get(), 0);
    let draft = scene.world.registration(&[scene.world.coin(7)], 20);
    let registration = scene.world.verified(draft);
    scene.admit(&registration);
    scene.finalize(&registration);
    assert_eq!(scene.sums(7).bonded, registration.body().outputs[0].value);
}
