use super::*;
use crate::limits::{
    MAX_ARCHIVED_TALLIES, MAX_BATCH_TXIDS, MAX_BUFFERED_TXIDS_OF_STRANGERS, MAX_BUFFERED_TXIDS_PER_VOTER,
    MAX_HELD_TXIDS_PER_VOTER, MAX_UNKNOWN_TXIDS_PER_VOTER,
};
use crate::types::hash::{ChainId, Hash, MasternodeId};
use crate::types::keys::{SecretKey, Signature};
use crate::types::lock::Lock;
use crate::types::merkle;
use crate::types::number::Height;
use crate::types::transaction::Payload;
use crate::types::validators::Validator;
use crate::types::vote::{Receipt, finality_digest};
use proptest::prelude::*;
use std::collections::BTreeSet;

const CHAIN: ChainId = ChainId([7; 32]);
const EPOCH: Epoch = Epoch::new(5);
const VOTE: FinalityKind = FinalityKind::Vote;
const RECEIPT: FinalityKind = FinalityKind::Receipt;

fn secret(number: usize) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_bytes(&seed)
}

/// A set with these weights; `keys[i]` belongs to the member at position `i`.
struct World {
    keys: Vec<SecretKey>,
    set: Arc<ValidatorSet>,
}

fn world(weights: &[u64]) -> World {
    let mut keys: Vec<SecretKey> = (0..weights.len()).map(secret).collect();
    keys.sort_by_key(SecretKey::public_key);
    let members = keys.iter().zip(weights).map(|(key, weight)| Validator {
        id: MasternodeId(key.public_key().0),
        consensus_key: key.public_key(),
        weight: Weight::new(*weight),
        payout: Lock::of_key(&key.public_key()),
    });
    let set = Arc::new(ValidatorSet::new(members.collect()).unwrap());
    World { keys, set }
}

impl World {
    fn finality(&self) -> Finality {
        Finality::new(EPOCH, self.set.clone())
    }

    fn key(&self, position: usize) -> PublicKey {
        self.keys[position].public_key()
    }
}

type Batch = Arc<Verified<VoteBatch>>;

/// A batch whose signature nobody looks at.
fn batch(voter: PublicKey, epoch: Epoch, kind: FinalityKind, txids: &[Txid]) -> Batch {
    Arc::new(Verified::seal(VoteBatch { epoch, kind, voter, txids: txids.to_vec(), signature: Signature([0; 64]) }))
}

fn signed(key: &SecretKey, kind: FinalityKind, txids: &[Txid]) -> Batch {
    let voter = key.public_key();
    let root = merkle::root(txids.iter().map(Txid::as_bytes));
    let signature = key.sign(&finality_digest(&CHAIN, EPOCH, kind, &voter, &root));
    Arc::new(Verified::seal(VoteBatch { epoch: EPOCH, kind, voter, txids: txids.to_vec(), signature }))
}

fn txid(number: usize) -> Txid {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Txid(bytes)
}

fn outpoint(number: usize) -> OutPoint {
    OutPoint { txid: txid(1_000_000 + number), index: 0 }
}

fn held(finality: &Finality) -> (usize, usize, usize, &[usize]) {
    finality.current.held()
}

#[test]
fn a_certificate_takes_votes_and_finality_takes_receipts_of_a_quorum_each_told_once() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let x = txid(1);
    let mut add = |position, kind| finality.add(batch(world.key(position), EPOCH, kind, &[x]));
    assert_eq!(add(0, VOTE), []);
    assert_eq!(add(0, RECEIPT), []);
    assert_eq!(add(1, VOTE), [FinalityEvent::Certified(x)]);
    assert_eq!(add(2, VOTE), []);
    assert_eq!(add(2, RECEIPT), [FinalityEvent::Final(x)]);
    assert_eq!(add(1, RECEIPT), []);
    assert!(finality.is_certified(&x) && finality.is_final(&x));
    assert_eq!(finality.vote_weight(&x), Weight::new(3));
    assert_eq!(finality.receipt_weight(&x), Weight::new(3));
    assert_eq!(finality.certificate_batches(&x).len(), 3);
    assert_eq!(finality.receipt_batches(&x).len(), 3);
}

#[test]
fn a_batch_is_new_as_long_as_it_says_something_new() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let mut is_new = |key, epoch, kind, names: &[Txid]| finality.count(batch(key, epoch, kind, names)).is_new;
    let key = || world.key(0);
    assert!(is_new(key(), EPOCH, VOTE, &[txid(1), txid(2)]));
    assert!(!is_new(key(), EPOCH, VOTE, &[txid(1), txid(2)]), "the same again");
    assert!(!is_new(key(), EPOCH, VOTE, &[txid(2)]), "part of it under another signature");
    assert!(is_new(key(), EPOCH, RECEIPT, &[txid(2)]));
    assert!(is_new(key(), EPOCH, VOTE, &[txid(2), txid(3)]));
    assert!(is_new(world.key(1), EPOCH, VOTE, &[txid(1), txid(2)]), "another voter");
    assert!(is_new(key(), EPOCH.next(), VOTE, &[txid(1)]), "kept for the next epoch");
    assert!(!is_new(key(), EPOCH.next(), VOTE, &[txid(1)]));
    assert!(!is_new(key(), EPOCH.next().next(), VOTE, &[txid(1)]), "of no epoch that counts");
    assert!(!is_new(secret(99).public_key(), EPOCH, VOTE, &[txid(1)]), "of no member");
}

#[test]
fn a_voter_counts_once_however_often_it_signs() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1)]));
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1)]));
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1), txid(2)]));
    assert_eq!(finality.vote_weight(&txid(1)), Weight::new(1));
    assert_eq!(finality.certificate_batches(&txid(1)).len(), 1);
    assert_eq!(held(&finality).1, 2, "a batch that adds nothing is not held");
}

#[test]
fn who_is_not_in_the_set_counts_nothing() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    finality.add(batch(secret(99).public_key(), EPOCH, VOTE, &[txid(1)]));
    assert_eq!(held(&finality), (0, 0, 0, &[0, 0, 0][..]));
}

#[test]
fn votes_belong_to_one_epoch_and_the_next_ones_wait() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let x = txid(1);
    for position in 0..2 {
        assert_eq!(finality.add(batch(world.key(position), Epoch::new(4), VOTE, &[x])), []);
        assert_eq!(finality.add(batch(world.key(position), Epoch::new(6), VOTE, &[x])), []);
        assert_eq!(finality.add(batch(world.key(position), Epoch::new(7), VOTE, &[x])), []);
    }
    finality.add(batch(world.key(2), EPOCH, VOTE, &[x]));
    assert_eq!(finality.vote_weight(&x), Weight::new(1));
    assert_eq!(finality.close_epoch(world.set.clone()), [FinalityEvent::Certified(x)]);
    assert_eq!(finality.epoch(), Epoch::new(6));
    assert_eq!(finality.vote_weight(&x), Weight::new(2));
    assert_eq!(finality.close_epoch(world.set.clone()), []);
    assert_eq!(finality.vote_weight(&x), Weight::ZERO);
}

#[test]
fn what_waits_for_the_next_epoch_is_bounded_for_members_and_for_all_strangers_together() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let next = EPOCH.next();
    let names = |from: usize| -> Vec<Txid> { (from..from + MAX_BATCH_TXIDS).map(txid).collect() };
    for number in 0..100 {
        finality.add(batch(world.key(0), next, VOTE, &names(number * MAX_BATCH_TXIDS)));
        finality.add(batch(secret(100 + number).public_key(), next, VOTE, &names(0)));
    }
    finality.add(batch(world.key(1), next, VOTE, &names(0)));
    let kept: Vec<Batch> = finality.buffer.take().collect();
    let of = |key: PublicKey| kept.iter().filter(|b| b.voter == key).map(|b| b.txids.len()).sum::<usize>();
    assert_eq!(of(world.key(0)), MAX_BUFFERED_TXIDS_PER_VOTER);
    assert_eq!(of(world.key(1)), MAX_BATCH_TXIDS, "one voter does not take another's room");
    let all: usize = kept.iter().map(|b| b.txids.len()).sum();
    assert_eq!(all - of(world.key(0)) - of(world.key(1)), MAX_BUFFERED_TXIDS_OF_STRANGERS);
}

#[test]
fn a_batch_repeated_early_is_kept_once() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    for _ in 0..3 {
        finality.add(batch(world.key(0), EPOCH.next(), VOTE, &[txid(1)]));
    }
    assert_eq!(finality.buffer.take().count(), 1);
}

#[test]
fn votes_for_two_rivals_count_for_both_and_are_reported_once_a_voter() {
    let world = world(&[1, 1, 1, 1]);
    let (x, y, z) = (txid(1), txid(2), txid(3));
    let double = FinalityEvent::DoubleVote { voter: world.key(0), one: x, other: y };
    let vote = |finality: &mut Finality, named| finality.add(batch(world.key(0), EPOCH, VOTE, &[named]));

    let mut known_first = world.finality();
    assert_eq!(known_first.learn(x, &[outpoint(1), outpoint(2)]), []);
    assert_eq!(known_first.learn(y, &[outpoint(2), outpoint(3)]), []);
    assert_eq!(known_first.learn(z, &[outpoint(3)]), []);
    assert_eq!(vote(&mut known_first, x), []);
    assert_eq!(vote(&mut known_first, y), std::slice::from_ref(&double));
    assert_eq!(vote(&mut known_first, z), []);
    assert_eq!(known_first.vote_weight(&x), Weight::new(1));
    assert_eq!(known_first.vote_weight(&y), Weight::new(1));

    let mut voted_first = world.finality();
    assert_eq!(vote(&mut voted_first, x), []);
    assert_eq!(vote(&mut voted_first, y), []);
    assert_eq!(voted_first.learn(x, &[outpoint(1), outpoint(2)]), []);
    assert_eq!(voted_first.learn(y, &[outpoint(2), outpoint(3)]), [double]);
}

#[test]
fn receipts_for_two_rivals_are_no_double_vote() {
    let world = world(&[1, 1, 1, 1]);
    let mut finality = world.finality();
    finality.learn(txid(1), &[outpoint(1)]);
    finality.learn(txid(2), &[outpoint(1)]);
    assert_eq!(finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1)])), []);
    assert_eq!(finality.add(batch(world.key(0), EPOCH, RECEIPT, &[txid(1), txid(2)])), []);
}

#[test]
fn certificates_for_rivals_are_reported_once_whenever_the_rivalry_shows() {
    let world = world(&[1, 1, 1]);
    let (x, y) = (txid(1), txid(2));
    let alarm = FinalityEvent::RivalCertificates { one: x, other: y };
    let vote = |finality: &mut Finality, position| finality.add(batch(world.key(position), EPOCH, VOTE, &[x, y]));

    let mut known_first = world.finality();
    known_first.learn(x, &[outpoint(1), outpoint(2)]);
    known_first.learn(y, &[outpoint(1), outpoint(2)]);
    vote(&mut known_first, 0);
    assert_eq!(vote(&mut known_first, 1).iter().filter(|event| **event == alarm).count(), 1);
    assert!(!vote(&mut known_first, 2).contains(&alarm));

    let mut certified_first = world.finality();
    vote(&mut certified_first, 0);
    vote(&mut certified_first, 1);
    certified_first.learn(x, &[outpoint(1), outpoint(2)]);
    let events = certified_first.learn(y, &[outpoint(1), outpoint(2)]);
    assert_eq!(events.iter().filter(|event| **event == alarm).count(), 1);
    assert_eq!(certified_first.learn(y, &[outpoint(1)]), []);
}

fn body(number: u64, inputs: &[OutPoint]) -> TxBody {
    let payload = Payload::Coinbase { height: Height::new(number) };
    TxBody { version: 1, inputs: inputs.to_vec(), outputs: vec![], payload, memo: vec![] }
}

#[test]
fn evidence_of_a_double_vote_holds_both_signatures_over_their_paths() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let (one, other) = (body(1, &[outpoint(1)]), body(2, &[outpoint(1), outpoint(2)]));
    let voter = world.key(2);
    finality.add(signed(&world.keys[2], VOTE, &[txid(8), one.txid(), txid(9)]));
    finality.add(signed(&world.keys[2], VOTE, &[other.txid()]));
    assert_eq!(finality.double_vote_evidence(&world.key(1), &one, &other), None);
    assert_eq!(finality.double_vote_evidence(&voter, &one, &one), None);
    assert_eq!(finality.double_vote_evidence(&voter, &one, &body(3, &[outpoint(2)])), None);
    finality.close_epoch(world.set.clone());
    let Some(Evidence::Finality { voter: named, epoch, a, b }) = finality.double_vote_evidence(&voter, &one, &other)
    else {
        panic!("no evidence");
    };
    assert_eq!((named, epoch), (voter, EPOCH));
    for part in [a, b] {
        let root = merkle::root_of_path(part.body.txid().as_bytes(), part.index, part.count, &part.path).unwrap();
        let digest = finality_digest(&CHAIN, EPOCH, VOTE, &voter, &root);
        let check = crate::crypto::batch::SignatureCheck { key: voter, digest, signature: part.signature };
        assert!(crate::crypto::batch::verify(&check));
    }
}

#[test]
fn made_up_txids_of_one_voter_are_bounded_and_cost_the_others_nothing() {
    let world = world(&[1, 1, 1, 1]);
    let mut finality = world.finality();
    for number in 0..3 * MAX_UNKNOWN_TXIDS_PER_VOTER / 64 {
        let names: Vec<Txid> = (0..64).map(|i| txid(number * 64 + i)).collect();
        finality.add(batch(world.key(0), EPOCH, if number % 2 == 0 { VOTE } else { RECEIPT }, &names));
    }
    let (entries, batches, _, unknown) = held(&finality);
    assert_eq!(entries, MAX_UNKNOWN_TXIDS_PER_VOTER);
    assert_eq!(batches, MAX_UNKNOWN_TXIDS_PER_VOTER / 64);
    assert_eq!(unknown, [MAX_UNKNOWN_TXIDS_PER_VOTER, 0, 0, 0]);
    finality.add(batch(world.key(1), EPOCH, VOTE, &[txid(999_999)]));
    assert_eq!(finality.vote_weight(&txid(999_999)), Weight::new(1));
    finality.learn(txid(999_999), &[outpoint(1)]);
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(999_999)]));
    assert_eq!(finality.vote_weight(&txid(999_999)), Weight::new(2), "what is known is counted all the same");
}

#[test]
fn a_txid_leaves_its_voters_accounts_when_others_answer_for_it() {
    let world = world(&[1, 1, 1, 1, 1, 1]);
    let mut finality = world.finality();
    let names: Vec<Txid> = (1..=4).map(txid).collect();
    finality.add(batch(world.key(0), EPOCH, VOTE, &names));
    finality.add(batch(world.key(0), EPOCH, RECEIPT, &names));
    assert_eq!(held(&finality).3[0], 4);
    finality.learn(txid(1), &[outpoint(1)]);
    assert_eq!(held(&finality).3[0], 3);
    finality.add(batch(world.key(1), EPOCH, VOTE, &[txid(2)]));
    assert_eq!(held(&finality).3[..2], [2, 0], "two sixths contain an honest masternode");
    finality.archived(&[txid(3)]);
    finality.forget(&txid(4));
    assert_eq!(held(&finality).3[0], 0);
}

#[test]
fn the_batches_held_of_a_voter_are_bounded_however_it_cuts_them() {
    let world = world(&[1, 1, 1, 1]);
    let mut finality = world.finality();
    let count = MAX_HELD_TXIDS_PER_VOTER / MAX_BATCH_TXIDS;
    for number in 0..count + 10 {
        finality.learn(txid(number), &[outpoint(number)]);
        // One new transaction in each, and the rest the voter voted for before.
        let mut names: Vec<Txid> = (2_000_000..2_000_000 + MAX_BATCH_TXIDS - 1).map(txid).collect();
        names.push(txid(number));
        finality.add(batch(world.key(0), EPOCH, VOTE, &names));
    }
    assert_eq!(held(&finality).1, count);
    for number in 0..10 {
        finality.forget(&txid(number));
    }
    // The first batch is still in use by the names they share.
    assert_eq!(held(&finality).1, count - 9, "room comes back with what is dropped");
}

#[test]
fn archived_transactions_are_kept_up_to_a_bound_the_oldest_go() {
    let world = world(&[1]);
    let mut finality = world.finality();
    for number in 0..MAX_ARCHIVED_TALLIES + 5 {
        finality.learn(txid(number), &[outpoint(number)]);
        finality.add(batch(world.key(0), EPOCH, RECEIPT, &[txid(number)]));
        finality.archived(&[txid(number)]);
        finality.archived(&[txid(number)]);
    }
    let (entries, batches, outpoints, _) = held(&finality);
    assert_eq!((entries, batches, outpoints), (MAX_ARCHIVED_TALLIES, MAX_ARCHIVED_TALLIES, MAX_ARCHIVED_TALLIES));
    assert!(!finality.is_final(&txid(4)));
    assert!(finality.is_final(&txid(5)));
}

#[test]
fn what_is_dropped_leaves_nothing_behind_unless_it_is_certified() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    finality.learn(txid(1), &[outpoint(1)]);
    finality.learn(txid(2), &[outpoint(1)]);
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1), txid(2)]));
    finality.forget(&txid(1));
    finality.forget(&txid(2));
    assert_eq!(held(&finality), (0, 0, 0, &[0, 0, 0][..]));
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1)]));
    finality.add(batch(world.key(1), EPOCH, VOTE, &[txid(1)]));
    finality.forget(&txid(1));
    assert!(finality.is_certified(&txid(1)));
}

#[test]
fn unarchived_transactions_stay_known_in_the_next_epoch_and_their_votes_are_void() {
    let world = world(&[1, 1, 1, 1]);
    let mut finality = world.finality();
    finality.learn(txid(1), &[outpoint(1)]);
    finality.learn(txid(2), &[outpoint(1)]);
    finality.learn(txid(3), &[outpoint(3)]);
    finality.add(batch(world.key(0), EPOCH, VOTE, &[txid(1), txid(2), txid(3)]));
    finality.archived(&[txid(3)]);
    assert_eq!(finality.close_epoch(world.set.clone()), []);
    assert_eq!(held(&finality), (2, 0, 1, &[0, 0, 0, 0][..]));
    let both = finality.add(batch(world.key(0), EPOCH.next(), VOTE, &[txid(2), txid(1)]));
    assert_eq!(both, [FinalityEvent::DoubleVote { voter: world.key(0), one: txid(2), other: txid(1) }]);
}

#[test]
fn what_nobody_learns_again_is_forgotten_after_an_epoch() {
    let world = world(&[1, 1, 1, 1]);
    let mut finality = world.finality();
    finality.learn(txid(1), &[outpoint(1)]);
    finality.learn(txid(2), &[outpoint(2)]);
    finality.close_epoch(world.set.clone());
    finality.learn(txid(2), &[outpoint(2)]);
    finality.close_epoch(world.set.clone());
    assert_eq!(held(&finality), (1, 0, 1, &[0, 0, 0, 0][..]));
    finality.close_epoch(world.set.clone());
    assert_eq!(held(&finality), (0, 0, 0, &[0, 0, 0, 0][..]));
}

#[test]
fn a_request_for_votes_is_answered_with_each_batch_once() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    let names = [txid(1), txid(2)];
    finality.add(batch(world.key(0), EPOCH, VOTE, &names));
    finality.add(batch(world.key(0), EPOCH, RECEIPT, &names));
    finality.add(batch(world.key(1), EPOCH, VOTE, &[txid(3)]));
    assert_eq!(finality.batches(&[txid(1), txid(2), txid(4)]).len(), 2);
}

/// Receipts of everyone for `x` in batches of different sizes.
fn with_receipts(world: &World, x: Txid) -> Finality {
    let mut finality = world.finality();
    for (position, key) in world.keys.iter().enumerate() {
        let mut names: Vec<Txid> = (0..3 * position).map(|i| txid(50 + i)).collect();
        names.insert(position, x);
        finality.add(signed(key, RECEIPT, &names));
    }
    finality
}

#[test]
fn a_proof_is_trimmed_to_a_quorum_and_ascends_by_voter() {
    let world = world(&[1, 10, 2, 10, 1, 10]);
    let finality = with_receipts(&world, txid(1));
    let proof = finality.proof(&txid(1)).unwrap();
    let voters: Vec<PublicKey> = proof.receipts.iter().map(|receipt| receipt.voter).collect();
    assert_eq!(voters, [world.key(1), world.key(3), world.key(5)]);
    assert_eq!(verify_proof(&proof, &CHAIN, &world.set), Ok(Weight::new(30)));
    assert_eq!(finality.proof(&txid(50)).map(|p| p.receipts.len()), Some(3));
    assert_eq!(finality.proof(&txid(77)), None);
}

#[test]
fn proofs_outlive_their_epoch_by_one() {
    let world = world(&[1, 1, 1]);
    let mut finality = with_receipts(&world, txid(1));
    let proof = finality.proof(&txid(1)).unwrap();
    finality.archived(&[txid(1)]);
    finality.close_epoch(world.set.clone());
    assert_eq!(finality.proof(&txid(1)), Some(proof));
    finality.close_epoch(world.set.clone());
    assert_eq!(finality.proof(&txid(1)), None);
}

#[test]
fn a_proof_that_is_not_exactly_right_is_refused() {
    let world = world(&[1, 1, 1, 1]);
    let good = with_receipts(&world, txid(1)).proof(&txid(1)).unwrap();
    assert_eq!(verify_proof(&good, &CHAIN, &world.set), Ok(Weight::new(3)));
    let spoiled = |spoil: &dyn Fn(&mut FinalityProof)| {
        let mut proof = good.clone();
        spoil(&mut proof);
        verify_proof(&proof, &CHAIN, &world.set).unwrap_err()
    };
    let (first, second) = (good.receipts[0].voter, good.receipts[1].voter);
    let stranger = secret(99).public_key();
    let of = |weight| ProofError::NoQuorum { weight: Weight::new(weight), total: Weight::new(4) };

    assert_eq!(spoiled(&|p| p.receipts.swap(0, 1)), ProofError::Unordered { voter: first });
    assert_eq!(spoiled(&|p| p.receipts[0] = p.receipts[1].clone()), ProofError::Unordered { voter: second });
    assert_eq!(spoiled(&|p| drop(p.receipts.pop())), of(2));
    assert_eq!(spoiled(&|p| p.receipts.clear()), of(0));
    assert_eq!(
        spoiled(&|p| {
            p.receipts[0].voter = stranger;
            p.receipts.sort_by_key(|receipt| receipt.voter);
        }),
        ProofError::Stranger { voter: stranger }
    );
    assert_eq!(spoiled(&|p| p.receipts[1].path.push(Hash::ZERO)), ProofError::BadPath { voter: second });
    assert_eq!(spoiled(&|p| p.receipts[1].index = 4), ProofError::BadPath { voter: second });
    assert_eq!(
        spoiled(&|p| p.receipts[1] = Receipt { count: 1 << 20, path: vec![Hash::ZERO; 20], ..p.receipts[1].clone() }),
        ProofError::BadPath { voter: second }
    );
    let unsigned = ProofError::BadSignature { voter: second };
    assert_eq!(spoiled(&|p| p.receipts[1].path[0] = Hash::ZERO), unsigned);
    assert_eq!(spoiled(&|p| p.receipts[1].index ^= 1), unsigned);
    assert_eq!(spoiled(&|p| p.receipts[1].signature.0[0] ^= 1), unsigned);
    let nobodys = ProofError::BadSignature { voter: first };
    assert_eq!(spoiled(&|p| p.txid = txid(2)), nobodys);
    assert_eq!(spoiled(&|p| p.epoch = EPOCH.next()), nobodys);
    assert_eq!(verify_proof(&good, &ChainId([8; 32]), &world.set), Err(nobodys));
}

#[test]
fn votes_are_no_receipts() {
    let world = world(&[1, 1, 1]);
    let mut finality = world.finality();
    for key in &world.keys {
        finality.add(signed(key, VOTE, &[txid(1)]));
    }
    assert_eq!(finality.proof(&txid(1)), None);
    let receipts = finality.certificate_batches(&txid(1)).into_iter().map(|batch| Receipt {
        voter: batch.voter,
        index: 0,
        count: 1,
        path: vec![],
        signature: batch.signature,
    });
    let proof = FinalityProof { txid: txid(1), epoch: EPOCH, receipts: receipts.collect() };
    assert_eq!(verify_proof(&proof, &CHAIN, &world.set), Err(ProofError::BadSignature { voter: world.key(0) }));
}

/// A batch by number: voter, kind, epoch and named transactions. Transactions 2i and 2i+1 are rivals.
#[derive(Clone, Debug)]
enum Step {
    Batch { voter: usize, kind: FinalityKind, epoch: u64, names: BTreeSet<usize> },
    Learn(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = prop::collection::btree_set(0..8usize, 1..6);
    let kind = prop_oneof![Just(VOTE), Just(RECEIPT)];
    let batch = (0..8usize, kind, prop_oneof![8 => Just(5u64), 1 => Just(4), 1 => Just(6)], names)
        .prop_map(|(voter, kind, epoch, names)| Step::Batch { voter, kind, epoch, names });
    prop::collection::vec(prop_oneof![5 => batch, 1 => (0..8usize).prop_map(Step::Learn)], 0..60)
}

fn run(world: &World, steps: &[Step]) -> (Finality, Vec<FinalityEvent>) {
    let mut finality = world.finality();
    let mut events = Vec::new();
    for step in steps {
        events.extend(match step {
            // The last number is a stranger.
            Step::Batch { voter, kind, epoch, names } => {
                let key = world.keys.get(*voter).map_or(secret(99).public_key(), SecretKey::public_key);
                let names: Vec<Txid> = names.iter().map(|number| txid(*number)).collect();
                finality.add(batch(key, Epoch::new(*epoch), *kind, &names))
            }
            Step::Learn(number) => finality.learn(txid(*number), &[outpoint(number / 2)]),
        });
    }
    (finality, events)
}

/// What the steps should add up to, counted without any of the code under test.
fn recount(world: &World, steps: &[Step], wanted: FinalityKind, number: usize) -> u64 {
    let voters: BTreeSet<usize> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Batch { voter, kind, epoch: 5, names } if *kind == wanted && names.contains(&number) => Some(*voter),
            _ => None,
        })
        .collect();
    voters.into_iter().filter_map(|voter| world.set.members().get(voter)).map(|member| member.weight.get()).sum()
}

/// What does not depend on the order: thresholds reached, who voted twice, and whether rivals were certified.
fn lasting(events: &[FinalityEvent]) -> BTreeSet<(u8, [u8; 32])> {
    let lasting: Vec<_> = events
        .iter()
        .map(|event| match event {
            FinalityEvent::Certified(txid) => (0, txid.0),
            FinalityEvent::Final(txid) => (1, txid.0),
            FinalityEvent::DoubleVote { voter, .. } => (2, voter.0),
            FinalityEvent::RivalCertificates { one, other } => (3, one.min(other).0),
        })
        .collect();
    let set: BTreeSet<_> = lasting.iter().copied().collect();
    assert_eq!(set.len(), lasting.len(), "each is reported once");
    set
}

proptest! {
    #[test]
    fn the_order_of_batches_changes_nothing_that_counts(
        (steps, shuffled) in steps().prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle())),
        weights in prop::collection::vec(1..20u64, 7),
    ) {
        let world = world(&weights);
        let (one, one_events) = run(&world, &steps);
        let (other, other_events) = run(&world, &shuffled);
        for number in 0..8 {
            prop_assert_eq!(one.vote_weight(&txid(number)), other.vote_weight(&txid(number)));
            prop_assert_eq!(one.receipt_weight(&txid(number)), other.receipt_weight(&txid(number)));
        }
        prop_assert_eq!(lasting(&one_events), lasting(&other_events));
        prop_assert_eq!(held(&one).3, held(&other).3);
    }

    #[test]
    fn a_threshold_is_reported_exactly_if_an_independent_count_reaches_a_quorum(
        steps in steps(),
        weights in prop::collection::vec(1..20u64, 7),
    ) {
        let world = world(&weights);
        let total: u64 = weights.iter().sum();
        let (finality, events) = run(&world, &steps);
        for number in 0..8 {
            let (votes, receipts) = (recount(&world, &steps, VOTE, number), recount(&world, &steps, RECEIPT, number));
            prop_assert_eq!(finality.vote_weight(&txid(number)).get(), votes);
            prop_assert_eq!(finality.receipt_weight(&txid(number)).get(), receipts);
            prop_assert_eq!(events.contains(&FinalityEvent::Certified(txid(number))), 3 * votes >= 2 * total);
            prop_assert_eq!(events.contains(&FinalityEvent::Final(txid(number))), 3 * receipts >= 2 * total);
        }
    }

    #[test]
    fn a_double_vote_is_reported_exactly_if_one_voter_voted_for_two_known_rivals(
        steps in steps(),
        weights in prop::collection::vec(1..20u64, 7),
    ) {
        let world = world(&weights);
        let (_, events) = run(&world, &steps);
        let learned: BTreeSet<usize> =
            steps.iter().filter_map(|step| if let Step::Learn(number) = step { Some(*number) } else { None }).collect();
        for voter in 0..7 {
            let votes: BTreeSet<usize> = steps.iter().flat_map(|step| match step {
                Step::Batch { voter: v, kind: VOTE, epoch: 5, names } if *v == voter => names.clone(),
                _ => BTreeSet::new(),
            }).collect();
            let rivals = |number: &usize| [*number, number ^ 1].iter().all(|n| learned.contains(n) && votes.contains(n));
            let reported = events.iter().any(|event| {
                matches!(event, FinalityEvent::DoubleVote { voter: named, .. } if *named == world.key(voter))
            });
            prop_assert_eq!(reported, (0..8).any(|number| rivals(&number)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_proof_exists_exactly_if_a_quorum_signed_and_then_verifies(
        weights in prop::collection::vec(1..20u64, 1..7),
        signers in prop::collection::btree_set(0..7usize, 0..7),
        size in 1..70usize,
        at in any::<prop::sample::Index>(),
    ) {
        let world = world(&weights);
        let mut finality = world.finality();
        let mut names: Vec<Txid> = (1..size).map(txid).collect();
        names.insert(at.index(size), txid(0));
        let signers: Vec<_> = signers.into_iter().filter(|signer| *signer < weights.len()).collect();
        for signer in &signers {
            finality.add(signed(&world.keys[*signer], RECEIPT, &names));
        }
        let weight: u64 = signers.iter().map(|signer| weights[*signer]).sum();
        let is_quorum = 3 * weight >= 2 * weights.iter().sum::<u64>();
        let proof = finality.proof(&txid(0));
        prop_assert_eq!(proof.is_some(), is_quorum);
        if let Some(mut proof) = proof {
            let proved = verify_proof(&proof, &CHAIN, &world.set);
            prop_assert!(proved.is_ok_and(|proved| proved <= Weight::new(weight)));
            proof.receipts.pop();
            let is_refused = matches!(verify_proof(&proof, &CHAIN, &world.set), Err(ProofError::NoQuorum { .. }));
            prop_assert!(is_refused, "one receipt less is no quorum");
        }
    }
}
