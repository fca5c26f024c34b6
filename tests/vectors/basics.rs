//! Hashes, addresses, Merkle trees, the hash of the set of outputs, the delay function.

use crate::reader::{Entry, chain, entry};
use timed::crypto::lthash::LtHash;
use timed::crypto::vdf::{beacon, evaluate, verify};
use timed::types::address::{AddressError, from_address, to_address};
use timed::types::block::{Header, VdfProof};
use timed::types::codec::{decode, encode};
use timed::types::hash::{Domain, Hash};
use timed::types::keys::SecretKey;
use timed::types::lock::Lock;
use timed::types::merkle;

const PREFIXES: [&str; 3] = ["time", "ttime", "rtime"];

pub fn about(about: Entry) {
    assert!(about.text().contains("'timecoin v1 ' + NAME"));
}

pub fn chain_id(id: Entry) {
    let header: Header = decode(&entry("header").at("encoded").bytes()).unwrap();
    assert_eq!(header.chain_id, id.hash().into());
    assert_eq!(header.chain_id, chain());
}

pub fn derive_key(vectors: Entry) {
    for vector in vectors.list() {
        let domain = Domain::by_name(vector.at("name").text()).unwrap();
        assert_eq!(domain.name(), vector.at("name").text());
        assert_eq!(domain.hash(&vector.at("data").bytes()), vector.at("hash").hash());
    }
}

fn lock_of(vector: Entry) -> Lock {
    match vector.at("kind").text() {
        "key_hash" => {
            let key = SecretKey::from_bytes(&vector.at("secret_key").array()).public_key();
            assert_eq!(key, vector.at("public_key").key());
            assert_eq!(Lock::of_key(&key), Lock::KeyHash(vector.at("hash").array()));
            Lock::of_key(&key)
        }
        "multisig" => {
            let keys: Vec<_> = vector.at("public_keys").list().map(Entry::key).collect();
            let threshold = u8::try_from(vector.at("threshold").number()).unwrap();
            assert_eq!(Lock::of_keys(threshold, &keys), Lock::Multisig(vector.at("hash").array()));
            Lock::of_keys(threshold, &keys)
        }
        other => panic!("unknown kind {other}"),
    }
}

pub fn addresses(vectors: Entry) {
    for vector in vectors.list() {
        let (lock, hrp, address) = (lock_of(vector), vector.at("hrp").text(), vector.at("address").text());
        assert_eq!(to_address(&lock, hrp).unwrap(), address);
        assert_eq!(from_address(address, hrp).unwrap(), lock);
        assert_eq!(from_address(&address.to_uppercase(), hrp).unwrap(), lock);
        for other in PREFIXES.into_iter().filter(|other| *other != hrp) {
            let refused = from_address(address, other).unwrap_err();
            assert!(matches!(refused, AddressError::WrongChain { .. }), "{refused:?}");
        }
    }
}

pub fn bad_addresses(vectors: Entry) {
    for vector in vectors.list() {
        for hrp in PREFIXES {
            assert!(from_address(vector.text(), hrp).is_err(), "{} on {hrp}", vector.text());
        }
    }
}

pub fn merkle(vectors: Entry) {
    for vector in vectors.list() {
        let ids: Vec<[u8; 32]> = vector.at("ids").list().map(Entry::array).collect();
        let root = vector.at("root").hash();
        assert_eq!(merkle::root(&ids), root);
        let Some(proof) = vector.get("proof") else {
            assert!(ids.is_empty());
            continue;
        };
        let (index, count) = (proof.at("index").small_number(), proof.at("count").small_number());
        let path: Vec<Hash> = proof.at("path").list().map(Entry::hash).collect();
        assert_eq!(merkle::path(&ids, index as usize), Some(path.clone()));
        assert_eq!(merkle::root_of_path(&ids[index as usize], index, count, &path), Some(root));
        assert_ne!(merkle::root_of_path(&[0; 32], index, count, &path), Some(root));
        assert_eq!(merkle::root_of_path(&ids[index as usize], count, count, &path), None);
    }
}

pub fn lthash(vector: Entry) {
    let mut hash = LtHash::default();
    assert_eq!(hash.hash(), vector.at("empty").hash());
    assert_eq!(vector.at("add").list().len(), vector.at("after_each").list().len());
    for (entry, after) in vector.at("add").list().zip(vector.at("after_each").list()) {
        hash.add(&entry.bytes());
        assert_eq!(hash.hash(), after.hash());
        assert_eq!(decode::<LtHash>(&encode(&hash)), Ok(hash.clone()));
    }
    hash.remove(&vector.at("add").list().nth(2).unwrap().bytes());
    assert_eq!(hash.hash(), vector.at("after_removing_third").hash());
}

fn vdf_proof(vector: Entry) -> VdfProof {
    VdfProof { y: vector.at("y").array(), proof: vector.at("proof").array() }
}

pub fn vdf(vectors: Entry) {
    for vector in vectors.list() {
        let (seed, iterations) = (vector.at("seed").hash(), vector.at("iterations").number());
        let proof = vdf_proof(vector);
        assert_eq!(evaluate(&seed, iterations), proof);
        assert!(verify(&seed, iterations, &proof));
        assert_eq!(beacon(&proof), vector.at("beacon").hash());
        // What the challenge prime hashes is the input as the vector has it.
        let prefix = [vector.at("input").bytes(), proof.y.to_vec(), iterations.to_le_bytes().to_vec()].concat();
        let candidate = |i: u64| {
            let mut hash = Domain::VDF_PRIME.hash_all(&[&prefix, &i.to_le_bytes()]);
            hash.0[0] |= 0x80;
            hash.0[31] |= 1;
            hash
        };
        assert!((0..10_000).map(candidate).any(|c| c == vector.at("prime").hash()));
    }
}

pub fn vdf_bad(vectors: Entry) {
    for vector in vectors.list() {
        let (seed, iterations) = (vector.at("seed").hash(), vector.at("iterations").number());
        assert!(!verify(&seed, iterations, &vdf_proof(vector)), "{}", vector.at("why").text());
    }
}
