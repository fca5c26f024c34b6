//! What one height costs one masternode through the engine alone: a proposal, the prepares and precommits of the whole
//! set, and the commit. Signatures were verified before.
//!
//! `cargo bench --bench tsdc`. The elements of the throughput are votes.

// A benchmark that cannot be set up has nothing to measure: it may panic.
#![allow(clippy::expect_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use timed::chain::leader::leader;
use timed::chain::spec::{Chain, ChainSpec};
use timed::ledger::verify::Verifier;
use timed::tsdc::{Restored, Tsdc, TsdcOutput, Verdict};
use timed::types::block::{BftKind, BftVote, Header, Proposal, commit_root, evidence_root, tx_root};
use timed::types::hash::{BlockHash, Domain, Hash, MasternodeId};
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::{Amount, Height, Slot, TimeMs, View, Weight};
use timed::types::validators::{Validator, ValidatorSet};
use timed::types::verified::Verified;

const SET_SIZES: [usize; 3] = [4, 64, 256];
const HEIGHT: Height = Height::new(1);
const BEACON: Hash = Hash([7; 32]);
const NOW: TimeMs = TimeMs(1_000_000);

fn keys(count: usize) -> Vec<SecretKey> {
    (0..count).map(|number| SecretKey::from_bytes(&Domain::TXID.hash(&number.to_le_bytes()).0)).collect()
}

fn set_of(keys: &[SecretKey]) -> Arc<ValidatorSet> {
    let member = |key: &SecretKey| {
        let key = key.public_key();
        Validator { id: MasternodeId(key.0), consensus_key: key, weight: Weight::new(10), payout: Lock::of_key(&key) }
    };
    Arc::new(ValidatorSet::new(keys.iter().map(member).collect()).expect("distinct keys with weight"))
}

fn chain() -> Chain {
    let key = SecretKey::from_bytes(&[1; 32]).public_key();
    let spec = ChainSpec::dev(0, key, Lock::of_key(&key), Vec::new()).expect("the built-in chain");
    Chain::new(spec).expect("the built-in chain")
}

fn header(chain: &Chain, proposer: PublicKey) -> Header {
    Header {
        version: 1,
        chain_id: chain.id(),
        height: HEIGHT,
        slot: Slot::new(1),
        opened: 1,
        prev: BlockHash::ZERO,
        tx_root: tx_root([]),
        tx_count: 0,
        state_root: Hash::ZERO,
        last_commit_root: commit_root(None),
        evidence_root: evidence_root(&[]),
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        beacon: BEACON,
        proposer,
        reward: Amount::ZERO,
    }
}

/// What arrives at one height.
struct Messages {
    proposal: Arc<Verified<Proposal>>,
    prepares: Vec<Arc<Verified<BftVote>>>,
    precommits: Vec<Arc<Verified<BftVote>>>,
}

fn messages(chain: &Chain, keys: &[SecretKey], set: &ValidatorSet) -> Messages {
    let verifier = Verifier::new(chain.clone());
    let leads = leader(&BEACON, HEIGHT, View::ZERO, set);
    let leader_key = keys.iter().find(|key| key.public_key() == leads).expect("the leader is a member");
    let mut proposal = Proposal {
        view: View::ZERO,
        proof: None,
        header: header(chain, leads),
        txids: Vec::new(),
        last_commit: None,
        evidence: Vec::new(),
        vdf: None,
        leader: leads,
        signature: Signature([0; 64]),
    };
    proposal.signature = leader_key.sign(&proposal.digest(&chain.id()));
    let hash = proposal.header.hash();
    let vote = |key: &SecretKey, kind| {
        let (view, voter, signature) = (View::ZERO, key.public_key(), Signature([0; 64]));
        let mut vote = BftVote { height: HEIGHT, view, kind, block_hash: Some(hash), voter, signature };
        vote.signature = key.sign(&vote.digest(&chain.id()));
        Arc::new(verifier.bft_vote(vote).expect("signed just now"))
    };
    Messages {
        proposal: Arc::new(verifier.proposal(proposal).expect("made by the rules")),
        prepares: keys.iter().map(|key| vote(key, BftKind::Prepare)).collect(),
        precommits: keys.iter().map(|key| vote(key, BftKind::Precommit)).collect(),
    }
}

fn run(engine: &mut Tsdc, messages: &Messages) {
    engine.start(NOW);
    engine.proposal(NOW, messages.proposal.clone());
    engine.judged(NOW, messages.proposal.header.hash(), Verdict { valid: true, acceptable: true });
    for vote in messages.prepares.iter().chain(&messages.precommits) {
        engine.vote(NOW, vote.clone());
    }
    let outputs = black_box(engine.drain());
    assert!(outputs.iter().any(|output| matches!(output, TsdcOutput::Committed(_))));
}

fn height(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one height");
    for size in SET_SIZES {
        let (chain, keys) = (chain(), keys(size));
        let set = set_of(&keys);
        let messages = messages(&chain, &keys, &set);
        let me = Some(keys[0].public_key());
        group.throughput(Throughput::Elements(2 * size as u64));
        group.bench_function(BenchmarkId::new("masternodes", size), |bencher| {
            let fresh = || Tsdc::new(chain.clone(), HEIGHT, BEACON, set.clone(), me, Restored::default());
            bencher.iter_batched_ref(fresh, |engine| run(engine, &messages), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, height);
criterion_main!(benches);
