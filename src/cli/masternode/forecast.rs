//! The chain's rules and masternodes as a node tells them, and what follows for one that wants to enter or to leave.
//!
//! The rules are those of the node itself (`chain::registry`), applied to what the node says there is.

use crate::chain::registry::{Masternode, MasternodeState, Registry};
use crate::chain::spec::{ChainSpec, SpecText};
use crate::cli::CliError;
use crate::cli::remote::{RemoteNode, get, nonsense, units};
use crate::cli::wallet::show::utc;
use crate::types::hash::{MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, Epoch, Height, Slot, TimeMs, Weight};
use crate::types::transaction::OutPoint;
use serde::Deserialize;
use serde_json::{Value, json};

/// Entries of a page.
const PAGE: u64 = 1_000;
/// More masternodes than a chain has.
const MAX_MASTERNODES: usize = 1_000_000;

/// What a node says of its chain.
pub struct ChainNow {
    /// The chain's rules.
    pub spec: ChainSpec,
    /// All masternodes.
    pub registry: Registry,
    /// Epoch of the next block.
    pub epoch: Epoch,
    height: Height,
    opened: u64,
    next_slot: Slot,
}

/// When something happens at the earliest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// With this epoch.
    pub epoch: Epoch,
    /// Then, if every slot has a block.
    pub time: TimeMs,
}

#[derive(Deserialize)]
struct TipPart {
    height: u64,
    opened: u64,
    epoch: u64,
    next_slot_time: u64,
    syncing: bool,
}

#[derive(Deserialize)]
struct Page {
    masternodes: Vec<RecordPart>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct RecordPart {
    id: String,
    consensus_key: String,
    owner: String,
    payout: String,
    endpoint: String,
    collateral: OutPointPart,
    #[serde(deserialize_with = "units")]
    value: Amount,
    weight: u64,
    state: String,
    until_epoch: Option<u64>,
    queued_at: u64,
    slashed: bool,
}

#[derive(Deserialize)]
struct OutPointPart {
    txid: String,
    index: u32,
}

impl RecordPart {
    fn read(self, node: &RemoteNode) -> Result<Masternode, CliError> {
        let wrong = |what: &str| nonsense("list_masternodes", format!("{what} of {}", self.id));
        let state = match (self.state.as_str(), self.until_epoch) {
            ("queued", _) => MasternodeState::Queued,
            ("active", _) => MasternodeState::Active,
            ("leaving", _) => MasternodeState::Leaving,
            ("unbonding", Some(until)) => MasternodeState::Unbonding { until_epoch: Epoch::new(until) },
            _ => return Err(wrong("the state")),
        };
        let txid = Txid::from_hex(&self.collateral.txid).ok_or_else(|| wrong("the collateral"))?;
        Ok(Masternode {
            id: MasternodeId::from_hex(&self.id).ok_or_else(|| wrong("the id"))?,
            consensus_key: PublicKey::from_hex(&self.consensus_key).ok_or_else(|| wrong("the key"))?,
            owner: node.lock_of(&self.owner)?,
            payout: node.lock_of(&self.payout)?,
            collateral: OutPoint { txid, index: self.collateral.index },
            value: self.value,
            weight: Weight::new(self.weight),
            queued_at: Height::new(self.queued_at),
            state,
            slashed: self.slashed,
            endpoint: self.endpoint,
        })
    }
}

impl ChainNow {
    /// Asks the node.
    pub async fn of(node: &RemoteNode) -> Result<Self, CliError> {
        let spec = spec_of(get(node.client(), "get_chain_spec", vec![]).await?)?;
        let mut records = Vec::new();
        let mut cursor = None;
        loop {
            let page: Page = get(node.client(), "list_masternodes", vec![json!(cursor), json!(PAGE)]).await?;
            for record in page.masternodes {
                records.push(record.read(node)?);
            }
            cursor = page.next_cursor;
            if cursor.is_none() || records.len() >= MAX_MASTERNODES {
                break;
            }
        }
        // After the list: a record is never newer than the tip.
        let tip: TipPart = get(node.client(), "get_blockchain_info", vec![]).await?;
        if tip.syncing {
            let url = node.client().url();
            return Err(CliError::failure(format!(
                "the node at {url} is catching up with the chain: ask again when it has"
            )));
        }
        let registry = Registry::from_records(records).map_err(|e| nonsense("list_masternodes", e))?;
        Ok(Self {
            next_slot: spec.slot_at(TimeMs(tip.next_slot_time)),
            spec,
            registry,
            epoch: Epoch::new(tip.epoch),
            height: Height::new(tip.height),
            opened: tip.opened,
        })
    }

    /// The masternode that a user names by its id or by its consensus key.
    pub fn named(&self, text: &str) -> Result<&Masternode, CliError> {
        let names = MasternodeId::from_hex(text).zip(PublicKey::from_hex(text));
        let (id, key) = names.ok_or_else(|| {
            CliError::usage(format!("\"{text}\" names no masternode: 64 hex digits do, its id or its consensus key"))
        })?;
        let record = self.registry.get(&id).or_else(|| self.registry.by_key(&key));
        record
            .ok_or_else(|| CliError::failure(format!("no masternode {text} is registered; see timed masternode list")))
    }

    /// When an epoch begins at the earliest.
    pub fn due(&self, epoch: Epoch) -> Due {
        Due { epoch, time: self.spec.epoch_begins(epoch, self.opened, self.next_slot) }
    }

    /// When `record`, registered with the next block, would be in the set, if nobody else asks for anything.
    pub fn entry_of(&self, mut record: Masternode) -> Option<Due> {
        record.queued_at = self.height.next();
        record.state = MasternodeState::Queued;
        let id = record.id;
        let moves_in = self.with(record)?.moves_in(&self.spec, self.epoch, &id)?;
        Some(self.due(moves_in))
    }

    /// Whether a member of this weight, besides those that are in, would be needed for every quorum.
    pub fn would_stop_without(&self, weight: Weight) -> bool {
        let is_in = |record: &&Masternode| matches!(record.state, MasternodeState::Active | MasternodeState::Leaving);
        let others = Weight::checked_sum(self.registry.iter().filter(is_in).map(|record| record.weight));
        let total = others.and_then(|others| others.checked_add(weight));
        others.zip(total).is_none_or(|(others, total)| !others.is_quorum_of(total))
    }

    /// When `record`, unregistered with the next block, would be out of the set, and when its collateral would be free.
    pub fn exit_of(&self, record: &Masternode) -> Option<(Due, Due)> {
        let left_in = match record.state {
            // Never in a set: as if the end of this epoch had let it go.
            MasternodeState::Queued => self.epoch,
            MasternodeState::Active => {
                let (queued_at, state) = (self.height.next(), MasternodeState::Leaving);
                let asking = Masternode { queued_at, state, ..record.clone() };
                self.with(asking)?.moves_in(&self.spec, self.epoch, &record.id)?.previous()?
            }
            MasternodeState::Leaving => self.registry.moves_in(&self.spec, self.epoch, &record.id)?.previous()?,
            MasternodeState::Unbonding { until_epoch } => return Some((self.due(self.epoch), self.due(until_epoch))),
        };
        Some((self.due(left_in.next()), self.due(self.spec.unbonded_from(left_in))))
    }

    /// All masternodes, `record` in the place of the one with its id.
    fn with(&self, record: Masternode) -> Option<Registry> {
        let mut records: Vec<Masternode> =
            self.registry.iter().filter(|other| other.id != record.id).cloned().collect();
        records.push(record);
        records.sort_by_key(|record| record.id);
        Registry::from_records(records).ok()
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "with epoch {}, about {} UTC", self.epoch, utc(self.time.0))
    }
}

/// The spec as `get_chain_spec` tells it: amounts as strings, and the chain's id beside it.
fn spec_of(mut value: Value) -> Result<ChainSpec, CliError> {
    let wrong = |problem: &str| nonsense("get_chain_spec", problem);
    let fields = value.as_object_mut().ok_or_else(|| wrong("it is no object"))?;
    fields.remove("chain_id");
    // The genesis is of no use here.
    fields.remove("masternodes");
    fields.remove("allocations");
    for place in ["/min_output", "/reward/base"] {
        read_amount(value.pointer_mut(place));
    }
    for tier in value.get_mut("tiers").and_then(Value::as_array_mut).into_iter().flatten() {
        read_amount(tier.get_mut("collateral"));
    }
    let text: SpecText = serde_json::from_value(value).map_err(|e| nonsense("get_chain_spec", e))?;
    ChainSpec::from_text(text).map_err(|e| nonsense("get_chain_spec", e))
}

fn read_amount(value: Option<&mut Value>) {
    if let Some(value) = value
        && let Some(units) = value.as_str().and_then(|text| text.parse::<u64>().ok())
    {
        *value = units.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::lock::Lock;

    fn record(n: u8, state: MasternodeState) -> Masternode {
        Masternode {
            id: MasternodeId([n; 32]),
            consensus_key: PublicKey([n; 32]),
            owner: Lock::KeyHash([n; 32]),
            payout: Lock::KeyHash([n; 32]),
            endpoint: format!("mn{n}.example:24000"),
            collateral: OutPoint { txid: Txid([n; 32]), index: 0 },
            value: Amount::new(1),
            weight: Weight::new(10),
            queued_at: Height::new(5),
            state,
            slashed: false,
        }
    }

    /// Four of weight 10 on a chain with epochs of 10 slots, 3,333 of 10,000 of churn and 3 epochs of unbonding; block
    /// 12 of epoch 1 is next, in slot 20.
    fn now(further: impl IntoIterator<Item = Masternode>) -> ChainNow {
        let members = (1..=4).map(|n| record(n, MasternodeState::Active));
        ChainNow {
            spec: ChainSpec { genesis_time_ms: 0, ..ChainSpec::builtin("dev").unwrap() },
            registry: Registry::from_records(members.chain(further)).unwrap(),
            epoch: Epoch::new(1),
            height: Height::new(11),
            opened: 11,
            next_slot: Slot::new(20),
        }
    }

    fn epochs(due: Option<(Due, Due)>) -> Option<(u64, u64)> {
        due.map(|(out, free)| (out.epoch.get(), free.epoch.get()))
    }

    #[test]
    fn who_enters_waits_for_those_before_it() {
        let alone = now([]).entry_of(record(9, MasternodeState::Queued)).unwrap();
        // Nine blocks until the one that closes epoch 1, the first in slot 20.
        assert_eq!((alone.epoch, alone.time), (Epoch::new(2), TimeMs(28 * 2_000)));
        let behind_one =
            now([record(8, MasternodeState::Queued)]).entry_of(record(9, MasternodeState::Queued)).unwrap();
        assert_eq!(behind_one.epoch, Epoch::new(3));
        assert_eq!(
            now([]).entry_of(Masternode { consensus_key: PublicKey([1; 32]), ..record(9, MasternodeState::Queued) }),
            None
        );
    }

    #[test]
    fn who_leaves_is_free_after_whole_epochs() {
        let queued = record(9, MasternodeState::Queued);
        assert_eq!(epochs(now([queued.clone()]).exit_of(&queued)), Some((2, 5)));
        assert_eq!(epochs(now([]).exit_of(&record(1, MasternodeState::Active))), Some((2, 5)));
        let first = record(8, MasternodeState::Leaving);
        let behind_one = now([first.clone()]);
        assert_eq!(epochs(behind_one.exit_of(&record(1, MasternodeState::Active))), Some((3, 6)));
        assert_eq!(epochs(behind_one.exit_of(&first)), Some((2, 5)));
        let gone = record(8, MasternodeState::Unbonding { until_epoch: Epoch::new(4) });
        assert_eq!(epochs(now([gone.clone()]).exit_of(&gone)), Some((1, 4)));
    }

    #[test]
    fn a_masternode_is_named_by_id_or_key() {
        let now = now([Masternode { consensus_key: PublicKey([7; 32]), ..record(9, MasternodeState::Active) }]);
        assert_eq!(now.named(&"09".repeat(32)).unwrap().id, MasternodeId([9; 32]));
        assert_eq!(now.named(&"07".repeat(32)).unwrap().id, MasternodeId([9; 32]));
        assert!(matches!(now.named(&"08".repeat(32)), Err(CliError::Failure(_))));
        assert!(matches!(now.named("mn9"), Err(CliError::Usage(_))));
    }
}
