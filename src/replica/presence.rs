//! One run at a time signs with a key (`protocol.md` 12).
//!
//! A node that was started asks, [`LISTEN_QUESTIONS`] times, whether another run holds its key, and signs nothing
//! until then; one that signs asks again now and then, and when it has links after having had none. A run that signs says so, in answers that name the run that asked: what was said before that one began
//! cannot name it, so a node is never taken for its own past. Who hears that another signs stays silent until it is started
//! anew; of two that ask at the same time the one with the greater number does. Others pass claims on, since the two
//! need not be linked; and who is linked to a run that asks offers it what its key signed lately, so that one with an old
//! copy of its `votes.log` finds out.
//!
//! It protects an operator from himself, where messages arrive within two seconds there and back, by clocks that are right
//! within seconds. It rests on nobody else: a claim is signed by the key that it speaks of. What the guard of the signer keeps holds whatever happens here.

use super::Replica;
use super::command::{Command, PeerId};
use super::message::Message;
use crate::limits::{
    CLAIMS_WINDOW_MS, LISTEN_QUESTION_MS, LISTEN_QUESTIONS, MAX_ANSWERED_RUNS, MAX_CLAIMS_OF_A_RUN, MAX_RUNS_OF_A_KEY,
    PRESENCE_FANOUT, SIGNING_QUESTION_MS,
};
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::TimeMs;
use crate::types::presence::{Claim, Presence, Run};
use crate::types::verified::Verified;
use rand::Rng;
use rand::seq::IteratorRandom as _;
use std::collections::{BTreeMap, VecDeque};

/// Whether this run signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has asked so often since it had a link.
    Listening { asked: u32 },
    /// Nobody else does.
    Signing,
    /// Another run does.
    Silent,
}

/// How a node stands when it may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surroundings {
    has_links: bool,
    /// A block is proved that is not here: what peers say under the key cannot be judged.
    is_behind: bool,
    /// Its key alone is a quorum.
    is_alone: bool,
}

/// This run, and what was heard of others.
#[derive(Debug)]
pub(super) struct Watch {
    run: Run,
    stage: Stage,
    next_question: TimeMs,
    claims: u32,
    /// The highest question of each run that was answered, the latest last.
    answered: VecDeque<(Run, u32)>,
    /// Claims of other keys that were passed on lately.
    passed_on: BTreeMap<PublicKey, PassedOn>,
}

#[derive(Debug)]
struct PassedOn {
    since: TimeMs,
    of_run: BTreeMap<Run, Vec<Signature>>,
}

impl Watch {
    /// A run that begins, and signs at once unless it `listens`.
    pub(super) fn new(rng: &mut impl Rng, listens: bool) -> Self {
        let mut run = Run([0; 16]);
        rng.fill_bytes(&mut run.0);
        let stage = if listens { Stage::Listening { asked: 0 } } else { Stage::Signing };
        let (next_question, answered, passed_on) = (TimeMs(0), VecDeque::new(), BTreeMap::new());
        Self { run, stage, next_question, claims: 0, answered, passed_on }
    }

    pub(super) fn may_sign(&self) -> bool {
        self.stage == Stage::Signing
    }

    pub(super) fn is_silent(&self) -> bool {
        self.stage == Stage::Silent
    }

    /// It signs nothing more.
    pub(super) fn fall_silent(&mut self) {
        self.stage = Stage::Silent;
    }

    /// When it has something to do.
    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        match self.stage {
            Stage::Listening { asked } if asked > 0 => Some(self.next_question),
            _ => None,
        }
    }

    fn claim(&mut self, now: TimeMs, answers: Option<Run>) -> Claim {
        let claim = Claim { run: self.run, answers, is_signing: self.may_sign(), number: self.claims, time: now };
        self.claims = self.claims.saturating_add(1);
        claim
    }

    /// The question that is due. Questions are counted and not time, which a clock that is set can skip or take back.
    fn listen(&mut self, now: TimeMs, around: Surroundings) -> Option<Claim> {
        let pause = match &mut self.stage {
            // There is nobody to ask, and nobody whom it could contradict.
            Stage::Listening { .. } if around.is_alone && !around.has_links => {
                self.stage = Stage::Signing;
                return None;
            }
            Stage::Listening { asked } if around.is_behind && around.has_links => {
                // It asks once more when it can judge what that brings.
                *asked = (*asked).min(LISTEN_QUESTIONS - 1);
                self.next_question = now.plus(LISTEN_QUESTION_MS);
                return None;
            }
            Stage::Listening { .. } => LISTEN_QUESTION_MS,
            Stage::Signing => SIGNING_QUESTION_MS,
            Stage::Silent => return None,
        };
        if !around.has_links {
            // Nobody could have answered; whoever comes is asked at once.
            self.next_question = now;
            if let Stage::Listening { asked } = &mut self.stage {
                *asked = 0;
            }
            return None;
        }
        if now < self.next_question && self.next_question <= now.plus(pause) {
            return None;
        }
        self.next_question = now.plus(pause);
        match &mut self.stage {
            Stage::Listening { asked } if *asked >= LISTEN_QUESTIONS => {
                self.stage = Stage::Signing;
                self.next_question = now.plus(SIGNING_QUESTION_MS);
                return None;
            }
            Stage::Listening { asked } => *asked += 1,
            Stage::Signing | Stage::Silent => {}
        }
        Some(self.claim(now, None))
    }

    /// Another run of the own key said something: what to say to that, and whether this run falls silent by it.
    fn heard_own(&mut self, now: TimeMs, said: &Claim) -> (Option<Claim>, bool) {
        if said.run == self.run || self.is_silent() {
            return (None, false);
        }
        match said.answers {
            None if is_fresh(now, said) && self.is_new_question(said) => (Some(self.claim(now, Some(said.run))), false),
            Some(asker) if asker == self.run => {
                let other_goes_first = match (said.is_signing, self.may_sign()) {
                    (true, false) => true,
                    (false, true) => false,
                    _ => said.run < self.run,
                };
                if other_goes_first {
                    self.fall_silent();
                }
                (None, other_goes_first)
            }
            None | Some(_) => (None, false),
        }
    }

    /// Whether this question was not answered yet: it comes over every link that its run does not have.
    fn is_new_question(&mut self, said: &Claim) -> bool {
        match self.answered.iter_mut().find(|(run, _)| *run == said.run) {
            Some((_, number)) if said.number <= *number => return false,
            Some((_, number)) => *number = said.number,
            None => self.answered.push_back((said.run, said.number)),
        }
        if self.answered.len() > MAX_ANSWERED_RUNS {
            self.answered.pop_front();
        }
        true
    }

    /// Whether a claim of another key is to be passed on: each once, a few a run, and a few runs a key in a time.
    fn is_to_be_passed_on(&mut self, now: TimeMs, key: PublicKey, said: &Claim, id: Signature) -> bool {
        if !is_fresh(now, said) {
            return false;
        }
        let of_key = self.passed_on.entry(key).or_insert(PassedOn { since: now, of_run: BTreeMap::new() });
        if !of_key.is_of(now) {
            *of_key = PassedOn { since: now, of_run: BTreeMap::new() };
        }
        if of_key.of_run.len() >= MAX_RUNS_OF_A_KEY && !of_key.of_run.contains_key(&said.run) {
            return false;
        }
        let ids = of_key.of_run.entry(said.run).or_default();
        let is_new = ids.len() < MAX_CLAIMS_OF_A_RUN && !ids.contains(&id);
        if is_new {
            ids.push(id);
        }
        is_new
    }

    /// Forgets whose claims were long ago.
    fn forget_old(&mut self, now: TimeMs) {
        self.passed_on.retain(|_, of_key| of_key.is_of(now));
    }

    /// Keys of which something is remembered.
    pub(super) fn len(&self) -> usize {
        self.passed_on.len()
    }
}

impl PassedOn {
    /// Whether its time has begun and is not over.
    fn is_of(&self, now: TimeMs) -> bool {
        self.since <= now && now.since(self.since) < CLAIMS_WINDOW_MS
    }
}

/// Whether a claim was made lately, by clocks that may differ: nobody can keep one for later.
fn is_fresh(now: TimeMs, said: &Claim) -> bool {
    let apart = now.since(said.time).max(said.time.since(now));
    apart <= CLAIMS_WINDOW_MS + CLAIMS_WINDOW_MS / 2
}

impl Replica {
    /// Asks whether another run holds the key, as long as that is to be found out.
    pub(super) fn listen(&mut self, now: TimeMs) {
        let Some(me) = self.me else { return };
        let set = &self.ledger.tip().validators;
        let is_alone = set.weight(&me).is_quorum_of(set.total());
        let around = Surroundings { has_links: self.peers.len() > 0, is_behind: self.is_behind(), is_alone };
        if let Some(claim) = self.presence.listen(now, around) {
            self.out.push(Command::Claim(claim));
        }
    }

    /// A run of some node says that it holds a key.
    pub(super) fn heard_presence(&mut self, now: TimeMs, from: PeerId, presence: Verified<Presence>) {
        let Presence { key, claim, signature } = *presence;
        if self.me == Some(key) {
            let (answer, falls_silent) = self.presence.heard_own(now, &claim);
            if let Some(answer) = answer {
                self.out.push(Command::Claim(answer));
            }
            if falls_silent {
                self.out.push(Command::KeyElsewhere);
            }
            return;
        }
        if self.ledger.tip().registry.by_key(&key).is_none()
            || !self.presence.is_to_be_passed_on(now, key, &claim, signature)
        {
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
