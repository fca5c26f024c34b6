//! WebSockets: many calls at a time over one connection, and subscriptions.
//!
//! One task reads and one writes. A call holds one of a few places from its reading until its answer stands in the queue
//! of what goes out, and without a place nothing is read: a client that does not take its answers makes itself wait, and
//! nothing here grows. A client that is silent for too long, pongs included, or takes nothing, is cut off.

use super::answer::{Answer, bad_upgrade};
use super::dispatch::{Caller, Socket};
use super::shared::{Connection, Shared};
use super::unsent::{Backlog, Counted};
use crate::limits::{
    MAX_SOCKET_CALLS, MAX_SUBSCRIPTIONS, RPC_STALL_MS, SOCKET_PING_MS, SOCKET_QUEUE, SOCKET_SILENCE_MS,
};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jsonrpsee::core::server::{BoundedSubscriptions, ConnectionId, MethodSink};
use serde_json::value::RawValue;
use soketto::data::ByteSlice125;
use soketto::handshake::http::{Server as Handshake, is_upgrade_request};
use soketto::{Incoming as Heard, Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{BufReader, BufWriter};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use tokio_util::sync::CancellationToken;

type Stream = Compat<BufReader<BufWriter<TokioIo<Upgraded>>>>;

/// Numbers of connections: subscriptions are told apart by them.
static NEXT_CONNECTION: AtomicUsize = AtomicUsize::new(1);

/// Whether a request wants a WebSocket.
pub fn is_asked_for(request: &Request<Incoming>) -> bool {
    is_upgrade_request(request)
}

/// Answers such a request, and serves the WebSocket once the answer is sent.
pub fn open(
    shared: &Arc<Shared>,
    caller: Caller,
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
) -> Answer {
    let mut handshake = Handshake::new();
    let Ok(answer) = handshake.receive_request(&request) else { return bad_upgrade() };
    let upgrade = hyper::upgrade::on(&mut request);
    let shared_too = Arc::clone(shared);
    shared.tracker.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let stream = BufReader::new(BufWriter::new(TokioIo::new(upgraded))).compat();
                let mut builder = handshake.into_builder(stream);
                builder.set_max_message_size(shared_too.max_request_bytes);
                builder.set_max_frame_size(shared_too.max_request_bytes);
                let (sender, receiver) = builder.finish();
                // What waits goes with the connection: both ends of it are dropped.
                tokio::select! {
                    () = serve(&shared_too, &connection.backlog, caller, sender, receiver) => {}
                    () = connection.backlog.cut() => {}
                }
            }
            Err(error) => tracing::debug!(%error, "a WebSocket broke before it began"),
        }
        drop(connection);
    });
    let (parts, ()) = answer.into_parts();
    Response::from_parts(parts, Full::new(Bytes::new()))
}

/// Serves until the client leaves, breaks a rule, takes nothing, or the server stops.
async fn serve(
    shared: &Arc<Shared>,
    backlog: &Arc<Backlog>,
    caller: Caller,
    sender: Sender<Stream>,
    receiver: Receiver<Stream>,
) {
    let (items, outgoing_items) = mpsc::channel(SOCKET_QUEUE);
    let (answers, outgoing_answers) = mpsc::channel(MAX_SOCKET_CALLS);
    let socket = Socket {
        id: ConnectionId(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed)),
        sink: MethodSink::new(items),
        subscriptions: BoundedSubscriptions::new(MAX_SUBSCRIPTIONS),
    };
    let caller = Arc::new(Caller { socket: Some(socket), ..caller });
    let end = shared.stop.child_token();
    let writing = write(sender, outgoing_items, outgoing_answers, end.clone());
    let answers = Answers { queue: answers, backlog: Arc::clone(backlog) };
    let reading = read(shared, caller, answers, receiver, end.clone());
    // Each ends the other through `end`; what they drop ends the subscriptions.
    tokio::join!(writing, reading);
}

/// Where answers wait for their turn, counted.
#[derive(Clone)]
struct Answers {
    queue: mpsc::Sender<Counted>,
    backlog: Arc<Backlog>,
}

/// Sends what waits, and a ping now and then; at the end says goodbye. Items of subscriptions go first: after the answer
/// that a subscription is over, none of it comes.
async fn write(
    mut sender: Sender<Stream>,
    mut items: mpsc::Receiver<Box<RawValue>>,
    mut answers: mpsc::Receiver<Counted>,
    end: CancellationToken,
) {
    let mut pings = interval(Duration::from_millis(SOCKET_PING_MS));
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // All four are cancel-safe.
        let sent = tokio::select! {
            biased;
            () = end.cancelled() => break,
            _ = pings.tick() => ping(&mut sender).await,
            item = items.recv() => match item {
                Some(item) => send(&mut sender, item.get()).await,
                None => break,
            },
            answer = answers.recv() => match answer {
                Some(answer) => send(&mut sender, answer.text()).await,
                None => break,
            },
        };
        if sent.is_err() {
            break;
        }
    }
    end.cancel();
    // Who takes nothing is not waited for; the connection ends when the sender is dropped.
    timeout(Duration::from_millis(RPC_STALL_MS), sender.close()).await.ok();
}

async fn send(sender: &mut Sender<Stream>, message: &str) -> Result<(), soketto::connection::Error> {
    sender.send_text(message).await?;
    sender.flush().await
}

async fn ping(sender: &mut Sender<Stream>) -> Result<(), soketto::connection::Error> {
    let nothing: &[u8] = &[];
    // No bytes are fewer than 125.
    let Ok(nothing) = ByteSlice125::try_from(nothing) else { return Ok(()) };
    sender.send_ping(nothing).await?;
    sender.flush().await
}

/// Reads calls and starts them, a few at a time.
async fn read(
    shared: &Arc<Shared>,
    caller: Arc<Caller>,
    answers: Answers,
    mut receiver: Receiver<Stream>,
    end: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_SOCKET_CALLS));
    let mut calls = JoinSet::new();
    loop {
        // Dropped only where nothing more is read.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            let message = next_message(&mut receiver).await?;
            Some((place, message))
        };
        let (place, message) = tokio::select! {
            () = end.cancelled() => break,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        let (shared, caller, answers) = (Arc::clone(shared), Arc::clone(&caller), answers.clone());
        calls.spawn(async move {
            if let Some(answer) = shared.dispatcher.answer(&caller, &message).await {
                // It fails only where nobody is left to read it.
                answers.queue.send(answers.backlog.charge(answer.into())).await.ok();
            }
            drop(place);
        });
        while calls.try_join_next().is_some() {}
    }
    end.cancel();
}

/// The next message; nothing after the last, or if the client breaks a rule or is silent for too long.
async fn next_message(receiver: &mut Receiver<Stream>) -> Option<Vec<u8>> {
    loop {
        let mut message = Vec::new();
        let heard = timeout(Duration::from_millis(SOCKET_SILENCE_MS), receiver.receive(&mut message)).await;
        match heard {
            Ok(Ok(Heard::Data(_))) => return Some(message),
            Ok(Ok(Heard::Pong(_))) => {}
            Ok(Ok(Heard::Closed(_))) => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a WebSocket ended");
                return None;
            }
            Err(_) => return None,
        }
    }
}
