//! The light verifier of `docs/examples` against real nodes, and against what lies between it and them.

use crate::cluster::{Cluster, wait_for};
use crate::payer::{Payer, hex, send, send_and_wait, stranger};
use crate::python::python;
use crate::rpc::{self, Failure};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use timed::types::address::to_address;
use timed::types::block::{BftKind, bft_digest};
use timed::types::hash::{BlockHash, Hash};
use timed::types::keys::{SecretKey, Signature};
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Height, View};
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxBody, TxOut, sighash};

const AMOUNT: u64 = 5_000_000;

/// What is done to an answer on its way: the method, its parameters, the result.
type Lie<'a> = &'a (dyn Fn(&str, &Value, &mut Value) + Sync);

/// Hands calls on to a node and its answers back, each as `lie` leaves it, while `work` runs with the address it is at.
fn between<T>(node: SocketAddr, lie: Lie<'_>, work: impl FnOnce(SocketAddr) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, is_over) = (listener.local_addr().unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                hand_on(stream.unwrap(), node, lie);
            }
        });
        let worked = work(address);
        is_over.store(true, Ordering::Release);
        // Wakes it.
        drop(TcpStream::connect(address).unwrap());
        worked
    })
}

fn hand_on(mut stream: TcpStream, node: SocketAddr, lie: Lie<'_>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", bytes)) => length = bytes.parse().unwrap(),
            _ if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let (method, parameters) = (request["method"].as_str().unwrap(), &request["params"]);
    let answer = match rpc::call(node, method, parameters.clone()) {
        Ok(mut result) => {
            lie(method, parameters, &mut result);
            json!({ "jsonrpc": "2.0", "id": 1, "result": result })
        }
        Err(Failure::Refused(error)) => json!({ "jsonrpc": "2.0", "id": 1, "error": error }),
        Err(error) => panic!("{error:?}"),
    };
    let answer = answer.to_string();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len()).unwrap();
}

/// A network with a payment in it, and what it takes to ask about that.
struct Scene {
    cluster: Cluster,
    payer: Payer,
}

impl Scene {
    /// Runs the verifier with the answers of node 0, as `lie` leaves them.
    fn light(&self, lie: Lie<'_>, arguments: &[&str]) -> Output {
        between(self.cluster.rpc_address(0), lie, |address| {
            let mut python = python("the light verifier").unwrap();
            python.args(["light.py", "--rpc", &format!("http://{address}")]).args(arguments).output().unwrap()
        })
    }

    fn address(&self, of: &Lock) -> String {
        to_address(of, &self.payer.chain.address_hrp).unwrap()
    }

    fn height_of(&self, txid: &str) -> u64 {
        self.cluster.wait_status(txid, "archived");
        self.cluster.call(0, "get_transaction", json!([txid])).unwrap()["height"].as_u64().unwrap()
    }

    fn epoch(&self) -> u64 {
        self.cluster.call(0, "get_blockchain_info", json!([])).unwrap()["epoch"].as_u64().unwrap()
    }

    /// Waits until blocks of the epoch after the one now are made.
    fn wait_epoch(&self) {
        let before = self.epoch();
        wait_for("the epoch to end", || (self.epoch() > before).then_some(()));
    }

    fn sign(&self, body: TxBody) -> Transaction {
        let key = self.cluster.faucet();
        let signature = key.sign(&sighash(&self.payer.chain.id(), &body.txid()));
        Transaction { witnesses: vec![Witness::Key { pubkey: key.public_key(), signature }], body }
    }

    fn transaction(&self, coin: usize, first: Option<TxOut>, payload: Payload) -> Transaction {
        let coin = self.payer.coins[coin];
        let spent = first.map_or(0, |out| out.value.get()) + self.payer.chain.min_fee_rate * 600;
        let rest = TxOut { value: Amount::new(coin.value - spent), lock: self.payer.lock() };
        let outputs = first.into_iter().chain([rest]).collect();
        self.sign(TxBody { version: 1, inputs: vec![coin.outpoint], outputs, payload, memo: Vec::new() })
    }

    /// Registers a masternode that never runs; its id.
    fn register(&self, coin: usize) -> String {
        let (key, chain) = (SecretKey::from_bytes(&[61; 32]), &self.payer.chain);
        let input: OutPoint = self.payer.coins[coin].outpoint;
        let collateral = TxOut { value: chain.tiers[0].collateral, lock: self.payer.lock() };
        let mut register = Register {
            consensus_key: key.public_key(),
            payout: stranger(62),
            endpoint: "127.0.0.1:9".to_owned(),
            collateral_index: 0,
            proof: Signature([0; 64]),
        };
        register.proof = key.sign(&register.proof_digest(&chain.id(), &input, &collateral));
        let tx = self.transaction(coin, Some(collateral), Payload::Register(register));
        send_and_wait(&self.cluster, 0, &tx)
    }

    fn unregister(&self, coin: usize, id: &str) -> String {
        let masternode = Hash::from_hex(id).unwrap().into();
        send_and_wait(&self.cluster, 0, &self.transaction(coin, None, Payload::Unregister { masternode }))
    }

    /// Pays until a proof is shown of a payment that no block holds yet: its txid, and that proof.
    fn pay_until_proved_by_receipts(&mut self) -> (String, Value) {
        for number in 2..20 {
            let coin = self.payer.coins[number];
            let tx = self.payer.pay(coin, stranger(50), AMOUNT);
            let txid = send_and_wait(&self.cluster, 0, &tx);
            let proof = self.cluster.call(0, "get_finality_proof", json!([txid])).unwrap();
            if proof["kind"] == "receipts" {
                return (txid, proof);
            }
        }
        panic!("a block always comes first");
    }
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// It has to say `PROVED`, and what is returned besides.
fn proved(output: &Output) -> String {
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("PROVED "), "{output:?}");
    said
}

/// It has to end with code 1 and this reason.
fn refused(output: &Output, reason: &str) {
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{reason}: {output:?}");
    assert!(!said.contains("PROVED"), "{reason}: {said}");
    assert!(complaint.starts_with("NOT PROVED") && complaint.contains(reason), "{reason}: {complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

fn no_lie(_: &str, _: &Value, _: &mut Value) {}

/// Puts the other half of a byte for the last one of a text in hex.
fn flip(value: &mut Value) {
    let mut text = value.as_str().unwrap().to_owned();
    let last = text.pop().unwrap();
    text.push(if last == '0' { '1' } else { '0' });
    *value = json!(text);
}

#[test]
fn a_light_verifier_follows_the_members_and_proves_a_payment_both_ways_and_believes_no_lie() {
    if python("the light verifier").is_none() {
        return;
    }
    let cluster = Cluster::running(4, 29_300, 400);
    let payer = Payer::new(&cluster);
    let mut scene = Scene { cluster, payer };
    let id = scene.payer.chain.id().to_string();
    let chain = ["--chain-id", &id];

    // From receipts, in the first epoch; the verifier has nothing but the chain's id.
    let (txid, receipts) = scene.pay_until_proved_by_receipts();
    let payment = ["--txid", &txid, "--to", &scene.address(&stranger(50)), "--amount", &AMOUNT.to_string()];
    let told = |receipts: Value| {
        move |method: &str, _: &Value, result: &mut Value| {
            if method == "get_finality_proof" {
                *result = receipts.clone();
            }
        }
    };
    let asked = [&chain[..], &payment[..]].concat();
    let said = proved(&scene.light(&told(receipts.clone()), &asked));
    assert!(said.contains(": receipts") && said.contains(&format!("pays        {AMOUNT} units")), "{said}");

    // A masternode comes and goes; each change is one line.
    let joined = scene.register(0);
    scene.height_of(&joined);
    scene.wait_epoch();
    let left = scene.unregister(1, &joined);
    scene.height_of(&left);
    scene.wait_epoch();
    scene.height_of(&txid);
    let said = proved(&scene.light(&no_lie, &asked));
    assert!(said.contains(": block "), "{said}");
    let short = &joined[..16];
    for (sign, after) in [("+", "5 members of weight 50"), ("-", "4 members of weight 40")] {
        let line = said.lines().find(|line| line.contains(&format!(": {sign} {short} of weight 10; ")));
        assert!(line.is_some_and(|line| line.ends_with(after)), "{sign} {short}: {said}");
    }
    assert_eq!(said.lines().filter(|line| line.contains(" of weight 10; ")).count(), 2, "{said}");
    // Receipts prove it after as before.
    proved(&scene.light(&told(receipts.clone()), &asked));

    goes_on_from_a_state_and_a_checkpoint(&scene, &chain, &payment);
    lies_about_epochs(&scene, &asked);
    lies_about_payments(&mut scene, &chain, &payment, &receipts);
}

fn goes_on_from_a_state_and_a_checkpoint(scene: &Scene, chain: &[&str], payment: &[&str]) {
    let file = |name: &str| scene.cluster.net().join(name).to_str().unwrap().to_owned();
    let (spec, state) = (file("chain.json"), file("light.json"));
    let answer = scene.cluster.call(0, "get_chain_spec", json!([])).unwrap();
    std::fs::write(&spec, answer.to_string()).unwrap();
    let state = ["--state", &state];
    let first = proved(&scene.light(&no_lie, &[&["--chain", &spec], payment, &state].concat()));
    let again = proved(&scene.light(&no_lie, &[chain, payment, &state].concat()));
    assert!(first.contains("epoch 0     from block 1: 4 members"), "{first}");
    assert!(!again.contains("epoch 0 "), "it goes on from where it was: {again}");

    let height = scene.cluster.height(0) - 1;
    let mut hash = scene.cluster.call(0, "get_block_hash", json!([height])).unwrap();
    let after = send_and_wait(&scene.cluster, 0, &scene.transaction(20, None, Payload::Transfer));
    let begin = |hash: &Value, txid: &str| {
        let block = format!("{height}:{}", hash.as_str().unwrap());
        scene.light(&no_lie, &[chain, &["--checkpoint", &block, "--txid", txid]].concat())
    };
    let said = proved(&begin(&hash, &after));
    assert!(said.contains(&format!("from block {}: 4 members", height + 1)), "{said}");
    refused(&begin(&hash, payment[1]), "begin earlier");
    flip(&mut hash);
    refused(&begin(&hash, &after), "another block at height");
}

/// What is done to the end of an epoch.
type EndLie = Box<dyn Fn(&mut Value) + Sync>;

/// Changes the first end of an epoch that is asked for.
fn first_end(change: impl Fn(&mut Value) + Sync) -> impl Fn(&str, &Value, &mut Value) + Sync {
    move |method, parameters, result| {
        if method == "get_epochs" && parameters[0] == 0 {
            change(&mut result["epochs"][0]);
        }
    }
}

/// Takes signatures out until there are `count` left.
fn keep_signatures(end: &mut Value, count: usize) {
    let entries = end["commit"]["signatures"].as_array_mut().unwrap();
    let signed = entries.iter_mut().filter(|entry| !entry.is_null());
    signed.skip(count).for_each(|entry| *entry = json!(null));
}

/// The first entry of a commit that is a signature.
fn a_signature(end: &mut Value) -> &mut Value {
    let entries = end["commit"]["signatures"].as_array_mut().unwrap();
    entries.iter_mut().find(|entry| !entry.is_null()).unwrap()
}

fn lies_about_epochs(scene: &Scene, asked: &[&str]) {
    let chain = scene.payer.chain.id();
    let by_a_stranger = move |end: &mut Value| {
        let commit = &end["commit"];
        let view = View::new(u32::try_from(commit["view"].as_u64().unwrap()).unwrap());
        let hash = BlockHash::from_hex(commit["block_hash"].as_str().unwrap()).unwrap();
        let height = Height::new(commit["height"].as_u64().unwrap());
        let digest = bft_digest(&chain, height, view, BftKind::Precommit, Some(hash));
        let signature = SecretKey::from_bytes(&[99; 32]).sign(&digest);
        let signature: String = signature.0.iter().map(|byte| format!("{byte:02x}")).collect();
        *a_signature(end) = json!(signature);
    };
    let twice = |end: &mut Value| {
        let signature = a_signature(end).clone();
        let entries = end["commit"]["signatures"].as_array_mut().unwrap();
        entries.iter_mut().filter(|entry| !entry.is_null()).for_each(|entry| *entry = signature.clone());
    };
    let own = json!([{ "id": "00".repeat(32), "consensus_key": "00".repeat(32), "weight": 1_000,
        "payout": scene.address(&stranger(1)) }]);
    let lies: [(EndLie, &str); 8] = [
        (Box::new(|end| flip(&mut end["header"])), "another block than the header"),
        (Box::new(|end| flip(a_signature(end))), "is not good"),
        (Box::new(|end| keep_signatures(end, 2)), "less than two thirds"),
        (Box::new(by_a_stranger), "is not good"),
        (Box::new(twice), "is not good"),
        (Box::new(move |end| end["next_validators"] = own.clone()), "does not hash"),
        (Box::new(|end| end["header"] = json!("00")), "bytes end too early"),
        (Box::new(|end| *end = json!(null)), "is missing"),
    ];
    for (lie, reason) in lies {
        refused(&scene.light(&first_end(lie), asked), reason);
    }
    let left_out = |method: &str, _: &Value, result: &mut Value| {
        if method == "get_epochs" {
            result["epochs"].as_array_mut().unwrap().remove(0);
        }
    };
    refused(&scene.light(&left_out, asked), "does not close the epoch");
    // All of it is true of another chain.
    let other = |method: &str, _: &Value, result: &mut Value| {
        if method == "get_chain_spec" {
            result["min_fee_rate"] = json!(101);
            result.as_object_mut().unwrap().remove("chain_id");
        }
    };
    refused(&scene.light(&other, asked), "the spec is that of chain");
}

fn lies_about_payments(scene: &mut Scene, chain: &[&str], payment: &[&str], receipts: &Value) {
    let coin = scene.payer.coins[21];
    let tx = scene.payer.pay(coin, stranger(50), AMOUNT + 1);
    let other = send(&scene.cluster, 0, &tx).unwrap();
    scene.height_of(&other);
    let block = scene.cluster.call(0, "get_finality_proof", json!([payment[1]])).unwrap();
    let of_other = scene.cluster.call(0, "get_finality_proof", json!([other])).unwrap();
    let asked = [chain, payment].concat();
    let proof = |proof: &Value, change: &dyn Fn(&mut Value), reason: &str| {
        let mut changed = proof.clone();
        change(&mut changed);
        let lie = |method: &str, _: &Value, result: &mut Value| {
            if method == "get_finality_proof" {
                *result = changed.clone();
            }
        };
        refused(&scene.light(&lie, &asked), reason);
    };
    proof(&of_other, &|_| {}, "for another transaction");
    proof(&of_other, &|proof| proof["txid"] = block["txid"].clone(), "does not lead to the header's root");
    proof(&block, &|proof| flip(&mut proof["path"][0]), "does not lead to the header's root");
    proof(&block, &|proof| flip(&mut proof["header"]), "another block than the header");
    proof(&block, &|proof| keep_signatures(proof, 2), "less than two thirds");
    proof(&block, &|proof| flip(a_signature(proof)), "is not good");
    proof(&block, &|proof| proof["commit"] = of_other["commit"].clone(), "the commit is of another");

    let list = |proof: &mut Value| proof["receipts"].as_array_mut().unwrap().clone();
    let twice = |proof: &mut Value| {
        let mut receipts = list(proof);
        receipts[1] = receipts[0].clone();
        proof["receipts"] = json!(receipts);
    };
    proof(receipts, &twice, "one might count twice");
    proof(receipts, &|proof| proof["receipts"] = json!(&list(proof)[..2]), "less than two thirds");
    proof(receipts, &|proof| proof["receipts"][2]["voter"] = json!("ff".repeat(32)), "no member of the set");
    proof(receipts, &|proof| flip(&mut proof["receipts"][1]["signature"]), "is not good");
    let now = scene.epoch();
    proof(receipts, &|proof| proof["epoch"] = json!(now), "is not good");
    proof(receipts, &|proof| proof["epoch"] = json!(1_000_000), "nothing leads");

    // The proof is right; what the payment is said to be is not.
    let raw = |method: &str, _: &Value, result: &mut Value| {
        if method == "get_transaction" {
            *result = json!(hex(&tx));
        }
    };
    refused(&scene.light(&raw, &asked), "another txid");
    let more = (AMOUNT + 1).to_string();
    let asked_more = [chain, &payment[..5], &[&more]].concat();
    refused(&scene.light(&no_lie, &asked_more), &format!("pays {AMOUNT} units"));
    let elsewhere = scene.address(&stranger(51));
    refused(
        &scene.light(&no_lie, &[chain, &payment[..2], &["--to", &elsewhere, "--amount", "1"]].concat()),
        "pays 0 units",
    );
}
