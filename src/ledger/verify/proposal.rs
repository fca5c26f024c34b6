//! What can be said of a proposal without the state: its parts are those its header commits to.
//!
//! The signature covers the header's hash, and through it the parts. Whoever relays a proposal with other parts is
//! found out here, except for the txids of a block with a coinbase, whose root is known once the coinbase is
//! recomputed.

use super::VerifyError;
use crate::chain::spec::Chain;
use crate::crypto::vdf;
use crate::types::block::{Header, Proposal, commit_root, evidence_root, tx_root};
use crate::types::evidence::Evidence;
use crate::types::number::{Amount, Height};
use std::collections::BTreeSet;

pub(super) fn check(chain: &Chain, proposal: &Proposal) -> Result<(), VerifyError> {
    let header = &proposal.header;
    check_header(chain, header)?;
    check_origin(proposal)?;
    check_transactions(proposal)?;
    check_commit(proposal)?;
    check_evidence_order(&proposal.evidence)?;
    if header.evidence_root != evidence_root(&proposal.evidence) {
        return Err(VerifyError::PartsDiffer { field: "evidence_root" });
    }
    if proposal.vdf.as_ref().is_some_and(|proof| header.beacon != vdf::beacon(proof)) {
        return Err(VerifyError::PartsDiffer { field: "beacon" });
    }
    Ok(())
}

/// What any header that somebody signs has to be.
pub(super) fn check_header(chain: &Chain, header: &Header) -> Result<(), VerifyError> {
    if header.version != 1 {
        return Err(VerifyError::HeaderVersion { found: header.version });
    }
    if header.chain_id != chain.id() {
        return Err(VerifyError::OtherChain { found: header.chain_id });
    }
    if header.height == Height::ZERO {
        return Err(VerifyError::GenesisProposed);
    }
    Ok(())
}

/// A fresh proposal is its leader's own; a proved one names whoever built the block first.
fn check_origin(proposal: &Proposal) -> Result<(), VerifyError> {
    let proposer = proposal.header.proposer;
    match proposal.proof_view() {
        Some(proof) if proof >= proposal.view => Err(VerifyError::ProofView { proof, view: proposal.view }),
        None if proposer != proposal.leader => Err(VerifyError::OtherProposer { leader: proposal.leader, proposer }),
        _ => Ok(()),
    }
}

fn check_transactions(proposal: &Proposal) -> Result<(), VerifyError> {
    let Proposal { header, txids, vdf, .. } = proposal;
    if let Some(pair) = txids.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(VerifyError::TxidOutOfOrder { txid: pair[1] });
    }
    let opens_slot = vdf.is_some();
    if u32::try_from(txids.len() + usize::from(opens_slot)) != Ok(header.tx_count) {
        return Err(VerifyError::TxCount { stated: header.tx_count, listed: txids.len() });
    }
    if !opens_slot && header.tx_root != tx_root(txids) {
        return Err(VerifyError::PartsDiffer { field: "tx_root" });
    }
    if !opens_slot && header.reward != Amount::ZERO {
        return Err(VerifyError::RewardWithoutSlot);
    }
    Ok(())
}

fn check_commit(proposal: &Proposal) -> Result<(), VerifyError> {
    let Proposal { header, last_commit, .. } = proposal;
    if header.last_commit_root != commit_root(last_commit.as_ref()) {
        return Err(VerifyError::PartsDiffer { field: "last_commit_root" });
    }
    match last_commit {
        Some(commit) if !stands_for_parent(header, commit.height) || commit.block_hash != header.prev => {
            Err(VerifyError::OtherBlock { height: commit.height, found: commit.block_hash })
        }
        _ => Ok(()),
    }
}

fn stands_for_parent(header: &Header, height: Height) -> bool {
    Some(height) == header.height.previous()
}

/// Strictly ascending by hash, one piece a signer.
pub(in crate::ledger) fn check_evidence_order<'a>(
    evidence: impl IntoIterator<Item = &'a Evidence>,
) -> Result<(), VerifyError> {
    let mut signers = BTreeSet::new();
    let mut last = None;
    for piece in evidence {
        let (voter, hash) = (piece.voter(), piece.hash());
        if !signers.insert(voter) || last.is_some_and(|last| last >= hash) {
            return Err(VerifyError::EvidenceOrder { voter });
        }
        last = Some(hash);
    }
    Ok(())
}
