//! All links of a node: how many there may be, from where, and which of two between the same nodes stays.
//!
//! Invariants: at most one link a node; at most `max_links` in all, a share of them only for links that this node dials;
//! at most `max_per_place` inbound connections from one place, handshakes included. Whoever sends or looks never waits
//! for whoever connects: the map of links is published anew with each change.

use super::address::place;
use super::error::LinkError;
use super::message::CloseReason;
use super::outgoing::Budget;
use super::peer::Link;
use crate::limits::{MAX_PENDING_HANDSHAKES, OUTBOUND_SHARE, REMEMBERED_LINKS};
use crate::replica::PeerId;
use crate::types::link::{NodeId, Role};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Counts {
    by_node: BTreeMap<NodeId, Arc<Link>>,
    inbound_from: BTreeMap<IpAddr, usize>,
    /// Links that ended, the newest last: what they said may still be looked at.
    ended: VecDeque<(PeerId, NodeId, IpAddr)>,
    handshakes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    counts: Mutex<Counts>,
    links: ArcSwap<BTreeMap<PeerId, Arc<Link>>>,
    last_peer: AtomicU64,
    max_links: usize,
    max_per_place: usize,
    pub budget: Budget,
}

impl Table {
    pub(super) fn new(max_links: usize, max_per_place: usize) -> Self {
        Self {
            counts: Mutex::default(),
            links: ArcSwap::default(),
            last_peer: AtomicU64::new(0),
            max_links,
            max_per_place,
            budget: Budget::default(),
        }
    }

    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for a link.
    pub(super) fn next_peer(&self) -> PeerId {
        PeerId(self.last_peer.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Room for a connection from `ip`, if there is any. Given back when dropped.
    pub(super) fn reserve_inbound(self: &Arc<Self>, ip: IpAddr) -> Option<InboundSlot> {
        let place = place(ip);
        let mut counts = self.lock();
        let here = counts.inbound_from.get(&place).copied().unwrap_or_default();
        if counts.handshakes >= MAX_PENDING_HANDSHAKES || here >= self.max_per_place {
            return None;
        }
        counts.inbound_from.insert(place, here + 1);
        counts.handshakes += 1;
        Some(InboundSlot { table: self.clone(), place, is_pending: true })
    }

    /// Takes a link in, perhaps in another one's place, which is closed.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub(super) fn admit(&self, link: &Arc<Link>) -> Result<(), CloseReason> {
        let mut counts = self.lock();
        match counts.by_node.get(&link.info.node_id) {
            Some(other) if !link.supersedes(other) => return Err(CloseReason::Duplicate),
            Some(_) => {}
            None if !self.has_room(&counts, link.info.role) => return Err(CloseReason::Full),
            None => {}
        }
        let replaced = counts.by_node.insert(link.info.node_id, link.clone());
        self.publish(&counts);
        drop(counts);
        if let Some(replaced) = replaced {
            replaced.close(LinkError::Closed(CloseReason::Duplicate));
        }
        Ok(())
    }

    fn has_room(&self, counts: &Counts, role: Role) -> bool {
        let inbound = counts.by_node.values().filter(|link| link.info.role == Role::Responder).count();
        let is_share_left = role == Role::Initiator || inbound < self.max_links - self.max_links / OUTBOUND_SHARE;
        counts.by_node.len() < self.max_links && is_share_left
    }

    /// Whether there is no room for a further link, whoever dials.
    pub(super) fn is_full(&self) -> bool {
        self.links.load().len() >= self.max_links
    }

    /// Forgets a link, if it is still here.
    pub(super) fn remove(&self, link: &Link) {
        let mut counts = self.lock();
        if counts.by_node.get(&link.info.node_id).is_some_and(|held| held.info.peer == link.info.peer) {
            counts.by_node.remove(&link.info.node_id);
            self.publish(&counts);
        }
        if counts.ended.len() >= REMEMBERED_LINKS {
            counts.ended.pop_front();
        }
        counts.ended.push_back((link.info.peer, link.info.node_id, link.info.address.ip()));
    }

    /// Who is at the other end of a link, or was until lately, and at which address.
    pub(super) fn node_of(&self, peer: PeerId) -> Option<(NodeId, IpAddr)> {
        if let Some(link) = self.get(peer) {
            return Some((link.info.node_id, link.info.address.ip()));
        }
        self.lock().ended.iter().find(|(ended, ..)| *ended == peer).map(|(_, node, ip)| (*node, *ip))
    }

    fn publish(&self, counts: &Counts) {
        self.links.store(Arc::new(counts.by_node.values().map(|link| (link.info.peer, link.clone())).collect()));
    }

    /// The links as they are now.
    pub(super) fn links(&self) -> Arc<BTreeMap<PeerId, Arc<Link>>> {
        self.links.load_full()
    }

    /// The link of this name.
    pub(super) fn get(&self, peer: PeerId) -> Option<Arc<Link>> {
        self.links.load().get(&peer).cloned()
    }

    /// Whether there is a link to this node, or to one that listens at this address.
    pub(super) fn is_linked(&self, node: Option<NodeId>, address: Option<SocketAddr>) -> bool {
        let is_it =
            |link: &Arc<Link>| node == Some(link.info.node_id) || (address.is_some() && link.info.listen == address);
        self.links.load().values().any(is_it)
    }
}

/// Room for one inbound connection.
#[derive(Debug)]
pub(super) struct InboundSlot {
    table: Arc<Table>,
    place: IpAddr,
    is_pending: bool,
}

impl InboundSlot {
    /// The handshake is done: it no longer counts as pending.
    pub(super) fn handshake_done(&mut self) {
        if std::mem::take(&mut self.is_pending) {
            self.table.lock().handshakes -= 1;
        }
    }
}

impl Drop for InboundSlot {
    fn drop(&mut self) {
        self.handshake_done();
        let mut counts = self.table.lock();
        let left = counts.inbound_from.get(&self.place).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.inbound_from.remove(&self.place);
        } else {
            counts.inbound_from.insert(self.place, left);
        }
    }
}

#[cfg(test)]
mod tests;
