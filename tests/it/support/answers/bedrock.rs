//! Amazon Bedrock's Converse: JSON, and AWS event-stream frames with their checksums.

use serde_json::{Value, json};

use super::{Said, words};

fn finish(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "end_turn",
        Said::Tool(_) => "tool_use",
        Said::Filtered => "guardrail_intervened",
    }
}

/// An answer.
pub fn converse(said: &Said) -> Value {
    let content = match said {
        Said::Text(text) => json!([{"text": text}]),
        Said::Tool(city) => json!([{"toolUse": {"toolUseId": "tool_1", "name": "weather", "input": {"city": city}}}]),
        Said::Filtered => json!([]),
    };
    json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": finish(said), "metrics": {"latencyMs": 120},
        "usage": {"inputTokens": 9, "outputTokens": 30, "totalTokens": 39}})
}

/// A frame: total and header length, their checksum, headers, payload, the checksum of all.
fn frame(kind: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string().into_bytes();
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut frame = total.to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(&payload);
    let sum = crc32fast::hash(&frame);
    frame.extend_from_slice(&sum.to_be_bytes());
    frame
}

/// An answer's frames.
pub fn frames(said: &Said) -> Vec<Vec<u8>> {
    let mut frames = vec![frame("messageStart", &json!({"role": "assistant"}))];
    let mut delta =
        |delta: Value| frames.push(frame("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": delta, "p": "abcd"})));
    match said.arguments() {
        Some(arguments) => {
            let start = json!({"toolUse": {"toolUseId": "tool_1", "name": "weather"}});
            let start = frame("contentBlockStart", &json!({"contentBlockIndex": 0, "start": start}));
            words(&arguments).for_each(|word| delta(json!({"toolUse": {"input": word}})));
            frames.insert(1, start);
        }
        None => words(said.text()).for_each(|word| delta(json!({"text": word}))),
    }
    if !matches!(said, Said::Filtered) {
        frames.push(frame("contentBlockStop", &json!({"contentBlockIndex": 0})));
    }
    frames.push(frame("messageStop", &json!({"stopReason": finish(said)})));
    let usage = json!({"inputTokens": 9, "outputTokens": 30, "totalTokens": 39});
    frames.push(frame("metadata", &json!({"usage": usage, "metrics": {"latencyMs": 120}})));
    frames
}
