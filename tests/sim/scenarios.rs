//! The scenarios that must exist by name: each a world set up by hand around one danger.

use crate::byzantine::Tactics;
use crate::disk::Tear;
use crate::faults::{Fault, Plan};
use crate::load::{Kind, Mix};
use crate::network::Quality;
use crate::seeds::{finish, judge, judge_safety};
use crate::world::{Gate, World};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use timed::chain::leader::leader;
use timed::ledger::utxo::StateRead as _;
use timed::replica::Store as _;
use timed::replica::message::Message;
use timed::types::block::BftKind;
use timed::types::hash::Txid;
use timed::types::number::{Height, View};
use timed::types::vote::FinalityKind;

fn world(plan: Plan) -> World {
    World::new(plan, std::env::var("SIM_TRACE").is_ok())
}

/// A plan whose blocks hold a few payments only.
fn small_blocks(plan: &mut Plan) {
    plan.spec.max_block_bytes = 5_000;
    plan.spec.overflow_min_bytes = 2_000;
    plan.spec.max_tx_bytes = 2_000;
}

fn votes_of(message: &Message, kind: FinalityKind) -> bool {
    matches!(message, Message::Votes(batch) if batch.kind == kind)
}

/// Headers of the blocks of one node: (slot, opened).
fn slots(world: &World, node: usize) -> Vec<(u64, u64)> {
    (1..=world.nodes[node].store.tip().header.height.get())
        .filter_map(|height| world.nodes[node].store.sealed_block(Height::new(height)))
        .map(|sealed| (sealed.block.header.slot.get(), sealed.block.header.opened))
        .collect()
}

#[test]
fn a_quiet_world_finalizes_everything() {
    for masternodes in [1, 3, 4, 7, 10] {
        let mut world = world(Plan::quiet(1, masternodes));
        world.run_for(20_000);
        let waiting = world.load.unfinished().len();
        assert!(waiting <= 2, "{waiting} payments wait in a world without faults");
        judge(world);
    }
}

/// Who is there and in order is in the commit that the next block carries, and so is paid, also where others are enough.
#[test]
fn in_a_quiet_world_nobody_misses_a_commit() {
    for (masternodes, tiers) in [(4, vec![0; 4]), (7, vec![0; 7]), (5, vec![5, 0, 0, 0, 0]), (4, vec![6, 6, 0, 0])] {
        let mut plan = Plan::quiet(1, masternodes);
        plan.tiers = tiers.clone();
        let mut world = world(plan);
        world.run_for(30_000);
        let store = &world.nodes[0].store;
        let last = store.tip().header.height.get();
        let missing = |height: u64| {
            let commit = store.sealed_block(Height::new(height)).unwrap().block.last_commit.clone().unwrap();
            commit.signatures.iter().filter(|signature| signature.is_none()).count()
        };
        let missed: Vec<(u64, usize)> =
            (2..=last).map(|height| (height, missing(height))).filter(|m| m.1 > 0).collect();
        assert!(last > 8 && missed.is_empty(), "{tiers:?}: of {last} blocks {missed:?}");
        judge(world);
    }
}

#[test]
fn an_epoch_closes_while_overflow_blocks_wait_with_very_unequal_tiers() {
    let mut plan = Plan::quiet(2, 7);
    plan.tiers = vec![6, 6, 6, 5, 4, 0, 0];
    plan.spec.epoch_slots = 2;
    plan.load_every_ms = 12;
    (plan.users, plan.coins) = (60, 6);
    small_blocks(&mut plan);
    let mut world = world(plan);
    world.run_for(24_000);
    let slots = slots(&world, 0);
    let overflows = slots.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
    assert!(overflows > 3, "only {overflows} overflow blocks: {slots:?}");
    let before_closing = slots.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[1].1 % 2 == 1);
    assert!(before_closing.count() > 0, "no overflow block before a closing one: {slots:?}");
    judge(world);
}

#[test]
fn a_block_prepared_at_one_node_only_is_not_lost_when_its_slot_is_past() {
    let mut plan = Plan::quiet(3, 4);
    // One view lasts longer than a slot.
    plan.spec.tsdc.propose_ms = 1_500;
    plan.spec.tsdc.prepare_ms = 1_000;
    plan.spec.tsdc.precommit_ms = 1_000;
    let mut world = world(plan);
    world.run_until_event(20_000, |world| world.lowest() >= 2);
    let height = world.lowest() + 1;
    let tip = world.replica(0).unwrap().ledger().tip().clone();
    let leader = leader(&tip.header.beacon, Height::new(height), View::new(0), &tip.validators);
    let leads = |node: &usize| world.nodes[*node].key.as_ref().is_some_and(|key| key.public_key() == leader);
    let locked = (0..4).find(leads).unwrap();
    let (late, silent) = ((locked + 1) % 4, (locked + 3) % 4);
    let silenced = world.nodes[silent].key.as_ref().unwrap().public_key();
    let block = Rc::new(Cell::new(None));
    let seen = block.clone();
    // One hears the proposal too late and prepares nil; what another prepares reaches only the leader, which locks; then
    // that one stops. The other two see no quorum for the block.
    world.gate = Some(Box::new(move |_, from, to, message| match message {
        Message::Proposal(proposal) if proposal.header.height.get() == height && proposal.view.get() == 0 => {
            if to == late { Gate::Delay(2_000) } else { Gate::Pass }
        }
        Message::BftVote(vote) if vote.height.get() == height && vote.view.get() == 0 => {
            if from == locked && vote.kind == BftKind::Precommit {
                seen.set(vote.block_hash);
            }
            if vote.voter == silenced && to != locked { Gate::Drop } else { Gate::Pass }
        }
        _ => Gate::Pass,
    }));
    assert!(world.run_until_event(20_000, |_| block.get().is_some()), "the leader locked on its block");
    world.crash(silent, Tear::Nothing, false);
    assert!(world.run_until(60_000, |world| world.height(late) >= height), "three of four go on");
    let committed = world.nodes[late].store.sealed_block(Height::new(height)).unwrap();
    assert!(committed.commit.view.get() > 0);
    assert_eq!(Some(committed.block.header.hash()), block.get(), "the lock of one node was not lost");
    judge(world);
}

#[test]
fn payments_are_in_flight_across_every_boundary() {
    let mut plan = Plan::quiet(4, 4);
    plan.spec.epoch_slots = 1;
    plan.load_every_ms = 60;
    (plan.users, plan.coins) = (30, 6);
    plan.mix.rivals = 100;
    let mut world = world(plan);
    world.weather(Quality { base_ms: 50, jitter_ms: 150, reorder: true, ..Quality::GOOD });
    world.run_for(24_000);
    judge(world);
}

#[test]
fn a_certificate_is_shown_to_one_observer_and_withheld_for_epochs() {
    let mut plan = Plan::quiet(5, 4);
    plan.spec.epoch_slots = 2;
    plan.mix.rivals = 400;
    plan.byzantine.insert(3, Tactics { double_vote: 800, old_epochs: 500, ..Tactics::default() });
    let mut world = world(plan);
    let observer = 4;
    world.run_for(3_000);
    // Votes reach nobody but the observer, which sees every certificate.
    world.gate =
        Some(Box::new(
            move |_, _, to, message| {
                if votes_of(message, FinalityKind::Vote) && to != observer { Gate::Drop } else { Gate::Pass }
            },
        ));
    world.run_for(14_000);
    let certified = world.replica(observer).map(|replica| replica.ledger().certified_bytes());
    assert!(certified.is_some(), "the observer runs");
    world.gate = None;
    judge(world);
}

#[test]
fn two_encodings_of_one_transaction_go_to_two_halves() {
    let mut plan = Plan::quiet(6, 4);
    plan.shared_coins = 6;
    let mut world = world(plan);
    world.run_for(2_500);
    let mut txids = Vec::new();
    for _ in 0..6 {
        let encodings = world.load.two_encodings().expect("a shared coin is left");
        let txid = encodings[0].body.txid();
        assert_eq!(txid, encodings[1].body.txid());
        assert_ne!(encodings[0], encodings[1]);
        for node in 0..4 {
            let tx = encodings[node / 2].clone();
            world.load.hand_in(node, tx.clone(), Kind::Plain);
            world.submit(node, tx);
        }
        txids.push(txid);
        world.run_for(700);
    }
    assert!(world.run_until(10_000, |world| txids.iter().all(|txid| world.is_final_at(0, txid))));
    judge(world);
}

#[test]
fn a_leader_leaves_payments_out() {
    let mut plan = Plan::quiet(7, 4);
    plan.load_every_ms = 100;
    plan.users = 30;
    plan.byzantine.insert(2, Tactics { leave_out: 1000, ..Tactics::default() });
    let mut world = world(plan);
    world.run_for(20_000);
    judge(world);
}

#[test]
fn votes_are_withheld_for_an_epoch_and_released_as_it_closes() {
    let mut plan = Plan::quiet(8, 4);
    plan.spec.epoch_slots = 3;
    plan.load_every_ms = 60;
    (plan.users, plan.coins) = (60, 8);
    plan.byzantine.insert(0, Tactics::default());
    small_blocks(&mut plan);
    let mut world = world(plan);
    let beginning = world.now;
    // With one node down, nothing is certified without the votes of node 0: they pass only in the last moments before
    // the slot of a closing block.
    world.run_for(1_000);
    world.crash(1, Tear::Nothing, false);
    world.gate = Some(Box::new(move |now, from, _, message| {
        let in_epoch = (now - beginning) % 6_000;
        let withheld = from == 0 && votes_of(message, FinalityKind::Vote);
        if withheld { Gate::Delay(5_300u64.saturating_sub(in_epoch)) } else { Gate::Pass }
    }));
    world.run_for(36_000);
    // One masternode down and one that keeps its word back are half of the weight: only safety is promised.
    assert!(world.counts.epochs >= 3, "{} epochs closed", world.counts.epochs);
    let slots = slots(&world, 2);
    let overflows = slots.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[1].1 % 3 == 2).count();
    assert!(overflows > 0, "never more certified than the closing block holds: {slots:?}");
    judge(world);
}

#[test]
fn a_steady_load_and_a_trickle_of_late_certificates_across_every_closing() {
    let mut plan = Plan::quiet(9, 7);
    plan.spec.epoch_slots = 2;
    plan.load_every_ms = 40;
    (plan.users, plan.coins) = (60, 8);
    let mut world = world(plan);
    let mut count = 0u64;
    world.gate = Some(Box::new(move |_, from, _, message| {
        count += 1;
        let late = votes_of(message, FinalityKind::Vote) && from < 3;
        if late { Gate::Delay(count * 137 % 2_500) } else { Gate::Pass }
    }));
    world.run_for(30_000);
    assert!(world.counts.epochs >= 5, "{} epochs closed", world.counts.epochs);
    judge(world);
}

#[test]
fn power_is_cut_right_after_a_receipt_left() {
    let mut plan = Plan::quiet(10, 4);
    plan.load_every_ms = 150;
    let mut world = world(plan);
    for round in 0..8u64 {
        let receipts = Rc::new(RefCell::new(BTreeSet::<usize>::new()));
        let seen = receipts.clone();
        world.gate = Some(Box::new(move |_, from, _, message| {
            if votes_of(message, FinalityKind::Receipt) {
                seen.borrow_mut().insert(from);
            }
            Gate::Pass
        }));
        let wanted = (round % 4) as usize;
        world.run_until_event(6_000, |_| receipts.borrow().contains(&wanted));
        if round % 2 == 0 {
            world.fault(Fault::AllDown { tear: Tear::Everything, ms: 500 });
        } else {
            world.crash_for(wanted, Tear::Everything, true, 500);
        }
        world.run_for(3_000);
    }
    judge(world);
}

#[test]
fn receipts_are_cut_off_right_before_a_closing_block() {
    let mut plan = Plan::quiet(11, 4);
    plan.spec.epoch_slots = 2;
    plan.load_every_ms = 60;
    (plan.users, plan.coins) = (40, 6);
    let mut world = world(plan);
    let beginning = world.now;
    // The last second before the closing slot, and half of the slot itself.
    world.gate = Some(Box::new(move |now, _, _, message| {
        let in_epoch = (now - beginning) % 4_000;
        let cut = !(1_000..3_000).contains(&in_epoch) && votes_of(message, FinalityKind::Receipt);
        if cut { Gate::Drop } else { Gate::Pass }
    }));
    world.run_for(24_000);
    judge(world);
}

#[test]
fn all_nodes_are_down_for_an_hour() {
    for tear in [Tear::Nothing, Tear::Everything, Tear::Cut, Tear::Flip] {
        let mut plan = Plan::quiet(12, 4);
        plan.load_every_ms = 100;
        let mut world = world(plan);
        world.run_for(7_300);
        world.fault(Fault::AllDown { tear, ms: 3_600_000 });
        world.run_for(3_605_000);
        assert_eq!(world.running().len(), 5);
        judge(world);
    }
}

#[test]
fn a_third_of_the_votes_logs_is_lost() {
    let mut world = world(Plan::quiet(13, 6));
    world.run_for(7_000);
    for node in [0, 1] {
        world.crash(node, Tear::Nothing, false);
        world.nodes[node].disk.votes = None;
        world.start(node);
    }
    let before = world.lowest();
    assert!(world.run_until(20_000, |world| world.lowest() >= before + 3), "two thirds go on");
    // The operators' word: a height and an epoch that nothing was signed for.
    let height = world.highest() + 2;
    let epoch = world.replica(2).unwrap().epoch().next();
    for node in [0, 1] {
        world.crash(node, Tear::Nothing, false);
        world.nodes[node].accept_lost = Some((Height::new(height), epoch));
        world.start(node);
    }
    world.run_for(20_000);
    // Now the two are needed.
    world.crash(4, Tear::Nothing, false);
    world.crash(5, Tear::Nothing, false);
    let before = world.height(2);
    assert!(world.run_until(60_000, |world| world.height(0) >= before + 5), "both sign again");
    judge(world);
}

#[test]
fn more_than_a_third_of_the_votes_logs_is_lost() {
    let mut world = world(Plan::quiet(14, 4));
    world.run_for(7_000);
    for node in [0, 1] {
        world.crash(node, Tear::Nothing, false);
        world.nodes[node].disk.votes = None;
        world.start(node);
    }
    world.run_for(4_000);
    let before = world.highest();
    world.run_for(10_000);
    assert_eq!(world.highest(), before, "half of the weight commits nothing");
    // Without the two the epoch cannot close, so their operators cannot wait for the next one: all agree that nothing
    // above this height was signed by the two, and that what their journals show as certified is all they receipted.
    for node in [0, 1] {
        world.crash(node, Tear::Nothing, false);
        let epoch = world.replica(2).unwrap().epoch();
        world.nodes[node].accept_lost = Some((Height::new(before + 1), epoch));
        world.start(node);
    }
    judge_with_lost_height(world, before + 1);
}

/// The two whose logs are gone may have signed at this very height and in this epoch, so the oracle may see them sign
/// anew; what counts is that nothing is committed twice.
fn judge_with_lost_height(mut world: World, height: u64) {
    assert!(world.run_until(60_000, |world| world.lowest() > height + 3), "the chain goes on");
    let outcome = finish(world);
    let is_anew = |failure: &&String| ["S6", "S7", "lock"].iter().any(|excused| failure.starts_with(excused));
    let serious: Vec<_> = outcome.failures.iter().filter(|failure| !is_anew(failure)).collect();
    assert!(serious.is_empty(), "{serious:#?}");
}

#[test]
fn nothing_commits_without_a_quorum_and_healing_takes_few_views() {
    for one_way in [false, true] {
        let mut world = world(Plan::quiet(15, 4));
        world.run_for(7_000);
        let mut pairs = vec![(0, 2), (0, 3), (1, 2), (1, 3)];
        if !one_way {
            pairs.extend(pairs.clone().into_iter().map(|(a, b)| (b, a)));
        }
        // The observer is on nobody's side.
        pairs.extend((0..4).flat_map(|node| [(node, 4), (4, node)]));
        world.fault(Fault::Swallow { pairs, ms: 20_000 });
        world.run_for(1_000);
        let before = world.highest();
        world.run_for(18_900);
        assert!(world.highest() <= before + u64::from(one_way), "no side has a quorum");
        let view = |world: &World| (0..4).map(|n| world.replica(n).unwrap().tsdc().view().get()).max().unwrap();
        let (at_healing, goal) = (view(&world), world.highest() + 1);
        world.run_for(200);
        let last = Rc::new(Cell::new(at_healing));
        let seen = last.clone();
        let done = world.run_until(60_000, |world| {
            if world.lowest() < goal {
                seen.set(seen.get().max(view(world)));
            }
            world.lowest() >= goal
        });
        assert!(done && last.get() <= at_healing + 10, "view {at_healing} at healing, then {}", last.get());
        judge(world);
    }
}

#[test]
fn a_double_spend_split_in_half_by_a_partition_is_free_once_the_epoch_has_closed() {
    let mut plan = Plan::quiet(27, 4);
    plan.load_every_ms = 0;
    let mut world = world(plan);
    world.run_for(2_500);
    let epoch = world.replica(0).unwrap().epoch();
    // The observer is on nobody's side.
    let sides = [(0, 2), (0, 3), (1, 2), (1, 3), (0, 4), (1, 4), (2, 4), (3, 4)];
    world.fault(Fault::Cut { pairs: sides.to_vec(), ms: 2_500 });
    let rivals = std::iter::repeat_with(|| world.pay_twice(&[0, 2])).find(|rivals| rivals.len() == 2).unwrap();
    let voted = |world: &World, node: usize| -> Vec<bool> {
        let entry = |txid: &Txid| world.replica(node).unwrap().ledger().entry(txid).cloned();
        rivals.iter().map(|txid| entry(txid).is_some_and(|entry| entry.voted)).collect()
    };
    world.run_for(2_400);
    for node in 0..4 {
        let is_first_half = world.load.submitted[&rivals[0]].nodes.contains(&0) == (node < 2);
        assert_eq!(voted(&world, node), [is_first_half, !is_first_half], "each half votes for its own");
    }
    world.run_for(1_000);
    let is_final = |world: &World| rivals.iter().any(|txid| (0..5).any(|node| world.is_final_at(node, txid)));
    assert!(!world.load.free_again().is_empty() && !is_final(&world), "two halves are no quorum");
    let closed = |world: &World| (0..5).all(|node| world.replica(node).is_some_and(|r| r.epoch() > epoch));
    assert!(world.run_until(20_000, |world| closed(world) || is_final(world)));
    assert!(closed(&world) && !is_final(&world), "it stays blocked until the epoch closes");
    assert!(world.run_until(8_000, |world| world.load.free_again().is_empty()), "and is spent in the next one");
    judge(world);
}

#[test]
fn one_node_alone_catches_up() {
    let mut world = world(Plan::quiet(16, 4));
    world.run_for(5_000);
    world.fault(Fault::Cut { pairs: (0..5).filter(|n| *n != 2).map(|n| (2, n)).collect(), ms: 15_000 });
    world.run_for(14_900);
    let behind = world.highest();
    assert!(world.height(2) + 4 < behind, "height {} of {behind}", world.height(2));
    assert!(world.run_until(10_000, |world| world.height(2) >= behind));
    judge(world);
}

#[test]
fn clocks_are_ten_minutes_off() {
    for offset_ms in [600_000i64, -600_000] {
        let mut world = world(Plan::quiet(17, 4));
        world.run_for(3_000);
        world.fault(Fault::Clock { node: 1, offset_ms });
        world.run_for(6_000);
        world.fault(Fault::Clock { node: 2, offset_ms: -offset_ms / 2 });
        world.run_for(6_000);
        world.fault(Fault::Clock { node: 1, offset_ms: 0 });
        world.run_for(6_000);
        judge(world);
    }
}

#[test]
fn a_crash_at_any_command_boundary_is_survived() {
    crash_everywhere(40);
}

#[test]
#[ignore = "takes minutes"]
fn a_crash_at_every_command_boundary_is_survived() {
    crash_everywhere(1_000_000);
}

/// Crashes node 1 between two commands, at this many places spread over two epochs.
fn crash_everywhere(places: u64) {
    let plan = || {
        let mut plan = Plan::quiet(18, 4);
        plan.spec.epoch_slots = 2;
        plan.load_every_ms = 200;
        plan.mix = Mix { rivals: 150, invalid: 50, registry: 0, membership: 0 };
        plan
    };
    let mut dry = world(plan());
    let before = dry.nodes[1].commands;
    dry.run_for(9_000);
    let all = dry.nodes[1].commands - before;
    for place in (0..all).step_by((all / places).max(1) as usize) {
        let tear = [Tear::Nothing, Tear::Everything, Tear::Cut, Tear::Flip][(place % 4) as usize];
        let mut world = world(plan());
        world.fault(Fault::Crash { node: 1, after_commands: place, tear, store_lost: place % 3 > 0, down_ms: 700 });
        world.run_until(10_000, |world| world.counts.crashes > 0);
        world.run_for(800);
        let height = world.highest();
        assert!(world.run_until(20_000, |world| world.height(1) + 1 >= world.highest() && world.height(1) > height));
        assert!(world.height(1) <= height + 5, "back only at height {}", world.height(1));
        world.run_for(2_000);
        let outcome = finish(world);
        assert!(outcome.failures.is_empty(), "crash after {place} commands: {:#?}", outcome.failures);
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_recovered() {
    // What is unsynced at some moment, cut at every byte (in steps, to stay quick).
    for moment in [2_345, 4_120, 5_075] {
        let mut kept = 0;
        loop {
            let mut plan = Plan::quiet(19, 4);
            plan.sync_ms = (40, 60);
            plan.load_every_ms = 60;
            let mut world = world(plan);
            world.run_for(moment);
            let unsynced = world.nodes[1].disk.unsynced_bytes();
            world.crash_for(1, Tear::Keep(kept), true, 300);
            world.run_for(5_000);
            judge_safety(world);
            kept += 1 + unsynced / 8;
            if kept > unsynced {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_or_a_full_disk_stops_a_node_and_a_restart_brings_it_back() {
    let mut plan = Plan::quiet(20, 4);
    plan.load_every_ms = 100;
    let mut world = world(plan);
    for round in 0..10 {
        let node = round % 4;
        world.fault(match round % 2 {
            0 => Fault::SyncError { node },
            _ => Fault::DiskFull { node, space: 100 * round },
        });
        world.run_for(2_500);
    }
    assert!(world.counts.disk_faults >= 8);
    judge(world);
}

#[test]
fn thirty_percent_of_silence_or_lies_in_polls_stops_no_payment() {
    let silent = Tactics::SILENT;
    let liars = Tactics { lie: 1000, ..Tactics::default() };
    for tactics in [silent, liars] {
        let mut plan = Plan::quiet(21, 10);
        (0..3).for_each(|node| {
            plan.byzantine.insert(node, tactics);
        });
        plan.load_every_ms = 200;
        let mut world = world(plan);
        world.run_for(20_000);
        judge(world);
    }
}

#[test]
fn a_double_vote_is_punished_within_two_heights() {
    let mut plan = Plan::quiet(22, 4);
    plan.byzantine.insert(1, Tactics { double_bft: 1000, ..Tactics::default() });
    let mut world = world(plan);
    let key = world.nodes[1].key.as_ref().unwrap().public_key();
    let slashed = |world: &World| {
        let tip = world.nodes[0].store.tip();
        tip.registry.by_key(&key).is_none_or(|record| record.slashed)
    };
    assert!(world.run_until(12_000, slashed), "height {} and not punished", world.highest());
    assert!(world.highest() <= 4, "punished at height {}", world.highest());
    let is_out = |world: &World| world.nodes[0].store.tip().validators.get(&key).is_none();
    assert!(world.run_until(12_000, is_out), "out of the set at the boundary");
    judge(world);
}

#[test]
fn twins_of_one_key_below_a_third_break_nothing() {
    let mut plan = Plan::quiet(23, 4);
    plan.twins = vec![2];
    plan.byzantine.insert(2, Tactics::default());
    plan.load_every_ms = 100;
    plan.mix.rivals = 300;
    let mut world = world(plan);
    world.run_for(5_000);
    // The twins are on different sides.
    world.fault(Fault::Swallow { pairs: vec![(2, 0), (0, 2), (4, 1), (1, 4)], ms: 8_000 });
    world.run_for(15_000);
    judge(world);
}

#[test]
fn chains_of_dependent_payments_follow_each_other() {
    let mut plan = Plan::quiet(24, 4);
    plan.load_every_ms = 0;
    (plan.users, plan.coins) = (1, 1);
    let mut world = world(plan);
    world.run_for(2_200);
    // One coin to begin with: each payment spends what the one before made.
    let mut last: Option<Txid> = None;
    for _ in 0..40 {
        assert!(world.run_until(10_000, |world| last.is_none_or(|txid| world.is_final_at(3, &txid))));
        last = world.pay(3);
        assert!(last.is_some());
    }
    judge(world);
}

#[test]
fn a_flood_of_double_spends_keeps_memory_flat() {
    flood(400);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_rival_pairs_keep_memory_flat() {
    flood(10_000);
}

fn flood(pairs: usize) {
    let mut plan = Plan::quiet(25, 4);
    plan.load_every_ms = 200;
    plan.spec.max_block_bytes = 200_000;
    plan.spec.overflow_min_bytes = 80_000;
    // No genesis holds two coins for each of 10,000 pairs; what is paid comes back.
    (plan.users, plan.coins) = (200, (1 + pairs.div_ceil(100)).min(44));
    let mut world = world(plan);
    world.run_for(2_500);
    for done in 0..pairs {
        while world.pay_twice(&[done % 4, (done + 1 + done / 4 % 3) % 4]).is_empty() {
            world.run_for(100);
        }
        world.run_for(25);
    }
    judge(world);
}

#[test]
fn an_archived_payment_handed_in_again_stays_archived() {
    let mut world = world(Plan::quiet(26, 4));
    world.run_for(2_500);
    let txid = world.pay(0).unwrap();
    assert!(world.run_until(10_000, |world| world.nodes[1].store.archived_height(&txid).is_some()));
    let tx = world.load.submitted[&txid].tx.clone();
    (0..4).for_each(|node| world.submit(node, tx.clone()));
    judge(world);
}
