//! Errors of the admin API: `{"error": {"code", "message", "problems"?}}`, with what to do about it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::document::Problem;
use crate::incidents::StoreError;
use crate::rows::RowError;

/// An error of the API.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    problems: Vec<Problem>,
}

pub(super) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Error { status, code, message: message.into(), problems: Vec::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Error::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Error::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// A document has mistakes.
    pub(super) fn problems(code: &'static str, message: impl Into<String>, problems: Vec<Problem>) -> Self {
        Error { status: StatusCode::UNPROCESSABLE_ENTITY, code, message: message.into(), problems }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Busy | StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Error::new(status, "incident_store", error.to_string())
    }
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Error::bad_request(error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.problems.is_empty() {
            error["problems"] = self.problems.iter().map(problem).collect();
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "message": problem.message,
        "help": problem.help,
        "text": problem.to_string(),
    })
}

pub(super) async fn no_such_page() -> Error {
    Error::not_found(
        "no such page; there are /, /livez, /readyz, /metrics and /api/status, incidents, score, simulate, sessions, config, reload, \
         and for other gateways /v1/moderations, /api/v1/text/contents, /api/v1/text/generation, /beta/litellm_basic_guardrail_api",
    )
}

pub(super) async fn wrong_method() -> Error {
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this page takes another method; reading is GET, the rest is POST")
}
