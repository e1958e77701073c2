//! The Detectors API of FMS Guardrails and TrustyAI: `POST /api/v1/text/contents` (texts) and `/api/v1/text/generation` (an answer and what it
//! answers). Without `detector_params.threshold` a detection is the policy's decision; with it, each label that is at least so probable.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{flagged, judge, route};
use crate::admin::error::Error;
use crate::admin::judge::{Body, body};
use crate::admin::{Admin, Route};
use crate::rows::{Row, RowVerdict};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    /// Whose policy and persona judge; the first route if not said.
    route: Option<String>,
    /// Labels of at least this probability, in place of the policy.
    threshold: Option<f64>,
}

#[derive(Deserialize)]
struct Contents {
    contents: Vec<String>,
    #[serde(default)]
    detector_params: Option<Params>,
}

#[derive(Deserialize)]
struct Generation {
    prompt: String,
    generated_text: String,
    #[serde(default)]
    detector_params: Option<Params>,
}

pub(in crate::admin) async fn contents(State(admin): State<Admin>, bytes: Body) -> Result<Json<Value>, DetectorError> {
    let asked: Contents = body(bytes)?;
    let params = asked.detector_params.unwrap_or_default();
    let route = route(&admin, params.route.as_deref())?;
    let mut all = Vec::with_capacity(asked.contents.len());
    for text in asked.contents {
        let verdict = verdict(&admin, &route, None, &text).await?;
        let [start, end] = span(&verdict, &text);
        let place = json!({ "start": chars(&text, start), "end": chars(&text, end), "text": text.get(start..end) });
        all.push(detections(&verdict, params.threshold, &place)?);
    }
    Ok(Json(json!(all)))
}

pub(in crate::admin) async fn generation(State(admin): State<Admin>, bytes: Body) -> Result<Json<Value>, DetectorError> {
    let asked: Generation = body(bytes)?;
    let params = asked.detector_params.unwrap_or_default();
    let route = route(&admin, params.route.as_deref())?;
    let verdict = verdict(&admin, &route, Some(asked.prompt), &asked.generated_text).await?;
    Ok(Json(json!(detections(&verdict, params.threshold, &json!({}))?)))
}

async fn verdict(admin: &Admin, route: &Route, prompt: Option<String>, text: &str) -> Result<RowVerdict, Error> {
    judge(admin, route, Row { prompt, response: Some(text.to_owned()), ..Row::default() }).await
}

/// The detections of one text; `place` is what each of them says of where it is.
fn detections(verdict: &RowVerdict, threshold: Option<f64>, place: &Value) -> Result<Vec<Value>, Error> {
    let flagged = flagged(verdict)?;
    let found: Vec<Value> = match threshold {
        // A decision is certain, whatever probabilities led to it.
        None if flagged => vec![json!({
            "detection": verdict.action, "detection_type": verdict.rule, "score": 1.0, "metadata": { "labels": verdict.labels },
        })],
        None => Vec::new(),
        Some(least) => {
            let over = verdict.labels.0.iter().filter(|(_, score, _)| f64::from(score.get()) >= least);
            over.map(|(label, score, _)| {
                json!({ "detection": "persona_collapse", "detection_type": label.as_str(), "score": score.get() })
            })
            .collect()
        }
    };
    let placed = found.into_iter().map(|mut detection| {
        if let (Some(detection), Some(place)) = (detection.as_object_mut(), place.as_object()) {
            detection.extend(place.clone());
        }
        detection
    });
    Ok(placed.collect())
}

/// The bytes that caused the verdict, or all of them.
fn span(verdict: &RowVerdict, text: &str) -> [usize; 2] {
    verdict.span.filter(|[start, end]| text.get(*start..*end).is_some()).unwrap_or([0, text.len()])
}

/// The API counts characters.
fn chars(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |before| before.chars().count())
}

/// An error as this API writes them: `{"code": 400, "message": "…"}`.
pub(in crate::admin) struct DetectorError(Error);

impl From<Error> for DetectorError {
    fn from(error: Error) -> Self {
        DetectorError(error)
    }
}

impl IntoResponse for DetectorError {
    fn into_response(self) -> Response {
        let status: StatusCode = self.0.status();
        (status, Json(json!({ "code": status.as_u16(), "message": self.0.message() }))).into_response()
    }
}
