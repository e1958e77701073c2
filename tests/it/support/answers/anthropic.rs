//! Anthropic's Messages.

use serde_json::{Value, json};

use super::{Said, named, words};

fn finish(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "end_turn",
        Said::Tool(_) => "tool_use",
        Said::Filtered => "refusal",
    }
}

/// A message.
pub fn message(said: &Said) -> Value {
    let content = match said {
        Said::Text(text) => json!([{"type": "text", "text": text}]),
        Said::Tool(city) => json!([{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": city}}]),
        Said::Filtered => json!([]),
    };
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": content,
        "stop_reason": finish(said), "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 30}})
}

/// A message's events.
pub fn message_events(said: &Said) -> Vec<String> {
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
    let delta = json!({"stop_reason": finish(said), "stop_sequence": null});
    events.push(named("message_delta", json!({"delta": delta, "usage": {"output_tokens": 30}})));
    events.push(named("message_stop", json!({})));
    events
}
