//! The protocol's byte-level vectors, made by an independent implementation.

use serde_json::Value;

/// The value under `name`.
pub fn get(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../tests/vectors/protocol.json")).unwrap();
    all.get(name).unwrap_or_else(|| panic!("no vector {name}")).clone()
}

/// The object under `name` as number -> number.
pub fn table(name: &str) -> Vec<(u64, u64)> {
    let value = get(name);
    value.as_object().unwrap().iter().map(|(k, v)| (k.parse().unwrap(), v.as_u64().unwrap())).collect()
}
