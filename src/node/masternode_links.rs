//! Links between masternodes (`protocol.md` 10): to all others up to a number, beyond it to some drawn by weight.
//!
//! Invariants: a node that is no masternode wishes none; who was drawn stays as long as it is a masternode, so a change
//! of the registry moves no more links than it has to.

use super::feed::Listener;
use super::view::View;
use crate::chain::registry::{Masternode, MasternodeState, Registry};
use crate::config::is_host_and_port;
use crate::limits::{DRAWN_MASTERNODE_LINKS, MAX_FULL_MESH};
use crate::network::{Handle, Wish};
use crate::replica::Event;
use crate::types::keys::PublicKey;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Draws whom to keep a link to.
#[derive(Debug)]
pub struct Draw {
    own: PublicKey,
    drawn: BTreeSet<PublicKey>,
    rng: ChaCha12Rng,
}

impl Draw {
    /// Nobody is drawn yet. `seed` decides every draw; it is to be secret, or others could foresee them.
    pub fn new(own: PublicKey, seed: [u8; 32]) -> Self {
        Self { own, drawn: BTreeSet::new(), rng: ChaCha12Rng::from_seed(seed) }
    }

    /// The endpoints that this masternode keeps a link to under this registry.
    pub fn endpoints(&mut self, registry: &Registry) -> BTreeSet<String> {
        let is_one = |record: &Masternode| !matches!(record.state, MasternodeState::Unbonding { .. });
        if !registry.by_key(&self.own).is_some_and(is_one) {
            self.drawn.clear();
            return BTreeSet::new();
        }
        let others = registry.iter().filter(|record| is_one(record) && record.consensus_key != self.own);
        let others: BTreeMap<PublicKey, &Masternode> =
            others.filter(|record| is_host_and_port(&record.endpoint)).map(|one| (one.consensus_key, one)).collect();
        let most = if others.len() <= MAX_FULL_MESH { MAX_FULL_MESH } else { DRAWN_MASTERNODE_LINKS };
        self.drawn.retain(|key| others.contains_key(key));
        if self.drawn.len() > most {
            self.drawn.clear();
        }
        let mut urn: Vec<&Masternode> =
            others.values().filter(|record| !self.drawn.contains(&record.consensus_key)).copied().collect();
        while self.drawn.len() < most {
            let Some(record) = self.draw(&mut urn) else { break };
            self.drawn.insert(record.consensus_key);
        }
        self.drawn.iter().filter_map(|key| others.get(key)).map(|record| record.endpoint.clone()).collect()
    }

    /// Takes one out of the urn, each with a chance proportional to its weight.
    fn draw<'a>(&mut self, urn: &mut Vec<&'a Masternode>) -> Option<&'a Masternode> {
        let weight = |record: &Masternode| u128::from(record.weight.get());
        let total: u128 = urn.iter().map(|record| weight(record)).sum();
        // Whoever has no weight is drawn like one with a little, once nobody else is left.
        let mut ticket = if total == 0 { 0 } else { self.rng.random_range(0..total) };
        let place = urn.iter().position(|record| match ticket.checked_sub(weight(record)) {
            Some(rest) if total > 0 => {
                ticket = rest;
                false
            }
            _ => true,
        });
        place.map(|place| urn.swap_remove(place))
    }
}

/// Runs until the node stops: after each block the network hears which links are wished now and which no longer.
pub async fn run(mut draw: Draw, view: Arc<View>, mut blocks: Listener, network: Handle, stop: CancellationToken) {
    let mut wished = BTreeSet::new();
    loop {
        let endpoints = draw.endpoints(&view.tip().registry);
        if endpoints != wished {
            wish(&network, &mut wished, endpoints);
        }
        loop {
            // Receiving is cancel-safe.
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = blocks.recv() => heard,
            };
            match heard {
                Ok(told) if matches!(told.event, Event::BlockCommitted { .. }) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Tells the differences. What the dialer does not take, having too much to do, is told again after the next block.
fn wish(network: &Handle, wished: &mut BTreeSet<String>, endpoints: BTreeSet<String>) {
    wished.retain(|old| endpoints.contains(old) || !network.forget(old.clone(), Wish::Masternode));
    for endpoint in endpoints {
        if !wished.contains(&endpoint) && network.want(endpoint.clone(), Wish::Masternode) {
            wished.insert(endpoint);
        }
    }
    debug!(links = wished.len(), "links to masternodes wished");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::MasternodeId;
    use crate::types::keys::SecretKey;
    use crate::types::lock::Lock;
    use crate::types::number::{Amount, Epoch, Height, Weight};
    use crate::types::transaction::OutPoint;

    fn key(n: usize) -> PublicKey {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        SecretKey::from_bytes(&seed).public_key()
    }

    fn record(n: usize, weight: u64) -> Masternode {
        let mut id = [0; 32];
        // In the order of the ids.
        id[..8].copy_from_slice(&n.to_be_bytes());
        Masternode {
            id: MasternodeId(id),
            consensus_key: key(n),
            owner: Lock::of_key(&key(n)),
            payout: Lock::of_key(&key(n)),
            endpoint: format!("node{n}.example:24000"),
            collateral: OutPoint { txid: crate::types::hash::Txid(id), index: 0 },
            value: Amount::new(1),
            weight: Weight::new(weight),
            queued_at: Height::ZERO,
            state: MasternodeState::Active,
            slashed: false,
        }
    }

    fn registry(records: impl IntoIterator<Item = Masternode>) -> Registry {
        Registry::from_records(records).unwrap()
    }

    fn draw(n: usize) -> Draw {
        Draw::new(key(n), [9; 32])
    }

    #[test]
    fn up_to_a_hundred_others_all_are_linked_and_never_oneself() {
        let all = registry((0..=MAX_FULL_MESH).map(|n| record(n, 1)));
        let endpoints = draw(0).endpoints(&all);
        assert_eq!(endpoints, (1..=MAX_FULL_MESH).map(|n| record(n, 1).endpoint).collect());
    }

    #[test]
    fn beyond_that_some_are_drawn_by_weight_and_stay() {
        let weight = |n: usize| if n.is_multiple_of(10) { 1_000 } else { 1 };
        let many = || (0..300).map(|n| record(n, weight(n)));
        let mut draw = draw(1);
        let endpoints = draw.endpoints(&registry(many()));
        assert_eq!(endpoints.len(), DRAWN_MASTERNODE_LINKS);
        let heavy = (0..300).filter(|n| weight(*n) > 1 && endpoints.contains(&record(*n, 1).endpoint)).count();
        assert!(heavy >= 25, "{heavy} of the 30 that have nearly all the weight");
        assert_eq!(draw.endpoints(&registry(many())), endpoints, "no block moves a link");
        let gone = draw.drawn.iter().next().copied().unwrap();
        let fewer = draw.endpoints(&registry(many().filter(|record| record.consensus_key != gone)));
        assert_eq!((fewer.len(), fewer.intersection(&endpoints).count()), (32, 31), "one takes its place");
    }

    #[test]
    fn a_mesh_that_grows_too_large_is_drawn_anew() {
        let mut draw = draw(0);
        draw.endpoints(&registry((0..=MAX_FULL_MESH).map(|n| record(n, 1))));
        let endpoints = draw.endpoints(&registry((0..MAX_FULL_MESH + 2).map(|n| record(n, 1))));
        assert_eq!(endpoints.len(), DRAWN_MASTERNODE_LINKS);
    }

    #[test]
    fn who_is_no_masternode_wishes_no_links_and_who_unbonds_is_not_linked() {
        let until_epoch = Epoch::ZERO;
        let unbonding = Masternode { state: MasternodeState::Unbonding { until_epoch }, ..record(2, 1) };
        let nowhere = Masternode { endpoint: "nowhere".to_owned(), ..record(3, 1) };
        let all = registry([record(0, 1), record(1, 0), unbonding, nowhere]);
        assert_eq!(draw(0).endpoints(&all), BTreeSet::from([record(1, 0).endpoint]));
        assert!(draw(2).endpoints(&all).is_empty() && draw(9).endpoints(&all).is_empty());
    }
}
