//! Recorded provider traffic (`$STEADFAST_SHARED`, by default `../shared`): its rows, and what a client would read in an answer.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use steadfast::dialect::{Dialect, Extent, Facts, Mark, Reading};
use steadfast::frame::{Event, Framer, Framing};
use steadfast::text::Channel;

/// Parts of tool calls beyond those that the recordings count (calls that the host ran or refused itself).
const BEYOND_CALLS: u32 = 1 << 17;

/// The recordings' files, by name. `None` where they are not on this machine: a failure under `CI`, and said otherwise.
pub fn files() -> Option<Vec<(String, PathBuf)>> {
    let folder = std::env::var_os("STEADFAST_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(listing) = std::fs::read_dir(folder.join("traffic")) else {
        let hint = "recorded traffic: no such folder; set STEADFAST_SHARED to the folder that holds traffic/*.jsonl.gz";
        assert!(std::env::var_os("CI").is_none(), "{hint}");
        say(&format!("skipped: {hint}\n"));
        return None;
    };
    let paths = listing.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ext| ext == "gz"));
    let mut files: Vec<(String, PathBuf)> =
        paths.map(|path| (path.file_name().unwrap().to_str().unwrap().trim_end_matches(".jsonl.gz").to_owned(), path)).collect();
    files.sort();
    Some(files)
}

/// What one answer said, put together as a client would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub texts: BTreeMap<Channel, Vec<(u32, String)>>,
    pub names: BTreeMap<u32, String>,
    pub finish: Option<String>,
}

impl Answer {
    pub fn text(&self, channel: Channel) -> String {
        self.texts.get(&channel).map_or_else(String::new, |parts| parts.iter().map(|(_, text)| text.as_str()).collect())
    }

    pub fn calls(&self) -> Vec<(String, String)> {
        let mut calls: BTreeMap<u32, (String, String)> =
            self.names.iter().map(|(part, name)| (*part, (name.clone(), String::new()))).collect();
        for (part, text) in self.texts.get(&Channel::ToolCall).into_iter().flatten() {
            calls.entry(*part).or_default().1.push_str(text);
        }
        calls.into_iter().filter(|(part, _)| *part < BEYOND_CALLS).map(|(_, call)| call).collect()
    }

    pub fn take(&mut self, channel: Channel, part: u32, text: &str, extent: Extent) {
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

pub fn put(answers: &mut BTreeMap<u32, Answer>, reading: &Reading<'_>) {
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

pub fn read(dialect: &dyn Dialect, framing: Framing, chunks: Vec<Bytes>, body: &[u8]) -> Result<BTreeMap<u32, Answer>, String> {
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

pub fn list<'a>(row: &'a Value, field: &str) -> &'a [Value] {
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

pub fn headers_of<'a>(list: &'a Value, name: &str) -> Option<&'a str> {
    list.as_array()?.iter().find(|pair| pair[0] == name)?[1].as_str()
}

pub fn headers(list: &Value) -> HeaderMap {
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

pub fn split_path(path: &str) -> (&str, Option<&str>) {
    path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)))
}

/// Pieces of up to 48 bytes, their sizes drawn by a xorshift generator.
pub fn split(body: &[u8], seed: u64) -> Vec<Bytes> {
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
