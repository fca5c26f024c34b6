//! What happens in the world, in the words of the oracle.

use crate::invariants::memory::Usage;
use crate::invariants::nodes::{Position, Told};
use crate::invariants::recovery::{Durable, StateClaim};
use crate::oracle::{Heard, Oracle, Released};
use std::collections::BTreeSet;
use timed::ledger::state::ChainState;
use timed::ledger::{PoolLimits, Stage};
use timed::limits;
use timed::replica::command::{CommittedBlock, Event, JournalRecord};
use timed::replica::message::Message;
use timed::replica::{MemoryUse, Replica};
use timed::signer::SignedMessage;
use timed::types::hash::Txid;

/// Somebody puts a message on a wire.
pub fn hear(oracle: &mut Oracle, now: u64, message: &Message) {
    match message {
        Message::Txs(txs) => txs.iter().for_each(|tx| oracle.hear(now, Heard::Tx(tx))),
        Message::Votes(batch) => oracle.hear(now, Heard::Votes(batch)),
        Message::Proposal(proposal) => oracle.hear(now, Heard::Proposal(proposal)),
        Message::BftVote(vote) => oracle.hear(now, Heard::Vote(vote)),
        Message::Commit(commit) => oracle.hear(now, Heard::Commit(commit)),
        Message::Blocks(blocks) => {
            blocks.iter().for_each(|sealed| oracle.hear(now, Heard::Block(&sealed.block, &sealed.commit)));
        }
        Message::Headers(headers) | Message::Epochs(headers) => {
            headers.iter().for_each(|sealed| oracle.hear(now, Heard::Commit(&sealed.commit)));
        }
        Message::SnapshotManifest(manifest) => {
            manifest.iter().for_each(|manifest| oracle.hear(now, Heard::Commit(&manifest.commit)));
        }
        Message::Evidence(evidence) => oracle.hear(now, Heard::Evidence(evidence)),
        Message::Status { .. }
        | Message::TxAnnounce(_)
        | Message::GetTxs(_)
        | Message::SampleQuery { .. }
        | Message::SampleResponse { .. }
        | Message::GetVotes { .. }
        | Message::Links(_)
        | Message::IHave(_)
        | Message::IWant(_)
        | Message::Presence(_)
        | Message::GetBlocks { .. }
        | Message::GetHeaders { .. }
        | Message::GetEpochs { .. }
        | Message::GetSnapshot { .. }
        | Message::GetSnapshotChunk { .. }
        | Message::SnapshotChunk { .. } => {}
    }
}

/// Something comes out of an honest signer.
pub fn release(oracle: &mut Oracle, now: u64, message: &SignedMessage, again: bool) {
    let released = match message {
        SignedMessage::Votes(batch) => Released::Votes(batch),
        SignedMessage::Proposal(proposal) => Released::Proposal(proposal),
        SignedMessage::Bft(vote) => Released::Vote(vote),
    };
    oracle.release(now, released, again);
}

/// An honest node commits.
pub fn commit(oracle: &mut Oracle, now: u64, node: usize, block: &CommittedBlock) {
    oracle.commit(now, node, &block.block, &block.commit, &claim(&block.changes.state));
}

fn claim(state: &ChainState) -> StateClaim {
    StateClaim {
        height: state.header.height.get(),
        hash: state.hash,
        last_opening: state.last_opening,
        utxos: state.utxo_hash.hash(),
        registry: state.registry.hash(),
        supply: state.supply.get(),
        accrued_fees: state.accrued_fees.get(),
        next_validators: state.validators.hash(),
    }
}

/// An honest node tells its users something.
pub fn tell(oracle: &mut Oracle, now: u64, node: usize, event: &Event) {
    let told = match event {
        Event::Admitted(_) | Event::Accepted(_) => return,
        Event::Rejected { txid, .. } => Told::Rejected(*txid),
        Event::Certified { txid, epoch } => Told::Certified(*txid, epoch.get()),
        Event::Finalized { txid, epoch } => Told::Finalized(*txid, epoch.get()),
        Event::BlockCommitted { height, hash, txids } => {
            Told::Committed { height: height.get(), hash: *hash, txids: txids.clone() }
        }
        Event::ViewChanged { height, view } => Told::ViewChanged { height: height.get(), view: view.get() },
        Event::Alarm(alarm) => Told::Alarm(format!("{alarm:?}")),
    };
    oracle.tell(now, node, &told);
}

/// What a node opened from its disk, before it heard anything: a masternode with two thirds of the weight commits by
/// what it repeats to itself.
pub struct Recovered {
    claim: StateClaim,
    finals: BTreeSet<Txid>,
}

/// What `replica` was opened with.
pub fn recovered(replica: &Replica) -> Recovered {
    let entries = replica.ledger().entries();
    let finals = entries.filter(|(_, entry)| entry.stage == Stage::Finalized).map(|(txid, _)| *txid);
    Recovered { claim: claim(replica.ledger().tip()), finals: finals.collect() }
}

/// An honest node is back, from a store that reached `stored` and these records of its journal.
pub fn restart(
    oracle: &mut Oracle,
    now: u64,
    node: usize,
    recovered: &Recovered,
    (stored, records): (u64, &[Durable]),
) {
    oracle.restart(now, node, &recovered.claim, &recovered.finals, (stored, records));
}

/// A record that survived, as far as it promises something.
pub fn durable(record: &JournalRecord) -> Durable {
    match record {
        JournalRecord::Tx(tx) => Durable::Tx(tx.body.txid()),
        JournalRecord::Votes(batch) => Durable::Votes(batch.clone()),
        JournalRecord::Block(sealed) => Durable::Block(sealed.block.header.height.get()),
        JournalRecord::Proposal(_) | JournalRecord::Prepares { .. } => Durable::Other,
    }
}

/// How far an honest node is.
pub fn see(oracle: &mut Oracle, now: u64, node: usize, replica: &Replica, flushed: u64) {
    let position = Position {
        height: replica.ledger().tip().header.height.get(),
        view: replica.tsdc().view().get(),
        epoch: replica.epoch().get(),
        flushed,
    };
    oracle.see(now, node, position);
}

/// What an honest node keeps in memory.
pub fn measure(oracle: &mut Oracle, now: u64, node: usize, replica: &Replica, nodes: usize) {
    let MemoryUse {
        pool,
        orphans,
        wanted,
        sampling,
        batches,
        proposals,
        unsigned,
        repeated,
        evidence,
        evidence_bodies,
        waiting_events,
        unapplied_blocks,
        gossip,
        gossip_wanted,
        headers,
        blocks_ahead,
        peers,
        presences,
    } = replica.memory();
    let most = PoolLimits::default().max_transactions;
    let usage = |structure, count: usize, limit: usize| Usage { structure, count: count as u64, limit: limit as u64 };
    oracle.measure(
        now,
        node,
        &[
            usage("pool transactions", pool, most),
            usage("orphans", orphans, limits::MAX_ORPHANS),
            usage("rejected transactions", replica.ledger().rejections(), limits::MAX_REJECTED),
            usage("wanted transactions", wanted, 2 * limits::MAX_WANTED_TXS),
            usage("sampled transactions", sampling, limits::MAX_SAMPLED_TXIDS),
            usage("stored batches", batches, 4 * nodes * limits::MAX_HELD_TXIDS_PER_VOTER),
            usage("proposals", proposals, limits::MAX_PROPOSALS),
            usage("unsigned transactions", unsigned, 2 * most),
            usage("repeated batches", repeated, 2 * most),
            usage("evidence", evidence, limits::MAX_EVIDENCE),
            usage("evidence bodies", evidence_bodies, limits::MAX_EVIDENCE_BODIES),
            usage("waiting events", waiting_events, 8 * most),
            usage("unapplied blocks", unapplied_blocks, 10_000),
            usage("signed things to pass on", gossip, limits::MAX_GOSSIP_ITEMS),
            usage("signed things wanted", gossip_wanted, limits::MAX_WANTED_ITEMS),
            usage("known headers", headers, limits::MAX_KNOWN_HEADERS),
            usage("blocks ahead", blocks_ahead, limits::MAX_BLOCKS_AHEAD + limits::MAX_BLOCKS_PER_MESSAGE),
            usage("peers", peers, nodes),
            usage("claims to run", presences, nodes),
        ],
    );
}
