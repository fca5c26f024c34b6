//! Payments signed before the clock runs: one coin each, paid back to its owner, so that the next run finds coins too.

use super::schedule::{due_us, is_double_spend};
use crate::limits::MAX_MEMO_BYTES;
use crate::types::codec::encode;
use crate::types::hash::{ChainId, Txid};
use crate::types::keys::SecretKey;
use crate::types::lock::Lock;
use crate::types::number::Amount;
use crate::types::transaction::{OutPoint, TxOut};
use crate::wallet::build::{BuildError, Coin, Content, Plan, Rules, SignError, plan_sweep};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

/// What makes the second of two rivals another transaction.
const RIVAL_MEMO: &[u8] = b"rival";
const _: () = assert!(RIVAL_MEMO.len() <= MAX_MEMO_BYTES);

/// Whose payment a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Nobody else spends its coin.
    Alone,
    /// The first of two that spend one coin.
    First,
    /// The second of them. It stands right behind the first.
    Second,
}

/// A transaction ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Its name.
    pub txid: Txid,
    /// The encoded transaction.
    pub bytes: Vec<u8>,
    /// Which payment of the run it is.
    pub position: u64,
    /// When it is due, in microseconds from the start.
    pub due_us: u64,
    /// Whether it has a rival.
    pub role: Role,
}

/// Why payments cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// A coin that does not pay for its own transaction.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A coin of somebody else.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The least value of a coin that pays for one payment of itself, whatever its outpoint.
pub fn least_coin(rules: &Rules) -> Option<Amount> {
    let lock = Lock::KeyHash([0; 32]);
    let coin = Coin { outpoint: OutPoint { txid: Txid::ZERO, index: u32::MAX }, value: Amount::MAX, lock };
    let outputs = vec![TxOut { value: Amount::MAX, lock }];
    let largest = Plan { coins: vec![coin], outputs, fee: Amount::ZERO, content: Content::of_payment(RIVAL_MEMO) };
    largest.size_bytes().checked_mul(rules.fee_rate).map(Amount::new)?.checked_add(rules.min_output)
}

/// Signs a payment of each coin, and a rival for `percent` of them. All cores at hand do it.
///
/// # Errors
/// [`PaymentError`], for the first coin that is too small or not the key's.
pub fn sign_all(
    coins: &[Coin],
    key: &SecretKey,
    chain: &ChainId,
    rules: &Rules,
    rate: u64,
    percent: u8,
) -> Result<Vec<Payment>, PaymentError> {
    let lock = Lock::of_key(&key.public_key());
    let signed = |coin: &Coin, memo: &[u8]| -> Result<(Txid, Vec<u8>), PaymentError> {
        let plans = plan_sweep(std::slice::from_ref(coin), lock, &Content::of_payment(memo), rules)?;
        let plan = plans.first().ok_or(BuildError::NothingToSweep)?;
        let tx = plan.sign(chain, |needed| (*needed == lock).then_some(key))?;
        Ok((tx.body.txid(), encode(&tx)))
    };
    let payments = coins.par_iter().enumerate().map(|(index, coin)| {
        // A run has far fewer payments than 2^64.
        let position = u64::try_from(index).unwrap_or(u64::MAX);
        let payment = |(txid, bytes), role| Payment { txid, bytes, position, due_us: due_us(position, rate), role };
        if !is_double_spend(position, percent) {
            return Ok(vec![payment(signed(coin, b"")?, Role::Alone)]);
        }
        let (first, second) = (signed(coin, b"")?, signed(coin, RIVAL_MEMO)?);
        Ok(vec![payment(first, Role::First), payment(second, Role::Second)])
    });
    Ok(payments.collect::<Result<Vec<_>, PaymentError>>()?.into_iter().flatten().collect())
}

/// The node, of `nodes`, that a payment is sent to: each in turn, and a rival to the next one.
pub fn node_of(payment: &Payment, nodes: usize) -> usize {
    let nodes = u64::try_from(nodes.max(1)).unwrap_or(u64::MAX);
    let turn = payment.position.saturating_add(u64::from(payment.role == Role::Second)) % nodes;
    // Less than the number of nodes.
    usize::try_from(turn).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::spec::Chain;
    use crate::ledger::testing::spec;
    use crate::ledger::verify::Verifier;
    use crate::types::codec::decode;
    use crate::types::transaction::{HashedTx, Transaction};

    fn made(values: &[u64], percent: u8) -> (Chain, Vec<Payment>) {
        let chain = Chain::new(spec()).unwrap();
        let key = SecretKey::from_bytes(&[4; 32]);
        let lock = Lock::of_key(&key.public_key());
        let coin = |(index, units): (u32, &u64)| Coin {
            outpoint: OutPoint { txid: Txid([8; 32]), index },
            value: Amount::new(*units),
            lock,
        };
        let coins: Vec<Coin> = (0..).zip(values).map(coin).collect();
        let payments = sign_all(&coins, &key, &chain.id(), &rules(&chain), 1_000, percent).unwrap();
        (chain, payments)
    }

    fn rules(chain: &Chain) -> Rules {
        Rules { fee_rate: chain.min_fee_rate, min_output: chain.min_output, max_tx_bytes: chain.max_tx_bytes }
    }

    #[test]
    fn every_payment_is_valid_alone_and_rivals_spend_one_coin() {
        let (chain, payments) = made(&[1_000_000; 20], 25);
        assert_eq!(payments.len(), 25);
        let verifier = Verifier::new(chain);
        let txs: Vec<Transaction> = payments.iter().map(|payment| decode(&payment.bytes).unwrap()).collect();
        for (payment, tx) in payments.iter().zip(&txs) {
            let verified = verifier.transaction(HashedTx::new(tx.clone())).unwrap();
            assert_eq!(verified.txid(), payment.txid);
        }
        for (at, payment) in payments.iter().enumerate().filter(|(_, payment)| payment.role == Role::Second) {
            assert_eq!((payments[at - 1].role, payments[at - 1].due_us), (Role::First, payment.due_us));
            assert_eq!(txs[at - 1].body.inputs, txs[at].body.inputs);
            assert_ne!(payments[at - 1].txid, payment.txid);
        }
    }

    #[test]
    fn rivals_go_to_two_nodes_and_the_rest_to_each_in_turn() {
        let (_, payments) = made(&[1_000_000; 8], 50);
        let nodes: Vec<usize> = payments.iter().map(|payment| node_of(payment, 3)).collect();
        assert_eq!(nodes, [0, 1, 2, 2, 0, 1, 1, 2, 0, 0, 1, 2]);
        assert!(payments.iter().all(|payment| node_of(payment, 1) == 0));
    }

    #[test]
    fn the_least_coin_pays_for_itself_and_one_below_its_fee_does_not() {
        let chain = Chain::new(spec()).unwrap();
        let least = least_coin(&rules(&chain)).unwrap().get();
        assert_eq!(made(&[least; 3], 100).1.len(), 6);
        let key = SecretKey::from_bytes(&[4; 32]);
        let lock = Lock::of_key(&key.public_key());
        let coin = Coin { outpoint: OutPoint { txid: Txid([8; 32]), index: 0 }, value: Amount::new(5_000), lock };
        assert!(sign_all(&[coin], &key, &chain.id(), &rules(&chain), 1, 0).is_err());
    }
}
