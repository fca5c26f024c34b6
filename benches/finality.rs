//! What one payment costs one node: verifying and counting the votes and receipts of a whole set, and polling it.
//!
//! `cargo bench --bench finality`. The elements of the throughput are payments, on one core (verification: all).

// A bench that cannot set up what it measures has nothing to say but why.
#![allow(clippy::expect_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use timed::chain::spec::{Chain, ChainSpec};
use timed::finality::Finality;
use timed::ledger::verify::Verifier;
use timed::snowball::{Answer, Snowball, SnowballOutput};
use timed::types::hash::{Domain, Hash, MasternodeId, Txid};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::{Epoch, TimeMs, Weight};
use timed::types::transaction::OutPoint;
use timed::types::validators::{Validator, ValidatorSet};
use timed::types::verified::Verified;
use timed::types::vote::{FinalityKind, VoteBatch};

const SET_SIZES: [usize; 4] = [4, 16, 64, 256];
const PAYMENTS: usize = 1_024;
const BATCH_TXIDS: usize = 64;

fn keys(count: usize) -> Vec<SecretKey> {
    (0..count).map(|number| SecretKey::from_bytes(&name(number).0)).collect()
}

fn name(number: usize) -> Hash {
    Domain::TXID.hash(&number.to_le_bytes())
}

fn payments() -> Vec<(Txid, Vec<OutPoint>)> {
    let payment = |number: usize| {
        let spent = OutPoint { txid: name(number + 1_000_000).into(), index: 0 };
        (Txid::from(name(number)), vec![spent])
    };
    (0..PAYMENTS).map(payment).collect()
}

fn set_of(keys: &[SecretKey]) -> Arc<ValidatorSet> {
    let member = |key: &SecretKey| {
        let key = key.public_key();
        Validator { id: MasternodeId(key.0), consensus_key: key, weight: Weight::new(10), payout: Lock::of_key(&key) }
    };
    Arc::new(ValidatorSet::new(keys.iter().map(member).collect()).expect("distinct keys with weight"))
}

fn verifier() -> (Chain, Verifier) {
    let key = SecretKey::from_bytes(&[1; 32]).public_key();
    let spec = ChainSpec::dev(0, key, Lock::of_key(&key), Vec::new()).expect("the built-in chain");
    let chain = Chain::new(spec).expect("the built-in chain");
    (chain.clone(), Verifier::new(chain))
}

/// Votes, then receipts, of every key for each batch of payments, as they come in.
fn batches(chain: &Chain, keys: &[SecretKey], payments: &[(Txid, Vec<OutPoint>)]) -> Vec<VoteBatch> {
    let mut batches = Vec::new();
    for chunk in payments.chunks(BATCH_TXIDS) {
        for kind in [FinalityKind::Vote, FinalityKind::Receipt] {
            for key in keys {
                let txids = chunk.iter().map(|(txid, _)| *txid).collect();
                let signature = Signature([0; 64]);
                let mut batch = VoteBatch { epoch: Epoch::ZERO, kind, voter: key.public_key(), txids, signature };
                batch.signature = key.sign(&batch.digest(&chain.id()));
                batches.push(batch);
            }
        }
    }
    batches
}

/// Throughput in payments.
fn tally(criterion: &mut Criterion) {
    let (chain, verifier) = verifier();
    let payments = payments();
    let mut group = criterion.benchmark_group("votes and receipts of a payment");
    group.throughput(Throughput::Elements(PAYMENTS as u64)).sample_size(10);
    for size in SET_SIZES {
        let keys = keys(size);
        let set = set_of(&keys);
        let signed = batches(&chain, &keys, &payments);
        group.bench_function(BenchmarkId::new("verified", size), |bencher| {
            bencher.iter_batched(|| signed.clone(), |signed| verifier.vote_batches(signed), BatchSize::PerIteration);
        });
        let verified: Vec<Arc<Verified<VoteBatch>>> =
            verifier.vote_batches(signed).into_iter().map(|batch| Arc::new(batch.expect("signed"))).collect();
        group.bench_function(BenchmarkId::new("counted", size), |bencher| {
            bencher.iter(|| {
                let mut finality = Finality::new(Epoch::ZERO, set.clone());
                for (txid, inputs) in &payments {
                    finality.learn(*txid, inputs);
                }
                for batch in &verified {
                    black_box(finality.add(batch.clone()));
                }
                assert!(finality.is_final(&payments[0].0));
            });
        });
        group.bench_function(BenchmarkId::new("proof", size), |bencher| {
            let mut finality = Finality::new(Epoch::ZERO, set.clone());
            for batch in &verified {
                finality.add(batch.clone());
            }
            bencher.iter(|| finality.proof(&payments[0].0));
        });
    }
}

/// Everybody accepts everything; all payments arrive at once.
fn poll(criterion: &mut Criterion) {
    let payments = payments();
    let spec = ChainSpec::builtin("mainnet").expect("the built-in chain").snowball;
    let mut group = criterion.benchmark_group("polls of a payment");
    group.throughput(Throughput::Elements(PAYMENTS as u64)).sample_size(10);
    for size in SET_SIZES {
        let keys: Vec<PublicKey> = keys(size).iter().map(SecretKey::public_key).collect();
        let set = set_of(&self::keys(size));
        group.bench_function(BenchmarkId::new("until accepted", size), |bencher| {
            bencher.iter(|| {
                let mut snowball = Snowball::new(spec, Some(keys[0]), [7; 32]);
                snowball.start_epoch(set.clone());
                keys.iter().for_each(|key| snowball.set_live(*key, true));
                for (txid, inputs) in &payments {
                    snowball.add(TimeMs(0), *txid, inputs);
                }
                assert_eq!(run(&mut snowball), PAYMENTS);
            });
        });
    }
}

/// Answers every question until none is left. How many transactions were accepted.
fn run(snowball: &mut Snowball) -> usize {
    let mut accepted = 0;
    loop {
        snowball.tick(TimeMs(0));
        let mut is_done = true;
        for output in snowball.drain() {
            match output {
                SnowballOutput::Accepted(_) => accepted += 1,
                SnowballOutput::Query { to, query, txids } => {
                    is_done = false;
                    let answers = vec![Answer::Accept; txids.len()];
                    snowball.respond(TimeMs(0), &to, query, &answers);
                }
            }
        }
        if is_done {
            return accepted;
        }
    }
}

criterion_group!(benches, tally, poll);
criterion_main!(benches);
