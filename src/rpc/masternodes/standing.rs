//! How this node's masternode stands: one state, why, and what to do.
//!
//! Invariant: `RULES` alone says which state it is: the first whose condition holds. What makes everything else this node
//! says doubtful comes first, then what the operator has to act on.

use crate::chain::registry::{Masternode, MasternodeState};
use crate::limits::MISSING_VOTES;
use crate::node::view::Status;
use crate::rpc::types::MasternodeDetails;
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::number::Height;

/// What the state follows from.
pub struct Facts<'a> {
    /// The clock guard keeps the node from signing.
    pub clock_is_wrong: bool,
    /// Heights of the tip and of what is proved to be committed, where the latter is higher.
    pub behind: Option<(Height, Height)>,
    /// This node's consensus key.
    pub key: Option<PublicKey>,
    /// The record of that key.
    pub record: Option<&'a Masternode>,
    /// What else is known of that record.
    pub details: Option<&'a MasternodeDetails>,
    /// A registration of the key that no block holds yet.
    pub registration: Option<(Txid, Status)>,
    /// What asks for the masternode to leave and is in no block yet.
    pub unregistration: Option<(Txid, Status)>,
    /// Where the key has no record: one of another key, at the address that this node tells others.
    pub other_here: Option<&'a Masternode>,
    /// Why the node signs nothing, if so.
    pub silent: Option<String>,
    /// For how many slots there has been no block, if for more than happens.
    pub idle_slots: Option<u64>,
    /// Whether the node has any link.
    pub has_peers: bool,
}

/// In one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    ClockWrong,
    Behind,
    KeyMismatch,
    Slashed,
    Unbonding,
    Leaving,
    Pending,
    MissingVotes,
    Active,
    NotRegistered,
}

/// What is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// A sentence.
    pub why: String,
    /// A sentence.
    pub what_to_do: String,
}

/// Whether a state's condition holds.
type Condition = fn(&Facts<'_>) -> bool;

/// The states by priority.
const RULES: [(State, Condition); 10] = [
    (State::ClockWrong, |facts| facts.clock_is_wrong),
    (State::Behind, |facts| facts.behind.is_some()),
    (State::KeyMismatch, |facts| facts.record.is_none() && facts.registration.is_none() && facts.other_here.is_some()),
    (State::Slashed, |facts| facts.record.is_some_and(|record| record.slashed)),
    (State::Unbonding, |facts| matches!(facts.registered(), Some(MasternodeState::Unbonding { .. }))),
    (State::Leaving, |facts| match facts.registered() {
        Some(state) => state == MasternodeState::Leaving || facts.unregistration.is_some(),
        None => false,
    }),
    (State::Pending, |facts| match facts.registered() {
        Some(state) => state == MasternodeState::Queued,
        None => facts.registration.is_some(),
    }),
    (State::MissingVotes, |facts| facts.registered().is_some() && (facts.silent.is_some() || facts.misses_votes())),
    (State::Active, |facts| facts.registered().is_some()),
    (State::NotRegistered, |_| true),
];

impl State {
    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClockWrong => "clock_wrong",
            Self::Behind => "behind",
            Self::KeyMismatch => "key_mismatch",
            Self::Slashed => "slashed",
            Self::Unbonding => "unbonding",
            Self::Leaving => "leaving",
            Self::Pending => "pending",
            Self::MissingVotes => "missing_votes",
            Self::Active => "active",
            Self::NotRegistered => "not_registered",
        }
    }
}

impl Facts<'_> {
    /// The state of the record, if there is one.
    fn registered(&self) -> Option<MasternodeState> {
        self.record.map(|record| record.state)
    }

    fn misses_votes(&self) -> bool {
        self.details.is_some_and(|details| details.participation.recent_missed >= MISSING_VOTES)
    }

    /// The state and what to say of it.
    pub fn judge(&self) -> Verdict {
        let rule = RULES.iter().find(|(_, holds)| holds(self));
        let state = rule.map_or(State::NotRegistered, |(state, _)| *state);
        let (why, what_to_do) = self.explain(state);
        Verdict { state, why, what_to_do }
    }

    fn explain(&self, state: State) -> (String, String) {
        let text = |why: &str, what_to_do: &str| (why.to_owned(), what_to_do.to_owned());
        match state {
            State::ClockWrong => text(
                "this machine's clock is more than 30 seconds off by what most peers say, so the node signs nothing",
                "set the clock right (NTP); the node goes on by itself",
            ),
            State::Behind => {
                let (tip, target) = self.behind.unwrap_or_default();
                (
                    format!("the node is at block {tip} of {target} and signs nothing until it is there"),
                    "wait until it has caught up; if it stays where it is, look at the log and at get_peer_info".to_owned(),
                )
            }
            State::KeyMismatch => self.explain_mismatch(),
            State::Slashed => (
                format!("its key signed two things that exclude each other, and a part of the collateral was taken; {}", self.freed()),
                "find out how two nodes came to run with this key, or how votes.log was lost, before you register anew with \
                 another key"
                    .to_owned(),
            ),
            State::Unbonding => (
                format!("it has left; {}", self.freed()),
                "nothing; the node may be stopped and the key kept for later".to_owned(),
            ),
            State::Leaving if self.registered() != Some(MasternodeState::Leaving) => self.explain_unregistration(),
            State::Leaving => match &self.silent {
                None => (
                    format!("its owner asked to leave: it goes {}, and votes and is paid until then; {}", self.moves(), self.freed()),
                    "keep the node running until the state is unbonding".to_owned(),
                ),
                Some(silent) => (
                    format!("its owner asked to leave: it goes {}, and is in the set until then; {}", self.moves(), self.freed()),
                    format!("look to it that the node signs until then: {silent}"),
                ),
            },
            State::Pending => self.explain_pending(),
            State::MissingVotes => self.explain_missing(),
            State::Active => {
                let (missed, commits) = self.recent();
                let signed = commits.saturating_sub(missed);
                let why = format!("it is in the set and signed {signed} of the last {commits} commits");
                match self.idle_slots {
                    None => (why, "nothing".to_owned()),
                    Some(slots) if !self.has_peers => (
                        format!("{why}; but there has been no block for {slots} slots, and this node is linked to nobody"),
                        "see to its links: its network, p2p.seeds, get_peer_info".to_owned(),
                    ),
                    Some(slots) => (
                        format!("{why}; but there has been no block for {slots} slots"),
                        "see who of the others is not connected (timed masternode list, get_peer_info): it takes two thirds of \
                         the weight"
                            .to_owned(),
                    ),
                }
            }
            State::NotRegistered => match self.key {
                None => text(
                    "this node has no masternode key",
                    "to run a masternode, set masternode.key_file (timed init --masternode makes a key), then: timed \
                     masternode register",
                ),
                Some(key) if !self.has_peers => (
                    format!("the key {key} of this node is not registered, as far as a node without any peer knows"),
                    "first let it find others: p2p.seeds names nodes to begin with; then see whether it is level".to_owned(),
                ),
                Some(key) => (
                    format!("the key {key} of this node is not registered"),
                    "register it from the wallet that has the collateral: timed masternode register".to_owned(),
                ),
            },
        }
    }

    fn explain_mismatch(&self) -> (String, String) {
        let other = self.other_here.map(|other| (other.endpoint.as_str(), other.consensus_key, other.id));
        let (endpoint, registered, id) = other.unwrap_or_default();
        let own = self.key.map_or_else(|| "this node has no key".to_owned(), |key| format!("this node has {key}"));
        (
            format!("masternode {id} is registered at {endpoint}, which is this node, with the key {registered}; {own}"),
            "set masternode.key_file to the registered key, with its votes.log beside the data; if that key runs elsewhere, \
             have its owner update the endpoint: never run one key at two places"
                .to_owned(),
        )
    }

    fn explain_unregistration(&self) -> (String, String) {
        let which = self.unregistration.map_or_else(String::new, |(txid, _)| format!(" ({txid})"));
        (
            format!("its owner asks to leave{which}, which waits for its block; until it goes, it votes and is paid"),
            "keep the node running until the state is unbonding".to_owned(),
        )
    }

    fn explain_pending(&self) -> (String, String) {
        let why = match (self.registration, self.details) {
            (Some((txid, status)), None) => {
                let how = if status == Status::Finalized { "final" } else { "on its way" };
                format!("the registration {txid} is {how} and waits for its block")
            }
            (_, details) => {
                let place = details.and_then(|details| details.queue_position).unwrap_or(1);
                format!("it is number {place} of those who wait for the end of an epoch, and enters {}", self.moves())
            }
        };
        let what_to_do = match &self.silent {
            Some(silent) => format!("look to it that the node can sign by then: {silent}"),
            None => "keep the node running; it votes from then on by itself".to_owned(),
        };
        (why, what_to_do)
    }

    fn explain_missing(&self) -> (String, String) {
        match &self.silent {
            Some(silent) => (
                "it is in the set and this node signs nothing, so it is not paid, unless another node signs with its key"
                    .to_owned(),
                format!("see docs/operating.md: {silent}"),
            ),
            None => {
                let (missed, commits) = self.recent();
                (
                    format!("{missed} of the last {commits} commits lack its signature"),
                    "look at get_health and get_peer_info: links to the other masternodes, the clock, the load of the machine; \
                     make sure that its endpoint is this node"
                        .to_owned(),
                )
            }
        }
    }

    /// How many of the recent commits lack its signature, and how many there are.
    fn recent(&self) -> (usize, usize) {
        let part = self.details.map(|details| &details.participation);
        part.map_or((0, 0), |part| (part.recent_missed, part.recent_commits))
    }

    /// When its wait ends.
    fn moves(&self) -> String {
        match self.details.and_then(|details| details.earliest_epoch) {
            Some(epoch) => format!("with epoch {epoch} at the earliest"),
            None => "once there is room".to_owned(),
        }
    }

    /// When its collateral is free again.
    fn freed(&self) -> String {
        match self.details.and_then(|details| details.collateral_epoch) {
            Some(epoch) => format!("its collateral is free with epoch {epoch}"),
            None => "its collateral stays bound until some epochs after it has left".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
