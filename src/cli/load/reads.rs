//! `timed load reads`: how many reads a second running nodes answer, and how fast.

use crate::cli::client::{Client, block_on};
use crate::cli::{CliError, Global};
use crate::limits::{MAX_READ_CONNECTIONS, MAX_READ_SECONDS, MAX_RPC_RESPONSE_BYTES, READ_ANSWER_MS};
use crate::load::reads::{METHOD, ReadReport, Seen, TABLE_HEAD, body_of, request, result_of};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What an answer may have besides its body.
const HEAD_BYTES: usize = 16_384;

/// What to read.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// How many connections, each with one call under way; one run for each number.
    #[arg(long, value_name = "N1,N2,..", value_delimiter = ',', default_values_t = [1, 16, 64],
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_READ_CONNECTIONS)))]
    connections: Vec<u16>,
    /// Seconds of each run.
    #[arg(long, value_name = "S", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_READ_SECONDS)))]
    seconds: u32,
    /// What to call; again for several, all if not given.
    #[arg(long, value_enum, value_name = "METHOD")]
    method: Vec<Method>,
    /// The address that get_balance asks for; one that the newest payment pays to if not given.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Method {
    #[value(name = "get_block_count")]
    BlockCount,
    #[value(name = "get_balance")]
    Balance,
    #[value(name = "get_block")]
    Block,
    #[value(name = "get_transaction")]
    Transaction,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::BlockCount => "get_block_count",
            Self::Balance => "get_balance",
            Self::Block => "get_block",
            Self::Transaction => "get_transaction",
        }
    }
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Output<'a> {
    how: &'static str,
    nodes: Vec<&'a str>,
    subject: &'a Subject,
    runs: &'a [ReadReport],
}

/// What the calls ask for.
#[derive(Serialize, Debug)]
struct Subject {
    block: u64,
    transactions_in_block: usize,
    txid: String,
    address: String,
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let nodes = global.clients()?;
    block_on(async {
        let first = nodes.first().ok_or_else(|| CliError::usage("no node is named"))?;
        let subject = find_subject(first, arguments.address.as_deref()).await?;
        if !arguments.json {
            let Subject { block, transactions_in_block: count, txid, address } = &subject;
            say!("nodes     {}", urls(&nodes).join(", "));
            say!("block     {block}, with {count} transactions; {txid}; {address}");
            say!("measured  {METHOD}\n\n{TABLE_HEAD}");
        }
        let methods = if arguments.method.is_empty() { Method::value_variants() } else { &arguments.method };
        let mut reports = Vec::new();
        for method in methods {
            for connections in &arguments.connections {
                let report = run_once(&nodes, *method, &subject, *connections, arguments.seconds).await?;
                if !arguments.json {
                    say!("{}", report.table_line());
                }
                reports.push(report);
            }
        }
        if arguments.json {
            let output = Output { how: METHOD, nodes: urls(&nodes), subject: &subject, runs: &reports };
            say!("{}", serde_json::to_string_pretty(&output).map_err(CliError::failure)?);
        }
        check(&reports)
    })
}

fn urls(nodes: &[Client]) -> Vec<&str> {
    nodes.iter().map(Client::url).collect()
}

/// A figure counts only if all calls were answered.
fn check(reports: &[ReadReport]) -> Result<(), CliError> {
    let failed: u64 = reports.iter().map(ReadReport::failed).sum();
    let reason = reports.iter().flat_map(|report| report.errors.keys()).next();
    match reason {
        None => Ok(()),
        Some(reason) => Err(CliError::failure(format!("{failed} calls gave no result; the first reason: {reason}"))),
    }
}

/// The newest block with a payment among the last ones, its last transaction, and whom that pays; else the tip, and the
/// transaction of genesis.
async fn find_subject(node: &Client, address: Option<&str>) -> Result<Subject, CliError> {
    /// How far back to look.
    const BLOCKS: u64 = 20;
    let nonsense = |method: &str| CliError::failure(format!("{}: no sense in the answer to {method}", node.url()));
    let ask =
        async |method: &str, parameters: Vec<Value>| node.call(method, parameters).await.map_err(CliError::failure);
    let txids_of = async |block: u64| -> Result<Vec<String>, CliError> {
        let answer = ask("get_block", vec![json!(block)]).await?;
        let txids = answer["transactions"].as_array().ok_or_else(|| nonsense("get_block"))?;
        Ok(txids.iter().filter_map(|txid| txid.as_str().map(str::to_owned)).collect())
    };
    let tip = ask("get_block_count", vec![]).await?.as_u64().ok_or_else(|| nonsense("get_block_count"))?;
    let mut found = None;
    for block in (tip.saturating_sub(BLOCKS)..=tip).rev() {
        let txids = txids_of(block).await?;
        // More than a coinbase.
        if txids.len() > 1 {
            found = Some((block, txids));
            break;
        }
    }
    let (block, transactions_in_block, last) = match found {
        Some((block, mut txids)) => (block, txids.len(), txids.pop()),
        None => (tip, txids_of(tip).await?.len(), txids_of(0).await?.pop()),
    };
    let txid = last.ok_or_else(|| nonsense("get_block"))?;
    let address = match address {
        Some(address) => address.to_owned(),
        None => {
            let answer = ask("get_transaction", vec![json!(txid)]).await?;
            answer["outputs"][0]["address"].as_str().map(str::to_owned).ok_or_else(|| nonsense("get_transaction"))?
        }
    };
    Ok(Subject { block, transactions_in_block, txid, address })
}

/// One method over some connections, which go to the nodes in turn.
async fn run_once(
    nodes: &[Client],
    method: Method,
    subject: &Subject,
    connections: u16,
    seconds: u32,
) -> Result<ReadReport, CliError> {
    let parameters = match method {
        Method::BlockCount => vec![],
        Method::Balance => vec![json!(subject.address)],
        Method::Block => vec![json!(subject.block), json!(1)],
        Method::Transaction => vec![json!(subject.txid)],
    };
    let mut open = Vec::new();
    for node in nodes.iter().cycle().take(usize::from(connections)) {
        let mut reader = Reader::open(node, method.name(), &parameters).await?;
        // Once before the clock runs: it shows that the call is one that is answered.
        let answered = reader.call().await;
        answered.map_err(|reason| CliError::failure(format!("{}: {}: {reason}", node.url(), method.name())))?;
        open.push(reader);
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds.into());
    let mut running = JoinSet::new();
    for reader in open {
        running.spawn(reader.call_until(end));
    }
    let seen = running.join_all().await;
    let elapsed_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(ReadReport::of(method.name(), elapsed_us, seen))
}

/// A connection that makes one call again and again.
struct Reader {
    stream: TcpStream,
    request: Arc<[u8]>,
    answer: Vec<u8>,
}

impl Reader {
    async fn open(node: &Client, method: &str, parameters: &[Value]) -> Result<Self, CliError> {
        let unreachable = |reason: &dyn std::fmt::Display| {
            CliError::failure(format!("no connection to {}: {reason}. Is the node running?", node.url()))
        };
        let host = node.url().strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let host = host.ok_or_else(|| CliError::usage(format!("{} is not written http://HOST:PORT", node.url())))?;
        let stream = TcpStream::connect(host).await.map_err(|e| unreachable(&e))?;
        stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
        let request = request(host, node.authorization(), method, parameters).into();
        Ok(Self { stream, request, answer: Vec::with_capacity(HEAD_BYTES) })
    }

    async fn call_until(mut self, end: Instant) -> Seen {
        let mut seen = Seen::default();
        loop {
            let begun = Instant::now();
            if begun >= end {
                return seen;
            }
            match self.call().await {
                Ok(()) => {
                    seen.latencies_us.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                Err(reason) => {
                    seen.fail(reason);
                    // What comes next on this connection may belong to this call.
                    return seen;
                }
            }
        }
    }

    /// One call; why there is no result, if so.
    async fn call(&mut self) -> Result<(), String> {
        let answered = timeout(Duration::from_millis(READ_ANSWER_MS), self.exchange()).await;
        answered.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn exchange(&mut self) -> Result<(), String> {
        let broken = |error: std::io::Error| format!("the connection broke: {}", error.kind());
        self.stream.write_all(&self.request).await.map_err(broken)?;
        self.answer.clear();
        let mut body = None;
        loop {
            if self.stream.read_buf(&mut self.answer).await.map_err(broken)? == 0 {
                return Err("the connection was closed".to_owned());
            }
            if body.is_none() {
                body = body_of(&self.answer)?;
            }
            match &body {
                Some(body) if self.answer.len() >= body.end => {
                    let body = self.answer.get(body.clone()).unwrap_or_default();
                    return result_of(body).map(drop);
                }
                _ if self.answer.len() > MAX_RPC_RESPONSE_BYTES + HEAD_BYTES => {
                    return Err("an answer without end".to_owned());
                }
                _ => {}
            }
        }
    }
}
