//! Which coins to spend: the largest first, so that a payment has few inputs and a low fee.

use super::{BuildError, Coin, Content, Plan, Rules, size_of};
use crate::limits::{MAX_INPUTS, MAX_MEMO_BYTES};
use crate::types::codec::encoded_size;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::TxOut;

/// Plans a transaction whose first output is `payment`. What is left comes back to the lock of the largest coin.
///
/// # Errors
/// [`BuildError`].
pub fn plan_payment(coins: &[Coin], payment: TxOut, content: &Content, rules: &Rules) -> Result<Plan, BuildError> {
    check_memo(&content.memo)?;
    if payment.value < rules.min_output {
        return Err(BuildError::AmountTooSmall { amount: payment.value, least: rules.min_output });
    }
    plan(coins, &[payment], content, rules)
}

/// Plans a transaction that pays nobody and only says something: what its fee leaves comes back.
///
/// # Errors
/// [`BuildError`].
pub fn plan_change(coins: &[Coin], content: &Content, rules: &Rules) -> Result<Plan, BuildError> {
    check_memo(&content.memo)?;
    plan(coins, &[], content, rules)
}

/// Plans a transaction that makes these outputs, one at most, and what comes back.
fn plan(coins: &[Coin], paid: &[TxOut], content: &Content, rules: &Rules) -> Result<Plan, BuildError> {
    let coins = largest_first(coins);
    let amount = sum_of(paid)?;
    let mut spent = Amount::ZERO;
    for (count, coin) in (1..=MAX_INPUTS).zip(&coins) {
        spent = spent.checked_add(coin.value).ok_or(BuildError::Overflow)?;
        if spent < amount {
            continue;
        }
        let chosen = &coins[..count];
        if size_of(chosen, paid, content) > rules.max_tx_bytes {
            break;
        }
        if let Some(plan) = finish(chosen, paid, spent, content, rules)? {
            return Ok(plan);
        }
    }
    Err(explain(&coins, paid, content, rules)?)
}

fn sum_of(outputs: &[TxOut]) -> Result<Amount, BuildError> {
    Amount::checked_sum(outputs.iter().map(|out| out.value)).ok_or(BuildError::Overflow)
}

/// Plans transactions that bring everything worth its fee to `to`, as many as it takes.
///
/// # Errors
/// [`BuildError`]; [`BuildError::NothingToSweep`] if nothing is worth its fee.
pub fn plan_sweep(coins: &[Coin], to: Lock, content: &Content, rules: &Rules) -> Result<Vec<Plan>, BuildError> {
    check_memo(&content.memo)?;
    let mut left = largest_first(coins);
    left.retain(|coin| {
        let size = u64::try_from(encoded_size(&coin.outpoint)).unwrap_or(u64::MAX);
        fee_of(size, rules).is_some_and(|fee| fee < coin.value)
    });
    let mut plans = Vec::new();
    while !left.is_empty() {
        let count = most_that_fit(&left, &[TxOut { value: Amount::MAX, lock: to }], content, rules);
        let chosen: Vec<Coin> = left.drain(..count.max(1)).collect();
        let spent = Amount::checked_sum(chosen.iter().map(|coin| coin.value)).ok_or(BuildError::Overflow)?;
        let size = |value| size_of(&chosen, &[TxOut { value, lock: to }], content);
        if let Some((value, fee)) = remainder(spent, Amount::ZERO, size, rules)?
            && count > 0
        {
            let outputs = vec![TxOut { value, lock: to }];
            plans.push(Plan { coins: chosen, outputs, fee, content: content.clone() });
        }
    }
    if plans.is_empty() { Err(BuildError::NothingToSweep) } else { Ok(plans) }
}

fn check_memo(memo: &[u8]) -> Result<(), BuildError> {
    if memo.len() > MAX_MEMO_BYTES {
        return Err(BuildError::MemoTooLong { bytes: memo.len() });
    }
    Ok(())
}

/// Of equal ones the lower outpoint, so that the same coins always make the same payment.
fn largest_first(coins: &[Coin]) -> Vec<Coin> {
    let mut sorted = coins.to_vec();
    sorted.sort_by(|a, b| b.value.cmp(&a.value).then(a.outpoint.cmp(&b.outpoint)));
    sorted
}

/// The transaction out of exactly these coins; `None` if they do not pay for it, or what is to come back does not fit.
fn finish(
    chosen: &[Coin],
    paid: &[TxOut],
    spent: Amount,
    content: &Content,
    rules: &Rules,
) -> Result<Option<Plan>, BuildError> {
    let plan = |outputs: Vec<TxOut>, fee| Plan { coins: chosen.to_vec(), outputs, fee, content: content.clone() };
    let amount = sum_of(paid)?;
    let least_fee = fee_of(size_of(chosen, paid, content), rules).ok_or(BuildError::Overflow)?;
    let needed = amount.checked_add(least_fee).ok_or(BuildError::Overflow)?;
    let (Some(_), Some(first)) = (spent.checked_sub(needed), chosen.first()) else { return Ok(None) };
    let with_back = |value| {
        let mut outputs = paid.to_vec();
        outputs.push(TxOut { value, lock: first.lock });
        outputs
    };
    let size = |value| size_of(chosen, &with_back(value), content);
    if let Some((change, fee)) = remainder(spent, amount, size, rules)? {
        let fits = size(change) <= rules.max_tx_bytes;
        return Ok(fits.then(|| plan(with_back(change), fee)));
    }
    if paid.is_empty() {
        // A transaction makes at least one output.
        return Ok(None);
    }
    // Too little to come back: it goes to those who keep the chain.
    let fee = spent.checked_sub(amount).ok_or(BuildError::Overflow)?;
    Ok(Some(plan(paid.to_vec(), fee)))
}

/// What is left of `spent` after `paid` and the fee, where the size depends on what is left; and the fee. `None` if that
/// is less than an output may hold.
fn remainder(
    spent: Amount,
    paid: Amount,
    size: impl Fn(Amount) -> u64,
    rules: &Rules,
) -> Result<Option<(Amount, Amount)>, BuildError> {
    let Some(left) = spent.checked_sub(paid) else { return Ok(None) };
    // A number takes 1, 3, 5 or 9 bytes: from the shortest on, take the first that leaves a number no longer than that.
    // On the edge between two lengths the longer one pays a few bytes that are not there.
    for shaped in [Amount::ZERO, Amount::new(u16::MAX.into()), Amount::new(u32::MAX.into()), Amount::MAX] {
        let fee = fee_of(size(shaped), rules).ok_or(BuildError::Overflow)?;
        let Some(rest) = left.checked_sub(fee) else { return Ok(None) };
        if encoded_size(&rest) <= encoded_size(&shaped) {
            return Ok((rest >= rules.min_output).then_some((rest, fee)));
        }
    }
    Ok(None)
}

fn fee_of(size_bytes: u64, rules: &Rules) -> Option<Amount> {
    size_bytes.checked_mul(rules.fee_rate).map(Amount::new)
}

/// How many of these coins, from the first on, fit one transaction with these outputs.
fn most_that_fit(coins: &[Coin], outputs: &[TxOut], content: &Content, rules: &Rules) -> usize {
    let fits = |count: &usize| size_of(&coins[..*count], outputs, content) <= rules.max_tx_bytes;
    // Sizes grow with the count: halve the range until it is one.
    let (mut low, mut high) = (0, coins.len().min(MAX_INPUTS));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(&middle) { low = middle } else { high = middle - 1 }
    }
    low
}

/// Why the coins do not pay.
fn explain(coins: &[Coin], paid: &[TxOut], content: &Content, rules: &Rules) -> Result<BuildError, BuildError> {
    // Without a payment the least output comes back.
    let outputs = match (paid, coins.first()) {
        ([], Some(first)) => vec![TxOut { value: rules.min_output, lock: first.lock }],
        _ => paid.to_vec(),
    };
    let amount = sum_of(&outputs)?;
    let spendable = Amount::checked_sum(coins.iter().map(|coin| coin.value)).ok_or(BuildError::Overflow)?;
    let fee = fee_of(size_of(coins, &outputs, content), rules).ok_or(BuildError::Overflow)?;
    let needed = amount.checked_add(fee).ok_or(BuildError::Overflow)?;
    if spendable < needed || coins.is_empty() {
        return Ok(BuildError::Insufficient { amount, fee, spendable });
    }
    let inputs = most_that_fit(coins, &outputs, content, rules);
    let within = &coins[..inputs];
    let sum = Amount::checked_sum(within.iter().map(|coin| coin.value)).ok_or(BuildError::Overflow)?;
    let fee = fee_of(size_of(within, &outputs, content), rules).ok_or(BuildError::Overflow)?;
    Ok(BuildError::TooFragmented { inputs, reach: sum.checked_sub(fee).unwrap_or_default() })
}
