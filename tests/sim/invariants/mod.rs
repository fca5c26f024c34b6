//! The invariants of `testing.md`, each judged without any predicate of the code it judges: the oracle has its own
//! quorum arithmetic, its own ledger, registry, rewards, leaders and hashes, and shares with the node only the plain
//! data types and the byte encoding.
//!
//! | invariant | where |
//! |---|---|
//! | S1, dispatch | `oracle.rs` |
//! | locks, behind S1 | `locks` |
//! | S2 | `commits` (blocks), `finality` (certificates, final payments) |
//! | S3 | `finality`, over `spends` |
//! | S4, S5, rules of blocks | `replay`, `execute`, over `registry`, `payout`, `subsidy`, `leader`, `transactions`, `lthash` |
//! | S6 | `signing` |
//! | S7 | `finality` (one vote an outpoint, all archived), `signing` (the signer's guard around closing blocks) |
//! | S8 | `nodes`, `signing` |
//! | S9 | `nodes` |
//! | S10 | `memory` |
//! | S11 | `evidence` |
//! | S12 | `recovery` |
//! | L1, L2, L3 | `liveness` |
//! | M1 to M4, behind S2, S4 and S5 | `membership` |

// Two test binaries share this, and neither uses all of it.
#![allow(dead_code)]

pub mod commits;
pub mod committee;
pub mod digest;
pub mod evidence;
pub mod execute;
pub mod finality;
pub mod leader;
pub mod liveness;
pub mod locks;
pub mod lthash;
pub mod membership;
pub mod memory;
pub mod nodes;
pub mod payout;
pub mod recovery;
pub mod registry;
pub mod replay;
pub mod report;
pub mod signatures;
pub mod signing;
pub mod spends;
pub mod subsidy;
pub mod transactions;
