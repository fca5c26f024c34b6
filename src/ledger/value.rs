//! What a transaction pays: inputs less outputs, at least the least fee for its size (`protocol.md` 3).

use super::rejection::Rejection;
use crate::chain::spec::ChainSpec;
use crate::types::number::Amount;
use crate::types::transaction::{HashedTx, TxOut};

/// The fee of `tx`, which spends `spent`.
///
/// # Errors
/// [`Rejection::InputsOverflow`], [`Rejection::Overspent`] or [`Rejection::FeeTooLow`].
pub(super) fn fee(spec: &ChainSpec, tx: &HashedTx, spent: &[TxOut]) -> Result<Amount, Rejection> {
    let sum = |outs: &[TxOut]| Amount::checked_sum(outs.iter().map(|out| out.value));
    let inputs = sum(spent).ok_or(Rejection::InputsOverflow)?;
    // A transaction valid on its own has outputs that add up.
    let outputs = sum(&tx.body().outputs).unwrap_or(Amount::MAX);
    let fee = inputs.checked_sub(outputs).ok_or(Rejection::Overspent { inputs, outputs })?;
    let least = spec.min_fee(tx.size_bytes());
    if fee < least {
        return Err(Rejection::FeeTooLow { fee, least });
    }
    Ok(fee)
}
