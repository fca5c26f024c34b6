//! Votes, receipts, commits, headers and validator sets.

use crate::reader::{Entry, chain, entry, secret_of};
use timed::crypto::batch::{SignatureCheck, verify};
use timed::types::block::{BftKind, BftVote, Commit, Header, bft_digest, commit_root, evidence_root, proposal_digest};
use timed::types::codec::{decode, decode_with_limit, encode};
use timed::types::hash::{BlockHash, Txid};
use timed::types::merkle;
use timed::types::number::{Amount, Epoch, Height, Slot, View};
use timed::types::validators::{Validator, ValidatorSet};
use timed::types::vote::{FinalityKind, VoteBatch, finality_digest};

pub fn finality_votes(vectors: Entry) {
    for vector in vectors.list() {
        let kind = match vector.at("kind").number() {
            0 => FinalityKind::Vote,
            1 => FinalityKind::Receipt,
            other => panic!("unknown kind {other}"),
        };
        let txids: Vec<Txid> = vector.at("txids").list().map(|id| id.hash().into()).collect();
        let (voter, signature) = (vector.at("voter").key(), vector.at("signature").signature());
        let batch = VoteBatch { epoch: Epoch::new(vector.at("epoch").number()), kind, voter, txids, signature };
        let digest = batch.digest(&chain());
        assert_eq!(digest, vector.at("digest").hash());
        assert_eq!(secret_of(&voter).sign(&digest), signature);
        assert!(verify(&SignatureCheck { key: voter, digest, signature }));
        assert_eq!(decode::<VoteBatch>(&encode(&batch)), Ok(batch.clone()));
        // Each transaction's part of the batch leads to the same digest.
        let ids = || batch.txids.iter().map(Txid::as_bytes);
        for (index, id) in ids().enumerate() {
            let path = merkle::path(ids(), index).unwrap();
            let root = merkle::root_of_path(id, index as u32, batch.txids.len() as u32, &path).unwrap();
            assert_eq!(finality_digest(&chain(), batch.epoch, kind, &voter, &root), digest);
        }
    }
}

fn block_hash(value: Entry) -> BlockHash {
    value.hash().into()
}

fn place(vector: Entry) -> (Height, View) {
    (Height::new(vector.at("height").number()), View::new(vector.at("view").small_number()))
}

pub fn bft_votes(vectors: Entry) {
    for vector in vectors.list() {
        let kind = match vector.at("kind").number() {
            0 => BftKind::Prepare,
            1 => BftKind::Precommit,
            other => panic!("unknown kind {other}"),
        };
        let ((height, view), block_hash) = (place(vector), vector.at("block_hash").present().map(block_hash));
        let digest = bft_digest(&chain(), height, view, kind, block_hash);
        assert_eq!(digest, vector.at("digest").hash());
        let key = secret_of(&entry("finality_votes").list().next().unwrap().at("voter").key());
        let (voter, signature) = (key.public_key(), key.sign(&digest));
        let vote = BftVote { height, view, kind, block_hash, voter, signature };
        assert_eq!(vote.digest(&chain()), digest);
        assert_eq!(decode::<BftVote>(&encode(&vote)), Ok(vote));
    }
}

pub fn proposals(vectors: Entry) {
    for vector in vectors.list() {
        let (height, view) = place(vector);
        let proof_view = vector.at("pol_view").present().map(|view| View::new(view.small_number()));
        let digest = proposal_digest(&chain(), height, view, proof_view, block_hash(vector.at("block_hash")));
        assert_eq!(digest, vector.at("digest").hash());
    }
}

/// The set of the vectors.
fn set() -> ValidatorSet {
    let encoded = entry("validators").at("encoded").bytes();
    let (members, used) = decode_with_limit::<Vec<Validator>, 65_536>(&encoded).unwrap();
    assert_eq!(used, encoded.len());
    ValidatorSet::new(members).unwrap()
}

pub fn validators(vector: Entry) {
    let set = set();
    assert_eq!(encode(set.members()), vector.at("encoded").bytes());
    assert_eq!(set.hash(), vector.at("hash").hash());
    let mut shuffled = set.members().to_vec();
    shuffled.reverse();
    assert_eq!(ValidatorSet::new(shuffled), Ok(set));
}

pub fn commit(vector: Entry) {
    let encoded = vector.at("encoded").bytes();
    let commit: Commit = decode(&encoded).unwrap();
    assert_eq!(encode(&commit), encoded);
    assert_eq!(commit_root(Some(&commit)), vector.at("root").hash());
    assert_eq!(commit_root(None), vector.at("root_of_none").hash());
    let set = set();
    assert_eq!(commit.signatures.len(), set.len());
    // The vector is of the encoding only: its signatures are arbitrary bytes, with scalars no signature has.
    assert_eq!(commit.signatures.iter().flatten().count(), 3);
    assert_eq!(commit.signatures[1], None);
}

pub fn header(vector: Entry) {
    let encoded = vector.at("encoded").bytes();
    let header: Header = decode(&encoded).unwrap();
    assert_eq!(encode(&header), encoded);
    assert_eq!(header.hash(), block_hash(vector.at("block_hash")));
    assert_eq!((header.version, header.chain_id), (1, chain()));
    assert_eq!(header.height, Height::new(vector.at("height").number()));
    assert_eq!(header.slot, Slot::new(vector.at("slot").number()));
    assert_eq!(header.opened, vector.at("opened").number());
    assert_eq!(header.tx_count, vector.at("tx_count").small_number());
    assert_eq!(header.reward, Amount::new(vector.at("reward").number()));
    assert_eq!(header.last_commit_root, entry("commit").at("root").hash());
    assert_eq!(header.evidence_root, evidence_root(&[]));
    assert_eq!(header.validators_hash, set().hash());
    assert_eq!(header.next_validators_hash, set().hash());
    assert!(set().get(&header.proposer).is_some());
    let commit: Commit = decode(&entry("commit").at("encoded").bytes()).unwrap();
    assert_eq!(Some(commit.height), header.height.previous());
}
