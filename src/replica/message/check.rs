//! Blocks that were asked for, checked together: everything that needs no more than their place in the chain.
//!
//! The replica says what a block has to be (its header is known by then, so nobody can make it check what is not in the
//! chain), the shell checks many at a time over all cores, and the replica executes what passed.

use super::{ReceivedBlock, SealedBlock};
use crate::ledger::VerifiedTx;
use crate::ledger::verify::Verifier;
use crate::types::block::Commit;
use crate::types::evidence::Evidence;
use crate::types::hash::Hash;
use crate::types::number::Height;
use crate::types::transaction::{HashedTx, Transaction};
use crate::types::validators::ValidatorSet;
use crate::types::verified::Verified;
use rayon::prelude::*;
use std::sync::Arc;

/// A block whose header is the one of its height in the chain.
#[derive(Clone, Debug)]
pub struct BlockToCheck {
    /// The block.
    pub sealed: SealedBlock,
    /// The set that signs it.
    pub signers: Arc<ValidatorSet>,
    /// The set that signs its parent.
    pub parent_signers: Arc<ValidatorSet>,
    /// Seed of its delay proof, if it opens a slot.
    pub seed: Option<Hash>,
}

/// A block of the chain whose parts are those of its header, with every signature and the delay proof good.
#[derive(Clone, Debug)]
pub struct CheckedBlock {
    /// The block.
    pub block: ReceivedBlock,
    /// Its commit.
    pub commit: Verified<Commit>,
}

/// What is wrong with a block, which is its sender's fault: the header is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadPart {
    /// Height of the block.
    pub height: Height,
    /// What is not the block's, or not valid.
    pub what: &'static str,
}

/// Checks blocks, the signatures of all their transactions in common batches.
///
/// # Errors
/// [`BadPart`] of the first block that is not whole.
pub fn check_blocks(verifier: &Verifier, blocks: Vec<BlockToCheck>) -> Result<Vec<CheckedBlock>, BadPart> {
    let (mut parts, mut txs): (Vec<_>, Vec<Transaction>) = (Vec::with_capacity(blocks.len()), Vec::new());
    for BlockToCheck { mut sealed, signers, parent_signers, seed } in blocks {
        let mut of_block = std::mem::take(&mut sealed.block.txs);
        let opens = of_block.first().is_some_and(|tx| tx.body.is_coinbase());
        let coinbase = opens.then(|| of_block.remove(0));
        let height = sealed.block.header.height;
        if of_block.iter().any(|tx| tx.body.is_coinbase()) {
            return Err(BadPart { height, what: "a coinbase out of place" });
        }
        parts.push(Part { sealed, signers, parent_signers, seed, coinbase, count: of_block.len() });
        txs.extend(of_block);
    }
    let hashed: Vec<HashedTx> = txs.into_par_iter().with_min_len(64).map(HashedTx::new).collect();
    let mut verified = verifier.transactions(hashed).into_iter();
    let with_txs = parts.into_iter().map(|part| {
        let txs: Result<Vec<VerifiedTx>, _> = verified.by_ref().take(part.count).collect();
        let height = part.sealed.block.header.height;
        Ok((part, txs.map_err(|_| BadPart { height, what: "a transaction" })?))
    });
    let with_txs: Vec<(Part, Vec<VerifiedTx>)> = with_txs.collect::<Result<_, BadPart>>()?;
    with_txs.into_par_iter().map(|(part, txs)| part.check(verifier, txs)).collect()
}

/// A block without its transactions.
struct Part {
    sealed: SealedBlock,
    signers: Arc<ValidatorSet>,
    parent_signers: Arc<ValidatorSet>,
    seed: Option<Hash>,
    coinbase: Option<Transaction>,
    /// How many transactions it has besides the coinbase.
    count: usize,
}

impl Part {
    fn check(self, verifier: &Verifier, txs: Vec<VerifiedTx>) -> Result<CheckedBlock, BadPart> {
        let Self { sealed: SealedBlock { block, commit }, signers, parent_signers, seed, coinbase, .. } = self;
        let bad = |what| BadPart { height: block.header.height, what };
        let evidence: Result<Vec<Verified<Evidence>>, _> =
            block.evidence.into_iter().map(|piece| verifier.evidence(piece)).collect();
        if commit.block_hash != block.header.hash() || commit.height != block.header.height {
            return Err(bad("the commit of another block"));
        }
        let sealed_commit = verifier.commit(commit.clone(), &signers).map_err(|_| bad("the commit"))?;
        if let Some(last) = &block.last_commit {
            // The header names it, so a bad one is not the sender's fault: executing the block says so. Here it is looked at
            // only so that its signatures are known by then.
            verifier.commit(last.clone(), &parent_signers).ok();
        }
        let (proof, iterations) = (block.vdf.as_ref(), verifier.chain().vdf_iterations);
        if seed.is_some() != proof.is_some()
            || seed.zip(proof).is_some_and(|(seed, proof)| !verifier.vdf(&seed, iterations, proof))
        {
            return Err(bad("the delay proof"));
        }
        let received = ReceivedBlock {
            header: block.header.clone(),
            coinbase,
            txs,
            last_commit: block.last_commit,
            evidence: evidence.map_err(|_| bad("the evidence"))?,
            vdf: block.vdf,
            commit,
        };
        match received.part_unlike_header() {
            Some(what) => Err(bad(what)),
            None => Ok(CheckedBlock { block: received, commit: sealed_commit }),
        }
    }
}
