//! The parameters of a call: by position or by name, each once, none unknown.
//!
//! `null` stands for "not given". Numbers may be given as strings, because JavaScript rounds those beyond 2^53.

use super::cursor::Cursor;
use super::errors::Failure;
use super::methods::Method;
use crate::limits::MAX_PAGE;
use crate::types::address::from_address;
use crate::types::codec::{Wire, decode};
use crate::types::hash::{BlockHash, Txid};
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use serde_json::Value;

/// The parameters of one call.
#[derive(Clone, PartialEq, Debug)]
pub struct Arguments {
    method: &'static Method,
    /// One for each of the method's parameters; those not given are the defaults, or `null`.
    values: Vec<Value>,
}

/// A block as a caller names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockName {
    /// By its height.
    Height(Height),
    /// By its hash.
    Hash(BlockHash),
}

impl Arguments {
    /// Reads the parameters of a call of `method`.
    ///
    /// # Errors
    /// [`Failure`]: one is unknown, one too many, or one that has to be there is missing.
    pub fn read(method: &'static Method, json: Option<&str>) -> Result<Self, Failure> {
        let given = match json {
            None | Some("[]" | "{}") => Value::Null,
            Some(json) => serde_json::from_str(json).map_err(|_| Failure::BadParameters)?,
        };
        let mut values = match given {
            Value::Null => Vec::new(),
            Value::Array(list) => by_position(method, list)?,
            Value::Object(map) => by_name(method, map)?,
            _ => return Err(Failure::BadParameters),
        };
        values.resize(method.parameters.len(), Value::Null);
        for (value, parameter) in values.iter_mut().zip(method.parameters) {
            if value.is_null() {
                *value = match parameter.default {
                    None => return Err(Failure::MissingParameter { method: method.name, name: parameter.name }),
                    // A test reads every default.
                    Some(default) => serde_json::from_str(default).unwrap_or_default(),
                };
            }
            // As JSON that was taken apart it has many times its bytes, so it is not kept while the call waits.
            if (value.is_array() || value.is_object()) && !parameter.is_structured {
                let expected = "neither an array nor an object";
                return Err(Failure::WrongType { name: parameter.name.to_owned(), expected });
            }
        }
        Ok(Self { method, values })
    }

    /// A parameter as it was given; `null` if it was not.
    pub fn value(&self, name: &str) -> &Value {
        self.method.position(name).and_then(|position| self.values.get(position)).unwrap_or(&Value::Null)
    }

    /// Whether it was given, or has a default other than `null`.
    pub fn has(&self, name: &str) -> bool {
        !self.value(name).is_null()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        text(name, self.value(name))
    }

    /// Yes or no; 0 and 1 are taken too.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.value(name) {
            Value::Bool(flag) => Ok(*flag),
            value => match value.as_u64() {
                Some(number) => Ok(number != 0),
                None => Err(Failure::WrongType { name: name.to_owned(), expected: "true or false" }),
            },
        }
    }

    /// An integer, given as such or as a decimal string.
    pub fn number(&self, name: &str) -> Result<u64, Failure> {
        number(name, self.value(name))
    }

    /// [`Arguments::number`] that is at most `most`.
    pub fn number_to(&self, name: &str, most: u64) -> Result<u64, Failure> {
        let number = self.number(name)?;
        if number > most {
            return Err(Failure::out_of_range(name, format!("0 to {most}")));
        }
        Ok(number)
    }

    /// A height.
    pub fn height(&self, name: &str) -> Result<Height, Failure> {
        self.number(name).map(Height::new)
    }

    /// A txid.
    pub fn txid(&self, name: &str) -> Result<Txid, Failure> {
        txid(name, self.value(name))
    }

    /// A list of txids; one alone is a list of one.
    pub fn txids(&self, name: &str) -> Result<Vec<Txid>, Failure> {
        list(name, self.value(name))?.iter().map(|value| txid(name, value)).collect()
    }

    /// A block, by hash or height.
    pub fn block(&self, name: &str) -> Result<BlockName, Failure> {
        let value = self.value(name);
        if let Some(hash) = value.as_str().and_then(BlockHash::from_hex) {
            return Ok(BlockName::Hash(hash));
        }
        let is_height = value.is_number() || value.as_str().is_some_and(|text| text.len() < 64);
        if is_height {
            return number(name, value).map(|height| BlockName::Height(Height::new(height)));
        }
        Err(Failure::WrongType { name: name.to_owned(), expected: "a height, or a hash of 64 hex digits" })
    }

    /// An address of the chain whose addresses start with `hrp`.
    pub fn address(&self, name: &str, hrp: &str) -> Result<Lock, Failure> {
        Ok(from_address(self.text(name)?, hrp)?)
    }

    /// A value in the protocol's encoding, as hex.
    pub fn encoded<T: Wire>(&self, name: &str) -> Result<T, Failure> {
        encoded(name, self.value(name))
    }

    /// A list of values in the protocol's encoding; one alone is a list of one.
    pub fn encoded_list<T: Wire>(&self, name: &str) -> Result<Vec<T>, Failure> {
        list(name, self.value(name))?.iter().map(|value| encoded(name, value)).collect()
    }

    /// `limit`: how many entries a page has.
    pub fn limit(&self) -> Result<usize, Failure> {
        let number = self.number("limit")?;
        let limit = usize::try_from(number).ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        limit.ok_or_else(|| Failure::out_of_range("limit", format!("1 to {MAX_PAGE}")))
    }

    /// `cursor`: where the page before ended.
    pub fn cursor(&self) -> Result<Option<Cursor>, Failure> {
        if !self.has("cursor") {
            return Ok(None);
        }
        Cursor::read(self.text("cursor")?).map(Some).ok_or(Failure::BadCursor)
    }
}

fn by_position(method: &'static Method, list: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let most = method.parameters.len();
    if list.len() > most {
        let (method, known, given) = (method.name, method.signature(), list.len());
        return Err(Failure::ExtraParameter { method, most, given, known });
    }
    Ok(list)
}

fn by_name(method: &'static Method, map: serde_json::Map<String, Value>) -> Result<Vec<Value>, Failure> {
    let mut values = vec![Value::Null; method.parameters.len()];
    for (name, value) in map {
        match method.position(&name).and_then(|position| values.get_mut(position)) {
            Some(place) => *place = value,
            None => return Err(Failure::UnknownParameter { method: method.name, name, known: method.signature() }),
        }
    }
    Ok(values)
}

/// A text.
pub fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, Failure> {
    value.as_str().ok_or_else(|| Failure::WrongType { name: name.to_owned(), expected: "a string" })
}

/// An integer, given as such or as a decimal string.
pub fn number(name: &str, value: &Value) -> Result<u64, Failure> {
    let wrong = || Failure::WrongType { name: name.to_owned(), expected: "an integer, or a string of decimal digits" };
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(number) => Ok(number),
            None if number.is_i64() => Err(Failure::out_of_range(name, "it cannot be negative")),
            None => Err(wrong()),
        },
        Value::String(digits) => {
            let is_negative = digits.strip_prefix('-').is_some_and(is_decimal);
            match is_decimal(digits) || is_negative {
                false => Err(wrong()),
                true => digits.parse().map_err(|_| Failure::out_of_range(name, format!("0 to {}", u64::MAX))),
            }
        }
        _ => Err(wrong()),
    }
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An amount in units.
pub fn amount(name: &str, value: &Value) -> Result<Amount, Failure> {
    number(name, value).map(Amount::new)
}

/// A txid.
pub fn txid(name: &str, value: &Value) -> Result<Txid, Failure> {
    let hex = text(name, value)?;
    Txid::from_hex(hex).ok_or_else(|| Failure::out_of_range(name, "a txid is 64 hex digits"))
}

/// Bytes as hex.
pub fn bytes(name: &str, value: &Value) -> Result<Vec<u8>, Failure> {
    let problem = || Failure::CannotDecode { name: name.to_owned(), problem: "not hexadecimal".to_owned() };
    hex::decode(text(name, value)?).ok_or_else(problem)
}

/// A value in the protocol's encoding, as hex.
pub fn encoded<T: Wire>(name: &str, value: &Value) -> Result<T, Failure> {
    decode(&bytes(name, value)?).map_err(|error| Failure::cannot_decode(name, &error))
}

/// The entries of a list of at most [`MAX_PAGE`]; a text alone is a list of one.
pub fn list<'a>(name: &str, value: &'a Value) -> Result<&'a [Value], Failure> {
    let entries = match value {
        Value::Array(entries) => entries.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        _ => return Err(Failure::WrongType { name: name.to_owned(), expected: "a list" }),
    };
    if entries.len() > MAX_PAGE {
        return Err(Failure::out_of_range(name, format!("at most {MAX_PAGE} entries")));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::methods::find;

    fn read(method: &str, json: &str) -> Result<Arguments, Failure> {
        Arguments::read(find(method).unwrap(), Some(json))
    }

    fn reason(result: Result<impl std::fmt::Debug, Failure>) -> (i32, &'static str) {
        let failure = result.unwrap_err();
        (failure.code(), failure.reason())
    }

    #[test]
    fn position_and_name_mean_the_same() {
        let by_position = read("get_block", "[5, 2]").unwrap();
        let by_name = read("get_block", r#"{"verbosity": 2, "block": 5}"#).unwrap();
        assert_eq!(by_position, by_name);
        assert_eq!(by_name.block("block"), Ok(BlockName::Height(Height::new(5))));
    }

    #[test]
    fn what_is_not_given_is_the_default() {
        let arguments = read("wait_for_transaction", &format!("[\"{}\", null]", "00".repeat(32))).unwrap();
        assert_eq!(arguments.text("status"), Ok("finalized"));
        assert_eq!(arguments.number("timeout_ms"), Ok(30_000));
        assert_eq!(arguments.txid("txid"), Ok(Txid::ZERO));
        let arguments = Arguments::read(find("list_masternodes").unwrap(), None).unwrap();
        assert_eq!((arguments.limit(), arguments.cursor()), (Ok(100), Ok(None)));
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let failure = read("get_block", r#"{"block": 1, "verbose": 2}"#).unwrap_err();
        assert_eq!((failure.code(), failure.reason()), (-32602, "unknown_parameter"));
        assert_eq!(failure.data()["parameter"], "verbose");
    }

    #[test]
    fn a_parameter_too_many_or_too_few_is_refused() {
        assert_eq!(reason(read("get_block", "[1, 1, 1]")), (-32602, "extra_parameter"));
        assert_eq!(reason(read("get_block_count", "[null]")), (-32602, "extra_parameter"));
        assert_eq!(reason(read("get_block", "[]")), (-32602, "missing_parameter"));
        assert_eq!(reason(read("get_block", "{}")), (-32602, "missing_parameter"));
        assert_eq!(reason(read("get_block", "7")), (-32602, "bad_parameters"));
    }

    #[test]
    fn numbers_are_integers_or_their_digits() {
        let height = |json: &str| read("get_block_hash", json).unwrap().height("height");
        assert_eq!(height("[7]"), Ok(Height::new(7)));
        assert_eq!(height("[\"7\"]"), Ok(Height::new(7)));
        assert_eq!(height("[\"18446744073709551615\"]"), Ok(Height::MAX));
        assert_eq!(reason(height("[\"18446744073709551616\"]")), (-8, "out_of_range"));
        assert_eq!(reason(height("[-1]")), (-8, "out_of_range"));
        assert_eq!(reason(height("[\"-1\"]")), (-8, "out_of_range"));
        for wrong in ["[1.5]", "[\"\"]", "[\"1e3\"]", "[\"0x10\"]", "[true]", "[\" 1\"]"] {
            assert_eq!(reason(height(wrong)), (-3, "wrong_type"), "{wrong}");
        }
        for wrong in ["[[]]", "[{}]"] {
            assert_eq!(reason(read("get_block_hash", wrong)), (-3, "wrong_type"), "{wrong}");
        }
    }

    #[test]
    fn a_block_is_named_by_height_or_hash() {
        let block = |value: &str| read("get_block", &format!("[{value}]")).unwrap().block("block");
        let hash = "ab".repeat(32);
        assert_eq!(block(&format!("\"{hash}\"")), Ok(BlockName::Hash(BlockHash([0xab; 32]))));
        assert_eq!(block("\"12\""), Ok(BlockName::Height(Height::new(12))));
        assert_eq!(reason(block("\"zz\"")), (-3, "wrong_type"));
        assert_eq!(reason(block(&format!("\"{}\"", "z".repeat(64)))), (-3, "wrong_type"));
        assert_eq!(reason(block("true")), (-3, "wrong_type"));
    }

    #[test]
    fn a_page_has_bounds() {
        let limit = |value: &str| read("get_raw_mempool", &format!("{{\"limit\": {value}}}")).unwrap().limit();
        assert_eq!((limit("1"), limit("1000")), (Ok(1), Ok(1_000)));
        assert_eq!(reason(limit("0")), (-8, "out_of_range"));
        assert_eq!(reason(limit("1001")), (-8, "out_of_range"));
        let cursor = |value: &str| read("get_raw_mempool", &format!("{{\"cursor\": {value}}}")).unwrap().cursor();
        assert_eq!(reason(cursor("\"zz\"")), (-8, "bad_cursor"));
        assert_eq!(reason(cursor("5")), (-3, "wrong_type"));
    }

    #[test]
    fn what_cannot_be_decoded_is_told_apart_from_what_is_no_text() {
        let hex = |value: &str| {
            let arguments = read("decode_raw_transaction", &format!("[{value}]")).unwrap();
            arguments.encoded::<crate::types::transaction::Transaction>("hex")
        };
        assert_eq!(reason(hex("\"0\"")), (-22, "cannot_decode"));
        assert_eq!(reason(hex("\"00\"")), (-22, "cannot_decode"));
        assert_eq!(reason(hex("0")), (-3, "wrong_type"));
    }
}
