//! The transactions that spend one outpoint, in order of rank.

use crate::limits::MAX_POLLED_RIVALS;
use crate::types::hash::Txid;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// More polls won first, then whoever was seen earlier.
pub(super) type Rank = (Reverse<u64>, u64);

/// Almost always there is one, which then takes no allocation.
enum Spenders {
    One(Rank, Txid),
    Many(BTreeMap<Rank, Txid>),
}

/// An outpoint that valid transactions spend.
pub(super) struct Outpoint {
    spenders: Spenders,
    /// The one this node supports.
    pub(super) preferred: Txid,
    /// Who won the last poll that any of them won.
    pub(super) last_winner: Option<Txid>,
    /// The one accepted or certified: the others are out of the race.
    pub(super) decided: Option<Txid>,
    polled: [Option<Txid>; MAX_POLLED_RIVALS],
}

impl Outpoint {
    /// Spent by `txid` alone.
    pub(super) fn new(rank: Rank, txid: Txid) -> Self {
        Self {
            spenders: Spenders::One(rank, txid),
            preferred: txid,
            last_winner: None,
            decided: None,
            polled: [None; MAX_POLLED_RIVALS],
        }
    }

    /// Another transaction spends it.
    pub(super) fn insert(&mut self, rank: Rank, txid: Txid) {
        match &mut self.spenders {
            Spenders::One(first_rank, first) => {
                self.spenders = Spenders::Many(BTreeMap::from([(*first_rank, *first), (rank, txid)]));
            }
            Spenders::Many(spenders) => {
                spenders.insert(rank, txid);
            }
        }
    }

    /// `txid` moves from one rank to another.
    pub(super) fn rerank(&mut self, from: &Rank, to: Rank, txid: Txid) {
        match &mut self.spenders {
            Spenders::One(rank, _) => *rank = to,
            Spenders::Many(spenders) => {
                spenders.remove(from);
                spenders.insert(to, txid);
            }
        }
    }

    /// The transaction spends it no more; whether that leaves nobody. What was decided or preferred with it is open
    /// again, the first of the others is preferred.
    pub(super) fn remove(&mut self, rank: &Rank, txid: &Txid) -> bool {
        self.release_place(txid);
        let Spenders::Many(spenders) = &mut self.spenders else { return true };
        spenders.remove(rank);
        let Some((first_rank, first)) = spenders.first_key_value().map(|(rank, txid)| (*rank, *txid)) else {
            return true;
        };
        if spenders.len() == 1 {
            self.spenders = Spenders::One(first_rank, first);
        }
        self.decided.take_if(|decided| decided == txid);
        if self.preferred == *txid {
            self.preferred = first;
        }
        false
    }

    /// Whether several transactions spend it.
    pub(super) fn is_contested(&self) -> bool {
        matches!(self.spenders, Spenders::Many(_))
    }

    /// Everyone who spends it, by rank.
    pub(super) fn spenders(&self) -> impl Iterator<Item = &Txid> {
        let (one, many) = match &self.spenders {
            Spenders::One(_, txid) => (Some(txid), None),
            Spenders::Many(spenders) => (None, Some(spenders.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Whether one more of them may be polled.
    pub(super) fn has_place(&self) -> bool {
        self.decided.is_none() && self.polled.contains(&None)
    }

    /// `txid` is polled from now on.
    pub(super) fn take_place(&mut self, txid: Txid) {
        if let Some(place) = self.polled.iter_mut().find(|place| place.is_none()) {
            *place = Some(txid);
        }
    }

    /// `txid` is not polled any more.
    pub(super) fn release_place(&mut self, txid: &Txid) {
        for place in &mut self.polled {
            place.take_if(|polled| polled == txid);
        }
    }

    /// Those that are polled.
    pub(super) fn polled(&self) -> impl Iterator<Item = &Txid> {
        self.polled.iter().flatten()
    }
}
