//! Who gets what from an observer between masternodes.

use crate::chain::spec::{Chain, ChainSpec};
use crate::ledger::execute::coinbase;
use crate::ledger::state::ChainState;
use crate::ledger::testing;
use crate::ledger::verify::Verifier;
use crate::limits::OFFER_DELAY_MS;
use crate::replica::{Command, Input, Message, PeerId, Recovery, Replica, ReplicaConfig, message};
use crate::signer::{LogContents, SignRequest, Signer};
use crate::storage::memory::MemoryStore;
use crate::types::block::{Proposal, tx_root};
use crate::types::hash::Txid;
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::number::{Epoch, TimeMs, View};
use crate::types::vote::{FinalityKind, VoteBatch};
use std::sync::Arc;

const START: TimeMs = TimeMs(1_000_000);
const VOTER: PeerId = PeerId(1);
/// Says that it is linked to the masternode.
const NEAR: PeerId = PeerId(2);
/// Says that it is linked to no masternode.
const FAR: PeerId = PeerId(3);
/// Has not said anything yet.
const QUIET: PeerId = PeerId(4);

/// The chain of one masternode.
struct Scene {
    chain: Chain,
    key: SecretKey,
    verifier: Arc<Verifier>,
}

impl Scene {
    fn new() -> Self {
        let key = testing::consensus(0);
        let spec = ChainSpec::dev(START.0, key.public_key(), testing::lock(0), Vec::new()).unwrap();
        let chain = Chain::new(spec).unwrap();
        Self { verifier: Arc::new(Verifier::new(chain.clone())), chain, key }
    }

    /// A replica at genesis, and what it wants done first.
    fn replica(&self, key: Option<PublicKey>) -> (Replica, Vec<Command>) {
        let (state, utxos) = ChainState::genesis(&self.chain).unwrap();
        let store = Arc::new(MemoryStore::new(state.clone(), utxos));
        let (chain, pool) = (self.chain.clone(), Default::default());
        let config = ReplicaConfig { chain, key, seed: [1; 32], pool, listens: false };
        let signer = key.map(|_| {
            let missing = LogContents::Missing { fresh: true };
            Signer::open(self.chain.id(), self.key.clone(), missing).unwrap().1.bft
        });
        let recovery = Recovery { state, journal: Vec::new(), signer };
        Replica::open(config, self.verifier.clone(), store, recovery, START).unwrap()
    }

    /// An observer with its links.
    fn observer(&self) -> Replica {
        let (mut replica, _) = self.replica(None);
        replica.step(START, Input::Connected { peer: VOTER, key: Some(self.key.public_key()) });
        replica.step_all(START, [NEAR, FAR, QUIET].map(|peer| Input::Connected { peer, key: None }));
        self.hear(&mut replica, START, NEAR, Message::Links(vec![self.key.public_key()]));
        self.hear(&mut replica, START, FAR, Message::Links(Vec::new()));
        replica
    }

    /// What the replica sends, to whom, upon a message.
    fn hear(&self, replica: &mut Replica, now: TimeMs, from: PeerId, message: Message) -> Vec<(PeerId, Message)> {
        let message = message::verify(&self.verifier, message).unwrap();
        sent(replica.step(now, Input::Message { from, message }))
    }

    fn batch(&self, key: &SecretKey, epoch: u64, txids: usize) -> Message {
        self.sign(key, epoch, (0..txids).map(|n| Txid([u8::try_from(n).unwrap(); 32])).collect())
    }

    /// A vote of the masternode for the transaction of this number.
    fn vote_for(&self, n: u64) -> Message {
        let mut bytes = [0xff; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        self.sign(&self.key, 0, vec![Txid(bytes)])
    }

    fn sign(&self, key: &SecretKey, epoch: u64, txids: Vec<Txid>) -> Message {
        let (epoch, voter) = (Epoch::new(epoch), key.public_key());
        let mut batch = VoteBatch { epoch, kind: FinalityKind::Vote, voter, txids, signature: Signature([0; 64]) };
        batch.signature = key.sign(&batch.digest(&self.chain.id()));
        Message::Votes(batch)
    }

    /// What the masternode offers first.
    fn proposal(&self) -> Proposal {
        let (mut replica, mut commands) = self.replica(Some(self.key.public_key()));
        for ms in 0..10_000 {
            let mut inputs = vec![Input::Tick];
            for command in commands {
                match command {
                    Command::ComputeVdf { seed, iterations } => {
                        let proof = Box::new(crate::crypto::vdf::evaluate(&seed, iterations));
                        inputs.push(Input::Vdf { seed, proof });
                    }
                    Command::Sign { request: SignRequest::Proposal { mut proposal }, .. } => {
                        proposal.signature = self.key.sign(&proposal.digest(&self.chain.id()));
                        return proposal;
                    }
                    _ => {}
                }
            }
            commands = replica.step_all(START.plus(ms), inputs);
        }
        panic!("nothing was offered");
    }
}

/// What goes to single peers, apart from questions for the transactions that the one masternode certifies by itself.
fn sent(commands: Vec<Command>) -> Vec<(PeerId, Message)> {
    let sent = commands.into_iter().filter_map(|command| match command {
        Command::Send { message, .. } if matches!(*message, Message::GetTxs(_)) => None,
        Command::Send { to, message } => Some((to, (*message).clone())),
        _ => None,
    });
    sent.collect()
}

fn id(message: &Message) -> Signature {
    match message {
        Message::Votes(batch) => batch.signature,
        Message::Proposal(proposal) => proposal.signature,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_masternode_signed_goes_once_to_those_that_do_not_hear_it() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let batch = scene.batch(&scene.key, 0, 3);
    assert_eq!(scene.hear(&mut replica, START, VOTER, batch.clone()), [(FAR, batch.clone())]);
    assert_eq!(scene.hear(&mut replica, START, VOTER, batch.clone()), [], "only once");
    let later = START.plus(OFFER_DELAY_MS);
    assert_eq!(sent(replica.step(later, Input::Tick)), [(QUIET, Message::IHave(vec![id(&batch)]))]);
    let question = Message::IWant(vec![id(&batch)]);
    assert_eq!(scene.hear(&mut replica, later, QUIET, question), [(QUIET, batch)]);
}

#[test]
fn what_is_long_is_offered_and_sent_to_who_asks() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let batch = scene.batch(&scene.key, 0, 200);
    assert_eq!(scene.hear(&mut replica, START, VOTER, batch.clone()), []);
    let offer = Message::IHave(vec![id(&batch)]);
    let offered = sent(replica.step(START.plus(OFFER_DELAY_MS), Input::Tick));
    assert_eq!(offered, [(FAR, offer.clone()), (QUIET, offer)]);
    let question = Message::IWant(vec![id(&batch)]);
    assert_eq!(scene.hear(&mut replica, START, FAR, question.clone()), [(FAR, batch)]);
    assert_eq!(scene.hear(&mut replica, START, FAR, question.clone()), [], "once an offer");
    assert_eq!(scene.hear(&mut replica, START, NEAR, question), [], "it was offered nothing");
}

#[test]
fn what_is_offered_is_asked_for_unless_it_is_here() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let batch = scene.batch(&scene.key, 0, 1);
    let offer = Message::IHave(vec![id(&batch)]);
    let question = Message::IWant(vec![id(&batch)]);
    assert_eq!(scene.hear(&mut replica, START, NEAR, offer.clone()), [(NEAR, question)]);
    assert_eq!(scene.hear(&mut replica, START, FAR, offer.clone()), [], "it may be on its way");
    scene.hear(&mut replica, START, NEAR, batch);
    assert_eq!(scene.hear(&mut replica, START, QUIET, offer), []);
    assert_eq!(replica.memory().gossip_wanted, 0);
}

#[test]
fn a_peer_with_many_links_gets_its_share_from_each() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let others = (10..50).map(|n| testing::consensus(n).public_key()).collect();
    scene.hear(&mut replica, START, FAR, Message::Links(others));
    let (mut copies, mut offers) = (0, 0);
    for n in 0..400u64 {
        let now = START.plus(n * OFFER_DELAY_MS);
        let mut sent = scene.hear(&mut replica, now, VOTER, scene.vote_for(n));
        sent.extend(self::sent(replica.step(now.plus(OFFER_DELAY_MS), Input::Tick)));
        copies += sent.iter().filter(|(to, message)| *to == FAR && matches!(message, Message::Votes(_))).count();
        offers += sent.iter().filter(|(to, message)| *to == FAR && matches!(message, Message::IHave(_))).count();
    }
    // 2 and 8 of 40, with six standard deviations around them.
    assert!((1..50).contains(&copies), "{copies} copies of 400");
    assert!((32..128).contains(&offers), "{offers} offers of 400");
}

#[test]
fn what_is_of_no_use_goes_no_further() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let stranger = testing::consensus(9);
    for useless in [
        scene.batch(&stranger, 0, 1),
        scene.batch(&stranger, 1, 1),
        scene.batch(&scene.key, 2, 1),
        scene.batch(&scene.key, 7, 1),
    ] {
        assert_eq!(scene.hear(&mut replica, START, VOTER, useless), []);
    }
    let next_epoch = scene.batch(&scene.key, 1, 1);
    assert_eq!(scene.hear(&mut replica, START, VOTER, next_epoch.clone()), [(FAR, next_epoch)], "kept for its epoch");
    let counted = scene.batch(&scene.key, 0, 2);
    assert_eq!(scene.hear(&mut replica, START, VOTER, counted.clone()), [(FAR, counted)]);
    // The first of those two again, under a signature of its own.
    assert_eq!(scene.hear(&mut replica, START, VOTER, scene.batch(&scene.key, 0, 1)), [], "it says nothing new");
    let due = sent(replica.step(START.plus(OFFER_DELAY_MS), Input::Tick));
    let [(QUIET, Message::IHave(ids))] = &due[..] else { panic!("{due:?}") };
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_node_tells_the_masternodes_that_it_is_linked_to() {
    let scene = Scene::new();
    let mut replica = scene.observer();
    let own = vec![scene.key.public_key()];
    let greeted = sent(replica.step(START, Input::Connected { peer: PeerId(9), key: None }));
    assert!(greeted.contains(&(PeerId(9), Message::Links(own.clone()))), "{greeted:?}");
    let stranger = testing::consensus(9).public_key();
    let told = |replica: &mut Replica, now: TimeMs| -> Vec<Message> {
        let broadcast = replica.step(now, Input::Tick).into_iter().filter_map(|command| match command {
            Command::Broadcast(message) if matches!(*message, Message::Links(_)) => Some((*message).clone()),
            _ => None,
        });
        broadcast.collect()
    };
    assert_eq!(told(&mut replica, START.plus(1_000)), [Message::Links(own)]);
    replica.step(START.plus(1_000), Input::Connected { peer: PeerId(10), key: Some(stranger) });
    assert_eq!(told(&mut replica, START.plus(2_000)), [], "who is not registered does not count");
    replica.step(START.plus(2_000), Input::Disconnected { peer: VOTER });
    assert_eq!(told(&mut replica, START.plus(3_000)), [Message::Links(Vec::new())]);
}

#[test]
fn a_proposal_counts_only_with_the_transactions_that_its_leader_named() {
    let scene = Scene::new();
    let mut proposal = scene.proposal();
    let (state, _) = ChainState::genesis(&scene.chain).unwrap();
    let coinbase = coinbase(&scene.chain, &state, &scene.key.public_key(), None, proposal.header.reward).txid();
    let (named, other) = (Txid([7; 32]), Txid([8; 32]));
    proposal.txids = vec![named];
    (proposal.header.tx_count, proposal.header.tx_root) = (2, tx_root(&[coinbase, named]));
    proposal.signature = scene.key.sign(&proposal.digest(&scene.chain.id()));
    let hear = |proposal: Proposal| {
        let mut replica = scene.observer();
        let message = Message::Proposal(Box::new(proposal));
        let passed_on = scene.hear(&mut replica, START, NEAR, message.clone());
        (replica.memory().proposals, passed_on == [(FAR, message)])
    };
    assert_eq!(hear(Proposal { txids: vec![other], ..proposal.clone() }), (0, false));
    assert_eq!(hear(proposal), (1, true));
}

#[test]
fn of_a_leader_that_signs_without_end_a_few_proposals_are_passed_on() {
    let scene = Scene::new();
    let (mut replica, proposal) = (scene.observer(), scene.proposal());
    let mut passed_on = 0;
    for slot in 0..10 {
        let mut other = proposal.clone();
        // Another block each time, and nothing that could be seen from it alone.
        other.header.state_root.0[0] ^= slot;
        other.signature = scene.key.sign(&other.digest(&scene.chain.id()));
        let sent = scene.hear(&mut replica, START, VOTER, Message::Proposal(Box::new(other)));
        passed_on += usize::from(sent.iter().any(|(to, _)| *to == FAR));
    }
    assert_eq!(passed_on, crate::limits::MAX_PROPOSALS_A_VIEW);
    let later = View::new(crate::limits::TSDC_PROPOSAL_VIEWS_AHEAD + 1);
    let mut far_ahead = Proposal { view: later, ..proposal };
    far_ahead.signature = scene.key.sign(&far_ahead.digest(&scene.chain.id()));
    assert_eq!(scene.hear(&mut replica, START, VOTER, Message::Proposal(Box::new(far_ahead))), []);
}
