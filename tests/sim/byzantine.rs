//! Masternodes that break the rules on purpose, in league with each other.
//!
//! Each runs the honest replica and signer, so that it keeps up with the world; what that says is tampered with on its
//! way out, and the raw key signs whatever the conspiracy wants beside it. Nodes are split into two halves, which are
//! told different stories.

use crate::rng::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use timed::chain::spec::Chain;
use timed::ledger::VerifiedTx;
use timed::ledger::execute::{BlockBody, execute};
use timed::ledger::verify::Verifier;
use timed::replica::Replica;
use timed::replica::message::Message;
use timed::snowball::Answer;
use timed::types::block::{BftKind, BftVote, Proposal};
use timed::types::hash::{BlockHash, Txid};
use timed::types::keys::{SecretKey, Signature};
use timed::types::number::{Epoch, Height, View};
use timed::types::vote::{FinalityKind, VoteBatch};

/// What a Byzantine masternode does, each as a chance in a thousand for every message it concerns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tactics {
    /// Votes for both of two rivals, and receipts for both.
    pub double_vote: u64,
    /// Prepares and precommits two values.
    pub double_bft: u64,
    /// Offers two blocks at one view.
    pub double_propose: u64,
    /// Offers an empty block to everybody.
    pub leave_out: u64,
    /// Keeps its votes to itself.
    pub withhold_votes: u64,
    /// Keeps its receipts to itself.
    pub withhold_receipts: u64,
    /// Keeps its proposals to itself.
    pub withhold_proposals: u64,
    /// Keeps its prepares and precommits to itself.
    pub withhold_bft: u64,
    /// Keeps transactions, commits and blocks to itself.
    pub withhold_data: u64,
    /// Lets go of what it withheld, later.
    pub release: u64,
    /// Lies when asked about payments.
    pub lie: u64,
    /// Sends copies with a broken signature.
    pub bad_signature: u64,
    /// Sends again what it heard or said long ago.
    pub replay: u64,
    /// Signs for epochs long past.
    pub old_epochs: u64,
    /// Votes for transactions that nobody made.
    pub invent: u64,
    /// Passes on proposals with another list of transactions than their leader's.
    pub garble: u64,
}

impl Tactics {
    /// Does nothing wrong.
    pub const HONEST: Self = Self {
        double_vote: 0,
        double_bft: 0,
        double_propose: 0,
        leave_out: 0,
        withhold_votes: 0,
        withhold_receipts: 0,
        withhold_proposals: 0,
        withhold_bft: 0,
        withhold_data: 0,
        release: 0,
        lie: 0,
        bad_signature: 0,
        replay: 0,
        old_epochs: 0,
        invent: 0,
        garble: 0,
    };

    /// Says nothing at all.
    pub const SILENT: Self = Self {
        withhold_votes: 1000,
        withhold_receipts: 1000,
        withhold_proposals: 1000,
        withhold_bft: 1000,
        withhold_data: 1000,
        ..Self::HONEST
    };

    /// A random mixture: each tactic with some probability, at some strength.
    pub fn random(rng: &mut Rng) -> Self {
        let mut some = |most: u64| if rng.chance(400) { rng.range(1, most) } else { 0 };
        Self {
            double_vote: some(1000),
            double_bft: some(1000),
            double_propose: some(1000),
            leave_out: some(500),
            withhold_votes: some(1000),
            withhold_receipts: some(1000),
            withhold_proposals: some(1000),
            withhold_bft: some(1000),
            withhold_data: some(600),
            release: some(600),
            lie: some(1000),
            bad_signature: some(100),
            replay: some(500),
            old_epochs: some(700),
            invent: some(300),
            garble: 0,
        }
    }
}

/// What all Byzantine masternodes of a world know together.
#[derive(Default)]
pub struct Conspiracy {
    /// Blocks offered, by height and view.
    offered: BTreeMap<(Height, View), Vec<BlockHash>>,
    /// Transactions voted for, and in which epoch.
    voted: VecDeque<(Epoch, Txid)>,
    /// Messages heard, to be sent again.
    heard: VecDeque<Arc<Message>>,
    /// What was done, for the report.
    pub acts: u64,
}

const MOST_REMEMBERED: usize = 256;

fn remember<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= MOST_REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl Conspiracy {
    /// One of them heard or said something.
    pub fn listen(&mut self, rng: &mut Rng, message: &Arc<Message>) {
        match &**message {
            Message::Proposal(proposal) => {
                let hashes = self.offered.entry((proposal.header.height, proposal.view)).or_default();
                let hash = proposal.header.hash();
                if !hashes.contains(&hash) {
                    hashes.push(hash);
                }
                while self.offered.len() > MOST_REMEMBERED {
                    self.offered.pop_first();
                }
            }
            Message::Votes(batch) => {
                if let Some(txid) = batch.txids.first() {
                    remember(&mut self.voted, (batch.epoch, *txid));
                }
            }
            _ => {}
        }
        let worth_keeping = matches!(
            &**message,
            Message::Votes(_) | Message::Proposal(_) | Message::BftVote(_) | Message::Commit(_) | Message::Txs(_)
        );
        if worth_keeping && rng.chance(100) {
            remember(&mut self.heard, message.clone());
        }
    }

    /// Another block offered at this view than `hash`, or one that nobody ever saw.
    fn other_block(&self, height: Height, view: View, hash: BlockHash) -> Option<BlockHash> {
        self.offered.get(&(height, view))?.iter().find(|other| **other != hash).copied()
    }
}

/// Something to send, and whether every honest receiver has to refuse it.
pub struct Said {
    /// What is sent.
    pub message: Arc<Message>,
    /// Its signature was broken on purpose.
    pub is_broken: bool,
}

impl Said {
    fn whole(message: Arc<Message>) -> Self {
        Self { message, is_broken: false }
    }
}

/// One Byzantine masternode's hand in it.
pub struct Byzantine {
    /// What it does.
    pub tactics: Tactics,
    key: SecretKey,
    chain: Chain,
    withheld: VecDeque<(usize, Arc<Message>)>,
}

impl Byzantine {
    /// The holder of `key` on `chain`.
    pub fn new(chain: Chain, key: SecretKey, tactics: Tactics) -> Self {
        Self { tactics, key, chain, withheld: VecDeque::new() }
    }

    /// What goes to node `to` in place of `message`.
    pub fn tamper(
        &mut self,
        rng: &mut Rng,
        conspiracy: &mut Conspiracy,
        to: usize,
        message: &Arc<Message>,
    ) -> Vec<Said> {
        let t = self.tactics;
        let withhold = match &**message {
            Message::Votes(batch) if batch.kind == FinalityKind::Vote => t.withhold_votes,
            Message::Votes(_) => t.withhold_receipts,
            Message::Proposal(_) => t.withhold_proposals,
            Message::BftVote(_) => t.withhold_bft,
            Message::SampleQuery { .. } | Message::Status { .. } => 0,
            Message::SampleResponse { .. } if t.withhold_data == 1000 => 1000,
            _ => t.withhold_data,
        };
        if rng.chance(withhold) {
            conspiracy.acts += 1;
            remember(&mut self.withheld, (to, message.clone()));
            return Vec::new();
        }
        let mut sent = vec![Said::whole(message.clone())];
        match &**message {
            Message::BftVote(vote) if to % 2 == 1 && rng.chance(t.double_bft) => {
                let other = Said::whole(Arc::new(Message::BftVote(self.other_vote(conspiracy, vote))));
                // Half of the time the two are not even kept apart.
                sent.truncate(usize::from(rng.chance(500)));
                sent.push(other);
                conspiracy.acts += 1;
            }
            Message::SampleResponse { query, answers } if rng.chance(t.lie) => {
                let answers = answers.iter().map(|answer| lie(rng, conspiracy, answer)).collect();
                sent = vec![Said::whole(Arc::new(Message::SampleResponse { query: *query, answers }))];
                conspiracy.acts += 1;
            }
            Message::Proposal(proposal) if !proposal.txids.is_empty() && rng.chance(t.garble) => {
                let mut garbled = (**proposal).clone();
                garbled.txids[0] = Txid(rng.bytes());
                garbled.txids.sort();
                sent = vec![Said::whole(Arc::new(Message::Proposal(Box::new(garbled))))];
                conspiracy.acts += 1;
            }
            _ => {}
        }
        if rng.chance(t.bad_signature)
            && let Some(broken) = break_signature(rng, message)
        {
            sent.push(Said { message: Arc::new(broken), is_broken: true });
            conspiracy.acts += 1;
        }
        sent
    }

    /// A vote of the same height, view and kind for something else.
    fn other_vote(&self, conspiracy: &Conspiracy, vote: &BftVote) -> BftVote {
        let block_hash = match vote.block_hash {
            Some(hash) => conspiracy.other_block(vote.height, vote.view, hash),
            None => conspiracy.offered.get(&(vote.height, vote.view)).and_then(|hashes| hashes.first().copied()),
        };
        self.bft(vote.height, vote.view, vote.kind, block_hash)
    }

    fn bft(&self, height: Height, view: View, kind: BftKind, block_hash: Option<BlockHash>) -> BftVote {
        let mut vote =
            BftVote { height, view, kind, block_hash, voter: self.key.public_key(), signature: Signature([0; 64]) };
        vote.signature = self.key.sign(&vote.digest(&self.chain.id()));
        vote
    }

    fn batch(&self, epoch: Epoch, kind: FinalityKind, txids: Vec<Txid>) -> Message {
        let voter = self.key.public_key();
        let mut batch = VoteBatch { epoch, kind, voter, txids, signature: Signature([0; 64]) };
        batch.signature = self.key.sign(&batch.digest(&self.chain.id()));
        Message::Votes(batch)
    }

    /// The node is about to offer a block: another one, and whether it goes to everybody or to half of the world.
    pub fn other_proposal(
        &self,
        rng: &mut Rng,
        verifier: &Verifier,
        replica: &Replica,
        proposal: &Proposal,
    ) -> Option<(Proposal, bool)> {
        if proposal.proof.is_some() {
            return None;
        }
        if rng.chance(self.tactics.leave_out) && !proposal.txids.is_empty() {
            let rival = self.build(verifier, replica, proposal, |txs| txs.clear())?;
            return Some((rival, true));
        }
        if !rng.chance(self.tactics.double_propose) {
            return None;
        }
        Some((self.build(verifier, replica, proposal, |txs| drop(txs.pop()))?, false))
    }

    /// A valid block like that of `proposal`, with other transactions, or in the next slot if there are none to leave
    /// out.
    fn build(
        &self,
        verifier: &Verifier,
        replica: &Replica,
        proposal: &Proposal,
        leave_out: impl Fn(&mut Vec<VerifiedTx>),
    ) -> Option<Proposal> {
        let ledger = replica.ledger();
        let tip = ledger.tip();
        let txs: Option<Vec<_>> =
            proposal.txids.iter().map(|txid| ledger.entry(txid).map(|entry| entry.tx.clone())).collect();
        let mut txs = txs?;
        let slot = if txs.is_empty() { proposal.header.slot.next() } else { proposal.header.slot };
        leave_out(&mut txs);
        let last_commit = match &proposal.last_commit {
            Some(commit) => Some(verifier.commit(commit.clone(), &tip.signers).ok()?),
            None => None,
        };
        let evidence: Result<Vec<_>, _> = proposal.evidence.iter().map(|e| verifier.evidence(e.clone())).collect();
        let evidence = evidence.ok()?;
        let body = BlockBody {
            slot,
            proposer: proposal.header.proposer,
            txs: &txs,
            last_commit: last_commit.as_ref(),
            evidence: &evidence,
            vdf: proposal.vdf.as_ref(),
        };
        let executed = execute(&self.chain, tip, ledger.view(), verifier, &body).ok()?;
        let txids = txs.iter().map(|tx| tx.txid()).collect();
        let mut rival = Proposal { header: executed.header, txids, ..proposal.clone() };
        rival.signature = self.key.sign(&rival.digest(&self.chain.id()));
        Some(rival)
    }

    /// What it says unasked, now and then, and to whom.
    pub fn act(
        &mut self,
        rng: &mut Rng,
        conspiracy: &mut Conspiracy,
        epoch: Epoch,
        rivals: &BTreeMap<Txid, Vec<Txid>>,
        nodes: &[usize],
    ) -> Vec<(usize, Arc<Message>)> {
        let t = self.tactics;
        let mut said = Vec::new();
        let pairs: Vec<(&Txid, &Vec<Txid>)> = rivals.iter().rev().take(64).collect();
        if rng.chance(t.double_vote) && !pairs.is_empty() {
            let (one, others) = *rng.pick(&pairs);
            for (half, txid) in [(0, one), (1, rng.pick(others))] {
                let vote = Arc::new(self.batch(epoch, FinalityKind::Vote, vec![*txid]));
                let receipt = Arc::new(self.batch(epoch, FinalityKind::Receipt, vec![*txid]));
                for to in nodes.iter().filter(|to| **to % 2 == half) {
                    said.extend([(*to, vote.clone()), (*to, receipt.clone())]);
                }
            }
        }
        if rng.chance(t.old_epochs) && !conspiracy.voted.is_empty() {
            let at = rng.index(conspiracy.voted.len());
            let (old, txid) = conspiracy.voted[at];
            let txid = rivals.get(&txid).map_or(txid, |others| *rng.pick(others));
            for kind in [FinalityKind::Vote, FinalityKind::Receipt] {
                let message = Arc::new(self.batch(old, kind, vec![txid]));
                said.extend(nodes.iter().map(|to| (*to, message.clone())));
            }
        }
        if rng.chance(t.replay) && !conspiracy.heard.is_empty() {
            let at = rng.index(conspiracy.heard.len());
            said.push((*rng.pick(nodes), conspiracy.heard[at].clone()));
        }
        if rng.chance(t.invent) {
            let txids = (0..rng.range(1, 8)).map(|_| Txid(rng.bytes())).collect();
            let epoch = if rng.chance(300) { epoch.next() } else { epoch };
            said.push((*rng.pick(nodes), Arc::new(self.batch(epoch, FinalityKind::Vote, txids))));
        }
        if rng.chance(t.release) {
            said.extend(self.withheld.drain(..));
        }
        conspiracy.acts += said.len() as u64;
        said
    }
}

fn lie(rng: &mut Rng, conspiracy: &Conspiracy, answer: &Answer) -> Answer {
    match rng.below(4) {
        0 => Answer::Accept,
        1 => Answer::Invalid,
        2 if !conspiracy.voted.is_empty() => {
            Answer::Prefer(vec![conspiracy.voted[rng.index(conspiracy.voted.len())].1])
        }
        3 => Answer::Unknown,
        _ => answer.clone(),
    }
}

/// A copy that no verification may let pass.
fn break_signature(rng: &mut Rng, message: &Message) -> Option<Message> {
    let mut broken = message.clone();
    let signature = match &mut broken {
        Message::Votes(batch) => &mut batch.signature,
        Message::Proposal(proposal) => &mut proposal.signature,
        Message::BftVote(vote) => &mut vote.signature,
        _ => return None,
    };
    signature.0[rng.index(64)] ^= 1 << rng.below(8);
    Some(broken)
}
