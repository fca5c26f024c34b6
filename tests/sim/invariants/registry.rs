//! The oracle's own registry of masternodes (`protocol.md` 4 and 11): a list kept in order of id, searched from one
//! end to the other.

use super::digest;
use bincode::Encode;
use timed::chain::spec::ChainSpec;
use timed::types::codec::encode;
use timed::types::hash::{Hash, MasternodeId, Txid};
use timed::types::keys::PublicKey;
use timed::types::lock::Lock;
use timed::types::number::Weight;
use timed::types::transaction::{OutPoint, Payload, TxBody, TxOut};
use timed::types::validators::Validator;

/// Where a masternode stands; in the order of `protocol.md` 4, which its encoding names by position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode)]
pub enum Standing {
    /// Waits to enter.
    Queued,
    /// In the set.
    Active,
    /// In the set until a boundary lets it go.
    Leaving,
    /// Out, its collateral bound until this epoch.
    Unbonding(u64),
}

/// A masternode, its fields in the order of `protocol.md` 4.
#[derive(Clone, Debug, Encode)]
pub struct Record {
    /// Its id.
    pub id: MasternodeId,
    /// The key that votes.
    pub key: PublicKey,
    /// Whose the collateral is.
    pub owner: Lock,
    /// Who is paid.
    pub payout: Lock,
    /// Where it listens.
    pub endpoint: String,
    /// The bound output.
    pub collateral: OutPoint,
    /// Its value in units.
    pub value: u64,
    /// Weight in a set.
    pub weight: u64,
    /// Height of asking to enter or to leave.
    pub queued_at: u64,
    /// Where it stands.
    pub standing: Standing,
    /// Whether it was punished.
    pub slashed: bool,
}

impl Record {
    /// Whether it is in the set that begins now.
    pub fn serves(&self) -> bool {
        self.standing == Standing::Active || self.standing == Standing::Leaving
    }
}

/// What a slashing does to the unspent outputs.
pub struct Slashing {
    /// The output that goes.
    pub old: OutPoint,
    /// The output that comes.
    pub new: OutPoint,
    /// What comes.
    pub out: TxOut,
}

/// All masternodes, ascending by id.
#[derive(Clone, Default)]
pub struct Registry {
    records: Vec<Record>,
}

impl Registry {
    /// Adds a record.
    pub fn insert(&mut self, record: Record) {
        let place = self.records.partition_point(|r| r.id < record.id);
        self.records.insert(place, record);
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The record with this id.
    pub fn get(&self, id: &MasternodeId) -> Option<&Record> {
        self.records.iter().find(|r| r.id == *id)
    }

    /// Whether the output is bound.
    pub fn binds(&self, outpoint: &OutPoint) -> bool {
        self.records.iter().any(|r| r.collateral == *outpoint)
    }

    /// `H("masternodes", encode(records))`.
    pub fn hash(&self) -> Hash {
        digest::h("timecoin v1 masternodes", &[&encode(&self.records)])
    }

    /// The set that the registry makes at a boundary.
    pub fn members(&self) -> Vec<Validator> {
        let serving = self.records.iter().filter(|r| r.serves());
        let member =
            |r: &Record| Validator { id: r.id, consensus_key: r.key, weight: Weight::new(r.weight), payout: r.payout };
        serving.map(member).collect()
    }

    /// The effect of a transaction archived at `height` in `epoch`.
    pub fn apply(&mut self, spec: &ChainSpec, height: u64, epoch: u64, txid: Txid, body: &TxBody) {
        match &body.payload {
            Payload::Transfer | Payload::Coinbase { .. } => {}
            Payload::Register(register) => {
                let Some(out) = body.outputs.get(register.collateral_index as usize) else { return };
                let reached = spec.tiers.iter().filter(|tier| tier.collateral <= out.value);
                let Some(tier) = reached.max_by_key(|tier| tier.collateral) else { return };
                if self.records.iter().any(|r| r.key == register.consensus_key) {
                    return;
                }
                self.insert(Record {
                    id: MasternodeId(txid.0),
                    key: register.consensus_key,
                    owner: out.lock,
                    payout: register.payout,
                    endpoint: register.endpoint.clone(),
                    collateral: OutPoint { txid, index: register.collateral_index },
                    value: out.value.get(),
                    weight: tier.weight.get(),
                    queued_at: height,
                    standing: Standing::Queued,
                    slashed: false,
                });
            }
            Payload::Update(update) => {
                let Some(record) = self.records.iter_mut().find(|r| r.id == update.masternode) else { return };
                if let Some(payout) = update.payout {
                    record.payout = payout;
                }
                if let Some(endpoint) = &update.endpoint {
                    record.endpoint = endpoint.clone();
                }
            }
            Payload::Unregister { masternode } => {
                let Some(record) = self.records.iter_mut().find(|r| r.id == *masternode) else { return };
                record.standing = match record.standing {
                    Standing::Queued => Standing::Unbonding(epoch + 1 + spec.unbonding_epochs),
                    Standing::Active => Standing::Leaving,
                    Standing::Leaving | Standing::Unbonding(_) => return,
                };
                record.queued_at = height;
            }
        }
    }

    /// Punishes who signed twice; `None` if there is no record with the key that was not punished yet.
    pub fn slash(&mut self, spec: &ChainSpec, key: &PublicKey) -> Option<Slashing> {
        let record = self.records.iter_mut().find(|r| r.key == *key && !r.slashed)?;
        let kept = u128::from(record.value) * (10_000 - u128::from(spec.slash_bps)) / 10_000;
        let old = record.collateral;
        record.slashed = true;
        record.value = u64::try_from(kept).unwrap_or(record.value);
        record.collateral = OutPoint { txid: Txid(digest::h("timecoin v1 slash", &[&record.id.0]).0), index: 0 };
        let out = TxOut { value: timed::types::number::Amount::new(record.value), lock: record.owner };
        Some(Slashing { old, new: record.collateral, out })
    }

    /// The end of `epoch`, whose last block a set of weight `signing_total` signs.
    pub fn boundary(&mut self, spec: &ChainSpec, epoch: u64, signing_total: u128) {
        let out = Standing::Unbonding(epoch + 1 + spec.unbonding_epochs);
        for id in self.in_line(|r| r.slashed && !matches!(r.standing, Standing::Unbonding(_))) {
            self.let_go(&id, out);
        }
        let budget = signing_total * u128::from(spec.churn_bps) / 10_000;
        let mut line = self.in_line(|r| r.standing == Standing::Leaving);
        line.extend(self.in_line(|r| r.standing == Standing::Queued));
        let mut moved = 0;
        for id in line {
            let Some((weight, serves)) = self.get(&id).map(|r| (u128::from(r.weight), r.serves())) else { continue };
            if moved > 0 && moved + weight > budget {
                break;
            }
            let did_move = if serves { self.let_go(&id, out) } else { self.stand(&id, Standing::Active) };
            if did_move {
                moved += weight;
            }
        }
        self.records.retain(|r| !matches!(r.standing, Standing::Unbonding(until) if until <= epoch + 1));
    }

    /// Ids of those for whom `wanted` holds, by the height of asking, then by id.
    fn in_line(&self, wanted: impl Fn(&Record) -> bool) -> Vec<MasternodeId> {
        let mut line: Vec<(u64, MasternodeId)> =
            self.records.iter().filter(|r| wanted(r)).map(|r| (r.queued_at, r.id)).collect();
        line.sort();
        line.into_iter().map(|(_, id)| id).collect()
    }

    /// Lets the masternode go, unless nobody would be left; whether it went.
    fn let_go(&mut self, id: &MasternodeId, out: Standing) -> bool {
        let is_last = self.records.iter().filter(|r| r.serves()).all(|r| r.id == *id);
        let serves = self.get(id).is_some_and(Record::serves);
        !(serves && is_last) && self.stand(id, out)
    }

    fn stand(&mut self, id: &MasternodeId, standing: Standing) -> bool {
        let record = self.records.iter_mut().find(|r| r.id == *id);
        record.map(|r| r.standing = standing).is_some()
    }
}
