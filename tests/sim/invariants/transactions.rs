//! Rules of one transaction (`protocol.md` 3), as far as a block must hold to them.

use super::digest;
use super::signatures::Claim;
use timed::chain::spec::ChainSpec;
use timed::types::codec::encode;
use timed::types::hash::{ChainId, Hash, Txid};
use timed::types::keys::PublicKey;
use timed::types::lock::{Lock, Witness};
use timed::types::transaction::{Payload, Transaction};

/// `H("txid", encode(body))`.
pub fn txid(tx: &Transaction) -> Txid {
    Txid(digest::h("timecoin v1 txid", &[&encode(&tx.body)]).0)
}

/// What is wrong with a transaction whatever the state, if anything. Signatures: [`claims`].
pub fn fault_alone(spec: &ChainSpec, tx: &Transaction, size_bytes: u64) -> Option<String> {
    let body = &tx.body;
    let mut inputs = body.inputs.clone();
    inputs.sort();
    inputs.dedup();
    if body.version != 1 || body.is_coinbase() {
        return Some("not an ordinary transaction of version 1".into());
    }
    if inputs.len() != body.inputs.len() || inputs.is_empty() || inputs.len() > 1_024 {
        return Some(format!("{} inputs, {} of them distinct", body.inputs.len(), inputs.len()));
    }
    if body.outputs.is_empty() || body.outputs.len() > 1_024 {
        return Some(format!("{} outputs", body.outputs.len()));
    }
    if body.outputs.iter().any(|out| out.value < spec.min_output) {
        return Some("an output below the least value".into());
    }
    if body.memo.len() > 80 || size_bytes > spec.max_tx_bytes {
        return Some(format!("{size_bytes} bytes, a memo of {}", body.memo.len()));
    }
    if let Payload::Register(register) = &body.payload
        && register.collateral_index as usize >= body.outputs.len()
    {
        return Some("no output for its collateral".into());
    }
    None
}

fn lock_of(witness: &Witness) -> Lock {
    match witness {
        Witness::Key { pubkey, .. } => Lock::KeyHash(digest::h("timecoin v1 address", &[&pubkey.0]).0),
        Witness::Multi { threshold, keys, .. } => {
            Lock::Multisig(digest::h("timecoin v1 multisig", &[&encode(threshold), &encode(keys)]).0)
        }
    }
}

/// Whether a witness has the shape that satisfies its lock.
fn is_complete(witness: &Witness) -> bool {
    let Witness::Multi { threshold, keys, signatures } = witness else { return true };
    let ascending = keys.iter().zip(keys.iter().skip(1)).all(|(one, next)| one.0 < next.0);
    let given = signatures.iter().filter(|s| s.is_some()).count();
    ascending
        && signatures.len() == keys.len()
        && *threshold > 0
        && given == usize::from(*threshold)
        && keys.len() <= 16
}

/// What is wrong with the witnesses of a transaction that spends outputs with these locks, if anything.
///
/// `authority`: whose consent the payload needs besides, if its masternode is there.
pub fn witness_fault(tx: &Transaction, locks: &[Lock], authority: Option<Lock>) -> Option<String> {
    let mut needed: Vec<Lock> = Vec::new();
    for lock in locks.iter().copied().chain(authority) {
        if !needed.contains(&lock) {
            needed.push(lock);
        }
    }
    let given: Vec<Lock> = tx.witnesses.iter().map(lock_of).collect();
    let names_masternode = matches!(tx.body.payload, Payload::Update(_) | Payload::Unregister { .. });
    // Of a masternode that is gone nobody can say whose consent the last witness was.
    let spare = usize::from(names_masternode && authority.is_none());
    let fits = given.starts_with(&needed) && given.len() <= needed.len() + spare;
    if !fits {
        return Some(format!("{} witnesses do not open {} locks in their order", given.len(), needed.len()));
    }
    let incomplete = tx.witnesses.iter().position(|w| !is_complete(w))?;
    Some(format!("witness {incomplete} lacks signatures"))
}

/// Every signature that the transaction claims to hold.
pub fn claims(chain: &ChainId, tx: &Transaction, txid: &Txid) -> Vec<Claim> {
    let digest = digest::of_spend(chain, txid);
    let mut all = Vec::new();
    for witness in &tx.witnesses {
        match witness {
            Witness::Key { pubkey, signature } => all.push(Claim { key: *pubkey, digest, signature: *signature }),
            Witness::Multi { keys, signatures, .. } => {
                let pairs = keys.iter().zip(signatures);
                all.extend(pairs.filter_map(|(key, s)| s.map(|signature| Claim { key: *key, digest, signature })));
            }
        }
    }
    if let Payload::Register(register) = &tx.body.payload
        && let Some(out) = tx.body.outputs.get(register.collateral_index as usize)
    {
        let key: PublicKey = register.consensus_key;
        let promised = encode(&(key.0, register.payout, &register.endpoint));
        let parts: [&[u8]; 4] =
            [&chain.0, &tx.body.inputs.first().map(encode).unwrap_or_default(), &encode(out), &promised];
        let digest: Hash = digest::h("timecoin v1 register", &parts);
        all.push(Claim { key, digest, signature: register.proof });
    }
    all
}

/// Whether the witnesses of two encodings of one body open the same locks, in the same order.
pub fn opens_same_locks(one: &Transaction, other: &Transaction) -> bool {
    let locks = |tx: &Transaction| tx.witnesses.iter().map(lock_of).collect::<Vec<_>>();
    locks(one) == locks(other) && other.witnesses.iter().all(is_complete)
}
