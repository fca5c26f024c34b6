//! S5 and S12: what a node says of its state equals what the oracle replayed, and what it has after a restart is what
//! the surviving prefix of its disk says.

use super::digest;
use super::replay::Replay;
use super::report::Report;
use super::signatures::{Claim, Signatures};
use std::collections::{BTreeMap, BTreeSet};
use timed::types::hash::{BlockHash, Hash, Txid};
use timed::types::keys::PublicKey;
use timed::types::vote::{FinalityKind, VoteBatch};

/// A node's own view of the state after a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateClaim {
    /// Height of the block.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// The last block that opened a slot.
    pub last_opening: BlockHash,
    /// `H("utxos", lthash)` of its unspent outputs.
    pub utxos: Hash,
    /// Hash of its registry.
    pub registry: Hash,
    /// Its supply.
    pub supply: u64,
    /// Its fees not yet paid out.
    pub accrued_fees: u64,
    /// Hash of the set that it expects to sign the child.
    pub next_validators: Hash,
}

/// The state after the block at `height`, as replayed: what any node's claim must equal.
pub fn expected(replay: &Replay, height: u64) -> Option<StateClaim> {
    let block = replay.at(height)?;
    let next = replay.committee(replay.epoch_after(height)?)?;
    Some(StateClaim {
        height,
        hash: block.hash,
        last_opening: block.last_opening,
        utxos: block.utxos,
        registry: block.registry,
        supply: block.supply,
        accrued_fees: block.accrued_fees,
        next_validators: next.hash,
    })
}

/// One record that survived in a node's journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Durable {
    /// A transaction.
    Tx(Txid),
    /// Votes or receipts.
    Votes(VoteBatch),
    /// A final block.
    Block(u64),
    /// Anything that says nothing about blocks or payments that are final.
    Other,
}

/// What a node whose store reaches `stored`, and whose journal holds `records`, must at least know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promised {
    /// Height of its tip.
    pub height: u64,
    /// Payments that are final and not archived.
    pub finals: BTreeSet<Txid>,
}

/// Works out what the disk of a node promises.
pub fn promised(replay: &Replay, stored: u64, records: &[Durable], signatures: &mut Signatures) -> Promised {
    let mut height = stored;
    for record in records {
        if *record == Durable::Block(height + 1) {
            height += 1;
        }
    }
    let mut finals = BTreeSet::new();
    let Some(committee) = replay.epoch_after(height).and_then(|epoch| replay.committee(epoch)) else {
        return Promised { height, finals };
    };
    let mut receipts: BTreeMap<Txid, BTreeSet<PublicKey>> = BTreeMap::new();
    for record in records {
        let Durable::Votes(batch) = record else { continue };
        if batch.kind != FinalityKind::Receipt || batch.epoch.get() != committee.epoch {
            continue;
        }
        let root = digest::merkle_root(batch.txids.iter().map(|id| &id.0));
        let digest = digest::of_votes(&replay.chain_id, committee.epoch, batch.kind, &batch.voter, &root);
        if signatures.check(Claim { key: batch.voter, digest, signature: batch.signature }) {
            for txid in &batch.txids {
                receipts.entry(*txid).or_default().insert(batch.voter);
            }
        }
    }
    let is_here = |txid: &Txid| records.contains(&Durable::Tx(*txid));
    let is_open = |txid: &Txid| replay.archived_at(txid).is_none_or(|at| at > height);
    for (txid, voters) in receipts {
        let weight = voters.iter().map(|key| committee.weight(key)).sum();
        if committee.is_quorum(weight) && is_here(&txid) && is_open(&txid) {
            finals.insert(txid);
        }
    }
    Promised { height, finals }
}

/// Holds what a node recovered to what its disk promised (S12).
pub fn check(
    node: usize,
    claim: &StateClaim,
    finals: &BTreeSet<Txid>,
    promised: &Promised,
    replay: &Replay,
    report: &mut Report,
) {
    report.expect("S12", claim.height == promised.height, || {
        format!("node {node} restarts at height {}, its disk reaches {}", claim.height, promised.height)
    });
    let expected = expected(replay, claim.height);
    report.expect("S12", expected.as_ref() == Some(claim), || {
        format!("node {node} recovers {claim:?}, the state of that height is {expected:?}")
    });
    if let Some(lost) = promised.finals.difference(finals).next() {
        report.broken("S12", format!("node {node} restarts without {lost:?}, final by what its disk holds"));
    }
}
