//! The light verifier in `docs/examples` against the vectors, against this crate, and against forged answers. It was
//! written from the protocol's text; `process/light.rs` runs it against nodes.
//!
//! Needs `python3`; without one every test here says so and passes.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

#[path = "python/mod.rs"]
mod python;

use std::process::Command;
use timed::chain::genesis::genesis;
use timed::chain::spec::{Allocation, Chain, ChainSpec, GenesisMasternode};
use timed::crypto::batch::{SignatureCheck, verify};
use timed::types::hash::{Domain, Hash};
use timed::types::hex;
use timed::types::keys::{PublicKey, SecretKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::Amount;

fn python() -> Option<Command> {
    python::python("the light verifier")
}

fn printed(python: Command, script: &str) -> Vec<String> {
    python::printed(python, &format!("import client\nfrom light import *\n{script}"))
}

#[test]
fn the_light_verifier_passes_its_self_test() {
    let Some(mut python) = python() else { return };
    let vectors = python::project("tests/vectors/protocol.json");
    let output = python.args(["light.py", "--self-test"]).arg(vectors).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_lie_is_believed() {
    let Some(mut python) = python() else { return };
    let output = python.arg(python::project("tests/light/forged.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let count: usize = told.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 1_000, "{told}");
}

/// A chain of so many masternodes of all tiers, and so many allocations.
fn chain(masternodes: u8, allocations: u64) -> Chain {
    let lock = |n: u8| match n % 2 {
        0 => Lock::of_key(&PublicKey([n; 32])),
        _ => Lock::Multisig([n; 32]),
    };
    let mut spec = ChainSpec::builtin("dev").unwrap();
    spec.name = format!("light-{masternodes}");
    spec.genesis_time_ms = 1_700_000_000_123;
    let tiers: Vec<String> = spec.tiers.iter().map(|tier| tier.name.clone()).collect();
    let masternode = |n: u8| GenesisMasternode {
        consensus_key: SecretKey::from_bytes(&[n; 32]).public_key(),
        owner: lock(n),
        payout: lock(n + 1),
        tier: tiers[usize::from(n) % tiers.len()].clone(),
        endpoint: format!("h\u{f6}st-{n}:24000"),
    };
    spec.masternodes = (1..=masternodes).map(masternode).collect();
    let allocation = |n: u64| Allocation { address: lock(n.to_le_bytes()[0]), amount: Amount::new(1 + n * 70_000_003) };
    spec.allocations = (0..allocations).map(allocation).collect();
    Chain::new(spec).unwrap()
}

#[test]
fn what_follows_from_a_spec_is_the_same_here_and_there() {
    for chain in [chain(1, 0), chain(4, 2), chain(60, 300)] {
        let Some(python) = python() else { return };
        let folder = tempfile::tempdir().unwrap();
        let (toml, json) = (folder.path().join("chain.toml"), folder.path().join("chain.json"));
        std::fs::write(&toml, chain.to_toml().unwrap()).unwrap();
        std::fs::write(&json, serde_json::to_string(&chain.to_text().unwrap()).unwrap()).unwrap();
        let script = format!(
            "for path in [{json:?}] + [{toml:?}] * (tomllib is not None):\n    \
             chain = Chain(read_spec(path))\n    \
             print(chain.id.hex(), chain.genesis_hash.hex(), chain.genesis_set.hash.hex(), chain.genesis_set.total)"
        );
        let genesis = genesis(&chain).unwrap();
        let (hash, set) = (genesis.block.header.hash(), &genesis.validators);
        let expected = format!("{} {hash} {} {}", chain.id(), set.hash(), set.total());
        let lines = printed(python, &script);
        assert!(!lines.is_empty() && lines.iter().all(|line| *line == expected), "{lines:?} and not {expected}");
    }
}

#[test]
fn a_spec_that_is_not_exactly_one_is_refused() {
    let chain = chain(2, 1);
    let json = serde_json::to_value(chain.to_text().unwrap()).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut spec = json.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value.is_null() {
            true => drop(parent.remove(key)),
            false => drop(parent.insert(key.to_owned(), value)),
        }
        spec
    };
    for (spec, reason) in [
        (changed("/epoch_slotz", 5.into()), "unknown key: epoch_slotz"),
        (changed("/snowball/kk", 5.into()), "unknown key: kk"),
        (changed("/slot_ms", serde_json::Value::Null), "slot_ms"),
        (changed("/slot_ms", (-1).into()), "slot_ms"),
        (changed("/slot_ms", true.into()), "slot_ms"),
        (changed("/reward/schedule", "none".into()), "schedule"),
        (changed("/masternodes/0/payout", "time1qqqq".into()), "begin with rtime1"),
        (changed("/masternodes/0/tier", "tin".into()), "tier"),
        (changed("/masternodes/0/consensus_key", "00".into()), "consensus_key"),
        (changed("/masternodes", serde_json::json!([])), "not launched"),
        (changed("/chain_id", "00".into()), "says it were another's"),
        (serde_json::json!([]), "a table"),
    ] {
        let Some(python) = python() else { return };
        let script = format!(
            "try:\n    print('taken', Chain(json.loads({:?})).id)\nexcept ValueError as error:\n    print(error)",
            spec.to_string()
        );
        let said = printed(python, &script).join("\n");
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

/// Signatures over which verifiers differ, as (key, message, signature); the last two of a line of hex are made with
/// points of small order added to key and R, which only the cofactored equation lets pass.
const MADE_THERE: &str = "
identity = bytes([1]) + bytes(31)
small = [bytes.fromhex(text) for text in (
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '0000000000000000000000000000000000000000000000000000000000000000',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff')]

def encode_point(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, 'little')

def sign_with(secret, message, of_key, of_r):
    scalar, prefix = client.expand(secret)
    key = encode_point(add(decode_point(client.multiply_base(scalar)), decode_point(of_key)))
    nonce = client.sha512_number(prefix, message) % ORDER
    r = encode_point(add(decode_point(client.multiply_base(nonce)), decode_point(of_r)))
    challenge = client.sha512_number(r, key, message) % ORDER
    return key, message, r + ((nonce + challenge * scalar) % ORDER).to_bytes(32, 'little')

message = H('sighash', b'light')
cases = [(key, message, r + bytes(32)) for key in small for r in small]
cases += [sign_with(bytes([7]) * 32, message, key, r) for key in small[:8] for r in small[:8]]
key, _, good = sign_with(bytes([8]) * 32, message, identity, identity)
cases.append((key, message, good[:32] + (int.from_bytes(good[32:], 'little') + ORDER).to_bytes(32, 'little')))
cases.append((small[0], message, small[0] + ORDER.to_bytes(32, 'little')))
cases.append((bytes([2]) + bytes(31), message, good))
cases.append((key, message, bytes([2]) + bytes(31) + good[32:]))
cases += [(small[i], message, good) for i in range(14)]
cases.append((key, H('sighash', b'dark'), good))
for bit in range(0, 512, 5):
    changed = bytearray(good)
    changed[bit // 8] ^= 1 << bit % 8
    cases.append((key, message, bytes(changed)))
alone = [all_good([case]) for case in cases]
for case, is_good in zip(cases, alone):
    print(*(part.hex() for part in case), int(is_good))
taken = [case for case, is_good in zip(cases, alone) if is_good]
demand(all_good(taken), 'good signatures together')
demand(first_bad(taken + [cases[-1]] + taken) == cases[-1], 'a bad one among them')
";

#[test]
fn signatures_are_judged_as_here_also_where_verifiers_differ() {
    let Some(python) = python() else { return };
    let lines = printed(python, MADE_THERE);
    let mut good = 0;
    for line in &lines {
        let parts: Vec<&str> = line.split(' ').collect();
        let check = SignatureCheck {
            key: PublicKey(hex::decode_array(parts[0]).unwrap()),
            digest: Hash(hex::decode_array(parts[1]).unwrap()),
            signature: Signature(hex::decode_array(parts[2]).unwrap()),
        };
        assert_eq!(parts[3] == "1", verify(&check), "{line}");
        good += usize::from(parts[3] == "1");
    }
    // The published cases, and those with small points in key and R.
    assert_eq!((good, lines.len() > 380), (196 + 64, true), "{}", lines.len());
}

#[test]
fn long_outputs_of_the_hash_are_the_same_here_and_there() {
    let Some(python) = python() else { return };
    let script = "for n in (0, 5, 64, 80, 1024, 3000):\n    print(H_2048('state entry', bytes(n)).hex())";
    for (line, length) in printed(python, script).iter().zip([0, 5, 64, 80, 1_024, 3_000]) {
        let mut output = vec![0; 2_048];
        Domain::STATE_ENTRY.fill(&vec![0; length], &mut output);
        assert_eq!(*line, hex::encode(&output), "{length} bytes");
    }
}
