//! Judges a simulated world. It hears everything: what anybody puts on a wire, what leaves an honest signer, what an
//! honest node commits, tells its users, and has after a restart.
//!
//! Call each method at the moment the thing happens, in order; a broadcast once, not once a receiver; a commit before
//! what is told of it. Work is incremental; signatures of payments are checked in batches, so a violation may be found
//! as late as the next commit anywhere, and [`Oracle::finish`] finds the rest.

// Two test binaries share this, and neither uses all of it.
#![allow(dead_code)]

use crate::invariants::finality::{Announced, Finality, Judge};
use crate::invariants::locks::Locks;
use crate::invariants::memory::{Memory, Usage};
use crate::invariants::nodes::{Nodes, Position, Told};
use crate::invariants::recovery::{self, Durable, StateClaim};
use crate::invariants::replay::Replay;
use crate::invariants::report::{Report, Violation};
use crate::invariants::signatures::Signatures;
use crate::invariants::signing::Signing;
use crate::invariants::{commits, digest, evidence, execute, liveness, transactions};
use std::collections::{BTreeMap, BTreeSet};
use timed::chain::spec::ChainSpec;
use timed::types::block::{BftKind, BftVote, Block, Commit, PrepareProof, Proposal};
use timed::types::codec::encode;
use timed::types::evidence::Evidence;
use timed::types::hash::{BlockHash, Txid};
use timed::types::keys::PublicKey;
use timed::types::number::{Height, View};
use timed::types::transaction::{OutPoint, Transaction, TxBody};
use timed::types::vote::VoteBatch;

/// What somebody puts on a wire, Byzantine or not, whether it arrives or is lost.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A transaction.
    Tx(&'a Transaction),
    /// Votes or receipts.
    Votes(&'a VoteBatch),
    /// A proposal.
    Proposal(&'a Proposal),
    /// A prepare or precommit.
    Vote(&'a BftVote),
    /// A commit.
    Commit(&'a Commit),
    /// A block with its commit.
    Block(&'a Block, &'a Commit),
    /// A double signature.
    Evidence(&'a Evidence),
}

/// What comes out of an honest signer.
#[derive(Clone, Copy, Debug)]
pub enum Released<'a> {
    /// Votes or receipts.
    Votes(&'a VoteBatch),
    /// A proposal.
    Proposal(&'a Proposal),
    /// A prepare or precommit.
    Vote(&'a BftVote),
}

/// What happened in a world.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Blocks, genesis apart.
    pub blocks: u64,
    /// Epochs closed.
    pub epochs_closed: u64,
    /// Transactions in blocks, coinbases included.
    pub archived: usize,
    /// Transactions with receipts of a quorum.
    pub finals: usize,
    /// Outputs with rival spenders.
    pub contested: usize,
    /// Different batches of votes and receipts.
    pub batches: usize,
    /// Different signatures checked.
    pub signatures: usize,
    /// Byzantine masternodes that signed two values for one step, or voted for rivals.
    pub double_signers: usize,
    /// Masternodes punished.
    pub slashed: usize,
    /// Violations.
    pub violations: u64,
}

/// The judge.
pub struct Oracle {
    replay: Replay,
    signatures: Signatures,
    finality: Finality,
    signing: Signing,
    locks: Locks,
    nodes: Nodes,
    memory: Memory,
    report: Report,
    honest: BTreeSet<PublicKey>,
    /// First committed block of each height.
    committed: BTreeMap<u64, BlockHash>,
    submitted: BTreeSet<Txid>,
}

impl Oracle {
    /// A world on the chain `spec` at genesis, where exactly the masternodes with these keys are honest.
    pub fn new(spec: &ChainSpec, honest: BTreeSet<PublicKey>) -> Self {
        let replay = Replay::new(spec, honest.clone());
        let genesis = (0, replay.tip().hash);
        Self {
            finality: Finality::new(&replay),
            replay,
            signatures: Signatures::new(),
            signing: Signing::new(honest.clone()),
            locks: Locks::default(),
            nodes: Nodes::default(),
            memory: Memory::default(),
            report: Report::default(),
            honest,
            committed: BTreeMap::from([genesis]),
            submitted: BTreeSet::new(),
        }
    }

    /// Gives the payments' part its tools.
    fn payments<T>(&mut self, act: impl FnOnce(&mut Finality, &mut Judge) -> T) -> T {
        let Self { finality, replay, signatures, report, .. } = self;
        act(finality, &mut Judge { replay, signatures, report })
    }

    /// Somebody puts something on a wire.
    pub fn hear(&mut self, now_ms: u64, heard: Heard) {
        self.report.now_ms = now_ms;
        match heard {
            Heard::Tx(tx) => self.payments(|finality, judge| finality.learn(tx, judge)),
            Heard::Votes(batch) => {
                if self.payments(|finality, judge| finality.hear(batch, judge)) {
                    self.signing.hear_batch(batch, &self.replay, &mut self.signatures, &mut self.report);
                }
            }
            Heard::Vote(vote) => self.signing.hear_vote(vote, &self.replay, &mut self.signatures, &mut self.report),
            Heard::Proposal(proposal) => self.hear_proposal(proposal),
            Heard::Commit(commit) => self.hear_commit(commit),
            Heard::Block(block, commit) => {
                for tx in &block.txs {
                    self.hear(now_ms, Heard::Tx(tx));
                }
                // A block that somebody fetches accuses nobody: its evidence has been followed by a punishment.
                for piece in &block.evidence {
                    self.hear_evidence(piece);
                }
                block.last_commit.iter().for_each(|last| self.hear_commit(last));
                self.hear_commit(commit);
            }
            Heard::Evidence(piece) => {
                self.hear_evidence(piece);
            }
        }
    }

    /// M4: an honest node tells a piece of evidence, so it can judge it and has it. What a Byzantine one sends to a node that is
    /// behind, to which its masternode is none yet or none any more, binds nobody.
    pub fn tell_evidence(&mut self, piece: &Evidence) {
        if self.hear_evidence(piece) {
            let Replay { members, registry, sealed, .. } = &mut self.replay;
            members.provable(&piece.voter(), sealed.last().map_or(0, |tip| tip.height), registry);
        }
    }

    fn hear_proposal(&mut self, proposal: &Proposal) {
        self.signing.hear_proposal(proposal, &self.replay, &mut self.signatures, &mut self.report);
        let hash = BlockHash(digest::h("timecoin v1 block", &[&encode(&proposal.header)]).0);
        if let Some(committee) = self.replay.signers(proposal.header.height.get()) {
            self.locks.learn(&self.replay.chain_id, committee, proposal, hash, &mut self.signatures);
        }
        proposal.last_commit.iter().for_each(|commit| self.hear_commit(commit));
        for piece in &proposal.evidence {
            self.hear_evidence(piece);
        }
        if let Some(PrepareProof { view, signatures }) = &proposal.proof {
            self.hear_entries(proposal.header.height, *view, BftKind::Prepare, hash, signatures);
        }
    }

    fn hear_commit(&mut self, commit: &Commit) {
        let Commit { height, view, block_hash, signatures } = commit;
        self.hear_entries(*height, *view, BftKind::Precommit, *block_hash, signatures);
    }

    /// Each entry of a proof is a vote. Of heights whose set nobody can know yet there are no honest ones.
    fn hear_entries(
        &mut self,
        height: Height,
        view: View,
        kind: BftKind,
        hash: BlockHash,
        entries: &[Option<timed::types::keys::Signature>],
    ) {
        let Some(committee) = self.replay.signers(height.get()).cloned() else { return };
        for (member, signature) in committee.members.iter().zip(entries) {
            let Some(signature) = *signature else { continue };
            let voter = member.consensus_key;
            let vote = BftVote { height, view, kind, block_hash: Some(hash), voter, signature };
            self.signing.hear_vote(&vote, &self.replay, &mut self.signatures, &mut self.report);
        }
    }

    /// S11: evidence that verifies never names an honest masternode. Whether it verifies.
    fn hear_evidence(&mut self, piece: &Evidence) -> bool {
        let voter = piece.voter();
        let is_good = evidence::fault(&self.replay.chain_id, piece, &mut self.signatures).is_none();
        if is_good && self.honest.contains(&voter) {
            self.report.broken("S11", format!("evidence against the honest {voter:?}: {piece:?}"));
        }
        is_good
    }

    /// Something comes out of the signer of an honest node; `again` if the signer repeats it after a restart.
    pub fn release(&mut self, now_ms: u64, released: Released, again: bool) {
        self.report.now_ms = now_ms;
        match released {
            Released::Votes(batch) => {
                self.signing.release_batch(batch, again, &self.replay, &mut self.report);
                self.payments(|finality, judge| finality.hear(batch, judge));
            }
            Released::Proposal(proposal) => {
                self.signing.release_proposal(proposal, again, &self.replay, &mut self.report);
            }
            Released::Vote(vote) => {
                self.locks.release(vote, &mut self.report);
                self.signing.release_vote(vote, again, &self.replay, &mut self.report);
            }
        }
    }

    /// The operator of an honest masternode accepted that its `votes.log` is lost.
    pub fn forget_votes(&mut self, key: PublicKey) {
        self.signing.forget(key);
    }

    /// An honest node commits a block, and says what state it has then.
    pub fn commit(&mut self, now_ms: u64, node: usize, block: &Block, commit: &Commit, claim: &StateClaim) {
        self.report.now_ms = now_ms;
        let (height, hash) = (block.header.height.get(), execute::block_hash(block));
        let (prev, tip) = (block.header.prev, self.replay.tip());
        let is_on_other_parent = height == tip.height + 1 && prev != tip.hash;
        let first = self.committed.get(&height).copied();
        if is_on_other_parent || first.is_some_and(|first| first != hash) {
            // Of another chain nothing else can be judged.
            self.report
                .broken("S1", format!("node {node} commits {hash:?} on {prev:?} at height {height}, not {first:?}"));
            self.nodes.commit(node, height, &self.replay, &mut self.report);
            self.settle();
            return;
        }
        self.committed.insert(height, hash);
        if let Some(committee) = self.replay.signers(height).cloned() {
            let fault = commits::fault(&self.replay.chain_id, &committee, (height, hash), commit, &mut self.signatures);
            if let Some(fault) = fault {
                let signers: Vec<_> = commits::signers(&committee, commit).collect();
                self.report.broken("S2", format!("node {node} commits block {height}: {fault}; signed by {signers:?}"));
            }
        }
        self.hear_commit(commit);
        if height == self.replay.tip().height + 1 {
            self.execute(block, commit.view.get());
        } else {
            self.check_copy(node, block);
        }
        self.nodes.commit(node, height, &self.replay, &mut self.report);
        self.settle();
        let expected = recovery::expected(&self.replay, height);
        self.report.expect("S5", expected.is_none_or(|e| e == *claim), || {
            format!(
                "node {node} has {claim:?} after block {height}, the replayed state is {:?}",
                recovery::expected(&self.replay, height)
            )
        });
    }

    fn execute(&mut self, block: &Block, view: u32) {
        for piece in &block.evidence {
            self.hear_evidence(piece);
        }
        if self.replay.execute(block, view, &mut self.signatures, &mut self.report) {
            let txids = self.replay.tip().txids.clone();
            self.payments(|finality, judge| finality.archive(&block.txs, &txids, judge));
        }
    }

    /// A copy of a known block may hold other witnesses, as good as the first ones.
    fn check_copy(&mut self, node: usize, block: &Block) {
        let height = block.header.height.get();
        let Some(first) = self.replay.block(height) else { return };
        if first.txs == block.txs {
            return;
        }
        let mut claims = Vec::new();
        let mut same = first.txs.len() == block.txs.len();
        for (one, other) in first.txs.iter().zip(&block.txs).filter(|(one, other)| one != other) {
            same &= one.body == other.body && transactions::opens_same_locks(one, other);
            claims.extend(transactions::claims(&self.replay.chain_id, other, &transactions::txid(other)));
        }
        self.signatures.check_all(&claims);
        let valid = claims.into_iter().all(|claim| self.signatures.check(claim));
        self.report.expect("rule", same && valid, || format!("node {node} holds a bad copy of block {height}"));
    }

    /// An honest node tells its users something.
    pub fn tell(&mut self, now_ms: u64, node: usize, told: &Told) {
        self.report.now_ms = now_ms;
        match *told {
            Told::Certified(txid, epoch) => self.finality.announce(txid, Announced::Certified { node, epoch }),
            Told::Finalized(txid, epoch) => self.finality.announce(txid, Announced::Final { node, epoch }),
            _ => {}
        }
        self.nodes.tell(node, told, &self.replay, &mut self.report);
    }

    /// A user hands in a transaction that is valid: without a rival it must become final in the end.
    pub fn submit(&mut self, now_ms: u64, tx: &Transaction) {
        self.hear(now_ms, Heard::Tx(tx));
        let (txid, epoch) = (transactions::txid(tx), self.replay.tip().opened / self.replay.spec.epoch_slots);
        if self.submitted.insert(txid) {
            self.replay.members.hear(txid, epoch);
        }
    }

    /// An honest node is back. `claim` and `finals` (final, not archived): what it recovered; `stored` and `records`:
    /// the height its store reaches and what is left of its journal.
    pub fn restart(
        &mut self,
        now_ms: u64,
        node: usize,
        claim: &StateClaim,
        finals: &BTreeSet<Txid>,
        (stored, records): (u64, &[Durable]),
    ) {
        self.report.now_ms = now_ms;
        let promised = recovery::promised(&self.replay, stored, records, &mut self.signatures);
        recovery::check(node, claim, finals, &promised, &self.replay, &mut self.report);
        let epoch = self.replay.epoch_after(claim.height).unwrap_or(0);
        let is_archived = |txid: &&Txid| self.replay.archived_at(txid).is_some_and(|at| at <= claim.height);
        for txid in finals.iter().filter(|txid| !is_archived(txid)) {
            self.finality.announce(*txid, Announced::Final { node, epoch });
        }
        self.nodes.restart(node, claim.height, finals, &self.replay, &mut self.report);
    }

    /// How far an honest node is; cheap enough for every event.
    pub fn see(&mut self, now_ms: u64, node: usize, position: Position) {
        self.report.now_ms = now_ms;
        self.nodes.see(node, position, &mut self.report);
    }

    /// What an honest node keeps in memory.
    pub fn measure(&mut self, now_ms: u64, node: usize, usages: &[Usage]) {
        self.report.now_ms = now_ms;
        self.memory.check(node, usages, &mut self.report);
    }

    /// Checks whatever waits for a batch.
    pub fn settle(&mut self) {
        self.payments(|finality, judge| finality.settle(judge));
    }

    /// The end of the world: checks what waits, and counts the unspent outputs anew.
    pub fn finish(&mut self) {
        self.settle();
        let (utxos, value) = self.replay.recount();
        let tip = self.replay.tip();
        let agrees = self.replay.is_broken() || (utxos == tip.utxos && value == u128::from(tip.supply));
        self.report.expect("S5", agrees, || format!("{value} unspent in {utxos:?}, kept as {tip:?}"));
    }

    /// L1: each node of `since` is at least `least` blocks above its height there.
    pub fn check_progress(&mut self, since: &BTreeMap<usize, u64>, least: u64) {
        liveness::check_progress(&self.nodes, since, least, &mut self.report);
    }

    /// L2: every submitted transaction that is valid and has no rival is final.
    pub fn check_submitted_final(&mut self) {
        self.settle();
        liveness::check_final("L2", &self.submitted, &self.replay, &self.finality, &mut self.report);
    }

    /// L3, first half: outputs of double spends that no final transaction spends, for the world to spend anew.
    pub fn free_again(&mut self) -> Vec<OutPoint> {
        self.settle();
        liveness::free_again(&self.replay, &self.finality)
    }

    /// L3, second half: `probes` spend what was free again, and must be final unless a rival is.
    pub fn check_probes_final(&mut self, probes: &BTreeSet<Txid>) {
        self.settle();
        liveness::check_final("L3", probes, &self.replay, &self.finality, &mut self.report);
    }

    /// Height of a node's last commit.
    pub fn height(&self, node: usize) -> u64 {
        self.nodes.height(node)
    }

    /// Byzantine masternodes heard to sign two blocks for one step (height), and those heard to vote for rivals (epoch).
    pub fn double_signers(&self) -> (&BTreeMap<PublicKey, u64>, &BTreeMap<PublicKey, u64>) {
        (self.signing.double_signers(), self.finality.double_voters())
    }

    /// Whether what the transaction asks of the registry of the chain can still be done, and what it spends is neither
    /// bound nor taken.
    pub fn has_ground(&self, body: &TxBody) -> bool {
        liveness::has_ground(body, self.replay.registry()) && liveness::has_inputs(body, &self.replay)
    }

    /// M4: evidence that was heard `blocks` blocks ago has been followed by a punishment.
    pub fn check_punished(&mut self, blocks: u64) {
        let Some(height) = self.replay.tip().height.checked_sub(blocks) else { return };
        for (key, heard) in self.replay.members.unpunished(height, &self.replay.registry) {
            self.report
                .broken("M4", format!("evidence against {key:?} was heard at height {heard}, and it is not punished"));
        }
    }

    /// No honest node runs any more: evidence is in no file, so what was heard of has to be heard of anew.
    pub fn forget_evidence(&mut self) {
        self.replay.members.forget_evidence();
    }

    /// Heights at which an honest key precommitted a block.
    pub fn precommitted(&self, key: &PublicKey) -> BTreeSet<u64> {
        self.signing.precommitted(key).cloned().unwrap_or_default()
    }

    /// Whether an honest key voted on a payment in `epoch`.
    pub fn has_voted(&self, key: &PublicKey, epoch: u64) -> bool {
        self.signing.has_voted(key, epoch)
    }

    /// Holds nodes to another churn than their chain's: for controls.
    pub fn hold_to_churn(&mut self, churn_bps: u64) {
        self.replay.spec.churn_bps = churn_bps;
    }

    /// Whether the masternode with this key is marked as punished in the registry of the chain.
    pub fn is_slashed(&self, key: &PublicKey) -> bool {
        self.replay.registry().records().iter().any(|r| r.key == *key && r.slashed)
    }

    /// The chain as the oracle replayed it.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The highest memory counts on any node.
    pub fn peaks(&self) -> &BTreeMap<&'static str, u64> {
        self.memory.peaks()
    }

    /// The first violations found so far.
    pub fn violations(&self) -> &[Violation] {
        self.report.kept()
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let (finals, batches) = self.finality.totals();
        let (signers, voters) = self.double_signers();
        let tip = self.replay.tip();
        Counts {
            blocks: tip.height,
            epochs_closed: tip.opened / self.replay.spec.epoch_slots,
            archived: self.replay.archived_count(),
            finals,
            contested: self.finality.spends().contested().len(),
            batches,
            signatures: self.signatures.checked(),
            double_signers: signers.keys().chain(voters.keys()).collect::<BTreeSet<_>>().len(),
            slashed: self.replay.registry().records().iter().filter(|r| r.slashed).count(),
            violations: self.report.total(),
        }
    }
}
