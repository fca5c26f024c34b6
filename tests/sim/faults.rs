//! What a seed draws: the chain, who is on it, what goes wrong and when.

use crate::byzantine::Tactics;
use crate::disk::Tear;
use crate::load::Mix;
use crate::network::Quality;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use timed::chain::spec::{ChainSpec, SnowballSpec, Tier, TsdcSpec};
use timed::types::number::{Amount, UNITS_PER_TIME, Weight};

/// When every world begins, in its own milliseconds: late enough for a clock to be ten minutes slow.
pub const BEGINNING_MS: u64 = 1_000_000;
/// Length of a slot in all worlds.
pub const SLOT_MS: u64 = 2_000;

/// Something that goes wrong. Times in milliseconds.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A node stops after executing this many more commands, and comes back later.
    Crash { node: usize, after_commands: u64, tear: Tear, store_lost: bool, down_ms: u64 },
    /// The next sync of a node fails.
    SyncError { node: usize },
    /// A node's disk takes this many more bytes.
    DiskFull { node: usize, space: usize },
    /// What these say to those is swallowed.
    Swallow { pairs: Vec<(usize, usize)>, ms: u64 },
    /// These connections break.
    Cut { pairs: Vec<(usize, usize)>, ms: u64 },
    /// A clock is off by this much from now on.
    Clock { node: usize, offset_ms: i64 },
    /// Every node stops at once.
    AllDown { tear: Tear, ms: u64 },
    /// All links get a new quality.
    Weather(Quality),
    /// A Byzantine masternode does something else from now on.
    Turn { node: usize, tactics: Tactics },
}

/// Everything a world is made of; drawn from a seed, or written down by a scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Source of all chance.
    pub seed: u64,
    /// The chain, without masternodes and allocations.
    pub spec: ChainSpec,
    /// Tier of each masternode.
    pub tiers: Vec<usize>,
    /// The Byzantine ones.
    pub byzantine: BTreeMap<usize, Tactics>,
    /// Keys, by their index, of which a second node runs.
    pub twins: Vec<usize>,
    /// Nodes without a key.
    pub observers: usize,
    /// Nodes with a key that is not registered at genesis.
    pub spares: usize,
    /// Spares, by their place among the spares, whose key is in Byzantine hands.
    pub byzantine_spares: BTreeMap<usize, Tactics>,
    /// Users that pay.
    pub users: usize,
    /// Users besides that own masternodes which come and go, and pay for nothing else.
    pub owners: usize,
    /// Coins of each user at genesis.
    pub coins: usize,
    /// Coins that either of the first two users can spend alone.
    pub shared_coins: usize,
    /// One user action every this many milliseconds, on average; 0 for none.
    pub load_every_ms: u64,
    /// What users do.
    pub mix: Mix,
    /// Least and longest time of a sync.
    pub sync_ms: (u64, u64),
    /// Least and longest time until the store is durable.
    pub store_ms: (u64, u64),
    /// Least and longest time of the delay function.
    pub vdf_ms: (u64, u64),
    /// Each masternode's clock, for good.
    pub skew_ms: u64,
    /// Faults by time since the beginning, ascending.
    pub faults: Vec<(u64, Fault)>,
    /// How long faults go on.
    pub fault_ms: u64,
    /// Whether Byzantine masternodes keep at it afterwards.
    pub byzantine_stay: bool,
    /// Who can be linked to whom, the lower node first; all to all if `None`.
    pub links: Option<BTreeSet<(usize, usize)>>,
    /// Nodes that are not there from the beginning.
    pub late: BTreeSet<usize>,
    /// Observers, by their place among the observers, that do not pass on what they should.
    pub bad_relays: BTreeMap<usize, Tactics>,
}

const WEIGHTS: [u64; 7] = [1, 2, 3, 5, 10, 100, 1_000];

fn tiers() -> Vec<Tier> {
    let tier = |(position, weight): (usize, &u64)| Tier {
        name: format!("tier{position}"),
        collateral: Amount::new((position as u64 + 1) * 1_000 * UNITS_PER_TIME),
        weight: Weight::new(*weight),
    };
    WEIGHTS.iter().enumerate().map(tier).collect()
}

/// A chain with short slots and epochs.
pub fn spec(epoch_slots: u64) -> ChainSpec {
    let mut spec = ChainSpec::builtin("dev").unwrap();
    spec.name = "sim".to_owned();
    spec.genesis_time_ms = BEGINNING_MS;
    spec.slot_ms = SLOT_MS;
    spec.epoch_slots = epoch_slots;
    spec.max_block_bytes = 20_000;
    spec.overflow_min_bytes = 8_000;
    spec.max_tx_bytes = 8_000;
    spec.vdf_iterations = 3;
    spec.snowball = SnowballSpec {
        k: 8,
        alpha: 6,
        beta: 8,
        beta_virtuous: 3,
        concurrent_polls: 3,
        round_timeout_ms: 300,
        fallback_ms: 1_000,
    };
    spec.tsdc = TsdcSpec { propose_ms: 200, prepare_ms: 200, precommit_ms: 200, delta_ms: 100 };
    spec.inclusion_grace_ms = 2_000;
    spec.clock_tolerance_ms = 500;
    spec.tiers = tiers();
    spec
}

impl Plan {
    /// A world in which nothing goes wrong: `masternodes` of equal weight.
    pub fn quiet(seed: u64, masternodes: usize) -> Self {
        Self {
            seed,
            spec: spec(4),
            tiers: vec![4; masternodes],
            byzantine: BTreeMap::new(),
            twins: Vec::new(),
            observers: 1,
            spares: 0,
            byzantine_spares: BTreeMap::new(),
            users: 8,
            owners: 0,
            coins: 4,
            shared_coins: 0,
            load_every_ms: 300,
            mix: Mix { rivals: 0, invalid: 0, registry: 0, membership: 0 },
            sync_ms: (1, 4),
            store_ms: (10, 1_500),
            vdf_ms: (10, 100),
            skew_ms: 20,
            faults: Vec::new(),
            fault_ms: 10_000,
            byzantine_stay: true,
            links: None,
            late: BTreeSet::new(),
            bad_relays: BTreeMap::new(),
        }
    }

    /// What `seed` stands for.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let masternodes = *rng.pick(&[4, 4, 4, 7, 7, 10]);
        let mut plan = Self::quiet(seed, masternodes);
        plan.spec = spec(rng.range(2, 5));
        plan.spec.churn_bps = *rng.pick(&[500, 3_333, 10_000]);
        plan.spec.unbonding_epochs = rng.range(1, 3);
        plan.tiers = draw_tiers(rng, masternodes);
        plan.observers = 1 + rng.index(2);
        plan.spares = rng.index(2);
        plan.load_every_ms = rng.range(150, 900);
        plan.mix = Mix { rivals: rng.below(400), invalid: rng.below(200), registry: rng.below(60), membership: 0 };
        plan.skew_ms = rng.below(200);
        plan.byzantine_stay = rng.chance(700);
        plan.fault_ms = rng.range(10, 30) * 1_000;
        if rng.chance(300) {
            plan.sync_ms = (1, rng.range(10, 400));
        }
        draw_byzantine(rng, &mut plan);
        let nodes = plan.nodes();
        draw_faults(rng, &mut plan, nodes);
        plan
    }

    /// How many nodes run: masternodes, twins, observers, spares, in this order.
    pub fn nodes(&self) -> usize {
        self.tiers.len() + self.twins.len() + self.observers + self.spares
    }

    /// Index of the observer at this place among the observers.
    pub fn observer(&self, place: usize) -> usize {
        self.tiers.len() + self.twins.len() + place
    }

    /// Index of the spare at this place among the spares.
    pub fn spare(&self, place: usize) -> usize {
        self.tiers.len() + self.twins.len() + self.observers + place
    }

    /// The node of the key with this index: masternodes first, then spares. Not its twin.
    pub fn node_of_key(&self, key: usize) -> usize {
        key.checked_sub(self.tiers.len()).map_or(key, |place| self.spare(place))
    }

    /// Whether the key with this index is in Byzantine hands.
    pub fn is_bad_key(&self, key: usize) -> bool {
        let place = key.checked_sub(self.tiers.len());
        let is_bad_spare = place.is_some_and(|place| self.byzantine_spares.contains_key(&place));
        self.byzantine.contains_key(&key) && place.is_none() || self.twins.contains(&key) || is_bad_spare
    }

    /// Weight of a masternode at genesis.
    pub fn weight(&self, masternode: usize) -> u64 {
        self.spec.tiers[self.tiers[masternode]].weight.get()
    }

    /// Weight of all masternodes at genesis.
    pub fn total_weight(&self) -> u64 {
        (0..self.tiers.len()).map(|m| self.weight(m)).sum()
    }
}

/// Equal or very unequal weights.
pub fn draw_tiers(rng: &mut Rng, masternodes: usize) -> Vec<usize> {
    match rng.below(3) {
        0 => vec![rng.index(WEIGHTS.len()); masternodes],
        1 => (0..masternodes).map(|_| rng.index(4)).collect(),
        _ => (0..masternodes).map(|_| 3 + rng.index(4)).collect(),
    }
}

/// Byzantine masternodes as long as they stay below a third.
pub fn draw_byzantine(rng: &mut Rng, plan: &mut Plan) {
    if rng.chance(300) {
        return;
    }
    let mut order: Vec<usize> = (0..plan.tiers.len()).collect();
    rng.shuffle(&mut order);
    let total = plan.total_weight();
    let mut weight = 0;
    let common = Tactics::random(rng);
    for masternode in order {
        if (weight + plan.weight(masternode)) * 3 < total && rng.chance(700) {
            weight += plan.weight(masternode);
            let tactics = match rng.below(6) {
                0 => Tactics::SILENT,
                1 | 2 => Tactics::random(rng),
                _ => common,
            };
            if rng.chance(150) {
                plan.twins.push(masternode);
            }
            plan.byzantine.insert(masternode, tactics);
        }
    }
}

fn draw_tear(rng: &mut Rng) -> Tear {
    *rng.pick(&[Tear::Nothing, Tear::Everything, Tear::Cut, Tear::Cut, Tear::Flip])
}

/// Bad weather of any strength.
fn draw_weather(rng: &mut Rng) -> Quality {
    let mut some = |most: u64| if rng.chance(500) { rng.below(most + 1) } else { 0 };
    Quality {
        base_ms: 5 + some(150),
        jitter_ms: 20 + some(400),
        slow_permille: some(100),
        slow_ms: some(5_000),
        loss_permille: some(300),
        duplicate_permille: some(500),
        reorder: some(1) == 1,
    }
}

/// Pairs of a partition: two sides, one direction only, or one node alone.
fn draw_partition(rng: &mut Rng, nodes: usize) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..nodes).collect();
    rng.shuffle(&mut order);
    let side = if rng.chance(300) { 1 } else { 1 + rng.index(nodes - 1) };
    let (here, there) = order.split_at(side);
    let one_way = rng.chance(300);
    let mut pairs = Vec::new();
    for a in here {
        for b in there {
            pairs.push((*a, *b));
            if !one_way {
                pairs.push((*b, *a));
            }
        }
    }
    pairs
}

/// What goes wrong, and when.
pub fn draw_faults(rng: &mut Rng, plan: &mut Plan, nodes: usize) {
    let intensity = rng.below(12);
    let mut faults = Vec::new();
    if rng.chance(700) {
        faults.push((0, Fault::Weather(draw_weather(rng))));
    }
    for _ in 0..intensity {
        let at = rng.below(plan.fault_ms);
        let node = rng.index(nodes);
        let ms = rng.range(100, 8_000);
        let fault = match rng.below(20) {
            0..8 => {
                let after_commands = if rng.chance(300) { 0 } else { rng.below(60) };
                let store_lost = rng.chance(500);
                Fault::Crash { node, after_commands, tear: draw_tear(rng), store_lost, down_ms: ms }
            }
            8 => Fault::SyncError { node },
            9 => Fault::DiskFull { node, space: rng.index(4_000) },
            10..13 => Fault::Swallow { pairs: draw_partition(rng, nodes), ms },
            13..16 => Fault::Cut { pairs: draw_partition(rng, nodes), ms },
            16 => Fault::Clock { node, offset_ms: draw_offset(rng) },
            17 => Fault::Weather(draw_weather(rng)),
            18 => Fault::Weather(Quality::GOOD),
            _ => {
                let ms = if rng.chance(200) { 3_600_000 } else { ms };
                Fault::AllDown { tear: draw_tear(rng), ms }
            }
        };
        faults.push((at, fault));
    }
    faults.sort_by_key(|(at, _)| *at);
    plan.faults = faults;
}

/// Mostly seconds, at times ten minutes, either way.
fn draw_offset(rng: &mut Rng) -> i64 {
    let most = *rng.pick(&[1_000, 5_000, 30_000, 600_000]);
    rng.below(2 * most + 1) as i64 - most as i64
}
