//! Nodes that come late or were long down, among peers that stall, tamper and lie.

use crate::byzantine::Tactics;
use crate::disk::Tear;
use crate::faults::Plan;
use crate::network::Quality;
use crate::seeds::judge;
use crate::world::{Gate, World};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use timed::limits::{MAX_BLOCKS_PER_MESSAGE, MAX_DIRECT_BLOCKS, MAX_KNOWN_HEADERS};
use timed::replica::message::{Message, SealedBlock, SealedHeader};
use timed::types::number::Height;
use timed::types::validators::ValidatorSet;

/// The observer, which was down for so many blocks that it asks for headers.
const LATE: usize = 4;

/// A world whose observer is down until it lacks `blocks` blocks; `byzantine` masternode, if any, does as its forger says.
fn late_by(seed: u64, blocks: u64, byzantine: Option<usize>) -> World {
    let mut plan = Plan::quiet(seed, 4);
    plan.spec.epoch_slots = 3;
    plan.byzantine.extend(byzantine.map(|node| (node, Tactics::default())));
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    world.run_for(3_000);
    world.crash(LATE, Tear::Nothing, false);
    let goal = world.highest() + blocks;
    assert!(world.run_until(blocks * 4_000, |world| world.highest() >= goal));
    world
}

fn catches_up(world: &mut World, ms: u64) {
    let goal = world.highest();
    assert!(world.run_until(ms, |world| world.height(LATE) >= goal), "{} of {goal}", world.height(LATE));
}

/// How many blocks each node sends to the late one, and how many questions for blocks it gets of it.
#[derive(Default)]
struct Seen {
    asked: BTreeMap<usize, usize>,
    sent: BTreeMap<usize, usize>,
    headers: usize,
}

/// Counts, and lets `treat` say what becomes of messages of others to the late node.
fn watch(world: &mut World, mut treat: impl FnMut(usize, &Message) -> Gate + 'static) -> Rc<RefCell<Seen>> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let notes = seen.clone();
    world.gate = Some(Box::new(move |_, from, to, message| {
        let mut notes = notes.borrow_mut();
        match message {
            Message::GetBlocks { .. } if from == LATE => *notes.asked.entry(to).or_default() += 1,
            Message::Blocks(blocks) if to == LATE => *notes.sent.entry(from).or_default() += blocks.len(),
            Message::Headers(_) if to == LATE => notes.headers += 1,
            _ => {}
        }
        if to == LATE { treat(from, message) } else { Gate::Pass }
    }));
    seen
}

#[test]
fn a_node_long_down_fetches_headers_first_and_blocks_from_several_peers_at_once() {
    let mut world = late_by(31, 150, None);
    let seen = watch(&mut world, |_, _| Gate::Pass);
    let begin = world.now;
    world.start(LATE);
    let target = world.highest();
    // Behind as soon as the headers are there, long before the blocks are.
    assert!(world.run_until_event(5_000, |world| {
        world.replica(LATE).is_some_and(|replica| replica.sync_target().get() >= target)
    }));
    assert!(world.replica(LATE).unwrap().is_behind() && world.height(LATE) < target);
    catches_up(&mut world, 10_000);
    let took = world.now - begin;
    let seen = seen.borrow();
    assert!(seen.headers >= 1 && seen.headers <= 10, "{} answers with headers", seen.headers);
    let busy = seen.sent.values().filter(|blocks| **blocks >= 20).count();
    assert!(busy >= 2, "blocks came from {:?}", seen.sent);
    let sent: usize = seen.sent.values().sum();
    // What came just too late came twice: a range, and the last blocks.
    assert!(sent < 150 + MAX_BLOCKS_PER_MESSAGE + 2 * MAX_DIRECT_BLOCKS as usize, "{sent} blocks were sent");
    println!("150 blocks in {took} ms, of {:?}", seen.sent);
    drop(seen);
    judge(world);
}

#[test]
fn a_peer_that_stalls_is_replaced() {
    let mut world = late_by(32, 200, None);
    // It says how high it is, tells headers, and never sends a block.
    let seen = watch(&mut world, |from, message| match message {
        Message::Blocks(_) if from == 1 => Gate::Drop,
        _ => Gate::Pass,
    });
    world.start(LATE);
    catches_up(&mut world, 40_000);
    let seen = seen.borrow();
    let others = seen.asked.iter().filter(|(node, _)| **node != 1).map(|(_, asked)| *asked).max().unwrap_or(0);
    assert!(seen.asked.get(&1).copied().unwrap_or(0) <= others.max(6), "{:?}", seen.asked);
    drop(seen);
    judge(world);
}

#[test]
fn late_answers_are_of_use() {
    let mut world = late_by(33, 100, None);
    // Later than anybody waits for.
    watch(&mut world, |_, message| match message {
        Message::Blocks(_) | Message::Headers(_) => Gate::Delay(9_500),
        _ => Gate::Pass,
    });
    world.start(LATE);
    catches_up(&mut world, 60_000);
    judge(world);
}

#[test]
fn a_few_blocks_are_fetched_without_their_headers() {
    let mut world = late_by(34, 5, None);
    let seen = watch(&mut world, |_, _| Gate::Pass);
    world.start(LATE);
    let begin = world.now;
    catches_up(&mut world, 3_000);
    assert!(world.now - begin < 500, "{} ms for five blocks", world.now - begin);
    assert_eq!(seen.borrow().headers, 0);
    judge(world);
}

/// The late node hears lies from masternode 2 only, and honest words from the others.
fn among_liars(seed: u64, lie: impl FnMut(&Message) -> Option<Message> + 'static) {
    let mut world = late_by(seed, 60, Some(2));
    let mut lie = lie;
    let lies = Rc::new(RefCell::new(0));
    let told = lies.clone();
    world.forger = Some(Box::new(move |_, to, message| {
        let lie = lie(message).filter(|_| to == LATE);
        *told.borrow_mut() += usize::from(lie.is_some());
        lie
    }));
    // The liar is the one that is listened to first.
    world.gate = Some(Box::new(|_, from, to, message| match message {
        Message::Status { .. } if to == LATE && from != 2 => Gate::Delay(1_500),
        _ => Gate::Pass,
    }));
    world.start(LATE);
    catches_up(&mut world, 60_000);
    assert!(*lies.borrow() > 0, "nobody lied");
    world.forger = None;
    judge(world);
}

#[test]
fn tampered_blocks_are_refused_and_come_from_somebody_else() {
    among_liars(35, |message| {
        let Message::Blocks(blocks) = message else { return None };
        let mut blocks: Vec<SealedBlock> = blocks.clone();
        blocks.iter_mut().for_each(|sealed| {
            sealed.block.txs.pop();
        });
        Some(Message::Blocks(blocks))
    });
}

#[test]
fn other_blocks_than_those_of_the_headers_are_refused() {
    among_liars(36, |message| {
        let Message::Blocks(blocks) = message else { return None };
        let mut blocks: Vec<SealedBlock> = blocks.clone();
        blocks.iter_mut().for_each(|sealed| sealed.block.header.reward = Default::default());
        Some(Message::Blocks(blocks))
    });
}

#[test]
fn headers_without_a_quorum_are_refused() {
    among_liars(37, |message| {
        let Message::Headers(headers) = message else { return None };
        let mut headers: Vec<SealedHeader> = headers.clone();
        let silent = |sealed: &mut SealedHeader| sealed.commit.signatures.iter_mut().for_each(|s| *s = None);
        headers.iter_mut().for_each(silent);
        Some(Message::Headers(headers))
    });
}

#[test]
fn a_set_forged_into_a_header_is_refused() {
    among_liars(38, |message| {
        let Message::Headers(headers) = message else { return None };
        let mut headers: Vec<SealedHeader> = headers[..1].to_vec();
        // A set of strangers: the same members with other weights, as the header itself says.
        let sealed = &mut headers[0];
        let members = sealed.next_set.clone().unwrap_or_default();
        let forged = ValidatorSet::new(members).ok()?;
        sealed.header.next_validators_hash = forged.hash();
        sealed.next_set = Some(forged.members().to_vec());
        sealed.commit.block_hash = sealed.header.hash();
        Some(Message::Headers(headers))
    });
}

#[test]
fn a_tip_that_nobody_can_prove_makes_nobody_wait() {
    let mut world = late_by(39, 40, Some(2));
    world.forger = Some(Box::new(|_, _, message| match message {
        Message::Status { hash, lowest, .. } => {
            Some(Message::Status { height: Height::new(u64::MAX - 1), hash: *hash, lowest: *lowest })
        }
        _ => None,
    }));
    world.start(LATE);
    catches_up(&mut world, 30_000);
    // Whoever is not behind by what was proved goes on signing.
    let before = world.highest();
    assert!(world.run_until(30_000, |world| world.lowest() >= before + 5));
    assert!(
        (0..5)
            .filter(|node| *node != 2)
            .all(|node| { world.replica(node).is_some_and(|replica| replica.sync_target().get() < before + 1_000) })
    );
    judge(world);
}

#[test]
fn a_node_killed_again_and_again_goes_on_from_where_it_was() {
    let mut world = late_by(40, 150, None);
    world.weather(Quality { base_ms: 40, ..Quality::GOOD });
    world.start(LATE);
    let mut last = world.height(LATE);
    for round in 0..6 {
        let tear = [Tear::Nothing, Tear::Everything, Tear::Cut][round % 3];
        world.run_for(150);
        world.crash(LATE, tear, round % 2 == 0);
        world.start(LATE);
        let height = world.height(LATE);
        last = last.max(height);
    }
    assert!(last > 0);
    catches_up(&mut world, 30_000);
    judge(world);
}

#[test]
fn a_masternode_long_down_signs_again_once_it_has_caught_up() {
    let mut plan = Plan::quiet(41, 4);
    plan.spec.epoch_slots = 3;
    let mut world = World::new(plan, false);
    world.run_for(3_000);
    world.crash(3, Tear::Nothing, false);
    assert!(world.run_until(400_000, |world| world.highest() >= 80));
    world.start(3);
    let goal = world.highest();
    assert!(world.run_until(20_000, |world| world.height(3) >= goal));
    // Without it there is no quorum now.
    world.crash(0, Tear::Nothing, false);
    let before = world.highest();
    assert!(world.run_until(40_000, |world| world.height(3) >= before + 3), "it signs");
    assert!(world.replica(3).unwrap().memory().headers <= MAX_KNOWN_HEADERS);
    judge(world);
}
