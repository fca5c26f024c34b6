//! The oracle's own arithmetic against the published vectors of the protocol.

use crate::invariants::committee::Committee;
use crate::invariants::digest;
use crate::invariants::leader::leaders;
use crate::invariants::payout;
use crate::invariants::subsidy::Logarithms;
use serde_json::Value;
use std::collections::BTreeSet;
use timed::chain::spec::{RewardSchedule, RewardSpec};
use timed::types::block::{BftKind, Commit};
use timed::types::hash::{BlockHash, ChainId, Hash, MasternodeId};
use timed::types::keys::{PublicKey, Signature};
use timed::types::lock::Lock;
use timed::types::number::{Amount, Height, View, Weight};
use timed::types::validators::Validator;
use timed::types::vote::FinalityKind;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/protocol.json")).unwrap()
}

fn hash(value: &Value) -> Hash {
    Hash::from_hex(value.as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn committee(weights: &Value) -> Committee {
    let weights = weights.as_array().unwrap().iter().map(number);
    let members = weights.zip(1u8..).map(|(weight, n)| Validator {
        id: MasternodeId([n; 32]),
        consensus_key: PublicKey([n; 32]),
        weight: Weight::new(weight),
        payout: Lock::KeyHash([n; 32]),
    });
    Committee::new(0, members.collect(), &BTreeSet::new())
}

#[test]
fn subsidies() {
    let all = vectors();
    let mut table = Logarithms::new();
    for (name, schedule) in
        [("subsidy_log_height", RewardSchedule::LogHeight), ("subsidy_log_masternodes", RewardSchedule::LogMasternodes)]
    {
        let reward = RewardSpec { schedule, base: Amount::new(10_000_000_000), proposer_bps: 1_000 };
        for (n, expected) in all[name].as_object().unwrap() {
            let n: u64 = n.parse().unwrap();
            if n > 200_000 {
                continue;
            }
            let found = table.subsidy(&reward, n, n as usize);
            assert_eq!(found, (number(expected), number(expected)), "{name} {n}");
        }
    }
}

#[test]
fn leaders_of_all_views() {
    for vector in vectors()["leaders"].as_array().unwrap() {
        let committee = committee(&vector["weights"]);
        let expected: Vec<u64> = vector["views"].as_array().unwrap().iter().map(number).collect();
        let last = expected.len() as u32 - 1;
        let found = leaders(&hash(&vector["beacon"]), number(&vector["height"]), last, &committee);
        let found: Vec<u64> = found.iter().map(|key| u64::from(key.0[0]) - 1).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn splits_of_rewards() {
    for vector in vectors()["reward_split"].as_array().unwrap() {
        let parent = committee(&vector["weights"]);
        let signers: BTreeSet<u64> = vector["signers"].as_array().unwrap().iter().map(number).collect();
        let signatures = (0..parent.members.len() as u64).map(|i| signers.contains(&i).then_some(Signature([0; 64])));
        let commit = Commit {
            height: Height::ZERO,
            view: View::ZERO,
            block_hash: BlockHash::ZERO,
            signatures: signatures.collect(),
        };
        let proposer = vector["proposer"].as_u64().map_or(PublicKey([200; 32]), |i| PublicKey([i as u8 + 1; 32]));
        // A proposer that is no member of the parent's set is the only member of its own.
        let own = match vector["proposer"].as_u64() {
            Some(_) => committee(&vector["weights"]),
            None => {
                let mut alone = committee(&serde_json::json!([1])).members;
                alone[0].consensus_key = proposer;
                Committee::new(0, alone, &BTreeSet::new())
            }
        };
        let (reward, bps) = (number(&vector["reward"]), number(&vector["proposer_bps"]));
        let found = payout::outputs(reward, bps, &parent, Some(&commit), &own, &proposer);
        let paid = vector["paid"].as_array().unwrap();
        assert_eq!(found.len(), paid.len());
        for (out, expected) in found.iter().zip(paid) {
            assert_eq!(out.value.get(), number(&expected[1]));
        }
    }
}

#[test]
fn merkle_roots_and_paths() {
    for vector in vectors()["merkle"].as_array().unwrap() {
        let ids: Vec<Hash> = vector["ids"].as_array().unwrap().iter().map(hash).collect();
        let root = hash(&vector["root"]);
        assert_eq!(digest::merkle_root(ids.iter().map(|id| &id.0)), root);
        let Some(proof) = vector.get("proof").filter(|proof| !proof.is_null()) else { continue };
        let path: Vec<Hash> = proof["path"].as_array().unwrap().iter().map(hash).collect();
        let (index, count) = (number(&proof["index"]) as u32, number(&proof["count"]) as u32);
        let id = ids[index as usize].0;
        assert_eq!(digest::merkle_path_root(&id, index, count, &path), Some(root));
        assert_eq!(digest::merkle_path_root(&id, count, count, &path), None);
        let longer: Vec<Hash> = path.iter().copied().chain([Hash::ZERO]).collect();
        assert_eq!(digest::merkle_path_root(&id, index, count, &longer), None);
    }
}

#[test]
fn digests_that_are_signed() {
    let all = vectors();
    let chain = ChainId(hash(&all["chain_id"]).0);
    for vector in all["bft_votes"].as_array().unwrap() {
        let kind = if number(&vector["kind"]) == 0 { BftKind::Prepare } else { BftKind::Precommit };
        let block = vector["block_hash"].as_str().map(|text| BlockHash::from_hex(text).unwrap());
        let found = digest::of_bft(&chain, number(&vector["height"]), number(&vector["view"]) as u32, kind, block);
        assert_eq!(found, hash(&vector["digest"]));
    }
    for vector in all["proposals"].as_array().unwrap() {
        let (height, view) = (number(&vector["height"]), number(&vector["view"]) as u32);
        let proof = vector["pol_view"].as_u64().map(|view| view as u32);
        let found = digest::of_proposal(&chain, height, view, proof, BlockHash(hash(&vector["block_hash"]).0));
        assert_eq!(found, hash(&vector["digest"]));
    }
    for vector in all["finality_votes"].as_array().unwrap() {
        let kind = if number(&vector["kind"]) == 0 { FinalityKind::Vote } else { FinalityKind::Receipt };
        let txids: Vec<Hash> = vector["txids"].as_array().unwrap().iter().map(hash).collect();
        let root = digest::merkle_root(txids.iter().map(|id| &id.0));
        let voter = PublicKey(hash(&vector["voter"]).0);
        let found = digest::of_votes(&chain, number(&vector["epoch"]), kind, &voter, &root);
        assert_eq!(found, hash(&vector["digest"]));
    }
}

#[test]
fn a_quorum_leaves_at_most_a_third_out() {
    let three = committee(&serde_json::json!([1, 1, 1]));
    assert_eq!([1, 2, 3].map(|weight| three.is_quorum(weight)), [false, true, true]);
    let hundred = committee(&serde_json::json!([100]));
    assert_eq!([66, 67].map(|weight| hundred.is_quorum(weight)), [false, true]);
    assert!(!committee(&serde_json::json!([])).is_quorum(0));
}
