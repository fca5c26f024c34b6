//! Splitting a key's outputs into enough coins for a run: one payment spends one.

use crate::limits::MAX_OUTPUTS;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::TxOut;
use crate::wallet::build::{Coin, Content, Plan, Rules};

/// What a coin is to hold at best: enough for many runs, since a payment gives its coin back less the fee.
pub const GOOD_COIN: Amount = Amount::new(1_000_000);
/// Most bytes that one more output adds: nine for the value, 33 for the lock.
const OUTPUT_BYTES: u64 = 42;
/// Most bytes of a transaction with one input and no output.
const BASE_BYTES: u64 = 160;

/// What there is to do before a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Supply {
    /// These coins are enough: as many as were asked for, the smallest that do.
    Enough(Vec<Coin>),
    /// These transactions bring it nearer: send them, wait until they are final, ask again.
    Split(Vec<Plan>),
}

/// The key has too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} payments need about {needed} units with the fees for splitting, the key has {spendable} that can be spent"
)]
pub struct TooPoor {
    /// How many payments.
    pub count: usize,
    /// What they need, in units.
    pub needed: Amount,
    /// What there is, in units.
    pub spendable: Amount,
}

/// Whether `coins`, all of `lock`, are enough for `count` payments that need `least` each; else how to split them.
///
/// # Errors
/// [`TooPoor`].
pub fn supply(coins: &[Coin], lock: Lock, count: usize, least: Amount, rules: &Rules) -> Result<Supply, TooPoor> {
    let mut sorted: Vec<Coin> = coins.iter().copied().filter(|coin| coin.value >= least).collect();
    sorted.sort_by_key(|coin| (coin.value, coin.outpoint));
    if sorted.len() >= count {
        sorted.truncate(count);
        return Ok(Supply::Enough(sorted));
    }
    let value = coin_value(&sorted, count, least, rules)?;
    let missing = count - sorted.len();
    // From the largest on.
    sorted.reverse();
    let per_tx = most_outputs(rules);
    let mut plans = Vec::new();
    let mut made = 0;
    for source in &sorted {
        // The source itself was a coin and is one no more.
        let wanted = (missing - made).saturating_add(1);
        let parts = wanted.min(per_tx).min(parts_of(source, value, rules));
        if parts < 2 {
            break;
        }
        plans.extend(split(*source, lock, parts, value, rules));
        made += parts - 1;
        if made >= missing {
            return Ok(Supply::Split(plans));
        }
    }
    // Every source gives as many coins as one transaction can: first make more sources.
    let largest = sorted.first().map(|source| (source, (missing / per_tx).saturating_add(2).min(per_tx)));
    let sources = largest.and_then(|(source, parts)| {
        let parts = u64::try_from(parts).ok()?;
        let part = spendable(source, parts, rules)?.checked_div(parts)?;
        (parts >= 2 && part > value.get())
            .then(|| split(*source, lock, usize::try_from(parts).ok()?, Amount::new(part), rules))?
    });
    match sources {
        Some(plan) => Ok(Supply::Split(vec![plan])),
        None if !plans.is_empty() => Ok(Supply::Split(plans)),
        None => Err(too_poor(&sorted, count, least, rules)),
    }
}

/// What each coin gets: a good deal, or what there is if that is less.
fn coin_value(coins: &[Coin], count: usize, least: Amount, rules: &Rules) -> Result<Amount, TooPoor> {
    let total = u128::from(total(coins).get());
    let cost = u128::from(rules.fee_rate) * u128::from(cost_bytes());
    let count_of = u128::try_from(count).unwrap_or(u128::MAX).max(1);
    let each = (total / count_of).saturating_sub(cost);
    let value = u64::try_from(each).unwrap_or(u64::MAX).min(GOOD_COIN.get().max(least.get()));
    if value < least.get() {
        return Err(too_poor(coins, count, least, rules));
    }
    Ok(Amount::new(value))
}

/// What making one coin costs, rounded up: its output, and its share of the transactions.
fn cost_bytes() -> u64 {
    OUTPUT_BYTES + OUTPUT_BYTES / 4
}

fn too_poor(coins: &[Coin], count: usize, least: Amount, rules: &Rules) -> TooPoor {
    let each = least.get().saturating_add(rules.fee_rate.saturating_mul(cost_bytes()));
    let needed = Amount::new(each.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)));
    TooPoor { count, needed, spendable: total(coins) }
}

fn total(coins: &[Coin]) -> Amount {
    Amount::checked_sum(coins.iter().map(|coin| coin.value)).unwrap_or(Amount::MAX)
}

/// How many coins one transaction makes at most, besides what comes back.
fn most_outputs(rules: &Rules) -> usize {
    let fitting = rules.max_tx_bytes.saturating_sub(BASE_BYTES) / OUTPUT_BYTES;
    usize::try_from(fitting).unwrap_or(usize::MAX).min(MAX_OUTPUTS).saturating_sub(1)
}

/// What is left of a source for its parts, after the fee for `parts` outputs and one for the rest.
fn spendable(source: &Coin, parts: u64, rules: &Rules) -> Option<u64> {
    let bytes = parts.checked_add(1)?.checked_mul(OUTPUT_BYTES)?.checked_add(BASE_BYTES)?;
    source.value.get().checked_sub(bytes.checked_mul(rules.fee_rate)?)
}

/// How many coins of `value` a source gives at most.
fn parts_of(source: &Coin, value: Amount, rules: &Rules) -> usize {
    let each = value.get().saturating_add(OUTPUT_BYTES.saturating_mul(rules.fee_rate));
    let base = BASE_BYTES.saturating_add(OUTPUT_BYTES).saturating_mul(rules.fee_rate);
    let parts = source.value.get().saturating_sub(base).checked_div(each).unwrap_or_default();
    usize::try_from(parts).unwrap_or(usize::MAX)
}

/// One transaction that makes `parts` outputs of `value`, and one of what is left if an output may hold that.
fn split(source: Coin, lock: Lock, parts: usize, value: Amount, rules: &Rules) -> Option<Plan> {
    let (outputs, content) = (vec![TxOut { value, lock }; parts], Content::of_payment(&[]));
    let mut plan = Plan { coins: vec![source], outputs, fee: Amount::ZERO, content };
    let paid = value.get().checked_mul(u64::try_from(parts).ok()?)?;
    let left = source.value.get().checked_sub(paid)?;
    // With an output of the largest value the fee is never too low.
    plan.outputs.push(TxOut { value: Amount::MAX, lock });
    let fee = plan.size_bytes().checked_mul(rules.fee_rate)?;
    match left.checked_sub(fee).map(Amount::new).filter(|rest| *rest >= rules.min_output) {
        Some(rest) => {
            plan.outputs.last_mut()?.value = rest;
            plan.fee = Amount::new(fee);
        }
        None => {
            plan.outputs.pop();
            plan.fee = Amount::new(left);
        }
    }
    (plan.fee.get() >= plan.size_bytes().checked_mul(rules.fee_rate)?).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Txid;
    use crate::types::transaction::OutPoint;
    use std::collections::BTreeSet;

    const RULES: Rules = Rules { fee_rate: 100, min_output: Amount::new(10_000), max_tx_bytes: 100_000 };
    const LEAST: Amount = Amount::new(35_000);
    const LOCK: Lock = Lock::KeyHash([3; 32]);

    fn coins(values: &[u64]) -> Vec<Coin> {
        let coin = |(index, units): (u32, &u64)| Coin {
            outpoint: OutPoint { txid: Txid([8; 32]), index },
            value: Amount::new(*units),
            lock: LOCK,
        };
        (0..).zip(values).map(coin).collect()
    }

    /// Splits until there are enough, as a run does; returns the coins and the number of rounds.
    fn split_all(mut coins: Vec<Coin>, count: usize) -> Result<(Vec<Coin>, usize), TooPoor> {
        for round in 0..5 {
            let plans = match supply(&coins, LOCK, count, LEAST, &RULES)? {
                Supply::Enough(enough) => return Ok((enough, round)),
                Supply::Split(plans) => plans,
            };
            for plan in plans {
                let outputs = Amount::checked_sum(plan.outputs.iter().map(|out| out.value)).unwrap();
                assert_eq!(outputs.checked_add(plan.fee), plan.spent(), "value is conserved");
                assert!(plan.fee.get() >= plan.size_bytes() * RULES.fee_rate, "the fee is at least the least");
                assert!(plan.size_bytes() <= RULES.max_tx_bytes && plan.outputs.len() <= MAX_OUTPUTS);
                assert!(plan.outputs.iter().all(|out| out.value >= RULES.min_output && out.lock == LOCK));
                let txid = plan.body().txid();
                coins.retain(|coin| *coin != plan.coins[0]);
                let made = plan.outputs.iter().zip(0..);
                coins.extend(made.map(|(out, index)| Coin {
                    outpoint: OutPoint { txid, index },
                    value: out.value,
                    lock: LOCK,
                }));
            }
        }
        panic!("not enough after five rounds: {} of {count}", coins.len());
    }

    #[test]
    fn coins_that_are_enough_are_taken_as_they_are_the_smallest_first() {
        let all = coins(&[900_000, 35_000, 34_999, 50_000, 70_000_000]);
        let Supply::Enough(taken) = supply(&all, LOCK, 3, LEAST, &RULES).unwrap() else { panic!("split") };
        let values: Vec<u64> = taken.iter().map(|coin| coin.value.get()).collect();
        assert_eq!(values, [35_000, 50_000, 900_000]);
    }

    #[test]
    fn a_few_outputs_become_as_many_coins_as_are_needed() {
        for (values, count) in [
            (vec![1_000_000_000_000; 1_000], 300_000),
            (vec![1_000_000_000_000], 2),
            (vec![1_000_000_000_000], 1_023),
            (vec![1_000_000_000_000], 1_024),
            (vec![1_000_000_000_000], 5_000),
            (vec![1_000_000_000_000], 300_000),
            (vec![50_000_000_000, 100_000, 100_000, 40_000], 2_500),
        ] {
            let (enough, rounds) = split_all(coins(&values), count).unwrap();
            let distinct: BTreeSet<OutPoint> = enough.iter().map(|coin| coin.outpoint).collect();
            assert_eq!((enough.len(), distinct.len()), (count, count));
            assert!(enough.iter().all(|coin| coin.value >= LEAST));
            assert!(rounds <= 3, "{rounds} rounds for {count} of {}", values.len());
        }
    }

    #[test]
    fn little_money_makes_small_coins_and_too_little_is_said() {
        let (enough, _) = split_all(coins(&[50_000_000]), 1_000).unwrap();
        assert!(enough.iter().all(|coin| coin.value < GOOD_COIN && coin.value >= LEAST));
        let refused = split_all(coins(&[30_000_000]), 1_000).unwrap_err();
        assert_eq!((refused.count, refused.spendable), (1_000, Amount::new(30_000_000)));
        assert!(supply(&[], LOCK, 1, LEAST, &RULES).is_err());
    }
}
