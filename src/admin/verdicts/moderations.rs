//! `POST /v1/moderations` in OpenAI's shape: each text is judged as an answer of the model. Categories are the labels, as
//! `steadfast/<label>`; OpenAI's own categories are left out rather than called false, since nobody looked for them.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{flagged, judge, route};
use crate::admin::Admin;
use crate::admin::error::{Error, Result};
use crate::admin::judge::{Body, body};
use crate::rows::{Row, RowVerdict};

/// What a route's name stands after in `model`.
const PREFIX: &str = "steadfast/";

#[derive(Deserialize)]
struct Asked {
    input: Input,
    /// `steadfast/NAME`: the route of that name judges; any other: the first.
    #[serde(default)]
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

pub(in crate::admin) async fn create(State(admin): State<Admin>, bytes: Body) -> Result<Json<Value>> {
    let asked: Asked = body(bytes)?;
    let route = route(&admin, asked.model.as_deref().and_then(|model| model.strip_prefix(PREFIX)))?;
    let mut results = Vec::new();
    for response in texts(asked.input)? {
        let verdict = judge(&admin, &route, Row { response: Some(response), ..Row::default() }).await?;
        results.push(result(&verdict)?);
    }
    let model = format!("{PREFIX}{}", route.snapshot.route);
    Ok(Json(json!({ "id": format!("modr-{}", ulid::Ulid::new()), "model": model, "results": results })))
}

/// The texts to judge: an array of texts is as many, an array of parts is one.
fn texts(input: Input) -> Result<Vec<String>> {
    match input {
        Input::Text(text) => Ok(vec![text]),
        Input::Texts(texts) => Ok(texts),
        Input::Parts(parts) => {
            let whole = parts.into_iter().map(|part| match part.text {
                Some(text) if part.kind == "text" => Ok(text),
                _ => Err(Error::bad_request("input: only parts of type \"text\" can be judged")),
            });
            Ok(vec![whole.collect::<Result<String>>()?])
        }
    }
}

/// `flagged` is the policy's decision; a category is true where it is at the bottom of it, that is, where its label fired the rule.
fn result(verdict: &RowVerdict) -> Result<Value> {
    let flagged = flagged(verdict)?;
    let (mut categories, mut scores, mut applied) = (Map::new(), Map::new(), Map::new());
    for (label, score, _) in verdict.labels.0.iter() {
        let name = format!("{PREFIX}{}", label.as_str());
        categories.insert(name.clone(), json!(verdict.fired.contains(&label)));
        scores.insert(name.clone(), json!(score.get()));
        applied.insert(name, json!(["text"]));
    }
    Ok(json!({
        "flagged": flagged,
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": applied,
        "steadfast": { "action": verdict.action, "rule": verdict.rule },
    }))
}
