//! Conflict sets: which transactions compete for which outpoints, how often each won, which one is preferred.
//!
//! Invariants: the preferred transaction of an outpoint is the first one seen, replaced only by one with strictly
//! greater `d` or when it goes; at most [`MAX_POLLED_RIVALS`](crate::limits::MAX_POLLED_RIVALS) transactions of an
//! outpoint are polled; once one is accepted or certified, its outpoints change no more while it is here.
//!
//! A win resets `c` of all rivals. There may be thousands of them, so nobody writes to them: each outpoint
//! remembers who won on it last, and `c` of a transaction counts only while that is itself on all its inputs.

use super::outpoint::{Outpoint, Rank};
use super::poll::Answer;
use crate::limits::MAX_NAMED_RIVALS;
use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::transaction::OutPoint;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many of an outpoint's transactions are tried when a place among the polled becomes free. Those that other
/// outpoints keep waiting get their turn when a place on these becomes free.
const TRIED_FOR_A_PLACE: usize = 8;

struct Candidate {
    /// Ascending, each once.
    inputs: Box<[OutPoint]>,
    /// Counts up with each transaction.
    seen: u64,
    /// `d`.
    won: u64,
    /// `c`, unless a rival won since.
    in_a_row: u64,
}

impl Candidate {
    fn rank(&self) -> Rank {
        (Reverse(self.won), self.seen)
    }
}

/// All transactions that are valid here and not yet final.
#[derive(Default)]
pub(super) struct Conflicts {
    // Neither map is iterated.
    candidates: IdMap<Txid, Candidate>,
    outpoints: IdMap<OutPoint, Outpoint>,
    next_seen: u64,
}

impl Conflicts {
    /// How many transactions there are.
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Adds a transaction that is not here yet.
    pub(super) fn insert(&mut self, txid: Txid, inputs: &[OutPoint]) {
        let inputs: BTreeSet<OutPoint> = inputs.iter().copied().collect();
        let candidate = Candidate { inputs: inputs.into_iter().collect(), seen: self.next_seen, won: 0, in_a_row: 0 };
        self.next_seen += 1;
        let rank = candidate.rank();
        for input in &candidate.inputs {
            self.outpoints
                .entry(*input)
                .and_modify(|outpoint| outpoint.insert(rank, txid))
                .or_insert_with(|| Outpoint::new(rank, txid));
        }
        self.candidates.insert(txid, candidate);
    }

    /// Removes a transaction. Returns those for which something may have changed: they are preferred now, have no
    /// rival any more, or could take its place among the polled.
    pub(super) fn remove(&mut self, txid: &Txid) -> Vec<Txid> {
        let Some(candidate) = self.candidates.remove(txid) else { return Vec::new() };
        let rank = candidate.rank();
        let mut touched = Vec::new();
        for input in &candidate.inputs {
            let Some(outpoint) = self.outpoints.get_mut(input) else { continue };
            if outpoint.remove(&rank, txid) {
                self.outpoints.remove(input);
            } else {
                touched.push(outpoint.preferred);
                touched.extend(outpoint.spenders().take(TRIED_FOR_A_PLACE));
            }
        }
        touched
    }

    fn outpoints_of(&self, txid: &Txid) -> impl Iterator<Item = &Outpoint> {
        let inputs = self.candidates.get(txid).map_or(&[][..], |candidate| &candidate.inputs);
        inputs.iter().filter_map(|input| self.outpoints.get(input))
    }

    fn for_each_outpoint(&mut self, txid: &Txid, mut change: impl FnMut(&mut Outpoint)) {
        let inputs = self.candidates.get(txid).map_or(&[][..], |candidate| &candidate.inputs);
        for input in inputs {
            if let Some(outpoint) = self.outpoints.get_mut(input) {
                change(outpoint);
            }
        }
    }

    /// Whether the transaction is here.
    pub(super) fn contains(&self, txid: &Txid) -> bool {
        self.candidates.contains_key(txid)
    }

    /// In which order it came.
    pub(super) fn seen(&self, txid: &Txid) -> Option<u64> {
        self.candidates.get(txid).map(|candidate| candidate.seen)
    }

    /// On how many outpoints it could have rivals.
    pub(super) fn input_count(&self, txid: &Txid) -> usize {
        self.candidates.get(txid).map_or(0, |candidate| candidate.inputs.len())
    }

    /// Whether both are here and spend an outpoint in common.
    pub(super) fn are_rivals(&self, one: &Txid, other: &Txid) -> bool {
        let (Some(one), Some(other)) = (self.candidates.get(one), self.candidates.get(other)) else { return false };
        one.seen != other.seen && one.inputs.iter().any(|input| other.inputs.binary_search(input).is_ok())
    }

    /// Whether another transaction here spends one of its inputs.
    pub(super) fn has_rival(&self, txid: &Txid) -> bool {
        self.outpoints_of(txid).any(Outpoint::is_contested)
    }

    /// The first [`MAX_NAMED_RIVALS`] rivals.
    pub(super) fn rivals(&self, txid: &Txid) -> Vec<Txid> {
        let mut rivals = BTreeSet::new();
        for rival in self.outpoints_of(txid).flat_map(Outpoint::spenders).filter(|spender| *spender != txid) {
            if rivals.len() < MAX_NAMED_RIVALS {
                rivals.insert(*rival);
            }
        }
        rivals.into_iter().collect()
    }

    /// Whether it is preferred on all its inputs.
    pub(super) fn is_preferred(&self, txid: &Txid) -> bool {
        self.contains(txid) && self.outpoints_of(txid).all(|outpoint| outpoint.preferred == *txid)
    }

    /// What this node says of it, if it is here.
    pub(super) fn answer(&self, txid: &Txid) -> Option<Answer> {
        let candidate = self.candidates.get(txid)?;
        let mut preferred = Vec::new();
        for outpoint in candidate.inputs.iter().filter_map(|input| self.outpoints.get(input)) {
            if outpoint.preferred != *txid && !preferred.contains(&outpoint.preferred) {
                preferred.push(outpoint.preferred);
            }
        }
        Some(if preferred.is_empty() { Answer::Accept } else { Answer::Prefer(preferred) })
    }

    /// `d`: polls won in all.
    pub(super) fn polls_won(&self, txid: &Txid) -> u64 {
        self.candidates.get(txid).map_or(0, |candidate| candidate.won)
    }

    /// `c`: polls won in a row.
    pub(super) fn polls_in_a_row(&self, txid: &Txid) -> u64 {
        let is_unbroken = self.outpoints_of(txid).all(|outpoint| outpoint.last_winner == Some(*txid));
        self.candidates.get(txid).filter(|_| is_unbroken).map_or(0, |candidate| candidate.in_a_row)
    }

    /// A poll gave it `alpha` answers.
    pub(super) fn win(&mut self, txid: &Txid) {
        let in_a_row = self.polls_in_a_row(txid).saturating_add(1);
        let Some(candidate) = self.candidates.get_mut(txid) else { return };
        let before = candidate.rank();
        candidate.won = candidate.won.saturating_add(1);
        candidate.in_a_row = in_a_row;
        let (won, now) = (candidate.won, candidate.rank());
        let Self { candidates, outpoints, .. } = self;
        let inputs = candidates.get(txid).map_or(&[][..], |candidate| &candidate.inputs);
        for input in inputs {
            let Some(outpoint) = outpoints.get_mut(input) else { continue };
            outpoint.rerank(&before, now, *txid);
            outpoint.last_winner = Some(*txid);
            let best = candidates.get(&outpoint.preferred).map_or(0, |preferred| preferred.won);
            if outpoint.decided.is_none() && won > best {
                outpoint.preferred = *txid;
            }
        }
    }

    /// A poll of it ended without `alpha` answers for it.
    pub(super) fn lose(&mut self, txid: &Txid) {
        if let Some(candidate) = self.candidates.get_mut(txid) {
            candidate.in_a_row = 0;
        }
    }

    /// It is accepted or certified: it is preferred on all its inputs from now on. Returns its polled rivals.
    pub(super) fn decide(&mut self, txid: &Txid) -> BTreeSet<Txid> {
        let mut polled = BTreeSet::new();
        self.for_each_outpoint(txid, |outpoint| {
            outpoint.decided = Some(*txid);
            outpoint.preferred = *txid;
            polled.extend(outpoint.polled().filter(|polled| *polled != txid));
        });
        polled
    }

    /// Whether it, or a rival of it, was accepted or certified.
    pub(super) fn is_decided(&self, txid: &Txid) -> bool {
        self.outpoints_of(txid).any(|outpoint| outpoint.decided.is_some())
    }

    /// Whether it may be polled: nothing is decided on any of its inputs, and each has a place for it.
    pub(super) fn has_place(&self, txid: &Txid) -> bool {
        self.contains(txid) && self.outpoints_of(txid).all(Outpoint::has_place)
    }

    /// It is polled from now on.
    pub(super) fn take_place(&mut self, txid: &Txid) {
        self.for_each_outpoint(txid, |outpoint| outpoint.take_place(*txid));
    }

    /// It is not polled any more. Returns rivals that could be instead.
    pub(super) fn release_place(&mut self, txid: &Txid) -> Vec<Txid> {
        let mut next = Vec::new();
        self.for_each_outpoint(txid, |outpoint| {
            outpoint.release_place(txid);
            if outpoint.is_contested() && outpoint.has_place() {
                next.extend(outpoint.spenders().filter(|spender| *spender != txid).take(TRIED_FOR_A_PLACE));
            }
        });
        next
    }

    /// How many outpoints there are.
    #[cfg(test)]
    pub(super) fn outpoints(&self) -> usize {
        self.outpoints.len()
    }
}
