//! Properties of random chains of blocks.

use crate::chain::genesis::{state_entry, state_root};
use crate::crypto::lthash::LtHash;
use crate::ledger::VerifiedTx;
use crate::ledger::execute::BlockError;
use crate::ledger::testing::{Coin, World, consensus, output, sorted};
use crate::ledger::utxo::Utxo;
use crate::types::number::Amount;
use crate::types::verified::Verified;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One transaction of a random block: which coins it spends, how many outputs it makes, what it pays extra.
#[derive(Clone, Debug)]
struct Move {
    coins: Vec<prop::sample::Index>,
    outputs: u64,
    extra: u64,
}

fn a_move() -> impl Strategy<Value = Move> {
    let coins = prop::collection::vec(any::<prop::sample::Index>(), 1..3);
    (coins, 1..4u64, 0..1_000_000u64).prop_map(|(coins, outputs, extra)| Move { coins, outputs, extra })
}

/// A block: its transactions, who is silent in its commit, whom it punishes.
type Plan = (Vec<Move>, Option<u64>, Option<u64>);

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (prop::collection::vec(a_move(), 0..8), prop::option::of(0..4u64), prop::option::weighted(0.2, 0..4u64));
    prop::collection::vec(plan, 1..8)
}

/// Makes transactions of `moves`; later ones may spend outputs of earlier ones.
fn transactions(world: &World, coins: &mut Vec<Coin>, moves: &[Move]) -> Vec<VerifiedTx> {
    let mut txs = Vec::new();
    for Move { coins: picks, outputs, extra } in moves {
        let mut spent: Vec<Coin> = Vec::new();
        for pick in picks {
            if !coins.is_empty() {
                spent.push(coins.swap_remove(pick.index(coins.len())));
            }
        }
        if spent.iter().map(|coin| coin.value).sum::<u64>() < 10_000_000 {
            continue;
        }
        let to: Vec<u64> = (0..*outputs).map(|n| (n + spent[0].owner) % 8).collect();
        let tx = world.pay_with_fee(&spent, &to, *extra);
        coins.extend(to.iter().zip(0..).map(|(owner, index)| output(&tx, index, *owner)));
        txs.push(tx);
    }
    txs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_state_equals_one_computed_from_scratch_and_value_is_conserved(plans in plans()) {
        let mut world = World::default();
        let mut coins: Vec<Coin> = (0..12).map(|i| world.coin(i)).collect();
        let mut expected = u128::from(world.state.supply.get());
        let mut slashed = BTreeSet::new();
        for (moves, silent, punished) in plans {
            let txs = transactions(&world, &mut coins, &moves);
            let evidence: Vec<Verified<_>> = punished
                .filter(|n| {
                    let key = consensus(*n).public_key();
                    world.state.registry.can_be_slashed(&key) && slashed.insert(*n)
                })
                .map(|n| world.double_prepare(n))
                .into_iter()
                .collect();
            let block = world.opening(&sorted(&txs), &evidence).unwrap();
            let minted = block.coinbase.iter().flat_map(|tx| &tx.body.outputs).map(|out| u128::from(out.value.get()));
            expected += minted.sum::<u128>();
            expected -= u128::from(block.changes.fees.get()) + u128::from(block.changes.slashed.get());
            let silent = silent.map(|n| consensus(n).public_key()).filter(|key| {
                let set = &world.state.validators;
                set.total().checked_sub(set.weight(key)).is_some_and(|rest| rest.is_quorum_of(set.total()))
            });
            let silent: Vec<_> = silent.into_iter().collect();
            world.advance_without(&block, &silent);

            prop_assert_eq!(u128::from(world.state.supply.get()), expected, "the supply equation");
            let utxos = world.store.utxos();
            let sum = Amount::checked_sum(utxos.values().map(|utxo| utxo.out.value)).unwrap();
            prop_assert_eq!(sum, world.state.supply, "the supply is what is unspent");
            let mut hash = LtHash::default();
            utxos.iter().for_each(|(at, utxo)| hash.add(&state_entry(at, &utxo.out, utxo.created)));
            prop_assert_eq!(&hash, &world.state.utxo_hash);
            let root = state_root(&hash, &world.state.registry, world.state.supply, world.state.accrued_fees);
            prop_assert_eq!(root, block.header.state_root);
        }
    }

    #[test]
    fn a_block_is_valid_as_a_set_and_one_after_the_other(moves in prop::collection::vec(a_move(), 1..12)) {
        let world = World::default();
        let mut coins: Vec<Coin> = (0..6).map(|i| world.coin(i)).collect();
        let txs = transactions(&world, &mut coins, &moves);
        // Made parents first: an archive that takes them one by one agrees with the set.
        let mut utxos = world.store.utxos();
        let height = world.state.child_height();
        for tx in &txs {
            for outpoint in tx.inputs() {
                prop_assert!(utxos.remove(outpoint).is_some());
            }
            utxos.extend(tx.outputs().map(|(at, out)| (at, Utxo { out: *out, created: height })));
        }
        let block = world.opening(&sorted(&txs), &[]).unwrap();
        world.store.apply(&block.changes);
        prop_assert_eq!(world.store.utxos(), utxos);
    }

    #[test]
    fn a_block_with_one_transaction_too_many_is_refused(moves in prop::collection::vec(a_move(), 1..6), pick in any::<prop::sample::Index>()) {
        let world = World::default();
        let mut coins: Vec<Coin> = (0..6).map(|i| world.coin(i)).collect();
        let mut txs = transactions(&world, &mut coins, &moves);
        prop_assume!(!txs.is_empty());
        let spent = pick.get(&txs).inputs()[0];
        let owner = (0..6).map(|i| world.coin(i)).find(|coin| coin.outpoint == spent);
        prop_assume!(owner.is_some());
        txs.push(world.pay_with_fee(&[owner.unwrap()], &[7], 3));
        let refused = world.opening(&sorted(&txs), &[]);
        let found = matches!(refused, Err(BlockError::DoubleSpend { outpoint, .. }) if outpoint == spent);
        prop_assert!(found);
    }
}
