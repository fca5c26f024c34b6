//! A masternode whose `votes.log` is lost: it observes until its owner accepts that, and then signs from where it can have
//! signed nothing.

use crate::cluster::{Cluster, open_for_damage, timed, wait_for};
use crate::payer::{Payer, send_and_wait, stranger};
use crate::watch::Watch;
use serde_json::{Value, json};
use std::io::{Seek as _, SeekFrom, Write as _};

fn signing(cluster: &Cluster, node: usize) -> Value {
    cluster.call(node, "get_node_info", json!([])).unwrap()["signing"].clone()
}

/// Waits until the node signs; the first height and epoch.
fn floor(cluster: &Cluster, node: usize) -> (u64, u64) {
    wait_for("a node that signs again", || {
        let signing = signing(cluster, node);
        (signing["state"] == "signs")
            .then(|| (signing["from_height"].as_u64().unwrap(), signing["from_epoch"].as_u64().unwrap()))
    })
}

fn wait_epoch(cluster: &Cluster, node: usize, epoch: u64) {
    wait_for(&format!("epoch {epoch}"), || {
        let info = cluster.call(node, "get_blockchain_info", json!([])).ok()?;
        (info["epoch"].as_u64()? >= epoch).then_some(())
    });
}

fn pay(cluster: &Cluster, payer: &mut Payer, round: usize) {
    let coin = payer.coins[round];
    let tx = payer.pay(coin, stranger(7), 1_000_000);
    send_and_wait(cluster, round % 2, &tx);
}

#[test]
fn a_masternode_without_its_log_observes_until_that_is_accepted_and_never_signs_two_things() {
    let mut cluster = Cluster::running(4, 30_800, 1_000);
    let mut payer = Payer::new(&cluster);
    let watch = Watch::start(&payer.chain, &cluster.p2p_addresses());
    (0..5).for_each(|round| pay(&cluster, &mut payer, round));
    cluster.stop(3);
    let votes = cluster.folder(3).join("votes.log");
    std::fs::rename(&votes, cluster.folder(3).join("votes.log.lost")).unwrap();

    cluster.start(3);
    let height = cluster.height(0) + 4;
    (0..4).for_each(|node| cluster.wait_height(node, height));
    pay(&cluster, &mut payer, 5);
    let said = signing(&cluster, 3);
    assert_eq!(said["state"], "votes_lost", "{said}");
    assert!(said["detail"].as_str().unwrap().contains("--accept-lost-votes"), "{said}");
    assert_eq!(cluster.call(3, "get_consensus_info", json!([])).unwrap()["signing"], said);
    let health = cluster.call(3, "get_health", json!([])).unwrap();
    let check = health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "signing").unwrap().clone();
    assert!(check["ok"] == json!(false) && health["healthy"] == json!(false), "{health}");
    assert!(cluster.log(3).contains("--accept-lost-votes"), "{}", cluster.log(3));
    assert!(!votes.exists(), "what was not accepted leaves no file that could be taken for a log");

    cluster.stop(3);
    cluster.spawn_with(3, &["--accept-lost-votes"]);
    cluster.wait_until_up(3);
    let (from_height, from_epoch) = floor(&cluster, 3);
    assert!(from_height > height && votes.exists());
    // The power goes at once; the log knows the floors, and nobody has to say anything again.
    cluster.kill(3);
    cluster.start(3);
    assert_eq!(floor(&cluster, 3), (from_height, from_epoch));
    wait_epoch(&cluster, 0, from_epoch);
    wait_epoch(&cluster, 3, from_epoch);
    // Without the third node the fourth is needed, for payments and for blocks.
    cluster.kill(2);
    (6..9).for_each(|round| pay(&cluster, &mut payer, round));
    let height = cluster.height(0) + 4;
    cluster.wait_height(0, height);
    let (heard, signed_twice) = watch.verdict(&payer.made);
    assert!(heard > 100, "{heard}");
    assert_eq!(signed_twice, 0);
}

#[test]
fn a_damaged_log_is_put_away_by_the_word_of_its_owner_and_not_before() {
    let mut cluster = Cluster::running(4, 30_840, 1_000);
    cluster.wait_height(3, 3);
    cluster.stop(3);
    let votes = cluster.folder(3).join("votes.log");
    let mut file = open_for_damage(votes.clone());
    file.seek(SeekFrom::Start(200)).unwrap();
    file.write_all(&[0x55; 400]).unwrap();
    drop(file);
    let config = cluster.folder(3).join("config.toml");
    let refused = timed().arg("--config").arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("--accept-lost-votes"), "{said}");
    let absurd = timed().arg("--config").arg(&config).arg("--accept-lost-votes=soon").output().unwrap();
    assert_eq!(absurd.status.code(), Some(2));
    cluster.spawn_with(3, &["--accept-lost-votes"]);
    cluster.wait_until_up(3);
    let (from_height, _) = floor(&cluster, 3);
    assert!(from_height > 3);
    let names = std::fs::read_dir(cluster.folder(3)).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.map(|name| name.to_string_lossy().into_owned()).any(|name| name == "votes.log.damaged-0"));
}

#[test]
fn operators_who_lost_too_many_logs_agree_on_a_height_and_an_epoch() {
    let mut cluster = Cluster::running(4, 30_880, 1_000);
    let mut payer = Payer::new(&cluster);
    pay(&cluster, &mut payer, 0);
    (0..4).for_each(|node| cluster.wait_height(node, 3));
    (0..4).for_each(|node| cluster.kill(node));
    for node in [2, 3] {
        std::fs::remove_file(cluster.folder(node).join("votes.log")).unwrap();
    }
    cluster.start_all();
    // Half of the weight commits nothing; every node has what was committed.
    let tip = wait_for("one tip", || {
        let heights: Vec<u64> = (0..4).map(|node| cluster.height(node)).collect();
        (heights[0] > 0 && heights.iter().all(|height| *height == heights[0])).then_some(heights[0])
    });
    let info = cluster.call(0, "get_blockchain_info", json!([])).unwrap();
    let epoch = info["epoch"].as_u64().unwrap();
    for node in [2, 3] {
        assert_eq!(signing(&cluster, node)["state"], "votes_lost");
        cluster.stop(node);
        let low = format!("--accept-lost-votes={tip}:{epoch}");
        let config = cluster.folder(node).join("config.toml");
        let refused = timed().arg("--config").arg(config).arg(low).output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is not possible"), "{refused:?}");
        cluster.spawn_with(node, &[&format!("--accept-lost-votes={}:{epoch}", tip + 1)]);
        cluster.wait_until_up(node);
        assert_eq!(floor(&cluster, node), (tip + 1, epoch));
    }
    (0..4).for_each(|node| cluster.wait_height(node, tip + 3));
    pay(&cluster, &mut payer, 1);
}
