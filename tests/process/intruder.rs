//! A peer of its own making: the handshake as `protocol.md` 10 says it, then whatever bytes a test wants.
//!
//! Written against the specification and not with `network`'s code, which does not say what nobody may say.

use snow::{Builder, TransportState};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use timed::limits::MAX_NOISE_PLAINTEXT_BYTES;
use timed::network::{CloseReason, Wire};
use timed::types::codec::{decode, encode};
use timed::types::hash::ChainId;
use timed::types::keys::SecretKey;
use timed::types::link::{LinkProof, NodeId, Role, noise_static_digest};
use timed::types::number::{Height, TimeMs};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const PROTOCOL: u32 = 1;
/// Longest Noise message.
const MAX_BYTES: usize = 65_535;
/// Bytes before the body of a frame: its length, and flags.
const HEADER_BYTES: usize = 5;
/// A node that keeps an offender for longer than this does not cut it off.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a node listens, and on which chain.
#[derive(Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub chain: ChainId,
}

/// How an offence ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// The node did not come as far as the offence.
    Refused,
    /// Cut off, and what it was told.
    Cut(Option<String>),
    /// Still there.
    Kept,
}

/// A channel to the node.
pub struct Intruder {
    pub stream: TcpStream,
    state: TransportState,
    /// Everything said so far, as it went over the wire.
    pub said: Vec<u8>,
}

impl Target {
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// A frame's header with this length, whatever follows.
pub fn header(length: u32, flags: u8) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.push(flags);
    bytes
}

/// An honest frame, not compressed.
pub fn frame(body: &[u8]) -> Vec<u8> {
    [header(u32::try_from(body.len()).unwrap(), 0), body.to_vec()].concat()
}

impl Intruder {
    /// Runs the handshake with a node key drawn from `number`.
    pub fn open(target: &Target, number: u64) -> io::Result<Self> {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let key = SecretKey::from_bytes(&seed);
        let noise = Builder::new(PATTERN.parse().unwrap()).generate_keypair().unwrap();
        let prologue = [&b"timecoin v1"[..], &target.chain.0].concat();
        let builder = Builder::new(PATTERN.parse().unwrap()).prologue(&prologue).unwrap();
        let mut state = builder.local_private_key(&noise.private).unwrap().build_initiator().unwrap();
        let public: [u8; 32] = noise.public.try_into().unwrap();
        let signature = key.sign(&noise_static_digest(&target.chain, Role::Initiator, &public));
        let payload = encode(&(NodeId(key.public_key()), signature));
        let mut stream = target.connect()?;
        let (mut said, mut buffer) = (Vec::new(), vec![0; MAX_BYTES]);
        for (turn, payload) in [&[][..], &payload].into_iter().enumerate() {
            let length = state.write_message(payload, &mut buffer).unwrap();
            let message = [&u16::try_from(length).unwrap().to_be_bytes()[..], &buffer[..length]].concat();
            stream.write_all(&message)?;
            said.extend(message);
            if turn == 0 {
                let answer = receive(&mut stream)?;
                state.read_message(&answer, &mut buffer).map_err(io::Error::other)?;
            }
        }
        Ok(Self { stream, state: state.into_transport_mode().unwrap(), said })
    }

    /// The same, and says `Hello` as one of this chain, or of another.
    pub fn introduced(target: &Target, number: u64, chain: ChainId) -> io::Result<Self> {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let id = NodeId(SecretKey::from_bytes(&seed).public_key());
        let mut intruder = Self::open(target, number)?;
        let (listen, agent, masternode): (Option<String>, &str, Option<LinkProof>) = (None, "intruder/1", None);
        let hello = (PROTOCOL, chain, id, listen, Height::ZERO, TimeMs(0), agent, number, masternode);
        intruder.say(&frame(&encode(&hello)))?;
        Ok(intruder)
    }

    /// Sends these bytes inside the channel.
    pub fn say(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let mut buffer = vec![0; MAX_BYTES];
        for piece in plaintext.chunks(MAX_NOISE_PLAINTEXT_BYTES) {
            let length = self.state.write_message(piece, &mut buffer).unwrap();
            let message = [&u16::try_from(length).unwrap().to_be_bytes()[..], &buffer[..length]].concat();
            self.stream.write_all(&message)?;
            self.said.extend(message);
        }
        Ok(())
    }

    /// Listens until the node hangs up.
    pub fn hear_out(mut self) -> Fate {
        let deadline = Instant::now() + PATIENCE;
        let (mut heard, mut buffer, mut told) = (Vec::new(), vec![0; MAX_BYTES], None);
        while Instant::now() < deadline {
            let message = match receive(&mut self.stream) {
                Ok(message) => message,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Fate::Kept,
                Err(_) => return Fate::Cut(told),
            };
            let Ok(length) = self.state.read_message(&message, &mut buffer) else { return Fate::Cut(told) };
            heard.extend_from_slice(&buffer[..length]);
            told = take_frames(&mut heard).map(|reason| reason.to_string()).or(told);
        }
        Fate::Kept
    }
}

/// Takes what is complete; the reason if one says that the link is over. `Hello` and what is compressed do not matter here.
fn take_frames(heard: &mut Vec<u8>) -> Option<CloseReason> {
    let mut reason = None;
    while let Some(length) = heard.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize)
        && heard.len() >= HEADER_BYTES + length
    {
        let frame: Vec<u8> = heard.drain(..HEADER_BYTES + length).collect();
        if let (0, Ok(Wire::Close(told))) = (frame[4], decode::<Wire>(&frame[HEADER_BYTES..])) {
            reason = Some(told);
        }
    }
    reason
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(prefix))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Reads from a connection without a channel until the node hangs up.
pub fn hear_out_raw(mut stream: TcpStream) -> Fate {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = vec![0; MAX_BYTES];
    while Instant::now() < deadline {
        match stream.read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Fate::Kept,
            Ok(0) | Err(_) => return Fate::Cut(None),
        }
    }
    Fate::Kept
}
