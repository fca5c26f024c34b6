//! Payments: planned and signed here, shown before they leave.

use super::keys::{Keys, Locked, Source, confirm};
use super::time;
use crate::cli::remote::{RemoteNode, Wait};
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::codec::{decode, encode};
use crate::types::hex;
use crate::types::lock::{Lock, Witness};
use crate::types::number::Amount;
use crate::types::transaction::{Payload, Transaction, sighash};
use crate::wallet::amounts;
use crate::wallet::build::{Coin, Plan, Rules, plan_payment, plan_sweep};
use std::collections::BTreeSet;

/// What to pay.
#[derive(clap::Args, Debug)]
pub struct Send {
    /// Who gets it.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// How much, in TIME: up to eight places behind the point.
    #[arg(long, value_name = "TIME")]
    amount: String,
    #[command(flatten)]
    terms: Terms,
}

/// Where to bring everything.
#[derive(clap::Args, Debug)]
pub struct Sweep {
    /// Who gets it; the first own address if nobody is named.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    #[command(flatten)]
    terms: Terms,
}

/// What holds for every payment.
#[derive(clap::Args, Debug)]
struct Terms {
    /// A text of at most 80 bytes that everybody can read.
    #[arg(long, value_name = "TEXT", default_value = "")]
    memo: String,
    /// Units for each byte, at least the chain's rate, which is taken if none is given.
    #[arg(long, value_name = "UNITS_PER_BYTE")]
    fee_rate: Option<u64>,
    /// Send without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Terms {
    fn rules(&self, node: &RemoteNode) -> Result<Rules, CliError> {
        let least = node.rules.fee_rate;
        let fee_rate = self.fee_rate.unwrap_or(least);
        if fee_rate < least {
            return Err(CliError::usage(format!("--fee-rate {fee_rate} is below the chain's least of {least}")));
        }
        Ok(Rules { fee_rate, ..node.rules })
    }
}

/// Pays.
pub async fn send(global: &Global, source: &Source, send: &Send) -> Result<(), CliError> {
    let amount = amounts::parse(&send.amount).map_err(CliError::usage)?;
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let to = node.lock_of(&send.to)?;
    let rules = send.terms.rules(&node)?;
    let coins = node.coins(&locked.locks(&node.hrp)?).await?;
    let plan = plan_payment(&coins, to, amount, send.terms.memo.as_bytes(), &rules).map_err(CliError::failure)?;
    println!("pay        {} to {}", time(amount), send.to);
    describe(&node, &plan, &rules)?;
    hand_in(source, locked, &node, &[plan], &send.terms).await
}

/// Brings everything to one address.
pub async fn sweep(global: &Global, source: &Source, sweep: &Sweep) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let own = locked.locks(&node.hrp)?;
    let to = match (&sweep.to, own.first()) {
        (Some(to), _) => to.clone(),
        (None, Some((first, _))) => first.clone(),
        (None, None) => return Err(CliError::failure("the wallet has no address")),
    };
    let rules = sweep.terms.rules(&node)?;
    let coins = node.coins(&own).await?;
    let plans =
        plan_sweep(&coins, node.lock_of(&to)?, sweep.terms.memo.as_bytes(), &rules).map_err(CliError::failure)?;
    for plan in &plans {
        let paid = plan.outputs.first().map_or(Amount::ZERO, |out| out.value);
        println!("pay        {} to {to}", time(paid));
        describe(&node, plan, &rules)?;
    }
    hand_in(source, locked, &node, &plans, &sweep.terms).await
}

/// Says what a payment costs and what comes back.
fn describe(node: &RemoteNode, plan: &Plan, rules: &Rules) -> Result<(), CliError> {
    let spent = plan.spent().unwrap_or_default();
    println!("fee        {} ({} bytes at {} units a byte)", time(plan.fee), plan.size_bytes(), rules.fee_rate);
    println!("spends     {} outputs of {}", plan.coins.len(), time(spent));
    for out in plan.outputs.iter().skip(1) {
        println!("back       {} to {}", time(out.value), to_address(&out.lock, &node.hrp).map_err(CliError::failure)?);
    }
    Ok(())
}

/// Asks, signs, sends and waits.
async fn hand_in(
    source: &Source,
    locked: Locked,
    node: &RemoteNode,
    plans: &[Plan],
    terms: &Terms,
) -> Result<(), CliError> {
    if !terms.yes {
        confirm("Send it?")?;
    }
    let keys = source.keys(locked)?;
    for plan in plans {
        let tx = plan.sign(&node.chain_id, |lock| keys.get(lock)).map_err(CliError::failure)?;
        node.send(&tx, &terms.wait).await?;
    }
    Ok(())
}

/// Signs a transaction that was made elsewhere and prints it.
pub async fn sign(global: &Global, source: &Source, text: &str) -> Result<(), CliError> {
    let mut tx = read(text)?;
    if !matches!(tx.body.payload, Payload::Transfer | Payload::Register(_)) {
        return Err(CliError::usage("only payments and registrations are signed here; see timed masternode"));
    }
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let mut coins = Vec::new();
    for outpoint in &tx.body.inputs {
        let (lock, value) = node.owner(outpoint).await?;
        coins.push(Coin { outpoint: *outpoint, value, lock });
    }
    let spent = Amount::checked_sum(coins.iter().map(|coin| coin.value));
    let paid = Amount::checked_sum(tx.body.outputs.iter().map(|out| out.value));
    let fee = spent.zip(paid).and_then(|(spent, paid)| spent.checked_sub(paid));
    let fee = fee.ok_or_else(|| CliError::failure("the transaction pays more than it spends"))?;
    let keys = source.keys(locked)?;
    let mut seen = BTreeSet::new();
    let needed = coins.iter().map(|coin| coin.lock).filter(|lock| seen.insert(*lock));
    tx.witnesses = witnesses(&node, &tx, needed, &keys)?;
    // To standard error: standard output has the transaction alone, for a pipe.
    eprintln!("fee        {} ({} bytes)", time(fee), encode(&tx).len());
    println!("{}", hex::encode(&encode(&tx)));
    Ok(())
}

fn witnesses(
    node: &RemoteNode,
    tx: &Transaction,
    needed: impl Iterator<Item = Lock>,
    keys: &Keys,
) -> Result<Vec<Witness>, CliError> {
    let digest = sighash(&node.chain_id, &tx.body.txid());
    let sign = |lock: Lock| {
        let address = to_address(&lock, &node.hrp).map_err(CliError::failure)?;
        let key = keys.get(&lock);
        let key =
            key.ok_or_else(|| CliError::failure(format!("it spends an output of {address}, which is not yours")))?;
        Ok(Witness::Key { pubkey: key.public_key(), signature: key.sign(&digest) })
    };
    needed.map(sign).collect()
}

/// Hands in what was signed.
pub async fn broadcast(global: &Global, text: &str, wait: &Wait) -> Result<(), CliError> {
    let tx = read(text)?;
    RemoteNode::of(global).await?.send(&tx, wait).await
}

fn read(text: &str) -> Result<Transaction, CliError> {
    let bytes = hex::decode(text.trim()).ok_or_else(|| CliError::usage("a transaction is written in hex digits"))?;
    decode(&bytes).map_err(|e| CliError::usage(format!("that is no transaction: {e}")))
}
