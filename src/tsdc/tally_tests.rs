use super::super::testing::{HEIGHT, block, prepares, set_of, vote};
use super::*;
use BftKind::{Precommit, Prepare};

fn tally(weights: &[u64]) -> Tally {
    Tally::new(HEIGHT, set_of(weights))
}

fn enter(tally: &mut Tally, view: u32) {
    tally.enter(View::new(view), BTreeSet::new());
}

#[test]
fn a_threshold_is_reported_with_its_view_once() {
    let mut tally = tally(&[1, 1, 1]);
    let value = Some(block(1));
    assert_eq!(tally.vote(&vote(0, 2, Prepare, value)), Outcome::default());
    let reached = tally.vote(&vote(1, 2, Prepare, value)).reached;
    let expected = [Threshold::Any, Threshold::Value(value)].map(|threshold| (View::new(2), Prepare, threshold));
    assert_eq!(reached, expected);
    assert_eq!(tally.vote(&vote(2, 2, Prepare, value)), Outcome::default());
    assert!(tally.is_prepared(View::new(2), block(1)));
}

#[test]
fn a_second_vote_is_a_conflict_and_does_not_count() {
    let mut tally = tally(&[1, 1, 1]);
    tally.vote(&vote(0, 0, Precommit, None));
    assert_eq!(tally.vote(&vote(0, 0, Precommit, None)), Outcome::default(), "a repetition is none");
    let outcome = tally.vote(&vote(0, 0, Precommit, Some(block(1))));
    let [(voter, first, second)] = outcome.conflicts.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(*voter, vote(0, 0, Precommit, None).voter);
    assert_eq!((first.block_hash, second.block_hash), (None, Some(block(1))));
    assert_eq!((first.height, first.view, first.kind), (HEIGHT, View::ZERO, Precommit));
    assert_eq!(tally.ballots(View::ZERO, Precommit).unwrap().weight_for(Some(block(1))), Weight::ZERO);
}

#[test]
fn a_stranger_counts_nothing() {
    let mut tally = tally(&[1]);
    assert_eq!(tally.vote(&vote(5, 3, Prepare, None)), Outcome::default());
    assert_eq!(tally.third_at(), None);
}

#[test]
fn a_whole_certificate_counts_even_if_another_vote_was_counted_first() {
    let mut tally = tally(&[1, 1, 1, 1]);
    tally.vote(&vote(0, 1, Prepare, None));
    let proof = prepares(4, &[0, 1, 2], 1, block(1));
    let outcome = tally.prove(block(1), &proof);
    assert_eq!(outcome.conflicts.len(), 1);
    assert!(outcome.reached.contains(&(View::new(1), Prepare, Threshold::Value(Some(block(1))))));
    assert!(tally.is_prepared(View::new(1), block(1)));
    assert_eq!(tally.proof(View::new(1), block(1)), Some(proof));
    assert_eq!(tally.proof(View::new(1), block(2)), None);
}

#[test]
fn a_proof_older_than_the_votes_kept_still_counts() {
    let mut tally = tally(&[1, 1, 1]);
    enter(&mut tally, 1_000);
    tally.prove(block(1), &prepares(3, &[0, 1], 3, block(1)));
    assert!(tally.is_prepared(View::new(3), block(1)));
}

#[test]
fn the_third_is_of_distinct_weighed_senders_at_or_beyond_the_view() {
    let mut tally = tally(&[1, 1, 1, 1, 2]);
    tally.vote(&vote(0, 9, Prepare, None));
    tally.vote(&vote(0, 9, Precommit, None));
    tally.vote(&vote(0, 8, Prepare, None));
    assert_eq!(tally.third_at(), None, "one of six, however often");
    tally.vote(&vote(1, 5, Precommit, None));
    assert_eq!(tally.third_at(), Some(View::new(5)));
    tally.vote(&vote(4, 7, Prepare, Some(block(1))));
    assert_eq!(tally.third_at(), Some(View::new(7)), "weight counts");
    tally.vote(&vote(1, 6, Precommit, None));
    tally.vote(&vote(1, 2, Precommit, None));
    assert_eq!(tally.third_at(), Some(View::new(7)));
}

#[test]
fn of_a_voter_the_highest_future_views_are_kept() {
    let mut tally = tally(&[1, 1, 1, 1]);
    let views = TSDC_FUTURE_VIEWS as u32;
    for view in 1..=3 * views {
        for kind in [Prepare, Precommit] {
            tally.vote(&vote(0, view, kind, None));
        }
    }
    let kept = tally.votes_of(0);
    assert_eq!(kept.len(), 2 * TSDC_FUTURE_VIEWS);
    assert!(kept.iter().all(|vote| vote.view.get() > 2 * views));
    assert_eq!(tally.views.len(), TSDC_FUTURE_VIEWS);
    tally.vote(&vote(0, 1, Prepare, None));
    assert_eq!(tally.votes_of(0).len(), 2 * TSDC_FUTURE_VIEWS, "a lower one has no room");
}

#[test]
fn a_vote_of_the_current_view_counts_whatever_its_voter_sent_for_later_ones() {
    let mut tally = tally(&[1, 1, 1]);
    for view in 100..200 {
        tally.vote(&vote(0, view, Prepare, None));
    }
    enter(&mut tally, 5);
    tally.vote(&vote(0, 5, Prepare, None));
    assert_eq!(tally.ballots(View::new(5), Prepare).unwrap().cast_weight(), Weight::new(1));
}

#[test]
fn no_vote_of_a_future_quorum_gives_way() {
    let mut tally = tally(&[1, 1, 1]);
    for position in 0..2 {
        tally.vote(&vote(position, 1, Prepare, Some(block(1))));
    }
    for view in 2..100 {
        tally.vote(&vote(0, view, Prepare, None));
    }
    let proof = tally.proof(View::new(1), block(1)).unwrap();
    assert_eq!(proof.signatures.iter().flatten().count(), 2);
}

#[test]
fn old_views_are_forgotten_but_not_the_pinned_ones() {
    let mut tally = tally(&[1, 1, 1]);
    for view in [0, 1, 2] {
        tally.vote(&vote(0, view, Prepare, None));
    }
    tally.enter(View::new(2 + TSDC_PAST_VIEWS), BTreeSet::from([View::ZERO]));
    let views: Vec<u32> = tally.votes_of(0).iter().map(|vote| vote.view.get()).collect();
    assert_eq!(views, [0, 2]);
    assert_eq!(tally.vote(&vote(1, 1, Prepare, None)), Outcome::default());
    tally.vote(&vote(1, 0, Prepare, None));
    assert_eq!(tally.votes_of(1).len(), 1);
}

#[test]
fn memory_is_flat_whatever_one_voter_sends() {
    let mut tally = tally(&[1, 1, 1, 1]);
    for round in 0..50u32 {
        enter(&mut tally, round * 7);
        for view in (0..1_000).chain([u32::MAX]) {
            tally.vote(&vote(3, view, Prepare, Some(block((view % 251) as u8))));
        }
    }
    assert!(tally.views.len() <= TSDC_FUTURE_VIEWS + 1 + TSDC_PAST_VIEWS as usize, "{}", tally.views.len());
    assert_eq!(tally.highest.len(), 1);
    assert_eq!(tally.weight_at_highest.len(), 1);
    for view in 0..100 {
        tally.prove(block(1), &prepares(4, &[0, 1, 2], view, block(1)));
    }
    assert_eq!(tally.proofs.len(), TSDC_PROOFS);
}

#[test]
fn the_proof_of_a_pinned_view_never_goes() {
    let mut tally = tally(&[1, 1, 1]);
    enter(&mut tally, 1_000);
    tally.pin(View::ZERO);
    for view in 0..100 {
        tally.prove(block(1), &prepares(3, &[0, 1], view, block(1)));
    }
    assert!(tally.proof(View::ZERO, block(1)).is_some());
}

#[test]
fn entry_votes_let_another_tally_follow() {
    // By precommits of the view before.
    let mut ahead = tally(&[1, 1, 1, 1]);
    for position in 0..3 {
        ahead.vote(&vote(position, 3, Precommit, (position == 0).then(|| block(1))));
    }
    enter(&mut ahead, 4);
    let mut behind = tally(&[1, 1, 1, 1]);
    for vote in ahead.entry_votes() {
        behind.vote(&vote);
    }
    assert!(behind.ballots(View::new(3), Precommit).unwrap().any());
    // By votes of a third.
    let mut ahead = tally(&[1, 1, 1, 1]);
    ahead.vote(&vote(2, 6, Prepare, None));
    ahead.vote(&vote(3, 9, Precommit, None));
    enter(&mut ahead, 6);
    let mut behind = tally(&[1, 1, 1, 1]);
    for vote in ahead.entry_votes() {
        behind.vote(&vote);
    }
    assert_eq!(behind.third_at(), Some(View::new(6)));
}

#[test]
fn a_commit_takes_every_precommit_for_its_block() {
    let mut tally = tally(&[1, 1, 1, 1]);
    for position in 0..3 {
        tally.vote(&vote(position, 1, Precommit, Some(block(1))));
    }
    let commit = tally.commit_of(View::new(1), block(1), None);
    assert_eq!(commit.signatures.iter().flatten().count(), 3);
    tally.vote(&vote(3, 1, Precommit, Some(block(1))));
    let commit = tally.commit_of(View::new(1), block(1), Some(&commit));
    assert_eq!(commit.signatures.iter().flatten().count(), 4);
}
