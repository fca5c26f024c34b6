//! S2, S3, S7 for payments, and L2, L3.

use crate::history::{COIN, History};
use crate::invariants::nodes::Told;
use crate::oracle::{Heard, Released};
use std::collections::BTreeSet;
use timed::types::block::BftKind;
use timed::types::evidence::Evidence;
use timed::types::hash::Txid;
use timed::types::keys::Signature;
use timed::types::merkle;
use timed::types::number::Epoch;
use timed::types::transaction::Transaction;
use timed::types::vote::FinalityKind::{Receipt, Vote};
use timed::types::vote::VotePart;

fn only(invariant: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from([invariant])
}

fn rivals(history: &mut History) -> [(Transaction, Txid); 2] {
    [1, 2].map(|mark| {
        let tx = history.pay(history.coin(0), COIN, mark);
        history.oracle.hear(0, Heard::Tx(&tx));
        let txid = tx.body.txid();
        (tx, txid)
    })
}

#[test]
fn s2_a_certificate_is_told_without_a_quorum() {
    let mut history = History::new();
    let txid = Txid([1; 32]);
    history.sign(&[0, 3], Vote, 0, &[txid]);
    history.oracle.tell(0, 0, &Told::Certified(txid, 0));
    assert_eq!(history.fired(), only("S2"));

    let mut history = History::new();
    history.sign(&[0, 1, 3], Vote, 0, &[txid]);
    history.oracle.tell(0, 0, &Told::Certified(txid, 0));
    assert_eq!(history.fired(), BTreeSet::new());
}

#[test]
fn s2_a_payment_is_told_final_before_its_receipts_are_heard() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    let txid = tx.body.txid();
    history.sign(&[0, 1, 2], Vote, 0, &[txid]);
    history.sign(&[0, 1], Receipt, 0, &[txid]);
    history.oracle.tell(0, 0, &Told::Finalized(txid, 0));
    history.sign(&[2], Receipt, 0, &[txid]);
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn s2_receipts_of_another_epoch_do_not_count() {
    let mut history = History::new();
    let txid = Txid([1; 32]);
    history.sign(&[0, 1], Receipt, 0, &[txid]);
    history.sign(&[3], Receipt, 1, &[txid]);
    history.oracle.tell(0, 0, &Told::Finalized(txid, 0));
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn s2_forged_votes_do_not_count() {
    let mut history = History::new();
    let txid = Txid([1; 32]);
    history.sign(&[0, 1], Vote, 0, &[txid]);
    let mut forged = history.batch(2, Vote, 0, &[txid]);
    forged.signature = Signature([3; 64]);
    history.oracle.hear(0, Heard::Votes(&forged));
    history.oracle.tell(0, 0, &Told::Certified(txid, 0));
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn s2_a_block_holds_a_payment_without_a_certificate() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    let (block, executed) = history.build(1, &[tx], &[]);
    history.commit(&block, &executed);
    assert_eq!(history.fired(), only("S2"));
}

/// Two honest receipts and the Byzantine one that may come at any time make a quorum.
#[test]
fn s3_two_rivals_are_final_for_who_hears_everything() {
    let mut history = History::new();
    let [(_, one), (_, other)] = rivals(&mut history);
    history.sign(&[0, 1], Receipt, 0, &[one]);
    history.sign(&[2], Receipt, 0, &[other]);
    assert_eq!(history.fired(), BTreeSet::new());
    history.sign(&[0], Receipt, 0, &[other]);
    assert_eq!(history.fired(), only("S3"));
}

#[test]
fn s3_a_rival_of_a_final_payment_is_archived() {
    let mut history = History::new();
    let [(_, one), (rival, other)] = rivals(&mut history);
    history.sign(&[0, 1, 2], Receipt, 0, &[one]);
    history.sign(&[0, 1, 3], Vote, 0, &[other]);
    let (block, executed) = history.build(1, &[rival], &[]);
    history.commit(&block, &executed);
    assert_eq!(history.fired(), only("S3"));
}

#[test]
fn s3_a_payment_becomes_final_after_its_rival_was_archived() {
    let mut history = History::new();
    let [(_, one), (rival, other)] = rivals(&mut history);
    history.sign(&[0, 1, 2], Vote, 0, &[other]);
    let (block, executed) = history.build(1, &[rival], &[]);
    history.commit(&block, &executed);
    assert_eq!(history.fired(), BTreeSet::new());
    history.sign(&[0, 1], Receipt, 0, &[one]);
    assert_eq!(history.fired(), only("S3"));
}

#[test]
fn s3_rival_certificates_in_one_epoch() {
    let mut history = History::new();
    let [(_, one), (_, other)] = rivals(&mut history);
    history.sign(&[0, 1, 2], Vote, 0, &[one]);
    history.sign(&[0, 1, 3], Vote, 0, &[other]);
    assert_eq!(history.fired(), BTreeSet::from(["S3", "S7"]));
}

#[test]
fn s3_a_body_that_is_shown_late_is_judged_then() {
    let mut history = History::new();
    let [one, other] = [1, 2].map(|mark| history.pay(history.coin(0), COIN, mark));
    history.sign(&[0, 1, 2], Receipt, 0, &[one.body.txid(), other.body.txid()]);
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.hear(0, Heard::Tx(&one));
    history.oracle.hear(0, Heard::Tx(&other));
    assert_eq!(history.fired(), only("S3"));
}

#[test]
fn s7_an_honest_masternode_votes_for_rivals() {
    let mut history = History::new();
    let [(_, one), (_, other)] = rivals(&mut history);
    history.sign(&[0, 3], Vote, 0, &[one]);
    history.sign(&[1, 3], Vote, 0, &[other]);
    assert_eq!(history.fired(), BTreeSet::new());
    assert!(history.oracle.double_signers().1.contains_key(&history.key(3)));
    history.sign(&[0], Vote, 0, &[other]);
    assert_eq!(history.fired(), only("S7"));
}

#[test]
fn s7_a_vote_for_a_rival_in_the_next_epoch_is_free() {
    let mut history = History::new();
    let [(_, one), (_, other)] = rivals(&mut history);
    history.sign(&[0], Vote, 0, &[one]);
    history.slot(&[]);
    history.slot(&[]);
    assert_eq!(history.epoch(), 1);
    history.sign(&[0], Vote, 1, &[other]);
    assert_eq!(history.fired(), BTreeSet::new());
}

#[test]
fn s7_an_epoch_closes_without_what_is_final_in_it() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    history.oracle.hear(0, Heard::Tx(&tx));
    history.slot(&[]);
    // Two honest receipts: with the Byzantine one a quorum. The third honest masternode may close the epoch without it.
    history.sign(&[0, 1], Receipt, 0, &[tx.body.txid()]);
    history.slot(&[]);
    assert!(history.fired().contains("S7"));
}

#[test]
fn s7_receipts_of_a_closed_epoch_turn_up_later() {
    let mut history = History::new();
    history.slot(&[]);
    history.slot(&[]);
    history.sign(&[3], Receipt, 0, &[Txid([5; 32])]);
    assert_eq!(history.fired(), BTreeSet::new());
    for signer in [0, 1] {
        let batch = history.batch(signer, Receipt, 0, &[Txid([5; 32])]);
        history.oracle.release(0, Released::Votes(&batch), true);
    }
    assert_eq!(history.fired(), only("S7"));
}

#[test]
fn s7_a_vote_after_preparing_a_closing_block() {
    let mut history = History::new();
    history.slot(&[]);
    let (closing, _) = history.build(1, &[], &[]);
    let proposal = history.proposal(&closing, 0);
    history.oracle.release(0, Released::Proposal(&proposal), true);
    let prepare = history.vote(0, 2, 0, BftKind::Prepare, Some(closing.header.hash()));
    history.oracle.release(0, Released::Vote(&prepare), false);
    history.sign(&[1], Vote, 0, &[Txid([5; 32])]);
    assert!(!history.fired().contains("S7"));
    history.sign(&[0], Vote, 0, &[Txid([5; 32])]);
    assert!(history.fired().contains("S7"));
}

#[test]
fn s7_a_fresh_closing_block_is_prepared_without_an_own_receipt() {
    let mut history = History::new();
    history.slot(&[]);
    history.sign(&[0], Receipt, 0, &[Txid([5; 32])]);
    let (closing, _) = history.build(1, &[], &[]);
    let proposal = history.proposal(&closing, 0);
    history.oracle.hear(0, Heard::Proposal(&proposal));
    let prepare = |history: &History, i| history.vote(i, 2, 0, BftKind::Prepare, Some(closing.header.hash()));
    let fine = prepare(&history, 1);
    history.oracle.release(0, Released::Vote(&fine), false);
    assert!(!history.fired().contains("S7"));
    let wrong = prepare(&history, 0);
    history.oracle.release(0, Released::Vote(&wrong), false);
    assert!(history.fired().contains("S7"));
}

#[test]
fn s7_who_lost_its_log_does_not_know_its_receipts() {
    let mut history = History::new();
    history.slot(&[]);
    history.sign(&[0], Receipt, 0, &[Txid([5; 32])]);
    history.oracle.forget_votes(history.key(0));
    history.slot(&[]);
    assert_eq!(history.fired(), BTreeSet::new());
}

#[test]
fn s6_a_batch_that_no_signer_released() {
    let mut history = History::new();
    let batch = history.batch(0, Vote, 0, &[Txid([5; 32])]);
    history.oracle.hear(0, Heard::Votes(&batch));
    assert_eq!(history.fired(), only("S6"));
}

/// A vote for the second transaction of a batch of three, as evidence shows it.
fn part(history: &History, signer: usize, tx: &Transaction) -> VotePart {
    let txids = [Txid([9; 32]), tx.body.txid(), Txid([8; 32])];
    let batch = history.batch(signer, Vote, 0, &txids);
    let path = merkle::path(txids.iter().map(Txid::as_bytes), 1).unwrap();
    VotePart { body: tx.body.clone(), index: 1, count: 3, path, signature: batch.signature }
}

#[test]
fn s11_evidence_of_votes_counts_only_for_rivals_with_paths() {
    let mut history = History::new();
    let [(one, _), (other, _)] = rivals(&mut history);
    let unrelated = history.pay(history.coin(1), COIN, 1);
    let epoch = Epoch::ZERO;
    let honest = history.key(0);
    let sides = |history: &History, other: &Transaction| (part(history, 0, &one), part(history, 0, other));
    let (a, b) = sides(&history, &unrelated);
    history.oracle.hear(0, Heard::Evidence(&Evidence::of_votes(honest, epoch, a, b)));
    let (mut a, b) = sides(&history, &other);
    a.path[0].0[0] ^= 1;
    history.oracle.hear(0, Heard::Evidence(&Evidence::of_votes(honest, epoch, a, b)));
    let (a, b) = sides(&history, &other);
    history.oracle.hear(0, Heard::Evidence(&Evidence::of_votes(honest, Epoch::new(1), a.clone(), b.clone())));
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.hear(0, Heard::Evidence(&Evidence::of_votes(honest, epoch, a, b)));
    assert_eq!(history.fired(), only("S11"));
}

#[test]
fn l2_a_submitted_payment_is_never_final() {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    history.oracle.submit(0, &tx);
    history.oracle.check_submitted_final();
    assert_eq!(history.fired(), only("L2"));

    let mut history = History::new();
    let [(one, _), _] = rivals(&mut history);
    history.oracle.submit(0, &one);
    history.oracle.check_submitted_final();
    assert_eq!(history.fired(), BTreeSet::new());
}

#[test]
fn l3_what_was_spent_twice_is_spent_or_free_again() {
    let mut history = History::new();
    let [(_, one), (_, other)] = rivals(&mut history);
    history.sign(&[0], Vote, 0, &[one]);
    history.sign(&[1], Vote, 0, &[other]);
    history.slot(&[]);
    history.slot(&[]);
    assert_eq!(history.oracle.free_again(), [history.coin(0)]);
    let probe = history.pay(history.coin(0), COIN, 3);
    history.oracle.hear(0, Heard::Tx(&probe));
    let probes = BTreeSet::from([probe.body.txid()]);
    history.oracle.check_probes_final(&probes);
    assert_eq!(history.fired(), only("L3"));

    let mut history = History::new();
    let [(one, _), _] = rivals(&mut history);
    history.slot(&[one]);
    assert_eq!(history.oracle.free_again(), []);
}
