//! `timed load`: payments at a given rate against running nodes, and what comes of them.

mod blocks;
mod coins;
mod progress;
mod reads;
mod send;
mod watch;

use super::client::block_on;
use super::remote::RemoteNode;
use super::{CliError, Global};
use crate::keyfile;
use crate::limits::MAX_LOAD_PAYMENTS;
use crate::load::book::Book;
use crate::load::payments::{Role, least_coin, sign_all};
use crate::load::report::{METHOD, RunReport, TABLE_HEAD};
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::wallet::build::Coin;
use progress::Progress;
use send::Clock;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use watch::Watch;

/// How long a run takes if neither a count nor seconds are given.
const DEFAULT_SECONDS: u32 = 10;

/// Between the settling of the last pair of rivals and the last look at them: who loses is heard of later than who wins.
const RIVALS_GRACE: Duration = Duration::from_secs(1);

/// What to send.
#[derive(clap::Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// The key whose outputs are spent, like faucet.key of a devnet. What it pays goes back to it, less the fees.
    #[arg(long, value_name = "FILE", required = true)]
    key_file: Option<PathBuf>,
    /// Payments a second.
    #[arg(long, value_name = "R", required_unless_present = "steps", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Rates to run one after the other, like 1000,2000,4000.
    #[arg(long, value_name = "R1,R2,..", value_delimiter = ',', conflicts_with = "rate",
        value_parser = clap::value_parser!(u32).range(1..))]
    steps: Vec<u32>,
    /// Payments in all, at each rate.
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Seconds at each rate instead of a count; 10 if neither is given.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// How many payments of a hundred are double spends: two rivals, sent to two nodes at once.
    #[arg(long, value_name = "PCT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    conflicts: u8,
    /// Seconds that payments have to become final after the last was sent.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    settle: u32,
    /// Seconds that a node has to answer a request.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    answer_timeout: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Load that is no payments.
#[derive(clap::Subcommand, Debug)]
enum Other {
    /// Calls that read, as many as the nodes answer: reads a second and their latency.
    Reads(reads::Arguments),
    /// No calls at all: listens how long after a slot's start its block is final.
    Blocks(blocks::Arguments),
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Output<'a> {
    method: &'static str,
    nodes: Vec<&'a str>,
    /// Transactions that split coins before the clock ran.
    fan_out_transactions: usize,
    #[serde(flatten)]
    runs: Runs<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Runs<'a> {
    One(&'a RunReport),
    Several { steps: &'a [RunReport] },
}

/// Runs it.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    if let Some(other) = &arguments.other {
        let Arguments { key_file: None, rate: None, count: None, seconds: None, .. } = arguments else {
            return Err(CliError::usage(
                "what comes before `reads` or `blocks` is for payments: say it behind, or not",
            ));
        };
        return match other {
            Other::Reads(reads) => reads::run(global, reads),
            Other::Blocks(blocks) => blocks::run(global, blocks),
        };
    }
    let key_file = arguments.key_file.as_ref().ok_or_else(|| CliError::usage("say --key-file FILE"))?;
    block_on(async {
        let key = keyfile::read(key_file).map_err(CliError::failure)?;
        let mut nodes = Vec::new();
        for client in global.clients()? {
            let client = client.with_timeout(Duration::from_secs(arguments.answer_timeout.into()));
            nodes.push(RemoteNode::at(client.map_err(CliError::usage)?).await?);
        }
        verdict(&Load { arguments, key, nodes, progress: Progress::new() }.run().await?)
    })
}

/// Whether all went as it must: two rivals that are both final outweigh everything else.
fn verdict(reports: &[RunReport]) -> Result<(), CliError> {
    let both: u64 = reports.iter().map(|report| report.conflicts.both_final).sum();
    if both > 0 {
        let text = format!("ALARM: {both} double spends have both rivals final: this must never be");
        return Err(CliError::failure(text));
    }
    let problems: Vec<&str> = reports.iter().flat_map(|report| &report.problems).map(String::as_str).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CliError::failure(problems.join("; "))),
    }
}

/// A load with everything it needs.
struct Load<'a> {
    arguments: &'a Arguments,
    key: SecretKey,
    nodes: Vec<RemoteNode>,
    progress: Progress,
}

impl Load<'_> {
    async fn run(&self) -> Result<Vec<RunReport>, CliError> {
        let first = self.nodes.first().ok_or_else(|| CliError::usage("no node is named"))?;
        if let Some(other) = self.nodes.iter().find(|node| node.chain_id != first.chain_id) {
            let (a, b) = (first.client().url(), other.client().url());
            return Err(CliError::usage(format!("{a} and {b} are on two different chains")));
        }
        let steps = self.steps()?;
        let total = steps.iter().map(|(_, count)| count).sum();
        let least = least_coin(&first.rules).ok_or_else(|| CliError::failure("the chain's fees pass 2^64 units"))?;
        let (coins, fan_out) = coins::prepare(&self.nodes, &self.key, total, least, &self.progress).await?;
        if !self.arguments.json {
            say!("nodes           {}", self.urls().join(", "));
            say!("measured        {METHOD}\n");
            if steps.len() > 1 {
                say!("{TABLE_HEAD}");
            }
        }
        let mut reports = Vec::new();
        let mut left = coins.as_slice();
        for (rate, count) in &steps {
            let (now, later) = left.split_at((*count).min(left.len()));
            left = later;
            let report = self.run_once(first, now, *rate).await?;
            self.progress.clear();
            match (self.arguments.json, steps.len()) {
                (true, _) => {}
                (false, 1) => say!("{}", report.to_string().trim_end()),
                (false, _) => say!("{}", report.table_line()),
            }
            reports.push(report);
        }
        if self.arguments.json {
            self.print_json(&reports, fan_out)?;
        }
        Ok(reports)
    }

    /// One rate: sign, send, wait, count.
    async fn run_once(&self, first: &RemoteNode, coins: &[Coin], rate: u64) -> Result<RunReport, CliError> {
        self.progress.say("signing");
        let payments = sign_all(coins, &self.key, &first.chain_id, &first.rules, rate, self.arguments.conflicts);
        let book = Arc::new(Book::new(payments.map_err(CliError::failure)?));
        let mut watch = Watch::open(first.client()).await?;
        let clock = Clock::start();
        let sending = async {
            send::send_all(&self.nodes, &book, clock).await?;
            let limit = Duration::from_secs(self.arguments.settle.into());
            // Who is not settled by then is counted as not final.
            tokio::time::timeout(limit, book.all_settled()).await.ok();
            Ok::<(), CliError>(())
        };
        let mut problems = Vec::new();
        let following = async {
            problems.push(watch.follow(&book, clock).await.to_string());
            // What was sent is asked for at the end.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            sent = sending => sent?,
            () = following => {}
            () = self.progress.follow(&book) => {}
        }
        let finals = self.look_again(&book, clock, &mut problems).await;
        Ok(RunReport { problems, ..RunReport::of(&book, rate, &finals, watch.gaps()) })
    }

    /// Asks for what was not heard of; and every node for the rivals, of which no two may be final anywhere.
    async fn look_again(&self, book: &Book, clock: Clock, problems: &mut Vec<String>) -> BTreeSet<u32> {
        let numbers = |wanted: fn(Role) -> bool| -> Vec<u32> {
            let numbered = book.payments().iter().zip(0..).filter(|(payment, _)| wanted(payment.role));
            numbered.map(|(_, number)| number).collect()
        };
        let mut missing = numbers(|role| role == Role::Alone);
        missing.retain(|number| !book.is_final(*number));
        let rivals = numbers(|role| role != Role::Alone);
        if !rivals.is_empty() {
            tokio::time::sleep(RIVALS_GRACE).await;
        }
        let mut finals = BTreeSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let asked = if at == 0 { [missing.as_slice(), &rivals].concat() } else { rivals.clone() };
            let txids: Vec<_> = asked.iter().filter_map(|number| Some(book.payment(*number)?.txid)).collect();
            let statuses = node.statuses(&txids).await.unwrap_or_else(|error| {
                problems.push(format!("what became of {} transactions is not known: {error}", txids.len()));
                Vec::new()
            });
            for (number, status) in asked.iter().zip(statuses) {
                match (status.is_final(), status.status.as_str(), status.reason) {
                    (true, _, _) => {
                        finals.insert(*number);
                        book.finalized(*number, clock.now_us());
                    }
                    (false, "rejected", reason) => book.rejected(*number, reason.unwrap_or_default()),
                    _ => {}
                }
            }
        }
        finals
    }

    /// Rates, and how many payments at each.
    fn steps(&self) -> Result<Vec<(u64, usize)>, CliError> {
        let rates =
            if self.arguments.steps.is_empty() { self.arguments.rate.as_slice() } else { &self.arguments.steps };
        let seconds = u64::from(self.arguments.seconds.unwrap_or(DEFAULT_SECONDS));
        let count_at = |rate: u64| self.arguments.count.map_or(rate.saturating_mul(seconds), u64::from);
        let total: u64 = rates.iter().map(|rate| count_at(u64::from(*rate))).fold(0, u64::saturating_add);
        if total > MAX_LOAD_PAYMENTS {
            return Err(CliError::usage(format!(
                "{total} payments are more than the {MAX_LOAD_PAYMENTS} held in memory"
            )));
        }
        let step = |rate: &u32| (u64::from(*rate), usize::try_from(count_at(u64::from(*rate))).unwrap_or(usize::MAX));
        Ok(rates.iter().map(step).collect())
    }

    fn urls(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.client().url()).collect()
    }

    fn print_json(&self, reports: &[RunReport], fan_out_transactions: usize) -> Result<(), CliError> {
        let runs = match reports {
            [one] => Runs::One(one),
            several => Runs::Several { steps: several },
        };
        let output = Output { method: METHOD, nodes: self.urls(), fan_out_transactions, runs };
        say!("{}", serde_json::to_string_pretty(&output).map_err(CliError::failure)?);
        Ok(())
    }
}

/// The lock of a key.
fn lock_of(key: &SecretKey) -> Lock {
    Lock::of_key(&key.public_key())
}
