//! The batches of one kind signed in the current epoch, as long as one of their transactions is not archived.

use crate::signer::log::Ticket;
use crate::types::hash::Txid;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Batch {
    /// In the order in which they were signed: the signature covers it.
    txids: Vec<Txid>,
    /// How many of them are not archived.
    open: usize,
}

/// Batches by record, and which batch holds a transaction.
#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: BTreeMap<Ticket, Batch>,
    batch_of: BTreeMap<Txid, Ticket>,
    /// Txids in all batches.
    size: usize,
}

impl Batches {
    /// A batch was signed.
    pub(super) fn insert(&mut self, ticket: Ticket, txids: Vec<Txid>) {
        for txid in &txids {
            self.batch_of.insert(*txid, ticket);
        }
        self.size += txids.len();
        self.batches.insert(ticket, Batch { open: txids.len(), txids });
    }

    /// This transaction is in the chain: nothing about it needs to be repeated.
    pub(super) fn archived(&mut self, txid: &Txid) {
        let Some(ticket) = self.batch_of.remove(txid) else { return };
        if let Some(batch) = self.batches.get_mut(&ticket) {
            batch.open = batch.open.saturating_sub(1);
            if batch.open == 0 {
                self.size -= batch.txids.len();
                self.batches.remove(&ticket);
            }
        }
    }

    /// How many txids are kept.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The record of the batch that holds this transaction, unless it is archived.
    pub(super) fn ticket(&self, txid: &Txid) -> Option<Ticket> {
        self.batch_of.get(txid).copied()
    }

    /// The txids of the batch of this record, in signed order.
    pub(super) fn txids(&self, ticket: Ticket) -> Option<&[Txid]> {
        self.batches.get(&ticket).map(|batch| batch.txids.as_slice())
    }

    /// The batches, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &[Txid])> {
        self.batches.iter().map(|(ticket, batch)| (*ticket, batch.txids.as_slice()))
    }

    /// The transactions signed and not archived, ascending.
    pub(super) fn open(&self) -> impl Iterator<Item = &Txid> {
        self.batch_of.keys()
    }
}
