//! From the bytes of a request to the bytes of its answer, over whatever it came.
//!
//! Every call takes the same way, alone or in a batch: its rate, its name and its caller's role are checked before the
//! method sees it. Every error has a `data.reason`, those about the request itself too.

use super::auth::Role;
use super::batch::Bounded;
use super::errors::Failure;
use super::methods::{Access, Method, find, nearest};
use super::rate::RateLimit;
use crate::limits::{MAX_RPC_RESPONSE_BYTES, MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS_IN_ALL};
use crate::node::Startup;
use jsonrpsee::core::id_providers::RandomIntegerIdProvider;
use jsonrpsee::core::server::{
    BatchResponseBuilder, BoundedSubscriptions, ConnectionId, Extensions, MethodCallback, MethodResponse, MethodSink,
    Methods, SubscriptionPermit, SubscriptionState,
};
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, OVERSIZED_RESPONSE_CODE};
use jsonrpsee::types::{Id, InvalidRequest, Notification, Params, Request};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What dispatching needs.
pub struct Dispatcher {
    /// Every method.
    pub methods: Methods,
    /// What the node is busy with, if there is none yet: then no call is answered.
    pub starting: Option<Startup>,
    /// Most calls of a batch.
    pub max_batch: usize,
    /// How many calls an address may make; `None`: any number.
    pub rate: Option<RateLimit>,
    /// Whether callers without a token may call what is open.
    pub is_open: bool,
    /// Room for subscriptions of all connections together.
    pub subscriptions: BoundedSubscriptions,
}

/// Keeps a subscription's place on its connection as long as the subscription lasts.
#[derive(Clone)]
struct Place {
    _permit: Arc<SubscriptionPermit>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// From where.
    pub address: IpAddr,
    /// What it may do.
    pub role: Role,
    /// Its WebSocket, if it calls over one.
    pub socket: Option<Socket>,
}

/// Where subscriptions send what they have.
#[derive(Clone, Debug)]
pub struct Socket {
    /// The connection.
    pub id: ConnectionId,
    /// What goes out.
    pub sink: MethodSink,
    /// Room for subscriptions.
    pub subscriptions: BoundedSubscriptions,
}

impl Dispatcher {
    /// Answers a request; nothing for notifications, and for subscriptions, which answer for themselves.
    pub async fn answer(&self, caller: &Caller, body: &[u8]) -> Option<Box<RawValue>> {
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace());
        let response = match start.map(|start| body[start]) {
            Some(b'[') => self.batch(caller, body).await?,
            _ => self.single(caller, body).await?,
        };
        (!response.is_subscription()).then(|| response.into_json())
    }

    async fn single(&self, caller: &Caller, body: &[u8]) -> Option<MethodResponse> {
        match serde_json::from_slice::<Request<'_>>(body) {
            Ok(request) => Some(self.call(caller, request, false).await),
            Err(_) => match serde_json::from_slice::<&RawValue>(body) {
                Ok(json) => unreadable(json),
                Err(_) => Some(refuse(Id::Null, Failure::Parse)),
            },
        }
    }

    async fn batch(&self, caller: &Caller, body: &[u8]) -> Option<MethodResponse> {
        let Ok(entries) = Bounded::read(body, self.max_batch) else { return Some(refuse(Id::Null, Failure::Parse)) };
        let entries = match entries {
            Bounded::Whole(entries) if entries.is_empty() => {
                return Some(refuse(Id::Null, Failure::InvalidRequest { problem: "an empty batch" }));
            }
            Bounded::Whole(entries) => entries,
            Bounded::TooMany => return Some(refuse(Id::Null, Failure::BatchTooLarge { limit: self.max_batch })),
        };
        let mut answers = BatchResponseBuilder::new_with_limit(MAX_RPC_RESPONSE_BYTES);
        for entry in entries {
            let answer = match serde_json::from_str::<Request<'_>>(entry.get()) {
                Ok(request) => Some(self.call(caller, request, true).await),
                Err(_) => unreadable(entry),
            };
            if let Some(answer) = answer
                && answers.append(answer).is_err()
            {
                return Some(refuse(Id::Null, Failure::ResponseTooLarge { limit: MAX_RPC_RESPONSE_BYTES }));
            }
        }
        // Notifications alone are not answered.
        (!answers.is_empty()).then(|| MethodResponse::from_batch(answers.finish()))
    }

    async fn call(&self, caller: &Caller, request: Request<'_>, in_batch: bool) -> MethodResponse {
        let Request { id, method: name, params, .. } = request;
        if let Some(startup) = &self.starting {
            let refused = self.check_rate(caller).err();
            return refuse(id, refused.unwrap_or_else(|| Failure::Starting { doing: startup.doing() }));
        }
        match self.admit(caller, &name, in_batch) {
            Ok(()) => {}
            Err(failure) => return refuse(id, failure),
        }
        let params = Params::new(params.as_deref().map(RawValue::get));
        let (limit, none) = (MAX_RPC_RESPONSE_BYTES, Extensions::new);
        let connection = caller.socket.as_ref().map_or(ConnectionId(0), |socket| socket.id);
        let kept_id = id.clone().into_owned();
        let response = match self.methods.method(&name) {
            Some(MethodCallback::Sync(call)) => call(id, params, limit, none()),
            Some(MethodCallback::Async(call)) => {
                call(id.into_owned(), params.into_owned(), connection, limit, none()).await
            }
            Some(MethodCallback::Unsubscription(call)) => call(id, params, connection, limit, none()),
            Some(MethodCallback::Subscription(call)) => {
                let Some(socket) = &caller.socket else { return refuse(id, Failure::Internal(name.into_owned())) };
                let Some(place) = socket.subscriptions.acquire() else {
                    return refuse(id, Failure::TooManySubscriptions { limit: MAX_SUBSCRIPTIONS });
                };
                let Some(permit) = self.subscriptions.acquire() else {
                    return refuse(id, Failure::TooManySubscriptions { limit: MAX_SUBSCRIPTIONS_IN_ALL });
                };
                let provider = &RandomIntegerIdProvider;
                let state =
                    SubscriptionState { conn_id: connection, id_provider: provider, subscription_permit: permit };
                let mut extensions = Extensions::new();
                extensions.insert(Place { _permit: Arc::new(place) });
                call(id, params, socket.sink.clone(), state, extensions).await
            }
            // `admit` has looked the name up in the table that everything is registered from.
            None => refuse(id, Failure::Internal(name.into_owned())),
        };
        match response.as_error_code() {
            Some(OVERSIZED_RESPONSE_CODE) => refuse(kept_id, Failure::ResponseTooLarge { limit }),
            Some(INTERNAL_ERROR_CODE) if !response.as_ref().contains("\"reason\"") => {
                refuse(kept_id, Failure::Internal("the answer was lost".to_owned()))
            }
            _ => response,
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// [`Failure::RateLimited`] if its address has made too many.
    pub fn check_rate(&self, caller: &Caller) -> Result<(), Failure> {
        match &self.rate {
            Some(rate) if !rate.admit(caller.address, Instant::now()) => {
                Err(Failure::RateLimited { limit: rate.per_second() })
            }
            _ => Ok(()),
        }
    }

    /// Whether this call may be made.
    fn admit(&self, caller: &Caller, name: &str, in_batch: bool) -> Result<(), Failure> {
        self.check_rate(caller)?;
        if !self.is_open && caller.role < Role::User {
            return Err(Failure::NotPermitted { what: "this node serves nobody it does not know" });
        }
        let Some(method) = find(name) else {
            return Err(Failure::UnknownMethod { name: name.chars().take(64).collect(), nearest: nearest(name) });
        };
        if method.access == Access::Admin {
            if caller.role < Role::Admin {
                return Err(Failure::NotPermitted { what: "this method is for administrators" });
            }
            tracing::info!(method = method.name, address = %caller.address, "administrator's call");
        }
        check_transport(caller, method, in_batch)
    }
}

fn check_transport(caller: &Caller, method: &'static Method, in_batch: bool) -> Result<(), Failure> {
    let has_place = method.unsubscribe.is_none() || (caller.socket.is_some() && !in_batch);
    has_place.then_some(()).ok_or(Failure::NeedsWebSocket { method: method.name })
}

/// What is JSON and no call: a notification is not answered, everything else is no request.
fn unreadable(json: &RawValue) -> Option<MethodResponse> {
    if serde_json::from_str::<Notification<'_, Option<Cow<'_, RawValue>>>>(json.get()).is_ok()
        && serde_json::from_str::<HasId>(json.get()).is_ok_and(|entry| entry.id.is_none())
    {
        return None;
    }
    let id = serde_json::from_str::<InvalidRequest<'_>>(json.get()).map_or(Id::Null, |request| request.id);
    let problem = "an object with \"jsonrpc\": \"2.0\", \"method\", and \"id\" as a number or a string";
    Some(refuse(id, Failure::InvalidRequest { problem }))
}

#[derive(serde::Deserialize)]
struct HasId {
    id: Option<serde_json::Value>,
}

fn refuse(id: Id<'_>, failure: Failure) -> MethodResponse {
    MethodResponse::error(id, jsonrpsee::types::ErrorObjectOwned::from(failure))
}

/// A refusal as the body of an answer.
pub fn refusal(failure: Failure) -> Box<RawValue> {
    refuse(Id::Null, failure).into_json()
}
