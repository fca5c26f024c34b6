//! Worlds in which masternodes are not all linked: what they sign has to be passed on by others.

use crate::byzantine::Tactics;
use crate::faults::{Plan, draw_byzantine, draw_faults, draw_tiers, spec};
use crate::load::Mix;
use crate::report::Replay;
use crate::rng::Rng;
use crate::seeds::{Worlds, from_environment, judge, judge_safety, replay, run_all};
use crate::traffic::Traffic;
use crate::world::{Gate, World};
use std::collections::{BTreeMap, BTreeSet};
use timed::replica::message::Message;
use timed::types::hash::Txid;

/// Who is linked to whom.
type Links = BTreeSet<(usize, usize)>;

const WORLDS: Worlds = Worlds { draw, replay: Replay { variable: "SIM_SPARSE_SEED", test: "one_sparse_seed" } };

/// Shapes of networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// Masternodes linked to one observer in a line of them.
    Line,
    /// All masternodes linked to one observer only.
    Star,
    /// Masternodes linked to two observers in a ring of them.
    Ring,
    /// Anybody to anybody, about four links a node.
    Random,
    /// Masternodes linked to each other, and a chain of three observers that begins at one of them.
    Tail,
}

fn link(links: &mut Links, a: usize, b: usize) {
    if a != b {
        links.insert((a.min(b), a.max(b)));
    }
}

/// Links of this shape between `masternodes` and as many `observers` behind them.
fn links(rng: &mut Rng, shape: Shape, masternodes: usize, observers: usize) -> Links {
    let mut links = Links::new();
    let observer = |place: usize| masternodes + place;
    match shape {
        Shape::Line | Shape::Star | Shape::Ring => {
            (1..observers).for_each(|place| link(&mut links, observer(place - 1), observer(place)));
            if shape == Shape::Ring {
                link(&mut links, observer(0), observer(observers - 1));
            }
            for masternode in 0..masternodes {
                let first = rng.index(observers);
                link(&mut links, masternode, observer(first));
                if shape == Shape::Ring {
                    link(&mut links, masternode, observer((first + 1 + rng.index(observers - 1)) % observers));
                }
            }
        }
        Shape::Random => {
            let nodes = masternodes + observers;
            for node in 0..nodes {
                (0..2).for_each(|_| link(&mut links, node, rng.index(nodes)));
            }
        }
        Shape::Tail => {
            (0..masternodes).for_each(|a| (0..a).for_each(|b| link(&mut links, a, b)));
            link(&mut links, rng.index(masternodes), observer(0));
            (1..observers).for_each(|place| link(&mut links, observer(place - 1), observer(place)));
        }
    }
    links
}

/// Whether all of `nodes` reach each other through each other.
fn is_connected(nodes: &BTreeSet<usize>, links: &Links) -> bool {
    let Some(first) = nodes.first() else { return true };
    let (mut reached, mut open) = (BTreeSet::from([*first]), vec![*first]);
    while let Some(node) = open.pop() {
        for (a, b) in links {
            let other = if *a == node { *b } else { *a };
            if (*a == node || *b == node) && nodes.contains(&other) && reached.insert(other) {
                open.push(other);
            }
        }
    }
    reached.len() == nodes.len()
}

/// A quiet world of this shape.
fn quiet(seed: u64, shape: Shape, masternodes: usize, observers: usize) -> Plan {
    let mut plan = Plan::quiet(seed, masternodes);
    plan.observers = observers;
    let mut rng = Rng::new(seed ^ 0x5ba5);
    let everybody: BTreeSet<usize> = (0..masternodes + observers).collect();
    // A random graph may fall apart.
    let drawn = std::iter::repeat_with(|| links(&mut rng, shape, masternodes, observers));
    plan.links = drawn.take(1_000).find(|links| is_connected(&everybody, links));
    assert!(plan.links.is_some(), "no connected network of seed {seed}");
    wait_for_far_nodes(&mut plan);
    plan
}

/// What is said takes several links and more.
fn wait_for_far_nodes(plan: &mut Plan) {
    plan.spec.tsdc.propose_ms = 600;
    plan.spec.tsdc.prepare_ms = 600;
    plan.spec.tsdc.precommit_ms = 600;
    plan.spec.tsdc.delta_ms = 300;
}

/// What `seed` stands for.
fn draw(seed: u64) -> Plan {
    let mut rng = Rng::new(seed ^ 0x5_9a25e);
    let rng = &mut rng;
    let shape =
        *rng.pick(&[Shape::Line, Shape::Star, Shape::Ring, Shape::Ring, Shape::Random, Shape::Random, Shape::Tail]);
    let (masternodes, observers) = match shape {
        Shape::Line => (*rng.pick(&[4, 7]), 2 + rng.index(3)),
        Shape::Star => (*rng.pick(&[4, 7, 10]), 1),
        Shape::Ring => (*rng.pick(&[4, 7, 10]), 3 + rng.index(3)),
        Shape::Random => (8 + rng.index(7), 4 + rng.index(3)),
        Shape::Tail => (*rng.pick(&[4, 7]), 3),
    };
    let mut plan = quiet(rng.next(), shape, masternodes, observers);
    plan.seed = seed;
    plan.spec = spec(rng.range(2, 5));
    wait_for_far_nodes(&mut plan);
    plan.tiers = draw_tiers(rng, masternodes);
    plan.load_every_ms = rng.range(200, 900);
    plan.mix = Mix { rivals: rng.below(400), invalid: rng.below(200), registry: 0, membership: 0 };
    plan.skew_ms = rng.below(200);
    plan.byzantine_stay = rng.chance(700);
    plan.fault_ms = rng.range(10, 20) * 1_000;
    draw_byzantine(rng, &mut plan);
    plan.twins.clear();
    draw_bad_relays(rng, &mut plan);
    keep_honest_connected(&mut plan);
    let nodes = plan.nodes();
    draw_faults(rng, &mut plan, nodes);
    plan
}

/// Observers that drop, replay or change what they should pass on.
fn draw_bad_relays(rng: &mut Rng, plan: &mut Plan) {
    for place in 0..plan.observers {
        if rng.chance(300) {
            let tactics = match rng.below(4) {
                0 => Tactics::SILENT,
                1 => Tactics { replay: 1000, release: 1000, withhold_votes: 500, ..Tactics::default() },
                2 => Tactics { garble: 1000, bad_signature: 300, ..Tactics::default() },
                _ => Tactics::random(rng),
            };
            plan.bad_relays.insert(place, tactics);
        }
    }
}

/// Nobody can promise anything to who hears only those that lie: these turn honest, until the honest reach each other.
fn keep_honest_connected(plan: &mut Plan) {
    loop {
        let bad = |node: &usize| {
            plan.byzantine.contains_key(node) || plan.bad_relays.keys().any(|place| plan.observer(*place) == *node)
        };
        let honest: BTreeSet<usize> = (0..plan.nodes()).filter(|node| !bad(node)).collect();
        let is_enough = plan.links.as_ref().is_none_or(|links| is_connected(&honest, links));
        if is_enough || (plan.bad_relays.pop_first().is_none() && plan.byzantine.pop_first().is_none()) {
            return;
        }
    }
}

#[test]
fn payments_and_blocks_are_final_everywhere_in_networks_of_every_shape() {
    for (shape, masternodes, observers) in
        [(Shape::Line, 7, 3), (Shape::Star, 20, 1), (Shape::Ring, 7, 4), (Shape::Random, 12, 6), (Shape::Tail, 4, 3)]
    {
        let mut world = World::new(quiet(41, shape, masternodes, observers), std::env::var("SIM_TRACE").is_ok());
        world.run_for(20_000);
        let waiting = world.load.unfinished().len();
        assert!(waiting <= 4, "{shape:?}: {waiting} payments wait in a world without faults");
        assert!(world.lowest() >= 7, "{shape:?}: only {} blocks", world.lowest());
        judge(world);
    }
}

/// Drops what somebody else than the sender signed, and the offers of such things, at these nodes.
fn drop_what_is_passed_on(world: &mut World, relays: Vec<usize>) {
    let keys: Vec<_> = world.nodes.iter().map(|node| node.key.as_ref().map(|key| key.public_key())).collect();
    world.gate = Some(Box::new(move |_, from, _, message| {
        let signer = match message {
            Message::Votes(batch) => Some(batch.voter),
            Message::Proposal(proposal) => Some(proposal.leader),
            Message::BftVote(vote) => Some(vote.voter),
            Message::IHave(_) => None,
            _ => return Gate::Pass,
        };
        if relays.contains(&from) && (signer.is_none() || signer != keys[from]) { Gate::Drop } else { Gate::Pass }
    }));
}

/// The control: these worlds are live because of what is passed on, and of nothing else.
#[test]
fn where_nobody_passes_anything_on_nothing_becomes_final() {
    for (shape, masternodes, observers) in [(Shape::Ring, 7, 4), (Shape::Random, 12, 6), (Shape::Star, 7, 1)] {
        let mut world = World::new(quiet(42, shape, masternodes, observers), false);
        drop_what_is_passed_on(&mut world, (0..masternodes + observers).collect());
        world.run_for(60_000);
        let (submitted, finals) =
            (world.load.submitted.len(), world.load.submitted.values().filter(|s| s.is_final).count());
        assert!(submitted > 0 && finals == 0 && world.highest() == 0, "{shape:?}: {finals} final of {submitted}");
        judge(world);
    }
}

/// The same, with only one relay of a line that passes nothing on: the far side cannot follow.
#[test]
fn behind_a_relay_that_passes_nothing_on_nothing_happens() {
    let mut world = World::new(quiet(43, Shape::Tail, 4, 3), false);
    let (first, last) = (world.plan.observer(0), world.plan.observer(2));
    world.gate = Some(Box::new(move |_, from, _, message| {
        let is_silent = from == first && !matches!(message, Message::Status { .. } | Message::Links(_));
        if is_silent { Gate::Drop } else { Gate::Pass }
    }));
    world.run_for(20_000);
    assert_eq!(world.height(last), 0);
    assert!(world.highest() >= 7);
    judge(world);
}

#[test]
fn a_proposal_changed_on_its_way_keeps_nobody_from_the_leaders() {
    let mut plan = quiet(44, Shape::Ring, 7, 4);
    let garble = Tactics { garble: 1000, ..Tactics::default() };
    plan.bad_relays.extend([(0, garble), (2, garble)]);
    // Every masternode hears one of those, and one that is honest.
    let honest = [plan.observer(1), plan.observer(3)];
    let links = plan.links.get_or_insert_default();
    (0..7).for_each(|node| link(links, node, honest[node % 2]));
    link(links, honest[0], honest[1]);
    let mut world = World::new(plan, false);
    world.run_for(30_000);
    assert!(world.lowest() >= 12, "only {} blocks", world.lowest());
    judge(world);
}

#[test]
fn sparse_seeds() {
    run_all(WORLDS, from_environment("SIM_FIRST_SEED").unwrap_or(1), from_environment("SIM_SEEDS").unwrap_or(40));
}

#[test]
#[ignore = "takes 20 minutes"]
fn thousands_of_sparse_seeds() {
    run_all(
        WORLDS,
        from_environment("SIM_FIRST_SEED").unwrap_or(2_000_000),
        from_environment("SIM_SEEDS").unwrap_or(3_000),
    );
}

/// Does nothing unless `SIM_SPARSE_SEED` names a seed.
#[test]
fn one_sparse_seed() {
    replay(WORLDS);
}

/// Payments one after another, and what they cost.
fn measure(name: &str, plan: Plan, payments: usize) -> World {
    let mut plan = plan;
    plan.load_every_ms = 0;
    let (nodes, masternodes) = (plan.nodes(), plan.tiers.len());
    let mut world = World::new(plan, false);
    world.run_for(2_500);
    let (blocks, mut handed_in) = (world.lowest(), BTreeMap::<Txid, u64>::new());
    world.traffic = Some(Traffic::default());
    let began = world.now;
    for payment in 0..payments {
        handed_in.extend(world.pay(payment % masternodes).map(|txid| (txid, world.now)));
        world.run_for(400);
    }
    let is_done = |world: &World| {
        let honest = world.honest();
        handed_in.keys().all(|txid| honest.iter().all(|node| world.is_final_at(*node, txid)))
    };
    assert!(world.run_until(60_000, is_done), "{name}: not all payments are final everywhere");
    let traffic = world.traffic.take().unwrap_or_default();
    let ((messages, bytes), count) = (traffic.total(), handed_in.len() as u64);
    let waited = traffic.finality_ms(&handed_in);
    println!(
        "{name}: {nodes} nodes, {count} payments and {} blocks in {} ms; {} messages and {} bytes a node and payment; \
         final after (median, longest) {waited:?} ms\n{traffic}",
        world.lowest() - blocks,
        world.now - began,
        messages / count / nodes as u64,
        bytes / count / nodes as u64,
    );
    world
}

#[test]
#[ignore = "prints figures"]
fn figures_of_networks_of_every_shape() {
    for masternodes in [4, 7] {
        judge(measure("mesh", Plan::quiet(45, masternodes), 20));
    }
    for (shape, masternodes, observers) in
        [(Shape::Line, 7, 3), (Shape::Star, 7, 1), (Shape::Ring, 7, 4), (Shape::Random, 12, 6), (Shape::Tail, 4, 3)]
    {
        judge(measure(&format!("{shape:?}"), quiet(45, shape, masternodes, observers), 20));
    }
}

/// More masternodes than link to all others: each to 32 of them, drawn by weight.
#[test]
#[ignore = "takes minutes"]
fn a_hundred_and_twenty_masternodes_with_32_drawn_links_each() {
    let mut plan = Plan::quiet(46, 120);
    let mut rng = Rng::new(46);
    plan.tiers = (0..120).map(|_| 3 + rng.index(3)).collect();
    plan.spec.slot_ms = 6_000;
    let mut links = Links::new();
    for node in 0..120 {
        let mut drawn = BTreeSet::new();
        while drawn.len() < 32 {
            let mut ticket = rng.below(plan.total_weight());
            let heavy = (0..120).find(|other| {
                let weight = plan.weight(*other);
                let is_it = ticket < weight;
                ticket = ticket.saturating_sub(weight);
                is_it
            });
            drawn.extend(heavy.filter(|other| *other != node));
        }
        drawn.iter().for_each(|other| link(&mut links, node, *other));
    }
    // The observer has three.
    (0..3).for_each(|masternode| link(&mut links, 40 * masternode, 120));
    println!("{} links", links.len());
    plan.links = Some(links);
    wait_for_far_nodes(&mut plan);
    let world = measure("120 masternodes", plan, 10);
    judge_safety(world);
}
