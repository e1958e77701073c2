//! Recorded provider traffic, read by the formats: every text, reasoning, refusal, tool call and finish reason must be what the
//! recording says, however the body is chunked, and no byte may be lost. Needs the recordings (`$STEADFAST_SHARED`, by default
//! `../shared`); without them the test says so and passes, except under `CI`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use steadfast::dialect::{Api, Dialect, Dialects, Exchange, Extent, Facts, Mark, Reading, Recognised, RequestHead};
use steadfast::frame::{Event, Framer, Framing};
use steadfast::text::Channel;

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
    (
        "bedrock.converse",
        "request",
        "the recorded request is no JSON (its last brace is missing); its answer is judged all the same",
        1,
    ),
    ("anthropic.messages", "tool_calls", "a call without arguments streams none, which the recordings write as {}", 1),
];

/// Parts of tool calls beyond those that the recordings count (calls that the host ran or refused itself).
const BEYOND_CALLS: u32 = 1 << 17;

/// Rows with a body up to this size are also read byte by byte.
const BYTE_BY_BYTE: usize = 32 << 10;
const SEEDS: [u64; 3] = [1, 7, 1234];

#[test]
fn recorded_traffic_is_read_as_recorded() {
    let Some(folder) = folder() else { return };
    let listing = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> =
        listing.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ext| ext == "gz")).collect();
    files.sort();

    let dialects = Dialects::builtin();
    let mut table = String::from("recorded traffic                  rows streams  chunks  as recorded\n");
    let mut failures = Vec::new();
    let mut excused: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for path in &files {
        let file = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".jsonl.gz");
        let Some((_, api)) = FAMILIES.iter().find(|(family, _)| file.rsplit('.').next() == Some(family)) else { continue };
        let dialect = dialects.named(*api).unwrap_or_else(|| panic!("{} is not built in", api.as_str()));
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

/// Where the recordings are; `None`, and said, where they are not.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("STEADFAST_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = folder.join("traffic");
    if folder.is_dir() {
        return Some(folder);
    }
    let hint = "recorded traffic: no such folder; set STEADFAST_SHARED to the folder that holds traffic/*.jsonl.gz";
    assert!(std::env::var_os("CI").is_none(), "{hint}");
    say(&format!("skipped: {hint}\n"));
    None
}

#[derive(Default)]
struct Count {
    rows: usize,
    streams: usize,
    chunkings: usize,
    good: usize,
}

/// What one answer said, put together as a client would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answer {
    texts: BTreeMap<Channel, Vec<(u32, String)>>,
    names: BTreeMap<u32, String>,
    finish: Option<String>,
}

impl Answer {
    fn text(&self, channel: Channel) -> String {
        self.texts.get(&channel).map_or_else(String::new, |parts| parts.iter().map(|(_, text)| text.as_str()).collect())
    }

    fn calls(&self) -> Vec<(String, String)> {
        let mut calls: BTreeMap<u32, (String, String)> =
            self.names.iter().map(|(part, name)| (*part, (name.clone(), String::new()))).collect();
        for (part, text) in self.texts.get(&Channel::ToolCall).into_iter().flatten() {
            calls.entry(*part).or_default().1.push_str(text);
        }
        calls.into_iter().filter(|(part, _)| *part < BEYOND_CALLS).map(|(_, call)| call).collect()
    }

    fn take(&mut self, channel: Channel, part: u32, text: &str, extent: Extent) {
        let parts = self.texts.entry(channel).or_default();
        let mut fresh = text;
        if extent == Extent::Whole {
            let so_far: String = parts.iter().filter(|(of, _)| *of == part).map(|(_, text)| text.as_str()).collect();
            fresh = text.strip_prefix(&so_far).unwrap_or(text);
        }
        if !fresh.is_empty() {
            parts.push((part, fresh.to_owned()));
        }
    }
}

fn put(answers: &mut BTreeMap<u32, Answer>, reading: &Reading<'_>) {
    for delta in &reading.deltas {
        answers.entry(delta.candidate).or_default().take(delta.channel, delta.part, &delta.text, delta.extent);
    }
    for mark in &reading.marks {
        match mark {
            Mark::Candidate(candidate) => {
                answers.entry(*candidate).or_default();
            }
            Mark::Finish { candidate, reason } => answers.entry(*candidate).or_default().finish = Some(reason.to_string()),
            Mark::Tool { candidate, part, name } => {
                answers.entry(*candidate).or_default().names.insert(*part, name.to_string());
            }
            _ => {}
        }
    }
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

fn read(dialect: &dyn Dialect, framing: Framing, chunks: Vec<Bytes>, body: &[u8]) -> Result<BTreeMap<u32, Answer>, String> {
    let mut framer = Framer::new(framing, 8 << 20);
    let mut facts = Facts::default();
    let mut answers = BTreeMap::new();
    let mut raw = Vec::new();
    let mut take = |event: Event| {
        raw.extend_from_slice(&event.raw);
        let mut reading = Reading::default();
        let read = if framing == Framing::Json {
            dialect.read_reply(&event.data, &mut facts, &mut reading)
        } else {
            dialect.read_event(&event, &mut facts, &mut reading)
        };
        put(&mut answers, &reading);
        read.map_err(|error| error.to_string())
    };
    for chunk in chunks {
        framer.push(chunk);
        while let Some(event) = framer.next() {
            take(event.map_err(|error| error.to_string())?)?;
        }
    }
    while let Some(event) = framer.finish().map_err(|error| error.to_string())? {
        take(event)?;
    }
    if raw != body {
        return Err("the events' bytes are not the body".to_owned());
    }
    Ok(answers)
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

fn list<'a>(row: &'a Value, field: &str) -> &'a [Value] {
    row[format!("expected_{field}")].as_array().map_or(&[], Vec::as_slice)
}

pub fn rows(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn body(row: &Value) -> Vec<u8> {
    let bytes = STANDARD.decode(row["response_body_base64"].as_str().unwrap_or_default()).unwrap();
    if headers_of(&row["response_headers"], "content-encoding") != Some("gzip") {
        return bytes;
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut out).unwrap();
    out
}

fn headers_of<'a>(list: &'a Value, name: &str) -> Option<&'a str> {
    list.as_array()?.iter().find(|pair| pair[0] == name)?[1].as_str()
}

fn headers(list: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for pair in list.as_array().into_iter().flatten() {
        if let (Some(Ok(name)), Some(Ok(value))) =
            (pair[0].as_str().map(str::parse::<http::HeaderName>), pair[1].as_str().map(str::parse))
        {
            headers.append(name, value);
        }
    }
    headers
}

fn split_path(path: &str) -> (&str, Option<&str>) {
    path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)))
}

/// Pieces of up to 48 bytes, their sizes drawn by a xorshift generator.
fn split(body: &[u8], seed: u64) -> Vec<Bytes> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut rest = body;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (piece, after) = rest.split_at(usize::try_from(state % 48 + 1).unwrap().min(rest.len()));
        chunks.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    chunks
}

/// Prints past the test harness, which would keep it to itself.
pub fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
