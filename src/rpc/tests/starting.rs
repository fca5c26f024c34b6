//! What is answered before there is a node.

use crate::config;
use crate::node::Startup;
use crate::rpc::Starting;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Status and body of one request.
async fn http(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Nobody says that the connection is to be closed: the server does.
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn calls_are_told_what_the_node_is_busy_with_until_there_is_one() {
    let startup = Startup::default();
    let any = "127.0.0.1:0".parse().unwrap();
    let starting = Starting::listen(&config::Rpc::default(), any, startup.clone()).await.unwrap();
    let address = starting.local_addr().unwrap();
    let (ready, wait) = oneshot::channel::<u32>();
    let clients = async {
        let call = |id: u32, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": []});
        for (doing, method) in [("starting", "get_block_count"), ("proving a snapshot", "stop"), ("x", "unheard_of")] {
            startup.set(doing);
            let (status, body) = http(address, "POST /", &call(7, method).to_string()).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            let error = &answer["error"];
            assert_eq!((status, &answer["id"]), (200, &json!(7)));
            assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-28), &json!("starting")), "{answer}");
            assert!(error["message"].as_str().unwrap().contains(doing), "{answer}");
        }
        let batch = json!([call(1, "uptime"), call(2, "uptime")]).to_string();
        let answers: Value = serde_json::from_str(&http(address, "POST /", &batch).await.1).unwrap();
        let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [&json!(1), &json!(2)]);
        let broken: Value = serde_json::from_str(&http(address, "POST /", "{").await.1).unwrap();
        assert_eq!(broken["error"]["code"], json!(-32700));
        let (status, health) = http(address, "GET /health", "").await;
        assert!(status == 503 && health.contains("\"starting\""), "{health}");
        assert_eq!(http(address, "GET /", "").await.0, 503);
        assert_eq!(http(address, "POST / HTTP/1.1\r\nOrigin: https://elsewhere.example\r\nX:", "{}").await.0, 403);
        // One that says nothing holds up neither others nor the start.
        let silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(http(address, "POST /", &call(1, "uptime").to_string()).await.0, 200);
        ready.send(5).unwrap();
        silent
    };
    let (started, _silent) = tokio::join!(starting.answer_until(wait), clients);
    assert_eq!(started, Ok(5));
}
