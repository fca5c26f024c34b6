use super::*;
use crate::limits::MAX_PENDING_HANDSHAKES;
use crate::network::outgoing::Outgoing;
use crate::network::peer::{PeerInfo, Rank};
use crate::network::testing::node_id;
use crate::types::number::{Height, TimeMs};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn table(max_links: usize, max_per_place: usize) -> Arc<Table> {
    Arc::new(Table::new(max_links, max_per_place))
}

fn rank(dialed_by_smaller: bool, dialed: u64, hash: u8) -> Rank {
    Rank { dialed_by_smaller, dialed: TimeMs(dialed), handshake_hash: [hash; 32] }
}

fn link(table: &Table, node: u8, role: Role, run: u64, rank: Rank) -> Arc<Link> {
    let info = PeerInfo {
        peer: table.next_peer(),
        node_id: node_id(node),
        role,
        address: "192.0.2.1:1".parse().unwrap(),
        listen: None,
        agent: String::new(),
        protocol: 1,
        masternode: None,
        tip: Height::ZERO,
        connected: TimeMs(0),
    };
    Arc::new(Link::new(info, rank, run, Outgoing::new(table.budget.clone()), Arc::default()))
}

fn plain_link(table: &Table, node: u8, role: Role) -> Arc<Link> {
    link(table, node, role, 1, rank(true, 1, 1))
}

#[test]
fn both_ends_keep_the_same_link_in_whatever_order_they_see_them() {
    let ranks = [rank(false, 9, 9), rank(true, 1, 1), rank(true, 2, 1), rank(true, 2, 2)];
    for orders in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]] {
        let table = table(8, 8);
        for at in orders {
            let link = link(&table, 1, Role::Initiator, 1, ranks[at]);
            let kept = table.links().values().next().map(|link| link.rank);
            let expected = if kept < Some(ranks[at]) { Ok(()) } else { Err(CloseReason::Duplicate) };
            assert_eq!(table.admit(&link), expected);
        }
        let kept: Vec<Rank> = table.links().values().map(|link| link.rank).collect();
        assert_eq!(kept, [ranks[3]]);
    }
}

#[tokio::test]
async fn who_started_anew_gets_in_and_the_link_of_its_former_life_is_closed() {
    let table = table(1, 8);
    let old = link(&table, 1, Role::Initiator, 1, rank(true, 9, 9));
    let new = link(&table, 1, Role::Responder, 2, rank(false, 1, 1));
    table.admit(&old).unwrap();
    table.admit(&new).unwrap();
    assert_eq!(old.closed().await, LinkError::Closed(CloseReason::Duplicate));
    table.remove(&old);
    assert!(table.get(new.info.peer).is_some(), "the end of the old link is not the end of the new one");
    assert!(table.get(old.info.peer).is_none());
    table.remove(&new);
    assert!(table.links().is_empty());
}

#[test]
fn there_are_no_more_links_than_allowed_and_a_share_of_them_is_for_those_dialed() {
    let table = table(8, 8);
    for node in 0..7 {
        table.admit(&plain_link(&table, node, Role::Responder)).unwrap();
    }
    assert_eq!(table.admit(&plain_link(&table, 7, Role::Responder)), Err(CloseReason::Full));
    table.admit(&plain_link(&table, 7, Role::Initiator)).unwrap();
    assert_eq!(table.admit(&plain_link(&table, 8, Role::Initiator)), Err(CloseReason::Full));
    table.remove(&table.links().values().next().unwrap().clone());
    table.admit(&plain_link(&table, 8, Role::Responder)).unwrap();
}

#[test]
fn one_place_gets_as_many_connections_as_one_place_may_have() {
    let table = table(100, 2);
    let first = table.reserve_inbound(ip("192.0.2.1")).unwrap();
    let mut second = table.reserve_inbound(ip("::ffff:192.0.2.1")).unwrap();
    second.handshake_done();
    assert!(table.reserve_inbound(ip("192.0.2.1")).is_none());
    table.reserve_inbound(ip("192.0.2.2")).unwrap();
    drop(first);
    let third = table.reserve_inbound(ip("192.0.2.1")).unwrap();
    assert!(table.reserve_inbound(ip("192.0.2.1")).is_none());
    drop((second, third));
    assert!(table.lock().inbound_from.is_empty(), "nothing is kept of who is gone");
    assert_eq!(table.lock().handshakes, 0);
}

#[test]
fn connections_that_say_nothing_are_bounded_however_many_places_they_come_from() {
    let table = table(100, 2);
    let from = |i: usize| ip(&format!("10.0.{}.{}", i / 256, i % 256));
    let mut slots: Vec<InboundSlot> =
        (0..MAX_PENDING_HANDSHAKES).map(|i| table.reserve_inbound(from(i)).unwrap()).collect();
    assert!(table.reserve_inbound(from(1_000)).is_none());
    slots[0].handshake_done();
    slots[0].handshake_done();
    let _one_more = table.reserve_inbound(from(1_000)).unwrap();
    assert!(table.reserve_inbound(from(1_001)).is_none());
}
