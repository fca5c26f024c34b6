//! Proof that one consensus key signed two things of which an honest masternode signs one (`protocol.md` 11).

use super::bft_vote::{BftKind, bft_digest};
use super::codec::encode;
use super::hash::{BlockHash, ChainId, Domain, Hash};
use super::keys::{PublicKey, Signature};
use super::number::{Epoch, Height, View};
use super::vote::VotePart;
use crate::limits::MAX_TX_WIRE_BYTES;
use bincode::{Decode, Encode};

/// One side of a double vote on blocks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct BftPart {
    /// Height voted on.
    pub height: Height,
    /// View voted in.
    pub view: View,
    /// Prepare or precommit.
    pub kind: BftKind,
    /// The block or nil.
    pub block_hash: Option<BlockHash>,
    /// Over [`bft_digest`].
    pub signature: Signature,
}

impl BftPart {
    /// What `signature` covers.
    pub fn digest(&self, chain: &ChainId) -> Hash {
        bft_digest(chain, self.height, self.view, self.kind, self.block_hash)
    }
}

/// Two signed messages that cannot both be honest; `a` encodes smaller than `b`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[expect(clippy::large_enum_variant, reason = "a node holds a handful of them")]
pub enum Evidence {
    /// Two votes of one height, view and kind for different values.
    Bft {
        /// The signer.
        voter: PublicKey,
        /// The smaller encoding.
        a: BftPart,
        /// The larger encoding.
        b: BftPart,
    },
    /// Two votes of one epoch for transactions that spend one outpoint.
    Finality {
        /// The signer.
        voter: PublicKey,
        /// The epoch of both votes.
        epoch: Epoch,
        /// The smaller encoding.
        a: VotePart,
        /// The larger encoding.
        b: VotePart,
    },
}

crate::wire!(Evidence, 2 * MAX_TX_WIRE_BYTES + 4096, 8 * MAX_TX_WIRE_BYTES + 16384);

impl Evidence {
    /// Evidence of two votes on blocks, in canonical order.
    pub fn of_bft(voter: PublicKey, one: BftPart, other: BftPart) -> Self {
        let (a, b) = if encode(&one) <= encode(&other) { (one, other) } else { (other, one) };
        Self::Bft { voter, a, b }
    }

    /// Evidence of two finality votes, in canonical order.
    pub fn of_votes(voter: PublicKey, epoch: Epoch, one: VotePart, other: VotePart) -> Self {
        let (a, b) = if encode(&one) <= encode(&other) { (one, other) } else { (other, one) };
        Self::Finality { voter, epoch, a, b }
    }

    /// Who signed twice.
    pub fn voter(&self) -> PublicKey {
        match self {
            Self::Bft { voter, .. } | Self::Finality { voter, .. } => *voter,
        }
    }

    /// `H("evidence", encode(self))`.
    pub fn hash(&self) -> Hash {
        Domain::EVIDENCE.hash(&encode(self))
    }
}
