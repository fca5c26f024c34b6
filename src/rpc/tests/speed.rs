//! How many calls a second: `cargo test --release --lib -- --ignored --nocapture calls_a_second` prints it.

use super::harness::{Served, lock, request};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 16;
const DURATION: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn calls_a_second() {
    let served = Served::start().await;
    let tx = served.pay(0, lock(1), 5_000_000);
    served.send_until(&tx, "archived").await;
    let (txid, address) = (json!([tx.body.txid().to_string()]), json!([served.address_of(&lock(1))]));
    for (method, params) in [
        ("get_block_count", json!([])),
        ("get_blockchain_info", json!([])),
        ("get_balance", address),
        ("get_transaction", txid),
        ("get_block", json!([1])),
    ] {
        println!("{method}: {} calls a second over {CONNECTIONS} connections", rate(&served, method, params).await);
    }
    let batch: Vec<Value> = (0..50).map(|id| request(id, "get_block_count", json!([]))).collect();
    println!("get_block_count: {} in batches of 50", 50 * rate_of(&served, &json!(batch).to_string()).await);
    served.stop().await;
}

async fn rate(served: &Served, method: &str, params: Value) -> u64 {
    rate_of(served, &request(1, method, params).to_string()).await
}

/// Requests a second, each connection waiting for its answer before it asks again.
async fn rate_of(served: &Served, body: &str) -> u64 {
    let address = served.address;
    let text = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let end = Instant::now() + DURATION;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let text = text.clone();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let (mut count, mut answer) = (0, vec![0; 65_536]);
            while Instant::now() < end {
                stream.write_all(text.as_bytes()).await.unwrap();
                read_answer(&mut stream, &mut answer).await;
                count += 1;
            }
            count
        });
    }
    let all: u64 = clients.join_all().await.into_iter().sum();
    all / DURATION.as_secs()
}

/// Reads to the end of the answer that its head announces.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        filled += stream.read(&mut buffer[filled..]).await.unwrap();
        let text = std::str::from_utf8(&buffer[..filled]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse::<usize>().unwrap() {
            return;
        }
    }
}
