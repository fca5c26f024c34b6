//! Rules about payloads (`protocol.md` 4). They bind voters, never blocks: in a block a payload whose ground is
//! gone has no effect.

use super::rejection::Rejection;
use crate::chain::registry::{MasternodeState, Registry, collateral_output};
use crate::chain::spec::ChainSpec;
use crate::limits::MAX_ENDPOINT_BYTES;
use crate::types::hash::MasternodeId;
use crate::types::keys::PublicKey;
use crate::types::number::Amount;
use crate::types::transaction::{HashedTx, Payload, Register};

/// Whether the payload of `tx` would have an effect on `registry`. `is_pending` says whether another registration of
/// the consensus key is final and waits for a block. The registration's proof and the owner's witness are checked
/// with the signatures and the witnesses.
///
/// # Errors
/// [`Rejection`]: the first rule broken.
pub fn check_payload(
    spec: &ChainSpec,
    registry: &Registry,
    is_pending: impl Fn(&PublicKey) -> bool,
    tx: &HashedTx,
) -> Result<(), Rejection> {
    match &tx.body().payload {
        Payload::Transfer | Payload::Coinbase { .. } => Ok(()),
        Payload::Register(register) => check_register(spec, registry, is_pending, tx, register),
        Payload::Update(update) => {
            check_endpoint(update.endpoint.as_deref().unwrap_or_default())?;
            check_known(registry, update.masternode).map(|_| ())
        }
        Payload::Unregister { masternode } => match check_known(registry, *masternode)? {
            MasternodeState::Queued | MasternodeState::Active => Ok(()),
            MasternodeState::Leaving | MasternodeState::Unbonding { .. } => {
                Err(Rejection::AlreadyLeaving { masternode: *masternode })
            }
        },
    }
}

fn check_register(
    spec: &ChainSpec,
    registry: &Registry,
    is_pending: impl Fn(&PublicKey) -> bool,
    tx: &HashedTx,
    register: &Register,
) -> Result<(), Rejection> {
    check_endpoint(&register.endpoint)?;
    let collateral = collateral_output(tx.txid(), tx.body(), register);
    // A transaction valid on its own has the output it names.
    let value = collateral.map_or(Amount::ZERO, |(_, out)| out.value);
    spec.tier_for(value).ok_or(Rejection::TierNotReached { value })?;
    let key = register.consensus_key;
    if registry.by_key(&key).is_some() || is_pending(&key) {
        return Err(Rejection::KeyTaken { key });
    }
    Ok(())
}

fn check_endpoint(endpoint: &str) -> Result<(), Rejection> {
    match endpoint.len() {
        bytes if bytes > MAX_ENDPOINT_BYTES => Err(Rejection::EndpointTooLong { bytes }),
        _ => Ok(()),
    }
}

fn check_known(registry: &Registry, masternode: MasternodeId) -> Result<MasternodeState, Rejection> {
    registry.get(&masternode).map(|record| record.state).ok_or(Rejection::UnknownMasternode { masternode })
}
