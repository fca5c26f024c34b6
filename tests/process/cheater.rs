//! A masternode whose operator changed the program so that it signs two things: proved, punished, put out.

use crate::cluster::{Cluster, timed, wait_for};
use crate::tree::{Edit, PROFILE, Tree};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use timed::types::block::Block;
use timed::types::codec::decode;
use timed::types::evidence::Evidence;
use timed::types::hex;

/// The one that cheats.
const CHEATER: usize = 3;

/// With each prepare of a block goes one of none, and what comes back of that is not minded.
const CHANGES: [Edit; 3] = [
    Edit {
        file: "src/signer/signer.rs",
        find: "        statements.into_iter().map(|statement| self.key.sign(statement)).collect()",
        replace: "        let signed = statements.into_iter().map(|statement| self.key.sign(statement));
        signed.flat_map(|said| [self.key.contradict(&said), Some(said)]).flatten().collect()",
    },
    Edit {
        file: "src/signer/key.rs",
        find: "    /// Deterministic, so a statement signed again gives the same message.",
        replace: "    pub(super) fn contradict(&self, said: &SignedMessage) -> Option<SignedMessage> {
        let SignedMessage::Bft(vote) = said else { return None };
        let mut other = BftVote { block_hash: None, ..vote.clone() };
        other.signature = self.secret.sign(&other.digest(&self.chain));
        (vote.kind == BftKind::Prepare && vote.block_hash.is_some()).then_some(SignedMessage::Bft(other))
    }

    /// Deterministic, so a statement signed again gives the same message.",
    },
    Edit {
        file: "src/node/disk.rs",
        find: "is_some_and(|signer| signer.hears(said))",
        replace: "is_some_and(|signer| signer.hears(said) && false)",
    },
];

#[test]
fn the_changes_fit_the_program_as_it_is() {
    for edit in &CHANGES {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(edit.file)).unwrap();
        assert_eq!(text.matches(edit.find).count(), 1, "{:?} in {}", edit.find, edit.file);
    }
}

/// Builds the changed program.
fn changed_program() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = project.join("target/cheater");
    let tree = Tree::copy(project, root.join("tree"));
    tree.with(&CHANGES, || {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--profile", PROFILE, "--bin", "timed", "--locked"])
            .current_dir(tree.root())
            .env("CARGO_TARGET_DIR", root.join("built"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    });
    root.join("built").join(PROFILE).join("timed")
}

fn block(cluster: &Cluster, height: u64) -> Option<Block> {
    let bytes = cluster.call(0, "get_block", json!([height, 0])).ok()?;
    decode(&hex::decode(bytes.as_str().unwrap()).unwrap()).ok()
}

fn record(cluster: &Cluster, key: &str) -> Value {
    let page = cluster.call(0, "list_masternodes", json!([])).unwrap();
    let records = page["masternodes"].as_array().unwrap();
    records.iter().find(|record| record["consensus_key"] == json!(key)).cloned().unwrap_or_default()
}

/// `cargo test --release --test process -- --ignored --nocapture a_changed_program`
#[test]
#[ignore = "builds the program a second time: minutes"]
fn a_changed_program_that_signs_twice_is_punished_and_put_out() {
    let program = changed_program();
    let mut cluster = Cluster::new(4, 32_700, 1_000);
    cluster.set_program(CHEATER, program);
    cluster.start_all();
    let key = timed::keyfile::read(&cluster.folder(CHEATER).join("masternode.key")).unwrap().public_key();
    let before = record(&cluster, &key.to_string());
    assert_eq!(before["slashed"], json!(false));
    let weight_before = cluster.call(0, "get_blockchain_info", json!([])).unwrap()["total_weight"].clone();
    let mut height = 1;
    let (found, piece) = wait_for("evidence in a block", || {
        let block = block(&cluster, height)?;
        height += 1;
        let header_height = block.header.height.get();
        block.evidence.into_iter().next().map(|piece| (header_height, piece))
    });
    let Evidence::Bft { voter, a, b } = piece else { panic!("{piece:?}") };
    assert_eq!((voter, a.height, a.view, a.kind), (key, b.height, b.view, b.kind));
    println!("signed twice at height {}, punished in block {found}", a.height);
    assert!(found <= a.height.get() + 2, "evidence of height {} only in block {found}", a.height);
    let punished = record(&cluster, &key.to_string());
    assert_eq!(punished["slashed"], json!(true), "{punished}");
    let out = wait_for("its epoch to end", || {
        let record = record(&cluster, &key.to_string());
        (record["state"] != json!("active")).then_some(record)
    });
    assert_eq!(out["state"], json!("unbonding"), "{out}");
    let info = cluster.call(0, "get_blockchain_info", json!([])).unwrap();
    assert!(info["total_weight"].as_u64() < weight_before.as_u64(), "{info}");
    // The others go on without it, and every block adds up.
    let height = cluster.height(0) + 3;
    (0..CHEATER).for_each(|node| cluster.wait_height(node, height));
    assert!(cluster.stop(0).success());
    let verified = timed().args(["db", "verify", "--data-dir"]).arg(cluster.folder(0)).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    println!("{}", String::from_utf8_lossy(&verified.stdout));
}
