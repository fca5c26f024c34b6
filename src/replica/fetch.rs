//! Transactions this node knows of and lacks: whom to ask next, and when.

use super::command::PeerId;
use super::peers::Peers;
use crate::limits::{FETCH_RETRY_MS, MAX_FETCH_TRIES, MAX_REQUEST_TXIDS, MAX_WANTED_TXS};
use crate::types::hash::Txid;
use crate::types::number::TimeMs;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Wanted {
    /// Who is asked next: first who named the transaction, then the round of all peers.
    next_peer: Option<PeerId>,
    last_asked: Option<PeerId>,
    due: TimeMs,
    tries: u32,
}

/// What each peer is asked for, cut into what one message holds.
pub(super) fn in_messages<T: Clone>(by_peer: BTreeMap<PeerId, Vec<T>>, most: usize) -> Vec<(PeerId, Vec<T>)> {
    let mut messages = Vec::new();
    for (peer, wanted) in by_peer {
        messages.extend(wanted.chunks(most).map(|chunk| (peer, chunk.to_vec())));
    }
    messages
}

/// All transactions waited for. A transaction nobody delivers is given up after [`MAX_FETCH_TRIES`]; what is still
/// needed is wanted again by whoever needs it.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    wanted: BTreeMap<Txid, Wanted>,
    due: std::collections::BTreeSet<(TimeMs, Txid)>,
}

impl Fetch {
    /// Asks for `txid`, first `from`; a newer source is preferred. Beyond the bound it is ignored.
    pub(super) fn want(&mut self, now: TimeMs, txid: Txid, from: Option<PeerId>) {
        if let Some(wanted) = self.wanted.get_mut(&txid) {
            if from.is_some() && wanted.next_peer.is_none() {
                wanted.next_peer = from;
            }
            return;
        }
        if self.wanted.len() >= MAX_WANTED_TXS {
            return;
        }
        self.wanted.insert(txid, Wanted { next_peer: from, last_asked: None, due: now, tries: 0 });
        self.due.insert((now, txid));
    }

    /// What `from` sent is of no use: asks others, after a pause.
    pub(super) fn again(&mut self, now: TimeMs, txid: Txid, from: Option<PeerId>) {
        self.done(&txid);
        if self.wanted.len() < MAX_WANTED_TXS {
            let due = now.plus(FETCH_RETRY_MS);
            self.wanted.insert(txid, Wanted { next_peer: None, last_asked: from, due, tries: 0 });
            self.due.insert((due, txid));
        }
    }

    /// It is here, or no longer needed.
    pub(super) fn done(&mut self, txid: &Txid) {
        if let Some(wanted) = self.wanted.remove(txid) {
            self.due.remove(&(wanted.due, *txid));
        }
    }

    /// The requests that are due, merged a peer.
    pub(super) fn requests(&mut self, now: TimeMs, peers: &Peers) -> Vec<(PeerId, Vec<Txid>)> {
        let mut by_peer: BTreeMap<PeerId, Vec<Txid>> = BTreeMap::new();
        while let Some((due, txid)) = self.due.first().copied() {
            if due > now {
                break;
            }
            self.due.pop_first();
            let Some(wanted) = self.wanted.get_mut(&txid) else { continue };
            let named = wanted.next_peer.take().filter(|p| peers.contains(*p));
            let Some(peer) = named.or_else(|| peers.after(wanted.last_asked)) else {
                self.wanted.remove(&txid);
                continue;
            };
            wanted.last_asked = Some(peer);
            wanted.tries += 1;
            if wanted.tries >= MAX_FETCH_TRIES {
                self.wanted.remove(&txid);
            } else {
                wanted.due = now.plus(FETCH_RETRY_MS);
                self.due.insert((wanted.due, txid));
            }
            by_peer.entry(peer).or_default().push(txid);
        }
        in_messages(by_peer, MAX_REQUEST_TXIDS)
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }
}
