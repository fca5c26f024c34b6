use super::*;
use crate::chain::registry::MasternodeState;
use crate::ledger::rejection::Rejection;
use crate::ledger::testing::{COIN, Coin, World, consensus, lock, output, secret, sorted, witness};
use crate::ledger::verify::VerifyError;
use crate::types::hash::{Domain, MasternodeId};
use crate::types::lock::{Lock, Witness};
use crate::types::number::{View, Weight};
use crate::types::transaction::{Update, sighash};
use std::collections::BTreeMap;
use std::slice;

fn key(n: u64) -> PublicKey {
    consensus(n).public_key()
}

/// The error of a block that opens a slot with `txs`.
fn refused(world: &World, txs: &[VerifiedTx]) -> BlockError {
    world.opening(&sorted(txs), &[]).unwrap_err()
}

#[test]
fn a_block_opens_a_later_slot_or_overflows_its_parents() {
    let mut world = World::default();
    let slot = world.state.header.slot;
    assert_eq!(world.overflow(&[]).unwrap_err(), BlockError::OverflowOnGenesis);
    let first = world.open(&[]);
    assert_eq!((first.header.slot, first.header.opened), (slot.next(), 1));
    let vdf = world.vdf();
    let early = world.execute(&BlockBody { slot, vdf: Some(&vdf), ..world.body() });
    assert_eq!(early.unwrap_err(), BlockError::SlotBeforeParent { slot, parent: slot.next() });
    let skipped = world.execute(&BlockBody { slot: Slot::new(9), vdf: Some(&vdf), ..world.body() }).unwrap();
    assert_eq!((skipped.header.slot, skipped.header.opened), (Slot::new(9), 2));
    assert!(skipped.coinbase.is_some());
    assert_eq!(skipped.changes.state.last_opening, skipped.hash);
}

#[test]
fn an_overflow_block_has_enough_transactions_no_coinbase_no_proof_and_its_parents_beacon() {
    let mut world = World::default();
    world.open(&[]);
    let parent = world.state.header.clone();
    let few = sorted(&(0..3).map(|i| world.pay(&[world.coin(i)], &[1])).collect::<Vec<_>>());
    let (bytes, least) = (few.iter().map(|tx| u64::from(tx.size_bytes())).sum(), 1_000);
    assert_eq!(world.overflow(&few).unwrap_err(), BlockError::OverflowTooSmall { bytes, least });
    let many = sorted(&(0..8).map(|i| world.pay(&[world.coin(i)], &[1])).collect::<Vec<_>>());
    let vdf = world.vdf();
    let proved = world.execute(&BlockBody { slot: parent.slot, txs: &many, vdf: Some(&vdf), ..world.body() });
    assert_eq!(proved.unwrap_err(), BlockError::UnexpectedVdf);

    let block = world.overflow(&many).unwrap();
    assert_eq!(block.coinbase, None);
    assert_eq!((block.header.opened, block.header.beacon, block.header.reward), (1, parent.beacon, Amount::ZERO));
    assert_eq!(block.changes.state.accrued_fees, block.changes.fees);
    assert_eq!(block.changes.state.last_opening, world.state.hash);
    assert_eq!(block.header.tx_count, 8);
}

#[test]
fn fees_of_overflow_blocks_are_paid_by_the_next_block_that_opens_a_slot() {
    let mut world = World::default();
    world.open(&[]);
    let many = sorted(&(0..8).map(|i| world.pay(&[world.coin(i)], &[1])).collect::<Vec<_>>());
    let overflow = world.overflow(&many).unwrap();
    world.advance(&overflow);
    let tx = world.pay(&[world.coin(20)], &[1]);
    let block = world.open(&[tx]);
    let subsidy = subsidy(&world.chain.reward, 2, 4);
    let fees = overflow.changes.fees.checked_add(block.changes.fees).unwrap();
    assert_eq!(Some(block.header.reward), subsidy.checked_add(fees));
    assert_eq!(block.changes.state.accrued_fees, Amount::ZERO);
    // Everybody signed, so only what rounding leaves is not minted.
    let paid = Amount::checked_sum(block.coinbase.unwrap().body.outputs.iter().map(|out| out.value)).unwrap();
    assert!(block.header.reward.get() - paid.get() < 6);
}

#[test]
fn who_was_silent_is_not_paid() {
    let mut world = World::default();
    let first = world.opening(&[], &[]).unwrap();
    assert!(first.coinbase.as_ref().unwrap().body.outputs.is_empty(), "nobody signed genesis");
    world.advance_without(&first, &[key(1)]);
    let second = world.open(&[]);
    let paid: Vec<Lock> = second.coinbase.unwrap().body.outputs.iter().map(|out| out.lock).collect();
    assert_eq!(paid[0], lock(100), "the proposer first");
    assert_eq!(paid.len(), 3);
    assert!(!paid.contains(&lock(101)));
}

#[test]
fn the_parents_commit_is_a_quorum_of_the_parents_set_for_the_parent() {
    let mut world = World::default();
    let first = world.opening(&[], &[]).unwrap();
    let commit = world.verifier.commit(world.commit_of(&Height::new(1), first.hash, &[]), &world.state.validators);
    let commit = commit.unwrap();
    let vdf = world.vdf();
    let slot = world.next_slot();
    let body = BlockBody { slot, vdf: Some(&vdf), last_commit: Some(&commit), ..world.body() };
    assert_eq!(world.execute(&body).unwrap_err(), BlockError::UnexpectedCommit);

    world.advance(&first);
    let (vdf, slot) = (world.vdf(), world.next_slot());
    let with = |last_commit| world.execute(&BlockBody { slot, vdf: Some(&vdf), last_commit, ..world.body() });
    assert_eq!(with(None).unwrap_err(), BlockError::MissingCommit);
    let other = world.commit_of(&Height::new(1), BlockHash([1; 32]), &[]);
    let other = world.verifier.commit(other, &world.state.signers).unwrap();
    let found = BlockHash([1; 32]);
    assert_eq!(with(Some(&other)).unwrap_err(), BlockError::OtherCommit { height: Height::new(1), found });
    // Verified, but against a set of strangers.
    let strangers = crate::types::validators::ValidatorSet::new(
        (4..8)
            .map(|n| crate::types::validators::Validator {
                id: MasternodeId([n as u8; 32]),
                consensus_key: key(n),
                weight: Weight::new(1),
                payout: lock(n),
            })
            .collect(),
    )
    .unwrap();
    let digest = crate::types::block::bft_digest(
        &world.chain.id(),
        Height::new(1),
        View::ZERO,
        crate::types::block::BftKind::Precommit,
        Some(first.hash),
    );
    let sign = |key: &PublicKey| (4..8).map(consensus).find(|s| s.public_key() == *key).map(|s| s.sign(&digest));
    let signatures = strangers.members().iter().map(|m| sign(&m.consensus_key)).collect();
    let foreign = Commit { height: Height::new(1), view: View::ZERO, block_hash: first.hash, signatures };
    let foreign = world.verifier.commit(foreign, &strangers).unwrap();
    let error = with(Some(&foreign)).unwrap_err();
    assert!(matches!(error, BlockError::BadCommit(VerifyError::BadSignature { .. })), "{error}");
}

#[test]
fn the_beacon_advances_by_the_delay_function_of_this_parent() {
    let mut world = World::default();
    let slot = world.next_slot();
    let without = world.execute(&BlockBody { slot, ..world.body() });
    assert_eq!(without.unwrap_err(), BlockError::MissingVdf);
    let stale = world.vdf();
    let first = world.open(&[]);
    assert_eq!(first.header.beacon, vdf::beacon(&stale));
    let reused = world.execute(&BlockBody { slot: world.next_slot(), vdf: Some(&stale), ..world.body() });
    assert_eq!(reused.unwrap_err(), BlockError::BadVdf);
}

#[test]
fn the_proposer_is_a_member() {
    let world = World::default();
    let (vdf, proposer) = (world.vdf(), key(9));
    let body = BlockBody { slot: world.next_slot(), vdf: Some(&vdf), proposer, ..world.body() };
    assert_eq!(world.execute(&body).unwrap_err(), BlockError::ForeignProposer { proposer });
}

#[test]
fn transactions_are_sorted_and_unique() {
    let world = World::default();
    let mut txs = sorted(&[world.pay(&[world.coin(0)], &[1]), world.pay(&[world.coin(1)], &[1])]);
    txs.reverse();
    assert_eq!(world.opening(&txs, &[]).unwrap_err(), BlockError::TxOutOfOrder { txid: txs[1].txid() });
    let twice = [txs[0].clone(), txs[0].clone()];
    assert_eq!(world.opening(&twice, &[]).unwrap_err(), BlockError::TxOutOfOrder { txid: txs[0].txid() });
}

#[test]
fn transactions_and_evidence_together_fit_the_block() {
    let mut spec = crate::ledger::testing::spec();
    spec.max_tx_bytes = 500;
    spec.overflow_min_bytes = 100;
    spec.max_block_bytes = 600;
    let world = World::of(spec.clone());
    let txs = sorted(&(0..3).map(|i| world.pay(&[world.coin(i)], &[1])).collect::<Vec<_>>());
    let evidence = [world.double_prepare(3)];
    let tx_bytes: u64 = txs.iter().map(|tx| u64::from(tx.size_bytes())).sum();
    let bytes = tx_bytes + evidence_bytes(&evidence);
    assert!(tx_bytes <= 600 && bytes > 600);
    assert!(world.opening(&txs, &[]).is_ok());
    assert_eq!(world.opening(&txs, &evidence).unwrap_err(), BlockError::TooLarge { bytes, limit: 600 });
    assert!(world.opening(&txs[..2], &evidence).is_ok());
}

#[test]
fn no_output_is_spent_twice_in_a_block() {
    let world = World::default();
    let shared = world.coin(1);
    let txs = sorted(&[world.pay(&[world.coin(0), shared], &[1]), world.pay(&[shared, world.coin(2)], &[1])]);
    let (one, other) = (txs[0].txid(), txs[1].txid());
    assert_eq!(refused(&world, &txs), BlockError::DoubleSpend { outpoint: shared.outpoint, one, other });
}

#[test]
fn what_a_block_spends_is_unspent_on_the_parent_or_created_in_the_block() {
    let mut world = World::default();
    let spend = world.pay(&[world.coin(0)], &[1]);
    let missing = |world: &World, tx: VerifiedTx| {
        let (txid, outpoint) = (tx.txid(), tx.inputs()[0]);
        assert_eq!(refused(world, &[tx]), BlockError::Transaction { txid, rule: Rejection::MissingInput { outpoint } });
    };
    let child = world.pay(&[output(&spend, 0, 1)], &[2]);
    missing(&world, child.clone());
    assert!(world.opening(&sorted(&[spend.clone(), child.clone()]), &[]).is_ok());
    world.open(slice::from_ref(&spend));
    missing(&world, world.pay_with_fee(&[world.coin(0)], &[1], 5));
    missing(&world, spend.clone());
    let outpoint = OutPoint { txid: spend.txid(), index: 1 };
    missing(&world, world.pay(&[Coin { outpoint, value: COIN, owner: 1 }], &[2]));
    world.open(&[child]);
}

#[test]
fn a_child_may_sort_before_its_parent() {
    let world = World::default();
    let mut before = 0;
    for extra in 0..20 {
        let parent = world.pay_with_fee(&[world.coin(0)], &[1], extra);
        let child = world.pay(&[output(&parent, 0, 1)], &[2]);
        let grandchild = world.pay(&[output(&child, 0, 2)], &[3]);
        let block = world.opening(&sorted(&[parent.clone(), child.clone(), grandchild.clone()]), &[]).unwrap();
        before += usize::from(child.txid() < parent.txid());
        let created: Vec<Txid> = block.changes.created.iter().map(|(outpoint, _)| outpoint.txid).collect();
        assert_eq!(created, [grandchild.txid()], "what is created and spent in one block leaves no trace");
        assert_eq!(block.changes.spent.len(), 1);
        let values = |txid: Txid| {
            let position = block.changes.txs.iter().position(|tx| tx.txid() == txid).unwrap();
            block.changes.inputs[position].iter().map(|out| out.value).collect::<Vec<_>>()
        };
        assert_eq!(values(parent.txid()), [Amount::new(COIN)]);
        assert_eq!(values(child.txid()), [parent.body().outputs[0].value], "spent within the block");
    }
    assert!((1..20).contains(&before), "both orders were tried");
}

#[test]
fn value_and_fee_are_those_of_section_3() {
    let world = World::default();
    let rule = |change: u64| {
        let mut draft = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0);
        let value = draft.body.outputs[0].value.get() + change;
        draft.body.outputs[0].value = Amount::new(value);
        let tx = world.verified(draft);
        match refused(&world, slice::from_ref(&tx)) {
            BlockError::Transaction { rule, .. } => (rule, tx),
            other => panic!("{other}"),
        }
    };
    let (low, tx) = rule(1);
    let least = world.chain.min_fee(tx.size_bytes());
    assert_eq!(low, Rejection::FeeTooLow { fee: Amount::new(least.get() - 1), least });
    let (over, _) = rule(COIN);
    assert!(matches!(over, Rejection::Overspent { inputs, .. } if inputs.get() == COIN), "{over}");
}

#[test]
fn locks_are_witnessed() {
    let world = World::default();
    let mut draft = world.draft(&[world.coin(0), world.coin(1)], &[1], Payload::Transfer, 0);
    draft.signers = vec![1, 0];
    let rule = Rejection::WitnessOutOfOrder { position: 0 };
    let tx = world.verified(draft.clone());
    assert_eq!(refused(&world, &[tx]), BlockError::Transaction { txid: draft.body.txid(), rule });
    draft.signers = vec![0, 2];
    let rule = Rejection::LockNotWitnessed { lock: lock(1) };
    let tx = world.verified(draft.clone());
    assert_eq!(refused(&world, &[tx]), BlockError::Transaction { txid: draft.body.txid(), rule });
}

#[test]
fn evidence_takes_its_part_of_the_collateral_once() {
    let mut world = World::default();
    let before = world.collateral(3);
    let evidence = [world.double_prepare(3)];
    let block = world.opening(&[], &evidence).unwrap();
    let after = block.changes.state.registry.by_key(&key(3)).unwrap().clone();
    let left = before.value / 10 * 9;
    assert!(after.slashed);
    assert_eq!(after.collateral, OutPoint { txid: Domain::SLASH.hash(&after.id.0).into(), index: 0 });
    assert_eq!((after.value.get(), after.weight), (left, Weight::new(10)));
    assert_eq!(block.changes.slashed.get(), before.value / 10);
    let supply = world.state.supply;
    world.advance(&block);
    assert_eq!(world.state.supply.get(), supply.get() - before.value / 10);
    assert_eq!(world.store.utxo(&before.outpoint), None);
    let reduced = world.store.utxo(&after.collateral).unwrap();
    assert_eq!((reduced.out.value.get(), reduced.out.lock, reduced.created), (left, lock(3), Height::new(1)));

    let again = world.opening(&[], &evidence).unwrap_err();
    assert_eq!(again, BlockError::NothingToPunish { voter: key(3) });
    let stranger = world.verifier.evidence(crate::ledger::testing::double_prepare(&world.chain, &consensus(30), 2));
    let error = world.opening(&[], &[stranger.unwrap()]).unwrap_err();
    assert_eq!(error, BlockError::NothingToPunish { voter: key(30) });
}

#[test]
fn evidence_is_sorted_one_piece_a_signer_and_comes_before_the_transactions() {
    let world = World::default();
    let mut both = vec![world.double_prepare(2), world.double_prepare(3)];
    both.sort_by_key(|piece| piece.hash());
    assert!(world.opening(&[], &both).is_ok());
    both.reverse();
    let voter = both[1].voter();
    assert_eq!(world.opening(&[], &both).unwrap_err(), BlockError::Evidence(VerifyError::EvidenceOrder { voter }));
    // The collateral is gone when the transactions' turn comes.
    let collateral = world.collateral(3);
    let spend = world.pay(&[collateral], &[1]);
    let error = world.opening(slice::from_ref(&spend), &[world.double_prepare(3)]).unwrap_err();
    let rule = Rejection::MissingInput { outpoint: collateral.outpoint };
    assert_eq!(error, BlockError::Transaction { txid: spend.txid(), rule });
    assert!(world.opening(&[spend], &[]).is_ok(), "rules about collateral bind voters, never blocks");
}

#[test]
fn punishing_a_collateral_that_is_gone_mints_nothing() {
    let mut world = World::default();
    let spend = world.pay(&[world.collateral(3)], &[1]);
    world.open(&[spend]);
    let supply = world.state.supply;
    let block = world.opening(&[], &[world.double_prepare(3)]).unwrap();
    let minted = Amount::checked_sum(block.coinbase.as_ref().unwrap().body.outputs.iter().map(|out| out.value));
    assert_eq!(block.changes.slashed, Amount::ZERO);
    assert_eq!(Some(block.changes.state.supply), supply.checked_add(minted.unwrap()));
    world.advance(&block);
    assert_eq!(total(&world), world.state.supply);
}

fn total(world: &World) -> Amount {
    Amount::checked_sum(world.store.utxos().values().map(|utxo| utxo.out.value)).unwrap()
}

#[test]
fn the_first_registration_of_a_key_in_txid_order_takes_effect_the_other_moves_value_only() {
    let mut world = World::default();
    let registrations: Vec<VerifiedTx> =
        [0, 8].map(|i| world.registration(&[world.coin(i)], 20)).map(|d| world.verified(d)).into();
    let txs = sorted(&registrations);
    let block = world.open(&txs);
    let record = world.state.registry.by_key(&key(20)).unwrap();
    assert_eq!(record.id.0, txs[0].txid().0);
    assert_eq!((record.state, record.queued_at), (MasternodeState::Queued, block.header.height));
    assert!(!world.state.registry.is_collateral(&output(&txs[1], 0, 0).outpoint));
    assert!(world.store.utxo(&output(&txs[1], 0, 0).outpoint).is_some());
}

fn update(world: &World, masternode: MasternodeId, payout: u64) -> crate::ledger::testing::Draft {
    let payload = Payload::Update(Update { masternode, payout: Some(lock(payout)), endpoint: None });
    let mut draft = world.draft(&[world.coin(5)], &[5], payload, 0);
    // Room for the owner's witness.
    draft.body.outputs[0].value = Amount::new(draft.body.outputs[0].value.get() - 100_000);
    draft
}

#[test]
fn an_update_carries_a_witness_of_the_owner() {
    let mut world = World::default();
    let id = world.state.registry.by_key(&key(1)).unwrap().id;
    let mut draft = update(&world, id, 77);
    let tx = world.verified(draft.clone());
    let rule = Rejection::LockNotWitnessed { lock: lock(1) };
    assert_eq!(refused(&world, &[tx]), BlockError::Transaction { txid: draft.body.txid(), rule });
    draft.signers = vec![5, 1];
    let tx = world.verified(draft);
    world.open(&[tx]);
    assert_eq!(world.state.registry.get(&id).unwrap().payout, lock(77));
    let member = world.state.validators.get(&key(1)).unwrap();
    assert_eq!(member.payout, lock(101), "the set keeps the payouts of its boundary");
}

#[test]
fn a_payload_whose_ground_is_gone_does_nothing_but_its_value_moves() {
    let mut world = World::default();
    let nobody = MasternodeId([3; 32]);
    let draft = update(&world, nobody, 77);
    let mut authorized = draft.clone();
    authorized.signers = vec![5, 1];
    let (plain, authorized) = (world.verified(draft), world.verified(authorized));
    let registry = world.state.registry.clone();
    let one = world.opening(&[plain], &[]).unwrap();
    let other = world.opening(&[authorized], &[]).unwrap();
    assert_eq!(one.header, other.header, "the state does not depend on the encoding");
    world.advance(&one);
    assert_eq!(world.state.registry, registry);
    assert_eq!(world.store.utxo(&world.coin(5).outpoint), None);
}

#[test]
fn two_encodings_of_one_txid_lead_to_one_state() {
    let world = World::default();
    let keys: Vec<PublicKey> = {
        let mut keys: Vec<PublicKey> = (50..53).map(|n| secret(n).public_key()).collect();
        keys.sort();
        keys
    };
    let shared = Lock::of_keys(2, &keys);
    let mut fund = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0);
    fund.body.outputs[0].lock = shared;
    let fund = world.verified(fund);
    let draft = world.draft(&[output(&fund, 0, 0)], &[2], Payload::Transfer, 100_000);
    let digest = sighash(&world.chain.id(), &draft.body.txid());
    let sign = |key: &PublicKey| (50..53).map(secret).find(|s| s.public_key() == *key).unwrap().sign(&digest);
    let encoding = |silent: usize| {
        let signatures = keys.iter().enumerate().map(|(i, key)| (i != silent).then(|| sign(key))).collect();
        let witnesses = vec![Witness::Multi { threshold: 2, keys: keys.clone(), signatures }];
        world.verifier.transaction(HashedTx::new(Transaction { body: draft.body.clone(), witnesses })).unwrap()
    };
    let (one, other) = (encoding(0), encoding(2));
    assert_ne!(one.wtxid(), other.wtxid());
    assert_eq!(one.size_bytes(), other.size_bytes());
    let block = |tx: VerifiedTx| world.opening(&sorted(&[fund.clone(), tx]), &[]).unwrap().header;
    assert_eq!(block(one), block(other));
    assert_eq!(witness(50, &digest).lock(), lock(50));
}

#[test]
fn a_closing_block_ends_with_the_boundary() {
    let mut world = World::default();
    let registration = world.registration(&[world.coin(0), world.coin(8)], 20);
    let registration = world.verified(registration);
    let first = world.open(&[registration]);
    assert_eq!((first.changes.closed_epoch, first.header.next_validators_hash), (None, first.header.validators_hash));
    let second = world.open(&[]);
    assert_eq!(second.changes.closed_epoch, None);
    let slashed = world.opening(&[], &[world.double_prepare(2)]).unwrap();
    assert_eq!(slashed.changes.closed_epoch, Some(Epoch::ZERO));
    world.advance(&slashed);
    let set = &world.state.validators;
    assert_eq!(set.hash(), slashed.header.next_validators_hash);
    assert_eq!(slashed.header.validators_hash, world.state.signers.hash());
    assert!(set.get(&key(2)).is_none() && set.get(&key(20)).is_some(), "slashed ones go, the queue moves up");
    assert_eq!(world.state.child_epoch(&world.chain), Epoch::new(1));
    let next = world.open(&[]);
    assert_eq!(next.header.validators_hash, slashed.header.next_validators_hash);
    assert_eq!(next.changes.state.signers.len(), 4);
}

#[test]
fn any_change_to_an_executed_header_is_found() {
    let mut world = World::default();
    world.open(&[]);
    let executed = world.opening(&[world.pay(&[world.coin(0)], &[1])], &[]).unwrap();
    assert_eq!(executed.check(&executed.header), Ok(()));
    assert_eq!(executed.header.hash(), executed.hash);
    let mutations: BTreeMap<&str, fn(&mut Header)> = BTreeMap::from([
        ("version", (|h| h.version += 1) as fn(&mut Header)),
        ("chain_id", |h| h.chain_id.0[0] ^= 1),
        ("height", |h| h.height = h.height.next()),
        ("slot", |h| h.slot = h.slot.next()),
        ("opened", |h| h.opened += 1),
        ("prev", |h| h.prev.0[0] ^= 1),
        ("tx_root", |h| h.tx_root.0[0] ^= 1),
        ("tx_count", |h| h.tx_count += 1),
        ("state_root", |h| h.state_root.0[31] ^= 1),
        ("last_commit_root", |h| h.last_commit_root.0[0] ^= 1),
        ("evidence_root", |h| h.evidence_root.0[0] ^= 1),
        ("validators_hash", |h| h.validators_hash.0[0] ^= 1),
        ("next_validators_hash", |h| h.next_validators_hash.0[0] ^= 1),
        ("beacon", |h| h.beacon.0[0] ^= 1),
        ("proposer", |h| h.proposer.0[0] ^= 1),
        ("reward", |h| h.reward = Amount::new(h.reward.get() - 1)),
    ]);
    assert_eq!(mutations.len(), 16, "one for each field");
    for (field, mutate) in mutations {
        let mut header = executed.header.clone();
        mutate(&mut header);
        assert_eq!(executed.check(&header), Err(BlockError::HeaderDiffers { field }));
    }
}
