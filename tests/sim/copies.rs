//! One masternode started twice by its operator's mistake: on a second host, with an old copy of `votes.log`, together with
//! the first, after it or before it. Both are honest programs with one key: the oracle hears it if they contradict each
//! other.

use crate::disk::Tear;
use crate::faults::Plan;
use crate::network::Quality;
use crate::rng::Rng;
use crate::seeds::{finish, recover};
use crate::world::World;

/// The masternode.
const FIRST: usize = 0;
/// How many masternodes there are: with the greater number each question comes over many links.
const SIZES: [usize; 2] = [4, 16];

/// When the copy starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// While the first runs.
    Later,
    /// Both at once.
    Together,
    /// Alone; the first comes back a while later.
    Before,
}

/// A world, and the node in it that runs with the key of the first; it has not started.
fn world(seed: u64, rng: &mut Rng, is_careful: bool) -> (World, usize) {
    let masternodes = if rng.chance(250) { SIZES[1] } else { SIZES[0] };
    let mut plan = Plan::quiet(seed, masternodes);
    plan.spares = 1;
    let copy = masternodes + plan.observers;
    plan.late.insert(copy);
    plan.load_every_ms = 150;
    plan.mix.rivals = 500;
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    world.nodes[copy].key = world.nodes[FIRST].key.clone();
    world.twins.extend([FIRST, copy]);
    for node in [FIRST, copy] {
        world.nodes[node].is_careful = is_careful;
    }
    // There and back, over a node between them, well below what a run listens for.
    let (loss_permille, reorder) = (rng.below(100), rng.chance(500));
    world.weather(Quality { jitter_ms: 250, loss_permille, reorder, ..Quality::GOOD });
    (world, copy)
}

/// Two runs with one key, after ten seconds of both.
fn twice(seed: u64, is_careful: bool) -> (World, usize, Start) {
    let mut rng = Rng::new(seed);
    let (mut world, copy) = world(seed, &mut rng, is_careful);
    // The copy's votes.log is as old as this, or there is none.
    world.run_for(rng.range(0, 6_000));
    world.nodes[copy].disk.votes = world.nodes[FIRST].disk.votes.clone().filter(|_| rng.chance(900));
    world.nodes[copy].run = 1;
    world.run_for(rng.range(0, 6_000));
    let start = *rng.pick(&[Start::Later, Start::Later, Start::Together, Start::Before]);
    if start != Start::Later {
        world.crash(FIRST, Tear::Cut, false);
        world.run_for(rng.range(0, 1_000));
    }
    if start != Start::Together || rng.chance(500) {
        world.start(copy);
    }
    if start != Start::Together {
        world.run_for(rng.range(0, 5_000));
    }
    for node in [FIRST, copy] {
        if world.replica(node).is_none() {
            world.start(node);
        }
    }
    world.run_for(10_000);
    (world, copy, start)
}

/// Which of two runs fell silent.
fn settles(seed: u64) -> [bool; 2] {
    let (mut world, copy, start) = twice(seed, true);
    let silent = [FIRST, copy].map(|node| !world.nodes[node].signs());
    assert!(silent[0] || silent[1], "seed {seed}, {start:?}: both sign");
    // The operator finds out, and lets the one that signs have the key.
    for (node, _) in [FIRST, copy].into_iter().zip(silent).filter(|(_, is_silent)| *is_silent) {
        world.crash(node, Tear::Cut, false);
        world.nodes[node].key = None;
        world.start(node);
    }
    recover(&mut world);
    let outcome = finish(world);
    assert!(outcome.failures.is_empty(), "seed {seed}, {start:?}: {:#?}", outcome.failures);
    silent
}

#[test]
fn a_masternode_started_twice_signs_nothing_twice() {
    let setting = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (first, count) = (setting("SIM_FIRST_SEED", 1), setting("SIM_COPIES", 20));
    let runs: Vec<[bool; 2]> = (first..first + count).map(settles).collect();
    let of = |silent: [bool; 2]| runs.iter().filter(|run| **run == silent).count();
    let (first, copy, both) = (of([true, false]), of([false, true]), of([true, true]));
    println!("of {count} started twice {first} times the first fell silent, {copy} times the copy, {both} times both");
}

#[test]
fn without_that_care_the_oracle_hears_contradictions() {
    let contradict = |seed: &u64| !twice(*seed, false).0.oracle.violations().is_empty();
    let (count, found) = (12, (1..=12).filter(contradict).count());
    println!("of {count} started twice without care {found} contradicted themselves within ten seconds");
    assert!(found > 0);
}
