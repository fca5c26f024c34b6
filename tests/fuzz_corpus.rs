//! Replays the corpora of the fuzz targets: whatever once led a fuzzer to a new place, or to a fault, is tried at every run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[path = "fuzz_corpus/seeds.rs"]
mod seeds;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most files and bytes of a corpus: what is read by everybody who has the repository stays small.
const MOST_FILES: usize = 100;
const MOST_BYTES: usize = 200_000;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Names and bytes of a corpus.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).unwrap_or_else(|error| panic!("the corpus of {target}: {error}"));
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn every_file_of_every_corpus_holds() {
    for (target, check) in fuzz::TARGETS {
        let files = corpus(target);
        assert!(!files.is_empty(), "the corpus of {target} is empty");
        for (name, bytes) in files {
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                panic!("{name}; see above");
            }
        }
    }
}

#[test]
fn every_target_has_a_corpus_that_is_small_and_every_corpus_a_target() {
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    let corpora = fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(corpora.collect::<BTreeSet<String>>(), targets);
    let programs = fs::read_dir(folder("").join("../fuzz_targets")).unwrap();
    let programs = programs.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<String>>(), targets);
    for target in targets {
        let files = corpus(&target);
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(files.len() <= MOST_FILES && bytes <= MOST_BYTES, "{target}: {} files, {bytes} bytes", files.len());
    }
}

/// Valid encodings to begin with; a fuzzer goes on from there, and `cargo fuzz cmin` leaves what leads somewhere.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn write_the_first_corpora() {
    for (target, files) in seeds::all() {
        fs::create_dir_all(folder(target)).unwrap();
        for (name, bytes) in files {
            fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
}

/// Without a fuzzer: the corpora with random changes, for `FUZZ_SECONDS` each. It does not see which of them lead to a new
/// place, so it finds less than `cargo fuzz`, and needs nothing but the tests' own compiler.
#[test]
#[ignore = "takes as long as it is told"]
fn corpora_with_random_changes_hold() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    for (target, check) in fuzz::TARGETS {
        let files: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
        let (end, mut tried) = (Instant::now() + Duration::from_secs(seconds), 0u64);
        while Instant::now() < end {
            let mut rng = ChaCha12Rng::seed_from_u64(tried);
            let bytes = changed(&files, &mut rng);
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                let file = std::env::temp_dir().join(format!("{target}-{tried}"));
                fs::write(&file, &bytes).unwrap();
                panic!("{target}: {}; see above", file.display());
            }
            tried += 1;
        }
        println!("{target}: {tried} in {seconds} s");
    }
}

/// One of the files, with a few places changed as a fuzzer does it.
fn changed(files: &[Vec<u8>], rng: &mut ChaCha12Rng) -> Vec<u8> {
    let mut bytes = files[rng.random_range(0..files.len())].clone();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 40));
        let other = &files[rng.random_range(0..files.len())];
        let from = rng.random_range(0..=other.len());
        match rng.random_range(0..6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.random()),
            2 => drop(bytes.drain(at..end)),
            // Lengths and numbers of other widths than they need.
            3 => drop(bytes.splice(at..end, [rng.random_range(250..=255u8), 0, 0, 1])),
            4 => drop(bytes.splice(at..end, other[from..other.len().min(from + 40)].to_vec())),
            _ => {
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
    bytes
}
