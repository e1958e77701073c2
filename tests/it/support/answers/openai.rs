//! OpenAI's formats: Chat Completions, Completions, Responses.

use serde_json::{Value, json};

use super::{Said, named, words};

fn finish(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "stop",
        Said::Tool(_) => "tool_calls",
        Said::Filtered => "content_filter",
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39})
}

/// A chat completion.
pub fn chat(said: &Said) -> Value {
    let mut message = json!({"role": "assistant", "content": said.text(), "refusal": null});
    if let Some(arguments) = said.arguments() {
        message["content"] = Value::Null;
        message["tool_calls"] =
            json!([{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}]);
    }
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_764_000_000, "model": "scripted", "usage": usage(),
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish(said)}]})
}

/// A chat completion's chunks.
pub fn chat_events(said: &Said) -> Vec<String> {
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
    events.push(chunk(json!({}), json!(finish(said))));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// A completion.
pub fn completion(said: &Said) -> Value {
    let choices = json!([{"index": 0, "text": said.text(), "logprobs": null, "finish_reason": finish(said)}]);
    json!({"id": "cmpl-1", "object": "text_completion", "created": 1_764_000_000, "model": "scripted", "choices": choices, "usage": usage()})
}

/// A completion's chunks.
pub fn completion_events(said: &Said) -> Vec<String> {
    let chunk = |text: &str, finish: Value| {
        let choices = json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]);
        let chunk = json!({"id": "cmpl-1", "object": "text_completion", "created": 1_764_000_000, "model": "scripted", "choices": choices});
        format!("data: {chunk}\n\n")
    };
    let mut events: Vec<String> = words(said.text()).map(|word| chunk(word, Value::Null)).collect();
    events.push(chunk("", json!(finish(said))));
    events.push("data: [DONE]\n\n".to_owned());
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

/// A response; `done`: at its end.
pub fn response(said: &Said, done: bool) -> Value {
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

/// A response's events.
pub fn response_events(said: &Said) -> Vec<String> {
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
