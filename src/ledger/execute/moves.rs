//! What a block does to the unspent outputs. All outputs are added, then all inputs removed, so a child may sort
//! before its parent (`protocol.md` 7.3); each transaction's part is independent of the others and runs in parallel.

use super::Punishment;
use super::error::BlockError;
use crate::chain::registry::Slashed;
use crate::chain::spec::ChainSpec;
use crate::ledger::VerifiedTx;
use crate::ledger::rejection::Rejection;
use crate::ledger::utxo::{StateRead, Utxo};
use crate::ledger::value;
use crate::ledger::witness::{self, Authority};
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, TxOut};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Transactions a thread takes at a time: less is not worth waking one up.
const SHARE: usize = 64;

/// What all transactions and punishments of a block move.
pub(super) struct Moves {
    /// Outputs of earlier blocks that are gone.
    pub spent: Vec<(OutPoint, Utxo)>,
    /// Outputs that are new and still there.
    pub created: Vec<(OutPoint, Utxo)>,
    /// What each transaction spends, in the order of its inputs.
    pub inputs: Vec<Vec<TxOut>>,
    /// What the transactions pay.
    pub fees: Amount,
    /// What punishments took out of the supply.
    pub slashed: Amount,
    /// The punishments, ascending by what they took.
    pub punished: Vec<Punishment>,
}

/// Applies `slashed`, then `txs` as a set. `txs` ascend by txid.
pub(super) fn apply(
    spec: &ChainSpec,
    utxos: &dyn StateRead,
    height: Height,
    slashed: &[Slashed],
    txs: &[VerifiedTx],
    authorities: &[(usize, Authority)],
) -> Result<Moves, BlockError> {
    let punished = Punished::of(utxos, height, slashed)?;
    let source = Source { utxos, punished: &punished, txs };
    let settled: Vec<Result<Settled, Rejection>> = txs
        .par_iter()
        .enumerate()
        .with_min_len(SHARE)
        .map(|(position, tx)| settle(spec, &source, tx, authority_at(authorities, position)))
        .collect();
    let mut fees = Amount::ZERO;
    let mut from_state = Vec::new();
    let mut spends = Vec::with_capacity(txs.len());
    // In order, so that every node names the same first fault.
    for (tx, settled) in txs.iter().zip(settled) {
        let settled = settled.map_err(|rule| BlockError::Transaction { txid: tx.txid(), rule })?;
        fees = fees.checked_add(settled.fee).ok_or(BlockError::AmountOverflow)?;
        from_state.extend(settled.from_state);
        spends.push(settled.spent);
    }
    let inputs = all_inputs(txs)?;
    let is_unspent = |outpoint: &OutPoint| inputs.binary_search_by(|(spent, _)| spent.cmp(outpoint)).is_err();
    let created: Vec<(OutPoint, Utxo)> = txs
        .par_iter()
        .with_min_len(SHARE)
        .flat_map_iter(|tx| tx.outputs().map(|(outpoint, out)| (outpoint, Utxo { out: *out, created: height })))
        .filter(|(outpoint, _)| is_unspent(outpoint))
        .collect();
    let reduced = punished.new.iter().filter(|(outpoint, _)| is_unspent(outpoint));
    Ok(Moves {
        created: created.into_iter().chain(reduced.map(|(outpoint, utxo)| (*outpoint, *utxo))).collect(),
        spent: punished.old.iter().map(|(outpoint, utxo)| (*outpoint, *utxo)).chain(from_state).collect(),
        inputs: spends,
        fees,
        slashed: punished.lost,
        punished: punished.list(),
    })
}

fn authority_at(authorities: &[(usize, Authority)], position: usize) -> Authority {
    let found = authorities.binary_search_by_key(&position, |(position, _)| *position);
    found.map_or(Authority::None, |i| authorities[i].1)
}

/// Collaterals before and after punishment.
struct Punished {
    old: BTreeMap<OutPoint, Utxo>,
    new: BTreeMap<OutPoint, Utxo>,
    /// What came for what went.
    swapped: BTreeMap<OutPoint, (OutPoint, TxOut)>,
    lost: Amount,
}

impl Punished {
    /// A collateral that is not there any more was spent against the rules that bind voters, which only a
    /// Byzantine third can bring about; then there is nothing to take.
    fn of(utxos: &dyn StateRead, height: Height, slashed: &[Slashed]) -> Result<Self, BlockError> {
        let mut punished =
            Self { old: BTreeMap::new(), new: BTreeMap::new(), swapped: BTreeMap::new(), lost: Amount::ZERO };
        for slashed in slashed {
            let Some(old) = utxos.utxo(&slashed.old) else { continue };
            let lost = old.out.value.checked_sub(slashed.new_value).ok_or(BlockError::AmountOverflow)?;
            punished.lost = punished.lost.checked_add(lost).ok_or(BlockError::AmountOverflow)?;
            let out = TxOut { value: slashed.new_value, lock: slashed.owner };
            punished.swapped.insert(slashed.old, (slashed.new, out));
            punished.old.insert(slashed.old, old);
            punished.new.insert(slashed.new, Utxo { out, created: height });
        }
        Ok(punished)
    }
}

impl Punished {
    fn list(&self) -> Vec<Punishment> {
        let of_old = |(taken, old): (&OutPoint, &Utxo)| {
            let (left, after) = self.swapped.get(taken).copied()?;
            Some(Punishment { taken: *taken, before: old.out, left, after })
        };
        self.old.iter().filter_map(of_old).collect()
    }
}

/// Where the outputs that a block may spend come from.
struct Source<'a> {
    utxos: &'a dyn StateRead,
    punished: &'a Punished,
    txs: &'a [VerifiedTx],
}

enum Origin {
    Block(TxOut),
    State(Utxo),
}

impl Source<'_> {
    fn find(&self, outpoint: &OutPoint) -> Option<Origin> {
        if let Ok(position) = self.txs.binary_search_by_key(&outpoint.txid, |tx| tx.txid()) {
            let index = usize::try_from(outpoint.index).ok()?;
            return self.txs[position].body().outputs.get(index).map(|out| Origin::Block(*out));
        }
        if let Some(reduced) = self.punished.new.get(outpoint) {
            return Some(Origin::Block(reduced.out));
        }
        if self.punished.old.contains_key(outpoint) {
            return None;
        }
        self.utxos.utxo(outpoint).map(Origin::State)
    }
}

/// One transaction's part.
struct Settled {
    fee: Amount,
    spent: Vec<TxOut>,
    from_state: Vec<(OutPoint, Utxo)>,
}

fn settle(spec: &ChainSpec, source: &Source, tx: &VerifiedTx, authority: Authority) -> Result<Settled, Rejection> {
    let mut spent = Vec::with_capacity(tx.inputs().len());
    let mut from_state = Vec::with_capacity(tx.inputs().len());
    for outpoint in tx.inputs() {
        let origin = source.find(outpoint).ok_or(Rejection::MissingInput { outpoint: *outpoint })?;
        spent.push(match origin {
            Origin::Block(out) => out,
            Origin::State(utxo) => {
                from_state.push((*outpoint, utxo));
                utxo.out
            }
        });
    }
    witness::check(spent.iter().map(|out| out.lock), authority, &tx.tx().witnesses)?;
    let fee = value::fee(spec, tx, &spent)?;
    Ok(Settled { fee, spent, from_state })
}

/// Every input of `txs`, ascending, each once.
fn all_inputs(txs: &[VerifiedTx]) -> Result<Vec<(OutPoint, usize)>, BlockError> {
    let mut inputs: Vec<(OutPoint, usize)> = txs
        .par_iter()
        .enumerate()
        .with_min_len(SHARE)
        .flat_map_iter(|(position, tx)| tx.inputs().iter().map(move |outpoint| (*outpoint, position)))
        .collect();
    inputs.par_sort_unstable();
    match inputs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(BlockError::DoubleSpend {
            outpoint: pair[0].0,
            one: txs[pair[0].1].txid(),
            other: txs[pair[1].1].txid(),
        }),
        None => Ok(inputs),
    }
}
