//! Transactions: built from their parts, signed, encoded, decoded; and those that are none.

use crate::reader::{Entry, chain, entry, secret_of};
use timed::crypto::batch::{SignatureCheck, verify};
use timed::types::codec::{CodecError, decode, encode, encoded_size};
use timed::types::hash::Hash;
use timed::types::keys::PublicKey;
use timed::types::lock::{Lock, Witness};
use timed::types::number::Height;
use timed::types::transaction::{HashedTx, Payload, Register, Transaction, TxBody, sighash};

/// A transaction's bytes decode to one whose hashes, size and bytes are those of the vector.
fn decoded(vector: Entry) -> HashedTx {
    let encoded = vector.at("encoded").bytes();
    let tx: Transaction = decode(&encoded).unwrap();
    assert_eq!(encode(&tx), encoded);
    assert_eq!(encoded_size(&tx), encoded.len());
    let hashed = HashedTx::new(tx);
    assert_eq!(hashed.txid(), vector.at("txid").hash().into());
    assert_eq!(hashed.txid(), hashed.body().txid());
    assert_eq!(hashed.size_bytes() as usize, encoded.len());
    hashed
}

fn check_signatures(tx: &HashedTx) {
    let digest = sighash(&chain(), &tx.txid());
    for witness in &tx.tx().witnesses {
        assert!(witness.is_well_formed());
        for (key, signature) in witness.signatures() {
            assert!(verify(&SignatureCheck { key: *key, digest, signature: *signature }));
            assert_eq!(secret_of(key).sign(&digest), *signature);
        }
    }
}

/// The body that the parts of a vector describe.
fn transfer(vector: Entry) -> TxBody {
    TxBody {
        version: 1,
        inputs: vector.at("inputs").list().map(Entry::outpoint).collect(),
        outputs: vector.at("outputs").list().map(Entry::output).collect(),
        payload: Payload::Transfer,
        memo: vector.at("memo").bytes(),
    }
}

/// The witness of one key, signed here.
fn key_witness(key: PublicKey, digest: &Hash) -> Witness {
    Witness::Key { pubkey: key, signature: secret_of(&key).sign(digest) }
}

/// A witness of several keys, signed here by those that signed in `like`.
fn multi_witness(vector: Entry, like: &Witness, digest: &Hash) -> Witness {
    let keys: Vec<_> = vector.at("public_keys").list().map(Entry::key).collect();
    let signed = |key| like.signatures().any(|(signer, _)| signer == key);
    let signatures = keys.iter().map(|key| signed(key).then(|| secret_of(key).sign(digest))).collect();
    Witness::Multi { threshold: u8::try_from(vector.at("threshold").number()).unwrap(), keys, signatures }
}

pub fn transactions(vectors: Entry) {
    for vector in vectors.list() {
        let tx = decoded(vector);
        let body: TxBody = decode(&vector.at("body").bytes()).unwrap();
        assert_eq!(*tx.body(), body);
        assert_eq!(encode(&body), vector.at("body").bytes());
        if let Some(height) = vector.get("coinbase_height") {
            assert_eq!(body.payload, Payload::Coinbase { height: Height::new(height.number()) });
            assert!(body.is_coinbase() && tx.tx().witnesses.is_empty() && body.inputs.is_empty());
            continue;
        }
        let digest = sighash(&chain(), &tx.txid());
        assert_eq!(digest, vector.at("sighash").hash());
        check_signatures(&tx);
        let built = if let Some(multisig) = vector.get("multisig") {
            let witness = multi_witness(multisig, &tx.tx().witnesses[0], &digest);
            assert_eq!(witness.lock(), tx.body().outputs[0].lock);
            Transaction { body, witnesses: vec![witness] }
        } else {
            let witnesses = vector.at("signers").list().map(|key| key_witness(key.key(), &digest)).collect();
            Transaction { body: transfer(vector), witnesses }
        };
        assert_eq!(encode(&built), vector.at("encoded").bytes());
    }
}

pub fn bad_transactions(vectors: Entry) {
    for vector in vectors.list() {
        let refused = decode::<Transaction>(&vector.at("encoded").bytes()).unwrap_err();
        let expected = match vector.at("why").text() {
            "trailing byte" => refused == CodecError::TrailingBytes(1),
            "version as a long varint" => refused == CodecError::NotCanonical,
            "cut short" | "2^40 inputs claimed" | "unknown lock kind" => matches!(refused, CodecError::Malformed(_)),
            other => panic!("unknown fault {other}"),
        };
        assert!(expected, "{}: {refused:?}", vector.at("why").text());
    }
}

pub fn register_proof(vector: Entry) {
    let register = Register {
        consensus_key: vector.at("consensus_key").key(),
        payout: Lock::Multisig(vector.at("payout_multisig").array()),
        endpoint: vector.at("endpoint").text().to_owned(),
        collateral_index: 0,
        proof: vector.at("proof").signature(),
    };
    let (input, collateral) = (vector.at("first_input").outpoint(), vector.at("collateral").output());
    let digest = register.proof_digest(&chain(), &input, &collateral);
    assert_eq!(digest, vector.at("digest").hash());
    assert_eq!(secret_of(&register.consensus_key).sign(&digest), register.proof);
    assert!(verify(&SignatureCheck { key: register.consensus_key, digest, signature: register.proof }));
}

pub fn masternode_transactions(vectors: Entry) {
    let mut registered = None;
    for vector in vectors.list() {
        let tx = decoded(vector);
        check_signatures(&tx);
        match (vector.at("what").text(), &tx.body().payload) {
            ("register", Payload::Register(register)) => {
                let collateral = &tx.body().outputs[register.collateral_index as usize];
                let digest = register.proof_digest(&chain(), &tx.inputs()[0], collateral);
                assert_eq!(digest, entry("register_proof").at("digest").hash());
                let (key, signature) = (register.consensus_key, register.proof);
                assert!(verify(&SignatureCheck { key, digest, signature }));
                registered = Some(tx.txid());
            }
            ("update", Payload::Update(update)) => {
                assert_eq!(Some(update.masternode.0), registered.map(|id| id.0));
                assert_eq!((update.payout, update.endpoint.as_deref()), (None, Some("new.example:24000")));
            }
            ("unregister", Payload::Unregister { masternode }) => {
                assert_eq!(Some(masternode.0), registered.map(|id| id.0));
            }
            (what, payload) => panic!("{what}: {payload:?}"),
        }
    }
    assert_eq!(vectors.list().len(), 3);
}
