//! One poll: `k` draws, asked about one transaction, and what has been answered so far (`protocol.md` 5).

use crate::types::hash::Txid;
use bincode::{Decode, Encode};

/// What a masternode says when asked about a transaction. No vote: it binds nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub enum Answer {
    /// Valid here and preferred on all its inputs.
    Accept,
    /// Valid here, but these rivals are preferred, one an input at most.
    Prefer(Vec<Txid>),
    /// Not valid in the state here.
    Invalid,
    /// Not known here; whoever answers this fetches it from the asker.
    Unknown,
}

/// Where a poll stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Answers that are still out can decide it.
    Open,
    /// These reached `alpha`, the one with the most answers first.
    Won(Vec<Txid>),
    /// Nobody can reach `alpha` any more.
    Lost,
}

/// Answers counted as often as their givers were drawn.
#[derive(Debug)]
pub(super) struct Poll {
    /// What is asked about.
    pub(super) txid: Txid,
    /// Draws whose answers are still out.
    open: u32,
    /// Draws answered for the transaction itself.
    accepted: u32,
    /// Draws answered for rivals of it.
    preferred: Vec<(Txid, u32)>,
}

impl Poll {
    /// A poll of `k` draws about `txid`.
    pub(super) fn new(txid: Txid, k: u32) -> Self {
        Self { txid, open: k, accepted: 0, preferred: Vec::new() }
    }

    /// Counts the answer of a member drawn `draws` times. A rival named counts if `is_rival` knows it as one; an
    /// answer that names more than `inputs` of them is none.
    pub(super) fn count(&mut self, draws: u32, answer: &Answer, inputs: usize, is_rival: impl Fn(&Txid) -> bool) {
        self.open = self.open.saturating_sub(draws);
        match answer {
            Answer::Accept => self.accepted += draws,
            Answer::Prefer(named) if named.len() <= inputs => {
                for (index, rival) in named.iter().enumerate() {
                    if !named[..index].contains(rival) && is_rival(rival) {
                        self.count_for(*rival, draws);
                    }
                }
            }
            Answer::Prefer(_) | Answer::Invalid | Answer::Unknown => {}
        }
    }

    fn count_for(&mut self, rival: Txid, draws: u32) {
        match self.preferred.iter_mut().find(|(txid, _)| *txid == rival) {
            Some((_, count)) => *count += draws,
            None => self.preferred.push((rival, draws)),
        }
    }

    /// Where the poll stands, if `alpha` answers win it.
    pub(super) fn outcome(&self, alpha: u32) -> Outcome {
        let own = (self.accepted, self.txid);
        let sides = std::iter::once(own).chain(self.preferred.iter().map(|(txid, count)| (*count, *txid)));
        let mut winners: Vec<(u32, Txid)> = sides.filter(|(count, _)| *count >= alpha).collect();
        if !winners.is_empty() {
            winners.sort_by_key(|(count, txid)| (std::cmp::Reverse(*count), *txid));
            return Outcome::Won(winners.into_iter().map(|(_, txid)| txid).collect());
        }
        let most = self.preferred.iter().map(|(_, count)| *count).max().unwrap_or(0).max(self.accepted);
        if most + self.open < alpha { Outcome::Lost } else { Outcome::Open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Txid = Txid([1; 32]);
    const Y: Txid = Txid([2; 32]);
    const Z: Txid = Txid([3; 32]);

    /// A poll of 20 draws after these answers, where 14 win and `Y` and `Z` are known rivals.
    fn after(answers: &[(u32, Answer)]) -> Outcome {
        let mut poll = Poll::new(X, 20);
        for (draws, answer) in answers {
            poll.count(*draws, answer, 2, |txid| *txid == Y || *txid == Z);
        }
        poll.outcome(14)
    }

    fn prefer(named: &[Txid]) -> Answer {
        Answer::Prefer(named.to_vec())
    }

    #[test]
    fn a_poll_ends_when_a_side_has_alpha() {
        assert_eq!(after(&[(13, Answer::Accept)]), Outcome::Open);
        assert_eq!(after(&[(13, Answer::Accept), (1, Answer::Accept)]), Outcome::Won(vec![X]));
        assert_eq!(after(&[(2, Answer::Accept), (14, prefer(&[Y]))]), Outcome::Won(vec![Y]));
    }

    #[test]
    fn a_poll_ends_when_no_side_can_reach_alpha() {
        assert_eq!(after(&[(6, Answer::Unknown)]), Outcome::Open);
        assert_eq!(after(&[(6, Answer::Unknown), (1, Answer::Invalid)]), Outcome::Lost);
        assert_eq!(after(&[(7, Answer::Accept), (6, prefer(&[Y]))]), Outcome::Open);
        assert_eq!(after(&[(7, Answer::Accept), (7, prefer(&[Y]))]), Outcome::Lost);
    }

    #[test]
    fn a_preference_for_what_is_no_known_rival_counts_for_nobody() {
        assert_eq!(after(&[(14, prefer(&[Txid([9; 32])]))]), Outcome::Lost);
        assert_eq!(after(&[(14, prefer(&[X]))]), Outcome::Lost);
    }

    #[test]
    fn an_answer_counts_once_for_each_rival_it_names_and_not_at_all_if_it_names_too_many() {
        assert_eq!(after(&[(7, prefer(&[Y, Y])), (6, Answer::Unknown)]), Outcome::Open);
        assert_eq!(after(&[(14, prefer(&[Y, Y, Z]))]), Outcome::Lost);
        assert_eq!(after(&[(1, prefer(&[Y])), (13, prefer(&[Z, Y]))]), Outcome::Won(vec![Y]));
        assert_eq!(after(&[(1, prefer(&[Y])), (14, prefer(&[Z, Y]))]), Outcome::Won(vec![Y, Z]));
    }
}
