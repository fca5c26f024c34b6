//! What became of each transaction of a run. Many tasks write, each entry on its own; nothing is counted twice.

use super::payments::{Payment, Role};
use crate::types::hash::Txid;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Marks a time that has not come.
const NEVER: u64 = u64::MAX;

/// What is known of one transaction, times in microseconds from the start.
#[derive(Debug)]
struct Entry {
    sent: AtomicU64,
    answered: AtomicU64,
    finalized: AtomicU64,
    /// Whether nothing more has to be heard of it.
    is_settled: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub struct Book {
    payments: Vec<Payment>,
    by_txid: HashMap<Txid, u32>,
    entries: Vec<Entry>,
    /// Why nodes did not take transactions.
    refused: Mutex<BTreeMap<u32, String>>,
    /// Why they dropped what they had taken.
    rejected: Mutex<BTreeMap<u32, String>>,
    /// Payments, a pair of rivals being one.
    count: usize,
    /// Those of them of which nothing more has to be heard.
    settled: AtomicUsize,
    all_settled: Notify,
}

/// Everything known of one transaction when the run is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome<'a> {
    /// The transaction.
    pub payment: &'a Payment,
    /// When it left.
    pub sent_us: Option<u64>,
    /// When the node had taken it.
    pub answered_us: Option<u64>,
    /// When it was final.
    pub finalized_us: Option<u64>,
    /// Why the node did not take it.
    pub refused: Option<&'a str>,
    /// Why the node dropped it.
    pub rejected: Option<&'a str>,
}

impl Book {
    /// A book of payments of which nothing is known yet.
    pub fn new(payments: Vec<Payment>) -> Self {
        let entry = || Entry {
            sent: AtomicU64::new(NEVER),
            answered: AtomicU64::new(NEVER),
            finalized: AtomicU64::new(NEVER),
            is_settled: AtomicBool::new(false),
        };
        Self {
            by_txid: payments.iter().zip(0..).map(|(payment, number)| (payment.txid, number)).collect(),
            entries: payments.iter().map(|_| entry()).collect(),
            count: payments.iter().filter(|payment| payment.role != Role::Second).count(),
            payments,
            refused: Mutex::default(),
            rejected: Mutex::default(),
            settled: AtomicUsize::new(0),
            all_settled: Notify::new(),
        }
    }

    /// Every transaction, in the order in which they are due.
    pub fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// The transaction with this number.
    pub fn payment(&self, number: u32) -> Option<&Payment> {
        self.payments.get(usize::try_from(number).ok()?)
    }

    /// The number of a transaction of this run.
    pub fn number_of(&self, txid: &Txid) -> Option<u32> {
        self.by_txid.get(txid).copied()
    }

    /// Payments, a pair of rivals being one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// It leaves.
    pub fn sent(&self, number: u32, now_us: u64) {
        if let Some(entry) = self.entry(number) {
            entry.sent.store(now_us, Ordering::Relaxed);
        }
    }

    /// The node has taken it.
    pub fn taken(&self, number: u32, now_us: u64) {
        if let Some(entry) = self.entry(number) {
            entry.answered.store(now_us, Ordering::Relaxed);
        }
    }

    /// The node has not taken it.
    pub fn refused(&self, number: u32, reason: String) {
        lock(&self.refused).insert(number, reason);
        self.lost(number);
    }

    /// A node has dropped it.
    pub fn rejected(&self, number: u32, reason: String) {
        lock(&self.rejected).insert(number, reason);
        self.lost(number);
    }

    /// It is final. Only the first time counts.
    pub fn finalized(&self, number: u32, now_us: u64) {
        let Some(entry) = self.entry(number) else { return };
        entry.finalized.fetch_min(now_us, Ordering::Relaxed);
        self.settle(number);
    }

    /// Whether it is known to be final.
    pub fn is_final(&self, number: u32) -> bool {
        self.entry(number).is_some_and(|entry| entry.finalized.load(Ordering::Relaxed) != NEVER)
    }

    /// How many payments are settled, a pair of rivals being one.
    pub fn settled(&self) -> usize {
        self.settled.load(Ordering::Acquire)
    }

    /// Waits until every payment is settled. Cancel-safe.
    pub async fn all_settled(&self) {
        loop {
            // Before the look, so that nothing is missed in between.
            let news = self.all_settled.notified();
            if self.settled() >= self.count {
                return;
            }
            news.await;
        }
    }

    /// Everything, in the order in which it was due.
    pub fn outcomes<T>(&self, read: impl FnOnce(&mut dyn Iterator<Item = Outcome<'_>>) -> T) -> T {
        let (refused, rejected) = (lock(&self.refused), lock(&self.rejected));
        let at = |time: &AtomicU64| Some(time.load(Ordering::Relaxed)).filter(|us| *us != NEVER);
        let mut outcomes = self.payments.iter().zip(&self.entries).zip(0..).map(|((payment, entry), number)| Outcome {
            payment,
            sent_us: at(&entry.sent),
            answered_us: at(&entry.answered),
            finalized_us: at(&entry.finalized),
            refused: refused.get(&number).map(String::as_str),
            rejected: rejected.get(&number).map(String::as_str),
        });
        read(&mut outcomes)
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    /// A transaction alone is settled when it is lost. Of rivals one loses anyway: the other is waited for.
    fn lost(&self, number: u32) {
        if self.payment(number).is_some_and(|payment| payment.role == Role::Alone) {
            self.settle(number);
        }
    }

    /// Counts a payment as settled, once; for a pair the first of it stands.
    fn settle(&self, number: u32) {
        let is_second = self.payment(number).is_some_and(|payment| payment.role == Role::Second);
        let Some(entry) = self.entry(number.saturating_sub(u32::from(is_second))) else { return };
        if !entry.is_settled.swap(true, Ordering::AcqRel) {
            let settled = self.settled.fetch_add(1, Ordering::AcqRel).saturating_add(1);
            if settled >= self.count {
                self.all_settled.notify_waiters();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(roles: &[Role]) -> Book {
        let payment = |(n, role): (u8, &Role)| Payment {
            txid: Txid([n; 32]),
            bytes: Vec::new(),
            position: 0,
            due_us: 0,
            role: *role,
        };
        Book::new((0..).zip(roles).map(payment).collect())
    }

    #[test]
    fn a_payment_is_settled_once_whatever_is_heard_of_it() {
        let book = book(&[Role::Alone, Role::Alone]);
        book.refused(0, "no answer".into());
        book.finalized(0, 9);
        book.finalized(0, 7);
        book.rejected(0, "evicted".into());
        assert_eq!((book.settled(), book.count()), (1, 2));
        let first = book.outcomes(|outcomes| outcomes.next().map(|o| (o.finalized_us, o.refused.is_some())));
        assert_eq!(first, Some((Some(7), true)));
    }

    #[test]
    fn a_pair_of_rivals_is_settled_when_one_is_final_and_not_when_one_loses() {
        for winner in [0, 1] {
            let book = book(&[Role::First, Role::Second]);
            assert_eq!(book.count(), 1);
            book.refused(1 - winner, "conflict".into());
            assert_eq!(book.settled(), 0);
            book.finalized(winner, 1);
            assert_eq!(book.settled(), 1);
            book.finalized(1 - winner, 2);
            assert_eq!(book.settled(), 1);
        }
    }

    #[tokio::test]
    async fn who_waits_for_all_is_told_when_the_last_is_settled() {
        let book = book(&[Role::Alone, Role::Alone]);
        book.finalized(0, 1);
        let settle_the_last = async {
            tokio::task::yield_now().await;
            book.finalized(1, 2);
        };
        tokio::join!(book.all_settled(), settle_the_last);
        book.all_settled().await;
    }

    #[test]
    fn transactions_of_others_are_none_of_the_run() {
        let book = book(&[Role::Alone]);
        assert_eq!(book.number_of(&Txid([0; 32])), Some(0));
        assert_eq!(book.number_of(&Txid([9; 32])), None);
    }
}
