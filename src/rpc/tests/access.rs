//! Who may call what, from where, how often, how much at a time.

use super::harness::{Served, code_and_reason, config, request};
use crate::rpc::{Server, StartError};
use serde_json::{Value, json};

fn refusal(answer: &Value) -> (i64, String) {
    code_and_reason(&answer["error"])
}

fn not_permitted() -> (i64, String) {
    (-32003, "not_permitted".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_method_needs_the_cookie_also_inside_a_batch() {
    let served = Served::start().await;
    let stop = request(1, "stop", json!([]));
    let count = request(2, "get_block_count", json!([]));
    assert_eq!(refusal(&served.post_with(&[], &stop).await), not_permitted());
    let answers = served.post_with(&[], &json!([count, stop])).await;
    assert!(answers[0]["result"].is_u64(), "{answers}");
    assert_eq!(refusal(&answers[1]), not_permitted());
    let mut socket = served.socket().await;
    assert_eq!(code_and_reason(&socket.call("stop", json!([])).await.unwrap_err()), not_permitted());
    assert!(!served.handle().stopping().is_cancelled());

    let answers = served.post_with(&[&served.admin()], &json!([count, stop])).await;
    assert_eq!(answers[1]["result"], "the node is stopping");
    assert!(served.handle().stopping().is_cancelled());
    let cookie = served.cookie_file();
    served.stop().await;
    assert!(!cookie.exists(), "the cookie goes with the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_nobodys_are_refused_for_every_method() {
    let served = Served::start().await;
    let body = request(1, "get_block_count", json!([])).to_string();
    for wrong in ["Authorization: Basic X19jb29raWVfXzowMA==", "Authorization: Bearer x", "Authorization: x"] {
        let (status, head, answer) = served.http("POST", "/", &[wrong], &body).await;
        assert_eq!((status, head.contains("www-authenticate: basic")), (401, true), "{wrong}");
        assert_eq!(refusal(&serde_json::from_str(&answer).unwrap()), not_permitted());
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_name_and_a_foreign_page_are_refused() {
    let served = Served::start().await;
    let body = request(1, "get_block_count", json!([])).to_string();
    assert_eq!(served.http("POST", "/", &["Host: evil.example"], &body).await.0, 403);
    assert_eq!(served.http("GET", "/health", &["Host: evil.example"], "").await.0, 403);
    assert_eq!(served.http("POST", "/", &["Host: localhost:1"], &body).await.0, 200);
    assert_eq!(served.http("POST", "/", &["Origin: https://evil.example"], &body).await.0, 403);
    assert_eq!(served.http("OPTIONS", "/", &["Origin: https://evil.example"], "").await.0, 403);
    assert_eq!(served.try_socket(Some("https://evil.example")).await.err(), Some(403));
    assert_eq!(served.try_socket(Some("null")).await.err(), Some(403));
    let own = format!("http://{}", served.address);
    assert!(served.try_socket(Some(&own)).await.is_ok(), "the node's own page");
    // What a form could send.
    assert_eq!(served.http("POST", "/", &["Content-Type: text/plain"], &body).await.0, 415);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_the_operator_allowed_may_call() {
    let served = Served::with(config(|rpc| rpc.cors_origins = vec!["https://shop.example".to_owned()])).await;
    let body = request(1, "get_block_count", json!([])).to_string();
    let page = "Origin: https://shop.example";
    let (status, head, _) = served.http("OPTIONS", "/", &[page], "").await;
    assert_eq!(status, 204);
    assert!(head.contains("access-control-allow-origin: https://shop.example"), "{head}");
    assert!(head.contains("access-control-allow-headers: content-type, authorization"), "{head}");
    let (status, head, _) = served.http("POST", "/", &[page], &body).await;
    assert_eq!(status, 200);
    assert!(head.contains("access-control-allow-origin: https://shop.example"), "{head}");
    let (_, head, _) = served.http("POST", "/", &[], &body).await;
    assert!(!head.contains("access-control"), "{head}");
    assert!(served.try_socket(Some("https://shop.example")).await.is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_bounds() {
    let served = Served::start().await;
    let calls = |count: u64| (0..count).map(|id| request(id, "get_block_count", json!([]))).collect::<Vec<_>>();
    let answers = served.post_with(&[], &json!(calls(50))).await;
    assert_eq!(answers.as_array().unwrap().len(), 50);
    assert!(answers.as_array().unwrap().iter().zip(0..).all(|(answer, id)| answer["id"] == id));
    let too_large = (-32010, "batch_too_large".to_owned());
    let answer = served.post_with(&[], &json!(calls(51))).await;
    assert_eq!((refusal(&answer), &answer["error"]["data"]["limit"]), (too_large.clone(), &json!(50)));
    let mut socket = served.socket().await;
    socket.send(&json!(calls(51)).to_string()).await;
    assert_eq!(refusal(&socket.next().await.unwrap()), too_large);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_long_is_refused_before_it_is_read() {
    let served = Served::with(config(|rpc| rpc.max_request_bytes = 2_000)).await;
    let long = request(1, "decode_raw_transaction", json!(["00".repeat(1_000)])).to_string();
    let (status, _, answer) = served.http("POST", "/", &[], &long).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, refusal(&answer)), (413, (-32007, "request_too_large".to_owned())));
    let mut socket = served.socket().await;
    socket.send(&long).await;
    assert_eq!(socket.next().await, None, "the connection ends");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_call_so_often_and_a_batch_counts_for_its_calls() {
    let served = Served::with(config(|rpc| rpc.max_requests_per_second = 10)).await;
    let calls: Vec<Value> = (0..30).map(|id| request(id, "get_block_count", json!([]))).collect();
    let answers = served.post_with(&[], &json!(calls)).await;
    let answered = answers.as_array().unwrap().iter().filter(|answer| answer["result"].is_u64()).count();
    // All of the batch takes far less than a second.
    assert!((10..20).contains(&answered), "{answered}");
    let last = &answers.as_array().unwrap()[29];
    assert_eq!(refusal(last), (-32005, "rate_limited".to_owned()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_are_closed_at_once() {
    let served = Served::with(config(|rpc| rpc.max_connections = 1)).await;
    let mut first = served.socket().await;
    assert!(first.call("get_block_count", json!([])).await.is_ok());
    let mut second = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let mut nothing = Vec::new();
    // Closed or reset: it ends without a byte.
    tokio::io::AsyncReadExt::read_to_end(&mut second, &mut nothing).await.ok();
    assert!(nothing.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_not_served_unless_the_operator_says_so() {
    let served = Served::start().await;
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Server::start(served.handle(), &config(|_| {}), everywhere).await;
    assert!(matches!(refused.err(), Some(StartError::NotPublic { .. })));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_and_not_public_nobody_calls_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    // SHA-256 of "abc", as FIPS 180-2 has it.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    std::fs::write(&tokens, format!("shop user {hash}\n")).unwrap();
    let served = Served::start().await;
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let rpc = config(|rpc| rpc.tokens_file = Some(tokens));
    let second = Server::start(served.handle(), &rpc, everywhere).await.unwrap();
    let count = request(1, "get_block_count", json!([]));
    let there = served.at(&second);
    assert_eq!(refusal(&there.post_with(&[], &count).await), not_permitted());
    assert!(there.post_with(&["Authorization: Bearer abc"], &count).await["result"].is_u64());
    let stop = request(1, "stop", json!([]));
    assert_eq!(refusal(&there.post_with(&["Authorization: Bearer abc"], &stop).await), not_permitted());
    second.stop().await;
    there.stop().await;
}
