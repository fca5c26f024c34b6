//! The masternode key. It leaves this file in no form but signatures of what is [`Durable`], and of links and of claims to
//! hold it, which promise nothing and so need no record: domains of their own keep them from meaning anything else.

use super::durable::Durable;
use super::request::SignedMessage;
use crate::types::block::{BftKind, BftVote, Proposal};
use crate::types::hash::{BlockHash, ChainId, Txid};
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::link::{LinkProof, Role, link_digest};
use crate::types::number::{Epoch, Height, View};
use crate::types::presence::{Claim, Presence};
use crate::types::vote::{FinalityKind, VoteBatch};
use std::sync::Arc;

/// What the policy granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Statement {
    Proposal(Box<Proposal>),
    Bft { height: Height, view: View, kind: BftKind, block_hash: Option<BlockHash> },
    Batch { epoch: Epoch, kind: FinalityKind, txids: Vec<Txid> },
}

/// The key, for one chain.
#[derive(Debug)]
pub(super) struct Key {
    chain: ChainId,
    secret: SecretKey,
    public: PublicKey,
}

impl Key {
    pub(super) fn new(chain: ChainId, secret: SecretKey) -> Self {
        Self { chain, public: secret.public_key(), secret }
    }

    pub(super) fn public(&self) -> PublicKey {
        self.public
    }

    /// Deterministic, so a statement signed again gives the same message.
    pub(super) fn sign(&self, statement: Durable<Statement>) -> SignedMessage {
        match statement.into_inner() {
            Statement::Proposal(mut proposal) => {
                proposal.leader = self.public;
                proposal.signature = self.secret.sign(&proposal.digest(&self.chain));
                SignedMessage::Proposal(*proposal)
            }
            Statement::Bft { height, view, kind, block_hash } => {
                let mut vote =
                    BftVote { height, view, kind, block_hash, voter: self.public, signature: Signature([0; 64]) };
                vote.signature = self.secret.sign(&vote.digest(&self.chain));
                SignedMessage::Bft(vote)
            }
            Statement::Batch { epoch, kind, txids } => {
                let mut batch = VoteBatch { epoch, kind, voter: self.public, txids, signature: Signature([0; 64]) };
                batch.signature = self.secret.sign(&batch.digest(&self.chain));
                SignedMessage::Votes(batch)
            }
        }
    }
}

/// Proves for a masternode that it holds one end of a link, and that it runs, and can do nothing else with the key. Cheap to
/// clone; goes to where links are made, while the signer stays with the disk.
#[derive(Clone, Debug)]
pub struct LinkProver(Arc<Key>);

impl LinkProver {
    pub(super) fn new(key: Arc<Key>) -> Self {
        Self(key)
    }

    /// The proof for the end `role` of the link whose handshake had this hash.
    pub fn prove(&self, role: Role, handshake_hash: &[u8; 32]) -> LinkProof {
        let signature = self.0.secret.sign(&link_digest(&self.0.chain, role, handshake_hash));
        LinkProof { consensus_key: self.0.public, signature }
    }

    /// The word that a run holds the key.
    pub fn present(&self, claim: Claim) -> Presence {
        let signature = self.0.secret.sign(&claim.digest(&self.0.chain));
        Presence { key: self.0.public, claim, signature }
    }
}
