//! LiteLLM's generic guardrail: `POST /beta/litellm_basic_guardrail_api`. Answers are judged, requests are not: those are another tool's work.
//! The caller acts on the word that comes back, so the policy's mode counts: in shadow nothing is blocked.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{judge, route};
use crate::admin::Admin;
use crate::admin::error::Result;
use crate::admin::judge::{Body, body};
use crate::policy::Mode;
use crate::rows::{Message, Row};

#[derive(Deserialize)]
struct Asked {
    input_type: Kind,
    #[serde(default)]
    texts: Option<Vec<String>>,
    #[serde(default)]
    structured_messages: Option<Vec<Message>>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    additional_provider_specific_params: Option<Params>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Request,
    Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    /// Whose policy and persona judge; the first route if not said.
    route: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    function: Function,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function {
    arguments: Option<String>,
}

pub(in crate::admin) async fn apply(State(admin): State<Admin>, bytes: Body) -> Result<Json<Value>> {
    let asked: Asked = body(bytes)?;
    let params = asked.additional_provider_specific_params.unwrap_or_default();
    let route = route(&admin, params.route.as_deref())?;
    if asked.input_type == Kind::Request {
        return Ok(let_through());
    }
    let messages = asked.structured_messages.unwrap_or_default();
    let context = Row {
        system: said(&messages, &["system", "developer"]).next().map(|message| message.content.text()),
        prompt: said(&messages, &["user"]).last().map(|message| message.content.text()),
        model: asked.model,
        ..Row::default()
    };
    // What a tool is told was said by the model too.
    let arguments = asked.tool_calls.unwrap_or_default().into_iter().filter_map(|call| call.function.arguments);
    for text in asked.texts.unwrap_or_default().into_iter().chain(arguments) {
        let verdict = judge(&admin, &route, Row { response: Some(text), ..context.clone() }).await?;
        if verdict.action == "unscored" {
            tracing::warn!(route = %route.snapshot.route, reasons = verdict.unscored.join(", "), "an answer of LiteLLM's is let through unjudged");
        }
        let policy = &route.snapshot.policy;
        if policy.mode == Mode::Enforce && matches!(verdict.action, "retry" | "block") {
            let reason = format!("{} (steadfast: {})", policy.block.message, verdict.rule.unwrap_or_default());
            return Ok(Json(json!({ "action": "BLOCKED", "blocked_reason": reason })));
        }
    }
    Ok(let_through())
}

fn let_through() -> Json<Value> {
    Json(json!({ "action": "NONE" }))
}

fn said<'a>(messages: &'a [Message], roles: &'a [&str]) -> impl Iterator<Item = &'a Message> {
    messages.iter().filter(move |message| roles.contains(&message.role.as_str()))
}
