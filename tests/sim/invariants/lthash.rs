//! The set hash of all unspent outputs, straight over BLAKE3's extendable output (`protocol.md` 9).

use super::digest;
use timed::types::codec::encode;
use timed::types::hash::Hash;
use timed::types::transaction::{OutPoint, TxOut};

const LANES: usize = 1_024;

/// The sum of the entries, lane by lane.
#[derive(Clone, PartialEq, Eq)]
pub struct SetHash([u16; LANES]);

impl SetHash {
    /// No entries.
    pub fn empty() -> Self {
        Self([0; LANES])
    }

    /// An output is there, created at height `created`.
    pub fn add(&mut self, outpoint: &OutPoint, out: &TxOut, created: u64) {
        self.combine(outpoint, out, created, u16::wrapping_add);
    }

    /// The output is gone.
    pub fn remove(&mut self, outpoint: &OutPoint, out: &TxOut, created: u64) {
        self.combine(outpoint, out, created, u16::wrapping_sub);
    }

    fn combine(&mut self, outpoint: &OutPoint, out: &TxOut, created: u64, with: fn(u16, u16) -> u16) {
        let mut expanded = [0u8; 2 * LANES];
        let entry = encode(&(outpoint, out, created));
        let mut hasher = blake3::Hasher::new_derive_key("timecoin v1 state entry");
        hasher.update(&entry).finalize_xof().fill(&mut expanded);
        for (lane, bytes) in self.0.iter_mut().zip(expanded.chunks_exact(2)) {
            *lane = with(*lane, u16::from_le_bytes([bytes[0], bytes[1]]));
        }
    }

    /// `H("utxos", lanes)`.
    pub fn hash(&self) -> Hash {
        let bytes: Vec<u8> = self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect();
        digest::h("timecoin v1 utxos", &[&bytes])
    }
}
