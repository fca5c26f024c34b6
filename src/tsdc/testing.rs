//! Small sets, blocks, votes and proposals for this module's tests.

use crate::chain::spec::{Chain, ChainSpec, GenesisMasternode};
use crate::types::block::{BftKind, BftVote, Header, PrepareProof, Proposal};
use crate::types::hash::{BlockHash, ChainId, Hash, MasternodeId};
use crate::types::keys::{PublicKey, Signature};
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height, Slot, View, Weight};
use crate::types::validators::{Validator, ValidatorSet};
use crate::types::verified::Verified;
use std::sync::Arc;

pub(super) const HEIGHT: Height = Height::new(7);

/// The key of the member at this position.
pub(super) fn key(position: usize) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(position as u64).to_be_bytes());
    PublicKey(bytes)
}

pub(super) fn set_of(weights: &[u64]) -> Arc<ValidatorSet> {
    let member = |(position, weight): (usize, &u64)| Validator {
        id: MasternodeId::ZERO,
        consensus_key: key(position),
        weight: Weight::new(*weight),
        payout: Lock::KeyHash([0; 32]),
    };
    Arc::new(ValidatorSet::new(weights.iter().enumerate().map(member).collect()).unwrap())
}

/// The dev chain with one genesis masternode, so that it can run.
pub(super) fn chain() -> Chain {
    let mut spec = ChainSpec::builtin("dev").unwrap();
    spec.masternodes.push(GenesisMasternode {
        consensus_key: key(0),
        owner: Lock::KeyHash([0; 32]),
        payout: Lock::KeyHash([0; 32]),
        tier: spec.tiers[0].name.clone(),
        endpoint: String::new(),
    });
    Chain::new(spec).unwrap()
}

/// A hash that is no block's here.
pub(super) fn block(tag: u8) -> BlockHash {
    BlockHash([tag; 32])
}

/// A header told apart by `tag`.
pub(super) fn header(tag: u64) -> Header {
    Header {
        version: 1,
        chain_id: ChainId::ZERO,
        height: HEIGHT,
        slot: Slot::new(9),
        opened: tag,
        prev: BlockHash::ZERO,
        tx_root: Hash::ZERO,
        tx_count: 0,
        state_root: Hash::ZERO,
        last_commit_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        beacon: Hash::ZERO,
        proposer: PublicKey::default(),
        reward: Amount::ZERO,
    }
}

/// A signature that stands for `position` voting for `value`: signatures were checked before.
pub(super) fn signature(position: usize, value: Option<BlockHash>) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&value.map_or([0; 32], |hash| hash.0));
    bytes[32..].copy_from_slice(&key(position).0);
    Signature(bytes)
}

pub(super) fn vote(position: usize, view: u32, kind: BftKind, value: Option<BlockHash>) -> Arc<Verified<BftVote>> {
    Arc::new(Verified::seal(BftVote {
        height: HEIGHT,
        view: View::new(view),
        kind,
        block_hash: value,
        voter: key(position),
        signature: signature(position, value),
    }))
}

/// Prepares of `positions` for `value`, out of a set of `len`.
pub(super) fn prepares(len: usize, positions: &[usize], view: u32, value: BlockHash) -> PrepareProof {
    let entry = |position| positions.contains(&position).then(|| signature(position, Some(value)));
    PrepareProof { view: View::new(view), signatures: (0..len).map(entry).collect() }
}

pub(super) fn proposal(
    leader: PublicKey,
    view: u32,
    header: Header,
    proof: Option<PrepareProof>,
) -> Arc<Verified<Proposal>> {
    Arc::new(Verified::seal(Proposal {
        view: View::new(view),
        proof,
        header,
        txids: Vec::new(),
        last_commit: None,
        evidence: Vec::new(),
        vdf: None,
        leader,
        signature: Signature([0; 64]),
    }))
}
