//! Proposals, prepares, precommits.

use super::*;
use crate::signer::Step;

fn signed_vote(node: &mut Node, request: SignRequest) -> Result<SignedMessage, Refusal> {
    let messages = node.sign(request)?;
    assert_eq!(messages.len(), 1);
    Ok(messages[0].clone())
}

fn refused(node: &mut Node, request: SignRequest) -> Refusal {
    node.sign(request).unwrap_err()
}

#[test]
fn a_vote_carries_the_signature_of_the_key_over_its_digest() {
    let mut node = Node::fresh();
    let SignedMessage::Bft(vote) = signed_vote(&mut node, prepare(1, 0, Some(1))).unwrap() else { panic!() };
    assert_eq!(vote.voter, secret().public_key());
    assert_eq!(vote.signature, secret().sign(&vote.digest(&CHAIN)));
    assert_eq!((vote.height, vote.view, vote.block_hash), (Height::new(1), View::new(0), Some(block(1))));
}

#[test]
fn one_value_for_a_kind_at_a_height_and_view_also_after_a_restart() {
    let mut node = Node::fresh();
    signed_vote(&mut node, prepare(1, 0, Some(1))).unwrap();
    for _ in 0..2 {
        for other in [Some(2), None] {
            let refusal = refused(&mut node, prepare(1, 0, other));
            let (height, view) = (Height::new(1), View::new(0));
            assert_eq!(refusal, Refusal::Contradiction { height, view, step: Step::Prepare });
        }
        node = node.restart();
    }
    signed_vote(&mut node, precommit(1, 0, None)).unwrap();
    assert!(matches!(refused(&mut node, precommit(1, 0, Some(1))), Refusal::Contradiction { .. }));
    node = node.restart();
    assert!(matches!(refused(&mut node, precommit(1, 0, Some(1))), Refusal::Contradiction { .. }));
}

#[test]
fn one_proposal_a_view() {
    let mut node = Node::fresh();
    let first = signed_vote(&mut node, proposal(1, 2, 1, None)).unwrap();
    for _ in 0..2 {
        assert!(matches!(refused(&mut node, proposal(1, 2, 2, None)), Refusal::Contradiction { .. }));
        assert!(matches!(refused(&mut node, proposal(1, 2, 1, Some(1))), Refusal::Contradiction { .. }));
        assert_eq!(signed_vote(&mut node, proposal(1, 2, 1, None)).unwrap(), first);
        node = node.restart();
    }
    let SignedMessage::Proposal(proposal) = first else { panic!() };
    assert_eq!(proposal.leader, secret().public_key());
    assert_eq!(proposal.signature, secret().sign(&proposal.digest(&CHAIN)));
}

#[test]
fn what_repeats_is_answered_with_the_same_message_and_no_record() {
    let mut node = Node::fresh();
    let first = signed_vote(&mut node, prepare(1, 0, Some(1))).unwrap();
    signed_vote(&mut node, precommit(1, 0, Some(1))).unwrap();
    for _ in 0..2 {
        let appended = node.ask(prepare(1, 0, Some(1))).unwrap();
        assert_eq!(appended.bytes, Vec::<u8>::new());
        assert_eq!(node.sync(), vec![first.clone()]);
        node = node.restart();
    }
}

#[test]
fn never_a_lower_height_view_or_step_than_was_signed() {
    let mut node = Node::fresh();
    signed_vote(&mut node, prepare(5, 3, None)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            refused(&mut node, prepare(4, 9, None)),
            Refusal::HeightPassed { height: Height::new(4), signed: Height::new(5) }
        );
        assert!(matches!(refused(&mut node, precommit(5, 2, None)), Refusal::StepPassed { .. }));
        assert!(matches!(refused(&mut node, proposal(5, 3, 1, None)), Refusal::StepPassed { .. }));
        assert!(matches!(refused(&mut node, proposal(4, 9, 1, None)), Refusal::HeightPassed { .. }));
        node = node.restart();
    }
    signed_vote(&mut node, precommit(5, 3, None)).unwrap();
    signed_vote(&mut node, proposal(5, 4, 1, None)).unwrap();
    signed_vote(&mut node, prepare(5, 4, Some(1))).unwrap();
    signed_vote(&mut node, prepare(6, 0, Some(1))).unwrap();
    assert!(matches!(refused(&mut node, precommit(5, 4, None)), Refusal::HeightPassed { .. }));
}

#[test]
fn a_block_is_precommitted_only_with_the_lock_on_it() {
    let mut node = Node::fresh();
    for bad in [None, lock(0, 2), lock(1, 1)] {
        let request = vote(BftKind::Precommit, 1, 0, Some(1), Extra { lock: bad, ..Extra::default() });
        assert!(node.sign(request).is_err(), "{bad:?}");
    }
    signed_vote(&mut node, precommit(1, 0, Some(1))).unwrap();
}

#[test]
fn a_lock_is_never_dropped_lowered_or_exchanged() {
    let mut node = Node::fresh();
    signed_vote(&mut node, precommit(1, 2, Some(1))).unwrap();
    for _ in 0..2 {
        for bad in [None, lock(1, 1), lock(2, 2)] {
            let request = vote(BftKind::Prepare, 1, 3, None, Extra { lock: bad, ..Extra::default() });
            assert_eq!(refused(&mut node, request), Refusal::LockGoesBack(View::new(2), block(1)));
        }
        let future = vote(BftKind::Prepare, 1, 3, None, Extra { lock: lock(4, 1), ..Extra::default() });
        assert_eq!(refused(&mut node, future), Refusal::LockGoesBack(View::new(4), block(1)));
        node = node.restart();
    }
    let keeps = vote(BftKind::Prepare, 1, 3, None, Extra { lock: lock(2, 1), ..Extra::default() });
    signed_vote(&mut node, keeps).unwrap();
    signed_vote(&mut node, precommit(1, 3, Some(2))).unwrap();
    assert_eq!(node.restart().recovered.bft.locked, lock(3, 2));
}

#[test]
fn another_block_than_the_locked_one_is_prepared_only_with_a_newer_proof() {
    let with = |view, value, proof_view| {
        vote(BftKind::Prepare, 1, view, Some(value), Extra { lock: lock(2, 1), proof_view, ..Extra::default() })
    };
    let mut node = Node::fresh();
    signed_vote(&mut node, precommit(1, 2, Some(1))).unwrap();
    for _ in 0..2 {
        for proof_view in [None, Some(1), Some(2), Some(5), Some(6)] {
            assert_eq!(refused(&mut node, with(5, 2, proof_view)), Refusal::Locked(View::new(2), block(1)));
        }
        node = node.restart();
    }
    signed_vote(&mut node, with(4, 1, None)).unwrap();
    signed_vote(&mut node, with(5, 2, Some(3))).unwrap();
}

#[test]
fn the_lock_of_a_height_is_no_lock_at_the_next() {
    let mut node = Node::fresh();
    signed_vote(&mut node, precommit(1, 2, Some(1))).unwrap();
    signed_vote(&mut node, prepare(2, 0, Some(2))).unwrap();
    let bft = node.restart().recovered.bft;
    assert_eq!((bft.height, bft.locked, bft.valid), (Height::new(2), None, None));
}

#[test]
fn recovery_tells_everything_signed_at_the_height() {
    let mut node = Node::fresh();
    signed_vote(&mut node, prepare(1, 0, Some(9))).unwrap();
    signed_vote(&mut node, prepare(2, 0, None)).unwrap();
    signed_vote(&mut node, precommit(2, 0, None)).unwrap();
    let SignedMessage::Proposal(proposal) = signed_vote(&mut node, proposal(2, 1, 5, None)).unwrap() else { panic!() };
    signed_vote(&mut node, prepare(2, 1, Some(5))).unwrap();
    signed_vote(&mut node, precommit(2, 1, Some(5))).unwrap();
    for _ in 0..2 {
        let rewritten = node.signer.rewrite();
        node.replace(rewritten);
        node.sync();
        node = node.restart();
        let bft = &node.recovered.bft;
        assert_eq!((bft.height, bft.view, bft.step), (Height::new(2), View::new(1), Some(Step::Precommit)));
        assert_eq!(bft.proposals, vec![(View::new(1), None, proposal.header.hash())]);
        assert_eq!(bft.prepares, vec![(View::new(0), None), (View::new(1), Some(block(5)))]);
        assert_eq!(bft.precommits, vec![(View::new(0), None), (View::new(1), Some(block(5)))]);
        assert_eq!((bft.locked, bft.valid), (lock(1, 5), lock(1, 5)));
    }
}

#[test]
fn the_lock_outlives_the_votes_that_are_forgotten() {
    let mut node = Node::fresh();
    signed_vote(&mut node, precommit(1, 0, Some(1))).unwrap();
    for view in 1..=crate::limits::MAX_REMEMBERED_BLOCK_MESSAGES as u32 {
        let _appended = node.ask(proposal(1, view, 1, None)).unwrap();
    }
    node.sync();
    let rewritten = node.signer.rewrite();
    node.replace(rewritten);
    node.sync();
    let bft = node.restart().recovered.bft;
    assert_eq!((bft.precommits.len(), bft.locked), (0, lock(0, 1)));
}

#[test]
fn a_height_that_never_ends_takes_bounded_memory() {
    let mut node = Node::fresh();
    let views = crate::limits::MAX_REMEMBERED_BLOCK_MESSAGES as u32 + 10;
    for view in 0..views {
        let _appended = node.ask(prepare(1, view, None)).unwrap();
        if view % 1_000 == 0 {
            node.sync();
        }
    }
    node.sync();
    assert_eq!(node.signer.repeat().len(), crate::limits::MAX_REMEMBERED_BLOCK_MESSAGES);
    assert!(matches!(refused(&mut node, prepare(1, 0, Some(1))), Refusal::StepPassed { .. }));
}
