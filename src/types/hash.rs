//! BLAKE3 in `derive_key` mode, one context per purpose, and the 32-byte identifiers made with it.
//!
//! Invariant: every hash of the protocol goes through [`Domain`], so two purposes never share a context.
//! Source: BLAKE3 specification, section 2.3 (`derive_key`).

use bincode::{Decode, Encode};
use blake3::hazmat::HasherExt as _;
use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

/// What is hashed: selects the BLAKE3 context `"timecoin v1 " + NAME`.
///
/// A domain remembers the hashed context, so that hashing a short message costs one compression.
pub struct Domain {
    name: &'static str,
    context_key: LazyLock<[u8; 32]>,
}

macro_rules! domains {
    ($($(#[$doc:meta])* $ident:ident = $name:literal;)*) => {
        impl Domain {
            $($(#[$doc])* pub const $ident: &'static Domain = {
                static DOMAIN: Domain = Domain {
                    name: $name,
                    context_key: LazyLock::new(|| {
                        blake3::hazmat::hash_derive_key_context(concat!("timecoin v1 ", $name))
                    }),
                };
                &DOMAIN
            };)*

            /// The domain with this name, if the protocol has one.
            pub fn by_name(name: &str) -> Option<&'static Domain> {
                match name {
                    $($name => Some(Self::$ident),)*
                    _ => None,
                }
            }
        }
    };
}

domains! {
    /// A chain spec; see `chain::spec`.
    CHAIN = "chain";
    /// The body of a transaction.
    TXID = "txid";
    /// A whole transaction, witnesses included: the key under which a verification is remembered.
    WTXID = "wtxid";
    /// What the owner of an input signs.
    SIGHASH = "sighash";
    /// A public key, as a lock.
    ADDRESS = "address";
    /// A threshold and keys, as a lock.
    MULTISIG = "multisig";
    /// Proof of possession in a registration.
    REGISTER = "register";
    /// The id of a masternode of the genesis block.
    GENESIS_MASTERNODE = "genesis masternode";
    /// The beacon of the genesis block.
    GENESIS_BEACON = "genesis beacon";
    /// A validator set.
    VALIDATORS = "validators";
    /// What a batch of votes or receipts signs.
    FINALITY_VOTE = "finality vote";
    /// What a prepare or precommit signs.
    BFT_VOTE = "bft vote";
    /// What a proposer signs.
    PROPOSAL = "proposal";
    /// A block header.
    BLOCK = "block";
    /// A commit, as the child's header names it.
    COMMIT = "commit";
    /// One piece of evidence.
    EVIDENCE = "evidence";
    /// The outpoint of what slashing left of a collateral.
    SLASH = "slash";
    /// The seed of a delay function.
    VDF_SEED = "vdf seed";
    /// The input of a delay function (extendable output).
    VDF_INPUT = "vdf input";
    /// Candidates of the challenge prime.
    VDF_PRIME = "vdf prime";
    /// The output of a delay function, as randomness.
    BEACON = "beacon";
    /// The draw of a leader.
    LEADER = "leader";
    /// One unspent output, expanded for the set hash (extendable output).
    STATE_ENTRY = "state entry";
    /// The set hash of all unspent outputs.
    UTXOS = "utxos";
    /// The masternode registry.
    MASTERNODES = "masternodes";
    /// The state after a block.
    STATE_ROOT = "state root";
    /// A chunk of a snapshot.
    SNAPSHOT_CHUNK = "snapshot chunk";
    /// The manifest of a snapshot.
    SNAPSHOT = "snapshot";
    /// A leaf of a Merkle tree.
    MERKLE_LEAF = "merkle leaf";
    /// An inner node of a Merkle tree.
    MERKLE_NODE = "merkle node";
    /// The Noise key of one end of a link, as its node key signs it.
    NOISE_STATIC = "noise static";
    /// One end of a link, as a masternode's consensus key signs it.
    LINK = "link";
    /// A run of a node that holds a masternode's consensus key.
    PRESENCE = "presence";
}

impl Domain {
    /// The name without the `"timecoin v1 "` prefix.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A fresh hasher of this domain.
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_from_context_key(&self.context_key)
    }

    /// `H(NAME, bytes)` of the protocol.
    pub fn hash(&self, bytes: &[u8]) -> Hash {
        Hash(*self.hasher().update(bytes).finalize().as_bytes())
    }

    /// `H(NAME, a || b || ..)`.
    pub fn hash_all(&self, parts: &[&[u8]]) -> Hash {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(part);
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// Fills `out` with the extendable output for `bytes`.
    pub fn fill(&self, bytes: &[u8], out: &mut [u8]) {
        self.hasher().update(bytes).finalize_xof().fill(out);
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.name)
    }
}

/// The order of the bytes. Hashes almost always differ in their first eight, and comparing those as one number is what
/// makes a search in an ordered map cheap.
fn compare(a: &[u8; 32], b: &[u8; 32]) -> Ordering {
    let head = |bytes: &[u8; 32]| bytes.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    head(a).cmp(&head(b)).then_with(|| a.cmp(b))
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, std::hash::Hash, Default, Encode, Decode)]
        pub struct $name(pub [u8; 32]);

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                compare(&self.0, &other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// 32 zero bytes.
            pub const ZERO: Self = Self([0; 32]);

            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Reads 64 hex digits.
            pub fn from_hex(text: &str) -> Option<Self> {
                super::hex::decode_array(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&super::hex::encode(&self.0))
            }
        }

        /// The first eight hex digits: enough to tell things apart in a log.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&super::hex::encode(&self.0[..4]))
            }
        }

        impl From<Hash> for $name {
            fn from(hash: Hash) -> Self {
                Self(hash.0)
            }
        }
    };
}

/// A hash with no more specific type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash, Default, Encode, Decode)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes.
    pub const ZERO: Self = Self([0; 32]);

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        super::hex::decode_array(text).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex::encode(&self.0[..4]))
    }
}

hash_type! {
    /// `H("txid", encode(body))`: names a transaction whatever its witnesses.
    Txid
}
hash_type! {
    /// `H("wtxid", encode(transaction))`: names a transaction with its witnesses.
    Wtxid
}
hash_type! {
    /// `H("block", encode(header))`.
    BlockHash
}
hash_type! {
    /// `H("chain", encode(spec))`: every signature of a chain covers it.
    ChainId
}
hash_type! {
    /// The registration's txid, or a hash of the coinbase and an index for a genesis masternode.
    MasternodeId
}
