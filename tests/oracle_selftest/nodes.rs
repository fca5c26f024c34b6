//! S8, S9, S10, S12 and L1.

use crate::history::{COIN, HONEST, History, claim_of};
use crate::invariants::memory::{STRUCTURES, Usage};
use crate::invariants::nodes::{Position, Told};
use crate::invariants::recovery::Durable;
use std::collections::{BTreeMap, BTreeSet};
use timed::types::hash::{BlockHash, Txid};
use timed::types::vote::FinalityKind::Receipt;

fn only(invariant: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from([invariant])
}

#[test]
fn s8_heights_are_committed_one_by_one() {
    let mut history = History::new();
    let (block, executed) = history.build(1, &[], &[]);
    history.commit(&block, &executed);
    let before = claim_of(&history.state);
    let commit = history.commit_by(&block, &[0, 1, 2]);
    history.oracle.commit(0, 0, &block, &commit, &before);
    assert_eq!(history.fired(), only("S8"));
}

#[test]
fn s8_nothing_goes_back() {
    let start = Position { height: 5, view: 2, epoch: 1, flushed: 9 };
    let later = Position { height: 6, view: 0, epoch: 1, flushed: 9 };
    for back in [
        Position { height: 4, ..later },
        Position { epoch: 0, ..later },
        Position { flushed: 8, ..later },
        Position { view: 1, ..start },
    ] {
        let mut history = History::new();
        history.oracle.see(0, 0, start);
        if back.height != start.height {
            history.oracle.see(0, 0, later);
        }
        assert_eq!(history.fired(), BTreeSet::new());
        history.oracle.see(0, 0, back);
        assert_eq!(history.fired(), only("S8"), "{back:?}");
    }
}

#[test]
fn s8_views_that_are_told_grow() {
    let mut history = History::new();
    for (height, view) in [(1, 1), (1, 2), (2, 0)] {
        history.oracle.tell(0, 0, &Told::ViewChanged { height, view });
    }
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.tell(0, 0, &Told::ViewChanged { height: 1, view: 3 });
    assert_eq!(history.fired(), only("S8"));
}

/// A payment that node 0 told final, not archived yet.
fn told_final() -> (History, Txid) {
    let mut history = History::new();
    let tx = history.pay(history.coin(0), COIN, 1);
    history.finalize(std::slice::from_ref(&tx));
    history.oracle.tell(0, 0, &Told::Finalized(tx.body.txid(), 0));
    (history, tx.body.txid())
}

#[test]
fn s9_a_payment_told_final_is_rejected() {
    let (mut history, txid) = told_final();
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.tell(0, 1, &Told::Rejected(txid));
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.tell(0, 0, &Told::Rejected(txid));
    assert_eq!(history.fired(), only("S9"));
}

#[test]
fn s9_a_payment_told_final_is_left_out_by_the_closing_block() {
    let (mut history, _) = told_final();
    history.slot(&[]);
    history.slot(&[]);
    assert!(history.fired().contains("S9"));
}

#[test]
fn s9_a_payment_told_final_is_gone_after_a_restart() {
    let (mut history, txid) = told_final();
    let claim = claim_of(&history.state);
    history.oracle.restart(0, 0, &claim, &BTreeSet::from([txid]), (0, &[]));
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.restart(0, 0, &claim, &BTreeSet::new(), (0, &[]));
    assert_eq!(history.fired(), only("S9"));
}

#[test]
fn s9_a_block_told_committed_is_gone_or_another() {
    let mut history = History::new();
    let genesis = claim_of(&history.state);
    history.slot(&[]);
    let block = history.oracle.replay().at(1).unwrap();
    let told = Told::Committed { height: 1, hash: block.hash, txids: block.txids.to_vec() };
    history.oracle.tell(0, 0, &told);
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.restart(0, 0, &genesis, &BTreeSet::new(), (0, &[]));
    assert_eq!(history.fired(), only("S9"));

    let mut history = History::new();
    history.slot(&[]);
    history.oracle.tell(0, 0, &Told::Committed { height: 1, hash: BlockHash([1; 32]), txids: Vec::new() });
    assert_eq!(history.fired(), only("S9"));
}

#[test]
fn s9_a_block_is_told_before_it_is_committed() {
    let mut history = History::new();
    let (block, _) = history.build(1, &[], &[]);
    let txids = block.txs.iter().map(|tx| tx.body.txid()).collect();
    history.oracle.tell(0, 0, &Told::Committed { height: 1, hash: block.header.hash(), txids });
    assert_eq!(history.fired(), only("S9"));
}

#[test]
fn s3_an_honest_node_raises_an_alarm() {
    let mut history = History::new();
    history.oracle.tell(0, 0, &Told::Alarm("rival certificates".into()));
    assert_eq!(history.fired(), only("S3"));
}

#[test]
fn s10_a_structure_past_its_bound_or_not_counted() {
    let full = STRUCTURES.map(|structure| Usage { structure, count: 10, limit: 10 });
    let mut history = History::new();
    history.oracle.measure(0, 0, &full);
    assert_eq!(history.fired(), BTreeSet::new());
    assert_eq!(history.oracle.peaks()["orphans"], 10);
    let mut over = full;
    over[3].count = 11;
    history.oracle.measure(0, 0, &over);
    assert_eq!(history.fired(), only("S10"));

    let mut history = History::new();
    history.oracle.measure(0, 0, &full[1..]);
    assert_eq!(history.fired(), only("S10"));
}

/// A journal with a transaction and receipts of a quorum.
fn journal(history: &mut History) -> (Vec<Durable>, Txid) {
    let tx = history.pay(history.coin(0), COIN, 1);
    history.finalize(std::slice::from_ref(&tx));
    let txid = tx.body.txid();
    let receipts = (0..HONEST).map(|i| Durable::Votes(history.batch(i, Receipt, history.epoch(), &[txid])));
    (std::iter::once(Durable::Tx(txid)).chain(receipts).chain([Durable::Other]).collect(), txid)
}

#[test]
fn s12_a_payment_that_the_disk_says_is_final_is_not_recovered() {
    let mut history = History::new();
    let (records, txid) = journal(&mut history);
    let claim = claim_of(&history.state);
    let nothing = BTreeSet::new();
    // Any prefix without the transaction or without a quorum promises nothing.
    for len in 0..4 {
        history.oracle.restart(0, 0, &claim, &nothing, (0, &records[..len]));
        history.oracle.restart(0, 0, &claim, &nothing, (0, &records[records.len() - len..]));
    }
    history.oracle.restart(0, 0, &claim, &BTreeSet::from([txid]), (0, &records));
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.restart(0, 0, &claim, &nothing, (0, &records));
    assert_eq!(history.fired(), only("S12"));
}

#[test]
fn s12_an_archived_payment_need_not_be_recovered() {
    let mut history = History::new();
    let (records, _) = journal(&mut history);
    let tx = history.pay(history.coin(0), COIN, 1);
    history.slot(&[tx]);
    let claim = claim_of(&history.state);
    let mut records = records;
    records.push(Durable::Block(1));
    history.oracle.restart(0, 0, &claim, &BTreeSet::new(), (0, &records));
    assert_eq!(history.fired(), BTreeSet::new());
}

#[test]
fn s12_the_state_recovered_is_not_that_of_the_height() {
    let mut history = History::new();
    history.slot(&[]);
    let mut claim = claim_of(&history.state);
    claim.accrued_fees += 1;
    history.oracle.restart(0, 0, &claim, &BTreeSet::new(), (1, &[]));
    assert_eq!(history.fired(), only("S12"));
}

#[test]
fn s12_a_block_in_the_journal_is_not_recovered() {
    let mut history = History::new();
    let genesis = claim_of(&history.state);
    history.slot(&[]);
    history.oracle.restart(0, 0, &genesis, &BTreeSet::new(), (0, &[Durable::Block(1)]));
    assert_eq!(history.fired(), only("S12"));
}

#[test]
fn s2_a_payment_is_recovered_as_final_that_never_was() {
    let mut history = History::new();
    let claim = claim_of(&history.state);
    history.oracle.restart(0, 0, &claim, &BTreeSet::from([Txid([1; 32])]), (0, &[]));
    assert_eq!(history.fired(), only("S2"));
}

#[test]
fn l1_blocks_come_after_the_faults() {
    let mut history = History::new();
    history.slot(&[]);
    history.slot(&[]);
    history.oracle.check_progress(&BTreeMap::from([(0, 0), (1, 0)]), 2);
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.check_progress(&BTreeMap::from([(0, 0), (9, 0)]), 2);
    assert_eq!(history.fired(), only("L1"));
    assert_eq!(history.oracle.height(0), 2);
}
