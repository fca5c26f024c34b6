//! Finality proofs: receipts of a quorum for one transaction, cut from batches, checked offline (`protocol.md` 6).

use super::tally::Tally;
use crate::crypto::batch::{SignatureCheck, verify_all};
use crate::limits::MAX_BATCH_TXIDS;
use crate::types::hash::{ChainId, Hash, Txid};
use crate::types::keys::PublicKey;
use crate::types::merkle;
use crate::types::number::Weight;
use crate::types::validators::ValidatorSet;
use crate::types::vote::{FinalityKind, FinalityProof, Receipt, VoteBatch, finality_digest};
use std::cmp::Reverse;

/// Why a finality proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A voter appears twice, or before a smaller key.
    #[error("the receipts are not in ascending order of their voters, each once: {voter} is out of order")]
    Unordered {
        /// The voter out of order.
        voter: PublicKey,
    },
    /// A voter is not a member of the epoch's set.
    #[error("{voter} is not in the validator set")]
    Stranger {
        /// The voter.
        voter: PublicKey,
    },
    /// A path that no batch has: index, size and length do not fit one another.
    #[error("the path in the receipt of {voter} does not fit its batch")]
    BadPath {
        /// The voter.
        voter: PublicKey,
    },
    /// A signature does not cover the transaction at its place, for this chain and epoch.
    #[error("the receipt of {voter} is not signed by it")]
    BadSignature {
        /// The voter.
        voter: PublicKey,
    },
    /// Fewer than two thirds of the set's weight.
    #[error("receipts of weight {weight} are not a quorum of {total}")]
    NoQuorum {
        /// Weight of the receipts.
        weight: Weight,
        /// Weight of the set.
        total: Weight,
    },
}

/// The proof of `txid` if receipts of a quorum are in `tally`: as few as can be, the heaviest voters first, the
/// smaller key where they weigh the same.
pub(super) fn cut(tally: &Tally, txid: &Txid) -> Option<FinalityProof> {
    if !tally.has_quorum(txid, FinalityKind::Receipt) {
        return None;
    }
    let set = tally.set();
    let mut signed: Vec<_> = tally.signed(txid, FinalityKind::Receipt).collect();
    signed.sort_by_key(|(position, _)| (Reverse(set.members()[*position].weight), *position));
    let mut weight = Weight::ZERO;
    let needed = signed.iter().position(|(position, _)| {
        weight = weight.checked_add(set.members()[*position].weight).unwrap_or(Weight::MAX);
        weight.is_quorum_of(set.total())
    })?;
    signed.truncate(needed + 1);
    signed.sort_by_key(|(position, _)| *position);
    let receipts = signed.into_iter().map(|(_, batch)| receipt(batch, txid)).collect::<Option<_>>()?;
    Some(FinalityProof { txid: *txid, epoch: tally.epoch(), receipts })
}

fn receipt(batch: &VoteBatch, txid: &Txid) -> Option<Receipt> {
    let index = batch.txids.iter().position(|named| named == txid)?;
    Some(Receipt {
        voter: batch.voter,
        index: u32::try_from(index).ok()?,
        count: u32::try_from(batch.txids.len()).ok()?,
        path: merkle::path(batch.txids.iter().map(|named| named.as_bytes()), index)?,
        signature: batch.signature,
    })
}

/// Checks a proof against the set of its epoch and returns the weight of its receipts, which is a quorum. Needs no
/// state, so anyone who trusts `set` can do it offline. That `set` is the set of `proof.epoch` is the caller's to
/// know.
///
/// # Errors
/// [`ProofError`] for the first thing that is wrong: order of voters, strangers, paths, weight, then signatures.
pub fn verify_proof(proof: &FinalityProof, chain: &ChainId, set: &ValidatorSet) -> Result<Weight, ProofError> {
    if let Some(pair) = proof.receipts.windows(2).find(|pair| pair[0].voter >= pair[1].voter) {
        return Err(ProofError::Unordered { voter: pair[1].voter });
    }
    let mut weight = Weight::ZERO;
    let mut checks = Vec::new();
    for receipt in &proof.receipts {
        let voter = receipt.voter;
        let member = set.get(&voter).ok_or(ProofError::Stranger { voter })?;
        let root = root(receipt, &proof.txid).ok_or(ProofError::BadPath { voter })?;
        let digest = finality_digest(chain, proof.epoch, FinalityKind::Receipt, &voter, &root);
        checks.push(SignatureCheck { key: voter, digest, signature: receipt.signature });
        // Distinct members of a set whose total fits.
        weight = weight.checked_add(member.weight).unwrap_or(Weight::MAX);
    }
    if !weight.is_quorum_of(set.total()) {
        return Err(ProofError::NoQuorum { weight, total: set.total() });
    }
    match verify_all(&checks).iter().position(|is_true| !is_true) {
        Some(index) => Err(ProofError::BadSignature { voter: checks[index].key }),
        None => Ok(weight),
    }
}

fn root(receipt: &Receipt, txid: &Txid) -> Option<Hash> {
    let fits_a_batch = usize::try_from(receipt.count).is_ok_and(|count| count <= MAX_BATCH_TXIDS);
    fits_a_batch.then(|| merkle::root_of_path(txid.as_bytes(), receipt.index, receipt.count, &receipt.path))?
}
