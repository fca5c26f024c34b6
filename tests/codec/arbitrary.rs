//! Strategies for everything that travels: any value its type can hold, whether the rules allow it or not.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use timed::types::block::{BftKind, BftVote, Block, Commit, Header, PrepareProof, Proposal, VdfProof};
use timed::types::evidence::{BftPart, Evidence};
use timed::types::hash::Hash;
use timed::types::keys::{PublicKey, Signature};
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Epoch, Height, Slot, View};
use timed::types::transaction::{OutPoint, Payload, Register, Transaction, TxBody, TxOut, Update};
use timed::types::vote::{FinalityKind, FinalityProof, Receipt, VoteBatch, VotePart};

/// Numbers of every length of varint, and the last and first of each length.
fn number() -> impl Strategy<Value = u64> {
    let edges = [250, 251, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX];
    prop_oneof![0..250u64, prop::sample::select(edges.to_vec()), any::<u64>()]
}

fn small_number() -> impl Strategy<Value = u32> {
    prop_oneof![0..250u32, prop::sample::select(vec![250, 251, 65_535, 65_536, u32::MAX]), any::<u32>()]
}

fn hash<T: From<Hash> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<[u8; 32]>().prop_map(|bytes| T::from(Hash(bytes)))
}

fn key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(halves.as_flattened());
        Signature(bytes)
    })
}

fn signatures() -> impl Strategy<Value = Vec<Option<Signature>>> {
    vec(option::of(signature()), 0..8)
}

fn lock() -> impl Strategy<Value = Lock> {
    prop_oneof![any::<[u8; 32]>().prop_map(Lock::KeyHash), any::<[u8; 32]>().prop_map(Lock::Multisig)]
}

fn outpoint() -> impl Strategy<Value = OutPoint> {
    (hash(), small_number()).prop_map(|(txid, index)| OutPoint { txid, index })
}

fn output() -> impl Strategy<Value = TxOut> {
    (number(), lock()).prop_map(|(value, lock)| TxOut { value: Amount::new(value), lock })
}

fn payload() -> impl Strategy<Value = Payload> {
    let register = (key(), lock(), ".{0,20}", small_number(), signature()).prop_map(
        |(consensus_key, payout, endpoint, collateral_index, proof)| {
            Payload::Register(Register { consensus_key, payout, endpoint, collateral_index, proof })
        },
    );
    let update = (hash(), option::of(lock()), option::of(".{0,20}"))
        .prop_map(|(masternode, payout, endpoint)| Payload::Update(Update { masternode, payout, endpoint }));
    prop_oneof![
        Just(Payload::Transfer),
        number().prop_map(|height| Payload::Coinbase { height: Height::new(height) }),
        register,
        update,
        hash().prop_map(|masternode| Payload::Unregister { masternode }),
    ]
}

pub fn body() -> impl Strategy<Value = TxBody> {
    (any::<u16>(), vec(outpoint(), 0..4), vec(output(), 0..4), payload(), vec(any::<u8>(), 0..90))
        .prop_map(|(version, inputs, outputs, payload, memo)| TxBody { version, inputs, outputs, payload, memo })
}

fn witness() -> impl Strategy<Value = Witness> {
    prop_oneof![
        (key(), signature()).prop_map(|(pubkey, signature)| Witness::Key { pubkey, signature }),
        (any::<u8>(), vec(key(), 0..4), signatures()).prop_map(|(threshold, keys, signatures)| Witness::Multi {
            threshold,
            keys,
            signatures
        }),
    ]
}

pub fn transaction() -> impl Strategy<Value = Transaction> {
    (body(), vec(witness(), 0..4)).prop_map(|(body, witnesses)| Transaction { body, witnesses })
}

pub fn header() -> impl Strategy<Value = Header> {
    let place = (any::<u16>(), hash(), number(), number(), number(), hash());
    let roots = (hash(), small_number(), hash(), hash(), hash());
    let rest = (hash(), hash(), hash(), key(), number());
    (place, roots, rest).prop_map(|(place, roots, rest)| {
        let (version, chain_id, height, slot, opened, prev) = place;
        let (tx_root, tx_count, state_root, last_commit_root, evidence_root) = roots;
        let (validators_hash, next_validators_hash, beacon, proposer, reward) = rest;
        let (height, slot, reward) = (Height::new(height), Slot::new(slot), Amount::new(reward));
        Header {
            version,
            chain_id,
            height,
            slot,
            opened,
            prev,
            tx_root,
            tx_count,
            state_root,
            last_commit_root,
            evidence_root,
            validators_hash,
            next_validators_hash,
            beacon,
            proposer,
            reward,
        }
    })
}

pub fn commit() -> impl Strategy<Value = Commit> {
    (number(), small_number(), hash(), signatures()).prop_map(|(height, view, block_hash, signatures)| Commit {
        height: Height::new(height),
        view: View::new(view),
        block_hash,
        signatures,
    })
}

fn bft_kind() -> impl Strategy<Value = BftKind> {
    prop_oneof![Just(BftKind::Prepare), Just(BftKind::Precommit)]
}

pub fn bft_vote() -> impl Strategy<Value = BftVote> {
    (number(), small_number(), bft_kind(), option::of(hash()), key(), signature()).prop_map(
        |(height, view, kind, block_hash, voter, signature)| {
            let (height, view) = (Height::new(height), View::new(view));
            BftVote { height, view, kind, block_hash, voter, signature }
        },
    )
}

pub fn vote_batch() -> impl Strategy<Value = VoteBatch> {
    let kind = prop_oneof![Just(FinalityKind::Vote), Just(FinalityKind::Receipt)];
    (number(), kind, key(), vec(hash(), 0..40), signature()).prop_map(|(epoch, kind, voter, txids, signature)| {
        VoteBatch { epoch: Epoch::new(epoch), kind, voter, txids, signature }
    })
}

pub fn vote_part() -> impl Strategy<Value = VotePart> {
    (body(), small_number(), small_number(), vec(hash(), 0..10), signature())
        .prop_map(|(body, index, count, path, signature)| VotePart { body, index, count, path, signature })
}

pub fn finality_proof() -> impl Strategy<Value = FinalityProof> {
    let receipt = (key(), small_number(), small_number(), vec(hash(), 0..10), signature())
        .prop_map(|(voter, index, count, path, signature)| Receipt { voter, index, count, path, signature });
    (hash(), number(), vec(receipt, 0..5)).prop_map(|(txid, epoch, receipts)| FinalityProof {
        txid,
        epoch: Epoch::new(epoch),
        receipts,
    })
}

pub fn evidence() -> impl Strategy<Value = Evidence> {
    let part = || {
        bft_vote().prop_map(|vote| BftPart {
            height: vote.height,
            view: vote.view,
            kind: vote.kind,
            block_hash: vote.block_hash,
            signature: vote.signature,
        })
    };
    prop_oneof![
        (key(), part(), part()).prop_map(|(voter, a, b)| Evidence::Bft { voter, a, b }),
        (key(), number(), vote_part(), vote_part()).prop_map(|(voter, epoch, a, b)| Evidence::Finality {
            voter,
            epoch: Epoch::new(epoch),
            a,
            b
        }),
    ]
}

fn vdf_proof() -> impl Strategy<Value = VdfProof> {
    any::<[[u8; 32]; 16]>().prop_map(|chunks| {
        let (mut y, mut proof) = ([0; 256], [0; 256]);
        y.copy_from_slice(chunks[..8].as_flattened());
        proof.copy_from_slice(chunks[8..].as_flattened());
        VdfProof { y, proof }
    })
}

pub fn block() -> impl Strategy<Value = Block> {
    let txs = vec(transaction(), 0..4);
    (header(), txs, option::of(commit()), vec(evidence(), 0..3), option::of(vdf_proof()))
        .prop_map(|(header, txs, last_commit, evidence, vdf)| Block { header, txs, last_commit, evidence, vdf })
}

pub fn proposal() -> impl Strategy<Value = Proposal> {
    let proof = (small_number(), signatures())
        .prop_map(|(view, signatures)| PrepareProof { view: View::new(view), signatures });
    let frame = (small_number(), option::of(proof), header(), vec(hash(), 0..20));
    let rest = (option::of(commit()), vec(evidence(), 0..3), option::of(vdf_proof()), key(), signature());
    (frame, rest).prop_map(|(frame, rest)| {
        let (view, proof, header, txids) = frame;
        let (last_commit, evidence, vdf, leader, signature) = rest;
        let view = View::new(view);
        Proposal { view, proof, header, txids, last_commit, evidence, vdf, leader, signature }
    })
}
