//! Cutting the proof of a double vote from two batches (`protocol.md` 11).

use super::tally::Tally;
use crate::types::evidence::Evidence;
use crate::types::keys::PublicKey;
use crate::types::merkle;
use crate::types::transaction::TxBody;
use crate::types::vote::VotePart;
use std::collections::BTreeSet;

/// Evidence that `voter` voted for `one` and `other` in the epoch of `tally`, if it did and they are rivals.
pub(super) fn cut(tally: &Tally, voter: &PublicKey, one: &TxBody, other: &TxBody) -> Option<Evidence> {
    let spent: BTreeSet<_> = one.inputs.iter().collect();
    let are_rivals = one != other && other.inputs.iter().any(|outpoint| spent.contains(outpoint));
    if !are_rivals {
        return None;
    }
    let (one, other) = (part(tally, voter, one)?, part(tally, voter, other)?);
    Some(Evidence::of_votes(*voter, tally.epoch(), one, other))
}

fn part(tally: &Tally, voter: &PublicKey, body: &TxBody) -> Option<VotePart> {
    let txid = body.txid();
    let batch = tally.vote_of(voter, &txid)?;
    let index = batch.txids.iter().position(|named| *named == txid)?;
    Some(VotePart {
        body: body.clone(),
        index: u32::try_from(index).ok()?,
        count: u32::try_from(batch.txids.len()).ok()?,
        path: merkle::path(batch.txids.iter().map(|named| named.as_bytes()), index)?,
        signature: batch.signature,
    })
}
