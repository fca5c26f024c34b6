//! The file of vectors, read without mercy: whatever is missing or of another type fails the test.

use serde_json::Value;
use std::sync::LazyLock;
use timed::types::hash::{ChainId, Hash};
use timed::types::hex;
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, TxOut};

static FILE: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("protocol.json")).unwrap());

/// Names of all entries.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILE.as_object().unwrap().keys().map(String::as_str)
}

/// The entry with this name.
pub fn entry(name: &str) -> Entry {
    Entry(FILE.get(name).unwrap_or_else(|| panic!("no entry {name}")))
}

/// The chain of all vectors.
pub fn chain() -> ChainId {
    entry("chain_id").hash().into()
}

/// The secret half of a key, which stands among the addresses.
pub fn secret_of(key: &PublicKey) -> SecretKey {
    let known = entry("addresses").list().filter_map(|a| a.get("secret_key"));
    known
        .map(|secret| SecretKey::from_bytes(&secret.array()))
        .find(|secret| secret.public_key() == *key)
        .unwrap_or_else(|| panic!("no secret of {key}"))
}

/// A value of the file.
#[derive(Clone, Copy)]
pub struct Entry(&'static Value);

impl Entry {
    pub fn get(self, key: &str) -> Option<Self> {
        self.0.get(key).map(Self)
    }

    pub fn at(self, key: &str) -> Self {
        self.get(key).unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }

    /// The value unless it is null.
    pub fn present(self) -> Option<Self> {
        (!self.0.is_null()).then_some(self)
    }

    pub fn list(self) -> impl ExactSizeIterator<Item = Self> {
        self.0.as_array().unwrap().iter().map(Self)
    }

    pub fn pairs(self) -> impl Iterator<Item = (&'static str, Self)> {
        self.0.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), Self(value)))
    }

    pub fn text(self) -> &'static str {
        self.0.as_str().unwrap()
    }

    /// The value if it is a text.
    pub fn text_or_none(self) -> Option<&'static str> {
        self.0.as_str()
    }

    pub fn number(self) -> u64 {
        self.0.as_u64().unwrap()
    }

    pub fn small_number(self) -> u32 {
        u32::try_from(self.number()).unwrap()
    }

    pub fn bytes(self) -> Vec<u8> {
        hex::decode(self.text()).unwrap()
    }

    pub fn array<const N: usize>(self) -> [u8; N] {
        hex::decode_array(self.text()).unwrap()
    }

    pub fn hash(self) -> Hash {
        Hash(self.array())
    }

    pub fn key(self) -> PublicKey {
        PublicKey(self.array())
    }

    pub fn signature(self) -> Signature {
        Signature(self.array())
    }

    pub fn amount(self) -> Amount {
        Amount::new(self.number())
    }

    pub fn outpoint(self) -> OutPoint {
        OutPoint { txid: self.at("txid").hash().into(), index: self.at("index").small_number() }
    }

    pub fn output(self) -> TxOut {
        TxOut { value: self.at("value").amount(), lock: Lock::KeyHash(self.at("key_hash").array()) }
    }
}
