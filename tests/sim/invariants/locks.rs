//! Locks (`protocol.md` 7.4), on which S1 rests: who precommitted a block prepares another one at that height only where
//! that is offered with the prepares of a quorum of the same view or a later one (arXiv 1807.04938, lines 23 and 29).
//! Judged by what comes out of honest signers, so across restarts too.

use super::committee::Committee;
use super::digest;
use super::report::Report;
use super::signatures::{Claim, Signatures};
use std::collections::HashMap;
use timed::types::block::{BftKind, BftVote, Proposal};
use timed::types::hash::{BlockHash, ChainId};
use timed::types::keys::PublicKey;

/// What honest masternodes are bound to, and what frees them.
#[derive(Default)]
pub struct Locks {
    /// By key and height: view and block of the last precommit of a block.
    precommitted: HashMap<(PublicKey, u64), (u32, BlockHash)>,
    /// By block and view of the offer: the latest view in which a quorum prepared the block, as an offer proved.
    proved: HashMap<(BlockHash, u32), u32>,
}

impl Locks {
    /// A proposal of the block `hash` was put on a wire; `committee` signs its height.
    pub fn learn(
        &mut self,
        chain: &ChainId,
        committee: &Committee,
        proposal: &Proposal,
        hash: BlockHash,
        sigs: &mut Signatures,
    ) {
        let Some(proof) = &proposal.proof else { return };
        let (offer, view) = ((hash, proposal.view.get()), proof.view.get());
        if self.proved.get(&offer).is_some_and(|known| *known >= view) || view >= offer.1 {
            return;
        }
        let height = proposal.header.height.get();
        let digest = digest::of_bft(chain, height, view, BftKind::Prepare, Some(hash));
        let entries = committee.members.iter().zip(&proof.signatures);
        let signed = entries.filter_map(|(m, entry)| entry.map(|signature| (m, signature)));
        let valid = signed.filter(|(m, s)| sigs.check(Claim { key: m.consensus_key, digest, signature: *s }));
        let weight = valid.map(|(m, _)| u128::from(m.weight.get())).sum();
        if committee.is_quorum(weight) {
            self.proved.insert(offer, view);
        }
    }

    /// A prepare or precommit came out of an honest signer.
    pub fn release(&mut self, vote: &BftVote, report: &mut Report) {
        let Some(hash) = vote.block_hash else { return };
        let (view, place) = (vote.view.get(), (vote.voter, vote.height.get()));
        match vote.kind {
            BftKind::Precommit => {
                let last = self.precommitted.entry(place).or_insert((view, hash));
                if last.0 <= view {
                    *last = (view, hash);
                }
            }
            BftKind::Prepare => {
                let lock = self.precommitted.get(&place).filter(|(at, locked)| *at < view && *locked != hash);
                let Some((at, locked)) = lock else { return };
                let proved = self.proved.get(&(hash, view));
                report.expect("lock", proved.is_some_and(|proved| proved >= at), || {
                    format!(
                        "{:?} precommitted {locked:?} at height {}, view {at}, and prepared {hash:?} at view {view} on a \
                         proof of {proved:?}",
                        vote.voter, vote.height
                    )
                });
            }
        }
    }
}
