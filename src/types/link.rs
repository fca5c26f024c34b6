//! What the two ends of a link sign to each other (`protocol.md` 10): a node its Noise key, a masternode this one link.

use super::hash::{ChainId, Domain, Hash};
use super::keys::{PublicKey, Signature};
use bincode::{Decode, Encode};
use std::fmt;

/// The Ed25519 key of a node: who is at the other end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct NodeId(pub PublicKey);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Which end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// It dialed.
    Initiator,
    /// It was dialed.
    Responder,
}

impl Role {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    /// The byte in what is signed.
    fn byte(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }
}

/// What a node key signs of the Noise static key of its end: `H("noise static", chain_id || role || key)`.
pub fn noise_static_digest(chain: &ChainId, role: Role, noise_key: &[u8; 32]) -> Hash {
    Domain::NOISE_STATIC.hash_all(&[chain.as_bytes(), &[role.byte()], noise_key])
}

/// What a consensus key signs of a link: `H("link", chain_id || role || handshake hash)`.
pub fn link_digest(chain: &ChainId, role: Role, handshake_hash: &[u8; 32]) -> Hash {
    Domain::LINK.hash_all(&[chain.as_bytes(), &[role.byte()], handshake_hash])
}

/// A masternode's word that it holds one end of one link. The handshake hash is another one in every link, so the
/// proof is of no use anywhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct LinkProof {
    /// The masternode's consensus key.
    pub consensus_key: PublicKey,
    /// Over [`link_digest`] with the role of its own end.
    pub signature: Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId([7; 32]);

    #[test]
    fn what_is_signed_names_its_purpose_the_chain_and_the_end() {
        let expected = |context: &str, role: u8| {
            let bytes = [&[7; 32][..], &[role], &[9; 32]].concat();
            Hash(blake3::derive_key(context, &bytes))
        };
        for (role, byte) in [(Role::Initiator, 0), (Role::Responder, 1)] {
            assert_eq!(noise_static_digest(&CHAIN, role, &[9; 32]), expected("timecoin v1 noise static", byte));
            assert_eq!(link_digest(&CHAIN, role, &[9; 32]), expected("timecoin v1 link", byte));
        }
    }
}
