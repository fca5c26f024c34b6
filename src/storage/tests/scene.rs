//! Chains to store, made without a disk, with what a store has to say after each block.

use crate::chain::spec::Chain;
use crate::ledger::VerifiedTx;
use crate::ledger::execute::Executed;
use crate::ledger::state::ChainState;
use crate::ledger::testing::{Coin, World, output, sorted};
use crate::ledger::utxo::Utxo;
use crate::ledger::verify::Verifier;
use crate::replica::command::{CommittedBlock, JournalRecord};
use crate::replica::message::SealedBlock;
use crate::storage::block_files::{BlockFiles, IndexEnd};
use crate::storage::files::Files;
use crate::storage::replay::Replay;
use crate::storage::sled_store::{Counts, IndexCheck, SledStore, StoreOptions};
use crate::storage::store::{Archive, StoreError};
use crate::storage::untouched::Untouched;
use crate::types::block::Block;
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::vote::{FinalityKind, VoteBatch};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A chain, and the state after each of its blocks.
pub struct Scene {
    pub chain: Chain,
    pub verifier: Arc<Verifier>,
    /// From height 1 on.
    pub blocks: Vec<Arc<CommittedBlock>>,
    /// From genesis on.
    pub states: Vec<ChainState>,
    pub utxos: Vec<BTreeMap<OutPoint, Utxo>>,
}

impl Scene {
    /// A chain of `heights` blocks with payments, chains of payments within a block, overflow blocks, a registration and a
    /// punishment, all chosen by `seed`. Its epochs have three slots.
    pub fn random(seed: u64, heights: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut world = World::default();
        let mut scene = Self {
            chain: world.chain.clone(),
            verifier: world.verifier.clone(),
            blocks: Vec::new(),
            states: vec![world.state.clone()],
            utxos: vec![world.store.utxos()],
        };
        let mut coins: Vec<Coin> = (0..40).map(|i| world.coin(i)).collect();
        let mut extra = 0;
        for height in 1..=heights {
            let mut txs = payments(&world, &mut coins, &mut rng, &mut extra);
            if height == 2 {
                let coin = coins.swap_remove(0);
                txs.push(world.verified(world.registration(&[coin], 20)));
            }
            let evidence = if height == 4 { vec![world.double_prepare(3)] } else { Vec::new() };
            let bytes: u64 = txs.iter().map(|tx| u64::from(tx.size_bytes())).sum();
            let overflows = height > 4 && bytes >= world.chain.overflow_min_bytes && rng.random_bool(0.3);
            let txs = sorted(&txs);
            let executed = if overflows { world.overflow(&txs) } else { world.opening(&txs, &evidence) }.unwrap();
            let vdf = (!overflows).then(|| world.vdf());
            let content = (vdf, evidence.iter().map(|piece| (**piece).clone()).collect::<Vec<_>>());
            scene.push(&mut world, &executed, content);
        }
        scene
    }

    fn push(
        &mut self,
        world: &mut World,
        executed: &Executed,
        (vdf, evidence): (Option<crate::types::block::VdfProof>, Vec<crate::types::evidence::Evidence>),
    ) {
        let last_commit = world.last_commit.as_ref().map(|commit| (**commit).clone());
        world.advance(executed);
        let txs = executed.changes.txs.iter().map(|tx| tx.tx().clone());
        let txs = executed.coinbase.clone().into_iter().chain(txs).collect();
        let block = Block { header: executed.header.clone(), txs, last_commit, evidence, vdf };
        let commit = (**world.last_commit.as_ref().unwrap()).clone();
        self.blocks.push(Arc::new(CommittedBlock { block, commit, changes: executed.changes.clone() }));
        self.states.push(world.state.clone());
        self.utxos.push(world.store.utxos());
    }

    pub fn options(&self) -> StoreOptions {
        let options = StoreOptions::new(self.chain.clone(), self.verifier.clone(), 0, on_failure);
        // Small files, so that a short chain needs several.
        StoreOptions { block_file_bytes: 6_000, journal_segment_bytes: 3_000, ..options }
    }

    /// What the journal holds about the block at `height`: its transactions, some votes, and the block.
    pub fn records(&self, height: u64) -> Vec<JournalRecord> {
        let block = &self.blocks[height as usize - 1];
        let txs = block.changes.txs.iter().map(|tx| JournalRecord::Tx(tx.tx().clone()));
        let votes = JournalRecord::Votes(VoteBatch {
            epoch: Epoch::new(height),
            kind: FinalityKind::Vote,
            voter: PublicKey([height as u8; 32]),
            txids: block.changes.txids.clone(),
            signature: Signature([7; 64]),
        });
        txs.chain([votes, JournalRecord::Block(sealed(block))]).collect()
    }

    /// Whether the block at `height` closed its epoch.
    pub fn closes(&self, height: u64) -> bool {
        height > 0 && self.blocks[height as usize - 1].changes.closed_epoch.is_some()
    }

    /// Every entry of the index against the chain, executed anew from the files.
    pub fn verify_index(&self, store: &Arc<SledStore>) -> Result<Counts, StoreError> {
        let mut replay = Replay::new(self.chain.clone(), self.verifier.clone())?;
        let mut check = IndexCheck::new(store.clone());
        check.begin(&replay)?;
        let mut counts = if check.tip() == Height::ZERO { Some(check.finish(&replay)?) } else { None };
        let files: Arc<dyn Files> = Arc::new(Untouched::new(store.files()));
        BlockFiles::open::<StoreError>(
            files,
            self.options().block_file_bytes,
            IndexEnd::Base(Height::ZERO),
            |found| {
                let block = replay.block(&found.stored)?;
                check.block(&block, found.location)?;
                if check.tip() == block.changes.height {
                    counts = Some(check.finish(&replay)?);
                }
                Ok(())
            },
        )?;
        counts.ok_or(StoreError::OutOfOrder { tip: replay.state().height(), found: check.tip() })
    }

    /// The store is what the chain is after its tip, in every answer.
    pub fn check_store(&self, store: &Arc<SledStore>) {
        let height = store.tip().height().get() as usize;
        assert_eq!(store.tip(), self.states[height], "the state after block {height}");
        let utxos = &self.utxos[height];
        assert_eq!(store.totals().outputs, utxos.len() as u64);
        for (outpoint, utxo) in utxos {
            assert_eq!(store.unspent_output(outpoint).unwrap(), Some(*utxo));
        }
        let counts = self.verify_index(store).unwrap_or_else(|e| panic!("height {height}: {e}"));
        assert_eq!(counts.outputs, utxos.len() as u64);
    }
}

pub fn sealed(block: &CommittedBlock) -> SealedBlock {
    SealedBlock { block: block.block.clone(), commit: block.commit.clone() }
}

/// The store may not go on.
pub fn on_failure(error: &StoreError) -> ! {
    panic!("the store failed: {error}");
}

fn payments(world: &World, coins: &mut Vec<Coin>, rng: &mut ChaCha12Rng, extra: &mut u64) -> Vec<VerifiedTx> {
    let mut txs = Vec::new();
    for _ in 0..rng.random_range(0..8) {
        let mut spent = vec![coins.swap_remove(rng.random_range(0..coins.len()))];
        if rng.random_bool(0.3) {
            spent.push(coins.swap_remove(rng.random_range(0..coins.len())));
        }
        let people: Vec<u64> = (0..rng.random_range(1..4)).map(|_| rng.random_range(0..8)).collect();
        *extra += 1;
        let tx = world.pay_with_fee(&spent, &people, *extra);
        // What a payment of this block creates may be spent by the next one.
        coins.extend(people.iter().zip(0u32..).map(|(owner, index)| output(&tx, index, *owner)));
        txs.push(tx);
    }
    txs
}
