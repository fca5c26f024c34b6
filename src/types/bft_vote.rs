//! Votes on blocks: prepares and precommits (`protocol.md` 7.4).

use super::codec::encode_into;
use super::hash::{BlockHash, ChainId, Domain, Hash};
use super::keys::{PublicKey, Signature};
use super::number::{Height, View};
use bincode::{Decode, Encode};

/// The two kinds of votes on blocks; the paper's prevote and precommit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum BftKind {
    /// Prevote.
    Prepare,
    /// Precommit.
    Precommit,
}

/// A vote for a block, or for none, at one view of one height.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct BftVote {
    /// Height voted on.
    pub height: Height,
    /// View voted in.
    pub view: View,
    /// Prepare or precommit.
    pub kind: BftKind,
    /// The block, or `None` for nil.
    pub block_hash: Option<BlockHash>,
    /// Consensus key of the signer.
    pub voter: PublicKey,
    /// Over [`bft_digest`].
    pub signature: Signature,
}

crate::wire!(BftVote, 192, 512);

/// What a prepare or precommit signs.
pub fn bft_digest(chain: &ChainId, height: Height, view: View, kind: BftKind, block_hash: Option<BlockHash>) -> Hash {
    let mut bytes = chain.0.to_vec();
    encode_into(&(height, view, kind, block_hash), &mut bytes);
    Domain::BFT_VOTE.hash(&bytes)
}

impl BftVote {
    /// What `signature` covers.
    pub fn digest(&self, chain: &ChainId) -> Hash {
        bft_digest(chain, self.height, self.view, self.kind, self.block_hash)
    }
}
