//! What makes two votes contradict each other (`protocol.md` 11).
//!
//! An honest masternode signs one value for each height, view and kind, and one finality vote for an outpoint in an
//! epoch; so evidence that passes here never names an honest one.

use super::VerifyError;
use crate::chain::spec::Chain;
use crate::crypto::batch::SignatureCheck;
use crate::limits::MAX_BATCH_TXIDS;
use crate::types::codec::encode;
use crate::types::evidence::{BftPart, Evidence};
use crate::types::keys::PublicKey;
use crate::types::merkle::root_of_path;
use crate::types::number::Epoch;
use crate::types::transaction::OutPoint;
use crate::types::vote::{FinalityKind, VotePart, finality_digest};
use std::collections::BTreeSet;

/// Checks all but the two signatures, and lists those.
pub(super) fn check(chain: &Chain, evidence: &Evidence) -> Result<[SignatureCheck; 2], VerifyError> {
    match evidence {
        Evidence::Bft { voter, a, b } => of_bft(chain, voter, a, b),
        Evidence::Finality { voter, epoch, a, b } => of_votes(chain, voter, *epoch, a, b),
    }
}

fn of_bft(chain: &Chain, voter: &PublicKey, a: &BftPart, b: &BftPart) -> Result<[SignatureCheck; 2], VerifyError> {
    let same_step = (a.height, a.view, a.kind) == (b.height, b.view, b.kind);
    if !same_step || a.block_hash == b.block_hash || encode(a) >= encode(b) {
        return Err(VerifyError::NoContradiction { voter: *voter });
    }
    let claim =
        |part: &BftPart| SignatureCheck { key: *voter, digest: part.digest(&chain.id()), signature: part.signature };
    Ok([claim(a), claim(b)])
}

fn of_votes(
    chain: &Chain,
    voter: &PublicKey,
    epoch: Epoch,
    a: &VotePart,
    b: &VotePart,
) -> Result<[SignatureCheck; 2], VerifyError> {
    let spent: BTreeSet<&OutPoint> = a.body.inputs.iter().collect();
    let shares_input = b.body.inputs.iter().any(|outpoint| spent.contains(outpoint));
    if !shares_input || a.body == b.body || encode(a) >= encode(b) {
        return Err(VerifyError::NoContradiction { voter: *voter });
    }
    let claim = |part: &VotePart| {
        let in_a_batch = usize::try_from(part.count).is_ok_and(|count| count <= MAX_BATCH_TXIDS);
        let root = root_of_path(&part.body.txid().0, part.index, part.count, &part.path);
        let root = root.filter(|_| in_a_batch).ok_or(VerifyError::BadPath { voter: *voter })?;
        let digest = finality_digest(&chain.id(), epoch, FinalityKind::Vote, voter, &root);
        Ok(SignatureCheck { key: *voter, digest, signature: part.signature })
    };
    Ok([claim(a)?, claim(b)?])
}
