//! Cohere's chat, second version. There is no ending of its own for a filtered answer.

use serde_json::{Value, json};

use super::{Said, named, words};

fn finish(said: &Said) -> &'static str {
    if matches!(said, Said::Tool(_)) { "TOOL_CALL" } else { "COMPLETE" }
}

fn usage() -> Value {
    json!({"billed_units": {"input_tokens": 9, "output_tokens": 30}, "tokens": {"input_tokens": 9, "output_tokens": 30}})
}

/// An answer.
pub fn chat(said: &Said) -> Value {
    let mut message = json!({"role": "assistant"});
    match said.arguments() {
        Some(arguments) => {
            message["tool_plan"] = json!("I will look it up.");
            message["tool_calls"] =
                json!([{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}]);
        }
        None => message["content"] = json!([{"type": "text", "text": said.text()}]),
    }
    json!({"id": "c-1", "finish_reason": finish(said), "message": message, "usage": usage()})
}

/// An answer's events.
pub fn events(said: &Said) -> Vec<String> {
    let message = |value: Value| json!({"message": value});
    let mut events = vec![named(
        "message-start",
        json!({"id": "c-1", "delta": message(json!({"role": "assistant", "content": [],
        "tool_plan": "", "tool_calls": [], "citations": []}))}),
    )];
    if let Some(arguments) = said.arguments() {
        let call = |value: Value| message(json!({"tool_calls": value}));
        let start = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}});
        events.push(named("tool-call-start", json!({"index": 0, "delta": call(start)})));
        for word in words(&arguments) {
            events.push(named("tool-call-delta", json!({"index": 0, "delta": call(json!({"function": {"arguments": word}}))})));
        }
        events.push(named("tool-call-end", json!({"index": 0})));
    } else {
        let content = |value: Value| message(json!({"content": value}));
        events.push(named("content-start", json!({"index": 0, "delta": content(json!({"type": "text", "text": ""}))})));
        for word in words(said.text()) {
            events.push(named("content-delta", json!({"index": 0, "delta": content(json!({"text": word}))})));
        }
        events.push(named("content-end", json!({"index": 0})));
    }
    events.push(named("message-end", json!({"id": "c-1", "delta": {"finish_reason": finish(said), "usage": usage()}})));
    events.push("data: [DONE]\n\n".to_owned());
    events
}
