//! The rules of the crate's structure, each returning what breaks it.

use super::imports::Files;
use super::source::Token;
use std::collections::{BTreeMap, BTreeSet};

/// Lower layers first. Modules of one layer do not know each other.
pub const LAYERS: &[&[&str]] = &[
    &["limits"],
    &["types"],
    &["crypto"],
    &["chain"],
    &["ledger"],
    &["snowball", "finality", "tsdc", "signer"],
    &["replica"],
    &["config", "keyfile"],
    &["wallet"],
    &["load"],
    &["storage"],
    &["network"],
    &["node"],
    &["rpc"],
    &["cli"],
];

/// State machines: no IO, no clock, no floats.
const ENGINES: &[&str] =
    &["limits", "types", "crypto", "chain", "ledger", "snowball", "finality", "tsdc", "signer", "replica"];
const FORBIDDEN_NAMES: &[&str] = &["tokio", "sled", "Instant", "SystemTime", "f32", "f64"];
const FORBIDDEN_PATHS: &[[&str; 2]] = &[["std", "fs"], ["std", "net"], ["thread", "sleep"]];

/// The only folder that names sled, but for the errors of `storage/store.rs`: it can be exchanged for another.
const SLED_FOLDER: &str = "storage/sled_store/";
const SLED_ERRORS: &str = "storage/store.rs";

/// The only files below `storage` that touch the file system, so that tests can stand between.
const FILE_SYSTEM_FILES: &[&str] = &["storage/files.rs", "storage/lock.rs"];

/// The only file that makes a `Verified`.
const SEALING_FILE: &str = "ledger/verify.rs";

/// First part of a file's path: its top-level module.
fn top(name: &str) -> &str {
    name.split('/').next().map_or(name, |first| first.trim_end_matches(".rs"))
}

fn is_entry(name: &str) -> bool {
    matches!(name, "lib.rs" | "main.rs")
}

/// Imports that go up, or sideways in one layer, and modules that no layer names.
pub fn imports_that_go_up(files: &Files) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&top(name)));
    let mut broken = Vec::new();
    for name in files.files.keys().filter(|name| !is_entry(name)) {
        let Some(own) = layer(name) else {
            broken.push(format!("{name}: no layer has `{}`", top(name)));
            continue;
        };
        for target in files.targets(name).into_iter().filter(|target| top(target) != top(name)) {
            if layer(target).is_none_or(|other| other >= own) {
                broken.push(format!("{name} -> {target}: `{}` is not below `{}`", top(target), top(name)));
            }
        }
    }
    broken
}

/// Circles among the files and folders of each folder. A folder's front file and its parts are one unit: the front holds
/// the type, its parts implement it, so each knows the other.
pub fn circles(files: &Files) -> Vec<String> {
    let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for name in files.files.keys().filter(|name| !is_entry(name)) {
        for target in files.targets(name).into_iter().filter(|target| !is_entry(target)) {
            let (folder, from, to) = where_they_part(&files.place(name), &files.place(target));
            if from != FRONT && to != FRONT {
                folders.entry(folder).or_default().entry(from).or_default().insert(to);
            }
        }
    }
    let of_folder = |(folder, edges): (&String, &BTreeMap<String, BTreeSet<String>>)| -> BTreeSet<String> {
        let circles = edges.keys().filter_map(|start| circle(edges, start));
        circles.map(|nodes| format!("src/{folder}: {}", closed(nodes).join(" -> "))).collect()
    };
    folders.iter().flat_map(of_folder).collect()
}

/// From the first node in the alphabet back to it, so that a circle has one text wherever it was found.
fn closed(mut nodes: Vec<String>) -> Vec<String> {
    let first = nodes.iter().enumerate().min_by_key(|(_, node)| *node).map_or(0, |(at, _)| at);
    nodes.rotate_left(first);
    nodes.extend(nodes.first().cloned());
    nodes
}

/// A folder's front file, as [`where_they_part`] names it.
const FRONT: &str = "mod";

/// The folder that holds both, and what in it holds each.
fn where_they_part(a: &str, b: &str) -> (String, String, String) {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let part = |path: &[&str]| path.get(same).copied().unwrap_or_default().trim_end_matches(".rs").to_owned();
    (a[..same].join("/"), part(&a), part(&b))
}

/// The nodes of a shortest circle through `start`, from it on.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>, start: &String) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut frontier = std::collections::VecDeque::from([start]);
    while let Some(node) = frontier.pop_front() {
        for next in edges.get(node).into_iter().flatten() {
            if next == start {
                let mut way = vec![node.clone()];
                while let Some(before) = way.last().filter(|last| *last != start).and_then(|last| came_from.get(last)) {
                    way.push((*before).clone());
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, node);
                frontier.push_back(next);
            }
        }
    }
    None
}

/// Uses of `Verified::seal` elsewhere than where values are checked.
pub fn foreign_seals(files: &Files) -> Vec<String> {
    let seals = |tokens: &[Token]| {
        tokens.windows(2).any(|w| (w[0] == Token::PathSep || w[0].is('.')) && w[1].ident() == Some("seal"))
    };
    let foreign = files.files.iter().filter(|(name, file)| *name != SEALING_FILE && seals(&file.tokens));
    foreign.map(|(name, _)| format!("{name} calls `Verified::seal`")).collect()
}

/// Names of sled outside the folder that is for it, and of the file system in storage outside the files that are.
pub fn disk_elsewhere(files: &Files) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, file) in &files.files {
        let may_name_sled = name.starts_with(SLED_FOLDER) || name == SLED_ERRORS;
        if !may_name_sled && file.tokens.iter().any(|token| token.ident() == Some("sled")) {
            broken.push(format!("{name} mentions `sled`"));
        }
        let is_checked = top(name) == "storage" && !FILE_SYSTEM_FILES.contains(&name.as_str());
        let is_fs = |path: &[String]| path.windows(2).any(|w| w[0] == "std" && w[1] == "fs");
        if is_checked && file.paths.iter().any(|path| is_fs(&path.segments)) {
            broken.push(format!("{name} mentions `std::fs`"));
        }
    }
    broken
}

/// IO, clocks and floats in what is to be a state machine.
pub fn impure_engines(files: &Files) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, file) in files.files.iter().filter(|(name, _)| ENGINES.contains(&top(name))) {
        for token in &file.tokens {
            match token {
                Token::Ident(ident) if FORBIDDEN_NAMES.contains(&ident.as_str()) => {
                    broken.push(format!("{name} mentions `{ident}`"));
                }
                Token::Number(number) if is_float(number) => broken.push(format!("{name} has the float {number}")),
                _ => {}
            }
        }
        for path in &file.paths {
            for [a, b] in FORBIDDEN_PATHS {
                if path.segments.windows(2).any(|w| w[0] == *a && w[1] == *b) {
                    broken.push(format!("{name} mentions `{}`", path.segments.join("::")));
                }
            }
        }
    }
    broken.dedup();
    broken
}

fn is_float(number: &str) -> bool {
    if number.starts_with("0x") || number.starts_with("0b") || number.starts_with("0o") {
        return false;
    }
    let suffix = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    ['.', 'e', 'E', 'f'].iter().any(|c| suffix.starts_with(*c))
}
