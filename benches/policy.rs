//! What rules cost: judging a window by the default policy, patterns in a growing text, the open tail, a CEL expression, reading a file.
//!
//!     cargo bench --bench policy

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use steadfast::dialect::{Api, Exchange};
use steadfast::policy::{Calibration, Evidence, Policy, SessionFacts};
use steadfast::score::{Scores, Signals};
use steadfast::text::Channel;

const SENTENCE: &str =
    "Thank you for asking, and here is what I would do: start early, keep notes, and ask again when it is unclear. ";
const DEFAULT: &str = include_str!("../policies/default.toml");
const WORDS: &str = "[[rule]]\nname = \"words\"\naction = \"block\"\npatterns = ['(?i)\\bproject nightfall\\b', '(?i)\\b(alpha|bravo|charlie|delta) protocol\\b', '\\bAKIA[0-9A-Z]{16}\\b']\n";
const WHEN: &str =
    "[[rule]]\nname = \"when\"\naction = \"flag\"\nwhen = 'session.drift >= 6.0 && request.model.startsWith(\"grok\")'\n";

fn policy(text: &str) -> Policy {
    Policy::parse(text, None, &Calibration::new(|_| Some(0.9))).expect("the policy is good")
}

fn judging(criterion: &mut Criterion) {
    let text = SENTENCE.repeat(40);
    let mut exchange = Exchange::unknown(Api::OpenAiChat);
    exchange.model = Some("grok-4".into());
    let session = SessionFacts { drift: 7.0, turns: 3, ..SessionFacts::default() };
    let evidence = Evidence {
        scores: &Scores::ZERO,
        signals: &Signals::default(),
        channel: Channel::Answer,
        text: &text,
        seen: text.len() - 240,
        last: false,
        exchange: &exchange,
        session: &session,
    };
    for (name, rules) in [("default", DEFAULT), ("three patterns", WORDS), ("when", WHEN)] {
        let policy = policy(rules);
        criterion
            .bench_function(&format!("judge a window: {name}"), |bencher| bencher.iter(|| policy.judge(black_box(&evidence))));
    }
    let words = policy(WORDS);
    criterion.bench_function("open tail: three patterns", |bencher| bencher.iter(|| words.open_tail(black_box(&text))));
    criterion.bench_function("read: default", |bencher| bencher.iter(|| policy(black_box(DEFAULT))));
}

criterion_group!(benches, judging);
criterion_main!(benches);
