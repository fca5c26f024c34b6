//! `timed masternode` as a user calls it, as far as that needs no node.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use timed::chain::spec::ChainSpec;
use timed::crypto::batch::{SignatureCheck, verify};
use timed::keyfile;
use timed::types::codec::encode;
use timed::types::hash::Txid;
use timed::types::hex;
use timed::types::keys::{SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, Transaction, TxOut};
use timed::wallet::build::{Coin, Content, Identity, Plan, Rules, plan_payment, plan_registration};

const RULES: Rules = Rules { fee_rate: 100, min_output: Amount::new(10_000), max_tx_bytes: 100_000 };

/// A user's folder with a launched chain, a wallet key and a consensus key. Nobody answers at its RPC URL.
struct User {
    folder: tempfile::TempDir,
    consensus: SecretKey,
}

impl User {
    fn new() -> Self {
        let (folder, consensus) = (tempfile::tempdir().unwrap(), keyfile::generate());
        let user = Self { folder, consensus };
        let made = user.timed(&["devnet", "init", "--nodes", "1", "--dir", "net"]);
        assert!(made.status.success(), "{made:?}");
        keyfile::create(&user.path("owner.key"), &keyfile::generate()).unwrap();
        keyfile::create(&user.path("mn.key"), &user.consensus).unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self) -> ChainSpec {
        ChainSpec::from_toml(&std::fs::read_to_string(self.path("net/chain.toml")).unwrap()).unwrap()
    }

    fn timed(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
            command.env_remove(name);
        }
        command.args(arguments).env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// `timed masternode ...` where it must not work: the exit code and what is said.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        // Port 1 is nobody's.
        let start = ["--rpc-url", "http://127.0.0.1:1", "masternode", "--key-file", "owner.key"];
        let output = self.timed(&[&start[..], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn coin(&self) -> Coin {
        let lock = Lock::of_key(&self.consensus.public_key());
        let outpoint = OutPoint { txid: Txid([8; 32]), index: 3 };
        Coin { outpoint, value: Amount::new(300_000_000_000), lock }
    }

    /// A registration without a proof.
    fn request(&self) -> Plan {
        let (consensus_key, payout) = (self.consensus.public_key(), self.coin().lock);
        let identity = Identity { consensus_key, payout, endpoint: "mn.example.org:24000".to_owned() };
        let collateral = TxOut { value: Amount::new(100_000_000_000), lock: Lock::KeyHash([9; 32]) };
        plan_registration(&[self.coin()], collateral, &identity, Content::of_payment(b""), &RULES).unwrap()
    }

    fn prove(&self, request: &str, key: &str) -> Output {
        self.timed(&["--chain", "net/chain.toml", "masternode", "prove", request, "--key", key])
    }
}

fn unsigned(plan: &Plan) -> String {
    hex::encode(&encode(&Transaction { body: plan.body(), witnesses: Vec::new() }))
}

#[test]
fn what_makes_no_sense_is_refused_before_a_node_is_asked() {
    let user = User::new();
    let key = user.consensus.public_key().to_string();
    let at = ["register", "--endpoint", "mn.example.org:24000"];
    for (arguments, code, expected) in [
        (&["--key", "mn.key"][..], 2, "--tier"),
        (&["--key", "mn.key", "--tier", "bronze", "--collateral", "1000"], 2, "cannot be used with"),
        (&["--key", "mn.key", "--collateral", "1,000"], 2, "is no amount"),
        (&["--key", "mn.key", "--tier", "bronze", "--proof", "00"], 2, "cannot be used with"),
        (&["--tier", "bronze", "--proof", "00"], 2, "--consensus-key"),
        (&["--key", "mn.key", "--tier", "bronze", "--consensus-key", &key], 2, "cannot be used with"),
        (&["--tier", "bronze", "--consensus-key", "abc"], 2, "64 hex digits"),
        (&["--tier", "bronze", "--consensus-key", &key, "--proof", "00"], 2, "128 hex digits"),
        (&["--tier", "bronze", "--key", "no.key"], 1, "timed init --masternode"),
        (&["--tier", "bronze"], 1, "timed init --masternode"),
        (&["--tier", "bronze", "--key", "mn.key"], 1, "no answer from"),
    ] {
        let (got, said) = user.refused(&[&at[..], arguments].concat());
        assert!(got == code && said.contains(expected), "{arguments:?}: {got} {said}");
    }
    let (code, said) = user.refused(&["update", "--masternode", &key]);
    assert!(code == 2 && said.contains("--payout"), "{said}");
    let (code, said) = user.refused(&["unregister", "--masternode", &key, "--multisig", "3:aa"]);
    assert!(code == 2 && said.contains("COUNT:KEY"), "{said}");
    let (code, said) = user.refused(&["status"]);
    assert!(code == 1 && said.contains("no answer from"), "{said}");
}

#[test]
fn a_configuration_that_init_writes_is_good_from_any_folder() {
    let user = User::new();
    let made = user.timed(&["init", "--chain", "net/chain.toml", "--data-dir", "n5", "--masternode"]);
    assert!(made.status.success(), "{made:?}");
    let config = user.path("n5/config.toml");
    let mut check = Command::new(env!("CARGO_BIN_EXE_timed"));
    let checked = check.args(["check", "--config"]).arg(config).current_dir("/").output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_node_that_does_not_answer_is_not_waited_for() {
    let user = User::new();
    // It takes the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let output = user.timed(&["--rpc-url", &url, "masternode", "status"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("no answer from"), "{said}");
}

#[test]
fn a_cookie_that_is_not_taken_is_told_apart_from_no_answer() {
    let user = User::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().unwrap();
        assert!(socket.read(&mut [0; 4_096]).unwrap() > 0);
        socket.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let output = user.timed(&["--rpc-url", &url, "masternode", "status"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("does not take the cookie"), "{said}");
    answer.join().unwrap();
}

#[test]
fn a_proof_is_made_without_a_node_and_is_of_this_registration_alone() {
    let user = User::new();
    let plan = user.request();
    let proved = user.prove(&unsigned(&plan), "mn.key");
    assert!(proved.status.success(), "{proved:?}");
    let told = String::from_utf8(proved.stderr).unwrap();
    assert!(told.contains("mn.example.org:24000") && told.contains("1000 TIME"), "{told}");
    let signature = hex::decode_array::<64>(String::from_utf8(proved.stdout).unwrap().trim()).map(Signature).unwrap();
    let is_of = |plan: &Plan| {
        let digest = plan.proof_digest(&user.spec().id()).unwrap();
        verify(&SignatureCheck { key: user.consensus.public_key(), digest, signature })
    };
    assert!(is_of(&plan));
    let mut other = plan.clone();
    other.coins[0].outpoint.index += 1;
    assert!(!is_of(&other));
}

#[test]
fn a_key_proves_nothing_but_registrations_of_its_own() {
    let user = User::new();
    let to = TxOut { value: Amount::new(20_000), lock: Lock::KeyHash([1; 32]) };
    let payment = plan_payment(&[user.coin()], to, &Content::of_payment(b""), &RULES).unwrap();
    let request = unsigned(&user.request());
    for (request, key, code, expected) in [
        ("zz", "mn.key", 2, "hex digits"),
        ("00", "mn.key", 2, "no request"),
        (&unsigned(&payment), "mn.key", 2, "no registration"),
        (&request, "owner.key", 1, "the request is for the key"),
        (&request, "no.key", 1, "no consensus key"),
    ] {
        let output = user.prove(request, key);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && output.stdout.is_empty() && said.contains(expected), "{said}");
    }
}
