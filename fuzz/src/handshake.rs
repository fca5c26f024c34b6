//! The handshake with somebody who keeps to the protocol up to one stage and says anything there: it ends in an error, for
//! nobody here has the key that would have to sign. Behind it, what the channel's key did not seal opens as nothing, and a
//! `Hello` is taken only if it is the one of the node that was proved.

use super::chain::CHAIN;
use super::codec::accepted;
use snow::{Builder, HandshakeState, TransportState};
use std::sync::LazyLock;
use timed::limits::{MAX_AGENT_BYTES, MAX_HANDSHAKE_BYTES};
use timed::network::{Channel, Expected, FrameParser, HandshakeError, Hello, Identity, handshake};
use timed::types::codec::encode;
use timed::types::keys::SecretKey;
use timed::types::link::{NodeId, Role, noise_static_digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, sink, split};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
/// Longest Noise message: what is said here is written without waiting for who reads it.
const MAX_BYTES: usize = 65_535;

/// The node.
static NODE: LazyLock<Identity> = LazyLock::new(|| Identity::new(CHAIN.id(), SecretKey::from_bytes(&[2; 32])).unwrap());

fn stranger() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

/// The first byte chooses the stage, the rest is what is said there.
pub fn check(data: &[u8]) {
    let Some((choice, said)) = data.split_first() else { return };
    let runtime = RuntimeBuilder::new_current_thread().build().unwrap();
    match choice {
        0 => refuses(runtime.block_on(handshake(&mut &*said, &mut sink(), Role::Responder, &NODE))),
        1 => refuses(runtime.block_on(handshake(&mut &*said, &mut sink(), Role::Initiator, &NODE))),
        2 => refuses_unless(said.is_empty(), met(&runtime, Role::Initiator, said, &signed(Role::Initiator))),
        3 => refuses(met(&runtime, Role::Initiator, &[], said)),
        4 => refuses(met(&runtime, Role::Responder, &[], said)),
        5 => {
            let mut channel = met(&runtime, Role::Initiator, &[], &signed(Role::Initiator)).unwrap();
            let opened = channel.opener.decrypt(said, &mut bytes::BytesMut::new());
            assert!(opened.is_err(), "the channel's key sealed none of it");
        }
        6 => introduce(said),
        _ => {}
    }
}

fn refuses(result: Result<Channel, HandshakeError>) {
    assert!(result.is_err());
}

fn refuses_unless(is_honest: bool, result: Result<Channel, HandshakeError>) {
    assert_eq!(result.is_ok(), is_honest);
    if let Ok(channel) = result {
        assert_eq!(channel.node_id, NodeId(stranger().public_key()));
    }
}

/// An honest payload, of the Noise key that [`start`] uses.
fn signed(role: Role) -> Vec<u8> {
    let key = stranger();
    let signature = key.sign(&noise_static_digest(&CHAIN.id(), role, &noise_keys().1));
    encode(&(NodeId(key.public_key()), signature))
}

fn noise_keys() -> &'static ([u8; 32], [u8; 32]) {
    static KEYS: LazyLock<([u8; 32], [u8; 32])> = LazyLock::new(|| {
        let keys = Builder::new(PATTERN.parse().unwrap()).generate_keypair().unwrap();
        (keys.private.try_into().unwrap(), keys.public.try_into().unwrap())
    });
    &KEYS
}

fn start(role: Role) -> HandshakeState {
    let prologue = [&b"timecoin v1"[..], &CHAIN.id().0].concat();
    let builder = Builder::new(PATTERN.parse().unwrap()).prologue(&prologue).unwrap();
    let builder = builder.local_private_key(&noise_keys().0).unwrap();
    match role {
        Role::Initiator => builder.build_initiator().unwrap(),
        Role::Responder => builder.build_responder().unwrap(),
    }
}

/// The node meets a stranger of this role who says these payloads: in its first message if it dialed, and where its
/// identity belongs.
fn met(runtime: &Runtime, role: Role, early: &[u8], identity: &[u8]) -> Result<Channel, HandshakeError> {
    let (node, stranger) = duplex(4 * MAX_BYTES);
    let (mut reader, mut writer) = split(node);
    let node = async {
        let met = handshake(&mut reader, &mut writer, role.other(), &NODE).await;
        // So that who waits for an answer does not wait for ever.
        writer.shutdown().await.unwrap();
        met
    };
    let (met, _) = runtime.block_on(async { tokio::join!(node, speak(stranger, role, early, identity)) });
    met
}

/// The stranger; nothing where it says more than a Noise message holds, or the node hung up on it.
async fn speak(mut stream: DuplexStream, role: Role, early: &[u8], identity: &[u8]) -> Option<TransportState> {
    let mut state = start(role);
    if role == Role::Initiator {
        say(&mut stream, &mut state, early).await?;
    }
    hear(&mut stream, &mut state).await?;
    say(&mut stream, &mut state, identity).await?;
    if role == Role::Responder {
        hear(&mut stream, &mut state).await?;
    }
    state.into_transport_mode().ok()
}

async fn say(stream: &mut DuplexStream, state: &mut HandshakeState, payload: &[u8]) -> Option<()> {
    let mut buffer = vec![0; MAX_BYTES];
    let length = state.write_message(payload, &mut buffer).ok()?;
    stream.write_u16(u16::try_from(length).ok()?).await.ok()?;
    stream.write_all(&buffer[..length]).await.ok()
}

async fn hear(stream: &mut DuplexStream, state: &mut HandshakeState) -> Option<()> {
    let length = usize::from(stream.read_u16().await.ok()?);
    let (mut message, mut payload) = (vec![0; length], vec![0; length]);
    stream.read_exact(&mut message).await.ok()?;
    state.read_message(&message, &mut payload).ok().map(drop)
}

/// The first frame of a channel to the stranger.
fn introduce(stream: &[u8]) {
    let mut parser = FrameParser::new(MAX_HANDSHAKE_BYTES);
    parser.buffer().extend_from_slice(stream);
    let Ok(Some(frame)) = parser.next_frame() else { return };
    let Ok(body) = frame.unpack() else { return };
    let Some(hello) = accepted::<Hello>(&body) else { return };
    let proved = NodeId(stranger().public_key());
    let expected = Expected {
        chain: CHAIN.id(),
        own_id: NODE.node_id(),
        own_nonce: 1,
        proved,
        role: Role::Initiator,
        handshake_hash: &[4; 32],
    };
    if hello.check(expected).is_ok() {
        assert_eq!((hello.chain_id, hello.node_id), (CHAIN.id(), proved));
        assert_ne!(hello.nonce, 1);
        assert!(hello.agent.len() <= MAX_AGENT_BYTES && hello.agent.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        assert!(hello.masternode.is_none(), "nobody here has a consensus key");
    }
}
