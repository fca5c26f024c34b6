//! Lower-case hexadecimal, the form of every hash, key and raw byte string shown to a person.

/// Lower-case hex digits of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Reads hex digits of either case; `None` for an odd length or another character.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    base16ct::mixed::decode_vec(text).ok()
}

/// Reads exactly `N` bytes of hex.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0u8; N];
    if text.len() != 2 * N {
        return None;
    }
    base16ct::mixed::decode(text, &mut out).ok()?;
    Some(out)
}
