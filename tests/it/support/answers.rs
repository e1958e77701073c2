//! Genuine answers in each wire format, as their APIs give them: what the official SDKs are asked to read. A request's model says which
//! answer it gets, so that a client needs no more than its own way to name a model.

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

/// The wire formats that are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Completions.
    Completions,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
}

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

/// The path's wire format.
pub fn wire(path: &str) -> Option<Wire> {
    let path = path.split('?').next().unwrap();
    Some(match path {
        _ if path.ends_with("/chat/completions") => Wire::Chat,
        _ if path.ends_with("/completions") => Wire::Completions,
        _ if path.ends_with("/responses") => Wire::Responses,
        _ if path.ends_with("/messages") => Wire::Messages,
        _ => return None,
    })
}

/// The answer to a request. `attempts` counts those for one model before it.
pub fn answer(seen: &Seen, attempts: impl FnOnce(&str) -> usize) -> Script {
    let request: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let Some(wire) = wire(&seen.target) else {
        return Script::json(
            404,
            &json!({"error": {"message": "no such endpoint", "type": "invalid_request_error"}}).to_string(),
        );
    };
    let case = request["model"].as_str().unwrap_or_default().to_owned();
    let structured = ["response_format", "text", "output_format", "output_config"]
        .iter()
        .any(|key| request[key].to_string().contains("json_schema"));
    let tool = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let said = said(&case, attempts(&case), structured, tool);
    if request["stream"] == json!(true) {
        Script::stream(&wire.events(&said), 1)
    } else {
        Script::json(200, &wire.document(&said).to_string())
    }
}

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

    fn arguments(&self) -> Option<String> {
        match self {
            Said::Tool(city) => Some(json!({"city": city}).to_string()),
            Said::Text(_) | Said::Filtered => None,
        }
    }

    fn chat_finish(&self) -> &'static str {
        match self {
            Said::Text(_) => "stop",
            Said::Tool(_) => "tool_calls",
            Said::Filtered => "content_filter",
        }
    }

    fn messages_finish(&self) -> &'static str {
        match self {
            Said::Text(_) => "end_turn",
            Said::Tool(_) => "tool_use",
            Said::Filtered => "refusal",
        }
    }
}

impl Wire {
    /// The answer as one document.
    pub fn document(self, said: &Said) -> Value {
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39});
        match self {
            Wire::Chat => {
                let mut message = json!({"role": "assistant", "content": said.text(), "refusal": null});
                if let Some(arguments) = said.arguments() {
                    message["content"] = Value::Null;
                    message["tool_calls"] =
                        json!([{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}]);
                }
                json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_764_000_000, "model": "scripted", "usage": usage,
                    "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": said.chat_finish()}]})
            }
            Wire::Completions => {
                json!({"id": "cmpl-1", "object": "text_completion", "created": 1_764_000_000, "model": "scripted",
                "choices": [{"index": 0, "text": said.text(), "logprobs": null, "finish_reason": said.chat_finish()}], "usage": usage})
            }
            Wire::Responses => response(said, true),
            Wire::Messages => {
                let content = match said.arguments() {
                    Some(_) => json!([{"type": "tool_use", "id": "toolu_1", "name": "weather",
                        "input": serde_json::from_str::<Value>(&said.arguments().unwrap()).unwrap()}]),
                    None if matches!(said, Said::Filtered) => json!([]),
                    None => json!([{"type": "text", "text": said.text()}]),
                };
                json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": content,
                    "stop_reason": said.messages_finish(), "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 30}})
            }
        }
    }

    /// The answer as the events of a stream, a word each.
    pub fn events(self, said: &Said) -> Vec<String> {
        match self {
            Wire::Chat => chat_events(said),
            Wire::Completions => {
                let chunk = |text: &str, finish: Value| {
                    let choices = json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]);
                    let chunk = json!({"id": "cmpl-1", "object": "text_completion", "created": 1_764_000_000, "model": "scripted", "choices": choices});
                    format!("data: {chunk}\n\n")
                };
                let mut events: Vec<String> = words(said.text()).map(|word| chunk(word, Value::Null)).collect();
                events.push(chunk("", json!(said.chat_finish())));
                events.push("data: [DONE]\n\n".to_owned());
                events
            }
            Wire::Responses => response_events(said),
            Wire::Messages => message_events(said),
        }
    }
}

fn chat_events(said: &Said) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "scripted", "choices": choices});
        format!("data: {chunk}\n\n")
    };
    let call = |value: Value| chunk(json!({"tool_calls": [value]}), Value::Null);
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    if let Some(arguments) = said.arguments() {
        events.push(call(
            json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}),
        ));
        events.extend(words(&arguments).map(|word| call(json!({"index": 0, "function": {"arguments": word}}))));
    }
    events.extend(words(said.text()).map(|word| chunk(json!({"content": word}), Value::Null)));
    events.push(chunk(json!({}), json!(said.chat_finish())));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn message_events(said: &Said) -> Vec<String> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}});
    let mut events = vec![named("message_start", json!({"message": message})), named("ping", json!({}))];
    let mut block = |start: Value, deltas: Vec<Value>| {
        events.push(named("content_block_start", json!({"index": 0, "content_block": start})));
        events.extend(deltas.into_iter().map(|delta| named("content_block_delta", json!({"index": 0, "delta": delta}))));
        events.push(named("content_block_stop", json!({"index": 0})));
    };
    match (said, said.arguments()) {
        (_, Some(arguments)) => block(
            json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
            words(&arguments).map(|word| json!({"type": "input_json_delta", "partial_json": word})).collect(),
        ),
        (Said::Filtered, None) => {}
        (_, None) => block(
            json!({"type": "text", "text": ""}),
            words(said.text()).map(|word| json!({"type": "text_delta", "text": word})).collect(),
        ),
    }
    let delta = json!({"stop_reason": said.messages_finish(), "stop_sequence": null});
    events.push(named("message_delta", json!({"delta": delta, "usage": {"output_tokens": 30}})));
    events.push(named("message_stop", json!({})));
    events
}

fn item(said: &Said, status: &str, full: bool) -> Value {
    let shown = |text: String| if full { text } else { String::new() };
    match said.arguments() {
        Some(arguments) => {
            json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "status": status,
            "arguments": shown(arguments)})
        }
        None => {
            let part = json!({"type": "output_text", "text": said.text(), "annotations": [], "logprobs": []});
            json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": if full { json!([part]) } else { json!([]) }})
        }
    }
}

fn response(said: &Said, done: bool) -> Value {
    let filtered = matches!(said, Said::Filtered);
    let status = match (done, filtered) {
        (false, _) => "in_progress",
        (true, false) => "completed",
        (true, true) => "incomplete",
    };
    let output = if done && !filtered { json!([item(said, "completed", true)]) } else { json!([]) };
    json!({"id": "resp_1", "object": "response", "created_at": 1_764_000_000, "model": "scripted", "status": status, "error": null,
        "incomplete_details": if done && filtered { json!({"reason": "content_filter"}) } else { Value::Null }, "instructions": null,
        "metadata": {}, "output": output, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": if done { json!({"input_tokens": 9, "output_tokens": 30, "total_tokens": 39,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}) } else { Value::Null }})
}

fn response_events(said: &Said) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |kind: &str, mut value: Value| {
        value["sequence_number"] = json!(events.len());
        events.push(named(kind, value));
    };
    push("response.created", json!({"response": response(said, false)}));
    push("response.in_progress", json!({"response": response(said, false)}));
    if let Some(arguments) = said.arguments() {
        push("response.output_item.added", json!({"output_index": 0, "item": item(said, "in_progress", false)}));
        for word in words(&arguments) {
            push("response.function_call_arguments.delta", json!({"item_id": "fc_1", "output_index": 0, "delta": word}));
        }
        let done = json!({"item_id": "fc_1", "output_index": 0, "name": "weather", "arguments": arguments});
        push("response.function_call_arguments.done", done);
        push("response.output_item.done", json!({"output_index": 0, "item": item(said, "completed", true)}));
    } else if let Said::Text(text) = said {
        let at = |value: Value| {
            let mut value = value;
            value["item_id"] = json!("msg_1");
            value["output_index"] = json!(0);
            value["content_index"] = json!(0);
            value
        };
        let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
        push("response.output_item.added", json!({"output_index": 0, "item": item(said, "in_progress", false)}));
        push("response.content_part.added", at(json!({"part": part("")})));
        for word in words(text) {
            push("response.output_text.delta", at(json!({"delta": word, "logprobs": []})));
        }
        push("response.output_text.done", at(json!({"text": text, "logprobs": []})));
        push("response.content_part.done", at(json!({"part": part(text)})));
        push("response.output_item.done", json!({"output_index": 0, "item": item(said, "completed", true)}));
    }
    let last = if matches!(said, Said::Filtered) { "response.incomplete" } else { "response.completed" };
    push(last, json!({"response": response(said, true)}));
    events
}
