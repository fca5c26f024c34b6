//! The secret of a wallet as words to write down (BIP-39, English list).
//!
//! Invariant: every copy made here is wiped from memory when it is dropped.

use bip39::{Language, Mnemonic};
use rand::Rng as _;
use std::fmt;
use zeroize::Zeroizing;

/// Entropy of a new wallet: 32 bytes, 24 words.
const NEW_ENTROPY_BYTES: usize = 32;

/// 24 words of at most 8 letters, and the space between them.
const MAX_PHRASE_BYTES: usize = 24 * 9;

/// Why words are no wallet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Another number of words than BIP-39 has.
    #[error("{found} words were given; a wallet has 12, 15, 18, 21 or 24")]
    Count {
        /// How many there were.
        found: usize,
    },
    /// A word that is not in the list. The word itself is not repeated: it may be nearly right.
    #[error("word {position} is not in the English list of BIP-39")]
    UnknownWord {
        /// Which one, from 1.
        position: usize,
    },
    /// The words are in the list, but do not belong together.
    #[error("the words do not belong together: one is wrong, or two have changed places")]
    Checksum,
}

/// What a wallet's keys come from. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Words(Mnemonic);

impl Words {
    /// New ones, from the system's randomness.
    pub fn generate() -> Self {
        let mut entropy = Zeroizing::new([0; NEW_ENTROPY_BYTES]);
        rand::rng().fill_bytes(entropy.as_mut());
        // 32 bytes are one of the lengths that BIP-39 has.
        #[allow(clippy::expect_used)]
        Self::from_entropy(entropy.as_ref()).expect("32 bytes make words")
    }

    /// The words of this entropy: 16, 20, 24, 28 or 32 bytes; `None` for another length.
    pub fn from_entropy(entropy: &[u8]) -> Option<Self> {
        Mnemonic::from_entropy(entropy).ok().map(Self)
    }

    /// Reads words; case and the space between them do not matter.
    ///
    /// # Errors
    /// [`WordsError`].
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        // Large enough from the start: growing would leave a copy behind.
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        for word in text.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        }
        let parsed = Mnemonic::parse_in_normalized(Language::English, &plain);
        parsed.map(Self).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => WordsError::UnknownWord { position: index.saturating_add(1) },
            bip39::Error::BadWordCount(found) => WordsError::Count { found },
            _ => WordsError::Checksum,
        })
    }

    /// The entropy: for an encrypted file.
    pub fn entropy(&self) -> Zeroizing<Vec<u8>> {
        let (array, length) = self.0.to_entropy_array();
        let array = Zeroizing::new(array);
        Zeroizing::new(array[..length].to_vec())
    }

    /// The words, to be written down.
    pub fn phrase(&self) -> Zeroizing<String> {
        let mut phrase = Zeroizing::new(String::with_capacity(MAX_PHRASE_BYTES));
        for word in self.0.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// The seed of the keys, without a BIP-39 passphrase.
    pub fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed_normalized(""))
    }
}

/// Says nothing of the secret.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({} of them)", self.0.word_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hex;

    /// From the test vectors of BIP-39, with the seed for an empty passphrase computed by another implementation.
    const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    #[test]
    fn words_and_seed_are_those_of_bip_39() {
        let words = Words::parse(ZEROS).unwrap();
        assert_eq!(words.entropy().as_slice(), [0; 16]);
        assert_eq!(words.phrase().as_str(), ZEROS);
        let seed = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1\
                    9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";
        assert_eq!(hex::encode(words.seed().as_ref()), seed);
    }

    #[test]
    fn a_new_wallet_has_24_words_that_lead_back_to_it() {
        let words = Words::generate();
        let phrase = words.phrase();
        assert_eq!(phrase.split(' ').count(), 24);
        assert_eq!(Words::parse(&phrase).unwrap().entropy(), words.entropy());
        assert_ne!(Words::generate().entropy(), words.entropy());
    }

    #[test]
    fn case_and_space_do_not_matter() {
        let text = format!("\n {} \t\r\n", ZEROS.to_uppercase().replace(' ', "\n  "));
        assert_eq!(Words::parse(&text).unwrap().entropy().as_slice(), [0; 16]);
    }

    #[test]
    fn wrong_words_are_told_apart() {
        assert_eq!(Words::parse("").unwrap_err(), WordsError::Count { found: 0 });
        assert_eq!(Words::parse("abandon about").unwrap_err(), WordsError::Count { found: 2 });
        let wrong = ZEROS.replacen("abandon", "abandoned", 1);
        assert_eq!(Words::parse(&wrong).unwrap_err(), WordsError::UnknownWord { position: 1 });
        assert_eq!(Words::parse(&ZEROS.replace("about", "abandon")).unwrap_err(), WordsError::Checksum);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let shown = format!("{:?}", Words::parse(ZEROS).unwrap());
        assert!(!shown.contains("abandon") && !shown.contains("00"), "{shown}");
    }
}
