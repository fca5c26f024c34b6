//! HTTP: who may come under which name from which page, and what goes where.
//!
//! | request | answer |
//! |---|---|
//! | `POST /` | calls |
//! | `GET /` that asks for it | a WebSocket |
//! | `GET /health` | 200 or 503, with a line a check |
//! | `OPTIONS /` | leave for pages of allowed origins |

use super::answer::{Answer, json, plain};
use super::auth::Role;
use super::dispatch::{Caller, refusal};
use super::errors::Failure;
use super::health::health;
use super::shared::{Connection, Shared};
use super::websocket;
use crate::limits::RPC_BODY_TIMEOUT_MS;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Answers one request of a connection.
///
/// # Errors
/// Never: what goes wrong is answered.
pub async fn serve(
    shared: Arc<Shared>,
    peer: SocketAddr,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut answer = match admit(&shared, request.headers()) {
        Err(refused) => *refused,
        Ok(role) => route(&shared, peer, role, connection, request).await,
    };
    if let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|text| shared.hosts.is_listed(text))) {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
    Ok(answer)
}

/// Who makes the request, if it may come under its name from its page.
fn admit(shared: &Shared, headers: &HeaderMap) -> Result<Role, Box<Answer>> {
    let Some(host) = text(headers, HOST) else {
        return Err(Box::new(plain(StatusCode::BAD_REQUEST, "one Host header is needed\n")));
    };
    if !shared.hosts.allows_host(host) {
        let problem = "this Host is not served; add it to rpc.allowed_hosts\n";
        return Err(Box::new(plain(StatusCode::FORBIDDEN, problem)));
    }
    // A browser says where a page is from, everybody else nothing.
    let origin = headers.contains_key(ORIGIN).then(|| text(headers, ORIGIN).unwrap_or_default());
    if origin.is_some_and(|origin| !shared.hosts.allows_origin(origin, host)) {
        let problem = "pages of this Origin may not call; add it to rpc.cors_origins\n";
        return Err(Box::new(plain(StatusCode::FORBIDDEN, problem)));
    }
    let authorization = headers.contains_key(AUTHORIZATION).then(|| text(headers, AUTHORIZATION).unwrap_or_default());
    shared.gate.role(authorization).map_err(|_| {
        let failure = Failure::NotPermitted { what: "these credentials are nobody's" };
        let mut answer = json(StatusCode::UNAUTHORIZED, refusal(failure).get().to_owned());
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"timed\""));
        Box::new(answer)
    })
}

/// A header that is there once, as text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())?.to_str().ok()
}

async fn route(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    role: Role,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Answer {
    let caller = Caller { address: peer.ip(), role, socket: None };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") if websocket::is_asked_for(&request) => {
            websocket::open(shared, caller, connection, request)
        }
        (&Method::POST, "/") => calls(shared, &connection, &caller, request).await,
        (&Method::OPTIONS, "/") => leave(),
        (&Method::GET | &Method::HEAD, "/health") => look(shared, &caller).await,
        (_, "/" | "/health") => {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "JSON-RPC calls are made with POST\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, OPTIONS"));
            answer
        }
        _ => plain(StatusCode::NOT_FOUND, "calls go to /, health is at /health\n"),
    }
}

/// How the node does.
async fn look(shared: &Shared, caller: &Caller) -> Answer {
    if let Err(failure) = shared.dispatcher.check_rate(caller) {
        return json(StatusCode::TOO_MANY_REQUESTS, refusal(failure).get().to_owned());
    }
    let health = health(&shared.context).await;
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = json(status, serde_json::to_string(&health).unwrap_or_default());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer to a browser that asks whether a page may call: the origin was let in, or this would not be reached.
fn leave() -> Answer {
    let mut answer = plain(StatusCode::NO_CONTENT, "");
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}

async fn calls(shared: &Shared, connection: &Connection, caller: &Caller, request: Request<Incoming>) -> Answer {
    let content_type = text(request.headers(), CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    // What a form on any web page could send is not taken.
    if !essence.eq_ignore_ascii_case("application/json") && !essence.eq_ignore_ascii_case("application/json-rpc") {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type has to be application/json\n");
    }
    let limit = shared.max_request_bytes;
    let body = Limited::new(request.into_body(), limit).collect();
    let body = match timeout(Duration::from_millis(RPC_BODY_TIMEOUT_MS), body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let refused = refusal(Failure::RequestTooLarge { limit });
            return json(StatusCode::PAYLOAD_TOO_LARGE, refused.get().to_owned());
        }
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the request broke off\n"),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    };
    match shared.dispatcher.answer(caller, &body).await {
        Some(answer) => json(StatusCode::OK, connection.backlog.charge(answer.into()).into_bytes()),
        None => plain(StatusCode::NO_CONTENT, ""),
    }
}
