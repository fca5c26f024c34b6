use super::*;
use crate::ledger::testing::{World, consensus, spec};
use crate::types::hash::Txid;
use crate::types::vote::FinalityKind;

const ALICE: PeerId = PeerId(1);
const BOB: PeerId = PeerId(2);
const NOW: TimeMs = TimeMs(1_000_000);

/// A batch of the masternode of this number that names `count` transactions, different for each `tag`.
fn batch(masternode: u64, epoch: u64, tag: u64, count: usize) -> Item {
    let world = World::of(spec());
    let key = consensus(masternode);
    let txid = |n: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&tag.to_le_bytes());
        bytes[8..16].copy_from_slice(&n.to_le_bytes());
        Txid(bytes)
    };
    let mut batch = VoteBatch {
        epoch: Epoch::new(epoch),
        kind: FinalityKind::Vote,
        voter: key.public_key(),
        txids: (0..count).map(txid).collect(),
        signature: Signature([0; 64]),
    };
    batch.signature = key.sign(&batch.digest(&world.chain.id()));
    Item::Votes(Arc::new(world.verifier.vote_batch(batch).unwrap()))
}

/// What is offered to a peer once offers have gathered.
fn offers(gossip: &mut Gossip, now: TimeMs, to: PeerId) -> Vec<Signature> {
    let due = gossip.due_offers(now.plus(OFFER_DELAY_MS));
    due.into_iter().filter(|(peer, _)| *peer == to).flat_map(|(_, ids)| ids).collect()
}

#[test]
fn offers_gather_and_leave_out_what_their_receiver_has_shown() {
    let mut gossip = Gossip::default();
    let [one, other] = [batch(0, 0, 1, 1), batch(0, 0, 2, 1)];
    for item in [&one, &other] {
        gossip.hold(NOW, Some(ALICE), item.clone(), true);
        gossip.offer(NOW, BOB, item.id());
        gossip.offer(NOW, ALICE, item.id());
    }
    assert_eq!(gossip.next_wake(), Some(NOW.plus(OFFER_DELAY_MS)));
    assert!(gossip.due_offers(NOW.plus(OFFER_DELAY_MS - 1)).is_empty());
    gossip.heard_again(NOW, BOB, &other.id());
    assert_eq!(gossip.due_offers(NOW.plus(OFFER_DELAY_MS)), [(BOB, vec![one.id()])], "Alice is where they came from");
    assert_eq!(gossip.next_wake(), None);
}

#[test]
fn a_peer_is_sent_what_it_asks_for_once_an_offer() {
    let mut gossip = Gossip::default();
    let item = batch(0, 0, 1, 3);
    let id = item.id();
    gossip.hold(NOW, Some(ALICE), item.clone(), true);
    assert_eq!(gossip.asked_for(BOB, &[id]), [], "nothing was offered");
    gossip.offer(NOW, BOB, id);
    assert_eq!(offers(&mut gossip, NOW, BOB), [id]);
    assert_eq!(gossip.asked_for(ALICE, &[id]), [], "not to Alice");
    assert_eq!(gossip.asked_for(BOB, &[id, id]), [item.message()]);
    assert_eq!(gossip.asked_for(BOB, &[id]), []);
    gossip.offer(NOW, BOB, id);
    assert_eq!(offers(&mut gossip, NOW, BOB), [id]);
    assert_eq!(gossip.asked_for(BOB, &[id]), [item.message()]);
}

#[test]
fn an_answer_has_a_bound_and_what_does_not_fit_can_be_asked_for_again() {
    let mut gossip = Gossip::default();
    let items: Vec<Item> = (0..140).map(|tag| batch(0, 0, tag, 1_024)).collect();
    let ids: Vec<Signature> = items.iter().map(Item::id).collect();
    for item in items {
        gossip.offer(NOW, BOB, item.id());
        gossip.hold(NOW, Some(ALICE), item, true);
    }
    assert_eq!(offers(&mut gossip, NOW, BOB), ids);
    let first = gossip.asked_for(BOB, &ids);
    assert!(first.len() < ids.len());
    assert!(first.iter().map(encoded_size).sum::<usize>() <= MAX_IWANT_BYTES);
    assert_eq!(first.len() + gossip.asked_for(BOB, &ids).len(), ids.len());
}

#[test]
fn what_comes_again_is_offered_again_after_pauses_that_double() {
    let mut gossip = Gossip::default();
    let (item, useless) = (batch(0, 0, 1, 1), batch(0, 0, 2, 1));
    gossip.hold(NOW, None, item.clone(), true);
    gossip.hold(NOW, None, useless.clone(), false);
    let mut offered = Vec::new();
    for ms in (0..100_000).step_by(100) {
        let now = NOW.plus(ms);
        offered.extend(gossip.heard_again(now, ALICE, &item.id()).map(|signer| (ms, signer)));
        assert_eq!(gossip.heard_again(now, ALICE, &useless.id()), None);
    }
    let times: Vec<u64> = offered.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 15_500, 31_500, 47_500, 63_500, 79_500, 95_500]);
    assert!(offered.iter().all(|(_, signer)| *signer == item.signer()));
}

#[test]
fn a_signer_crowds_out_its_own_things_only() {
    let mut gossip = Gossip::default();
    let other = batch(1, 0, 0, 1);
    gossip.hold(NOW, None, other.clone(), true);
    let many: Vec<Item> = (0..=MAX_GOSSIP_ITEMS_PER_SIGNER as u64).map(|tag| batch(0, 0, tag, 1)).collect();
    many.iter().for_each(|item| gossip.hold(NOW, None, item.clone(), true));
    assert_eq!(gossip.len(), MAX_GOSSIP_ITEMS_PER_SIGNER + 1);
    assert!(!gossip.holds(&many[0].id()) && gossip.holds(&many[1].id()) && gossip.holds(&other.id()));
}

#[test]
fn beyond_the_bytes_for_all_the_oldest_goes() {
    let mut gossip = Gossip::default();
    let first = batch(0, 0, 0, 1_024);
    let fitting = MAX_GOSSIP_BYTES / first.size_bytes();
    gossip.hold(NOW, None, first.clone(), true);
    for n in 1..=fitting {
        // So many signers that none has too many.
        let signer = (n / MAX_GOSSIP_ITEMS_PER_SIGNER) as u64;
        assert!(gossip.holds(&first.id()), "{n} of {fitting}");
        gossip.hold(NOW, None, batch(1 + signer, 0, n as u64, 1_024), true);
    }
    assert!(!gossip.holds(&first.id()));
    assert_eq!(gossip.len(), fitting);
    assert!(gossip.size_bytes <= MAX_GOSSIP_BYTES);
}

#[test]
fn a_new_epoch_forgets_what_was_signed_for_earlier_ones() {
    let mut gossip = Gossip::default();
    let items: Vec<Item> = (3..=5).map(|epoch| batch(0, epoch, 1, 1)).collect();
    items.iter().for_each(|item| gossip.hold(NOW, None, item.clone(), true));
    gossip.begin_epoch(Epoch::new(4));
    assert_eq!(items.iter().map(|item| gossip.holds(&item.id())).collect::<Vec<_>>(), [false, true, true]);
    gossip.clear_height();
    assert_eq!(gossip.len(), 2, "a new height is no new epoch");
    gossip.begin_epoch(Epoch::new(9));
    assert!(gossip.held.is_empty() && gossip.by_age.is_empty() && gossip.by_signer.is_empty());
    assert_eq!(gossip.size_bytes, 0);
}

#[test]
fn a_link_that_is_down_leaves_nothing_behind() {
    let mut gossip = Gossip::default();
    let item = batch(0, 0, 1, 1);
    gossip.hold(NOW, Some(ALICE), item.clone(), true);
    gossip.offer(NOW, BOB, item.id());
    assert_eq!(offers(&mut gossip, NOW, BOB).len(), 1);
    gossip.offer(NOW, BOB, item.id());
    [ALICE, BOB].into_iter().for_each(|peer| gossip.forget_peer(peer));
    assert!(gossip.due_offers(NOW.plus(OFFER_DELAY_MS)).is_empty());
    assert_eq!(gossip.asked_for(BOB, &[item.id()]), []);
    let held = &gossip.held[&item.id()];
    assert!(held.shown_by.is_empty() && held.offered_to.is_empty());
}
