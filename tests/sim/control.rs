//! Control runs: with a third or more of Byzantine weight the oracle has to fire, or it cannot see what it looks for.

use crate::byzantine::Tactics;
use crate::faults::{Fault, Plan};
use crate::load::Kind;
use crate::rng::Rng;
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

/// The spares register all at once, in the first epoch.
fn register_all(world: &mut World) {
    for place in 0..world.plan.spares {
        let key = world.nodes[world.plan.spare(place)].key.clone().unwrap();
        let tx = world.load.registration(&mut Rng::new(place as u64), &key, 4).expect("a purse is full enough");
        world.load.hand_in(0, tx.clone(), Kind::Plain);
        world.submit(0, tx);
    }
}

/// Four honest masternodes, and somebody with as many keys, each of which runs twice; right after the first boundary the
/// honest are cut into halves, each with one copy of the others.
fn crowd_at_the_door(seed: u64, churn_bps: u64) -> World {
    let mut plan = Plan::quiet(seed, 4);
    (plan.spares, plan.owners, plan.observers) = (4, 4, 0);
    plan.spec.churn_bps = churn_bps;
    plan.twins = (4..8).collect();
    plan.byzantine_spares = (0..4).map(|place| (place, Tactics::HONEST)).collect();
    let (twins, spares) = (4..8, plan.spare(0)..plan.spare(4));
    let here: Vec<usize> = (0..2).chain(spares).collect();
    let there: Vec<usize> = (2..4).chain(twins).collect();
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    world.run_for(2_300);
    register_all(&mut world);
    assert!(world.run_until_event(20_000, |world| world.oracle.replay().committee(1).is_some()), "no boundary");
    let pairs = here.iter().flat_map(|a| there.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect();
    world.fault(Fault::Swallow { pairs, ms: 60_000 });
    world.run_for(6_000);
    world.oracle.settle();
    world
}

#[test]
fn without_a_bound_on_churn_a_crowd_that_enters_at_once_commits_two_blocks_at_one_height() {
    for seed in 0..5 {
        let world = crowd_at_the_door(300 + seed, 10_000);
        let set = world.oracle.replay().committee(1).unwrap();
        assert_eq!((set.total, set.byzantine), (80, 40), "all entered");
        let fired = invariants(&world);
        assert!(fired.contains("S1"), "the oracle saw only {fired:?}");
    }
}

/// The same crowd where a twentieth of the weight may move: one of them enters, and the halves wait for each other.
#[test]
fn with_the_bound_the_same_crowd_breaks_nothing() {
    for seed in 0..5 {
        let world = crowd_at_the_door(300 + seed, 500);
        let set = world.oracle.replay().committee(1).unwrap();
        assert_eq!((set.total, set.byzantine), (50, 10), "one entered");
        assert_eq!(invariants(&world), BTreeSet::new(), "{:#?}", world.oracle.violations());
    }
}

#[test]
fn nodes_that_move_more_than_the_churn_allows_are_seen() {
    for (churn_bps, is_seen) in [(10_000, false), (500, true)] {
        let mut plan = Plan::quiet(310, 4);
        (plan.spares, plan.owners) = (2, 2);
        plan.spec.churn_bps = 10_000;
        let mut world = World::new(plan, false);
        world.oracle.hold_to_churn(churn_bps);
        world.run_for(2_300);
        register_all(&mut world);
        world.run_for(10_000);
        let fired = invariants(&world);
        assert_eq!(fired.contains("rule") && fired.contains("S5"), is_seen, "the oracle saw only {fired:?}");
    }
}
