//! Noise XX with both identities bound: who is at the other end, and that nobody listens or changes anything.
//!
//! `Noise_XX_25519_ChaChaPoly_BLAKE2s` with the prologue `"timecoin v1" || chain_id`, so that nodes of different chains
//! fail at the first encrypted byte. The Noise keys are made anew at each start; each side's payload is its node key and
//! that key's signature over its Noise static key, its role and the chain. A signature for one role is of no use in the
//! other, so nobody can reflect it. Every Noise message follows its length, `u16` big-endian.
//! Source: Noise Protocol Framework, revision 34; `protocol.md` 10.

use crate::crypto::batch::{self, SignatureCheck};
use crate::limits::{MAX_HANDSHAKE_BYTES, MAX_NOISE_PLAINTEXT_BYTES};
use crate::types::codec::{CodecError, decode, encode};
use crate::types::hash::ChainId;
use crate::types::keys::{SecretKey, Signature};
use crate::types::link::{NodeId, Role, noise_static_digest};
use bincode::{Decode, Encode};
use bytes::BytesMut;
use snow::{Builder, HandshakeState, StatelessTransportState};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"timecoin v1";
/// Bytes of the length before every Noise message.
pub(super) const LENGTH_BYTES: usize = 2;
/// Bytes by which a Noise message is longer than what it carries.
pub(super) const TAG_BYTES: usize = 16;

/// Why there is no secure channel, or no longer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// The library refuses; of a handshake message: another chain, or no node at all.
    #[error("Noise: {0}")]
    Protocol(String),
    /// A message too long, or too short to carry anything.
    #[error("a Noise message of {found} bytes, {least} to {most} allowed here")]
    Length {
        /// Its length.
        found: usize,
        /// Least allowed.
        least: usize,
        /// Most allowed.
        most: usize,
    },
    /// The first message carries nothing.
    #[error("{0} bytes in the handshake's first message, which carries none")]
    EarlyPayload(usize),
    /// What is to be a node's identity is none.
    #[error("the handshake's payload: {0}")]
    Payload(#[from] CodecError),
    /// The node key did not sign this Noise key for this role on this chain.
    #[error("node {0} did not sign the Noise key of its end")]
    Identity(NodeId),
}

impl From<snow::Error> for NoiseError {
    fn from(error: snow::Error) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Why a handshake ended without a channel.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other end.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// What each side says of itself inside the handshake.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
struct Payload {
    node_id: NodeId,
    /// Over [`noise_static_digest`].
    signature: Signature,
}

crate::wire!(Payload, 96, 256);

/// Who this node is in handshakes: its node key, and a Noise key for as long as it runs.
pub struct Identity {
    chain: ChainId,
    node_key: SecretKey,
    noise_private: Zeroizing<Vec<u8>>,
    noise_public: [u8; 32],
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?} on {:?})", self.node_id(), self.chain)
    }
}

impl Identity {
    /// Draws a Noise key for the node key.
    ///
    /// # Errors
    /// [`NoiseError`] if the system has no randomness.
    pub fn new(chain: ChainId, node_key: SecretKey) -> Result<Self, NoiseError> {
        let keys = Builder::new(parameters()?).generate_keypair()?;
        let noise_private = Zeroizing::new(keys.private);
        Ok(Self { chain, node_key, noise_private, noise_public: noise_key(&keys.public)? })
    }

    /// The node's public key.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.node_key.public_key())
    }

    fn payload(&self, role: Role) -> Vec<u8> {
        let signature = self.node_key.sign(&noise_static_digest(&self.chain, role, &self.noise_public));
        encode(&Payload { node_id: self.node_id(), signature })
    }

    fn start(&self, role: Role) -> Result<HandshakeState, NoiseError> {
        let prologue = [PROLOGUE, self.chain.as_bytes()].concat();
        let builder = Builder::new(parameters()?).prologue(&prologue)?.local_private_key(&self.noise_private)?;
        Ok(match role {
            Role::Initiator => builder.build_initiator()?,
            Role::Responder => builder.build_responder()?,
        })
    }
}

fn parameters() -> Result<snow::params::NoiseParams, NoiseError> {
    Ok(PATTERN.parse()?)
}

fn noise_key(bytes: &[u8]) -> Result<[u8; 32], NoiseError> {
    bytes.try_into().map_err(|_| NoiseError::Length { found: bytes.len(), least: 32, most: 32 })
}

/// A channel to a node that proved who it is.
#[derive(Debug)]
pub struct Channel {
    /// The other end's node key.
    pub node_id: NodeId,
    /// Names this channel: both ends know it, and no other channel has it.
    pub handshake_hash: [u8; 32],
    /// For what is sent.
    pub sealer: Sealer,
    /// For what comes.
    pub opener: Opener,
}

/// Runs the handshake. Its caller limits the time.
///
/// # Errors
/// [`HandshakeError`]: the connection failed, or the other end is no node of this chain.
pub async fn handshake<R, W>(
    reader: &mut R,
    writer: &mut W,
    role: Role,
    identity: &Identity,
) -> Result<Channel, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut state = identity.start(role)?;
    let mine = identity.payload(role);
    let theirs = match role {
        Role::Initiator => {
            send(writer, &mut state, &[]).await?;
            let theirs = receive(reader, &mut state).await?;
            send(writer, &mut state, &mine).await?;
            theirs
        }
        Role::Responder => {
            let early = receive(reader, &mut state).await?;
            if !early.is_empty() {
                return Err(NoiseError::EarlyPayload(early.len()).into());
            }
            send(writer, &mut state, &mine).await?;
            receive(reader, &mut state).await?
        }
    };
    Ok(finish(state, role, identity, &theirs)?)
}

async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    state: &mut HandshakeState,
    payload: &[u8],
) -> Result<(), HandshakeError> {
    let mut message = [0; LENGTH_BYTES + MAX_HANDSHAKE_BYTES];
    let length = state.write_message(payload, &mut message[LENGTH_BYTES..]).map_err(NoiseError::from)?;
    let prefix = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    message[..LENGTH_BYTES].copy_from_slice(&prefix);
    writer.write_all(&message[..LENGTH_BYTES + length]).await?;
    Ok(writer.flush().await?)
}

async fn receive<R: AsyncRead + Unpin>(reader: &mut R, state: &mut HandshakeState) -> Result<Vec<u8>, HandshakeError> {
    let length = usize::from(reader.read_u16().await?);
    if length == 0 || length > MAX_HANDSHAKE_BYTES {
        return Err(NoiseError::Length { found: length, least: 1, most: MAX_HANDSHAKE_BYTES }.into());
    }
    let mut message = vec![0; length];
    reader.read_exact(&mut message).await?;
    let mut payload = vec![0; length];
    let length = state.read_message(&message, &mut payload).map_err(NoiseError::from)?;
    payload.truncate(length);
    Ok(payload)
}

/// Checks who the other end is, and takes the channel's keys.
fn finish(state: HandshakeState, role: Role, identity: &Identity, payload: &[u8]) -> Result<Channel, NoiseError> {
    let theirs: Payload = decode(payload)?;
    let their_key = noise_key(state.get_remote_static().unwrap_or_default())?;
    let digest = noise_static_digest(&identity.chain, role.other(), &their_key);
    if !batch::verify(&SignatureCheck { key: theirs.node_id.0, digest, signature: theirs.signature }) {
        return Err(NoiseError::Identity(theirs.node_id));
    }
    // BLAKE2s has 32 bytes, as a key has.
    let handshake_hash = noise_key(state.get_handshake_hash())?;
    let state = Arc::new(state.into_stateless_transport_mode()?);
    Ok(Channel {
        node_id: theirs.node_id,
        handshake_hash,
        sealer: Sealer { state: state.clone(), nonce: 0 },
        opener: Opener { state, nonce: 0 },
    })
}

/// Encrypts one direction of a channel.
#[derive(Debug)]
pub struct Sealer {
    state: Arc<StatelessTransportState>,
    nonce: u64,
}

impl Sealer {
    /// Appends `plaintext` to `out` as Noise messages, each behind its length.
    ///
    /// # Errors
    /// [`NoiseError`] after 2^64 messages.
    pub fn encrypt(&mut self, plaintext: &[u8], out: &mut BytesMut) -> Result<(), NoiseError> {
        for piece in plaintext.chunks(MAX_NOISE_PLAINTEXT_BYTES) {
            let length = piece.len() + TAG_BYTES;
            let start = out.len() + LENGTH_BYTES;
            out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            out.resize(start + length, 0);
            self.state.write_message(self.nonce, piece, &mut out[start..])?;
            self.nonce = self.nonce.saturating_add(1);
        }
        Ok(())
    }
}

/// Decrypts the other direction.
#[derive(Debug)]
pub struct Opener {
    state: Arc<StatelessTransportState>,
    nonce: u64,
}

impl Opener {
    /// Appends what `message` carries to `out`. Messages come in order, none left out: anything else does not decrypt.
    ///
    /// # Errors
    /// [`NoiseError`]: not the other end's next message, or one that carries nothing.
    pub fn decrypt(&mut self, message: &[u8], out: &mut BytesMut) -> Result<(), NoiseError> {
        if message.len() <= TAG_BYTES {
            let most = MAX_NOISE_PLAINTEXT_BYTES + TAG_BYTES;
            return Err(NoiseError::Length { found: message.len(), least: TAG_BYTES + 1, most });
        }
        let start = out.len();
        out.resize(start + message.len(), 0);
        let length = self.state.read_message(self.nonce, message, &mut out[start..])?;
        out.truncate(start + length);
        self.nonce = self.nonce.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
