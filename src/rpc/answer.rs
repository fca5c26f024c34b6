//! Whole answers of HTTP.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;

/// An answer, whole.
pub type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer in JSON.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    respond(status, JSON, body)
}

/// An answer for people.
pub fn plain(status: StatusCode, body: &'static str) -> Answer {
    respond(status, TEXT, body)
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Something that cannot be made a WebSocket.
pub fn bad_upgrade() -> Answer {
    plain(StatusCode::BAD_REQUEST, "this is no way to open a WebSocket\n")
}
