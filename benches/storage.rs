//! What the disk costs: the journal, a block of 10,000 payments in the store, a start.
//!
//! `cargo bench --bench storage` (`-- DIRECTORY` for another disk than that of the build). Every payment has one input
//! and two outputs. Prints medians; a second thread reads outputs all the while and says what it waited.

// A scene that cannot be set up ends the bench.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use timed::chain::leader::vdf_seed;
use timed::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use timed::crypto::vdf;
use timed::ledger::execute::{BlockBody, execute};
use timed::ledger::state::ChainState;
use timed::ledger::utxo::StateRead;
use timed::ledger::verify::Verifier;
use timed::replica::command::{CommittedBlock, JournalRecord};
use timed::replica::message::SealedBlock;
use timed::storage::files::DiskFiles;
use timed::storage::recovery::{self, DataDirectory};
use timed::storage::sled_store::{SledStore, StoreOptions};
use timed::storage::store::{Archive, StoreError};
use timed::types::block::{BftKind, Block, Commit, bft_digest};
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, View};
use timed::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxBody, TxOut, sighash};
use timed::types::verified::Verified;

const PAYMENTS: usize = 10_000;
const BLOCKS: usize = 8;
const COINS: u32 = 100;
const CACHE_BYTES: u64 = 512 << 20;

type Coin = (OutPoint, u64);

/// A chain that grows by blocks of payments, without a disk.
struct Grower {
    chain: Chain,
    verifier: Arc<Verifier>,
    state: ChainState,
    last_commit: Option<Verified<Commit>>,
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

fn on_failure(error: &StoreError) -> ! {
    panic!("{error}");
}

/// Addresses of one key with different thresholds are different addresses: the load has many of them.
fn lock_of(n: u64) -> Lock {
    let mut hash = [9; 32];
    hash[..8].copy_from_slice(&(n % 20_000).to_le_bytes());
    Lock::KeyHash(hash)
}

impl Grower {
    fn new() -> Self {
        let mut spec = ChainSpec::builtin("dev").expect("built in");
        let lock = Lock::of_key(&key().public_key());
        spec.genesis_time_ms = 1;
        spec.vdf_iterations = 1;
        spec.max_block_bytes = 2_500_000;
        spec.masternodes = vec![GenesisMasternode {
            consensus_key: key().public_key(),
            owner: lock,
            payout: lock,
            tier: "gold".to_owned(),
            endpoint: "127.0.0.1:24200".to_owned(),
        }];
        spec.allocations =
            vec![Allocation { address: lock, amount: Amount::new(10_000_000_000_000_000) }; COINS as usize];
        let chain = Chain::new(spec).expect("a valid chain");
        let verifier = Arc::new(Verifier::new(chain.clone()));
        let (state, _) = ChainState::genesis(&chain).expect("a valid chain");
        Self { chain, verifier, state, last_commit: None }
    }

    fn pay(&self, (outpoint, value): &Coin, outputs: Vec<TxOut>) -> HashedTx {
        let rest = value - 50_000_000 - outputs.iter().map(|out| out.value.get()).sum::<u64>();
        let change = TxOut { value: Amount::new(rest), lock: Lock::of_key(&key().public_key()) };
        let (inputs, outputs) = (vec![*outpoint], [vec![change], outputs].concat());
        let body = TxBody { version: 1, inputs, outputs, payload: Payload::Transfer, memo: Vec::new() };
        let signature = key().sign(&sighash(&self.chain.id(), &body.txid()));
        let witnesses = vec![Witness::Key { pubkey: key().public_key(), signature }];
        HashedTx::new(Transaction { body, witnesses })
    }

    /// The next block, of these transactions, on what `utxos` has.
    fn block(&mut self, txs: Vec<HashedTx>, utxos: &dyn StateRead) -> Arc<CommittedBlock> {
        let mut txs: Vec<_> = self.verifier.transactions(txs).into_iter().map(|tx| tx.expect("valid")).collect();
        txs.sort_by_key(|tx| tx.txid());
        let header = &self.state.header;
        let seed = vdf_seed(&header.beacon, &self.state.last_opening, header.opened + 1);
        let proof = vdf::evaluate(&seed, self.chain.vdf_iterations);
        let body = BlockBody {
            slot: header.slot.next(),
            proposer: key().public_key(),
            txs: &txs,
            last_commit: self.last_commit.as_ref(),
            evidence: &[],
            vdf: Some(&proof),
        };
        let executed = execute(&self.chain, &self.state, utxos, &self.verifier, &body).expect("a valid block");
        let last_commit = self.last_commit.as_ref().map(|commit| (**commit).clone());
        self.state = executed.changes.state.clone();
        let (height, hash) = (self.state.height(), self.state.hash);
        let digest = bft_digest(&self.chain.id(), height, View::ZERO, BftKind::Precommit, Some(hash));
        let signatures = vec![Some(key().sign(&digest))];
        let commit = Commit { height, view: View::ZERO, block_hash: hash, signatures };
        self.last_commit = Some(self.verifier.commit(commit.clone(), &self.state.signers).expect("a quorum"));
        let txs = executed.coinbase.into_iter().chain(txs.iter().map(|tx| tx.tx().clone())).collect();
        let block = Block { header: executed.header, txs, last_commit, evidence: Vec::new(), vdf: Some(proof) };
        Arc::new(CommittedBlock { block, commit, changes: executed.changes })
    }
}

fn coins_of(txs: &[HashedTx]) -> Vec<Coin> {
    let mine = Lock::of_key(&key().public_key());
    let outputs = txs.iter().flat_map(|tx| tx.outputs());
    outputs.filter(|(_, out)| out.lock == mine).map(|(outpoint, out)| (outpoint, out.value.get())).collect()
}

/// Splits each coin of genesis into as many as a block spends, which its own payments then spend again and again.
fn fan_out(grower: &Grower, store: &SledStore) -> Vec<HashedTx> {
    let mine = Lock::of_key(&key().public_key());
    let coins = store.unspent_of(&mine, None, 1_000).expect("readable").into_iter().skip(1).take(COINS as usize);
    let coins = coins.filter(|(_, utxo)| utxo.out.value.get() == 10_000_000_000_000_000);
    let parts = PAYMENTS / (COINS as usize - 1) + 1;
    let part = TxOut { value: Amount::new(90_000_000_000_000), lock: mine };
    coins.map(|(at, utxo)| grower.pay(&(at, utxo.out.value.get()), vec![part; parts])).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn journal(directory: &mut DataDirectory, block: &CommittedBlock) {
    let records: Vec<_> = block.changes.txs.iter().map(|tx| JournalRecord::Tx(tx.tx().clone())).collect();
    for batch in [1, 64, 1_024] {
        let mut times = Vec::new();
        for records in records.chunks_exact(batch).take(if batch == 1 { 200 } else { 9 }) {
            let start = Instant::now();
            records.iter().for_each(|record| directory.log.append(record).expect("written"));
            directory.log.sync().expect("synced");
            times.push(start.elapsed());
        }
        let time = median(times);
        let each = time.as_nanos() / batch as u128;
        println!("journal, append and sync of {batch} transactions: {time:?}, {each} ns each");
    }
    let sealed = SealedBlock { block: block.block.clone(), commit: block.commit.clone() };
    let start = Instant::now();
    directory.log.append(&JournalRecord::Block(sealed)).expect("written");
    directory.log.sync().expect("synced");
    println!("journal, append and sync of a block of {}: {:?}", block.block.txs.len(), start.elapsed());
}

/// Reads outputs once a millisecond until told to stop; returns the longest and the mean wait.
fn read_meanwhile(store: Arc<SledStore>, stop: Arc<AtomicBool>, known: Vec<OutPoint>) -> (Duration, Duration) {
    let (mut longest, mut sum, mut count) = (Duration::ZERO, Duration::ZERO, 0u32);
    for outpoint in known.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        std::hint::black_box(store.utxo(outpoint));
        let waited = start.elapsed();
        (longest, sum, count) = (longest.max(waited), sum + waited, count + 1);
        std::thread::sleep(Duration::from_millis(1));
    }
    (longest, sum / count.max(1))
}

fn memory_peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn open(grower: &Grower, root: &Path) -> DataDirectory {
    let options = StoreOptions::new(grower.chain.clone(), grower.verifier.clone(), CACHE_BYTES, on_failure);
    recovery::open(Arc::new(DiskFiles::new(root)), options, &mut |_| {}).expect("opens")
}

fn main() {
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with("--"));
    let root = match folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")),
    };
    let root = root.expect("a directory");
    let mut grower = Grower::new();
    let mut directory = open(&grower, root.path());
    let store = directory.store.clone();
    let first = fan_out(&grower, &store);
    let mut coins: Vec<Coin> = coins_of(&first);
    coins.truncate(PAYMENTS);
    let known: Vec<OutPoint> = coins.iter().map(|(outpoint, _)| *outpoint).collect();
    let block = grower.block(first, &*store);
    store.apply(&[block]).expect("applied");

    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        move || read_meanwhile(store, stop, known)
    });
    let (mut applied, mut flushed) = (Vec::new(), Vec::new());
    for number in 0..BLOCKS {
        let out = |n: usize| TxOut { value: Amount::new(1_000_000), lock: lock_of((number * PAYMENTS + n) as u64) };
        let txs: Vec<_> = coins.iter().enumerate().map(|(n, coin)| grower.pay(coin, vec![out(n)])).collect();
        coins = coins_of(&txs);
        let block = grower.block(txs, &*store);
        if number == 0 {
            journal(&mut directory, &block);
        }
        let start = Instant::now();
        store.apply(&[block]).expect("applied");
        applied.push(start.elapsed());
        let start = Instant::now();
        store.flush(directory.log.synced_sequence()).expect("flushed");
        flushed.push(start.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let (longest, mean) = reader.join().expect("the reader ends");
    let time = median(applied);
    let rate = PAYMENTS as u128 * 1_000 / time.as_millis().max(1);
    println!("store, a block of {PAYMENTS} payments: {time:?}, {rate} payments/s, 8 puts and 2 removes a payment");
    println!("store, flush and sync: {:?}", median(flushed));
    println!("store, one output read meanwhile: {mean:?} on average, {longest:?} at most");
    let outputs = store.totals().outputs;
    println!(
        "index: {} MB for {outputs} outputs; memory at its peak {}",
        store.index_bytes().unwrap_or(0) >> 20,
        memory_peak()
    );
    drop((store, directory));
    let start = Instant::now();
    let directory = open(&grower, root.path());
    println!("start, {outputs} outputs checked: {:?}", start.elapsed());
    drop(directory);
    std::fs::remove_dir_all(root.path().join("db")).expect("removed");
    let start = Instant::now();
    let directory = open(&grower, root.path());
    let transactions = directory.store.totals().transactions;
    println!("index made anew, {transactions} transactions, signatures known: {:?}", start.elapsed());
}
