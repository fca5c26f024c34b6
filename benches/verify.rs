//! Signatures verified per second: one by one, and in batches on one thread and on all.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::ThreadPoolBuilder;
use std::hint::black_box;
use std::time::Duration;
use timed::crypto::batch::{SignatureCheck, verify, verify_all};
use timed::types::hash::Domain;
use timed::types::keys::SecretKey;

/// True claims, each by a key of its own: as payments are. Votes come from few keys and are cheaper.
fn claims(count: u64) -> Vec<SignatureCheck> {
    let claim = |i: u64| {
        let digest = Domain::SIGHASH.hash(&i.to_le_bytes());
        let key = SecretKey::from_bytes(&digest.0);
        SignatureCheck { key: key.public_key(), digest, signature: key.sign(&digest) }
    };
    (0..count).map(claim).collect()
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signatures");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));

    let one = claims(1);
    group.throughput(Throughput::Elements(1));
    group.bench_function("single", |bencher| bencher.iter(|| assert!(verify(black_box(&one[0])))));

    let Ok(one_thread) = ThreadPoolBuilder::new().num_threads(1).build() else { return };
    for count in [64, 256, 1_024] {
        let batch = claims(count);
        let all_true = vec![true; batch.len()];
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("batch, one thread", count), |bencher| {
            bencher.iter(|| assert_eq!(one_thread.install(|| verify_all(black_box(&batch))), all_true));
        });
        group.bench_function(BenchmarkId::new("batch, all threads", count), |bencher| {
            bencher.iter(|| assert_eq!(verify_all(black_box(&batch)), all_true));
        });
    }

    // What one forged signature costs who sent it along.
    let mut forged = claims(1_024);
    group.bench_function(BenchmarkId::new("batch with one forged, one thread", forged.len()), |bencher| {
        forged[77].digest.0[0] ^= 1;
        let verdicts = || one_thread.install(|| verify_all(black_box(&forged)));
        bencher.iter_batched(|| (), |()| verdicts(), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, signatures);
criterion_main!(benches);
