use super::*;
use crate::limits::{HANDSHAKE_TIMEOUT_MS, MAX_AGENT_BYTES};
use crate::limits::{MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES, MAX_SCORE, PEER_BYTES, PEER_CHECKS};
use crate::network::frame::FrameError;
use crate::network::hello::{Expected, Hello, HelloError};
use crate::network::noise::NoiseError;
use crate::network::settings::{Clock, Settings};
use crate::network::testing::{CHAIN, Peer, hello, key, message, node_id, settings, within};
use crate::signer::{LogContents, Signer};
use crate::types::hash::{BlockHash, ChainId, Txid};
use crate::types::link::{LinkProof, link_digest};
use crate::types::number::{Height, TimeMs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::task::JoinHandle;

type Near = (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>);
type TestPeer = Peer<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

/// Node 1, without sockets.
struct Node {
    shared: Arc<Shared>,
    events: tokio::sync::mpsc::Receiver<Event>,
}

impl Node {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(1);
        change(&mut settings);
        let (shared, events) = Shared::new(settings, None).unwrap();
        Self { shared: Arc::new(shared), events }
    }

    /// A connection from somebody; the node's end of it runs.
    fn accept(&self) -> (Near, JoinHandle<Ended>) {
        let (near, far) = duplex(1 << 20);
        let (reader, writer) = split(far);
        let address = "127.0.0.1:4000".parse().unwrap();
        let socket = Socket { reader, writer, address, role: Role::Responder };
        let shared = self.shared.clone();
        (split(near), tokio::spawn(async move { run(&shared, socket, None).await }))
    }

    /// A channel with peer `n`, which did not say `Hello` yet.
    async fn channel(&self, n: u8) -> (TestPeer, JoinHandle<Ended>) {
        let ((reader, writer), task) = self.accept();
        (Peer::new(reader, writer, n, Role::Initiator).await, task)
    }

    /// A link with peer `n`.
    async fn link(&mut self, n: u8) -> (TestPeer, JoinHandle<Ended>, Arc<PeerInfo>) {
        let (mut peer, task) = self.channel(n).await;
        peer.introduce(&hello(n)).await;
        match self.event().await {
            Event::Connected { info, .. } => (peer, task, info),
            other => panic!("{other:?}"),
        }
    }

    async fn event(&mut self) -> Event {
        within(self.events.recv()).await.unwrap()
    }

    async fn disconnected(&mut self) -> LinkError {
        match self.event().await {
            Event::Disconnected { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }
}

fn replica(message: Message) -> Wire {
    Wire::Replica(Arc::new(message))
}

#[tokio::test]
async fn a_link_is_known_by_what_was_proved() {
    let mut node = Node::new();
    let (_peer, _task, info) = node.link(2).await;
    assert_eq!((info.node_id, info.role, info.masternode), (node_id(2), Role::Responder, None));
    assert_eq!((info.agent.as_str(), info.tip), ("test/2", Height::new(2)));
}

#[tokio::test]
async fn the_signers_proof_names_the_masternode_at_the_other_end() {
    let (signer, _) = Signer::open(CHAIN, key(9), LogContents::Missing { fresh: true }).unwrap();
    let node = Node::with(|settings| settings.prover = Some(signer.link_prover()));
    let (mut peer, _task) = node.channel(2).await;
    let heard = peer.introduce(&hello(2)).await;
    let proof = heard.masternode.unwrap();
    assert_eq!(proof.consensus_key, key(9).public_key());
    let expected = Expected {
        chain: CHAIN,
        own_id: node_id(2),
        own_nonce: 2,
        proved: node_id(1),
        role: Role::Responder,
        handshake_hash: &peer.handshake_hash,
    };
    assert_eq!(heard.check(expected), Ok(()));
}

#[tokio::test]
async fn a_masternode_is_known_by_its_consensus_key_and_an_impostor_is_refused() {
    let mut node = Node::new();
    let (mut peer, _task) = node.channel(2).await;
    let signature = key(9).sign(&link_digest(&CHAIN, Role::Initiator, &peer.handshake_hash));
    let proof = LinkProof { consensus_key: key(9).public_key(), signature };
    peer.introduce(&Hello { masternode: Some(proof), ..hello(2) }).await;
    let Event::Connected { info, .. } = node.event().await else { panic!("no link") };
    assert_eq!(info.masternode, Some(key(9).public_key()));

    let (mut impostor, task) = node.channel(3).await;
    impostor.introduce(&Hello { masternode: Some(proof), ..hello(3) }).await;
    assert_eq!(impostor.next().await, Ok(Wire::Close(CloseReason::Fault)));
    drop(impostor);
    let ended = within(task).await.unwrap();
    assert_eq!(ended.reason, LinkError::Hello(HelloError::BadProof(key(9).public_key())));
    assert!(ended.reason.is_fault());
}

#[tokio::test]
async fn who_is_refused_is_told_why_and_the_node_hears_nothing_of_it() {
    let mut node = Node::new();
    let nonce = node.shared.nonce;
    let refused = [
        (Hello { chain_id: ChainId([8; 32]), ..hello(2) }, CloseReason::WrongChain),
        (Hello { protocol: 2, ..hello(2) }, CloseReason::UnknownProtocol),
        (Hello { nonce, ..hello(2) }, CloseReason::SelfConnection),
        (Hello { node_id: node_id(3), ..hello(2) }, CloseReason::Fault),
        (Hello { agent: "a".repeat(MAX_AGENT_BYTES + 1), ..hello(2) }, CloseReason::Fault),
    ];
    for (hello, reason) in refused {
        let (mut peer, task) = node.channel(2).await;
        peer.introduce(&hello).await;
        assert_eq!(peer.next().await, Ok(Wire::Close(reason)));
        assert_eq!(peer.next().await, Err(LinkError::HungUp));
        drop(peer);
        assert_eq!(within(task).await.unwrap().held, None);
    }
    let (mut same_key, _task) = node.channel(1).await;
    same_key.introduce(&hello(1)).await;
    assert_eq!(same_key.next().await, Ok(Wire::Close(CloseReason::SameKey)));
    assert!(node.events.try_recv().is_err());
    assert!(node.shared.table.links().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_is_dropped_wherever_it_stops() {
    let node = Node::new();
    let timed_out = LinkError::HandshakeTimeout(HANDSHAKE_TIMEOUT_MS);
    let (silent, task) = node.accept();
    assert_eq!(task.await.unwrap().reason, timed_out);
    drop(silent);
    let (without_hello, task) = node.channel(2).await;
    assert_eq!(task.await.unwrap().reason, timed_out);
    drop(without_hello);
    let ((_reader, mut writer), task) = node.accept();
    let start = Instant::now();
    let drip = async {
        // A byte a second: each of them comes in time, all of them do not.
        for byte in 32_u16.to_be_bytes().into_iter().chain([0; 30]) {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (_, ended) = tokio::join!(drip, task);
    assert_eq!(ended.unwrap().reason, timed_out);
    assert!(start.elapsed() >= Duration::from_millis(HANDSHAKE_TIMEOUT_MS));
}

#[tokio::test]
async fn garbage_ends_the_link_at_every_stage() {
    let mut node = Node::new();
    // Instead of a handshake.
    let ((mut reader, mut writer), task) = node.accept();
    writer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(within(task).await.unwrap().reason, LinkError::Noise(NoiseError::Length { .. })));
    assert_eq!(within(reader.read(&mut [0; 9])).await.unwrap(), 0, "and nothing is answered");
    // Instead of Hello.
    let (mut peer, task) = node.channel(2).await;
    peer.send_body(&[0xff; 40]).await;
    peer.hear_out().await;
    let ended = within(task).await.unwrap();
    assert!(matches!(ended.reason, LinkError::Hello(HelloError::Encoding(_))));
    // Instead of a message.
    for (n, body) in [(3, &[0xff; 40][..]), (4, &[0, 1, 0]), (5, &[])] {
        let (mut peer, _, _) = node.link(n).await;
        peer.send_body(body).await;
        let reason = node.disconnected().await;
        assert!(matches!(reason, LinkError::Message(_)) && reason.is_fault(), "{reason:?}");
        assert_eq!(peer.next_answer().await, Ok(Wire::Close(CloseReason::Fault)));
    }
    // Instead of a Noise message.
    let (peer, _, _) = node.link(6).await;
    let mut sink = peer.writer.into_inner();
    sink.write_all(&[0, 40]).await.unwrap();
    sink.write_all(&[0xff; 40]).await.unwrap();
    assert!(matches!(node.disconnected().await, LinkError::Noise(NoiseError::Protocol(_))));
    let banned = [1, 2, 3, 4, 5, 6].map(|n| node.shared.guard.keeps_out_node(node_id(n)));
    assert_eq!(banned, [false, true, true, true, true, false], "what anybody on the way could send proves nothing");
}

#[tokio::test]
async fn who_is_provably_at_fault_is_kept_out_and_told_so() {
    let mut node = Node::new();
    let (mut peer, _, _) = node.link(2).await;
    peer.send_body(&[0xff; 40]).await;
    node.disconnected().await;
    let (mut again, task) = node.channel(2).await;
    again.introduce(&hello(2)).await;
    assert_eq!(again.next().await, Ok(Wire::Close(CloseReason::Banned)));
    drop(again);
    assert_eq!(within(task).await.unwrap().reason, LinkError::Closed(CloseReason::Banned));
    let (_neighbour, _, _) = node.link(3).await;
    let held = node.shared.guard.held();
    assert_eq!(held.len(), 1, "an address of this machine is everybody's here");
    assert!(node.shared.guard.lift(&held[0].0));
    node.link(2).await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_too_much_is_slowed_down_and_in_the_end_cut_off() {
    let mut node = Node::new();
    let (mut peer, _, info) = node.link(2).await;
    let start = Instant::now();
    let flood = tokio::spawn(async move {
        let (rate, most) = (PEER_CHECKS[0], PEER_CHECKS[1]);
        let commit = |signatures: u64| {
            let signatures = vec![Some(key(1).sign(&Default::default())); signatures as usize];
            let (height, view, block_hash) = Default::default();
            replica(Message::Commit(crate::types::block::Commit { height, view, block_hash, signatures }))
        };
        // A message has room for a few seconds' checks; the first ones are within the burst.
        for _ in 0..(most + 200 * rate) / 50_000 {
            let frame = commit(50_000).frame().unwrap();
            let mut bytes = Some(frame.bytes().clone());
            if peer.writer.write_all(|| bytes.take()).await.is_err() {
                break;
            }
        }
        peer
    });
    let mut messages = 0u64;
    let mut lowest = MAX_SCORE;
    let reason = loop {
        match node.event().await {
            Event::Message { .. } => {
                messages += 1;
                if let Some(link) = node.shared.table.get(info.peer) {
                    lowest = lowest.min(link.snapshot().score);
                }
            }
            Event::Disconnected { reason, .. } => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason, LinkError::OverRate);
    assert!(lowest < MAX_SCORE / 2, "{lowest}");
    let most = PEER_CHECKS[1] + PEER_CHECKS[0] * (start.elapsed().as_secs() + 2);
    assert!(messages * 50_000 <= most, "{messages} messages in {:?}", start.elapsed());
    assert!(node.shared.guard.keeps_out_node(node_id(2)));
    flood.abort();
}

/// Bytes that do not pack.
fn noise(length: usize) -> Vec<u8> {
    use rand::{Rng as _, SeedableRng as _};
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha12Rng::seed_from_u64(7).fill_bytes(&mut bytes);
    bytes
}

#[tokio::test]
async fn a_snapshot_that_was_asked_for_costs_its_sender_nothing_and_another_does() {
    for is_asked_for in [true, false] {
        let mut node = Node::new();
        let (mut peer, _, info) = node.link(2).await;
        let (height, index, bytes) = (Default::default(), 0, Some(noise(2_000_000)));
        let chunk = replica(Message::SnapshotChunk { height, index, bytes }).frame().unwrap();
        // Twice what may come at once.
        let count = 2 * PEER_BYTES[1] / chunk.bytes().len() as u64;
        // Some are asked for ahead, as a joiner does.
        let link = node.shared.table.get(info.peer).unwrap();
        (0..8).filter(|_| is_asked_for).for_each(|_| link.await_history());
        let flood = tokio::spawn(async move {
            for _ in 0..count {
                let mut bytes = Some(chunk.bytes().clone());
                if peer.writer.write_all(|| bytes.take()).await.is_err() {
                    break;
                }
            }
            peer
        });
        let mut lowest = MAX_SCORE;
        for _ in 0..count {
            if is_asked_for {
                link.await_history();
            }
            lowest = lowest.min(link.snapshot().score);
            assert!(matches!(node.event().await, Event::Message { .. }));
        }
        assert_eq!(lowest == MAX_SCORE, is_asked_for, "{lowest}, {count} messages");
        flood.abort();
    }
}

#[tokio::test]
async fn a_length_of_four_gibibytes_ends_the_link_unread() {
    let mut node = Node::new();
    let (mut peer, _, _) = node.link(2).await;
    peer.send_bytes(vec![0xff; 4]).await;
    let reason = node.disconnected().await;
    let expected = FrameError::TooLong { length: u32::MAX.into(), limit: MAX_MESSAGE_BYTES };
    assert_eq!(reason, LinkError::Frame(expected));
    assert_eq!(peer.next_answer().await, Ok(Wire::Close(CloseReason::Fault)));
}

#[tokio::test]
async fn before_hello_a_frame_has_the_handshakes_limit() {
    let node = Node::new();
    let (mut peer, task) = node.channel(2).await;
    peer.send_bytes(1_025_u32.to_le_bytes().to_vec()).await;
    peer.hear_out().await;
    let expected = FrameError::TooLong { length: 1_025, limit: MAX_HANDSHAKE_BYTES };
    assert_eq!(within(task).await.unwrap().reason, LinkError::Frame(expected));
}

#[tokio::test]
async fn what_would_unpack_to_too_much_ends_the_link() {
    let mut node = Node::new();
    let (mut peer, _, _) = node.link(2).await;
    let bomb = zstd::bulk::compress(&vec![0; MAX_MESSAGE_BYTES + 1], 1).unwrap();
    let mut frame = (bomb.len() as u32).to_le_bytes().to_vec();
    frame.push(1);
    frame.extend_from_slice(&bomb);
    peer.send_bytes(frame).await;
    let expected = FrameError::TooLong { length: MAX_MESSAGE_BYTES as u64 + 1, limit: MAX_MESSAGE_BYTES };
    assert_eq!(node.disconnected().await, LinkError::Frame(expected));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_dropped() {
    let mut node = Node::new();
    let (_peer, task, _) = node.link(2).await;
    let reason = node.disconnected().await;
    assert_eq!(reason, LinkError::Silent(15_000));
    assert!(within(task).await.unwrap().held.unwrap() >= Duration::from_secs(15));
    assert!(node.shared.table.links().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pings_measure_the_way_and_the_other_clock() {
    let mut node = Node::with(|settings| settings.clock = Clock::new(|| TimeMs(1_000_000)));
    let (mut peer, _, info) = node.link(2).await;
    let nonce = loop {
        if let Wire::Ping { nonce } = peer.next().await.unwrap() {
            break nonce;
        }
    };
    tokio::time::advance(Duration::from_millis(80)).await;
    peer.send(&Wire::Pong { nonce: nonce.wrapping_add(1), time: TimeMs(0) }).await;
    peer.send(&Wire::Pong { nonce, time: TimeMs(1_000_000 + 40 - 300) }).await;
    // The answer to this comes after both were looked at.
    peer.send(&Wire::Ping { nonce: 5 }).await;
    assert_eq!(peer.next_answer().await, Ok(Wire::Pong { nonce: 5, time: TimeMs(1_000_000) }));
    let snapshot = node.shared.table.get(info.peer).unwrap().snapshot();
    assert_eq!(snapshot.latency, Some(Duration::from_millis(80)));
    assert_eq!(snapshot.clock_offset_ms, Some(-300), "half of the way back was under way");
    assert!(snapshot.bytes_received > 0 && snapshot.bytes_sent > 0);
}

#[tokio::test]
async fn a_peers_tip_is_what_it_said_last() {
    let mut node = Node::new();
    let (mut peer, _, info) = node.link(2).await;
    peer.send(&replica(Message::Status { height: Height::new(77), hash: BlockHash([1; 32]), lowest: Height::ZERO }))
        .await;
    assert!(matches!(node.event().await, Event::Message { .. }));
    assert_eq!(node.shared.table.get(info.peer).unwrap().snapshot().tip, Height::new(77));
}

#[tokio::test]
async fn who_uses_up_its_allowance_waits_and_nobody_else_does() {
    let mut node = Node::new();
    let (mut greedy, _, greedy_info) = node.link(2).await;
    let (mut other, _, other_info) = node.link(3).await;
    let most = INBOUND_ALLOWANCE_BYTES / MIN_INBOUND_CHARGE_BYTES;
    let flood = tokio::spawn(async move {
        for _ in 0..most + 10 {
            greedy.send(&replica(message(1))).await;
        }
        greedy
    });
    let mut held = Vec::new();
    while held.len() < most {
        let Event::Message { peer, allowance, .. } = node.event().await else { panic!("no message") };
        assert_eq!(peer, greedy_info.peer);
        held.push(allowance);
    }
    let _greedy = within(flood).await.unwrap();
    other.send(&replica(message(2))).await;
    let Event::Message { peer, .. } = node.event().await else { panic!("no message") };
    assert_eq!(peer, other_info.peer, "the greedy one waits, with ten messages to go");
    assert!(node.events.try_recv().is_err());
    held.clear();
    for _ in 0..10 {
        let Event::Message { peer, .. } = node.event().await else { panic!("no message") };
        assert_eq!(peer, greedy_info.peer);
    }
}

#[tokio::test]
async fn a_slow_reader_is_dropped_while_others_go_on() {
    let mut node = Node::new();
    let (_slow, _, slow_info) = node.link(2).await;
    let (mut good, _, good_info) = node.link(3).await;
    let frame = replica(Message::GetTxs(vec![Txid([1; 32]); 1_024])).frame().unwrap();
    let mut sent = 0;
    while node.shared.table.get(slow_info.peer).is_some() {
        node.shared.table.links().values().for_each(|link| link.send(&frame, Priority::Bulk));
        sent += 1;
        assert!(matches!(good.next_answer().await, Ok(Wire::Replica(_))));
    }
    assert!(sent > 8_000);
    assert!(matches!(node.disconnected().await, LinkError::Slow(_)));
    assert!(node.shared.table.get(good_info.peer).is_some());
    assert_eq!(node.shared.table.get(good_info.peer).unwrap().outgoing.bytes(), 0);
}

#[tokio::test]
async fn urgent_frames_overtake_what_waits() {
    let mut node = Node::new();
    let (mut peer, _, info) = node.link(2).await;
    let link = node.shared.table.get(info.peer).unwrap();
    let status = replica(Message::Status { height: Height::ZERO, hash: BlockHash::default(), lowest: Height::ZERO });
    // One poll of the link takes all of them, so nothing is written in between.
    for n in 0..100 {
        link.say(&replica(message(n)), Priority::Bulk).unwrap();
    }
    link.say(&status, Priority::Urgent).unwrap();
    assert_eq!(peer.next_answer().await, Ok(status));
    assert_eq!(peer.next_answer().await, Ok(replica(message(0))));
}

#[tokio::test]
async fn long_messages_arrive_whole() {
    let mut node = Node::new();
    let (mut peer, _, _) = node.link(2).await;
    let txids: Vec<Txid> = (0..100_000_u32).map(|n| Txid(*blake3::hash(&n.to_le_bytes()).as_bytes())).collect();
    let long = Message::TxAnnounce(txids);
    peer.send(&replica(long.clone())).await;
    let Event::Message { message, size, allowance, .. } = node.event().await else { panic!("no message") };
    assert_eq!(message, long);
    assert_eq!(allowance.bytes(), size);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_told_to_who_asks_now_and_then_and_taken_only_when_asked_for() {
    let mut node = Node::new();
    let (mut peer, _, _) = node.link(2).await;
    let (mut listener, _) = node.channel(3).await;
    listener.introduce(&Hello { listen: Some("0.0.0.0:4003".into()), ..hello(3) }).await;
    assert!(matches!(node.event().await, Event::Connected { .. }));
    let known: SocketAddr = "127.0.0.1:4003".parse().unwrap();
    peer.send(&Wire::GetPeers).await;
    peer.send(&Wire::GetPeers).await;
    peer.send(&Wire::Ping { nonce: 1 }).await;
    let mut answers = [peer.next_answer().await.unwrap(), peer.next_answer().await.unwrap()];
    answers.sort_by_key(|answer| matches!(answer, Wire::Peers(_)));
    assert!(matches!(answers[0], Wire::Pong { nonce: 1, .. }), "asked twice, answered once");
    assert_eq!(answers[1], Wire::Peers(vec![known.into()]), "neither its own nor one that does not listen");

    let told: SocketAddr = "127.0.0.1:4009".parse().unwrap();
    let nowhere: SocketAddr = "0.0.0.0:4009".parse().unwrap();
    peer.send(&Wire::Peers(vec![told.into(), nowhere.into()])).await;
    within(node.shared.learnt.notified()).await;
    let book = |node: &Node| -> Vec<SocketAddr> { node.shared.book().entries().map(|(address, _)| *address).collect() };
    assert_eq!(book(&node), [known, told], "what it says of itself, and what others say");
    let late: SocketAddr = "127.0.0.1:4010".parse().unwrap();
    peer.send(&Wire::Peers(vec![late.into()])).await;
    peer.send(&Wire::Ping { nonce: 2 }).await;
    assert!(matches!(peer.next_answer().await, Ok(Wire::Pong { nonce: 2, .. })));
    assert_eq!(book(&node), [known, told], "nobody asked a second time");
    peer.send(&Wire::Peers(vec![known.into(); MAX_ADDRESSES_PER_MESSAGE + 1])).await;
    assert_eq!(node.disconnected().await, LinkError::TooManyAddresses(MAX_ADDRESSES_PER_MESSAGE + 1));
}

#[tokio::test]
async fn a_stopping_node_tells_its_peers() {
    let mut node = Node::new();
    let (mut peer, task, _) = node.link(2).await;
    node.shared.cancel.cancel();
    assert_eq!(peer.next_answer().await, Ok(Wire::Close(CloseReason::Stopping)));
    drop(peer);
    assert_eq!(within(task).await.unwrap().reason, LinkError::Closed(CloseReason::Stopping));
}
