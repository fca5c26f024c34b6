//! A masternode whose machine is too slow for the delay function.

use crate::faults::{Plan, SLOT_MS};
use crate::seeds::{finish, recover};
use crate::world::World;
use std::collections::BTreeMap;
use timed::replica::Store as _;
use timed::types::number::Height;

const SLOW: usize = 1;

#[test]
fn a_node_too_slow_for_the_delay_function_votes_and_loses_its_turns_as_leader_alone() {
    let mut plan = Plan::quiet(71, 4);
    plan.spec.epoch_slots = 3;
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    world.run_for(4 * SLOT_MS);
    let first = world.highest() + 2;
    world.slow_vdf.insert(SLOW, SLOT_MS + SLOT_MS / 2);
    let last = first + 30;
    assert!(world.run_until(60 * SLOT_MS, |world| world.lowest() > last), "{} of {last}", world.lowest());
    let (mut proposed, mut signed) = (BTreeMap::new(), BTreeMap::new());
    let store = &world.nodes[0].store;
    for height in first..=last {
        let sealed = store.sealed_block(Height::new(height)).unwrap();
        *proposed.entry(sealed.block.header.proposer).or_insert(0) += 1;
        // Four of one weight, in one order in every epoch.
        for (position, signature) in
            sealed.block.last_commit.iter().flat_map(|commit| commit.signatures.iter().enumerate())
        {
            *signed.entry(position).or_insert(0) += usize::from(signature.is_some());
        }
    }
    let keys: Vec<_> = (0..4).map(|node| world.nodes[node].key.as_ref().unwrap().public_key()).collect();
    let mut order = keys.clone();
    order.sort();
    println!("proposed {proposed:?}, signed {signed:?}");
    assert_eq!(proposed.get(&keys[SLOW]), None, "without the proof there is nothing to offer");
    assert_eq!(proposed.len(), 3);
    let votes = order.iter().position(|key| *key == keys[SLOW]).map(|position| signed[&position]).unwrap();
    assert!(votes * 10 > 31 * 8, "{votes} of 31 commits");
    // It is told of the others' beacons with their blocks, so once it is fast enough it leads again.
    world.slow_vdf.clear();
    let goal = world.highest() + 24;
    assert!(world.run_until(60 * SLOT_MS, |world| world.lowest() > goal));
    let store = &world.nodes[0].store;
    let leads = |height| store.sealed_block(Height::new(height)).unwrap().block.header.proposer == keys[SLOW];
    assert!((last + 4..=goal).any(leads));
    recover(&mut world);
    let outcome = finish(world);
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
}
