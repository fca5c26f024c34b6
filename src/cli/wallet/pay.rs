//! Payments: planned and signed here, shown before they leave.

use super::keys::{Locked, Source, confirm};
use super::time;
use crate::cli::remote::{RemoteNode, Wait};
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::codec::{decode, encode};
use crate::types::hex;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{Transaction, TxOut};
use crate::wallet::amounts;
use crate::wallet::build::{Content, Plan, Rules, SignError, missing_signatures, plan_payment, plan_sweep};

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
    /// Who gets it; if nobody is named, the first own address or that of several keys.
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
    /// What a payment says, and whose keys spend for it.
    pub fn content(&self, locked: &Locked) -> Content {
        Content::of_payment(self.memo.as_bytes()).with_multisig(locked.multisig().cloned())
    }

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
    let content = send.terms.content(&locked);
    let plan = plan_payment(&coins, TxOut { value: amount, lock: to }, &content, &rules).map_err(CliError::failure)?;
    say!("pay        {} to {}", time(amount), send.to);
    describe(&node, &plan, &rules)?;
    hand_in(source, locked, &node, &[plan], &send.terms).await.map(drop)
}

/// Brings everything to one address.
pub async fn sweep(global: &Global, source: &Source, sweep: &Sweep) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let from = locked.locks(&node.hrp)?;
    let to = match (&sweep.to, from.first()) {
        (Some(to), _) => to.clone(),
        (None, Some((first, _))) => first.clone(),
        (None, None) => return Err(CliError::failure("the wallet has no address")),
    };
    let rules = sweep.terms.rules(&node)?;
    let coins = node.coins(&from).await?;
    let content = sweep.terms.content(&locked);
    let plans = plan_sweep(&coins, node.lock_of(&to)?, &content, &rules).map_err(CliError::failure)?;
    for plan in &plans {
        let paid = plan.outputs.first().map_or(Amount::ZERO, |out| out.value);
        say!("pay        {} to {to}", time(paid));
        describe(&node, plan, &rules)?;
    }
    hand_in(source, locked, &node, &plans, &sweep.terms).await.map(drop)
}

/// Says what a payment costs and what comes back.
fn describe(node: &RemoteNode, plan: &Plan, rules: &Rules) -> Result<(), CliError> {
    describe_cost(node, plan, rules, 1)
}

/// The same of a transaction whose first `paid` outputs are what it is for.
pub fn describe_cost(node: &RemoteNode, plan: &Plan, rules: &Rules, paid: usize) -> Result<(), CliError> {
    let spent = plan.spent().unwrap_or_default();
    say!("fee        {} ({} bytes at {} units a byte)", time(plan.fee), plan.size_bytes(), rules.fee_rate);
    say!("spends     {} outputs of {}", plan.coins.len(), time(spent));
    for out in plan.outputs.iter().skip(paid) {
        say!("back       {} to {}", time(out.value), to_address(&out.lock, &node.hrp).map_err(CliError::failure)?);
    }
    Ok(())
}

/// Asks, signs, sends and waits; or prints what others have to sign too. Whether all was sent.
pub async fn hand_in(
    source: &Source,
    locked: Locked,
    node: &RemoteNode,
    plans: &[Plan],
    terms: &Terms,
) -> Result<bool, CliError> {
    if !terms.yes {
        match plans.iter().any(|plan| plan.content.multisig.is_some()) {
            true => confirm("Sign it?", "not signed")?,
            false => confirm("Send it?", "not sent")?,
        }
    }
    let keys = source.keys(locked)?;
    let mut is_sent = true;
    for plan in plans {
        let tx = plan.sign(&node.chain_id, |lock| keys.get(lock)).map_err(|e| cannot_sign(node, &e))?;
        match missing_signatures(&tx) {
            0 => node.send(&tx, &terms.wait).await?,
            missing => {
                is_sent = false;
                hand_on(&tx, missing);
            }
        }
    }
    Ok(is_sent)
}

/// Prints a transaction that others have to sign too.
pub(super) fn hand_on(tx: &Transaction, missing: usize) {
    // To standard error: standard output has the transaction alone, for a pipe.
    eprintln!(
        "not sent: {missing} more of its owners have to sign. Give them what follows for timed wallet sign HEX; who signs last \
         hands it in: timed wallet broadcast HEX"
    );
    say!("{}", hex::encode(&encode(tx)));
}

pub(super) fn cannot_sign(node: &RemoteNode, error: &SignError) -> CliError {
    let address = |lock: &Lock| to_address(lock, &node.hrp).unwrap_or_else(|error| error.to_string());
    CliError::failure(match error {
        SignError::NoKey { lock } => format!("it needs the agreement of {}, which is not yours", address(lock)),
        SignError::KeysUnknown { lock } => format!(
            "it needs the agreement of {}, which is of several keys, and does not name them: say --multisig COUNT:KEY,KEY,..",
            address(lock)
        ),
        SignError::Malformed { lock } => {
            format!("what was signed for {} is damaged: begin anew with who signed first", address(lock))
        }
        SignError::BadSignature { .. } => {
            format!("{error}: it was changed after that, or is of another chain. Begin anew with who signed first")
        }
        SignError::NothingToAdd { .. } => error.to_string(),
    })
}

/// Hands in what was signed.
pub async fn broadcast(global: &Global, text: &str, wait: &Wait) -> Result<(), CliError> {
    let tx = read(text)?;
    match missing_signatures(&tx) {
        0 => RemoteNode::of(global).await?.send(&tx, wait).await,
        missing => Err(CliError::failure(format!(
            "{missing} more of its owners have to sign before it can be handed in: timed wallet sign HEX"
        ))),
    }
}

pub(super) fn read(text: &str) -> Result<Transaction, CliError> {
    let bytes = hex::decode(text.trim()).ok_or_else(|| CliError::usage("a transaction is written in hex digits"))?;
    decode(&bytes).map_err(|e| CliError::usage(format!("that is no transaction: {e}")))
}
