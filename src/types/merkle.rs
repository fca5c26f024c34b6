//! Merkle tree over 32-byte identifiers, with inclusion paths.
//!
//! Leaf `H("merkle leaf", id)`, node `H("merkle node", left || right)`; an odd last node moves up unchanged, and a
//! path has no entry for that level. The empty tree is 32 zero bytes. Leaves and nodes hash in different
//! domains, so a node never passes for a leaf (the attack that RFC 6962, section 2.1 guards against).

use super::hash::{Domain, Hash};

fn leaf(id: &[u8; 32]) -> Hash {
    Domain::MERKLE_LEAF.hash(id)
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Domain::MERKLE_NODE.hash_all(&[&left.0, &right.0])
}

fn next_level(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node(left, right),
            rest => rest[0],
        })
        .collect()
}

/// Root over `ids` in their order; 32 zero bytes for none.
pub fn root<'a>(ids: impl IntoIterator<Item = &'a [u8; 32]>) -> Hash {
    let mut level: Vec<Hash> = ids.into_iter().map(leaf).collect();
    while level.len() > 1 {
        level = next_level(&level);
    }
    level.first().copied().unwrap_or(Hash::ZERO)
}

/// Siblings from the leaf at `index` up to the root, or `None` if there is no such leaf.
pub fn path<'a>(ids: impl IntoIterator<Item = &'a [u8; 32]>, index: usize) -> Option<Vec<Hash>> {
    let mut level: Vec<Hash> = ids.into_iter().map(leaf).collect();
    if index >= level.len() {
        return None;
    }
    let mut position = index;
    let mut siblings = Vec::new();
    while level.len() > 1 {
        if let Some(sibling) = level.get(position ^ 1) {
            siblings.push(*sibling);
        }
        level = next_level(&level);
        position /= 2;
    }
    Some(siblings)
}

/// The root that `path` leads to from `id` at `index` of `count` leaves, or `None` if a path of that shape cannot
/// exist: wrong length, index out of range, no leaves.
pub fn root_of_path(id: &[u8; 32], index: u32, count: u32, path: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let mut siblings = path.iter();
    let mut hash = leaf(id);
    let (mut position, mut width) = (index, count);
    while width > 1 {
        if position % 2 == 1 {
            hash = node(siblings.next()?, &hash);
        } else if position + 1 < width {
            hash = node(&hash, siblings.next()?);
        }
        position /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_path_proves_its_leaf_and_nothing_else(
            ids in prop::collection::vec(any::<[u8; 32]>(), 1..40),
            pick in any::<prop::sample::Index>(),
            other in any::<[u8; 32]>(),
        ) {
            let index = pick.index(ids.len());
            let root = root(&ids);
            let path = path(&ids, index).unwrap();
            let (at, count) = (index as u32, ids.len() as u32);
            prop_assert_eq!(root_of_path(&ids[index], at, count, &path), Some(root));
            prop_assert_ne!(root_of_path(&other, at, count, &path), Some(root));
            prop_assert_eq!(root_of_path(&ids[index], count, count, &path), None);
            let mut longer = path.clone();
            longer.push(Hash::ZERO);
            prop_assert_eq!(root_of_path(&ids[index], at, count, &longer), None);
        }
    }

    #[test]
    fn there_is_no_path_in_an_empty_tree() {
        assert_eq!(root(&[]), Hash::ZERO);
        assert_eq!(path(&[], 0), None);
        assert_eq!(root_of_path(&[0; 32], 0, 0, &[]), None);
    }
}
