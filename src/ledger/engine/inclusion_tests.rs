//! Assembling a block and judging what one leaves out.

use super::tests::{NOW, commit, ledger_of};
use super::*;
use crate::ledger::testing::{Coin, World, output, sorted};
use crate::types::number::TimeMs;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn ids(txs: &[VerifiedTx]) -> BTreeSet<Txid> {
    txs.iter().map(|tx| tx.txid()).collect()
}

fn bytes(txs: &[VerifiedTx]) -> u64 {
    txs.iter().map(|tx| u64::from(tx.size_bytes())).sum()
}

/// A chain of `length` payments, each spending the one before.
fn dependent(world: &World, length: u32) -> Vec<VerifiedTx> {
    let mut chain = vec![world.pay(&[world.coin(0)], &[0])];
    for _ in 1..length {
        let last = chain.last().unwrap();
        chain.push(world.pay(&[output(last, 0, 0)], &[0]));
    }
    chain
}

#[test]
fn a_block_takes_only_what_is_certified_oldest_first_as_far_as_it_fits() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let txs: Vec<VerifiedTx> = (0..6).map(|i| world.pay(&[world.coin(i)], &[1])).collect();
    ledger.submit(NOW, txs[0].clone());
    for (i, tx) in txs.iter().enumerate().skip(1) {
        ledger.set_certified(NOW.plus(100 - i as u64), tx.clone());
    }
    assert_eq!(ledger.assemble(u64::MAX), sorted(&txs[1..]));
    let size = u64::from(txs[1].size_bytes());
    assert_eq!(ledger.assemble(2 * size), sorted(&txs[4..]), "the oldest certificates");
    assert_eq!(ledger.assemble(2 * size - 1), [txs[5].clone()]);
    assert_eq!(ledger.includable_bytes(u64::MAX), 5 * size);
    assert_eq!(ledger.includable_bytes(size + 1), 2 * size, "counting stops when there is enough");
}

#[test]
fn a_block_takes_dependent_payments_with_their_ancestors() {
    let mut world = World::default();
    let mut ledger = ledger_of(&world);
    let chain = dependent(&world, 5);
    // Certificates arrive children first.
    for (delay, tx) in chain.iter().rev().enumerate() {
        ledger.set_certified(NOW.plus(delay as u64), tx.clone());
    }
    let size = u64::from(chain[0].size_bytes());
    assert_eq!(ledger.assemble(3 * size), sorted(&chain[..3]));
    let block = ledger.assemble(u64::MAX);
    assert_eq!(block, sorted(&chain));
    commit(&mut world, &mut ledger, &block);
    assert_eq!(ledger.entries().count(), 0);
}

#[test]
fn a_payment_whose_ancestor_is_not_certified_waits() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let chain = dependent(&world, 3);
    ledger.submit(NOW, chain[0].clone());
    ledger.set_certified(NOW, chain[1].clone());
    ledger.set_certified(NOW, chain[2].clone());
    assert!(ledger.assemble(u64::MAX).is_empty());
    assert_eq!(ledger.left_out(TimeMs(u64::MAX), &BTreeSet::new(), 0), None);
    ledger.set_certified(NOW, chain[0].clone());
    assert_eq!(ledger.assemble(u64::MAX), sorted(&chain));
}

#[test]
fn what_was_certified_longer_than_the_grace_is_not_left_out_while_it_fits() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let txs: Vec<VerifiedTx> = (0..3).map(|i| world.pay(&[world.coin(i)], &[1])).collect();
    for (i, tx) in txs.iter().enumerate() {
        ledger.set_certified(NOW.plus(1_000 * i as u64), tx.clone());
    }
    let grace = world.chain.inclusion_grace_ms;
    let none = BTreeSet::new();
    assert_eq!(ledger.left_out(NOW.plus(grace), &none, 0), None, "not longer yet");
    let later = NOW.plus(grace + 1);
    assert_eq!(ledger.left_out(later, &none, 0), Some(txs[0].txid()));
    assert_eq!(ledger.left_out(later, &ids(&txs[..1]), 0), None, "the second one's grace lasts");
    let much_later = NOW.plus(grace + 1_001);
    assert_eq!(ledger.left_out(much_later, &ids(&txs[..1]), 0), Some(txs[1].txid()));
    let room = u64::from(txs[1].size_bytes());
    let full = world.chain.max_block_bytes - room;
    assert_eq!(ledger.left_out(much_later, &ids(&txs[..1]), full), Some(txs[1].txid()));
    assert_eq!(ledger.left_out(much_later, &ids(&txs[..1]), full + 1), None, "it no longer fits");
}

#[test]
fn what_a_block_cannot_take_in_is_not_left_out() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let coin = world.coin(0);
    let (one, rival) = (world.pay(&[coin], &[1]), world.pay(&[coin], &[2]));
    ledger.set_certified(NOW, one.clone());
    ledger.set_certified(NOW, rival.clone());
    let late = TimeMs(u64::MAX);
    assert!(ledger.left_out(late, &BTreeSet::new(), 0).is_some());
    assert_eq!(ledger.left_out(late, &ids(&[one]), 0), None);
    assert_eq!(ledger.left_out(late, &ids(&[rival]), 0), None);
}

#[test]
fn the_first_ancestor_left_out_is_named() {
    let world = World::default();
    let mut ledger = ledger_of(&world);
    let chain = dependent(&world, 3);
    for tx in &chain {
        ledger.set_certified(NOW, tx.clone());
    }
    let late = TimeMs(u64::MAX);
    assert_eq!(ledger.left_out(late, &BTreeSet::new(), 0), Some(chain[0].txid()));
    assert_eq!(ledger.left_out(late, &ids(&chain[..1]), 0), Some(chain[1].txid()));
    assert_eq!(ledger.left_out(late, &ids(&chain), 0), None);
}

#[test]
fn of_two_final_registrations_of_a_key_the_lower_txid_is_valid_in_whatever_order_they_came() {
    let world = World::default();
    let mut both = [0, 8].map(|i| world.verified(world.registration(&[world.coin(i)], 20)));
    both.sort_by_key(|tx| tx.txid());
    for order in [[0, 1], [1, 0]] {
        let mut ledger = ledger_of(&world);
        both.iter().for_each(|tx| ledger.set_certified(NOW, tx.clone()));
        for i in order {
            ledger.set_final(NOW, &both[i].txid());
            check_pool(&ledger);
        }
        let valid = both.iter().map(|tx| ledger.entry(&tx.txid()).unwrap().valid);
        assert_eq!(valid.collect::<Vec<_>>(), [true, false], "{order:?}");
    }
}

/// What a random history does to one of its transactions.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit,
    Certify,
    Finalize,
    Block,
}

fn steps() -> impl Strategy<Value = Vec<(Step, prop::sample::Index, u64)>> {
    let step = prop_oneof![
        4 => Just(Step::Submit),
        4 => Just(Step::Certify),
        2 => Just(Step::Finalize),
        1 => Just(Step::Block),
    ];
    prop::collection::vec((step, any::<prop::sample::Index>(), 0..3_000u64), 1..60)
}

/// Payments over a few coins: rivals, dependent ones, large ones, registrations of one key.
fn payments(world: &World, shape: &[(prop::sample::Index, u64)]) -> Vec<VerifiedTx> {
    let mut coins: Vec<Coin> = (0..4).map(|i| world.coin(i)).collect();
    let mut txs = Vec::new();
    for (pick, outputs) in shape {
        let coin = *pick.get(&coins);
        if coin.value < 500_000_000_000 {
            continue;
        }
        let tx = match outputs % 7 {
            0 => world.verified(world.registration(&[coin], 20 + outputs % 2)),
            n => {
                let to: Vec<u64> = (0..n * n).map(|n| n % 8).collect();
                world.pay_with_fee(&[coin], &to, *outputs)
            }
        };
        let owner = if outputs % 7 == 0 { coin.owner } else { 0 };
        coins.push(output(&tx, 0, owner));
        txs.push(tx);
    }
    txs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_assembled_block_is_valid_and_leaves_nothing_out(
        shape in prop::collection::vec((any::<prop::sample::Index>(), 1..60u64), 1..40),
        steps in steps(),
        limit in 0..20_000u64,
    ) {
        let mut world = World::default();
        let mut ledger = ledger_of(&world);
        let txs = payments(&world, &shape);
        prop_assume!(!txs.is_empty());
        let mut now = NOW;
        for (step, pick, delay) in steps {
            now = now.plus(delay);
            let tx = pick.get(&txs).clone();
            match step {
                Step::Submit => {
                    ledger.submit(now, tx);
                }
                Step::Certify => ledger.set_certified(now, tx),
                // What honest masternodes do: one of several rivals becomes final.
                Step::Finalize => {
                    let alone = ledger.rivals(&tx.txid()).iter().all(|rival| {
                        ledger.entry(rival).is_some_and(|entry| entry.stage < Stage::Certified)
                    });
                    if alone {
                        ledger.set_final(now, &tx.txid()).into_iter().for_each(|tx| { ledger.submit(now, tx); });
                    }
                }
                Step::Block => {
                    let block = ledger.assemble(world.chain.max_block_bytes);
                    let executed = world.opening(&block, &[]).unwrap();
                    world.advance(&executed);
                    let committed = ledger.commit(now, executed.changes.clone()).unwrap();
                    ledger.flushed(executed.changes.height);
                    committed.retry.into_iter().for_each(|tx| { ledger.submit(now, tx); });
                }
            }
            check_pool(&ledger);
        }
        let block = ledger.assemble(world.chain.max_block_bytes);
        prop_assert!(bytes(&block) <= world.chain.max_block_bytes);
        prop_assert_eq!(&block, &sorted(&block));
        prop_assert!(world.opening(&block, &[]).is_ok());
        let left_out = ledger.left_out(TimeMs(u64::MAX), &ids(&block), bytes(&block));
        prop_assert_eq!(left_out, None);
        // With less room, as evidence leaves it, the same holds.
        let smaller = ledger.assemble(limit);
        let evidence_bytes = world.chain.max_block_bytes - limit;
        let used = bytes(&smaller) + evidence_bytes;
        prop_assert_eq!(ledger.left_out(TimeMs(u64::MAX), &ids(&smaller), used), None);
    }
}

/// What was judged when something changed is what judging everything now would say.
fn check_pool(ledger: &Ledger) {
    for (txid, entry) in ledger.entries() {
        let verdict = ledger.judge().judge(&entry.tx);
        let valid = matches!(verdict, crate::ledger::judge::Verdict::Valid(_));
        assert_eq!(entry.valid, valid, "{txid:?} at {:?}: {verdict:?}", entry.stage);
        assert!(valid || entry.stage >= Stage::Certified, "{txid:?} is kept though it is not valid");
        // What was once known of a fee stays known, though a parent may be gone.
        let fee = ledger.judge().block_fee(&entry.tx).or(entry.fee);
        assert_eq!(entry.fee, fee, "{txid:?}");
    }
    let certified = ledger.entries().filter(|(_, entry)| entry.certified_at.is_some());
    let bytes: u64 = certified.map(|(_, entry)| u64::from(entry.tx.size_bytes())).sum();
    assert_eq!(ledger.certified_bytes(), bytes);
}
