//! A masternode's whole life, as its operator leads it on the command line: registered, let in with an epoch, voting and
//! paid, changed, let go, its collateral bound in every state and free with exactly one block, registered again.

use crate::cluster::{Cluster, timed, wait_for, wait_longer};
use crate::payer::{Payer, hex, stranger};
use crate::rpc::{self, Failure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use timed::chain::spec::{Chain, ChainSpec};
use timed::types::address::to_address;
use timed::types::hash::Txid;
use timed::types::keys::SecretKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxBody, TxOut, sighash};

/// Blocks of an epoch, and epochs of unbonding: short, so that the whole life fits a minute or two.
const EPOCH_SLOTS: u64 = 5;
const UNBONDING_EPOCHS: u64 = 2;
const SLOT_MS: u64 = 1_000;
/// The collateral of the lowest tier, and what the operator gets: two of them, and something for fees.
const COLLATERAL: u64 = 100_000_000_000;
const FUNDS: u64 = 2 * COLLATERAL + 10_000_000_000;
/// Blocks that the fifth node misses: more than make its state `missing_votes`.
const MISSED: u64 = 6;
/// Pause between two payments of the users that have nothing to do with it.
const PAYMENT_EVERY: Duration = Duration::from_millis(250);
/// The faucet's coins that those payments spend begin here; the tests take the first.
const FIRST_COIN_OF_USERS: usize = 100;
/// How long several epochs may take on a machine that has other things to do.
const EPOCHS: Duration = Duration::from_secs(240);

/// Where the one who runs the fifth masternode stands.
struct Operator {
    chain: Chain,
    /// The node of its masternode, and its number.
    node: usize,
    rpc: SocketAddr,
    /// Somebody else's node, where the wallet asks.
    other: SocketAddr,
    url: String,
    folder: PathBuf,
    key_file: PathBuf,
    key: SecretKey,
    consensus: SecretKey,
}

fn units(value: &Value) -> u64 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Operator {
    /// Makes the fifth node's folder and keys as an operator does, starts it, and funds its owner's key.
    fn new(cluster: &mut Cluster, payer: &mut Payer) -> Self {
        let node = cluster.add_node_folder();
        let folder = cluster.folder(node);
        let chain_file = cluster.net().join("chain.toml");
        let run = |arguments: &[&str], path: &Path| {
            let output = timed().arg("--chain").arg(&chain_file).args(arguments).arg(path).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        };
        // Its configuration is written anew: ports of the test's choice.
        run(&["init", "--masternode", "--data-dir"], &folder);
        cluster.write_config(node, &[0, 1, 2, 3], true);
        let key_file = cluster.net().join("operator.key");
        run(&["key", "new"], &key_file);
        cluster.start(node);
        let key = timed::keyfile::read(&key_file).unwrap();
        let consensus = timed::keyfile::read(&folder.join("masternode.key")).unwrap();
        let (coin, rpc) = (payer.coins[0], cluster.rpc_address(node));
        let tx = payer.pay(coin, Lock::of_key(&key.public_key()), FUNDS);
        let txid = crate::payer::send(cluster, 0, &tx).unwrap();
        cluster.wait_status(&txid, "archived");
        let other = cluster.rpc_address(0);
        let url = format!("http://{other}");
        Self { chain: cluster.chain(), node, rpc, other, url, folder, key_file, key, consensus }
    }

    fn address(&self, lock: &Lock) -> String {
        to_address(lock, &self.chain.address_hrp).unwrap()
    }

    /// `timed masternode ...` with the owner's key, at somebody else's node.
    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = timed();
        command.args(["--rpc-url", &self.url, "masternode", "--key-file"]).arg(&self.key_file).args(arguments);
        command.output().unwrap()
    }

    /// The same, where it has to work and is to be in a block before it ends.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.command(&[arguments, &["--yes", "--wait", "archived"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// What is said where it must not work.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(&[arguments, &["--yes"]].concat());
        assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// What was begun by one owner, signed and handed in by the other, who is shown what it is.
    fn signed_by_another(&self, begun: &Output, key_file: &Path) {
        assert!(begun.status.success() && said(begun).contains("1 more of its owners"), "{}", said(begun));
        let begun = String::from_utf8_lossy(&begun.stdout).lines().last().unwrap().to_owned();
        let signed = self.wallet(key_file, &["sign", &begun]);
        self.wallet(key_file, &["broadcast", signed.lines().last().unwrap(), "--wait", "archived"]);
    }

    /// `timed wallet ...` with this key; what it prints.
    fn wallet(&self, key_file: &Path, arguments: &[&str]) -> String {
        let mut command = timed();
        command.args(["--rpc-url", &self.url, "wallet", "--key-file"]).arg(key_file).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn register(&self, endpoint: &str, payout: &Lock) -> String {
        let (key, payout) = (self.folder.join("masternode.key"), self.address(payout));
        let arguments = ["register", "--tier", "bronze", "--endpoint", endpoint, "--payout", &payout, "--key"];
        let said = self.done(&[&arguments[..], &[key.to_str().unwrap()]].concat());
        let id = said.lines().find_map(|line| line.strip_prefix("registered ")).unwrap();
        id.split(' ').next().unwrap().to_owned()
    }

    /// `timed masternode status` at its own node: the JSON and whether the exit code says active.
    fn status(&self) -> (Value, bool) {
        let url = format!("http://{}", self.rpc);
        let output = timed().args(["--rpc-url", &url, "masternode", "status", "--json"]).output().unwrap();
        (
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&output))),
            output.status.success(),
        )
    }

    /// Waits until its node says this; the whole status.
    fn wait_for(&self, state: &str) -> Value {
        wait_longer(EPOCHS, state, || {
            let (status, is_active) = self.status();
            assert_eq!(is_active, status["state"] == "active", "{status}");
            (status["state"] == state).then_some(status)
        })
    }

    fn call(&self, method: &str, parameters: Value) -> Result<Value, Failure> {
        rpc::call(self.rpc, method, parameters)
    }

    fn ok(&self, method: &str, parameters: Value) -> Value {
        self.call(method, parameters.clone()).unwrap_or_else(|e| panic!("{method}({parameters}): {e:?}"))
    }

    fn block(&self, height: u64) -> Value {
        self.ok("get_block", json!([height, 2]))
    }

    fn height(&self) -> u64 {
        self.ok("get_block_count", json!([])).as_u64().unwrap()
    }

    fn wait_height(&self, height: u64) {
        wait_for(&format!("height {height}"), || (self.height() >= height).then_some(()));
    }

    /// Whether the masternode signed the block at this height, as the block's own child says.
    fn has_signed(&self, height: u64) -> bool {
        let commit = self.ok("get_commit", json!([height]));
        let key = json!(self.consensus.public_key().to_string());
        commit["signatures"].as_array().unwrap().iter().any(|entry| entry["consensus_key"] == key)
    }

    /// The epoch's last block: the one that makes `opened` a multiple. The chain has no overflow blocks.
    fn closing(&self, epoch: u64) -> u64 {
        let height = (epoch + 1) * EPOCH_SLOTS;
        self.wait_height(height);
        let header = self.ok("get_block_header", json!([height]));
        assert_eq!(header["opened"], json!(height), "an overflow block has come between");
        height
    }

    /// Spends an output of the operator's, all of it to a stranger.
    fn spend(&self, outpoint: OutPoint, value: u64) -> Transaction {
        let out = TxOut { value: Amount::new(value - 100_000), lock: stranger(60) };
        self.signed(TxBody {
            version: 1,
            inputs: vec![outpoint],
            outputs: vec![out],
            payload: Payload::Transfer,
            memo: vec![],
        })
    }

    fn signed(&self, body: TxBody) -> Transaction {
        let signature = self.key.sign(&sighash(&self.chain.id(), &body.txid()));
        Transaction { witnesses: vec![Witness::Key { pubkey: self.key.public_key(), signature }], body }
    }

    /// Why its node refuses a transaction.
    fn refusal(&self, tx: &Transaction) -> String {
        match self.call("send_raw_transaction", json!([hex(tx)])) {
            Err(Failure::Refused(error)) => error["data"]["reason"].as_str().unwrap_or_default().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// A registration with the same key that no command line would make.
    fn rival_registration(&self) -> Transaction {
        let own = self.address(&Lock::of_key(&self.key.public_key()));
        let page = self.ok("list_unspent", json!([own]));
        let is_enough = |utxo: &&Value| utxo["status"] == "archived" && units(&utxo["value"]) > COLLATERAL + 100_000;
        let coin = page["utxos"].as_array().unwrap().iter().find(is_enough).unwrap();
        let txid = Txid::from_hex(coin["txid"].as_str().unwrap()).unwrap();
        let outpoint = OutPoint { txid, index: u32::try_from(coin["index"].as_u64().unwrap()).unwrap() };
        let lock = Lock::of_key(&self.key.public_key());
        let collateral = TxOut { value: Amount::new(units(&coin["value"]) - 100_000), lock };
        let mut register = Register {
            consensus_key: self.consensus.public_key(),
            payout: lock,
            endpoint: "127.0.0.1:1".to_owned(),
            collateral_index: 0,
            proof: timed::types::keys::Signature([0; 64]),
        };
        register.proof = self.consensus.sign(&register.proof_digest(&self.chain.id(), &outpoint, &collateral));
        let (inputs, outputs) = (vec![outpoint], vec![collateral]);
        self.signed(TxBody { version: 1, inputs, outputs, payload: Payload::Register(register), memo: vec![] })
    }

    /// What coinbases of the blocks up to `height` pay to a lock, by height.
    fn paid_by_coinbases(&self, lock: &Lock, heights: std::ops::RangeInclusive<u64>) -> BTreeMap<u64, u64> {
        let address = json!(self.address(lock));
        let paid = heights.filter_map(|height| {
            let block = self.block(height);
            let coinbase = &block["transactions"][0];
            assert_eq!(coinbase["payload"]["type"], "coinbase", "{block}");
            let outputs = coinbase["outputs"].as_array().unwrap().iter();
            let sum: u64 = outputs.filter(|out| out["address"] == address).map(|out| units(&out["value"])).sum();
            (sum > 0).then_some((height, sum))
        });
        paid.collect()
    }

    /// What the address has received by height, as its history says.
    fn received(&self, lock: &Lock, up_to: u64) -> BTreeMap<u64, u64> {
        let page = self.ok("get_address_history", json!([self.address(lock), null, 1_000]));
        assert!(page["next_cursor"].is_null());
        let entries = page["entries"].as_array().unwrap().iter();
        let of_blocks = entries.filter_map(|entry| Some((entry["height"].as_u64()?, units(&entry["received"]))));
        of_blocks.filter(|(height, _)| *height <= up_to).collect()
    }
}

/// Pays through all nodes until it is told to stop; what was handed in.
fn users(mut payer: Payer, nodes: &[SocketAddr], stop: &AtomicBool) -> BTreeSet<String> {
    let mut coins = payer.coins.split_off(FIRST_COIN_OF_USERS).into_iter();
    let mut handed_in = BTreeSet::new();
    for node in nodes.iter().cycle() {
        let Some(coin) = coins.next().filter(|_| !stop.load(Ordering::Relaxed)) else { break };
        let tx = payer.pay(coin, stranger(50), 1_000_000);
        let txid = rpc::call(*node, "send_raw_transaction", json!([hex(&tx)])).unwrap();
        handed_in.insert(txid.as_str().unwrap().to_owned());
        // Paces the load; nothing is waited for.
        std::thread::sleep(PAYMENT_EVERY);
    }
    handed_in
}

/// Tells the users to stop however the test ends, or a failure would wait for them for ever.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_masternode_comes_earns_leaves_and_comes_again_while_payments_flow() {
    let dev = ChainSpec::builtin("dev").unwrap();
    let rules = ChainSpec { epoch_slots: EPOCH_SLOTS, unbonding_epochs: UNBONDING_EPOCHS, slot_ms: SLOT_MS, ..dev };
    let mut cluster = Cluster::with_rules(4, 32_300, &rules);
    cluster.start_all();
    let mut payer = Payer::new(&cluster);
    let operator = Operator::new(&mut cluster, &mut payer);
    // Not through the fifth, which stops for a while.
    let nodes: Vec<SocketAddr> = (0..operator.node).map(|node| cluster.rpc_address(node)).collect();
    let stop = AtomicBool::new(false);
    let payments = std::thread::scope(|scope| {
        let stopping = StopOnDrop(&stop);
        let users = scope.spawn(|| users(payer, &nodes, &stop));
        live(&operator, &mut cluster);
        drop(stopping);
        users.join().unwrap()
    });
    assert!(payments.len() > 50, "{} payments", payments.len());
    payments.iter().for_each(|txid| cluster.wait_status(txid, "archived"));
    let height = (0..cluster.len()).map(|node| cluster.height(node)).min().unwrap();
    for node in 1..cluster.len() {
        let hash = |node| cluster.call(node, "get_block_hash", json!([height])).unwrap();
        assert_eq!(hash(node), hash(0), "node {node} at height {height}");
    }
    let spread: BTreeSet<u64> = payments
        .iter()
        .map(|txid| {
            cluster.call(0, "get_transaction", json!([txid])).unwrap()["height"].as_u64().unwrap() / EPOCH_SLOTS
        })
        .collect();
    println!("{} payments in {} epochs of {height} blocks, all archived", payments.len(), spread.len());
    assert!(cluster.stop(operator.node).success());
    let verified = timed().args(["db", "verify", "--data-dir"]).arg(cluster.folder(operator.node)).output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
}

fn live(operator: &Operator, cluster: &mut Cluster) {
    let endpoint = format!("127.0.0.1:{}", cluster.p2p_port(operator.node));
    let (first_payout, second_payout) = (stranger(61), stranger(62));
    assert_eq!(operator.wait_for("not_registered")["masternode"], Value::Null);
    refuses_what_would_be_wrong(operator, cluster, &endpoint);

    let id = operator.register(&endpoint, &first_payout);
    let collateral = OutPoint { txid: Txid::from_hex(&id).unwrap(), index: 0 };
    let spend = operator.spend(collateral, COLLATERAL);
    let pending = wait_for("its node knows it", || {
        let (status, _) = operator.status();
        (status["masternode"]["id"] == json!(id)).then_some(status)
    });
    assert_eq!(operator.refusal(&spend), "bonded");
    let record = &pending["masternode"];
    let registered_at = record["queued_at"].as_u64().unwrap();
    // The end of the epoch may have let it in before it was looked at.
    let entered = (registered_at - 1) / EPOCH_SLOTS + 1;
    if pending["state"] == "pending" {
        assert_eq!((&record["queue_position"], &record["earliest_epoch"]), (&json!(1), &json!(entered)), "{pending}");
    }
    assert_eq!(
        (&record["tier"], &record["owner"]),
        (&json!("bronze"), &json!(operator.address(&Lock::of_key(&operator.key.public_key()))))
    );
    let last_without = enters(operator, entered);
    let taken = operator.refused(&[
        "register",
        "--tier",
        "bronze",
        "--endpoint",
        "127.0.0.1:2",
        "--key",
        operator.folder.join("masternode.key").to_str().unwrap(),
    ]);
    assert!(taken.contains("registered already"), "{taken}");
    assert_eq!(operator.refusal(&operator.rival_registration()), "key_taken");
    assert_eq!(operator.refusal(&spend), "bonded");

    earns(operator, &first_payout, &id, last_without);
    misses_votes(operator, cluster, &id);
    changes_payout(operator, &id, &first_payout, &second_payout);
    leaves(operator, &id, &spend);
    comes_again(operator, &endpoint, &second_payout, &id);
}

/// Nothing that a user gets wrong costs anything.
fn refuses_what_would_be_wrong(operator: &Operator, cluster: &Cluster, endpoint: &str) {
    let key = operator.folder.join("masternode.key");
    let taken_key = cluster.folder(0).join("masternode.key");
    let taken_endpoint = format!("127.0.0.1:{}", cluster.p2p_port(0));
    let foreign = to_address(&stranger(1), "time").unwrap();
    let before = operator.ok("get_balance", json!([operator.address(&Lock::of_key(&operator.key.public_key()))]));
    let of_key = |key: &Path, arguments: &[&str]| {
        operator.refused(&[&["register", "--key", key.to_str().unwrap()], arguments].concat())
    };
    for (arguments, expected) in [
        (&["--tier", "iron", "--endpoint", endpoint][..], "bronze (1000 TIME, weight 10), silver (10000 TIME"),
        (&["--collateral", "999", "--endpoint", endpoint], "999 TIME reach no tier; there are bronze"),
        (&["--tier", "silver", "--endpoint", endpoint], "TIME are missing"),
        (&["--tier", "bronze", "--endpoint", "somewhere"], "HOST:PORT"),
        (&["--tier", "bronze", "--endpoint", "0.0.0.0:24200"], "no one can be reached"),
        (&["--tier", "bronze", "--endpoint", &taken_endpoint], "is the endpoint of masternode"),
        (&["--tier", "bronze", "--endpoint", endpoint, "--payout", &foreign], "another chain"),
        (&["--endpoint", endpoint], "--tier"),
    ] {
        let said = of_key(&key, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let said = of_key(&taken_key, &["--tier", "bronze", "--endpoint", endpoint]);
    assert!(said.contains("registered already"), "{said}");
    let said = of_key(&operator.folder.join("no.key"), &["--tier", "bronze", "--endpoint", endpoint]);
    assert!(said.contains("no consensus key"), "{said}");
    let genesis = operator.ok("list_masternodes", json!([]))["masternodes"][0]["id"].as_str().unwrap().to_owned();
    let said = operator.refused(&["unregister", "--masternode", &genesis]);
    assert!(said.contains("not of this wallet"), "{said}");
    let after = operator.ok("get_balance", json!([operator.address(&Lock::of_key(&operator.key.public_key()))]));
    assert_eq!(before, after);
}

/// It is in the set from the first block of `epoch` on, and not one block earlier; the last block without it.
fn enters(operator: &Operator, epoch: u64) -> u64 {
    let key = json!(operator.consensus.public_key().to_string());
    let last = operator.closing(epoch - 1);
    let set_of = |height| operator.ok("get_commit", json!([height]))["total_weight"].clone();
    operator.wait_height(last + 1);
    assert_eq!((set_of(last), set_of(last + 1)), (json!(40), json!(50)), "the set changes with the epoch");
    assert!(!operator.has_signed(last));
    let active = operator.wait_for("active");
    assert_eq!(active["consensus_key"], key);
    wait_for("its first signature", || (last + 1..=operator.height()).find(|height| operator.has_signed(*height)));
    wait_for("votes and a link that others see", || {
        let details = rpc::call(operator.other, "get_masternode", json!([key])).unwrap();
        let epochs = details["participation"]["epochs"].as_array().unwrap().iter();
        let cast: u64 = epochs.map(|epoch| epoch["cast"].as_u64().unwrap()).sum();
        (details["connected"] == true && cast >= 2).then_some(())
    });
    let schedule = operator.ok("get_leader_schedule", json!([5]));
    let leaders: BTreeSet<&str> =
        schedule["views"].as_array().unwrap().iter().map(|v| v["consensus_key"].as_str().unwrap()).collect();
    assert_eq!(leaders.len(), 5, "each of five leads once: {schedule}");
    last
}

/// What the payout address has is what coinbases say, block by block, and what `get_masternode` adds up.
fn earns(operator: &Operator, payout: &Lock, id: &str, last_without: u64) {
    operator.wait_height(last_without + 5);
    let details = operator.ok("get_masternode", json!([id]));
    let to = details["participation"]["to_height"].as_u64().unwrap();
    let paid = operator.paid_by_coinbases(payout, 1..=to);
    assert!(paid.len() >= 2 && paid.keys().all(|height| *height > last_without), "{paid:?} after {last_without}");
    assert_eq!(operator.received(payout, to), paid);
    let from = details["participation"]["from_height"].as_u64().unwrap();
    let counted: u64 =
        details["participation"]["epochs"].as_array().unwrap().iter().map(|epoch| units(&epoch["received"])).sum();
    assert_eq!(counted, paid.range(from..).map(|(_, units)| units).sum::<u64>(), "{details}");
}

/// While it is down the others go on without it; that shows in what it is not paid, and in its status until it has signed
/// for long enough again.
fn misses_votes(operator: &Operator, cluster: &mut Cluster, id: &str) {
    assert!(cluster.stop(operator.node).success());
    let down_from = cluster.height(0);
    cluster.wait_height(0, down_from + MISSED + 1);
    let details = cluster.call(0, "get_masternode", json!([id])).unwrap();
    assert!(details["votes_missed"].as_u64().unwrap() >= MISSED - 1 && details["state"] == "active", "{details}");
    cluster.start(operator.node);
    let missing = operator.wait_for("missing_votes");
    assert!(missing["why"].as_str().unwrap().contains("lack its signature"), "{missing}");
    let part = &missing["masternode"]["participation"];
    assert!(part["recent_missed"].as_u64().unwrap() >= 3, "{missing}");
    let sum = |field: &str| part["epochs"].as_array().unwrap().iter().map(|epoch| units(&epoch[field])).sum::<u64>();
    assert!(sum("received") < sum("expected"), "{missing}");
    operator.wait_for("active");
}

/// Rewards go to the new address with the next epoch, and nothing to the old one any more.
fn changes_payout(operator: &Operator, id: &str, old: &Lock, new: &Lock) {
    let said = operator.done(&["update", "--masternode", id, "--payout", &operator.address(new)]);
    let txid = said.lines().find_map(|line| line.strip_prefix("txid ")).unwrap().trim().to_owned();
    // It was waited for at another node.
    let height = wait_for("its block", || operator.ok("get_transaction", json!([txid]))["height"].as_u64());
    let last = operator.closing((height - 1) / EPOCH_SLOTS);
    // The block after the next still pays who signed the last of the old epoch; one more to see the new one at work.
    wait_for("a reward at the new address", || {
        let top = operator.height();
        (!operator.paid_by_coinbases(new, last + 1..=top).is_empty()).then_some(())
    });
    assert_eq!(operator.paid_by_coinbases(new, 1..=last), BTreeMap::new(), "not before the epoch ends");
    let top = operator.height();
    let late = operator.paid_by_coinbases(old, last + 1..=top);
    assert!(late.keys().all(|height| *height == last + 1), "for the last block of the old epoch only: {late:?}");
    assert_eq!(operator.received(old, top), operator.paid_by_coinbases(old, 1..=top));
    assert_eq!(operator.received(new, top), operator.paid_by_coinbases(new, 1..=top));
}

/// It votes until an epoch ends, then its collateral is bound for whole epochs, and free with exactly one block.
fn leaves(operator: &Operator, id: &str, spend: &Transaction) {
    operator.done(&["unregister", "--masternode", id]);
    assert_eq!(operator.refusal(spend), "bonded");
    let again = operator.refused(&["unregister", "--masternode", id]);
    assert!(again.contains("asked to leave before"), "{again}");
    let asked_at = operator.ok("get_masternode", json!([id]))["queued_at"].as_u64().unwrap();
    let left_in = (asked_at - 1) / EPOCH_SLOTS;
    let (status, _) = operator.status();
    if status["masternode"]["state"] == "leaving" {
        let free = left_in + 1 + UNBONDING_EPOCHS;
        assert_eq!(
            (&status["masternode"]["earliest_epoch"], &status["masternode"]["collateral_epoch"]),
            (&json!(left_in + 1), &json!(free))
        );
    }
    let unbonding = operator.wait_for("unbonding");
    let until = unbonding["masternode"]["until_epoch"].as_u64().unwrap();
    assert_eq!(until, left_in + 1 + UNBONDING_EPOCHS, "{unbonding}");
    assert_eq!(operator.refusal(spend), "bonded");
    assert_eq!(operator.refusal(&operator.rival_registration()), "key_taken");
    let last = operator.closing(left_in);
    operator.wait_height(last + 2);
    assert!((last - EPOCH_SLOTS + 1..=last).any(|height| operator.has_signed(height)), "it voted to the end");
    assert!(!operator.has_signed(last + 1), "and not after it");

    // With this block the unbonding ends: whole epochs lie between. The state that judges a payment is that of the height
    // before the one which is being decided; it only goes forward, so what was asked in between was asked of one of the two.
    let frees = until * EPOCH_SLOTS;
    let decided = || operator.ok("get_consensus_info", json!([]))["height"].as_u64().unwrap() - 1;
    let mut seen: BTreeMap<u64, bool> = BTreeMap::new();
    wait_longer(EPOCHS, "the end of the unbonding", || {
        let before = decided();
        let verdict = operator.ok("test_mempool_accept", json!([[hex(spend)]]))[0].clone();
        let after = decided();
        let is_bonded = match verdict["allowed"].as_bool().unwrap() {
            true => false,
            false => {
                assert_eq!(verdict["reason"], "bonded", "{verdict}");
                true
            }
        };
        assert!(if is_bonded { before < frees } else { after >= frees }, "{before} to {after}: {verdict}, {frees}");
        if before == after {
            seen.insert(before, is_bonded);
        }
        (before >= frees).then_some(())
    });
    println!("bonded with block {}, free with block {frees}: {seen:?}", frees - 1);
    assert_eq!((seen.get(&(frees - 1)), seen.get(&frees)), (Some(&true), Some(&false)), "{seen:?}, free with {frees}");
    operator.wait_height(frees);
    assert!(matches!(operator.call("get_masternode", json!([id])), Err(Failure::Refused(_))), "the record is gone");
    operator.wait_for("not_registered");
    let txid = operator.ok("send_raw_transaction", json!([hex(spend)]));
    let spent = wait_for("the collateral spent", || {
        let tx = operator.ok("get_transaction", json!([txid]));
        (tx["status"] == "archived").then_some(tx)
    });
    assert!(spent["height"].as_u64().unwrap() > frees, "{spent}");
}

/// The key is free again, and so is the votes.log that it signed before. This time the wallet's machine has not got the key,
/// and two together are the owner.
fn comes_again(operator: &Operator, endpoint: &str, payout: &Lock, before: &str) {
    let net = operator.folder.parent().unwrap();
    let partner_file = net.join("partner.key");
    let partner = timed::keyfile::generate();
    timed::keyfile::create(&partner_file, &partner).unwrap();
    let mut keys = [operator.key.public_key(), partner.public_key()];
    keys.sort();
    let owner = operator.address(&Lock::of_keys(2, &keys));

    let (consensus, payout) = (operator.consensus.public_key().to_string(), operator.address(payout));
    let registration =
        ["register", "--collateral", "1000", "--endpoint", endpoint, "--payout", &payout, "--owner", &owner];
    let registration = [&registration[..], &["--consensus-key", &consensus]].concat();
    let planned = operator.command(&registration);
    assert!(planned.status.success() && said(&planned).contains("Nothing is sent"), "{}", said(&planned));
    assert!(said(&planned).contains("not of this wallet"), "{}", said(&planned));
    let request =
        said(&planned).lines().find_map(|line| line.strip_prefix("  timed masternode prove ")).unwrap().to_owned();
    let mut prove = timed();
    prove.arg("--config").arg(operator.folder.join("config.toml")).args(["masternode", "prove", &request]);
    let proved = prove.output().unwrap();
    assert!(proved.status.success() && String::from_utf8_lossy(&proved.stderr).contains(endpoint), "{}", said(&proved));
    let proof = String::from_utf8(proved.stdout).unwrap().trim().to_owned();
    // A proof of something else takes nobody's money.
    let elsewhere = [&registration[..4], &["127.0.0.1:9"], &registration[5..], &["--proof", &proof]].concat();
    let refused = operator.refused(&elsewhere);
    assert!(refused.contains("the proof is not of this registration"), "{refused}");
    let registered = operator.done(&[&registration[..], &["--proof", &proof]].concat());
    let id = registered.lines().find_map(|line| line.strip_prefix("registered ")).unwrap().split(' ').next().unwrap();
    assert_ne!(id, before);

    let active = operator.wait_for("active");
    assert_eq!((&active["masternode"]["id"], &active["masternode"]["owner"]), (&json!(id), &json!(owner)));
    let begin = operator.height();
    wait_for("signatures under the new registration", || {
        (begin..=operator.height()).find(|height| operator.has_signed(*height))
    });

    // Neither of the two can do anything alone.
    let update = ["update", "--masternode", id, "--payout", &owner];
    let alone = operator.refused(&update);
    assert!(alone.contains("--multisig"), "{alone}");
    let [one, two] = keys.map(|key| key.to_string());
    let (both, either) = (format!("2:{two},{one}"), format!("1:{one},{two}"));
    let wrong = operator.refused(&[&update[..], &["--multisig", &either]].concat());
    assert!(wrong.contains("2 keys, of which 1 sign, are not the owner"), "{wrong}");
    let begun = operator.command(&[&update[..], &["--yes", "--multisig", &both]].concat());
    operator.signed_by_another(&begun, &partner_file);
    wait_for("the new payout", || (operator.ok("get_masternode", json!([id]))["payout"] == json!(owner)).then_some(()));

    // What it earns is theirs together, and so they spend it.
    assert_eq!(operator.wallet(&partner_file, &["address", "--multisig", &both]).trim(), owner);
    let bonded = || units(&operator.ok("get_balance", json!([owner]))["bonded"]);
    let spendable = || units(&operator.ok("get_balance", json!([owner]))["spendable"]);
    assert_eq!(bonded(), COLLATERAL);
    wait_longer(EPOCHS, "rewards of both", || (spendable() > 0).then_some(()));
    let shown = operator.wallet(&partner_file, &["balance", "--multisig", &both]);
    assert!(shown.contains("bonded     1000 TIME"), "{shown}");
    let to = operator.address(&Lock::of_key(&SecretKey::from_bytes(&[77; 32]).public_key()));
    let mut command = timed();
    command.args(["--rpc-url", &operator.url, "wallet", "--key-file"]).arg(&operator.key_file);
    command.args(["send", "--multisig", &both, "--to", &to, "--amount", "0.001", "--yes"]);
    operator.signed_by_another(&command.output().unwrap(), &partner_file);
    assert_eq!(units(&operator.ok("get_balance", json!([to]))["balance"]), 100_000);
    assert_eq!(bonded(), COLLATERAL, "what came back is theirs again, and the collateral stays bound");
}
