//! The chains every node knows, and the one that a lone developer's node makes for itself.

use super::{Allocation, ChainSpec, GenesisMasternode};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;

/// Names of the built-in chains.
pub const BUILTIN_CHAINS: [&str; 3] = ["mainnet", "testnet", "dev"];

impl ChainSpec {
    /// The built-in chain `name`: `mainnet`, `testnet` or `dev`.
    ///
    /// None of them has genesis masternodes yet: `mainnet` and `testnet` are not launched, and every `dev` chain is
    /// a chain of its own, completed by [`ChainSpec::dev`].
    pub fn builtin(name: &str) -> Option<Self> {
        let text = match name {
            "mainnet" => include_str!("../specs/mainnet.toml"),
            "testnet" => include_str!("../specs/testnet.toml"),
            "dev" => include_str!("../specs/dev.toml"),
            _ => return None,
        };
        // The files are part of the program; a test reads and checks each.
        Self::from_toml(text).ok()
    }

    /// A `dev` chain whose one masternode, of the lowest tier, elects itself: its collateral belongs to `owner`,
    /// who gets its rewards too. Both come into being in the genesis block, as do the `allocations`.
    pub fn dev(
        genesis_time_ms: u64,
        consensus_key: PublicKey,
        owner: Lock,
        allocations: Vec<Allocation<Lock>>,
    ) -> Option<Self> {
        let mut spec = Self::builtin("dev")?;
        let tier = spec.tiers.first()?.name.clone();
        spec.genesis_time_ms = genesis_time_ms;
        spec.masternodes =
            vec![GenesisMasternode { consensus_key, owner, payout: owner, tier, endpoint: "127.0.0.1:24200".into() }];
        spec.allocations = allocations;
        Some(spec)
    }
}
