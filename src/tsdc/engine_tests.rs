//! The engine from outside: whole lists of outputs for lists of inputs, one masternode of four.

use super::super::testing::{HEIGHT, chain, header, key, prepares, proposal, set_of, signature, vote};
use super::*;
use crate::types::evidence::BftPart;
use BftKind::{Precommit, Prepare};

const NOW: TimeMs = TimeMs(1_000_000);
const GOOD: Verdict = Verdict { valid: true, acceptable: true };
const NOT_YET: Verdict = Verdict { valid: true, acceptable: false };
const BAD: Verdict = Verdict { valid: false, acceptable: false };

fn engine(me: Option<PublicKey>, restored: Restored) -> Tsdc {
    Tsdc::new(chain(), HEIGHT, Hash::ZERO, set_of(&[1, 1, 1, 1]), me, restored)
}

/// Position of the leader of this view.
fn leads(view: u32) -> usize {
    let leader = engine(None, Restored::default()).leader(View::new(view));
    (0..4).find(|position| key(*position) == leader).unwrap()
}

/// A masternode that leads none of views 0 to 2.
fn follower() -> usize {
    (0..4).find(|position| (0..3).all(|view| leads(view) != *position)).unwrap()
}

/// All positions but this one.
fn others(me: usize) -> Vec<usize> {
    (0..4).filter(|position| *position != me).collect()
}

/// A started engine of the follower, and its outputs so far dropped.
fn started() -> (Tsdc, usize) {
    let me = follower();
    let mut engine = engine(Some(key(me)), Restored::default());
    engine.start(NOW);
    assert_eq!(engine.drain(), [TsdcOutput::ViewChanged(View::ZERO)]);
    (engine, me)
}

fn fresh(view: u32, tag: u64) -> (Arc<Verified<Proposal>>, BlockHash) {
    let header = header(tag);
    let hash = header.hash();
    (proposal(key(leads(view)), view, header, None), hash)
}

fn sign(view: u32, kind: BftKind, value: Option<BlockHash>, lock: Option<(u32, BlockHash)>) -> TsdcOutput {
    let lock = lock.map(|(view, hash)| (View::new(view), hash));
    TsdcOutput::Sign { view: View::new(view), kind, block_hash: value, lock, valid: lock }
}

fn votes(engine: &mut Tsdc, positions: &[usize], view: u32, kind: BftKind, value: Option<BlockHash>) {
    for position in positions {
        engine.vote(NOW, vote(*position, view, kind, value));
    }
}

#[test]
fn a_height_goes_from_proposal_to_commit() {
    let (mut engine, me) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered.clone());
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash)]);
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [sign(0, Prepare, Some(hash), None)]);
    let others = others(me);
    votes(&mut engine, &others, 0, Prepare, Some(hash));
    let view = View::ZERO;
    let locked = [TsdcOutput::Valid(view, hash), TsdcOutput::Locked(view, hash)];
    let [valid, lock] = locked;
    assert_eq!(engine.drain(), [valid, lock, sign(0, Precommit, Some(hash), Some((0, hash)))]);
    votes(&mut engine, &others, 0, Precommit, Some(hash));
    let commit = engine.commit().unwrap();
    assert_eq!(engine.drain(), [TsdcOutput::Committed(commit.clone())]);
    assert_eq!(commit.signatures.iter().flatten().count(), 3);
    assert_eq!(engine.next_wake(), None);
    engine.vote(NOW, vote(me, 0, Precommit, Some(hash)));
    assert_eq!(engine.commit().unwrap().signatures.iter().flatten().count(), 4, "late precommits join the commit");
    engine.tick(TimeMs(u64::MAX));
    assert_eq!(engine.drain(), []);
    assert_eq!(engine.proposals().len(), 1);
}

#[test]
fn the_leader_is_asked_to_propose_once_and_prepares_what_comes_back() {
    let me = leads(0);
    let mut engine = engine(Some(key(me)), Restored::default());
    engine.start(NOW);
    engine.start(NOW);
    let expected = [TsdcOutput::ViewChanged(View::ZERO), TsdcOutput::Propose { view: View::ZERO, value: None }];
    assert_eq!(engine.drain(), expected);
    engine.tick(NOW);
    assert_eq!(engine.drain(), []);
    let (own, hash) = fresh(0, 1);
    engine.proposal(NOW, own);
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash), sign(0, Prepare, Some(hash), None)]);
}

#[test]
fn a_leader_without_anything_to_propose_prepares_nil_at_the_timeout() {
    let mut engine = engine(Some(key(leads(0))), Restored::default());
    engine.start(NOW);
    engine.drain();
    engine.tick(engine.next_wake().unwrap());
    assert_eq!(engine.drain(), [sign(0, Prepare, None, None)]);
}

#[test]
fn a_proposal_not_acceptable_yet_is_prepared_when_it_becomes_so_within_the_step() {
    let (mut engine, _) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, NOT_YET);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash)]);
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [sign(0, Prepare, Some(hash), None)]);
}

#[test]
fn a_proposal_not_acceptable_until_the_timeout_is_answered_with_nil() {
    let (mut engine, _) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, NOT_YET);
    engine.drain();
    engine.tick(engine.next_wake().unwrap());
    assert_eq!(engine.drain(), [sign(0, Prepare, None, None)]);
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [], "the step is over");
}

#[test]
fn an_invalid_proposal_is_answered_with_nil_at_once() {
    let (mut engine, _) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.drain();
    engine.judged(NOW, hash, BAD);
    assert_eq!(engine.drain(), [sign(0, Prepare, None, None)]);
}

#[test]
fn only_the_views_leader_proposes() {
    let (mut engine, _) = started();
    let impostor = (0..4).find(|position| *position != leads(0)).unwrap();
    engine.proposal(NOW, proposal(key(impostor), 0, header(1), None));
    let mut of_another_height = header(1);
    of_another_height.height = HEIGHT.next();
    engine.proposal(NOW, proposal(key(leads(0)), 0, of_another_height, None));
    assert_eq!(engine.drain(), []);
}

#[test]
fn of_two_proposals_the_first_is_acted_on_and_a_quorum_may_form_on_the_second() {
    let (mut engine, me) = started();
    let ((one, first), (two, second)) = (fresh(0, 1), fresh(0, 2));
    engine.proposal(NOW, one);
    engine.proposal(NOW, two);
    engine.judged(NOW, first, GOOD);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(first), sign(0, Prepare, Some(first), None)]);
    votes(&mut engine, &others(me), 0, Prepare, Some(second));
    assert_eq!(engine.drain(), [TsdcOutput::Judge(second)], "36 needs valid(v)");
    engine.judged(NOW, second, NOT_YET);
    let outputs = engine.drain();
    assert_eq!(outputs.last(), Some(&sign(0, Precommit, Some(second), Some((0, second)))));
}

#[test]
fn a_proposal_that_a_quorum_prepared_is_kept_whatever_came_before() {
    let (mut engine, me) = started();
    for tag in 1..10 {
        engine.proposal(NOW, fresh(0, tag).0);
    }
    let (late, hash) = fresh(0, 99);
    engine.proposal(NOW, late.clone());
    assert_eq!(engine.proposal_of(&hash), None, "bounded");
    votes(&mut engine, &others(me), 0, Prepare, Some(hash));
    engine.proposal(NOW, late);
    assert!(engine.proposal_of(&hash).is_some());
}

#[test]
fn a_proved_proposal_needs_its_proof_and_validity_but_no_acceptance() {
    let me = follower();
    let mut engine = engine(Some(key(me)), Restored::default());
    engine.start(NOW);
    let block = header(1);
    let hash = block.hash();
    let proof = prepares(4, &others(me), 0, hash);
    engine.tick(engine.next_wake().unwrap());
    votes(&mut engine, &others(me), 1, Prepare, None); // a third ahead: view 1
    engine.drain();
    engine.proposal(NOW, proposal(key(leads(1)), 1, block, Some(proof.clone())));
    engine.judged(NOW, hash, NOT_YET);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash)], "28: its prepares are not here");
    engine.proof(NOW, Verified::seal(proof), hash);
    assert_eq!(engine.drain()[0], sign(1, Prepare, Some(hash), None));
}

/// An engine that locked a block at view 0 and went on to view 1 with the others.
fn locked_at_view_1() -> (Tsdc, usize, BlockHash) {
    let (mut engine, me) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    votes(&mut engine, &others(me), 0, Prepare, Some(hash));
    votes(&mut engine, &others(me), 1, Precommit, None);
    assert_eq!((engine.view(), engine.locked()), (View::new(1), Some((View::ZERO, hash))));
    engine.drain();
    (engine, me, hash)
}

#[test]
fn a_locked_masternode_prepares_no_other_fresh_block() {
    let (mut engine, _, locked) = locked_at_view_1();
    let (offered, hash) = fresh(1, 2);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    let value = Some((0, locked));
    assert_eq!(engine.drain()[0], sign(1, Prepare, None, value));
}

#[test]
fn a_lock_is_replaced_by_a_newer_one_only() {
    let (mut engine, me, _) = locked_at_view_1();
    let (offered, hash) = fresh(1, 2);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    votes(&mut engine, &others(me), 1, Prepare, None);
    assert_eq!(engine.locked().unwrap().0, View::ZERO, "nil drops nothing");
    let (mut engine, me, _) = locked_at_view_1();
    let (offered, hash) = fresh(1, 2);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    votes(&mut engine, &others(me), 1, Prepare, Some(hash));
    assert_eq!(engine.locked(), Some((View::new(1), hash)));
}

#[test]
fn the_leader_proposes_its_valid_value_again_with_its_proof() {
    let (mut engine, me, hash) = locked_at_view_1();
    let mine = (2..9).find(|view| leads(*view) == me).unwrap();
    votes(&mut engine, &others(me), mine, Precommit, None);
    let view = View::new(mine);
    assert!(engine.drain().contains(&TsdcOutput::Propose { view, value: Some((View::ZERO, hash)) }));
    assert_eq!(engine.prepare_proof(View::ZERO, hash), Some(prepares(4, &others(me), 0, hash)));
    assert!(engine.proposal_of(&hash).is_some(), "its block is still here");
}

#[test]
fn a_leader_whose_valid_value_lacks_its_proof_waits_for_it() {
    let me = leads(1);
    let hash = header(1).hash();
    let value = Some((View::ZERO, hash));
    let restored = Restored { signed: Some((View::new(1), Step::Propose)), locked: value, ..Restored::default() };
    let mut engine = engine(Some(key(me)), restored);
    engine.start(NOW);
    assert_eq!(engine.drain(), [TsdcOutput::ViewChanged(View::new(1))]);
    votes(&mut engine, &others(me), 0, Prepare, Some(hash));
    assert_eq!(engine.drain(), [TsdcOutput::Propose { view: View::new(1), value }]);
}

#[test]
fn a_block_is_committed_at_whatever_view_and_before_it_is_here() {
    let (mut engine, me) = started();
    let (_, hash) = fresh(0, 1);
    votes(&mut engine, &others(me), 5, Precommit, None); // on to view 5
    votes(&mut engine, &others(me)[..2], 3, Precommit, Some(hash));
    assert_eq!(engine.commit(), None);
    engine.vote(NOW, vote(others(me)[2], 3, Precommit, Some(hash)));
    let commit = engine.commit().unwrap();
    assert_eq!((commit.view, commit.block_hash), (View::new(3), hash));
    assert_eq!(engine.drain().last(), Some(&TsdcOutput::Committed(commit)));
}

#[test]
fn a_height_is_decided_before_it_starts_here() {
    let me = follower();
    let mut engine = engine(Some(key(me)), Restored::default());
    let hash = header(1).hash();
    let mut commit = Commit { height: HEIGHT, view: View::new(40), block_hash: hash, signatures: vec![None; 4] };
    for position in others(me) {
        commit.signatures[position] = Some(signature(position, Some(hash)));
    }
    engine.certificate(NOW, Verified::seal(commit.clone()));
    engine.certificate(NOW, Verified::seal(commit.clone()));
    engine.start(NOW);
    assert_eq!(engine.drain(), [TsdcOutput::Committed(commit)]);
}

#[test]
fn a_certificate_counts_whatever_its_signers_were_counted_with() {
    let (mut engine, me) = started();
    let hash = header(1).hash();
    let first = others(me)[0];
    engine.vote(NOW, vote(first, 0, Precommit, None));
    let mut signatures = vec![None; 4];
    for position in others(me) {
        signatures[position] = Some(signature(position, Some(hash)));
    }
    let commit = Commit { height: HEIGHT, view: View::ZERO, block_hash: hash, signatures };
    engine.certificate(NOW, Verified::seal(commit.clone()));
    let outputs = engine.drain();
    assert_eq!(outputs[0], TsdcOutput::Committed(commit.clone()));
    assert!(matches!(&outputs[1], TsdcOutput::Evidence(evidence) if evidence.voter() == key(first)));
    assert_eq!(engine.commit(), Some(commit));
}

#[test]
fn who_votes_twice_is_reported_once() {
    let (mut engine, me) = started();
    let twice = others(me)[0];
    let hash = Some(header(1).hash());
    for (view, kind) in [(0, Prepare), (0, Precommit), (1, Prepare)] {
        engine.vote(NOW, vote(twice, view, kind, None));
        engine.vote(NOW, vote(twice, view, kind, hash));
    }
    let part = |value| BftPart {
        height: HEIGHT,
        view: View::ZERO,
        kind: Prepare,
        block_hash: value,
        signature: signature(twice, value),
    };
    let evidence = Evidence::of_bft(key(twice), part(hash), part(None));
    assert_eq!(engine.drain(), [TsdcOutput::Evidence(Box::new(evidence))]);
}

#[test]
fn an_observer_follows_and_commits_but_signs_nothing() {
    for me in [None, Some(key(77))] {
        let mut engine = engine(me, Restored::default());
        engine.start(NOW);
        let (offered, hash) = fresh(0, 1);
        engine.proposal(NOW, offered);
        engine.judged(NOW, hash, GOOD);
        votes(&mut engine, &[0, 1, 2], 0, Prepare, Some(hash));
        votes(&mut engine, &[0, 1, 2], 0, Precommit, Some(hash));
        let outputs = engine.drain();
        assert!(outputs.iter().all(|o| !matches!(o, TsdcOutput::Sign { .. } | TsdcOutput::Propose { .. })));
        assert!(matches!(outputs.last(), Some(TsdcOutput::Committed(_))));
        assert_eq!(engine.votes(), []);
    }
}

#[test]
fn a_third_of_the_weight_starts_a_height_that_waits_here() {
    let me = follower();
    let mut engine = engine(Some(key(me)), Restored::default());
    let [one, two, _] = others(me)[..] else { panic!() };
    engine.vote(NOW, vote(one, 3, Prepare, None));
    assert_eq!((engine.is_started(), engine.next_wake()), (false, None));
    engine.vote(NOW, vote(two, 2, Prepare, None));
    assert_eq!((engine.is_started(), engine.view()), (true, View::new(2)));
    assert!(engine.next_wake().is_some());
}

#[test]
fn a_proposal_starts_a_height_that_waits_here_once_it_would_be_prepared() {
    let me = follower();
    let mut engine = engine(Some(key(me)), Restored::default());
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash)]);
    engine.judged(NOW, hash, NOT_YET);
    assert_eq!((engine.drain(), engine.is_started()), (vec![], false));
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [TsdcOutput::ViewChanged(View::ZERO), sign(0, Prepare, Some(hash), None)]);
}

#[test]
fn a_refused_vote_gives_way_to_nil_once() {
    let (mut engine, me) = started();
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    engine.drain();
    engine.refused(NOW, View::ZERO, Prepare);
    assert_eq!(engine.drain(), [sign(0, Prepare, None, None)]);
    engine.refused(NOW, View::ZERO, Prepare);
    engine.refused(NOW, View::ZERO, Precommit);
    engine.refused(NOW, View::new(1), Prepare);
    assert_eq!(engine.drain(), []);
    votes(&mut engine, &others(me), 0, Prepare, Some(hash));
    engine.drain();
    engine.refused(NOW, View::ZERO, Precommit);
    assert_eq!(engine.drain(), [sign(0, Precommit, None, Some((0, hash)))], "the lock stays");
}

#[test]
fn a_restarted_masternode_repeats_what_it_signed_and_asks_for_nothing_else() {
    let me = follower();
    let (offered, hash) = fresh(0, 1);
    let own = [vote(me, 0, Prepare, Some(hash)), vote(me, 0, Precommit, Some(hash)), vote(me, 1, Prepare, None)];
    let value = Some((View::ZERO, hash));
    let proof = prepares(4, &others(me), 0, hash);
    let restored = Restored {
        locked: value,
        votes: own.to_vec(),
        proposals: vec![offered],
        proof: Some((hash, Verified::seal(proof.clone()))),
        ..Restored::default()
    };
    let mut engine = engine(Some(key(me)), restored);
    engine.start(NOW);
    assert_eq!(engine.drain(), [TsdcOutput::ViewChanged(View::new(1))]);
    assert_eq!((engine.view(), engine.step()), (View::new(1), Step::Prepare));
    assert_eq!((engine.locked(), engine.valid()), (value, value));
    assert_eq!(engine.votes(), own.map(|vote| (**vote).clone()));
    assert_eq!(engine.prepare_proof(View::ZERO, hash), Some(proof));
    assert!(engine.proposal_of(&hash).is_some());
    let (other, _) = fresh(1, 2);
    engine.proposal(NOW, other.clone());
    engine.judged(NOW, other.header.hash(), GOOD);
    engine.tick(NOW.plus(1_000_000));
    assert!(engine.drain().iter().all(|output| matches!(output, TsdcOutput::Judge(_))), "nil was prepared");
}

#[test]
fn a_lone_masternode_commits_what_it_had_precommitted_before_a_crash() {
    let hash = header(1).hash();
    let votes = vec![vote(0, 0, Prepare, Some(hash)), vote(0, 0, Precommit, Some(hash))];
    let restored = Restored { locked: Some((View::ZERO, hash)), votes, ..Restored::default() };
    let mut engine = Tsdc::new(chain(), HEIGHT, Hash::ZERO, set_of(&[5]), Some(key(0)), restored);
    assert!(matches!(engine.drain().as_slice(), [TsdcOutput::Committed(commit)] if commit.block_hash == hash));
}

#[test]
fn nothing_is_asked_that_this_key_is_known_to_have_signed() {
    let (mut engine, me) = started();
    engine.vote(NOW, vote(me, 0, Prepare, None)); // by this key, before its records were lost
    let (offered, hash) = fresh(0, 1);
    engine.proposal(NOW, offered);
    engine.judged(NOW, hash, GOOD);
    assert_eq!(engine.drain(), [TsdcOutput::Judge(hash)]);
}

#[test]
fn acceptance_is_asked_for_anew_in_a_later_view() {
    // The only leader of a lone set leads every view, so the same block can be fresh again.
    let mut engine = Tsdc::new(chain(), HEIGHT, Hash::ZERO, set_of(&[5]), None, Restored::default());
    engine.start(NOW);
    let hash = header(1).hash();
    engine.proposal(NOW, proposal(key(0), 0, header(1), None));
    engine.proposal(NOW, proposal(key(0), 1, header(1), None));
    engine.judged(NOW, hash, GOOD);
    engine.drain();
    engine.vote(NOW, vote(0, 0, Prepare, None));
    engine.vote(NOW, vote(0, 0, Precommit, None));
    engine.tick(engine.next_wake().unwrap());
    assert_eq!(engine.drain(), [TsdcOutput::ViewChanged(View::new(1)), TsdcOutput::Judge(hash)]);
}

#[test]
fn a_clock_that_jumps_back_does_not_stop_the_timeouts() {
    let (mut engine, _) = started();
    let wait = engine.next_wake().unwrap().since(NOW);
    engine.tick(TimeMs(5));
    assert_eq!(engine.next_wake(), Some(TimeMs(5).plus(wait)));
    engine.tick(TimeMs(5).plus(wait));
    assert_eq!(engine.drain(), [sign(0, Prepare, None, None)]);
}

#[test]
fn who_was_led_ahead_by_votes_that_only_it_saw_takes_the_others_along() {
    let me = follower();
    let [honest, liar, other] = others(me)[..] else { panic!() };
    let (mut ahead, mut behind) = (started().0, engine(Some(key(other)), Restored::default()));
    behind.start(NOW);
    for position in [honest, liar] {
        ahead.vote(NOW, vote(position, 5, Prepare, None));
    }
    behind.vote(NOW, vote(honest, 5, Prepare, None));
    assert_eq!((ahead.view(), behind.view()), (View::new(5), View::ZERO));
    for vote in ahead.entry_votes() {
        behind.vote(NOW, Arc::new(Verified::seal(vote)));
    }
    assert_eq!(behind.view(), View::new(5));
}

#[test]
fn a_vote_that_comes_when_the_height_is_over_still_counts_against_its_signer() {
    let (mut engine, me) = started();
    let (_, hash) = fresh(0, 1);
    let [one, two, three] = others(me)[..] else { panic!() };
    votes(&mut engine, &[one], 0, Precommit, None);
    engine.drain();
    assert_eq!(engine.late_vote(&vote(two, 0, Precommit, Some(hash))), Ok(()), "late, and the only one");
    assert_eq!(engine.late_vote(&vote(two, 0, Precommit, Some(hash))), Ok(()), "the same again");
    // Nil in time and the block when it was decided, or the other way round; prepares as well.
    for (voter, kind, first, second) in [(one, Precommit, None, Some(hash)), (two, Precommit, Some(hash), None)] {
        let late = vote(voter, 0, kind, second);
        let Err(Some(evidence)) = engine.late_vote(&late) else { panic!("{voter}") };
        let part = |value| {
            let (height, view, signature) = (HEIGHT, View::ZERO, vote(voter, 0, kind, value).signature);
            BftPart { height, view, kind, block_hash: value, signature }
        };
        assert_eq!(*evidence, Evidence::of_bft(key(voter), part(first), part(second)));
        assert_eq!(engine.late_vote(&late), Err(None), "proved once");
    }
    assert_eq!(engine.late_vote(&vote(three, 0, Prepare, Some(hash))), Ok(()));
    assert!(matches!(engine.late_vote(&vote(three, 0, Prepare, None)), Err(Some(_))));
    assert_eq!(engine.drain(), [], "nothing is done any more");
}

#[test]
fn a_commit_from_elsewhere_gets_the_precommits_that_are_here_besides() {
    let (mut engine, me) = started();
    let (_, hash) = fresh(0, 1);
    let [one, two, _] = others(me)[..] else { panic!() };
    votes(&mut engine, &[one], 0, Precommit, Some(hash));
    votes(&mut engine, &[two], 0, Precommit, None);
    let by = |position: &usize| vote(*position, 0, Precommit, Some(hash)).signature;
    let signed_by = |positions: &[usize]| {
        let signatures = (0..4).map(|at| positions.contains(&at).then(|| by(&at))).collect();
        Commit { height: HEIGHT, view: View::ZERO, block_hash: hash, signatures }
    };
    let without: Vec<usize> = others(one);
    assert_eq!(engine.completed(&signed_by(&without)), signed_by(&[0, 1, 2, 3]));
    let without_two: Vec<usize> = others(two).into_iter().filter(|at| *at != one).collect();
    assert_eq!(engine.completed(&signed_by(&without_two)), signed_by(&others(two)), "nil is no precommit for it");
    let other = Commit { view: View::new(1), ..signed_by(&without) };
    assert_eq!(engine.completed(&other), other, "of another view");
}
