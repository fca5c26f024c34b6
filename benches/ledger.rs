//! What the ledger does with 10,000 payments: taking them in, executing a block of them, committing it.
//!
//! `cargo bench --bench ledger`. Signatures are checked before anything is timed (see the bench `verify`); the
//! store is a map in memory, so a disk's part is not in these numbers.

// A scene that cannot be set up ends the bench.
#![allow(clippy::expect_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use timed::chain::leader::vdf_seed;
use timed::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use timed::crypto::vdf;
use timed::ledger::execute::{BlockBody, Executed, execute};
use timed::ledger::state::ChainState;
use timed::ledger::utxo::{StateRead, Utxo};
use timed::ledger::verify::Verifier;
use timed::ledger::{Ledger, PoolLimits, Submission, VerifiedTx};
use timed::types::block::{BftKind, Commit, VdfProof, bft_digest};
use timed::types::hash::Txid;
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Height, TimeMs, View};
use timed::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut, sighash};
use timed::types::verified::Verified;

const PAYMENTS: u32 = 10_000;
const FAN_OUT: u32 = 1_000;
const NOW: TimeMs = TimeMs(1_000_000);

#[derive(Default)]
struct Store {
    utxos: HashMap<OutPoint, Utxo>,
    heights: HashMap<Txid, Height>,
}

impl StateRead for Store {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.utxos.get(outpoint).copied()
    }

    fn archived_height(&self, txid: &Txid) -> Option<Height> {
        self.heights.get(txid).copied()
    }
}

/// A chain whose tip has 10,000 outputs of one key, a payment of each, and what the next block needs.
struct Scene {
    chain: Chain,
    verifier: Verifier,
    state: ChainState,
    store: Arc<Store>,
    last_commit: Verified<Commit>,
    vdf: VdfProof,
    payments: Vec<VerifiedTx>,
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

fn chain() -> Chain {
    let mut spec = ChainSpec::builtin("dev").expect("built in");
    let lock = Lock::of_key(&key().public_key());
    spec.genesis_time_ms = 1;
    spec.vdf_iterations = 1;
    spec.masternodes = vec![GenesisMasternode {
        consensus_key: key().public_key(),
        owner: lock,
        payout: lock,
        tier: "gold".to_owned(),
        endpoint: "127.0.0.1:24200".to_owned(),
    }];
    let coin = Allocation { address: lock, amount: Amount::new(10_000_000_000_000) };
    spec.allocations = vec![coin; (PAYMENTS / FAN_OUT) as usize];
    Chain::new(spec).expect("a valid chain")
}

/// Spends `outpoint`, worth `value`, into `outputs` equal parts.
fn pay(chain: &Chain, outpoint: OutPoint, value: u64, outputs: u32) -> HashedTx {
    let lock = Lock::of_key(&key().public_key());
    let value = Amount::new((value - 50_000_000) / u64::from(outputs));
    let outputs = vec![TxOut { value, lock }; outputs as usize];
    let body = TxBody { version: 1, inputs: vec![outpoint], outputs, payload: Payload::Transfer, memo: Vec::new() };
    let signature = key().sign(&sighash(&chain.id(), &body.txid()));
    let witnesses = vec![Witness::Key { pubkey: key().public_key(), signature }];
    HashedTx::new(Transaction { body, witnesses })
}

fn next_vdf(chain: &Chain, state: &ChainState) -> VdfProof {
    let seed = vdf_seed(&state.header.beacon, &state.last_opening, state.header.opened + 1);
    vdf::evaluate(&seed, chain.vdf_iterations)
}

fn verified(verifier: &Verifier, txs: Vec<HashedTx>) -> Vec<VerifiedTx> {
    let mut txs: Vec<VerifiedTx> = verifier.transactions(txs).into_iter().map(|tx| tx.expect("valid")).collect();
    txs.sort_by_key(|tx| tx.txid());
    txs
}

fn scene() -> Scene {
    let chain = chain();
    let verifier = Verifier::new(chain.clone());
    let (genesis, utxos) = ChainState::genesis(&chain).expect("a valid chain");
    let mut store = Store::default();
    store.utxos.extend(utxos.iter().copied());
    let coins = utxos.iter().skip(1);
    let fan_out = coins.map(|(outpoint, utxo)| pay(&chain, *outpoint, utxo.out.value.get(), FAN_OUT)).collect();
    let fan_out = verified(&verifier, fan_out);
    let vdf = next_vdf(&chain, &genesis);
    let (slot, proposer) = (genesis.header.slot.next(), key().public_key());
    let body = BlockBody { slot, proposer, txs: &fan_out, last_commit: None, evidence: &[], vdf: Some(&vdf) };
    let block = execute(&chain, &genesis, &store, &verifier, &body).expect("a valid block");
    for (outpoint, _) in &block.changes.spent {
        store.utxos.remove(outpoint);
    }
    store.utxos.extend(block.changes.created.iter().copied());
    store.heights.extend(block.changes.txids.iter().map(|txid| (*txid, block.changes.height)));
    let state = block.changes.state.clone();
    let digest = bft_digest(&chain.id(), state.height(), View::ZERO, BftKind::Precommit, Some(state.hash));
    let signatures = vec![Some(key().sign(&digest))];
    let commit = Commit { height: state.height(), view: View::ZERO, block_hash: state.hash, signatures };
    let last_commit = verifier.commit(commit, &state.signers).expect("a quorum");
    let outputs = fan_out.iter().flat_map(|tx| tx.outputs());
    let payments = outputs.map(|(outpoint, out)| pay(&chain, outpoint, out.value.get(), 1)).collect();
    let payments = verified(&verifier, payments);
    let vdf = next_vdf(&chain, &state);
    Scene { chain, verifier, state, store: Arc::new(store), last_commit, vdf, payments }
}

impl Scene {
    fn ledger(&self) -> Ledger {
        let limits = PoolLimits { max_transactions: PAYMENTS as usize, ..PoolLimits::default() };
        Ledger::new(self.chain.clone(), self.state.clone(), self.store.clone(), limits)
    }

    fn filled(&self) -> Ledger {
        let mut ledger = self.ledger();
        for tx in &self.payments {
            assert_eq!(ledger.submit(NOW, tx.clone()), Submission::New);
        }
        ledger
    }

    fn finalized(&self) -> Ledger {
        let mut ledger = self.filled();
        for tx in &self.payments {
            ledger.set_certified(NOW, tx.clone());
            ledger.set_final(NOW, &tx.txid());
        }
        ledger
    }

    fn execute(&self) -> Executed {
        let body = BlockBody {
            slot: self.state.header.slot.next(),
            proposer: key().public_key(),
            txs: &self.payments,
            last_commit: Some(&self.last_commit),
            evidence: &[],
            vdf: Some(&self.vdf),
        };
        execute(&self.chain, &self.state, &*self.store, &self.verifier, &body).expect("a valid block")
    }
}

fn ledger(c: &mut Criterion) {
    let scene = scene();
    assert_eq!(scene.payments.len(), PAYMENTS as usize);
    let mut group = c.benchmark_group("ledger of 10,000 payments");
    group.throughput(Throughput::Elements(u64::from(PAYMENTS))).sample_size(10);
    group.bench_function("submit", |b| b.iter(|| black_box(scene.filled())));
    group.bench_function("certify and finalize", |b| {
        b.iter_batched(
            || scene.filled(),
            |mut ledger| {
                for tx in &scene.payments {
                    ledger.set_certified(NOW, tx.clone());
                    ledger.set_final(NOW, &tx.txid());
                }
                ledger
            },
            BatchSize::PerIteration,
        );
    });
    let finalized = scene.finalized();
    group.bench_function("assemble", |b| b.iter(|| black_box(finalized.assemble(scene.chain.max_block_bytes))));
    let included = scene.payments.iter().map(|tx| tx.txid()).collect();
    group.bench_function("left out", |b| b.iter(|| black_box(finalized.left_out(NOW.plus(60_000), &included, 0))));
    group.bench_function("execute", |b| b.iter(|| black_box(scene.execute())));
    let changes = scene.execute().changes;
    group.bench_function("commit", |b| {
        b.iter_batched(
            || scene.finalized(),
            |mut ledger| {
                let committed = ledger.commit(NOW, Arc::clone(&changes));
                (committed, ledger)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("execute and commit", |b| {
        b.iter_batched(
            || scene.finalized(),
            |mut ledger| {
                let committed = ledger.commit(NOW, scene.execute().changes);
                (committed, ledger)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
