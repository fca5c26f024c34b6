//! JSON-RPC before there is a node: every call is answered that it starts, and with what it is busy. A snapshot to fetch or a
//! database to make anew takes minutes, in which scripts should hear that the node is not gone.

use super::answer::{Answer, json, plain};
use super::auth::Role;
use super::dispatch::{Caller, Dispatcher, refusal};
use super::errors::Failure;
use super::hosts::Hosts;
use super::listen::{bind, is_open};
use super::rate::RateLimit;
use super::stall::Stalling;
use super::start_error::StartError;
use super::types::{Check, Health};
use crate::config;
use crate::limits::{
    MAX_RPC_HEAD_BYTES, MAX_SUBSCRIPTIONS_IN_ALL, RPC_BODY_TIMEOUT_MS, RPC_HEAD_TIMEOUT_MS, RPC_STALL_MS,
};
use crate::node::Startup;
use http::header::{CONNECTION, HOST, HeaderValue, ORIGIN};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::core::server::{BoundedSubscriptions, Methods};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections served at a time. Each is for one request.
const CONNECTIONS: usize = 64;
/// Pause after the system refused to take a connection: it has no file descriptors or no memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub struct Starting {
    listener: TcpListener,
    answers: Arc<Answers>,
}

/// What every connection needs.
struct Answers {
    dispatcher: Dispatcher,
    hosts: Hosts,
    max_request_bytes: usize,
    startup: Startup,
}

impl Starting {
    /// Listens at `address` for a node that tells `startup` how far it is.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn listen(config: &config::Rpc, address: SocketAddr, startup: Startup) -> Result<Self, StartError> {
        let listener = bind(config, address).await?;
        let limit = config.max_requests_per_second;
        let dispatcher = Dispatcher {
            methods: Methods::new(),
            starting: Some(startup.clone()),
            max_batch: usize::try_from(config.max_batch).unwrap_or(usize::MAX),
            rate: (limit > 0).then(|| RateLimit::new(limit)),
            is_open: is_open(config, &address),
            subscriptions: BoundedSubscriptions::new(MAX_SUBSCRIPTIONS_IN_ALL),
        };
        let hosts = Hosts::new(&config.allowed_hosts, &config.cors_origins);
        let max_request_bytes = usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX);
        Ok(Self { listener, answers: Arc::new(Answers { dispatcher, hosts, max_request_bytes, startup }) })
    }

    /// Where it listens; `None` if the system does not say.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until `starting` is done; what is under way then is broken off.
    pub async fn answer_until<T>(&self, starting: impl Future<Output = T>) -> T {
        let mut connections = JoinSet::new();
        tokio::pin!(starting);
        loop {
            // Accepting is cancel-safe.
            tokio::select! {
                biased;
                done = starting.as_mut() => return done,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connection(Arc::clone(&self.answers), stream, peer));
                    }
                    Err(_) => {
                        connections.spawn(tokio::time::sleep(ACCEPT_PAUSE));
                    }
                },
            }
        }
    }

    /// The listener, for the server of the node.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }
}

async fn connection(answers: Arc<Answers>, stream: TcpStream, peer: SocketAddr) {
    let stream = Stalling::new(stream, Duration::from_millis(RPC_STALL_MS));
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.answer(peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(RPC_HEAD_TIMEOUT_MS))
        .max_buf_size(MAX_RPC_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Who hangs up gets no answer.
    connection.await.ok();
}

impl Answers {
    async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Answer {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let refused = match (header(HOST), header(ORIGIN)) {
            (Some(host), _) if !self.hosts.allows_host(host) => true,
            (Some(host), Some(origin)) => !self.hosts.allows_origin(origin, host),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let mut answer = match refused {
            true => plain(StatusCode::FORBIDDEN, "see rpc.allowed_hosts and rpc.cors_origins\n"),
            false => self.route(peer, request).await,
        };
        // The next request may be the node's own.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    async fn route(&self, peer: SocketAddr, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/") => {}
            (&Method::GET | &Method::HEAD, "/health") => return self.health(),
            _ => return plain(StatusCode::SERVICE_UNAVAILABLE, "the node is starting; try again\n"),
        }
        let limit = self.max_request_bytes;
        let body = Limited::new(request.into_body(), limit).collect();
        let Ok(Ok(body)) = timeout(Duration::from_millis(RPC_BODY_TIMEOUT_MS), body).await else {
            let refused = refusal(Failure::RequestTooLarge { limit });
            return json(StatusCode::PAYLOAD_TOO_LARGE, refused.get().to_owned());
        };
        let caller = Caller { address: peer.ip(), role: Role::Anonymous, socket: None };
        match self.dispatcher.answer(&caller, &body.to_bytes()).await {
            Some(answer) => json(StatusCode::OK, answer.get().to_owned()),
            None => plain(StatusCode::NO_CONTENT, ""),
        }
    }

    fn health(&self) -> Answer {
        let check = Check { name: "node", ok: false, detail: self.startup.doing() };
        let health = Health { status: "starting", healthy: false, checks: vec![check] };
        json(StatusCode::SERVICE_UNAVAILABLE, serde_json::to_string(&health).unwrap_or_default())
    }
}
