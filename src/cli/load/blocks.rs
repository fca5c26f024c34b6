//! `timed load blocks`: how long after the start of its slot a block is final, as running nodes tell it.

use crate::cli::client::{Client, block_on};
use crate::cli::{CliError, Global};
use crate::limits::MAX_READ_SECONDS;
use crate::load::blocks::{Heard, METHOD, TABLE_HEAD, Told, summary};
use jsonrpsee::core::client::SubscriptionClientT as _;
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::ws_client::WsClientBuilder;
use serde::Serialize;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Blocks that wait for this process at most.
const MAX_WAITING: usize = 1_024;

/// What to listen to.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Seconds to listen.
    #[arg(long, value_name = "S", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_READ_SECONDS)))]
    seconds: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Output<'a> {
    how: &'static str,
    nodes: Vec<&'a str>,
    blocks: &'a [Told],
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let nodes = global.clients()?;
    block_on(async {
        let first = nodes.first().ok_or_else(|| CliError::usage("no node is named"))?;
        let (tell, mut told) = mpsc::channel(MAX_WAITING);
        let deadline = Instant::now() + Duration::from_secs(arguments.seconds.into());
        for (number, node) in nodes.iter().enumerate() {
            tokio::spawn(follow(node.url().replacen("http", "ws", 1), number, tell.clone()));
        }
        drop(tell);
        let mut heard = Heard::new(nodes.len());
        while let Ok(Some(item)) = timeout_at(deadline, told.recv()).await {
            let (number, item, now_us) = item?;
            heard.add(number, &item, now_us).map_err(CliError::failure)?;
        }
        let mut blocks = heard.openings();
        for block in &mut blocks {
            block.size = size_of(first, block.height).await?;
        }
        let urls: Vec<&str> = nodes.iter().map(Client::url).collect();
        if arguments.json {
            let output = Output { how: METHOD, nodes: urls, blocks: &blocks };
            say!("{}", serde_json::to_string_pretty(&output).map_err(CliError::failure)?);
            return Ok(());
        }
        say!("nodes     {}\nmeasured  {METHOD}\n\n{TABLE_HEAD}", urls.join(", "));
        blocks.iter().for_each(|block| say!("{block}"));
        say!("\n{}", summary(&blocks).ok_or_else(|| CliError::failure("no block opened a slot meanwhile"))?);
        Ok(())
    })
}

async fn size_of(node: &Client, height: u64) -> Result<u64, CliError> {
    let answer = node.call("get_block", vec![json!(height)]).await.map_err(CliError::failure)?;
    answer["size"].as_u64().ok_or_else(|| CliError::failure(format!("{}: no size of block {height}", node.url())))
}

type Item = Result<(usize, serde_json::Value, u64), CliError>;

/// Hands on what a node tells of blocks, with the time at which it arrived here.
async fn follow(url: String, number: usize, tell: mpsc::Sender<Item>) {
    let failed = |error: &dyn std::fmt::Display| CliError::failure(format!("cannot listen to {url}: {error}"));
    let opened = async {
        let client = WsClientBuilder::default().build(&url).await.map_err(|e| failed(&e))?;
        let items = client.subscribe("subscribe_blocks", ArrayParams::new(), "unsubscribe_blocks").await;
        Ok((items.map_err(|e| failed(&e))?, client))
    };
    let (mut items, _client) = match opened.await {
        Ok(opened) => opened,
        // Who listened may have gone.
        Err(error) => return drop(tell.send(Err(error)).await),
    };
    loop {
        let item = match items.next().await {
            Some(Ok(item)) => Ok((number, item, now_us())),
            Some(Err(error)) => Err(failed(&error)),
            None => Err(failed(&"the node has ended the subscription")),
        };
        let is_over = item.is_err();
        if tell.send(item).await.is_err() || is_over {
            return;
        }
    }
}

/// Unix time in microseconds.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
