//! The delay function: squarings per second of one core, what the proof adds, and what verification takes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use timed::crypto::vdf::{Evaluation, evaluate, verify};
use timed::types::hash::Hash;

const SEED: Hash = Hash([1; 32]);
/// About those of a `dev` chain.
const ITERATIONS: u64 = 20_000;

fn delay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delay function");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));

    group.throughput(Throughput::Elements(ITERATIONS));
    group.bench_function("squarings", |bencher| {
        let start = || Evaluation::new(&SEED, u64::MAX / 2);
        bencher.iter_batched_ref(start, |evaluation| evaluation.advance(ITERATIONS), BatchSize::PerIteration);
    });
    group.bench_function("squarings and proof", |bencher| {
        bencher.iter(|| evaluate(black_box(&SEED), ITERATIONS));
    });

    let proof = evaluate(&SEED, ITERATIONS);
    group.throughput(Throughput::Elements(1));
    group.bench_function("verification", |bencher| {
        bencher.iter(|| assert!(verify(black_box(&SEED), ITERATIONS, black_box(&proof))));
    });
    group.finish();
}

criterion_group!(benches, delay);
criterion_main!(benches);
