//! Links over loopback: how fast a message is there and back, how much goes through one link, what a frame costs.
//!
//! `cargo bench --bench network`. Both ends run in this process and share its cores.

// A benchmark that cannot be set up has nothing to measure: it may panic.
#![allow(clippy::expect_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed::network::{Event, Frame, Handle, Network, Priority, Settings, replica_frame};
use timed::replica::{Message, PeerId};
use timed::types::hash::{ChainId, Txid};
use timed::types::keys::SecretKey;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

struct Node {
    _network: Network,
    handle: Handle,
    events: Receiver<Event>,
    peer: PeerId,
}

impl Node {
    async fn message(&mut self) {
        while !matches!(self.events.recv().await, Some(Event::Message { .. })) {}
    }
}

/// Two nodes with a link between them.
async fn pair() -> [Node; 2] {
    let settings = |n: u8| {
        let listen = Some("127.0.0.1:0".parse().expect("an address"));
        Settings { listen, ..Settings::new(ChainId([7; 32]), SecretKey::from_bytes(&[n; 32])) }
    };
    let (one, mut one_events) = Network::start(settings(1)).await.expect("a network");
    let seeds = vec![one.handle().listen_address().expect("it listens").to_string()];
    let (two, mut two_events) = Network::start(Settings { seeds, ..settings(2) }).await.expect("a network");
    let (one_peer, two_peer) = (connected(&mut one_events).await, connected(&mut two_events).await);
    let node = |network: Network, events, peer| Node { handle: network.handle(), _network: network, events, peer };
    [node(one, one_events, one_peer), node(two, two_events, two_peer)]
}

async fn connected(events: &mut Receiver<Event>) -> PeerId {
    match events.recv().await {
        Some(Event::Connected { peer, .. }) => peer,
        other => panic!("{other:?}"),
    }
}

/// An announcement of `count` transactions; hashes do not compress.
fn announcement(count: u32) -> Arc<Message> {
    let txid = |n: u32| Txid(*blake3::hash(&n.to_le_bytes()).as_bytes());
    Arc::new(Message::TxAnnounce((0..count).map(txid).collect()))
}

/// Sends `count` frames, never so far ahead of the receiver that it would be dropped.
async fn push_through([sender, receiver]: &mut [Node; 2], frame: &Frame, count: u64) -> Duration {
    let ahead = (8_000_000 / frame.bytes().len() as u64).clamp(1, 256);
    let start = Instant::now();
    for n in 0..count {
        sender.handle.send(sender.peer, frame, Priority::Bulk);
        if n >= ahead {
            receiver.message().await;
        }
    }
    for _ in 0..count.min(ahead) {
        receiver.message().await;
    }
    start.elapsed()
}

fn links(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut nodes = runtime.block_on(pair());
    let short = replica_frame(&announcement(1)).expect("it is short");
    c.bench_function("there and back", |b| {
        b.iter_custom(|count| {
            let [one, two] = &mut nodes;
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..count {
                    one.handle.send(one.peer, &short, Priority::Urgent);
                    two.message().await;
                    two.handle.send(two.peer, &short, Priority::Urgent);
                    one.message().await;
                }
                start.elapsed()
            })
        });
    });
    let mut group = c.benchmark_group("through one link");
    for txids in [1, 32, 1_024, 32_768] {
        let frame = replica_frame(&announcement(txids)).expect("it fits");
        group.throughput(Throughput::Bytes(frame.bytes().len() as u64));
        group.bench_function(format!("{} bytes", frame.bytes().len()), |b| {
            b.iter_custom(|count| runtime.block_on(push_through(&mut nodes, &frame, count)));
        });
    }
    group.finish();
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("making a frame");
    for txids in [1, 1_024, 65_536] {
        let message = announcement(txids);
        group.throughput(Throughput::Bytes(u64::from(32 * txids)));
        group.bench_function(format!("of {} bytes", 32 * txids), |b| b.iter(|| replica_frame(black_box(&message))));
    }
    group.finish();
}

criterion_group!(benches, links, frames);
criterion_main!(benches);
