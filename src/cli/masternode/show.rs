//! `timed masternode status` and `list`: what a node says of masternodes, for people or as it is.

use crate::cli::client::Client;
use crate::cli::remote::{get, nonsense, units};
use crate::cli::wallet::show::utc;
use crate::cli::wallet::time;
use crate::cli::{CliError, Global};
use crate::types::number::Amount;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Entries of a page.
const PAGE: u64 = 1_000;
/// How long a node may take: a script that watches it waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Status {
    state: String,
    why: String,
    what_to_do: String,
    height: u64,
    epoch: u64,
    consensus_key: Option<String>,
    masternode: Option<Details>,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    consensus_key: String,
    owner: String,
    payout: String,
    endpoint: String,
    #[serde(deserialize_with = "units")]
    value: Amount,
    tier: Option<String>,
    weight: u64,
    state: String,
    slashed: bool,
    connected: bool,
    votes_missed: u64,
}

#[derive(Deserialize)]
struct Details {
    #[serde(flatten)]
    record: Record,
    queue_position: Option<u64>,
    earliest_epoch: Option<u64>,
    earliest_time: Option<u64>,
    collateral_epoch: Option<u64>,
    collateral_time: Option<u64>,
    next_turn: Option<Turn>,
    participation: Participation,
}

#[derive(Deserialize)]
struct Turn {
    height: u64,
    view: u32,
}

#[derive(Deserialize)]
struct Participation {
    recent_commits: u64,
    recent_missed: u64,
    epochs: Vec<EpochPart>,
}

#[derive(Deserialize)]
struct EpochPart {
    epoch: u64,
    cast: u64,
    missed: u64,
    proposed: u64,
    #[serde(deserialize_with = "units")]
    received: Amount,
    #[serde(deserialize_with = "units")]
    expected: Amount,
}

#[derive(Deserialize)]
struct Page {
    masternodes: Vec<Value>,
    next_cursor: Option<String>,
}

/// Prints how the node's masternode stands. Any state but `active` is a failure, and so is an active one that there is
/// something to do about, so that scripts need not read.
pub async fn status(global: &Global, as_json: bool) -> Result<(), CliError> {
    let client = global.client()?.with_timeout(PATIENCE).map_err(CliError::failure)?;
    let value: Value = get(&client, "masternode_status", vec![]).await?;
    let status: Status = serde_json::from_value(value.clone()).map_err(|e| nonsense("masternode_status", e))?;
    if as_json {
        say!("{}", serde_json::to_string_pretty(&value).map_err(CliError::failure)?);
    } else {
        print_status(&status);
    }
    match status.state.as_str() {
        "active" if status.what_to_do == "nothing" => Ok(()),
        "active" => Err(CliError::failure("the masternode is active, and there is something to do")),
        state => Err(CliError::failure(format!("the masternode is not active: {state}"))),
    }
}

fn print_status(status: &Status) {
    say!("state       {}", status.state);
    say!("why         {}", status.why);
    say!("what to do  {}", status.what_to_do);
    say!("tip         block {}, epoch {}", status.height, status.epoch);
    say!("key         {}", status.consensus_key.as_deref().unwrap_or("none"));
    let Some(details) = &status.masternode else { return };
    let Details { record, participation, .. } = details;
    say!("masternode  {}", record.id);
    if status.consensus_key.as_ref() != Some(&record.consensus_key) {
        say!("  its key   {}", record.consensus_key);
    }
    say!("tier        {}, weight {}", record.tier.as_deref().unwrap_or("none"), record.weight);
    say!("collateral  {} of {}{}", time(record.value), record.owner, if record.slashed { ", punished" } else { "" });
    say!("payout      {}", record.payout);
    say!("endpoint    {}", record.endpoint);
    if let Some(position) = details.queue_position {
        say!("in line     number {position}, {}", due(details.earliest_epoch, details.earliest_time));
    }
    if details.collateral_epoch.is_some() {
        say!("free        {}", due(details.collateral_epoch, details.collateral_time));
    }
    if let Some(turn) = &details.next_turn {
        say!("leads       view {} of height {}", turn.view, turn.height);
    }
    say!("recently    {} of {} commits lack its signature", participation.recent_missed, participation.recent_commits);
    for part in &participation.epochs {
        say!(
            "epoch {:<5} {} votes cast, {} missed, {} blocks built, {} received of {}",
            part.epoch,
            part.cast,
            part.missed,
            part.proposed,
            time(part.received),
            time(part.expected)
        );
    }
}

/// An epoch and about when it begins.
fn due(epoch: Option<u64>, time_ms: Option<u64>) -> String {
    match (epoch, time_ms) {
        (Some(epoch), Some(time_ms)) => format!("with epoch {epoch} at the earliest, about {} UTC", utc(time_ms)),
        _ => "not soon".to_owned(),
    }
}

/// Prints all masternodes.
pub async fn list(global: &Global, as_json: bool) -> Result<(), CliError> {
    let client = global.client()?.with_timeout(PATIENCE).map_err(CliError::failure)?;
    let all = all(&client).await?;
    if as_json {
        say!("{}", serde_json::to_string_pretty(&all).map_err(CliError::failure)?);
        return Ok(());
    }
    say!("{:<64} {:<10} {:<8} {:>8} {:>6} {:<4} endpoint", "id", "state", "tier", "weight", "missed", "link");
    for value in all {
        let record: Record = serde_json::from_value(value).map_err(|e| nonsense("list_masternodes", e))?;
        say!(
            "{} {:<10} {:<8} {:>8} {:>6} {:<4} {}{}",
            record.id,
            record.state,
            record.tier.as_deref().unwrap_or("-"),
            record.weight,
            record.votes_missed,
            if record.connected { "up" } else { "-" },
            record.endpoint,
            if record.slashed { " (punished)" } else { "" }
        );
    }
    Ok(())
}

async fn all(client: &Client) -> Result<Vec<Value>, CliError> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page: Page = get(client, "list_masternodes", vec![json!(cursor), json!(PAGE)]).await?;
        all.extend(page.masternodes);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
