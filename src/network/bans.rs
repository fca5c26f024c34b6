//! Who is kept out, and until when: nodes by their keys, and addresses.
//!
//! Invariants: bounded; nobody but the operator lifts a ban before its time; a ban of the operator's never makes room for
//! one of the node's own. An address stands for its place (IPv6: the network of 64 bits). No clock and no disk in here.

use super::address::place;
use crate::limits::{MAX_BAN_REASON_BYTES, MAX_BANS};
use crate::types::link::NodeId;
use crate::types::number::TimeMs;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Who is banned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Banned {
    /// A node, wherever it is.
    Node(NodeId),
    /// Whoever is at this IPv4 address, or in this IPv6 network of 64 bits.
    Place(IpAddr),
}

impl Banned {
    /// The place of an address.
    pub fn place(ip: IpAddr) -> Self {
        Self::Place(place(ip))
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => fmt::Display::fmt(node, f),
            Self::Place(ip) => fmt::Display::fmt(ip, f),
        }
    }
}

/// A ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// Since when.
    pub since: TimeMs,
    /// First moment at which it no longer holds.
    pub until: TimeMs,
    /// Why.
    pub reason: String,
    /// Whether the operator said so; else the node itself.
    pub by_operator: bool,
}

/// As many bans as there may be are the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_BANS} bans already; lift one first")]
pub struct TooManyBans;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Bans {
    bans: BTreeMap<Banned, Ban>,
}

impl Bans {
    /// Keeps somebody out. A longer ban that holds already stays as it is, unless the operator sets the new one.
    ///
    /// # Errors
    /// [`TooManyBans`]: nothing changed.
    pub(super) fn ban(&mut self, who: Banned, ban: Ban, now: TimeMs) -> Result<(), TooManyBans> {
        self.bans.retain(|_, ban| ban.until > now);
        match self.bans.get(&who) {
            Some(known) if !ban.by_operator && (known.by_operator || known.until >= ban.until) => return Ok(()),
            Some(_) => {}
            None if self.bans.len() >= MAX_BANS => {
                let own = self.bans.iter().filter(|(_, ban)| !ban.by_operator);
                let first = own.min_by_key(|(_, ban)| ban.until).map(|(who, _)| *who).ok_or(TooManyBans)?;
                self.bans.remove(&first);
            }
            None => {}
        }
        let mut reason = ban.reason;
        reason.truncate(reason.floor_char_boundary(MAX_BAN_REASON_BYTES));
        self.bans.insert(who, Ban { reason, ..ban });
        Ok(())
    }

    /// Lets somebody in again. Whether it was kept out.
    pub(super) fn lift(&mut self, who: &Banned, now: TimeMs) -> bool {
        self.bans.remove(who).is_some_and(|ban| ban.until > now)
    }

    /// Lets everybody in again; how many that concerns.
    pub(super) fn clear(&mut self, now: TimeMs) -> usize {
        let held = self.held(now).len();
        self.bans.clear();
        held
    }

    /// Whether a ban holds.
    pub(super) fn holds(&self, who: &Banned, now: TimeMs) -> bool {
        self.bans.get(who).is_some_and(|ban| ban.until > now)
    }

    /// Every ban that holds.
    pub(super) fn held(&self, now: TimeMs) -> Vec<(Banned, Ban)> {
        self.bans.iter().filter(|(_, ban)| ban.until > now).map(|(who, ban)| (*who, ban.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::node_id;

    const NOW: TimeMs = TimeMs(1_000);

    fn until(ms: u64) -> Ban {
        Ban { since: NOW, until: TimeMs(ms), reason: "bad".to_owned(), by_operator: false }
    }

    fn by_operator(ms: u64) -> Ban {
        Ban { by_operator: true, ..until(ms) }
    }

    fn at(n: usize) -> Banned {
        Banned::place(IpAddr::from((0x1000_0000 + n as u32).to_be_bytes()))
    }

    #[test]
    fn a_ban_holds_until_its_time_and_of_whom_it_names() {
        let mut bans = Bans::default();
        let node = Banned::Node(node_id(1));
        bans.ban(node, until(2_000), NOW).unwrap();
        bans.ban(Banned::place("2001:db8::1".parse().unwrap()), until(3_000), NOW).unwrap();
        assert!(bans.holds(&node, TimeMs(1_999)) && !bans.holds(&node, TimeMs(2_000)));
        assert!(!bans.holds(&Banned::Node(node_id(2)), NOW));
        assert!(bans.holds(&Banned::place("2001:db8::ffff:1".parse().unwrap()), NOW), "the same network");
        assert!(!bans.holds(&Banned::place("2001:db8:0:1::1".parse().unwrap()), NOW));
        assert_eq!(bans.held(TimeMs(2_000)).len(), 1);
    }

    #[test]
    fn the_longer_ban_stays_and_the_operators_word_goes_first() {
        let mut bans = Bans::default();
        bans.ban(at(1), until(5_000), NOW).unwrap();
        bans.ban(at(1), until(3_000), NOW).unwrap();
        assert!(bans.holds(&at(1), TimeMs(4_000)));
        bans.ban(at(1), by_operator(2_000), NOW).unwrap();
        bans.ban(at(1), until(9_000), NOW).unwrap();
        assert!(!bans.holds(&at(1), TimeMs(2_000)));
        assert!(bans.lift(&at(1), NOW) && !bans.lift(&at(1), NOW));
        bans.ban(at(1), until(2_000), NOW).unwrap();
        assert!(!bans.lift(&at(1), TimeMs(2_000)), "it was over");
    }

    #[test]
    fn bans_are_bounded_and_those_of_the_operator_stay() {
        let mut bans = Bans::default();
        bans.ban(at(0), by_operator(1_001), NOW).unwrap();
        (1..=MAX_BANS).for_each(|n| bans.ban(at(n), until(10_000 + n as u64), NOW).unwrap());
        assert_eq!(bans.held(NOW).len(), MAX_BANS);
        assert!(bans.holds(&at(0), NOW) && !bans.holds(&at(1), NOW) && bans.holds(&at(2), NOW));
        bans.ban(at(MAX_BANS + 1), until(20_000), TimeMs(1_001)).unwrap();
        assert!(bans.holds(&at(2), NOW), "what is over made room");
        assert_eq!(bans.clear(TimeMs(1_001)), MAX_BANS);
        (0..MAX_BANS).for_each(|n| bans.ban(at(n), by_operator(9_000), NOW).unwrap());
        assert_eq!(bans.ban(at(MAX_BANS), until(9_000), NOW), Err(TooManyBans));
        assert_eq!(bans.ban(at(MAX_BANS), by_operator(9_000), NOW), Err(TooManyBans));
    }

    #[test]
    fn a_reason_is_cut_between_letters() {
        let mut bans = Bans::default();
        bans.ban(at(1), Ban { reason: "ä".repeat(MAX_BAN_REASON_BYTES), ..until(2_000) }, NOW).unwrap();
        assert_eq!(bans.held(NOW)[0].1.reason, "ä".repeat(MAX_BAN_REASON_BYTES / 2));
    }
}
