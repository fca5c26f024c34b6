//! `timed db stats`: how much of what a data directory holds.

use super::{Opened, grouped, open};
use crate::cli::{CliError, Global};
use crate::storage::verify::{Sizes, Stats};
use serde_json::{Map, Value, json};

/// How to say it.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Counts and prints.
pub fn run(global: &Global, arguments: &Arguments) -> Result<(), CliError> {
    let opened = open(global)?;
    let stats = opened.directory.stats().map_err(CliError::failure)?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&as_json(&opened, &stats)).map_err(CliError::failure)?);
    } else {
        print(&opened, &stats);
    }
    Ok(())
}

/// Amounts as decimal strings, as over RPC.
fn as_json(opened: &Opened, stats: &Stats) -> Value {
    let Sizes { blocks, index, journal, snapshots, votes, mempool } = stats.sizes;
    let trees: Map<String, Value> = stats.trees.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
    json!({
        "data_dir": opened.folder.display().to_string(),
        "chain": opened.chain.name,
        "chain_id": opened.chain.id().to_string(),
        "height": stats.tip.height.get(),
        "best_block_hash": stats.hash.to_string(),
        "slot": stats.tip.slot.get(),
        "epoch": stats.epoch.get(),
        "state_root": stats.tip.state_root.to_string(),
        "supply": stats.totals.supply.to_string(),
        "heights": {
            "db": stats.tip.height.get(),
            "blocks": stats.blocks_height.get(),
            "journal": stats.journal_height.map(|height| height.get()),
        },
        "first_block": stats.first_block.get(),
        "snapshots": stats.snapshots.iter().map(|height| height.get()).collect::<Vec<_>>(),
        "bytes": { "blocks": blocks, "db": index, "journal": journal, "snapshots": snapshots, "votes_log": votes, "mempool": mempool },
        "transactions": stats.totals.transactions,
        "unspent_outputs": stats.totals.outputs,
        "addresses": stats.addresses,
        "masternodes": stats.masternodes,
        "validators": stats.validators,
        "journal_records": stats.journal_records,
        "trees": trees,
    })
}

fn print(opened: &Opened, stats: &Stats) {
    let Sizes { blocks, index, journal, snapshots, votes, mempool } = stats.sizes;
    let total = [blocks, index, journal, snapshots, votes, mempool].into_iter().fold(0, u64::saturating_add);
    say!("data dir      {}", opened.folder.display());
    say!("chain         {} {}", opened.chain.name, opened.chain.id());
    say!("tip           height {}, slot {}, {}", stats.tip.height, stats.tip.slot, stats.hash);
    say!("epoch         {}, {} validators, {} masternodes", stats.epoch, stats.validators, stats.masternodes);
    say!("supply        {} units", stats.totals.supply);
    say!("transactions  {}", grouped(stats.totals.transactions));
    say!("unspent       {} outputs", grouped(stats.totals.outputs));
    say!("addresses     {}", grouped(stats.addresses));
    say!("");
    let row = |name: &str, bytes: u64, what: String| say!("{name:<13} {:>15} bytes  {what}", grouped(bytes));
    row("blocks/", blocks, format!("height {} to {}", stats.first_block, stats.blocks_height));
    let heights: Vec<String> = stats.snapshots.iter().map(ToString::to_string).collect();
    row(
        "snapshots/",
        snapshots,
        if heights.is_empty() { String::new() } else { format!("height {}", heights.join(", ")) },
    );
    row("db/", index, format!("up to height {}", stats.tip.height));
    let last = stats.journal_height.map_or_else(|| "no block".to_owned(), |height| format!("blocks up to {height}"));
    row("journal/", journal, format!("{} records, {last}", grouped(stats.journal_records)));
    row("votes.log", votes, String::new());
    row("mempool.dat", mempool, String::new());
    row("together", total, String::new());
    say!("");
    for (name, entries) in &stats.trees {
        say!("db {name:<13} {:>15} entries", grouped(*entries));
    }
}
