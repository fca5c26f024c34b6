//! The entries of a batch, no more of them than are allowed: a batch with too many is found out before memory is spent
//! on it.

use serde::de::{Deserializer as _, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What an array of JSON holds.
#[derive(Debug)]
pub enum Bounded<'a> {
    /// All of its entries.
    Whole(Vec<&'a RawValue>),
    /// More of them than are allowed.
    TooMany,
}

impl<'a> Bounded<'a> {
    /// Reads a JSON array of at most `most` entries.
    ///
    /// # Errors
    /// If it is no JSON array.
    pub fn read(json: &'a [u8], most: usize) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let entries = reader.deserialize_seq(Entries { most })?;
        reader.end()?;
        Ok(entries)
    }
}

struct Entries {
    most: usize,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Bounded<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Bounded<'de>, A::Error> {
        let mut all = Vec::new();
        while all.len() < self.most {
            match entries.next_element::<&RawValue>().map_err(A::Error::custom)? {
                Some(entry) => all.push(entry),
                None => return Ok(Bounded::Whole(all)),
            }
        }
        let mut has_more = false;
        // To the end: what is no JSON is told so, however long it is.
        while entries.next_element::<IgnoredAny>()?.is_some() {
            has_more = true;
        }
        Ok(if has_more { Bounded::TooMany } else { Bounded::Whole(all) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(json: &str, most: usize) -> Option<usize> {
        match Bounded::read(json.as_bytes(), most).unwrap() {
            Bounded::Whole(entries) => Some(entries.len()),
            Bounded::TooMany => None,
        }
    }

    #[test]
    fn as_many_as_allowed_and_no_more() {
        assert_eq!(count("[]", 2), Some(0));
        assert_eq!(count(" [ 1 , {\"a\":[1,2]} ] ", 2), Some(2));
        assert_eq!(count("[1,2,3]", 2), None);
        for bad in ["", "[", "[1", "[1,2,3,", "[1] 2", "{}", "[1,,2]"] {
            assert!(Bounded::read(bad.as_bytes(), 2).is_err(), "{bad}");
        }
    }
}
