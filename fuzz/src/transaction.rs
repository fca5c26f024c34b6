//! Transactions: one encoding, a txid that no witness changes, and rules that judge alike every time.

use super::chain::{CHAIN, VERIFIER};
use super::codec::accepted;
use timed::types::codec::encode;
use timed::types::number::Amount;
use timed::types::transaction::{HashedTx, Transaction, TxBody};

/// The bytes are a transaction.
pub fn check(data: &[u8]) {
    accepted::<TxBody>(data);
    let Some(tx) = accepted::<Transaction>(data) else { return };
    let txid = tx.body.txid();
    let bare = HashedTx::new(Transaction { witnesses: Vec::new(), ..tx.clone() });
    let hashed = HashedTx::new(tx.clone());
    assert_eq!((hashed.txid(), bare.txid()), (txid, txid));
    assert_eq!(hashed.wtxid() == bare.wtxid(), tx.witnesses.is_empty(), "a wtxid covers the witnesses");
    assert_eq!(hashed.size_bytes() as usize, encode(&tx).len());
    let verdict = VERIFIER.transaction(hashed.clone());
    if verdict.is_ok() {
        assert!(Amount::checked_sum(tx.body.outputs.iter().map(|output| output.value)).is_some());
        assert!(tx.body.outputs.iter().all(|output| output.value >= CHAIN.min_output));
        assert!(!tx.body.inputs.is_empty() && !tx.body.is_coinbase());
    }
    let again = VERIFIER.transactions(vec![hashed.clone(), hashed]);
    let error = verdict.err();
    assert!(again.iter().all(|verdict| verdict.as_ref().err() == error.as_ref()), "{error:?}, then {again:?}");
}
