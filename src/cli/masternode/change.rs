//! `timed masternode update` and `unregister`: what the owner agrees to, paid for by a coin of the wallet.

use super::forecast::ChainNow;
use super::register::check_endpoint;
use crate::chain::registry::{Masternode, MasternodeState};
use crate::cli::remote::RemoteNode;
use crate::cli::wallet::keys::Source;
use crate::cli::wallet::pay::{Terms, describe_cost, hand_in};
use crate::cli::wallet::time;
use crate::cli::{CliError, Global};
use crate::limits::MAX_MULTISIG_KEYS;
use crate::types::address::to_address;
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::transaction::{Payload, Update as Change};
use crate::wallet::build::{Consent, Content, plan_change};
use std::str::FromStr;

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

/// Which masternode, and who owns it.
#[derive(clap::Args, Debug)]
struct Which {
    /// Its id, or its consensus key.
    #[arg(long, value_name = "ID")]
    masternode: String,
    /// How many of which public keys the owner is, where that is an address of several keys.
    #[arg(long, value_name = "COUNT:KEY,KEY,..")]
    multisig: Option<Multisig>,
}

/// So many of these keys.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Multisig {
    threshold: u8,
    /// Strictly ascending.
    keys: Vec<PublicKey>,
}

impl FromStr for Multisig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "write it COUNT:KEY,KEY,.., as in 2:ab..,cd..,ef.., each key as 64 hex digits";
        let (threshold, keys) = text.split_once(':').ok_or(wrong)?;
        let threshold: u8 = threshold.parse().map_err(|_| wrong)?;
        let keys: Option<Vec<PublicKey>> = keys.split(',').map(PublicKey::from_hex).collect();
        let mut keys = keys.ok_or(wrong)?;
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("one key is named twice".to_owned());
        }
        if keys.len() > MAX_MULTISIG_KEYS || !(1..=keys.len()).contains(&usize::from(threshold)) {
            return Err(format!("it takes 1 to {MAX_MULTISIG_KEYS} keys, and at least one and at most all of them"));
        }
        Ok(Self { threshold, keys })
    }
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
    let own = locked.locks(&node.hrp)?;
    let consent = consent(&node, record, &update.which, &own)?;
    let change = Change { masternode: record.id, payout, endpoint: update.endpoint.clone() };
    let content = Content {
        memo: update.terms.memo.clone().into_bytes(),
        payload: Payload::Update(change),
        consent: Some(consent),
    };
    let rules = update.terms.rules(&node)?;
    let plan = plan_change(&node.coins(&own).await?, &content, &rules).map_err(CliError::failure)?;
    println!("masternode {}", record.id);
    if let Some(payout) = payout {
        let address = |lock: &Lock| to_address(lock, &node.hrp).map_err(CliError::failure);
        println!("payout     {} instead of {}", address(&payout)?, address(&record.payout)?);
        match record.state {
            // A set keeps the payouts of its beginning.
            MasternodeState::Active | MasternodeState::Leaving => println!("           {}", now.due(now.epoch.next())),
            MasternodeState::Queued => println!("           from its first epoch on"),
            MasternodeState::Unbonding { .. } => println!("           of no effect: it has left and is paid nothing"),
        }
    }
    if let Some(endpoint) = &update.endpoint {
        println!("endpoint   {endpoint} instead of {}", record.endpoint);
        println!("           with the block that holds this");
    }
    describe_cost(&node, &plan, &rules, 0)?;
    hand_in(source, locked, &node, &[plan], &update.terms).await
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
    let own = locked.locks(&node.hrp)?;
    let consent = consent(&node, record, &unregister.which, &own)?;
    let payload = Payload::Unregister { masternode: record.id };
    let content = Content { memo: unregister.terms.memo.clone().into_bytes(), payload, consent: Some(consent) };
    let rules = unregister.terms.rules(&node)?;
    let plan = plan_change(&node.coins(&own).await?, &content, &rules).map_err(CliError::failure)?;
    println!("masternode {}", record.id);
    match (record.state, exit) {
        (MasternodeState::Queued, _) => println!("leaves     with the block that holds this: it was never in"),
        (_, Some((out, _))) => println!("leaves     {out}, at the earliest; until then it has to vote, and is paid"),
        (_, None) => println!("leaves     once there is room: others wait before it, or it is the last one"),
    }
    println!("collateral {} back {free}, at the earliest", time(record.value));
    describe_cost(&node, &plan, &rules, 0)?;
    hand_in(source, locked, &node, &[plan], &unregister.terms).await
}

/// The owner's agreement, as far as this wallet can be part of it.
fn consent(node: &RemoteNode, record: &Masternode, which: &Which, own: &[(String, Lock)]) -> Result<Consent, CliError> {
    let owner = to_address(&record.owner, &node.hrp).map_err(CliError::failure)?;
    let is_own = |lock: &Lock| own.iter().any(|(_, own)| own == lock);
    match (record.owner, &which.multisig) {
        (Lock::KeyHash(_), Some(_)) => {
            Err(CliError::usage(format!("the owner {owner} is one key: leave --multisig away")))
        }
        (Lock::KeyHash(_), None) if is_own(&record.owner) => Ok(Consent::Key(record.owner)),
        (Lock::KeyHash(_), None) => {
            Err(CliError::failure(format!("masternode {} belongs to {owner}, which is not of this wallet", record.id)))
        }
        (Lock::Multisig(_), None) => Err(CliError::usage(format!(
            "masternode {} belongs to {owner}, an address of several keys: name them with --multisig COUNT:KEY,KEY,..",
            record.id
        ))),
        (Lock::Multisig(_), Some(Multisig { threshold, keys })) => {
            let consent = Consent::Multisig { threshold: *threshold, keys: keys.clone() };
            if consent.lock() != record.owner {
                let text = format!("{threshold} of these keys are not the owner {owner}: count or keys are wrong");
                return Err(CliError::failure(text));
            }
            Ok(consent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_are_read_in_any_order_and_nonsense_is_not() {
        let (a, b) = ("aa".repeat(32), "bb".repeat(32));
        let read: Multisig = format!("2:{b},{a}").parse().unwrap();
        assert_eq!(read, Multisig { threshold: 2, keys: vec![PublicKey([0xaa; 32]), PublicKey([0xbb; 32])] });
        for wrong in [
            "2".to_owned(),
            "2:".to_owned(),
            format!("x:{a}"),
            format!("0:{a}"),
            format!("2:{a}"),
            format!("1:{a},{a}"),
            format!("1:{a},zz"),
            format!("1:{}", (0..17u8).map(|n| PublicKey([n; 32]).to_string()).collect::<Vec<_>>().join(",")),
        ] {
            assert!(wrong.parse::<Multisig>().is_err(), "{wrong}");
        }
    }
}
