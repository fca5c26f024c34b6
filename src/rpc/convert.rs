//! From the protocol's types to what calls answer.

use super::context::Context;
use super::types::{
    CommitParts, CommitSummary, DecodedTransaction, InputInfo, MasternodeInfo, OutPointInfo, OutputInfo, PayloadInfo,
    Text,
};
use crate::chain::registry::{Masternode, MasternodeState};
use crate::types::block::Commit;
use crate::types::codec::encode;
use crate::types::hex;
use crate::types::number::{Height, Weight};
use crate::types::transaction::{HashedTx, OutPoint, Payload, Transaction, TxOut};
use crate::types::validators::ValidatorSet;
use bincode::Encode;

/// Bytes in the protocol's encoding, as hex.
pub fn encoded<T: Encode>(value: &T) -> String {
    hex::encode(&encode(value))
}

/// An output by name.
pub fn outpoint(outpoint: &OutPoint) -> OutPointInfo {
    OutPointInfo { txid: Text(outpoint.txid), index: outpoint.index }
}

/// An input without what it spends.
pub fn bare_input(input: &OutPoint) -> InputInfo {
    InputInfo { txid: Text(input.txid), index: input.index, value: None, address: None }
}

/// Weight of who signed a commit.
pub fn signed_weight(commit: &Commit, set: &ValidatorSet) -> Weight {
    let signed = set.members().iter().zip(&commit.signatures).filter(|(_, signature)| signature.is_some());
    // A part of a total that fits.
    Weight::checked_sum(signed.map(|(member, _)| member.weight)).unwrap_or(set.total())
}

/// A commit with every member's entry.
pub fn commit_parts(commit: &Commit) -> CommitParts {
    let signatures = commit.signatures.iter().map(|signature| signature.map(|signature| hex::encode(&signature.0)));
    CommitParts {
        height: commit.height.get(),
        view: commit.view.get(),
        block_hash: Text(commit.block_hash),
        signatures: signatures.collect(),
    }
}

/// A commit in short.
pub fn commit_summary(commit: &Commit, set: &ValidatorSet) -> CommitSummary {
    CommitSummary {
        view: commit.view.get(),
        signers: commit.signatures.iter().flatten().count(),
        signed_weight: signed_weight(commit, set).get(),
    }
}

/// Blocks from `height` to `tip`, both counted.
pub fn confirmations(height: Height, tip: Height) -> u64 {
    tip.get().saturating_sub(height.get()).saturating_add(1)
}

impl Context {
    /// An input with what it spends, as far as that is known.
    pub fn input(&self, input: &OutPoint, spent: Option<&TxOut>) -> InputInfo {
        InputInfo {
            value: Some(spent.map(|out| Text(out.value))),
            address: Some(spent.map(|out| self.address(&out.lock))),
            ..bare_input(input)
        }
    }

    /// Outputs without who spends them.
    pub fn outputs(&self, tx: &Transaction) -> Vec<OutputInfo> {
        let to_info = |(index, out): (u32, &TxOut)| OutputInfo {
            index,
            value: Text(out.value),
            address: self.address(&out.lock),
            spent_by: None,
        };
        (0u32..).zip(&tx.body.outputs).map(to_info).collect()
    }

    /// What a transaction does besides moving value.
    pub fn payload(&self, payload: &Payload) -> PayloadInfo {
        match payload {
            Payload::Transfer => PayloadInfo::Transfer,
            Payload::Coinbase { height } => PayloadInfo::Coinbase { height: height.get() },
            Payload::Register(register) => PayloadInfo::Register {
                consensus_key: Text(register.consensus_key),
                payout: self.address(&register.payout),
                endpoint: register.endpoint.clone(),
                collateral_index: register.collateral_index,
            },
            Payload::Update(update) => PayloadInfo::Update {
                masternode: Text(update.masternode),
                payout: update.payout.as_ref().map(|payout| self.address(payout)),
                endpoint: update.endpoint.clone(),
            },
            Payload::Unregister { masternode } => PayloadInfo::Unregister { masternode: Text(*masternode) },
        }
    }

    /// A transaction by itself; with what it spends if that is given.
    pub fn decoded(&self, tx: &HashedTx, spent: Option<&[TxOut]>) -> DecodedTransaction {
        let inputs = tx.inputs().iter().enumerate().map(|(position, input)| match spent {
            Some(spent) => self.input(input, spent.get(position)),
            None => bare_input(input),
        });
        DecodedTransaction {
            txid: Text(tx.txid()),
            size: tx.size_bytes(),
            inputs: inputs.collect(),
            outputs: self.outputs(tx.tx()),
            payload: self.payload(&tx.body().payload),
            memo: hex::encode(&tx.body().memo),
            witnesses: tx.tx().witnesses.len(),
        }
    }

    /// A masternode's record.
    pub fn masternode(&self, record: &Masternode) -> MasternodeInfo {
        let (state, until_epoch) = match record.state {
            MasternodeState::Queued => ("queued", None),
            MasternodeState::Active => ("active", None),
            MasternodeState::Leaving => ("leaving", None),
            MasternodeState::Unbonding { until_epoch } => ("unbonding", Some(until_epoch.get())),
        };
        let tier = self.chain().tiers.iter().find(|tier| tier.weight == record.weight);
        MasternodeInfo {
            id: Text(record.id),
            consensus_key: Text(record.consensus_key),
            owner: self.address(&record.owner),
            payout: self.address(&record.payout),
            endpoint: record.endpoint.clone(),
            collateral: outpoint(&record.collateral),
            value: Text(record.value),
            tier: tier.map(|tier| tier.name.clone()),
            weight: record.weight.get(),
            state,
            until_epoch,
            queued_at: record.queued_at.get(),
            slashed: record.slashed,
        }
    }
}
