//! The registry against a model: a plain list, searched from one end to the other, which knows no indexes, no floor of a
//! budget and no count of members, but what the rules say.

use super::*;

/// Where an entry of the model stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Waits,
    Serves,
    Goes,
    Out(u64),
}

#[derive(Clone, Debug)]
struct Entry {
    name: [u8; 32],
    key: u8,
    weight: u64,
    value: u64,
    asked: u64,
    place: Place,
    punished: bool,
}

impl Entry {
    fn is_member(&self) -> bool {
        matches!(self.place, Place::Serves | Place::Goes)
    }

    /// The entry as the registry would tell it.
    fn told(&self) -> (MasternodeId, PublicKey, Weight, Amount, Height, MasternodeState, bool) {
        let state = match self.place {
            Place::Waits => MasternodeState::Queued,
            Place::Serves => MasternodeState::Active,
            Place::Goes => MasternodeState::Leaving,
            Place::Out(until) => MasternodeState::Unbonding { until_epoch: Epoch::new(until) },
        };
        let (id, asked) = (MasternodeId(self.name), Height::new(self.asked));
        (id, key(self.key), Weight::new(self.weight), Amount::new(self.value), asked, state, self.punished)
    }
}

/// All entries, in no order.
#[derive(Clone, Debug, Default)]
struct Model(Vec<Entry>);

impl Model {
    fn find(&mut self, key: u8) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.key == key)
    }

    fn register(&mut self, name: [u8; 32], key: u8, value: u64, height: u64) {
        if self.find(key).is_none() {
            let weight = if value >= GOLD {
                1_000
            } else if value >= SILVER {
                100
            } else {
                10
            };
            let (place, punished) = (Place::Waits, false);
            self.0.push(Entry { name, key, weight, value, asked: height, place, punished });
        }
    }

    fn unregister(&mut self, spec: &ChainSpec, key: u8, height: u64, epoch: u64) {
        let Some(entry) = self.find(key) else { return };
        entry.place = match entry.place {
            Place::Waits => Place::Out(epoch + 1 + spec.unbonding_epochs),
            Place::Serves => Place::Goes,
            Place::Goes | Place::Out(_) => return,
        };
        entry.asked = height;
    }

    fn punish(&mut self, spec: &ChainSpec, key: u8) {
        if let Some(entry) = self.find(key).filter(|entry| !entry.punished) {
            entry.punished = true;
            entry.value = (u128::from(entry.value) * u128::from(10_000 - spec.slash_bps) / 10_000) as u64;
        }
    }

    /// Keys of those for whom `wanted` holds, the longest waiting first.
    fn line(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<u8> {
        let mut line: Vec<&Entry> = self.0.iter().filter(|entry| wanted(entry)).collect();
        line.sort_by_key(|entry| (entry.asked, entry.name));
        line.iter().map(|entry| entry.key).collect()
    }

    fn is_last(&self, key: u8) -> bool {
        self.0.iter().filter(|entry| entry.is_member()).all(|entry| entry.key == key)
    }

    fn boundary(&mut self, spec: &ChainSpec, epoch: u64, total: u64) {
        let out = Place::Out(epoch + 1 + spec.unbonding_epochs);
        for key in self.line(|entry| entry.punished && !matches!(entry.place, Place::Out(_))) {
            let member = self.0.iter().any(|entry| entry.key == key && entry.is_member());
            if !(member && self.is_last(key)) {
                self.find(key).unwrap().place = out;
            }
        }
        let line = [self.line(|entry| entry.place == Place::Goes), self.line(|entry| entry.place == Place::Waits)];
        let mut moved = 0u128;
        for key in line.concat() {
            let entry = self.find(key).unwrap();
            let (weight, goes) = (u128::from(entry.weight), entry.place == Place::Goes);
            if moved > 0 && (moved + weight) * 10_000 > u128::from(total) * u128::from(spec.churn_bps) {
                break;
            }
            if !(goes && self.is_last(key)) {
                self.find(key).unwrap().place = if goes { out } else { Place::Serves };
                moved += weight;
            }
        }
        self.0.retain(|entry| !matches!(entry.place, Place::Out(until) if until <= epoch + 1));
    }

    fn told(&self) -> Vec<(MasternodeId, PublicKey, Weight, Amount, Height, MasternodeState, bool)> {
        let mut all: Vec<_> = self.0.iter().map(Entry::told).collect();
        all.sort();
        all
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u64),
    Update(u8, u8),
    Unregister(u8),
    Slash(u8),
    /// Later steps are of a later block.
    NextBlock,
    Boundary,
}

fn step() -> impl Strategy<Value = Step> {
    // Few keys, so that they meet their old records.
    let byte = 0u8..8;
    prop_oneof![
        6 => (byte.clone(), prop::sample::select(vec![BRONZE, SILVER + 7, GOLD])).prop_map(|(b, v)| Step::Register(b, v)),
        1 => (byte.clone(), any::<u8>()).prop_map(|(b, payout)| Step::Update(b, payout)),
        4 => byte.clone().prop_map(Step::Unregister),
        1 => byte.prop_map(Step::Slash),
        4 => Just(Step::NextBlock),
        4 => Just(Step::Boundary),
    ]
}

proptest! {
    #[test]
    fn the_registry_does_what_a_plain_list_does(
        first in prop::collection::vec((prop::sample::select(vec![BRONZE, SILVER, GOLD]), any::<bool>()), 1..5),
        churn_bps in prop::sample::select(vec![0, 500, 3_333, 10_000]),
        unbonding_epochs in 1u64..4,
        slash_bps in prop::sample::select(vec![0, 1, 1_000, 10_000]),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut chain = spec();
        (chain.churn_bps, chain.unbonding_epochs, chain.slash_bps) = (churn_bps, unbonding_epochs, slash_bps);
        let (mut model, mut records) = (Model::default(), Vec::new());
        for (byte, (value, leaves)) in (0u8..).zip(first) {
            let state = if leaves { MasternodeState::Leaving } else { MasternodeState::Active };
            let record = record(byte, value, state);
            let place = if leaves { Place::Goes } else { Place::Serves };
            let (name, weight) = (record.id.0, record.weight.get());
            model.0.push(Entry { name, key: byte, weight, value, asked: 0, place, punished: false });
            records.push(record);
        }
        let mut registry = registry(records);
        let (mut epoch, mut height) = (0u64, 1u64);
        let mut total = registry.validators().unwrap().total();
        for (number, step) in (0u32..).zip(steps) {
            // In no order of time, so that equal heights are told apart by names that say nothing of it.
            let name = Domain::TXID.hash(&number.to_le_bytes()).0;
            let masternode = |byte: u8| registry.by_key(&key(byte)).map(|m| m.id);
            let payload = match step {
                Step::Register(byte, value) => {
                    model.register(name, byte, value, height);
                    Some(body(value, registration(byte, 1)))
                }
                Step::Update(byte, payout) => masternode(byte).map(|masternode| {
                    body(1, Payload::Update(Update { masternode, payout: Some(lock(payout)), endpoint: None }))
                }),
                Step::Unregister(byte) => {
                    model.unregister(&chain, byte, height, epoch);
                    masternode(byte).map(|masternode| body(1, Payload::Unregister { masternode }))
                }
                Step::Slash(byte) => {
                    model.punish(&chain, byte);
                    registry.slash(&chain, &key(byte));
                    None
                }
                Step::NextBlock => {
                    height += 1;
                    None
                }
                Step::Boundary => {
                    model.boundary(&chain, epoch, total.get());
                    registry.boundary(&chain, Epoch::new(epoch), total);
                    (epoch, height) = (epoch + 1, height + 1);
                    total = registry.validators().unwrap().total();
                    None
                }
            };
            if let Some(body) = payload {
                registry.apply(&chain, Height::new(height), Epoch::new(epoch), Txid(name), &body);
            }
            let told: Vec<_> = registry
                .iter()
                .map(|m| (m.id, m.consensus_key, m.weight, m.value, m.queued_at, m.state, m.slashed))
                .collect();
            prop_assert_eq!(told, model.told());
        }
    }

    #[test]
    fn a_slashing_takes_its_part_and_rounds_in_favour_of_nobody(value: u64, slash_bps in 0u64..=10_000) {
        let spec = ChainSpec { slash_bps, ..spec() };
        let kept = u128::from(spec.value_after_slashing(Amount::new(value)).get());
        let exact = u128::from(value) * u128::from(10_000 - slash_bps);
        prop_assert!(kept * 10_000 <= exact && exact < (kept + 1) * 10_000);
        prop_assert!(kept <= u128::from(value));
    }
}
