use super::*;
use crate::rpc::types::{MasternodeEntry, MasternodeInfo, OutPointInfo, ParticipationInfo, Text};
use crate::types::hash::MasternodeId;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Epoch, Weight};
use crate::types::transaction::OutPoint;
use std::collections::BTreeSet;

const UNBONDING: MasternodeState = MasternodeState::Unbonding { until_epoch: Epoch::new(9) };

fn record(state: MasternodeState, slashed: bool) -> Masternode {
    Masternode {
        id: MasternodeId([3; 32]),
        consensus_key: PublicKey([4; 32]),
        owner: Lock::KeyHash([5; 32]),
        payout: Lock::KeyHash([5; 32]),
        endpoint: "mn.example:24000".to_owned(),
        collateral: OutPoint { txid: Txid([3; 32]), index: 0 },
        value: Amount::new(1),
        weight: Weight::new(10),
        queued_at: Height::ZERO,
        state,
        slashed,
    }
}

fn details(recent_missed: usize) -> MasternodeDetails {
    let record = MasternodeInfo {
        id: Text(MasternodeId([3; 32])),
        consensus_key: Text(PublicKey([4; 32])),
        owner: String::new(),
        payout: String::new(),
        endpoint: String::new(),
        collateral: OutPointInfo { txid: Text(Txid([3; 32])), index: 0 },
        value: Text(Amount::new(1)),
        tier: None,
        weight: 10,
        state: "active",
        until_epoch: None,
        queued_at: 0,
        slashed: false,
    };
    MasternodeDetails {
        entry: MasternodeEntry { record, connected: true, votes_missed: 0 },
        unregistration: None,
        queue_position: Some(2),
        earliest_epoch: Some(7),
        earliest_time: None,
        collateral_epoch: Some(9),
        collateral_time: None,
        next_turn: None,
        participation: ParticipationInfo {
            from_height: None,
            to_height: None,
            recent_commits: 10,
            recent_missed,
            epochs: Vec::new(),
        },
    }
}

fn nothing() -> Facts<'static> {
    Facts {
        clock_is_wrong: false,
        behind: None,
        key: Some(PublicKey([4; 32])),
        record: None,
        details: None,
        registration: None,
        unregistration: None,
        other_here: None,
        silent: None,
        idle_slots: None,
        has_peers: true,
    }
}

#[test]
fn every_state_has_its_cause() {
    let [queued, active, leaving, unbonding] =
        [MasternodeState::Queued, MasternodeState::Active, MasternodeState::Leaving, UNBONDING]
            .map(|s| record(s, false));
    let slashed = [MasternodeState::Active, UNBONDING].map(|state| record(state, true));
    let (good, bad) = (details(MISSING_VOTES - 1), details(MISSING_VOTES));
    let under_way = Some((Txid([1; 32]), Status::Finalized));
    let silent = || Some("there is no votes.log".to_owned());
    let behind = Some((Height::new(5), Height::new(8)));
    let of = |record, details| Facts { record: Some(record), details: Some(details), ..nothing() };
    let cases = [
        (nothing(), State::NotRegistered, "not registered"),
        (Facts { key: None, ..nothing() }, State::NotRegistered, "no masternode key"),
        (Facts { has_peers: false, ..nothing() }, State::NotRegistered, "without any peer"),
        (Facts { registration: under_way, ..nothing() }, State::Pending, "is final and waits"),
        (of(&queued, &good), State::Pending, "number 2"),
        (of(&active, &good), State::Active, "8 of the last 10"),
        (of(&active, &bad), State::MissingVotes, "3 of the last 10"),
        (Facts { idle_slots: Some(7), ..of(&active, &good) }, State::Active, "no block for 7 slots"),
        (Facts { idle_slots: Some(7), has_peers: false, ..of(&active, &good) }, State::Active, "linked to nobody"),
        (Facts { silent: silent(), ..of(&active, &good) }, State::MissingVotes, "signs nothing"),
        (Facts { unregistration: under_way, ..of(&active, &bad) }, State::Leaving, "waits for its block"),
        (Facts { unregistration: under_way, ..of(&leaving, &bad) }, State::Leaving, "epoch 7"),
        (of(&leaving, &bad), State::Leaving, "epoch 7"),
        (of(&unbonding, &bad), State::Unbonding, "epoch 9"),
        (of(&slashed[0], &bad), State::Slashed, "exclude each other"),
        (of(&slashed[1], &bad), State::Slashed, "epoch 9"),
        (Facts { other_here: Some(&active), ..nothing() }, State::KeyMismatch, "mn.example:24000"),
        (Facts { other_here: Some(&active), key: None, ..nothing() }, State::KeyMismatch, "has no key"),
        (Facts { other_here: Some(&active), registration: under_way, ..nothing() }, State::Pending, "waits"),
        (Facts { behind, ..of(&slashed[0], &bad) }, State::Behind, "block 5 of 8"),
        (Facts { clock_is_wrong: true, behind, ..of(&active, &good) }, State::ClockWrong, "clock"),
    ];
    let mut seen = BTreeSet::new();
    for (facts, state, said) in cases {
        let verdict = facts.judge();
        assert_eq!(verdict.state, state, "{}", verdict.why);
        assert!(verdict.why.contains(said), "{}", verdict.why);
        assert!(!verdict.what_to_do.is_empty());
        seen.insert(state.name());
    }
    let all: BTreeSet<&str> = RULES.iter().map(|(state, _)| state.name()).collect();
    assert_eq!((seen.len(), &seen), (RULES.len(), &all), "a state without a case");
}

#[test]
fn who_waits_or_leaves_and_cannot_sign_is_told_so() {
    let details = details(0);
    for (state, expected) in [(MasternodeState::Queued, State::Pending), (MasternodeState::Leaving, State::Leaving)] {
        let (record, silent) = (record(state, false), Some("put the file back".to_owned()));
        let facts = Facts { record: Some(&record), details: Some(&details), silent, ..nothing() };
        let verdict = facts.judge();
        assert_eq!(verdict.state, expected);
        assert!(verdict.what_to_do.contains("put the file back"), "{}", verdict.what_to_do);
        assert!(!verdict.why.contains("is paid"), "{}", verdict.why);
    }
}
