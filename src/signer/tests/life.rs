//! Durability, lost logs, failed writes, rewriting.

use super::*;
use crate::crypto::batch::{SignatureCheck, verify};
use crate::limits::{MAX_UNSYNCED_STATEMENTS, MIN_COMPACTED_LOG_BYTES};
use crate::signer::{Said, Tail};
use crate::types::link::{LinkProof, Role, link_digest};

#[test]
fn nothing_is_released_before_its_record_is_synced() {
    let mut node = Node::fresh();
    let one = node.ask(prepare(1, 0, Some(1))).unwrap();
    let two = node.ask(votes(0, &[(1, &[1])])).unwrap();
    assert!(one.seq < two.seq);
    assert_eq!(node.signer.flushed(one.seq - 1), vec![]);
    assert_eq!(node.signer.repeat(), vec![]);
    assert!(matches!(node.signer.flushed(one.seq).as_slice(), [SignedMessage::Bft(_)]));
    assert_eq!(node.signer.repeat().len(), 1);
    assert!(matches!(node.signer.flushed(two.seq).as_slice(), [SignedMessage::Votes(_)]));
    assert_eq!(node.signer.flushed(two.seq), vec![], "once");
}

#[test]
fn a_repeated_request_waits_for_the_record_of_the_first() {
    let mut node = Node::fresh();
    let first = node.ask(prepare(1, 0, Some(1))).unwrap();
    let again = node.ask(prepare(1, 0, Some(1))).unwrap();
    assert_eq!((again.seq, again.bytes.len()), (first.seq, 0));
    assert_eq!(node.signer.flushed(first.seq - 1), vec![]);
    assert_eq!(node.signer.flushed(first.seq).len(), 2);
}

#[test]
fn what_is_read_from_the_file_counts_only_once_it_is_synced_again() {
    let mut node = Node::fresh();
    node.sign(prepare(1, 0, Some(1))).unwrap();
    let (mut signer, recovered) = Signer::open(CHAIN, secret(), LogContents::Bytes(node.file)).unwrap();
    assert_eq!(signer.repeat(), vec![], "a killed process may have left it in the page cache only");
    assert_eq!(signer.flushed(recovered.seq), vec![]);
    assert_eq!(signer.repeat().len(), 1);
}

#[test]
fn an_acknowledgement_of_what_was_never_written_acknowledges_nothing_to_come() {
    let mut node = Node::fresh();
    assert_eq!(node.signer.flushed(u64::MAX), vec![]);
    let _appended = node.ask(prepare(1, 0, Some(1))).unwrap();
    assert_eq!(node.signer.repeat(), vec![]);
}

#[test]
fn a_failed_flush_ends_signing_until_the_log_is_opened_again() {
    let mut node = Node::fresh();
    let first = node.sign(prepare(1, 0, Some(1))).unwrap();
    let appended = node.ask(precommit(1, 0, Some(1))).unwrap();
    node.signer.flush_failed();
    assert_eq!(node.signer.flushed(appended.seq), vec![]);
    assert_eq!(node.signer.repeat(), vec![]);
    assert_eq!(node.signer.request(prepare(1, 0, Some(1))).unwrap_err(), Refusal::FlushFailed);
    assert_eq!(node.signer.request(votes(0, &[(1, &[1])])).unwrap_err(), Refusal::FlushFailed);
    assert_eq!(node.signer.accept_lost_votes(Height::ZERO, Epoch::ZERO).unwrap_err(), Refusal::FlushFailed);
    assert_eq!((node.signer.epoch_closed(Epoch::ZERO), node.signer.compact()), (None, None));
    let mut node = Node::open(LogContents::Bytes(node.file)).unwrap();
    assert_eq!(node.signer.repeat(), first);
    node.sign(precommit(1, 0, None)).unwrap();
}

#[test]
fn a_missing_log_is_refused_until_its_loss_is_accepted() {
    let mut node = Node::open(LogContents::Missing { fresh: false }).unwrap();
    assert!(node.recovered.is_lost && node.recovered.rewrite.is_none());
    node.signer.epoch_closed(Epoch::new(3));
    for request in [prepare(10, 0, None), votes(4, &[(1, &[1])]), receipts(4, &[1]), proposal(10, 0, 1, None)] {
        assert_eq!(node.ask(request).unwrap_err(), Refusal::LogLost);
    }
    let rewritten = node.signer.accept_lost_votes(Height::new(11), Epoch::new(5)).unwrap();
    node.replace(rewritten);
    node.sync();
    for _ in 0..2 {
        node.signer.epoch_closed(Epoch::new(3));
        let height = Refusal::HeightLost { height: Height::new(10), from_height: Height::new(11) };
        let epoch = Refusal::EpochLost { epoch: Epoch::new(4), from_epoch: Epoch::new(5) };
        assert_eq!(node.ask(prepare(10, 0, None)).unwrap_err(), height);
        assert_eq!(node.ask(proposal(10, 0, 1, None)).unwrap_err(), height);
        assert_eq!(node.ask(votes(4, &[(1, &[1])])).unwrap_err(), epoch);
        assert_eq!(node.ask(receipts(4, &[1])).unwrap_err(), epoch);
        assert_eq!(node.ask(closing_prepare(11, 0, 4, &[], true)).unwrap_err(), epoch, "receipts of it are unknown");
        node = node.restart();
        assert_eq!(node.recovered.floor, (Height::new(11), Epoch::new(5)));
    }
    node.signer.epoch_closed(Epoch::new(4));
    node.sign(prepare(11, 0, None)).unwrap();
    assert_eq!(node.sign_txids(votes(5, &[(1, &[1])])), vec![txid(1)]);
}

#[test]
fn a_loss_that_was_not_accepted_is_still_a_loss_after_a_restart() {
    let node = Node::open(LogContents::Missing { fresh: false }).unwrap();
    assert_eq!(node.file, Vec::<u8>::new(), "no file that could be taken for a log without votes");
}

#[test]
fn a_new_key_signs_at_once() {
    let mut node = Node::fresh();
    assert!(!node.recovered.is_lost);
    node.sign(prepare(1, 0, Some(1))).unwrap();
    let node = node.restart();
    assert_eq!((node.recovered.tail, node.recovered.truncated), (Tail::Whole, 0));
    assert_eq!(node.recovered.valid_length, node.file.len() as u64);
}

#[test]
fn the_log_of_another_key_or_chain_is_refused() {
    let mut node = Node::fresh();
    node.sign(prepare(1, 0, Some(1))).unwrap();
    let file = || LogContents::Bytes(node.file.clone());
    let other_chain = Signer::open(ChainId([8; 32]), secret(), file());
    assert!(matches!(other_chain, Err(SignerError::OtherChain { .. })));
    let other_key = Signer::open(CHAIN, SecretKey::from_bytes(&[4; 32]), file());
    assert!(matches!(other_key, Err(SignerError::OtherKey { .. })));
    let something_else = LogContents::Bytes(b"[node]\nlisten = \"0.0.0.0:24000\"\n".to_vec());
    assert!(matches!(Signer::open(CHAIN, secret(), something_else), Err(SignerError::OtherFile)));
}

#[test]
fn the_log_is_rewritten_when_it_has_grown_and_an_epoch_closes() {
    let mut node = Node::fresh();
    assert_eq!(node.signer.compact(), None);
    for batch in 0..12u8 {
        let txids: Vec<Txid> = (0..1_024u32)
            .map(|n| {
                let mut id = [batch; 32];
                id[..4].copy_from_slice(&n.to_le_bytes());
                Txid(id)
            })
            .collect();
        let txs = txids.iter().map(|txid| (*txid, vec![OutPoint { txid: *txid, index: 0 }])).collect();
        node.sign(SignRequest::Votes { epoch: Epoch::ZERO, txs }).unwrap();
        node.signer.archived(&txids);
    }
    node.sign(precommit(1, 0, Some(1))).unwrap();
    assert!(node.file.len() as u64 > MIN_COMPACTED_LOG_BYTES);
    let repeated = node.signer.repeat();
    let rewritten = node.signer.epoch_closed(Epoch::ZERO).unwrap();
    assert!(rewritten.bytes.len() < 2_000);
    node.replace(rewritten);
    node.sync();
    assert_eq!(node.signer.compact(), None, "not again at once");
    let mut node = node.restart();
    assert_eq!((node.signer.epoch(), node.signer.repeat()), (Epoch::new(1), repeated));
    assert!(node.ask(votes(0, &[(1, &[1])])).is_err());
}

#[test]
fn an_append_goes_on_behind_a_rewrite_that_is_still_on_its_way() {
    let mut node = Node::fresh();
    let _appended = node.ask(prepare(1, 0, Some(1))).unwrap();
    let rewritten = node.signer.rewrite();
    node.replace(rewritten);
    let _appended = node.ask(precommit(1, 0, Some(1))).unwrap();
    let released = node.sync();
    assert_eq!(released.len(), 2);
    assert_eq!(node.restart().signer.repeat(), released);
}

#[test]
fn what_waits_for_the_disk_is_bounded() {
    let mut node = Node::fresh();
    for view in 0..MAX_UNSYNCED_STATEMENTS as u32 {
        let _appended = node.ask(prepare(1, view, None)).unwrap();
    }
    let refusal = Refusal::Busy(MAX_UNSYNCED_STATEMENTS);
    assert_eq!(node.ask(precommit(1, u32::MAX, None)).unwrap_err(), refusal);
    node.sync();
    node.sign(precommit(1, u32::MAX, None)).unwrap();
}

#[test]
fn a_link_is_proved_without_a_record_and_even_when_nothing_else_is_signed() {
    let (signer, _) = Signer::open(CHAIN, secret(), LogContents::Missing { fresh: false }).unwrap();
    let LinkProof { consensus_key: key, signature } = signer.link_prover().prove(Role::Responder, &[9; 32]);
    assert_eq!(key, signer.public_key());
    let is_signed = |digest| verify(&SignatureCheck { key, digest, signature });
    assert!(is_signed(link_digest(&CHAIN, Role::Responder, &[9; 32])));
    assert!(!is_signed(link_digest(&CHAIN, Role::Initiator, &[9; 32])));
    assert!(!is_signed(link_digest(&CHAIN, Role::Responder, &[8; 32])));
    assert!(!is_signed(link_digest(&ChainId([8; 32]), Role::Responder, &[9; 32])));
}

fn said(message: &SignedMessage) -> Said<'_> {
    match message {
        SignedMessage::Votes(batch) => Said::Votes(batch),
        SignedMessage::Proposal(proposal) => Said::Proposal(proposal),
        SignedMessage::Bft(vote) => Said::Bft(vote),
    }
}

#[test]
fn what_the_key_signed_here_is_known_and_what_it_signed_elsewhere_silences_this_signer() {
    let requests = [
        votes(0, &[(1, &[1]), (2, &[2])]),
        receipts(0, &[1]),
        prepare(5, 0, Some(1)),
        prepare(5, 1, None),
        votes(0, &[(3, &[3])]),
        prepare(6, 0, Some(2)),
    ];
    for kept in 0..requests.len() {
        let (mut whole, mut copy) = (Node::fresh(), Node::fresh());
        for (at, request) in requests.iter().enumerate() {
            let messages = whole.sign(request.clone()).unwrap();
            if at < kept {
                assert_eq!(copy.sign(request.clone()).unwrap(), messages);
            }
            for message in &messages {
                assert!(!whole.signer.hears(said(message)), "{request:?}");
                whole = whole.restart();
                assert!(!whole.signer.hears(said(message)), "after a restart: {request:?}");
                // The last of these is what the copy of the log lacks.
                assert_eq!(copy.signer.hears(said(message)), at == kept, "{request:?} with {kept} known");
                if at > kept {
                    assert_eq!(copy.ask(request.clone()), Err(Refusal::KeyElsewhere));
                }
            }
        }
    }
}

#[test]
fn what_is_past_archived_or_below_the_floor_silences_nobody() {
    let mut other = Node::fresh();
    let old = [other.sign(votes(0, &[(1, &[1])])).unwrap(), other.sign(prepare(5, 0, Some(1))).unwrap()].concat();
    let mut node = Node::fresh();
    node.signer.archived(&[txid(1)]);
    assert!(!node.signer.hears(said(&old[0])), "in the chain");
    let _ = node.sign(prepare(6, 0, None)).unwrap();
    assert!(!node.signer.hears(said(&old[1])), "a height that is past");
    let mut later = Node::fresh();
    let _ = later.signer.epoch_closed(Epoch::ZERO);
    assert!(!later.signer.hears(said(&old[0])), "an epoch that is past");
    let mut floored = Node::fresh();
    let rewritten = floored.signer.accept_lost_votes(Height::new(6), Epoch::new(1)).unwrap();
    floored.replace(rewritten);
    floored.sync();
    assert!(old.iter().all(|message| !floored.signer.hears(said(message))), "before the log was lost");
    assert!(floored.sign(prepare(6, 0, None)).is_ok());
    // At the floor itself the key may have signed something else: operators who lost too many logs agree on that.
    let at_floor = [other.sign(prepare(6, 0, Some(3))).unwrap(), {
        let _ = other.signer.epoch_closed(Epoch::ZERO);
        other.sign(votes(1, &[(9, &[9])])).unwrap()
    }]
    .concat();
    assert!(at_floor.iter().all(|message| !floored.signer.hears(said(message))));
    let above = other.sign(prepare(7, 0, Some(3))).unwrap();
    assert!(floored.signer.hears(said(&above[0])));
}
