//! `timed masternode prove`: the consensus key's half of a registration that another machine pays for.

use super::register::consensus_key;
use crate::cli::remote::RemoteNode;
use crate::cli::wallet::time;
use crate::cli::{CliError, Global};
use crate::types::address::to_address;
use crate::types::codec::decode;
use crate::types::hash::ChainId;
use crate::types::hex;
use crate::types::transaction::{Payload, Transaction};
use std::path::PathBuf;

/// What to prove.
#[derive(clap::Args, Debug)]
pub struct Prove {
    /// The request that timed masternode register printed.
    request: String,
    /// The consensus key; masternode.key_file of the configuration, or masternode.key in the data directory, if none is
    /// named.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Prints the proof; what it is for goes to standard error.
pub async fn run(global: &Global, prove: &Prove) -> Result<(), CliError> {
    let bytes =
        hex::decode(prove.request.trim()).ok_or_else(|| CliError::usage("a request is written in hex digits"))?;
    let tx: Transaction = decode(&bytes).map_err(|e| CliError::usage(format!("that is no request: {e}")))?;
    let Payload::Register(register) = &tx.body.payload else {
        return Err(CliError::usage("that is no registration: timed masternode register --consensus-key prints one"));
    };
    let collateral = usize::try_from(register.collateral_index).ok().and_then(|index| tx.body.outputs.get(index));
    let (Some(collateral), Some(first)) = (collateral, tx.body.inputs.first()) else {
        return Err(CliError::usage("that registration has no collateral, or spends nothing"));
    };
    let key = consensus_key(global, prove.key.as_deref())?;
    if key.public_key() != register.consensus_key {
        return Err(CliError::failure(format!(
            "the request is for the key {}, and this one is {}",
            register.consensus_key,
            key.public_key()
        )));
    }
    let (chain, hrp) = chain_of(global).await?;
    let address = |lock| to_address(lock, &hrp).map_err(CliError::failure);
    eprintln!("collateral {} of {}", time(collateral.value), address(&collateral.lock)?);
    eprintln!("payout     {}", address(&register.payout)?);
    eprintln!("endpoint   {}", register.endpoint);
    say!("{}", hex::encode(&key.sign(&register.proof_digest(&chain, first, collateral)).0));
    Ok(())
}

/// The chain of the configuration if it is launched, so that no node has to run; else that of the node.
async fn chain_of(global: &Global) -> Result<(ChainId, String), CliError> {
    let spec = global.settings()?.chain_spec().map_err(CliError::usage)?;
    if !spec.masternodes.is_empty() {
        return Ok((spec.id(), spec.address_hrp));
    }
    let node = RemoteNode::of(global).await?;
    Ok((node.chain_id, node.hrp))
}
