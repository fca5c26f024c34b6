//! Who gets what of a block's reward (`protocol.md` 8).
//!
//! Who was silent is not paid, and what it would have earned is not minted: nobody gains by leaving a rival's
//! signature out, and a proposer gains by taking it in.

use crate::types::block::Commit;
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, Weight};
use crate::types::transaction::TxOut;
use crate::types::validators::{Validator, ValidatorSet};

/// What a coinbase pays to one masternode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Its consensus key.
    pub key: PublicKey,
    /// The output: what it earned, to its payout.
    pub out: TxOut,
}

/// Outputs of the coinbase of a slot-opening block worth `reward`, in order: see [`shares`]. Without a commit, at height
/// 1, there are none.
///
/// Their sum is at most `reward`.
pub fn coinbase_outputs(
    reward: Amount,
    proposer_bps: u64,
    parent_set: &ValidatorSet,
    last_commit: Option<&Commit>,
    own_set: &ValidatorSet,
    proposer: &PublicKey,
) -> Vec<TxOut> {
    let Some(commit) = last_commit else { return Vec::new() };
    let signed: Vec<bool> = commit.signatures.iter().map(Option::is_some).collect();
    shares(reward, proposer_bps, parent_set, &signed, own_set, proposer).into_iter().map(|share| share.out).collect()
}

/// Who gets what of `reward`, where `signed` says of each member of `parent_set` whether it signed the parent: first the
/// proposer, to its payout in the set that signs the block (`own_set`), with what it earned as a signer; then, in the
/// order of `parent_set`, the others that signed, to their payouts in that set. Zero amounts are left out.
///
/// A `proposer` outside `own_set`, which no valid block has, gets nothing.
pub fn shares(
    reward: Amount,
    proposer_bps: u64,
    parent_set: &ValidatorSet,
    signed: &[bool],
    own_set: &ValidatorSet,
    proposer: &PublicKey,
) -> Vec<Share> {
    let signers: Vec<&Validator> =
        parent_set.members().iter().zip(signed).filter_map(|(m, signed)| signed.then_some(m)).collect();
    let total = parent_set.total();
    let signed_weight = signers.iter().fold(0u128, |sum, m| sum + u128::from(m.weight.get()));

    let for_proposing = share(reward, u128::from(proposer_bps.min(10_000)), 10_000);
    let for_signing = Amount::new(reward.get().saturating_sub(for_proposing.get()));
    let earned = |weight: Weight| share(for_signing, weight.get().into(), total.get().into());

    let mut shares = Vec::with_capacity(1 + signers.len());
    if let Some(member) = own_set.get(proposer) {
        let as_signer =
            signers.iter().find(|m| m.consensus_key == *proposer).map_or(Amount::ZERO, |m| earned(m.weight));
        let as_proposer = share(for_proposing, signed_weight, total.get().into());
        // Two parts of one reward: the sum fits.
        let value = Amount::new(as_proposer.get().saturating_add(as_signer.get()));
        shares.push(Share { key: *proposer, out: TxOut { value, lock: member.payout } });
    }
    let others = signers.iter().filter(|m| m.consensus_key != *proposer);
    let of = |m: &&Validator| Share { key: m.consensus_key, out: TxOut { value: earned(m.weight), lock: m.payout } };
    shares.extend(others.map(of));
    shares.retain(|share| share.out.value > Amount::ZERO);
    shares
}

/// `floor(amount * part / whole)` for `part <= whole`; zero of nothing.
fn share(amount: Amount, part: u128, whole: u128) -> Amount {
    // `amount` and `part` are of 64 bits.
    let product = u128::from(amount.get()).saturating_mul(part);
    let share = product.checked_div(whole).unwrap_or(0);
    Amount::new(u64::try_from(share).unwrap_or(amount.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::vectors;
    use crate::types::hash::{BlockHash, MasternodeId};
    use crate::types::keys::Signature;
    use crate::types::lock::Lock;
    use crate::types::number::{Height, View};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(i: u8) -> PublicKey {
        PublicKey([i; 32])
    }

    /// Member `i` has key `i` and is paid to a lock that names it and the set's `mark`.
    fn set(weights: &[u64], mark: u8) -> ValidatorSet {
        let member = |(i, weight): (u8, &u64)| {
            let mut payout = [mark; 32];
            payout[0] = i;
            Validator {
                id: MasternodeId([i; 32]),
                consensus_key: key(i),
                weight: Weight::new(*weight),
                payout: Lock::KeyHash(payout),
            }
        };
        ValidatorSet::new((0..).zip(weights).map(member).collect()).unwrap()
    }

    fn payout(set: &ValidatorSet, i: u8) -> Lock {
        set.get(&key(i)).unwrap().payout
    }

    fn commit(signed: impl IntoIterator<Item = bool>) -> Commit {
        let signatures = signed.into_iter().map(|s| s.then_some(Signature([0; 64]))).collect();
        Commit { height: Height::new(1), view: View::ZERO, block_hash: BlockHash::ZERO, signatures }
    }

    #[test]
    fn the_split_is_that_of_the_vectors() {
        let vectors = vectors::get("reward_split");
        for vector in vectors.as_array().unwrap() {
            let numbers = |name: &str| -> Vec<u64> {
                vector[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
            };
            let weights = numbers("weights");
            let signers = numbers("signers");
            let parent = set(&weights, 1);
            // Without a position in the parent's set the proposer is new.
            let proposer = vector["proposer"].as_u64().map_or(200, |i| u8::try_from(i).unwrap());
            let own = set(&[5; 250], 2);
            let commit = commit((0..weights.len() as u64).map(|i| signers.contains(&i)));
            let reward = Amount::new(vector["reward"].as_u64().unwrap());
            let bps = vector["proposer_bps"].as_u64().unwrap();
            let paid: Vec<TxOut> = vector["paid"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| TxOut {
                    value: Amount::new(entry[1].as_u64().unwrap()),
                    lock: match entry[0].as_u64() {
                        Some(i) => payout(&parent, u8::try_from(i).unwrap()),
                        None => payout(&own, proposer),
                    },
                })
                .collect();
            assert_eq!(coinbase_outputs(reward, bps, &parent, Some(&commit), &own, &key(proposer)), paid);
        }
        assert_eq!(vectors.as_array().unwrap().len(), 10);
    }

    #[test]
    fn nobody_is_paid_before_anybody_signed() {
        let set = set(&[1, 2], 1);
        assert_eq!(coinbase_outputs(Amount::new(1_000_000), 1_000, &set, None, &set, &key(0)), []);
    }

    #[test]
    fn a_proposer_gains_by_each_signature_and_the_other_signers_by_none() {
        let set = set(&[10, 10, 10, 10], 1);
        let pays = |signed: [bool; 4]| {
            coinbase_outputs(Amount::new(1_000_000), 1_000, &set, Some(&commit(signed)), &set, &key(0))
        };
        let (full, short) = (pays([true; 4]), pays([true, true, true, false]));
        assert!(full[0].value > short[0].value);
        assert_eq!(full[1..3], short[1..3]);
    }

    proptest! {
        #[test]
        fn no_coinbase_exceeds_the_reward_and_a_full_commit_pays_it_but_for_rounding(
            reward: u64,
            bps in 0u64..=10_000,
            weights in prop::collection::vec(1u64..=u64::MAX / 64, 1..40),
            signed in prop::collection::vec(any::<bool>(), 40),
            proposer in 0u8..50,
        ) {
            let parent = set(&weights, 1);
            let own = set(&[1; 50], 2);
            let pays = |commit: &Commit| -> u128 {
                let outputs = coinbase_outputs(Amount::new(reward), bps, &parent, Some(commit), &own, &key(proposer));
                assert!(outputs.iter().all(|out| out.value > Amount::ZERO));
                outputs.iter().map(|out| u128::from(out.value.get())).sum()
            };
            // Exactly the part of the weight that signed, but for what each output is rounded down by.
            let total = u128::from(parent.total().get());
            let some = commit(signed[..weights.len()].iter().copied());
            let of_signers = weights.iter().zip(&signed).filter(|(_, signed)| **signed).map(|(w, _)| u128::from(*w));
            let (count, due) = (of_signers.clone().count() as u128, u128::from(reward) * of_signers.sum::<u128>());
            let paid = pays(&some) * total;
            prop_assert!(paid <= due && due - paid <= (count + 1) * total);
            let all = commit(weights.iter().map(|_| true));
            let paid = pays(&all);
            prop_assert!(paid <= u128::from(reward));
            prop_assert!(u128::from(reward) - paid <= weights.len() as u128);
        }

        /// Rewards of a few units, so that many are paid nothing.
        #[test]
        fn one_more_signature_changes_nobodys_pay_but_its_own_and_the_proposers(
            reward in prop_oneof![0u64..2_000, any::<u64>()],
            weights in prop::collection::vec(prop_oneof![1u64..20, 1u64..100_000], 2..40),
            signed in prop::collection::vec(any::<bool>(), 40),
            more in any::<prop::sample::Index>(),
            proposer in any::<prop::sample::Index>(),
        ) {
            let parent = set(&weights, 1);
            let (more, proposer) = (more.index(weights.len()), proposer.index(weights.len()));
            let pays = |signs: bool| -> BTreeMap<Lock, u64> {
                let commit = commit((0..weights.len()).map(|i| if i == more { signs } else { signed[i] }));
                let proposer = key(u8::try_from(proposer).unwrap());
                let outputs = coinbase_outputs(Amount::new(reward), 1_000, &parent, Some(&commit), &parent, &proposer);
                let count = outputs.len();
                let paid: BTreeMap<Lock, u64> = outputs.into_iter().map(|out| (out.lock, out.value.get())).collect();
                assert_eq!(paid.len(), count, "one output each");
                assert!(paid.values().all(|value| *value > 0), "nothing of no value");
                paid
            };
            let (with, without) = (pays(true), pays(false));
            for i in 0..weights.len() {
                let payout = payout(&parent, u8::try_from(i).unwrap());
                let (more_paid, less_paid) = (with.get(&payout), without.get(&payout));
                if i == proposer {
                    prop_assert!(more_paid >= less_paid);
                } else if i == more {
                    prop_assert_eq!(less_paid, None);
                } else {
                    prop_assert_eq!(more_paid, less_paid);
                }
            }
        }
    }
}
