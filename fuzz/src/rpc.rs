//! The parameters of every method of JSON-RPC: by position and by name they mean the same, and whatever a method asks of
//! them is an answer or a failure.

use super::chain::CHAIN;
use serde_json::{Map, Value};
use timed::rpc::methods::{METHODS, Method, find, nearest};
use timed::rpc::{Arguments, Cursor, read_proof, read_unsigned};
use timed::types::address::to_address;
use timed::types::codec::encode;
use timed::types::transaction::Transaction;

/// The first byte chooses the method, the rest is the JSON of its parameters.
pub fn check(data: &[u8]) {
    let Some((choice, json)) = data.split_first() else { return };
    let Ok(json) = std::str::from_utf8(json) else { return };
    // Names come from callers too.
    assert!(nearest(json).is_none_or(|name| find(name).is_some()));
    let method = &METHODS[usize::from(*choice) % METHODS.len()];
    let Ok(arguments) = Arguments::read(method, Some(json)) else { return };
    let values = || method.parameters.iter().map(|parameter| arguments.value(parameter.name).clone());
    let by_position = Value::Array(values().collect()).to_string();
    let names = method.parameters.iter().map(|parameter| parameter.name.to_owned());
    let by_name = Value::Object(names.zip(values()).collect::<Map<_, _>>()).to_string();
    // No method takes a fraction, and reading one that was written may be off by its last bit.
    let is_exact = values().all(|value| is_exact(&value));
    for same in [by_position, by_name].into_iter().filter(|_| is_exact) {
        assert_eq!(Arguments::read(method, Some(&same)).as_ref(), Ok(&arguments), "{same}");
    }
    ask(method, &arguments);
}

/// Whether all numbers in a value are integers of 64 bits.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_u64() || number.is_i64(),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(values) => values.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Everything that a method may ask of its parameters.
fn ask(method: &'static Method, arguments: &Arguments) {
    let hrp = &CHAIN.address_hrp;
    for name in method.parameters.iter().map(|parameter| parameter.name) {
        arguments.flag(name).ok();
        arguments.text(name).ok();
        arguments.block(name).ok();
        arguments.txids(name).ok();
        arguments.encoded_list::<Transaction>(name).ok();
        if let Ok(number) = arguments.number(name) {
            assert_eq!(arguments.height(name).unwrap().get(), number);
            assert_eq!(arguments.number_to(name, number), Ok(number));
            assert!(number == 0 || arguments.number_to(name, number - 1).is_err());
        }
        if let Ok(lock) = arguments.address(name, hrp) {
            assert_eq!(to_address(&lock, hrp).unwrap(), arguments.text(name).unwrap().to_lowercase());
        }
        if let Ok(txid) = arguments.txid(name) {
            assert_eq!(txid.to_string(), arguments.text(name).unwrap().to_lowercase());
        }
        if let Ok(tx) = arguments.encoded::<Transaction>(name) {
            assert_eq!(encode(&tx).len() * 2, arguments.text(name).unwrap().len());
        }
        read_proof(arguments.value(name)).ok();
    }
    if let Ok(Some(cursor)) = arguments.cursor() {
        assert_eq!(Cursor::read(&cursor.write()), Some(cursor));
    }
    arguments.limit().ok();
    if let Ok(tx) = read_unsigned(arguments, hrp) {
        assert!(tx.witnesses.is_empty() && !tx.body.inputs.is_empty() && !tx.body.outputs.is_empty());
    }
}
