//! `timed masternode update` and `unregister`: what the owner agrees to, paid for by a coin of the wallet.

use super::forecast::ChainNow;
use super::register::check_endpoint;
use crate::chain::registry::{Masternode, MasternodeState};
use crate::cli::remote::{RemoteNode, get};
use crate::cli::wallet::keys::{Locked, Source};
use crate::cli::wallet::pay::{Terms, describe_cost, hand_in};
use crate::cli::wallet::time;
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::lock::Lock;
use crate::types::transaction::{Payload, Update as Change};
use crate::wallet::build::{BuildError, Content, Plan, Rules, plan_change};
use crate::wallet::multisig::Multisig;
use serde::Deserialize;
use serde_json::json;

/// What to change.
#[derive(clap::Args, Debug)]
pub struct Update {
    #[command(flatten)]
    which: Which,
    /// Who gets the rewards from the next epoch on.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "endpoint")]
    payout: Option<String>,
    /// Where the other masternodes reach it.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<String>,
    #[command(flatten)]
    terms: Terms,
}

/// Which one leaves.
#[derive(clap::Args, Debug)]
pub struct Unregister {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    terms: Terms,
}

/// Which masternode.
#[derive(clap::Args, Debug)]
struct Which {
    /// Its id, or its consensus key.
    #[arg(long, value_name = "ID")]
    masternode: String,
}

/// The part of `get_masternode` that is of use here.
#[derive(Deserialize)]
struct DetailsPart {
    unregistration: Option<String>,
}

/// Changes payout or endpoint.
pub async fn update(global: &Global, source: &Source, update: &Update) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let now = ChainNow::of(&node).await?;
    let record = now.named(&update.which.masternode)?;
    let payout = update.payout.as_deref().map(|payout| node.lock_of(payout)).transpose()?;
    if let Some(endpoint) = &update.endpoint {
        check_endpoint(&now, endpoint, Some(&record.id))?;
    }
    let same_payout = payout.is_none_or(|payout| payout == record.payout);
    if same_payout && update.endpoint.as_ref().is_none_or(|endpoint| *endpoint == record.endpoint) {
        return Err(CliError::usage("it is so already: nothing would change"));
    }
    let change = Change { masternode: record.id, payout, endpoint: update.endpoint.clone() };
    let (plan, rules) = plan(&node, &locked, record, Payload::Update(change), &update.terms).await?;
    say!("masternode {}", record.id);
    if let Some(payout) = payout {
        let address = |lock: &Lock| to_address(lock, &node.hrp).map_err(CliError::failure);
        say!("payout     {} instead of {}", address(&payout)?, address(&record.payout)?);
        match record.state {
            // A set keeps the payouts of its beginning.
            MasternodeState::Active | MasternodeState::Leaving => say!("           {}", now.due(now.epoch.next())),
            MasternodeState::Queued => say!("           from its first epoch on"),
            MasternodeState::Unbonding { .. } => say!("           of no effect: it has left and is paid nothing"),
        }
    }
    if let Some(endpoint) = &update.endpoint {
        say!("endpoint   {endpoint} instead of {}", record.endpoint);
        say!("           with the block that holds this");
    }
    describe_cost(&node, &plan, &rules, 0)?;
    hand_in(source, locked, &node, &[plan], &update.terms).await.map(drop)
}

/// Asks for it to leave.
pub async fn unregister(global: &Global, source: &Source, unregister: &Unregister) -> Result<(), CliError> {
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let now = ChainNow::of(&node).await?;
    let record = now.named(&unregister.which.masternode)?;
    let exit = now.exit_of(record);
    let free = exit.map_or_else(|| "once there is room to leave".to_owned(), |(_, free)| free.to_string());
    if matches!(record.state, MasternodeState::Leaving | MasternodeState::Unbonding { .. }) {
        return Err(CliError::failure(format!(
            "masternode {} was asked to leave before; its collateral of {} is free {free}",
            record.id,
            time(record.value)
        )));
    }
    let details: DetailsPart = get(node.client(), "get_masternode", vec![json!(record.id.to_string())]).await?;
    if let Some(txid) = details.unregistration {
        return Err(CliError::failure(format!("it is asked to leave already, by {txid}, which waits for its block")));
    }
    let payload = Payload::Unregister { masternode: record.id };
    let (plan, rules) = plan(&node, &locked, record, payload, &unregister.terms).await?;
    say!("masternode {}", record.id);
    match (record.state, exit) {
        (MasternodeState::Queued, _) => say!("leaves     with the block that holds this: it was never in"),
        (_, Some((out, _))) => say!("leaves     {out}, at the earliest; until then it has to vote, and is paid"),
        (_, None) => say!("leaves     once there is room: others wait before it, or it is the last one"),
    }
    say!("collateral {} back {free}, at the earliest", time(record.value));
    describe_cost(&node, &plan, &rules, 0)?;
    hand_in(source, locked, &node, &[plan], &unregister.terms).await.map(drop)
}

/// The transaction that says it, if the owner can agree here. Whoever signs first pays the fee; if his wallet has no coin
/// for it, the several keys that own the masternode do, who have to sign anyway.
async fn plan(
    node: &RemoteNode,
    locked: &Locked,
    record: &Masternode,
    payload: Payload,
    terms: &Terms,
) -> Result<(Plan, Rules), CliError> {
    let own = locked.own_locks(&node.hrp)?;
    let consent = Some(consent(node, record, locked.multisig(), &own)?);
    let content = Content { payload, consent, ..terms.content(locked) };
    let rules = terms.rules(node)?;
    let plan = match plan_change(&node.coins(&own).await?, &content, &rules) {
        Err(BuildError::Insufficient { .. }) if locked.multisig().is_some() => {
            plan_change(&node.coins(&locked.locks(&node.hrp)?).await?, &content, &rules)
        }
        planned => planned,
    };
    Ok((plan.map_err(CliError::failure)?, rules))
}

/// The owner, where this wallet can be part of its agreement.
fn consent(
    node: &RemoteNode,
    record: &Masternode,
    multisig: Option<&Multisig>,
    own: &[(String, Lock)],
) -> Result<Lock, CliError> {
    let owner = to_address(&record.owner, &node.hrp).map_err(CliError::failure)?;
    let is_own = |lock: &Lock| own.iter().any(|(_, own)| own == lock);
    match (record.owner, multisig) {
        (Lock::KeyHash(_), Some(_)) => {
            Err(CliError::usage(format!("the owner {owner} is one key: leave --multisig away")))
        }
        (Lock::KeyHash(_), None) if is_own(&record.owner) => Ok(record.owner),
        (Lock::KeyHash(_), None) => {
            Err(CliError::failure(format!("masternode {} belongs to {owner}, which is not of this wallet", record.id)))
        }
        (Lock::Multisig(_), None) => Err(CliError::usage(format!(
            "masternode {} belongs to {owner}, an address of several keys: name them with --multisig COUNT:KEY,KEY,..",
            record.id
        ))),
        (Lock::Multisig(_), Some(multisig)) if multisig.lock() == record.owner => Ok(record.owner),
        (Lock::Multisig(_), Some(multisig)) => Err(CliError::failure(format!(
            "these {} keys, of which {} sign, are not the owner {owner}: count or keys are wrong",
            multisig.keys().len(),
            multisig.threshold()
        ))),
    }
}
