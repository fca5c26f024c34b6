//! From a passphrase to a key (Argon2id), and encryption with that key (ChaCha20-Poly1305).

use crate::types::hex;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What the file calls the cipher.
pub const CIPHER: &str = "chacha20poly1305";
/// What the file calls the function that makes a key of the passphrase.
const KDF: &str = "argon2id";
/// The version of Argon2 in use.
const KDF_VERSION: u32 = 19;
const NONCE_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
/// What a file may ask for at most, so that a false one cannot use up the machine: 1 GiB, 64 rounds, 64 lanes.
const MAX_COST: Cost = Cost { memory_kib: 1 << 20, iterations: 64, lanes: 64 };

/// What trying one passphrase costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Parts of it that can be worked on side by side.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes; some tenths of a second.
    pub const STANDARD: Self = Self { memory_kib: 1 << 16, iterations: 3, lanes: 4 };
}

/// How the key comes from the passphrase.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kdf {
    name: String,
    version: u32,
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
    salt: String,
}

impl Kdf {
    /// One with a new salt.
    pub fn new(cost: Cost) -> Self {
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        Self {
            name: KDF.to_owned(),
            version: KDF_VERSION,
            memory_kib: cost.memory_kib,
            iterations: cost.iterations,
            lanes: cost.lanes,
            salt: hex::encode(&salt),
        }
    }

    /// The key of a passphrase. `None` if a parameter is unknown or out of range.
    pub fn key(&self, passphrase: &str) -> Option<Zeroizing<[u8; 32]>> {
        let is_known = self.name == KDF && self.version == KDF_VERSION;
        let is_bounded = self.memory_kib <= MAX_COST.memory_kib
            && self.iterations <= MAX_COST.iterations
            && self.lanes <= MAX_COST.lanes;
        if !is_known || !is_bounded {
            return None;
        }
        let salt: [u8; SALT_BYTES] = hex::decode_array(&self.salt)?;
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(self.memory_kib, self.iterations, self.lanes, Some(key.len())).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase.as_bytes(), &salt, key.as_mut()).ok()?;
        Some(key)
    }
}

/// A nonce that was not used before, as hex: 96 random bits, and a file is written a few times in its life.
pub fn new_nonce() -> String {
    let mut nonce = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    hex::encode(&nonce)
}

/// Encrypts `secret` and authenticates it together with `header`.
pub fn encrypt(key: &[u8; 32], nonce: &str, header: &[u8], secret: &[u8]) -> Option<String> {
    let nonce: [u8; NONCE_BYTES] = hex::decode_array(nonce)?;
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher.encrypt(&Nonce::from(nonce), Payload { msg: secret, aad: header }).ok().map(|sealed| hex::encode(&sealed))
}

/// What was encrypted; `None` if key, nonce, header or bytes are not those of then.
pub fn decrypt(key: &[u8; 32], nonce: &str, header: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: [u8; NONCE_BYTES] = hex::decode_array(nonce)?;
    let sealed = hex::decode(sealed)?;
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher.decrypt(&Nonce::from(nonce), Payload { msg: &sealed, aad: header }).ok().map(Zeroizing::new)
}
