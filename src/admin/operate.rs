//! The operating part of the API: configuration, reload, sessions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::error::{Error, Result};

/// `GET /api/config`: the configuration in force, secrets removed.
pub(super) async fn config(State(admin): State<Admin>) -> Json<Value> {
    Json(admin.gateway.config())
}

/// `POST /api/reload`: reads configuration, policies and personas again. 422 with every problem where they are bad; the old ones stay.
pub(super) async fn reload(State(admin): State<Admin>) -> Result<Json<Value>> {
    match admin.gateway.reload().await {
        Ok(settings) if settings.is_empty() => Ok(Json(json!({ "reloaded": true }))),
        Ok(settings) => Ok(Json(json!({ "reloaded": true, "restart_needed": settings }))),
        Err(problems) => Err(Error::problems("bad_configuration", "nothing was changed: the files have mistakes", problems)),
    }
}

/// `GET /api/sessions`: the conversations remembered.
pub(super) async fn sessions(State(admin): State<Admin>) -> Result<Json<Value>> {
    let sessions = admin.gateway.sessions().await;
    sessions
        .map(Json)
        .ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "sessions_off", "conversations are not remembered by this gateway"))
}
