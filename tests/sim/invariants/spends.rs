//! Every transaction anybody ever showed: what each spends, and which outputs have rival spenders.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use timed::types::hash::Txid;
use timed::types::transaction::{OutPoint, Transaction, TxBody};

/// Transactions by what they spend.
#[derive(Default)]
pub struct Spends {
    bodies: HashMap<Txid, TxBody>,
    // Relays repeat a body many times: a fast fingerprint tells before a txid is computed. One that collides, once in
    // 2^64, hides a body.
    seen: HashSet<u64>,
    spenders: HashMap<OutPoint, Vec<Txid>>,
    contested: BTreeSet<OutPoint>,
}

impl Spends {
    /// Learns a transaction; its txid if it is new.
    pub fn learn(&mut self, tx: &Transaction) -> Option<Txid> {
        let mut hasher = DefaultHasher::new();
        tx.body.hash(&mut hasher);
        if tx.body.is_coinbase() || !self.seen.insert(hasher.finish()) {
            return None;
        }
        let txid = super::transactions::txid(tx);
        for input in tx.body.inputs.iter().copied().collect::<BTreeSet<_>>() {
            let spenders = self.spenders.entry(input).or_default();
            if !spenders.is_empty() {
                self.contested.insert(input);
            }
            spenders.push(txid);
        }
        self.bodies.insert(txid, tx.body.clone());
        Some(txid)
    }

    /// The body, if anybody showed it.
    pub fn body(&self, txid: &Txid) -> Option<&TxBody> {
        self.bodies.get(txid)
    }

    /// Transactions that spend an output which `txid` spends too.
    pub fn rivals<'a>(&'a self, txid: &'a Txid) -> impl Iterator<Item = &'a Txid> {
        let inputs = self.bodies.get(txid).into_iter().flat_map(|body| &body.inputs);
        inputs.flat_map(|input| self.spenders(input)).filter(move |spender| **spender != *txid)
    }

    /// Outputs with more than one spender.
    pub fn contested(&self) -> &BTreeSet<OutPoint> {
        &self.contested
    }

    /// Who spends the output.
    pub fn spenders(&self, outpoint: &OutPoint) -> &[Txid] {
        self.spenders.get(outpoint).map_or(&[], Vec::as_slice)
    }
}
