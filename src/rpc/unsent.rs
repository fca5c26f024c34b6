//! Answers that wait for their clients, bounded over all connections together.
//!
//! One answer may have megabytes, and a client may take it as slowly as it likes for half a minute: many such clients
//! would hold all memory. So every answer is counted from when it is made until its last byte is with the system. When
//! too much waits, connections are cut, those first that hold the most for the longest: bytes times the time since they
//! last took a whole answer. A client that has only just asked is never the first.
//!
//! Invariant: what connections hold that are not cut is at most the limit, after every [`Backlog::charge`].

use crate::limits::MAX_UNSENT_ANSWER_BYTES;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const _: () = assert!(MAX_UNSENT_ANSWER_BYTES >= 2 * crate::limits::MAX_RPC_RESPONSE_BYTES);

/// What waits on all connections.
pub struct Unsent {
    limit: usize,
    total: AtomicUsize,
    epoch: Instant,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Weak<Backlog>>,
}

/// What waits on one connection.
pub struct Backlog {
    all: Arc<Unsent>,
    number: u64,
    bytes: AtomicUsize,
    /// When it last had nothing waiting or took a whole answer, in milliseconds from `Unsent::epoch`.
    since_ms: AtomicU64,
    cut: CancellationToken,
}

/// Counts as long as it lives.
struct Charge {
    backlog: Arc<Backlog>,
    bytes: usize,
}

/// An answer with what it counts for.
pub struct Counted {
    text: Box<str>,
    _charge: Charge,
}

impl Unsent {
    /// Nothing waits; at most `limit` bytes may.
    pub fn new(limit: usize) -> Arc<Self> {
        let (total, connections) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { limit, total, epoch: Instant::now(), connections })
    }

    /// A connection on which nothing waits. It is known here until its last [`Counted`] is gone too.
    pub fn connection(self: &Arc<Self>) -> Arc<Backlog> {
        let mut connections = self.lock();
        let number = connections.next;
        connections.next = number.saturating_add(1);
        let backlog = Arc::new(Backlog {
            all: Arc::clone(self),
            number,
            bytes: AtomicUsize::new(0),
            since_ms: AtomicU64::new(self.now_ms()),
            cut: CancellationToken::new(),
        });
        connections.open.insert(number, Arc::downgrade(&backlog));
        backlog
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Cuts connections until the others hold no more than the limit.
    fn cut_down(&self) {
        let now = self.now_ms();
        let held = |backlog: &Backlog| backlog.bytes.load(Ordering::Relaxed);
        let mut open: Vec<Arc<Backlog>> = self.lock().open.values().filter_map(Weak::upgrade).collect();
        open.retain(|backlog| held(backlog) > 0 && !backlog.cut.is_cancelled());
        let mut sum = open.iter().map(|backlog| held(backlog)).fold(0_usize, usize::saturating_add);
        // The worst last.
        open.sort_by_cached_key(|backlog| {
            // Within the first millisecond bytes alone decide.
            let waited_ms = now.saturating_sub(backlog.since_ms.load(Ordering::Relaxed)).saturating_add(1);
            u128::from(waited_ms).saturating_mul(u128::try_from(held(backlog)).unwrap_or(u128::MAX))
        });
        while sum > self.limit {
            let Some(worst) = open.pop() else { return };
            let bytes = held(&worst);
            sum = sum.saturating_sub(bytes);
            tracing::warn!(bytes, "a connection is cut: too many bytes of answers wait, and it takes its own slowly");
            worst.cut.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        // Nothing in here panics while it holds the lock.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    /// Counts an answer until it is dropped. May cut connections, this one among them.
    pub fn charge(self: &Arc<Self>, text: Box<str>) -> Counted {
        let bytes = text.len();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.since_ms.store(self.all.now_ms(), Ordering::Relaxed);
        }
        let before = self.all.total.fetch_add(bytes, Ordering::Relaxed);
        let counted = Counted { text, _charge: Charge { backlog: Arc::clone(self), bytes } };
        if before.saturating_add(bytes) > self.all.limit {
            self.all.cut_down();
        }
        counted
    }

    /// Done when this connection has to end at once. Cancel-safe.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.all.lock().open.remove(&self.number);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Backlog { all, bytes, since_ms, .. } = &*self.backlog;
        bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        all.total.fetch_sub(self.bytes, Ordering::Relaxed);
        since_ms.store(all.now_ms(), Ordering::Relaxed);
    }
}

impl Counted {
    /// The answer.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The answer as bytes that count until the last of them is dropped.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(bytes: usize) -> Box<str> {
        "x".repeat(bytes).into_boxed_str()
    }

    fn are_cut<const N: usize>(connections: [&Arc<Backlog>; N]) -> [bool; N] {
        connections.map(|connection| connection.cut.is_cancelled())
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_holds_much_for_long_is_cut_and_the_others_are_not() {
        let unsent = Unsent::new(100);
        let (slow, small, fresh) = (unsent.connection(), unsent.connection(), unsent.connection());
        let _small = small.charge(answer(1));
        let _slow = slow.charge(answer(60));
        tokio::time::advance(Duration::from_secs(5)).await;
        let held = fresh.charge(answer(39));
        assert_eq!(are_cut([&slow, &small, &fresh]), [false; 3], "the limit itself is allowed");
        let _more = fresh.charge(answer(30));
        assert_eq!(are_cut([&slow, &small, &fresh]), [true, false, false]);
        // What the cut one holds is not counted against the others until it is gone.
        let _last = fresh.charge(answer(30));
        assert_eq!(are_cut([&slow, &small, &fresh]), [true, false, false]);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_whole_answers_now_and_then_has_not_waited_long() {
        let unsent = Unsent::new(100);
        let (busy, stuck) = (unsent.connection(), unsent.connection());
        let first = busy.charge(answer(20));
        let _second = busy.charge(answer(50));
        let _stuck = stuck.charge(answer(29));
        tokio::time::advance(Duration::from_secs(20)).await;
        drop(first);
        let _third = busy.charge(answer(30));
        assert_eq!(are_cut([&busy, &stuck]), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_until_its_last_byte_is_gone_and_a_connection_until_it_ends() {
        let unsent = Unsent::new(100);
        let connection = unsent.connection();
        let mut bytes = connection.charge(answer(10)).into_bytes();
        let rest = bytes.split_off(5);
        drop((bytes, Arc::clone(&connection)));
        assert_eq!(unsent.total.load(Ordering::Relaxed), 10);
        drop(rest);
        assert_eq!(unsent.total.load(Ordering::Relaxed), 0);
        drop(connection);
        assert!(unsent.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn at_one_moment_the_largest_is_cut_and_nobody_who_holds_nothing() {
        let unsent = Unsent::new(100);
        let (large, small, idle) = (unsent.connection(), unsent.connection(), unsent.connection());
        let _large = large.charge(answer(90));
        let _small = small.charge(answer(20));
        assert_eq!(are_cut([&large, &small, &idle]), [true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_larger_than_all_there_is_room_for_cuts_its_own_connection() {
        let unsent = Unsent::new(100);
        let connection = unsent.connection();
        let _held = connection.charge(answer(101));
        connection.cut().await;
    }
}
