//! What an address has.

use super::{Stage, Text};
use crate::types::hash::Txid;
use crate::types::number::Amount;
use serde::Serialize;

/// `get_balance`.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// The address.
    pub address: String,
    /// Everything final: archived and finalized.
    pub balance: Text<Amount>,
    /// Unspent outputs in blocks that no final transaction spends.
    pub archived: Text<Amount>,
    /// Outputs of final transactions in no block that no final one spends.
    pub finalized: Text<Amount>,
    /// Outputs of transactions that are valid and not final.
    pub incoming: Text<Amount>,
    /// Part of the balance that transactions spend which are not final.
    pub outgoing: Text<Amount>,
    /// Part of the balance that is masternodes' collateral.
    pub bonded: Text<Amount>,
    /// The rest of the balance.
    pub spendable: Text<Amount>,
    /// Outputs that make up the balance.
    pub utxo_count: u64,
}

/// `list_unspent`.
#[derive(Clone, Debug, Serialize)]
pub struct UnspentPage {
    /// Outputs; those that can be spent now come first.
    pub utxos: Vec<Unspent>,
    /// Where the next page begins; `None` after the last.
    pub next_cursor: Option<String>,
}

/// An output that is final and unspent.
#[derive(Clone, Debug, Serialize)]
pub struct Unspent {
    /// The transaction that made it.
    pub txid: Text<Txid>,
    /// Its position there.
    pub index: u32,
    /// Units.
    pub value: Text<Amount>,
    /// Height of the block it is in.
    pub height: Option<u64>,
    /// `archived` and `finalized` can be spent now; `locked` is spent by a transaction that is not final, `bonded` is a
    /// masternode's collateral.
    pub status: &'static str,
}

/// `get_address_history`.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// What touched the address, newest first.
    pub entries: Vec<HistoryItem>,
    /// Where the next page begins; `None` after the last.
    pub next_cursor: Option<String>,
}

/// What a transaction did to an address.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryItem {
    /// The transaction. Of a punishment: the transaction that made the collateral that is taken (`sent`), or the name of the
    /// output that is left of it (`received`).
    pub txid: Text<Txid>,
    /// Height of the block that holds it.
    pub height: Option<u64>,
    /// Time of that block, or when the transaction came in here.
    pub time: u64,
    /// Sum of its outputs to the address.
    pub received: Text<Amount>,
    /// Sum of what it spends of the address.
    pub sent: Text<Amount>,
    /// How far it has come.
    pub status: Stage,
    /// `transaction` or `punishment`.
    pub kind: &'static str,
}

/// `get_tx_out`.
#[derive(Clone, Debug, Serialize)]
pub struct TxOutInfo {
    /// The transaction that made it.
    pub txid: Text<Txid>,
    /// Its position there.
    pub index: u32,
    /// Units.
    pub value: Text<Amount>,
    /// Whose it is.
    pub address: String,
    /// Height of the block it is in.
    pub height: Option<u64>,
    /// Life of the output: `unspent`, `locked` (a spend is known), `spent` (by a final transaction), `archived` (the spend
    /// is in a block), `taken` (a collateral that a punishment took: `spent_height` says in which block).
    pub state: &'static str,
    /// Who spends it.
    pub spent_by: Option<Text<Txid>>,
    /// Height of the block that holds the spend.
    pub spent_height: Option<u64>,
    /// Whether it is a masternode's collateral.
    pub bonded: bool,
}

/// `validate_address`.
#[derive(Clone, Debug, Serialize)]
pub struct AddressInfo {
    /// Whether it is an address of this chain.
    pub valid: bool,
    /// The address, in lower case.
    pub address: Option<String>,
    /// `key` or `multisig`.
    pub kind: Option<&'static str>,
    /// The 32 bytes of the lock.
    pub hash: Option<String>,
    /// What is wrong with it.
    pub reason: Option<String>,
}
