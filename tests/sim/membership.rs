//! Masternodes that come and go: at every point of an epoch, several at once, punished, back with the same key, with a key
//! used twice, and with everything else going wrong at the same time.

use crate::byzantine::Tactics;
use crate::disk::Tear;
use crate::faults::{Fault, Plan, draw_byzantine, draw_faults, draw_tiers, spec};
use crate::invariants::registry::{Record, Standing};
use crate::load::{Coin, Kind, Mix};
use crate::report::Replay;
use crate::rng::Rng;
use crate::seeds::{Worlds, from_environment, judge, judge_safety, replay, run, run_all};
use crate::world::World;
use std::collections::BTreeSet;
use timed::replica::message::Message;
use timed::types::block::{BftKind, bft_digest};
use timed::types::codec::encoded_size;
use timed::types::evidence::{BftPart, Evidence};
use timed::types::hash::{BlockHash, Txid};
use timed::types::keys::PublicKey;
use timed::types::merkle::root_of_path;
use timed::types::number::{Epoch, Height, View};
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody};
use timed::types::vote::{FinalityKind, VotePart, finality_digest};

const WORLDS: Worlds = Worlds { draw, replay: Replay { variable: "SIM_MEMBER_SEED", test: "one_membership_seed" } };

/// Signs two prepares and two precommits whenever it can.
const DOUBLE: Tactics = Tactics { double_bft: 1000, ..Tactics::HONEST };

/// What `seed` stands for.
fn draw(seed: u64) -> Plan {
    let mut rng = Rng::new(seed ^ 0x3e3b_e125);
    let rng = &mut rng;
    let masternodes = *rng.pick(&[1, 3, 4, 4, 5, 7]);
    let mut plan = Plan::quiet(seed, masternodes);
    plan.spec = spec(rng.range(1, 4));
    plan.spec.churn_bps = *rng.pick(&[0, 300, 1_500, 3_333, 10_000]);
    plan.spec.unbonding_epochs = rng.range(1, 3);
    plan.spec.slash_bps = *rng.pick(&[0, 1_000, 1_000, 5_000, 10_000]);
    plan.tiers = draw_tiers(rng, masternodes);
    plan.spares = 2 + rng.index(4);
    plan.owners = 3;
    plan.load_every_ms = rng.range(150, 600);
    let membership = rng.range(150, 600);
    plan.mix = Mix { rivals: rng.below(300), invalid: rng.below(100), registry: 0, membership };
    plan.skew_ms = rng.below(200);
    plan.byzantine_stay = rng.chance(700);
    plan.fault_ms = rng.range(20, 45) * 1_000;
    draw_byzantine(rng, &mut plan);
    for place in 0..plan.spares {
        if rng.chance(300) {
            plan.byzantine_spares.insert(place, Tactics::random(rng));
        }
    }
    let nodes = plan.nodes();
    if rng.chance(800) {
        draw_faults(rng, &mut plan, nodes);
    }
    draw_turns(rng, &mut plan);
    plan
}

/// Most of the Byzantine begin as honest ones, and are so again at times, so that they are punished at any time, some of
/// them more than once.
fn draw_turns(rng: &mut Rng, plan: &mut Plan) {
    let nodes: Vec<usize> =
        plan.byzantine.keys().copied().chain(plan.byzantine_spares.keys().map(|p| plan.spare(*p))).collect();
    for tactics in plan.byzantine.values_mut().chain(plan.byzantine_spares.values_mut()) {
        if rng.chance(700) {
            *tactics = Tactics::HONEST;
        }
    }
    for node in nodes {
        for _ in 0..rng.range(1, 4) {
            let tactics = match rng.below(4) {
                0 => Tactics::HONEST,
                1 => DOUBLE,
                2 => Tactics { double_vote: 1000, double_propose: 500, ..Tactics::HONEST },
                _ => Tactics::random(rng),
            };
            plan.faults.push((rng.below(plan.fault_ms), Fault::Turn { node, tactics }));
        }
    }
    plan.faults.sort_by_key(|(at, _)| *at);
}

#[test]
fn membership_seeds() {
    run_all(WORLDS, from_environment("SIM_FIRST_SEED").unwrap_or(1), from_environment("SIM_SEEDS").unwrap_or(40));
}

#[test]
#[ignore = "takes an hour"]
fn ten_thousand_memberships() {
    run_all(
        WORLDS,
        from_environment("SIM_FIRST_SEED").unwrap_or(3_000_000),
        from_environment("SIM_SEEDS").unwrap_or(10_000),
    );
}

/// Does nothing unless `SIM_MEMBER_SEED` names a seed.
#[test]
fn one_membership_seed() {
    replay(WORLDS);
}

/// A node restarts with two final registrations of one key in its journal. While that was replayed, the one that became
/// final first dropped the other, which nothing but its votes, further on in the journal, brought back; and users, who had
/// been told that it is final, were told that it is rejected.
#[test]
fn a_final_registration_whose_key_another_takes_is_not_rejected_after_a_restart() {
    let outcome = run(WORLDS, 3_002_591, false);
    assert!(outcome.failures.is_empty(), "{}", outcome.describe());
}

#[test]
fn the_same_membership_seed_gives_the_same_trace() {
    for seed in [2, 9] {
        let (one, other) = (run(WORLDS, seed, false), run(WORLDS, seed, false));
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

// ---- what scenarios say

fn world(plan: Plan) -> World {
    World::new(plan, std::env::var("SIM_TRACE").is_ok())
}

/// A quiet world of masternodes of one weight, whose owners have money; all may move at once.
fn plan(seed: u64, masternodes: usize, spares: usize) -> Plan {
    let mut plan = Plan::quiet(seed, masternodes);
    (plan.spares, plan.owners) = (spares, 3);
    plan.spec.churn_bps = 10_000;
    plan.spec.unbonding_epochs = 1;
    plan
}

fn key_of(world: &World, node: usize) -> PublicKey {
    world.nodes[node].key.as_ref().unwrap().public_key()
}

/// The record of a node's key, on the chain as the oracle replayed it.
fn record(world: &World, node: usize) -> Option<Record> {
    let key = key_of(world, node);
    world.oracle.replay().registry().records().iter().find(|r| r.key == key).cloned()
}

fn standing(world: &World, node: usize) -> Option<Standing> {
    record(world, node).map(|record| record.standing)
}

fn hand_in(world: &mut World, node: usize, tx: &Transaction) -> Txid {
    world.load.hand_in(node, tx.clone(), Kind::Plain);
    world.submit(node, tx.clone());
    tx.body.txid()
}

/// A registration of the node's key, in the tier with weight 10.
fn registration(world: &mut World, node: usize) -> Transaction {
    let key = world.nodes[node].key.clone().unwrap();
    let mut rng = Rng::new(world.now);
    world.load.registration(&mut rng, &key, 4).expect("a purse is full enough")
}

fn register(world: &mut World, node: usize, at: usize) -> Txid {
    let tx = registration(world, node);
    hand_in(world, at, &tx)
}

fn unregister(world: &mut World, node: usize, at: usize) -> Txid {
    let record = record(world, node).expect("it is registered");
    let tx = world.load.unregistration(record.id, record.owner).expect("a purse is full enough");
    hand_in(world, at, &tx)
}

/// Height at which the transaction is archived, which is soon.
fn archived(world: &mut World, txid: &Txid) -> u64 {
    assert!(world.run_until_event(12_000, |world| world.oracle.replay().archived_at(txid).is_some()), "not archived");
    world.oracle.replay().archived_at(txid).unwrap()
}

/// Hands a transaction in ten times a second, at one node after another, until it is archived; at which height.
fn insist(world: &mut World, tx: &Transaction) -> u64 {
    let txid = tx.body.txid();
    for asked in 0..400 {
        if let Some(height) = world.oracle.replay().archived_at(&txid) {
            return height;
        }
        hand_in(world, asked % 4, tx);
        world.run_for(100);
    }
    panic!("{txid:?} is not archived");
}

/// Epoch of the block at `height`.
fn epoch_of(world: &World, height: u64) -> u64 {
    world.oracle.replay().epoch_after(height - 1).unwrap()
}

/// Goes on until the set of `epoch` has signed this many blocks everywhere.
fn reach(world: &mut World, epoch: u64, blocks: u64) {
    let done = world.run_until(60_000, |world| {
        world.oracle.replay().committee(epoch).is_some()
            && world.lowest() + 1 >= world.oracle.replay().first_height(epoch) + blocks
    });
    assert!(done && !world.has_failed(), "epoch {epoch} is not reached");
}

fn is_member(world: &World, node: usize, epoch: u64) -> bool {
    world.oracle.replay().committee(epoch).unwrap().member(&key_of(world, node)).is_some()
}

/// Whether the node's key precommitted a block of `epoch`, which has ended or has begun at least.
fn signed_in(world: &World, node: usize, epoch: u64) -> bool {
    let replay = world.oracle.replay();
    let heights = replay.first_height(epoch)..replay.first_height(epoch + 1);
    world.oracle.precommitted(&key_of(world, node)).range(heights).next().is_some()
}

/// Where in its epoch a block stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    /// Opens this slot of the epoch, counted from 1; 1 comes right after a closing block.
    Opening(u64),
    /// The last.
    Closing,
    /// Behind the block that opened this slot.
    Overflow(u64),
}

fn place(world: &World, height: u64) -> Place {
    let replay = world.oracle.replay();
    let (block, parent) = (replay.at(height).unwrap(), replay.at(height - 1).unwrap());
    let slots = replay.spec.epoch_slots;
    match (block.opened == parent.opened, block.closes) {
        (true, _) => Place::Overflow(block.opened % slots),
        (_, true) => Place::Closing,
        _ => Place::Opening(block.opened % slots),
    }
}

/// Times spread over two epochs of four slots, in milliseconds after the beginning.
fn every_point() -> impl Iterator<Item = u64> {
    (0..20).map(|step| 6_100 + 410 * step)
}

/// Everything that a world of four slots an epoch has without load.
fn all_places() -> BTreeSet<Place> {
    BTreeSet::from([Place::Opening(1), Place::Opening(2), Place::Opening(3), Place::Closing])
}

// ---- scenarios

#[test]
fn one_that_registers_at_any_point_of_an_epoch_votes_from_the_next_one_on() {
    let mut places = BTreeSet::new();
    for at in every_point() {
        let mut world = world(plan(60, 4, 1));
        let spare = world.plan.spare(0);
        world.run_for(at);
        let txid = register(&mut world, spare, (at % 5) as usize);
        let height = archived(&mut world, &txid);
        places.insert(place(&world, height));
        let epoch = epoch_of(&world, height);
        reach(&mut world, epoch + 1, 4);
        assert!(
            !is_member(&world, spare, epoch) && is_member(&world, spare, epoch + 1),
            "registered in block {height}"
        );
        assert!(signed_in(&world, spare, epoch + 1), "{:?}", world.oracle.precommitted(&key_of(&world, spare)));
        assert!(world.oracle.has_voted(&key_of(&world, spare), epoch + 1), "it votes on payments");
        judge_safety(world);
    }
    assert_eq!(places, all_places());
}

#[test]
fn one_that_unregisters_at_any_point_of_an_epoch_stops_with_it_and_is_paid_back_to_the_block() {
    let mut places = BTreeSet::new();
    for at in every_point() {
        let mut plan = plan(61, 5, 0);
        plan.spec.epoch_slots = 4;
        let mut world = world(plan);
        world.run_for(at);
        let record = record(&world, 0).unwrap();
        let txid = unregister(&mut world, 0, (at % 5) as usize);
        // The owner is in a hurry: asks for the collateral from now on, again and again.
        let coin = Coin { value: record.value, owner: 0 };
        let spend = world.load.spend_collateral(record.collateral, coin);
        let returned = insist(&mut world, &spend);
        let height = world.oracle.replay().archived_at(&txid).unwrap();
        places.insert(place(&world, height));
        let epoch = epoch_of(&world, height);
        assert!(is_member(&world, 0, epoch) && !is_member(&world, 0, epoch + 1), "unregistered in block {height}");
        assert!(!signed_in(&world, 0, epoch + 1), "it stopped");
        // One whole epoch of unbonding, then the first block.
        assert_eq!(returned, world.oracle.replay().first_height(epoch + 2), "left in epoch {epoch}");
        assert!(world.run_until(4_000, |world| world.height(0) >= returned), "it follows");
        judge_safety(world);
    }
    assert_eq!(places, all_places());
}

#[test]
fn one_that_signs_twice_at_any_point_of_an_epoch_is_punished_within_two_blocks_and_out_with_it() {
    let mut places = BTreeSet::new();
    for at in every_point() {
        let mut plan = plan(62, 5, 0);
        plan.byzantine.insert(3, Tactics::HONEST);
        let mut world = world(plan);
        world.run_for(at);
        assert!(record(&world, 3).is_some_and(|r| !r.slashed));
        world.fault(Fault::Turn { node: 3, tactics: DOUBLE });
        let key = key_of(&world, 3);
        assert!(world.run_until_event(12_000, |world| world.oracle.is_slashed(&key)), "not punished");
        let height = world.oracle.replay().tip().height;
        places.insert(place(&world, height));
        let epoch = epoch_of(&world, height);
        let slowest = world.oracle.replay().members().tally().slowest_punishment;
        assert!(slowest <= 2, "{slowest} blocks after the evidence");
        let signed = world.oracle.double_signers().0.get(&key).copied().unwrap();
        assert!(height <= signed + 2, "signed twice at height {signed}, punished at {height}");
        reach(&mut world, epoch + 1, 2);
        assert!(is_member(&world, 3, epoch) && !is_member(&world, 3, epoch + 1));
        judge_safety(world);
    }
    assert_eq!(places, all_places());
}

#[test]
fn one_that_votes_for_rivals_is_punished_and_out() {
    let mut plan = plan(63, 5, 0);
    plan.mix.rivals = 500;
    plan.byzantine.insert(2, Tactics { double_vote: 1000, ..Tactics::HONEST });
    let mut world = world(plan);
    let key = key_of(&world, 2);
    assert!(world.run_until(40_000, |world| world.oracle.is_slashed(&key)), "not punished");
    assert!(world.oracle.double_signers().1.contains_key(&key), "for votes on payments");
    let epoch = epoch_of(&world, world.oracle.replay().tip().height);
    reach(&mut world, epoch + 1, 1);
    assert!(!is_member(&world, 2, epoch + 1));
    judge(world);
}

/// A join, a leave and a double signature at one moment, with more to archive than the blocks hold.
#[test]
fn all_of_it_at_once_while_overflow_blocks_wait() {
    let (mut registered, mut unregistered, mut punished) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for step in 0..21 {
        let mut plan = plan(64, 5, 1);
        plan.spec.epoch_slots = 2;
        (plan.users, plan.coins, plan.load_every_ms) = (40, 6, [25, 250, 600][step as usize % 3]);
        plan.spec.max_block_bytes = 6_000;
        plan.spec.overflow_min_bytes = 2_000;
        plan.spec.max_tx_bytes = 2_000;
        plan.byzantine.insert(4, Tactics::HONEST);
        let mut world = world(plan);
        let (spare, key) = (world.plan.spare(0), key_of(&world, 4));
        world.run_for(4_300 + 230 * step);
        let enters = register(&mut world, spare, 1);
        let leaves = unregister(&mut world, 0, 2);
        world.fault(Fault::Turn { node: 4, tactics: DOUBLE });
        assert!(world.run_until_event(12_000, |world| world.oracle.is_slashed(&key)), "not punished");
        let out = world.oracle.replay().tip().height;
        punished.insert(place(&world, out));
        let (entered, left) = (archived(&mut world, &enters), archived(&mut world, &leaves));
        registered.insert(place(&world, entered));
        unregistered.insert(place(&world, left));
        let epoch = epoch_of(&world, entered.max(left).max(out));
        reach(&mut world, epoch + 1, 3);
        assert!(is_member(&world, spare, epoch + 1) && signed_in(&world, spare, epoch + 1));
        assert!(!is_member(&world, 0, epoch + 1) && !is_member(&world, 4, epoch + 1));
        judge(world);
    }
    for places in [&registered, &unregistered, &punished] {
        assert!(places.contains(&Place::Closing) && places.contains(&Place::Opening(1)), "{places:?}");
        assert!(places.iter().any(|place| matches!(place, Place::Overflow(_))), "{places:?}");
    }
}

#[test]
fn more_than_the_churn_lets_move_leave_and_enter_in_the_order_of_asking() {
    let mut plan = plan(65, 6, 4);
    plan.spec.epoch_slots = 2;
    // A third and a bit: 20 of 60 in weight, one of 10 at least.
    plan.spec.churn_bps = 3_400;
    let mut world = world(plan);
    world.run_for(4_300);
    let spares: Vec<usize> = (0..4).map(|place| world.plan.spare(place)).collect();
    let mut asked = Vec::new();
    for spare in [2, 0] {
        asked.push(register(&mut world, spares[spare], 0));
    }
    (3..6).for_each(|node| asked.push(unregister(&mut world, node, 1)));
    let first = asked.iter().map(|txid| archived(&mut world, txid)).max().unwrap();
    assert_eq!(epoch_of(&world, first), 1, "asked in one epoch");
    // The others ask in later epochs, while the first still wait.
    reach(&mut world, 2, 1);
    let late: Vec<Txid> = [1, 3].map(|spare| register(&mut world, spares[spare], 2)).to_vec();
    late.iter().for_each(|txid| assert!(archived(&mut world, txid) > first));
    reach(&mut world, 8, 1);
    let sizes: Vec<usize> = (1..=8).map(|e| world.oracle.replay().committee(e).unwrap().members.len()).collect();
    assert_eq!(sizes, [6, 4, 3, 4, 5, 6, 7, 7]);
    let enters = |spare: usize| (1..=8).find(|epoch| is_member(&world, spares[spare], *epoch)).unwrap();
    assert!(enters(2).max(enters(0)) < enters(1).min(enters(3)), "who asked first enters first");
    let tally = world.oracle.replay().members().tally();
    assert_eq!((tally.leaves, tally.joins), (3, 4));
    judge(world);
}

#[test]
fn of_two_registrations_of_one_key_in_one_block_one_has_an_effect() {
    let mut world = world(plan(66, 4, 1));
    let spare = world.plan.spare(0);
    world.run_for(2_300);
    let two = [registration(&mut world, spare), registration(&mut world, spare)];
    let txids = [hand_in(&mut world, 0, &two[0]), hand_in(&mut world, 2, &two[1])];
    let heights = txids.map(|txid| archived(&mut world, &txid));
    assert_eq!(heights[0], heights[1]);
    let id = record(&world, spare).unwrap().id;
    assert_eq!(id.0, txids.iter().min().unwrap().0, "the first in the order of txids");
    // What the other was to bind is an ordinary output.
    let idle = txids.iter().position(|txid| txid.0 != id.0).unwrap();
    let out = two[idle].body.outputs[0];
    let owner = (0..).find(|user| world.load.lock(*user) == out.lock).unwrap();
    let coin = Coin { value: out.value.get(), owner };
    let spend = world.load.spend_collateral(OutPoint { txid: txids[idle], index: 0 }, coin);
    insist(&mut world, &spend);
    judge(world);
}

#[test]
fn a_key_can_be_registered_again_right_when_its_unbonding_ends() {
    let mut world = world(plan(67, 5, 0));
    world.run_for(2_300);
    let left = unregister(&mut world, 0, 1);
    let again = registration(&mut world, 0);
    let left = archived(&mut world, &left);
    let epoch = epoch_of(&world, left);
    let old = record(&world, 0).unwrap().id;
    let height = insist(&mut world, &again);
    assert_eq!(
        height,
        world.oracle.replay().first_height(epoch + 2),
        "one whole epoch of unbonding, then the first block"
    );
    assert_ne!(record(&world, 0).unwrap().id, old);
    reach(&mut world, epoch + 3, 4);
    assert!(!is_member(&world, 0, epoch + 1) && !is_member(&world, 0, epoch + 2));
    assert!(is_member(&world, 0, epoch + 3) && signed_in(&world, 0, epoch + 3), "it signs again, with the same log");
    assert_eq!(world.oracle.replay().members().tally().rejoins, 1);
    judge(world);
}

#[test]
fn the_last_masternode_stays_until_another_is_there() {
    let mut world = world(plan(68, 1, 1));
    let spare = world.plan.spare(0);
    world.run_for(2_300);
    let asked = unregister(&mut world, 0, 1);
    let asked = archived(&mut world, &asked);
    let epoch = epoch_of(&world, asked);
    reach(&mut world, epoch + 2, 1);
    assert_eq!(standing(&world, 0), Some(Standing::Leaving));
    let entered = register(&mut world, spare, 1);
    let entered = archived(&mut world, &entered);
    let epoch = epoch_of(&world, entered);
    reach(&mut world, epoch + 2, 3);
    assert!(is_member(&world, 0, epoch + 1) && is_member(&world, spare, epoch + 1));
    assert!(!is_member(&world, 0, epoch + 2), "it goes with the boundary after");
    assert!(signed_in(&world, spare, epoch + 2) && !signed_in(&world, 0, epoch + 2));
    judge(world);
}

#[test]
fn one_that_was_punished_comes_back_with_its_key_and_less() {
    let mut plan = plan(69, 5, 0);
    plan.byzantine.insert(3, Tactics::HONEST);
    let mut world = world(plan);
    world.run_for(2_300);
    world.fault(Fault::Turn { node: 3, tactics: DOUBLE });
    let key = key_of(&world, 3);
    assert!(world.run_until_event(12_000, |world| world.oracle.is_slashed(&key)));
    world.fault(Fault::Turn { node: 3, tactics: Tactics::HONEST });
    let slashed = record(&world, 3).unwrap();
    assert_eq!(slashed.value, world.plan.spec.tiers[4].collateral.get() / 10 * 9);
    assert!(world.run_until(40_000, |world| record(world, 3).is_none()), "its unbonding ends");
    let again = registration(&mut world, 3);
    let back = insist(&mut world, &again);
    let epoch = epoch_of(&world, back);
    reach(&mut world, epoch + 1, 4);
    assert!(is_member(&world, 3, epoch + 1) && !world.oracle.is_slashed(&key), "nobody brings up again what it did");
    // What is left of the first collateral is its owner's again.
    let coin = Coin { value: slashed.value, owner: 3 };
    let spend = world.load.spend_collateral(slashed.collateral, coin);
    insist(&mut world, &spend);
    assert_eq!(world.oracle.replay().members().tally().slashes, 1);
    judge(world);
}

/// Evidence that a masternode prepared two blocks at height 1 is all that Byzantine nodes say from now on.
fn accuse(world: &mut World, node: usize) {
    let key = world.nodes[node].key.clone().unwrap();
    let chain = world.shared.chain.id();
    let part = |block: u8| {
        let (height, view, kind) = (Height::new(1), View::ZERO, BftKind::Prepare);
        let block_hash = Some(BlockHash([block; 32]));
        let signature = key.sign(&bft_digest(&chain, height, view, kind, block_hash));
        BftPart { height, view, kind, block_hash, signature }
    };
    tell(world, Evidence::of_bft(key.public_key(), part(1), part(2)));
}

/// The same of two payments that a masternode voted for, which nobody else ever saw; their memos make the evidence large.
fn accuse_of_votes(world: &mut World, node: usize, size_bytes: usize) {
    let key = world.nodes[node].key.clone().unwrap();
    let chain = world.shared.chain.id();
    let part = |memo: Vec<u8>| {
        let inputs = vec![OutPoint { txid: Txid([9; 32]), index: 0 }];
        let body = TxBody { version: 1, inputs, outputs: Vec::new(), payload: Payload::Transfer, memo };
        let (index, count, path) = (0, 1, Vec::new());
        let root = root_of_path(&body.txid().0, index, count, &path).unwrap();
        let digest = finality_digest(&chain, Epoch::ZERO, FinalityKind::Vote, &key.public_key(), &root);
        VotePart { body, index, count, path, signature: key.sign(&digest) }
    };
    let of_memos =
        |bytes: usize| Evidence::of_votes(key.public_key(), Epoch::ZERO, part(vec![1; bytes]), part(vec![2; bytes]));
    let beside_memos = encoded_size(&of_memos(1_000)) - 2 * 1_000;
    let evidence = of_memos((size_bytes - beside_memos) / 2);
    assert!(encoded_size(&evidence) <= size_bytes && encoded_size(&evidence) + 1 >= size_bytes);
    tell(world, evidence);
}

/// From now on Byzantine nodes say nothing but this.
fn tell(world: &mut World, evidence: Evidence) {
    world.forger = Some(Box::new(move |_, _, _| Some(Message::Evidence(Box::new(evidence.clone())))));
}

/// Half a block of evidence in any slot of an epoch, while more is certified than blocks hold: it must not take the room of
/// what a block cannot do without, or no block follows.
#[test]
fn evidence_as_large_as_can_be_keeps_no_epoch_from_closing() {
    let mut places = BTreeSet::new();
    for step in 0..14 {
        let mut plan = plan(73, 5, 0);
        plan.spec.epoch_slots = 2;
        (plan.users, plan.coins, plan.load_every_ms) = (40, 6, [25, 60][step as usize % 2]);
        plan.spec.max_block_bytes = 6_000;
        plan.spec.overflow_min_bytes = 3_500;
        plan.spec.max_tx_bytes = 1_000;
        plan.byzantine.insert(4, Tactics::HONEST);
        let mut world = world(plan);
        let key = key_of(&world, 4);
        world.run_for(4_300 + 230 * step);
        accuse_of_votes(&mut world, 4, 3_000);
        assert!(world.run_until_event(12_000, |world| world.oracle.is_slashed(&key)), "not punished");
        let height = world.oracle.replay().tip().height;
        places.insert(place(&world, height));
        let epoch = epoch_of(&world, height);
        reach(&mut world, epoch + 2, 1);
        assert!(!is_member(&world, 4, epoch + 2));
        judge(world);
    }
    assert!(places.len() > 1, "{places:?}");
}

#[test]
fn old_evidence_counts_from_the_registration_until_the_unbonding_ends() {
    for stage in ["queued", "active", "leaving", "unbonding", "gone"] {
        let mut plan = plan(72, 5, 1);
        plan.byzantine_spares.insert(0, Tactics::HONEST);
        let mut world = world(plan);
        let spare = world.plan.spare(0);
        let key = key_of(&world, spare);
        world.run_for(2_300);
        let entered = register(&mut world, spare, 1);
        let mut epoch = archived(&mut world, &entered);
        epoch = epoch_of(&world, epoch);
        if stage != "queued" {
            reach(&mut world, epoch + 1, 1);
            assert_eq!(standing(&world, spare), Some(Standing::Active));
        }
        if !["queued", "active"].contains(&stage) {
            let left = unregister(&mut world, spare, 1);
            let left = archived(&mut world, &left);
            epoch = epoch_of(&world, left);
            assert_eq!(standing(&world, spare), Some(Standing::Leaving));
        }
        match stage {
            "unbonding" => reach(&mut world, epoch + 1, 1),
            "gone" => reach(&mut world, epoch + 2, 1),
            _ => {}
        }
        let height = world.highest();
        let before = record(&world, spare);
        assert_eq!(before.is_none(), stage == "gone", "{stage}: {before:?}");
        accuse(&mut world, spare);
        world.run_until(8_000, |world| world.oracle.is_slashed(&key));
        assert_eq!(world.oracle.is_slashed(&key), stage != "gone", "{stage}");
        if let Some(before) = before {
            assert!(world.oracle.replay().tip().height <= height + 3, "{stage}: soon");
            reach(&mut world, epoch + 1, 1);
            let after = record(&world, spare).unwrap();
            assert_eq!(after.value, before.value / 10 * 9, "{stage}");
            let is_out = matches!(after.standing, Standing::Unbonding(_));
            assert!(is_out || stage == "active", "{stage}: {:?}", after.standing);
        }
        judge(world);
    }
}

#[test]
fn a_newcomer_begins_with_a_snapshot_registers_and_votes() {
    let mut plan = plan(70, 4, 1);
    plan.late.insert(plan.spare(0));
    let mut world = world(plan);
    let spare = world.plan.spare(0);
    assert!(world.run_until(60_000, |world| world.highest() >= 14));
    world.join(spare);
    assert!(world.run_until_event(20_000, |world| world.nodes[spare].running.is_some()), "no snapshot");
    let entered = register(&mut world, spare, spare);
    let entered = archived(&mut world, &entered);
    let epoch = epoch_of(&world, entered);
    reach(&mut world, epoch + 1, 4);
    assert!(is_member(&world, spare, epoch + 1) && signed_in(&world, spare, epoch + 1));
    judge(world);
}

/// One that enters, one that leaves and one that stays, each stopped between any two commands around the boundary.
#[test]
fn a_crash_around_the_boundary_loses_nobody() {
    for place in 0..24u64 {
        let mut world = world(plan(71, 5, 1));
        let spare = world.plan.spare(0);
        let node = [spare, 0, 1][(place % 3) as usize];
        world.run_for(5_000);
        let (enters, leaves) = (register(&mut world, spare, 1), unregister(&mut world, 0, 2));
        archived(&mut world, &enters);
        archived(&mut world, &leaves);
        let is_near = |world: &World| (world.oracle.replay().tip().opened + 1).is_multiple_of(4);
        assert!(world.run_until_event(20_000, is_near));
        world.run_for(1_900);
        let tear = [Tear::Nothing, Tear::Everything, Tear::Cut, Tear::Flip][(place % 4) as usize];
        let after_commands = 3 * place;
        world.fault(Fault::Crash { node, after_commands, tear, store_lost: place % 2 == 0, down_ms: 900 });
        assert!(world.run_until(20_000, |world| world.counts.crashes > 0), "{place}: it never crashed");
        let epoch = world.oracle.replay().epoch_after(world.oracle.replay().tip().height).unwrap();
        reach(&mut world, epoch + 1, 3);
        assert!(is_member(&world, spare, epoch + 1) && !is_member(&world, 0, epoch + 1));
        judge(world);
    }
}
