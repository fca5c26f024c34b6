//! Every byte of the log, damaged.

use super::*;
use crate::signer::Tail;

type Case = (&'static str, SignRequest, SignRequest);

/// A last record of each kind, and a request that contradicts it.
fn cases() -> Vec<Case> {
    vec![
        ("vote", votes(0, &[(1, &[1])]), votes(0, &[(2, &[1])])),
        ("prepare", prepare(3, 1, Some(1)), prepare(3, 1, Some(2))),
        ("precommit", precommit(3, 1, Some(1)), precommit(3, 1, None)),
        ("proposal", proposal(3, 1, 1, None), proposal(3, 1, 2, None)),
        ("closing prepare", closing_prepare(3, 1, 0, &[9], true), receipts(0, &[3])),
        ("receipt", receipts(0, &[1]), closing_prepare(3, 1, 0, &[9], true)),
    ]
}

/// A log in which height 3 and epoch 0 have begun, each record synced by itself.
fn begun() -> Node {
    let mut node = Node::fresh();
    node.sign(votes(0, &[(9, &[9])])).unwrap();
    node.sign(receipts(0, &[9])).unwrap();
    node.sign(prepare(2, 0, Some(1))).unwrap();
    node.sign(prepare(3, 0, None)).unwrap();
    node
}

/// Whether `request` brings out no signature.
fn is_refused(node: &mut Node, request: SignRequest) -> bool {
    match node.ask(request) {
        Ok(appended) => node.sync().is_empty() && !appended.refused.is_empty(),
        Err(_) => true,
    }
}

#[test]
fn a_flipped_bit_in_the_last_record_is_repaired_whether_or_not_it_was_acknowledged() {
    for (name, request, contradiction) in cases() {
        let mut node = begun();
        let start = node.file.len();
        let signed = node.sign(request.clone()).unwrap();
        for at in start..node.file.len() {
            for mask in [0x01, 0x80, 0xff, node.file[at]] {
                let mut file = node.file.clone();
                file[at] ^= mask;
                let mut again = Node::open(LogContents::Bytes(file.clone())).unwrap();
                let is_changed = file != node.file;
                assert_eq!(again.recovered.tail == Tail::Repaired, is_changed, "{name}, byte {at}");
                assert_eq!(again.file == file, !is_changed, "a repaired file is written anew");
                assert!(is_refused(&mut again, contradiction.clone()), "{name}, byte {at}");
                assert_eq!(again.sign(request.clone()).unwrap(), signed, "{name}, byte {at}");
                assert_eq!(again.restart().recovered.tail, Tail::Whole);
            }
        }
    }
}

#[test]
fn a_torn_record_is_truncated_and_one_with_a_whole_copy_is_kept() {
    for (name, request, contradiction) in cases() {
        for has_zeros in [false, true] {
            let mut node = begun();
            let before = node.file.len();
            let appended = node.ask(request.clone()).unwrap();
            let all = [node.file.as_slice(), &appended.bytes].concat();
            assert_eq!(boundaries(&all).len(), boundaries(&node.file).len() + 1, "{name}: one record");
            let whole_copy = appended.bytes.len() / 2;
            for written in 0..appended.bytes.len() {
                let mut file = node.file.clone();
                file.extend_from_slice(&appended.bytes[..written]);
                if has_zeros {
                    file.resize(before + appended.bytes.len(), 0);
                }
                let mut again = Node::open(LogContents::Bytes(file)).unwrap();
                let is_kept = written >= whole_copy;
                assert_eq!(is_refused(&mut again, contradiction.clone()), is_kept, "{name}, {written} bytes");
                match again.recovered.tail {
                    Tail::Repaired => assert!(is_kept),
                    Tail::Torn => assert!(!is_kept),
                    Tail::Whole => assert!(written == 0 && !has_zeros),
                    Tail::Lost => panic!("{name}: {written} bytes: nothing can have left"),
                }
                assert!(again.recovered.valid_length as usize == before);
                let mut again = again.restart();
                again.sign(prepare(4, 0, None)).unwrap();
                again.restart();
            }
        }
    }
}

#[test]
fn a_last_record_damaged_in_both_copies_is_taken_for_signed() {
    for (name, request, contradiction) in cases() {
        let mut node = begun();
        let start = node.file.len();
        node.sign(request.clone()).unwrap();
        let copy = (node.file.len() - start) / 2;
        for at in 0..copy {
            let mut file = node.file.clone();
            file[start + at] ^= 1;
            file[start + copy + copy - 1 - at] ^= 1;
            let mut again = Node::open(LogContents::Bytes(file)).unwrap();
            assert_eq!(again.recovered.tail, Tail::Lost, "{name}, byte {at}");
            for _ in 0..2 {
                assert_eq!(again.recovered.floor, (Height::new(4), Epoch::new(1)));
                assert!(is_refused(&mut again, contradiction.clone()), "{name}, byte {at}");
                again = again.restart();
            }
            again.signer.epoch_closed(Epoch::ZERO);
            again.sign(prepare(4, 0, Some(1))).unwrap();
            assert_eq!(again.sign_txids(votes(1, &[(1, &[1])])), vec![txid(1)]);
        }
    }
}

#[test]
fn a_lost_record_that_went_to_a_new_height_is_taken_for_signed_there() {
    let mut node = begun();
    node.signer.epoch_closed(Epoch::new(6));
    let _appended = node.ask(votes(7, &[(1, &[1])])).unwrap();
    node.sync();
    node.sign(prepare(50, 0, Some(1))).unwrap();
    let starts = boundaries(&node.file);
    let last = starts[starts.len() - 2]..node.file.len();
    node.file[last].fill(0xee);
    let mut again = Node::open(LogContents::Bytes(node.file)).unwrap();
    assert_eq!(again.recovered.floor, (Height::new(51), Epoch::new(8)));
    assert!(matches!(again.ask(prepare(50, 0, Some(2))), Err(Refusal::HeightLost { .. })));
}

#[test]
fn what_stands_behind_a_lost_record_says_how_far_signing_had_gone() {
    let mut node = begun();
    let before = node.file.len();
    let _appended = node.ask(prepare(3, 1, Some(1))).unwrap();
    let _appended = node.ask(prepare(60, 0, Some(1))).unwrap();
    node.sync();
    let lost = boundaries(&node.file).into_iter().find(|at| *at > before).unwrap();
    node.file[before..lost].fill(0xee);
    let again = Node::open(LogContents::Bytes(node.file)).unwrap();
    assert_eq!((again.recovered.tail, again.recovered.floor.0), (Tail::Lost, Height::new(61)));
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place() {
    let mut node = begun();
    let starts = boundaries(&node.file);
    node.sign(prepare(3, 1, Some(1))).unwrap();
    for (index, span) in starts.windows(2).enumerate() {
        for at in span[0]..span[1] {
            let mut file = node.file.clone();
            file[at] ^= 0x10;
            let error = Signer::open(CHAIN, secret(), LogContents::Bytes(file)).unwrap_err();
            let SignerError::Damaged { offset, sequence } = error else { panic!("{error}") };
            assert_eq!((offset as usize, sequence as usize), (span[0], starts_sequence(index)), "byte {at}");
        }
    }
}

/// The fresh log's first two records stand in its rewritten part, numbered from 1 like all others.
fn starts_sequence(index: usize) -> usize {
    index + 1
}

#[test]
fn a_record_taken_out_of_the_middle_is_noticed() {
    let mut node = begun();
    node.sign(prepare(3, 1, Some(1))).unwrap();
    let starts = boundaries(&node.file);
    for span in starts[..starts.len() - 1].windows(2) {
        let file = [&node.file[..span[0]], &node.file[span[1]..]].concat();
        let result = Signer::open(CHAIN, secret(), LogContents::Bytes(file));
        assert!(matches!(result, Err(SignerError::Damaged { offset, .. }) if offset as usize == span[0]));
    }
}

#[test]
fn a_record_of_another_history_of_the_same_key_is_noticed() {
    let history = |value: u8| {
        let mut node = begun();
        node.sign(prepare(3, 1, Some(value))).unwrap();
        node.sign(prepare(4, 0, Some(1))).unwrap();
        node.file
    };
    let (one, other) = (history(1), history(2));
    let starts = boundaries(&one);
    assert_eq!(starts, boundaries(&other));
    let exchanged = starts.len() - 4..starts.len() - 3;
    let span = starts[exchanged.start]..starts[exchanged.end];
    assert_ne!(one[span.clone()], other[span.clone()]);
    let file = [&one[..span.start], &other[span.clone()], &one[span.end..]].concat();
    let result = Signer::open(CHAIN, secret(), LogContents::Bytes(file));
    assert!(matches!(result, Err(SignerError::Damaged { offset, .. }) if offset as usize == span.end), "{result:?}");
}

#[test]
fn a_hole_in_a_group_of_appends_loses_nothing_that_was_acknowledged() {
    let mut node = begun();
    let before = node.file.len();
    let _appended = node.ask(prepare(3, 1, Some(1))).unwrap();
    let _appended = node.ask(precommit(3, 1, None)).unwrap();
    node.sync();
    let starts: Vec<usize> = boundaries(&node.file).into_iter().filter(|at| *at >= before).collect();
    // One copy of the first: both are read.
    let mut file = node.file.clone();
    file[starts[0]..starts[0] + (starts[1] - starts[0]) / 2].fill(0);
    let again = Node::open(LogContents::Bytes(file)).unwrap();
    assert_eq!((again.recovered.tail, again.recovered.bft.precommits.len()), (Tail::Repaired, 1));
    // Both copies of the first: never acknowledged, as far as anyone can know, but perhaps signed.
    let mut file = node.file.clone();
    file[starts[0]..starts[1]].fill(0);
    let again = Node::open(LogContents::Bytes(file)).unwrap();
    assert_eq!((again.recovered.tail, again.recovered.floor.0), (Tail::Lost, Height::new(4)));
    // A later record says that it was acknowledged.
    node.sign(prepare(4, 0, None)).unwrap();
    node.file[starts[0]..starts[1]].fill(0);
    let result = Signer::open(CHAIN, secret(), LogContents::Bytes(node.file));
    assert!(matches!(result, Err(SignerError::Damaged { offset, .. }) if offset as usize == starts[0]));
}

#[test]
fn a_rewritten_log_that_was_cut_short_is_refused() {
    let mut node = begun();
    let rewritten = node.signer.rewrite();
    let starts = boundaries(&rewritten.bytes);
    let last = starts[starts.len() - 2];
    let whole_copy = last + (rewritten.bytes.len() - last) / 2;
    for length in 0..rewritten.bytes.len() {
        let result = Signer::open(CHAIN, secret(), LogContents::Bytes(rewritten.bytes[..length].to_vec()));
        assert_eq!(result.is_err(), length < whole_copy, "{length} bytes: {result:?}");
    }
}

#[test]
fn a_damaged_file_header_is_refused() {
    let mut node = begun();
    node.sign(prepare(3, 1, Some(1))).unwrap();
    for at in 0..boundaries(&node.file)[0] {
        let mut file = node.file.clone();
        file[at] ^= 4;
        assert!(Signer::open(CHAIN, secret(), LogContents::Bytes(file)).is_err(), "byte {at}");
    }
    for length in 0..boundaries(&node.file)[0] {
        assert!(Signer::open(CHAIN, secret(), LogContents::Bytes(node.file[..length].to_vec())).is_err());
    }
}
