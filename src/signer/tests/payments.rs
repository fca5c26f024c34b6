//! Votes, receipts, and the end of an epoch.

use super::*;
use crate::limits::MAX_BATCH_TXIDS;
use crate::types::vote::FinalityKind;

#[test]
fn a_batch_carries_the_signature_of_the_key_over_its_root() {
    let mut node = Node::fresh();
    let messages = node.sign(votes(0, &[(2, &[1]), (1, &[2])])).unwrap();
    let [SignedMessage::Votes(batch)] = messages.as_slice() else { panic!() };
    assert_eq!((batch.epoch, batch.kind, batch.voter), (Epoch::ZERO, FinalityKind::Vote, secret().public_key()));
    assert_eq!(batch.txids, vec![txid(2), txid(1)]);
    assert_eq!(batch.signature, secret().sign(&batch.digest(&CHAIN)));
}

#[test]
fn one_vote_an_outpoint_an_epoch_also_after_a_restart() {
    let mut node = Node::fresh();
    assert_eq!(node.sign_txids(votes(0, &[(1, &[1, 2])])), vec![txid(1)]);
    for _ in 0..2 {
        let appended = node.ask(votes(0, &[(2, &[3, 2]), (3, &[4])])).unwrap();
        assert_eq!(appended.refused, vec![(txid(2), outpoint(2))]);
        node.sync();
        node = node.restart();
    }
    node.signer.archived(&[txid(1), txid(3)]);
    let rewritten = node.signer.rewrite();
    node.replace(rewritten);
    node.sync();
    node = node.restart();
    assert_eq!(node.ask(votes(0, &[(2, &[2])])).unwrap().refused, vec![(txid(2), outpoint(2))]);
}

#[test]
fn of_rivals_in_one_request_one_is_voted_for() {
    let mut node = Node::fresh();
    let appended = node.ask(votes(0, &[(1, &[1]), (2, &[1]), (1, &[1])])).unwrap();
    assert_eq!(appended.refused, vec![(txid(2), outpoint(1))]);
    let messages = node.sync();
    let [SignedMessage::Votes(batch)] = messages.as_slice() else { panic!() };
    assert_eq!(batch.txids, vec![txid(1)]);
}

#[test]
fn what_was_voted_or_receipted_is_answered_from_its_batch() {
    let mut node = Node::fresh();
    for request in [votes(0, &[(1, &[1]), (2, &[2])]), receipts(0, &[1, 2])] {
        let first = node.sign(request.clone()).unwrap();
        for _ in 0..2 {
            let appended = node.ask(request.clone()).unwrap();
            assert_eq!((appended.bytes.len(), appended.refused), (0, vec![]));
            assert_eq!(node.sync(), first);
            node = node.restart();
        }
    }
}

#[test]
fn a_batch_holds_at_most_1024_transactions() {
    let many: Vec<(Txid, Vec<OutPoint>)> = (0..2_500u32)
        .map(|n| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            (Txid(id), vec![OutPoint { txid: Txid(id), index: 0 }])
        })
        .collect();
    let txids: Vec<Txid> = many.iter().map(|(txid, _)| *txid).collect();
    for request in [
        SignRequest::Votes { epoch: Epoch::ZERO, txs: many },
        SignRequest::Receipts { epoch: Epoch::ZERO, txids: txids.clone() },
    ] {
        let mut node = Node::fresh();
        let messages = node.sign(request).unwrap();
        let batches: Vec<&Vec<Txid>> =
            messages.iter().map(|m| if let SignedMessage::Votes(b) = m { &b.txids } else { panic!() }).collect();
        assert!(batches.len() == 3 && batches.iter().all(|b| b.len() <= MAX_BATCH_TXIDS));
        assert_eq!(batches.into_iter().flatten().copied().collect::<Vec<_>>(), txids);
        assert_eq!(node.restart().signer.repeat(), messages);
    }
}

#[test]
fn the_largest_record_can_be_read_back() {
    let outpoints = |tx: u32| (0..1_024).map(move |index| OutPoint { txid: Txid([255; 32]), index: tx << 20 | index });
    let txs = (0..100u32).map(|tx| (Txid([tx as u8; 32]), outpoints(tx).collect())).collect();
    let mut node = Node::fresh();
    let messages = node.sign(SignRequest::Votes { epoch: Epoch::ZERO, txs }).unwrap();
    assert_eq!(messages.len(), 4, "32 transactions of 1,024 inputs fill a record");
    node = node.restart();
    assert_eq!(node.signer.repeat(), messages);
    let rewritten = node.signer.rewrite();
    node.replace(rewritten);
    node.sync();
    assert_eq!(node.restart().signer.repeat(), messages);
}

#[test]
fn a_transaction_without_inputs_or_with_too_many_is_not_voted_for() {
    let mut node = Node::fresh();
    assert_eq!(node.ask(votes(0, &[(1, &[])])).unwrap_err(), Refusal::BadInputs { txid: txid(1), inputs: 0 });
    let txs = vec![(txid(1), (0..1_025).map(|index| OutPoint { txid: txid(9), index }).collect())];
    let request = SignRequest::Votes { epoch: Epoch::ZERO, txs };
    assert_eq!(node.ask(request).unwrap_err(), Refusal::BadInputs { txid: txid(1), inputs: 1_025 });
}

#[test]
fn only_the_current_epoch_is_signed() {
    let mut node = Node::fresh();
    node.signer.epoch_closed(Epoch::new(4));
    for wrong in [0, 4, 6] {
        let refusal = Refusal::NotCurrentEpoch { epoch: Epoch::new(wrong), current: Epoch::new(5) };
        assert_eq!(node.ask(votes(wrong, &[(1, &[1])])).unwrap_err(), refusal);
        assert_eq!(node.ask(receipts(wrong, &[1])).unwrap_err(), refusal);
    }
    node.sign(votes(5, &[(1, &[1])])).unwrap();
    node = node.restart();
    node.signer.epoch_closed(Epoch::new(3));
    assert_eq!(node.signer.epoch(), Epoch::new(5), "epochs do not go back, and the log knows the latest");
    assert!(matches!(node.ask(votes(4, &[(1, &[1])])), Err(Refusal::NotCurrentEpoch { .. })));
}

#[test]
fn a_new_epoch_frees_what_the_old_one_voted_for() {
    let mut node = Node::fresh();
    node.sign(votes(0, &[(1, &[1])])).unwrap();
    node.signer.epoch_closed(Epoch::ZERO);
    assert_eq!(node.sign_txids(votes(1, &[(2, &[1])])), vec![txid(2)]);
    assert_eq!(node.ask(votes(1, &[(1, &[1])])).unwrap().refused, vec![(txid(1), outpoint(1))]);
}

#[test]
fn nothing_of_an_epoch_is_signed_once_a_block_that_closes_it_was_prepared() {
    for fresh in [true, false] {
        let mut node = Node::fresh();
        let first = node.sign(votes(0, &[(1, &[1])])).unwrap();
        node.sign(closing_prepare(1, 0, 0, &[], fresh)).unwrap();
        for rewrite in [false, true, false] {
            assert_eq!(node.ask(votes(0, &[(2, &[2])])).unwrap_err(), Refusal::EpochClosing(Epoch::ZERO));
            assert_eq!(node.ask(receipts(0, &[2])).unwrap_err(), Refusal::EpochClosing(Epoch::ZERO));
            if rewrite {
                let rewritten = node.signer.rewrite();
                node.replace(rewritten);
                node.sync();
            }
            node = node.restart();
        }
        assert!(node.signer.repeat().contains(&first[0]), "what was signed before is repeated");
        node.signer.epoch_closed(Epoch::ZERO);
        assert_eq!(node.sign_txids(votes(1, &[(2, &[2])])), vec![txid(2)]);
    }
}

#[test]
fn a_nil_prepare_and_a_precommit_close_nothing() {
    let closing = || Some(Closing { epoch: Epoch::ZERO, txids: [].into(), fresh: true });
    let mut node = Node::fresh();
    node.sign(receipts(0, &[1])).unwrap();
    let nil = vote(BftKind::Prepare, 1, 0, None, Extra { closing: closing(), ..Extra::default() });
    let yes = vote(BftKind::Precommit, 1, 0, Some(1), Extra { closing: closing(), lock: lock(0, 1), proof_view: None });
    node.sign(nil).unwrap();
    node.sign(yes).unwrap();
    assert_eq!(node.sign_txids(receipts(0, &[2])), vec![txid(2)]);
}

#[test]
fn a_fresh_closing_block_has_to_archive_every_own_receipt() {
    let mut node = Node::fresh();
    node.sign(receipts(0, &[1, 2])).unwrap();
    // In the log, but not synced: it counts as signed.
    let _appended = node.ask(receipts(0, &[3])).unwrap();
    let refusal = Refusal::ReceiptsLeftOut { missing: vec![txid(2), txid(3)] };
    assert_eq!(node.ask(closing_prepare(1, 0, 0, &[1, 7], true)).unwrap_err(), refusal);
    node.sync();
    node = node.restart();
    assert_eq!(node.ask(closing_prepare(1, 0, 0, &[1, 7], true)).unwrap_err(), refusal);
    node.signer.archived(&[txid(2)]);
    assert!(node.ask(closing_prepare(1, 0, 0, &[1], true)).is_err());
    node.sign(prepare(1, 0, None)).unwrap();
    node.sign(closing_prepare(1, 1, 0, &[1, 3], true)).unwrap();
}

#[test]
fn a_proved_closing_block_is_prepared_whatever_it_leaves_out() {
    let mut node = Node::fresh();
    node.sign(receipts(0, &[1])).unwrap();
    node.sign(closing_prepare(1, 0, 0, &[], false)).unwrap();
}

#[test]
fn a_block_closes_the_current_epoch_or_none() {
    let mut node = Node::fresh();
    for fresh in [true, false] {
        assert!(matches!(node.ask(closing_prepare(1, 0, 1, &[], fresh)), Err(Refusal::NotCurrentEpoch { .. })));
    }
}

#[test]
fn nothing_is_signed_for_what_is_archived() {
    let mut node = Node::fresh();
    node.signer.archived(&[txid(1)]);
    assert_eq!(node.sign(receipts(0, &[1])).unwrap(), vec![]);
    assert_eq!(node.sign(votes(0, &[(1, &[1])])).unwrap(), vec![]);
    node.sign(closing_prepare(1, 0, 0, &[], true)).unwrap();
}

#[test]
fn a_batch_is_repeated_in_its_order_until_all_of_it_is_archived() {
    let mut node = Node::fresh();
    let signed = [node.sign(votes(0, &[(2, &[2]), (1, &[1])])).unwrap(), node.sign(receipts(0, &[9, 1])).unwrap()];
    node = node.restart();
    node.signer.archived(&[txid(1)]);
    assert_eq!(node.signer.repeat(), signed.concat());
    node.signer.archived(&[txid(2)]);
    assert_eq!(node.signer.repeat(), signed[1]);
    node.signer.epoch_closed(Epoch::ZERO);
    assert_eq!(node.signer.repeat(), vec![]);
}
