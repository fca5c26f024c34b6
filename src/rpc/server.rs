//! The server: one port for HTTP and WebSockets, a bounded number of connections, and its end.

use super::auth::Gate;
use super::context::Context;
use super::dispatch::Dispatcher;
use super::hosts::Hosts;
use super::http::serve;
use super::listen::{bind, is_open};
use super::rate::RateLimit;
use super::register;
use super::shared::{Connection, Shared};
use super::stall::Stalling;
use super::start_error::StartError;
use super::starting::Starting;
use super::unsent::Unsent;
use crate::config;
use crate::limits::{
    MAX_RPC_HEAD_BYTES, MAX_SUBSCRIPTIONS_IN_ALL, MAX_UNSENT_ANSWER_BYTES, RPC_HEAD_TIMEOUT_MS, RPC_STALL_MS,
    RPC_STOP_MS,
};
use crate::node::handle::NodeHandle;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::core::server::BoundedSubscriptions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// Pause after the system refused to take a connection: it has no file descriptors or no memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server. Dropping it stops it too, without waiting.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Server {
    /// Listens at `address` and serves until [`Server::stop`], or the node stops.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(node: NodeHandle, config: &config::Rpc, address: SocketAddr) -> Result<Self, StartError> {
        Self::start_bounded(node, config, address, Unsent::new(MAX_UNSENT_ANSWER_BYTES)).await
    }

    /// Goes on where `starting` answered until there was a node.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn take_over(node: NodeHandle, config: &config::Rpc, starting: Starting) -> Result<Self, StartError> {
        Self::start_on(node, config, starting.into_listener(), Unsent::new(MAX_UNSENT_ANSWER_BYTES))
    }

    /// The same with a bound of its own on answers that wait.
    pub(super) async fn start_bounded(
        node: NodeHandle,
        config: &config::Rpc,
        address: SocketAddr,
        unsent: Arc<Unsent>,
    ) -> Result<Self, StartError> {
        Self::start_on(node, config, bind(config, address).await?, unsent)
    }

    fn start_on(
        node: NodeHandle,
        config: &config::Rpc,
        listener: TcpListener,
        unsent: Arc<Unsent>,
    ) -> Result<Self, StartError> {
        let unknown = SocketAddr::from(([0; 4], 0));
        let address = listener.local_addr().map_err(|reason| StartError::Listen { address: unknown, reason })?;
        let is_open = is_open(config, &address);
        let gate = Gate::open(node.data_dir(), config.tokens_file.as_deref())?;
        let stop = node.stopping().child_token();
        let context = Arc::new(Context::new(node));
        let limit = config.max_requests_per_second;
        let dispatcher = Dispatcher {
            methods: register::methods(Arc::clone(&context))?,
            starting: None,
            max_batch: usize::try_from(config.max_batch).unwrap_or(usize::MAX),
            rate: (limit > 0).then(|| RateLimit::new(limit)),
            is_open,
            subscriptions: BoundedSubscriptions::new(MAX_SUBSCRIPTIONS_IN_ALL),
        };
        let shared = Arc::new(Shared {
            context,
            dispatcher,
            gate,
            hosts: Hosts::new(&config.allowed_hosts, &config.cors_origins),
            max_request_bytes: usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX),
            unsent,
            tracker: TaskTracker::new(),
            stop,
        });
        let places = usize::try_from(config.max_connections).unwrap_or(Semaphore::MAX_PERMITS);
        shared.tracker.spawn(accept(Arc::clone(&shared), listener, Arc::new(Semaphore::new(places))));
        info!(%address, "serving JSON-RPC");
        Ok(Self { shared, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, finishes those under way, ends every connection, removes the cookie.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tracker.close();
        self.shared.tracker.wait().await;
        self.shared.gate.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, places: Arc<Semaphore>) {
    loop {
        // Accepting is cancel-safe.
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    shared.tracker.spawn(connection(Arc::clone(&shared), stream, peer, place));
                }
                Err(_) => debug!(%peer, "connection refused: rpc.max_connections are open"),
            },
            Err(error) => {
                warn!(%error, "cannot take connections");
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

/// Serves a connection until its client leaves or the server stops; then a request under way is still answered.
async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "a connection broke before it began");
        return;
    }
    let own = Arc::new(Connection { backlog: shared.unsent.connection(), _place: place });
    let backlog = Arc::clone(&own.backlog);
    let stream = Stalling::new(stream, Duration::from_millis(RPC_STALL_MS));
    let stop = shared.stop.clone();
    let service = service_fn(move |request| serve(Arc::clone(&shared), peer, Arc::clone(&own), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(RPC_HEAD_TIMEOUT_MS))
        .max_buf_size(MAX_RPC_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // What waits goes with the connection.
        () = backlog.cut() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // A call that takes longer is broken off.
            match timeout(Duration::from_millis(RPC_STOP_MS), connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a connection broke");
    }
}
