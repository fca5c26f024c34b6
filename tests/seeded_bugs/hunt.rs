//! Hunting one bug: seeds with it until one fails that passes without it.

use crate::bugs::Bug;
use crate::simulator::{self, Ending};
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What became of a bug.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// A seed fails with it and passes without.
    Caught { seed: u64, by: String },
    /// No seed shows it.
    Missed { seeds: u64 },
    /// It cannot be built: the table is wrong.
    DoesNotBuild(String),
}

/// A bug and what became of it.
pub struct Row {
    /// The bug.
    pub bug: &'static Bug,
    /// What became of it.
    pub verdict: Verdict,
    /// Time of the build.
    pub build: Duration,
    /// Time of all seeds.
    pub run: Duration,
}

/// The copy, and the simulator without a bug.
pub struct Hunt {
    tree: Tree,
    target: PathBuf,
    clean: PathBuf,
    /// Whether a seed passes without a bug, as far as that was asked.
    passes_clean: BTreeMap<u64, bool>,
    seeds: u64,
}

impl Hunt {
    /// Copies the project and builds the simulator without a bug.
    pub fn prepare(seeds: u64) -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded_bugs");
        let tree = Tree::copy(Path::new(env!("CARGO_MANIFEST_DIR")), place.join("tree"));
        let (target, clean) = (place.join("target"), place.join("clean-simulator"));
        let built = simulator::build(&tree, &target).unwrap();
        std::fs::copy(built, &clean).unwrap();
        Self { tree, target, clean, passes_clean: BTreeMap::new(), seeds }
    }

    /// Puts the bug in, runs seeds from 1 on, and takes it out again.
    pub fn hunt(&mut self, bug: &'static Bug) -> Row {
        let begin = Instant::now();
        let built = self.tree.with(bug.edits, || simulator::build(&self.tree, &self.target));
        let build = begin.elapsed();
        let verdict = match built {
            Ok(simulator) if self.is_clean(&simulator) => Verdict::DoesNotBuild("nothing changed".to_owned()),
            Ok(simulator) => self.run(&simulator),
            Err(reason) => Verdict::DoesNotBuild(reason),
        };
        Row { bug, verdict, build, run: begin.elapsed() - build }
    }

    fn is_clean(&self, simulator: &Path) -> bool {
        std::fs::read(simulator).unwrap() == std::fs::read(&self.clean).unwrap()
    }

    fn run(&mut self, simulator: &Path) -> Verdict {
        let mut first = 1;
        while first <= self.seeds {
            let (seed, by) = match simulator::run(simulator, first, self.seeds + 1 - first) {
                Ending::AllPassed => break,
                Ending::Failed { seed, failure } => (seed, failure),
                Ending::NeverEnded { seed } => (seed, "never ends".to_owned()),
                Ending::Died { seed } => (seed, "the process dies".to_owned()),
            };
            if self.passes_clean(seed) {
                return Verdict::Caught { seed, by };
            }
            first = seed + 1;
        }
        Verdict::Missed { seeds: self.seeds }
    }

    fn passes_clean(&mut self, seed: u64) -> bool {
        let run = || simulator::run(&self.clean, seed, 1) == Ending::AllPassed;
        *self.passes_clean.entry(seed).or_insert_with(run)
    }
}
