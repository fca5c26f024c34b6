//! What runs of a node with a consensus key tell each other, so that no two sign with it at a time (`protocol.md` 12).

use super::codec::encode;
use super::hash::{ChainId, Domain, Hash};
use super::keys::{PublicKey, Signature};
use super::number::TimeMs;
use bincode::{Decode, Encode};

/// One run of a node, drawn at random when it starts: a restarted node has another, and so has a copy of its directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Run(pub [u8; 16]);

/// "This run holds the key": a question whether another run does, or the answer to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Claim {
    /// Who says it.
    pub run: Run,
    /// The run that asked, in an answer: what was said before that run began cannot name it.
    pub answers: Option<Run>,
    /// Whether it signs votes by now.
    pub is_signing: bool,
    /// How many claims this run made before.
    pub number: u32,
    /// When, by the clock of who says it: what is long ago is nobody's question any more.
    pub time: TimeMs,
}

impl Claim {
    /// What is signed: `H("presence", chain_id || encode(claim))`.
    pub fn digest(&self, chain: &ChainId) -> Hash {
        Domain::PRESENCE.hash_all(&[chain.as_bytes(), &encode(self)])
    }
}

/// A claim with the signature of the key that it speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Presence {
    /// The consensus key.
    pub key: PublicKey,
    /// The claim.
    pub claim: Claim,
    /// Over [`Claim::digest`].
    pub signature: Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_names_its_purpose_and_the_chain() {
        let claim =
            Claim { run: Run([1; 16]), answers: Some(Run([2; 16])), is_signing: true, number: 300, time: TimeMs(9) };
        let bytes = [&[7; 32][..], &[1; 16], &[1], &[2; 16], &[1], &[251, 44, 1], &[9]].concat();
        let expected = Hash(blake3::derive_key("timecoin v1 presence", &bytes));
        assert_eq!(claim.digest(&ChainId([7; 32])), expected);
    }
}
