//! Opening: the store's tip, then everything the journal has beyond it, through the code that first acted on it.

use super::command::{Command, CommittedBlock, Input, JournalRecord};
use super::journaled::Journaled;
use super::message::{ReceivedBlock, SealedBlock, verify_block};
use super::payments::Source;
use super::{Beacon, Replica, ReplicaConfig, Store};
use crate::finality::Finality;
use crate::ledger::state::ChainState;
use crate::ledger::verify::Verifier;
use crate::ledger::{Ledger, VerifiedTx};
use crate::signer;
use crate::snowball::Snowball;
use crate::tsdc::{Restored, Step, Tsdc};
use crate::types::block::{PrepareProof, Proposal};
use crate::types::hash::{BlockHash, Hash, Txid};
use crate::types::number::{Height, TimeMs};
use crate::types::transaction::{HashedTx, Transaction};
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a node finds on its disk.
pub struct Recovery {
    /// State after the store's tip.
    pub state: ChainState,
    /// All records of the journal, in order. Blocks up to the tip are skipped.
    pub journal: Vec<JournalRecord>,
    /// What `votes.log` says of blocks; `None` for an observer.
    pub signer: Option<signer::BftRecovered>,
}

/// Why a node cannot open what is on its disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The store has a tip without the block it is the tip of, or without a valid commit.
    #[error(
        "the store holds no block with a valid commit at its tip, height {0}; rebuild it from the journal or from peers"
    )]
    TipWithoutCommit(Height),
    /// A block in the journal does not follow from the state it was committed on.
    #[error("block {height} of the journal cannot be applied: {reason}")]
    BadBlock {
        /// Its height.
        height: Height,
        /// What is wrong.
        reason: String,
    },
    /// A record of the journal does not verify, so its bytes changed on disk in a way no checksum showed.
    #[error("the journal holds a {what} that does not verify: {reason}")]
    BadRecord {
        /// What kind of record.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What the journal says of agreement on a height.
#[derive(Default)]
struct HeightRecords {
    proposals: Vec<Arc<Verified<Proposal>>>,
    prepares: Vec<(Height, BlockHash, PrepareProof)>,
}

impl Replica {
    /// A replica that goes on where the disk says it was, and what its shell has to do first: blocks to apply that only
    /// the journal has, what the signer must be told of this epoch, the delay function to start.
    ///
    /// # Errors
    /// [`OpenError`] if what is on disk contradicts itself.
    pub fn open(
        config: ReplicaConfig,
        verifier: Arc<Verifier>,
        store: Arc<dyn Store>,
        recovery: Recovery,
        now: TimeMs,
    ) -> Result<(Self, Vec<Command>), OpenError> {
        let Recovery { state, journal, signer } = recovery;
        let mut replica = Self::at(config, verifier, store, state, now)?;
        let mut height = HeightRecords::default();
        let mut txs = BTreeMap::new();
        for record in journal {
            replica.replay(now, record, &mut txs, &mut height)?;
        }
        replica.restore_height(now, signer, height);
        // Everything but blocks has had its effect in the run that wrote the journal.
        let applied = replica.out.take().into_iter().filter(|c| matches!(c, Command::Apply(_)));
        let mut commands: Vec<Command> = applied.collect();
        commands.extend(
            replica
                .blocks_of_this_epoch()
                .into_iter()
                .map(|txids| Command::SignerBlock { txids: Arc::new(txids), closed: None }),
        );
        replica.want_beacon();
        commands.extend(replica.step(now, Input::Tick));
        Ok((replica, commands))
    }

    fn at(
        config: ReplicaConfig,
        verifier: Arc<Verifier>,
        store: Arc<dyn Store>,
        state: ChainState,
        now: TimeMs,
    ) -> Result<Self, OpenError> {
        let ReplicaConfig { chain, key: me, seed, pool, listens } = config;
        let height = state.header.height;
        let tip_commit = match store.sealed_header(height) {
            _ if height == Height::ZERO => None,
            Some(sealed) if sealed.commit.block_hash == state.hash => {
                let commit = verifier.commit(sealed.commit, &state.signers);
                Some(Arc::new(commit.map_err(|_| OpenError::TipWithoutCommit(height))?))
            }
            _ => return Err(OpenError::TipWithoutCommit(height)),
        };
        let set = state.validators.clone();
        let tsdc =
            Tsdc::new(chain.clone(), state.child_height(), state.header.beacon, set.clone(), me, Restored::default());
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut snowball_seed = [0; 32];
        rng.fill_bytes(&mut snowball_seed);
        let mut snowball = Snowball::new(chain.snowball, me, snowball_seed);
        snowball.start_epoch(set.clone());
        let presence = super::presence::Watch::new(&mut rng, listens);
        let sync = super::sync::Sync::new(&state);
        Ok(Self {
            finality: Finality::new(state.child_epoch(&chain), set),
            ledger: Ledger::new(chain.clone(), state, store.clone(), pool),
            snowball,
            tsdc,
            chain,
            me,
            verifier,
            store,
            rng,
            tip_commit,
            settled: None,
            // No seed is zero: the first wanted one differs.
            beacon: Beacon { seed: Hash::ZERO, proof: None, is_asked: false },
            out: Default::default(),
            peers: Default::default(),
            fetch: Default::default(),
            gossip: Default::default(),
            wants: Default::default(),
            relay: Default::default(),
            own: Default::default(),
            awaited: Default::default(),
            journaled: Journaled::default(),
            stalled: Default::default(),
            proposals: Default::default(),
            offer: None,
            evidence: Default::default(),
            sync,
            repeat: Default::default(),
            unapplied: VecDeque::new(),
            alarm: None,
            clock_is_wrong: false,
            presence,
            unasked: Default::default(),
            heard_own: Default::default(),
            next_heartbeat: now,
        })
    }

    fn replay(
        &mut self,
        now: TimeMs,
        record: JournalRecord,
        txs: &mut BTreeMap<Txid, VerifiedTx>,
        height: &mut HeightRecords,
    ) -> Result<(), OpenError> {
        match record {
            JournalRecord::Tx(tx) => self.replay_tx(now, tx, txs),
            JournalRecord::Votes(batch) => self.replay_votes(now, batch, txs),
            JournalRecord::Proposal(proposal) => {
                let verified = self.verifier.proposal(proposal).map_err(|e| bad_record("proposal", &e))?;
                height.proposals.push(Arc::new(verified));
                Ok(())
            }
            JournalRecord::Prepares { height: at, block_hash, proof } => {
                height.prepares.push((at, block_hash, proof));
                Ok(())
            }
            JournalRecord::Block(sealed) => {
                if sealed.block.header.height < self.height() {
                    return Ok(());
                }
                self.replay_block(now, sealed)
            }
        }
    }

    fn replay_tx(
        &mut self,
        now: TimeMs,
        tx: Transaction,
        txs: &mut BTreeMap<Txid, VerifiedTx>,
    ) -> Result<(), OpenError> {
        let tx = self.verifier.transaction(HashedTx::new(tx)).map_err(|e| bad_record("transaction", &e))?;
        self.journaled.is_new_tx(tx.txid());
        txs.insert(tx.txid(), tx.clone());
        if self.ledger.view().archived_height(&tx.txid()).is_none() {
            self.transaction(now, Source::Retry, tx);
        }
        Ok(())
    }

    fn replay_votes(
        &mut self,
        now: TimeMs,
        batch: VoteBatch,
        txs: &BTreeMap<Txid, VerifiedTx>,
    ) -> Result<(), OpenError> {
        let batch = self.verifier.vote_batch(batch).map_err(|e| bad_record("batch of votes", &e))?;
        self.journaled.is_new_batch(batch.signature);
        let batch = Arc::new(batch);
        self.votes(now, None, batch.clone());
        // The pool may have refused a transaction that is certified nonetheless.
        for tx in batch.txids.iter().filter_map(|txid| txs.get(txid)) {
            if self.awaited.contains(&tx.txid()) {
                self.transaction(now, Source::Retry, tx.clone());
            }
        }
        Ok(())
    }

    fn replay_block(&mut self, now: TimeMs, sealed: SealedBlock) -> Result<(), OpenError> {
        let height = sealed.block.header.height;
        let bad = |reason: String| OpenError::BadBlock { height, reason };
        let received: ReceivedBlock = verify_block(&self.verifier, sealed).map_err(|e| bad(e.to_string()))?;
        let set = self.set();
        let commit = self.verifier.commit(received.commit.clone(), &set).map_err(|e| bad(e.to_string()))?;
        if commit.block_hash != received.header.hash() {
            return Err(bad("its commit is for another block".to_owned()));
        }
        let block: CommittedBlock = self.execute_received(&received).map_err(|e| bad(e.to_string()))?;
        let block = Arc::new(block);
        let committed = self.advance(now, &block, commit).map_err(|e| bad(e.to_string()))?;
        self.unapplied.push_back(block.clone());
        self.out.push(Command::Apply(block));
        committed.resample.iter().for_each(|tx| self.admitted(now, tx));
        committed.retry.into_iter().for_each(|tx| self.transaction(now, Source::Retry, tx));
        Ok(())
    }

    /// Where agreement on the current height stood.
    fn restore_height(&mut self, now: TimeMs, signed: Option<signer::BftRecovered>, records: HeightRecords) {
        let at = self.height();
        let set = self.set();
        let proposals: Vec<_> = records.proposals.into_iter().filter(|p| p.header.height == at).collect();
        let signed = signed.filter(|s| s.height == at).unwrap_or_default();
        let prepares = records.prepares.into_iter().filter(|(height, ..)| *height == at);
        let proofs = prepares.filter_map(|(_, hash, proof)| {
            let proof = self.verifier.prepare_proof(at, hash, proof, &set).ok()?;
            Some((hash, proof))
        });
        let proof = proofs.max_by_key(|(_, proof)| proof.view);
        let proved = proof.as_ref().map(|(hash, proof)| (proof.view, *hash));
        let restored = Restored {
            signed: signed.step.map(|step| (signed.view, tsdc_step(step))),
            locked: signed.locked,
            valid: signed.valid.max(proved),
            proof,
            // Own votes come back from the signer, others' are repeated by those who cast them.
            votes: Vec::new(),
            proposals: proposals.clone(),
        };
        self.tsdc = self.tsdc_of_next_height(restored);
        for proposal in proposals {
            self.proposals.add(now, None, proposal);
        }
    }

    /// The transactions of each block of the current epoch, oldest first: the signer does not know what was archived.
    fn blocks_of_this_epoch(&self) -> Vec<Vec<Txid>> {
        let mut blocks = Vec::new();
        let mut height = self.ledger.tip().header.height;
        while height > Height::ZERO {
            let Some(sealed) = self.sealed_block(height) else { break };
            let opened = sealed.block.header.opened;
            if self.chain.opening_closes_epoch(opened) && sealed.block.vdf.is_some() {
                break;
            }
            blocks.push(sealed.block.txs.iter().map(|tx| tx.body.txid()).collect());
            let Some(previous) = height.previous() else { break };
            height = previous;
        }
        blocks.reverse();
        blocks
    }
}

fn bad_record(what: &'static str, reason: &impl ToString) -> OpenError {
    OpenError::BadRecord { what, reason: reason.to_string() }
}

fn tsdc_step(step: signer::Step) -> Step {
    match step {
        signer::Step::Propose => Step::Propose,
        signer::Step::Prepare => Step::Prepare,
        signer::Step::Precommit => Step::Precommit,
    }
}
