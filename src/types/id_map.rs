//! Maps by identifier: looked up in, never iterated where order matters.
//!
//! Keys are hashes or hold one, so they are spread evenly already; what the map's own hash has to do is to stay
//! unforeseeable, so that nobody makes keys that collide in it. A keyed hash far cheaper than the standard one does.

use std::collections::{HashMap, HashSet};

/// The hash of such maps: keyed anew for each.
pub type IdState = foldhash::fast::RandomState;

/// A map by identifier.
pub type IdMap<K, V> = HashMap<K, V, IdState>;

/// A set of identifiers.
pub type IdSet<K> = HashSet<K, IdState>;
