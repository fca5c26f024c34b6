//! The example client in `docs/examples` against the vectors and against this crate: it was written from the protocol's
//! text alone, so where both agree the text says enough.
//!
//! Needs `python3`; without one every test here says so and passes.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "python/mod.rs"]
mod python;

use std::process::Command;
use timed::types::codec::decode;
use timed::types::hash::{ChainId, Domain};
use timed::types::keys::{PublicKey, SecretKey};
use timed::types::lock::{Lock, Witness};
use timed::types::number::Amount;
use timed::types::transaction::{HashedTx, Transaction, sighash};

fn python() -> Option<Command> {
    python::python("the example client")
}

/// What a few lines of Python print, with the example's functions at hand.
fn printed(python: Command, script: &str) -> Vec<String> {
    python::printed(python, &format!("from client import *\n{script}"))
}

#[test]
fn the_example_passes_its_self_test() {
    let Some(mut python) = python() else { return };
    let output =
        python.args(["client.py", "--self-test"]).arg(python::project("tests/vectors/protocol.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_example_hashes_as_this_crate_does_whatever_the_length() {
    let Some(python) = python() else { return };
    let lengths = [0, 1, 63, 64, 65, 1_023, 1_024, 1_025, 2_048, 2_049, 3_072, 3_073, 7_000, 20_000];
    let script = format!("for n in {lengths:?}:\n    print(H('txid', bytes(i % 251 for i in range(n))).hex())");
    for (length, hash) in lengths.iter().zip(printed(python, &script)) {
        let data: Vec<u8> = (0..*length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        assert_eq!(hash, Domain::TXID.hash(&data).to_string(), "{length} bytes");
    }
}

#[test]
fn a_payment_of_the_example_is_valid_here_and_pays_its_fee() {
    let Some(python) = python() else { return };
    let script = "
spec = {'min_fee_rate': 100, 'min_output': 10000}
chain, secret, to = bytes([1] * 32), bytes([2] * 32), (KEY_HASH, bytes([3] * 32))
coins = [(bytes([9] * 32), i, 40_000 + i) for i in range(300)]
for amount in (10_000, 35_000, 1_000_000, 5_000_000):
    print(build_payment(chain, spec, secret, coins, to, amount, b'thanks').hex())";
    let key = SecretKey::from_bytes(&[2; 32]).public_key();
    for (line, amount) in printed(python, script).iter().zip([10_000, 35_000, 1_000_000, 5_000_000]) {
        let tx: Transaction = decode(&timed::types::hex::decode(line).unwrap()).unwrap();
        let tx = HashedTx::new(tx);
        assert_eq!(
            (tx.body().outputs[0].value, tx.body().memo.as_slice()),
            (Amount::new(amount), b"thanks".as_slice())
        );
        let Some(Witness::Key { pubkey, signature }) = tx.tx().witnesses.first() else { panic!("no witness of a key") };
        assert_eq!(*pubkey, key);
        assert!(is_signed(&key, &sighash(&ChainId([1; 32]), &tx.txid()), &signature.0));
        let inputs: u64 = tx.inputs().iter().map(|spent| 40_000 + u64::from(spent.index)).sum();
        let outputs: u64 = tx.body().outputs.iter().map(|out| out.value.get()).sum();
        let least = 100 * u64::from(tx.size_bytes());
        assert!((least..least + 20_000).contains(&(inputs - outputs)), "a fee of {} for {least}", inputs - outputs);
        assert!(
            tx.body().outputs.iter().skip(1).all(|out| out.lock == Lock::of_key(&key) && out.value.get() >= 10_000)
        );
    }
}

fn is_signed(key: &PublicKey, digest: &timed::types::hash::Hash, signature: &[u8; 64]) -> bool {
    let key = ed25519_zebra::VerificationKey::try_from(key.0).unwrap();
    key.verify(&ed25519_zebra::Signature::from(*signature), digest.as_bytes()).is_ok()
}
