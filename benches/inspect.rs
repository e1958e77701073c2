//! What reading an answer costs without a classifier: cutting SSE events, the inspector over a stream, the inspector over a JSON answer, with
//! and without the detectors. One iteration is a whole answer: 200 deltas, or 1.2 KB of JSON.
//!
//!     cargo bench --bench inspect

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use steadfast::degeneration::DegenerationDetector;
use steadfast::detect::{Detector, Detectors, Finding, Gauge, Measure};
use steadfast::dialect::{Api, Dialects, Exchange};
use steadfast::frame::{Framer, Framing};
use steadfast::inspect::{Inspector, Plan, Step};
use steadfast::persona::Persona;
use steadfast::persona::identity::IdentityDetector;
use steadfast::persona::voice::Voice;
use steadfast::policy::{Calibration, Policy, SessionFacts};
use steadfast::score::{Signals, Source};
use steadfast::text::{Channel, Str};

const TEXT: &str = "The lighthouse on the northern cape was finished in the spring of 1874, after eleven years of building. Its first keeper, \
    a former ship's carpenter, wrote down the weather three times a day, and his notebooks are kept in the town's museum. Visitors may climb \
    the 213 steps between May and September; in winter the path along the cliff is closed because of ice. From the gallery one sees the \
    harbour, two small islands where puffins nest, and on clear evenings the mountains of the mainland. The lamp itself was changed to \
    electricity in 1931. Before that, oil had to be carried up by hand, about forty litres each night. A storm in 1953 broke several panes, \
    yet the light never failed. Today everything runs without a keeper, and engineers come twice a year to look after the batteries. If you \
    plan a visit, bring a warm jacket, take the early bus from the railway station, and leave at least three hours for the walk back. ";
const POLICY: &str = "[[rule]]\nname = \"house words\"\npatterns = ['project nightfall']\naction = \"block\"\n";

fn events(count: usize) -> Vec<Bytes> {
    let delta = |word: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        )
    };
    let mut events: Vec<Bytes> = TEXT.split_inclusive(' ').cycle().take(count).map(|word| Bytes::from(delta(word))).collect();
    events.push(Bytes::from_static(
        b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ));
    events
}

fn document() -> Bytes {
    Bytes::from(format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"message\":\
         {{\"role\":\"assistant\",\"content\":\"{TEXT}\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}"
    ))
}

/// The detectors of a persona that has a name, and so looks for all others.
fn detectors() -> [Box<dyn Detector>; 2] {
    let persona = Persona::parse(include_str!("../policies/personas/aria.toml"), None).expect("the persona is good");
    [Box::new(IdentityDetector::new(&persona)), Box::new(DegenerationDetector::default())]
}

/// With the detectors as they are, and as they are without their memory.
fn watched(plan: &Plan) -> [(&'static str, Plan); 2] {
    let without = detectors().map(|detector| Box::new(LooksBack(detector)) as Box<dyn Detector>);
    [
        ("inspect with detectors", Plan { detectors: Vec::from(detectors()).into(), ..plan.clone() }),
        ("inspect with detectors that look back", Plan { detectors: Vec::from(without).into(), ..plan.clone() }),
    ]
}

/// With the signal `voice`, and as it is without its memory.
fn heard(plan: &Plan) -> [(&'static str, Plan); 2] {
    let persona = Persona::parse(include_str!("../tests/fixtures/pirate.toml"), None).expect("the persona is good");
    let voice: Arc<dyn Gauge> = Arc::new(Voice::of(&persona).expect("the persona has a voice"));
    let forgets: Arc<dyn Gauge> = Arc::new(Forgets(voice.clone()));
    let exchange = Exchange {
        user: Some("Tell me of the lighthouse on the cape, and how to get there.".into()),
        ..Exchange::unknown(Api::OpenAiChat)
    };
    let plan = Plan { exchange: Arc::new(exchange), ..plan.clone() };
    [("inspect with a voice", voice), ("inspect with a voice that forgets", forgets)].map(|(name, gauge)| {
        (name, Plan { detectors: Detectors { gauges: Arc::from([gauge]), ..Detectors::default() }, ..plan.clone() })
    })
}

/// A gauge that begins anew with each window.
struct Forgets(Arc<dyn Gauge>);

impl Gauge for Forgets {
    fn begin(self: Arc<Self>, asked: Option<&Str>) -> Box<dyn Measure> {
        Box::new(Anew(self, asked.cloned()))
    }
}

struct Anew(Arc<Forgets>, Option<Str>);

impl Measure for Anew {
    fn measure(&mut self, lane: usize, channel: Channel, text: &str) -> Signals {
        self.0.0.clone().begin(self.1.as_ref()).measure(lane, channel, text)
    }
}

/// A detector that remembers nothing and looks back at each window.
struct LooksBack(Box<dyn Detector>);

impl Detector for LooksBack {
    fn source(&self) -> Source {
        self.0.source()
    }
    fn examine(&self, channel: Channel, text: &str, seen: usize, last: bool) -> Option<Finding> {
        self.0.examine(channel, text, seen, last)
    }
}

fn plan(content_type: &str) -> Plan {
    let api = Api::OpenAiChat;
    Plan {
        dialect: Dialects::builtin().named(api).expect("it is built in").clone(),
        exchange: Arc::new(Exchange::unknown(api)),
        policy: Arc::new(Policy::parse(POLICY, None, &Calibration::NONE).expect("the policy is good")),
        detectors: Detectors::default(),
        session: SessionFacts::default(),
        scored: false,
        gate: None,
        content_type: Some(content_type.into()),
        whole: false,
        watch: false,
        held_limit: 1 << 20,
    }
}

/// Inspects an answer that comes in these pieces; returns the bytes let out.
fn inspect(plan: Plan, pieces: &[Bytes]) -> usize {
    let mut inspector = Inspector::new(plan);
    let mut released = 0;
    let mut drain = |inspector: &mut Inspector| {
        while let Some(step) = inspector.next_step() {
            match step {
                Step::Release { bytes, .. } => released += bytes.len(),
                Step::Score(_) => unreachable!("there is no scorer"),
                Step::End(_) => {}
                Step::Cut(verdict) => panic!("a good answer was cut: {verdict:?}"),
            }
        }
    };
    for piece in pieces {
        inspector.push(piece.clone());
        drain(&mut inspector);
    }
    inspector.finish();
    drain(&mut inspector);
    released
}

fn reading(criterion: &mut Criterion) {
    let (events, long) = (events(200), events(1000));
    let size: usize = events.iter().map(Bytes::len).sum();
    let mut group = criterion.benchmark_group("a stream of 200 deltas");
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function("cut into events", |bencher| {
        bencher.iter(|| {
            let mut framer = Framer::new(Framing::Sse, 1 << 20);
            let mut count = 0;
            for event in &events {
                framer.push(event.clone());
                while let Some(event) = framer.next() {
                    count += black_box(event).expect("a good event").data.len();
                }
            }
            count
        });
    });
    let streamed = plan("text/event-stream");
    assert_eq!(inspect(streamed.clone(), &events), size);
    group.bench_function("inspect", |bencher| {
        bencher.iter_batched(|| streamed.clone(), |plan| inspect(plan, &events), BatchSize::SmallInput);
    });
    for (name, watched) in watched(&streamed) {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| watched.clone(), |plan| inspect(plan, &events), BatchSize::SmallInput);
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("a stream of 1,000 deltas");
    group.throughput(Throughput::Bytes(long.iter().map(|event| event.len() as u64).sum()));
    for (name, heard) in [("inspect", streamed.clone())].into_iter().chain(heard(&streamed)) {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| heard.clone(), |plan| inspect(plan, &long), BatchSize::SmallInput);
        });
    }
    group.finish();

    let document = [document()];
    let mut group = criterion.benchmark_group("a JSON answer of 1.2 KB");
    group.throughput(Throughput::Bytes(document[0].len() as u64));
    let whole = plan("application/json");
    assert_eq!(inspect(whole.clone(), &document), document[0].len());
    group.bench_function("inspect", |bencher| {
        bencher.iter_batched(|| whole.clone(), |plan| inspect(plan, &document), BatchSize::SmallInput);
    });
    for (name, watched) in watched(&whole) {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| watched.clone(), |plan| inspect(plan, &document), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
