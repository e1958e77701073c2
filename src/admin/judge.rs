//! The judging part of the API: a text or a conversation in, the gateway's own verdict out.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Error, Result};
use super::{Admin, Route};
use crate::rows::{Row, RowVerdict};

/// What is judged, and by which route's policy and persona.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Asked {
    /// The first route if not said.
    route: Option<String>,
    /// For `/api/simulate`: a policy file's text in place of the route's own.
    policy: Option<String>,
    #[serde(flatten)]
    row: Row,
}

/// `POST /api/score`: a [`Row`] and optionally `route`; the verdict by the policy in force.
pub(super) async fn score(State(admin): State<Admin>, bytes: Body) -> Result<Json<RowVerdict>> {
    let asked: Asked = body(bytes)?;
    if asked.policy.is_some() {
        return Err(Error::bad_request("/api/score judges by the policy in force; send another policy to /api/simulate"));
    }
    let route = route(&admin, asked.route.as_deref())?;
    Ok(Json(asked.row.judge(&route.snapshot).await?))
}

/// `POST /api/simulate`: as `/api/score`, by the policy given as `policy` (the text of a policy file).
pub(super) async fn simulate(State(admin): State<Admin>, bytes: Body) -> Result<Json<RowVerdict>> {
    let asked: Asked = body(bytes)?;
    let Some(text) = &asked.policy else {
        return Err(Error::bad_request("give \"policy\", the text of a policy file; /api/score judges by the policy in force"));
    };
    let route = route(&admin, asked.route.as_deref())?;
    let policy =
        admin.gateway.read_policy(text).map_err(|problems| Error::problems("bad_policy", "the policy has mistakes", problems))?;
    let mut snapshot = route.snapshot.as_ref().clone();
    snapshot.policy = Arc::new(policy);
    Ok(Json(asked.row.judge(&snapshot).await?))
}

pub(super) fn route(admin: &Admin, name: Option<&str>) -> Result<Route> {
    admin.route(name).ok_or_else(|| {
        let known: Vec<_> = admin.gateway.routes().iter().map(|route| format!("{:?}", &*route.snapshot.route)).collect();
        Error::bad_request(format!("no such route {:?}; there are {}", name.unwrap_or_default(), known.join(", ")))
    })
}

/// A body that has been read, or why it could not be.
pub(super) type Body = std::result::Result<Bytes, BytesRejection>;

/// A JSON body. Errors say where it is wrong and quote no more of it than a wrong key.
pub(super) fn body<T: DeserializeOwned>(bytes: Body) -> Result<T> {
    let bytes = bytes.map_err(|rejection| Error::new(rejection.status(), "unreadable_body", rejection.body_text()))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::bad_request(format!("the body: {}", unquoted(&error))))
}

/// What is wrong with a JSON text, without the value that is wrong: that may be a text to judge.
fn unquoted(error: &serde_json::Error) -> String {
    let told = error.to_string();
    match told.rfind(", expected ") {
        Some(at) if told.starts_with("invalid ") => told[at + 2..].to_owned(),
        _ => told,
    }
}
