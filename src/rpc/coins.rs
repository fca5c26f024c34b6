//! What a lock has: the store's unspent outputs, corrected by the blocks that the store does not answer for yet and by
//! the transactions under way.
//!
//! The store's part may be a million outputs and is never listed here, only summed up; the correction lists what the
//! newest blocks and the transactions under way touch. Everything is kept by outpoint, so that what view and store both
//! know counts once.
//!
//! ```text
//! archived  = store + outputs of newer blocks - what final transactions and newer blocks spend
//! finalized = outputs of final transactions in no block - what final transactions spend
//! ```

use super::errors::Failure;
use super::lookup::{MAX_TRIES, Sources};
use crate::chain::registry::collateral_output;
use crate::ledger::execute::BlockChanges;
use crate::node::view::{Pending, Status};
use crate::storage::store::LockTotals;
use crate::types::hash::Txid;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, Payload, TxBody, TxOut};
use std::collections::{BTreeMap, HashSet};

/// An output that the store does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Added {
    /// Units.
    pub value: Amount,
    /// Height of the block that made it; `None` for one of a final transaction in no block.
    pub height: Option<Height>,
}

/// What a lock has at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coins {
    /// What the store has.
    pub stored: LockTotals,
    /// Final and unspent outputs that the store does not have.
    pub added: BTreeMap<OutPoint, Added>,
    /// Outputs of the store that newer blocks or final transactions spend.
    pub removed: BTreeMap<OutPoint, Amount>,
    /// Outputs of transactions that are valid and not final.
    pub incoming: BTreeMap<OutPoint, Amount>,
    /// Final and unspent outputs that transactions spend which are not final; with the height of each.
    pub locked: BTreeMap<OutPoint, Added>,
    /// Final and unspent outputs that are collateral; with the height of each.
    pub bonded: BTreeMap<OutPoint, Added>,
}

/// Sums of [`Coins`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sums {
    /// In blocks.
    pub archived: Amount,
    /// Final and in no block.
    pub finalized: Amount,
    /// Not final.
    pub incoming: Amount,
    /// Of what is final, spent by what is not.
    pub outgoing: Amount,
    /// Of what is final, collateral.
    pub bonded: Amount,
    /// How many outputs are final and unspent.
    pub outputs: u64,
}

impl Coins {
    /// Adds everything up.
    pub fn sums(&self) -> Sums {
        let sum = |outputs: &BTreeMap<OutPoint, Added>, in_block: bool| {
            total(outputs.values().filter(|added| added.height.is_some() == in_block).map(|added| added.value))
        };
        let plus = |a: Amount, b: Amount| a.checked_add(b).unwrap_or(Amount::MAX);
        let (in_blocks, finalized) = (sum(&self.added, true), sum(&self.added, false));
        let removed = total(self.removed.values().copied());
        let count = |map: usize| u64::try_from(map).unwrap_or(u64::MAX);
        Sums {
            archived: plus(self.stored.balance, in_blocks).checked_sub(removed).unwrap_or_default(),
            finalized,
            incoming: total(self.incoming.values().copied()),
            outgoing: total(self.locked.values().map(|added| added.value)),
            bonded: total(self.bonded.values().map(|added| added.value)),
            outputs: (self.stored.outputs + count(self.added.len())).saturating_sub(count(self.removed.len())),
        }
    }

    /// Whether an output can be spent now, if it is final and unspent.
    pub fn is_free(&self, outpoint: &OutPoint) -> bool {
        !self.locked.contains_key(outpoint) && !self.bonded.contains_key(outpoint)
    }
}

/// Parts of a supply that fits.
fn total(amounts: impl Iterator<Item = Amount>) -> Amount {
    Amount::checked_sum(amounts).unwrap_or(Amount::MAX)
}

impl Sources<'_> {
    /// What a lock has. Reads as often as the lock has outputs in the newest blocks and transactions under way.
    ///
    /// # Errors
    /// [`Failure::Syncing`] if blocks come in so fast that no two reads belong together.
    pub fn coins(&self, lock: &Lock) -> Result<Coins, Failure> {
        for _ in 0..MAX_TRIES {
            let generation = self.view.generation();
            let (height, coins) = self.read_coins(lock)?;
            if self.archive.totals().height == height && self.view.generation() == generation {
                return Ok(coins);
            }
        }
        Err(Failure::Syncing)
    }

    /// What a lock has if the store stays at the height that is returned with it.
    fn read_coins(&self, lock: &Lock) -> Result<(Height, Coins), Failure> {
        // Before the blocks: a transaction that goes into one meanwhile is seen twice, and counts as the block's.
        let mut touching = self.view.touching(lock);
        let (height, blocks) = self.recent()?;
        let in_blocks: HashSet<&Txid> = blocks.iter().flat_map(|block| &block.changes.txids).collect();
        touching.retain(|pending| pending.status < Status::Archived && !in_blocks.contains(&pending.tx.txid()));
        let mut coins = Coins { stored: self.archive.lock_totals(lock)?, ..Coins::default() };
        blocks.iter().for_each(|block| coins.apply_block(&block.changes, lock));
        let (is_final, is_pending) = (
            |pending: &&Pending| pending.status == Status::Finalized,
            |pending: &&Pending| pending.status < Status::Finalized,
        );
        // All outputs before all inputs: a child may come before its parent.
        for pending in touching.iter().filter(is_final) {
            for (outpoint, out) in self.unstored_outputs(pending, lock)? {
                coins.added.insert(outpoint, Added { value: out.value, height: None });
            }
        }
        for pending in touching.iter().filter(is_final) {
            for input in pending.tx.inputs() {
                if coins.added.remove(input).is_none()
                    && let Some(utxo) = self.stored_output(&coins, input, lock)?
                {
                    coins.removed.insert(*input, utxo.value);
                }
            }
        }
        for pending in touching.iter().filter(is_pending) {
            for (outpoint, out) in self.unstored_outputs(pending, lock)? {
                coins.incoming.insert(outpoint, out.value);
            }
            for input in pending.tx.inputs() {
                if let Some(spent) = self.final_output(&coins, input, lock)? {
                    coins.locked.insert(*input, spent);
                }
            }
        }
        self.find_bonded(&mut coins, &touching, lock)?;
        Ok((height, coins))
    }

    /// Outputs of a transaction to the lock, unless the store has them: it may have taken in a block that the view does
    /// not show yet.
    fn unstored_outputs(&self, pending: &Pending, lock: &Lock) -> Result<Vec<(OutPoint, TxOut)>, Failure> {
        let mut outputs = Vec::new();
        for (outpoint, out) in pending.tx.outputs().filter(|(_, out)| out.lock == *lock) {
            if self.archive.unspent_output(&outpoint)?.is_none() && self.archive.spent_by(&outpoint)?.is_none() {
                outputs.push((outpoint, *out));
            }
        }
        Ok(outputs)
    }

    /// An output of the lock that the store has and nothing final spends.
    fn stored_output(&self, coins: &Coins, outpoint: &OutPoint, lock: &Lock) -> Result<Option<Added>, Failure> {
        if coins.removed.contains_key(outpoint) {
            return Ok(None);
        }
        let utxo = self.archive.unspent_output(outpoint)?.filter(|utxo| utxo.out.lock == *lock);
        Ok(utxo.map(|utxo| Added { value: utxo.out.value, height: Some(utxo.created) }))
    }

    /// An output of the lock that is final and unspent.
    fn final_output(&self, coins: &Coins, outpoint: &OutPoint, lock: &Lock) -> Result<Option<Added>, Failure> {
        match coins.added.get(outpoint) {
            Some(added) => Ok(Some(*added)),
            None => self.stored_output(coins, outpoint, lock),
        }
    }

    /// Collateral of the lock's masternodes, and what registrations that are final are to make collateral.
    fn find_bonded(&self, coins: &mut Coins, touching: &[Pending], lock: &Lock) -> Result<(), Failure> {
        let tip = self.view.tip();
        let owned = tip.registry.iter().filter(|record| record.owner == *lock).map(|record| record.collateral);
        let finals = touching.iter().filter(|pending| pending.status == Status::Finalized);
        let registering = finals.filter_map(|pending| collateral(pending.tx.txid(), pending.tx.body()));
        for outpoint in owned.chain(registering) {
            if let Some(bonded) = self.final_output(coins, &outpoint, lock)? {
                coins.bonded.insert(outpoint, bonded);
            }
        }
        Ok(())
    }
}

impl Coins {
    fn apply_block(&mut self, changes: &BlockChanges, lock: &Lock) {
        for (outpoint, utxo) in changes.created.iter().filter(|(_, utxo)| utxo.out.lock == *lock) {
            self.added.insert(*outpoint, Added { value: utxo.out.value, height: Some(utxo.created) });
        }
        for (outpoint, utxo) in changes.spent.iter().filter(|(_, utxo)| utxo.out.lock == *lock) {
            if self.added.remove(outpoint).is_none() {
                self.removed.insert(*outpoint, utxo.out.value);
            }
        }
    }
}

/// What a registration of this body makes a collateral.
pub(super) fn collateral(txid: Txid, body: &TxBody) -> Option<OutPoint> {
    match &body.payload {
        Payload::Register(register) => collateral_output(txid, body, register).map(|(outpoint, _)| outpoint),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
