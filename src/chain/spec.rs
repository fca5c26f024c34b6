//! The chain spec: everything two nodes must agree on. Its hash is the chain's identity, and every signature of
//! the chain covers that (`protocol.md` 2).
//!
//! A [`ChainSpec`] says nothing about whether its numbers make sense; a [`Chain`] was checked.

mod builtin;
mod check;
mod text;

pub use builtin::BUILTIN_CHAINS;
pub use check::SpecError;
pub use text::SpecText;

use crate::types::codec::encode;
use crate::types::hash::{ChainId, Domain};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Weight};
use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::sync::Arc;

/// A chain spec with its addresses read.
pub type ChainSpec = Spec<Lock>;

/// What a chain is made of. The order of the fields is the order in which the chain's id covers them.
///
/// `A` is how a lock stands in it: a [`Lock`] in a [`ChainSpec`], an address in a [`SpecText`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec<A> {
    /// Name of the chain.
    pub name: String,
    /// Prefix of the chain's addresses: lower case.
    pub address_hrp: String,
    /// Start of slot 0 in Unix milliseconds.
    #[serde(default)]
    pub genesis_time_ms: u64,
    /// Length of a slot in milliseconds.
    pub slot_ms: u64,
    /// Slot-opening blocks of an epoch.
    pub epoch_slots: u64,
    /// Most bytes of a block's encoded transactions and evidence, coinbase apart.
    pub max_block_bytes: u64,
    /// Least bytes of transactions in an overflow block.
    pub overflow_min_bytes: u64,
    /// Most bytes of one encoded transaction.
    pub max_tx_bytes: u64,
    /// Least fee in units per byte of the encoded transaction.
    pub min_fee_rate: u64,
    /// Least value of an output.
    #[serde(with = "text::amount")]
    pub min_output: Amount,
    /// Sampling (`protocol.md` 5).
    pub snowball: SnowballSpec,
    /// Timeouts of block agreement (`protocol.md` 7.4).
    pub tsdc: TsdcSpec,
    /// How long a certified transaction may be left out of proposals, in milliseconds.
    pub inclusion_grace_ms: u64,
    /// How far a fresh proposal's slot may be from the local clock's, in milliseconds.
    pub clock_tolerance_ms: u64,
    /// Squarings of the delay function in each slot-opening block.
    pub vdf_iterations: u64,
    /// What a slot-opening block pays (`protocol.md` 8).
    pub reward: RewardSpec,
    /// Kinds of masternodes, ascending by collateral.
    pub tiers: Vec<Tier>,
    /// Most weight that may enter and leave at an epoch's end, in ten-thousandths of the set's.
    pub churn_bps: u64,
    /// Epochs for which the collateral of a masternode that left stays bound.
    pub unbonding_epochs: u64,
    /// What a double signature costs, in ten-thousandths of the collateral.
    pub slash_bps: u64,
    /// Masternodes of the genesis block; none marks a chain that is not launched.
    #[serde(default = "Vec::new")]
    pub masternodes: Vec<GenesisMasternode<A>>,
    /// Further outputs of the genesis block.
    #[serde(default = "Vec::new")]
    pub allocations: Vec<Allocation<A>>,
}

/// Parameters of Snowball.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnowballSpec {
    /// Draws of a poll.
    pub k: u32,
    /// Answers of `k` that win a poll; more than half.
    pub alpha: u32,
    /// Polls won in a row that accept a transaction with a known rival.
    pub beta: u32,
    /// Polls won in a row that accept a transaction without a known rival; at most `beta`.
    pub beta_virtuous: u32,
    /// Polls of one transaction that may overlap.
    pub concurrent_polls: u32,
    /// When a poll ends at the latest, in milliseconds.
    pub round_timeout_ms: u64,
    /// After how many milliseconds one poll won is enough for a transaction without a known rival.
    pub fallback_ms: u64,
}

/// Timeouts of block agreement, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsdcSpec {
    /// Waiting for a proposal in view 0.
    pub propose_ms: u64,
    /// Waiting for further prepares in view 0.
    pub prepare_ms: u64,
    /// Waiting for further precommits in view 0.
    pub precommit_ms: u64,
    /// What each view adds to the three.
    pub delta_ms: u64,
}

/// How the subsidy of a slot-opening block follows from its place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardSchedule {
    /// `floor(base * (1 + ln opened))`.
    LogHeight,
    /// `base`.
    Constant,
    /// `floor(base * ln(1 + members / 50))`.
    LogMasternodes,
}

/// Rewards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardSpec {
    /// The schedule.
    pub schedule: RewardSchedule,
    /// Its base, in units.
    #[serde(with = "text::amount")]
    pub base: Amount,
    /// The proposer's part, in ten-thousandths.
    pub proposer_bps: u64,
}

/// A kind of masternode.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Least collateral, in units.
    #[serde(with = "text::amount")]
    pub collateral: Amount,
    /// Weight of one masternode of this kind.
    #[serde(with = "text::weight")]
    pub weight: Weight,
}

/// A masternode of the genesis block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisMasternode<A> {
    /// The key that votes.
    #[serde(with = "text::public_key")]
    pub consensus_key: PublicKey,
    /// Whose the collateral is.
    pub owner: A,
    /// Who gets the rewards.
    pub payout: A,
    /// Name of its tier: the collateral is that tier's.
    pub tier: String,
    /// Where it listens.
    pub endpoint: String,
}

/// An output of the genesis block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation<A> {
    /// Whose it is.
    pub address: A,
    /// Units.
    #[serde(with = "text::amount")]
    pub amount: Amount,
}

impl ChainSpec {
    /// `H("chain", encode(self))`. Encodes the whole spec: a [`Chain`] keeps it.
    pub fn id(&self) -> ChainId {
        Domain::CHAIN.hash(&encode(self)).into()
    }

    /// The highest tier that a collateral of `value` reaches, if any.
    pub fn tier_for(&self, value: Amount) -> Option<&Tier> {
        self.tiers.iter().rev().find(|tier| tier.collateral <= value)
    }

    /// The tier with this name.
    pub fn tier_named(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.name == name)
    }

    /// Least fee of a transaction of `size_bytes`. Exact up to `max_tx_bytes` of a checked spec.
    pub fn min_fee(&self, size_bytes: u32) -> Amount {
        Amount::new(self.min_fee_rate.saturating_mul(u64::from(size_bytes)))
    }
}

/// A chain that can run: its spec was checked, its id is computed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chain(Arc<CheckedSpec>);

#[derive(Debug)]
struct CheckedSpec {
    spec: ChainSpec,
    id: ChainId,
}

impl Chain {
    /// Checks `spec`.
    ///
    /// # Errors
    /// What [`ChainSpec::check`] says, and [`SpecError::NotLaunched`] for a spec without masternodes.
    pub fn new(spec: ChainSpec) -> Result<Self, SpecError> {
        spec.check()?;
        if spec.masternodes.is_empty() {
            return Err(SpecError::NotLaunched { name: spec.name });
        }
        let id = spec.id();
        Ok(Self(Arc::new(CheckedSpec { spec, id })))
    }

    /// The chain's id.
    pub fn id(&self) -> ChainId {
        self.0.id
    }
}

impl Deref for Chain {
    type Target = ChainSpec;

    fn deref(&self) -> &ChainSpec {
        &self.0.spec
    }
}

#[cfg(test)]
mod tests;
