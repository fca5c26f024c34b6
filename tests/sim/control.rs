//! Control runs: with a third or more of Byzantine weight the oracle has to fire, or it cannot see what it looks for.

use crate::faults::{Fault, Plan};
use crate::world::World;
use std::collections::BTreeSet;

/// Two of four masternodes run twice, and each of the two honest ones hears one copy of the world.
fn split_world(seed: u64, mut change: impl FnMut(&mut Plan)) -> World {
    let mut plan = Plan::quiet(seed, 4);
    plan.twins = vec![0, 1];
    plan.observers = 0;
    change(&mut plan);
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    let (here, there) = ([0, 1, 2], [3, 4, 5]);
    let pairs = here.iter().flat_map(|a| there.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect();
    world.fault(Fault::Swallow { pairs, ms: 60_000 });
    world
}

fn invariants(world: &World) -> BTreeSet<String> {
    world.oracle.violations().iter().map(|violation| violation.invariant.to_string()).collect()
}

#[test]
fn half_of_the_weight_twice_commits_two_blocks_at_one_height() {
    for seed in 0..5 {
        let mut world = split_world(100 + seed, |_| {});
        world.run_for(10_000);
        let fired = invariants(&world);
        assert!(fired.contains("S1"), "the oracle saw only {fired:?}");
    }
}

#[test]
fn half_of_the_weight_twice_finalizes_both_rivals() {
    for seed in 0..5 {
        let mut world = split_world(200 + seed, |plan| {
            plan.load_every_ms = 0;
            // Both are final before the first block splits the chain, and everything with it.
            plan.spec.slot_ms = 20_000;
        });
        world.run_for(100);
        world.pay_twice(&[2, 3]);
        world.run_for(15_000);
        world.oracle.settle();
        let fired = invariants(&world);
        assert!(fired.contains("S3"), "the oracle saw only {fired:?}");
    }
}
