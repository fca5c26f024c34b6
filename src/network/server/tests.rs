use super::*;
use crate::network::ended::{Ended, Outcome};
use crate::network::hello::HelloError;
use crate::network::message::Wire;
use crate::network::noise::{Identity, handshake};
use crate::network::settings::Disk;
use crate::network::testing::{self, Node, hello, key, message, node_id, settings, within};
use crate::storage::files::DiskFiles;
use crate::types::hash::ChainId;
use tokio::io::AsyncReadExt as _;

/// A node that keeps up links to these addresses.
async fn node(n: u8, seeds: &[SocketAddr]) -> Node {
    Node::start(Settings { seeds: seeds.iter().map(SocketAddr::to_string).collect(), ..settings(n) }).await
}

/// Returns as soon as it is true.
async fn until(mut is_true: impl FnMut() -> bool) {
    within(async {
        while !is_true() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn linked(node: &Node) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = node.handle.peers().iter().map(|peer| peer.info.node_id).collect();
    nodes.sort_unstable();
    nodes
}

fn ids(nodes: &[u8]) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = nodes.iter().map(|n| node_id(*n)).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn two_nodes_hear_each_other() {
    let mut a = node(1, &[]).await;
    a.handle.set_tip(Height::new(42));
    let mut b = node(2, &[a.address()]).await;
    let (at_a, at_b) = (a.connected().await, b.connected().await);
    assert_eq!((at_a.node_id, at_a.role), (node_id(2), Role::Responder));
    assert_eq!((at_b.node_id, at_b.role, at_b.tip), (node_id(1), Role::Initiator, Height::new(42)));
    assert_eq!((at_b.listen, at_a.listen), (Some(a.address()), Some(b.address())));
    for n in 0..3 {
        a.handle.send_message(at_a.peer, &Arc::new(message(n))).unwrap();
        b.handle.broadcast_message(&Arc::new(message(n + 100))).unwrap();
    }
    for n in 0..3 {
        assert_eq!(b.message().await, (at_b.peer, message(n)));
        assert_eq!(a.message().await, (at_a.peer, message(n + 100)));
    }
}

#[tokio::test]
async fn a_node_of_another_chain_gets_no_channel() {
    let mut a = node(1, &[]).await;
    let stranger = Identity::new(ChainId([8; 32]), key(2)).unwrap();
    let (mut reader, mut writer) = TcpStream::connect(a.address()).await.unwrap().into_split();
    within(handshake(&mut reader, &mut writer, Role::Initiator, &stranger)).await.unwrap_err();
    assert!(a.events.try_recv().is_err());
    assert!(linked(&a).is_empty());
}

#[tokio::test]
async fn a_node_that_dials_itself_notices() {
    let mut a = node(1, &[]).await;
    let ended = within(dial::dial(&a.handle.shared, &a.address().to_string())).await;
    let noticed = [LinkError::Hello(HelloError::SelfConnection), LinkError::ClosedByPeer(CloseReason::SelfConnection)];
    assert!(noticed.contains(&ended.reason), "{ended:?}");
    assert!(a.events.try_recv().is_err());
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_keep_one_link_and_the_same() {
    for _ in 0..10 {
        let (mut a, mut b) = (node(1, &[]).await, node(2, &[]).await);
        let (to_a, to_b) = (a.address().to_string(), b.address().to_string());
        let (by_a, by_b) = (a.handle.shared.clone(), b.handle.shared.clone());
        let by_a = tokio::spawn(async move { dial::dial(&by_a, &to_b).await });
        let by_b = tokio::spawn(async move { dial::dial(&by_b, &to_a).await });
        // The one that is given up is that of the node with the greater key.
        let (lost, kept) = if node_id(1) < node_id(2) { (by_b, by_a) } else { (by_a, by_b) };
        let Ended { reason, .. } = within(lost).await.unwrap();
        let duplicate = [CloseReason::Duplicate].map(|r| [LinkError::Closed(r), LinkError::ClosedByPeer(r)]).concat();
        assert!(duplicate.contains(&reason), "{reason:?}");
        until(|| linked(&a) == ids(&[2]) && linked(&b) == ids(&[1])).await;
        let (at_a, at_b) = (a.handle.peers()[0].info.clone(), b.handle.peers()[0].info.clone());
        let dialer_is_smaller = (at_a.role == Role::Initiator) == (node_id(1) < node_id(2));
        assert!(dialer_is_smaller && at_a.role != at_b.role);
        a.handle.broadcast_message(&Arc::new(message(1))).unwrap();
        b.handle.broadcast_message(&Arc::new(message(2))).unwrap();
        for (node, expected) in [(&mut a, (at_a.peer, message(2))), (&mut b, (at_b.peer, message(1)))] {
            let heard = loop {
                if let Event::Message { peer, message, .. } = node.event().await {
                    break (peer, message);
                }
            };
            assert_eq!(heard, expected);
        }
        kept.abort();
    }
}

#[tokio::test]
async fn who_dials_twice_has_one_link() {
    let a = node(1, &[]).await;
    let b = node(2, &[]).await;
    let dial = || {
        let (shared, address) = (b.handle.shared.clone(), a.address().to_string());
        tokio::spawn(async move { dial::dial(&shared, &address).await })
    };
    let (one, other) = (dial(), dial());
    let lost = within(async {
        tokio::select! {
            lost = one => lost,
            lost = other => lost,
        }
    })
    .await;
    let reason = lost.unwrap().reason;
    assert!(matches!(
        reason,
        LinkError::Closed(CloseReason::Duplicate) | LinkError::ClosedByPeer(CloseReason::Duplicate)
    ));
    until(|| linked(&a) == ids(&[2]) && linked(&b) == ids(&[1])).await;
}

#[tokio::test]
async fn a_node_that_started_anew_takes_the_place_of_what_it_was() {
    let mut a = node(1, &[]).await;
    let _before = testing::dial(a.address(), 2).await;
    let before = a.connected().await.peer;
    let (reader, writer) = TcpStream::connect(a.address()).await.unwrap().into_split();
    let mut after = testing::Peer::new(reader, writer, 2, Role::Initiator).await;
    after.introduce(&crate::network::hello::Hello { nonce: 99, ..hello(2) }).await;
    let mut news = [a.event().await, a.event().await];
    news.sort_by_key(|event| matches!(event, Event::Disconnected { .. }));
    let [Event::Connected { peer, .. }, Event::Disconnected { peer: gone, reason }] = news else { panic!("{news:?}") };
    assert_eq!((gone, reason), (before, LinkError::Closed(CloseReason::Duplicate)));
    assert_eq!(a.handle.peers()[0].info.peer, peer);
}

#[tokio::test]
async fn a_link_comes_back_after_the_other_end_restarted() {
    let mut a = node(1, &[]).await;
    let address = a.address();
    let mut b = node(2, &[address]).await;
    let first = b.connected().await;
    a.connected().await;
    a.network.stop().await;
    let (peer, reason) = b.disconnected().await;
    assert_eq!((peer, reason), (first.peer, LinkError::ClosedByPeer(CloseReason::Stopping)));
    let mut a = Node::start(Settings { listen: Some(address), ..settings(1) }).await;
    let second = b.connected().await;
    assert_eq!(second.node_id, node_id(1));
    assert_ne!(second.peer, first.peer, "a reconnected peer has a new name");
    a.connected().await;
}

#[tokio::test]
async fn three_nodes_meet_through_one_that_all_know() {
    let seed = node(1, &[]).await;
    let b = node(2, &[seed.address()]).await;
    until(|| linked(&seed) == ids(&[2])).await;
    let c = node(3, &[seed.address()]).await;
    until(|| linked(&b) == ids(&[1, 3]) && linked(&c) == ids(&[1, 2]) && linked(&seed) == ids(&[2, 3])).await;
}

#[tokio::test]
async fn a_node_can_be_told_whom_to_dial() {
    let mut a = node(1, &[]).await;
    let b = node(2, &[]).await;
    assert!(b.handle.want(format!("localhost:{}", a.address().port()), Wish::Operator));
    assert_eq!(a.connected().await.node_id, node_id(2));
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_allowed() {
    let a = Node::start(Settings { max_inbound_per_ip: 2, ..settings(1) }).await;
    let first = testing::dial(a.address(), 2).await;
    let _second = TcpStream::connect(a.address()).await.unwrap();
    let refused = async {
        let mut third = TcpStream::connect(a.address()).await.unwrap();
        matches!(third.read(&mut [0]).await, Ok(0) | Err(_))
    };
    assert!(within(refused).await, "closed at once");
    drop(first);
    until(|| linked(&a).is_empty()).await;
    let free = || a.handle.shared.table.reserve_inbound("127.0.0.1".parse().unwrap()).is_some();
    until(free).await;
    testing::dial(a.address(), 3).await;
}

#[tokio::test]
async fn who_comes_when_all_links_are_taken_is_told_so() {
    let a = Node::start(Settings { max_links: 1, ..settings(1) }).await;
    let _first = testing::dial(a.address(), 2).await;
    let mut second = testing::dial(a.address(), 3).await;
    assert_eq!(second.next_answer().await, Ok(Wire::Close(CloseReason::Full)));
}

#[tokio::test]
async fn the_operator_ends_a_link_and_its_other_end_hears_why() {
    let mut a = node(1, &[]).await;
    let mut peer = testing::dial(a.address(), 2).await;
    let name = a.connected().await.peer;
    a.handle.disconnect(name, CloseReason::Requested);
    assert_eq!(peer.next_answer().await, Ok(Wire::Close(CloseReason::Requested)));
    assert_eq!(a.disconnected().await, (name, LinkError::Closed(CloseReason::Requested)));
    a.handle.send_message(name, &Arc::new(message(1))).unwrap();
    assert!(a.handle.peers().is_empty());
}

#[tokio::test]
async fn stopping_ends_every_task_even_when_nobody_listens() {
    let a = node(1, &["127.0.0.1:1".parse().unwrap()]).await;
    let address = a.address();
    let mut peer = testing::dial(address, 2).await;
    let silent = TcpStream::connect(address).await.unwrap();
    until(|| linked(&a) == ids(&[2])).await;
    let Node { network, handle, events } = a;
    drop(events);
    let (_, last) = within(async { tokio::join!(network.stop(), peer.next_answer()) }).await;
    assert_eq!(last, Ok(Wire::Close(CloseReason::Stopping)));
    assert!(handle.shared.tracker.is_empty());
    TcpStream::connect(address).await.unwrap_err();
    drop(silent);
}

#[tokio::test]
async fn settings_that_no_hello_could_hold_are_refused() {
    let long = Settings { agent: "a".repeat(1_000), ..settings(1) };
    assert!(matches!(Network::start(long).await, Err(NetworkError::Settings(_))));
    let a = node(1, &[]).await;
    let taken = Settings { listen: Some(a.address()), ..settings(2) };
    assert!(matches!(Network::start(taken).await, Err(NetworkError::Listen { .. })));
}

#[tokio::test]
async fn a_node_that_comes_back_dials_whom_it_met_before() {
    let mut a = node(1, &[]).await;
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk(Arc::new(DiskFiles::new(directory.path())));
    let with_disk = || Settings { disk: Some(disk.clone()), ..settings(2) };
    let mut b = Node::start(Settings { seeds: vec![a.address().to_string()], ..with_disk() }).await;
    b.connected().await;
    a.connected().await;
    b.network.stop().await;
    a.disconnected().await;
    let mut b = Node::start(with_disk()).await;
    assert_eq!(b.handle.known_addresses(), (1, 0));
    assert_eq!(b.connected().await.node_id, node_id(1), "nobody told it whom to dial");
    assert_eq!(a.connected().await.node_id, node_id(2));
}

#[tokio::test]
async fn a_feeler_finds_a_node_and_makes_no_link() {
    let mut a = node(1, &[]).await;
    let b = node(2, &[]).await;
    let steady = b.handle.shared.settings.timings.steady;
    let felt = within(dial::feel(&b.handle.shared, a.address())).await;
    assert_eq!((felt.node, felt.outcome(steady)), (Some(node_id(1)), Outcome::Success));
    let itself = within(dial::feel(&b.handle.shared, b.address())).await;
    assert_eq!(itself.outcome(steady), Outcome::Itself);
    let other = Node::start(Settings { chain: ChainId([8; 32]), ..settings(3) }).await;
    let stranger = within(dial::feel(&b.handle.shared, other.address())).await;
    assert_ne!(stranger.outcome(steady), Outcome::Success, "{stranger:?}");
    assert!(a.events.try_recv().is_err() && linked(&a).is_empty() && linked(&b).is_empty());
}
