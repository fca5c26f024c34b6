//! M1 to M4.

use crate::history::{COIN, History, secret};
use crate::invariants::membership::{Members, boundary_faults};
use crate::invariants::registry::{Record, Registry, Standing};
use crate::invariants::report::Report;
use crate::oracle::Heard;
use std::collections::BTreeSet;
use timed::chain::spec::ChainSpec;
use timed::types::hash::{MasternodeId, Txid};
use timed::types::keys::PublicKey;
use timed::types::lock::Lock;
use timed::types::transaction::{OutPoint, Payload};

fn only(invariant: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from([invariant])
}

#[test]
fn m1_an_honest_key_signs_for_a_set_it_has_left() {
    let mut history = History::new();
    let masternode = history.state.registry.by_key(&history.key(0)).unwrap().id;
    let payload = Payload::Unregister { masternode };
    let leave = history.spend(history.coin(0), vec![COIN - 200_000], payload, 0, &[&secret(1)]);
    history.slot(&[leave]);
    history.slot(&[]);
    assert_eq!(history.fired(), BTreeSet::new(), "{:#?}", history.oracle.violations());
    assert_eq!(history.state.validators.len(), 3);
    let mut on_payments = History::new();
    std::mem::swap(&mut on_payments, &mut history);
    // All the honest sign, who has left too.
    let (block, executed) = on_payments.build(1, &[], &[]);
    on_payments.commit(&block, &executed);
    assert_eq!(on_payments.fired(), only("M1"));
    let texts: Vec<_> = on_payments.oracle.violations().iter().map(|v| v.text.clone()).collect();
    let leaver = format!("{:?}", on_payments.key(0));
    assert!(texts.iter().all(|text| text.starts_with(&leaver)), "{texts:#?}");
    // Votes on payments are no better.
    let before = on_payments.oracle.counts().violations;
    let payment = on_payments.pay(on_payments.coin(1), COIN, 1);
    on_payments.finalize(&[payment]);
    assert!(on_payments.oracle.counts().violations > before);
    assert!(on_payments.oracle.violations().iter().any(|v| v.text.contains("in epoch 1")));
}

#[test]
fn m4_evidence_without_a_punishment() {
    let mut history = History::new();
    history.slot(&[]);
    let evidence = history.double_precommit(3, 1);
    // Said by a Byzantine node to one that cannot judge it yet, it binds nobody.
    history.oracle.hear(0, Heard::Evidence(&evidence));
    (0..3).for_each(|_| history.slot(&[]));
    history.oracle.check_punished(2);
    assert_eq!(history.fired(), BTreeSet::new());
    history.oracle.tell_evidence(&evidence);
    (0..2).for_each(|_| history.slot(&[]));
    history.oracle.check_punished(2);
    assert_eq!(history.fired(), BTreeSet::new(), "two blocks it may take");
    history.slot(&[]);
    history.oracle.check_punished(2);
    assert_eq!(history.fired(), only("M4"));
}

#[test]
fn m4_is_silent_once_the_block_with_the_evidence_is_there() {
    let mut history = History::new();
    history.slot(&[]);
    let evidence = history.double_precommit(3, 1);
    history.oracle.tell_evidence(&evidence);
    history.slot(&[]);
    let (block, executed) = history.build(1, &[], &[evidence]);
    history.commit(&block, &executed);
    (0..3).for_each(|_| history.slot(&[]));
    history.oracle.check_punished(2);
    assert_eq!(history.fired(), BTreeSet::new(), "{:#?}", history.oracle.violations());
    assert_eq!(history.oracle.replay().members().tally().slowest_punishment, 2);
}

const EPOCH: u64 = 7;

/// Three epochs of unbonding, a third may move.
fn spec() -> ChainSpec {
    let spec = ChainSpec::builtin("dev").unwrap();
    assert_eq!((spec.unbonding_epochs, spec.churn_bps), (3, 3_333));
    spec
}

/// A masternode all of whose names are `n`.
fn record(n: u8, weight: u64, queued_at: u64, standing: Standing) -> Record {
    Record {
        id: MasternodeId([n; 32]),
        key: PublicKey([n; 32]),
        owner: Lock::KeyHash([n; 32]),
        payout: Lock::KeyHash([n; 32]),
        endpoint: String::new(),
        collateral: OutPoint { txid: Txid([n; 32]), index: 0 },
        value: 1_000,
        weight,
        queued_at,
        standing,
        slashed: false,
    }
}

fn registry(records: &[Record]) -> Registry {
    let mut registry = Registry::default();
    records.iter().for_each(|record| registry.insert(record.clone()));
    registry
}

#[test]
fn m3_a_collateral_comes_back_after_the_unbonding_and_not_before() {
    let records = registry(&[record(1, 10, 0, Standing::Active)]);
    let collateral = records.records()[0].collateral;
    let spent_in = |epoch: u64| {
        let (mut members, mut report) = (Members::default(), Report::default());
        members.begin_epoch(4, &records);
        members.spend(&spec(), epoch, &collateral, &mut report);
        report.kept().iter().map(|v| v.invariant).collect::<Vec<_>>()
    };
    assert_eq!(spent_in(7), ["M3"], "three whole epochs after the fourth");
    assert!(spent_in(8).is_empty());
    // What a punishment left of it waits as long.
    let (mut members, mut report) = (Members::default(), Report::default());
    members.begin_epoch(4, &records);
    let left = OutPoint { txid: Txid([9; 32]), index: 0 };
    members.punish(&records.records()[0].key, 60, &collateral, left);
    members.spend(&spec(), 7, &left, &mut report);
    assert_eq!(report.total(), 1);
}

/// What the boundary says of `after`, made of `before`, of which a set of weight 60 signs the last block.
fn faults(before: &[Record], change: &[(u8, Option<Standing>)]) -> Vec<String> {
    let mut after = before.to_vec();
    for (n, standing) in change {
        let place = after.iter().position(|r| r.id.0[0] == *n).unwrap();
        match standing {
            Some(standing) => after[place].standing = *standing,
            None => drop(after.remove(place)),
        }
    }
    boundary_faults(&spec(), (EPOCH, 60), &registry(before), &registry(&after))
}

const OUT: Option<Standing> = Some(Standing::Unbonding(EPOCH + 1 + 3));
const IN: Option<Standing> = Some(Standing::Active);

/// Six members of weight 10, so that 19 may move; two of them leave, two others wait to enter.
fn crowd() -> Vec<Record> {
    let standing = |n| if n < 5 { Standing::Active } else { Standing::Leaving };
    let mut all: Vec<Record> = (1..=6).map(|n| record(n, 10, 40 - u64::from(n), standing(n))).collect();
    all.extend([record(7, 10, 20, Standing::Queued), record(8, 5, 30, Standing::Queued)]);
    all
}

#[test]
fn m2_a_boundary_by_the_rules_is_silent() {
    // 6 asked before 5; a second one of 10 is too many.
    assert_eq!(faults(&crowd(), &[(6, OUT)]), [] as [&str; 0]);
    let mut no_leavers = crowd();
    no_leavers[4].standing = Standing::Active;
    no_leavers[5].standing = Standing::Active;
    assert_eq!(faults(&no_leavers, &[(7, IN), (8, IN)]), [] as [&str; 0]);
    // One may always move.
    let mut heavy = no_leavers.clone();
    heavy[6].weight = 1_000;
    assert_eq!(faults(&heavy, &[(7, IN)]), [] as [&str; 0]);
    // Who was punished goes besides.
    let mut punished = crowd();
    punished[0].slashed = true;
    punished[7].slashed = true;
    assert_eq!(faults(&punished, &[(1, OUT), (8, OUT), (6, OUT)]), [] as [&str; 0]);
    // The last one stays.
    let alone = [record(1, 60, 3, Standing::Leaving), record(2, 10, 9, Standing::Queued)];
    assert_eq!(faults(&alone, &[(2, IN)]), [] as [&str; 0]);
}

#[test]
fn m2_each_way_to_break_a_boundary_shows() {
    let says = |faults: Vec<String>, text: &str| {
        assert!(faults.iter().any(|fault| fault.contains(text)), "not {text:?}: {faults:#?}");
    };
    says(faults(&crowd(), &[(5, OUT), (6, OUT)]), "20 of 60 moved");
    says(faults(&crowd(), &[(5, OUT)]), "overtook");
    says(faults(&crowd(), &[]), "waits though 0 moved");
    says(faults(&crowd(), &[(6, OUT), (8, IN)]), "entered while somebody waits to leave");
    let mut few = crowd();
    few.drain(4..6);
    says(faults(&few, &[(8, IN)]), "overtook");
    says(faults(&few, &[(7, IN)]), "waits though 10 moved");
    says(faults(&few, &[(7, IN), (8, IN), (1, OUT)]), "had to go");
    says(faults(&few, &[(7, IN), (8, OUT)]), "became");
    let mut punished = crowd();
    punished[0].slashed = true;
    says(faults(&punished, &[(6, OUT)]), "slashed: true");
    says(faults(&crowd(), &[(6, Some(Standing::Unbonding(EPOCH + 3)))]), "became");
    let mut unbonding = crowd();
    unbonding.push(record(9, 10, 1, Standing::Unbonding(EPOCH + 1)));
    unbonding.push(record(10, 10, 1, Standing::Unbonding(EPOCH + 2)));
    says(faults(&unbonding, &[(6, OUT)]), "became");
    says(faults(&unbonding, &[(6, OUT), (9, None), (10, None)]), "became");
    let alone = [record(1, 60, 3, Standing::Leaving)];
    says(faults(&alone, &[(1, OUT)]), "nobody is left");
}
