//! The spec as a TOML file: amounts are integer units, keys are hex, locks are addresses of the chain itself.

use super::check::SpecError;
use super::{Allocation, ChainSpec, GenesisMasternode, Spec};
use crate::types::address::{AddressError, from_address, to_address};

/// A chain spec as it stands in a file, with addresses for locks; serializes to TOML and JSON alike.
pub type SpecText = Spec<String>;

impl ChainSpec {
    /// Reads a TOML file. Says nothing about whether the chain can run: see [`ChainSpec::check`].
    ///
    /// # Errors
    /// [`SpecError::Syntax`] for what is no TOML, an unknown, missing or repeated key or a value of a wrong kind;
    /// [`SpecError::BadAddress`] for an address that is not one of the spec's own chain.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        Self::from_text(toml::from_str(text).map_err(|e| SpecError::Syntax(e.to_string()))?)
    }

    /// The spec with locks for addresses.
    ///
    /// # Errors
    /// [`SpecError::BadAddress`] for an address that is not one of the spec's own chain.
    pub fn from_text(spec: SpecText) -> Result<Self, SpecError> {
        let hrp = spec.address_hrp.clone();
        spec.with_locks(|address| from_address(&address, &hrp))
    }

    /// The spec with addresses for locks.
    ///
    /// # Errors
    /// [`SpecError::BadAddress`] if `address_hrp` is no prefix of an address; that of a checked spec is.
    pub fn to_text(&self) -> Result<SpecText, SpecError> {
        let hrp = self.address_hrp.clone();
        self.clone().with_locks(|lock| to_address(&lock, &hrp))
    }

    /// The TOML file that [`ChainSpec::from_toml`] reads as this spec.
    ///
    /// # Errors
    /// As [`ChainSpec::to_text`].
    pub fn to_toml(&self) -> Result<String, SpecError> {
        toml::to_string(&self.to_text()?).map_err(|e| SpecError::Syntax(e.to_string()))
    }
}

impl<A> Spec<A> {
    /// The same spec with every lock read or written by `convert`, and errors that name the key.
    fn with_locks<B>(self, convert: impl Fn(A) -> Result<B, AddressError>) -> Result<Spec<B>, SpecError> {
        let at = |lock: A, key: String| convert(lock).map_err(|error| SpecError::BadAddress { key, error });
        let masternodes = self.masternodes.into_iter().enumerate().map(|(i, m)| {
            Ok(GenesisMasternode {
                consensus_key: m.consensus_key,
                owner: at(m.owner, format!("masternodes[{i}].owner"))?,
                payout: at(m.payout, format!("masternodes[{i}].payout"))?,
                tier: m.tier,
                endpoint: m.endpoint,
            })
        });
        let allocations = self.allocations.into_iter().enumerate().map(|(i, a)| {
            Ok(Allocation { address: at(a.address, format!("allocations[{i}].address"))?, amount: a.amount })
        });
        Ok(Spec {
            masternodes: masternodes.collect::<Result<_, SpecError>>()?,
            allocations: allocations.collect::<Result<_, SpecError>>()?,
            name: self.name,
            address_hrp: self.address_hrp,
            genesis_time_ms: self.genesis_time_ms,
            slot_ms: self.slot_ms,
            epoch_slots: self.epoch_slots,
            max_block_bytes: self.max_block_bytes,
            overflow_min_bytes: self.overflow_min_bytes,
            max_tx_bytes: self.max_tx_bytes,
            min_fee_rate: self.min_fee_rate,
            min_output: self.min_output,
            snowball: self.snowball,
            tsdc: self.tsdc,
            inclusion_grace_ms: self.inclusion_grace_ms,
            clock_tolerance_ms: self.clock_tolerance_ms,
            vdf_iterations: self.vdf_iterations,
            reward: self.reward,
            tiers: self.tiers,
            churn_bps: self.churn_bps,
            unbonding_epochs: self.unbonding_epochs,
            slash_bps: self.slash_bps,
        })
    }
}

macro_rules! as_integer {
    ($name:ident, $type:ty) => {
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(value.get())
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                u64::deserialize(deserializer).map(<$type>::new)
            }
        }
    };
}

as_integer!(amount, crate::types::number::Amount);
as_integer!(weight, crate::types::number::Weight);

pub(super) mod public_key {
    use crate::types::keys::PublicKey;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        PublicKey::from_hex(&text).ok_or_else(|| D::Error::custom("a public key is 64 hex digits"))
    }
}
