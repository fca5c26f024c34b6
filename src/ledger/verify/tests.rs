use super::*;
use crate::ledger::testing::{World, consensus, double_prepare, secret, sorted, witness};
use crate::types::block::{Header, tx_root};
use crate::types::hash::BlockHash;
use crate::types::merkle;
use crate::types::number::{Amount, Epoch};
use crate::types::transaction::{Payload, Transaction};
use crate::types::vote::{FinalityKind, VotePart, finality_digest};

fn batch(world: &World, txids: Vec<Txid>) -> VoteBatch {
    let key = consensus(1);
    let (epoch, kind, voter) = (Epoch::ZERO, FinalityKind::Vote, key.public_key());
    let mut batch = VoteBatch { epoch, kind, voter, txids, signature: Signature([0; 64]) };
    batch.signature = key.sign(&batch.digest(&world.chain.id()));
    batch
}

fn txids(count: u32) -> Vec<Txid> {
    let txid = |n: u32| Txid(*blake3::hash(&n.to_le_bytes()).as_bytes());
    let mut all: Vec<Txid> = (0..count).map(txid).collect();
    all.sort();
    all
}

#[test]
fn a_bad_witness_does_not_poison_the_good_one_of_the_same_txid() {
    let world = World::default();
    let good = world.draft(&[world.coin(0)], &[1], Payload::Transfer, 0).hashed(&world.chain);
    let mut bad = good.tx().clone();
    bad.witnesses[0] = witness(0, &Hash::ZERO);
    let bad = HashedTx::new(bad);
    assert_eq!(bad.txid(), good.txid());
    let bad_signature = Some(TxError::BadSignature { key: secret(0).public_key() });

    assert_eq!(world.verifier.transaction(bad.clone()).err(), bad_signature);
    assert!(world.verifier.transaction(good.clone()).is_ok());
    assert_eq!(world.verifier.transaction(bad).err(), bad_signature, "even once the good one is remembered");
    assert!(world.verifier.transaction(good).is_ok());
}

#[test]
fn transactions_together_are_judged_as_each_by_itself() {
    let world = World::default();
    let mut txs: Vec<HashedTx> =
        (0..30).map(|i| world.draft(&[world.coin(i)], &[1], Payload::Transfer, 0).hashed(&world.chain)).collect();
    let witnesses = vec![witness(0, &Hash::ZERO)];
    txs[3] = HashedTx::new(Transaction { body: txs[3].body().clone(), witnesses });
    txs[17] = HashedTx::new(Transaction { witnesses: Vec::new(), ..txs[17].tx().clone() });
    let mut body = txs[20].body().clone();
    body.version = 9;
    txs[20] = HashedTx::new(Transaction { body, witnesses: Vec::new() });
    txs.push(txs[0].clone());

    let together = world.verifier.transactions(txs.clone());
    let fresh = Verifier::new(world.chain.clone());
    let alone: Vec<_> = txs.into_iter().map(|tx| fresh.transaction(tx)).collect();
    assert_eq!(together, alone);
    let failed: Vec<usize> = (0..together.len()).filter(|i| together[*i].is_err()).collect();
    assert_eq!(failed, [3, 20], "without witnesses there is no signature to be wrong: that needs the state");
}

#[test]
fn a_batch_of_votes_holds_1_to_1024_distinct_transactions() {
    let world = World::default();
    let check = |txids: Vec<Txid>| world.verifier.vote_batch(batch(&world, txids)).err();
    assert_eq!(check(txids(1)), None);
    assert_eq!(check(txids(1_024)), None);
    assert_eq!(check(Vec::new()), Some(VerifyError::BatchSize { count: 0 }));
    assert_eq!(check(txids(1_025)), Some(VerifyError::BatchSize { count: 1_025 }));
    let mut twice = txids(3);
    twice.push(twice[1]);
    assert_eq!(check(twice.clone()), Some(VerifyError::RepeatedTxid { txid: twice[1] }));
}

#[test]
fn a_vote_counts_for_its_signer_epoch_and_kind_only() {
    let world = World::default();
    let good = batch(&world, txids(3));
    let bad_signature = Some(VerifyError::BadSignature { key: consensus(1).public_key() });
    let changes: [fn(&mut VoteBatch); 4] = [
        |b| b.epoch = Epoch::new(1),
        |b| b.kind = FinalityKind::Receipt,
        |b| b.txids.swap(0, 1),
        |b| b.signature.0[0] ^= 1,
    ];
    let mut all = vec![good.clone()];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(world.verifier.vote_batch(changed.clone()).err(), bad_signature);
        all.push(changed);
    }
    all.push(VoteBatch { voter: consensus(2).public_key(), ..good.clone() });
    all.push(good);
    let together: Vec<bool> = world.verifier.vote_batches(all).iter().map(Result::is_ok).collect();
    assert_eq!(together, [true, false, false, false, false, false, true]);
}

#[test]
fn a_commit_is_a_quorum_of_its_set_with_every_signature_valid() {
    let mut world = World::default();
    world.open(&[]);
    let set = Arc::clone(&world.state.signers);
    let (height, hash) = (world.state.height(), world.state.hash);
    let commit = |silent: &[PublicKey]| world.commit_of(&height, hash, silent);
    let key = |n: u64| consensus(n).public_key();
    assert!(world.verifier.commit(commit(&[]), &set).is_ok());
    // Weights are 1,000, 1,000, 1,000 and 10.
    assert_eq!(
        world.verifier.commit(commit(&[key(0), key(3)]), &set).err(),
        Some(VerifyError::NoQuorum { signed: Weight::new(2_000), total: Weight::new(3_010) })
    );
    assert!(world.verifier.commit(commit(&[key(3)]), &set).is_ok());
    let mut short = commit(&[]);
    short.signatures.pop();
    assert_eq!(world.verifier.commit(short, &set).err(), Some(VerifyError::SignatureCount { found: 3, members: 4 }));
    let mut one_bad = commit(&[]);
    one_bad.signatures[2] = Some(Signature([1; 64]));
    let third = set.members()[2].consensus_key;
    assert_eq!(world.verifier.commit(one_bad, &set).err(), Some(VerifyError::BadSignature { key: third }));
    let mut other_view = commit(&[]);
    other_view.view = View::new(1);
    assert!(matches!(world.verifier.commit(other_view, &set), Err(VerifyError::BadSignature { .. })));
}

#[test]
fn prepares_prove_nothing_but_their_block_at_their_view() {
    let world = World::default();
    let set = &world.state.validators;
    let (height, hash, view) = (Height::new(1), BlockHash([5; 32]), View::new(2));
    let digest = bft_digest(&world.chain.id(), height, view, BftKind::Prepare, Some(hash));
    let key = |key: &PublicKey| (0..4).map(consensus).find(|s| s.public_key() == *key).unwrap();
    let signatures = set.members().iter().map(|m| Some(key(&m.consensus_key).sign(&digest))).collect();
    let proof = PrepareProof { view, signatures };
    assert!(world.verifier.prepare_proof(height, hash, proof.clone(), set).is_ok());
    assert!(world.verifier.prepare_proof(height, BlockHash([6; 32]), proof.clone(), set).is_err());
    assert!(world.verifier.prepare_proof(Height::new(2), hash, proof.clone(), set).is_err());
    let precommits = Commit { height, view, block_hash: hash, signatures: proof.signatures };
    assert!(world.verifier.commit(precommits, set).is_err(), "a prepare is no precommit");
}

/// A fresh proposal for height 2 with two payments and a piece of evidence.
fn proposal(world: &mut World) -> Proposal {
    world.open(&[]);
    let txs = sorted(&[world.pay(&[world.coin(0)], &[1]), world.pay(&[world.coin(1)], &[1])]);
    let evidence = [world.double_prepare(3)];
    let executed = world.opening(&txs, &evidence).unwrap();
    Proposal {
        view: View::new(3),
        proof: None,
        header: executed.header,
        txids: txs.iter().map(|tx| tx.txid()).collect(),
        last_commit: world.last_commit.clone().map(Verified::into_inner),
        evidence: evidence.map(Verified::into_inner).to_vec(),
        vdf: Some(world.vdf()),
        leader: consensus(0).public_key(),
        signature: Signature([0; 64]),
    }
}

fn signed(world: &World, mut proposal: Proposal) -> Proposal {
    proposal.signature = consensus(0).sign(&proposal.digest(&world.chain.id()));
    proposal
}

#[test]
fn a_proposal_has_the_parts_its_header_commits_to() {
    let mut world = World::default();
    let good = proposal(&mut world);
    let check = |change: &dyn Fn(&mut Proposal)| {
        let mut changed = good.clone();
        change(&mut changed);
        world.verifier.proposal(signed(&world, changed)).err()
    };
    assert_eq!(check(&|_| ()), None);
    let differs = |field| Some(VerifyError::PartsDiffer { field });
    assert_eq!(check(&|p| p.evidence.clear()), differs("evidence_root"));
    assert_eq!(check(&|p| p.last_commit = None), differs("last_commit_root"));
    assert_eq!(check(&|p| p.vdf.as_mut().unwrap().y[255] ^= 1), differs("beacon"));
    assert_eq!(check(&|p| p.txids.truncate(1)), Some(VerifyError::TxCount { stated: 3, listed: 1 }));
    assert_eq!(check(&|p| p.vdf = None), Some(VerifyError::TxCount { stated: 3, listed: 2 }));
    let last = good.txids[0];
    assert_eq!(check(&|p| p.txids.swap(0, 1)), Some(VerifyError::TxidOutOfOrder { txid: last }));
    let twice = good.evidence[0].clone();
    let voter = twice.voter();
    assert_eq!(check(&|p| p.evidence.push(twice.clone())), Some(VerifyError::EvidenceOrder { voter }));
    assert_eq!(check(&|p| p.header.version = 2), Some(VerifyError::HeaderVersion { found: 2 }));
    let found = ChainId([9; 32]);
    assert_eq!(check(&|p| p.header.chain_id = found), Some(VerifyError::OtherChain { found }));
    assert_eq!(check(&|p| p.header.height = Height::ZERO), Some(VerifyError::GenesisProposed));
    assert!(matches!(check(&|p| p.header.height = Height::new(3)), Some(VerifyError::OtherBlock { .. })));
    assert!(matches!(check(&|p| p.header.prev = BlockHash([1; 32])), Some(VerifyError::OtherBlock { .. })));
}

#[test]
fn a_proposal_of_a_block_that_opens_no_slot_has_the_root_of_its_txids_and_no_reward() {
    let mut world = World::default();
    let mut overflow = proposal(&mut world);
    overflow.vdf = None;
    let Header { tx_count, tx_root: root, reward, .. } = &mut overflow.header;
    (*tx_count, *root, *reward) = (2, tx_root(&overflow.txids), Amount::ZERO);
    assert!(world.verifier.proposal(signed(&world, overflow.clone())).is_ok());
    let mut paid = overflow.clone();
    paid.header.reward = Amount::new(1);
    assert_eq!(world.verifier.proposal(signed(&world, paid)).err(), Some(VerifyError::RewardWithoutSlot));
    overflow.header.tx_root = Hash::ZERO;
    let error = world.verifier.proposal(signed(&world, overflow)).err();
    assert_eq!(error, Some(VerifyError::PartsDiffer { field: "tx_root" }));
}

#[test]
fn a_fresh_proposal_is_its_leaders_own_and_a_proof_is_of_an_earlier_view() {
    let mut world = World::default();
    let good = proposal(&mut world);
    let (leader, proposer) = (good.leader, consensus(1).public_key());
    let mut foreign = good.clone();
    foreign.header.proposer = proposer;
    let error = world.verifier.proposal(signed(&world, foreign.clone())).err();
    assert_eq!(error, Some(VerifyError::OtherProposer { leader, proposer }));
    let proof = |view| Some(PrepareProof { view: View::new(view), signatures: Vec::new() });
    foreign.proof = proof(2);
    assert!(world.verifier.proposal(signed(&world, foreign.clone())).is_ok());
    foreign.proof = proof(3);
    let error = world.verifier.proposal(signed(&world, foreign)).err();
    assert_eq!(error, Some(VerifyError::ProofView { proof: View::new(3), view: View::new(3) }));
    let mut unsigned = signed(&world, good);
    unsigned.view = View::new(4);
    assert_eq!(world.verifier.proposal(unsigned).err(), Some(VerifyError::BadSignature { key: leader }));
}

#[test]
fn two_votes_on_blocks_contradict_each_other_in_one_step_only() {
    let world = World::default();
    let key = consensus(1);
    let voter = key.public_key();
    let good = double_prepare(&world.chain, &key, 4);
    assert!(world.verifier.evidence(good.clone()).is_ok());
    let Evidence::Bft { a, b, .. } = &good else { panic!("two votes on blocks") };
    let no_contradiction = Some(VerifyError::NoContradiction { voter });
    let swapped = Evidence::Bft { voter, a: b.clone(), b: a.clone() };
    assert_eq!(world.verifier.evidence(swapped).err(), no_contradiction);
    let same = Evidence::Bft { voter, a: a.clone(), b: a.clone() };
    assert_eq!(world.verifier.evidence(same).err(), no_contradiction);
    let Evidence::Bft { b: later, .. } = double_prepare(&world.chain, &key, 5) else { panic!("as above") };
    let two_heights = Evidence::of_bft(voter, a.clone(), later);
    assert_eq!(world.verifier.evidence(two_heights).err(), no_contradiction);
    let mut other_view = b.clone();
    other_view.view = View::new(1);
    assert_eq!(world.verifier.evidence(Evidence::of_bft(voter, a.clone(), other_view)).err(), no_contradiction);
    // The same value signed twice, in two encodings of the signature, accuses nobody.
    let mut other_signature = a.clone();
    other_signature.signature.0[0] ^= 1;
    assert_eq!(world.verifier.evidence(Evidence::of_bft(voter, a.clone(), other_signature)).err(), no_contradiction);
    let accused = consensus(2).public_key();
    let framed = Evidence::Bft { voter: accused, a: a.clone(), b: b.clone() };
    assert_eq!(world.verifier.evidence(framed).err(), Some(VerifyError::BadSignature { key: accused }));
}

/// A vote of masternode 1 for a batch in which `tx` stands second.
fn vote_part(world: &World, tx: &HashedTx, kind: FinalityKind) -> VotePart {
    let key = consensus(1);
    let ids = [Txid([1; 32]), tx.txid(), Txid([2; 32])];
    let root = merkle::root(ids.iter().map(Txid::as_bytes));
    let digest = finality_digest(&world.chain.id(), Epoch::ZERO, kind, &key.public_key(), &root);
    let path = merkle::path(ids.iter().map(Txid::as_bytes), 1).unwrap();
    VotePart { body: tx.body().clone(), index: 1, count: 3, path, signature: key.sign(&digest) }
}

#[test]
fn two_finality_votes_contradict_each_other_if_they_spend_one_output() {
    let world = World::default();
    let voter = consensus(1).public_key();
    let vote = |tx: &HashedTx| vote_part(&world, tx, FinalityKind::Vote);
    let one = world.pay(&[world.coin(0), world.coin(1)], &[1]);
    let rival = world.pay(&[world.coin(2), world.coin(1)], &[1]);
    let stranger = world.pay(&[world.coin(3)], &[1]);
    let of = |a: VotePart, b: VotePart| Evidence::of_votes(voter, Epoch::ZERO, a, b);
    assert!(world.verifier.evidence(of(vote(&one), vote(&rival))).is_ok());

    let no_contradiction = Some(VerifyError::NoContradiction { voter });
    assert_eq!(world.verifier.evidence(of(vote(&one), vote(&stranger))).err(), no_contradiction);
    let mut shifted = vote(&one);
    shifted.signature.0[0] ^= 1;
    assert_eq!(world.verifier.evidence(of(vote(&one), shifted)).err(), no_contradiction, "one vote, told twice");
    // Receipts bind nobody to one rival: whoever holds a certificate signs.
    let receipt = vote_part(&world, &rival, FinalityKind::Receipt);
    let error = world.verifier.evidence(of(vote(&one), receipt)).err();
    assert_eq!(error, Some(VerifyError::BadSignature { key: voter }));
    let mut lost = vote(&rival);
    lost.path.pop();
    assert_eq!(world.verifier.evidence(of(vote(&one), lost)).err(), Some(VerifyError::BadPath { voter }));
    let other_epoch = Evidence::of_votes(voter, Epoch::new(1), vote(&one), vote(&rival));
    assert_eq!(world.verifier.evidence(other_epoch).err(), Some(VerifyError::BadSignature { key: voter }));
}

#[test]
fn a_delay_proof_is_for_its_seed_and_number_of_squarings() {
    let world = World::default();
    let seed = Hash([3; 32]);
    let proof = vdf::evaluate(&seed, 5);
    for _ in 0..2 {
        assert!(world.verifier.vdf(&seed, 5, &proof));
        assert!(!world.verifier.vdf(&seed, 6, &proof));
        assert!(!world.verifier.vdf(&Hash([4; 32]), 5, &proof));
    }
}

#[test]
fn what_is_remembered_stays_bounded() {
    let cache: Cache<u32, ()> = Cache::new(100);
    (0..10_000).for_each(|n| cache.insert(n, ()));
    assert!(cache.len() <= 100);
    let world = World::default();
    assert!(world.verifier.transactions.capacity() <= VERIFIED_TRANSACTIONS as u64);
    assert!(world.verifier.others.capacity() <= VERIFIED_SIGNATURES as u64);
}
