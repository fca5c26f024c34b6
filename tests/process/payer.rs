//! A user with the faucet's key: makes, signs and hands in payments, and remembers what was acknowledged.

use crate::cluster::{Cluster, wait_for};
use crate::rpc::Failure;
use serde_json::json;
use std::collections::BTreeMap;
use timed::chain::spec::Chain;
use timed::types::address::to_address;
use timed::types::codec::encode;
use timed::types::hash::Txid;
use timed::types::keys::{PublicKey, SecretKey};
use timed::types::lock::{Lock, Witness};
use timed::types::number::Amount;
use timed::types::transaction::{OutPoint, Payload, Transaction, TxBody, TxOut, sighash};

/// A coin that the payer may spend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    pub outpoint: OutPoint,
    pub value: u64,
}

/// See the module.
pub struct Payer {
    pub chain: Chain,
    key: SecretKey,
    pub coins: Vec<Coin>,
    /// What each payment spends.
    pub made: BTreeMap<Txid, Vec<OutPoint>>,
    memo: u64,
}

impl Payer {
    /// The faucet's owner, with the coins that node 0 lists.
    pub fn new(cluster: &Cluster) -> Self {
        let (chain, key) = (cluster.chain(), cluster.faucet());
        let mut payer = Self { chain, key, coins: Vec::new(), made: BTreeMap::new(), memo: 0 };
        let mut cursor = json!(null);
        loop {
            let page = cluster.call(0, "list_unspent", json!([payer.address(), cursor, 1_000])).unwrap();
            for utxo in page["utxos"].as_array().unwrap() {
                let txid = Txid::from_hex(utxo["txid"].as_str().unwrap()).unwrap();
                let index = u32::try_from(utxo["index"].as_u64().unwrap()).unwrap();
                let value = utxo["value"].as_str().unwrap().parse().unwrap();
                payer.coins.push(Coin { outpoint: OutPoint { txid, index }, value });
            }
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        // Collaterals of the masternodes are the faucet's too, come first in the genesis block, and cannot be spent.
        let bonded = payer.chain.masternodes.len();
        payer.coins.retain(|coin| coin.outpoint.index as usize >= bonded);
        payer
    }

    /// One with the same key and no coins.
    pub fn like(&self) -> Self {
        let (chain, key) = (self.chain.clone(), self.key.clone());
        Self { chain, key, coins: Vec::new(), made: BTreeMap::new(), memo: 0 }
    }

    pub fn lock(&self) -> Lock {
        Lock::of_key(&self.key.public_key())
    }

    pub fn address(&self) -> String {
        to_address(&self.lock(), &self.chain.address_hrp).unwrap()
    }

    /// A payment of `value` to `to`, the rest of the coin back to the payer.
    pub fn pay(&mut self, coin: Coin, to: Lock, value: u64) -> Transaction {
        self.memo += 1;
        let tx = self.pay_with(coin, to, value, self.memo.to_le_bytes().to_vec());
        self.made.insert(tx.body.txid(), tx.body.inputs.clone());
        tx
    }

    /// The same with this memo, and not remembered.
    pub fn pay_with(&self, coin: Coin, to: Lock, value: u64, memo: Vec<u8>) -> Transaction {
        let fee = self.chain.min_fee_rate * 400;
        let rest = coin.value - value - fee;
        let out = |value, lock| TxOut { value: Amount::new(value), lock };
        let outputs = vec![out(rest, self.lock()), out(value, to)];
        self.signed(vec![coin.outpoint], outputs, memo)
    }

    /// A payment of `value` to each of `to`; the rest of the coin back to the payer.
    pub fn pay_many(&mut self, coin: Coin, to: &[Lock], value: u64) -> Transaction {
        self.memo += 1;
        let memo = self.memo.to_le_bytes().to_vec();
        let outputs: Vec<TxOut> = to.iter().map(|lock| TxOut { value: Amount::new(value), lock: *lock }).collect();
        let mut tx = self.signed(vec![coin.outpoint], outputs, memo.clone());
        // The size without the last output, and room for that.
        let fee = self.chain.min_fee_rate * (encode(&tx).len() as u64 + 64);
        let rest = coin.value - value * to.len() as u64 - fee;
        tx.body.outputs.push(TxOut { value: Amount::new(rest), lock: self.lock() });
        self.signed(tx.body.inputs, tx.body.outputs, memo)
    }

    fn signed(&self, inputs: Vec<OutPoint>, outputs: Vec<TxOut>, memo: Vec<u8>) -> Transaction {
        let body = TxBody { version: 1, inputs, outputs, payload: Payload::Transfer, memo };
        let signature = self.key.sign(&sighash(&self.chain.id(), &body.txid()));
        Transaction { witnesses: vec![Witness::Key { pubkey: self.key.public_key(), signature }], body }
    }

    /// The coin that is left of a payment.
    pub fn rest_of(tx: &Transaction) -> Coin {
        Coin { outpoint: OutPoint { txid: tx.body.txid(), index: 0 }, value: tx.body.outputs[0].value.get() }
    }
}

/// Some stranger's lock.
pub fn stranger(number: u8) -> Lock {
    Lock::of_key(&PublicKey([number; 32]))
}

/// The bytes that `send_raw_transaction` takes.
pub fn hex(tx: &Transaction) -> String {
    encode(tx).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands in a payment.
pub fn send(cluster: &Cluster, node: usize, tx: &Transaction) -> Result<String, Failure> {
    let txid = cluster.call(node, "send_raw_transaction", json!([hex(tx)]))?;
    assert_eq!(txid.as_str(), Some(tx.body.txid().to_string().as_str()));
    Ok(tx.body.txid().to_string())
}

/// Hands in a payment and waits until the node says that it is final.
pub fn send_and_wait(cluster: &Cluster, node: usize, tx: &Transaction) -> String {
    let txid = send(cluster, node, tx).unwrap();
    wait_for(&format!("{txid} final"), || {
        let status = cluster.status(node, &txid)?;
        ["finalized", "archived"].contains(&status.as_str()).then_some(())
    });
    txid
}
