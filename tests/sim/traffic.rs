//! What travels in a world, for figures.

use std::collections::BTreeMap;
use std::fmt;
use timed::replica::message::Message;
use timed::types::codec::encoded_size;
use timed::types::hash::Txid;

/// Messages delivered, and when payments became final.
#[derive(Default)]
pub struct Traffic {
    /// By kind: messages and their bytes, before compression.
    kinds: BTreeMap<&'static str, (u64, u64)>,
    /// A payment and when a node told it as final, one entry a node.
    pub finals: Vec<(Txid, u64)>,
}

impl Traffic {
    /// A message arrives.
    pub fn count(&mut self, message: &Message) {
        let (messages, bytes) = self.kinds.entry(kind(message)).or_default();
        *messages += 1;
        *bytes += encoded_size(message) as u64;
    }

    /// All messages and bytes.
    pub fn total(&self) -> (u64, u64) {
        self.kinds.values().fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1))
    }

    /// Milliseconds from `handed_in` until the payments were final, over all nodes: the median and the longest.
    pub fn finality_ms(&self, handed_in: &BTreeMap<Txid, u64>) -> Option<(u64, u64)> {
        let waited = self.finals.iter().filter_map(|(txid, at)| Some(at - handed_in.get(txid)?));
        let mut waited: Vec<u64> = waited.collect();
        waited.sort_unstable();
        Some((*waited.get(waited.len() / 2)?, *waited.last()?))
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (messages, bytes)) in &self.kinds {
            writeln!(f, "  {kind:<15} {messages:>9} messages {bytes:>12} bytes")?;
        }
        Ok(())
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Status { .. } => "Status",
        Message::TxAnnounce(_) => "TxAnnounce",
        Message::GetTxs(_) => "GetTxs",
        Message::Txs(_) => "Txs",
        Message::SampleQuery { .. } => "SampleQuery",
        Message::SampleResponse { .. } => "SampleResponse",
        Message::Votes(_) => "Votes",
        Message::GetVotes { .. } => "GetVotes",
        Message::Proposal(_) => "Proposal",
        Message::BftVote(_) => "BftVote",
        Message::Commit(_) => "Commit",
        Message::GetBlocks { .. } => "GetBlocks",
        Message::Blocks(_) => "Blocks",
        Message::Evidence(_) => "Evidence",
        Message::Links(_) => "Links",
        Message::IHave(_) => "IHave",
        Message::IWant(_) => "IWant",
        Message::Presence(_) => "Presence",
        Message::GetHeaders { .. } => "GetHeaders",
        Message::Headers(_) => "Headers",
        Message::GetEpochs { .. } => "GetEpochs",
        Message::Epochs(_) => "Epochs",
        Message::GetSnapshot { .. } => "GetSnapshot",
        Message::SnapshotManifest(_) => "SnapshotManifest",
        Message::GetSnapshotChunk { .. } => "GetSnapshotChunk",
        Message::SnapshotChunk { .. } => "SnapshotChunk",
    }
}
