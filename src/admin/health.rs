//! For machines: whether the program lives, whether it wants traffic, and its metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Admin, Check};
use crate::telemetry::Format;

/// The process answers: that is all a liveness probe should ask, or an outage elsewhere restarts every gateway.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// 200 where every check is good, else 503; the body says which is not.
pub(super) async fn readyz(State(admin): State<Admin>) -> Response {
    let checks = admin.gateway.checks();
    let ready = ready(&checks);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "checks": shown(&checks) }))).into_response()
}

pub(super) async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    ([(header::CONTENT_TYPE, format.content_type())], admin.metrics.page(format)).into_response()
}

pub(super) fn ready(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.good)
}

pub(super) fn shown(checks: &[Check]) -> Value {
    checks.iter().map(|check| json!({ "name": check.name, "ok": check.good, "detail": check.detail })).collect()
}
