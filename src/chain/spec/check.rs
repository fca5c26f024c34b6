//! What makes a spec one that a chain can run on: nothing later overflows, no rule is impossible to follow, and
//! no message of the chain outgrows the wire. An executable specification: one line a rule.

use super::{ChainSpec, SnowballSpec};
use crate::limits::{
    MAX_BLOCK_WIRE_BYTES, MAX_CHAIN_NAME_BYTES, MAX_CONCURRENT_POLLS, MAX_ENDPOINT_BYTES, MAX_GENESIS_OUTPUTS,
    MAX_SNOWBALL_K, MAX_SPEC_MS, MAX_TIERS, MAX_TX_WIRE_BYTES, MAX_UNBONDING_EPOCHS, MAX_VALIDATORS,
};
use crate::types::address::{AddressError, to_address};
use crate::types::block::Commit;
use crate::types::codec::Wire as _;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Weight};
use std::collections::BTreeSet;

/// Why a chain spec cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not TOML, an unknown, missing or repeated key, or a value of the wrong kind; the text names line and key.
    #[error("not a chain spec: {0}")]
    Syntax(String),
    /// A lock that is no address of this chain.
    #[error("`{key}`: {error}")]
    BadAddress {
        /// The key in the file.
        key: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// A value no chain can run on.
    #[error("`{key}` {problem}")]
    BadValue {
        /// The key in the file.
        key: String,
        /// What is wrong with it, value included.
        problem: String,
    },
    /// The chain has no genesis masternodes: it is not launched.
    #[error("the chain `{name}` is not launched: its spec has no genesis masternodes")]
    NotLaunched {
        /// Name of the chain.
        name: String,
    },
}

/// Most bytes of a coinbase: an output of at most 42 bytes a member and one for a proposer new to the set.
const MAX_COINBASE_BYTES: usize = 64 + (MAX_VALIDATORS + 1) * 42;
/// Header, delay function proof, lengths.
const BLOCK_OVERHEAD_BYTES: usize = 8_192;
/// Most that `max_block_bytes` may be: a block and its proposal, which carries a commit and a proof of prepares,
/// fit the wire beside everything that does not count in it.
const MAX_SPEC_BLOCK_BYTES: u64 =
    (MAX_BLOCK_WIRE_BYTES - MAX_COINBASE_BYTES - 2 * Commit::MAX_BYTES - BLOCK_OVERHEAD_BYTES) as u64;
/// `1 + ln n < 46` for any `n` of 64 bits, so no subsidy is 46 times the base or more.
const MAX_SUBSIDY_FACTOR: u64 = 46;

fn ensure(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<(), SpecError> {
    if holds { Ok(()) } else { Err(SpecError::BadValue { key: key.to_owned(), problem: problem() }) }
}

fn in_range(key: &str, value: u64, low: u64, high: u64) -> Result<(), SpecError> {
    ensure((low..=high).contains(&value), key, || format!("is {value}, must be {low} to {high}"))
}

fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=MAX_CHAIN_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

impl ChainSpec {
    /// Checks everything that could break a chain later. A spec without masternodes passes as *not launched* if
    /// `genesis_time_ms` is 0.
    ///
    /// # Errors
    /// [`SpecError::BadValue`] names the first key whose value cannot be.
    pub fn check(&self) -> Result<(), SpecError> {
        self.check_names()?;
        self.check_times()?;
        self.check_sizes()?;
        self.snowball.check()?;
        self.check_shares()?;
        self.check_tiers()?;
        self.check_genesis()
    }

    fn check_names(&self) -> Result<(), SpecError> {
        ensure(is_name(&self.name), "name", || {
            format!("is {:?}, must be 1 to {MAX_CHAIN_NAME_BYTES} letters, digits, `-`, `_` or `.`", self.name)
        })?;
        let hrp = &self.address_hrp;
        let lower_case = hrp.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let fits = lower_case && (1..=MAX_CHAIN_NAME_BYTES).contains(&hrp.len());
        ensure(fits && to_address(&Lock::KeyHash([0; 32]), hrp).is_ok(), "address_hrp", || {
            format!("is {hrp:?}, must be 1 to {MAX_CHAIN_NAME_BYTES} lower-case letters or digits")
        })
    }

    fn check_times(&self) -> Result<(), SpecError> {
        in_range("slot_ms", self.slot_ms, 1, MAX_SPEC_MS)?;
        in_range("epoch_slots", self.epoch_slots, 1, u64::MAX)?;
        let tsdc = &self.tsdc;
        for (key, value) in [
            ("tsdc.propose_ms", tsdc.propose_ms),
            ("tsdc.prepare_ms", tsdc.prepare_ms),
            ("tsdc.precommit_ms", tsdc.precommit_ms),
            // Timeouts have to grow: whatever the network's delay, one view is long enough.
            ("tsdc.delta_ms", tsdc.delta_ms),
        ] {
            in_range(key, value, 1, MAX_SPEC_MS)?;
        }
        in_range("inclusion_grace_ms", self.inclusion_grace_ms, 0, MAX_SPEC_MS)?;
        in_range("clock_tolerance_ms", self.clock_tolerance_ms, 0, MAX_SPEC_MS)?;
        in_range("vdf_iterations", self.vdf_iterations, 1, u64::MAX)
    }

    fn check_sizes(&self) -> Result<(), SpecError> {
        let (block, tx, overflow) = (self.max_block_bytes, self.max_tx_bytes, self.overflow_min_bytes);
        in_range("max_block_bytes", block, 1, MAX_SPEC_BLOCK_BYTES)?;
        in_range("max_tx_bytes", tx, 1, MAX_TX_WIRE_BYTES as u64)?;
        in_range("overflow_min_bytes", overflow, 1, block)?;
        // Only with less than a transaction's room to spare is a block full, and a full one must be able to overflow.
        ensure(overflow.saturating_add(tx) <= block, "max_block_bytes", || {
            format!("is {block}, less than overflow_min_bytes + max_tx_bytes = {overflow} + {tx}")
        })?;
        ensure(self.min_fee_rate.checked_mul(tx).is_some(), "min_fee_rate", || {
            format!("is {}: the fee of a transaction of {tx} bytes is past 2^64 units", self.min_fee_rate)
        })?;
        in_range("min_output", self.min_output.get(), 1, u64::MAX)
    }

    fn check_shares(&self) -> Result<(), SpecError> {
        in_range("reward.base", self.reward.base.get(), 0, u64::MAX / MAX_SUBSIDY_FACTOR)?;
        in_range("reward.proposer_bps", self.reward.proposer_bps, 0, 10_000)?;
        in_range("churn_bps", self.churn_bps, 0, 10_000)?;
        // While a collateral is bound its owner can be slashed for what the key signed as a member.
        in_range("unbonding_epochs", self.unbonding_epochs, 1, MAX_UNBONDING_EPOCHS)?;
        in_range("slash_bps", self.slash_bps, 0, 10_000)
    }

    fn check_tiers(&self) -> Result<(), SpecError> {
        let count = self.tiers.len();
        ensure((1..=MAX_TIERS).contains(&count), "tiers", || format!("has {count} entries, must be 1 to {MAX_TIERS}"))?;
        // A full set of the heaviest has a total that fits.
        let max_weight = u64::MAX / MAX_VALIDATORS as u64;
        let (mut collateral, mut weight) = (Amount::ZERO, Weight::ZERO);
        for (i, tier) in self.tiers.iter().enumerate() {
            ensure(is_name(&tier.name), &format!("tiers[{i}].name"), || format!("is {:?}, not a name", tier.name))?;
            let first = self.tiers.iter().position(|other| other.name == tier.name);
            ensure(first == Some(i), &format!("tiers[{i}].name"), || format!("is {:?} again", tier.name))?;
            ensure(tier.collateral > collateral, &format!("tiers[{i}].collateral"), || {
                format!("is {}, not above {collateral}: tiers ascend", tier.collateral)
            })?;
            ensure(tier.collateral >= self.min_output, &format!("tiers[{i}].collateral"), || {
                format!("is {}, below min_output {}", tier.collateral, self.min_output)
            })?;
            in_range(&format!("tiers[{i}].weight"), tier.weight.get(), weight.get().max(1), max_weight)?;
            (collateral, weight) = (tier.collateral, tier.weight);
        }
        Ok(())
    }

    fn check_genesis(&self) -> Result<(), SpecError> {
        let count = self.masternodes.len();
        ensure(count > 0 || self.genesis_time_ms == 0, "masternodes", || {
            "is empty, though genesis_time_ms says when the chain starts".to_owned()
        })?;
        ensure(count <= MAX_VALIDATORS, "masternodes", || format!("has {count} entries, more than {MAX_VALIDATORS}"))?;
        let outputs = count.saturating_add(self.allocations.len());
        ensure(outputs <= MAX_GENESIS_OUTPUTS, "allocations", || {
            format!("and masternodes have {outputs} entries, more than {MAX_GENESIS_OUTPUTS}")
        })?;
        let mut keys = BTreeSet::new();
        for (i, masternode) in self.masternodes.iter().enumerate() {
            let key = masternode.consensus_key;
            ensure(keys.insert(key), &format!("masternodes[{i}].consensus_key"), || format!("is {key} again"))?;
            ensure(self.tier_named(&masternode.tier).is_some(), &format!("masternodes[{i}].tier"), || {
                format!("is {:?}, which no tier is called", masternode.tier)
            })?;
            let length = masternode.endpoint.len();
            ensure(length <= MAX_ENDPOINT_BYTES, &format!("masternodes[{i}].endpoint"), || {
                format!("has {length} bytes, more than {MAX_ENDPOINT_BYTES}")
            })?;
        }
        for (i, allocation) in self.allocations.iter().enumerate() {
            in_range(&format!("allocations[{i}].amount"), allocation.amount.get(), 1, u64::MAX)?;
        }
        ensure(self.genesis_supply().is_some(), "allocations", || {
            "and the collaterals of the masternodes add up past 2^64 units".to_owned()
        })
    }

    /// Everything the genesis block creates, or `None` past `u64`.
    pub fn genesis_supply(&self) -> Option<Amount> {
        let collaterals = self.masternodes.iter().filter_map(|m| self.tier_named(&m.tier)).map(|t| t.collateral);
        Amount::checked_sum(collaterals.chain(self.allocations.iter().map(|a| a.amount)))
    }
}

impl SnowballSpec {
    /// Checks that polls can be won, by one side only, and that acceptance with a known rival takes no less than
    /// without one.
    ///
    /// # Errors
    /// [`SpecError::BadValue`] names the first key whose value cannot be.
    pub fn check(&self) -> Result<(), SpecError> {
        let range = |key: &str, value: u32, low: u32, high: u32| {
            in_range(&format!("snowball.{key}"), u64::from(value), u64::from(low), u64::from(high))
        };
        range("k", self.k, 1, MAX_SNOWBALL_K)?;
        // More than half: two rivals never win one poll.
        range("alpha", self.alpha, self.k / 2 + 1, self.k)?;
        range("beta_virtuous", self.beta_virtuous, 1, u32::MAX)?;
        range("beta", self.beta, self.beta_virtuous, u32::MAX)?;
        range("concurrent_polls", self.concurrent_polls, 1, MAX_CONCURRENT_POLLS)?;
        in_range("snowball.round_timeout_ms", self.round_timeout_ms, 1, MAX_SPEC_MS)?;
        in_range("snowball.fallback_ms", self.fallback_ms, 1, MAX_SPEC_MS)
    }
}
