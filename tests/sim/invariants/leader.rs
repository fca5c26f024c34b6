//! Whose turn it is (`protocol.md` 7.2): the oracle's own urn.

use super::committee::Committee;
use super::digest;
use timed::types::hash::Hash;
use timed::types::keys::PublicKey;

/// The leaders of views 0 to `last_view` at `height`, over the beacon of its parent.
pub fn leaders(beacon: &Hash, height: u64, last_view: u32, committee: &Committee) -> Vec<PublicKey> {
    let mut urn: Vec<(PublicKey, u128)> = Vec::new();
    let mut drawn = Vec::new();
    for view in 0..=last_view {
        if urn.is_empty() {
            urn = committee.members.iter().map(|m| (m.consensus_key, u128::from(m.weight.get()))).collect();
        }
        let weight: u128 = urn.iter().map(|(_, weight)| weight).sum();
        if weight == 0 {
            return drawn;
        }
        let hash = digest::h("timecoin v1 leader", &[&beacon.0, &height.to_le_bytes(), &view.to_le_bytes()]);
        let mut low = [0; 16];
        low.copy_from_slice(&hash.0[..16]);
        let mut ball = u128::from_le_bytes(low) % weight;
        let taken = urn.iter().position(|(_, weight)| match ball.checked_sub(*weight) {
            Some(rest) => {
                ball = rest;
                false
            }
            None => true,
        });
        if let Some(position) = taken {
            drawn.push(urn.remove(position).0);
        }
    }
    drawn
}
