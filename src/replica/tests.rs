//! What a replica refuses to sign, and whom it blames, seen from outside.

use super::*;
use crate::chain::genesis::genesis;
use crate::chain::spec::{Allocation, ChainSpec};
use crate::ledger::state::ChainState;
use crate::ledger::testing::{self, Draft};
use crate::signer::{LogContents, Signer};
use crate::storage::memory::MemoryStore;
use crate::types::block::{BftKind, bft_digest};
use crate::types::hash::BlockHash;
use crate::types::keys::SecretKey;
use crate::types::keys::Signature;
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, Payload, TxBody, TxOut};
use crate::types::vote::{FinalityKind, VoteBatch};

const START: TimeMs = TimeMs(1_000_000);

/// The only masternode of a chain, and a payment.
struct Scene {
    replica: Replica,
    payment: VerifiedTx,
    block: crate::types::block::Block,
}

fn scene() -> Scene {
    let key = testing::consensus(0);
    let coin = Allocation { address: testing::lock(1), amount: Amount::new(testing::COIN) };
    let spec = ChainSpec::dev(START.0, key.public_key(), testing::lock(0), vec![coin]).unwrap();
    let chain = Chain::new(spec).unwrap();
    let verifier = Arc::new(Verifier::new(chain.clone()));
    let block = genesis(&chain).unwrap().block;
    let outpoint = OutPoint { txid: block.txs[0].body.txid(), index: 1 };
    let out = TxOut { value: Amount::new(testing::COIN - 1_000_000), lock: testing::lock(2) };
    let body =
        TxBody { version: 1, inputs: vec![outpoint], outputs: vec![out], payload: Payload::Transfer, memo: Vec::new() };
    let payment = verifier.transaction(Draft { body, signers: vec![1] }.hashed(&chain)).unwrap();
    let (state, utxos) = ChainState::genesis(&chain).unwrap();
    let store = Arc::new(MemoryStore::new(state.clone(), utxos));
    let config = ReplicaConfig {
        chain: chain.clone(),
        key: Some(key.public_key()),
        seed: [1; 32],
        pool: Default::default(),
        listens: false,
    };
    let (_, recovered) = Signer::open(chain.id(), key, LogContents::Missing { fresh: true }).unwrap();
    let recovery = Recovery { state, journal: Vec::new(), signer: Some(recovered.bft) };
    let (replica, _) = Replica::open(config, verifier, store, recovery, START).unwrap();
    Scene { replica, payment, block }
}

/// How often it asks the signer in the next second, with every write synced at once.
fn asks_for_signatures(replica: &mut Replica, from: TimeMs, first: Input) -> usize {
    let (mut inputs, mut asked) = (VecDeque::from([first]), 0);
    for ms in 0..1_000 {
        let input = inputs.pop_front().unwrap_or(Input::Tick);
        for command in replica.step(from.plus(ms), input) {
            match command {
                Command::Write { seq, .. } => inputs.push_back(Input::Flushed(seq)),
                Command::Sign { .. } => asked += 1,
                _ => {}
            }
        }
    }
    asked
}

#[test]
fn nothing_is_signed_by_a_clock_that_is_plainly_wrong() {
    let Scene { mut replica, payment, .. } = scene();
    replica.step(START, Input::ClockIsWrong(true));
    assert_eq!(asks_for_signatures(&mut replica, START, Input::Submit(payment)), 0);
    assert!(replica.clock_is_wrong());
    let later = START.plus(1_000);
    assert!(asks_for_signatures(&mut replica, later, Input::ClockIsWrong(false)) > 0, "the vote was only put off");
}

#[test]
fn what_the_own_key_signed_is_left_while_the_node_is_behind_and_judged_afterwards() {
    let Scene { mut replica, payment, .. } = scene();
    let (key, peer, chain) = (testing::consensus(0), PeerId(3), replica.chain.id());
    let (epoch, kind) = (replica.epoch(), FinalityKind::Vote);
    let mut batch =
        VoteBatch { epoch, kind, voter: key.public_key(), txids: vec![payment.txid()], signature: Signature([0; 64]) };
    batch.signature = key.sign(&batch.digest(&chain));
    let batch = Arc::new(replica.verifier.vote_batch(batch).unwrap());
    replica.step(START, Input::Connected { peer, key: None });
    let said = |replica: &mut Replica| {
        let message = VerifiedMessage::Votes(batch.clone());
        let commands = replica.step(START, Input::Message { from: peer, message });
        commands.iter().filter(|command| matches!(command, Command::OwnSaid(_))).count()
    };
    let (height, view, block_hash) = (replica.height(), Default::default(), BlockHash([7; 32]));
    let digest = bft_digest(&chain, height, view, BftKind::Precommit, Some(block_hash));
    let commit = Commit { height, view, block_hash, signatures: vec![Some(key.sign(&digest))] };
    let mut level = scene().replica;
    replica.step(START, Input::Message { from: peer, message: VerifiedMessage::Commit(commit) });
    assert!(replica.is_behind());
    assert_eq!((said(&mut replica), replica.memory().batches), (0, 0), "neither judged nor kept");
    level.step(START, Input::Connected { peer, key: None });
    assert_eq!((said(&mut level), level.memory().batches), (1, 1));
    assert_eq!(said(&mut level), 0, "once");
}

fn is_question_for_blocks(command: &Command) -> bool {
    matches!(command, Command::Send { message, .. } if matches!(&**message, Message::GetBlocks { .. }))
}

#[test]
fn who_sends_a_block_that_no_quorum_signed_is_blamed() {
    let Scene { mut replica, mut block, .. } = scene();
    let (mut peer, mut now) = (PeerId(6), START);
    let height = replica.height();
    block.header.height = height;
    let mut blamed = |block_hash, height| {
        let commit = Commit { height, view: Default::default(), block_hash, signatures: vec![None] };
        let mut block = block.clone();
        block.header.height = height;
        // Each over a link of its own: who was blamed is not asked again. It is asked for what it claims to have.
        peer = PeerId(peer.0 + 1);
        replica.step(now, Input::Connected { peer, key: None });
        let status = VerifiedMessage::Status { height: replica.height(), hash: block_hash, lowest: Height::ZERO };
        // A second later than the last.
        now = now.plus(crate::limits::SYNC_RETRY_MS);
        let asked = replica.step(now, Input::Message { from: peer, message: status });
        assert!(asked.iter().any(is_question_for_blocks));
        let message = VerifiedMessage::Blocks(vec![SealedBlock { block, commit }]);
        let commands = replica.step(now, Input::Message { from: peer, message });
        commands.iter().any(|command| matches!(command, Command::Fault { peer: blamed, .. } if *blamed == peer))
    };
    assert!(blamed(block.header.hash(), height), "no signatures");
    assert!(blamed(Default::default(), height), "another block's commit");
    assert!(!blamed(Default::default(), height.next()), "what does not follow the tip is nobody's fault");
}

#[test]
fn who_sends_a_commit_that_no_quorum_signed_is_blamed() {
    let Scene { mut replica, .. } = scene();
    let peer = PeerId(7);
    replica.step(START, Input::Connected { peer, key: None });
    let next = replica.height();
    let mut blamed = |height, signatures| {
        let commit = Commit { height, view: Default::default(), block_hash: Default::default(), signatures };
        let commands = replica.step(START, Input::Message { from: peer, message: VerifiedMessage::Commit(commit) });
        commands.iter().any(|command| matches!(command, Command::Fault { peer: PeerId(7), .. }))
    };
    let forged = Some(SecretKey::from_bytes(&[9; 32]).sign(&Default::default()));
    assert!(blamed(next, vec![forged]), "signed by somebody else");
    assert!(blamed(next, vec![None]), "no quorum");
    assert!(!blamed(next.next(), vec![None]), "whose set is not known here");
}
