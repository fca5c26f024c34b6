//! Users: funded keys that pay each other, in chains, twice from one coin, and wrongly.

pub mod owners;

use self::owners::Owners;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use timed::chain::spec::Chain;
use timed::types::hash::{MasternodeId, Txid};
use timed::types::keys::{PublicKey, SecretKey};
use timed::types::lock::{Lock, Witness};
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut, Update, sighash};

/// A final output that a user may spend.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    /// Units.
    pub value: u64,
    /// Which user owns it.
    pub owner: usize,
}

/// What is expected of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Valid, and nobody signed a rival: it has to become final.
    Plain,
    /// One of several that spend a coin: at most one may become final.
    Rival,
    /// Breaks a rule: never final.
    Invalid(&'static str),
}

/// A transaction that a user handed in.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The transaction.
    pub tx: Transaction,
    /// What is expected of it.
    pub kind: Kind,
    /// Nodes it was handed to.
    pub nodes: BTreeSet<usize>,
    /// Whether some node told it as final, or archived it.
    pub is_final: bool,
}

/// A transaction and the node it is handed to.
pub struct Submission {
    /// Index of the node.
    pub node: usize,
    /// What is handed in.
    pub tx: Transaction,
}

/// How often users do what; chances in a thousand, tried in this order, the rest are plain payments.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Two or three rivals to different nodes.
    pub rivals: u64,
    /// Something that breaks a rule.
    pub invalid: u64,
    /// A registration, an update or an unregistration.
    pub registry: u64,
    /// What owners of masternodes do who come and go all the time; drawn before all others.
    pub membership: u64,
}

/// All users.
pub struct Load {
    chain: Chain,
    /// The users' keys.
    pub keys: Vec<SecretKey>,
    /// Coins that either of the first two users can spend alone, and their values.
    pub shared: Vec<(OutPoint, u64)>,
    coins: BTreeMap<OutPoint, Coin>,
    /// Everything handed in.
    pub submitted: BTreeMap<Txid, Submitted>,
    /// Outpoints that rivals spend.
    pub contested: BTreeMap<OutPoint, Coin>,
    /// For each rival, the others.
    pub rivals: BTreeMap<Txid, Vec<Txid>>,
    /// Masternodes that users may unregister: id, and the owner's user.
    pub may_leave: Vec<(MasternodeId, usize)>,
    /// Keys of nodes that may be registered.
    pub may_enter: Vec<SecretKey>,
    /// Owners of masternodes that come and go.
    pub owners: Owners,
    /// Users from this one on pay for masternodes only.
    first_owner: usize,
    memo: u64,
}

/// What a payment consists of before it is signed.
struct Draft {
    inputs: Vec<OutPoint>,
    owners: Vec<usize>,
    outputs: Vec<TxOut>,
    payload: Payload,
}

impl Load {
    /// Users with these keys and coins; those from `first_owner` on keep theirs for masternodes.
    pub fn new(
        chain: Chain,
        keys: Vec<SecretKey>,
        coins: BTreeMap<OutPoint, Coin>,
        (first_owner, mut owners): (usize, Owners),
    ) -> Self {
        let (coins, purses): (BTreeMap<_, _>, _) = coins.into_iter().partition(|(_, coin)| coin.owner < first_owner);
        purses.into_iter().for_each(|(outpoint, coin): (OutPoint, Coin)| owners.put(outpoint, coin));
        Self {
            owners,
            first_owner,
            chain,
            keys,
            shared: Vec::new(),
            coins,
            submitted: BTreeMap::new(),
            contested: BTreeMap::new(),
            rivals: BTreeMap::new(),
            may_leave: Vec::new(),
            may_enter: Vec::new(),
            memo: 0,
        }
    }

    /// The lock of a user.
    pub fn lock(&self, user: usize) -> Lock {
        Lock::of_key(&self.keys[user].public_key())
    }

    /// What some user does next, at some of `nodes`.
    pub fn next(&mut self, rng: &mut Rng, mix: &Mix, nodes: &[usize]) -> Vec<Submission> {
        let dice = rng.below(1000);
        if dice < mix.rivals {
            return self.rivals(rng, nodes);
        }
        if dice < mix.rivals + mix.invalid {
            return self.invalid(rng, nodes);
        }
        if dice < mix.rivals + mix.invalid + mix.registry
            && let Some(tx) = self.registry(rng)
        {
            return vec![self.hand_in(*rng.pick(nodes), tx, Kind::Plain)];
        }
        self.payment(rng).map(|tx| self.hand_in(*rng.pick(nodes), tx, Kind::Plain)).into_iter().collect()
    }

    /// Notes that a transaction goes to a node.
    pub fn hand_in(&mut self, node: usize, tx: Transaction, kind: Kind) -> Submission {
        let entry = self.submitted.entry(tx.body.txid()).or_insert_with(|| Submitted {
            tx: tx.clone(),
            kind,
            nodes: BTreeSet::new(),
            is_final: false,
        });
        entry.nodes.insert(node);
        Submission { node, tx }
    }

    /// The transaction became final: its outputs can be spent.
    pub fn became_final(&mut self, txid: &Txid) {
        let Some(submitted) = self.submitted.get_mut(txid).filter(|s| !s.is_final) else { return };
        submitted.is_final = true;
        let bound = match &submitted.tx.body.payload {
            Payload::Register(register) => Some(register.collateral_index),
            _ => None,
        };
        let outputs = submitted.tx.body.outputs.clone();
        for (index, out) in (0u32..).zip(outputs) {
            let owner = (0..self.keys.len()).find(|user| self.lock(*user) == out.lock);
            let Some(owner) = owner else { continue };
            let (outpoint, coin) = (OutPoint { txid: *txid, index }, Coin { value: out.value.get(), owner });
            match owner >= self.first_owner {
                true if bound == Some(index) => self.owners.deposit(outpoint, coin),
                true => self.owners.put(outpoint, coin),
                false if bound == Some(index) => {}
                false => drop(self.coins.insert(outpoint, coin)),
            }
        }
    }

    /// An ordinary payment of one or two coins; the coins are gone from the wallet.
    pub fn payment(&mut self, rng: &mut Rng) -> Option<Transaction> {
        let count = 1 + usize::from(rng.chance(250));
        let spent = self.take_coins(rng, count)?;
        self.pay(rng, &spent)
    }

    fn take_coins(&mut self, rng: &mut Rng, count: usize) -> Option<Vec<(OutPoint, Coin)>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let at = rng.index(self.coins.len().max(1));
            let Some(outpoint) = self.coins.keys().nth(at).copied() else { break };
            taken.extend(self.coins.remove_entry(&outpoint));
        }
        (!taken.is_empty()).then_some(taken)
    }

    /// A transfer of these coins to random users.
    fn pay(&mut self, rng: &mut Rng, spent: &[(OutPoint, Coin)]) -> Option<Transaction> {
        let total: u64 = spent.iter().map(|(_, coin)| coin.value).sum();
        let min = self.chain.min_output.get();
        let fee = self.fee(spent.len(), 2, 0) + rng.below(1000);
        let left = total.checked_sub(fee)?;
        if left < min {
            return None;
        }
        let first = if left >= 2 * min { rng.range(min, left - min) } else { left };
        let values = if first < left { vec![first, left - first] } else { vec![left] };
        let outputs = values.into_iter().map(|value| self.out(rng, value)).collect();
        Some(self.sign(self.draft(spent, outputs, Payload::Transfer)))
    }

    fn out(&self, rng: &mut Rng, value: u64) -> TxOut {
        TxOut { value: Amount::new(value), lock: self.lock(rng.index(self.keys.len())) }
    }

    fn draft(&self, spent: &[(OutPoint, Coin)], outputs: Vec<TxOut>, payload: Payload) -> Draft {
        let (inputs, owners) = spent.iter().map(|(outpoint, coin)| (*outpoint, coin.owner)).unzip();
        Draft { inputs, owners, outputs, payload }
    }

    /// A fee that suffices whatever the values are.
    fn fee(&self, inputs: usize, outputs: usize, extra_bytes: usize) -> u64 {
        let bytes = 64 + inputs * (33 + 97) + outputs * 42 + extra_bytes;
        self.chain.min_fee_rate * bytes as u64
    }

    /// Signs a draft; a memo makes it unique.
    fn sign(&mut self, draft: Draft) -> Transaction {
        self.memo += 1;
        let body = TxBody {
            version: 1,
            inputs: draft.inputs,
            outputs: draft.outputs,
            payload: draft.payload,
            memo: self.memo.to_le_bytes().to_vec(),
        };
        let digest = sighash(&self.chain.id(), &body.txid());
        let mut signed = BTreeSet::new();
        let mut witnesses = Vec::new();
        for owner in draft.owners.into_iter().filter(|owner| signed.insert(*owner)) {
            let key = &self.keys[owner];
            witnesses.push(Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) });
        }
        Transaction { body, witnesses }
    }

    /// Rivals over one coin, perhaps each with another coin of its own or shared with the next: a chain of conflicts.
    pub fn rivals(&mut self, rng: &mut Rng, nodes: &[usize]) -> Vec<Submission> {
        let count = 2 + usize::from(rng.chance(300));
        let chained = rng.chance(300);
        let Some(coins) = self.take_coins(rng, if chained { count } else { 1 }) else { return Vec::new() };
        let mut txs = Vec::new();
        for position in 0..count {
            // Each spends the shared coin; in a chain each also spends the next one's.
            let mut spent = vec![coins[0]];
            if chained && coins.len() > 1 {
                spent = vec![coins[position % coins.len()], coins[(position + 1) % coins.len()]];
            }
            txs.extend(self.pay(rng, &spent));
        }
        self.contested.extend(coins);
        let txids: Vec<Txid> = txs.iter().map(|tx| tx.body.txid()).collect();
        for txid in &txids {
            self.rivals.insert(*txid, txids.iter().filter(|other| *other != txid).copied().collect());
        }
        let mut nodes = nodes.to_vec();
        rng.shuffle(&mut nodes);
        let places = nodes.iter().cycle();
        let submissions: Vec<_> = txs.into_iter().zip(places).collect();
        submissions.into_iter().map(|(tx, node)| self.hand_in(*node, tx, Kind::Rival)).collect()
    }

    /// A new spend of a contested coin, which was free; together with the richest of the wallet, so that it can pay
    /// the fee however small it is.
    pub fn spend_again(&mut self, rng: &mut Rng, outpoint: OutPoint) -> Option<Transaction> {
        let mut spent = vec![(outpoint, *self.contested.get(&outpoint)?)];
        if spent[0].1.value < self.fee(1, 2, 0) + 1_000 + self.chain.min_output.get() {
            let richest = *self.coins.iter().max_by_key(|(_, coin)| coin.value)?.0;
            spent.extend(self.coins.remove_entry(&richest));
        }
        let tx = self.pay(rng, &spent)?;
        self.hand_in(usize::MAX, tx.clone(), Kind::Rival);
        Some(tx)
    }

    /// Outpoints of rivals that no final transaction spends.
    pub fn free_again(&self) -> Vec<OutPoint> {
        let done = self.submitted.values().filter(|s| s.is_final);
        let spent: BTreeSet<OutPoint> = done.flat_map(|s| s.tx.body.inputs.iter().copied()).collect();
        self.contested.keys().filter(|outpoint| !spent.contains(outpoint)).copied().collect()
    }

    /// Something that breaks one rule; the coin it pretends to spend stays in the wallet.
    fn invalid(&mut self, rng: &mut Rng, nodes: &[usize]) -> Vec<Submission> {
        let Some(coins) = self.take_coins(rng, 1) else { return Vec::new() };
        self.coins.extend(coins.iter().copied());
        let (outpoint, coin) = coins[0];
        let fee = self.fee(1, 1, 0);
        let Some(value) = coin.value.checked_sub(fee).filter(|v| *v > self.chain.min_output.get()) else {
            return Vec::new();
        };
        let stranger = Coin { owner: (coin.owner + 1) % self.keys.len(), ..coin };
        let unknown = OutPoint { txid: Txid(rng.bytes()), index: 0 };
        let (what, spent, value) = match rng.below(6) {
            0 => ("no fee", vec![(outpoint, coin)], coin.value),
            1 => ("more out than in", vec![(outpoint, coin)], coin.value + 1_000_000),
            2 => ("another's key", vec![(outpoint, stranger)], value),
            3 => ("unknown parent", vec![(unknown, coin)], value),
            4 => ("no such output", vec![(OutPoint { index: 7_777, ..outpoint }, coin)], value),
            _ => ("bad signature", vec![(outpoint, coin)], value),
        };
        let outputs = vec![self.out(rng, value)];
        let mut tx = self.sign(self.draft(&spent, outputs, Payload::Transfer));
        if what == "bad signature"
            && let Some(Witness::Key { signature, .. }) = tx.witnesses.first_mut()
        {
            signature.0[rng.index(64)] ^= 1;
        }
        vec![self.hand_in(*rng.pick(nodes), tx, Kind::Invalid(what))]
    }

    /// Somebody enters, leaves, or changes a payout.
    fn registry(&mut self, rng: &mut Rng) -> Option<Transaction> {
        if !self.may_enter.is_empty() && rng.chance(500) {
            return self.register(rng);
        }
        let at = rng.index(self.may_leave.len().max(1));
        let (masternode, owner) = *self.may_leave.get(at)?;
        let (outpoint, coin) = self.take_coins(rng, 1)?[0];
        let (payload, extra) = if rng.chance(500) {
            let payout = Some(self.lock(rng.index(self.keys.len())));
            (Payload::Update(Update { masternode, payout, endpoint: None }), 80)
        } else {
            self.may_leave.remove(at);
            (Payload::Unregister { masternode }, 40)
        };
        // The owner's witness authorizes; it may have to be added.
        let fee = self.fee(2, 1, extra);
        let value = coin.value.checked_sub(fee).filter(|v| *v >= self.chain.min_output.get())?;
        let outputs = vec![self.out(rng, value)];
        let mut draft = self.draft(&[(outpoint, coin)], outputs, payload);
        draft.owners.push(owner);
        Some(self.sign(draft))
    }

    fn register(&mut self, rng: &mut Rng) -> Option<Transaction> {
        let tier = self.chain.tiers.first()?.clone();
        let fee = self.fee(1, 2, 250);
        let need = tier.collateral.get() + fee + self.chain.min_output.get();
        let outpoint = *self.coins.iter().find(|(_, coin)| coin.value >= need)?.0;
        let (outpoint, coin) = self.coins.remove_entry(&outpoint)?;
        let key = self.may_enter.pop()?;
        let collateral = TxOut { value: tier.collateral, lock: self.lock(coin.owner) };
        let rest = self.out(rng, coin.value - tier.collateral.get() - fee);
        Some(self.sign_registration((outpoint, coin), &key, self.lock(coin.owner), [collateral, rest]))
    }

    /// Hands a transaction of the wallet to another node as well, as a user does who sees nothing happen.
    pub fn hand_in_again(&mut self, txid: &Txid, node: usize) -> Option<Transaction> {
        let submitted = self.submitted.get_mut(txid)?;
        submitted.nodes.insert(node);
        Some(submitted.tx.clone())
    }

    /// Valid transactions without a rival that nobody has seen final yet.
    pub fn unfinished(&self) -> Vec<Txid> {
        let waiting = self.submitted.iter().filter(|(_, s)| s.kind == Kind::Plain && !s.is_final);
        waiting.map(|(txid, _)| *txid).collect()
    }

    /// A spend of a coin that either of two users opens, as the one signs it and as the other does.
    pub fn two_encodings(&mut self) -> Option<[Transaction; 2]> {
        let (outpoint, value) = self.shared.pop()?;
        let fee = self.fee(2, 1, 64);
        let outputs = vec![TxOut { value: Amount::new(value - fee), lock: self.lock(0) }];
        let draft = Draft { inputs: vec![outpoint], owners: Vec::new(), outputs, payload: Payload::Transfer };
        let unsigned = self.sign(draft);
        let digest = sighash(&self.chain.id(), &unsigned.body.txid());
        let mut signers: Vec<&SecretKey> = self.keys.iter().take(2).collect();
        signers.sort_by_key(|key| key.public_key());
        let keys: Vec<PublicKey> = signers.iter().map(|key| key.public_key()).collect();
        let signed_by = |position: usize| {
            let mut signatures = vec![None, None];
            signatures[position] = Some(signers[position].sign(&digest));
            let witnesses = vec![Witness::Multi { threshold: 1, keys: keys.clone(), signatures }];
            Transaction { witnesses, ..unsigned.clone() }
        };
        Some([signed_by(0), signed_by(1)])
    }
}
