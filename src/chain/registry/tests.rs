mod model;

use super::*;
use crate::chain::spec::Chain;
use crate::types::keys::Signature;
use proptest::prelude::*;

const BRONZE: u64 = 100_000_000_000;
const SILVER: u64 = 1_000_000_000_000;
const GOLD: u64 = 10_000_000_000_000;
const EPOCH: Epoch = Epoch::new(7);

fn spec() -> ChainSpec {
    ChainSpec::dev(1, PublicKey([1; 32]), lock(1), Vec::new()).unwrap()
}

fn lock(byte: u8) -> Lock {
    Lock::KeyHash([byte; 32])
}

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn id(byte: u8) -> MasternodeId {
    MasternodeId([byte; 32])
}

/// A masternode all of whose names are `byte`.
fn record(byte: u8, value: u64, state: MasternodeState) -> Masternode {
    Masternode {
        id: id(byte),
        consensus_key: key(byte),
        owner: lock(byte),
        payout: lock(byte),
        endpoint: "mn.example:24000".into(),
        collateral: OutPoint { txid: Txid([byte; 32]), index: 0 },
        value: Amount::new(value),
        weight: spec().tier_for(Amount::new(value)).unwrap().weight,
        queued_at: Height::ZERO,
        state,
        slashed: false,
    }
}

fn registry(records: impl IntoIterator<Item = Masternode>) -> Registry {
    Registry::from_records(records).unwrap()
}

fn active(bytes: impl IntoIterator<Item = u8>) -> Registry {
    registry(bytes.into_iter().map(|byte| record(byte, BRONZE, MasternodeState::Active)))
}

fn state(registry: &Registry, byte: u8) -> Option<MasternodeState> {
    registry.get(&id(byte)).map(|m| m.state)
}

fn until(epoch: u64) -> Option<MasternodeState> {
    Some(MasternodeState::Unbonding { until_epoch: Epoch::new(epoch) })
}

fn body(value: u64, payload: Payload) -> TxBody {
    let outputs =
        vec![TxOut { value: Amount::new(1), lock: lock(100) }, TxOut { value: Amount::new(value), lock: lock(101) }];
    TxBody { version: 1, inputs: Vec::new(), outputs, payload, memo: Vec::new() }
}

fn registration(byte: u8, collateral_index: u32) -> Payload {
    Payload::Register(Register {
        consensus_key: key(byte),
        payout: lock(102),
        endpoint: "new.example:24000".into(),
        collateral_index,
        proof: Signature([0; 64]),
    })
}

fn apply(registry: &mut Registry, byte: u8, body: &TxBody) -> bool {
    registry.apply(&spec(), Height::new(90), EPOCH, Txid([byte; 32]), body)
}

fn unregister(registry: &mut Registry, byte: u8) -> bool {
    apply(registry, 200, &body(1, Payload::Unregister { masternode: id(byte) }))
}

fn boundary(registry: &mut Registry) {
    let total = registry.validators().unwrap().total();
    registry.boundary(&spec(), EPOCH, total);
}

#[test]
fn a_registration_queues_with_the_tier_its_collateral_reaches() {
    let mut registry = active([1]);
    assert!(apply(&mut registry, 9, &body(SILVER + 5, registration(2, 1))));
    let added = registry.by_key(&key(2)).unwrap();
    let expected = Masternode {
        id: id(9),
        consensus_key: key(2),
        owner: lock(101),
        payout: lock(102),
        endpoint: "new.example:24000".into(),
        collateral: OutPoint { txid: Txid([9; 32]), index: 1 },
        value: Amount::new(SILVER + 5),
        weight: Weight::new(100),
        queued_at: Height::new(90),
        state: MasternodeState::Queued,
        slashed: false,
    };
    assert_eq!(*added, expected);
    assert!(registry.is_collateral(&OutPoint { txid: Txid([9; 32]), index: 1 }));
    assert_eq!(registry.validators().unwrap().len(), 1, "a queued masternode is not in the set");
}

#[test]
fn a_registration_without_ground_has_no_effect() {
    let mut registry = active([1]);
    let before = registry.clone();
    for (why, payload, value) in [
        ("key taken", registration(1, 1), BRONZE),
        ("below every tier", registration(2, 1), BRONZE - 1),
        ("no such output", registration(2, 2), BRONZE),
        ("no such masternode", Payload::Unregister { masternode: id(5) }, BRONZE),
        ("no payload", Payload::Transfer, BRONZE),
    ] {
        assert!(!apply(&mut registry, 9, &body(value, payload)), "{why}");
        assert_eq!(registry, before, "{why}");
    }
    assert!(!registry.is_collateral(&OutPoint { txid: Txid([9; 32]), index: 1 }));
}

#[test]
fn a_key_is_taken_until_its_masternodes_unbonding_has_ended() {
    let mut registry = active([1, 2]);
    let again = body(BRONZE, registration(2, 1));
    unregister(&mut registry, 2);
    for closing in 7..11 {
        assert!(!apply(&mut registry.clone(), 9, &again), "epoch {closing}");
        assert!(registry.is_collateral(&OutPoint { txid: Txid([2; 32]), index: 0 }));
        registry.boundary(&spec(), Epoch::new(closing), Weight::new(20));
    }
    assert_eq!(state(&registry, 2), None);
    assert!(!registry.is_collateral(&OutPoint { txid: Txid([2; 32]), index: 0 }));
    assert!(apply(&mut registry, 9, &again));
}

#[test]
fn an_update_changes_what_it_names() {
    let mut registry = active([1]);
    let update = |payout, endpoint: Option<&str>| {
        body(1, Payload::Update(Update { masternode: id(1), payout, endpoint: endpoint.map(str::to_owned) }))
    };
    assert!(apply(&mut registry, 9, &update(Some(lock(50)), None)));
    assert_eq!(registry.get(&id(1)).unwrap().payout, lock(50));
    assert_eq!(registry.get(&id(1)).unwrap().endpoint, "mn.example:24000");
    assert!(apply(&mut registry, 9, &update(None, Some("other:1"))));
    assert_eq!(registry.get(&id(1)).unwrap().payout, lock(50));
    assert_eq!(registry.get(&id(1)).unwrap().endpoint, "other:1");
    assert!(!apply(&mut registry, 9, &update(Some(lock(51)), Some(&"x".repeat(256)))));
    assert_eq!(registry.get(&id(1)).unwrap().payout, lock(50));
}

#[test]
fn who_asks_to_leave_serves_until_a_boundary_and_who_waits_goes_straight_to_unbonding() {
    let mut registry =
        registry([record(1, BRONZE, MasternodeState::Active), record(2, BRONZE, MasternodeState::Active)]);
    apply(&mut registry, 9, &body(BRONZE, registration(3, 1)));
    assert!(unregister(&mut registry, 2));
    assert_eq!(state(&registry, 2), Some(MasternodeState::Leaving));
    assert_eq!(registry.get(&id(2)).unwrap().queued_at, Height::new(90));
    assert_eq!(registry.validators().unwrap().len(), 2);
    assert!(!unregister(&mut registry, 2), "asking again does not change the place in the line");
    assert!(unregister(&mut registry, 9));
    assert_eq!(state(&registry, 9), until(7 + 1 + 3));
    boundary(&mut registry);
    assert_eq!(state(&registry, 2), until(7 + 1 + 3));
    assert_eq!(state(&registry, 9), until(7 + 1 + 3));
    assert_eq!(registry.validators().unwrap().len(), 1);
}

#[test]
fn a_boundary_moves_leavers_then_the_queue_in_order_of_asking_within_the_churn() {
    // A third of 100 in weight: three of 10 move, the fourth waits.
    let mut records: Vec<Masternode> = (1..=12).map(|byte| record(byte, BRONZE, MasternodeState::Active)).collect();
    for (byte, state, height) in [
        (2, MasternodeState::Leaving, 30),
        (4, MasternodeState::Leaving, 20),
        (6, MasternodeState::Queued, 5),
        (8, MasternodeState::Queued, 4),
    ] {
        records[byte - 1].state = state;
        records[byte - 1].queued_at = Height::new(height);
    }
    let mut registry = registry(records);
    assert_eq!(registry.validators().unwrap().total(), Weight::new(100));
    boundary(&mut registry);
    assert_eq!([2, 4].map(|byte| state(&registry, byte)), [until(11), until(11)]);
    assert_eq!(state(&registry, 8), Some(MasternodeState::Active), "it asked before 6");
    assert_eq!(state(&registry, 6), Some(MasternodeState::Queued));
    boundary(&mut registry);
    assert_eq!(state(&registry, 6), Some(MasternodeState::Active));
}

#[test]
fn one_may_move_whatever_its_weight_and_a_heavy_one_is_not_overtaken() {
    let mut records: Vec<Masternode> = (1..=5).map(|byte| record(byte, BRONZE, MasternodeState::Active)).collect();
    records.push(Masternode { queued_at: Height::new(2), ..record(6, GOLD, MasternodeState::Queued) });
    records.push(Masternode { queued_at: Height::new(3), ..record(7, BRONZE, MasternodeState::Queued) });
    let mut registry = registry(records);
    registry.change(&id(5), |m| m.state = MasternodeState::Leaving);
    let mut second = registry.clone();
    boundary(&mut registry);
    assert_eq!(state(&registry, 5), until(11));
    assert_eq!(state(&registry, 6), Some(MasternodeState::Queued));
    assert_eq!(state(&registry, 7), Some(MasternodeState::Queued), "the line stops at the first that does not fit");
    second.change(&id(5), |m| m.state = MasternodeState::Active);
    boundary(&mut second);
    assert_eq!(state(&second, 6), Some(MasternodeState::Active), "the first may always move");
    assert_eq!(state(&second, 7), Some(MasternodeState::Queued));
}

#[test]
fn a_removal_that_would_leave_the_set_empty_is_not_made() {
    let mut alone = active([1]);
    unregister(&mut alone, 1);
    boundary(&mut alone);
    assert_eq!(state(&alone, 1), Some(MasternodeState::Leaving));
    assert_eq!(alone.validators().unwrap().len(), 1);

    apply(&mut alone, 9, &body(BRONZE, registration(2, 1)));
    boundary(&mut alone);
    assert_eq!(state(&alone, 9), Some(MasternodeState::Active));
    boundary(&mut alone);
    assert_eq!(state(&alone, 1), until(11), "it goes when another is there");

    let mut all_slashed = active([1, 2]);
    all_slashed.slash(&spec(), &key(1)).unwrap();
    all_slashed.slash(&spec(), &key(2)).unwrap();
    boundary(&mut all_slashed);
    assert_eq!(state(&all_slashed, 1), until(11));
    assert_eq!(state(&all_slashed, 2), Some(MasternodeState::Active));
}

#[test]
fn the_slashed_leave_whatever_the_churn_and_never_enter() {
    let mut registry = registry((1..=6).map(|byte| {
        let state = match byte {
            4 => MasternodeState::Leaving,
            5 => MasternodeState::Queued,
            _ => MasternodeState::Active,
        };
        record(byte, BRONZE, state)
    }));
    for byte in [3, 4, 5, 6] {
        registry.slash(&spec(), &key(byte)).unwrap();
    }
    boundary(&mut registry);
    assert_eq!([3, 4, 5, 6].map(|byte| state(&registry, byte)), [until(11); 4]);
    assert_eq!([1, 2].map(|byte| state(&registry, byte)), [Some(MasternodeState::Active); 2]);
}

#[test]
fn unbonding_ends_with_the_boundary_before_its_epoch() {
    let unbonding = |epoch| MasternodeState::Unbonding { until_epoch: Epoch::new(epoch) };
    let mut registry = registry([
        record(1, BRONZE, MasternodeState::Active),
        record(2, BRONZE, unbonding(8)),
        record(3, BRONZE, unbonding(9)),
    ]);
    boundary(&mut registry);
    assert_eq!(state(&registry, 2), None);
    assert_eq!(state(&registry, 3), until(9));
}

#[test]
fn a_set_does_not_outgrow_what_a_commit_can_carry() {
    let numbered = |i: usize, state| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(i as u64).to_be_bytes());
        let collateral = OutPoint { txid: Txid(bytes), index: 0 };
        Masternode { id: MasternodeId(bytes), consensus_key: PublicKey(bytes), collateral, ..record(1, BRONZE, state) }
    };
    let max = crate::limits::MAX_VALIDATORS;
    let mut registry = registry(
        (0..max + 5).map(|i| numbered(i, if i < max - 1 { MasternodeState::Active } else { MasternodeState::Queued })),
    );
    boundary(&mut registry);
    assert_eq!(registry.validators().unwrap().len(), max);
}

#[test]
fn slashing_cuts_the_collateral_once_in_any_state_and_nothing_else() {
    for before in [
        MasternodeState::Queued,
        MasternodeState::Active,
        MasternodeState::Leaving,
        MasternodeState::Unbonding { until_epoch: Epoch::new(50) },
    ] {
        let original = record(3, SILVER, before);
        let mut registry = registry([original.clone()]);
        let hash = registry.hash();
        assert!(registry.can_be_slashed(&key(3)) && !registry.can_be_slashed(&key(4)));
        let slashed = registry.slash(&spec(), &key(3)).unwrap();
        let new = OutPoint { txid: Domain::SLASH.hash(&[3; 32]).into(), index: 0 };
        let expected = Slashed {
            old: original.collateral,
            new,
            old_value: Amount::new(SILVER),
            new_value: Amount::new(SILVER / 10 * 9),
            owner: lock(3),
        };
        assert_eq!(slashed, expected);
        let value = Amount::new(SILVER / 10 * 9);
        let after = Masternode { slashed: true, collateral: new, value, ..original.clone() };
        assert_eq!(*registry.by_key(&key(3)).unwrap(), after);
        assert!(registry.is_collateral(&new) && !registry.is_collateral(&original.collateral));
        assert_ne!(registry.hash(), hash);
        assert!(!registry.can_be_slashed(&key(3)));
        assert_eq!(registry.slash(&spec(), &key(3)), None);
    }
    assert_eq!(active([1]).slash(&spec(), &key(9)), None);
}

#[test]
fn slashing_rounds_down_and_knows_no_overflow() {
    let mut spec = spec();
    assert_eq!(spec.value_after_slashing(Amount::new(19)), Amount::new(17));
    assert_eq!(spec.value_after_slashing(Amount::MAX), Amount::new(u64::MAX / 10 * 9 + 4));
    spec.slash_bps = 10_000;
    assert_eq!(spec.value_after_slashing(Amount::MAX), Amount::ZERO);
    spec.slash_bps = 0;
    assert_eq!(spec.value_after_slashing(Amount::MAX), Amount::MAX);
}

#[test]
fn records_that_share_a_name_are_no_registry() {
    let (one, two) = (record(1, BRONZE, MasternodeState::Active), record(2, BRONZE, MasternodeState::Active));
    let refused = |records: [Masternode; 2]| Registry::from_records(records).unwrap_err();
    assert_eq!(refused([two.clone(), one.clone()]), RegistryError::OutOfOrder(id(1)));
    assert_eq!(refused([one.clone(), one.clone()]), RegistryError::OutOfOrder(id(1)));
    let same_key = Masternode { consensus_key: key(1), ..two.clone() };
    assert_eq!(refused([one.clone(), same_key]), RegistryError::DuplicateKey(key(1)));
    let same_collateral = Masternode { collateral: one.collateral, ..two };
    assert_eq!(refused([one.clone(), same_collateral]), RegistryError::DuplicateCollateral(one.collateral));
}

#[test]
fn a_clone_keeps_what_it_was_when_the_original_changes() {
    let mut registry = active([1, 2]);
    let kept = registry.clone();
    let hash = kept.hash();
    unregister(&mut registry, 1);
    assert_eq!(state(&kept, 1), Some(MasternodeState::Active));
    assert_eq!(kept.hash(), hash);
    assert_ne!(registry.hash(), hash);
}

#[derive(Debug, Clone)]
enum Event {
    Register(u8, u64),
    Unregister(u8),
    Slash(u8),
    Boundary,
}

fn event() -> impl Strategy<Value = Event> {
    let byte = 0u8..30;
    prop_oneof![
        4 => (byte.clone(), prop::sample::select(vec![BRONZE, SILVER, GOLD])).prop_map(|(b, v)| Event::Register(b, v)),
        2 => byte.clone().prop_map(Event::Unregister),
        1 => byte.prop_map(Event::Slash),
        2 => Just(Event::Boundary),
    ]
}

/// Recounts from the two sets what the boundary moved, the slashed apart, and says whether the churn allows it.
fn churn_is_within_bounds(spec: &ChainSpec, before: &Registry, after: &Registry, total: Weight) -> bool {
    let members = |r: &Registry| -> BTreeMap<MasternodeId, Masternode> {
        r.iter().filter(|m| m.is_member() && !m.slashed).map(|m| (m.id, m.clone())).collect()
    };
    let (before, after) = (members(before), members(after));
    let left = before.iter().filter(|(id, _)| !after.contains_key(id));
    let entered = after.iter().filter(|(id, _)| !before.contains_key(id));
    let moved: Vec<u64> = left.chain(entered).map(|(_, m)| m.weight.get()).collect();
    moved.len() <= 1 || moved.iter().sum::<u64>() * 10_000 <= total.get() * spec.churn_bps
}

proptest! {
    #[test]
    fn whatever_happens_the_set_changes_within_the_churn_and_never_empties(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let chain = Chain::new(spec()).unwrap();
        let mut registry = active([200, 201, 202]);
        let mut epoch = Epoch::ZERO;
        let mut signing = registry.validators().unwrap();
        for (height, event) in (1u64..).map(Height::new).zip(events) {
            let mut txid = [255; 32];
            txid[..8].copy_from_slice(&height.get().to_be_bytes());
            let payload = match event {
                Event::Register(byte, value) => Some(body(value, registration(byte, 1))),
                Event::Unregister(byte) => registry
                    .by_key(&key(byte))
                    .map(|m| m.id)
                    .or_else(|| registry.by_key(&key(200 + byte % 3)).map(|m| m.id))
                    .map(|masternode| body(1, Payload::Unregister { masternode })),
                Event::Slash(byte) => {
                    registry.slash(&chain, &key(byte));
                    None
                }
                Event::Boundary => {
                    let before = registry.clone();
                    registry.boundary(&chain, epoch, signing.total());
                    prop_assert!(churn_is_within_bounds(&chain, &before, &registry, signing.total()));
                    epoch = epoch.next();
                    signing = registry.validators().unwrap();
                    prop_assert!(!signing.is_empty());
                    None
                }
            };
            if let Some(body) = payload {
                registry.apply(&chain, height, epoch, Txid(txid), &body);
            }
            let rebuilt = Registry::from_records(registry.iter().cloned()).unwrap();
            prop_assert_eq!(&rebuilt, &registry);
            prop_assert_eq!(rebuilt.hash(), registry.hash());
            prop_assert_eq!(&rebuilt.0.by_key, &registry.0.by_key);
            prop_assert_eq!(&rebuilt.0.by_collateral, &registry.0.by_collateral);
        }
    }
}

#[test]
fn a_forecast_is_what_the_boundaries_do() {
    // Weight 40 and 3,333 of 10,000: 13 a boundary, so one bronze each, and a silver one when it is first.
    let waiting = [(5, BRONZE, 3), (6, SILVER, 4), (7, BRONZE, 5)].map(|(byte, value, height)| Masternode {
        queued_at: Height::new(height),
        ..record(byte, value, MasternodeState::Queued)
    });
    let leaving = Masternode { queued_at: Height::new(9), ..record(4, BRONZE, MasternodeState::Leaving) };
    let before = active([1, 2, 3]);
    let all = registry(before.iter().cloned().chain([leaving]).chain(waiting));
    assert_eq!([4, 5, 6, 7, 1].map(|byte| all.ahead(&id(byte))), [Some(0), Some(1), Some(2), Some(3), None]);
    let spec = spec();
    for byte in [4, 5, 6, 7] {
        let told = all.moves_in(&spec, EPOCH, &id(byte)).unwrap();
        let (mut real, mut epoch) = (all.clone(), EPOCH);
        while real.ahead(&id(byte)).is_some() {
            let total = real.validators().unwrap().total();
            real.boundary(&spec, epoch, total);
            epoch = epoch.next();
        }
        assert_eq!(told, epoch, "{byte}");
    }
    assert_eq!(all.moves_in(&spec, EPOCH, &id(4)), Some(EPOCH.next()));
    assert_eq!(all.moves_in(&spec, EPOCH, &id(7)), Some(Epoch::new(EPOCH.get() + 4)));
    assert_eq!(all.moves_in(&spec, EPOCH, &id(1)), None, "it does not wait");
}

#[test]
fn the_last_one_waits_for_ever_to_leave_and_the_forecast_ends() {
    let last = registry([record(1, BRONZE, MasternodeState::Leaving)]);
    assert_eq!(last.moves_in(&spec(), EPOCH, &id(1)), None);
    assert_eq!(last.member_weight(), Weight::new(10));
}
