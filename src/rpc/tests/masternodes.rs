//! Masternodes, their part in the blocks, and how the node's own stands.

use super::harness::{COIN, Served, bytes, lock, payer};
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, Transaction, TxOut};
use crate::wallet::build::{Coin, Content, Identity, Plan, Rules, plan_change, plan_registration};
use serde_json::{Value, json};

impl Served {
    /// The payer's coin number `coin`, as wallets know it.
    fn coin(&self, coin: u32) -> Coin {
        let outpoint: OutPoint = self.pay(coin, lock(1), 10_000).body.inputs[0];
        Coin { outpoint, value: Amount::new(COIN), lock: Lock::of_key(&payer().public_key()) }
    }

    fn rules(&self) -> Rules {
        let Self { chain, .. } = self;
        Rules { fee_rate: chain.min_fee_rate, min_output: chain.min_output, max_tx_bytes: chain.max_tx_bytes }
    }

    fn signed(&self, plan: &Plan) -> Transaction {
        let key = payer();
        plan.sign(&self.chain.id(), |_| Some(&key)).unwrap()
    }

    /// A bronze masternode of this key, owned by the payer.
    fn registration(&self, coin: u32, consensus: &SecretKey, endpoint: &str) -> Transaction {
        let collateral = TxOut { value: self.chain.tiers[0].collateral, lock: Lock::of_key(&payer().public_key()) };
        let identity =
            Identity { consensus_key: consensus.public_key(), payout: lock(3), endpoint: endpoint.to_owned() };
        let mut plan =
            plan_registration(&[self.coin(coin)], collateral, &identity, Content::of_payment(b""), &self.rules())
                .unwrap();
        plan.set_proof(consensus.sign(&plan.proof_digest(&self.chain.id()).unwrap()));
        self.signed(&plan)
    }
}

fn units(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masternode_is_told_with_its_part_in_the_blocks() {
    let served = Served::start().await;
    for coin in 0..2 {
        served.send_until(&served.pay(coin, lock(1), 1_000_000), "archived").await;
    }
    let list = served.ok("list_masternodes", json!([])).await;
    let entry = &list["masternodes"][0];
    assert_eq!(
        (&entry["connected"], &entry["votes_missed"], &list["next_cursor"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    let details = served.ok("get_masternode", json!([entry["id"]])).await;
    let by_key = served.ok("get_masternode", json!({ "id": entry["consensus_key"] })).await;
    for field in ["id", "consensus_key", "owner", "payout", "endpoint", "value", "tier", "weight", "state", "queued_at"]
    {
        assert_eq!((&details[field], &by_key[field]), (&entry[field], &entry[field]), "{field}");
    }
    let part = &details["participation"];
    let (from, to) = (part["from_height"].as_u64().unwrap(), part["to_height"].as_u64().unwrap());
    assert_eq!(from, 2, "block 1 holds no commit");
    let mut paid = 0;
    for height in from..=to {
        let block = served.ok("get_block", json!([height, 2])).await;
        paid += units(&block["transactions"][0]["outputs"][0]["value"]);
    }
    let sum = |field: &str| {
        part["epochs"].as_array().unwrap().iter().map(|epoch| epoch[field].as_u64().unwrap()).sum::<u64>()
    };
    let amounts =
        |field: &str| part["epochs"].as_array().unwrap().iter().map(|epoch| units(&epoch[field])).sum::<u64>();
    let blocks = to - from + 1;
    assert_eq!((sum("cast"), sum("missed"), sum("proposed")), (blocks, 0, blocks));
    assert_eq!((amounts("received"), amounts("expected")), (paid, paid));
    assert_eq!((part["recent_commits"].as_u64().unwrap(), &part["recent_missed"]), (blocks.min(10), &json!(0)));
    assert_eq!(details["next_turn"]["view"], 0, "the only one leads always");
    let waits_for_nothing =
        ["queue_position", "earliest_epoch", "earliest_time", "collateral_epoch", "collateral_time"];
    assert!(waits_for_nothing.iter().all(|field| details[field].is_null()), "{details}");

    let status = served.ok("masternode_status", json!([])).await;
    assert_eq!((&status["state"], &status["masternode"]["id"]), (&json!("active"), &entry["id"]), "{status}");
    assert_eq!(status["consensus_key"], entry["consensus_key"]);
    assert!(status["why"].as_str().unwrap().contains("signed"), "{status}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaders_of_the_next_height_are_told_view_by_view() {
    let served = Served::start().await;
    let schedule = served.ok("get_leader_schedule", json!([])).await;
    let views = schedule["views"].as_array().unwrap();
    assert_eq!(views.iter().map(|entry| entry["view"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let own = served.ok("get_node_info", json!([])).await["consensus_key"].clone();
    assert!(views.iter().all(|entry| entry["consensus_key"] == own && entry["weight"] == 10), "{schedule}");
    let before = schedule["height"].as_u64().unwrap();
    served.send_until(&served.pay(0, lock(1), 1_000_000), "archived").await;
    let after = served.ok("get_leader_schedule", json!([2])).await;
    assert!(after["height"].as_u64().unwrap() > before && after["views"].as_array().unwrap().len() == 2, "{after}");
    // As told, so it was: who leads alone built the block.
    let block = served.ok("get_block", json!([before])).await;
    assert_eq!(block["proposer"], views[0]["consensus_key"]);
    assert_eq!(served.ok("get_leader_schedule", json!([0])).await["views"], json!([]));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_to_enter_is_told_its_place_and_when() {
    let served = Served::start().await;
    let (first, second) = (SecretKey::from_bytes(&[31; 32]), SecretKey::from_bytes(&[32; 32]));
    let [one, other] = [(0, &first), (1, &second)].map(|(coin, key)| served.registration(coin, key, "10.0.0.1:24200"));
    // Together: at the end of the epoch one of them enters, and never votes, which ends this chain.
    served.ok("send_raw_transaction", json!([bytes(&one)])).await;
    served.send_until(&other, "archived").await;
    served.ok("wait_for_transaction", json!([one.body.txid().to_string(), "archived", 60_000])).await;
    let mut waiting = Vec::new();
    for key in [&first, &second] {
        let details = served.ok("get_masternode", json!([key.public_key().to_string()])).await;
        assert_eq!((&details["state"], &details["tier"]), (&json!("queued"), &json!("bronze")), "{details}");
        assert_eq!((&details["connected"], &details["participation"]["recent_commits"]), (&json!(false), &json!(0)));
        let number = |field: &str| details[field].as_u64().unwrap();
        waiting.push([number("queue_position"), number("earliest_epoch"), number("earliest_time")]);
    }
    waiting.sort_unstable();
    // A boundary lets one of them in, and epoch 1 begins with the tenth block.
    let begins = |slot: u64| served.chain.genesis_time_ms + slot * served.chain.slot_ms;
    assert_eq!(waiting.iter().map(|entry| [entry[0], entry[1]]).collect::<Vec<_>>(), [[1, 1], [2, 2]]);
    assert!(waiting[0][2] >= begins(10) && waiting[1][2] == waiting[0][2] + 10 * served.chain.slot_ms, "{waiting:?}");
    let pages = |cursor: Value| served.ok("list_masternodes", json!([cursor, 2]));
    let page = pages(Value::Null).await;
    let rest = pages(page["next_cursor"].clone()).await;
    let names = [page, rest].map(|page| page["masternodes"].as_array().unwrap().len());
    assert_eq!(names, [2, 1]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_masternode_that_asked_to_leave_stays_and_is_told_so() {
    let served = Served::start().await;
    let own = served.ok("list_masternodes", json!([])).await["masternodes"][0]["id"].clone();
    let masternode = crate::types::hash::MasternodeId::from_hex(own.as_str().unwrap()).unwrap();
    let consent = Some(Lock::of_key(&payer().public_key()));
    let payload = Payload::Unregister { masternode };
    let content = Content { payload, consent, ..Content::of_payment(b"") };
    let plan = plan_change(&[served.coin(0)], &content, &served.rules()).unwrap();
    served.send_until(&served.signed(&plan), "archived").await;
    let status = served.ok("masternode_status", json!([])).await;
    assert_eq!((&status["state"], &status["masternode"]["state"]), (&json!("leaving"), &json!("leaving")), "{status}");
    assert_eq!(
        (&status["masternode"]["queue_position"], &status["masternode"]["earliest_epoch"]),
        (&json!(1), &Value::Null)
    );
    assert!(status["why"].as_str().unwrap().contains("once there is room"), "{status}");
    served.stop().await;
}
