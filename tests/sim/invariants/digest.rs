//! What signatures cover, and Merkle trees: computed here from the text of `protocol.md` 1, 6, 7 and 9, straight over
//! BLAKE3, so that a digest which forgets a field is noticed.

use timed::types::block::BftKind;
use timed::types::codec::encode;
use timed::types::hash::{BlockHash, ChainId, Hash, Txid};
use timed::types::keys::PublicKey;
use timed::types::vote::FinalityKind;

/// `H(NAME, parts)`; `context` is `"timecoin v1 " + NAME`.
pub fn h(context: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// What a prepare or precommit signs.
pub fn of_bft(chain: &ChainId, height: u64, view: u32, kind: BftKind, block: Option<BlockHash>) -> Hash {
    let kind = match kind {
        BftKind::Prepare => 0u32,
        BftKind::Precommit => 1,
    };
    h("timecoin v1 bft vote", &[&chain.0, &encode(&(height, view, kind, block.map(|b| b.0)))])
}

/// What a proposal signs.
pub fn of_proposal(chain: &ChainId, height: u64, view: u32, proof_view: Option<u32>, block: BlockHash) -> Hash {
    h("timecoin v1 proposal", &[&chain.0, &encode(&(height, view, proof_view, block.0))])
}

/// What a batch of votes or receipts with this Merkle root signs.
pub fn of_votes(chain: &ChainId, epoch: u64, kind: FinalityKind, voter: &PublicKey, root: &Hash) -> Hash {
    let kind = match kind {
        FinalityKind::Vote => 0u8,
        FinalityKind::Receipt => 1,
    };
    h("timecoin v1 finality vote", &[&chain.0, &encode(&epoch), &[kind], &voter.0, &root.0])
}

/// What the owner of an input signs.
pub fn of_spend(chain: &ChainId, txid: &Txid) -> Hash {
    h("timecoin v1 sighash", &[&chain.0, &txid.0])
}

fn leaf(id: &[u8; 32]) -> [u8; 32] {
    h("timecoin v1 merkle leaf", &[id]).0
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    h("timecoin v1 merkle node", &[left, right]).0
}

/// Merkle root over `ids`, computed as a binary counter of complete subtrees: an odd last node moves up unchanged.
pub fn merkle_root<'a>(ids: impl IntoIterator<Item = &'a [u8; 32]>) -> Hash {
    // Complete subtrees from left to right, each smaller than the one before it; the number is its height.
    let mut subtrees: Vec<(u32, [u8; 32])> = Vec::new();
    for id in ids {
        let mut new = (0, leaf(id));
        while let Some((height, left)) = subtrees.last()
            && *height == new.0
        {
            new = (height + 1, node(left, &new.1));
            subtrees.pop();
        }
        subtrees.push(new);
    }
    let root = subtrees.into_iter().rev().map(|(_, hash)| hash).reduce(|right, left| node(&left, &right));
    Hash(root.unwrap_or([0; 32]))
}

/// The root that a Merkle path leads to; `None` if a tree of `count` leaves has no such path. Descends from the root:
/// the left half of a tree is the largest power of two below its number of leaves.
pub fn merkle_path_root(id: &[u8; 32], index: u32, count: u32, path: &[Hash]) -> Option<Hash> {
    fn descend(id: &[u8; 32], index: u64, count: u64, path: &[Hash]) -> Option<[u8; 32]> {
        if count == 1 {
            return path.is_empty().then(|| leaf(id));
        }
        let left = count.next_power_of_two() / 2;
        let (sibling, below) = path.split_last()?;
        if index < left {
            Some(node(&descend(id, index, left, below)?, &sibling.0))
        } else {
            Some(node(&sibling.0, &descend(id, index - left, count - left, below)?))
        }
    }
    if index >= count {
        return None;
    }
    descend(id, u64::from(index), u64::from(count), path).map(Hash)
}
