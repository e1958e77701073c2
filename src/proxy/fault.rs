//! Answers that the proxy gives by itself, each in the caller's own wire format. With the guard's outcomes this is the only place that
//! knows status codes.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::dialect::Dialect;
use crate::guard::{Failure, GuardedBody};

/// `x-steadfast-request-id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-steadfast-request-id");

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No route takes it.
    NoRoute,
    /// Routes are chosen by the model, and what model it asks for cannot be told.
    NoModel,
    /// It shows no key.
    NoKey,
    /// As many exchanges as are allowed are under way.
    Busy(usize),
    /// It wants to leave HTTP (a WebSocket, a tunnel).
    Upgrade,
    /// Its body is larger than may be read.
    TooLarge(u64),
    /// Anything that a body or an upstream failed with.
    Failed(Failure),
}

impl Fault {
    /// The failure in words.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (status, code, message) = match self {
            Fault::NoRoute => (StatusCode::NOT_FOUND, "route_not_found", "no route takes this request".to_owned()),
            Fault::NoModel => (
                StatusCode::BAD_REQUEST,
                "model_unreadable",
                "routes are chosen by the model, and this body does not tell it: send one JSON object, not compressed, with one \"model\"".to_owned(),
            ),
            Fault::NoKey => (
                StatusCode::UNAUTHORIZED,
                "invalid_client_key",
                "a valid key is needed, as authorization: Bearer, x-api-key or x-steadfast-key".to_owned(),
            ),
            Fault::Busy(limit) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_requests_in_flight",
                format!("{limit} requests are under way, as many as are allowed (limits.in_flight)"),
            ),
            Fault::Upgrade => (
                StatusCode::NOT_IMPLEMENTED,
                "upgrade_not_supported",
                "protocol upgrades are not supported: what is said in them could not be judged".to_owned(),
            ),
            Fault::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                format!("the request body is over {limit} bytes (limits.request_body)"),
            ),
            Fault::Failed(failure) => return failure.clone(),
        };
        Failure { status, code, message }
    }

    /// The answer.
    #[must_use]
    pub fn respond(&self, dialect: Option<&dyn Dialect>, request_id: &str) -> Response<GuardedBody> {
        let reply = self.failure().reply(dialect, request_id);
        let mut response = Response::new(GuardedBody::full(Bytes::new()));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        match self {
            Fault::Busy(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Fault::NoKey => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        *response.body_mut() = GuardedBody::full(reply.body);
        response
    }
}
