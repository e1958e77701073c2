//! Gemini's generateContent, as JSON and as server-sent events (lines end in CRLF there).

use serde_json::{Value, json};

use super::{Said, words};

fn chunk(parts: Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({"candidates": [candidate], "modelVersion": "scripted", "responseId": "resp-1",
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 30, "totalTokenCount": 39}})
}

/// An answer.
pub fn content(said: &Said) -> Value {
    match said {
        Said::Text(text) => chunk(json!([{"text": text}]), Some("STOP")),
        Said::Tool(city) => chunk(json!([{"functionCall": {"name": "weather", "args": {"city": city}}}]), Some("STOP")),
        Said::Filtered => chunk(json!([]), Some("SAFETY")),
    }
}

/// An answer's chunks.
pub fn events(said: &Said) -> Vec<String> {
    let mut chunks: Vec<Value> = words(said.text()).map(|word| chunk(json!([{"text": word}]), None)).collect();
    chunks.push(match said {
        Said::Text(_) => chunk(json!([{"text": ""}]), Some("STOP")),
        Said::Tool(_) | Said::Filtered => content(said),
    });
    chunks.into_iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}
