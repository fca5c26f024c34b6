//! Every rule of Algorithm 1 in a table of its own: state and facts, and what has to come of them.

use super::super::testing::block;
use super::*;

const STAY: Option<(State, Action)> = None;

fn view(number: u32) -> View {
    View::new(number)
}

fn at(number: u32, step: Step) -> State {
    State { view: view(number), step, ..State::default() }
}

fn locked(state: State, at: u32, tag: u8) -> State {
    let value = Some((view(at), block(tag)));
    State { locked: value, valid: value, ..state }
}

fn offer(tag: u8, verdict: Option<(bool, bool)>, kind: OfferKind) -> Facts {
    let verdict = verdict.map(|(valid, acceptable)| Verdict { valid, acceptable });
    Facts { offer: Some(Offer { hash: block(tag), verdict, kind }), ..Facts::default() }
}

fn proved(at: u32, quorum: bool) -> OfferKind {
    OfferKind::Proved { view: view(at), quorum }
}

/// The vote that the next rule casts, and whether the step moved on with it.
fn vote(state: State, facts: &Facts) -> Option<(BftKind, Option<BlockHash>, Step)> {
    match state.next(facts) {
        Some((next, Action::Vote(kind, value))) => Some((kind, value, next.step)),
        None => None,
        other => panic!("not a vote: {other:?}"),
    }
}

fn prepares(value: Option<u8>) -> Option<(BftKind, Option<BlockHash>, Step)> {
    Some((BftKind::Prepare, value.map(block), Step::Prepare))
}

fn precommits(value: Option<u8>) -> Option<(BftKind, Option<BlockHash>, Step)> {
    Some((BftKind::Precommit, value.map(block), Step::Precommit))
}

#[test]
fn lines_1_to_10_a_height_starts_at_view_0_without_a_lock() {
    let state = State::default();
    assert_eq!((state.view, state.step, state.locked, state.valid), (View::ZERO, Step::Propose, None, None));
    assert_eq!(state.next(&Facts::default()), STAY);
}

#[test]
fn lines_11_to_13_a_view_starts_at_propose_and_keeps_lock_and_valid_value() {
    let old =
        State { prepare_armed: true, value_seen: true, precommit_armed: true, ..locked(at(2, Step::Precommit), 1, 9) };
    assert_eq!(old.start_view(view(5)), (locked(at(5, Step::Propose), 1, 9), Action::StartView));
}

#[test]
fn lines_22_to_27_a_fresh_proposal_is_prepared_if_acceptable_and_no_lock_forbids_it() {
    let propose = at(3, Step::Propose);
    let (yes, not_yet, no) = (Some((true, true)), Some((true, false)), Some((false, false)));
    for (name, state, verdict, expected) in [
        ("23-24 not locked", propose, yes, prepares(Some(1))),
        ("23-24 locked on it", locked(propose, 1, 1), yes, prepares(Some(1))),
        ("25-26 locked on another", locked(propose, 1, 2), yes, prepares(None)),
        ("25-26 locked on another, whatever the verdict", locked(propose, 1, 2), None, prepares(None)),
        ("25-26 invalid", propose, no, prepares(None)),
        ("25-26 invalid, locked on it", locked(propose, 1, 1), no, prepares(None)),
        ("not judged yet", propose, None, None),
        ("not acceptable yet", propose, not_yet, None),
        ("locked on it, not acceptable yet", locked(propose, 1, 1), not_yet, None),
        ("22 step is prepare", at(3, Step::Prepare), yes, None),
        ("22 step is precommit", at(3, Step::Precommit), yes, None),
    ] {
        assert_eq!(vote(state, &offer(1, verdict, OfferKind::Fresh)), expected, "{name}");
    }
}

#[test]
fn lines_28_to_33_a_proved_proposal_is_prepared_unless_a_newer_lock_forbids_it() {
    let propose = at(5, Step::Propose);
    let (valid, invalid) = (Some((true, false)), Some((false, false)));
    for (name, state, verdict, kind, expected) in [
        ("29-30 not locked", propose, valid, proved(2, true), prepares(Some(1))),
        ("29-30 older lock on another", locked(propose, 1, 2), valid, proved(2, true), prepares(Some(1))),
        ("29-30 lock of that view", locked(propose, 2, 2), valid, proved(2, true), prepares(Some(1))),
        ("29-30 newer lock on it", locked(propose, 4, 1), valid, proved(2, true), prepares(Some(1))),
        ("31-32 newer lock on another", locked(propose, 3, 2), valid, proved(2, true), prepares(None)),
        ("31-32 newer lock, whatever the verdict", locked(propose, 3, 2), None, proved(2, true), prepares(None)),
        ("31-32 invalid", propose, invalid, proved(2, true), prepares(None)),
        ("not judged yet", propose, None, proved(2, true), None),
        ("28 without its prepares", propose, valid, proved(2, false), None),
        ("28 invalid without its prepares", propose, invalid, proved(2, false), None),
        ("28 proof of this view", propose, valid, proved(5, true), None),
        ("28 proof of a later view", propose, valid, proved(6, true), None),
        ("28 step is prepare", at(5, Step::Prepare), valid, proved(2, true), None),
    ] {
        assert_eq!(vote(state, &offer(1, verdict, kind)), expected, "{name}");
    }
}

#[test]
fn lines_34_35_a_quorum_of_prepares_arms_the_prepare_timeout_once_in_step_prepare() {
    let facts = Facts { prepared_any: true, ..Facts::default() };
    let (next, action) = at(1, Step::Prepare).next(&facts).unwrap();
    assert_eq!(action, Action::Arm(Timeout::Prepare));
    assert_eq!(next.step, Step::Prepare);
    assert_eq!(next.next(&facts), STAY, "for the first time");
    assert_eq!(at(1, Step::Propose).next(&facts), STAY);
    assert_eq!(at(1, Step::Precommit).next(&facts), STAY);
}

#[test]
fn lines_36_to_43_a_prepared_valid_block_is_locked_and_precommitted() {
    let facts = Facts { prepared_any: true, prepared_valid: Some(block(1)), ..Facts::default() };
    let value = Some((view(4), block(1)));
    for before in [at(4, Step::Prepare), locked(at(4, Step::Prepare), 2, 9)] {
        let (next, action) = before.next(&facts).unwrap();
        assert_eq!(action, Action::Vote(BftKind::Precommit, Some(block(1))), "40");
        assert_eq!((next.locked, next.valid, next.step), (value, value, Step::Precommit), "38-39, 41-43");
        assert_eq!(next.next(&facts), STAY, "36 for the first time");
    }
}

#[test]
fn lines_42_43_a_block_prepared_after_the_precommit_is_valid_but_not_locked() {
    let facts = Facts { prepared_valid: Some(block(1)), ..Facts::default() };
    let before = locked(at(4, Step::Precommit), 2, 9);
    let (next, action) = before.next(&facts).unwrap();
    assert_eq!(action, Action::Note);
    assert_eq!(next.locked, before.locked);
    assert_eq!(next.valid, Some((view(4), block(1))));
    assert_eq!(next.next(&facts), STAY);
}

#[test]
fn line_36_waits_for_step_prepare() {
    let facts = Facts { prepared_valid: Some(block(1)), ..Facts::default() };
    assert_eq!(at(4, Step::Propose).next(&facts), STAY);
}

#[test]
fn lines_44_to_46_a_quorum_of_nil_prepares_is_answered_by_a_nil_precommit() {
    let facts = Facts { prepared_any: true, prepared_nil: true, ..Facts::default() };
    let before = locked(at(4, Step::Prepare), 2, 9);
    assert_eq!(vote(before, &facts), precommits(None));
    assert_eq!(before.next(&facts).unwrap().0.locked, before.locked, "a lock is never dropped");
    assert_eq!(at(4, Step::Propose).next(&facts), STAY);
    assert_eq!(at(4, Step::Precommit).next(&facts), STAY);
}

#[test]
fn lines_47_48_a_quorum_of_precommits_arms_the_precommit_timeout_once_in_any_step() {
    let facts = Facts { precommitted_any: true, ..Facts::default() };
    for step in [Step::Propose, Step::Prepare, Step::Precommit] {
        let (next, action) = at(1, step).next(&facts).unwrap();
        assert_eq!(action, Action::Arm(Timeout::Precommit));
        assert_eq!(next.step, step);
        assert_eq!(next.next(&facts), STAY, "for the first time");
    }
}

#[test]
fn lines_55_56_a_third_of_the_weight_ahead_is_followed_to_its_view() {
    for (third_at, expected) in [(None, None), (Some(2), None), (Some(3), None), (Some(4), Some(4)), (Some(9), Some(9))]
    {
        let facts = Facts { third_at: third_at.map(view), ..Facts::default() };
        for step in [Step::Propose, Step::Prepare, Step::Precommit] {
            let before = locked(at(3, step), 1, 9);
            let after = expected.map(|to| (locked(at(to, Step::Propose), 1, 9), Action::StartView));
            assert_eq!(before.next(&facts), after, "{third_at:?}");
        }
    }
}

#[test]
fn line_36_comes_before_line_55_so_that_no_lock_is_left_behind() {
    let facts = Facts { prepared_valid: Some(block(1)), third_at: Some(view(9)), ..Facts::default() };
    let (next, action) = at(3, Step::Prepare).next(&facts).unwrap();
    assert_eq!(action, Action::Vote(BftKind::Precommit, Some(block(1))));
    let (last, action) = next.next(&facts).unwrap();
    assert_eq!((last.view, action), (view(9), Action::StartView));
    assert_eq!(last.locked, Some((view(3), block(1))));
}

#[test]
fn lines_57_to_60_the_propose_timeout_prepares_nil_in_step_propose_only() {
    let (next, action) = at(2, Step::Propose).on_timeout(Timeout::Propose).unwrap();
    assert_eq!((next.step, action), (Step::Prepare, Action::Vote(BftKind::Prepare, None)));
    assert_eq!(at(2, Step::Prepare).on_timeout(Timeout::Propose), STAY);
    assert_eq!(at(2, Step::Precommit).on_timeout(Timeout::Propose), STAY);
}

#[test]
fn lines_61_to_64_the_prepare_timeout_precommits_nil_in_step_prepare_only() {
    let (next, action) = at(2, Step::Prepare).on_timeout(Timeout::Prepare).unwrap();
    assert_eq!((next.step, action), (Step::Precommit, Action::Vote(BftKind::Precommit, None)));
    assert_eq!(at(2, Step::Propose).on_timeout(Timeout::Prepare), STAY);
    assert_eq!(at(2, Step::Precommit).on_timeout(Timeout::Prepare), STAY);
}

#[test]
fn lines_65_to_67_the_precommit_timeout_starts_the_next_view_from_any_step() {
    for step in [Step::Propose, Step::Prepare, Step::Precommit] {
        let (next, action) = at(2, step).on_timeout(Timeout::Precommit).unwrap();
        assert_eq!((next, action), (at(3, Step::Propose), Action::StartView));
    }
}

#[test]
fn a_restarted_masternode_never_has_a_valid_value_older_than_its_lock() {
    let (old, new) = (Some((view(1), block(1))), Some((view(3), block(3))));
    for (locked, valid, expected) in [(None, None, None), (old, None, old), (new, old, new), (old, new, new)] {
        let state = State::resume(view(4), Step::Prepare, locked, valid);
        assert_eq!((state.locked, state.valid), (locked, expected));
    }
}
