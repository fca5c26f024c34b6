//! Who is a masternode: the records, and how transactions, evidence and the end of an epoch change them
//! (`protocol.md` 4 and 11).
//!
//! Invariants: no two records share an id, a consensus key or a collateral; a key is taken and a collateral bound
//! as long as there is a record. Effects never fail: one whose ground is gone does nothing, because a certified
//! payment is archived whatever became of its payload. A clone is a pointer until one of the two is changed.

mod boundary;
mod forecast;

use super::spec::ChainSpec;
use crate::limits::MAX_ENDPOINT_BYTES;
use crate::types::codec::encode;
use crate::types::hash::{Domain, Hash, MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Height, Weight};
use crate::types::transaction::{OutPoint, Payload, Register, TxBody, TxOut, Update};
use crate::types::validators::{Validator, ValidatorSet, ValidatorSetError};
use bincode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Where a masternode stands between asking to enter and getting its collateral back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum MasternodeState {
    /// Waits for a boundary with room to let it in.
    Queued,
    /// In the set.
    Active,
    /// In the set still, until a boundary has room to let it go.
    Leaving,
    /// Out of the set; the collateral is bound, and can be slashed.
    Unbonding {
        /// The first epoch in which the record is gone and the collateral an ordinary output.
        until_epoch: Epoch,
    },
}

/// The record of a masternode.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Masternode {
    /// Its name for life: the registration's txid, or made from the genesis coinbase.
    pub id: MasternodeId,
    /// The key that votes.
    pub consensus_key: PublicKey,
    /// Whose the collateral is; may update and unregister.
    pub owner: Lock,
    /// Who gets the rewards.
    pub payout: Lock,
    /// Where it listens; at most 255 bytes.
    pub endpoint: String,
    /// The bound output.
    pub collateral: OutPoint,
    /// Value of the bound output.
    pub value: Amount,
    /// Weight in a set; slashing does not change it.
    pub weight: Weight,
    /// Height of registering, or of asking to leave.
    pub queued_at: Height,
    /// Where it stands.
    pub state: MasternodeState,
    /// Whether it was punished for signing twice.
    pub slashed: bool,
}

crate::wire!(Masternode, 512 + MAX_ENDPOINT_BYTES, 2048);

impl Masternode {
    /// Whether it is in the set of the epoch that begins now: who asked to leave serves until a boundary lets it go,
    /// or all could leave at once whatever the churn limit says.
    pub fn is_member(&self) -> bool {
        matches!(self.state, MasternodeState::Active | MasternodeState::Leaving)
    }

    fn validator(&self) -> Validator {
        Validator { id: self.id, consensus_key: self.consensus_key, weight: self.weight, payout: self.payout }
    }
}

/// What slashing did to a collateral: the output at `old` is replaced by `new_value` at `new`, for the same owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slashed {
    /// The output that goes.
    pub old: OutPoint,
    /// The output that comes, created at the height of the block.
    pub new: OutPoint,
    /// Value of the output that goes.
    pub old_value: Amount,
    /// Value of the output that comes; the difference leaves the supply.
    pub new_value: Amount,
    /// Lock of both.
    pub owner: Lock,
}

/// Why records are not a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Not strictly ascending by id.
    #[error("the record of masternode {0} does not follow the one before it")]
    OutOfOrder(MasternodeId),
    /// Two records have one key.
    #[error("two masternodes have the consensus key {0}")]
    DuplicateKey(PublicKey),
    /// Two records have one collateral.
    #[error("two masternodes have the collateral {0}")]
    DuplicateCollateral(OutPoint),
}

/// All masternodes.
#[derive(Clone, Default, Debug)]
pub struct Registry(Arc<Records>);

#[derive(Clone, Default, Debug)]
struct Records {
    by_id: BTreeMap<MasternodeId, Masternode>,
    by_key: BTreeMap<PublicKey, MasternodeId>,
    by_collateral: BTreeMap<OutPoint, MasternodeId>,
    /// Most blocks change no record, and each needs the hash.
    hash: OnceLock<Hash>,
}

impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.0.by_id == other.0.by_id
    }
}

impl Eq for Registry {}

impl Registry {
    /// The registry with these records.
    ///
    /// # Errors
    /// [`RegistryError`] if they do not ascend by id, or two share a consensus key or a collateral.
    pub fn from_records(records: impl IntoIterator<Item = Masternode>) -> Result<Self, RegistryError> {
        let mut all = Records::default();
        for record in records {
            if all.by_id.last_key_value().is_some_and(|(last, _)| *last >= record.id) {
                return Err(RegistryError::OutOfOrder(record.id));
            }
            if all.by_key.contains_key(&record.consensus_key) {
                return Err(RegistryError::DuplicateKey(record.consensus_key));
            }
            if all.by_collateral.contains_key(&record.collateral) {
                return Err(RegistryError::DuplicateCollateral(record.collateral));
            }
            all.insert(record);
        }
        Ok(Self(Arc::new(all)))
    }

    /// The record with this id.
    pub fn get(&self, id: &MasternodeId) -> Option<&Masternode> {
        self.0.by_id.get(id)
    }

    /// The record whose consensus key this is; a key without one is free to register.
    pub fn by_key(&self, key: &PublicKey) -> Option<&Masternode> {
        self.0.by_key.get(key).and_then(|id| self.get(id))
    }

    /// Whether the output is bound: as collateral of a masternode in any state.
    pub fn is_collateral(&self, outpoint: &OutPoint) -> bool {
        self.0.by_collateral.contains_key(outpoint)
    }

    /// All records, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Masternode> {
        self.0.by_id.values()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.0.by_id.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.by_id.is_empty()
    }

    /// `H("masternodes", encode(Vec<Masternode> by id))`.
    pub fn hash(&self) -> Hash {
        *self.0.hash.get_or_init(|| Domain::MASTERNODES.hash(&encode(&self.iter().collect::<Vec<_>>())))
    }

    /// The set of the epoch that begins with this registry, so ask right after [`Registry::boundary`] or genesis:
    /// a set keeps the payouts and weights of its boundary.
    ///
    /// # Errors
    /// [`ValidatorSetError`]: never on a checked chain, where keys are distinct and all weights together fit.
    pub fn validators(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(self.iter().filter(|m| m.is_member()).map(Masternode::validator).collect())
    }

    /// Weight of all members, which is that of the set of the epoch under way: nobody enters or leaves before its end.
    pub fn member_weight(&self) -> Weight {
        // The weights of all masternodes of a checked chain fit.
        Weight::checked_sum(self.iter().filter(|m| m.is_member()).map(|m| m.weight)).unwrap_or(Weight::MAX)
    }

    /// Applies the payload of a transaction archived at `height` in a block of `epoch`; whether it had an effect.
    pub fn apply(&mut self, spec: &ChainSpec, height: Height, epoch: Epoch, txid: Txid, body: &TxBody) -> bool {
        match &body.payload {
            Payload::Transfer | Payload::Coinbase { .. } => false,
            Payload::Register(register) => self.register(spec, height, txid, body, register),
            Payload::Update(update) => self.update(update),
            Payload::Unregister { masternode } => self.unregister(spec, height, epoch, masternode),
        }
    }

    fn register(&mut self, spec: &ChainSpec, height: Height, txid: Txid, body: &TxBody, register: &Register) -> bool {
        let Some((collateral, out)) = collateral_output(txid, body, register) else { return false };
        let Some(tier) = spec.tier_for(out.value) else { return false };
        if self.by_key(&register.consensus_key).is_some() || register.endpoint.len() > MAX_ENDPOINT_BYTES {
            return false;
        }
        self.write().insert(Masternode {
            id: MasternodeId(txid.0),
            consensus_key: register.consensus_key,
            owner: out.lock,
            payout: register.payout,
            endpoint: register.endpoint.clone(),
            collateral,
            value: out.value,
            weight: tier.weight,
            queued_at: height,
            state: MasternodeState::Queued,
            slashed: false,
        });
        true
    }

    fn update(&mut self, update: &Update) -> bool {
        let too_long = update.endpoint.as_ref().is_some_and(|e| e.len() > MAX_ENDPOINT_BYTES);
        if too_long || self.get(&update.masternode).is_none() {
            return false;
        }
        self.change(&update.masternode, |record| {
            record.payout = update.payout.unwrap_or(record.payout);
            if let Some(endpoint) = &update.endpoint {
                record.endpoint.clone_from(endpoint);
            }
        });
        true
    }

    fn unregister(&mut self, spec: &ChainSpec, height: Height, epoch: Epoch, id: &MasternodeId) -> bool {
        let state = match self.get(id).map(|m| m.state) {
            // Never in a set; its unbonding ends as if the boundary of this epoch had let it go.
            Some(MasternodeState::Queued) => MasternodeState::Unbonding { until_epoch: spec.unbonded_from(epoch) },
            Some(MasternodeState::Active) => MasternodeState::Leaving,
            Some(MasternodeState::Leaving | MasternodeState::Unbonding { .. }) | None => return false,
        };
        self.change(id, |record| {
            record.state = state;
            record.queued_at = height;
        });
        true
    }

    /// Whether evidence against this key has an effect: it has a record that was not slashed yet.
    pub fn can_be_slashed(&self, voter: &PublicKey) -> bool {
        self.by_key(voter).is_some_and(|record| !record.slashed)
    }

    /// Punishes the masternode whose consensus key signed twice, in whatever state it is, once a registration. It
    /// leaves the set at the boundary. `None` if there is nothing to punish.
    pub fn slash(&mut self, spec: &ChainSpec, voter: &PublicKey) -> Option<Slashed> {
        let record = self.by_key(voter).filter(|record| !record.slashed)?;
        let id = record.id;
        let slashed = Slashed {
            old: record.collateral,
            new: OutPoint { txid: Domain::SLASH.hash(&id.0).into(), index: 0 },
            old_value: record.value,
            new_value: spec.value_after_slashing(record.value),
            owner: record.owner,
        };
        let records = self.write();
        records.by_collateral.remove(&slashed.old);
        records.by_collateral.insert(slashed.new, id);
        self.change(&id, |record| {
            record.slashed = true;
            record.collateral = slashed.new;
            record.value = slashed.new_value;
        });
        Some(slashed)
    }

    fn write(&mut self) -> &mut Records {
        let records = Arc::make_mut(&mut self.0);
        records.hash = OnceLock::new();
        records
    }

    /// Changes anything of a record but its id, key and collateral, which the indexes hold.
    fn change(&mut self, id: &MasternodeId, change: impl FnOnce(&mut Masternode)) {
        if let Some(record) = self.write().by_id.get_mut(id) {
            change(record);
        }
    }
}

impl Records {
    fn insert(&mut self, record: Masternode) {
        self.by_key.insert(record.consensus_key, record.id);
        self.by_collateral.insert(record.collateral, record.id);
        self.by_id.insert(record.id, record);
    }

    fn remove(&mut self, id: &MasternodeId) {
        if let Some(record) = self.by_id.remove(id) {
            self.by_key.remove(&record.consensus_key);
            self.by_collateral.remove(&record.collateral);
        }
    }
}

/// The output that `register`, the payload of `body`, names as its collateral, if there is such an output.
pub fn collateral_output(txid: Txid, body: &TxBody, register: &Register) -> Option<(OutPoint, TxOut)> {
    let index = usize::try_from(register.collateral_index).ok()?;
    let out = body.outputs.get(index)?;
    Some((OutPoint { txid, index: register.collateral_index }, *out))
}

impl ChainSpec {
    /// The first epoch in which a masternode that left the set, or the queue, in `epoch` has its collateral back:
    /// `unbonding_epochs` whole ones lie between.
    pub fn unbonded_from(&self, epoch: Epoch) -> Epoch {
        Epoch::new(epoch.next().get().saturating_add(self.unbonding_epochs))
    }

    /// What slashing leaves of a collateral: `floor(value * (10000 - slash_bps) / 10000)`.
    pub fn value_after_slashing(&self, value: Amount) -> Amount {
        let kept_bps = 10_000u64.saturating_sub(self.slash_bps);
        let kept = u128::from(value.get()) * u128::from(kept_bps) / 10_000;
        // At most `value`, since at most all of it is kept.
        Amount::new(u64::try_from(kept).unwrap_or(value.get()))
    }
}

#[cfg(test)]
mod tests;
