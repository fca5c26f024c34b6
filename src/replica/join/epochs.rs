//! The way from genesis to a late validator set: the blocks that closed the epochs, and nothing else.
//!
//! Each set signs the block that names the next one, so whoever believes the chain spec believes the last of them, as long
//! as no third of any set's weight has turned Byzantine since (`protocol.md` 9, *Trust*: keys that are long unbonded can
//! sign another history, against which only a block known from elsewhere helps).

use crate::chain::spec::{Chain, SpecError};
use crate::ledger::state::ChainState;
use crate::ledger::verify::{Verifier, VerifyError};
use crate::replica::message::SealedHeader;
use crate::types::hash::BlockHash;
use crate::types::number::{Epoch, Height};
use crate::types::validators::{ValidatorSet, ValidatorSetError};
use std::cmp::Ordering;
use std::sync::Arc;

/// Why a block does not close the next epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// It closes another one, or is of another chain.
    #[error("it does not close epoch {0}")]
    OtherEpoch(Epoch),
    /// A part contradicts the header.
    #[error("its {0} is not what its header says")]
    Contradiction(&'static str),
    /// The commit is none.
    #[error("its commit: {0}")]
    Commit(#[from] VerifyError),
    /// The next set is none.
    #[error("its next set: {0}")]
    Set(#[from] ValidatorSetError),
}

/// How far the sets are known.
#[derive(Clone, Debug)]
pub struct EpochChain {
    chain: Chain,
    epoch: Epoch,
    set: Arc<ValidatorSet>,
    last: (Height, BlockHash),
}

impl EpochChain {
    /// Knows the set of genesis.
    ///
    /// # Errors
    /// What genesis says of the chain spec.
    pub fn new(chain: Chain) -> Result<Self, SpecError> {
        let (genesis, _) = ChainState::genesis(&chain)?;
        let epoch = genesis.child_epoch(&chain);
        Ok(Self { chain, epoch, set: genesis.validators, last: (Height::ZERO, genesis.hash) })
    }

    /// The epoch whose set is known and whose end is not.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The set of that epoch.
    pub fn set(&self) -> &Arc<ValidatorSet> {
        &self.set
    }

    /// The block that began it.
    pub fn last(&self) -> (Height, BlockHash) {
        self.last
    }

    /// Whether a header says that it closed an epoch before the next one whose end is to be known, that one, or a later one.
    /// `None`: it says that it closed none.
    pub fn place_of(&self, end: &SealedHeader) -> Option<Ordering> {
        let opened = end.header.opened;
        let closed = opened.checked_div(self.chain.epoch_slots).filter(|closed| *closed > 0)?;
        let is_end = opened.is_multiple_of(self.chain.epoch_slots);
        is_end.then(|| closed.cmp(&self.epoch.next().get()))
    }

    /// Goes on to the next epoch.
    ///
    /// # Errors
    /// [`EpochError`]; nothing has changed then.
    pub fn extend(&mut self, verifier: &Verifier, end: SealedHeader) -> Result<(), EpochError> {
        let SealedHeader { header, commit, next_set } = end;
        let closes = self.epoch.next().get().checked_mul(self.chain.epoch_slots);
        if closes != Some(header.opened) || header.chain_id != self.chain.id() || header.height <= self.last.0 {
            return Err(EpochError::OtherEpoch(self.epoch));
        }
        let hash = header.hash();
        let set = match next_set {
            Some(members) => Arc::new(ValidatorSet::new(members)?),
            None => Arc::clone(&self.set),
        };
        let agree = [
            (header.validators_hash == self.set.hash(), "set"),
            (header.next_validators_hash == set.hash() && !set.is_empty(), "next set"),
            (commit.height == header.height && commit.block_hash == hash, "commit"),
        ];
        if let Some((_, part)) = agree.into_iter().find(|(agrees, _)| !agrees) {
            return Err(EpochError::Contradiction(part));
        }
        verifier.commit(commit, &self.set)?;
        (self.epoch, self.set, self.last) = (self.epoch.next(), set, (header.height, hash));
        Ok(())
    }
}
