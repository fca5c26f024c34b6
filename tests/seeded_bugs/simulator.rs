//! A simulator built from the copy, run as a process of its own: a bug may make it hang, or eat all memory.

use crate::tree::{PROFILE, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A simulator that finishes no seed for so long never will: an ordinary one takes seconds at most.
const WATCHDOG: Duration = Duration::from_secs(240);
/// Memory that the process may have, in KiB; a few hundred MB are ordinary.
const MOST_MEMORY_KIB: u64 = 8_000_000;

/// How a run of seeds ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// None failed.
    AllPassed,
    /// The lowest that failed, and the first thing that was wrong with it.
    Failed { seed: u64, failure: String },
    /// The lowest that came to no end.
    NeverEnded { seed: u64 },
    /// The process died in this seed, or in one that ran beside it.
    Died { seed: u64 },
}

/// Builds the simulator of `tree`; its path.
///
/// # Errors
/// What the compiler said.
pub fn build(tree: &Tree, target: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--profile", PROFILE, "--test", "sim", "--no-run", "--locked"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(tree.root())
        .env("CARGO_TARGET_DIR", target)
        .output()
        .map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(said.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>().join("; "));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().ok_or_else(|| "cargo named no executable".to_owned())
}

/// Runs these seeds up to the first that fails.
pub fn run(simulator: &Path, first: u64, count: u64) -> Ending {
    let script = format!("ulimit -v {MOST_MEMORY_KIB}; exec \"$0\" --exact seeds::a_few_hundred_seeds --nocapture");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(simulator)
        .env("SIM_STOP_AT_FIRST", "1")
        .env("SIM_FIRST_SEED", first.to_string())
        .env("SIM_SEEDS", count.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = channel();
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok()));
    let mut said = Said::default();
    let is_hung = loop {
        match told.recv_timeout(WATCHDOG) {
            Ok(line) => said.hear(&line),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    if is_hung {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    // The process is gone, and its end of the pipe with it.
    reader.join().unwrap();
    said.ending(first, is_hung, status.success())
}

/// What a simulator printed so far.
#[derive(Default)]
struct Said {
    passed: BTreeSet<u64>,
    failed: BTreeMap<u64, String>,
    /// The seed whose failures come next.
    telling: Option<u64>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["seed", seed, "passed"] => self.passed.extend(seed.parse::<u64>()),
            ["seed", seed, "failed:"] => self.telling = seed.parse().ok(),
            _ => {
                if let (Some(seed), Some(failure)) = (self.telling.take(), line.strip_prefix("  ")) {
                    self.failed.entry(seed).or_insert_with(|| failure.to_owned());
                }
            }
        }
    }

    fn ending(self, first: u64, is_hung: bool, is_success: bool) -> Ending {
        let is_done = |seed: &u64| self.passed.contains(seed) || self.failed.contains_key(seed);
        // Seeds begin in ascending order.
        let open = (first..).find(|seed| !is_done(seed)).unwrap_or(first);
        match self.failed.into_iter().next() {
            Some((seed, failure)) if !is_hung || seed < open => Ending::Failed { seed, failure },
            _ if is_hung => Ending::NeverEnded { seed: open },
            _ if is_success => Ending::AllPassed,
            _ => Ending::Died { seed: open },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Said {
        let mut said = Said::default();
        lines.iter().for_each(|line| said.hear(line));
        said
    }

    const FAILURES: [&str; 7] = [
        "seed 1 passed",
        "seed 3 failed:",
        "  S7 at 5: one",
        "  S9 at 6: other",
        "replay with a trace: SIM_SEED=3 cargo",
        "seed 2 failed:",
        "  S1 at 9: two blocks",
    ];

    #[test]
    fn the_lowest_seed_that_failed_counts_with_its_first_failure() {
        let failure = "S1 at 9: two blocks".to_owned();
        assert_eq!(heard(&FAILURES).ending(1, false, false), Ending::Failed { seed: 2, failure });
    }

    #[test]
    fn a_seed_that_never_ended_counts_unless_a_lower_one_failed() {
        assert_eq!(heard(&["seed 5 passed", "seed 7 passed"]).ending(5, true, false), Ending::NeverEnded { seed: 6 });
        assert!(matches!(heard(&FAILURES).ending(1, true, false), Ending::Failed { seed: 2, .. }));
        assert_eq!(heard(&FAILURES[..5]).ending(1, true, false), Ending::NeverEnded { seed: 2 });
    }

    #[test]
    fn a_process_that_died_says_so() {
        assert_eq!(heard(&["seed 1 passed"]).ending(1, false, false), Ending::Died { seed: 2 });
        assert_eq!(heard(&["seed 1 passed"]).ending(1, false, true), Ending::AllPassed);
    }
}
