//! Answers what peers ask of the past, on a thread of its own: reading blocks and packing them takes long, and whoever asks
//! for many holds up nobody but itself.
//!
//! Peers take turns, one answer each. Of one peer a few requests wait, and it gets no further answer while it leaves
//! earlier ones unread; what is beyond that is dropped, for who gets no answer asks somebody else.

use crate::limits::{MAX_UNREAD_HISTORY_BYTES, MAX_WAITING_HISTORY_REQUESTS, MAX_WAITING_HISTORY_REQUESTS_IN_ALL};
use crate::replica::{HistoryRequest, Message, PeerId, Store, history};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The way to who asked.
pub trait HistoryWire: Send {
    /// Sends an answer. Does not wait.
    fn send(&self, to: PeerId, message: &Arc<Message>);
    /// Bytes that wait to be sent to this peer.
    fn unread_bytes(&self, peer: PeerId) -> usize;
}

/// Requests that wait, by peer.
#[derive(Default)]
struct Waiting {
    /// Peers with requests, who is next first; each once.
    turns: VecDeque<PeerId>,
    of_peer: HashMap<PeerId, VecDeque<HistoryRequest>>,
    count: usize,
    is_closed: bool,
}

impl Waiting {
    /// Whether it was taken.
    fn add(&mut self, peer: PeerId, request: HistoryRequest) -> bool {
        let requests = self.of_peer.entry(peer).or_default();
        let has_room =
            requests.len() < MAX_WAITING_HISTORY_REQUESTS && self.count < MAX_WAITING_HISTORY_REQUESTS_IN_ALL;
        let is_taken = has_room && !requests.contains(&request);
        if is_taken {
            if requests.is_empty() {
                self.turns.push_back(peer);
            }
            requests.push_back(request);
            self.count += 1;
        } else if requests.is_empty() {
            self.of_peer.remove(&peer);
        }
        is_taken
    }

    /// The oldest request of the peer whose turn it is.
    fn next(&mut self) -> Option<(PeerId, HistoryRequest)> {
        let peer = self.turns.pop_front()?;
        let requests = self.of_peer.get_mut(&peer)?;
        let request = requests.pop_front()?;
        self.count -= 1;
        if requests.is_empty() {
            self.of_peer.remove(&peer);
        } else {
            self.turns.push_back(peer);
        }
        Some((peer, request))
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a request; `None` once the queue is closed.
    fn next(&self) -> Option<(PeerId, HistoryRequest)> {
        let is_idle = |waiting: &mut Waiting| waiting.turns.is_empty() && !waiting.is_closed;
        let mut waiting = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.is_closed { None } else { waiting.next() }
    }
}

/// The thread that answers.
pub struct HistoryServer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl HistoryServer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(store: Arc<dyn Store>, wire: impl HistoryWire + 'static) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let requests = Arc::clone(&queue);
        let work = move || {
            while let Some((peer, request)) = requests.next() {
                if wire.unread_bytes(peer) > MAX_UNREAD_HISTORY_BYTES {
                    continue;
                }
                if let Some(answer) = history::answer(&*store, &request) {
                    wire.send(peer, &Arc::new(answer));
                }
            }
        };
        let thread = std::thread::Builder::new().name("history".to_owned()).spawn(work)?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// A peer asks; never waits.
    pub fn serve(&self, peer: PeerId, request: HistoryRequest) {
        if self.queue.lock().add(peer, request) {
            self.queue.changed.notify_one();
        }
    }

    /// Gives no further answers and ends the thread.
    pub fn stop(mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on its way out.
            thread.join().ok();
        }
    }

    fn close(&self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

/// Of a node that could not start nothing goes on.
impl Drop for HistoryServer {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::number::Height;

    fn request(from: u64) -> HistoryRequest {
        HistoryRequest::Headers { from: Height::new(from) }
    }

    #[test]
    fn peers_take_turns_and_one_that_floods_holds_up_only_itself() {
        let mut waiting = Waiting::default();
        let taken = (1..1_000).filter(|from| waiting.add(PeerId(1), request(*from))).count();
        assert_eq!(taken, MAX_WAITING_HISTORY_REQUESTS);
        assert!(waiting.add(PeerId(2), request(7)));
        let order: Vec<_> = std::iter::from_fn(|| waiting.next()).collect();
        let expected = [(1, 1), (2, 7), (1, 2), (1, 3), (1, 4)];
        assert_eq!(order, expected.map(|(peer, from)| (PeerId(peer), request(from))));
        assert!(waiting.of_peer.is_empty() && waiting.count == 0);
    }

    #[test]
    fn the_same_request_waits_once_and_all_of_them_are_bounded() {
        let mut waiting = Waiting::default();
        assert!(waiting.add(PeerId(1), request(1)));
        assert!(!waiting.add(PeerId(1), request(1)));
        let most = MAX_WAITING_HISTORY_REQUESTS_IN_ALL as u64;
        let taken = (2..2 * most).filter(|peer| waiting.add(PeerId(*peer), request(1))).count() as u64;
        assert_eq!(taken, most - 1);
        assert_eq!(waiting.of_peer.len() as u64, most, "who was refused is not remembered");
        assert!(waiting.next().is_some() && waiting.add(PeerId(u64::MAX), request(1)));
    }
}
