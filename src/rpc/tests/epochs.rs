//! The ends of epochs and the sets, as somebody uses them who trusts the chain spec only.

use super::harness::{COIN, Served, config, lock, payer};
use crate::chain::spec::ChainSpec;
use crate::ledger::verify::Verifier;
use crate::replica::join::epochs::EpochChain;
use crate::replica::message::SealedHeader;
use crate::types::address::from_address;
use crate::types::block::Commit;
use crate::types::codec::decode;
use crate::types::hash::{BlockHash, Hash};
use crate::types::hex;
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::number::{Amount, Height, View, Weight};
use crate::types::transaction::{OutPoint, Payload, Register, TxBody, TxOut};
use crate::types::validators::{Validator, ValidatorSet};
use serde_json::{Value, json};

/// Two slots an epoch, and a masternode that has a quorum alone when a small one joins.
fn short_epochs(spec: &mut ChainSpec) {
    (spec.slot_ms, spec.epoch_slots) = (400, 2);
    spec.masternodes[0].tier = spec.tiers[1].name.clone();
}

impl Served {
    /// Waits until this epoch is the current one.
    async fn wait_epoch(&self, epoch: u64) {
        let mut socket = self.socket().await;
        socket.call("subscribe_blocks", json!([])).await.unwrap();
        while self.ok("get_blockchain_info", json!([])).await["epoch"].as_u64().unwrap() < epoch {
            socket.item().await;
        }
    }

    fn members(&self, listed: &Value) -> Vec<Validator> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let member = |member: &Value| Validator {
            id: Hash::from_hex(&text(&member["id"])).unwrap().into(),
            consensus_key: PublicKey::from_hex(&text(&member["consensus_key"])).unwrap(),
            weight: Weight::new(member["weight"].as_u64().unwrap()),
            payout: from_address(&text(&member["payout"]), &self.chain.address_hrp).unwrap(),
        };
        listed.as_array().unwrap().iter().map(member).collect()
    }

    fn end(&self, end: &Value) -> SealedHeader {
        let (header, commit) = (hex::decode(end["header"].as_str().unwrap()).unwrap(), &end["commit"]);
        let signature = |signature: &Value| signature.as_str().map(|text| Signature(hex::decode_array(text).unwrap()));
        SealedHeader {
            header: decode(&header).unwrap(),
            commit: Commit {
                height: Height::new(commit["height"].as_u64().unwrap()),
                view: View::new(u32::try_from(commit["view"].as_u64().unwrap()).unwrap()),
                block_hash: BlockHash::from_hex(commit["block_hash"].as_str().unwrap()).unwrap(),
                signatures: commit["signatures"].as_array().unwrap().iter().map(signature).collect(),
            },
            next_set: (!end["next_validators"].is_null()).then(|| self.members(&end["next_validators"])),
        }
    }

    /// Registers a masternode of the smallest tier, which will never run, with the payer's first coin.
    async fn register(&self) -> String {
        let key = SecretKey::from_bytes(&[31; 32]);
        let genesis = crate::chain::genesis::genesis(&self.chain).unwrap();
        let input = OutPoint { txid: genesis.block.txs[0].body.txid(), index: 1 };
        let owner = crate::types::lock::Lock::of_key(&payer().public_key());
        let collateral = TxOut { value: self.chain.tiers[0].collateral, lock: owner };
        let fee = self.chain.min_fee_rate * 600;
        let rest = TxOut { value: Amount::new(COIN - collateral.value.get() - fee), lock: owner };
        let mut register = Register {
            consensus_key: key.public_key(),
            payout: lock(7),
            endpoint: "127.0.0.1:9".to_owned(),
            collateral_index: 0,
            proof: Signature([0; 64]),
        };
        register.proof = key.sign(&register.proof_digest(&self.chain.id(), &input, &collateral));
        let tx = self.sign(TxBody {
            version: 1,
            inputs: vec![input],
            outputs: vec![collateral, rest],
            payload: Payload::Register(register),
            memo: Vec::new(),
        });
        self.send_until(&tx, "archived").await;
        tx.body.txid().to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_epochs_lead_from_genesis_to_every_set() {
    let served = Served::on(config(|_| {}), short_epochs).await;
    let joined = served.register().await;
    let registered = served.ok("get_blockchain_info", json!([])).await["epoch"].as_u64().unwrap();
    served.wait_epoch(registered + 3).await;

    let verifier = Verifier::new(served.chain.clone());
    let mut followed = EpochChain::new(served.chain.clone()).unwrap();
    let (mut sizes, mut from) = (vec![followed.set().len()], json!(0));
    while !from.is_null() {
        let page = served.ok("get_epochs", json!([from, 2])).await;
        let epochs = page["epochs"].as_array().unwrap();
        assert!((1..=2).contains(&epochs.len()), "{page}");
        for end in epochs {
            assert_eq!(end["epoch"], followed.epoch().get(), "{end}");
            let sealed = served.end(end);
            assert_eq!(end["height"], sealed.header.height.get());
            followed.extend(&verifier, sealed).unwrap();
            sizes.push(followed.set().len());
            let told = served.ok("get_validators", json!([followed.epoch().get()])).await;
            let set = ValidatorSet::new(served.members(&told["validators"])).unwrap();
            assert_eq!((&set, &told["hash"]), (&**followed.set(), &json!(set.hash().to_string())));
            assert_eq!(told["total_weight"], set.total().get());
        }
        from = page["next_epoch"].clone();
    }
    assert!(followed.epoch().get() >= registered + 3);
    assert_eq!((sizes.first(), sizes.last()), (Some(&1), Some(&2)), "{sizes:?}");
    assert!(sizes.is_sorted(), "it joins once: {sizes:?}");
    assert!(followed.set().members().iter().any(|member| member.id.to_string() == joined));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_epoch_has_a_set_and_no_end() {
    let served = Served::on(config(|_| {}), short_epochs).await;
    served.wait_epoch(1).await;
    let info = served.ok("get_blockchain_info", json!([])).await;
    let current = served.ok("get_validators", json!([])).await;
    assert!(current["epoch"].as_u64() >= info["epoch"].as_u64());
    assert_eq!(current["total_weight"], info["total_weight"]);
    let header = served.ok("get_block_header", json!([1])).await;
    assert_eq!(served.ok("get_validators", json!([0])).await["hash"], header["validators_hash"]);
    // By its end it may have come that far.
    let page = served.ok("get_epochs", json!({ "from_epoch": current["epoch"] })).await;
    let ends = page["epochs"].as_array().unwrap();
    assert!(ends.iter().all(|end| end["height"].as_u64() > info["height"].as_u64()), "{page}");
    assert_eq!(page["next_epoch"], json!(null));
    served.stop().await;
}
