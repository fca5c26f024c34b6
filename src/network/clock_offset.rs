//! By how much this node's clock is off, judged by what peers' clocks say.
//!
//! Nothing here ever changes a clock. A voice is a network group, not a link (near addresses: each link by itself), so
//! links from one group count once; of two middles the one that blames this node less counts, so it takes more than half
//! of the voices to say that it is off.

use super::address::{Group, group};
use super::peer::PeerSnapshot;
use crate::limits::{MAX_CLOCK_ERROR_MS, MIN_CLOCK_VOICES};
use crate::replica::PeerId;
use std::collections::BTreeMap;

/// What peers' clocks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockOffset {
    /// By how many milliseconds the middle voice is ahead of this node's clock.
    pub median_ms: i64,
    /// How many voices there are, at least 1.
    pub voices: usize,
}

impl ClockOffset {
    /// What these peers say; `None` if nobody answered a ping yet.
    pub fn of<'a>(peers: impl IntoIterator<Item = &'a PeerSnapshot>) -> Option<Self> {
        let mut voices: BTreeMap<(Group, Option<PeerId>), Vec<i64>> = BTreeMap::new();
        for peer in peers {
            let Some(offset) = peer.clock_offset_ms else { continue };
            let its_group = group(peer.info.address.ip());
            let by_itself = matches!(its_group, Group::Local(_)).then_some(peer.info.peer);
            voices.entry((its_group, by_itself)).or_default().push(offset);
        }
        let voices: Vec<i64> = voices.into_values().filter_map(median).collect();
        let count = voices.len();
        median(voices).map(|median_ms| Self { median_ms, voices: count })
    }

    /// Whether the clock is off by more than `tolerated_ms`.
    pub fn exceeds(&self, tolerated_ms: u64) -> bool {
        self.median_ms.unsigned_abs() > tolerated_ms
    }

    /// Whether this node's clock is plainly wrong: enough voices, and far more than any network delays.
    pub fn is_plainly_wrong(&self) -> bool {
        self.voices >= MIN_CLOCK_VOICES && self.exceeds(MAX_CLOCK_ERROR_MS)
    }
}

/// The middle one; of two the one nearer to zero.
fn median(mut offsets: Vec<i64>) -> Option<i64> {
    offsets.sort_unstable();
    let upper = offsets.get(offsets.len() / 2)?;
    let lower = offsets.get((offsets.len() - 1) / 2)?;
    Some(if lower.unsigned_abs() < upper.unsigned_abs() { *lower } else { *upper })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PeerInfo;
    use crate::network::testing::node_id;
    use crate::types::link::Role;
    use crate::types::number::{Height, TimeMs};
    use std::sync::Arc;

    fn peer(n: u64, ip: &str, clock_offset_ms: Option<i64>) -> PeerSnapshot {
        let info = PeerInfo {
            peer: PeerId(n),
            node_id: node_id(n as u8),
            role: Role::Initiator,
            address: format!("{ip}:1").parse().unwrap(),
            listen: None,
            agent: String::new(),
            protocol: 1,
            masternode: None,
            tip: Height::ZERO,
            connected: TimeMs(0),
        };
        PeerSnapshot {
            info: Arc::new(info),
            latency: None,
            clock_offset_ms,
            tip: Height::ZERO,
            bytes_received: 0,
            bytes_sent: 0,
            bytes_waiting: 0,
            score: 100,
        }
    }

    fn offset(peers: &[(&str, i64)]) -> ClockOffset {
        let peers: Vec<PeerSnapshot> =
            peers.iter().zip(1..).map(|((ip, offset), n)| peer(n, ip, Some(*offset))).collect();
        ClockOffset::of(&peers).unwrap()
    }

    const FAR: i64 = MAX_CLOCK_ERROR_MS as i64 + 1;

    #[test]
    fn nobody_says_nothing() {
        assert_eq!(ClockOffset::of(&[]), None);
        assert_eq!(ClockOffset::of(&[peer(1, "192.0.2.1", None)]), None);
    }

    #[test]
    fn many_links_from_one_network_are_one_voice() {
        let liars = (0..50).map(|n| format!("198.51.100.{n}")).collect::<Vec<_>>();
        let mut peers: Vec<(&str, i64)> = liars.iter().map(|ip| (ip.as_str(), FAR)).collect();
        peers.extend([("192.0.2.1", 5), ("203.0.113.1", -5), ("[2001:db8::1]", 7)]);
        assert_eq!(offset(&peers), ClockOffset { median_ms: 5, voices: 4 });
    }

    #[test]
    fn near_addresses_are_a_voice_each() {
        assert_eq!(offset(&[("127.0.0.1", 1), ("127.0.0.1", 2), ("10.0.0.1", 3)]).voices, 3);
    }

    #[test]
    fn half_of_the_voices_cannot_say_that_a_clock_is_wrong_and_more_can() {
        let honest = [("16.1.0.1", 0), ("16.2.0.1", 10)];
        let lies = [("16.3.0.1", FAR), ("16.4.0.1", FAR), ("16.5.0.1", FAR)];
        assert!(!offset(&[&honest[..], &lies[..2]].concat()).is_plainly_wrong());
        assert!(offset(&[&honest[..], &lies].concat()).is_plainly_wrong());
        let behind = lies.map(|(ip, far)| (ip, -far));
        assert!(!offset(&[&honest[..], &behind[..2]].concat()).is_plainly_wrong());
        assert!(offset(&[&honest[..], &behind].concat()).is_plainly_wrong());
    }

    #[test]
    fn few_voices_and_small_errors_leave_a_node_signing() {
        let far = [("16.1.0.1", FAR), ("16.2.0.1", FAR), ("16.3.0.1", FAR)];
        assert!(offset(&far).is_plainly_wrong());
        assert!(!offset(&far[..MIN_CLOCK_VOICES - 1]).is_plainly_wrong());
        let bound = far.map(|(ip, far)| (ip, far - 1));
        assert!(!offset(&bound).is_plainly_wrong() && offset(&bound).exceeds(MAX_CLOCK_ERROR_MS - 1));
    }
}
