//! Ollama's chat and generate: one document, or one a line. There is no ending of its own for a filtered answer.

use serde_json::{Value, json};

use super::{Said, words};

fn piece(generate: bool, text: &str, call: Option<&str>, done: bool) -> Value {
    let mut piece = json!({"model": "scripted", "created_at": "2026-01-02T03:04:05.678901Z", "done": done});
    if generate {
        piece["response"] = json!(text);
    } else {
        piece["message"] = json!({"role": "assistant", "content": text});
        if let Some(city) = call {
            piece["message"]["tool_calls"] = json!([{"function": {"name": "weather", "arguments": {"city": city}}}]);
        }
    }
    if done {
        piece["done_reason"] = json!("stop");
        for (name, value) in [("total_duration", 5000), ("eval_count", 30), ("prompt_eval_count", 9)] {
            piece[name] = json!(value);
        }
    }
    piece
}

fn call(said: &Said) -> Option<&str> {
    match said {
        Said::Tool(city) => Some(city),
        Said::Text(_) | Said::Filtered => None,
    }
}

/// An answer.
pub fn document(said: &Said, generate: bool) -> Value {
    piece(generate, said.text(), call(said), true)
}

/// An answer's lines.
pub fn lines(said: &Said, generate: bool) -> Vec<String> {
    let mut pieces: Vec<Value> = words(said.text()).map(|word| piece(generate, word, None, false)).collect();
    pieces.extend(call(said).map(|city| piece(generate, "", Some(city), false)));
    pieces.push(piece(generate, "", None, true));
    pieces.into_iter().map(|piece| format!("{piece}\n")).collect()
}
