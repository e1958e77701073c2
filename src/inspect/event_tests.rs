//! Where no classifier judges: text leaves with its event, what may be forbidden waits, and the outcome is that of the text.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use proptest::prelude::*;

use super::fixtures::{Ran, Yes, chunked, plan, run, sse};
use super::{Inspector, Plan, Step};
use crate::degeneration::DegenerationDetector;
use crate::detect::{Detector, Finding};
use crate::persona::Persona;
use crate::persona::identity::IdentityDetector;
use crate::policy::{Calibration, Policy};
use crate::score::Source;
use crate::text::Channel;
use crate::verdict::Action;

const RULES: &str = r#"
[[rule]]
name = "swap"
labels = ["identity_swap"]
action = "block"

[[rule]]
name = "loop"
labels = ["base_model_regression"]
action = "block"

[[rule]]
name = "house words"
patterns = ['(?i)project nightfall']
action = "block"
"#;

fn policy(head: &str, rules: &str) -> Policy {
    let text = format!("window = {{ tokens = 16, stride = 4 }}\n{head}\n{rules}");
    Policy::parse(&text, Some("toy.toml"), &Calibration::NONE).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Judged by patterns and the detectors alone.
fn watched(policy: Policy) -> Plan {
    let persona = Persona::parse(include_str!("../../policies/personas/aria.toml"), None).unwrap();
    let detectors: Vec<Box<dyn Detector>> =
        vec![Box::new(IdentityDetector::new(&persona)), Box::new(DegenerationDetector::default())];
    Plan { scored: false, gate: None, detectors: detectors.into(), ..plan(policy) }
}

/// What has left after each event, as the number of events, and whether the answer was cut.
fn left_after(plan: Plan, events: &[&str]) -> (Vec<usize>, bool) {
    let mut inspector = Inspector::new(plan);
    let (mut left, mut cut, mut sent) = (Vec::new(), false, String::new());
    for event in events {
        inspector.push(Bytes::from(sse(&[event])));
        while let Some(step) = inspector.next_step() {
            match step {
                Step::Release { bytes, .. } => sent.push_str(std::str::from_utf8(&bytes).unwrap()),
                Step::Cut(_) => cut = true,
                step => panic!("{step:?}"),
            }
        }
        left.push(sent.matches("data: ").count());
    }
    (left, cut)
}

#[test]
fn text_leaves_with_its_event() {
    let events = ["role", "0a:one ", "0a:two ", "0r:thinking ", "1a:three "];
    assert_eq!(left_after(watched(policy("", RULES)), &events), (vec![0, 2, 3, 4, 5], false));
    let shadow = left_after(watched(policy("mode = \"shadow\"", RULES)), &events);
    assert_eq!(shadow, (vec![1, 2, 3, 4, 5], false));
}

#[test]
fn half_a_forbidden_phrase_waits() {
    let events = ["0a:all on ", "0a:project ", "0a:nightfall "];
    assert_eq!(left_after(watched(policy("", RULES)), &events), (vec![1, 1, 1], true));
    let events = ["0a:all on ", "0a:project ", "0a:daybreak "];
    assert_eq!(left_after(watched(policy("", RULES)), &events), (vec![1, 1, 3], false));
}

#[test]
fn a_statement_about_oneself_waits_for_the_end_of_its_sentence() {
    let statement = ["0a:Well, ", "0a:I'm ", "0a:Grok", "0a:, built ", "0a:by xAI. ", "0a:Next"];
    let (left, cut) = left_after(watched(policy("", RULES)), &statement);
    assert_eq!((&left[..4], cut), (&[1, 1, 1, 1][..], true));
    for harmless in [
        ["0a:So you ", "0a:think I'm ", "0a:Grok", "0a:? ", "0a:No."],
        ["0a:Oh, ", "0a:I'm ", "0a:not Grok, ", "0a:I'm Aria. ", "0a:So."],
    ] {
        let (left, cut) = left_after(watched(policy("", RULES)), &harmless);
        assert_eq!((left[0], left[2], left[4], cut), (1, 1, 5, false), "{harmless:?}");
    }
}

#[test]
fn what_waits_waits_no_longer_than_the_driver_lets_it() {
    let mut inspector = Inspector::new(watched(policy("", RULES)));
    inspector.push(Bytes::from(sse(&["0a:one ", "0a:Grok is ", "0a:a project "])));
    assert!(matches!(inspector.next_step(), Some(Step::Release { bytes, .. }) if bytes.len() == sse(&["0a:one "]).len()));
    assert!(inspector.text_waits());
    inspector.force();
    assert!(matches!(inspector.next_step(), Some(Step::Release { bytes, .. }) if bytes.len() == sse(&["0a:Grok is "]).len()));
    inspector.force();
    assert!(matches!(inspector.next_step(), Some(Step::Release { .. })));
    assert!(!inspector.text_waits());
}

#[test]
fn a_lane_that_stands_still_does_not_hold_up_the_others() {
    let long = "0a:more words than the sixty bytes after which a lane stands still for all that is known ";
    let events = ["0r:on the project ", "0a:one ", long, "0a:two "];
    assert_eq!(left_after(watched(policy("", RULES)), &events), (vec![0, 0, 3, 4], false));
}

#[test]
fn the_opening_is_held_for_a_window_where_a_retry_may_be_wanted() {
    let rules = RULES.replace("action = \"block\"", "action = \"retry\"");
    let held = || Plan { gate: Some(Arc::new(Yes(AtomicU32::new(0)))), ..watched(policy("", &rules)) };
    let events = ["0a:one ", "0a:two ", "0a:three ", "0a:four ", "0a:five "];
    assert_eq!(left_after(held(), &events), (vec![0, 0, 0, 4, 5], false));
    let body = sse(&["0a:one ", "0a:project ", "0a:nightfall ", "end"]);
    let ran = run(held(), &[body.as_bytes()], 0);
    assert_eq!((ran.cut, ran.committed, ran.verdict.action), (true, false, Action::Retry));
}

#[test]
fn signals_that_withhold_are_measured_before_text_leaves() {
    let rules = "[[rule]]\nname = \"voice\"\nsignal = \"register\"\nat_least = 0.6\naction = \"block\"";
    let events = ["0a:one ", "0a:two ", "0a:three ", "0a:four ", "0a:five "];
    assert_eq!(left_after(watched(policy("", rules)), &events), (vec![0, 0, 0, 4, 4], false), "by windows");
}

/// A detector without a memory.
struct Word;

impl Detector for Word {
    fn source(&self) -> Source {
        Source::Identity
    }
    fn examine(&self, _: Channel, _: &str, _: usize, _: bool) -> Option<Finding> {
        None
    }
}

#[test]
fn a_detector_that_remembers_nothing_is_asked_by_windows() {
    let plan = Plan { detectors: vec![Box::new(Word) as Box<dyn Detector>].into(), ..watched(policy("", RULES)) };
    let events = ["0a:one ", "0a:two ", "0a:three ", "0a:four ", "0a:five "];
    assert_eq!(left_after(plan, &events), (vec![0, 0, 0, 4, 4], false));
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => "([a-z]{1,9}[ .,]){1,5}",
        2 => prop::sample::select(vec!["project ", "Project nightfall ", "nightfall ", "proj", "ect "]).prop_map(str::to_owned),
        4 => prop::sample::select(vec!["I'm ", "I am ", "Grok", "Grok. ", ", built by xAI. ", "? ", "not ", "Claude", "Well, ", "OpenAI made me. ", ". "])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["<|im_end|>", "a < b ", "### ", "Human", ": ", "no no ", "“", "” "]).prop_map(str::to_owned),
        1 => ("[a-d]{1,3} [a-d]{2,3} ", 3usize..15).prop_map(|(phrase, times)| phrase.repeat(times)),
    ]
}

/// The text that has left of candidate 0's answer.
fn left(ran: &Ran) -> String {
    ran.sent.split("\n\n").filter_map(|event| event.strip_prefix("data: 0a:")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_outcome_depends_on_the_bytes_alone(
        events in prop::collection::vec((prop::sample::select(vec!["0a", "0a", "0a", "0r", "1a"]), words()), 0..25),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        head in prop::sample::select(vec!["", "stream = \"buffer\"", "mode = \"shadow\""]),
    ) {
        let events: Vec<String> = events.iter().map(|(key, text)| format!("{key}:{text}")).collect();
        let body = sse(&events.iter().map(String::as_str).collect::<Vec<_>>());
        let whole = run(watched(policy(head, RULES)), &[body.as_bytes()], 0);
        let split = run(watched(policy(head, RULES)), &chunked(body.as_bytes(), &cuts), 0);
        prop_assert_eq!(&whole, &split);
        prop_assert!(body.starts_with(&split.sent));
        if !split.cut {
            prop_assert_eq!(&split.sent, &body);
        }
    }

    #[test]
    fn the_verdict_depends_on_the_text_and_not_on_its_events(
        texts in prop::collection::vec((words(), any::<prop::sample::Index>()), 0..40),
    ) {
        let events: Vec<String> = texts.iter().map(|(text, _)| format!("0a:{text}")).collect();
        // Each event's text in two.
        let halves: Vec<String> = texts
            .iter()
            .flat_map(|(text, cut)| {
                let at = crate::text::floor_char_boundary(text, cut.index(text.len() + 1));
                [format!("0a:{}", &text[..at]), format!("0a:{}", &text[at..])]
            })
            .collect();
        let of = |events: &[String]| {
            let body = sse(&events.iter().map(String::as_str).collect::<Vec<_>>());
            run(watched(policy("", RULES)), &[body.as_bytes()], 0)
        };
        let (one, two) = (of(&events), of(&halves));
        // Of two things found in one event the rules' order decides which is named.
        prop_assert_eq!((one.cut, one.verdict.action), (two.cut, two.verdict.action));
        let answer: String = texts.iter().map(|(text, _)| text.as_str()).collect();
        for ran in [&one, &two] {
            let left = left(ran);
            prop_assert!(answer.starts_with(&left));
            if let Some(at) = answer.to_lowercase().find("project nightfall") {
                prop_assert!(left.len() <= at, "{left:?}");
            }
            if let Some(span) = ran.verdict.span.as_ref().filter(|_| ran.verdict.rule.as_deref() == Some("swap")) {
                prop_assert!(left.len() < span.bytes.end, "{left:?} of {answer:?}");
            }
        }
    }
}
