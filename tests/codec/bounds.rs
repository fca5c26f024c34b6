//! The bounds of the types: a length that claims too much is refused before memory is asked for, and the largest
//! values the rules allow still decode.

use timed::limits::{
    MAX_BATCH_TXIDS, MAX_BLOCK_WIRE_BYTES, MAX_INPUTS, MAX_OUTPUTS, MAX_TX_WIRE_BYTES, MAX_VALIDATORS,
};
use timed::types::block::{Block, Commit, Header, PrepareProof, Proposal};
use timed::types::codec::{CodecError, Wire, decode, encode, encode_into};
use timed::types::evidence::Evidence;
use timed::types::hash::{BlockHash, ChainId, Hash, Txid};
use timed::types::keys::{PublicKey, Signature};
use timed::types::lock::{Lock, Witness};
use timed::types::number::{Amount, Epoch, Height, Slot, View};
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut};
use timed::types::vote::{FinalityKind, FinalityProof, Receipt, VoteBatch, VotePart};

const SIGNATURE: Signature = Signature([0xff; 64]);
const KEY: PublicKey = PublicKey([0xff; 32]);

fn header() -> Header {
    Header {
        version: u16::MAX,
        chain_id: ChainId::ZERO,
        height: Height::MAX,
        slot: Slot::MAX,
        opened: u64::MAX,
        prev: BlockHash::ZERO,
        tx_root: Hash::ZERO,
        tx_count: u32::MAX,
        state_root: Hash::ZERO,
        last_commit_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        beacon: Hash::ZERO,
        proposer: KEY,
        reward: Amount::MAX,
    }
}

fn body(inputs: usize, outputs: usize) -> TxBody {
    let outpoint = |index| OutPoint { txid: Txid([0xff; 32]), index };
    let output = TxOut { value: Amount::MAX, lock: Lock::Multisig([0xff; 32]) };
    TxBody {
        version: 1,
        inputs: (0..inputs as u32).map(outpoint).collect(),
        outputs: vec![output; outputs],
        payload: Payload::Transfer,
        memo: vec![],
    }
}

/// A witness of 16 keys of which one signed: most memory for its bytes.
fn wide_witness() -> Witness {
    let signatures = (0..16).map(|i| (i == 0).then_some(SIGNATURE)).collect();
    Witness::Multi { threshold: 1, keys: vec![KEY; 16], signatures }
}

fn decodes<T: Wire + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = encode(value);
    assert!(bytes.len() <= T::MAX_BYTES, "{} bytes", bytes.len());
    assert!(decode::<T>(&bytes).as_ref() == Ok(value), "{} bytes: {:?}", bytes.len(), decode::<T>(&bytes).err());
}

#[test]
fn the_largest_transactions_decode() {
    decodes(&Transaction { body: body(MAX_INPUTS, MAX_OUTPUTS), witnesses: vec![] });
    decodes(&Transaction { body: body(MAX_INPUTS, 1), witnesses: vec![wide_witness(); 600] });
    let one_key = Witness::Key { pubkey: KEY, signature: SIGNATURE };
    decodes(&Transaction { body: body(MAX_INPUTS, MAX_OUTPUTS), witnesses: vec![one_key; MAX_INPUTS] });
}

#[test]
fn the_largest_messages_of_a_full_validator_set_decode() {
    let (height, view) = (Height::MAX, View::MAX);
    let signatures = vec![Some(SIGNATURE); MAX_VALIDATORS];
    let commit = Commit { height, view, block_hash: BlockHash::ZERO, signatures: signatures.clone() };
    decodes(&commit);
    decodes(&Commit { signatures: vec![None; MAX_VALIDATORS], ..commit.clone() });
    let txids = vec![Txid([0xff; 32]); MAX_BATCH_TXIDS];
    decodes(&VoteBatch { epoch: Epoch::MAX, kind: FinalityKind::Receipt, voter: KEY, txids, signature: SIGNATURE });
    let path = vec![Hash([0xff; 32]); 10];
    let receipt = Receipt { voter: KEY, index: u32::MAX, count: u32::MAX, path, signature: SIGNATURE };
    decodes(&FinalityProof { txid: Txid::ZERO, epoch: Epoch::MAX, receipts: vec![receipt; MAX_VALIDATORS] });
    let proposal = Proposal {
        view,
        proof: Some(PrepareProof { view, signatures }),
        header: header(),
        txids: vec![Txid([0xff; 32]); 50_000],
        last_commit: Some(commit),
        evidence: vec![],
        vdf: None,
        leader: KEY,
        signature: SIGNATURE,
    };
    decodes(&proposal);
}

#[test]
fn the_largest_evidence_decodes() {
    let part = || {
        let path = vec![Hash([0xff; 32]); 10];
        VotePart { body: body(MAX_INPUTS, MAX_OUTPUTS), index: 0, count: 1, path, signature: SIGNATURE }
    };
    decodes(&part());
    decodes(&Evidence::Finality { voter: KEY, epoch: Epoch::MAX, a: part(), b: part() });
}

#[test]
fn a_block_of_the_smallest_transactions_decodes() {
    let witnesses = vec![Witness::Key { pubkey: KEY, signature: SIGNATURE }];
    let small = TxOut { value: Amount::new(1), lock: Lock::KeyHash([0; 32]) };
    let tx = Transaction { body: TxBody { outputs: vec![small], ..body(1, 0) }, witnesses };
    let count = (MAX_BLOCK_WIRE_BYTES - 1_000) / encode(&tx).len();
    let txs = vec![tx; count];
    decodes(&Block { header: header(), txs, last_commit: None, evidence: vec![], vdf: None });
}

#[test]
fn more_bytes_than_the_bound_are_not_even_looked_at() {
    let bytes = vec![0; MAX_TX_WIRE_BYTES + 1];
    let refused = CodecError::TooLong { size: bytes.len(), limit: MAX_TX_WIRE_BYTES };
    assert_eq!(decode::<Transaction>(&bytes), Err(refused));
}

/// `prefix` followed by a length must be refused for what it claims, not for the bytes that are missing.
fn refuses_claims<T: Wire + std::fmt::Debug>(what: &str, prefix: &[u8]) {
    // The second is the least that no type may hold, and would be read from a 32-bit varint.
    for claimed in [1 << 40, 17 * (MAX_BLOCK_WIRE_BYTES as u64), u64::MAX] {
        let mut bytes = prefix.to_vec();
        encode_into(&claimed, &mut bytes);
        bytes.extend([0; 64]);
        let refused = decode::<T>(&bytes).unwrap_err();
        assert!(matches!(&refused, CodecError::Malformed(why) if why.contains("LimitExceeded")), "{what}: {refused:?}");
    }
}

#[test]
fn a_length_that_claims_too_much_is_refused_before_anything_is_allocated() {
    let (one, none, transfer) = (1u16, 0u64, 0u32);
    let claims = |what: &str, prefix: Vec<u8>| refuses_claims::<Transaction>(what, &prefix);
    claims("inputs", encode(&one));
    claims("outputs", encode(&(one, none)));
    claims("memo", encode(&(one, none, none, transfer)));
    claims("witnesses", encode(&(one, none, none, transfer, none)));
    let (one_witness, multi, threshold) = (1u64, 1u32, 1u8);
    let head = (one, none, none, transfer, none, one_witness, multi, threshold);
    claims("keys of a witness", encode(&head));
    claims("signatures of a witness", encode(&(head, none)));
    let (register, update, lock) = (2u32, 3u32, Lock::KeyHash([0; 32]));
    claims("endpoint of a registration", encode(&(one, none, none, register, KEY, lock)));
    claims("endpoint of an update", encode(&(one, none, none, update, [0u8; 32], None::<Lock>, true)));

    refuses_claims::<VoteBatch>("txids of votes", &encode(&(0u64, 0u32, KEY)));
    refuses_claims::<Commit>("signatures of a commit", &encode(&(0u64, 0u32, [0u8; 32])));
    refuses_claims::<FinalityProof>("receipts", &encode(&([0u8; 32], 0u64)));
    refuses_claims::<FinalityProof>("path of a receipt", &encode(&([0u8; 32], 0u64, 1u64, KEY, 0u32, 1u32)));
    refuses_claims::<Evidence>("inputs in evidence", &encode(&(1u32, KEY, 0u64, one)));
    refuses_claims::<Block>("transactions", &encode(&header()));
    refuses_claims::<Block>("signatures in a block", &encode(&(header(), none, true, 0u64, 0u32, [0u8; 32])));
    refuses_claims::<Block>("evidence in a block", &encode(&(header(), none, None::<Commit>)));
    refuses_claims::<Proposal>("prepares", &encode(&(0u32, true, 0u32)));
    refuses_claims::<Proposal>("txids of a proposal", &encode(&(0u32, None::<PrepareProof>, header())));
}
