//! Blocks, transactions and outputs, wherever they are by now: under way, in a block that the store does not answer for
//! yet, or in the store.
//!
//! Invariant: the view is asked before the store. What goes from the view is in the store by then, so nothing that is
//! there is missed; what is in both is taken from the view.

use super::context::Context;
use super::errors::Failure;
use super::params::BlockName;
use super::types::Stage;
use crate::ledger::execute::Punishment;
use crate::ledger::rejection::Rejection;
use crate::node::view::{Pending, Status, View};
use crate::replica::CommittedBlock;
use crate::storage::block_record::StoredBlock;
use crate::storage::store::{Archive, ArchivedTransaction, StoreError};
use crate::types::block::{Block, Commit, Header};
use crate::types::hash::{BlockHash, Txid};
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, Transaction, TxOut};
use crate::types::validators::ValidatorSet;
use std::sync::Arc;

/// How often something is read anew because a block went to the store in between.
pub const MAX_TRIES: u32 = 64;

/// The two that know the chain: the newest part, and the rest.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Tip, newest blocks, transactions under way.
    pub view: &'a View,
    /// The chain up to a block that may be some before the tip, or, for a moment, after it.
    pub archive: &'a dyn Archive,
}

impl Sources<'_> {
    /// The blocks above `height` up to the tip, oldest first; `None` for one that has gone to the store meanwhile.
    pub fn blocks_above(&self, height: Height) -> Vec<Option<Arc<CommittedBlock>>> {
        let tip = self.view.tip().height();
        (height.next().get()..=tip.get()).map(|height| self.view.block(Height::new(height))).collect()
    }

    /// Height of the store's tip, and the blocks above that, oldest first.
    ///
    /// # Errors
    /// [`Failure::Syncing`] if blocks go to the store so fast that no two reads belong together.
    pub fn recent(&self) -> Result<(Height, Vec<Arc<CommittedBlock>>), Failure> {
        for _ in 0..MAX_TRIES {
            let stored = self.archive.totals().height;
            if let Some(blocks) = self.blocks_above(stored).into_iter().collect() {
                return Ok((stored, blocks));
            }
        }
        Err(Failure::Syncing)
    }
}

/// A final block.
pub enum FoundBlock {
    /// One that the store does not answer for yet.
    Recent(Arc<CommittedBlock>),
    /// One in the store.
    Stored(Box<StoredBlock>),
}

impl FoundBlock {
    /// The block.
    pub fn block(&self) -> &Block {
        match self {
            Self::Recent(recent) => &recent.block,
            Self::Stored(stored) => &stored.block,
        }
    }

    /// What made it final; nothing for genesis.
    pub fn commit(&self) -> Option<&Commit> {
        match self {
            Self::Recent(recent) => Some(&recent.commit),
            Self::Stored(stored) => stored.commit.as_ref(),
        }
    }

    /// What its transaction at `position` spends, in the order of its inputs.
    pub fn spent(&self, position: usize) -> &[TxOut] {
        let (all, position) = match self {
            // Without the coinbase, if there is one.
            Self::Recent(recent) => {
                let coinbases = recent.block.txs.len().saturating_sub(recent.changes.inputs.len());
                (&recent.changes.inputs, position.checked_sub(coinbases))
            }
            Self::Stored(stored) => (&stored.spent, Some(position)),
        };
        position.and_then(|position| all.get(position)).map_or(&[], Vec::as_slice)
    }
}

/// A transaction that is known.
pub enum FoundTx {
    /// Not in the store.
    Pending(Pending),
    /// In the store, or the coinbase of a block that the store does not answer for yet.
    Archived(ArchivedTransaction),
}

impl Context {
    /// Where the chain is looked up.
    pub fn sources(&self) -> Sources<'_> {
        Sources { view: self.view(), archive: self.archive() }
    }

    /// Height of a block.
    ///
    /// # Errors
    /// [`Failure::OutOfRange`] past the tip, [`Failure::Unknown`] for a hash of no block.
    pub fn height_of(&self, name: BlockName) -> Result<Height, Failure> {
        let tip = self.view().tip().height();
        match name {
            BlockName::Height(height) if height <= tip => Ok(height),
            BlockName::Height(_) => Err(Failure::past_tip("block", tip)),
            BlockName::Hash(hash) => {
                let height = match self.view().height_of(&hash) {
                    Some(height) => Some(height),
                    None => self.archive().height_of(&hash)?.filter(|height| *height <= tip),
                };
                height.ok_or_else(|| Failure::Unknown { what: "block", id: hash.to_string() })
            }
        }
    }

    /// The block at a height that is not past the tip. Reads all of it.
    pub fn block_at(&self, height: Height) -> Result<FoundBlock, Failure> {
        if let Some(recent) = self.view().block(height) {
            return Ok(FoundBlock::Recent(recent));
        }
        let stored = self.archive().block(height)?.ok_or_else(|| missing_block(height))?;
        Ok(FoundBlock::Stored(Box::new(stored)))
    }

    /// What the block at a height that is not past the tip took to punish.
    pub fn punishments_at(&self, height: Height) -> Result<Vec<Punishment>, Failure> {
        match self.view().block(height) {
            Some(recent) => Ok(recent.changes.punished.clone()),
            None => Ok(self.archive().taken(height)?),
        }
    }

    /// The punishment that took this output or left it, with the height of its block.
    pub fn punishment_of(&self, outpoint: &OutPoint) -> Result<Option<(Height, Punishment)>, Failure> {
        let recent = self.sources().blocks_above(self.archive().totals().height);
        let in_recent = recent.into_iter().flatten().find_map(|block| {
            let is_side = |p: &&Punishment| p.taken == *outpoint || p.left == *outpoint;
            Some((block.changes.height, *block.changes.punished.iter().find(is_side)?))
        });
        match in_recent {
            Some(found) => Ok(Some(found)),
            None => Ok(self.archive().punishment_of(outpoint)?),
        }
    }

    /// Header and hash of the block at a height, if it is not past the tip.
    pub fn header_at(&self, height: Height) -> Result<Option<(Header, BlockHash)>, Failure> {
        let tip = self.view().tip();
        if height > tip.height() {
            return Ok(None);
        }
        if height == tip.height() {
            return Ok(Some((tip.header.clone(), tip.hash)));
        }
        if let Some(recent) = self.view().block(height) {
            return Ok(Some((recent.block.header.clone(), recent.commit.block_hash)));
        }
        let stored = self.archive().header(height)?.ok_or_else(|| missing_block(height))?;
        Ok(Some((stored.header, stored.hash)))
    }

    /// Hash of the block at a height, if it is not past the tip.
    pub fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, Failure> {
        Ok(self.header_at(height)?.map(|(_, hash)| hash))
    }

    /// The commit of the block at a height; nothing for genesis. Where the next block is here, the one that it holds: by it
    /// rewards are paid, and it is the same at every node.
    pub fn commit_at(&self, height: Height) -> Result<Option<Commit>, Failure> {
        let on_record = match self.view().block(height.next()) {
            Some(child) => child.block.last_commit.clone(),
            None => match self.archive().head(height.next()) {
                Ok(child) => child.and_then(|head| head.last_commit),
                Err(StoreError::Pruned { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        if on_record.is_some() {
            return Ok(on_record);
        }
        match self.view().block(height) {
            Some(recent) => Ok(Some(recent.commit.clone())),
            None => Ok(self.archive().commit(height)?),
        }
    }

    /// The set that signs the block at a height; nothing for genesis.
    pub fn signers_at(&self, height: Height) -> Result<Option<Arc<ValidatorSet>>, Failure> {
        let Some(parent) = height.previous() else { return Ok(None) };
        let tip = self.view().tip();
        if height == tip.height() {
            return Ok(Some(Arc::clone(&tip.signers)));
        }
        if let Some(recent) = self.view().block(height) {
            return Ok(Some(Arc::clone(&recent.changes.state.signers)));
        }
        let Some((parent, _)) = self.header_at(parent)? else { return Ok(None) };
        let set = self.archive().validators(self.chain().epoch_of_child(parent.opened))?;
        Ok(set.map(Arc::new))
    }

    /// A transaction that is under way or in the chain.
    pub fn transaction(&self, txid: &Txid) -> Result<Option<FoundTx>, Failure> {
        if let Some(pending) = self.view().pending(txid) {
            return Ok(Some(FoundTx::Pending(pending)));
        }
        if let Some(coinbase) = self.recent_coinbase(txid) {
            return Ok(Some(FoundTx::Archived(coinbase)));
        }
        Ok(self.archive().transaction(txid)?.map(FoundTx::Archived))
    }

    /// The coinbase of a block that the store does not answer for yet.
    fn recent_coinbase(&self, txid: &Txid) -> Option<ArchivedTransaction> {
        let recent = self.sources().blocks_above(self.archive().totals().height);
        let block = recent.into_iter().flatten().find(|block| block.changes.txids.first() == Some(txid))?;
        let tx = block.block.txs.first().filter(|tx| tx.body.is_coinbase())?;
        let stored = crate::storage::block_record::StoredTransaction { tx: tx.clone(), spent: Vec::new() };
        Some(ArchivedTransaction { height: block.changes.height, position: 0, stored })
    }

    /// The output, if it is known: of a transaction under way or in the chain.
    pub fn output(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, Failure> {
        let of = |tx: &Transaction| {
            let index = usize::try_from(outpoint.index).ok()?;
            tx.body.outputs.get(index).copied()
        };
        if let Some(pending) = self.view().pending(&outpoint.txid) {
            return Ok(of(pending.tx.tx()));
        }
        // Cheaper than its transaction.
        if let Some(utxo) = self.archive().unspent_output(outpoint)? {
            return Ok(Some(utxo.out));
        }
        match self.transaction(&outpoint.txid)? {
            Some(FoundTx::Archived(archived)) => Ok(of(&archived.stored.tx)),
            Some(FoundTx::Pending(pending)) => Ok(of(pending.tx.tx())),
            // What punishment left of a collateral has no transaction.
            None => {
                let left = self.punishment_of(outpoint)?.filter(|(_, punishment)| punishment.left == *outpoint);
                Ok(left.map(|(_, punishment)| punishment.after))
            }
        }
    }

    /// How far a transaction has come as far as the view and the store say, which is all of it from `sampling` on;
    /// with the height of its block.
    pub fn known_stage(&self, txid: &Txid) -> Result<(Stage, Option<Height>), Failure> {
        Ok(match self.transaction(txid)? {
            Some(FoundTx::Pending(pending)) => (stage(pending.status), pending.block.map(|(height, _)| height)),
            Some(FoundTx::Archived(archived)) => (Stage::Archived, Some(archived.height)),
            None if self.view().rejection(txid).is_some() => (Stage::Rejected, None),
            None => (Stage::Unknown, None),
        })
    }

    /// Why a transaction was refused, if that is known.
    pub fn rejection(&self, txid: &Txid) -> Option<Arc<Rejection>> {
        self.view().rejection(txid)
    }
}

/// What the view says, in words for users.
pub fn stage(status: Status) -> Stage {
    match status {
        Status::Sampling => Stage::Sampling,
        Status::Accepted => Stage::Accepted,
        Status::Certified => Stage::Certified,
        Status::Finalized => Stage::Finalized,
        Status::Archived => Stage::Archived,
    }
}

/// Sum of outputs; what does not fit is no sum of real ones.
pub fn sum<'a>(outs: impl IntoIterator<Item = &'a TxOut>) -> Amount {
    Amount::checked_sum(outs.into_iter().map(|out| out.value)).unwrap_or(Amount::MAX)
}

fn missing_block(height: Height) -> Failure {
    Failure::Internal(format!("block {height} is missing"))
}
