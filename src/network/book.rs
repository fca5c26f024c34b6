//! The address book: where other nodes may be, without a socket, a clock or a source of randomness of its own.
//!
//! Two tables. *Tried*: this node has met a node there. *New*: somebody told the address. Invariants: both are bounded in
//! all and per network group, the new one per group of who told, too; no address is in both.
//!
//! **Who fills the book cannot empty it.** Room is made at the cost of whoever holds most of what is contended: in the new
//! table the group that told most addresses, in the tried one the group that most nodes were met in. A newcomer that
//! would itself be the greatest takes the place of one of its own. So an attacker drives out others only down to an equal
//! share, however much it tells, and addresses of the tried table only by running nodes in as many groups.
//!
//! **Whom to dial** is drawn by group first, then within it: a group of a thousand addresses is dialed as often as a group
//! of one.

use super::address::{Group, group};
use crate::limits::{
    BOOK_BACKOFF_MAX_MS, DIAL_BACKOFF_MAX_MS, KEEP_MET_MS, MAX_DIAL_FAILURES, MAX_NEW_ADDRESSES, MAX_NEW_PER_GROUP,
    MAX_NEW_PER_SOURCE, MAX_OWN_ADDRESSES, MAX_TRIED_ADDRESSES, MAX_TRIED_PER_GROUP,
};
use crate::types::number::TimeMs;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What is known of an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Who told it; the address itself if nobody did.
    pub source: IpAddr,
    /// When it was last told.
    pub heard: TimeMs,
    /// When it was last dialed; zero: never.
    pub dialed: TimeMs,
    /// When a node was last met there; zero: never.
    pub met: TimeMs,
    /// Dials in a row that failed while this node had other links.
    pub failures: u32,
}

type Table = BTreeMap<SocketAddr, Entry>;

/// Which table a draw is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pool {
    /// Either, each as likely as the other.
    Any,
    /// What was only told.
    New,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    tried: Table,
    new: Table,
    /// Addresses of this very node.
    own: BTreeSet<SocketAddr>,
    rng: ChaCha12Rng,
    is_changed: bool,
}

impl Book {
    /// An empty book; `seed` decides every draw and is to be secret.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let rng = ChaCha12Rng::from_seed(seed);
        Self { tried: Table::new(), new: Table::new(), own: BTreeSet::new(), rng, is_changed: false }
    }

    /// A peer at `source` told an address.
    pub(super) fn learn(&mut self, address: SocketAddr, source: IpAddr, now: TimeMs) {
        let none = TimeMs(0);
        self.insert_new(address, Entry { source, heard: now, dialed: none, met: none, failures: 0 });
    }

    /// A node is there.
    pub(super) fn met(&mut self, address: SocketAddr, now: TimeMs) {
        let address = canonical(address);
        if self.own.contains(&address) {
            return;
        }
        let known = self.tried.get(&address).copied().or_else(|| self.new.remove(&address));
        let known = known.unwrap_or(Entry { source: address.ip(), heard: now, dialed: now, met: now, failures: 0 });
        self.insert_tried(address, Entry { met: now, failures: 0, ..known });
    }

    /// It is dialed now.
    pub(super) fn dialed(&mut self, address: SocketAddr, now: TimeMs) {
        if let Some(entry) = self.entry_mut(canonical(address)) {
            entry.dialed = now;
            self.is_changed = true;
        }
    }

    /// Nobody answered there. Not to be called while this node has no link at all: then the fault is rather its own.
    pub(super) fn failed(&mut self, address: SocketAddr, now: TimeMs) {
        let address = canonical(address);
        let Some(entry) = self.entry_mut(address) else { return };
        entry.failures = entry.failures.saturating_add(1);
        let is_gone = entry.failures >= MAX_DIAL_FAILURES && now.since(entry.met) >= KEEP_MET_MS;
        self.is_changed = true;
        if is_gone {
            self.remove(address);
        }
    }

    /// Somebody is there whom this node does not want: another chain, a node that is banned.
    pub(super) fn remove(&mut self, address: SocketAddr) {
        let address = canonical(address);
        let removed = self.tried.remove(&address).or(self.new.remove(&address));
        self.is_changed |= removed.is_some();
    }

    /// This node itself is there.
    pub(super) fn is_own(&mut self, address: SocketAddr) {
        self.remove(address);
        if self.own.len() < MAX_OWN_ADDRESSES {
            self.own.insert(canonical(address));
        }
    }

    /// Draws an address whose pause is over and which `may_be` allows.
    pub(super) fn draw(&mut self, pool: Pool, now: TimeMs, may_be: impl Fn(&SocketAddr) -> bool) -> Option<SocketAddr> {
        let new_first = pool == Pool::New || self.rng.random();
        let tables = if new_first { [&self.new, &self.tried] } else { [&self.tried, &self.new] };
        let tables = tables.into_iter().take(if pool == Pool::New { 1 } else { 2 });
        let mut groups: Option<BTreeMap<Group, Vec<SocketAddr>>> = None;
        for table in tables {
            let due = table.iter().filter(|(address, entry)| is_due(entry, now) && may_be(address));
            let mut found: BTreeMap<Group, Vec<SocketAddr>> = BTreeMap::new();
            due.for_each(|(address, _)| found.entry(group(address.ip())).or_default().push(*address));
            if !found.is_empty() {
                groups = Some(found);
                break;
            }
        }
        let groups = groups?;
        groups.values().choose(&mut self.rng)?.choose(&mut self.rng).copied()
    }

    /// Up to `most` addresses at which nodes were met and which `may_be` allows, drawn at random: what others are told.
    pub(super) fn sample(&mut self, most: usize, may_be: impl Fn(&SocketAddr) -> bool) -> Vec<SocketAddr> {
        self.tried.keys().filter(|address| may_be(address)).copied().sample(&mut self.rng, most)
    }

    /// Every address with its entry, the tried ones first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&SocketAddr, &Entry)> {
        self.tried.iter().chain(&self.new)
    }

    /// Addresses tried and new.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.tried.len(), self.new.len())
    }

    /// Takes in an entry as it was saved, within the same bounds as any other.
    pub(super) fn restore(&mut self, address: SocketAddr, entry: Entry) {
        match entry.met {
            TimeMs(0) => self.insert_new(address, entry),
            _ => self.insert_tried(canonical(address), entry),
        }
    }

    /// Whether anything changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// What was to be saved was not.
    pub(super) fn set_changed(&mut self) {
        self.is_changed = true;
    }

    fn entry_mut(&mut self, address: SocketAddr) -> Option<&mut Entry> {
        self.tried.get_mut(&address).or_else(|| self.new.get_mut(&address))
    }

    fn insert_new(&mut self, address: SocketAddr, entry: Entry) {
        let address = canonical(address);
        if self.own.contains(&address) || address.port() == 0 {
            return;
        }
        if let Some(known) = self.entry_mut(address) {
            known.heard = known.heard.max(entry.heard);
            return;
        }
        self.is_changed = true;
        let (its_group, its_source) = (group(address.ip()), group(entry.source));
        let of_source = |_: &SocketAddr, other: &Entry| group(other.source) == its_source;
        let of_group = |other: &SocketAddr, _: &Entry| group(other.ip()) == its_group;
        // The narrowest bound first: what it frees is free for the wider ones too.
        self.free_new(of_source, MAX_NEW_PER_SOURCE, its_source);
        self.free_new(of_group, MAX_NEW_PER_GROUP, its_source);
        self.free_new(|_, _| true, MAX_NEW_ADDRESSES, its_source);
        self.new.insert(address, entry);
    }

    /// Makes room for one more of those that `contend`, at the cost of the source that holds most of them.
    fn free_new(&mut self, contend: impl Fn(&SocketAddr, &Entry) -> bool, most: usize, newcomer: Group) {
        let contending = || self.new.iter().filter(|(address, entry)| contend(address, entry));
        if contending().count() < most {
            return;
        }
        let contending: Vec<(SocketAddr, Entry)> = contending().map(|(a, e)| (*a, *e)).collect();
        let of_source = greatest(contending, Some(newcomer), |(_, entry)| group(entry.source));
        // Of one source's addresses the group goes that has most of them, so that the others stay diverse.
        let of_group = greatest(of_source, None, |(address, _)| group(address.ip()));
        let most_failures = of_group.iter().map(|(_, entry)| entry.failures).max();
        let worst = of_group.iter().filter(|(_, entry)| Some(entry.failures) == most_failures);
        if let Some((address, _)) = worst.choose(&mut self.rng) {
            self.new.remove(address);
        }
    }

    fn insert_tried(&mut self, address: SocketAddr, entry: Entry) {
        self.is_changed = true;
        self.new.remove(&address);
        if !self.tried.contains_key(&address) {
            let its_group = group(address.ip());
            self.free_tried(|other| group(other.ip()) == its_group, MAX_TRIED_PER_GROUP, its_group);
            self.free_tried(|_| true, MAX_TRIED_ADDRESSES, its_group);
        }
        self.tried.insert(address, entry);
    }

    /// Makes room for one more of those that `contend`, at the cost of the group that has most of them: who fails goes
    /// first, then whom this node has not met for longest. It stays in the book as a new one, if there is room.
    fn free_tried(&mut self, contend: impl Fn(&SocketAddr) -> bool, most: usize, newcomer: Group) {
        let contending = || self.tried.iter().filter(|(address, _)| contend(address));
        if contending().count() < most {
            return;
        }
        let contending: Vec<(SocketAddr, Entry)> = contending().map(|(a, e)| (*a, *e)).collect();
        let of_group = greatest(contending, Some(newcomer), |(address, _)| group(address.ip()));
        let worst = of_group.into_iter().max_by_key(|(_, entry)| (entry.failures, std::cmp::Reverse(entry.met)));
        if let Some((address, entry)) = worst {
            self.tried.remove(&address);
            self.insert_new(address, Entry { source: address.ip(), met: TimeMs(0), ..entry });
        }
    }
}

/// One address has one form, whatever the socket says.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Those of the class that has most members, once `newcomer`'s has one more; of equal classes the newcomer's.
fn greatest<T: Copy>(all: Vec<T>, newcomer: Option<Group>, class: impl Fn(&T) -> Group) -> Vec<T> {
    let mut classes: BTreeMap<Group, Vec<T>> = BTreeMap::new();
    all.into_iter().for_each(|one| classes.entry(class(&one)).or_default().push(one));
    let size = |(group, members): &(Group, Vec<T>)| {
        let is_newcomers = Some(*group) == newcomer;
        (members.len() + usize::from(is_newcomers), is_newcomers)
    };
    classes.into_iter().max_by_key(size).map(|(_, members)| members).unwrap_or_default()
}

/// Whether the pause since the last dial is over: twice as long after each failure.
fn is_due(entry: &Entry, now: TimeMs) -> bool {
    let pause_ms = (DIAL_BACKOFF_MAX_MS << entry.failures.min(16)).min(BOOK_BACKOFF_MAX_MS);
    // A clock that was put back must not shut an address out for as long.
    let is_ahead = entry.dialed > now;
    entry.dialed == TimeMs(0) || is_ahead || now.since(entry.dialed) >= pause_ms
}

#[cfg(test)]
mod tests;
