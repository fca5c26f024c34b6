//! The wallet's file: the entropy of its words, encrypted with a passphrase, and the addresses given out so far.
//!
//! Invariants: the file is never overwritten by a new wallet, only its owner can read it, and every change of it is a
//! whole new file that takes its place. The header is authenticated together with the entropy: whoever changes an
//! address, a count or a parameter is found out when the passphrase is given. Without the passphrase the addresses can be
//! read, but not vouched for; so nothing is paid to an address read that way.
//!
//! Sources: Argon2id (RFC 9106) for the key, ChaCha20-Poly1305 (RFC 8439) for the encryption.

mod encryption;
mod file;

pub use encryption::Cost;
pub use file::KeystoreError;

use super::derive::{Account, coin_type, path_text};
use super::words::Words;
use crate::limits::MAX_WALLET_ADDRESSES;
use crate::types::address::to_address;
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use encryption::Kdf;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What [`Header::format`] is.
const FORMAT: &str = "timed wallet";
/// What [`Header::version`] is.
const VERSION: u32 = 1;

/// Everything of the file that can be read without the passphrase.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    address_hrp: String,
    path: String,
    kdf: Kdf,
    cipher: String,
    /// 12 bytes, new whenever the file is written.
    nonce: String,
    /// In the order of their index on the path.
    addresses: Vec<String>,
}

/// The file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    header: Header,
    /// The entropy, encrypted, and the tag over it and the header.
    sealed_entropy: String,
}

/// A wallet's file without its secret.
#[derive(Debug)]
pub struct Keystore {
    path: PathBuf,
    sealed: Sealed,
}

/// A wallet's secret, and the file it came from. Wiped from memory when dropped.
pub struct Unlocked {
    keystore: Keystore,
    words: Words,
    account: Account,
    key: Zeroizing<[u8; 32]>,
}

impl Keystore {
    /// Reads the file.
    ///
    /// # Errors
    /// [`KeystoreError`]: it is not there, others can read it, or it is no wallet.
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        let sealed: Sealed = serde_json::from_slice(&file::read(path)?)
            .map_err(|error| KeystoreError::Malformed { path: path.to_owned(), problem: error.to_string() })?;
        let keystore = Self { path: path.to_owned(), sealed };
        keystore.check()?;
        Ok(keystore)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its addresses start with.
    pub fn address_hrp(&self) -> &str {
        &self.sealed.header.address_hrp
    }

    /// The addresses given out so far, at least one. What they are is certain only once the wallet was unlocked.
    pub fn addresses(&self) -> &[String] {
        &self.sealed.header.addresses
    }

    /// Decrypts the secret, and checks that the file is as it was written.
    ///
    /// # Errors
    /// [`KeystoreError::WrongPassphrase`], also if the file was changed: the two cannot be told apart.
    pub fn unlock(self, passphrase: &str) -> Result<Unlocked, KeystoreError> {
        let header = &self.sealed.header;
        let wrong = || KeystoreError::WrongPassphrase { path: self.path.clone() };
        let key = header.kdf.key(passphrase).ok_or_else(|| self.malformed("its kdf has parameters out of range"))?;
        let entropy = encryption::decrypt(&key, &header.nonce, &authenticated(header)?, &self.sealed.sealed_entropy);
        let words = Words::from_entropy(&entropy.ok_or_else(wrong)?);
        let words = words.ok_or_else(|| self.malformed("its entropy has a length that no wallet has"))?;
        let account = Account::new(&words.seed(), coin_type(&header.address_hrp));
        let expected = addresses(&account, &header.address_hrp, header.addresses.len())?;
        if expected != header.addresses {
            return Err(self.malformed("its addresses are not those of its words"));
        }
        Ok(Unlocked { keystore: self, words, account, key })
    }

    fn check(&self) -> Result<(), KeystoreError> {
        let header = &self.sealed.header;
        if header.format != FORMAT || header.version != VERSION || header.cipher != encryption::CIPHER {
            return Err(self.malformed("its format, version or cipher is not known; a newer timed may read it"));
        }
        if header.path != path_text(coin_type(&header.address_hrp)) {
            return Err(self.malformed("its keys are on another path than this version derives"));
        }
        if header.addresses.is_empty() || header.addresses.len() > MAX_WALLET_ADDRESSES {
            return Err(self.malformed("it has no addresses, or too many"));
        }
        Ok(())
    }

    fn malformed(&self, problem: &str) -> KeystoreError {
        KeystoreError::Malformed { path: self.path.clone(), problem: problem.to_owned() }
    }
}

impl Unlocked {
    /// Writes a new wallet with `count` addresses, 1 at least, of the chain whose addresses start with `address_hrp`.
    ///
    /// # Errors
    /// [`KeystoreError`]; a file that is there already is never overwritten.
    pub fn create(
        path: &Path,
        words: Words,
        passphrase: &str,
        address_hrp: &str,
        count: usize,
        cost: Cost,
    ) -> Result<Self, KeystoreError> {
        let kdf = Kdf::new(cost);
        let key = kdf.key(passphrase).ok_or(KeystoreError::BadCost { cost })?;
        let account = Account::new(&words.seed(), coin_type(address_hrp));
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            address_hrp: address_hrp.to_owned(),
            path: path_text(coin_type(address_hrp)),
            kdf,
            cipher: encryption::CIPHER.to_owned(),
            nonce: encryption::new_nonce(),
            addresses: addresses(&account, address_hrp, count.max(1))?,
        };
        let sealed = sealed(header, &key, &words)?;
        file::create(path, &text_of(&sealed)?)?;
        Ok(Self { keystore: Keystore { path: path.to_owned(), sealed }, words, account, key })
    }

    /// The file without the secret.
    pub fn keystore(&self) -> &Keystore {
        &self.keystore
    }

    /// The words, to be written down.
    pub fn phrase(&self) -> Zeroizing<String> {
        self.words.phrase()
    }

    /// One more address: the file with it takes the place of the old one.
    ///
    /// # Errors
    /// [`KeystoreError`]; then the file is as it was.
    pub fn add_address(&mut self) -> Result<&str, KeystoreError> {
        let mut header = self.keystore.sealed.header.clone();
        header.addresses = addresses(&self.account, &header.address_hrp, header.addresses.len().saturating_add(1))?;
        header.nonce = encryption::new_nonce();
        let sealed = sealed(header, &self.key, &self.words)?;
        file::replace(&self.keystore.path, &text_of(&sealed)?)?;
        self.keystore.sealed = sealed;
        Ok(self.keystore.addresses().last().map_or("", String::as_str))
    }

    /// The address at `index`, whether it was given out or not.
    ///
    /// # Errors
    /// [`KeystoreError::BadPrefix`].
    pub fn address(&self, index: u32) -> Result<String, KeystoreError> {
        address(&self.account, self.keystore.address_hrp(), index)
    }

    /// The lock and the key of every address.
    pub fn keys(&self) -> impl Iterator<Item = (Lock, SecretKey)> {
        (0..).zip(self.keystore.addresses()).map(|(index, _)| {
            let key = self.account.key(index);
            (Lock::of_key(&key.public_key()), key)
        })
    }
}

fn address(account: &Account, hrp: &str, index: u32) -> Result<String, KeystoreError> {
    let lock = Lock::of_key(&account.key(index).public_key());
    to_address(&lock, hrp).map_err(|reason| KeystoreError::BadPrefix { reason })
}

fn addresses(account: &Account, hrp: &str, count: usize) -> Result<Vec<String>, KeystoreError> {
    if count > MAX_WALLET_ADDRESSES {
        return Err(KeystoreError::TooManyAddresses { count });
    }
    (0..).take(count).map(|index| address(account, hrp, index)).collect()
}

fn sealed(header: Header, key: &[u8; 32], words: &Words) -> Result<Sealed, KeystoreError> {
    let sealed_entropy = encryption::encrypt(key, &header.nonce, &authenticated(&header)?, &words.entropy());
    Ok(Sealed { sealed_entropy: sealed_entropy.ok_or(KeystoreError::Unsealed)?, header })
}

/// The bytes of the header that the tag covers. JSON of one type has one order of fields and no choice of spaces.
fn authenticated(header: &Header) -> Result<Vec<u8>, KeystoreError> {
    serde_json::to_vec(header).map_err(|_| KeystoreError::Unsealed)
}

fn text_of(sealed: &Sealed) -> Result<String, KeystoreError> {
    let text = serde_json::to_string_pretty(sealed).map_err(|_| KeystoreError::Unsealed)?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests;
