//! The signer against a disk that can fail.

mod blocks;
mod damage;
mod life;
mod payments;
mod property;

use super::{
    Appended, Closing, LogContents, Recovered, Refusal, Rewritten, SignRequest, SignedMessage, Signer, SignerError,
};
use crate::types::block::{BftKind, Header, PrepareProof, Proposal};
use crate::types::hash::{BlockHash, ChainId, Hash, Txid};
use crate::types::keys::{PublicKey, SecretKey, Signature};
use crate::types::number::{Amount, Epoch, Height, Slot, View};
use crate::types::transaction::OutPoint;

pub(super) const CHAIN: ChainId = ChainId([7; 32]);

pub(super) fn secret() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

pub(super) fn txid(n: u8) -> Txid {
    Txid([n; 32])
}

pub(super) fn outpoint(n: u8) -> OutPoint {
    OutPoint { txid: Txid([n; 32]), index: u32::from(n) }
}

pub(super) fn block(n: u8) -> BlockHash {
    BlockHash([n; 32])
}

pub(super) fn lock(view: u32, n: u8) -> Option<(View, BlockHash)> {
    Some((View::new(view), block(n)))
}

/// Votes of `epoch` for transactions, each with the outpoints it spends.
pub(super) fn votes(epoch: u64, txs: &[(u8, &[u8])]) -> SignRequest {
    let txs = txs.iter().map(|(tx, inputs)| (txid(*tx), inputs.iter().copied().map(outpoint).collect())).collect();
    SignRequest::Votes { epoch: Epoch::new(epoch), txs }
}

pub(super) fn receipts(epoch: u64, txids: &[u8]) -> SignRequest {
    SignRequest::Receipts { epoch: Epoch::new(epoch), txids: txids.iter().copied().map(txid).collect() }
}

/// What a prepare or precommit says besides height, view, kind and value.
#[derive(Clone, Default)]
pub(super) struct Extra {
    pub lock: Option<(View, BlockHash)>,
    pub proof_view: Option<u32>,
    pub closing: Option<Closing>,
}

pub(super) fn vote(kind: BftKind, height: u64, view: u32, value: Option<u8>, extra: Extra) -> SignRequest {
    SignRequest::Bft {
        height: Height::new(height),
        view: View::new(view),
        kind,
        block_hash: value.map(block),
        lock: extra.lock,
        valid: extra.lock,
        proof_view: extra.proof_view.map(View::new),
        closing: extra.closing,
    }
}

pub(super) fn prepare(height: u64, view: u32, value: Option<u8>) -> SignRequest {
    vote(BftKind::Prepare, height, view, value, Extra::default())
}

/// A precommit with the lock that belongs to it.
pub(super) fn precommit(height: u64, view: u32, value: Option<u8>) -> SignRequest {
    let lock = value.and_then(|n| lock(view, n));
    vote(BftKind::Precommit, height, view, value, Extra { lock, ..Extra::default() })
}

pub(super) fn closing_prepare(height: u64, view: u32, epoch: u64, txids: &[u8], fresh: bool) -> SignRequest {
    let txids = txids.iter().copied().map(txid).collect();
    let closing = Some(Closing { epoch: Epoch::new(epoch), txids, fresh });
    vote(BftKind::Prepare, height, view, Some(1), Extra { closing, ..Extra::default() })
}

pub(super) fn proposal(height: u64, view: u32, content: u8, proof_view: Option<u32>) -> SignRequest {
    let header = Header {
        version: 1,
        chain_id: CHAIN,
        height: Height::new(height),
        slot: Slot::new(height),
        opened: height,
        prev: block(0),
        tx_root: Hash([content; 32]),
        tx_count: 0,
        state_root: Hash::ZERO,
        last_commit_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        beacon: Hash::ZERO,
        proposer: PublicKey::default(),
        reward: Amount::ZERO,
    };
    let proof = proof_view.map(|view| PrepareProof { view: View::new(view), signatures: Vec::new() });
    let proposal = Proposal {
        view: View::new(view),
        proof,
        header,
        txids: Vec::new(),
        last_commit: None,
        evidence: Vec::new(),
        vdf: None,
        leader: PublicKey::default(),
        signature: Signature([0; 64]),
    };
    SignRequest::Proposal { proposal }
}

/// A write on its way to the disk.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Append(Vec<u8>),
    Replace(Vec<u8>),
}

/// A signer, its file, and what is written but not synced.
pub(super) struct Node {
    pub signer: Signer,
    pub file: Vec<u8>,
    pub unsynced: Vec<(Write, u64)>,
    pub recovered: Recovered,
}

impl Node {
    /// A new key.
    pub fn fresh() -> Self {
        Self::open(LogContents::Missing { fresh: true }).unwrap()
    }

    /// Opens, and does what opening asks for, as a careful shell does.
    pub fn open(contents: LogContents) -> Result<Self, SignerError> {
        let mut file = match &contents {
            LogContents::Bytes(bytes) => bytes.clone(),
            LogContents::Missing { .. } => Vec::new(),
        };
        let (mut signer, recovered) = Signer::open(CHAIN, secret(), contents)?;
        if let Some(rewrite) = &recovered.rewrite {
            file = rewrite.bytes.clone();
        }
        assert_eq!(signer.flushed(recovered.seq), vec![], "nothing waits in a signer just opened");
        Ok(Self { signer, file, unsynced: Vec::new(), recovered })
    }

    /// As after a stop with everything synced; nothing about epochs or archived transactions is told anew.
    pub fn restart(self) -> Self {
        assert!(self.unsynced.is_empty());
        Self::open(LogContents::Bytes(self.file)).unwrap()
    }

    /// Asks without syncing.
    pub fn ask(&mut self, request: SignRequest) -> Result<Appended, Refusal> {
        let appended = self.signer.request(request)?;
        self.unsynced.push((Write::Append(appended.bytes.clone()), appended.seq));
        Ok(appended)
    }

    /// The log anew, not synced.
    pub fn replace(&mut self, rewritten: Rewritten) {
        self.unsynced.push((Write::Replace(rewritten.bytes), rewritten.seq));
    }

    /// Syncs everything.
    pub fn sync(&mut self) -> Vec<SignedMessage> {
        let mut out = Vec::new();
        for (write, seq) in std::mem::take(&mut self.unsynced) {
            self.write(write);
            out.extend(self.signer.flushed(seq));
        }
        out
    }

    pub fn write(&mut self, write: Write) {
        match write {
            Write::Append(bytes) => self.file.extend(bytes),
            Write::Replace(bytes) => self.file = bytes,
        }
    }

    /// Asks and syncs.
    pub fn sign(&mut self, request: SignRequest) -> Result<Vec<SignedMessage>, Refusal> {
        let _appended = self.ask(request)?;
        Ok(self.sync())
    }

    /// The transactions of the batches that come out.
    pub fn sign_txids(&mut self, request: SignRequest) -> Vec<Txid> {
        let messages = self.sign(request).unwrap();
        messages.into_iter().flat_map(|m| if let SignedMessage::Votes(b) = m { b.txids } else { vec![] }).collect()
    }
}

/// Where each record starts, and the end of the last.
pub(super) fn boundaries(file: &[u8]) -> Vec<usize> {
    const FILE_HEADER: usize = 109;
    const COPY_OVERHEAD: usize = 61;
    let mut at = FILE_HEADER;
    let mut out = vec![at];
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        at += 2 * (length + COPY_OVERHEAD);
        out.push(at);
    }
    assert_eq!(at, file.len(), "whole records only");
    out
}
