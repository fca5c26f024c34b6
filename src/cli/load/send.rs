//! Sending payments when they are due, whatever became of those before.

use crate::cli::CliError;
use crate::cli::client::{CallError, Client};
use crate::cli::remote::RemoteNode;
use crate::load::book::Book;
use crate::load::payments::node_of;
use crate::load::schedule::{Next, Queue};
use crate::types::hex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests under way to one node at a time. What is due beyond that waits, and its wait counts.
const REQUESTS_A_NODE: usize = 32;
/// Between now and the first due time.
const LEAD: Duration = Duration::from_millis(50);
/// Why a payment counts as not taken whose answer says something else than its txid.
const WRONG_ANSWER: &str = "wrong answer";

/// The clock of a run.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that soon begins.
    pub fn start() -> Self {
        Self(Instant::now() + LEAD)
    }

    /// Microseconds since the start, 0 before.
    pub fn now_us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn at(self, us: u64) -> Instant {
        self.0 + Duration::from_micros(us)
    }
}

/// Sends everything; returns when the last was answered.
pub async fn send_all(nodes: &[RemoteNode], book: &Arc<Book>, clock: Clock) -> Result<(), CliError> {
    let mut queues: Vec<Queue> = nodes.iter().map(|_| Queue::default()).collect();
    for (payment, number) in book.payments().iter().zip(0..) {
        if let Some(queue) = queues.get_mut(node_of(payment, nodes.len())) {
            queue.push(number, payment.due_us);
        }
    }
    let mut feeders = JoinSet::new();
    for (node, queue) in nodes.iter().zip(queues) {
        feeders.spawn(feed(node.client().clone(), queue, Arc::clone(book), clock));
    }
    while let Some(fed) = feeders.join_next().await {
        fed.map_err(CliError::failure)??;
    }
    Ok(())
}

/// Sends what goes to one node.
async fn feed(client: Client, mut queue: Queue, book: Arc<Book>, clock: Clock) -> Result<(), CliError> {
    let room = Arc::new(Semaphore::new(REQUESTS_A_NODE));
    let mut requests = JoinSet::new();
    loop {
        match queue.next(clock.now_us()) {
            Next::Done => break,
            Next::WaitUntil(us) => tokio::time::sleep_until(clock.at(us)).await,
            Next::Take(_) => {
                let permit = Arc::clone(&room).acquire_owned().await.map_err(CliError::failure)?;
                // More may have fallen due meanwhile.
                if let Next::Take(count) = queue.next(clock.now_us()) {
                    requests.spawn(request(client.clone(), queue.take(count), Arc::clone(&book), clock, permit));
                }
                while let Some(done) = requests.try_join_next() {
                    done.map_err(CliError::failure)?;
                }
            }
        }
    }
    while let Some(done) = requests.join_next().await {
        done.map_err(CliError::failure)?;
    }
    Ok(())
}

/// One request with some transactions.
async fn request(client: Client, numbers: Vec<u32>, book: Arc<Book>, clock: Clock, permit: OwnedSemaphorePermit) {
    let payments = numbers.iter().filter_map(|number| book.payment(*number));
    let hexes: Vec<String> = payments.map(|payment| hex::encode(&payment.bytes)).collect();
    let now = clock.now_us();
    numbers.iter().for_each(|number| book.sent(*number, now));
    let answers = client.send_raw_transactions(&hexes).await;
    drop(permit);
    let now = clock.now_us();
    match answers {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for number in numbers {
                let txid = book.payment(number).map(|payment| payment.txid.to_string());
                match answers.next() {
                    Some(Ok(answer)) if answer.as_str() == txid.as_deref() => book.taken(number, now),
                    Some(Err(error)) => book.refused(number, reason_of(error)),
                    Some(Ok(_)) | None => book.refused(number, WRONG_ANSWER.to_owned()),
                }
            }
        }
        Err(error) => {
            let reason = reason_of(error);
            numbers.iter().for_each(|number| book.refused(*number, reason.clone()));
        }
    }
}

/// The stable part of an error: thousands are counted under it.
fn reason_of(error: CallError) -> String {
    match error {
        CallError::Refused { reason: Some(reason), .. } => reason,
        CallError::Refused { code, reason: None, .. } => format!("error {code}"),
        CallError::Unreachable { .. } => "no answer".to_owned(),
        CallError::Nonsense { .. } => WRONG_ANSWER.to_owned(),
        other => other.to_string(),
    }
}
