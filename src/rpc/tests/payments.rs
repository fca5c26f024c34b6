//! A payment as its users see it: from being handed in to a block, with what it does to balances, and its proofs.

use super::harness::{COIN, COINS, Served, bytes, code_and_reason, lock, payer};
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};
use serde_json::{Value, json};

fn units(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_from_final_to_a_block_and_every_method_tells_the_same_of_it() {
    let served = Served::start().await;
    let to = served.address_of(&lock(1));
    let tx = served.pay(0, lock(1), 5_000_000);
    let last = served.send_until(&tx, "finalized").await;
    let (txid, fee) = (tx.body.txid().to_string(), served.chain.min_fee_rate * 400);
    assert_eq!((units(&last["fee"]), &last["hex"]), (fee, &json!(bytes(&tx))));
    assert_eq!(units(&last["inputs"][0]["value"]), COIN);
    assert_eq!(last["inputs"][0]["address"], served.address_of(&Lock::of_key(&payer().public_key())));
    assert_eq!((&last["memo"], &last["payload"]["type"]), (&json!("6869"), &json!("transfer")));

    let archived = served.ok("wait_for_transaction", json!([txid, "archived", 60_000])).await;
    let height = archived["height"].as_u64().unwrap();
    assert!(archived["confirmations"].as_u64().unwrap() >= 1);
    let block = served.ok("get_block", json!([height])).await;
    assert_eq!(block["hash"], archived["block_hash"]);
    assert!(block["transactions"].as_array().unwrap().contains(&json!(txid)), "{block}");
    assert_eq!(block["commit"]["signers"], 1);
    let by_hash = served.ok("get_block", json!({ "block": archived["block_hash"], "verbosity": 3 })).await;
    let inside = by_hash["transactions"].as_array().unwrap().iter().find(|tx| tx["txid"] == txid.as_str()).unwrap();
    assert_eq!(units(&inside["inputs"][0]["value"]), COIN);
    let hex = served.ok("get_block", json!([height, 0])).await;
    assert_eq!(hex.as_str().unwrap().len(), 2 * usize::try_from(block["size"].as_u64().unwrap()).unwrap());

    let balance = served.ok("get_balance", json!([to])).await;
    assert_eq!(units(&balance["balance"]), 5_000_000);
    assert_eq!(balance["utxo_count"], 1);
    let unspent = served.ok("list_unspent", json!([to])).await;
    assert_eq!(unspent["utxos"][0]["txid"], txid.as_str());
    assert_eq!(unspent["next_cursor"], json!(null));
    let history = served.ok("get_address_history", json!([to])).await;
    assert_eq!((units(&history["entries"][0]["received"]), units(&history["entries"][0]["sent"])), (5_000_000, 0));
    let out = served.ok("get_tx_out", json!([txid, 0])).await;
    assert_eq!((out["state"].as_str(), &out["address"]), (Some("unspent"), &json!(to)));
    assert_eq!(served.ok("get_tx_out", json!([txid, 9])).await, json!(null));

    let again = served.fails("send_raw_transaction", json!([bytes(&tx)])).await;
    assert_eq!(again, (-27, "already_archived".to_owned()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_the_same_before_and_after_the_block() {
    let served = Served::start().await;
    let from = served.address_of(&Lock::of_key(&payer().public_key()));
    let before = served.ok("get_balance", json!([from])).await;
    let collateral = served.chain.tiers[0].collateral.get();
    let rewards = |balance: &Value| units(&balance["balance"]) - COIN * u64::try_from(COINS).unwrap() - collateral;
    assert_eq!(rewards(&before), 0);
    assert_eq!(units(&before["bonded"]), collateral);
    assert_eq!(units(&before["spendable"]), units(&before["balance"]) - collateral);

    let fee = served.chain.min_fee_rate * 400;
    let tx = served.pay(0, lock(1), 5_000_000);
    served.send_until(&tx, "finalized").await;
    for stage in ["finalized", "archived"] {
        served.ok("wait_for_transaction", json!([tx.body.txid().to_string(), stage, 60_000])).await;
        let after = served.ok("get_balance", json!([from])).await;
        assert_eq!(
            units(&after["balance"]),
            units(&after["archived"]) + units(&after["finalized"]),
            "{stage}: {after}"
        );
        // Rewards come with blocks, so at least this is there.
        assert!(units(&after["balance"]) + 5_000_000 + fee >= units(&before["balance"]), "{stage}: {after}");
        let there = served.ok("get_balance", json!([served.address_of(&lock(1))])).await;
        assert_eq!((units(&there["balance"]), &there["utxo_count"]), (5_000_000, &json!(1)), "{stage}: {there}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unspent_outputs_come_in_pages_with_what_can_be_spent_first() {
    let served = Served::start().await;
    let from = served.address_of(&Lock::of_key(&payer().public_key()));
    served.send_until(&served.pay(0, lock(1), 5_000_000), "finalized").await;
    let (mut all, mut cursor) = (Vec::new(), json!(null));
    loop {
        let page = served.ok("list_unspent", json!({ "address": from, "cursor": cursor, "limit": 2 })).await;
        let utxos = page["utxos"].as_array().unwrap().clone();
        assert!(utxos.len() <= 2);
        all.extend(utxos);
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let statuses: Vec<&str> = all.iter().map(|utxo| utxo["status"].as_str().unwrap()).collect();
    assert_eq!(statuses.last(), Some(&"bonded"), "the collateral comes last");
    assert!(statuses[..statuses.len() - 1].iter().all(|status| ["archived", "finalized"].contains(status)));
    let names: std::collections::BTreeSet<String> =
        all.iter().map(|utxo| format!("{}:{}", utxo["txid"], utxo["index"])).collect();
    assert!(names.len() > COINS, "every coin, the change and the collateral: {names:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_spend_names_what_spent_the_output() {
    let served = Served::start().await;
    let first = served.pay(0, lock(1), 5_000_000);
    served.send_until(&first, "finalized").await;
    let second = served.pay(0, lock(2), 5_000_000);
    let error = served.call("send_raw_transaction", json!([bytes(&second)])).await.unwrap_err();
    assert_eq!(code_and_reason(&error), (-25, "conflict".to_owned()));
    assert_eq!(error["data"]["spent_by"], first.body.txid().to_string());
    let second_txid = second.body.txid().to_string();
    let refused = served.ok("get_transaction", json!([second_txid])).await;
    assert_eq!((refused["status"].as_str(), refused["reason"].as_str()), (Some("rejected"), Some("conflict")));
    let tested =
        served.ok("test_mempool_accept", json!([[bytes(&second), bytes(&served.pay(1, lock(1), 7_000_000))]])).await;
    assert_eq!((&tested[0]["allowed"], &tested[0]["reason"]), (&json!(false), &json!("conflict")));
    assert_eq!((&tested[1]["allowed"], &tested[1]["reason"]), (&json!(true), &json!(null)));
    let waited = served.fails("wait_for_transaction", json!([second_txid])).await;
    assert_eq!(waited, (-25, "conflict".to_owned()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why_and_changes_nothing() {
    let served = Served::start().await;
    let good = served.pay(0, lock(1), 5_000_000);
    let mut unsigned = good.clone();
    unsigned.witnesses = served.pay(1, lock(1), 1_000_000).witnesses;
    let send = |tx: &Transaction| json!([bytes(tx)]);
    assert_eq!(served.fails("send_raw_transaction", send(&unsigned)).await, (-26, "bad_signature".to_owned()));
    let mut greedy = good.body.clone();
    greedy.outputs[1].value = Amount::new(COIN - 5_000_000 - 1);
    let greedy = served.sign(greedy);
    let error = served.call("send_raw_transaction", send(&greedy)).await.unwrap_err();
    assert_eq!(code_and_reason(&error), (-26, "fee_too_low".to_owned()));
    let size = served.ok("decode_raw_transaction", send(&greedy)).await["size"].as_u64().unwrap();
    assert_eq!(units(&error["data"]["least"]), size * served.chain.min_fee_rate);
    let bonded = OutPoint { index: 0, ..good.body.inputs[0] };
    let collateral = served.chain.tiers[0].collateral.get();
    let bonded = served.spend(bonded, collateral, lock(1), 5_000_000);
    assert_eq!(served.fails("send_raw_transaction", send(&bonded)).await, (-26, "bonded".to_owned()));
    let nothing = served.spend(OutPoint { index: 77, ..good.body.inputs[0] }, COIN, lock(1), 5_000_000);
    assert_eq!(served.fails("send_raw_transaction", send(&nothing)).await, (-25, "missing_input".to_owned()));
    assert_eq!(served.ok("get_mempool_info", json!([])).await["transactions"], 0);
    // The good one was not spoiled by its double with a bad signature.
    served.send_until(&good, "finalized").await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_what_is_not_there_yet_waits_and_goes_on() {
    let served = Served::start().await;
    let parent = served.pay(0, lock(1), 5_000_000);
    let change = OutPoint { txid: parent.body.txid(), index: 1 };
    let child = served.spend(change, parent.body.outputs[1].value.get(), lock(2), 1_000_000);
    let txid = served.ok("send_raw_transaction", json!([bytes(&child)])).await;
    let waiting = served.ok("get_transaction", json!([txid])).await;
    assert_eq!((waiting["status"].as_str(), &waiting["fee"]), (Some("seen"), &json!(null)));
    served.send_until(&parent, "finalized").await;
    let child = served.ok("wait_for_transaction", json!([txid])).await;
    assert!(["finalized", "archived"].contains(&child["status"].as_str().unwrap()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_holds_and_a_changed_one_does_not() {
    let served = Served::start().await;
    let tx = served.pay(0, lock(1), 5_000_000);
    let txid = tx.body.txid().to_string();
    served.send_until(&tx, "finalized").await;
    let early = served.ok("get_finality_proof", json!([txid])).await;
    served.ok("wait_for_transaction", json!([txid, "archived", 60_000])).await;
    let late = served.ok("get_finality_proof", json!([txid])).await;
    assert_eq!(late["kind"], "block");
    for proof in [early, late] {
        let verdict = served.ok("verify_finality_proof", json!([proof])).await;
        assert_eq!((&verdict["valid"], &verdict["reason"]), (&json!(true), &json!(null)), "{verdict}");
        assert_eq!(verdict["signed_weight"], verdict["total_weight"]);
        let mut other = proof.clone();
        other["txid"] = json!("00".repeat(32));
        let verdict = served.ok("verify_finality_proof", json!([other])).await;
        assert_eq!(verdict["valid"], false);
        assert!(verdict["reason"].is_string(), "{verdict}");
    }
    let genesis = served.ok("get_block", json!([0])).await["transactions"][0].clone();
    let proof = served.ok("get_finality_proof", json!([genesis])).await;
    assert_eq!(served.ok("verify_finality_proof", json!([proof])).await["valid"], true);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_made_here_is_what_was_asked_for() {
    let served = Served::start().await;
    let (txid, address) = ("ab".repeat(32), served.address_of(&lock(1)));
    let hex = served
        .ok(
            "create_raw_transaction",
            json!({
                "inputs": [{ "txid": txid, "vout": 3 }], "memo": "6869",
                "outputs": [{ "address": address, "value": "20000" }],
            }),
        )
        .await;
    let body = TxBody {
        version: 1,
        inputs: vec![OutPoint { txid: crate::types::hash::Txid([0xab; 32]), index: 3 }],
        outputs: vec![TxOut { value: Amount::new(20_000), lock: lock(1) }],
        payload: Payload::Transfer,
        memo: b"hi".to_vec(),
    };
    assert_eq!(hex, bytes(&Transaction { body, witnesses: Vec::new() }));
    let bitcoins = json!([[{ "txid": txid, "index": 3 }], { address.clone(): 20_000 }, "6869"]);
    assert_eq!(served.ok("create_raw_transaction", bitcoins).await, hex);
    let decoded = served.ok("decode_raw_transaction", json!([hex])).await;
    assert_eq!((&decoded["outputs"][0]["address"], &decoded["witnesses"]), (&json!(address), &json!(0)));
    let inputs = json!([{ "txid": txid, "index": 3 }]);
    for (inputs, outputs, code) in [
        (json!([]), json!([{ "address": address, "value": 1 }]), -8),
        (inputs.clone(), json!([]), -8),
        (json!([5]), json!([{ "address": address, "value": 1 }]), -3),
        (inputs.clone(), json!([{ "address": "x", "value": 1 }]), -5),
        (inputs.clone(), json!([{ "address": address, "value": -1 }]), -8),
        (inputs, json!([{ "address": address, "value": 1.5 }]), -3),
    ] {
        assert_eq!(served.fails("create_raw_transaction", json!([inputs, outputs])).await.0, code, "{outputs}");
    }
    served.stop().await;
}
