//! Recorded provider traffic, read by the formats: every text, reasoning, refusal, tool call and finish reason must be what the
//! recording says, however the body is chunked, and no byte may be lost. Needs the recordings (`$STEADFAST_SHARED`, by default
//! `../shared`); without them the test says so and passes, except under `CI`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use steadfast::dialect::{Api, Dialect, Dialects, Exchange, Recognised, RequestHead};
use steadfast::frame::Framing;
use steadfast::text::Channel;

use crate::support::recordings::{Answer, body, files, headers, headers_of, list, read, rows, say, split, split_path};

/// The second word of a recording's file name, and the format that reads it.
const FAMILIES: &[(&str, Api)] = &[
    ("chat_completions", Api::OpenAiChat),
    ("completions", Api::OpenAiCompletions),
    ("responses", Api::OpenAiResponses),
    ("messages", Api::AnthropicMessages),
    ("complete", Api::AnthropicMessages),
    ("converse", Api::BedrockConverse),
    ("converse_stream", Api::BedrockConverse),
    ("generate_content", Api::Gemini),
    ("stream_generate_content", Api::Gemini),
    ("interactions", Api::Gemini),
    ("chat", Api::Ollama),
    ("generate", Api::Ollama),
    ("invoke_model", Api::BedrockConverse),
    ("invoke_model_stream", Api::BedrockConverse),
    ("chat_v1", Api::CohereChat),
    ("chat_v2", Api::CohereChat),
    ("generate_v1", Api::CohereChat),
];

/// Where a format reads more than the recordings count, or otherwise: file, field, why, and how many rows.
const EXCEPTIONS: &[(&str, &str, &str, usize)] = &[
    (
        "snowflake.chat_completions",
        "reasoning",
        "text given in reasoning_details alone is judged; the recordings leave it out",
        2,
    ),
    (
        "writer.chat_completions",
        "request",
        "the recorded request is no JSON (a trailing comma); its answer is judged all the same",
        1,
    ),
    ("bedrock.invoke_model", "recognised", "embeddings have no text and pass unread", 16),
    ("bedrock.invoke_model", "text", "an imported model's completion is judged; the recording leaves it out", 1),
    (
        "bedrock.converse",
        "request",
        "the recorded request is no JSON (its last brace is missing); its answer is judged all the same",
        1,
    ),
    ("anthropic.messages", "tool_calls", "a call without arguments streams none, which the recordings write as {}", 1),
];

/// Rows with a body up to this size are also read byte by byte.
const BYTE_BY_BYTE: usize = 32 << 10;
const SEEDS: [u64; 3] = [1, 7, 1234];

#[test]
fn recorded_traffic_is_read_as_recorded() {
    let Some(files) = files() else { return };
    let dialects = Dialects::builtin();
    let mut table = String::from("recorded traffic                  rows streams  chunks  as recorded\n");
    let mut failures = Vec::new();
    let mut excused: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (file, path) in &files {
        let Some(api) = api(file) else { continue };
        let dialect = dialects.named(api).unwrap_or_else(|| panic!("{} is not built in", api.as_str()));
        let mut count = Count::default();
        for row in rows(path) {
            let mut wrong = check(&dialects, dialect.as_ref(), &row, &mut count);
            wrong.retain(|(field, _)| {
                let exception = EXCEPTIONS.iter().find(|(of, what, ..)| *of == file && what == field);
                exception.inspect(|(of, what, ..)| *excused.entry((of, what)).or_default() += 1).is_none()
            });
            count.rows += 1;
            count.good += usize::from(wrong.is_empty());
            failures.extend(wrong.into_iter().map(|(field, detail)| format!("{file} {} {field}: {detail}", row["id"])));
        }
        writeln!(
            table,
            "{file:<33} {:>4} {:>7} {:>7} {:>6}/{}",
            count.rows, count.streams, count.chunkings, count.good, count.rows
        )
        .unwrap();
    }
    for (file, field, why, rows) in EXCEPTIONS {
        writeln!(table, "  except {file}, {field}, {rows} rows: {why}").unwrap();
        assert_eq!(excused.get(&(*file, *field)).copied().unwrap_or(0), *rows, "exception for {file} {field}");
    }
    say(&table);
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n")
    );
}

/// The format that reads a file; `None` where no format does.
pub fn api(file: &str) -> Option<Api> {
    FAMILIES.iter().find(|(family, _)| file.rsplit('.').next() == Some(family)).map(|(_, api)| *api)
}

#[derive(Default)]
struct Count {
    rows: usize,
    streams: usize,
    chunkings: usize,
    good: usize,
}

/// Reads one row in every way; returns what was wrong, by field.
fn check(dialects: &Dialects, dialect: &dyn Dialect, row: &Value, count: &mut Count) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let body = body(row);
    let request = row["request_body"].as_str().unwrap_or_default();
    let (path, query) = split_path(row["path"].as_str().unwrap());
    let method: Method = row["method"].as_str().unwrap().parse().unwrap();
    let headers = headers(&row["request_headers"]);
    let head = RequestHead { method: &method, path, query, headers: &headers };
    // Some APIs have an older format beside the one that goes by their name.
    let mut dialect = dialect;
    match dialects.recognise(&head) {
        Some((found, Recognised::Judged)) if found.api() == dialect.api() => dialect = found.as_ref(),
        found => wrong.push(("recognised", format!("{path} is {:?}", found.map(|(found, how)| (found.api(), how))))),
    }
    let exchange = match dialect.read_request(&head, request.as_bytes()) {
        Ok(exchange) => exchange,
        Err(error) => {
            // As the guard does: the answer is judged all the same.
            wrong.push(("request", error.to_string()));
            Exchange::unknown(dialect.api())
        }
    };
    let kind = headers_of(&row["response_headers"], "content-type");
    let framing = dialect.framing(&exchange, kind).or_else(|| Framing::sniff(kind, &body[..body.len().min(64)]));
    let named = match row["framing"].as_str().unwrap() {
        "json" => Framing::Json,
        "sse" => Framing::Sse,
        "ndjson" => Framing::Ndjson,
        "json-array" => Framing::JsonArray,
        "aws-eventstream" => Framing::EventStream,
        other => panic!("framing {other}"),
    };
    if framing != Some(named) {
        wrong.push(("framing", format!("{framing:?}, not {named:?}")));
        return wrong;
    }
    let streams = row["stream"].as_bool().unwrap();
    count.streams += usize::from(streams);

    let mut chunkings: Vec<Vec<Bytes>> = vec![vec![Bytes::from(body.clone())]];
    if named != Framing::Json {
        chunkings.extend(SEEDS.iter().map(|seed| split(&body, *seed)));
        if body.len() <= BYTE_BY_BYTE {
            chunkings.push(body.chunks(1).map(Bytes::copy_from_slice).collect());
        }
    }
    let failed = row["status"].as_u64().unwrap() >= 300;
    let mut first: Option<BTreeMap<u32, Answer>> = None;
    for chunks in chunkings {
        count.chunkings += 1;
        match read(dialect, named, chunks, &body) {
            Ok(answers) => match &first {
                None => first = Some(answers),
                Some(first) if *first != answers => wrong.push(("chunking", "changes what is read".to_owned())),
                Some(_) => {}
            },
            // An error may have any shape; it passes as it is, unjudged.
            Err(_) if failed => {}
            Err(error) => wrong.push(("reading", error)),
        }
    }
    if !failed {
        compare(&first.unwrap_or_default(), row, &mut wrong);
    }
    wrong
}

fn compare(answers: &BTreeMap<u32, Answer>, row: &Value, wrong: &mut Vec<(&'static str, String)>) {
    let answers: Vec<&Answer> = answers.values().collect();
    for (field, channel) in [("text", Channel::Answer), ("reasoning", Channel::Reasoning), ("refusal", Channel::Refusal)] {
        let got: Vec<String> = answers.iter().map(|answer| answer.text(channel)).collect();
        let expected: Vec<&str> = list(row, field).iter().map(|text| text.as_str().unwrap_or_default()).collect();
        if got != expected {
            wrong.push((field, format!("{got:?}, not {expected:?}")));
        }
    }
    let finish: Vec<Option<String>> = answers.iter().map(|answer| answer.finish.clone()).collect();
    // Some hosts write numbers in place of words.
    let expected: Vec<Option<String>> = list(row, "finish")
        .iter()
        .map(|reason| reason.as_i64().map(|number| number.to_string()).or(reason.as_str().map(str::to_owned)))
        .map(|reason| reason.filter(|reason| !reason.is_empty()))
        .collect();
    if finish != expected {
        wrong.push(("finish", format!("{finish:?}, not {expected:?}")));
    }
    let calls: Vec<Vec<(String, Value)>> =
        answers.iter().map(|answer| answer.calls().into_iter().map(|(name, text)| (name, parsed(&text))).collect()).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected: Vec<Vec<(String, Value)>> = list(row, "tool_calls")
        .iter()
        .map(|calls| {
            calls.as_array().unwrap().iter().map(|call| (text(&call["name"]), parsed(&text(&call["arguments"])))).collect()
        })
        .collect();
    if calls != expected {
        wrong.push(("tool_calls", format!("{calls:?}, not {expected:?}")));
    }
}

/// Arguments as JSON where they are that (hosts that send objects are recorded re-written), else as text.
fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}
