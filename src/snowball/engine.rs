//! The engine: when polls start and end, and what follows.

use super::conflict::Conflicts;
use super::params::Params;
use super::poll::{Answer, Poll};
use super::query::{Queries, Query};
use super::sample::Sampler;
use super::timeouts::Timeouts;
use crate::chain::spec::SnowballSpec;
use crate::limits::{MAX_SAMPLED_TXIDS, MAX_VALIDATORS};
use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::keys::PublicKey;
use crate::types::number::TimeMs;
use crate::types::transaction::OutPoint;
use crate::types::validators::ValidatorSet;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the engine wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnowballOutput {
    /// Ask this member about these transactions.
    Query {
        /// Consensus key of the member.
        to: PublicKey,
        /// Number of the question, to come back with the answers.
        query: u64,
        /// At most [`MAX_QUERY_TXIDS`](crate::limits::MAX_QUERY_TXIDS).
        txids: Vec<Txid>,
    },
    /// The transaction is accepted: vote for it. Said once for each time it is added.
    Accepted(Txid),
}

/// How sampling of a transaction stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SamplingStatus {
    /// `d` of the protocol.
    pub polls_won: u64,
    /// `c` of the protocol.
    pub polls_in_a_row: u64,
    /// Whether it is preferred on all its inputs.
    pub preferred: bool,
    /// Rivals known here, the first [`MAX_NAMED_RIVALS`](crate::limits::MAX_NAMED_RIVALS).
    pub rivals: Vec<Txid>,
}

/// The course of one transaction's polls.
#[derive(Debug)]
pub(super) struct Sampling {
    /// From when on one poll won is enough.
    pub(super) fallback_at: TimeMs,
    pub(super) is_accepted: bool,
    /// It has its place among the polled.
    pub(super) is_polled: bool,
    /// Numbers of its polls under way.
    pub(super) polls: Vec<u64>,
    /// Polls lost in a row before their time was up.
    pub(super) lost_in_a_row: u32,
    /// No poll starts before.
    pub(super) wait_until: TimeMs,
    /// Its entry in `due`.
    pub(super) due: Option<TimeMs>,
}

/// Who takes part in the epoch.
pub(super) struct Members {
    pub(super) set: Arc<ValidatorSet>,
    /// This node's own position, if it is a member.
    pub(super) me: Option<usize>,
    /// Made anew when liveness changed.
    pub(super) sampler: Option<Sampler>,
}

/// Snowball for all transactions of one node.
pub struct Snowball {
    pub(super) params: Params,
    pub(super) me: Option<PublicKey>,
    pub(super) rng: ChaCha12Rng,
    pub(super) now: TimeMs,
    pub(super) members: Option<Members>,
    pub(super) live: BTreeSet<PublicKey>,
    pub(super) conflicts: Conflicts,
    // Neither map is iterated.
    pub(super) sampling: IdMap<Txid, Sampling>,
    pub(super) polls: IdMap<u64, Poll>,
    pub(super) next_poll: u64,
    pub(super) poll_deadlines: Timeouts<u64>,
    pub(super) fallbacks: Timeouts<Txid>,
    /// When to look whether polls can start.
    pub(super) due: BTreeSet<(TimeMs, Txid)>,
    /// How many are polled.
    pub(super) polled: usize,
    /// Could be polled, by order of arrival, but too many are.
    pub(super) queued: BTreeSet<(u64, Txid)>,
    pub(super) queries: Queries,
    pub(super) outputs: Vec<SnowballOutput>,
    /// Members drawn in a poll; kept for its memory.
    pub(super) drawn: Vec<(usize, u32)>,
}

impl Snowball {
    /// How many transactions are held.
    pub fn held(&self) -> usize {
        self.sampling.len()
    }

    /// With the parameters of a checked chain spec; `me` is the node's own consensus key, if it has one. `seed` is
    /// the only source of randomness, and has to be secret: who knows it knows who will be asked.
    pub fn new(spec: SnowballSpec, me: Option<PublicKey>, seed: [u8; 32]) -> Self {
        Self {
            params: Params { spec },
            me,
            rng: ChaCha12Rng::from_seed(seed),
            now: TimeMs::default(),
            members: None,
            live: BTreeSet::new(),
            conflicts: Conflicts::default(),
            sampling: IdMap::default(),
            polls: IdMap::default(),
            next_poll: 0,
            poll_deadlines: Timeouts::default(),
            fallbacks: Timeouts::default(),
            due: BTreeSet::new(),
            polled: 0,
            queued: BTreeSet::new(),
            queries: Queries::default(),
            outputs: Vec::new(),
            drawn: Vec::new(),
        }
    }

    /// An epoch begins, with these members. Transactions and polls are forgotten: what is still unarchived is added
    /// anew. Who is live is remembered.
    pub fn start_epoch(&mut self, set: Arc<ValidatorSet>) {
        self.conflicts = Conflicts::default();
        self.sampling = IdMap::default();
        self.polls = IdMap::default();
        self.poll_deadlines = Timeouts::default();
        self.fallbacks = Timeouts::default();
        self.due = BTreeSet::new();
        self.polled = 0;
        self.queued = BTreeSet::new();
        self.queries.clear();
        self.outputs = Vec::new();
        let me = self.me.and_then(|key| set.position(&key));
        self.members = Some(Members { set, me, sampler: None });
    }

    /// A masternode was connected to and heard from, or is not any more. Only the live ones are asked; this node
    /// itself always is.
    pub fn set_live(&mut self, key: PublicKey, live: bool) {
        let has_room = self.live.len() < MAX_VALIDATORS;
        let is_member = self.members.as_ref().is_some_and(|members| members.set.position(&key).is_some());
        let has_changed = match live {
            true => (has_room || is_member) && self.live.insert(key),
            false => self.live.remove(&key),
        };
        if has_changed && let Some(members) = &mut self.members {
            members.sampler = None;
        }
    }

    /// `txid`, which spends `inputs`, became valid here. Nothing happens if it is here already.
    pub fn add(&mut self, now: TimeMs, txid: Txid, inputs: &[OutPoint]) {
        self.advance(now);
        if self.conflicts.contains(&txid) || self.conflicts.len() >= MAX_SAMPLED_TXIDS || inputs.is_empty() {
            return;
        }
        self.conflicts.insert(txid, inputs);
        let fallback_at = self.now.plus(self.params.spec.fallback_ms);
        let sampling = Sampling {
            fallback_at,
            is_accepted: false,
            is_polled: false,
            polls: Vec::new(),
            lost_in_a_row: 0,
            wait_until: self.now,
            due: None,
        };
        self.sampling.insert(txid, sampling);
        self.fallbacks.push(fallback_at, txid);
        self.try_polling(txid);
    }

    /// `txid` is final, archived, evicted or invalid. Its rivals are in the race again: those that are out of it
    /// with the transaction have to be removed too. Where it was accepted or certified, they are not accepted for
    /// what they won before, so the order in which they all are removed does not matter.
    pub fn remove(&mut self, txid: &Txid) {
        self.stop_polling(txid);
        if let Some(seen) = self.conflicts.seen(txid) {
            self.queued.remove(&(seen, *txid));
        }
        let was_decided = self.conflicts.is_decided(txid);
        let touched = self.conflicts.remove(txid);
        self.sampling.remove(txid);
        for rival in touched {
            if !was_decided {
                self.consider(rival);
            }
            self.try_polling(rival);
        }
    }

    /// `txid` has a certificate: it and its rivals are not polled any more, and it is preferred whatever was before.
    /// To be repeated if it is added later.
    pub fn certified(&mut self, txid: &Txid) {
        if self.conflicts.contains(txid) {
            self.decide(txid);
        }
    }

    /// What this node answers when asked about `txid`; `None` if that is not here. Only the ledger knows whether it
    /// is invalid or unknown.
    pub fn answer(&self, txid: &Txid) -> Option<Answer> {
        self.conflicts.answer(txid)
    }

    /// The peer that authenticated as `from` answers question `query`. Ignored unless it was asked that, has not
    /// answered yet, is in time, and answers everything.
    pub fn respond(&mut self, now: TimeMs, from: &PublicKey, query: u64, answers: &[Answer]) {
        self.advance(now);
        let position = self.members.as_ref().and_then(|members| members.set.position(from));
        let Some(position) = position else { return };
        for waiting in self.queries.answered(position, query, answers.len()) {
            if let Some(answer) = answers.get(waiting.index) {
                self.count(waiting.poll, waiting.draws, answer);
            }
        }
        self.skip_ended_polls();
    }

    /// Time has passed: ends polls and gives up questions whose time is up, applies the fallback, starts polls. To be
    /// called at [`Snowball::next_wake`]; several inputs before it share their questions.
    pub fn tick(&mut self, now: TimeMs) {
        self.advance(now);
        while let Some(number) = self.poll_deadlines.pop_due(self.now) {
            self.end_in_time(number);
        }
        self.queries.expire(self.now);
        while let Some(txid) = self.fallbacks.pop_due(self.now) {
            self.consider(txid);
        }
        while let Some(next) = self.due.first().copied().filter(|(at, _)| *at <= self.now) {
            self.due.remove(&next);
            self.start_polls(next.1);
        }
        self.skip_ended_polls();
    }

    /// When [`Snowball::tick`] has something to do, if ever.
    pub fn next_wake(&self) -> Option<TimeMs> {
        let due = self.due.first().map(|(at, _)| *at);
        let waits = [due, self.poll_deadlines.next(), self.queries.next_deadline(), self.fallbacks.next()];
        waits.into_iter().flatten().min()
    }

    /// What is to be done, in order. Questions to one member come together.
    pub fn drain(&mut self) -> Vec<SnowballOutput> {
        let mut outputs = std::mem::take(&mut self.outputs);
        let Some(members) = &self.members else { return outputs };
        let deadline = self.now.plus(self.params.spec.round_timeout_ms);
        outputs.extend(self.queries.send(deadline).into_iter().map(|Query { to, number, txids }| {
            SnowballOutput::Query { to: members.set.members()[to].consensus_key, query: number, txids }
        }));
        outputs
    }

    /// How sampling of `txid` stands; `None` if it is not here.
    pub fn status(&self, txid: &Txid) -> Option<SamplingStatus> {
        self.conflicts.contains(txid).then(|| SamplingStatus {
            polls_won: self.conflicts.polls_won(txid),
            polls_in_a_row: self.conflicts.polls_in_a_row(txid),
            preferred: self.conflicts.is_preferred(txid),
            rivals: self.conflicts.rivals(txid),
        })
    }
}
