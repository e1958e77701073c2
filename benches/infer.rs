//! What one window costs: tokenising it, scoring it, and the way through queue and threads. With the fixture classifier (a bag of words:
//! all but the model) and with the shipped one.
//!
//!     scripts/fetch-runtime && cargo bench --bench infer

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use steadfast::infer::cache::Cached;
use steadfast::infer::encode::Encoder;
use steadfast::infer::load::{Blueprint, Options};
use steadfast::infer::manifest::{FirstStage, HashedFile, Shape};
use steadfast::infer::pool::Pool;
use steadfast::infer::student::{Scratch, Student};
use steadfast::infer::{Context, Job};
use steadfast::normalize::normalize;

const SENTENCE: &str =
    "Thank you for asking, and here is what I would do: start early, keep notes, and ask again when it is unclear. ";

fn classifiers() -> Vec<(&'static str, Blueprint)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let options = Options { workers: 1, ..Options::default() };
    [("fixture", "tests/fixtures/classifier"), ("collapse", "classifiers/collapse")]
        .into_iter()
        .filter(|(_, path)| root.join(path).join("manifest.toml").is_file())
        .map(|(name, path)| (name, Blueprint::new(&root.join(path), &options).expect("the classifier loads")))
        .collect()
}

/// A text of about so many tokens: cut at words until it fits.
fn text(blueprint: &Blueprint, tokens: usize) -> String {
    let mut text = SENTENCE.repeat(tokens / 16 + 1);
    while blueprint.tokens().ids(&text).expect("it is tokenised").len() > tokens {
        text.truncate(text.trim_end().rfind(' ').expect("words are left"));
    }
    text
}

fn context() -> Context {
    Context { persona: "You are Aria, an AI assistant made by Acme.".into(), user: "How do I learn to bake bread?".into() }
}

fn tokenising(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tokenise");
    for (name, blueprint) in classifiers() {
        for tokens in [32, 64, 128] {
            let text = text(&blueprint, tokens);
            group.bench_function(BenchmarkId::new(name, tokens), |bencher| bencher.iter(|| blueprint.tokens().ids(&text)));
        }
    }
    group.finish();
}

fn scoring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("score");
    for (name, blueprint) in classifiers() {
        let mut classifier = blueprint.build(0).expect("the classifier is built");
        for tokens in [32, 64, 128] {
            let (context, text) = (context(), text(&blueprint, tokens));
            group.bench_function(BenchmarkId::new(name, tokens), |bencher| {
                bencher.iter(|| classifier.classify(&context, &text).expect("it is scored"));
            });
        }
    }
    group.finish();
}

/// The fixture's model costs next to nothing, so this is the price of the queue, the thread and the wake-ups.
fn pool(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let (_, blueprint) = classifiers().swap_remove(0);
    let pool = Pool::start(1, 512, move |worker| blueprint.build(worker)).expect("the pool starts");
    let cached = Cached::wrap(Arc::new(pool), 1000);
    let context = Arc::new(context());
    let job = |text: &str| Job { context: context.clone(), text: text.into(), stream: 1, deadline: Duration::from_secs(5) };
    let mut n = 0_u64;
    criterion.bench_function("pool/one window there and back", |bencher| {
        bencher.iter(|| {
            n += 1;
            runtime.block_on(cached.score(job(&format!("hello {n}")))).expect("it is scored")
        });
    });
    criterion.bench_function("pool/from the cache", |bencher| {
        bencher.iter(|| runtime.block_on(cached.score(job(SENTENCE))).expect("it is scored"));
    });
}

/// The arithmetic alone, with numbers of the shipped classifier's first stage, or of its size where it has none.
fn first_stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("first stage");
    let (_, blueprint) = classifiers().pop().expect("there is the fixture");
    let manifest = blueprint.manifest();
    let outputs = manifest.outputs.len();
    let stage = manifest.first_stage.clone().unwrap_or(FirstStage {
        network: HashedFile { file: String::new(), sha256: String::new() },
        shape: Shape { tokens: 40_000, width: 48, hidden: 80, layers: 3 },
        clean_below: 0.0,
        golden: Vec::new(),
    });
    let expected = Student::new(&stage, outputs, &[]).expect_err("nothing is too short").expected;
    let some = |n: usize| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let table = stage.shape.tokens * stage.shape.width;
    let mut bytes: Vec<u8> = (0..table).map(some).collect();
    bytes.extend((table..table + (expected - table) / 4).flat_map(|n| (f32::from(some(n)) / 1024.0 - 0.125).to_le_bytes()));
    let student = Student::new(&stage, outputs, &bytes).expect("it has its size");
    let mut encoder = Encoder::new(blueprint.tokens().clone(), manifest.layout);
    let mut scratch = Scratch::default();
    for tokens in [32, 64, 128] {
        let text = text(&blueprint, tokens);
        assert_eq!(encoder.encode(&context(), &text).expect("it is tokenised"), 1, "one run");
        group.bench_function(BenchmarkId::new("collapse", tokens), |bencher| {
            bencher.iter(|| student.logit(encoder.run(0), &mut scratch));
        });
    }
    group.finish();
}

/// What stands before every scoring, whether there is anything to undo or not.
fn normalising(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalise");
    let disguised = SENTENCE.replace("notes", "n0tes").replace("clear", "с l е a r");
    for (name, sentence) in [("plain", SENTENCE), ("disguised", &disguised), ("japanese", "私はアリアです。お手伝いします。")]
    {
        let text = sentence.repeat(5);
        let name = BenchmarkId::new(name, text.chars().count());
        group.bench_function(name, |bencher| bencher.iter(|| normalize(&text).into_text().len()));
    }
    group.finish();
}

criterion_group!(benches, normalising, tokenising, scoring, pool, first_stage);
criterion_main!(benches);
