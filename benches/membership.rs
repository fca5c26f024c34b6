//! What masternodes cost a block, by their number: the end of an epoch, and the rewards of a block that opens a slot.
//!
//! `cargo bench --bench membership`. A twentieth of the masternodes, one at least, asked to leave and as many to enter; all
//! signed the last block. Signatures and the delay proof were verified before.

// A scene that cannot be set up ends the bench.
#![allow(clippy::expect_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::collections::HashMap;
use std::hint::black_box;
use timed::chain::genesis::state_root;
use timed::chain::leader::vdf_seed;
use timed::chain::registry::Registry;
use timed::chain::rewards::coinbase_outputs;
use timed::chain::spec::{Chain, ChainSpec, GenesisMasternode};
use timed::crypto::vdf;
use timed::ledger::execute::{BlockBody, Executed, coinbase, execute};
use timed::ledger::state::ChainState;
use timed::ledger::utxo::{StateRead, Utxo};
use timed::ledger::verify::Verifier;
use timed::types::block::{BftKind, Commit, VdfProof, bft_digest};
use timed::types::hash::{Domain, Txid};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::{Amount, Epoch, Height, View};
use timed::types::transaction::{OutPoint, Payload, Register, TxBody, TxOut};
use timed::types::verified::Verified;

const SIZES: [usize; 3] = [4, 100, 1_000];
const BRONZE: Amount = Amount::new(100_000_000_000);
const REWARD: Amount = Amount::new(50_000_000_000);

fn key(number: usize) -> SecretKey {
    SecretKey::from_bytes(&Domain::TXID.hash(&number.to_le_bytes()).0)
}

fn chain(keys: &[SecretKey], epoch_slots: u64) -> Chain {
    let mut spec = ChainSpec::builtin("dev").expect("built in");
    (spec.genesis_time_ms, spec.vdf_iterations, spec.epoch_slots) = (1, 1, epoch_slots);
    let masternode = |key: &SecretKey| GenesisMasternode {
        consensus_key: key.public_key(),
        owner: Lock::of_key(&key.public_key()),
        payout: Lock::of_key(&key.public_key()),
        tier: "bronze".to_owned(),
        endpoint: "192.0.2.200:24200".to_owned(),
    };
    spec.masternodes = keys.iter().map(masternode).collect();
    Chain::new(spec).expect("a valid chain")
}

/// No block of the bench spends anything.
struct Store(HashMap<OutPoint, Utxo>);

impl StateRead for Store {
    fn utxo(&self, outpoint: &OutPoint) -> Option<Utxo> {
        self.0.get(outpoint).copied()
    }

    fn archived_height(&self, _: &Txid) -> Option<Height> {
        None
    }
}

/// A tip that all masternodes signed, whose child closes the epoch if `epoch_slots` is 2.
struct Scene {
    chain: Chain,
    verifier: Verifier,
    state: ChainState,
    store: Store,
    last_commit: Verified<Commit>,
    vdf: VdfProof,
}

fn next_vdf(chain: &Chain, state: &ChainState) -> VdfProof {
    let seed = vdf_seed(&state.header.beacon, &state.last_opening, state.header.opened + 1);
    vdf::evaluate(&seed, chain.vdf_iterations)
}

fn scene(size: usize, epoch_slots: u64) -> Scene {
    let keys: Vec<SecretKey> = (0..size).map(key).collect();
    let chain = chain(&keys, epoch_slots);
    let verifier = Verifier::new(chain.clone());
    let (genesis, utxos) = ChainState::genesis(&chain).expect("a valid chain");
    let store = Store(utxos.into_iter().collect());
    let vdf = next_vdf(&chain, &genesis);
    let proposer = genesis.validators.members().first().expect("somebody").consensus_key;
    let slot = genesis.header.slot.next();
    let body = BlockBody { slot, proposer, txs: &[], last_commit: None, evidence: &[], vdf: Some(&vdf) };
    let mut state = execute(&chain, &genesis, &store, &verifier, &body).expect("a valid block").changes.state.clone();
    let digest = bft_digest(&chain.id(), state.height(), View::ZERO, BftKind::Precommit, Some(state.hash));
    let by_key: HashMap<PublicKey, &SecretKey> = keys.iter().map(|key| (key.public_key(), key)).collect();
    let members = state.signers.members().iter();
    let signatures: Vec<Option<Signature>> =
        members.map(|m| by_key.get(&m.consensus_key).map(|key| key.sign(&digest))).collect();
    let commit = Commit { height: state.height(), view: View::ZERO, block_hash: state.hash, signatures };
    let last_commit = verifier.commit(commit, &state.signers).expect("a quorum");
    ask(&chain, &mut state.registry, size.div_ceil(20));
    let vdf = next_vdf(&chain, &state);
    Scene { chain, verifier, state, store, last_commit, vdf }
}

/// `count` masternodes ask to leave, as many others to enter.
fn ask(chain: &Chain, registry: &mut Registry, count: usize) {
    let leaving: Vec<_> = registry.iter().take(count).map(|m| m.id).collect();
    let unregister = leaving.into_iter().map(|masternode| Payload::Unregister { masternode });
    let register = (0..count).map(|number| {
        let key = key(1_000_000 + number).public_key();
        let (payout, endpoint) = (Lock::of_key(&key), "192.0.2.200:24200".to_owned());
        Payload::Register(Register {
            consensus_key: key,
            payout,
            endpoint,
            collateral_index: 0,
            proof: Signature([0; 64]),
        })
    });
    for (number, payload) in (0u64..).zip(unregister.chain(register)) {
        let out = TxOut { value: BRONZE, lock: Lock::KeyHash([7; 32]) };
        let body = TxBody { version: 1, inputs: Vec::new(), outputs: vec![out], payload, memo: Vec::new() };
        let txid = Txid(Domain::TXID.hash(&number.to_be_bytes()).0);
        assert!(registry.apply(chain, Height::new(1), Epoch::ZERO, txid, &body), "it has an effect");
    }
}

impl Scene {
    fn execute(&self) -> Executed {
        let body = BlockBody {
            slot: self.state.header.slot.next(),
            proposer: self.proposer(),
            txs: &[],
            last_commit: Some(&self.last_commit),
            evidence: &[],
            vdf: Some(&self.vdf),
        };
        execute(&self.chain, &self.state, &self.store, &self.verifier, &body).expect("a valid block")
    }

    fn proposer(&self) -> PublicKey {
        self.state.validators.members().first().expect("somebody").consensus_key
    }

    /// A registry of its own after the boundary: nothing is shared, no hash is known.
    fn closed(&self) -> Registry {
        let mut registry = self.state.registry.clone();
        registry.boundary(&self.chain, Epoch::ZERO, self.state.validators.total());
        registry
    }
}

fn epoch_change(c: &mut Criterion) {
    let mut group = c.benchmark_group("end of an epoch");
    for size in SIZES {
        let scene = scene(size, 2);
        let id = |part: &str| BenchmarkId::new(part, size);
        group.bench_function(id("boundary"), |b| b.iter(|| black_box(scene.closed())));
        let closed = scene.closed();
        group.bench_function(id("new set and its hash"), |b| b.iter(|| black_box(closed.validators()).expect("a set")));
        group.bench_function(id("hash of the registry"), |b| {
            b.iter_batched(|| scene.closed(), |registry| registry.hash(), BatchSize::SmallInput);
        });
        let state = &scene.state;
        let root = |registry: &Registry| state_root(&state.utxo_hash, registry, state.supply, state.accrued_fees);
        group.bench_function(id("state root, the registry as before"), |b| b.iter(|| black_box(root(&state.registry))));
        let changes = scene.execute().changes;
        assert_eq!(changes.closed_epoch, Some(Epoch::ZERO));
        group.bench_function(id("a block that closes"), |b| b.iter(|| black_box(scene.execute())));
    }
    group.finish();
}

fn rewards(c: &mut Criterion) {
    let mut group = c.benchmark_group("rewards of a block");
    for size in SIZES {
        let scene = scene(size, 1_000);
        let id = |part: &str| BenchmarkId::new(part, size);
        let (state, proposer, commit) = (&scene.state, scene.proposer(), &*scene.last_commit);
        let outputs = || coinbase_outputs(REWARD, 1_000, &state.signers, Some(commit), &state.validators, &proposer);
        assert_eq!(outputs().len(), size);
        group.bench_function(id("who gets what"), |b| b.iter(|| black_box(outputs())));
        group.bench_function(id("the coinbase and its txid"), |b| {
            b.iter(|| black_box(coinbase(&scene.chain, state, &proposer, Some(commit), REWARD)));
        });
        let executed = scene.execute();
        assert_eq!(executed.changes.closed_epoch, None);
        // The same function builds a block and checks one.
        group.bench_function(id("a block that does not close"), |b| b.iter(|| black_box(scene.execute())));
    }
    group.finish();
}

criterion_group!(benches, epoch_change, rewards);
criterion_main!(benches);
