//! Whether a transaction is valid in the state that voters go by: the archived one with everything final applied
//! (`protocol.md` 3, "Valid in state").

use super::archived::Archived;
use super::payload::check_payload;
use super::pool::{Pool, Stage};
use super::rejection::Rejection;
use super::state::ChainState;
use super::utxo::StateRead;
use super::value;
use super::witness::{self, Authority};
use crate::chain::registry::collateral_output;
use crate::chain::spec::Chain;
use crate::types::number::Amount;
use crate::types::transaction::{HashedTx, OutPoint, Payload, TxOut};

/// What a transaction is in some state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Valid, with this fee.
    Valid(Amount),
    /// Outputs of these are not there yet: unknown, or of a transaction that is not final. Never empty.
    Waits(Vec<OutPoint>),
    /// Invalid.
    Invalid(Rejection),
}

/// Where an output stands for a spender.
enum Found {
    Spendable(TxOut),
    NotYet,
    Never(Rejection),
}

/// The state to judge by.
pub(super) struct Judge<'a> {
    pub chain: &'a Chain,
    pub tip: &'a ChainState,
    pub archived: &'a Archived,
    pub pool: &'a Pool,
}

impl Judge<'_> {
    /// Judges `tx`, which no block holds; whether it stands in the pool itself does not matter.
    pub(super) fn judge(&self, tx: &HashedTx) -> Verdict {
        let mut spent = Vec::with_capacity(tx.inputs().len());
        let mut missing = Vec::new();
        for outpoint in tx.inputs() {
            match self.find(tx, outpoint) {
                Found::Spendable(out) => spent.push(out),
                Found::NotYet => missing.push(*outpoint),
                Found::Never(rejection) => return Verdict::Invalid(rejection),
            }
        }
        if !missing.is_empty() {
            return Verdict::Waits(missing);
        }
        match self.check_payload(tx).and_then(|()| self.fee(tx, &spent)) {
            Ok(fee) => Verdict::Valid(fee),
            Err(rejection) => Verdict::Invalid(rejection),
        }
    }

    /// The payload rules alone: the only part of a valid transaction that a new tip can overturn.
    pub(super) fn check_payload(&self, tx: &HashedTx) -> Result<(), Rejection> {
        let is_pending = |key: &_| self.pool.final_registration(key).is_some_and(|txid| txid != tx.txid());
        check_payload(self.chain, &self.tip.registry, is_pending, tx)
    }

    /// The fee of `tx` if it keeps the rules that bind blocks and every output it spends is known, spent or not,
    /// final or not. Follows from bodies and witnesses, so it holds on any later tip.
    pub(super) fn block_fee(&self, tx: &HashedTx) -> Option<Amount> {
        let out = |outpoint: &OutPoint| match self.pool.output(outpoint) {
            Some(out) => Some(*out),
            None => self.archived.utxo(outpoint).map(|utxo| utxo.out),
        };
        let spent: Option<Vec<TxOut>> = tx.inputs().iter().map(out).collect();
        self.fee(tx, &spent?).ok()
    }

    fn fee(&self, tx: &HashedTx, spent: &[TxOut]) -> Result<Amount, Rejection> {
        let authority = Authority::of(&self.tip.registry, &tx.body().payload);
        witness::check(spent.iter().map(|out| out.lock), authority, &tx.tx().witnesses)?;
        value::fee(self.chain, tx, spent)
    }

    fn find(&self, tx: &HashedTx, outpoint: &OutPoint) -> Found {
        let outpoint = *outpoint;
        if let Some(spender) = self.pool.final_spender(&outpoint).filter(|spender| *spender != tx.txid()) {
            return Found::Never(Rejection::Conflict { outpoint, spent_by: Some(spender) });
        }
        if let Some(parent) = self.pool.get(&outpoint.txid) {
            return find_in_pool(&parent.tx, parent.stage, outpoint);
        }
        if let Some(utxo) = self.archived.utxo(&outpoint) {
            if self.tip.registry.is_collateral(&outpoint) {
                return Found::Never(Rejection::Bonded { outpoint });
            }
            return Found::Spendable(utxo.out);
        }
        let spent_by = self.archived.spender(&outpoint);
        if spent_by.is_none() && self.archived.archived_height(&outpoint.txid).is_none() {
            return Found::NotYet;
        }
        let is_past_end = |count| usize::try_from(outpoint.index).map_or(true, |index| index >= count);
        if spent_by.is_none() && self.archived.output_count(&outpoint.txid).is_some_and(is_past_end) {
            return Found::Never(Rejection::NoSuchOutput { outpoint });
        }
        Found::Never(Rejection::Conflict { outpoint, spent_by })
    }
}

fn find_in_pool(parent: &HashedTx, stage: Stage, outpoint: OutPoint) -> Found {
    let out = usize::try_from(outpoint.index).ok().and_then(|index| parent.body().outputs.get(index));
    let Some(out) = out else { return Found::Never(Rejection::NoSuchOutput { outpoint }) };
    if stage != Stage::Finalized {
        return Found::NotYet;
    }
    if let Payload::Register(register) = &parent.body().payload
        && collateral_output(parent.txid(), parent.body(), register).is_some_and(|(named, _)| named == outpoint)
    {
        return Found::Never(Rejection::PendingCollateral { outpoint });
    }
    Found::Spendable(*out)
}
