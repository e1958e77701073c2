//! Verdicts for other gateways, which ask for one over an API of theirs and act on it themselves: OpenAI's moderations, the detectors of
//! FMS and TrustyAI, LiteLLM's generic guardrail. Each file knows one API's shapes; what is judged, and how, is the same as `/api/score`.
//!
//! "Could not be judged" is no "not flagged". Where an API has a word only for yes and no, it is an error, so that the caller's own
//! choice of failing open or closed counts.

mod detectors;
mod guardrail;
mod moderations;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use super::error::{Error, Result};
use super::{Admin, Route};
use crate::rows::{Row, RowVerdict};

/// The pages, to be put behind the access rules of the API.
pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/v1/moderations", post(moderations::create))
        .route("/api/v1/text/contents", post(detectors::contents))
        .route("/api/v1/text/generation", post(detectors::generation))
        .route("/beta/litellm_basic_guardrail_api", post(guardrail::apply))
}

/// The route of that name, or the first.
fn route(admin: &Admin, name: Option<&str>) -> Result<Route> {
    super::judge::route(admin, name)
}

/// The verdict on one answer, which counts: another gateway acts on it.
async fn judge(admin: &Admin, route: &Route, row: Row) -> Result<RowVerdict> {
    let verdict = row.judge(&route.snapshot).await?;
    admin.metrics.asked(&route.snapshot.policy.name, route.snapshot.policy.mode, &verdict);
    Ok(verdict)
}

/// Whether a rule fired. An error where the text could not be judged and the policy lets that through.
fn flagged(verdict: &RowVerdict) -> Result<bool> {
    match verdict.action {
        "unscored" => Err(Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unscored",
            format!("the text could not be judged ({}): no verdict, neither good nor bad", verdict.unscored.join(", ")),
        )),
        action => Ok(action != "allow"),
    }
}
