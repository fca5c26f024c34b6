//! Proofs that a transaction is final, made and checked. A proof holds everything but the validator set of its epoch,
//! which whoever checks it has to trust; this node trusts the sets of its own chain.

use super::api::Api;
use super::context::Context;
use super::convert::{commit_parts, encoded};
use super::errors::Failure;
use super::lookup::FoundTx;
use super::proofs::{GivenBlock, GivenProof, read_proof};
use super::start_error::StartError;
use super::types::{BlockProof, Proof, ReceiptPart, ReceiptProof, Text, Verdict};
use crate::finality::verify_proof;
use crate::node::view::Status;
use crate::types::block::Header;
use crate::types::hash::Txid;
use crate::types::hex;
use crate::types::merkle;
use crate::types::number::{Epoch, Height};
use crate::types::validators::ValidatorSet;
use crate::types::vote::FinalityProof;
use std::sync::Arc;

/// Adds these methods.
pub fn register(api: &mut Api) -> Result<(), StartError> {
    api.waiting("get_finality_proof", |context, arguments| async move {
        get_finality_proof(&context, arguments.txid("txid")?).await
    })?;
    api.waiting("verify_finality_proof", |context, arguments| async move {
        let proof = read_proof(arguments.value("proof"))?;
        drop(arguments);
        context.read(move |context| verify(context, &proof)).await
    })
}

/// The place in a block if there is one, else the receipts.
async fn get_finality_proof(context: &Arc<Context>, txid: Txid) -> Result<Proof, Failure> {
    if let Some(proof) = context.read(move |context| block_proof(context, &txid)).await? {
        return Ok(Proof::Block(proof));
    }
    // Final as users are told: what the replica has may not be on disk.
    let is_final = context.view().pending(&txid).is_some_and(|pending| pending.status >= Status::Finalized);
    let receipts = match is_final {
        true => context.node.ask(move |replica| replica.finality().proof(&txid)).await?,
        false => None,
    };
    if let Some(proof) = receipts {
        return Ok(Proof::Receipts(receipt_proof(proof)));
    }
    // It may have gone into a block since.
    match context.read(move |context| block_proof(context, &txid)).await? {
        Some(proof) => Ok(Proof::Block(proof)),
        None => Err(Failure::Unknown { what: "final transaction", id: txid.to_string() }),
    }
}

fn receipt_proof(proof: FinalityProof) -> ReceiptProof {
    let receipts = proof.receipts.into_iter().map(|receipt| ReceiptPart {
        voter: Text(receipt.voter),
        index: receipt.index,
        count: receipt.count,
        path: receipt.path.into_iter().map(Text).collect(),
        signature: hex::encode(&receipt.signature.0),
    });
    ReceiptProof { txid: Text(proof.txid), epoch: proof.epoch.get(), receipts: receipts.collect() }
}

fn block_proof(context: &Context, txid: &Txid) -> Result<Option<BlockProof>, Failure> {
    let height = match context.transaction(txid)? {
        Some(FoundTx::Pending(pending)) => pending.block.map(|(height, _)| height),
        Some(FoundTx::Archived(archived)) => Some(archived.height),
        None => None,
    };
    let Some(height) = height else { return Ok(None) };
    let found = context.block_at(height)?;
    let txids: Vec<Txid> = found.block().txs.iter().map(|tx| tx.body.txid()).collect();
    let index = txids.iter().position(|named| named == txid);
    let path = index.and_then(|index| merkle::path(txids.iter().map(Txid::as_bytes), index));
    let missing = || Failure::Internal(format!("block {height} does not hold {txid}"));
    let (index, path) = index.zip(path).ok_or_else(missing)?;
    Ok(Some(BlockProof {
        txid: Text(*txid),
        height: height.get(),
        header: encoded(&found.block().header),
        commit: found.commit().map(commit_parts),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        count: found.block().header.tx_count,
        path: path.into_iter().map(Text).collect(),
    }))
}

fn verify(context: &Context, proof: &GivenProof) -> Result<Verdict, Failure> {
    match proof {
        GivenProof::Receipts(proof) => verify_receipts(context, proof),
        GivenProof::Block(proof) => verify_block(context, proof),
    }
}

/// The set that signs in an epoch, if this node's chain has come that far.
pub(super) fn set_of(context: &Context, epoch: Epoch) -> Result<Option<Arc<ValidatorSet>>, Failure> {
    let tip = context.view().tip();
    if tip.child_epoch(context.chain()) == epoch {
        return Ok(Some(Arc::clone(&tip.validators)));
    }
    Ok(context.archive().validators(epoch)?.map(Arc::new))
}

fn verify_receipts(context: &Context, proof: &FinalityProof) -> Result<Verdict, Failure> {
    let verdict = Verdict {
        valid: false,
        kind: "receipts",
        txid: Text(proof.txid),
        epoch: Some(proof.epoch.get()),
        height: None,
        signed_weight: None,
        total_weight: None,
        reason: None,
    };
    let Some(set) = set_of(context, proof.epoch)? else {
        return Ok(Verdict { reason: Some(format!("the set of epoch {} is not known here", proof.epoch)), ..verdict });
    };
    let verdict = Verdict { total_weight: Some(set.total().get()), ..verdict };
    Ok(match verify_proof(proof, &context.chain().id(), &set) {
        Ok(weight) => Verdict { valid: true, signed_weight: Some(weight.get()), ..verdict },
        Err(error) => Verdict { reason: Some(error.to_string()), ..verdict },
    })
}

fn verify_block(context: &Context, proof: &GivenBlock) -> Result<Verdict, Failure> {
    let header = &proof.header;
    let verdict = Verdict {
        valid: false,
        kind: "block",
        txid: Text(proof.txid),
        epoch: None,
        height: Some(header.height.get()),
        signed_weight: None,
        total_weight: None,
        reason: None,
    };
    let invalid = |verdict: Verdict, reason: &str| Verdict { reason: Some(reason.to_owned()), ..verdict };
    if header.chain_id != context.chain().id() {
        return Ok(invalid(verdict, "the header is of another chain"));
    }
    let root = merkle::root_of_path(proof.txid.as_bytes(), proof.index, proof.count, &proof.path);
    if root != Some(header.tx_root) || proof.count != header.tx_count {
        return Ok(invalid(verdict, "the path does not lead to the header's root"));
    }
    let Some(commit) = &proof.commit else {
        return is_genesis(context, header).map(|valid| match valid {
            true => Verdict { valid, ..verdict },
            false => invalid(verdict, "only genesis has no commit"),
        });
    };
    if commit.block_hash != header.hash() || commit.height != header.height {
        return Ok(invalid(verdict, "the commit is of another block"));
    }
    let Some((epoch, set)) = signers_of(context, header)? else {
        return Ok(invalid(verdict, "the set that signs the block is not known here"));
    };
    let verdict = Verdict { epoch: Some(epoch.get()), total_weight: Some(set.total().get()), ..verdict };
    Ok(match context.node.verifier().commit(commit.clone(), &set) {
        Ok(checked) => {
            let weight = super::convert::signed_weight(&checked, &set);
            Verdict { valid: true, signed_weight: Some(weight.get()), ..verdict }
        }
        Err(error) => Verdict { reason: Some(error.to_string()), ..verdict },
    })
}

fn is_genesis(context: &Context, header: &Header) -> Result<bool, Failure> {
    let genesis = context.hash_at(Height::ZERO)?;
    Ok(genesis == Some(header.hash()))
}

/// The set that signs a block with this header, and its epoch. A block that opens a slot belongs to the epoch of the
/// `opened` before its own, an overflow block to that of its own; the header names the set by its hash.
fn signers_of(context: &Context, header: &Header) -> Result<Option<(Epoch, Arc<ValidatorSet>)>, Failure> {
    for opened in [header.opened.saturating_sub(1), header.opened] {
        let epoch = context.chain().epoch_of_child(opened);
        if let Some(set) = set_of(context, epoch)?.filter(|set| set.hash() == header.validators_hash) {
            return Ok(Some((epoch, set)));
        }
    }
    Ok(None)
}
