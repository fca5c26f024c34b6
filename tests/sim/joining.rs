//! Nodes that begin with a snapshot: the production joiner in place of a replica, until it is done.

use crate::byzantine::Tactics;
use crate::faults::Plan;
use crate::network::Quality;
use crate::node::{Effect, Shared};
use crate::seeds::judge;
use crate::world::{Gate, World};
use std::sync::Arc;
use timed::ledger::snapshot::{CheckedManifest, Manifest};
use timed::replica::join::{Completion, JoinCommand, JoinInput, JoinProgress, Joiner};
use timed::replica::message::{Message, SealedHeader};
use timed::storage::memory::MemoryStore;
use timed::types::number::TimeMs;

/// A node on its way, and what its disk has.
pub struct Joining {
    joiner: Joiner,
    epochs: Vec<SealedHeader>,
    begun: Option<Arc<Manifest>>,
    chunks: Vec<Vec<u8>>,
    joined: Option<MemoryStore>,
}

impl Joining {
    /// Begins, or goes on with what an interrupted one had on its disk.
    pub fn new(shared: &Shared, before: Option<Self>) -> Self {
        let (epochs, begun, chunks) = before.map(|b| (b.epochs, b.begun, b.chunks)).unwrap_or_default();
        let kept = (epochs.clone(), begun.as_deref().cloned());
        let joiner = Joiner::new(shared.chain.clone(), shared.verifier.clone(), None, kept).unwrap();
        Self { joiner, epochs, begun, chunks, joined: None }
    }

    /// Whether anything was kept.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// One input and what follows; the store of a node that is done.
    pub fn step(&mut self, now: TimeMs, input: JoinInput, effects: &mut Vec<Effect>) -> Option<MemoryStore> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for command in self.joiner.step(now, input) {
                match command {
                    JoinCommand::Send { to, message } => effects.push(Effect::Send(to, Arc::new(message))),
                    JoinCommand::Fault { peer, what } => effects.push(Effect::Blamed(peer, what)),
                    JoinCommand::KeepEpoch(end) => self.epochs.push(*end),
                    JoinCommand::ForgetEpochs => self.epochs.clear(),
                    JoinCommand::Begin(manifest) => {
                        if self.begun.as_ref() != Some(&manifest) {
                            self.chunks.clear();
                        }
                        self.begun = Some(manifest);
                        inputs.push(JoinInput::Held(self.chunks.len()));
                    }
                    JoinCommand::Append(chunk) => self.chunks.push(chunk),
                    JoinCommand::Complete(checked) => inputs.push(JoinInput::Completed(self.add_up(&checked))),
                    // Peers have been up for less than an epoch: it asks again.
                    JoinCommand::NobodyHasOne => {}
                }
            }
        }
        (self.joiner.progress() == JoinProgress::Done).then(|| self.joined.take()).flatten()
    }

    fn add_up(&mut self, checked: &CheckedManifest) -> Completion {
        let (mut sum, mut outputs) = (checked.summing(), Vec::new());
        for chunk in &self.chunks {
            outputs.extend(sum.add(chunk).unwrap_or_default());
        }
        let Ok(state) = sum.finish() else {
            self.begun = None;
            return Completion::WrongState;
        };
        self.joined = Some(MemoryStore::from_snapshot(state, outputs, checked.manifest()));
        Completion::Proved
    }
}

/// The one who comes late.
const LATE: usize = 5;

/// A world of four masternodes and an observer that is some epochs old; another observer has not begun.
fn aged(seed: u64, byzantine: Option<usize>) -> World {
    let mut plan = Plan::quiet(seed, 4);
    plan.observers = 2;
    plan.late.insert(LATE);
    plan.byzantine.extend(byzantine.map(|node| (node, Tactics::default())));
    let mut world = World::new(plan, std::env::var("SIM_TRACE").is_ok());
    assert!(world.run_until(60_000, |world| world.highest() >= 14));
    world
}

/// Begins with a snapshot within `ms`, follows, and has nothing from before.
fn joins(world: &mut World, ms: u64) {
    assert!(world.run_until_event(ms, |world| world.nodes[LATE].running.is_some()), "no snapshot");
    let base = world.height(LATE);
    assert!(base >= 8, "it begins at height {base}");
    let goal = world.highest() + 3;
    assert!(
        world.run_until(60_000, |world| world.height(LATE) >= goal),
        "{} of {goal}, others at {}, {:?}",
        world.height(LATE),
        world.highest(),
        world.failures
    );
}

#[test]
fn a_node_begins_with_a_snapshot_while_payments_and_blocks_go_on() {
    let mut world = aged(41, None);
    world.join(LATE);
    joins(&mut world, 10_000);
    // It comes back like any other.
    world.crash_for(LATE, crate::disk::Tear::Cut, true, 3_000);
    world.run_for(6_000);
    judge(world);
}

#[test]
fn losses_and_late_answers_delay_it() {
    for seed in 0..4 {
        let mut world = aged(42 + seed, None);
        world.weather(Quality { loss_permille: 200, duplicate_permille: 200, jitter_ms: 900, ..Quality::GOOD });
        world.join(LATE);
        joins(&mut world, 120_000);
        judge(world);
    }
}

#[test]
fn a_byzantine_masternode_offers_another_state_and_other_chunks() {
    for seed in 0..4 {
        let mut world = aged(50 + seed, Some(0));
        world.forger = Some(Box::new(move |_, to, message| {
            let mut forged = message.clone();
            match &mut forged {
                Message::SnapshotManifest(Some(manifest)) if to == LATE && seed % 2 == 0 => manifest.outputs += 1,
                Message::SnapshotChunk { bytes: Some(bytes), .. } if to == LATE => bytes[7] ^= 1,
                Message::Epochs(ends) if to == LATE && seed == 3 => {
                    ends.last_mut()?.header.state_root.0[0] ^= 1;
                }
                _ => return None,
            }
            Some(forged)
        }));
        world.join(LATE);
        joins(&mut world, 60_000);
        judge(world);
    }
}

#[test]
fn one_that_is_interrupted_goes_on_with_what_it_has() {
    let mut world = aged(60, None);
    // Nobody sends a chunk at first.
    world.gate = Some(Box::new(|_, _, to, message| match message {
        Message::SnapshotChunk { .. } if to == LATE => Gate::Drop,
        _ => Gate::Pass,
    }));
    world.join(LATE);
    world.run_for(4_000);
    assert!(world.nodes[LATE].running.is_none());
    let kept = world.interrupt_join(LATE);
    assert!(kept.has_begun());
    world.gate = None;
    world.run_for(2_000);
    world.join_again(LATE, kept);
    joins(&mut world, 20_000);
    judge(world);
}

#[test]
fn without_a_snapshot_anywhere_it_waits_and_takes_nothing_else() {
    let mut world = aged(61, None);
    world.gate = Some(Box::new(|_, _, to, message| match message {
        Message::SnapshotManifest(_) if to == LATE => Gate::Drop,
        _ => Gate::Pass,
    }));
    world.join(LATE);
    world.run_for(30_000);
    assert!(world.nodes[LATE].running.is_none());
    world.gate = None;
    joins(&mut world, 30_000);
    judge(world);
}
