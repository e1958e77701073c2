//! For the formats' tests: what reading a file under `tests/fixtures/wire` yields, as text for a snapshot.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{Dialect, Extent, Facts, Mark, Progress, Reading, Released, RequestHead};
use crate::frame::{Event, Framer, Framing};

/// The bytes of a fixture.
pub(crate) fn load(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// The events of a body.
pub(crate) fn events(framing: Framing, body: Bytes) -> Vec<Event> {
    let mut framer = Framer::new(framing, 1 << 20);
    framer.push(body);
    std::iter::from_fn(|| framer.finish().unwrap()).collect()
}

/// Reads a fixture and writes down what it says, a line a delta or mark, a blank line between events, the facts last.
pub(crate) fn read(dialect: &dyn Dialect, name: &str) -> String {
    read_body(dialect, load(name))
}

/// [`read`] for a body.
pub(crate) fn read_body(dialect: &dyn Dialect, body: Bytes) -> String {
    let framing = Framing::sniff(None, &body).unwrap();
    read_framed(dialect, body, framing)
}

/// [`read`], for bodies that do not show how they are framed.
pub(crate) fn read_framed(dialect: &dyn Dialect, body: Bytes, framing: Framing) -> String {
    let mut facts = Facts::default();
    let mut out = String::new();
    match framing {
        Framing::Json => {
            let mut reading = Reading::default();
            dialect.read_reply(&body, &mut facts, &mut reading).unwrap();
            write(&mut out, &reading);
        }
        framing => {
            for event in events(framing, body) {
                let mut reading = Reading::default();
                dialect.read_event(&event, &mut facts, &mut reading).unwrap();
                if !reading.deltas.is_empty() || !reading.marks.is_empty() {
                    write(&mut out, &reading);
                    out.push('\n');
                }
            }
        }
    }
    // What few formats use is written down only where it says something.
    let facts =
        format!("{facts:#?}").replace("    calls: 0,\n", "").replace("    crlf: false,\n", "").replace("    said: false,\n", "");
    out.push_str(&facts);
    out
}

fn write(out: &mut String, reading: &Reading<'_>) {
    for delta in &reading.deltas {
        let sign = if delta.extent == Extent::Append { "+" } else { "=" };
        writeln!(out, "{} {}/{} {sign} {:?}", delta.candidate, delta.channel, delta.part, delta.text).unwrap();
    }
    for mark in &reading.marks {
        match mark {
            Mark::Candidate(_) => {}
            mark => writeln!(out, "  {mark:?}").unwrap(),
        }
    }
}

/// What has been released of a stream once these events have left: its texts as a client puts them together.
pub(crate) fn released(dialect: &dyn Dialect, events: &[Event]) -> (Facts, Progress) {
    let (mut facts, mut progress) = (Facts::default(), Progress::default());
    for event in events {
        let mut reading = Reading::default();
        dialect.read_event(event, &mut facts, &mut reading).unwrap();
        for delta in reading.deltas {
            let place = (delta.candidate, delta.channel, delta.part);
            let at = progress.texts.iter().position(|text| (text.candidate, text.channel, text.part) == place);
            let at = at.unwrap_or_else(|| {
                let text = String::new();
                progress.texts.push(Released { candidate: delta.candidate, channel: delta.channel, part: delta.part, text });
                progress.texts.len() - 1
            });
            if delta.extent == Extent::Whole {
                progress.texts[at].text.clear();
            }
            progress.texts[at].text.push_str(&delta.text);
        }
        reading.marks.iter().for_each(|mark| progress.apply(mark));
    }
    (facts, progress)
}

/// The head of a request.
pub(crate) fn with_head<T>(method: &Method, path: &str, headers: &HeaderMap, then: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    then(&RequestHead { method, path, query: None, headers })
}

/// The head of a `POST` without headers.
pub(crate) fn post<T>(path: &str, then: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    with_head(&Method::POST, path, &HeaderMap::new(), then)
}
