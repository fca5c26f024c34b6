//! Calls to a node's JSON-RPC.

use base64ct::{Base64, Encoding as _};
use jsonrpsee::core::client::{ClientT as _, Error as ClientError};
use jsonrpsee::core::params::{ArrayParams, BatchRequestBuilder};
use jsonrpsee::http_client::transport::Error as HttpError;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient};
use jsonrpsee::types::ErrorObject;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take; waiting calls say how long they wait and come in below it.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Most bytes of an answer: a block of the largest size with its outputs.
const MAX_RESPONSE_BYTES: u32 = 64_000_000;

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such place to call.
    #[error("{url} is no URL of a node ({reason}); it is written http://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cookie cannot be read.
    #[error("cannot read the cookie {path}: {reason}")]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Nobody answers.
    #[error("no answer from {url}: {reason}. Is the node running? Say --rpc-url if it is elsewhere")]
    Unreachable {
        /// Where.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// It wants to know who calls, or does not believe it.
    #[error(
        "{url} does not take the cookie of this call: it is that of another node, or of another run. With --rpc-url, leave \
        --config and --data-dir of other nodes away"
    )]
    Unauthorized {
        /// Where.
        url: String,
    },
    /// Something answers, and it is no answer to the call.
    #[error("the answer of {url} makes no sense: {reason}")]
    Nonsense {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node says no.
    #[error("{message} (error {code}{})", reason.as_ref().map(|r| format!(", {r}")).unwrap_or_default())]
    Refused {
        /// The code of the error.
        code: i32,
        /// What it says.
        message: String,
        /// Its stable identifier.
        reason: Option<String>,
    },
}

/// A node's JSON-RPC. Cheap to clone; calls may overlap.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    /// The value of that header.
    authorization: Option<String>,
    inner: HttpClient,
}

impl Client {
    /// A client of the node at `url`, with the rights that a cookie gives.
    ///
    /// # Errors
    /// [`CallError::Url`], [`CallError::Cookie`].
    pub fn new(url: &str, cookie: Option<&Path>) -> Result<Self, CallError> {
        let mut authorization = None;
        if let Some(path) = cookie {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|reason| CallError::Cookie { path: path.to_owned(), reason })?;
            authorization = Some(format!("Basic {}", Base64::encode_string(text.trim().as_bytes())));
        }
        Self::build(url, authorization, TIMEOUT)
    }

    /// The same client, whose calls have this long to be answered.
    ///
    /// # Errors
    /// None that making it did not have.
    pub fn with_timeout(&self, timeout: Duration) -> Result<Self, CallError> {
        Self::build(&self.url, self.authorization.clone(), timeout)
    }

    fn build(url: &str, authorization: Option<String>, timeout: Duration) -> Result<Self, CallError> {
        let mut headers = HeaderMap::new();
        // Base64 has no byte that a header may not have.
        if let Some(Ok(value)) = authorization.as_deref().map(HeaderValue::from_str) {
            headers.insert("authorization", value);
        }
        let built = HttpClient::builder()
            .set_headers(headers)
            .request_timeout(timeout)
            .max_response_size(MAX_RESPONSE_BYTES)
            .max_concurrent_requests(4_096)
            .build(url);
        let inner = built.map_err(|e| CallError::Url { url: url.to_owned(), reason: e.to_string() })?;
        Ok(Self { url: url.to_owned(), authorization, inner })
    }

    /// Where the node is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its calls say of who makes them: the value of the `Authorization` header.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Calls `method` with parameters by position.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, method: &str, parameters: Vec<Value>) -> Result<Value, CallError> {
        let mut array = ArrayParams::new();
        for parameter in parameters {
            // A JSON value always encodes.
            array.insert(parameter).map_err(|e| self.unreachable(&e))?;
        }
        self.inner.request(method, array).await.map_err(|error| self.explain(error))
    }

    /// Hands in transactions, given as hex, with one request. The answers are in the order of the transactions: what
    /// the node says, which has to be the txid.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer to the request; one for each transaction that the node does not take.
    pub async fn send_raw_transactions(&self, hexes: &[String]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        let mut batch = BatchRequestBuilder::new();
        for hex in hexes {
            batch.insert("send_raw_transaction", [hex]).map_err(|e| self.unreachable(&e))?;
        }
        let answers = self.inner.batch_request::<Value>(batch).await.map_err(|error| self.explain(error))?;
        Ok(answers.into_iter().map(|answer| answer.map_err(|object| refused(&object))).collect())
    }

    fn explain(&self, error: ClientError) -> CallError {
        match error {
            ClientError::Transport(error) if is_unauthorized(&*error) => {
                CallError::Unauthorized { url: self.url.clone() }
            }
            ClientError::Call(object) => refused(&object),
            wrong @ (ClientError::ParseError(_) | ClientError::InvalidRequestId(_)) => {
                CallError::Nonsense { url: self.url.clone(), reason: wrong.to_string() }
            }
            other => self.unreachable(&other),
        }
    }

    fn unreachable(&self, reason: &impl ToString) -> CallError {
        CallError::Unreachable { url: self.url.clone(), reason: reason.to_string() }
    }
}

/// HTTP 401.
fn is_unauthorized(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(HttpError::Rejected { status_code: 401 }))
}

fn refused(object: &ErrorObject<'_>) -> CallError {
    let data: Option<Value> = object.data().and_then(|raw| serde_json::from_str(raw.get()).ok());
    let reason = data.as_ref().and_then(|data| data.get("reason")?.as_str());
    CallError::Refused { code: object.code(), message: object.message().to_owned(), reason: reason.map(str::to_owned) }
}

/// Runs a client command to its end.
///
/// # Errors
/// What the command returns, or that no runtime can be had.
pub fn block_on<T>(command: impl Future<Output = Result<T, super::CliError>>) -> Result<T, super::CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(super::CliError::failure)?.block_on(command)
}
