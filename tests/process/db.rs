//! `timed db` on directories of nodes that ran: healthy, damaged, repaired, and run again.

use crate::cluster::{Cluster, open_for_damage, timed, wait_for};
use crate::payer::{Payer, send_and_wait, stranger};
use serde_json::{Value, json};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What a command came to: exit code, standard output, standard error.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn db(arguments: &[&str], folder: &Path) -> Ran {
    let ran = timed().arg("db").args(arguments).arg("--data-dir").arg(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: ran.status.code().unwrap(), out: text(&ran.stdout), err: text(&ran.stderr) }
}

fn healthy(folder: &Path) -> Ran {
    let ran = db(&["verify"], folder);
    assert!(ran.code == 0 && ran.out.contains("all is well"), "{}{}", ran.out, ran.err);
    ran
}

/// Looks and finds damage: code 1, and these words.
fn damaged(folder: &Path, words: &[&str]) -> Ran {
    let ran = db(&["verify"], folder);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word:?} is not in: {}", ran.err);
    }
    ran
}

fn flip(file: &Path, at: u64) {
    let mut file = open_for_damage(file.to_owned());
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0x10]).unwrap();
    file.sync_all().unwrap();
}

/// The files in a folder, ascending.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A network that ran for a while, with a payment in a block, stopped; the payment, and the heights of its nodes.
fn ran(nodes: u16, base_port: u16, slot_ms: u64) -> (Cluster, String, u64) {
    let mut cluster = Cluster::running(nodes, base_port, slot_ms);
    let mut payer = Payer::new(&cluster);
    let coin = payer.coins[0];
    let tx = payer.pay(coin, stranger(9), 1_000_000);
    let txid = send_and_wait(&cluster, 0, &tx);
    cluster.wait_status(&txid, "archived");
    let height = cluster.height(0) + 4;
    (0..cluster.len()).for_each(|node| cluster.wait_height(node, height));
    for node in 0..cluster.len() {
        assert!(cluster.stop(node).success());
    }
    (cluster, txid, height)
}

#[test]
fn a_healthy_directory_is_said_to_be_healthy_and_a_node_that_runs_is_left_alone() {
    let (mut cluster, txid, height) = ran(1, 31_700, 400);
    let folder = cluster.folder(0);
    let said = healthy(&folder).out;
    for part in ["blocks ", "supply ", "signatures ", "index ", "journal ", "votes.log "] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let stats = db(&["stats", "--json"], &folder);
    assert_eq!(stats.code, 0, "{}", stats.err);
    let stats: Value = serde_json::from_str(&stats.out).unwrap();
    assert!(stats["height"].as_u64().unwrap() >= height, "{stats}");
    assert_eq!(stats["heights"]["blocks"], stats["height"]);
    let bytes = files_in(&folder.join("blocks")).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    assert_eq!(stats["bytes"]["blocks"], json!(bytes));
    assert_eq!(stats["trees"]["utxos"], stats["unspent_outputs"]);
    assert!(stats["addresses"].as_u64().unwrap() >= 2, "{stats}");
    let text = db(&["stats"], &folder).out;
    assert!(text.contains("votes.log") && text.contains("addresses"), "{text}");

    cluster.start(0);
    for command in [&["verify"][..], &["verify", "--repair"], &["stats"]] {
        let refused = db(command, &folder);
        assert!(refused.code == 1 && refused.err.contains("a node runs on"), "{}{}", refused.out, refused.err);
    }
    assert_eq!(cluster.status(0, &txid).as_deref(), Some("archived"));
    let nothing = tempfile::tempdir().unwrap();
    let refused = db(&["verify"], nothing.path());
    assert!(refused.code == 2 && refused.err.contains("no node ran there"), "{}", refused.err);
    assert_eq!(files_in(nothing.path()), Vec::<PathBuf>::new(), "and nothing is made");
}

#[test]
fn a_damaged_index_and_a_damaged_block_are_named_and_repaired() {
    let (mut cluster, txid, height) = ran(1, 31_720, 400);
    let folder = cluster.folder(0);
    // Where sled notices a bad page, it may go back to an older state, from which the index catches up: no damage then.
    let index = folder.join("db/db");
    let length = std::fs::read(&index).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    flip(&index, length / 2);
    let ran = db(&["verify"], &folder);
    assert!(ran.code == 0 || ran.err.contains("db/ is damaged"), "{}{}", ran.out, ran.err);
    if ran.code == 1 {
        assert_eq!(db(&["verify", "--repair"], &folder).code, 0);
    }
    // The worst is an index that is intact and wrong.
    let sled = sled::open(folder.join("db")).unwrap();
    sled.open_tree("history").unwrap().pop_min().unwrap().unwrap();
    sled.flush().unwrap();
    drop(sled);
    damaged(&folder, &["db/ is damaged", "timed db verify --repair"]);
    let repaired = db(&["verify", "--repair"], &folder);
    assert_eq!(repaired.code, 0, "{}{}", repaired.out, repaired.err);
    assert!(repaired.out.contains("db.damaged-") && folder.join("db.damaged-0/db").exists(), "{}", repaired.out);
    healthy(&folder);

    // The last block of the last file: the journal has it.
    let blocks = files_in(&folder.join("blocks")).pop().unwrap();
    flip(&blocks, blocks.metadata().unwrap().len() - 30);
    let said = damaged(&folder, &["blocks/ is damaged", "byte", "timed db verify --repair"]);
    assert!(said.err.contains(blocks.file_name().unwrap().to_str().unwrap()), "{}", said.err);
    let refused = timed().arg("--config").arg(folder.join("config.toml")).output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("timed db verify --repair"), "the node says the same: {refused}");
    let repaired = db(&["verify", "--repair"], &folder);
    assert_eq!(repaired.code, 0, "{}{}", repaired.out, repaired.err);
    healthy(&folder);
    cluster.start(0);
    cluster.wait_height(0, height + 2);
    assert_eq!(cluster.status(0, &txid).as_deref(), Some("archived"));
}

#[test]
fn what_has_no_second_copy_is_named_and_fetched_from_other_nodes() {
    let (mut cluster, txid, height) = ran(4, 31_740, 1_000);
    let folder = cluster.folder(3);
    let journal = files_in(&folder.join("journal")).into_iter().find(|file| file.metadata().unwrap().len() > 200);
    flip(&journal.unwrap(), 100);
    damaged(&folder, &["journal/ is damaged", "record", "--from-peers"]);
    let refused = db(&["verify", "--repair"], &folder);
    assert!(refused.code == 1 && refused.err.contains("nothing was repaired"), "{}", refused.err);
    assert!(folder.join("db").exists());
    let put_away = db(&["verify", "--repair", "--from-peers"], &folder);
    assert_eq!(put_away.code, 0, "{}{}", put_away.out, put_away.err);
    for part in ["db", "blocks", "journal"] {
        assert!(folder.join(format!("{part}.damaged-0")).exists() && !folder.join(part).exists(), "{part}");
    }
    cluster.start_all();
    cluster.wait_height(3, height + 3);
    wait_for("the payment again", || (cluster.status(3, &txid)? == "archived").then_some(()));
    cluster.stop(3);
    healthy(&folder);

    let votes = folder.join("votes.log");
    flip(&votes, 150);
    damaged(&folder, &["votes.log is damaged", "--accept-lost-votes"]);
    let refused = db(&["verify", "--repair"], &folder);
    assert!(refused.code == 1 && votes.exists(), "nobody else can say what was signed: {}", refused.err);
}
