//! A quorum behind every commit (S2), recomputed from the raw signatures.

use super::committee::Committee;
use super::digest;
use super::signatures::{Claim, Signatures};
use timed::types::block::{BftKind, Commit};
use timed::types::hash::{BlockHash, ChainId};
use timed::types::keys::PublicKey;

/// Who signed `commit`, as far as its entries fit the set.
pub fn signers<'a>(committee: &'a Committee, commit: &'a Commit) -> impl Iterator<Item = &'a PublicKey> {
    let entries = committee.members.iter().zip(&commit.signatures);
    entries.filter(|(_, signature)| signature.is_some()).map(|(member, _)| &member.consensus_key)
}

/// What is wrong with `commit` as the commit of the block `hash` at `height`, signed by `committee`, if anything.
pub fn fault(
    chain: &ChainId,
    committee: &Committee,
    (height, hash): (u64, BlockHash),
    commit: &Commit,
    signatures: &mut Signatures,
) -> Option<String> {
    if commit.height.get() != height || commit.block_hash != hash {
        return Some(format!("the commit is of height {} and block {:?}", commit.height, commit.block_hash));
    }
    if commit.signatures.len() != committee.members.len() {
        return Some(format!("{} entries for {} members", commit.signatures.len(), committee.members.len()));
    }
    let digest = digest::of_bft(chain, height, commit.view.get(), BftKind::Precommit, Some(hash));
    let signed: Vec<(u128, Claim)> = committee
        .members
        .iter()
        .zip(&commit.signatures)
        .filter_map(|(m, entry)| {
            let claim = entry.map(|signature| Claim { key: m.consensus_key, digest, signature })?;
            Some((u128::from(m.weight.get()), claim))
        })
        .collect();
    signatures.check_all(&signed.iter().map(|(_, claim)| *claim).collect::<Vec<_>>());
    let mut weight = 0;
    for (of_one, claim) in signed {
        if !signatures.check(claim) {
            return Some(format!("the precommit of {:?} is not valid", claim.key));
        }
        weight += of_one;
    }
    (!committee.is_quorum(weight)).then(|| format!("{weight} of {} is no quorum", committee.total))
}
