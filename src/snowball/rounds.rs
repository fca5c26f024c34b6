//! The course of polls: who is polled, how a poll starts and ends, what its result changes.

use super::engine::{Members, Sampling, Snowball, SnowballOutput};
use super::params::Standing;
use super::poll::{Answer, Outcome, Poll};
use super::sample::Sampler;
use crate::limits::MAX_POLLED_TXIDS;
use crate::types::hash::Txid;
use crate::types::number::TimeMs;

impl Snowball {
    /// Gives `txid` its place among the polled, if there is one for it.
    pub(super) fn try_polling(&mut self, txid: Txid) {
        let is_member = self.members.as_ref().is_some_and(|members| members.me.is_some());
        let Some(sampling) = self.sampling.get_mut(&txid) else { return };
        if !is_member || sampling.is_polled || !self.conflicts.has_place(&txid) {
            return;
        }
        if self.polled >= MAX_POLLED_TXIDS {
            self.queued.extend(self.conflicts.seen(&txid).map(|seen| (seen, txid)));
            return;
        }
        sampling.is_polled = true;
        self.polled += 1;
        self.conflicts.take_place(&txid);
        self.schedule(txid);
    }

    /// Ends the polls of `txid` without a result and gives its place to others.
    pub(super) fn stop_polling(&mut self, txid: &Txid) {
        let Some(sampling) = self.sampling.get_mut(txid) else { return };
        if !std::mem::replace(&mut sampling.is_polled, false) {
            return;
        }
        for number in sampling.polls.drain(..) {
            self.polls.remove(&number);
        }
        if let Some(at) = sampling.due.take() {
            self.due.remove(&(at, *txid));
        }
        self.polled -= 1;
        for rival in self.conflicts.release_place(txid) {
            self.try_polling(rival);
        }
        while self.polled < MAX_POLLED_TXIDS
            && let Some((_, next)) = self.queued.pop_first()
        {
            self.try_polling(next);
        }
    }

    /// Looks again at whether `txid` can be polled, now or when its wait is over.
    pub(super) fn schedule(&mut self, txid: Txid) {
        let Some(sampling) = self.sampling.get_mut(&txid).filter(|sampling| sampling.is_polled) else { return };
        let at = self.now.max(sampling.wait_until);
        if sampling.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(later) = sampling.due.replace(at) {
            self.due.remove(&(later, txid));
        }
        self.due.insert((at, txid));
    }

    /// Starts as many polls of `txid` as may overlap.
    pub(super) fn start_polls(&mut self, txid: Txid) {
        if let Some(sampling) = self.sampling.get_mut(&txid) {
            sampling.due = None;
        }
        while self.may_start_poll(&txid) {
            if !self.start_poll(txid) {
                return;
            }
        }
        // A poll may have been lost since this was due.
        if self.sampling.get(&txid).is_some_and(|sampling| sampling.wait_until > self.now) {
            self.schedule(txid);
        }
    }

    fn may_start_poll(&self, txid: &Txid) -> bool {
        self.sampling.get(txid).is_some_and(|sampling| {
            let most = || {
                let (in_a_row, has_rival) = (self.conflicts.polls_in_a_row(txid), self.conflicts.has_rival(txid));
                self.params.concurrent_polls(sampling.lost_in_a_row, in_a_row, has_rival)
            };
            sampling.is_polled && sampling.wait_until <= self.now && sampling.polls.len() < most()
        })
    }

    /// Starts a poll of `txid`. This node's own answer counts at once, and may be all it takes.
    fn start_poll(&mut self, txid: Txid) -> bool {
        let Some(Members { set, me: Some(me), sampler }) = &mut self.members else { return false };
        let me = *me;
        let sampler = sampler.get_or_insert_with(|| {
            Sampler::new(set, |position| position == me || self.live.contains(&set.members()[position].consensus_key))
        });
        let spec = &self.params.spec;
        sampler.draw(spec.k, &mut self.rng, &mut self.drawn);
        let number = self.next_poll;
        self.next_poll += 1;
        let mut poll = Poll::new(txid, spec.k);
        if let Some((_, draws)) = self.drawn.iter().find(|(position, _)| *position == me)
            && let Some(answer) = self.conflicts.answer(&txid)
        {
            Self::count_answer(&self.conflicts, &mut poll, *draws, &answer);
        }
        match poll.outcome(spec.alpha) {
            Outcome::Open => {
                for (position, draws) in self.drawn.iter().filter(|(position, _)| *position != me) {
                    self.queries.ask(*position, txid, number, *draws);
                }
                self.polls.insert(number, poll);
                self.poll_deadlines.push(self.now.plus(spec.round_timeout_ms), number);
                if let Some(sampling) = self.sampling.get_mut(&txid) {
                    sampling.polls.push(number);
                }
            }
            outcome => self.apply(txid, outcome),
        }
        true
    }

    fn count_answer(conflicts: &super::conflict::Conflicts, poll: &mut Poll, draws: u32, answer: &Answer) {
        let txid = poll.txid;
        poll.count(draws, answer, conflicts.input_count(&txid), |rival| conflicts.are_rivals(&txid, rival));
    }

    /// Counts an answer in poll `number`, if that is still under way, and ends the poll if that decides it.
    pub(super) fn count(&mut self, number: u64, draws: u32, answer: &Answer) {
        let Some(poll) = self.polls.get_mut(&number) else { return };
        Self::count_answer(&self.conflicts, poll, draws, answer);
        match poll.outcome(self.params.spec.alpha) {
            Outcome::Open => {}
            outcome => {
                if let Some(txid) = self.take_poll(number) {
                    self.apply(txid, outcome);
                }
            }
        }
    }

    /// The time of poll `number` is up: without `alpha` answers it is lost. Its transaction has waited long enough.
    pub(super) fn end_in_time(&mut self, number: u64) {
        if let Some(txid) = self.take_poll(number) {
            self.conflicts.lose(&txid);
            self.schedule(txid);
        }
    }

    fn take_poll(&mut self, number: u64) -> Option<Txid> {
        let poll = self.polls.remove(&number)?;
        if let Some(sampling) = self.sampling.get_mut(&poll.txid) {
            sampling.polls.retain(|under_way| *under_way != number);
        }
        Some(poll.txid)
    }

    /// Applies the result of a poll about `asked`.
    fn apply(&mut self, asked: Txid, outcome: Outcome) {
        let mut winners: Vec<Txid> = Vec::new();
        if let Outcome::Won(sides) = outcome {
            for side in sides {
                // Only answers that name several rivals can let two of them win at once: the stronger one does.
                if !winners.iter().any(|winner| self.conflicts.are_rivals(winner, &side)) {
                    self.conflicts.win(&side);
                    winners.push(side);
                }
            }
        }
        if !winners.contains(&asked) {
            self.conflicts.lose(&asked);
            self.wait(&asked);
            self.schedule(asked);
        }
        for winner in winners {
            if let Some(sampling) = self.sampling.get_mut(&winner) {
                sampling.lost_in_a_row = 0;
                sampling.wait_until = self.now;
            }
            self.schedule(winner);
            self.consider(winner);
        }
    }

    /// Lets a transaction that lost wait. Polls that overlap lose together, and are one loss.
    fn wait(&mut self, txid: &Txid) {
        if let Some(sampling) = self.sampling.get_mut(txid).filter(|sampling| sampling.wait_until <= self.now) {
            sampling.lost_in_a_row = sampling.lost_in_a_row.saturating_add(1);
            sampling.wait_until = self.now.plus(self.params.wait_ms(sampling.lost_in_a_row));
        }
    }

    /// Accepts `txid` if it has what it takes and nothing is decided against it.
    pub(super) fn consider(&mut self, txid: Txid) {
        let Some(Sampling { is_accepted, fallback_at, .. }) = self.sampling.get_mut(&txid) else { return };
        if *is_accepted || self.conflicts.is_decided(&txid) {
            return;
        }
        let standing = Standing {
            polls_won: self.conflicts.polls_won(&txid),
            polls_in_a_row: self.conflicts.polls_in_a_row(&txid),
            is_preferred: self.conflicts.is_preferred(&txid),
            has_rival: self.conflicts.has_rival(&txid),
            is_past_fallback: *fallback_at <= self.now,
        };
        if self.params.accept(standing) {
            *is_accepted = true;
            self.outputs.push(SnowballOutput::Accepted(txid));
            self.decide(&txid);
        }
    }

    /// Nothing about the inputs of `txid` is open any more.
    pub(super) fn decide(&mut self, txid: &Txid) {
        let rivals = self.conflicts.decide(txid);
        self.stop_polling(txid);
        for rival in rivals {
            self.stop_polling(&rival);
        }
    }

    /// Nothing wakes up for polls that have ended.
    pub(super) fn skip_ended_polls(&mut self) {
        let Self { poll_deadlines, polls, .. } = self;
        poll_deadlines.skip(|number| !polls.contains_key(number));
    }

    /// The engine's clock never goes back, whatever the node's does.
    pub(super) fn advance(&mut self, now: TimeMs) {
        self.now = self.now.max(now);
    }
}
