//! Who a coinbase pays, and how much (`protocol.md` 8).

use super::committee::Committee;
use timed::types::block::Commit;
use timed::types::keys::PublicKey;
use timed::types::number::Amount;
use timed::types::transaction::TxOut;

/// The outputs of the coinbase of a block worth `reward`, built by `proposer` of the set `own`, whose parent was
/// signed by `last_commit` of the set `parent`.
pub fn outputs(
    reward: u64,
    proposer_bps: u64,
    parent: &Committee,
    last_commit: Option<&Commit>,
    own: &Committee,
    proposer: &PublicKey,
) -> Vec<TxOut> {
    let reward = u128::from(reward);
    let for_proposer = reward * u128::from(proposer_bps) / 10_000;
    let signed = |i: usize| last_commit.is_some_and(|c| c.signatures.get(i).is_some_and(Option::is_some));
    let earned = |weight: u128| (reward - for_proposer) * weight / parent.total;

    let mut signed_weight = 0;
    let mut proposers_own = 0;
    let mut others = Vec::new();
    for (i, member) in parent.members.iter().enumerate() {
        if !signed(i) {
            continue;
        }
        let weight = u128::from(member.weight.get());
        signed_weight += weight;
        if member.consensus_key == *proposer {
            proposers_own = earned(weight);
        } else {
            others.push((earned(weight), member.payout));
        }
    }
    let bonus = for_proposer * signed_weight / parent.total;
    let first = own.member(proposer).map(|m| (bonus + proposers_own, m.payout));
    let paid = first.into_iter().chain(others).filter(|(value, _)| *value > 0);
    // A part of a reward that is a `u64`.
    paid.map(|(value, lock)| TxOut { value: Amount::new(u64::try_from(value).unwrap_or(u64::MAX)), lock }).collect()
}
