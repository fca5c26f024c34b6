//! One run at a time signs with a key (`protocol.md` 12).
//!
//! A node that was started asks, again and again for [`LISTEN_MS`], whether another run holds its key, and signs nothing
//! until then. A run that signs says so, in answers that name the run that asked: what was said before that one began
//! cannot name it, so a node is never taken for its own past. Who hears that another signs stays silent until it is started
//! anew; of two that ask at the same time the one with the greater number does. Others pass claims on, since the two
//! need not be linked; and who is linked to a run that asks offers it what its key signed lately, so that one with an old
//! copy of its `votes.log` finds out.
//!
//! It protects an operator from himself, where messages arrive within [`LISTEN_MS`] there and back. It rests on nobody
//! else: a claim is signed by the key that it speaks of. What the guard of the signer keeps holds whatever happens here.

use super::Replica;
use super::command::{Command, PeerId};
use super::message::Message;
use crate::limits::{CLAIMS_WINDOW_MS, LISTEN_MS, LISTEN_QUESTION_MS, MAX_CLAIMS_OF_A_KEY, PRESENCE_FANOUT};
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::TimeMs;
use crate::types::presence::{Claim, Presence, Run};
use crate::types::verified::Verified;
use rand::Rng;
use rand::seq::IteratorRandom as _;
use std::collections::BTreeMap;

/// Whether this run signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It asks, since the first link was there.
    Listening { since: Option<TimeMs>, next_question: TimeMs },
    /// Nobody else does.
    Signing,
    /// Another run does.
    Silent,
}

/// This run, and what was heard of others.
#[derive(Debug)]
pub(super) struct Watch {
    run: Run,
    stage: Stage,
    claims: u32,
    /// Claims of other keys that were passed on lately.
    passed_on: BTreeMap<PublicKey, PassedOn>,
}

#[derive(Debug)]
struct PassedOn {
    since: TimeMs,
    ids: Vec<Signature>,
}

impl Watch {
    /// A run that begins; it asks nobody if `is_alone`.
    pub(super) fn new(rng: &mut impl Rng, is_alone: bool) -> Self {
        let mut run = Run([0; 16]);
        rng.fill_bytes(&mut run.0);
        let listening = Stage::Listening { since: None, next_question: TimeMs(0) };
        Self { run, stage: if is_alone { Stage::Signing } else { listening }, claims: 0, passed_on: BTreeMap::new() }
    }

    pub(super) fn may_sign(&self) -> bool {
        self.stage == Stage::Signing
    }

    pub(super) fn is_silent(&self) -> bool {
        self.stage == Stage::Silent
    }

    /// When it has something to do.
    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        match self.stage {
            Stage::Listening { since: Some(since), next_question } => Some(next_question.min(since.plus(LISTEN_MS))),
            _ => None,
        }
    }

    fn claim(&mut self, answers: Option<Run>) -> Claim {
        let claim = Claim { run: self.run, answers, is_signing: self.may_sign(), number: self.claims };
        self.claims = self.claims.wrapping_add(1);
        claim
    }

    /// The question that is due, while it listens.
    fn listen(&mut self, now: TimeMs, has_links: bool) -> Option<Claim> {
        let Stage::Listening { since, next_question } = &mut self.stage else { return None };
        if !has_links {
            *since = None;
            return None;
        }
        let since = *since.get_or_insert(now);
        if now >= since.plus(LISTEN_MS) {
            self.stage = Stage::Signing;
            return None;
        }
        if now < *next_question {
            return None;
        }
        *next_question = now.plus(LISTEN_QUESTION_MS);
        Some(self.claim(None))
    }

    /// Another run of the own key said something: what to say to that, and whether this run falls silent by it.
    fn heard_own(&mut self, said: &Claim) -> (Option<Claim>, bool) {
        if said.run == self.run || self.is_silent() {
            return (None, false);
        }
        match said.answers {
            None => (Some(self.claim(Some(said.run))), false),
            Some(asker) if asker == self.run => {
                let other_goes_first = match (said.is_signing, self.may_sign()) {
                    (true, false) => true,
                    (false, true) => false,
                    _ => said.run < self.run,
                };
                if other_goes_first {
                    self.stage = Stage::Silent;
                }
                (None, other_goes_first)
            }
            Some(_) => (None, false),
        }
    }

    /// Whether a claim of another key is to be passed on: each once, and a few a key in a time.
    fn is_to_be_passed_on(&mut self, now: TimeMs, key: PublicKey, id: Signature) -> bool {
        let of_key = self.passed_on.entry(key).or_insert(PassedOn { since: now, ids: Vec::new() });
        if now.since(of_key.since) >= CLAIMS_WINDOW_MS {
            *of_key = PassedOn { since: now, ids: Vec::new() };
        }
        let is_new = of_key.ids.len() < MAX_CLAIMS_OF_A_KEY && !of_key.ids.contains(&id);
        if is_new {
            of_key.ids.push(id);
        }
        is_new
    }

    /// Forgets whose claims were long ago.
    fn forget_old(&mut self, now: TimeMs) {
        self.passed_on.retain(|_, of_key| now.since(of_key.since) < CLAIMS_WINDOW_MS);
    }

    /// Keys of which something is remembered.
    pub(super) fn len(&self) -> usize {
        self.passed_on.len()
    }
}

impl Replica {
    /// Asks whether another run holds the key, as long as that is to be found out.
    pub(super) fn listen(&mut self, now: TimeMs) {
        if self.me.is_none() {
            return;
        }
        let has_links = self.peers.len() > 0;
        if let Some(claim) = self.presence.listen(now, has_links) {
            self.out.push(Command::Claim(claim));
        }
    }

    /// A run of some node says that it holds a key.
    pub(super) fn heard_presence(&mut self, now: TimeMs, from: PeerId, presence: Verified<Presence>) {
        let Presence { key, claim, signature } = *presence;
        if self.me == Some(key) {
            let (answer, falls_silent) = self.presence.heard_own(&claim);
            if let Some(answer) = answer {
                self.out.push(Command::Claim(answer));
            }
            if falls_silent {
                self.out.push(Command::KeyElsewhere);
            }
            return;
        }
        if self.ledger.tip().registry.by_key(&key).is_none() || !self.presence.is_to_be_passed_on(now, key, signature) {
            return;
        }
        let holders = self.peers.ids().filter(|peer| *peer != from && self.peers.key_of(*peer) == Some(key));
        let mut to: Vec<PeerId> = holders.collect();
        let others = self.peers.ids().filter(|peer| *peer != from && self.peers.key_of(*peer) != Some(key));
        to.extend(others.sample(&mut self.rng, PRESENCE_FANOUT));
        for peer in to {
            self.out.send(peer, Message::Presence(*presence));
        }
        if claim.answers.is_none() && self.peers.key_of(from) == Some(key) {
            // What the key signed lately: if that run does not know it, its votes.log is an old copy.
            for id in self.gossip.of_signer(&key) {
                self.gossip.offer(now, from, id);
            }
        }
    }

    /// Once a heartbeat.
    pub(super) fn forget_presences(&mut self, now: TimeMs) {
        self.presence.forget_old(now);
    }
}

#[cfg(test)]
mod tests;
