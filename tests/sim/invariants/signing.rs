//! S6: an honest key signs one value for one (kind, height, view), across restarts, and nothing leaves but through
//! its signer. S8: never a step lower than one signed before. S7: no vote or receipt of an epoch after a prepare of a
//! block that closes it, and no prepare of a fresh one that leaves out what the key receipted.

use super::digest;
use super::replay::Replay;
use super::report::Report;
use super::signatures::{Claim, Signatures};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use timed::types::block::{BftKind, BftVote, Proposal};
use timed::types::hash::{BlockHash, Hash, Txid};
use timed::types::keys::PublicKey;
use timed::types::vote::{FinalityKind, VoteBatch};

/// The steps of a view, in the order in which one masternode takes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// Proposal.
    Propose,
    /// Prepare.
    Prepare,
    /// Precommit.
    Precommit,
}

/// What a step is about: key, height, view, step.
type Place = (PublicKey, u64, u32, Step);
/// What is signed there: the block or none, and for a proposal the view of its proof.
type Value = (Option<BlockHash>, Option<u32>);

/// A signature on one block or none.
#[derive(Clone, Copy, Debug)]
struct Signed {
    key: PublicKey,
    height: u64,
    view: u32,
    step: Step,
    value: Value,
    claim: Claim,
}

/// A proposal as far as its prepares need it.
struct Offered {
    opened: u64,
    height: u64,
    txids: BTreeSet<Txid>,
    /// Views in which it was proposed fresh, and those in which it was proposed with a proof.
    fresh: BTreeSet<u32>,
    proved: BTreeSet<u32>,
}

/// Everything signed on blocks, and what it forbids to sign on payments.
#[derive(Default)]
pub struct Signing {
    honest: BTreeSet<PublicKey>,
    values: HashMap<Place, Value>,
    last: HashMap<PublicKey, (u64, u32, Step)>,
    offered: HashMap<BlockHash, Offered>,
    /// Votes and receipts that came out of the honest signers.
    released: HashSet<(PublicKey, u64, FinalityKind, Txid)>,
    receipts: HashMap<(PublicKey, u64), Vec<Txid>>,
    /// Keys that prepared a block closing the epoch.
    prepared_closing: HashSet<(PublicKey, u64)>,
    amnesiac: BTreeSet<PublicKey>,
    /// Heights at which each honest key precommitted a block.
    precommitted: HashMap<PublicKey, BTreeSet<u64>>,
    /// What Byzantine masternodes were first heard to sign; and who signed a second value, at which height.
    heard: HashMap<Place, Signed>,
    double_signers: BTreeMap<PublicKey, u64>,
}

impl Signing {
    /// Nothing signed yet.
    pub fn new(honest: BTreeSet<PublicKey>) -> Self {
        Self { honest, ..Self::default() }
    }

    /// The operator accepted that the log of this key is lost: what it receipted in the epoch is forgotten.
    pub fn forget(&mut self, key: PublicKey) {
        self.amnesiac.insert(key);
    }

    /// A prepare or precommit came out of an honest signer; `again`: repeated after a restart.
    pub fn release_vote(&mut self, vote: &BftVote, again: bool, replay: &Replay, report: &mut Report) {
        let signed = of_vote(vote, replay);
        let is_new = self.release(&signed, again, replay, report);
        if is_new && vote.kind == BftKind::Prepare {
            self.check_closing_prepare(vote, replay, report);
        }
        if vote.kind == BftKind::Precommit && vote.block_hash.is_some() {
            self.precommitted.entry(vote.voter).or_default().insert(vote.height.get());
        }
    }

    /// Whether a vote of an honest key on a payment came out of its signer in `epoch`.
    pub fn has_voted(&self, key: &PublicKey, epoch: u64) -> bool {
        self.released.iter().any(|(k, e, kind, _)| k == key && *e == epoch && *kind == FinalityKind::Vote)
    }

    /// Heights at which an honest key precommitted a block.
    pub fn precommitted(&self, key: &PublicKey) -> Option<&BTreeSet<u64>> {
        self.precommitted.get(key)
    }

    /// A proposal came out of an honest signer.
    pub fn release_proposal(&mut self, proposal: &Proposal, again: bool, replay: &Replay, report: &mut Report) {
        self.learn(proposal);
        self.release(&of_proposal(proposal, replay), again, replay, report);
    }

    fn release(&mut self, signed: &Signed, again: bool, replay: &Replay, report: &mut Report) -> bool {
        let Signed { key, height, view, step, value, .. } = *signed;
        if !self.honest.contains(&key) {
            report.broken("S6", format!("an honest signer signed as {key:?}"));
        }
        let is_member = replay.signers(height).is_some_and(|set| set.member(&key).is_some());
        report.expect("M1", is_member, || {
            format!("{key:?} signed a {step:?} at height {height}, whose set it is not in")
        });
        match self.values.insert((key, height, view, step), value) {
            Some(before) => {
                report.expect("S6", before == value, || {
                    format!(
                        "{key:?} signed two values at height {height}, view {view}, {step:?}: {before:?}, {value:?}"
                    )
                });
                return false;
            }
            None if again => {}
            None => {
                let last = self.last.get(&key).copied().unwrap_or((0, 0, Step::Propose));
                report.expect("S8", (height, view, step) >= last, || {
                    format!("{key:?} signed height {height}, view {view}, {step:?} after {last:?}")
                });
            }
        }
        let last = self.last.entry(key).or_insert((height, view, step));
        *last = (*last).max((height, view, step));
        true
    }

    /// A vote on a block was put on a wire, or stood in a proof, a commit or evidence.
    pub fn hear_vote(&mut self, vote: &BftVote, replay: &Replay, signatures: &mut Signatures, report: &mut Report) {
        self.hear(of_vote(vote, replay), signatures, report);
    }

    /// A proposal was put on a wire.
    pub fn hear_proposal(&mut self, proposal: &Proposal, replay: &Replay, sigs: &mut Signatures, report: &mut Report) {
        self.learn(proposal);
        self.hear(of_proposal(proposal, replay), sigs, report);
    }

    fn hear(&mut self, signed: Signed, signatures: &mut Signatures, report: &mut Report) {
        let Signed { key, height, view, step, value, claim } = signed;
        let place = (key, height, view, step);
        if self.honest.contains(&key) {
            let released = self.values.get(&place);
            if released != Some(&value) && signatures.check(claim) {
                report.broken("S6", format!(
                    "{value:?} is signed by {key:?} at height {height}, view {view}, {step:?}, but its signer released {released:?}"
                ));
            }
            return;
        }
        let Some(first) = self.heard.get(&place).copied() else {
            self.heard.insert(place, signed);
            return;
        };
        if first.value == value {
            return;
        }
        if !signatures.check(first.claim) {
            self.heard.insert(place, signed);
        } else if step != Step::Propose && signatures.check(claim) {
            self.double_signers.entry(key).or_insert(height);
        }
    }

    fn learn(&mut self, proposal: &Proposal) {
        let hash = block_hash(proposal);
        let offered = self.offered.entry(hash).or_insert_with(|| Offered {
            opened: proposal.header.opened,
            height: proposal.header.height.get(),
            txids: proposal.txids.iter().copied().collect(),
            fresh: BTreeSet::new(),
            proved: BTreeSet::new(),
        });
        let views = if proposal.proof.is_some() { &mut offered.proved } else { &mut offered.fresh };
        views.insert(proposal.view.get());
    }

    fn check_closing_prepare(&mut self, vote: &BftVote, replay: &Replay, report: &mut Report) {
        let Some(offered) = vote.block_hash.and_then(|hash| self.offered.get(&hash)) else { return };
        let Some(parent) = offered.height.checked_sub(1).and_then(|height| replay.at(height)) else { return };
        if offered.opened == parent.opened || !offered.opened.is_multiple_of(replay.spec.epoch_slots) {
            return;
        }
        let epoch = parent.opened / replay.spec.epoch_slots;
        let (key, view) = (vote.voter, vote.view.get());
        self.prepared_closing.insert((key, epoch));
        let is_fresh = offered.fresh.contains(&view) && !offered.proved.contains(&view);
        if !is_fresh || self.amnesiac.contains(&key) {
            return;
        }
        let receipts = self.receipts.get(&(key, epoch)).into_iter().flatten();
        let is_in = |txid: &&Txid| {
            offered.txids.contains(txid) || replay.archived_at(txid).is_some_and(|at| at <= parent.height)
        };
        if let Some(left_out) = receipts.into_iter().find(|txid| !is_in(txid)) {
            report.broken("S7", format!("{key:?} prepared a block that closes epoch {epoch} without its {left_out:?}"));
        }
    }

    /// A batch came out of an honest signer.
    pub fn release_batch(&mut self, batch: &VoteBatch, again: bool, replay: &Replay, report: &mut Report) {
        let VoteBatch { epoch, kind, voter, txids, .. } = batch;
        let epoch = epoch.get();
        if !self.honest.contains(voter) {
            report.broken("S6", format!("an honest signer signed as {voter:?}"));
        }
        let is_member = replay.committee(epoch).is_some_and(|set| set.member(voter).is_some());
        report
            .expect("M1", is_member, || format!("{voter:?} signed {kind:?}s in epoch {epoch}, whose set it is not in"));
        for txid in txids {
            if !self.released.insert((*voter, epoch, *kind, *txid)) {
                continue;
            }
            if *kind == FinalityKind::Receipt {
                self.receipts.entry((*voter, epoch)).or_default().push(*txid);
            }
            let too_late = !again && self.prepared_closing.contains(&(*voter, epoch));
            report.expect("S7", !too_late, || {
                format!("{voter:?} signed a {kind:?} for {txid:?} after preparing a block that closes epoch {epoch}")
            });
        }
    }

    /// A batch was put on a wire; only new ones need to be shown.
    pub fn hear_batch(&mut self, batch: &VoteBatch, replay: &Replay, signatures: &mut Signatures, report: &mut Report) {
        let VoteBatch { epoch, kind, voter, txids, signature } = batch;
        if !self.honest.contains(voter) {
            return;
        }
        let released = txids.iter().all(|txid| self.released.contains(&(*voter, epoch.get(), *kind, *txid)));
        if released {
            return;
        }
        let root = digest::merkle_root(txids.iter().map(|id| &id.0));
        let digest = digest::of_votes(&replay.chain_id, epoch.get(), *kind, voter, &root);
        if signatures.check(Claim { key: *voter, digest, signature: *signature }) {
            report.broken("S6", format!("a {kind:?} of {voter:?} in epoch {epoch} that its signer never released"));
        }
    }

    /// Byzantine masternodes that signed two values for one step, with the height.
    pub fn double_signers(&self) -> &BTreeMap<PublicKey, u64> {
        &self.double_signers
    }
}

fn block_hash(proposal: &Proposal) -> BlockHash {
    BlockHash(digest::h("timecoin v1 block", &[&timed::types::codec::encode(&proposal.header)]).0)
}

fn of_vote(vote: &BftVote, replay: &Replay) -> Signed {
    let (height, view) = (vote.height.get(), vote.view.get());
    let digest: Hash = digest::of_bft(&replay.chain_id, height, view, vote.kind, vote.block_hash);
    let step = match vote.kind {
        BftKind::Prepare => Step::Prepare,
        BftKind::Precommit => Step::Precommit,
    };
    let claim = Claim { key: vote.voter, digest, signature: vote.signature };
    Signed { key: vote.voter, height, view, step, value: (vote.block_hash, None), claim }
}

fn of_proposal(proposal: &Proposal, replay: &Replay) -> Signed {
    let (height, view, hash) = (proposal.header.height.get(), proposal.view.get(), block_hash(proposal));
    let proof_view = proposal.proof.as_ref().map(|proof| proof.view.get());
    let digest = digest::of_proposal(&replay.chain_id, height, view, proof_view, hash);
    let claim = Claim { key: proposal.leader, digest, signature: proposal.signature };
    Signed { key: proposal.leader, height, view, step: Step::Propose, value: (Some(hash), proof_view), claim }
}
