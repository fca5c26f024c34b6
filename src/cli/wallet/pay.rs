//! Payments: planned and signed here, shown before they leave.

use super::keys::{Keys, Locked, Source, confirm};
use super::time;
use crate::cli::remote::{RemoteNode, Wait};
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::codec::{decode, encode};
use crate::types::hash::MasternodeId;
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{Payload, Transaction};
use crate::wallet::amounts;
use crate::wallet::build::{Plan, Rules, SignError, complete, missing_signatures, plan_payment, plan_sweep};

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
pub struct Terms {
    /// A text of at most 80 bytes that everybody can read.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub memo: String,
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
    /// What the chain asks of a payment, with the fee rate that the user wishes.
    pub fn rules(&self, node: &RemoteNode) -> Result<Rules, CliError> {
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
    describe_cost(node, plan, rules, 1)
}

/// The same of a transaction whose first `paid` outputs are what it is for.
pub fn describe_cost(node: &RemoteNode, plan: &Plan, rules: &Rules, paid: usize) -> Result<(), CliError> {
    let spent = plan.spent().unwrap_or_default();
    println!("fee        {} ({} bytes at {} units a byte)", time(plan.fee), plan.size_bytes(), rules.fee_rate);
    println!("spends     {} outputs of {}", plan.coins.len(), time(spent));
    for out in plan.outputs.iter().skip(paid) {
        println!("back       {} to {}", time(out.value), to_address(&out.lock, &node.hrp).map_err(CliError::failure)?);
    }
    Ok(())
}

/// Asks, signs, sends and waits.
pub async fn hand_in(
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
        let tx = plan.sign(&node.chain_id, |lock| keys.get(lock)).map_err(|e| cannot_sign(node, &e))?;
        match missing_signatures(&tx) {
            0 => node.send(&tx, &terms.wait).await?,
            missing => hand_on(&tx, missing),
        }
    }
    Ok(())
}

/// Prints a transaction that others have to sign too.
fn hand_on(tx: &Transaction, missing: usize) {
    // To standard error: standard output has the transaction alone, for a pipe.
    eprintln!(
        "not sent: {missing} more of its owners have to sign. Give them what follows for timed wallet sign HEX; who signs last \
         hands it in: timed wallet broadcast HEX"
    );
    println!("{}", hex::encode(&encode(tx)));
}

fn cannot_sign(node: &RemoteNode, error: &SignError) -> CliError {
    let (SignError::NoKey { lock } | SignError::KeysUnknown { lock }) = error;
    match (to_address(lock, &node.hrp), error) {
        (Err(error), _) => CliError::failure(error),
        (Ok(address), SignError::NoKey { .. }) => {
            CliError::failure(format!("it needs the agreement of {address}, which is not yours"))
        }
        (Ok(address), SignError::KeysUnknown { .. }) => CliError::failure(format!(
            "it needs the agreement of {address}, which is of several keys, and does not name them: begin with timed masternode \
             .. --multisig"
        )),
    }
}

/// Signs a transaction that was made elsewhere and prints it. Signatures that it has already stay.
pub async fn sign(global: &Global, source: &Source, text: &str) -> Result<(), CliError> {
    let tx = read(text)?;
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let (mut locks, mut spent) = (Vec::new(), Amount::ZERO);
    for outpoint in &tx.body.inputs {
        let (lock, value) = node.owner(outpoint).await?;
        spent =
            spent.checked_add(value).ok_or_else(|| CliError::failure("the inputs add up to more than 2^64 units"))?;
        locks.push(lock);
    }
    locks.extend(consent(&node, &tx.body.payload).await?);
    let mut needed: Vec<Lock> = Vec::with_capacity(locks.len());
    for lock in locks {
        if !needed.contains(&lock) {
            needed.push(lock);
        }
    }
    let paid = Amount::checked_sum(tx.body.outputs.iter().map(|out| out.value));
    let fee = paid.and_then(|paid| spent.checked_sub(paid));
    let fee = fee.ok_or_else(|| CliError::failure("the transaction pays more than it spends"))?;
    let keys: Keys = source.keys(locked)?;
    let tx = complete(tx, &needed, &node.chain_id, |lock| keys.get(lock)).map_err(|e| cannot_sign(&node, &e))?;
    eprintln!("fee        {} ({} bytes)", time(fee), encode(&tx).len());
    match missing_signatures(&tx) {
        // To standard error: standard output has the transaction alone, for a pipe.
        0 => println!("{}", hex::encode(&encode(&tx))),
        missing => hand_on(&tx, missing),
    }
    Ok(())
}

/// Who has to agree to what a transaction does besides moving value. Says what that is.
async fn consent(node: &RemoteNode, payload: &Payload) -> Result<Option<Lock>, CliError> {
    let (what, masternode): (String, &MasternodeId) = match payload {
        Payload::Transfer | Payload::Register(_) => return Ok(None),
        Payload::Coinbase { .. } => return Err(CliError::usage("a coinbase stands only in a block")),
        Payload::Unregister { masternode } => ("unregisters".to_owned(), masternode),
        Payload::Update(update) => {
            let payout = update.payout.map(|payout| to_address(&payout, &node.hrp)).transpose();
            let payout = payout.map_err(CliError::failure)?.map(|payout| format!(" payout {payout}"));
            let endpoint = update.endpoint.as_ref().map(|endpoint| format!(" endpoint {endpoint}"));
            let what = format!("updates{}{}", payout.unwrap_or_default(), endpoint.unwrap_or_default());
            (what, &update.masternode)
        }
    };
    eprintln!("masternode {masternode}\n           {what}");
    node.masternode_owner(masternode).await.map(Some)
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
