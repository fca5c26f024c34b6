//! The one door through which values from outside become [`Verified`]: every signature, and every rule that needs
//! no state.
//!
//! Invariants: this file alone calls `Verified::seal`. What is remembered is only that a check passed, under a hash
//! of everything the check saw; so remembering changes what a check costs and never what it answers, and a bad
//! witness under a good txid poisons nothing. Nodes of one process may share a verifier.

mod evidence;
mod proposal;

pub(super) use proposal::check_evidence_order;

use super::VerifiedTx;
use super::rules::{self, TxError};
use crate::chain::spec::Chain;
use crate::crypto::batch::{self, SignatureCheck};
use crate::crypto::vdf;
use crate::limits::{MAX_BATCH_TXIDS, VERIFIED_SIGNATURES, VERIFIED_TRANSACTIONS};
use crate::types::block::{BftKind, BftVote, Commit, Header, PrepareProof, Proposal, VdfProof, bft_digest};
use crate::types::evidence::Evidence;
use crate::types::hash::{BlockHash, ChainId, Hash, Txid, Wtxid};
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{Height, View, Weight};
use crate::types::presence::Presence;
use crate::types::transaction::HashedTx;
use crate::types::validators::{Validator, ValidatorSet};
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use quick_cache::sync::Cache;
use rayon::prelude::*;
use std::sync::Arc;

/// Why a signed message is refused: a provable fault of who sent it, or of who signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A signature does not verify.
    #[error("the signature of {key} is not valid")]
    BadSignature {
        /// Whose.
        key: PublicKey,
    },
    /// A batch of votes is empty or too long.
    #[error("a batch holds 1 to {limit} transactions, this one {count}", limit = MAX_BATCH_TXIDS)]
    BatchSize {
        /// How many it holds.
        count: usize,
    },
    /// A batch names a transaction twice.
    #[error("the transaction {txid} stands twice in one batch")]
    RepeatedTxid {
        /// Which one.
        txid: Txid,
    },
    /// Not one entry a member.
    #[error("{found} entries for the signatures of {members} members")]
    SignatureCount {
        /// Entries found.
        found: usize,
        /// Members of the set.
        members: usize,
    },
    /// Less than a quorum signed.
    #[error("a weight of {signed} out of {total} is no quorum")]
    NoQuorum {
        /// Weight that signed.
        signed: Weight,
        /// Weight of the set.
        total: Weight,
    },
    /// A commit of another block than the one it has to stand for.
    #[error("a commit for the block {found} at height {height}")]
    OtherBlock {
        /// Height it names.
        height: Height,
        /// Block it names.
        found: BlockHash,
    },
    /// A header version other than 1.
    #[error("header version {found} is not known")]
    HeaderVersion {
        /// The version it has.
        found: u16,
    },
    /// A header of another chain.
    #[error("a header of the chain {found}")]
    OtherChain {
        /// Which chain.
        found: ChainId,
    },
    /// Genesis is not proposed.
    #[error("nobody proposes height 0")]
    GenesisProposed,
    /// The transactions are not strictly ascending by txid.
    #[error("the transaction {txid} is out of order")]
    TxidOutOfOrder {
        /// The first that is.
        txid: Txid,
    },
    /// The header counts other transactions than are listed.
    #[error("the header counts {stated} transactions, the proposal lists {listed} and a coinbase if it has a proof")]
    TxCount {
        /// What the header says.
        stated: u32,
        /// How many txids there are.
        listed: usize,
    },
    /// The header commits to something else than what came with it.
    #[error("the header's {field} is not that of the proposal's parts")]
    PartsDiffer {
        /// Which field.
        field: &'static str,
    },
    /// An overflow block pays nothing.
    #[error("a block that opens no slot pays no reward")]
    RewardWithoutSlot,
    /// A proof of prepares from the proposal's own view or a later one.
    #[error("a proof of view {proof} in a proposal of view {view}")]
    ProofView {
        /// View of the proof.
        proof: View,
        /// View of the proposal.
        view: View,
    },
    /// A fresh proposal is built by who signs it.
    #[error("{leader} offers a fresh proposal built by {proposer}")]
    OtherProposer {
        /// Who signed.
        leader: PublicKey,
        /// Whom the header names.
        proposer: PublicKey,
    },
    /// Evidence out of order, or two pieces against one signer.
    #[error("the evidence against {voter} is out of order or not the only one")]
    EvidenceOrder {
        /// Whom the first such piece accuses.
        voter: PublicKey,
    },
    /// The two sides are out of order, equal, or of different heights, views or kinds; or they spend nothing in
    /// common: an honest masternode may have signed both.
    #[error("the two votes of {voter} do not contradict each other")]
    NoContradiction {
        /// Whom it accuses.
        voter: PublicKey,
    },
    /// A path that leads from the transaction to no root of a batch of that size.
    #[error("a path of {voter}'s vote has the wrong shape")]
    BadPath {
        /// Whom it accuses.
        voter: PublicKey,
    },
}

/// What a remembered check was about; part of what it is remembered under.
#[derive(Clone, Copy)]
enum Kind {
    Signature = 0,
    Vdf = 1,
}

type MemoKey = [u8; 32];

/// Checks signatures and stateless rules, each thing once.
pub struct Verifier {
    chain: Chain,
    transactions: Cache<Wtxid, ()>,
    others: Cache<MemoKey, ()>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier(of {:?})", self.chain.id())
    }
}

impl Verifier {
    /// A verifier for `chain` that remembers nothing yet.
    pub fn new(chain: Chain) -> Self {
        let transactions = Cache::new(VERIFIED_TRANSACTIONS);
        Self { chain, transactions, others: Cache::new(VERIFIED_SIGNATURES) }
    }

    /// The chain that it checks for.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Checks a transaction on its own (`protocol.md` 3) with all its signatures, a registration's proof included.
    ///
    /// # Errors
    /// [`TxError`]: the first rule broken.
    pub fn transaction(&self, tx: HashedTx) -> Result<VerifiedTx, TxError> {
        self.check_transactions(std::slice::from_ref(&tx)).pop().unwrap_or(Ok(()))?;
        Ok(Arc::new(Verified::seal(tx)))
    }

    /// [`Verifier::transaction`] of each, with the signatures of all checked in batches.
    pub fn transactions(&self, txs: Vec<HashedTx>) -> Vec<Result<VerifiedTx, TxError>> {
        let results = self.check_transactions(&txs);
        txs.into_iter().zip(results).map(|(tx, result)| result.map(|()| Arc::new(Verified::seal(tx)))).collect()
    }

    fn check_transactions(&self, txs: &[HashedTx]) -> Vec<Result<(), TxError>> {
        let listed: Vec<Result<Vec<SignatureCheck>, TxError>> =
            txs.par_iter().with_min_len(16).map(|tx| self.signatures_to_check(tx)).collect();
        let all: Vec<SignatureCheck> = listed.iter().flatten().flatten().copied().collect();
        let mut answers = batch::verify_all(&all).into_iter();
        let judge = |(tx, listed): (&HashedTx, Result<Vec<SignatureCheck>, TxError>)| {
            let checks = listed?;
            let answers: Vec<bool> = answers.by_ref().take(checks.len()).collect();
            if let Some(position) = answers.iter().position(|good| !good) {
                return Err(rules::signature_error(tx, &checks, position));
            }
            self.transactions.insert(tx.wtxid(), ());
            Ok(())
        };
        txs.iter().zip(listed).map(judge).collect()
    }

    /// None for a transaction that passed before: a wtxid covers all that was checked.
    fn signatures_to_check(&self, tx: &HashedTx) -> Result<Vec<SignatureCheck>, TxError> {
        if self.transactions.get(&tx.wtxid()).is_some() {
            return Ok(Vec::new());
        }
        rules::check_alone(&self.chain, tx)
    }

    /// Checks a batch of votes or receipts: its size, that no transaction stands in it twice, its signature.
    /// Whether the voter is in a set is for the tally to say.
    ///
    /// # Errors
    /// [`VerifyError`]: the first rule broken.
    pub fn vote_batch(&self, batch: VoteBatch) -> Result<Verified<VoteBatch>, VerifyError> {
        let check = self.vote_batch_check(&batch)?;
        self.check_signatures(&[check])?;
        Ok(Verified::seal(batch))
    }

    /// [`Verifier::vote_batch`] of each, with all signatures checked together.
    pub fn vote_batches(&self, batches: Vec<VoteBatch>) -> Vec<Result<Verified<VoteBatch>, VerifyError>> {
        let listed: Vec<Result<SignatureCheck, VerifyError>> =
            batches.par_iter().with_min_len(16).map(|batch| self.vote_batch_check(batch)).collect();
        let checks: Vec<SignatureCheck> = listed.iter().flatten().copied().collect();
        let mut answers = self.are_signed(&checks).into_iter();
        let judge = |(batch, listed): (VoteBatch, Result<SignatureCheck, VerifyError>)| {
            let check = listed?;
            // One answer for each check, in the order of the checks.
            let good = answers.next().unwrap_or(false);
            if good { Ok(Verified::seal(batch)) } else { Err(VerifyError::BadSignature { key: check.key }) }
        };
        batches.into_iter().zip(listed).map(judge).collect()
    }

    fn vote_batch_check(&self, batch: &VoteBatch) -> Result<SignatureCheck, VerifyError> {
        let count = batch.txids.len();
        if count == 0 || count > MAX_BATCH_TXIDS {
            return Err(VerifyError::BatchSize { count });
        }
        let mut sorted = batch.txids.clone();
        sorted.sort_unstable();
        if let Some([txid, _]) = sorted.array_windows().find(|[a, b]| a == b) {
            return Err(VerifyError::RepeatedTxid { txid: *txid });
        }
        let digest = batch.digest(&self.chain.id());
        Ok(SignatureCheck { key: batch.voter, digest, signature: batch.signature })
    }

    /// Checks the signature of a prepare or precommit.
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`].
    pub fn bft_vote(&self, vote: BftVote) -> Result<Verified<BftVote>, VerifyError> {
        let digest = vote.digest(&self.chain.id());
        self.check_signatures(&[SignatureCheck { key: vote.voter, digest, signature: vote.signature }])?;
        Ok(Verified::seal(vote))
    }

    /// Checks the signature of a run's word that it holds a key.
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`].
    pub fn presence(&self, presence: Presence) -> Result<Verified<Presence>, VerifyError> {
        let digest = presence.claim.digest(&self.chain.id());
        self.check_signatures(&[SignatureCheck { key: presence.key, digest, signature: presence.signature }])?;
        Ok(Verified::seal(presence))
    }

    /// Checks the signature of a proposal, that its parts are those of its header, and the header as far as that
    /// needs no state. The commit, the evidence, the proof of prepares and the delay proof in it are checked by
    /// their own methods.
    ///
    /// # Errors
    /// [`VerifyError`]: the first rule broken.
    pub fn proposal(&self, proposal: Proposal) -> Result<Verified<Proposal>, VerifyError> {
        proposal::check(&self.chain, &proposal)?;
        let digest = proposal.digest(&self.chain.id());
        self.check_signatures(&[SignatureCheck { key: proposal.leader, digest, signature: proposal.signature }])?;
        Ok(Verified::seal(proposal))
    }

    /// Checks that a header is of this chain and version, and not that of genesis, which nobody signs.
    ///
    /// # Errors
    /// [`VerifyError`]: the first rule broken.
    pub fn header(&self, header: &Header) -> Result<(), VerifyError> {
        proposal::check_header(&self.chain, header)
    }

    /// Checks that `commit` has one entry a member of `set`, that every signature in it is valid, and that they
    /// are a quorum.
    ///
    /// # Errors
    /// [`VerifyError`]: the first rule broken.
    pub fn commit(&self, commit: Commit, set: &ValidatorSet) -> Result<Verified<Commit>, VerifyError> {
        self.check_commit(&commit, set)?;
        Ok(Verified::seal(commit))
    }

    /// A commit of this set with one precommit more; `None` unless that is one of its block at its height and view, by a
    /// member whose place is free. Nothing is verified again, as both are.
    pub fn with_precommit(
        commit: &Verified<Commit>,
        vote: &Verified<BftVote>,
        set: &ValidatorSet,
    ) -> Option<Verified<Commit>> {
        let is_of_it =
            (vote.height, vote.view, vote.block_hash) == (commit.height, commit.view, Some(commit.block_hash));
        let position = set.position(&vote.voter).filter(|_| is_of_it && vote.kind == BftKind::Precommit)?;
        commit.signatures.get(position).filter(|free| free.is_none())?;
        let mut commit = (**commit).clone();
        *commit.signatures.get_mut(position)? = Some(vote.signature);
        Some(Verified::seal(commit))
    }

    /// [`Verifier::commit`] for one who holds the commit already, perhaps checked against another set.
    pub(super) fn check_commit(&self, commit: &Commit, set: &ValidatorSet) -> Result<(), VerifyError> {
        let hash = Some(commit.block_hash);
        let digest = bft_digest(&self.chain.id(), commit.height, commit.view, BftKind::Precommit, hash);
        self.check_quorum(digest, &commit.signatures, set)
    }

    /// Checks the prepares of a quorum of `set` for the block `hash`.
    ///
    /// # Errors
    /// As [`Verifier::commit`].
    pub fn prepare_proof(
        &self,
        height: Height,
        hash: BlockHash,
        proof: PrepareProof,
        set: &ValidatorSet,
    ) -> Result<Verified<PrepareProof>, VerifyError> {
        let digest = bft_digest(&self.chain.id(), height, proof.view, BftKind::Prepare, Some(hash));
        self.check_quorum(digest, &proof.signatures, set)?;
        Ok(Verified::seal(proof))
    }

    fn check_quorum(
        &self,
        digest: Hash,
        signatures: &[Option<Signature>],
        set: &ValidatorSet,
    ) -> Result<(), VerifyError> {
        if signatures.len() != set.len() {
            return Err(VerifyError::SignatureCount { found: signatures.len(), members: set.len() });
        }
        let signed = set.members().iter().zip(signatures).filter_map(|(member, s)| s.map(|s| (member, s)));
        let signed: Vec<_> = signed.collect();
        // A part of a total that fits in 64 bits.
        let weight = Weight::checked_sum(signed.iter().map(|(member, _)| member.weight)).unwrap_or(set.total());
        if !weight.is_quorum_of(set.total()) {
            return Err(VerifyError::NoQuorum { signed: weight, total: set.total() });
        }
        let claim = |(member, signature): (&Validator, Signature)| SignatureCheck {
            key: member.consensus_key,
            digest,
            signature,
        };
        self.check_signatures(&signed.into_iter().map(claim).collect::<Vec<_>>())
    }

    /// Checks everything about evidence that needs no state (`protocol.md` 11).
    ///
    /// # Errors
    /// [`VerifyError`]: the first rule broken.
    pub fn evidence(&self, evidence: Evidence) -> Result<Verified<Evidence>, VerifyError> {
        self.check_signatures(&evidence::check(&self.chain, &evidence)?)?;
        Ok(Verified::seal(evidence))
    }

    /// Whether `proof` is the delay function's output and proof for `seed`. Remembered.
    pub fn vdf(&self, seed: &Hash, iterations: u64, proof: &VdfProof) -> bool {
        let key = memo_key(Kind::Vdf, &[&seed.0, &iterations.to_le_bytes(), &proof.y, &proof.proof]);
        if self.others.get(&key).is_some() {
            return true;
        }
        let good = vdf::verify(seed, iterations, proof);
        if good {
            self.others.insert(key, ());
        }
        good
    }

    fn check_signatures(&self, checks: &[SignatureCheck]) -> Result<(), VerifyError> {
        let answers = self.are_signed(checks);
        let bad = checks.iter().zip(answers).find(|(_, good)| !good);
        bad.map_or(Ok(()), |(check, _)| Err(VerifyError::BadSignature { key: check.key }))
    }

    /// Which of the claims are true; those known to be are not computed again.
    fn are_signed(&self, checks: &[SignatureCheck]) -> Vec<bool> {
        let key = |c: &SignatureCheck| memo_key(Kind::Signature, &[&c.key.0, &c.digest.0, &c.signature.0]);
        let keys: Vec<MemoKey> = checks.iter().map(key).collect();
        let mut answers: Vec<bool> = keys.iter().map(|key| self.others.get(key).is_some()).collect();
        let new: Vec<usize> = (0..checks.len()).filter(|i| !answers[*i]).collect();
        let new_checks: Vec<SignatureCheck> = new.iter().map(|i| checks[*i]).collect();
        for (i, good) in new.into_iter().zip(batch::verify_all(&new_checks)) {
            answers[i] = good;
            if good {
                self.others.insert(keys[i], ());
            }
        }
        answers
    }
}

/// Parts have fixed lengths for a kind, so two things never share a key. No hash of the protocol: it stays here.
fn memo_key(kind: Kind, parts: &[&[u8]]) -> MemoKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind as u8]);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
