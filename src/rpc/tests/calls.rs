//! Requests and their parameters, and that every method is there.

use super::harness::{Served, bytes, code_and_reason, lock, request};
use crate::rpc::methods::{Access, METHODS};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers_under_each_of_its_names() {
    let served = Served::start().await;
    let tx = served.pay(0, lock(1), 1_000_000);
    let (hex, address) = (bytes(&tx), served.address_of(&lock(1)));
    let txid = served.send_until(&tx, "finalized").await["txid"].clone();
    let proof = served.ok("get_finality_proof", json!([txid])).await;
    served.send_until(&served.pay(1, lock(1), 1_000_000), "archived").await;
    let masternode = served.ok("list_masternodes", json!([])).await["masternodes"][0]["id"].clone();
    let parameters = |method: &str| match method {
        "get_block_hash" | "get_block" | "get_block_header" => json!([0]),
        "get_commit" => json!([1]),
        "get_transaction" | "get_finality_proof" | "wait_for_transaction" => json!([txid]),
        "get_transaction_status" => json!([[txid]]),
        "send_raw_transaction" => json!([bytes(&served.pay(2, lock(1), 1_000_000))]),
        "test_mempool_accept" => json!([[hex]]),
        "decode_raw_transaction" => json!([hex]),
        "create_raw_transaction" => json!([[{ "txid": txid, "index": 0 }], [{ "address": address, "value": "20000" }]]),
        "get_balance" | "list_unspent" | "get_address_history" | "validate_address" => json!([address]),
        "get_tx_out" => json!([txid, 0]),
        "verify_finality_proof" => json!([proof]),
        "get_masternode" => json!([masternode]),
        _ => json!([]),
    };
    for method in METHODS.iter().filter(|method| method.unsubscribe.is_none() && method.access == Access::Open) {
        for name in std::iter::once(&method.name).chain(method.aliases) {
            let answer = served.call(name, parameters(method.name)).await;
            assert!(answer.is_ok(), "{name}: {answer:?}");
        }
    }
    served.stop().await;
}

/// The methods that issue 3 and `interface.md` name.
const PROMISED: &str = "get_blockchain_info get_block_count get_best_block_hash get_block_hash get_block \
    get_block_header get_commit get_transaction get_transaction_status send_raw_transaction test_mempool_accept \
    decode_raw_transaction create_raw_transaction wait_for_transaction get_balance list_unspent get_address_history \
    get_tx_out get_mempool_info get_raw_mempool get_finality_proof verify_finality_proof get_epochs get_validators \
    list_masternodes get_masternode masternode_status get_leader_schedule \
    get_consensus_info get_network_info get_peer_info add_node disconnect_node list_banned set_ban clear_banned validate_address get_chain_spec get_node_info get_health uptime \
    stop subscribe_blocks subscribe_transactions subscribe_status";

#[test]
fn what_was_promised_is_in_the_table_and_in_the_documentation() {
    let documented = include_str!("../../../docs/rpc.md");
    for name in PROMISED.split_whitespace() {
        assert!(METHODS.iter().any(|method| method.name == name), "{name}");
    }
    for method in METHODS {
        for name in std::iter::once(&method.name).chain(method.aliases).chain(&method.unsubscribe) {
            assert!(documented.contains(&format!("`{name}")), "docs/rpc.md lacks {name}");
        }
        for parameter in method.parameters {
            assert!(documented.contains(parameter.name), "docs/rpc.md lacks {} of {}", parameter.name, method.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_not_the_methods_are_refused_by_name() {
    let served = Served::start().await;
    let error = served.call("get_block", json!({ "block": 0, "verbos": 1 })).await.unwrap_err();
    assert_eq!(code_and_reason(&error), (-32602, "unknown_parameter".to_owned()));
    assert_eq!(error["data"]["parameter"], "verbos");
    assert!(error["message"].as_str().unwrap().contains("\"verbos\""), "{error}");
    let invalid = |reason: &str| (-32602, reason.to_owned());
    assert_eq!(served.fails("get_block", json!([0, 1, 2])).await, invalid("extra_parameter"));
    assert_eq!(served.fails("get_block", json!([])).await, invalid("missing_parameter"));
    assert_eq!(served.fails("get_block", json!({})).await, invalid("missing_parameter"));
    assert_eq!(served.fails("get_block_count", json!([1])).await, invalid("extra_parameter"));
    assert_eq!(served.fails("get_block_count", json!({ "x": 1 })).await, invalid("unknown_parameter"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_those_of_the_contract() {
    let served = Served::start().await;
    let unknown = "00".repeat(32);
    for (method, params, code, reason) in [
        ("get_block_hash", json!([true]), -3, "wrong_type"),
        ("get_block_hash", json!(["x"]), -3, "wrong_type"),
        ("get_block_hash", json!([1_000_000]), -8, "out_of_range"),
        ("get_block", json!([unknown]), -5, "unknown_block"),
        ("get_block", json!([0, 4]), -8, "out_of_range"),
        ("get_commit", json!([0]), -8, "out_of_range"),
        ("get_transaction", json!([unknown]), -5, "unknown_transaction"),
        ("get_transaction", json!(["00"]), -8, "out_of_range"),
        ("get_masternode", json!([unknown]), -5, "unknown_masternode"),
        ("get_masternode", json!(["00"]), -8, "out_of_range"),
        ("get_masternode", json!([7]), -3, "wrong_type"),
        ("get_leader_schedule", json!([1_001]), -8, "out_of_range"),
        ("get_balance", json!(["rtime1x"]), -5, "bad_address"),
        ("get_finality_proof", json!([unknown]), -5, "unknown"),
        ("get_epochs", json!([1_000_000]), -8, "out_of_range"),
        ("get_epochs", json!([0, 0]), -8, "out_of_range"),
        ("get_validators", json!([1_000_000]), -8, "out_of_range"),
        ("get_validators", json!(["x"]), -3, "wrong_type"),
        ("verify_finality_proof", json!([{}]), -22, "cannot_decode"),
        ("decode_raw_transaction", json!(["zz"]), -22, "cannot_decode"),
        ("send_raw_transaction", json!(["00"]), -22, "cannot_decode"),
        ("wait_for_transaction", json!([unknown, "finalized", 1]), -32001, "timeout"),
        ("wait_for_transaction", json!([unknown, "final", 1]), -8, "out_of_range"),
        ("list_unspent", json!([served.address_of(&lock(1)), "00"]), -8, "bad_cursor"),
        ("get_blok_count", json!([]), -32601, "unknown_method"),
        ("subscribe_blocks", json!([]), -32601, "needs_websocket"),
    ] {
        assert_eq!(served.fails(method, params.clone()).await, (code, reason.to_owned()), "{method}({params})");
    }
    let error = served.call("get_blok_count", json!([])).await.unwrap_err();
    assert_eq!(error["data"]["nearest"], "get_block_count");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_with_a_reason_over_http_and_websocket() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let id = json!(null);
    for (text, code, reason, id) in [
        ("", -32700, "parse_error", &id),
        ("{", -32700, "parse_error", &id),
        ("[{]", -32700, "parse_error", &id),
        ("1", -32600, "invalid_request", &id),
        ("{}", -32600, "invalid_request", &id),
        ("[]", -32600, "invalid_request", &id),
        ("{\"id\":7,\"method\":\"uptime\"}", -32600, "invalid_request", &json!(7)),
        ("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", -32600, "invalid_request", &json!(7)),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"uptime\"}", -32600, "invalid_request", &id),
    ] {
        let (_, _, answer) = served.http("POST", "/", &[], text).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(code_and_reason(&answer["error"]), (code, reason.to_owned()), "{text}");
        assert_eq!(&answer["id"], id, "{text}");
        if !text.is_empty() {
            socket.send(text).await;
            assert_eq!(code_and_reason(&socket.next().await.unwrap()["error"]), (code, reason.to_owned()), "{text}");
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_call_and_no_notification() {
    let served = Served::start().await;
    let notification = json!({ "jsonrpc": "2.0", "method": "uptime" });
    let batch = json!([request(1, "uptime", json!([])), notification, 5, request(2, "get_blocks", json!([]))]);
    let answers = served.post_with(&[], &batch).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert!(answers[0]["result"].is_u64());
    assert_eq!(code_and_reason(&answers[1]["error"]), (-32600, "invalid_request".to_owned()));
    assert_eq!(code_and_reason(&answers[2]["error"]), (-32601, "unknown_method".to_owned()));
    let (status, _, body) = served.http("POST", "/", &[], &notification.to_string()).await;
    assert_eq!((status, body.as_str()), (204, ""));
    let (status, _, _) = served.http("POST", "/", &[], &json!([notification]).to_string()).await;
    assert_eq!(status, 204);
    // A subscription in a batch could not be told from the answers around it.
    let mut socket = served.socket().await;
    socket.send(&json!([request(1, "subscribe_blocks", json!([]))]).to_string()).await;
    let answer = socket.next().await.unwrap();
    assert_eq!(code_and_reason(&answer[0]["error"]), (-32601, "needs_websocket".to_owned()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_of_http() {
    let served = Served::start().await;
    let (status, _, health) = served.http("GET", "/health", &[], "").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    let names: Vec<&str> = health["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["node", "alarm", "signing", "peers", "syncing", "blocks", "clock", "beacon", "disk"]);
    assert_eq!(status, if health["healthy"] == true { 200 } else { 503 });
    assert_eq!(served.ok("get_health", json!([])).await["status"], health["status"]);
    assert_eq!(served.http("GET", "/", &[], "").await.0, 405);
    assert_eq!(served.http("PUT", "/", &[], "").await.0, 405);
    assert_eq!(served.http("POST", "/x", &[], "").await.0, 404);
    assert_eq!(served.http("GET", "/", &["Upgrade: websocket", "Connection: upgrade"], "").await.0, 400);
    served.stop().await;
}
