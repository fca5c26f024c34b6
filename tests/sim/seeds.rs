//! Seeds: what one stands for, from its first fault to the proof that the world recovered, and many of them on all cores.

use crate::faults::Plan;
use crate::load::{Kind, Submitted};
use crate::report::{Counts, Outcome, Replay};
use crate::world::World;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use timed::types::hash::Txid;

/// New blocks that every honest node has to see once faults have stopped (L1).
const NEW_BLOCKS: u64 = 10;
/// Blocks in a row that a member may not sign, because the others were faster.
const MISSED_BLOCKS: u64 = 3;
/// How long the world has for each promise of liveness, in its own milliseconds.
const PATIENCE_MS: u64 = 240_000;
/// How often users hand in again what is not final.
const AGAIN_MS: u64 = 2_000;

/// Worlds of which each seed is one.
#[derive(Clone, Copy)]
pub struct Worlds {
    /// Draws one.
    pub draw: fn(u64) -> Plan,
    /// How one is replayed.
    pub replay: Replay,
}

/// Worlds in which every node is linked to every other.
const MESHES: Worlds = Worlds { draw: Plan::draw, replay: Replay { variable: "SIM_SEED", test: "one_seed" } };

/// Runs the world of one seed.
pub fn run(worlds: Worlds, seed: u64, is_printed: bool) -> Outcome {
    let plan = (worlds.draw)(seed);
    if is_printed {
        println!("{plan:#?}");
    }
    let mut world = World::new(plan, is_printed);
    let fault_ms = world.plan.fault_ms;
    // The longest fault outlasts the phase: everything down for an hour.
    world.run_until(fault_ms, |_| false);
    recover(&mut world);
    Outcome { replay: worlds.replay, ..finish(world) }
}

/// What is left of a world.
pub fn finish(mut world: World) -> Outcome {
    world.oracle.finish();
    let counts = world.finish();
    let mut failures = std::mem::take(&mut world.failures);
    failures.extend(world.oracle.violations().iter().map(|v| format!("{} at {}: {}", v.invariant, v.now_ms, v.text)));
    Outcome { seed: world.plan.seed, replay: MESHES.replay, counts, failures, trace: world.trace.hash() }
}

/// Ends a world of a scenario: holds it to liveness, and everything that happened to safety.
pub fn judge(mut world: World) {
    recover(&mut world);
    judge_safety(world);
}

/// The same for a world of which nobody can promise that it goes on.
pub fn judge_safety(world: World) {
    let outcome = finish(world);
    println!("{}", outcome.counts);
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
}

/// Stops the faults and holds the world to what it promises then: L1, L2, L3.
pub fn recover(world: &mut World) {
    if world.has_failed() {
        return;
    }
    world.heal();
    world.stop_users();
    for check in [check_blocks, check_members, check_payments, check_contested] {
        if world.has_failed() || world.counts.waits_for_operators > 0 {
            return;
        }
        check(world);
    }
}

/// Whether a third of the weight or more is Byzantine or has lost what it signed at this height or in this epoch: then the
/// height waits for what operators agree on, and nothing but safety is promised.
fn needs_operators(world: &World) -> bool {
    let height = world.highest() + 1;
    let Some(any) = world.honest().into_iter().find_map(|node| world.replica(node)) else { return false };
    let set = any.ledger().tip().validators.clone();
    let epoch = any.epoch().get();
    let silent = world.nodes.iter().enumerate().filter(|(node, n)| {
        let is_byzantine = world.byzantine.contains_key(node);
        n.key.is_some() && (is_byzantine || n.silent_below.0 > height || n.silent_below.1 > epoch)
    });
    let weight: u64 = silent.map(|(_, n)| n.key.as_ref().map_or(0, |k| set.weight(&k.public_key()).get())).sum();
    weight * 3 > set.total().get()
}

/// L1.
fn check_blocks(world: &mut World) {
    // A clock that was ahead may have brought a block of a slot that is still to come.
    let spec = &world.shared.chain;
    let ahead = world.honest().into_iter().filter_map(|node| world.replica(node)).map(|r| r.ledger().tip().header.slot);
    let start = ahead.map(|slot| spec.slot_start(slot).0).max().unwrap_or(0).saturating_sub(world.now);
    let goal = world.highest() + NEW_BLOCKS;
    if !world.run_until(start + PATIENCE_MS, |world| world.lowest() >= goal) && !world.has_failed() {
        if needs_operators(world) {
            world.counts.waits_for_operators = 1;
            return;
        }
        let heights: Vec<u64> = world.honest().into_iter().map(|node| world.height(node)).collect();
        world.failures.push(format!("L1: not {NEW_BLOCKS} new blocks: heights {heights:?}, wanted {goal}"));
    }
}

/// Who is in the set signs, and who could be punished is (M4).
fn check_members(world: &mut World) {
    let replay = world.oracle.replay();
    let height = replay.tip().height;
    let Some(epoch) = replay.epoch_after(height) else { return };
    let Some(set) = replay.committee(epoch).cloned() else { return };
    let since = height.saturating_sub(NEW_BLOCKS);
    for node in world.honest() {
        let Some(key) = world.nodes[node].key.as_ref().map(|key| key.public_key()) else { continue };
        let first = world.oracle.replay().first_height(epoch).max(since);
        let is_new = set.member(&key).is_none() || first + MISSED_BLOCKS > height;
        let (silent_height, silent_epoch) = world.nodes[node].silent_below;
        let is_excused = is_new || silent_height > first || silent_epoch > epoch;
        if !is_excused && world.oracle.precommitted(&key).range(first..).next().is_none() {
            world
                .failures
                .push(format!("L1: node {node} is in the set of epoch {epoch}, and signs no block from {first}"));
        }
    }
    world.oracle.check_punished(NEW_BLOCKS / 2);
}

/// Valid transactions without a rival that some honest node does not know as final.
fn unfinished(world: &World) -> impl Iterator<Item = Txid> + '_ {
    let honest = world.honest();
    let is_final = move |txid: &Txid| honest.iter().all(|node| world.is_final_at(*node, txid));
    let is_due = move |(txid, s): &(&Txid, &Submitted)| {
        s.kind == Kind::Plain && !is_final(txid) && world.oracle.has_ground(&s.tx.body)
    };
    world.load.submitted.iter().filter(is_due).map(|(txid, _)| *txid)
}

/// L2.
fn check_payments(world: &mut World) {
    let end = world.now + PATIENCE_MS;
    let is_done = |world: &World| unfinished(world).next().is_none();
    while !world.has_failed() && !is_done(world) {
        if world.now >= end {
            let unfinished: Vec<Txid> = unfinished(world).collect();
            world.failures.push(format!("L2: not final everywhere: {unfinished:?}"));
            return;
        }
        world.hand_in_again();
        world.run_until(AGAIN_MS, is_done);
    }
    if !world.has_failed() {
        world.oracle.check_submitted_final();
    }
}

/// L3. A coin with rival spenders is sampled until a side has `beta` polls in a row: who stays silent or lies in polls
/// can put that off for as long as he likes (the fallback is for payments without a rival), so nobody does any more.
fn check_contested(world: &mut World) {
    world.calm_byzantine();
    let spec = world.shared.chain.clone();
    let epoch_ms = spec.slot_ms * (spec.epoch_slots + 1);
    world.run_until(epoch_ms, |world| world.load.free_again().is_empty());
    let end = world.now + PATIENCE_MS;
    while !world.has_failed() && world.spend_again() > 0 {
        if world.now >= end {
            let stuck = world.load.free_again();
            world.failures.push(format!("L3: neither spent nor spendable: {stuck:?}"));
            return;
        }
        world.run_until(2 * epoch_ms, |world| world.load.free_again().is_empty());
    }
}

/// Runs these seeds on all cores; prints counts; panics with the failures, if any.
///
/// With `SIM_STOP_AT_FIRST` no seed begins once one has failed. They begin in ascending order, so the lowest that fails
/// is among those that are told, whatever the cores do.
pub fn run_all(worlds: Worlds, first: u64, count: u64) {
    let begin = Instant::now();
    let stops_at_first = from_environment("SIM_STOP_AT_FIRST").is_some();
    let is_over = AtomicBool::new(false);
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    let total = Mutex::new((Counts::default(), Vec::<String>::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = run_caught(worlds, seed);
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(250) && done < count {
                        println!("{done} of {count} seeds after {:.0} s", begin.elapsed().as_secs_f64());
                    }
                    let mut total = total.lock().unwrap();
                    total.0 += outcome.counts;
                    if !outcome.failures.is_empty() {
                        println!("{}", outcome.describe());
                        total.1.push(outcome.describe());
                        is_over.store(stops_at_first, Ordering::Relaxed);
                    } else if stops_at_first {
                        println!("seed {seed} passed");
                    }
                }
            });
        }
    });
    let (counts, failures) = total.into_inner().unwrap();
    println!("{counts}");
    println!("{:.1} s on {cores} cores", begin.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {count} seeds failed:\n{}", failures.len(), failures.join("\n"));
}

/// A panic is a failure of its seed, not of the run.
fn run_caught(worlds: Worlds, seed: u64) -> Outcome {
    std::panic::catch_unwind(|| run(worlds, seed, false)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let failures = vec![format!("panic: {}", text.unwrap_or_default())];
        Outcome { seed, replay: worlds.replay, counts: Counts::default(), failures, trace: 0 }
    })
}

/// A number that whoever runs the tests chose.
pub fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the seed that the worlds' variable names, with its trace; nothing if it names none.
pub fn replay(worlds: Worlds) {
    if let Some(seed) = from_environment(worlds.replay.variable) {
        let outcome = run(worlds, seed, true);
        println!("{}\ntrace {:016x}", outcome.counts, outcome.trace);
        assert!(outcome.failures.is_empty(), "{}", outcome.describe());
    }
}

#[test]
fn a_few_hundred_seeds() {
    run_all(MESHES, from_environment("SIM_FIRST_SEED").unwrap_or(1), from_environment("SIM_SEEDS").unwrap_or(300));
}

#[test]
#[ignore = "takes most of an hour"]
fn ten_thousand_seeds() {
    run_all(
        MESHES,
        from_environment("SIM_FIRST_SEED").unwrap_or(1_000_000),
        from_environment("SIM_SEEDS").unwrap_or(10_000),
    );
}

/// Does nothing unless `SIM_SEED` names a seed.
#[test]
fn one_seed() {
    replay(MESHES);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 14, 15] {
        let (one, other) = (run(MESHES, seed, false), run(MESHES, seed, false));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_ne!(one.trace, run(MESHES, seed + 100, false).trace);
    }
}
