//! What a block gives and takes, address by address: its transactions, and punishments, which none makes. The one place that
//! decides it, for blocks in the index and for those on their way there.

use super::store::HistoryEntry;
use crate::ledger::execute::BlockChanges;
use crate::types::hash::Txid;
use crate::types::lock::Lock;
use crate::types::number::{Amount, Height};
use crate::types::transaction::{Transaction, TxOut};

/// An output that a lock gets or gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Whose.
    pub lock: Lock,
    /// By which transaction. Of a punishment: what made the output that is taken, the name of the one that is left.
    pub txid: Txid,
    /// Its value.
    pub value: Amount,
    /// Whether it comes.
    pub is_received: bool,
    /// Whether a punishment moves it.
    pub is_punishment: bool,
}

/// Everything that the block with these transactions, coinbase included, moves: by lock, then by txid, ascending.
pub fn moved(txs: &[Transaction], changes: &BlockChanges) -> Vec<Moved> {
    let coinbases = txs.len().saturating_sub(changes.inputs.len());
    let inputs = std::iter::repeat_n(&[][..], coinbases).chain(changes.inputs.iter().map(Vec::as_slice));
    let mut all = Vec::new();
    for ((txid, tx), spent) in changes.txids.iter().zip(txs).zip(inputs) {
        let by_tx = |is_received| {
            move |out: &TxOut| Moved {
                lock: out.lock,
                txid: *txid,
                value: out.value,
                is_received,
                is_punishment: false,
            }
        };
        all.extend(tx.body.outputs.iter().map(by_tx(true)));
        all.extend(spent.iter().map(by_tx(false)));
    }
    for punishment in &changes.punished {
        let sides = [(punishment.taken, punishment.before, false), (punishment.left, punishment.after, true)];
        all.extend(sides.map(|(outpoint, out, is_received)| {
            let (lock, value) = (out.lock, out.value);
            Moved { lock, txid: outpoint.txid, value, is_received, is_punishment: true }
        }));
    }
    all.sort_unstable_by_key(|moved| (moved.lock, moved.txid));
    all
}

/// Sums of what comes and of what goes; `None` past 2^64.
pub fn sums(moved: &[Moved]) -> Option<(Amount, Amount)> {
    let sum = |is_received| {
        let side = moved.iter().filter(move |moved| moved.is_received == is_received);
        Amount::checked_sum(side.map(|moved| moved.value))
    };
    sum(true).zip(sum(false))
}

/// What the block at `height` did to `lock`, one entry a transaction or side of a punishment, ascending by txid.
pub fn history_of(lock: &Lock, height: Height, txs: &[Transaction], changes: &BlockChanges) -> Vec<HistoryEntry> {
    let mut of_lock = moved(txs, changes);
    of_lock.retain(|moved| moved.lock == *lock);
    let entries = of_lock.chunk_by(|a, b| a.txid == b.txid).map(|of_tx| {
        // Parts of a supply that fits.
        let (received, sent) = sums(of_tx).unwrap_or((Amount::MAX, Amount::MAX));
        HistoryEntry { height, txid: of_tx[0].txid, received, sent, is_punishment: of_tx[0].is_punishment }
    });
    entries.collect()
}
