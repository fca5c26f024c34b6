//! Who offended is kept out by its node's key and by its address, over real sockets, also after the node died or restarted.

use crate::cluster::{Cluster, wait_for};
use crate::intruder::{Fate, Intruder, Target, frame};
use serde_json::json;
use timed::network::Wire;
use timed::replica::Message;
use timed::types::codec::encode;
use timed::types::keys::SecretKey;
use timed::types::link::NodeId;

/// Two peers.
const OFFENDER: u64 = 0xbad;
const BYSTANDER: u64 = 0x900d;
/// What a node tells one whom it keeps out.
const KEPT_OUT: &str = "this node is kept out for a time";

fn id_of(number: u64) -> String {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    NodeId(SecretKey::from_bytes(&seed).public_key()).to_string()
}

/// Says something that no node says: a request for no transaction at all.
fn offend(target: &Target, number: u64) -> Fate {
    let mut intruder = Intruder::introduced(target, number, target.chain).unwrap();
    let message = Wire::Replica(std::sync::Arc::new(Message::GetTxs(Vec::new())));
    intruder.say(&frame(&encode(&message))).unwrap();
    intruder.hear_out()
}

/// Comes as that peer and does nothing wrong: how that ends. Refused: not even the handshake came about.
fn come(target: &Target, number: u64) -> Fate {
    match Intruder::introduced(target, number, target.chain) {
        Ok(intruder) => intruder.hear_out(),
        Err(_) => Fate::Refused,
    }
}

/// Comes as that peer, and waits until the node has it among its peers.
fn is_let_in(cluster: &Cluster, target: &Target, number: u64) {
    let _link = Intruder::introduced(target, number, target.chain).unwrap();
    let id = id_of(number);
    wait_for("a link", || {
        let peers = cluster.call(0, "get_peer_info", json!([])).ok()?;
        peers.as_array()?.iter().any(|peer| peer["node_id"] == id.as_str()).then_some(())
    });
}

/// Whom the node keeps out.
fn banned(cluster: &Cluster) -> Vec<String> {
    let bans = cluster.call(0, "list_banned", json!([])).unwrap();
    let mut who: Vec<String> =
        bans.as_array().unwrap().iter().map(|ban| ban["who"].as_str().unwrap().to_owned()).collect();
    who.sort();
    who
}

/// Waits until the file holds what outlives the process.
fn wait_until_saved(cluster: &Cluster, who: &str) {
    let file = cluster.folder(0).join("bans.json");
    wait_for("a ban on disk", || std::fs::read_to_string(&file).ok()?.contains(who).then_some(()));
}

#[test]
fn an_offender_is_refused_by_its_key_after_restarts_and_nobody_else_on_its_machine_is() {
    let mut cluster = Cluster::running(1, 31_560, 1_000);
    let target = Target { address: cluster.p2p_address(0), chain: cluster.chain().id() };
    is_let_in(&cluster, &target, OFFENDER);
    // The node may not have noticed yet that the link before is down.
    let still_linked = Fate::Cut(Some("there is another link between these nodes".to_owned()));
    let cut = wait_for("an offence", || Some(offend(&target, OFFENDER)).filter(|fate| *fate != still_linked));
    assert_eq!(cut, Fate::Cut(Some("a breach of the protocol".to_owned())));
    let kept_out = Fate::Cut(Some(KEPT_OUT.to_owned()));
    assert_eq!(come(&target, OFFENDER), kept_out);
    assert!(cluster.stop(0).success());
    cluster.start(0);
    assert_eq!(come(&target, OFFENDER), kept_out, "after a clean stop");
    wait_until_saved(&cluster, &id_of(OFFENDER));
    cluster.kill(0);
    cluster.start(0);
    assert_eq!(come(&target, OFFENDER), kept_out, "after kill -9");
    assert_eq!(banned(&cluster), [id_of(OFFENDER)], "this machine's address stands for everybody on it");
    is_let_in(&cluster, &target, BYSTANDER);
}

#[test]
fn an_offender_is_refused_by_its_address_after_restarts_whatever_its_key() {
    let mut cluster = match Cluster::on_machines(1, 0, 1_000) {
        Ok(cluster) => cluster,
        Err(reason) => return println!("SKIPPED: no machines of their own: {reason}"),
    };
    cluster.start_all();
    let target = Target { address: cluster.p2p_address(0), chain: cluster.chain().id() };
    is_let_in(&cluster, &target, BYSTANDER);
    let cut = offend(&target, OFFENDER);
    assert_eq!(cut, Fate::Cut(Some("a breach of the protocol".to_owned())));
    // It hears of it as soon as its key is banned, and its address is next.
    let who = wait_for("two bans", || Some(banned(&cluster)).filter(|who| who.len() == 2));
    let address = who.iter().find(|who| **who != id_of(OFFENDER)).expect("its address").clone();
    for number in [OFFENDER, BYSTANDER] {
        assert_eq!(come(&target, number), Fate::Refused);
    }
    wait_until_saved(&cluster, &address);
    cluster.kill(0);
    cluster.start(0);
    for number in [OFFENDER, BYSTANDER] {
        assert_eq!(come(&target, number), Fate::Refused, "after kill -9");
    }
    assert_eq!(banned(&cluster), who);
    assert!(cluster.stop(0).success());
    cluster.start(0);
    assert_eq!(come(&target, BYSTANDER), Fate::Refused, "after a clean stop");
    // It is the file that keeps them out, not that nobody could come.
    assert!(cluster.stop(0).success());
    std::fs::remove_file(cluster.folder(0).join("bans.json")).unwrap();
    cluster.start(0);
    is_let_in(&cluster, &target, BYSTANDER);
}
