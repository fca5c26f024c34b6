//! What a block does to the registry: evidence, then payloads in txid order, then, if it closes its epoch, the
//! boundary (`protocol.md` 4 and 11). A payload whose ground is gone does nothing.

use super::error::BlockError;
use crate::chain::registry::{Registry, Slashed};
use crate::chain::spec::ChainSpec;
use crate::ledger::VerifiedTx;
use crate::ledger::verify::check_evidence_order;
use crate::ledger::witness::Authority;
use crate::types::evidence::Evidence;
use crate::types::number::{Epoch, Height};
use crate::types::verified::Verified;

/// Punishes each signer.
pub(super) fn punish(
    spec: &ChainSpec,
    registry: &mut Registry,
    evidence: &[Verified<Evidence>],
) -> Result<Vec<Slashed>, BlockError> {
    check_evidence_order(evidence.iter().map(|piece| &**piece)).map_err(BlockError::Evidence)?;
    let punished = evidence.iter().map(|piece| {
        let voter = piece.voter();
        registry.slash(spec, &voter).ok_or(BlockError::NothingToPunish { voter })
    });
    punished.collect()
}

/// Applies the payloads of `txs`. Returns the position of each transaction that needs an owner's consent, with the
/// owner as of its turn; ascending.
///
/// An owner never changes while there is a record, so what is returned depends on the bodies only, and so does the
/// registry: two encodings of one body cannot lead to two states.
pub(super) fn apply_payloads(
    spec: &ChainSpec,
    registry: &mut Registry,
    height: Height,
    epoch: Epoch,
    txs: &[VerifiedTx],
) -> Vec<(usize, Authority)> {
    let mut authorities = Vec::new();
    for (position, tx) in txs.iter().enumerate() {
        let authority = Authority::of(registry, &tx.body().payload);
        if authority != Authority::None {
            authorities.push((position, authority));
        }
        registry.apply(spec, height, epoch, tx.txid(), tx.body());
    }
    authorities
}
