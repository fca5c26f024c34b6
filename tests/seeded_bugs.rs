//! The simulator on trial: twenty bugs that a programmer could make, each put into a copy of the engines, and each to
//! be caught by a seed that passes without it.
//!
//! `cargo test --release --test seeded_bugs -- --ignored --nocapture` builds the simulator with one bug after the other,
//! runs seeds from 1 on until one fails, and prints the table of `docs/development.md`.
//! `SEEDED_BUG=accept-sixty-percent` chooses one, `SEEDED_BUG_SEEDS=100` how many seeds it has.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "seeded_bugs/bugs.rs"]
mod bugs;
#[path = "seeded_bugs/hunt.rs"]
mod hunt;
#[path = "seeded_bugs/simulator.rs"]
mod simulator;
#[path = "seeded_bugs/table.rs"]
mod table;
#[path = "seeded_bugs/tree.rs"]
mod tree;

use bugs::BUGS;
use hunt::{Hunt, Verdict};
use std::collections::BTreeSet;
use std::path::Path;

/// How many bugs must be caught (`docs/development.md`).
const LEAST_CAUGHT: usize = 19;
/// How many seeds a bug has to show itself.
const SEEDS: u64 = 1_000;

#[test]
fn every_bug_fits_the_engines_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(BUGS.len(), 20);
    let names: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), BUGS.len(), "every bug has a name of its own");
    for bug in BUGS {
        for edit in bug.edits {
            let text = std::fs::read_to_string(root.join(edit.file)).expect(edit.file);
            assert!(edit.file.starts_with("src/"), "{}: {} is no engine", bug.name, edit.file);
            assert_eq!(text.matches(edit.find).count(), 1, "{}: {:?} in {}", bug.name, edit.find, edit.file);
            assert_ne!(edit.find, edit.replace, "{}", bug.name);
        }
    }
}

#[test]
fn the_copy_has_whatever_the_program_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut included) = (vec![root.join("src")], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for file in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split_once('"')) {
                let part = file.0.trim_start_matches("../").split('/').next().unwrap();
                // Tests of the library read the documentation; they are not built there.
                let is_inside = path.parent().unwrap().join(file.0).exists();
                assert!(is_inside && (tree::PARTS.contains(&part) || part == "specs" || part == "docs"), "{file:?}");
                included += 1;
            }
        }
    }
    assert!(included > 3, "the search finds what is included");
}

#[test]
#[ignore = "builds the simulator twenty times: some twenty minutes"]
fn nineteen_of_twenty_seeded_bugs_are_caught() {
    let chosen = std::env::var("SEEDED_BUG").ok();
    let seeds = std::env::var("SEEDED_BUG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let bugs: Vec<_> = BUGS.iter().filter(|bug| chosen.as_deref().is_none_or(|name| name == bug.name)).collect();
    assert!(!bugs.is_empty(), "no bug is called {chosen:?}");
    let mut hunt = Hunt::prepare(seeds);
    let mut rows = Vec::new();
    for bug in &bugs {
        let row = hunt.hunt(bug);
        println!("{}", table::line(&row));
        rows.push(row);
    }
    println!("\n{}", table::whole(&rows));
    let caught = rows.iter().filter(|row| matches!(row.verdict, Verdict::Caught { .. })).count();
    let least = LEAST_CAUGHT.min(bugs.len());
    assert!(caught >= least, "{caught} of {} bugs are caught, {least} have to be", bugs.len());
}
