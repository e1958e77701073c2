//! Genuine answers in each wire format, as their APIs give them: what the official SDKs are asked to read. A request's model says which
//! answer it gets, so that a client needs no more than its own way to name a model.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai;

use serde_json::{Value, json};

use super::upstream::{Script, Seen};

/// Ends what the model says where a policy flags it.
pub const FLAGGED: &str = "AMBER";
/// What a policy asks again for.
pub const RETRIED: &str = "SANDSTORM";
/// What a policy blocks.
pub const BLOCKED: &str = "NIGHTFALL";
/// What a client gets in place of a blocked answer.
pub const MESSAGE: &str = "I can't continue with that answer.";

/// Short, innocent, and not ASCII only.
pub const SHORT: &str =
    "Boil the pasta in salted water for nine minutes, then toss it with butter — that's all. Buon appetito! 日本語もどうぞ。";

/// Long enough that a held stream lets its beginning out before its end is there.
pub const LONG: &str = "The lighthouse on the northern cape was finished in the spring of 1874, after eleven years of building. \
    Its first keeper, a former ship's carpenter, wrote down the weather three times a day, and his notebooks are kept in the town's museum. \
    Visitors may climb the 213 steps between May and September; in winter the path along the cliff is closed because of ice. \
    From the gallery one sees the harbour, two small islands where puffins nest, and on clear evenings the mountains of the mainland. \
    The lamp itself was changed to electricity in 1931. Before that, oil had to be carried up by hand, about forty litres each night. \
    A storm in 1953 broke several panes, yet the light never failed. Today everything runs without a keeper, and engineers come twice a year \
    to look after the batteries. If you plan a visit, bring a warm jacket, take the early bus from the railway station, and leave at least \
    three hours for the walk back through the dunes, where the old signal house now serves soup, bread and excellent apple cake.";

/// What the model says.
pub enum Said {
    /// A text.
    Text(String),
    /// A tool call: the argument `city`.
    Tool(String),
    /// Nothing: the API's own filter held the answer back.
    Filtered,
}

/// Which of the cases a request's model asks for. `attempt` counts the requests for it, from 0.
pub fn said(case: &str, attempt: usize, structured: bool, tool: bool) -> Said {
    let text = match case {
        "filtered" => return Said::Filtered,
        "flag" => format!("{SHORT} The light was {FLAGGED}."),
        "retry" if attempt.is_multiple_of(2) => format!("A {RETRIED} is coming, and it is all your fault."),
        "block" | "refuse" => format!("The signal is {BLOCKED}, and here is what follows from it."),
        "cut" => format!("{LONG} But what matters is {BLOCKED}, of which nobody may hear."),
        _ => SHORT.to_owned(),
    };
    if tool {
        Said::Tool(text)
    } else if structured {
        Said::Text(json!({"answer": text}).to_string())
    } else {
        Said::Text(text)
    }
}

/// The answer to a request. `attempts` counts those for one model before it.
pub fn answer(seen: &Seen, attempts: impl FnOnce(&str) -> usize) -> Script {
    let request: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let path = seen.target.split('?').next().unwrap();
    let in_path = path.rsplit_once("/models/").and_then(|(_, rest)| rest.split(':').next());
    let in_path = in_path.or_else(|| path.strip_prefix("/model/").and_then(|rest| rest.split('/').next()));
    let case = in_path.or(request["model"].as_str()).unwrap_or_default().to_owned();
    let structured = ["response_format", "text", "output_format", "output_config"]
        .iter()
        .any(|key| request[key].to_string().contains("json_schema"));
    let tool = ["tools", "toolConfig"].iter().any(|key| !matches!(&request[key], Value::Null) && request[key] != json!([]));
    let said = said(&case, attempts(&case), structured, tool);
    let streamed = request["stream"] == json!(true);
    // What must be decided before the first byte comes at once: a pause within it could be long on a busy machine, and text is held for so long only.
    let at_once = ["retry", "block", "refuse"].contains(&case.as_str());
    let sse = |events: Vec<String>| if at_once { Script::stream(&[events.concat()], 0) } else { Script::stream(&events, 1) };
    let whole = |document: Value| Script::json(200, &document.to_string());
    match path {
        _ if path.ends_with("/chat/completions") && streamed => sse(openai::chat_events(&said)),
        _ if path.ends_with("/chat/completions") => whole(openai::chat(&said)),
        _ if path.ends_with("/completions") && streamed => sse(openai::completion_events(&said)),
        _ if path.ends_with("/completions") => whole(openai::completion(&said)),
        _ if path.ends_with("/responses") && streamed => sse(openai::response_events(&said)),
        _ if path.ends_with("/responses") => whole(openai::response(&said, true)),
        _ if path.ends_with("/messages") && streamed => sse(anthropic::message_events(&said)),
        _ if path.ends_with("/messages") => whole(anthropic::message(&said)),
        _ if path.ends_with(":streamGenerateContent") => sse(gemini::events(&said)),
        _ if path.ends_with(":generateContent") => whole(gemini::content(&said)),
        "/api/chat" | "/api/generate" => {
            let generate = path == "/api/generate";
            if request["stream"] == json!(false) {
                whole(ollama::document(&said, generate))
            } else {
                let lines = ollama::lines(&said, generate);
                let lines = if at_once { vec![lines.concat()] } else { lines };
                Script::streamed("application/x-ndjson", &lines, 1)
            }
        }
        "/v2/chat" if streamed => sse(cohere::events(&said)),
        "/v2/chat" => whole(cohere::chat(&said)),
        _ if path.ends_with("/converse-stream") => {
            Script::streamed("application/vnd.amazon.eventstream", &bedrock::frames(&said), 1)
        }
        _ if path.ends_with("/converse") => whole(bedrock::converse(&said)),
        _ => Script::json(404, &json!({"error": {"message": "no such endpoint", "type": "invalid_request_error"}}).to_string()),
    }
}

/// A server-sent event whose name is its type.
fn named(kind: &str, mut value: Value) -> String {
    value["type"] = json!(kind);
    format!("event: {kind}\ndata: {value}\n\n")
}

/// Words with the spaces that follow them, as tokens come.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

impl Said {
    fn text(&self) -> &str {
        match self {
            Said::Text(text) => text,
            Said::Tool(_) | Said::Filtered => "",
        }
    }

    /// A tool call's arguments, as JSON in a string.
    fn arguments(&self) -> Option<String> {
        match self {
            Said::Tool(city) => Some(json!({"city": city}).to_string()),
            Said::Text(_) | Said::Filtered => None,
        }
    }
}
