//! The end of an epoch: who enters the next set and who leaves (`protocol.md` 4).

use super::{Masternode, MasternodeState, Registry};
use crate::chain::spec::ChainSpec;
use crate::limits::MAX_VALIDATORS;
use crate::types::hash::MasternodeId;
use crate::types::number::{Epoch, Weight};

impl Registry {
    /// Ends the epoch `closing`, whose last block is signed by a set of the weight `signing_total`.
    ///
    /// The slashed go first. Then who asked to leave, then who waits to enter, each in order of asking, as far as
    /// `churn_bps` of the weight lets them; the first always may, so that the largest can move too. Last, records whose
    /// unbonding ends go. No removal leaves the set empty, and none enters a set of [`MAX_VALIDATORS`], because a
    /// larger one's commits would not fit the wire.
    pub fn boundary(&mut self, spec: &ChainSpec, closing: Epoch, signing_total: Weight) {
        let unbonding = MasternodeState::Unbonding { until_epoch: spec.unbonded_from(closing) };
        let mut members = self.iter().filter(|m| m.is_member()).count();

        for turn in self.in_turn(|m| m.slashed && !matches!(m.state, MasternodeState::Unbonding { .. })) {
            if turn.is_member {
                if members == 1 {
                    continue;
                }
                members -= 1;
            }
            self.change(&turn.id, |m| m.state = unbonding);
        }

        let budget = u128::from(signing_total.get()) * u128::from(spec.churn_bps) / 10_000;
        let mut moved: u128 = 0;
        let leaving = self.in_turn(|m| m.state == MasternodeState::Leaving);
        let queued = self.in_turn(|m| m.state == MasternodeState::Queued);
        for turn in leaving.into_iter().chain(queued) {
            let weight = u128::from(turn.weight.get());
            if moved > 0 && moved + weight > budget {
                break;
            }
            if turn.is_member {
                if members == 1 {
                    continue;
                }
                members -= 1;
                self.change(&turn.id, |m| m.state = unbonding);
            } else {
                if members >= MAX_VALIDATORS {
                    break;
                }
                members += 1;
                self.change(&turn.id, |m| m.state = MasternodeState::Active);
            }
            moved += weight;
        }

        let over = |epoch: Epoch| epoch <= closing.next();
        for turn in self.in_turn(|m| matches!(m.state, MasternodeState::Unbonding { until_epoch: u } if over(u))) {
            self.write().remove(&turn.id);
        }
    }

    /// The records that `wanted` picks, by `(queued_at, id)`.
    fn in_turn(&self, wanted: impl Fn(&Masternode) -> bool) -> Vec<Turn> {
        let mut records: Vec<&Masternode> = self.iter().filter(|m| wanted(m)).collect();
        records.sort_by_key(|m| (m.queued_at, m.id));
        records.into_iter().map(|m| Turn { id: m.id, weight: m.weight, is_member: m.is_member() }).collect()
    }
}

/// A record whose turn it is, as it was when the line formed.
struct Turn {
    id: MasternodeId,
    weight: Weight,
    is_member: bool,
}
