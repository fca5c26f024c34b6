//! A node of its own with its server, a client of bytes, and a payer: valid things in one line.

use crate::chain::spec::{Allocation, Chain, ChainSpec};
use crate::config::{self, SyncMode};
use crate::ledger::PoolLimits;
use crate::node::{Node, NodeHandle, NodeOptions, clock, fresh_votes_log};
use crate::rpc::Server;
use crate::storage::sled_store::Keep;
use crate::types::address::to_address;
use crate::types::codec::encode;
use crate::types::hex;
use crate::types::keys::SecretKey;
use crate::types::lock::{Lock, Witness};
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut, sighash};
use serde_json::{Value, json};
use soketto::handshake::{Client as Handshake, ServerResponse};
use soketto::{Incoming, Receiver, Sender};
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

/// Units of each coin of the payer.
pub const COIN: u64 = 1_000_000_000_000;
/// How many coins it has.
pub const COINS: usize = 8;

/// The payer's key, which owns the masternode too.
pub fn payer() -> SecretKey {
    SecretKey::from_bytes(&[21; 32])
}

/// The lock of person `n`.
pub fn lock(n: u8) -> Lock {
    Lock::of_key(&SecretKey::from_bytes(&[n; 32]).public_key())
}

/// A node with its server.
pub struct Served {
    pub chain: Chain,
    pub address: SocketAddr,
    node: Node,
    server: Server,
    folder: TempDir,
}

impl Served {
    /// With the default configuration.
    pub async fn start() -> Self {
        Self::with(config::Rpc::default()).await
    }

    /// With this one.
    pub async fn with(rpc: config::Rpc) -> Self {
        Self::on(rpc, |_| {}).await
    }

    /// On a chain whose spec `change` changed.
    pub async fn on(rpc: config::Rpc, change: impl FnOnce(&mut ChainSpec)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let masternode = SecretKey::from_bytes(&[20; 32]);
        let owner = Lock::of_key(&payer().public_key());
        let coin = Allocation { address: owner, amount: Amount::new(COIN) };
        let mut spec = ChainSpec::dev(clock::now().0, masternode.public_key(), owner, vec![coin; COINS]).unwrap();
        change(&mut spec);
        let chain = Chain::new(spec).unwrap();
        fresh_votes_log(folder.path(), chain.id(), masternode.clone()).unwrap();
        let options = NodeOptions {
            keep: Keep::default(),
            sync: SyncMode::Full,
            chain: chain.clone(),
            data_dir: folder.path().to_owned(),
            node_key: SecretKey::from_bytes(&[22; 32]),
            masternode_key: Some(masternode),
            accept_lost_votes: None,
            listen: Some("127.0.0.1:0".parse().unwrap()),
            advertise: None,
            seeds: Vec::new(),
            max_peers: 8,
            max_inbound_per_ip: 2,
            ban: std::time::Duration::from_secs(3_600),
            checkpoint: None,
            pool: PoolLimits::default(),
            cache_bytes: 32_000_000,
        };
        let node = Node::start(options).await.unwrap();
        let server = Server::start(node.handle(), &rpc, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { chain, address: server.local_addr(), node, server, folder }
    }

    /// The same node as another of its servers serves it.
    pub fn at(self, server: &Server) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], server.local_addr().port()));
        Self { address, ..self }
    }

    pub fn handle(&self) -> NodeHandle {
        self.node.handle()
    }

    pub fn cookie_file(&self) -> PathBuf {
        self.folder.path().join(".cookie")
    }

    /// The `Authorization` header that the cookie makes.
    pub fn admin(&self) -> String {
        use base64ct::{Base64, Encoding as _};
        let cookie = std::fs::read(self.cookie_file()).unwrap();
        format!("Authorization: Basic {}", Base64::encode_string(&cookie))
    }

    pub async fn stop(self) {
        self.server.stop().await;
        self.node.stop().await.unwrap();
    }

    /// One HTTP request on a connection of its own: status and body. `Host` is the server's unless `headers` name one.
    pub async fn http(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:")) {
            head.push_str("Content-Type: application/json\r\n");
        }
        headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// Posts JSON; the answer as JSON.
    pub async fn post_with(&self, headers: &[&str], body: &Value) -> Value {
        let (_, _, answer) = self.http("POST", "/", headers, &body.to_string()).await;
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// Calls a method: its result or its error.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let answer = self.post_with(&[], &request(1, method, params)).await;
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)), "{answer}");
        result(answer)
    }

    /// The result of a call that has to succeed.
    pub async fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone()).await.unwrap_or_else(|error| panic!("{method}({params}): {error}"))
    }

    /// Code and reason of a call that has to fail.
    pub async fn fails(&self, method: &str, params: Value) -> (i64, String) {
        let error = self.call(method, params.clone()).await.err();
        code_and_reason(&error.unwrap_or_else(|| panic!("{method}({params}) succeeds")))
    }

    pub fn address_of(&self, lock: &Lock) -> String {
        to_address(lock, &self.chain.address_hrp).unwrap()
    }

    /// A payment of the payer's coin number `coin`: `value` to `to`, the rest back.
    pub fn pay(&self, coin: u32, to: Lock, value: u64) -> Transaction {
        let genesis = crate::chain::genesis::genesis(&self.chain).unwrap();
        // The first output is the collateral.
        let outpoint = OutPoint { txid: genesis.block.txs[0].body.txid(), index: coin + 1 };
        self.spend(outpoint, COIN, to, value)
    }

    /// A payment of one of the payer's outputs.
    pub fn spend(&self, outpoint: OutPoint, has: u64, to: Lock, value: u64) -> Transaction {
        let fee = self.chain.min_fee_rate * 400;
        let out = |value, lock| TxOut { value: Amount::new(value), lock };
        let body = TxBody {
            version: 1,
            inputs: vec![outpoint],
            outputs: vec![out(value, to), out(has - value - fee, Lock::of_key(&payer().public_key()))],
            payload: Payload::Transfer,
            memo: b"hi".to_vec(),
        };
        self.sign(body)
    }

    pub fn sign(&self, body: TxBody) -> Transaction {
        let signature = payer().sign(&sighash(&self.chain.id(), &body.txid()));
        Transaction { witnesses: vec![Witness::Key { pubkey: payer().public_key(), signature }], body }
    }

    /// Hands in a payment and waits until it is this far; the transaction as it is then.
    pub async fn send_until(&self, tx: &Transaction, status: &str) -> Value {
        let txid = self.ok("send_raw_transaction", json!([bytes(tx)])).await;
        assert_eq!(txid, tx.body.txid().to_string());
        self.ok("wait_for_transaction", json!([txid, status, 60_000])).await
    }

    /// Opens a WebSocket.
    pub async fn socket(&self) -> Socket {
        self.try_socket(None).await.unwrap()
    }

    /// The same for a page of this origin; the status if it is refused.
    pub async fn try_socket(&self, origin: Option<&str>) -> Result<Socket, u16> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let host = self.address.to_string();
        let mut client = Handshake::new(stream.compat(), &host, "/");
        let origin =
            origin.map(|origin| soketto::handshake::client::Header { name: "Origin", value: origin.as_bytes() });
        let headers: Vec<_> = origin.into_iter().collect();
        client.set_headers(&headers);
        match client.handshake().await.unwrap() {
            ServerResponse::Accepted { .. } => {
                let (sender, receiver) = client.into_builder().finish();
                Ok(Socket { sender, receiver, next_id: 1 })
            }
            ServerResponse::Rejected { status_code } => Err(status_code),
            ServerResponse::Redirect { status_code, .. } => Err(status_code),
        }
    }
}

/// A WebSocket as a client has it.
pub struct Socket {
    sender: Sender<Compat<TcpStream>>,
    receiver: Receiver<Compat<TcpStream>>,
    next_id: u64,
}

impl Socket {
    pub async fn send(&mut self, text: &str) {
        assert!(self.try_send(text).await);
    }

    /// Whether the connection took it.
    pub async fn try_send(&mut self, text: &str) -> bool {
        self.sender.send_text(text).await.is_ok() && self.sender.flush().await.is_ok()
    }

    /// The next message; nothing if the server closed the connection.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let mut message = Vec::new();
            match self.receiver.receive(&mut message).await {
                Ok(Incoming::Data(_)) => return Some(serde_json::from_slice(&message).unwrap()),
                Ok(Incoming::Pong(_)) => {}
                Ok(Incoming::Closed(_)) | Err(_) => return None,
            }
        }
    }

    /// Calls a method and returns the next message, which has to be the answer.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&request(id, method, params).to_string()).await;
        let answer = self.next().await.unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        result(answer)
    }

    /// The next item of a subscription.
    pub async fn item(&mut self) -> Value {
        let message = self.next().await.unwrap();
        assert!(message["method"].is_string(), "{message}");
        message["params"]["result"].clone()
    }
}

pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn result(mut answer: Value) -> Result<Value, Value> {
    match answer.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(answer["result"].take()),
    }
}

pub fn code_and_reason(error: &Value) -> (i64, String) {
    (error["code"].as_i64().unwrap(), error["data"]["reason"].as_str().unwrap_or_default().to_owned())
}

/// As calls take it.
pub fn bytes(tx: &Transaction) -> String {
    hex::encode(&encode(tx))
}

/// A configuration.
pub fn config(change: impl FnOnce(&mut config::Rpc)) -> config::Rpc {
    let mut rpc = config::Rpc::default();
    change(&mut rpc);
    rpc
}
