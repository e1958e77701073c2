//! Recorded traffic, mutated: the parsers' checks of `fuzz/src/checks.rs` on the toolchain that everybody has. libFuzzer finds more
//! (`scripts/fuzz`), but this runs with the other tests. Needs the recordings, like `traffic.rs`.
//!
//! `STEADFAST_FUZZ_SECONDS=60` goes on with fresh mutations for that long; `STEADFAST_FUZZ_CORPUS=DIR` writes libFuzzer's first inputs.

#[path = "../../fuzz/src/checks.rs"]
mod checks;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::recordings::{body, files, rows, say};

type Check = fn(&[u8]);

/// What the checks are called as fuzz targets.
const CHECKS: [(&str, Check); 5] = [
    ("frames", checks::frames),
    ("answers", checks::answers),
    ("requests", checks::requests),
    ("inspector", checks::inspector),
    ("files", checks::files),
];

/// The place of a recording's family among the formats that the checks choose from.
const FORMATS: &[(&str, u8)] = &[
    ("chat_completions", 0),
    ("completions", 1),
    ("responses", 2),
    ("messages", 3),
    ("complete", 4),
    ("generate_content", 5),
    ("stream_generate_content", 5),
    ("interactions", 6),
    ("chat", 7),
    ("generate", 8),
    ("converse", 9),
    ("converse_stream", 9),
    ("invoke_model", 10),
    ("invoke_model_stream", 10),
    ("chat_v1", 13),
    ("chat_v2", 11),
    ("generate_v1", 12),
];

/// Bytes that mean something to one parser or another.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\ndata: ",
    b"data: [DONE]\n\n",
    b": x\n",
    b"event: error\n",
    b"\\ud83d",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"null",
    b"{}",
    b"[]",
    b"-1",
    b"4294967296",
    b"1e99",
    b"\"index\":",
    b"\"text\":",
    b"BAD",
];

/// Mutations of each recording in a run of a fixed length.
const ROUNDS: usize = 2;

#[test]
fn mutated_traffic_breaks_nothing() {
    let Some(files) = files() else { return };
    let mut seeds = inputs(&files);
    assert!(seeds.len() > 1000, "only {} recordings were found", seeds.len());
    seeds.extend(policies());
    if let Some(corpus) = std::env::var_os("STEADFAST_FUZZ_CORPUS") {
        return write(Path::new(&corpus), &seeds);
    }
    let seconds =
        std::env::var("STEADFAST_FUZZ_SECONDS").ok().map(|text| text.parse().expect("STEADFAST_FUZZ_SECONDS is a number"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut runs = 0_usize;
    for round in 0.. {
        for (check, seed) in &seeds {
            let over = until.map_or(round >= ROUNDS, |until| round > 0 && Instant::now() >= until);
            if over {
                return say(&format!("mutated traffic: {} recordings, {runs} runs\n", seeds.len()));
            }
            let mut data = seed.clone();
            if round > 0 {
                mutate(&mut data, &seeds[random.below(seeds.len())].1, &mut random);
            }
            run(*check, &data);
            runs += 1;
        }
    }
}

/// Runs a check; keeps the input where it fails.
fn run(check: usize, data: &[u8]) {
    let (name, run) = CHECKS[check];
    if let Err(panic) = std::panic::catch_unwind(|| run(data)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-failed"));
        std::fs::write(&path, data).unwrap();
        say(&format!("the input that {name} failed on is kept in {}\n", path.display()));
        std::panic::resume_unwind(panic);
    }
}

/// One input for each check that a recording is of use to.
fn inputs(files: &[(String, PathBuf)]) -> Vec<(usize, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, path) in files {
        let Some((_, format)) = FORMATS.iter().find(|(family, _)| name.rsplit('.').next() == Some(family)) else { continue };
        for (number, row) in (0_u8..).zip(rows(path)) {
            let body = body(&row);
            if body.len() > 32 << 10 {
                continue;
            }
            let (framing, label) = match row["framing"].as_str().unwrap() {
                "sse" => (1, 0),
                "ndjson" => (2, 2),
                "json-array" => (3, 1),
                "aws-eventstream" => (4, 3),
                _ => (0, 1),
            };
            let array = u8::from(framing == 3);
            let with = |choices: &[u8]| [choices, &body].concat();
            // Each a different place to cut and to split at, and a different mode.
            seeds.push((0, with(&[framing, number, 1])));
            seeds.push((1, with(&[*format, framing, array, number])));
            seeds.push((3, with(&[*format, label, number, number])));
            // For the classifier to take offence at: at the beginning, in the middle and at the end of what the recording says.
            let places = places(&body, b" the ");
            for at in [places.first(), places.get(places.len() / 2), places.last()].into_iter().flatten() {
                let mut bad = with(&[*format, label, number / 7, number]);
                bad[4 + at + 1..4 + at + 4].copy_from_slice(b"BAD");
                seeds.push((3, bad));
            }
            let request = row["request_body"].as_str().unwrap_or_default();
            seeds.push((2, [&[*format], request.as_bytes()].concat()));
        }
    }
    seeds
}

fn places(text: &[u8], word: &[u8]) -> Vec<usize> {
    (0..text.len().saturating_sub(word.len())).filter(|at| text[*at..].starts_with(word)).collect()
}

/// The policies and personas that ship.
fn policies() -> Vec<(usize, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut seeds = Vec::new();
    for (kind, folder) in [(0_u8, root.clone()), (1, root.join("personas"))] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                seeds.push((4, [&[kind], &*std::fs::read(path).unwrap()].concat()));
            }
        }
    }
    seeds
}

fn write(corpus: &Path, seeds: &[(usize, Vec<u8>)]) {
    for (number, (check, data)) in seeds.iter().enumerate() {
        let folder = corpus.join(CHECKS[*check].0);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("recorded-{number}")), data).unwrap();
    }
}

/// A few changes of the kinds that parsers stumble over.
fn mutate(data: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        if data.is_empty() {
            return;
        }
        let (a, b) = (random.below(data.len()), random.below(data.len()));
        let span = a.min(b)..a.max(b);
        match random.below(8) {
            0 => data[a] ^= 1 << random.below(8),
            1 => data[a] = u8::try_from(random.below(256)).unwrap(),
            2 | 3 => {
                let token = TOKENS[random.below(TOKENS.len())];
                data.splice(a..a, token.iter().copied());
            }
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                let end = (a + token.len()).min(data.len());
                data.splice(a..end, token.iter().copied());
            }
            5 => drop(data.drain(span)),
            6 => {
                let piece = data[span.start..span.end.min(span.start + 512)].to_vec();
                data.splice(b..b, piece);
            }
            _ => {
                let from = random.below(other.len() + 1);
                let piece = &other[from..other.len().min(from + 512)];
                data.splice(a..a, piece.iter().copied());
            }
        }
    }
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}
