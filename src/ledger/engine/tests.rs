use super::*;
use crate::ledger::execute::BlockChanges;
use crate::ledger::testing::{Coin, Draft, World, consensus, lock, output, sorted, witness};
use crate::limits::{MAX_ORPHANS_OF_AN_OUTPUT, MAX_RIVALS, ORPHAN_EXPIRY_MS, REJECTED_EXPIRY_MS};
use crate::types::number::{Amount, TimeMs};
use crate::types::transaction::{HashedTx, Payload, Transaction};
use std::collections::BTreeSet;
use std::slice;

pub(super) const NOW: TimeMs = TimeMs(1_000_000);

pub(super) fn ledger_of(world: &World) -> Ledger {
    ledger_with(world, PoolLimits::default())
}

pub(super) fn ledger_with(world: &World, limits: PoolLimits) -> Ledger {
    Ledger::new(world.chain.clone(), world.state.clone(), world.store.clone(), limits)
}

/// Certifies and finalizes `tx`; what it returns was waiting.
fn finalize(ledger: &mut Ledger, tx: &VerifiedTx) -> Vec<VerifiedTx> {
    ledger.set_certified(NOW, tx.clone());
    ledger.set_final(NOW, &tx.txid())
}

/// Opens a slot with `txs` on the world and commits it to the ledger, which has its own view of the store.
pub(super) fn commit(world: &mut World, ledger: &mut Ledger, txs: &[VerifiedTx]) -> Committed {
    let block = world.open(txs);
    let committed = ledger.commit(NOW, block.changes.clone()).unwrap();
    ledger.flushed(block.changes.height);
    committed
}

fn conflict(coin: Coin, by: &VerifiedTx) -> Rejection {
    Rejection::Conflict { outpoint: coin.outpoint, spent_by: Some(by.txid()) }
}

fn rejected(ledger: &mut Ledger, tx: VerifiedTx) -> Rejection {
    match ledger.submit(NOW, tx) {
        Submission::Rejected(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn stage(ledger: &Ledger, tx: &VerifiedTx) -> Option<Stage> {
    ledger.entry(&tx.txid()).map(|entry| entry.stage)
}

#[test]
fn an_output_that_an_archived_payment_never_had_is_not_called_spent() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let tx = world.pay(&[world.coin(0)], &[1]);
    let block = world.open(std::slice::from_ref(&tx));
    ledger.commit(NOW, block.changes.clone()).unwrap();
    let spending = |index: u32| {
        let coin = output(&tx, 0, 1);
        world.pay(&[Coin { outpoint: OutPoint { index, ..coin.outpoint }, ..coin }], &[2])
    };
    let past_end = u32::try_from(tx.body().outputs.len()).unwrap();
    let nothing = OutPoint { txid: tx.txid(), index: past_end };
    let child = spending(0);
    // First from the layer of the block, then from the store.
    assert_eq!(rejected(&mut ledger, spending(past_end)), Rejection::NoSuchOutput { outpoint: nothing });
    ledger.flushed(block.changes.height);
    let far = OutPoint { index: u32::MAX, ..nothing };
    assert_eq!(rejected(&mut ledger, spending(u32::MAX)), Rejection::NoSuchOutput { outpoint: far });
    // The last one it has can be spent, and then it is spent.
    assert_eq!(ledger.submit(NOW, child.clone()), Submission::New);
    let last = OutPoint { index: 0, ..nothing };
    commit(&mut world, &mut ledger, std::slice::from_ref(&child));
    let rival = world.pay(&[Coin { outpoint: last, ..output(&tx, 0, 1) }], &[3]);
    let spent_by = Some(child.txid());
    assert_eq!(rejected(&mut ledger, rival), Rejection::Conflict { outpoint: last, spent_by });
}

#[test]
fn a_payment_goes_from_sampling_to_a_block() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let tx = world.pay(&[coin], &[1]);
    assert_eq!(ledger.outpoint_state(&coin.outpoint), OutPointState::Unspent);
    assert_eq!(ledger.submit(NOW, tx.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, tx.clone()), Submission::Known);
    assert_eq!(stage(&ledger, &tx), Some(Stage::Sampling));
    assert_eq!(ledger.outpoint_state(&coin.outpoint), OutPointState::Locked(tx.txid()));
    ledger.set_accepted(&tx.txid());
    assert_eq!(stage(&ledger, &tx), Some(Stage::Accepted));
    ledger.set_certified(NOW, tx.clone());
    ledger.set_accepted(&tx.txid());
    assert_eq!(stage(&ledger, &tx), Some(Stage::Certified));
    assert_eq!(ledger.certified_bytes(), u64::from(tx.size_bytes()));
    assert_eq!(ledger.outpoint_state(&output(&tx, 0, 1).outpoint), OutPointState::Missing);
    assert!(ledger.set_final(NOW, &tx.txid()).is_empty());
    ledger.set_certified(NOW, tx.clone());
    assert_eq!(stage(&ledger, &tx), Some(Stage::Finalized));
    assert_eq!(ledger.outpoint_state(&coin.outpoint), OutPointState::Spent(tx.txid()));
    assert_eq!(ledger.outpoint_state(&output(&tx, 0, 1).outpoint), OutPointState::Unspent);
    let block = ledger.assemble(u64::MAX);
    let committed = commit(&mut world, &mut ledger, &block);
    assert_eq!(committed.archived, [tx.txid()]);
    assert!(ledger.entry(&tx.txid()).is_none());
    assert_eq!(ledger.certified_bytes(), 0);
    let archived = OutPointState::Archived { by: Some(tx.txid()), height: Some(world.state.height()) };
    assert_eq!(ledger.outpoint_state(&coin.outpoint), archived);
    assert_eq!(ledger.submit(NOW, tx.clone()), Submission::Known);
    ledger.set_certified(NOW, tx);
    assert_eq!(ledger.entries().count(), 0, "what a block holds does not come back");
}

#[test]
fn outputs_can_be_spent_once_their_transaction_is_final_and_not_before() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let parent = world.pay(&[world.coin(0)], &[1]);
    let child = world.pay(&[output(&parent, 0, 1)], &[2]);
    let missing = || Submission::Orphan { missing: vec![parent.txid()] };
    assert_eq!(ledger.submit(NOW, child.clone()), missing(), "unknown");
    assert_eq!(ledger.submit(NOW, parent.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, child.clone()), missing(), "sampled");
    ledger.set_accepted(&parent.txid());
    ledger.set_certified(NOW, parent.clone());
    assert_eq!(ledger.submit(NOW, child.clone()), missing(), "certified");
    assert_eq!(ledger.orphans(), 1);
    assert_eq!(ledger.set_final(NOW, &parent.txid()), slice::from_ref(&child));
    assert_eq!(ledger.orphans(), 0);
    assert_eq!(ledger.submit(NOW, child), Submission::New);
}

#[test]
fn orphans_of_an_archived_parent_are_returned() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let parent = world.pay(&[world.coin(0)], &[1]);
    let child = world.pay(&[output(&parent, 0, 1)], &[2]);
    ledger.submit(NOW, child.clone());
    let committed = commit(&mut world, &mut ledger, &[parent]);
    assert_eq!(committed.retry, slice::from_ref(&child));
    assert_eq!(ledger.submit(NOW, child), Submission::New);
}

#[test]
fn orphans_are_bounded_in_time_and_for_each_output() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let parent = world.pay(&[world.coin(0)], &[1]);
    let child = |extra: u64| world.pay_with_fee(&[output(&parent, 0, 1)], &[2], extra);
    let most = MAX_ORPHANS_OF_AN_OUTPUT as u64;
    for extra in 0..most + 3 {
        ledger.submit(NOW.plus(extra), child(extra));
    }
    assert_eq!(ledger.orphans(), MAX_ORPHANS_OF_AN_OUTPUT);
    assert!(ledger.orphan(&child(2).txid()).is_none(), "the oldest go");
    assert!(ledger.orphan(&child(3).txid()).is_some());
    let other = world.pay(&[world.coin(1)], &[3]);
    ledger.submit(NOW.plus(ORPHAN_EXPIRY_MS + 5), other);
    assert!(ledger.orphan(&child(4).txid()).is_none() && ledger.orphan(&child(5).txid()).is_some());
}

#[test]
fn rivals_live_side_by_side_until_one_is_final() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let (one, other) = (world.pay(&[coin], &[1]), world.pay(&[coin], &[2]));
    assert_eq!(ledger.submit(NOW, one.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, other.clone()), Submission::New);
    assert_eq!(ledger.rivals(&one.txid()), [other.txid()]);
    ledger.set_certified(NOW, one.clone());
    assert!(ledger.entry(&other.txid()).is_some(), "a certificate does not decide between rivals");
    ledger.set_final(NOW, &one.txid());
    assert_eq!(ledger.take_dropped(), [(other.txid(), conflict(coin, &one))]);
    assert_eq!(rejected(&mut ledger, other), conflict(coin, &one));
    assert_eq!(rejected(&mut ledger, world.pay(&[coin], &[3])), conflict(coin, &one));
}

#[test]
fn a_block_drops_the_rivals_of_what_it_archives_even_if_it_was_never_seen_here() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let rival = world.pay(&[coin], &[2]);
    let certified_rival = world.pay(&[coin], &[3]);
    let bystander = world.pay(&[world.coin(1)], &[2]);
    ledger.submit(NOW, rival.clone());
    ledger.set_certified(NOW, certified_rival.clone());
    ledger.submit(NOW, bystander.clone());
    let unseen = world.pay(&[coin], &[1]);
    let committed = commit(&mut world, &mut ledger, slice::from_ref(&unseen));
    assert_eq!(committed.archived, [unseen.txid()]);
    let dropped: BTreeSet<Txid> = committed.dropped.iter().map(|(txid, _)| *txid).collect();
    assert_eq!(dropped, BTreeSet::from([rival.txid(), certified_rival.txid()]));
    assert_eq!(ledger.rejection(&rival.txid()), Some(&conflict(coin, &unseen)));
    assert!(ledger.entry(&bystander.txid()).is_some());
    assert!(committed.final_not_archived.is_empty());
    assert_eq!(rejected(&mut ledger, world.pay(&[coin], &[4])), conflict(coin, &unseen));
}

#[test]
fn at_most_so_many_rivals_are_kept_but_certified_ones_always() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let rival = |extra: u64| world.pay_with_fee(&[coin], &[1], extra);
    for extra in 0..MAX_RIVALS as u64 {
        assert_eq!(ledger.submit(NOW, rival(extra)), Submission::New);
    }
    let too_many = Rejection::TooManyRivals { outpoint: coin.outpoint };
    assert_eq!(rejected(&mut ledger, rival(50)), too_many);
    assert_eq!(ledger.rejections(), 0, "no verdict on the transaction");
    ledger.set_certified(NOW, rival(51));
    assert_eq!(stage(&ledger, &rival(51)), Some(Stage::Certified));
    ledger.set_certified(NOW, rival(0));
    assert_eq!(ledger.submit(NOW, rival(50)), Submission::New, "a certified rival takes no room");
}

/// The same body with witnesses of nobody concerned.
fn stolen_encoding(world: &World, draft: &Draft) -> VerifiedTx {
    let digest = crate::types::transaction::sighash(&world.chain.id(), &draft.body.txid());
    let witnesses = vec![witness(7, &digest)];
    world.verifier.transaction(HashedTx::new(Transaction { body: draft.body.clone(), witnesses })).unwrap()
}

#[test]
fn a_bad_witness_never_keeps_out_the_good_one_of_the_same_txid() {
    let world = World::default();
    let draft = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0);
    let (good, bad) = (world.verified(draft.clone()), stolen_encoding(&world, &draft));
    assert_eq!((good.txid(), good.wtxid() == bad.wtxid()), (bad.txid(), false));
    let mut ledger = ledger_of(&world);
    assert_eq!(rejected(&mut ledger, bad.clone()), Rejection::LockNotWitnessed { lock: lock(0) });
    assert_eq!(ledger.submit(NOW, good.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, bad.clone()), Submission::Known);
    ledger.set_certified(NOW, bad.clone());
    assert_eq!(ledger.entry(&good.txid()).unwrap().tx.wtxid(), good.wtxid());

    // The certificate names the txid only: the bad encoding may arrive with it first.
    let mut ledger = ledger_of(&world);
    ledger.set_certified(NOW, bad);
    let entry = ledger.entry(&good.txid()).unwrap();
    assert_eq!((entry.valid, entry.fee), (false, None));
    assert!(ledger.assemble(u64::MAX).is_empty(), "a block with a bad witness would be refused");
    assert_eq!(ledger.submit(NOW, good.clone()), Submission::Known);
    let entry = ledger.entry(&good.txid()).unwrap();
    assert!(entry.valid && entry.fee.is_some() && entry.stage == Stage::Certified);
    assert_eq!(ledger.assemble(u64::MAX), [good]);
}

#[test]
fn a_bad_encoding_of_an_orphan_does_not_displace_the_good_one() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let parent = world.pay(&[world.coin(0)], &[1]);
    let draft = world.draft(&[output(&parent, 0, 1)], &[2], Payload::Transfer, 0);
    let (good, bad) = (world.verified(draft.clone()), stolen_encoding(&world, &draft));
    ledger.submit(NOW, good.clone());
    ledger.submit(NOW, bad.clone());
    assert_eq!(ledger.orphans(), 2);
    ledger.submit(NOW, parent.clone());
    let retry = finalize(&mut ledger, &parent);
    assert_eq!(retry.len(), 2);
    assert!(matches!(ledger.submit(NOW, bad.clone()), Submission::Rejected(_)));
    assert_eq!(ledger.submit(NOW, good.clone()), Submission::New);

    // And one that became certified with the bad encoding, before its parent was known.
    let mut ledger = ledger_of(&world);
    ledger.set_certified(NOW, bad);
    assert_eq!(ledger.submit(NOW, good.clone()), Submission::Known);
    ledger.set_certified(NOW, parent.clone());
    for waiting in ledger.set_final(NOW, &parent.txid()) {
        ledger.submit(NOW, waiting);
    }
    assert!(ledger.entry(&good.txid()).unwrap().valid);
    assert_eq!(ledger.assemble(u64::MAX), sorted(&[parent, good]));
}

#[test]
fn collateral_cannot_be_spent_while_bonded_or_named_by_a_registration_under_way() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let bonded = world.collateral(1);
    let spend = world.pay(&[bonded], &[2]);
    assert_eq!(rejected(&mut ledger, spend), Rejection::Bonded { outpoint: bonded.outpoint });

    let registration = world.verified(world.registration(&[world.coin(0), world.coin(8)], 20));
    assert_eq!(ledger.submit(NOW, registration.clone()), Submission::New);
    finalize(&mut ledger, &registration);
    let named = output(&registration, 0, 0);
    let spend = world.pay(&[named], &[2]);
    assert_eq!(rejected(&mut ledger, spend.clone()), Rejection::PendingCollateral { outpoint: named.outpoint });
    commit(&mut world, &mut ledger, &[registration]);
    assert_eq!(rejected(&mut ledger, spend), Rejection::Bonded { outpoint: named.outpoint });
}

#[test]
fn the_collateral_of_a_registration_without_effect_is_an_ordinary_output() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let both = [0, 8].map(|i| world.verified(world.registration(&[world.coin(i)], 20)));
    let both = sorted(&both);
    for registration in &both {
        ledger.set_certified(NOW, registration.clone());
    }
    let spend = world.pay(&[output(&both[1], 0, 0)], &[2]);
    assert!(matches!(ledger.submit(NOW, spend.clone()), Submission::Orphan { .. }));
    let committed = commit(&mut world, &mut ledger, &both);
    assert_eq!(committed.retry, slice::from_ref(&spend));
    assert_eq!(ledger.submit(NOW, spend), Submission::New);
}

#[test]
fn a_registration_needs_a_free_key_a_tier_and_a_short_endpoint() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let mut taken = world.registration(&[world.coin(0)], 1);
    taken.prove(&world.chain, &consensus(1));
    let key = consensus(1).public_key();
    assert_eq!(rejected(&mut ledger, world.verified(taken)), Rejection::KeyTaken { key });

    let mut small = world.registration(&[world.coin(0)], 20);
    let value = Amount::new(world.chain.tiers[0].collateral.get() - 1);
    small.body.outputs[0].value = value;
    small.prove(&world.chain, &consensus(20));
    assert_eq!(rejected(&mut ledger, world.verified(small)), Rejection::TierNotReached { value });

    let mut long = world.registration(&[world.coin(0)], 20);
    let Payload::Register(register) = &mut long.body.payload else { panic!("a registration") };
    register.endpoint = "x".repeat(256);
    long.body.outputs[0].value = Amount::new(long.body.outputs[0].value.get() - 100_000);
    long.prove(&world.chain, &consensus(20));
    assert_eq!(rejected(&mut ledger, world.verified(long)), Rejection::EndpointTooLong { bytes: 256 });

    // A key is taken as soon as a registration of it is final, and for those that came before too.
    let [one, other, late] = [0, 8, 16].map(|i| world.verified(world.registration(&[world.coin(i)], 20)));
    assert_eq!(ledger.submit(NOW, one.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, other.clone()), Submission::New);
    finalize(&mut ledger, &one);
    let key = consensus(20).public_key();
    assert_eq!(ledger.take_dropped(), [(other.txid(), Rejection::KeyTaken { key })]);
    assert_eq!(rejected(&mut ledger, late.clone()), Rejection::KeyTaken { key });
    assert!(ledger.entry(&one.txid()).unwrap().valid, "not by itself");
    commit(&mut world, &mut ledger, &[one]);
    assert_eq!(rejected(&mut ledger, late), Rejection::KeyTaken { key });
}

#[test]
fn a_block_that_takes_a_key_overturns_a_registration_here_but_not_a_certified_one() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let [archived, sampled, certified] = [0, 8, 16].map(|i| world.verified(world.registration(&[world.coin(i)], 20)));
    ledger.submit(NOW, sampled.clone());
    ledger.set_certified(NOW, certified.clone());
    let committed = commit(&mut world, &mut ledger, &[archived]);
    let key = consensus(20).public_key();
    assert_eq!(committed.dropped, [(sampled.txid(), Rejection::KeyTaken { key })]);
    assert!(!ledger.entry(&certified.txid()).unwrap().valid);
    // Rules about payloads bind voters, never blocks: what is certified is archived, without effect.
    let block = ledger.assemble(u64::MAX);
    assert_eq!(block, slice::from_ref(&certified));
    let archived = commit(&mut world, &mut ledger, &block).archived;
    assert_eq!(archived, [certified.txid()]);
}

#[test]
fn an_update_or_unregistration_needs_its_masternode_and_the_owner() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let id = world.state.registry.by_key(&consensus(1).public_key()).unwrap().id;
    let draft = |world: &World, masternode, coin: u32, signers: &[u64]| {
        let payload = Payload::Unregister { masternode };
        let mut draft = world.draft(&[world.coin(coin)], &[5], payload, 100_000);
        draft.signers = signers.to_vec();
        world.verified(draft)
    };
    let nobody = crate::types::hash::MasternodeId([9; 32]);
    let stranger = draft(&world, nobody, 5, &[5]);
    assert_eq!(rejected(&mut ledger, stranger), Rejection::UnknownMasternode { masternode: nobody });
    let unauthorized = draft(&world, id, 5, &[5]);
    assert_eq!(rejected(&mut ledger, unauthorized), Rejection::LockNotWitnessed { lock: lock(1) });
    let first = draft(&world, id, 5, &[5, 1]);
    let own = draft(&world, id, 1, &[1]);
    assert_eq!(ledger.submit(NOW, first.clone()), Submission::New);
    assert_eq!(ledger.submit(NOW, own.clone()), Submission::New, "an input's witness authorizes too");
    let committed = commit(&mut world, &mut ledger, &[first]);
    assert_eq!(committed.dropped, [(own.txid(), Rejection::AlreadyLeaving { masternode: id })]);
}

#[test]
fn a_verdict_that_the_tip_may_change_holds_for_one_tip_only() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let bonded = world.pay(&[world.collateral(1)], &[2]);
    let mut cheap = world.draft(&[world.coin(3)], &[1], Payload::Transfer, 0);
    cheap.body.outputs[0].value = Amount::new(cheap.body.outputs[0].value.get() + 1);
    let cheap = world.verified(cheap);
    rejected(&mut ledger, bonded.clone());
    assert!(matches!(rejected(&mut ledger, cheap.clone()), Rejection::FeeTooLow { .. }));
    assert_eq!(ledger.rejections(), 2);
    commit(&mut world, &mut ledger, &[]);
    assert!(ledger.rejection(&bonded.txid()).is_none());
    assert!(ledger.rejection(&cheap.txid()).is_some(), "a fee does not grow");
    ledger.submit(NOW.plus(REJECTED_EXPIRY_MS + 1), world.pay(&[world.coin(0)], &[1]));
    assert!(ledger.rejection(&cheap.txid()).is_none(), "nothing is remembered forever");
}

#[test]
fn the_full_pool_keeps_what_pays_most_and_what_was_voted_for() {
    let world = World::default();
    let limits = PoolLimits { max_transactions: 4, max_bytes: u64::MAX };
    let mut ledger = ledger_with(&world, limits);
    let pay = |coin: u32, extra: u64| world.pay_with_fee(&[world.coin(coin)], &[1], extra);
    for coin in 0..4 {
        assert_eq!(ledger.submit(NOW, pay(coin, 1_000 * u64::from(coin))), Submission::New);
    }
    let poor = pay(9, 0);
    let (fee, size) = (world.chain.min_fee(poor.size_bytes()), poor.size_bytes());
    let full = rejected(&mut ledger, poor.clone());
    assert!(matches!(full, Rejection::MempoolFull { fee: paid, size: of } if paid >= fee && of == size));
    assert_eq!((ledger.not_final().0, ledger.rejections()), (4, 0), "a rejected transaction changes nothing");

    ledger.set_voted(&pay(0, 0).txid());
    ledger.set_certified(NOW, pay(1, 1_000));
    assert_eq!(ledger.submit(NOW, pay(10, 2_500)), Submission::New);
    assert_eq!(ledger.take_dropped(), [(pay(2, 2_000).txid(), Rejection::Evicted)]);
    assert!(matches!(rejected(&mut ledger, pay(11, 2_500)), Rejection::MempoolFull { .. }), "as much is not more");
    assert_eq!(ledger.test(&pay(11, 2_500)), Submission::Rejected(rejected(&mut ledger, pay(11, 2_500))));
    ledger.set_certified(NOW, poor.clone());
    assert!(ledger.entry(&poor.txid()).is_some(), "a certified one is kept whatever it pays");
    assert_eq!(ledger.take_dropped(), [(pay(10, 2_500).txid(), Rejection::Evicted)]);
    finalize(&mut ledger, &poor);
    assert_eq!(ledger.not_final().0, 3, "what is final does not count");
    assert_eq!(ledger.submit(NOW, pay(12, 0)), Submission::New);
}

#[test]
fn the_pool_is_bounded_in_bytes() {
    let world = World::default();
    let size = u64::from(world.pay(&[world.coin(0)], &[1]).size_bytes());
    let mut ledger = ledger_with(&world, PoolLimits { max_transactions: 100, max_bytes: 3 * size });
    for coin in 0..3 {
        assert_eq!(ledger.submit(NOW, world.pay(&[world.coin(coin)], &[1])), Submission::New);
    }
    assert!(matches!(rejected(&mut ledger, world.pay(&[world.coin(3)], &[1])), Rejection::MempoolFull { .. }));
    let large = world.pay_with_fee(&[world.coin(4)], &[1, 2, 3], 10_000_000);
    assert_eq!(ledger.submit(NOW, large), Submission::New);
    assert!(ledger.not_final().1 <= 3 * size);
    assert_eq!(ledger.take_dropped().len(), 2);
}

#[test]
fn a_flood_leaves_the_pool_within_its_limits() {
    let world = World::default();
    let limits = PoolLimits { max_transactions: 12, max_bytes: 3_000 };
    let mut ledger = ledger_with(&world, limits);
    for round in 0..400u64 {
        let coin = world.coin((round % 40) as u32);
        let to: Vec<u64> = (0..1 + round % 4).collect();
        ledger.submit(NOW.plus(round), world.pay_with_fee(&[coin], &to, round * 7_919 % 500_000));
        let (count, bytes) = ledger.not_final();
        assert!(count <= 12 && bytes <= 3_000, "{count} transactions of {bytes} bytes");
        ledger.take_dropped();
    }
    assert!(ledger.entries().count() > 5);
}

/// A world and a ledger at the last block before one that closes the epoch.
fn before_closing() -> (World, Ledger) {
    let mut world = World::default();
    world.open(&[]);
    world.open(&[]);
    let ledger = ledger_of(&world);
    (world, ledger)
}

#[test]
fn after_a_closing_block_nothing_is_certified_and_everything_is_sampled_anew() {
    let (mut world, mut ledger) = before_closing();
    let sampled = world.pay(&[world.coin(0)], &[1]);
    let certified = world.pay(&[world.coin(1)], &[1]);
    let child = world.pay(&[output(&certified, 0, 1)], &[2]);
    ledger.submit(NOW, sampled.clone());
    ledger.set_voted(&sampled.txid());
    ledger.set_certified(NOW, certified.clone());
    ledger.set_certified(NOW, child.clone());
    let committed = commit(&mut world, &mut ledger, &[]);
    let mut both = vec![sampled.clone(), certified.clone()];
    both.sort_by_key(|tx| tx.txid());
    assert_eq!(committed.resample, both, "by txid");
    assert_eq!(ledger.certified_bytes(), 0);
    assert!(ledger.assemble(u64::MAX).is_empty());
    assert_eq!((stage(&ledger, &certified), stage(&ledger, &sampled)), (Some(Stage::Sampling), Some(Stage::Sampling)));
    assert!(!ledger.entry(&sampled.txid()).unwrap().voted);
    assert!(ledger.entry(&child.txid()).is_none() && ledger.orphan(&child.txid()).is_some(), "its parent is not final");
    assert!(committed.final_not_archived.is_empty());
}

#[test]
fn of_many_rivals_the_same_two_go_into_the_next_epoch_and_others_make_room() {
    let (mut world, mut ledger) = before_closing();
    let coin = world.coin(0);
    let mut rivals: Vec<_> = (0..8).map(|round| world.pay_with_fee(&[coin], &[1], 100_000 + round)).collect();
    for rival in &rivals {
        assert_eq!(ledger.submit(NOW, rival.clone()), Submission::New);
    }
    let anew = world.pay_with_fee(&[coin], &[2], 200_000);
    assert!(matches!(ledger.submit(NOW, anew.clone()), Submission::Rejected(Rejection::TooManyRivals { .. })));
    let committed = commit(&mut world, &mut ledger, &[]);
    rivals.sort_by_key(|tx| tx.txid());
    assert_eq!(committed.resample, rivals[..2]);
    assert_eq!(committed.dropped.len(), 6);
    assert_eq!(ledger.submit(NOW, anew), Submission::New);
}

#[test]
fn a_final_payment_that_the_closing_block_leaves_out_is_kept_and_reported() {
    let (mut world, mut ledger) = before_closing();
    let tx = world.pay(&[world.coin(0)], &[1]);
    finalize(&mut ledger, &tx);
    let committed = commit(&mut world, &mut ledger, &[]);
    assert_eq!(committed.final_not_archived, [tx.txid()]);
    let entry = ledger.entry(&tx.txid()).unwrap();
    assert_eq!((entry.stage, entry.certified_at), (Stage::Finalized, None));
    assert_eq!(committed.resample, slice::from_ref(&tx));
    assert!(ledger.assemble(u64::MAX).is_empty(), "others would refuse it without a certificate of the new epoch");
    ledger.set_certified(NOW, tx.clone());
    assert_eq!(ledger.assemble(u64::MAX), [tx]);
}

#[test]
fn a_block_that_contradicts_a_final_payment_is_reported_and_obeyed() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let (told, archived) = (world.pay(&[coin], &[1]), world.pay(&[coin], &[2]));
    let child = world.pay(&[output(&told, 0, 1)], &[3]);
    finalize(&mut ledger, &told);
    assert_eq!(ledger.submit(NOW, child.clone()), Submission::New);
    let committed = commit(&mut world, &mut ledger, slice::from_ref(&archived));
    assert_eq!(committed.final_not_archived, [told.txid()]);
    assert!(ledger.entry(&told.txid()).is_none());
    assert!(ledger.entry(&child.txid()).is_none(), "what rests on it rests on nothing");
    assert_eq!(ledger.rejection(&told.txid()), Some(&conflict(coin, &archived)));
}

#[test]
fn certified_rivals_are_kept_as_evidence_and_a_final_one_goes_before_the_other() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let (one, other) = (world.pay(&[coin], &[1]), world.pay(&[coin], &[2]));
    ledger.set_certified(NOW, one.clone());
    ledger.set_certified(NOW.plus(1), other.clone());
    assert_eq!(ledger.assemble(u64::MAX), slice::from_ref(&one), "never both in one block");
    ledger.set_final(NOW, &other.txid());
    assert!(ledger.take_dropped().is_empty());
    assert!(!ledger.entry(&one.txid()).unwrap().valid);
    assert_eq!(ledger.assemble(u64::MAX), [other]);
}

#[test]
fn a_block_on_another_parent_changes_nothing() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let first = world.open(&[]);
    let second = world.opening(&[], &[]).unwrap();
    let error = ledger.commit(NOW, second.changes.clone()).unwrap_err();
    assert_eq!((error.height, error.prev), (second.header.height, first.hash));
    assert_eq!(ledger.tip().height(), Height::ZERO);
    ledger.commit(NOW, first.changes.clone()).unwrap();
    assert!(ledger.commit(NOW, first.changes).is_err());
    ledger.commit(NOW, second.changes).unwrap();
}

#[test]
fn reads_see_every_committed_block_however_far_the_store_is() {
    let mut world = World::default();
    let behind = World::default();
    let mut ledger = ledger_of(&behind);
    let first = world.pay(&[world.coin(0)], &[1]);
    let second = world.pay(&[output(&first, 0, 1)], &[2]);
    let blocks: Vec<Arc<BlockChanges>> = [&first, &second].map(|tx| world.open(slice::from_ref(tx)).changes).to_vec();
    let check = |ledger: &Ledger| {
        let view = ledger.view();
        assert_eq!(view.utxo(&world.coin(0).outpoint), None);
        assert_eq!(view.utxo(&output(&first, 0, 1).outpoint), None);
        assert!(view.utxo(&output(&second, 0, 2).outpoint).is_some());
        assert!(view.utxo(&world.coin(1).outpoint).is_some());
        assert_eq!(view.archived_height(&first.txid()), Some(Height::new(1)));
        assert_eq!(view.archived_height(&second.txid()), Some(Height::new(2)));
        assert_eq!(view.spender(&world.coin(0).outpoint), Some(first.txid()));
        assert_eq!(view.spender(&output(&first, 0, 1).outpoint), Some(second.txid()));
    };
    for block in &blocks {
        ledger.commit(NOW, block.clone()).unwrap();
    }
    check(&ledger);
    for (unflushed, block) in [1, 0].into_iter().zip(&blocks) {
        // The store is ahead of what was said of it.
        behind.store.apply(block);
        check(&ledger);
        ledger.flushed(block.height);
        assert_eq!(ledger.unflushed(), unflushed);
        check(&ledger);
    }
}

#[test]
fn voting_stops_while_more_than_two_blocks_are_certified_and_unarchived() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let mut coins = (0..40).map(|i| world.coin(i));
    while ledger.certified_bytes() <= 2 * world.chain.max_block_bytes {
        assert!(ledger.may_vote());
        let to: Vec<u64> = (0..60).map(|n| n % 8).collect();
        ledger.set_certified(NOW, world.pay(&[coins.next().unwrap()], &to));
    }
    assert!(!ledger.may_vote());
}
