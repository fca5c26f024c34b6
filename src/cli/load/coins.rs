//! The fan-out before the clock runs: enough coins for every payment, final on every node.

use super::lock_of;
use super::progress::Progress;
use crate::cli::CliError;
use crate::cli::remote::RemoteNode;
use crate::load::coins::{Supply, supply};
use crate::types::address::to_address;
use crate::types::hash::Txid;
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::OutPoint;
use crate::wallet::build::{Coin, Plan};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Splitting takes two rounds for a million coins of one output; more would mean that it does not get on.
const MAX_ROUNDS: usize = 6;
/// How often nodes are asked how far the splitting is.
const POLL: Duration = Duration::from_millis(100);
/// How long splitting may go on without a further transaction becoming final.
const STALL: Duration = Duration::from_secs(60);
/// Transactions of the fan-out that are under way at a time: they are large.
const AT_A_TIME: usize = 32;

/// Enough coins for `count` payments that need `least` each, and how many transactions that took.
pub async fn prepare(
    nodes: &[RemoteNode],
    key: &SecretKey,
    count: usize,
    least: Amount,
    progress: &Progress,
) -> Result<(Vec<Coin>, usize), CliError> {
    let first = nodes.first().ok_or_else(|| CliError::usage("no node is named"))?;
    let lock = lock_of(key);
    let address = to_address(&lock, &first.hrp).map_err(CliError::failure)?;
    progress.say("looking for coins");
    let mut coins = first.coins(&[(address, lock)]).await?;
    let mut sent = 0;
    for _ in 0..MAX_ROUNDS {
        match supply(&coins, lock, count, least, &first.rules).map_err(CliError::failure)? {
            Supply::Enough(enough) => return Ok((enough, sent)),
            Supply::Split(plans) => {
                sent += plans.len();
                split(nodes, key, lock, &plans, progress).await?;
                replace(&mut coins, lock, &plans);
            }
        }
    }
    Err(CliError::failure(format!("after {sent} transactions there are still too few coins for {count} payments")))
}

/// What was spent goes, what was made comes.
fn replace(coins: &mut Vec<Coin>, lock: Lock, plans: &[Plan]) {
    let spent: HashSet<OutPoint> = plans.iter().flat_map(|plan| &plan.coins).map(|coin| coin.outpoint).collect();
    coins.retain(|coin| !spent.contains(&coin.outpoint));
    for plan in plans {
        let txid = plan.body().txid();
        let made = plan.outputs.iter().zip(0..);
        coins.extend(made.map(|(out, index)| Coin { outpoint: OutPoint { txid, index }, value: out.value, lock }));
    }
}

/// Sends the transactions, some at a time, and waits until every node has them as final.
async fn split(
    nodes: &[RemoteNode],
    key: &SecretKey,
    lock: Lock,
    plans: &[Plan],
    progress: &Progress,
) -> Result<(), CliError> {
    for (at, some) in plans.chunks(AT_A_TIME).enumerate() {
        let mut txids = Vec::new();
        for (plan, node) in some.iter().zip(nodes.iter().cycle()) {
            let tx = plan.sign(&node.chain_id, |needed| (*needed == lock).then_some(key)).map_err(CliError::failure)?;
            txids.push(node.hand_in(&tx).await?);
        }
        let before = at * AT_A_TIME;
        let say =
            |done: usize| progress.say(&format!("splitting coins: {} of {} transactions", before + done, plans.len()));
        for node in nodes {
            wait_until_final(node, &txids, &say).await?;
        }
    }
    Ok(())
}

async fn wait_until_final(node: &RemoteNode, txids: &[Txid], say: &impl Fn(usize)) -> Result<(), CliError> {
    let mut left = txids.to_vec();
    let mut moved = Instant::now();
    loop {
        let statuses = node.statuses(&left).await?;
        if let Some((txid, status)) = left.iter().zip(&statuses).find(|(_, status)| status.status == "rejected") {
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            return Err(CliError::failure(format!("{} refused to split coins: {txid}: {reason}", node.client().url())));
        }
        let before = left.len();
        let mut statuses = statuses.iter();
        left.retain(|_| !statuses.next().is_some_and(|status| status.is_final()));
        say(txids.len() - left.len());
        if left.is_empty() {
            return Ok(());
        }
        if left.len() < before {
            moved = Instant::now();
        } else if moved.elapsed() > STALL {
            let url = node.client().url();
            return Err(CliError::failure(format!(
                "{} transactions that split coins do not become final at {url}",
                left.len()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}
