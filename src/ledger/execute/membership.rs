//! Properties of chains on which masternodes come, go and are punished, and what coinbases pay to whom.

use super::*;
use crate::chain::genesis::state_entry;
use crate::crypto::lthash::LtHash;
use crate::ledger::testing::{Coin, World, consensus, lock, output, secret, sorted, spec};
use crate::types::lock::{Lock, Witness};
use crate::types::transaction::{Update, sighash};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Something that changes the registry, or not; keys are of the first eight.
#[derive(Clone, Debug)]
enum Deed {
    Register(u64),
    Unregister(u64),
    Update(u64),
    Pay,
}

/// A block: what it archives, whom it punishes, who is silent in its commit, whether it overflows if it can.
#[derive(Clone, Debug)]
struct Plan {
    deeds: Vec<Deed>,
    punished: BTreeSet<u64>,
    silent: Option<u64>,
    overflows: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let key = 0u64..8;
    let deed = prop_oneof![
        3 => key.clone().prop_map(Deed::Register),
        2 => key.clone().prop_map(Deed::Unregister),
        1 => key.clone().prop_map(Deed::Update),
        2 => Just(Deed::Pay),
    ];
    let punished = prop_oneof![3 => Just(BTreeSet::new()), 1 => prop::collection::btree_set(key.clone(), 1..3)];
    (prop::collection::vec(deed, 0..6), punished, prop::option::of(key), any::<bool>())
        .prop_map(|(deeds, punished, silent, overflows)| Plan { deeds, punished, silent, overflows })
}

/// A transaction for `deed` that a coin pays for; what it leaves goes back to `coins`, but for collaterals.
fn transaction(world: &World, coins: &mut Vec<Coin>, deed: &Deed) -> Option<VerifiedTx> {
    let id = |key: u64| world.state.registry.by_key(&consensus(key).public_key()).map(|m| (m.id, m.owner));
    let owner = |lock_of: Lock| (0..8).find(|n| lock(*n) == lock_of);
    let coin = coins.pop()?;
    let (payload, authority) = match deed {
        Deed::Register(key) => {
            // The whole coin is bound.
            return Some(world.verified(world.registration(&[coin], *key)));
        }
        Deed::Unregister(key) => {
            let (masternode, of) = id(*key)?;
            (Payload::Unregister { masternode }, owner(of))
        }
        Deed::Update(key) => {
            let (masternode, of) = id(*key)?;
            (Payload::Update(Update { masternode, payout: Some(lock(50 + key)), endpoint: None }), owner(of))
        }
        Deed::Pay => (Payload::Transfer, None),
    };
    let mut draft = world.draft(&[coin], &[coin.owner], payload, 0);
    // Room for the owner's witness.
    draft.body.outputs[0].value = Amount::new(draft.body.outputs[0].value.get() - 100_000);
    draft.signers.extend(authority.filter(|n| *n != coin.owner));
    let tx = world.verified(draft);
    coins.insert(0, output(&tx, 0, coin.owner));
    Some(tx)
}

/// What the chain's state says of the sum of all unspent outputs, of their hash, and of collaterals.
fn assert_sound(world: &World, header: &Header) {
    let (utxos, state) = (world.store.utxos(), &world.state);
    let sum = Amount::checked_sum(utxos.values().map(|utxo| utxo.out.value)).unwrap();
    assert_eq!(sum, state.supply, "the supply is what is unspent");
    let mut hash = LtHash::default();
    utxos.iter().for_each(|(at, utxo)| hash.add(&state_entry(at, &utxo.out, utxo.created)));
    assert_eq!(hash, state.utxo_hash);
    assert_eq!(state_root(&hash, &state.registry, state.supply, state.accrued_fees), header.state_root);
    for record in state.registry.iter() {
        let bound = utxos.get(&record.collateral).map(|utxo| utxo.out);
        assert_eq!(bound, Some(TxOut { value: record.value, lock: record.owner }), "its collateral is there");
    }
    assert!(!state.validators.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn supply_collaterals_and_sets_hold_whatever_masternodes_do(
        churn_bps in prop::sample::select(vec![0, 3_333, 10_000]),
        slash_bps in prop::sample::select(vec![0, 1_000, 10_000]),
        plans in prop::collection::vec(plan(), 1..16),
    ) {
        let mut world = World::of(ChainSpec { churn_bps, slash_bps, unbonding_epochs: 1, epoch_slots: 2, ..spec() });
        let mut coins: Vec<Coin> = (0..40).map(|i| world.coin(i)).collect();
        let mut expected = u128::from(world.state.supply.get());
        for plan in plans {
            let txs: Vec<VerifiedTx> =
                plan.deeds.iter().filter_map(|deed| transaction(&world, &mut coins, deed)).collect();
            let txs = sorted(&txs);
            let can_be = |n: &u64| world.state.registry.can_be_slashed(&consensus(*n).public_key());
            let mut evidence: Vec<_> = plan.punished.iter().copied().filter(can_be).map(|n| world.double_prepare(n)).collect();
            evidence.sort_by_key(|piece| piece.hash());
            let overflow = (plan.overflows && evidence.is_empty()).then(|| world.overflow(&txs).ok()).flatten();
            let block = overflow.unwrap_or_else(|| world.opening(&txs, &evidence).unwrap());

            let minted = block.coinbase.iter().flat_map(|tx| &tx.body.outputs).map(|out| u128::from(out.value.get()));
            let minted: u128 = minted.sum();
            prop_assert!(minted <= u128::from(block.header.reward.get()), "no coinbase exceeds subsidy and fees");
            let taken: u128 = plan.punished.iter().copied().filter(can_be).map(|n| {
                let value = world.state.registry.by_key(&consensus(n).public_key()).unwrap().value;
                u128::from(value.get() - world.chain.value_after_slashing(value).get())
            }).sum();
            prop_assert_eq!(u128::from(block.changes.slashed.get()), taken);
            expected = expected + minted - u128::from(block.changes.fees.get()) - taken;

            let before = world.state.validators.hash();
            let silent = plan.silent.map(|n| consensus(n).public_key()).filter(|key| {
                let set = &world.state.validators;
                set.total().checked_sub(set.weight(key)).is_some_and(|rest| rest.is_quorum_of(set.total()))
            });
            world.advance_without(&block, &silent.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(u128::from(world.state.supply.get()), expected, "the supply equation");
            assert_sound(&world, &block.header);
            match block.changes.closed_epoch {
                Some(_) => {
                    let members = world.state.registry.iter().filter(|m| m.is_member()).count();
                    prop_assert_eq!(world.state.validators.len(), members);
                }
                None => prop_assert_eq!(world.state.validators.hash(), before, "a set is fixed for its epoch"),
            }
        }
    }
}

/// The value of what a coinbase pays to `lock`, and where.
fn paid(block: &Executed, lock: Lock) -> Option<(OutPoint, u64)> {
    let coinbase = HashedTx::new(block.coinbase.clone()?);
    coinbase.outputs().find(|(_, out)| out.lock == lock).map(|(at, out)| (at, out.value.get()))
}

#[test]
fn a_coinbase_pays_less_than_min_output_and_leaves_out_who_earned_less_than_a_unit() {
    let mut spec = spec();
    spec.reward.base = Amount::new(1_000);
    assert!(spec.min_output > spec.reward.base);
    let mut world = World::of(spec);
    world.open(&[]);
    let block = world.open(&[]);
    // Three of gold and one of bronze: it earned a three-hundredth of less than 1,700 units, and did not propose.
    let reward = block.header.reward.get();
    let parts: Vec<Option<u64>> = (0..4).map(|n| paid(&block, lock(100 + n)).map(|(_, value)| value)).collect();
    let (for_proposing, total) = (reward / 10, 3_010u128);
    let earned = |weight: u128| (u128::from(reward - for_proposing) * weight / total) as u64;
    assert_eq!(parts[0], Some(for_proposing + earned(1_000)), "the proposer");
    assert_eq!(parts[1..], [Some(earned(1_000)), Some(earned(1_000)), Some(earned(10))]);
    assert!(earned(10) > 0 && earned(1_000) < world.chain.min_output.get());

    let mut spec = super::super::testing::spec();
    spec.reward.base = Amount::new(100);
    let mut world = World::of(spec);
    world.open(&[]);
    let block = world.open(&[]);
    assert_eq!(paid(&block, lock(103)), None, "less than a unit is nothing");
    assert_eq!(block.coinbase.as_ref().unwrap().body.outputs.len(), 3);
    // The dust is as good as anything else together with a coin.
    let (dust, value) = paid(&block, lock(101)).unwrap();
    let both = [world.coin(0), Coin { outpoint: dust, value, owner: 101 }];
    let spend = world.pay(&both, &[1]);
    world.open(&[spend]);
    assert_eq!(world.store.utxo(&dust), None);
}

#[test]
fn a_payout_can_be_shared_by_several_keys() {
    let keys: Vec<PublicKey> = {
        let mut keys: Vec<PublicKey> = (50..53).map(|n| secret(n).public_key()).collect();
        keys.sort();
        keys
    };
    let shared = Lock::of_keys(2, &keys);
    let mut spec = spec();
    spec.masternodes[1].payout = shared;
    let mut world = World::of(spec);
    world.open(&[]);
    let block = world.open(&[]);
    let (outpoint, value) = paid(&block, shared).unwrap();
    let coin = Coin { outpoint, value, owner: 50 };
    let draft = world.draft(&[coin], &[2], Payload::Transfer, 100_000);
    let digest = sighash(&world.chain.id(), &draft.body.txid());
    let sign = |key: &PublicKey| (50..53).map(secret).find(|s| s.public_key() == *key).unwrap().sign(&digest);
    let signatures = keys.iter().enumerate().map(|(i, key)| (i > 0).then(|| sign(key))).collect();
    let witnesses = vec![Witness::Multi { threshold: 2, keys: keys.clone(), signatures }];
    let tx = world.verifier.transaction(HashedTx::new(Transaction { body: draft.body, witnesses })).unwrap();
    world.open(&[tx]);
    assert_eq!(world.store.utxo(&outpoint), None);
}
