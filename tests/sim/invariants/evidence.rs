//! S11: evidence verifies, judged by the oracle's own check, and never names an honest masternode
//! (`protocol.md` 11).

use super::digest;
use super::signatures::{Claim, Signatures};
use timed::types::codec::encode;
use timed::types::evidence::Evidence;
use timed::types::hash::{ChainId, Hash};
use timed::types::keys::PublicKey;
use timed::types::vote::{FinalityKind, VotePart};

/// `H("evidence", encode(evidence))`.
pub fn hash(evidence: &Evidence) -> Hash {
    digest::h("timecoin v1 evidence", &[&encode(evidence)])
}

/// What is wrong with the evidence, if anything.
pub fn fault(chain: &ChainId, evidence: &Evidence, signatures: &mut Signatures) -> Option<&'static str> {
    let (voter, a, b) = match evidence {
        Evidence::Bft { voter, a, b } => {
            if encode(a) >= encode(b) {
                return Some("its two sides are out of order");
            }
            if (a.height, a.view, a.kind) != (b.height, b.view, b.kind) || a.block_hash == b.block_hash {
                return Some("the two votes do not contradict each other");
            }
            let digest = |p: &timed::types::evidence::BftPart| {
                digest::of_bft(chain, p.height.get(), p.view.get(), p.kind, p.block_hash)
            };
            (voter, (digest(a), a.signature), (digest(b), b.signature))
        }
        Evidence::Finality { voter, epoch, a, b } => {
            if encode(a) >= encode(b) {
                return Some("its two sides are out of order");
            }
            if a.body == b.body || !a.body.inputs.iter().any(|input| b.body.inputs.contains(input)) {
                return Some("the two transactions are no rivals");
            }
            let (Some(one), Some(other)) =
                (digest_of_part(chain, epoch.get(), voter, a), digest_of_part(chain, epoch.get(), voter, b))
            else {
                return Some("a Merkle path leads nowhere");
            };
            (voter, (one, a.signature), (other, b.signature))
        }
    };
    let signed = [a, b].map(|(digest, signature)| Claim { key: *voter, digest, signature });
    let both = signed.into_iter().all(|claim| signatures.check(claim));
    (!both).then_some("a signature is not valid")
}

fn digest_of_part(chain: &ChainId, epoch: u64, voter: &PublicKey, part: &VotePart) -> Option<Hash> {
    let txid = digest::h("timecoin v1 txid", &[&encode(&part.body)]);
    let root = digest::merkle_path_root(&txid.0, part.index, part.count, &part.path)?;
    Some(digest::of_votes(chain, epoch, FinalityKind::Vote, voter, &root))
}
