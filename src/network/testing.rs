//! What the tests of this folder share: nodes that run, and a peer that says whatever a test wants.

use super::error::LinkError;
use super::event::Event;
use super::frame::Frame;
use super::hello::{Hello, PROTOCOL};
use super::message::Wire;
use super::noise::{Identity, handshake};
use super::peer::PeerInfo;
use super::server::{Handle, Network};
use super::settings::{Settings, Timings};
use super::stream::{FrameReader, FrameWriter, Traffic};
use crate::limits::MAX_MESSAGE_BYTES;
use crate::replica::{Message, PeerId};
use crate::types::codec::{decode, encode};
use crate::types::hash::{ChainId, Txid};
use crate::types::keys::SecretKey;
use crate::types::link::{NodeId, Role};
use crate::types::number::{Height, TimeMs};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub(super) const CHAIN: ChainId = ChainId([7; 32]);

pub(super) fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32])
}

pub(super) fn node_id(n: u8) -> NodeId {
    NodeId(key(n).public_key())
}

pub(super) fn identity(n: u8) -> Identity {
    Identity::new(CHAIN, key(n)).unwrap()
}

/// Fails instead of hanging.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened")
}

/// A node on this machine that dials again soon.
pub(super) fn settings(n: u8) -> Settings {
    let timings = Timings {
        backoff_first: Duration::from_millis(10),
        backoff_max: Duration::from_millis(100),
        ..Timings::default()
    };
    Settings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        max_inbound_per_ip: 100,
        timings,
        ..Settings::new(CHAIN, key(n))
    }
}

/// A message that differs from number to number.
pub(super) fn message(n: u8) -> Message {
    Message::TxAnnounce(vec![Txid([n; 32])])
}

/// A node that runs, and what it heard.
pub(super) struct Node {
    pub network: Network,
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
}

impl Node {
    pub async fn start(settings: Settings) -> Self {
        let (network, events) = Network::start(settings).await.unwrap();
        Self { handle: network.handle(), network, events }
    }

    pub fn address(&self) -> SocketAddr {
        self.handle.listen_address().unwrap()
    }

    pub async fn event(&mut self) -> Event {
        within(self.events.recv()).await.expect("the network has stopped")
    }

    pub async fn connected(&mut self) -> Arc<PeerInfo> {
        match self.event().await {
            Event::Connected { info, .. } => info,
            other => panic!("{other:?}"),
        }
    }

    pub async fn message(&mut self) -> (PeerId, Message) {
        match self.event().await {
            Event::Message { peer, message, .. } => (peer, message),
            other => panic!("{other:?}"),
        }
    }

    pub async fn disconnected(&mut self) -> (PeerId, LinkError) {
        match self.event().await {
            Event::Disconnected { peer, reason } => (peer, reason),
            other => panic!("{other:?}"),
        }
    }
}

/// A peer that says whatever a test wants.
pub(super) struct Peer<R, W> {
    pub reader: FrameReader<R>,
    pub writer: FrameWriter<W>,
    pub handshake_hash: [u8; 32],
}

/// [`Peer`] over TCP.
pub(super) type TcpPeer = Peer<tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf>;

/// Dials a node as node `n` and says `Hello`.
pub(super) async fn dial(address: SocketAddr, n: u8) -> TcpPeer {
    let (reader, writer) = TcpStream::connect(address).await.unwrap().into_split();
    let mut peer = Peer::new(reader, writer, n, Role::Initiator).await;
    peer.introduce(&hello(n)).await;
    peer
}

/// What node `n` says first.
pub(super) fn hello(n: u8) -> Hello {
    Hello {
        protocol: PROTOCOL,
        chain_id: CHAIN,
        node_id: node_id(n),
        listen: None,
        tip: Height::new(u64::from(n)),
        time: TimeMs(1),
        agent: format!("test/{n}"),
        nonce: u64::from(n),
        masternode: None,
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Peer<R, W> {
    /// Runs the handshake as node `n`.
    pub async fn new(mut reader: R, mut writer: W, n: u8, role: Role) -> Self {
        let channel = within(handshake(&mut reader, &mut writer, role, &identity(n))).await.unwrap();
        let traffic = Arc::new(Traffic::default());
        let patience = Duration::from_secs(3600);
        Self {
            reader: FrameReader::new(reader, channel.opener, MAX_MESSAGE_BYTES, patience, traffic.clone()),
            writer: FrameWriter::new(writer, channel.sealer, traffic),
            handshake_hash: channel.handshake_hash,
        }
    }

    /// Says `hello` and hears the other's.
    pub async fn introduce(&mut self, hello: &Hello) -> Hello {
        self.send_body(&encode(hello)).await;
        decode(&within(self.reader.next_frame()).await.unwrap().unpack().unwrap()).unwrap()
    }

    /// Sends these bytes inside the channel as they are.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        let mut bytes = Some(Bytes::from(bytes));
        self.writer.write_all(|| bytes.take()).await.unwrap();
    }

    pub async fn send_body(&mut self, body: &[u8]) {
        self.send_bytes(Frame::new(body).unwrap().bytes().to_vec()).await;
    }

    pub async fn send(&mut self, message: &Wire) {
        self.send_body(&encode(message)).await;
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> Result<Wire, LinkError> {
        let frame = within(self.reader.next_frame()).await?;
        Ok(decode(&frame.unpack()?)?)
    }

    /// Listens until the node hangs up, then hangs up too.
    pub async fn hear_out(mut self) {
        while within(self.reader.next_frame()).await.is_ok() {}
    }

    /// What comes next besides questions about the link.
    pub async fn next_answer(&mut self) -> Result<Wire, LinkError> {
        loop {
            match self.next().await? {
                Wire::Ping { .. } | Wire::GetPeers => {}
                other => return Ok(other),
            }
        }
    }
}
