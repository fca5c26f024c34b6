//! Rules of a transaction that need no state (`protocol.md` 3, "Valid on its own").
//!
//! Everything here is a function of the transaction and the chain spec; signatures are listed, and checked in
//! batches by [`super::verify`].

use crate::chain::spec::Chain;
use crate::crypto::batch::SignatureCheck;
use crate::limits::{MAX_INPUTS, MAX_MEMO_BYTES, MAX_OUTPUTS};
use crate::types::keys::PublicKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{HashedTx, OutPoint, Payload, TxBody, sighash};
use std::collections::BTreeSet;

/// Why a transaction is not valid on its own, on any tip of this chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// A version other than 1.
    #[error("transaction version {found} is not known")]
    Version {
        /// The version it has.
        found: u16,
    },
    /// A coinbase outside a block.
    #[error("a coinbase stands only in a block")]
    Coinbase,
    /// Nothing is spent.
    #[error("a transaction has at least one input")]
    NoInputs,
    /// More inputs than allowed.
    #[error("{count} inputs are more than {limit}", limit = MAX_INPUTS)]
    TooManyInputs {
        /// How many it has.
        count: usize,
    },
    /// One output is spent twice.
    #[error("the output {outpoint} is spent twice")]
    DuplicateInput {
        /// Which output.
        outpoint: OutPoint,
    },
    /// Nothing is created.
    #[error("a transaction has at least one output")]
    NoOutputs,
    /// More outputs than allowed.
    #[error("{count} outputs are more than {limit}", limit = MAX_OUTPUTS)]
    TooManyOutputs {
        /// How many it has.
        count: usize,
    },
    /// An output below the chain's least value.
    #[error("output {index} of {value} units is below the least value of {least}")]
    OutputTooSmall {
        /// Which output.
        index: usize,
        /// Its value.
        value: Amount,
        /// The least value.
        least: Amount,
    },
    /// The outputs add up past `u64`.
    #[error("the outputs add up to more than 2^64 units")]
    OutputsOverflow,
    /// A memo longer than allowed.
    #[error("a memo of {bytes} bytes is longer than {limit}", limit = MAX_MEMO_BYTES)]
    MemoTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Larger than the chain allows.
    #[error("{size} bytes are more than the {limit} a transaction may have")]
    TooLarge {
        /// Encoded size.
        size: u32,
        /// The most allowed.
        limit: u64,
    },
    /// Keys, threshold and signatures of a witness cannot satisfy any lock.
    #[error("witness {position} cannot satisfy any lock: keys ascending, one entry a key, `threshold` signatures")]
    MalformedWitness {
        /// Which witness.
        position: usize,
    },
    /// Two witnesses for one lock.
    #[error("two witnesses are for one lock, {lock:?}")]
    DuplicateWitness {
        /// Which lock.
        lock: Lock,
    },
    /// The collateral of a registration is none of its outputs.
    #[error("output {index} is named as collateral, but there are {outputs} outputs")]
    NoCollateralOutput {
        /// The position named.
        index: u32,
        /// Number of outputs.
        outputs: usize,
    },
    /// A signature in a witness does not verify.
    #[error("the signature of {key} is not valid")]
    BadSignature {
        /// Whose.
        key: PublicKey,
    },
    /// The consensus key did not sign the registration.
    #[error("the proof of the consensus key {key} is not valid")]
    BadProof {
        /// The consensus key.
        key: PublicKey,
    },
}

impl TxError {
    /// A stable identifier for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::Coinbase => "coinbase",
            Self::NoInputs => "no_inputs",
            Self::TooManyInputs { .. } => "too_many_inputs",
            Self::DuplicateInput { .. } => "duplicate_input",
            Self::NoOutputs => "no_outputs",
            Self::TooManyOutputs { .. } => "too_many_outputs",
            Self::OutputTooSmall { .. } => "output_too_small",
            Self::OutputsOverflow => "outputs_overflow",
            Self::MemoTooLong { .. } => "memo_too_long",
            Self::TooLarge { .. } => "too_large",
            Self::MalformedWitness { .. } => "malformed_witness",
            Self::DuplicateWitness { .. } => "duplicate_witness",
            Self::NoCollateralOutput { .. } => "no_collateral_output",
            Self::BadSignature { .. } => "bad_signature",
            Self::BadProof { .. } => "bad_proof",
        }
    }
}

/// Checks everything but the signatures, and lists those: the witnesses' first, the registration's proof last.
///
/// # Errors
/// The first rule broken, in the order of [`TxError`].
pub(super) fn check_alone(chain: &Chain, tx: &HashedTx) -> Result<Vec<SignatureCheck>, TxError> {
    check_body(chain, tx.body())?;
    let limit = chain.max_tx_bytes;
    if u64::from(tx.size_bytes()) > limit {
        return Err(TxError::TooLarge { size: tx.size_bytes(), limit });
    }
    check_witness_shapes(tx)?;
    let digest = sighash(&chain.id(), &tx.txid());
    let signed = tx.tx().witnesses.iter().flat_map(|witness| witness.signatures());
    let mut checks: Vec<SignatureCheck> =
        signed.map(|(key, signature)| SignatureCheck { key: *key, digest, signature: *signature }).collect();
    checks.extend(registration_proof(chain, tx.body())?);
    Ok(checks)
}

fn check_body(chain: &Chain, body: &TxBody) -> Result<(), TxError> {
    if body.version != 1 {
        return Err(TxError::Version { found: body.version });
    }
    if body.is_coinbase() {
        return Err(TxError::Coinbase);
    }
    match body.inputs.len() {
        0 => return Err(TxError::NoInputs),
        count if count > MAX_INPUTS => return Err(TxError::TooManyInputs { count }),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    if let Some(outpoint) = body.inputs.iter().find(|outpoint| !seen.insert(**outpoint)) {
        return Err(TxError::DuplicateInput { outpoint: *outpoint });
    }
    match body.outputs.len() {
        0 => return Err(TxError::NoOutputs),
        count if count > MAX_OUTPUTS => return Err(TxError::TooManyOutputs { count }),
        _ => {}
    }
    let least = chain.min_output;
    if let Some((index, out)) = body.outputs.iter().enumerate().find(|(_, out)| out.value < least) {
        return Err(TxError::OutputTooSmall { index, value: out.value, least });
    }
    Amount::checked_sum(body.outputs.iter().map(|out| out.value)).ok_or(TxError::OutputsOverflow)?;
    if body.memo.len() > MAX_MEMO_BYTES {
        return Err(TxError::MemoTooLong { bytes: body.memo.len() });
    }
    Ok(())
}

fn check_witness_shapes(tx: &HashedTx) -> Result<(), TxError> {
    let mut locks = BTreeSet::new();
    for (position, witness) in tx.tx().witnesses.iter().enumerate() {
        if !witness.is_well_formed() {
            return Err(TxError::MalformedWitness { position });
        }
        let lock = witness.lock();
        if !locks.insert(lock) {
            return Err(TxError::DuplicateWitness { lock });
        }
    }
    Ok(())
}

fn registration_proof(chain: &Chain, body: &TxBody) -> Result<Option<SignatureCheck>, TxError> {
    let Payload::Register(register) = &body.payload else { return Ok(None) };
    let index = register.collateral_index;
    let collateral = usize::try_from(index).ok().and_then(|i| body.outputs.get(i));
    let outputs = body.outputs.len();
    let collateral = collateral.ok_or(TxError::NoCollateralOutput { index, outputs })?;
    let first_input = body.inputs.first().ok_or(TxError::NoInputs)?;
    let digest = register.proof_digest(&chain.id(), first_input, collateral);
    Ok(Some(SignatureCheck { key: register.consensus_key, digest, signature: register.proof }))
}

/// Which error a false claim among those of [`check_alone`] is, by its position.
pub(super) fn signature_error(tx: &HashedTx, checks: &[SignatureCheck], position: usize) -> TxError {
    let key = checks[position].key;
    let is_proof = matches!(tx.body().payload, Payload::Register(_)) && position + 1 == checks.len();
    if is_proof { TxError::BadProof { key } } else { TxError::BadSignature { key } }
}

#[cfg(test)]
mod tests;
