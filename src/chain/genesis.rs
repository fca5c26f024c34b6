//! The first block and the state it leaves, made from the chain spec alone; and what a state's root covers
//! (`protocol.md` 2 and 9).

use super::registry::{Masternode, MasternodeState, Registry};
use super::spec::{Chain, SpecError};
use crate::crypto::lthash::LtHash;
use crate::types::block::{Block, Header, commit_root, evidence_root, tx_root};
use crate::types::codec::encode;
use crate::types::hash::{BlockHash, Domain, Hash, MasternodeId, Txid};
use crate::types::keys::PublicKey;
use crate::types::number::{Amount, Height, Slot};
use crate::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};
use crate::types::validators::ValidatorSet;

/// The genesis block and the state after it.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Height 0; nobody proposed or signed it.
    pub block: Block,
    /// The masternodes of the spec, all active.
    pub registry: Registry,
    /// Their set, which signs height 1.
    pub validators: ValidatorSet,
    /// The outputs of the coinbase.
    pub utxos: Vec<(OutPoint, TxOut)>,
    /// The hash of the set of `utxos`.
    pub utxo_hash: LtHash,
    /// Sum of `utxos`.
    pub supply: Amount,
}

/// The genesis of `chain`.
///
/// # Errors
/// [`SpecError::BadValue`] if the spec's masternodes are no registry or its amounts do not add up, which the check
/// that every [`Chain`] passed excludes.
pub fn genesis(chain: &Chain) -> Result<Genesis, SpecError> {
    let body = coinbase(chain)?;
    let txid = body.txid();
    let utxos: Vec<(OutPoint, TxOut)> =
        (0u32..).zip(&body.outputs).map(|(index, out)| (OutPoint { txid, index }, *out)).collect();
    let registry = registry(chain, &utxos)?;
    let validators = registry.validators().map_err(|e| bad("masternodes", e.to_string()))?;
    let supply = Amount::checked_sum(body.outputs.iter().map(|out| out.value))
        .ok_or_else(|| bad("allocations", "add up past 2^64 units".to_owned()))?;
    let mut utxo_hash = LtHash::default();
    for (outpoint, out) in &utxos {
        utxo_hash.add(&state_entry(outpoint, out, Height::ZERO));
    }
    let header = Header {
        version: 1,
        chain_id: chain.id(),
        height: Height::ZERO,
        slot: Slot::ZERO,
        opened: 0,
        prev: BlockHash::ZERO,
        tx_root: tx_root([&txid]),
        tx_count: 1,
        state_root: state_root(&utxo_hash, &registry, supply, Amount::ZERO),
        last_commit_root: commit_root(None),
        evidence_root: evidence_root(&[]),
        // Nobody signs genesis: both hashes are those of the set of the first epoch.
        validators_hash: validators.hash(),
        next_validators_hash: validators.hash(),
        beacon: Domain::GENESIS_BEACON.hash(&chain.id().0),
        proposer: PublicKey::default(),
        reward: Amount::ZERO,
    };
    let txs = vec![Transaction { body, witnesses: Vec::new() }];
    let block = Block { header, txs, last_commit: None, evidence: Vec::new(), vdf: None };
    Ok(Genesis { block, registry, validators, utxos, utxo_hash, supply })
}

/// The collaterals, then the allocations, in the order of the spec.
fn coinbase(chain: &Chain) -> Result<TxBody, SpecError> {
    let collaterals = chain.masternodes.iter().map(|m| {
        let tier = chain.tier_named(&m.tier).ok_or_else(|| bad("masternodes", format!("name a tier {:?}", m.tier)))?;
        Ok(TxOut { value: tier.collateral, lock: m.owner })
    });
    let allocations = chain.allocations.iter().map(|a| Ok(TxOut { value: a.amount, lock: a.address }));
    Ok(TxBody {
        version: 1,
        inputs: Vec::new(),
        outputs: collaterals.chain(allocations).collect::<Result<_, SpecError>>()?,
        payload: Payload::Coinbase { height: Height::ZERO },
        memo: Vec::new(),
    })
}

fn registry(chain: &Chain, utxos: &[(OutPoint, TxOut)]) -> Result<Registry, SpecError> {
    let mut records = Vec::with_capacity(chain.masternodes.len());
    for (m, (outpoint, out)) in chain.masternodes.iter().zip(utxos) {
        let tier = chain.tier_for(out.value).ok_or_else(|| bad("masternodes", format!("name a tier {:?}", m.tier)))?;
        records.push(Masternode {
            id: masternode_id(&outpoint.txid, outpoint.index),
            consensus_key: m.consensus_key,
            owner: m.owner,
            payout: m.payout,
            endpoint: m.endpoint.clone(),
            collateral: *outpoint,
            value: out.value,
            weight: tier.weight,
            queued_at: Height::ZERO,
            state: MasternodeState::Active,
            slashed: false,
        });
    }
    records.sort_by_key(|record| record.id);
    Registry::from_records(records).map_err(|e| bad("masternodes", e.to_string()))
}

fn bad(key: &str, problem: String) -> SpecError {
    SpecError::BadValue { key: key.to_owned(), problem }
}

/// The id of the genesis masternode at `index`: `H("genesis masternode", coinbase txid || index as u32 le)`.
fn masternode_id(coinbase: &Txid, index: u32) -> MasternodeId {
    Domain::GENESIS_MASTERNODE.hash_all(&[&coinbase.0, &index.to_le_bytes()]).into()
}

/// `H("state root", H("utxos", lthash) || H("masternodes", registry) || encode(supply, accrued_fees))`.
pub fn state_root(utxo_hash: &LtHash, registry: &Registry, supply: Amount, accrued_fees: Amount) -> Hash {
    let amounts = encode(&(supply, accrued_fees));
    Domain::STATE_ROOT.hash_all(&[&utxo_hash.hash().0, &registry.hash().0, &amounts])
}

/// What the set hash of unspent outputs holds of one created at height `created`.
pub fn state_entry(outpoint: &OutPoint, out: &TxOut, created: Height) -> Vec<u8> {
    encode(&(outpoint, out, created))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::spec::{Allocation, ChainSpec, GenesisMasternode};
    use crate::chain::vectors;
    use crate::types::hex;
    use crate::types::lock::Lock;

    fn lock(byte: u8) -> Lock {
        Lock::KeyHash([byte; 32])
    }

    fn chain() -> Chain {
        let allocations = vec![
            Allocation { address: lock(8), amount: Amount::new(7) },
            Allocation { address: lock(9), amount: Amount::new(5) },
        ];
        let mut spec = ChainSpec::dev(1_700_000_000_000, PublicKey([1; 32]), lock(2), allocations).unwrap();
        spec.masternodes.push(GenesisMasternode {
            consensus_key: PublicKey([3; 32]),
            owner: lock(4),
            payout: lock(5),
            tier: "silver".into(),
            endpoint: "mn.example:24200".into(),
        });
        Chain::new(spec).unwrap()
    }

    #[test]
    fn the_coinbase_pays_collaterals_then_allocations_in_file_order() {
        let genesis = genesis(&chain()).unwrap();
        let outputs: Vec<_> = genesis.utxos.iter().map(|(_, out)| (out.value.get(), out.lock)).collect();
        let expected = [(100_000_000_000, lock(2)), (1_000_000_000_000, lock(4)), (7, lock(8)), (5, lock(9))];
        assert_eq!(outputs, expected);
        assert_eq!(genesis.supply.get(), 1_100_000_000_012);
        let coinbase = &genesis.block.txs[0];
        assert_eq!(coinbase.body.payload, Payload::Coinbase { height: Height::ZERO });
        assert_eq!(coinbase.body.outputs.len(), 4);
        assert!(genesis.utxos.iter().all(|(outpoint, _)| outpoint.txid == coinbase.body.txid()));
    }

    #[test]
    fn the_masternodes_are_active_from_the_start_and_their_collateral_is_bound() {
        let genesis = genesis(&chain()).unwrap();
        assert_eq!(genesis.registry.len(), 2);
        for (i, (key, weight)) in [(1, 10), (3, 100)].into_iter().enumerate() {
            let record = genesis.registry.by_key(&PublicKey([key; 32])).unwrap();
            assert_eq!((record.state, record.queued_at), (MasternodeState::Active, Height::ZERO));
            assert_eq!((record.weight.get(), record.collateral), (weight, genesis.utxos[i].0));
            assert!(genesis.registry.is_collateral(&record.collateral));
        }
        assert!(!genesis.registry.is_collateral(&genesis.utxos[2].0));
        assert_eq!(genesis.validators.total().get(), 110);
        assert_eq!(genesis.validators.hash(), genesis.block.header.next_validators_hash);
    }

    #[test]
    fn the_header_is_that_of_a_block_nobody_made() {
        let chain = chain();
        let genesis = genesis(&chain).unwrap();
        let header = &genesis.block.header;
        assert_eq!((header.height, header.slot, header.opened), (Height::ZERO, Slot::ZERO, 0));
        assert_eq!((header.prev, header.proposer), (BlockHash::ZERO, PublicKey::default()));
        assert_eq!((header.reward, header.tx_count, header.chain_id), (Amount::ZERO, 1, chain.id()));
        assert_eq!(header.beacon, Domain::GENESIS_BEACON.hash(&chain.id().0));
        assert!(genesis.block.last_commit.is_none() && genesis.block.vdf.is_none());
        let root = state_root(&genesis.utxo_hash, &genesis.registry, genesis.supply, Amount::ZERO);
        assert_eq!(header.state_root, root);
        assert!(!chain.opening_closes_epoch(header.opened));
    }

    #[test]
    fn the_ids_of_genesis_masternodes_are_those_of_the_vectors() {
        let vector = vectors::get("genesis_masternode_ids");
        let coinbase = Txid::from_hex(vector["coinbase_txid"].as_str().unwrap()).unwrap();
        for (i, id) in (0u32..).zip(vector["ids"].as_array().unwrap()) {
            assert_eq!(masternode_id(&coinbase, i).to_string(), id.as_str().unwrap());
        }
    }

    #[test]
    fn a_state_entry_is_that_of_the_vector() {
        let vector = vectors::get("state_entry");
        let number = |name: &str| vector[name].as_u64().unwrap();
        let outpoint = OutPoint {
            txid: Txid::from_hex(vector["txid"].as_str().unwrap()).unwrap(),
            index: u32::try_from(number("index")).unwrap(),
        };
        let key_hash = hex::decode_array(vector["key_hash"].as_str().unwrap()).unwrap();
        let out = TxOut { value: Amount::new(number("value")), lock: Lock::KeyHash(key_hash) };
        let entry = state_entry(&outpoint, &out, Height::new(number("created_height")));
        assert_eq!(hex::encode(&entry), vector["encoded"].as_str().unwrap());
    }

    #[test]
    fn the_state_root_is_that_of_the_vector() {
        let vector = vectors::get("state_root");
        let encoded = hex::decode(vector["registry"].as_str().unwrap()).unwrap();
        let (records, used) = crate::types::codec::decode_with_limit::<Vec<Masternode>, 65_536>(&encoded).unwrap();
        assert_eq!(used, encoded.len());
        let registry = Registry::from_records(records).unwrap();
        let mut utxos = LtHash::default();
        for entry in vector["utxos"].as_array().unwrap() {
            utxos.add(&hex::decode(entry.as_str().unwrap()).unwrap());
        }
        let amount = |name: &str| Amount::new(vector[name].as_u64().unwrap());
        let root = state_root(&utxos, &registry, amount("supply"), amount("accrued_fees"));
        assert_eq!(root.to_string(), vector["root"].as_str().unwrap());
    }
}
