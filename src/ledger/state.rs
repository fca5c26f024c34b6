//! The state after a block, apart from the unspent outputs themselves: everything the next block is judged by.

use super::utxo::Utxo;
use crate::chain::genesis::genesis;
use crate::chain::registry::Registry;
use crate::chain::spec::{Chain, ChainSpec, SpecError};
use crate::crypto::lthash::LtHash;
use crate::types::block::Header;
use crate::types::hash::BlockHash;
use crate::types::number::{Amount, Epoch, Height};
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use std::sync::Arc;

/// A block's header and the state after it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainState {
    /// The block's header.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// Hash of the last block that opened a slot: this one, if it does, and genesis before there is one.
    pub last_opening: BlockHash,
    /// The set that signs this block.
    pub signers: Arc<ValidatorSet>,
    /// The set that signs the child.
    pub validators: Arc<ValidatorSet>,
    /// The masternodes.
    pub registry: Registry,
    /// Hash of the set of unspent outputs.
    pub utxo_hash: LtHash,
    /// Sum of the unspent outputs.
    pub supply: Amount,
    /// Fees of the overflow blocks since the last block that opened a slot.
    pub accrued_fees: Amount,
}

impl ChainState {
    /// The state after the genesis block, with its unspent outputs.
    ///
    /// # Errors
    /// What [`genesis`] says of the chain spec.
    pub fn genesis(chain: &Chain) -> Result<(Self, Vec<(OutPoint, Utxo)>), SpecError> {
        let genesis = genesis(chain)?;
        let hash = genesis.block.header.hash();
        let validators = Arc::new(genesis.validators);
        let state = Self {
            header: genesis.block.header,
            hash,
            last_opening: hash,
            signers: Arc::clone(&validators),
            validators,
            registry: genesis.registry,
            utxo_hash: genesis.utxo_hash,
            supply: genesis.supply,
            accrued_fees: Amount::ZERO,
        };
        let created = Height::ZERO;
        let utxos = genesis.utxos.into_iter().map(|(outpoint, out)| (outpoint, Utxo { out, created })).collect();
        Ok((state, utxos))
    }

    /// Height of the block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Height of its child.
    pub fn child_height(&self) -> Height {
        self.header.height.next()
    }

    /// Epoch of its child.
    pub fn child_epoch(&self, spec: &ChainSpec) -> Epoch {
        spec.epoch_of_child(self.header.opened)
    }
}
