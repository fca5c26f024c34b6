//! The first frame of each side: which protocol, which chain, who, and whether it is a masternode.
//!
//! Invariants: the node id is the one that the handshake proved; a masternode's key is proved for this end of this very
//! link, so a proof seen elsewhere is worth nothing here.

use super::message::CloseReason;
use crate::crypto::batch::{self, SignatureCheck};
use crate::limits::{MAX_AGENT_BYTES, MAX_ENDPOINT_BYTES, MAX_HANDSHAKE_BYTES};
use crate::types::codec::CodecError;
use crate::types::hash::ChainId;
use crate::types::keys::PublicKey;
use crate::types::link::{LinkProof, NodeId, Role, link_digest};
use crate::types::number::{Height, TimeMs};
use bincode::{Decode, Encode};

/// The version of what nodes say to each other.
pub const PROTOCOL: u32 = 1;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Hello {
    /// The version of the protocol: 1.
    pub protocol: u32,
    /// The chain.
    pub chain_id: ChainId,
    /// The sender's node key.
    pub node_id: NodeId,
    /// Where it listens, `host:port`; an unspecified IP address stands for the one it is seen at.
    pub listen: Option<String>,
    /// Height of its tip.
    pub tip: Height,
    /// Its clock.
    pub time: TimeMs,
    /// Name and version of its software, printable ASCII.
    pub agent: String,
    /// Drawn when the node started: it recognizes itself by it, and others see by it that it started anew.
    pub nonce: u64,
    /// If it holds a masternode's key: the proof.
    pub masternode: Option<LinkProof>,
}

crate::wire!(Hello, MAX_HANDSHAKE_BYTES, 4 * MAX_HANDSHAKE_BYTES);

/// Why a `Hello` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// No `Hello` at all.
    #[error(transparent)]
    Encoding(#[from] CodecError),
    /// Another version of the protocol.
    #[error("protocol {0} is not known")]
    UnknownProtocol(u32),
    /// Another chain.
    #[error("it is on the chain {0}")]
    WrongChain(ChainId),
    /// One's own.
    #[error("it is this node")]
    SelfConnection,
    /// One's own node key, and another node.
    #[error("another node uses this node's key")]
    SameKey,
    /// Another node id than the handshake's.
    #[error("it says {said}, its handshake {proved}")]
    OtherNode {
        /// In `Hello`.
        said: NodeId,
        /// In the handshake.
        proved: NodeId,
    },
    /// A text too long or with characters that do not print.
    #[error("its {0} is too long or does not print")]
    BadText(&'static str),
    /// The consensus key did not sign this link.
    #[error("no proof that it holds the key {0}")]
    BadProof(PublicKey),
}

impl HelloError {
    /// Whether the other end provably broke the protocol.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Encoding(_) | Self::OtherNode { .. } | Self::BadText(_) | Self::BadProof(_))
    }

    /// What the other end is told.
    pub(super) fn to_tell(&self) -> CloseReason {
        match self {
            Self::UnknownProtocol(_) => CloseReason::UnknownProtocol,
            Self::WrongChain(_) => CloseReason::WrongChain,
            Self::SelfConnection => CloseReason::SelfConnection,
            Self::SameKey => CloseReason::SameKey,
            Self::Encoding(_) | Self::OtherNode { .. } | Self::BadText(_) | Self::BadProof(_) => CloseReason::Fault,
        }
    }
}

/// What a `Hello` is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// This node's chain.
    pub chain: ChainId,
    /// This node.
    pub own_id: NodeId,
    /// Its own nonce.
    pub own_nonce: u64,
    /// The node that the handshake proved.
    pub proved: NodeId,
    /// The sender's role.
    pub role: Role,
    /// The handshake's hash.
    pub handshake_hash: &'a [u8; 32],
}

impl Hello {
    /// Checks what the other end says.
    ///
    /// # Errors
    /// [`HelloError`]: the first rule broken.
    pub fn check(&self, expected: Expected<'_>) -> Result<(), HelloError> {
        if self.protocol != PROTOCOL {
            return Err(HelloError::UnknownProtocol(self.protocol));
        }
        if self.chain_id != expected.chain {
            return Err(HelloError::WrongChain(self.chain_id));
        }
        if self.node_id != expected.proved {
            return Err(HelloError::OtherNode { said: self.node_id, proved: expected.proved });
        }
        if self.nonce == expected.own_nonce {
            return Err(HelloError::SelfConnection);
        }
        if self.node_id == expected.own_id {
            return Err(HelloError::SameKey);
        }
        if !is_printable(&self.agent, MAX_AGENT_BYTES) {
            return Err(HelloError::BadText("agent"));
        }
        if self.listen.as_deref().is_some_and(|listen| !is_printable(listen, MAX_ENDPOINT_BYTES)) {
            return Err(HelloError::BadText("listen"));
        }
        let Some(LinkProof { consensus_key: key, signature }) = self.masternode else { return Ok(()) };
        let digest = link_digest(&expected.chain, expected.role, expected.handshake_hash);
        let is_signed = batch::verify(&SignatureCheck { key, digest, signature });
        if is_signed { Ok(()) } else { Err(HelloError::BadProof(key)) }
    }
}

/// Whether it may go into a log as it is.
fn is_printable(text: &str, limit: usize) -> bool {
    text.len() <= limit && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::{decode, encode};
    use crate::types::keys::{SecretKey, Signature};

    const CHAIN: ChainId = ChainId([7; 32]);
    const HASH: [u8; 32] = [9; 32];

    fn node(n: u8) -> NodeId {
        NodeId(SecretKey::from_bytes(&[n; 32]).public_key())
    }

    fn proof(chain: ChainId, role: Role, hash: [u8; 32]) -> LinkProof {
        let key = SecretKey::from_bytes(&[3; 32]);
        LinkProof { consensus_key: key.public_key(), signature: key.sign(&link_digest(&chain, role, &hash)) }
    }

    fn good() -> Hello {
        Hello {
            protocol: PROTOCOL,
            chain_id: CHAIN,
            node_id: node(2),
            listen: Some("192.0.2.1:24000".into()),
            tip: Height::new(5),
            time: TimeMs(1),
            agent: "timed/0.1.0".into(),
            nonce: 2,
            masternode: Some(proof(CHAIN, Role::Initiator, HASH)),
        }
    }

    fn check(change: impl FnOnce(&mut Hello)) -> Result<(), HelloError> {
        let mut hello = good();
        change(&mut hello);
        hello.check(Expected {
            chain: CHAIN,
            own_id: node(1),
            own_nonce: 1,
            proved: node(2),
            role: Role::Initiator,
            handshake_hash: &HASH,
        })
    }

    #[test]
    fn only_the_proved_node_on_this_chain_and_protocol_is_welcome() {
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|h| h.masternode = None), Ok(()));
        assert_eq!(check(|h| h.protocol = 2), Err(HelloError::UnknownProtocol(2)));
        let other = ChainId([8; 32]);
        assert_eq!(check(|h| h.chain_id = other), Err(HelloError::WrongChain(other)));
        assert_eq!(check(|h| h.nonce = 1), Err(HelloError::SelfConnection));
        let said = node(1);
        assert_eq!(check(|h| h.node_id = said), Err(HelloError::OtherNode { said, proved: node(2) }));
    }

    #[test]
    fn a_second_node_with_the_same_key_is_told_from_oneself() {
        let expected = Expected {
            chain: CHAIN,
            own_id: node(2),
            own_nonce: 1,
            proved: node(2),
            role: Role::Initiator,
            handshake_hash: &HASH,
        };
        assert_eq!(good().check(expected), Err(HelloError::SameKey));
    }

    #[test]
    fn a_masternodes_proof_holds_for_one_end_of_one_link_of_one_chain() {
        let key = SecretKey::from_bytes(&[3; 32]).public_key();
        for bad in [
            proof(ChainId([8; 32]), Role::Initiator, HASH),
            proof(CHAIN, Role::Responder, HASH),
            proof(CHAIN, Role::Initiator, [8; 32]),
            LinkProof { consensus_key: key, signature: Signature([0; 64]) },
        ] {
            assert_eq!(check(|h| h.masternode = Some(bad)), Err(HelloError::BadProof(key)));
        }
    }

    #[test]
    fn texts_are_short_and_printable() {
        assert_eq!(check(|h| h.agent = "a".repeat(MAX_AGENT_BYTES)), Ok(()));
        assert_eq!(check(|h| h.agent = "a".repeat(MAX_AGENT_BYTES + 1)), Err(HelloError::BadText("agent")));
        assert_eq!(check(|h| h.agent = "a\nb".into()), Err(HelloError::BadText("agent")));
        assert_eq!(check(|h| h.listen = Some("\u{1b}[2J".into())), Err(HelloError::BadText("listen")));
    }

    #[test]
    fn the_longest_hello_fits_the_limit_of_the_handshake() {
        let mut hello = good();
        hello.agent = "a".repeat(MAX_AGENT_BYTES);
        hello.listen = Some("a".repeat(MAX_ENDPOINT_BYTES));
        (hello.tip, hello.time, hello.nonce) = (Height::MAX, TimeMs(u64::MAX), u64::MAX);
        let bytes = encode(&hello);
        assert!(bytes.len() <= MAX_HANDSHAKE_BYTES);
        assert_eq!(decode::<Hello>(&bytes).unwrap(), hello);
    }
}
