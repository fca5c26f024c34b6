//! What a world counted, and how failures are told.

use crate::invariants::membership::Tally;
use std::fmt;
use std::ops::AddAssign;

/// Counts of one world or of many.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Seeds run.
    pub seeds: u64,
    /// Highest tips.
    pub blocks: u64,
    /// Epochs closed.
    pub epochs: u64,
    /// Payments handed in.
    pub submitted: u64,
    /// Payments final.
    pub finals: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Messages refused at the door.
    pub refused: u64,
    /// Crashes.
    pub crashes: u64,
    /// Restarts.
    pub restarts: u64,
    /// Disk faults.
    pub disk_faults: u64,
    /// Worlds in which a third of the weight lost the end of its `votes.log`, so that only operators can go on.
    pub waits_for_operators: u64,
    /// Partitions and cuts.
    pub partitions: u64,
    /// Clock jumps.
    pub clock_jumps: u64,
    /// Acts of Byzantine masternodes.
    pub byzantine_acts: u64,
    /// Pieces of evidence in blocks.
    pub evidence: u64,
    /// View changes.
    pub view_changes: u64,
    /// Highest view.
    pub highest_view: u64,
    /// What happened to members.
    pub members: Tally,
    /// Milliseconds that passed in the worlds.
    pub virtual_ms: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.blocks += other.blocks;
        self.epochs += other.epochs;
        self.submitted += other.submitted;
        self.finals += other.finals;
        self.messages += other.messages;
        self.refused += other.refused;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.disk_faults += other.disk_faults;
        self.waits_for_operators += other.waits_for_operators;
        self.partitions += other.partitions;
        self.clock_jumps += other.clock_jumps;
        self.byzantine_acts += other.byzantine_acts;
        self.evidence += other.evidence;
        self.view_changes += other.view_changes;
        self.highest_view = self.highest_view.max(other.highest_view);
        self.virtual_ms += other.virtual_ms;
        let (all, one) = (&mut self.members, other.members);
        all.joins += one.joins;
        all.rejoins += one.rejoins;
        all.leaves += one.leaves;
        all.slashes += one.slashes;
        all.waits += one.waits;
        all.crossed += one.crossed;
        all.returned += one.returned;
        all.slowest_punishment = all.slowest_punishment.max(one.slowest_punishment);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds, {} blocks in {} epochs, {} payments handed in, {} final, {} messages ({} refused)",
            self.seeds, self.blocks, self.epochs, self.submitted, self.finals, self.messages, self.refused
        )?;
        writeln!(
            f,
            "{} crashes, {} restarts, {} disk faults, {} partitions, {} clock jumps; {} worlds wait for operators",
            self.crashes, self.restarts, self.disk_faults, self.partitions, self.clock_jumps, self.waits_for_operators
        )?;
        let Tally { joins, rejoins, leaves, slashes, waits, crossed, returned, slowest_punishment } = self.members;
        writeln!(
            f,
            "{joins} masternodes joined ({rejoins} again), {leaves} left, {slashes} were punished (at most \
             {slowest_punishment} blocks after evidence), {waits} times one waited for another boundary; {returned} \
             collaterals came back, {crossed} payments crossed a boundary"
        )?;
        write!(
            f,
            "{} Byzantine acts, {} pieces of evidence, {} view changes (highest view {}), {} h of the worlds' time",
            self.byzantine_acts,
            self.evidence,
            self.view_changes,
            self.highest_view,
            self.virtual_ms / 3_600_000
        )
    }
}

/// How a seed is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// The variable that names it.
    pub variable: &'static str,
    /// The test.
    pub test: &'static str,
}

/// How one world ended.
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Which worlds it is a seed of: the variable that names it, and the test that replays it.
    pub replay: Replay,
    /// What it counted.
    pub counts: Counts,
    /// What went wrong, in order.
    pub failures: Vec<String>,
    /// Hash of its trace.
    pub trace: u64,
}

impl Outcome {
    /// What to print about a failure: what was violated, and how to see it again.
    pub fn describe(&self) -> String {
        let mut text = format!("seed {} failed:\n", self.seed);
        for failure in self.failures.iter().take(8) {
            text.push_str(&format!("  {failure}\n"));
        }
        if self.failures.len() > 8 {
            text.push_str(&format!("  and {} more\n", self.failures.len() - 8));
        }
        let Replay { variable, test } = self.replay;
        let command = format!("{variable}={} cargo test --release --test sim {test} -- --nocapture", self.seed);
        text + "replay with a trace: " + &command
    }
}
