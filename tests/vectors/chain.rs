//! What follows from the chain's rules: issuance, leaders, the registry, the state root.

use crate::reader::{Entry, entry};
use timed::chain::genesis::{genesis, state_entry as encode_state_entry, state_root as root_of};
use timed::chain::leader::{leader, vdf_seed as seed_of};
use timed::chain::registry::{Masternode, MasternodeState, Registry};
use timed::chain::rewards::coinbase_outputs;
use timed::chain::spec::{Chain, ChainSpec, GenesisMasternode, RewardSchedule, RewardSpec};
use timed::chain::subsidy::subsidy;
use timed::crypto::lthash::LtHash;
use timed::types::block::Commit;
use timed::types::codec::{decode_with_limit, encode};
use timed::types::hash::{BlockHash, Domain, Hash, MasternodeId};
use timed::types::keys::{PublicKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::{Amount, Height, UNITS_PER_TIME, View, Weight};
use timed::types::transaction::TxOut;
use timed::types::validators::{Validator, ValidatorSet};

/// `log_height` and `log_masternodes` of the vectors are for a base of 100 TIME.
fn reward(schedule: RewardSchedule) -> RewardSpec {
    RewardSpec { schedule, base: Amount::new(100 * UNITS_PER_TIME), proposer_bps: 1_000 }
}

pub fn subsidy_log_height(vectors: Entry) {
    for (opened, expected) in vectors.pairs() {
        let opened = opened.parse().unwrap();
        for members in [1, 1_000] {
            assert_eq!(subsidy(&reward(RewardSchedule::LogHeight), opened, members), expected.amount(), "{opened}");
        }
    }
}

pub fn subsidy_log_masternodes(vectors: Entry) {
    for (members, expected) in vectors.pairs() {
        let members = members.parse().unwrap();
        for opened in [1, 1_000_000] {
            let paid = subsidy(&reward(RewardSchedule::LogMasternodes), opened, members);
            assert_eq!(paid, expected.amount(), "{members}");
        }
    }
}

/// The key of the member at `position` of a set; `None` is a stranger's, which sorts last.
fn key(position: Option<u64>) -> PublicKey {
    let position = position.map_or(u8::MAX, |p| u8::try_from(p).unwrap());
    PublicKey([position; 32])
}

fn payout(key: &PublicKey, in_own_set: bool) -> Lock {
    if in_own_set { Lock::Multisig(key.0) } else { Lock::KeyHash(key.0) }
}

fn set(members: impl Iterator<Item = (PublicKey, u64)>, own: bool) -> ValidatorSet {
    let member = |(consensus_key, weight): (PublicKey, u64)| {
        let id = MasternodeId(consensus_key.0);
        Validator { id, consensus_key, weight: Weight::new(weight), payout: payout(&consensus_key, own) }
    };
    ValidatorSet::new(members.map(member).collect()).unwrap()
}

fn weights(vector: Entry) -> impl Iterator<Item = (PublicKey, u64)> {
    (0..).map(|i| key(Some(i))).zip(vector.at("weights").list().map(Entry::number))
}

pub fn reward_split(vectors: Entry) {
    for vector in vectors.list() {
        let proposer = key(vector.at("proposer").present().map(Entry::number));
        let parent_set = set(weights(vector), false);
        let others = weights(vector).filter(|(key, _)| *key != proposer);
        let own_set = set(others.map(|(key, weight)| (key, weight + 1)).chain([(proposer, 7)]), true);
        let signers: Vec<u64> = vector.at("signers").list().map(Entry::number).collect();
        let signature = |i| signers.contains(&i).then_some(Signature([0; 64]));
        let commit = Commit {
            height: Height::new(1),
            view: View::ZERO,
            block_hash: BlockHash::ZERO,
            signatures: (0..parent_set.len() as u64).map(signature).collect(),
        };
        let paid = |pair: Entry| {
            let (to, value) = (pair.list().next().unwrap(), pair.list().nth(1).unwrap().amount());
            let to_proposer = to.text_or_none() == Some("proposer");
            let to = if to_proposer { proposer } else { key(Some(to.number())) };
            TxOut { value, lock: payout(&to, to_proposer) }
        };
        let (amount, bps) = (vector.at("reward").amount(), vector.at("proposer_bps").number());
        let outputs = coinbase_outputs(amount, bps, &parent_set, Some(&commit), &own_set, &proposer);
        assert_eq!(outputs, vector.at("paid").list().map(paid).collect::<Vec<_>>());
    }
}

pub fn leaders(vectors: Entry) {
    for vector in vectors.list() {
        let (beacon, height) = (vector.at("beacon").hash(), Height::new(vector.at("height").number()));
        let set = set(weights(vector), false);
        for (view, expected) in (0..).zip(vector.at("views").list()) {
            let expected = key(Some(expected.number()));
            assert_eq!(leader(&beacon, height, View::new(view), &set), expected, "view {view}");
        }
    }
}

pub fn vdf_seed(vector: Entry) {
    let last_opening = vector.at("last_opening_block").hash().into();
    let seed = seed_of(&vector.at("parent_beacon").hash(), &last_opening, vector.at("opened").number());
    assert_eq!(seed, vector.at("seed").hash());
}

fn genesis_id(coinbase: &[u8; 32], index: u32) -> Hash {
    Domain::GENESIS_MASTERNODE.hash_all(&[coinbase, &index.to_le_bytes()])
}

/// A chain that starts with three masternodes.
fn three_masternodes() -> ChainSpec {
    let owner = Lock::KeyHash([1; 32]);
    let mut spec = ChainSpec::dev(0, key(Some(0)), owner, vec![]).unwrap();
    for position in 1..3 {
        let another = GenesisMasternode { consensus_key: key(Some(position)), ..spec.masternodes[0].clone() };
        spec.masternodes.push(another);
    }
    spec
}

pub fn genesis_masternode_ids(vector: Entry) {
    let coinbase = vector.at("coinbase_txid").hash();
    for (index, id) in (0..).zip(vector.at("ids").list()) {
        assert_eq!(genesis_id(coinbase.as_bytes(), index), id.hash());
    }
    // The same rule makes the ids of a chain that starts here.
    let chain = Chain::new(three_masternodes()).unwrap();
    let genesis = genesis(&chain).unwrap();
    assert_eq!(genesis.registry.len(), 3);
    for (index, masternode) in (0..).zip(&chain.masternodes) {
        let record = genesis.registry.by_key(&masternode.consensus_key).unwrap();
        assert_eq!(record.id, genesis_id(genesis.block.txs[0].body.txid().as_bytes(), index).into());
    }
}

pub fn state_entry(vector: Entry) {
    let created = Height::new(vector.at("created_height").number());
    let encoded = encode_state_entry(&vector.outpoint(), &vector.output(), created);
    assert_eq!(encoded, vector.at("encoded").bytes());
}

pub fn state_root(vector: Entry) {
    let encoded = vector.at("registry").bytes();
    let (records, used) = decode_with_limit::<Vec<Masternode>, 65_536>(&encoded).unwrap();
    assert_eq!(used, encoded.len());
    assert_eq!(encode(&records), encoded);
    assert!(records.iter().any(|r| matches!(r.state, MasternodeState::Unbonding { .. })));
    let registry = Registry::from_records(records).unwrap();
    let mut utxos = LtHash::default();
    vector.at("utxos").list().for_each(|utxo| utxos.add(&utxo.bytes()));
    let root = root_of(&utxos, &registry, vector.at("supply").amount(), vector.at("accrued_fees").amount());
    assert_eq!(root, vector.at("root").hash());
    assert_eq!(vector.at("utxos").list().next().unwrap().bytes(), entry("state_entry").at("encoded").bytes());
}
