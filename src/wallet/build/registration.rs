//! Registering a masternode: a payment whose first output is the collateral, and the consensus key's proof.
//!
//! The proof covers the first input (`protocol.md` 4), so it is made after the coins are chosen; its length is known before.

use super::{BuildError, Coin, Content, Plan, Rules, plan_payment};
use crate::types::hash::{ChainId, Hash};
use crate::types::keys::{PublicKey, Signature};
use crate::types::lock::Lock;
use crate::types::transaction::{Payload, Register, TxOut};

/// Position of the collateral among the outputs: payments come first.
const COLLATERAL_INDEX: u32 = 0;

/// What a registration says of the masternode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The key that will vote.
    pub consensus_key: PublicKey,
    /// Who gets the rewards.
    pub payout: Lock,
    /// `host:port`, at most 255 bytes.
    pub endpoint: String,
}

/// Plans a registration that still lacks the proof: `content` with what registers.
///
/// # Errors
/// [`BuildError`].
pub fn plan_registration(
    coins: &[Coin],
    collateral: TxOut,
    identity: &Identity,
    content: Content,
    rules: &Rules,
) -> Result<Plan, BuildError> {
    let payload = Payload::Register(Register {
        consensus_key: identity.consensus_key,
        payout: identity.payout,
        endpoint: identity.endpoint.clone(),
        collateral_index: COLLATERAL_INDEX,
        proof: Signature([0; 64]),
    });
    plan_payment(coins, collateral, &Content { payload, ..content }, rules)
}

impl Plan {
    /// What the consensus key has to sign; `None` unless this is a registration.
    pub fn proof_digest(&self, chain: &ChainId) -> Option<Hash> {
        let Payload::Register(register) = &self.content.payload else { return None };
        let collateral = self.outputs.get(usize::try_from(register.collateral_index).ok()?)?;
        Some(register.proof_digest(chain, &self.coins.first()?.outpoint, collateral))
    }

    /// Puts the consensus key's signature into a registration.
    pub fn set_proof(&mut self, signature: Signature) {
        if let Payload::Register(register) = &mut self.content.payload {
            register.proof = signature;
        }
    }
}
