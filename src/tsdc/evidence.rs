//! Double votes on blocks, as evidence (`protocol.md` 11).

use crate::types::evidence::{BftPart, Evidence};
use crate::types::keys::PublicKey;
use std::collections::BTreeSet;

/// Who was seen to vote twice at this height. One piece of evidence a voter is enough: it is slashed once.
#[derive(Debug, Default)]
pub(super) struct Equivocators(BTreeSet<PublicKey>);

impl Equivocators {
    /// Evidence of the two votes, the first time for this voter.
    pub fn evidence(&mut self, voter: PublicKey, one: &BftPart, other: &BftPart) -> Option<Evidence> {
        self.0.insert(voter).then(|| Evidence::of_bft(voter, one.clone(), other.clone()))
    }
}
