//! The chunks of one snapshot: asked of all who have it, put on disk in order.

use super::peer::Offer;
use super::{JoinCommand, JoinProgress, Joiner, Stage};
use crate::ledger::snapshot::{CheckedManifest, ChunkInfo};
use crate::limits::{JOIN_CHUNKS_AHEAD, JOIN_CHUNKS_PER_PEER, JOIN_RETRY_MS};
use crate::replica::command::PeerId;
use crate::replica::message::Message;
use crate::types::hash::Hash;
use crate::types::number::{Height, TimeMs};
use std::collections::{BTreeMap, BTreeSet};

/// A snapshot on its way.
pub(super) struct Download {
    checked: CheckedManifest,
    hash: Hash,
    /// Leading chunks on disk, or on their way there; `None` until the shell has said.
    held: Option<usize>,
    /// Chunks that came before those in front of them.
    early: BTreeMap<usize, Vec<u8>>,
}

impl Download {
    pub(super) fn new(checked: CheckedManifest, hash: Hash) -> Self {
        Self { checked, hash, held: None, early: BTreeMap::new() }
    }

    fn chunks(&self) -> &[ChunkInfo] {
        &self.checked.manifest().chunks
    }

    pub(super) fn progress(&self) -> JoinProgress {
        let manifest = self.checked.manifest();
        JoinProgress::Chunks {
            height: manifest.height(),
            held: self.held.unwrap_or(0),
            chunks: manifest.chunks.len(),
            bytes: manifest.chunk_bytes(),
        }
    }

    /// Chunks to ask for, in order: not too far ahead of what is on disk.
    fn wanted(&self, asked: &BTreeSet<u32>) -> Vec<u32> {
        let Some(held) = self.held else { return Vec::new() };
        let ahead = held..self.chunks().len().min(held.saturating_add(JOIN_CHUNKS_AHEAD));
        let missing =
            ahead.filter(|index| !self.early.contains_key(index)).filter_map(|index| u32::try_from(index).ok());
        missing.filter(|index| !asked.contains(index)).collect()
    }
}

impl Joiner {
    /// So many leading chunks are on disk.
    pub(super) fn held(&mut self, held: usize) {
        if let Stage::Chunks(download) = &mut self.stage {
            download.held = Some(held.min(download.chunks().len()));
        }
    }

    /// Asks those who have the snapshot, the quickest first; what is not answered in time is asked of another.
    pub(super) fn ask_for_chunks(&mut self, now: TimeMs) {
        let Stage::Chunks(download) = &self.stage else { return };
        let (hash, height, chunks) = (download.hash, download.checked.manifest().height(), download.chunks().len());
        if download.held == Some(chunks) {
            self.out.push(JoinCommand::Complete(download.checked.clone()));
            self.stage = Stage::Proving(hash);
            return;
        }
        for peer in self.peers.values_mut() {
            let before = peer.asked.len();
            peer.asked.retain(|_, at| now.since(*at) < JOIN_RETRY_MS);
            if peer.asked.len() < before {
                peer.stalls = peer.stalls.saturating_add(1);
            }
        }
        if !self.peers.values().any(|peer| peer.offer == Offer::Has(hash)) {
            return self.ask_anew();
        }
        let asked: BTreeSet<u32> = self.peers.values().flat_map(|peer| peer.asked.keys().copied()).collect();
        let Stage::Chunks(download) = &self.stage else { return };
        let mut questions = Vec::new();
        for index in download.wanted(&asked) {
            let able = self.peers.iter_mut().filter(|(_, peer)| peer.offer == Offer::Has(hash));
            let free = able.filter(|(_, peer)| peer.asked.len() < JOIN_CHUNKS_PER_PEER);
            let Some((id, peer)) = free.min_by_key(|(id, peer)| (peer.stalls, peer.asked.len(), **id)) else { break };
            peer.asked.insert(index, now);
            questions.push((*id, index));
        }
        for (peer, index) in questions {
            self.send(peer, Message::GetSnapshotChunk { height, index });
        }
    }

    pub(super) fn heard_chunk(&mut self, from: PeerId, height: Height, index: u32, bytes: Option<Vec<u8>>) {
        let Stage::Chunks(download) = &mut self.stage else { return };
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // What comes too late is as good, if it is what is wanted; nobody is asked for it any more then.
        let was_asked = peer.asked.remove(&index).is_some();
        if height != download.checked.manifest().height() || peer.offer != Offer::Has(download.hash) {
            return;
        }
        let Some(bytes) = bytes else {
            // It made another one meanwhile, and keeps no more.
            peer.offer = Offer::Nothing;
            return;
        };
        let (at, Some(held)) = (index as usize, download.held) else { return };
        if download.chunks().get(at) != Some(&ChunkInfo::of(&bytes)) {
            peer.offer = Offer::Nothing;
            return self.fault(from, "a chunk that is not the snapshot's");
        }
        if was_asked {
            peer.stalls = 0;
        }
        if at < held || at >= held.saturating_add(JOIN_CHUNKS_AHEAD) {
            return;
        }
        download.early.insert(at, bytes);
        let mut next = held;
        while let Some(chunk) = download.early.remove(&next) {
            self.out.push(JoinCommand::Append(chunk));
            next += 1;
        }
        download.held = Some(next);
    }
}
