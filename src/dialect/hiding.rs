//! No member of an answer hides the text of another, and no event of another shape passes for one without text: the upstream writes
//! both, and clients differ in what they look at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::*;
use crate::text::MAX_LANES;

/// What must be found, or the answer be called malformed.
const TEXT: &str = "the text";

fn event(name: &str, data: &str) -> Event {
    let data = data.replace("TEXT", TEXT);
    Event { raw: Bytes::new(), name: Bytes::copy_from_slice(name.as_bytes()), data: data.into() }
}

/// Whether the reader found the text; `None` where it could not read the answer.
fn found(read: Result<(), DialectError>, reading: &Reading<'_>) -> Option<bool> {
    read.ok().map(|()| reading.deltas.iter().any(|delta| delta.text.contains(TEXT)))
}

fn streamed(dialect: &dyn Dialect, name: &str, data: &str) -> Option<bool> {
    let event = event(name, data);
    let mut reading = Reading::default();
    found(dialect.read_event(&event, &mut Facts::default(), &mut reading), &reading)
}

fn whole(dialect: &dyn Dialect, data: &str) -> Option<bool> {
    let event = event("", data);
    let mut reading = Reading::default();
    found(dialect.read_reply(&event.data, &mut Facts::default(), &mut reading), &reading)
}

#[test]
fn an_event_of_another_shape_is_not_one_without_text() {
    let other: [(&dyn Dialect, &str); 14] = [
        (&openai_chat::OpenAiChat, r#"{"choices":[{"index":0,"answer":"TEXT"}]}"#),
        (&openai_chat::OpenAiChat, r#"{"choices":[{"messages":[{"delta":{"content":"TEXT"}}]}]}"#),
        (&openai_chat::OpenAiChat, r#"{"choices":[{"delta":{},"messages":[{"role":"assistant","content":"TEXT"}]}]}"#),
        (&openai_chat::OpenAiChat, r#"{"is_finished":false,"event_type":"text-generation","text":"TEXT"}"#),
        (&openai_chat::OpenAiChat, r#"{"id":"x","answer":"TEXT"}"#),
        (&openai_completions::OpenAiCompletions, r#"{"index":0,"answer":"TEXT"}"#),
        (&openai_responses::OpenAiResponses, r#"{"choices":[{"delta":{"content":"TEXT"}}]}"#),
        (&anthropic_messages::AnthropicMessages, r#"{"choices":[{"delta":{"content":"TEXT"}}]}"#),
        (&anthropic_complete::AnthropicComplete, r#"{"type":"completion","text":"TEXT"}"#),
        (&cohere::Cohere, r#"{"id":"x","answer":"TEXT"}"#),
        (&tgi::Generation, r#"{"model_name":"ensemble","output":"TEXT"}"#),
        (&gemini::Gemini, r#"{"answers":[{"text":"TEXT"}]}"#),
        (&ollama::Ollama::Chat, r#"{"model":"m","answer":"TEXT"}"#),
        (&ollama::Ollama::Generate, r#"{"model":"m","answer":"TEXT"}"#),
    ];
    for (dialect, data) in other {
        assert_eq!(streamed(dialect, "", data), None, "{} {data}", dialect.api().as_str());
    }
}

#[test]
fn relatives_of_a_format_are_read() {
    let relatives: [(&dyn Dialect, &str); 6] = [
        // Writer's, to a client that calls itself Cohere's.
        (&cohere::Cohere, r#"{"choices":[{"delta":{"content":"TEXT"}}]}"#),
        // llama.cpp's own, at the path that its OpenAI format has below a version.
        (&openai_completions::OpenAiCompletions, r#"{"index":0,"content":"TEXT","tokens":[1],"stop":false}"#),
        // Triton.
        (&tgi::Generation, r#"{"model_name":"ensemble","model_version":"1","text_output":"TEXT"}"#),
        // Databricks, LiteLLM.
        (
            &openai_chat::OpenAiChat,
            r#"{"choices":[{"delta":{"content":[{"type":"reasoning","summary":[{"type":"summary_text","text":"TEXT"}]}]}}]}"#,
        ),
        (
            &openai_chat::OpenAiChat,
            r#"{"choices":[{"delta":{"content":"","thinking_blocks":[{"type":"thinking","thinking":"TEXT"}]}}]}"#,
        ),
        (&gemini::Gemini, r#"{"candidates":[{"finishReason":"OTHER","finishMessage":"TEXT"}]}"#),
    ];
    for (dialect, data) in relatives {
        assert_eq!(streamed(dialect, "", data), Some(true), "{} {data}", dialect.api().as_str());
    }
    assert_eq!(whole(&openai_completions::OpenAiCompletions, r#"{"content":"TEXT","stop":true}"#), Some(true));
    assert_eq!(whole(&tgi::Generation, r#"{"model_name":"m","text_output":"TEXT"}"#), Some(true));
    assert_eq!(whole(&cohere::Cohere, r#"{"choices":[{"message":{"content":"TEXT"}}]}"#), Some(true));
    assert_eq!(whole(&bedrock::Bedrock, r#"{"data":[{"embedding":[0.5]}]}"#), Some(false));
    assert_eq!(whole(&bedrock::Bedrock, r#"{"data":[{"text":"TEXT"}]}"#), None);
}

#[test]
fn no_member_hides_another() {
    let responses = &openai_responses::OpenAiResponses;
    let delta =
        r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"TEXT","response":{}}"#;
    assert_eq!(streamed(responses, "", delta), Some(true));

    let cohere = &cohere::Cohere;
    for data in [
        r#"{"event_type":"text-generation","text":"TEXT","is_finished":false,"type":"x"}"#,
        r#"{"event_type":"text-generation","text":"TEXT","delta":{}}"#,
        r#"{"event_type":"tool-calls-generation","tool_calls":[{"name":"f","parameters":{"q":"TEXT"},"function":{}}]}"#,
        r#"{"event_type":"stream-end","response":{"text":"TEXT","generations":[]}}"#,
    ] {
        assert_eq!(streamed(cohere, "", data), Some(true), "{data}");
    }
    for data in [
        r#"{"generation_id":"g","text":"TEXT","generations":[]}"#,
        r#"{"message":{"content":[{"type":"text","text":"TEXT"}]},"generations":[]}"#,
    ] {
        assert_eq!(whole(cohere, data), Some(true), "{data}");
    }

    for data in [
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"},"completion":""}"#,
        r#"{"generations":[{"text":"TEXT"}],"text":""}"#,
    ] {
        let inner = data.replace("TEXT", TEXT);
        let chunk = format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(inner));
        assert_eq!(streamed(&bedrock::Bedrock, "chunk", &chunk), Some(true), "{data}");
    }

    let nested = r#"{"candidates":[],"response":{"candidates":[{"content":{"parts":[{"text":"TEXT"}]}}]}}"#;
    assert_eq!(streamed(&gemini::Gemini, "", nested), Some(true));
    let beside = r#"{"candidates":[{"content":{"parts":[{"text":"TEXT"}]}}],"response":{"candidates":[]}}"#;
    assert_eq!(streamed(&gemini::Gemini, "", beside), Some(true));

    for (name, data) in [
        ("content_block_delta", r#"{"type":"ping","index":0,"delta":{"type":"text_delta","text":"TEXT"}}"#),
        ("ping", r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"}}"#),
        ("content_block_start", r#"{"type":"ping","index":0,"content_block":{"type":"text","text":"TEXT"}}"#),
        ("message_start", r#"{"type":"ping","message":{"content":[{"type":"text","text":"TEXT"}]}}"#),
    ] {
        assert_eq!(streamed(&anthropic_messages::AnthropicMessages, name, data), Some(true), "{name} {data}");
    }
}

#[test]
fn an_index_that_is_none_is_not_guessed_at() {
    for index in ["-1", "4294967296", "{}"] {
        let data = format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"TEXT"}}}}]}}"#);
        assert_eq!(streamed(&openai_chat::OpenAiChat, "", &data), None, "{index}");
        let data = format!(r#"{{"candidates":[{{"index":{index},"content":{{"parts":[{{"text":"TEXT"}}]}}}}]}}"#);
        assert_eq!(streamed(&gemini::Gemini, "", &data), None, "{index}");
    }
}

#[test]
fn a_name_in_another_case_is_the_same_name() {
    let chat = &openai_chat::OpenAiChat;
    let streams: [(&dyn Dialect, &str, &str); 12] = [
        (chat, "", r#"{"Choices":[{"Delta":{"CONTENT":"TEXT"}}]}"#),
        (chat, "", r#"{"choices":[{"delta":{"tool_calls":[{"Function":{"Arguments":"TEXT"}}]}}]}"#),
        (chat, "", r#"{"choice\u017f":[{"delta":{"content":"TEXT"}}]}"#),
        (&openai_completions::OpenAiCompletions, "", r#"{"choices":[{"Text":"TEXT"}]}"#),
        (&openai_responses::OpenAiResponses, "", r#"{"Type":"response.output_text.delta","Delta":"TEXT"}"#),
        (
            &anthropic_messages::AnthropicMessages,
            "",
            r#"{"type":"content_block_delta","index":0,"Delta":{"type":"text_delta","Text":"TEXT"}}"#,
        ),
        (&anthropic_complete::AnthropicComplete, "", r#"{"type":"completion","Completion":"TEXT"}"#),
        (&gemini::Gemini, "", r#"{"Candidates":[{"content":{"Parts":[{"text":"TEXT"}]}}]}"#),
        (&gemini_interactions::GeminiInteractions, "", r#"{"event_type":"step.delta","Delta":{"type":"text","Text":"TEXT"}}"#),
        (&ollama::Ollama::Chat, "", r#"{"Message":{"Content":"TEXT"},"done":false}"#),
        (&cohere::Cohere, "", r#"{"type":"content-delta","delta":{"message":{"content":{"Text":"TEXT"}}}}"#),
        (&bedrock::Bedrock, "contentBlockDelta", r#"{"contentBlockIndex":0,"DELTA":{"Text":"TEXT"}}"#),
    ];
    for (dialect, name, data) in streams {
        assert_eq!(streamed(dialect, name, data), Some(true), "{} {data}", dialect.api().as_str());
    }
    for inner in [
        r#"{"Generation":"TEXT"}"#,
        r#"{"generation":"","Choices":[{"delta":{"content":"TEXT"}}]}"#,
        r#"{"generation":"","contentblockdelta":{"delta":{"text":"TEXT"}}}"#,
    ] {
        let chunk = format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(inner.replace("TEXT", TEXT)));
        assert_eq!(streamed(&bedrock::Bedrock, "chunk", &chunk), Some(true), "{inner}");
    }
    assert_eq!(whole(&bedrock::Bedrock, r#"{"generation":"","Output":{"message":{"content":[{"text":"TEXT"}]}}}"#), Some(true));
    let sequences = r#"{"generated_text":"","details":{"Best_Of_Sequences":[{"generated_text":"TEXT"}]}}"#;
    assert_eq!(whole(&tgi::Generation, sequences), Some(true));
}

#[test]
fn of_two_names_that_differ_in_case_none_is_taken() {
    let twice: [(&dyn Dialect, &str); 6] = [
        (&openai_chat::OpenAiChat, r#"{"choices":[{"message":{"content":"","Content":"TEXT"}}]}"#),
        (&openai_responses::OpenAiResponses, r#"{"status":"completed","output":[],"Output":[{"content":[{"text":"TEXT"}]}]}"#),
        (&anthropic_messages::AnthropicMessages, r#"{"content":[],"Content":[{"type":"text","text":"TEXT"}]}"#),
        (&gemini::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"","tEXT":"TEXT"}]}}]}"#),
        (&ollama::Ollama::Generate, r#"{"response":"","Response":"TEXT","done":true}"#),
        (&cohere::Cohere, r#"{"text":"","Text":"TEXT"}"#),
    ];
    for (dialect, data) in twice {
        assert_eq!(whole(dialect, data), None, "{} {data}", dialect.api().as_str());
    }
}

#[test]
fn an_event_goes_by_both_of_its_names() {
    let responses = &openai_responses::OpenAiResponses;
    for (name, data) in [
        ("response.output_text.delta", r#"{"type":"response.custom","delta":"TEXT"}"#),
        ("response.custom", r#"{"type":"response.output_text.delta","delta":"TEXT"}"#),
        ("response.completed", r#"{"type":"x","response":{"output":[{"content":[{"text":"TEXT"}]}]}}"#),
    ] {
        assert_eq!(streamed(responses, name, data), Some(true), "{name} {data}");
    }
}

#[test]
fn a_delta_that_is_not_known_is_read() {
    let responses = &openai_responses::OpenAiResponses;
    for data in [
        r#"{"type":"response.reasoning.delta","output_index":0,"delta":"TEXT"}"#,
        r#"{"type":"response.reasoning_summary.delta","delta":{"text":"TEXT"}}"#,
        r#"{"type":"response.mcp_call.arguments_delta","delta":"TEXT"}"#,
        r#"{"type":"response.code_interpreter_call.code.done","code":"TEXT"}"#,
        r#"{"type":"response.yet_to_come.delta","delta":"TEXT"}"#,
        r#"{"type":"response.yet_to_come.done","text":"TEXT"}"#,
    ] {
        assert_eq!(streamed(responses, "", data), Some(true), "{data}");
    }
    assert_eq!(streamed(responses, "", r#"{"type":"response.audio.delta","delta":"UklGRg=="}"#), Some(false));
}

#[test]
fn earlier_answers_in_what_an_answer_was_given_are_read() {
    let list = |role: &str| format!(r#"{{"object":"list","data":[{{"role":"{role}","content":[{{"text":"TEXT"}}]}}]}}"#);
    let responses = &openai_responses::OpenAiResponses;
    assert_eq!(whole(responses, &list("assistant")), Some(true));
    assert_eq!(whole(responses, &list("user")), Some(false));
    assert_eq!(whole(responses, r#"{"data":[{"type":"function_call","name":"f","arguments":"TEXT"}]}"#), Some(true));

    let (method, headers) = (Method::GET, HeaderMap::new());
    let head = RequestHead { method: &method, path: "/v1/responses/resp_1/input_items", query: None, headers: &headers };
    let exchange = responses.read_request(&head, b"").unwrap();
    let facts = Facts::default();
    let refusal = Refusal { exchange: &exchange, facts: &facts, stream: false, message: TEXT, request_id: "01JTEST", now: 1 };
    let reply = responses.refusal(&refusal);
    let list: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&list["object"], &list["data"][0]["content"][0]["text"]), (&"list".into(), &TEXT.into()));
}

#[test]
fn an_answer_has_no_end_of_answers() {
    let lists: [(&dyn Dialect, &str, &str); 5] = [
        (&openai_chat::OpenAiChat, r#"{"choices":[LIST]}"#, r#"{"text":""}"#),
        (&gemini::Gemini, r#"{"candidates":[LIST]}"#, "{}"),
        (&cohere::Cohere, r#"{"generations":[LIST]}"#, "{}"),
        (&bedrock::Bedrock, r#"{"results":[LIST]}"#, r#"{"outputText":""}"#),
        (&tgi::Generation, "[LIST]", r#"{"generated_text":""}"#),
    ];
    for (dialect, document, one) in lists {
        let document = |answers: usize| document.replace("LIST", &vec![one; answers].join(","));
        assert_eq!(whole(dialect, &document(MAX_LANES)), Some(false), "{}", dialect.api().as_str());
        assert_eq!(whole(dialect, &document(MAX_LANES + 1)), None, "{}", dialect.api().as_str());
    }
}
