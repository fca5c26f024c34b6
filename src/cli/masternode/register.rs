//! `timed masternode register`.
//!
//! The consensus key's proof covers the first coin that is spent, so a key on another machine signs it in between: without
//! `--proof` the registration is planned and printed as a request; `timed masternode prove` on that machine answers it; the
//! same command with `--proof` plans anew, and goes on only if the proof fits. So the wallet takes nothing from that
//! machine but a signature, and both sides see what it is for.

use super::forecast::ChainNow;
use crate::chain::registry::{Masternode, MasternodeState};
use crate::chain::spec::Tier;
use crate::cli::data_dir::{self, MASTERNODE_KEY_FILE};
use crate::cli::remote::RemoteNode;
use crate::cli::wallet::keys::Source;
use crate::cli::wallet::pay::{Terms, describe_cost, hand_in};
use crate::cli::wallet::time;
use crate::cli::{CliError, Global};
use crate::crypto::batch::{SignatureCheck, verify};
use crate::keyfile;
use crate::types::address::to_address;
use crate::types::codec::encode;
use crate::types::hash::{MasternodeId, Txid};
use crate::types::hex;
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{OutPoint, Transaction, TxOut};
use crate::wallet::build::{Identity, Plan, plan_registration};
use crate::wallet::{amounts, endpoint};
use std::path::{Path, PathBuf};

/// What to register.
#[derive(clap::Args, Debug)]
pub struct Register {
    /// The tier, whose least collateral is locked.
    #[arg(long, value_name = "NAME", conflicts_with = "collateral", required_unless_present = "collateral")]
    tier: Option<String>,
    /// How much to lock, in TIME; the highest tier that it reaches counts.
    #[arg(long, value_name = "TIME")]
    collateral: Option<String>,
    /// Where the other masternodes reach it.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: String,
    /// Who gets the rewards; the owner if nobody is named.
    #[arg(long, value_name = "ADDRESS")]
    payout: Option<String>,
    /// Whose the collateral is, who alone can change the masternode and let it leave; if nobody is named, the first own
    /// address or that of several keys.
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    /// The consensus key; masternode.key_file of the configuration, or masternode.key in the data directory, if none is
    /// named.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The public consensus key, where the key itself is on another machine.
    #[arg(long, value_name = "KEY", conflicts_with = "key")]
    consensus_key: Option<String>,
    /// What timed masternode prove printed there.
    #[arg(long, value_name = "HEX", requires = "consensus_key", conflicts_with = "key")]
    proof: Option<String>,
    #[command(flatten)]
    terms: Terms,
}

/// Who signs the proof.
enum Prover {
    /// A key that is here.
    Here(SecretKey),
    /// One elsewhere, with its signature if it is given.
    Elsewhere(PublicKey, Option<Signature>),
}

impl Prover {
    fn public_key(&self) -> PublicKey {
        match self {
            Self::Here(key) => key.public_key(),
            Self::Elsewhere(key, _) => *key,
        }
    }
}

/// Registers.
pub async fn run(global: &Global, source: &Source, register: &Register) -> Result<(), CliError> {
    let amount = register.collateral.as_deref().map(amounts::parse).transpose().map_err(CliError::usage)?;
    let prover = prover(global, register)?;
    let locked = source.open()?;
    let node = RemoteNode::of(global).await?;
    let now = ChainNow::of(&node).await?;
    let from = locked.locks(&node.hrp)?;
    let (value, tier) = collateral(&now, register.tier.as_deref(), amount)?;
    check_endpoint(&now, &register.endpoint, None)?;
    check_key(&now, &prover.public_key())?;
    let owner = match (&register.owner, from.first()) {
        (Some(owner), _) => node.lock_of(owner)?,
        (None, Some((_, first))) => *first,
        (None, None) => return Err(CliError::failure("the wallet has no address")),
    };
    let payout = register.payout.as_deref().map(|payout| node.lock_of(payout)).transpose()?.unwrap_or(owner);
    let identity = Identity { consensus_key: prover.public_key(), payout, endpoint: register.endpoint.clone() };
    let rules = register.terms.rules(&node)?;
    let (coins, out) = (node.coins(&from).await?, TxOut { value, lock: owner });
    let plan = plan_registration(&coins, out, &identity, register.terms.content(&locked), &rules);
    let mut plan = plan.map_err(CliError::failure)?;
    let proof = proof(&node, &plan, &prover)?;

    say!("masternode {} of weight {}", tier.name, tier.weight);
    say!("key        {}", identity.consensus_key);
    say!("endpoint   {}", identity.endpoint);
    let address = |lock: &Lock| to_address(lock, &node.hrp).map_err(CliError::failure);
    let is_own = from.iter().any(|(_, lock)| *lock == owner);
    let whose = if is_own { "" } else { " (not of this wallet: only who has its keys gets the collateral back)" };
    say!("payout     {}", address(&payout)?);
    say!("collateral {} of {}{whose}", time(value), address(&owner)?);
    if value > tier.collateral {
        say!(
            "           {} more than {} takes, for which there is no weight",
            time(difference(value, tier.collateral)),
            tier.name
        );
    }
    describe_future(&now, &plan, &identity, out, tier);
    if now.would_stop_without(tier.weight) {
        say!(
            "           NOTE: with it a third of all weight or more would be this one masternode's, and without its votes"
        );
        say!("           no payment and no block is final: have its node up, linked and level before it is let in");
    }
    describe_cost(&node, &plan, &rules, 1)?;
    let Some(proof) = proof else {
        let tx = Transaction { body: plan.body(), witnesses: Vec::new() };
        say!(
            "\nNothing is sent. On the machine with the key run, within the time in which this wallet spends nothing:"
        );
        say!("  timed masternode prove {}", hex::encode(&encode(&tx)));
        say!("and here the same command again with --proof and what that prints.");
        return Ok(());
    };
    plan.set_proof(proof);
    let id = plan.body().txid();
    if hand_in(source, locked, &node, &[plan], &register.terms).await? {
        say!("registered {id} (the masternode's id)\n\nAt the node of the masternode: timed masternode status");
    } else {
        eprintln!("the masternode's id will be {id}");
    }
    Ok(())
}

fn difference(more: Amount, less: Amount) -> Amount {
    more.checked_sub(less).unwrap_or_default()
}

/// Finds out whose proof it will be, before any node is asked.
fn prover(global: &Global, register: &Register) -> Result<Prover, CliError> {
    let Some(text) = &register.consensus_key else {
        return consensus_key(global, register.key.as_deref()).map(Prover::Here);
    };
    let key = PublicKey::from_hex(text);
    let key =
        key.ok_or_else(|| CliError::usage("--consensus-key is written in 64 hex digits; timed key show prints it"))?;
    let signature = register.proof.as_deref().map(|text| {
        let bytes = hex::decode_array::<64>(text.trim()).map(Signature);
        bytes.ok_or_else(|| CliError::usage("--proof is written in 128 hex digits; timed masternode prove prints it"))
    });
    Ok(Prover::Elsewhere(key, signature.transpose()?))
}

/// The consensus key in `file`, or where the configuration says that it is.
pub fn consensus_key(global: &Global, file: Option<&Path>) -> Result<SecretKey, CliError> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => {
            let config = global.settings()?;
            match &config.masternode.key_file {
                Some(file) => file.clone(),
                None => data_dir::path_of(&config)?.join(MASTERNODE_KEY_FILE),
            }
        }
    };
    if !path.exists() {
        return Err(CliError::failure(format!(
            "there is no consensus key {}: timed init --masternode makes one, --key FILE names another, and --consensus-key \
             KEY is for one on another machine",
            path.display()
        )));
    }
    keyfile::read(&path).map_err(CliError::failure)
}

/// How much is locked, and the tier that it reaches.
fn collateral<'a>(
    now: &'a ChainNow,
    tier: Option<&str>,
    amount: Option<Amount>,
) -> Result<(Amount, &'a Tier), CliError> {
    let tiers = || {
        let text = |tier: &Tier| format!("{} ({}, weight {})", tier.name, time(tier.collateral), tier.weight);
        now.spec.tiers.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    match (tier, amount) {
        (Some(name), _) => {
            let tier = now.spec.tier_named(name);
            let tier =
                tier.ok_or_else(|| CliError::usage(format!("there is no tier \"{name}\"; there are {}", tiers())))?;
            Ok((tier.collateral, tier))
        }
        (None, amount) => {
            let amount = amount.unwrap_or_default();
            let tier = now.spec.tier_for(amount);
            let few = || CliError::usage(format!("{} reach no tier; there are {}", time(amount), tiers()));
            tier.map(|tier| (amount, tier)).ok_or_else(few)
        }
    }
}

/// Checks where a masternode is to be reached. `own` is the one that may be there already.
pub fn check_endpoint(now: &ChainNow, text: &str, own: Option<&MasternodeId>) -> Result<(), CliError> {
    // A chain of one's own may well be on one machine.
    let is_public = matches!(now.spec.name.as_str(), "mainnet" | "testnet");
    endpoint::check(text, is_public).map_err(CliError::usage)?;
    let is_there = |record: &&Masternode| {
        let stays = !matches!(record.state, MasternodeState::Unbonding { .. });
        stays && Some(&record.id) != own && record.endpoint.eq_ignore_ascii_case(text)
    };
    match now.registry.iter().find(is_there) {
        None => Ok(()),
        Some(other) => {
            Err(CliError::failure(format!("{text} is the endpoint of masternode {}: a node has one key", other.id)))
        }
    }
}

/// A key is taken as long as a masternode has it.
fn check_key(now: &ChainNow, key: &PublicKey) -> Result<(), CliError> {
    let Some(record) = now.registry.by_key(key) else { return Ok(()) };
    let until = match record.state {
        MasternodeState::Unbonding { until_epoch } => format!("it is free again {}", now.due(until_epoch)),
        _ => "take another key, or change that masternode with timed masternode update".to_owned(),
    };
    Err(CliError::failure(format!("the key {key} is registered already, as masternode {}; {until}", record.id)))
}

/// The proof; nothing if another machine has to make it yet.
fn proof(node: &RemoteNode, plan: &Plan, prover: &Prover) -> Result<Option<Signature>, CliError> {
    let digest = plan.proof_digest(&node.chain_id).ok_or_else(|| CliError::failure("this is no registration"))?;
    match prover {
        Prover::Here(key) => Ok(Some(key.sign(&digest))),
        Prover::Elsewhere(_, None) => Ok(None),
        Prover::Elsewhere(key, Some(signature)) => {
            if verify(&SignatureCheck { key: *key, digest, signature: *signature }) {
                return Ok(Some(*signature));
            }
            Err(CliError::failure(
                "the proof is not of this registration: something on the command line is not as it was, the wallet's coins have \
                 changed meanwhile, or another key made it. Run this without --proof for a new request",
            ))
        }
    }
}

/// Says when it would be in, and when the collateral would come back.
fn describe_future(now: &ChainNow, plan: &Plan, identity: &Identity, collateral: TxOut, tier: &Tier) {
    let txid: Txid = plan.body().txid();
    let record = Masternode {
        id: MasternodeId(txid.0),
        consensus_key: identity.consensus_key,
        owner: collateral.lock,
        payout: identity.payout,
        endpoint: identity.endpoint.clone(),
        collateral: OutPoint { txid, index: 0 },
        value: collateral.value,
        weight: tier.weight,
        queued_at: Height::ZERO,
        state: MasternodeState::Queued,
        slashed: false,
    };
    match now.entry_of(record) {
        None => say!("active     not soon: very many wait before it"),
        Some(entry) => {
            say!("active     {entry}, at the earliest");
            // It asks in its first epoch and goes with the end of that.
            let free = now.due(now.spec.unbonded_from(entry.epoch));
            say!("locked     until {} epochs after it has left: {free}, at the earliest", now.spec.unbonding_epochs);
        }
    }
    let lost = difference(collateral.value, now.spec.value_after_slashing(collateral.value));
    say!(
        "at stake   {} if the key ever signs two things that exclude each other: run it at one place only",
        time(lost)
    );
}
