//! A lock as text: Bech32m (BIP-350), with the lock's kind as the first group of five bits.

use super::lock::Lock;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
use bech32::{Bech32m, Fe32, Hrp};

/// Why a text is not an address of this chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not Bech32m: a wrong character, mixed case, a bad checksum or length.
    #[error("not a valid address: {0}")]
    NotBech32m(String),
    /// An address of another chain.
    #[error("an address of another chain: it starts with `{found}`, this chain's start with `{expected}`")]
    WrongChain {
        /// The prefix the address has.
        found: String,
        /// The prefix of this chain.
        expected: String,
    },
    /// The first group of five bits names no kind of lock.
    #[error("unknown kind of address: {0}")]
    UnknownKind(u8),
    /// Not 32 bytes behind the kind.
    #[error("an address holds 32 bytes, this one {0}")]
    WrongLength(usize),
}

const KEY_HASH: Fe32 = Fe32::Q;
const MULTISIG: Fe32 = Fe32::P;

/// The address of `lock` on the chain whose addresses start with `hrp`, in lower case.
///
/// # Errors
/// [`AddressError::NotBech32m`] if `hrp` is no Bech32 prefix; a checked chain spec has a good one.
pub fn to_address(lock: &Lock, hrp: &str) -> Result<String, AddressError> {
    let hrp = parse_hrp(hrp)?;
    let (kind, hash) = match lock {
        Lock::KeyHash(hash) => (KEY_HASH, hash),
        Lock::Multisig(hash) => (MULTISIG, hash),
    };
    let groups = hash.iter().copied().bytes_to_fes();
    Ok(groups.with_checksum::<Bech32m>(&hrp).with_witness_version(kind).chars().collect())
}

/// The lock that an address of the chain `hrp` stands for. All upper case is read too.
///
/// # Errors
/// [`AddressError`]: says what is wrong with the text.
pub fn from_address(text: &str, hrp: &str) -> Result<Lock, AddressError> {
    let expected = parse_hrp(hrp)?;
    let mut checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|e| AddressError::NotBech32m(e.to_string()))?;
    if checked.hrp() != expected {
        let found = checked.hrp().to_lowercase();
        return Err(AddressError::WrongChain { found, expected: hrp.to_owned() });
    }
    let kind = checked.remove_witness_version().ok_or(AddressError::WrongLength(0))?;
    checked.validate_segwit_padding().map_err(|e| AddressError::NotBech32m(e.to_string()))?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let hash: [u8; 32] = bytes.as_slice().try_into().map_err(|_| AddressError::WrongLength(bytes.len()))?;
    match kind {
        KEY_HASH => Ok(Lock::KeyHash(hash)),
        MULTISIG => Ok(Lock::Multisig(hash)),
        other => Err(AddressError::UnknownKind(other.to_u8())),
    }
}

fn parse_hrp(hrp: &str) -> Result<Hrp, AddressError> {
    Hrp::parse(hrp).map_err(|e| AddressError::NotBech32m(e.to_string()))
}
