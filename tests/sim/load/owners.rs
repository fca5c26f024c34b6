//! Owners of masternodes: they register, update, unregister, come back with the same key, use one key twice, and try to
//! spend what is bound. They act on the registry of the chain, and never so that a third of the weight of any set to come
//! could be Byzantine.

use super::{Coin, Kind, Load, Submission};
use crate::invariants::registry::{Record, Registry, Standing};
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use timed::types::hash::{MasternodeId, Txid};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxOut, Update};

/// A key that may be registered.
#[derive(Clone)]
pub struct Candidate {
    /// The key.
    pub key: SecretKey,
    /// Whether who holds it follows the rules.
    pub is_honest: bool,
}

/// What owners have, and what they did.
#[derive(Default)]
pub struct Owners {
    /// Every key that is registered or may be.
    pub candidates: Vec<Candidate>,
    /// Coins of which payments take none.
    purses: BTreeMap<OutPoint, Coin>,
    /// Registrations handed in whose masternode was not seen yet.
    registering: BTreeMap<PublicKey, Txid>,
    /// Masternodes that were told to leave.
    told_to_leave: BTreeSet<MasternodeId>,
    /// The most weight that each Byzantine key can ever have.
    byzantine: BTreeMap<PublicKey, u64>,
    /// Collaterals of registrations that are final, and their owners.
    deposits: BTreeMap<OutPoint, Coin>,
    /// Collaterals that somebody tried to spend.
    tried: BTreeSet<OutPoint>,
}

impl Owners {
    /// Those who may hold these keys; `registry` is that of genesis.
    pub fn new(candidates: Vec<Candidate>, registry: &Registry) -> Self {
        let bad = candidates.iter().filter(|c| !c.is_honest).map(|c| c.key.public_key());
        let weight = |key: &PublicKey| registry.records().iter().find(|r| r.key == *key).map_or(0, |r| r.weight);
        let byzantine = bad.map(|key| (key, weight(&key))).collect();
        Self { candidates, byzantine, ..Self::default() }
    }

    /// A coin for the purse.
    pub(super) fn put(&mut self, outpoint: OutPoint, coin: Coin) {
        self.purses.insert(outpoint, coin);
    }

    /// The output of a final registration.
    pub(super) fn deposit(&mut self, outpoint: OutPoint, coin: Coin) {
        self.deposits.insert(outpoint, coin);
    }

    fn is_honest(&self, key: &PublicKey) -> bool {
        !self.byzantine.contains_key(key)
    }

    /// Weight of the honest that stay, whatever is under way.
    fn staying(&self, registry: &Registry) -> u64 {
        let stays = |r: &&Record| r.standing == Standing::Active && !self.told_to_leave.contains(&r.id);
        registry.records().iter().filter(stays).filter(|r| self.is_honest(&r.key)).map(|r| r.weight).sum()
    }

    /// Whether the Byzantine stay below a third when they hold `more` and the honest `less`.
    fn is_safe(&self, registry: &Registry, more: u64, less: u64) -> bool {
        let byzantine = self.byzantine.values().sum::<u64>() + more;
        let staying = self.staying(registry).saturating_sub(less);
        staying > 0 && byzantine * 3 < byzantine + staying
    }
}

impl Load {
    /// What some owner does next, at some of `nodes`, with the chain's registry before it.
    pub fn deed(&mut self, rng: &mut Rng, registry: &Registry, nodes: &[usize]) -> Vec<Submission> {
        self.owners.registering.retain(|key, _| registry.records().iter().all(|r| r.key != *key));
        let count = if rng.chance(150) { rng.range(2, 5) } else { 1 };
        let mut submissions = Vec::new();
        for _ in 0..count {
            let txs = match rng.below(100) {
                0..35 => self.enter(rng, registry).into_iter().collect(),
                35..60 => self.go(rng, registry).into_iter().collect(),
                60..70 => self.change(rng, registry).into_iter().collect(),
                70..77 => self.reuse(rng, registry).into_iter().collect(),
                77..84 => self.enter_twice(rng, registry),
                _ => self.take_back(rng, registry).into_iter().collect::<Vec<_>>(),
            };
            for tx in txs {
                let node = *rng.pick(nodes);
                submissions.push(self.hand_in(node, tx, Kind::Plain));
            }
        }
        submissions
    }

    /// A key that has no record and is not registering.
    fn free_key(&self, rng: &mut Rng, registry: &Registry) -> Option<SecretKey> {
        let is_free = |c: &&Candidate| {
            let key = c.key.public_key();
            !self.owners.registering.contains_key(&key) && registry.records().iter().all(|r| r.key != key)
        };
        let free: Vec<&Candidate> = self.owners.candidates.iter().filter(is_free).collect();
        (!free.is_empty()).then(|| rng.pick(&free).key.clone())
    }

    /// A registration of a free key.
    fn enter(&mut self, rng: &mut Rng, registry: &Registry) -> Option<Transaction> {
        let key = self.free_key(rng, registry)?;
        self.register_key(rng, registry, &key)
    }

    /// Two registrations of one free key, which know nothing of each other.
    fn enter_twice(&mut self, rng: &mut Rng, registry: &Registry) -> Vec<Transaction> {
        let Some(key) = self.free_key(rng, registry) else { return Vec::new() };
        (0..2).filter_map(|_| self.register_key(rng, registry, &key)).collect()
    }

    /// A registration of a key that has a record: it has to wait until that is gone.
    fn reuse(&mut self, rng: &mut Rng, registry: &Registry) -> Option<Transaction> {
        let taken = |c: &&Candidate| registry.records().iter().any(|r| r.key == c.key.public_key());
        let candidates: Vec<&Candidate> = self.owners.candidates.iter().filter(taken).collect();
        let key = candidates.get(rng.index(candidates.len()))?.key.clone();
        self.register_key(rng, registry, &key)
    }

    fn register_key(&mut self, rng: &mut Rng, registry: &Registry, key: &SecretKey) -> Option<Transaction> {
        let tier = rng.index(self.chain.tiers.len());
        let weight = self.chain.tiers[tier].weight.get();
        let known = self.owners.byzantine.get(&key.public_key()).copied();
        let more = known.map_or(0, |known| weight.saturating_sub(known));
        if !self.owners.is_safe(registry, more, 0) {
            return None;
        }
        let tx = self.registration(rng, key, tier)?;
        if let Some(most) = self.owners.byzantine.get_mut(&key.public_key()) {
            *most += more;
        }
        self.owners.registering.insert(key.public_key(), tx.body.txid());
        Some(tx)
    }

    /// A registration of `key` in this tier, paid by some purse; `None` if none is full enough.
    pub fn registration(&mut self, rng: &mut Rng, key: &SecretKey, tier: usize) -> Option<Transaction> {
        let collateral = self.chain.tiers.get(tier)?.collateral;
        let need = collateral.get() + self.fee(1, 2, 250) + self.chain.min_output.get();
        let outpoint = *self.owners.purses.iter().find(|(_, coin)| coin.value >= need)?.0;
        let coin = self.owners.purses.remove(&outpoint)?;
        let owner = self.lock(coin.owner);
        let rest = TxOut { value: Amount::new(coin.value - need + self.chain.min_output.get()), lock: owner };
        let payout = if rng.chance(200) { self.shared_payout() } else { self.lock(rng.index(self.keys.len())) };
        let collateral = TxOut { value: collateral, lock: owner };
        Some(self.sign_registration((outpoint, coin), key, payout, [collateral, rest]))
    }

    /// A payout that two users share.
    fn shared_payout(&self) -> Lock {
        let mut keys: Vec<PublicKey> = self.keys.iter().take(2).map(SecretKey::public_key).collect();
        keys.sort();
        Lock::of_keys(1, &keys)
    }

    pub(super) fn sign_registration(
        &mut self,
        (outpoint, coin): (OutPoint, Coin),
        key: &SecretKey,
        payout: Lock,
        outputs: [TxOut; 2],
    ) -> Transaction {
        let mut register = Register {
            consensus_key: key.public_key(),
            payout,
            endpoint: "127.0.0.1:1".to_owned(),
            collateral_index: 0,
            proof: Signature([0; 64]),
        };
        register.proof = key.sign(&register.proof_digest(&self.chain.id(), &outpoint, &outputs[0]));
        self.sign(self.draft(&[(outpoint, coin)], outputs.to_vec(), Payload::Register(register)))
    }

    /// Somebody is told to leave who can be spared.
    fn go(&mut self, rng: &mut Rng, registry: &Registry) -> Option<Transaction> {
        let can_go = |r: &&Record| {
            let is_spared = match r.standing {
                Standing::Queued => true,
                Standing::Active if self.owners.is_honest(&r.key) => self.owners.is_safe(registry, 0, r.weight),
                Standing::Active => true,
                Standing::Leaving | Standing::Unbonding(_) => false,
            };
            is_spared && !self.owners.told_to_leave.contains(&r.id)
        };
        let records: Vec<&Record> = registry.records().iter().filter(can_go).collect();
        let record = records.get(rng.index(records.len()))?;
        let (id, owner) = (record.id, record.owner);
        self.unregistration(id, owner)
    }

    /// The owner `lock` tells the masternode to leave.
    pub fn unregistration(&mut self, masternode: MasternodeId, lock: Lock) -> Option<Transaction> {
        let tx = self.authorized(lock, Payload::Unregister { masternode }, 40)?;
        self.owners.told_to_leave.insert(masternode);
        Some(tx)
    }

    /// Another payout or endpoint, of a masternode in any state.
    fn change(&mut self, rng: &mut Rng, registry: &Registry) -> Option<Transaction> {
        let record = registry.records().get(rng.index(registry.records().len()))?;
        let payout = rng.chance(600).then(|| self.lock(rng.index(self.keys.len())));
        let endpoint = payout.is_none().then(|| format!("127.0.0.1:{}", rng.range(1, 9)));
        let update = Update { masternode: record.id, payout, endpoint };
        self.authorized(record.owner, Payload::Update(update), 100)
    }

    /// A transaction that the owner `lock` authorizes, paid by the smallest purse.
    fn authorized(&mut self, lock: Lock, payload: Payload, extra_bytes: usize) -> Option<Transaction> {
        let owner = (0..self.keys.len()).find(|user| self.lock(*user) == lock)?;
        let fee = self.fee(2, 1, extra_bytes);
        let least = fee + self.chain.min_output.get();
        let enough = self.owners.purses.iter().filter(|(_, coin)| coin.value >= least);
        let outpoint = *enough.min_by_key(|(_, coin)| coin.value)?.0;
        let coin = self.owners.purses.remove(&outpoint)?;
        let outputs = vec![TxOut { value: Amount::new(coin.value - fee), lock: self.lock(coin.owner) }];
        let mut draft = self.draft(&[(outpoint, coin)], outputs, payload);
        draft.owners.push(owner);
        Some(self.sign(draft))
    }

    /// An owner who cannot wait: spends a collateral, bound or not.
    fn take_back(&mut self, rng: &mut Rng, registry: &Registry) -> Option<Transaction> {
        let owner_of = |lock: &Lock| (0..self.keys.len()).find(|user| self.lock(*user) == *lock);
        let bound = registry.records().iter().filter_map(|r| {
            let owner = owner_of(&r.owner)?;
            Some((r.collateral, Coin { value: r.value, owner }))
        });
        let least = self.fee(1, 1, 0) + self.chain.min_output.get();
        let deposits = self.owners.deposits.iter().map(|(outpoint, coin)| (*outpoint, *coin));
        let all: BTreeMap<OutPoint, Coin> = deposits.chain(bound).collect();
        let open: Vec<(OutPoint, Coin)> = all
            .into_iter()
            .filter(|(outpoint, coin)| !self.owners.tried.contains(outpoint) && coin.value >= least)
            .collect();
        let (outpoint, coin) = *open.get(rng.index(open.len()))?;
        Some(self.spend_collateral(outpoint, coin))
    }

    /// A spend of a collateral by its owner, to himself.
    pub fn spend_collateral(&mut self, outpoint: OutPoint, coin: Coin) -> Transaction {
        self.owners.tried.insert(outpoint);
        let outputs = vec![TxOut { value: Amount::new(coin.value - self.fee(1, 1, 0)), lock: self.lock(coin.owner) }];
        self.sign(self.draft(&[(outpoint, coin)], outputs, Payload::Transfer))
    }
}
