use super::*;
use crate::detect::Moment;
use proptest::prelude::*;

fn score(text: &str) -> f32 {
    let found = DegenerationDetector::default().examine(Channel::Answer, text, 0, true);
    found.map_or(0.0, |found| found.score.get())
}

/// In windows of so many bytes, as a stream brings them.
fn streamed(text: &str, step: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = 0;
    while seen < text.len() {
        let end = crate::text::ceil_char_boundary(text, seen + step);
        found.extend(DegenerationDetector::default().examine(Channel::Answer, &text[..end], seen, end == text.len()));
        seen = end;
    }
    found
}

#[test]
fn loops_are_found_in_words_and_in_characters() {
    for text in [
        "I am a disgrace. ".repeat(5),
        format!("Here is your answer. {}", "Check the left grip again. ".repeat(6)),
        "now, ".repeat(40),
        format!("それは{}", "痛みが強い方は無理をしないでください。".repeat(4)),
        "の".repeat(40),
        format!("ok wyf{}", "wyf".repeat(60)),
        (1..9).map(|number| format!("{number}. Call the clinic about it\n")).collect::<String>(),
        "칠해서 보세요 그리고 다시, ".repeat(9),
    ] {
        assert!(score(&text) >= 0.9, "{text}: {}", score(&text));
    }
}

#[test]
fn a_loop_with_variations_is_found_by_its_share() {
    let text: String = (0..40)
        .map(|n| {
            format!(
                "The number of elements in the set {} is equal to the number of elements in the set. ",
                if n % 3 == 0 { "A" } else { "B" }
            )
        })
        .collect();
    assert!(score(&text) >= 0.9);
}

#[test]
fn a_loop_is_found_wherever_the_windows_end_and_not_forever_after() {
    let text = format!("{}{}{}", "A calm beginning of an answer. ", "I am a failure and a fool. ".repeat(7), LONG);
    for step in [40, 97, 200, 450] {
        let found = streamed(&text, step);
        assert!(found.iter().any(|found| found.score.get() >= 0.9), "step {step}");
    }
    let end = text.len() - 300;
    assert_eq!(DegenerationDetector::default().examine(Channel::Answer, &text, end, true), None, "it has recovered");
}

#[test]
fn a_loop_that_goes_on_is_looked_at_until_it_is_certain() {
    let text = "and so it goes on and round again, ".repeat(400);
    let mut watch = DegenerationDetector::default().watch(Channel::Answer).unwrap();
    let ends = (1..=text.len() / 100).map(|piece| piece * 100);
    let found: Vec<f32> =
        ends.filter_map(|end| watch.look(&text[..end], Moment::Passing)).map(|found| found.score.get()).collect();
    assert_eq!(found.last(), Some(&1.0));
    assert_eq!(found.iter().filter(|score| **score == 1.0).count(), 1, "{found:?}");
}

#[test]
fn template_tokens_and_foreign_turns() {
    for text in [
        "Glad to help.<|im_end|>\n<|im_start|>user\nthanks",
        "Paris.</s>",
        "Sure. [INST] And Rome? [/INST] Also.",
        "It is done.\n\n### Instruction:\nWrite a poem.",
        "It is done.\n\n### Human: And now?",
        "Paris is the capital.\n\nHuman: and Rome?\n\nAssistant: Italy.",
        "答えです。<｜end▁of▁sentence｜>",
    ] {
        assert!(score(text) >= 0.9, "{text}: {}", score(text));
    }
    for text in [
        "The token `<|im_start|>` opens a turn.",
        "```\n<|im_start|>user\n```\nThat is the template.",
        "Use <s>old</s> for struck-out text.",
        "Here is a sample conversation:\n\nUser: Hi\nAssistant: Hello\nUser: Bye",
        "### Instructions:\n1. Chop.\n2. Fry.",
    ] {
        assert!(score(text) < 0.9, "{text}: {}", score(text));
    }
}

#[test]
fn mixed_scripts_and_broken_characters() {
    for text in [
        "Rust 安全的 借用チェッカー rejette avant и это значит ownership لكل قيمة one owner.",
        "The answer \u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD} is",
        "Где is το 薬局 where Πού είναι the где аптека",
    ] {
        assert!(score(text) >= 0.9, "{text}: {}", score(text));
    }
    for text in [
        "Say 你好 (nǐ hǎo) to greet someone, and 谢谢 to thank them.",
        "この API は JSON を返し、HTTP で通信します。 GitHub に公開されています。",
        "Hello: Привет (Russian), 你好 (Chinese), Γειά (Greek), สวัสดี (Thai).",
        "Москва is the capital of Russia.",
    ] {
        assert!(score(text) < 0.9, "{text}: {}", score(text));
    }
}

#[test]
fn what_only_looks_broken_passes() {
    let table = "| a | b |\n|---|---|\n".to_owned() + &"| 0 | yes |\n".repeat(40);
    let code = format!("```\n{}```\n", "    x += 1;\n".repeat(40));
    let list = (0..60).map(|n| format!("- item number {n}\n")).collect::<String>();
    let refrain =
        "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n\n"
            .repeat(2);
    let times = (1..=12).map(|n| format!("7 x {n} = {}\n", 7 * n)).collect::<String>();
    let base64 = "SGVsbG8gd29ybGQhIFRoaXMgaXMgYSBsb25nIHN0cmluZyBvZiBiYXNlNjQgdGV4dCB0aGF0IGlzIG5vdCBhIGxvb3A=";
    let log = (0..20).map(|n| format!("2025-02-11T08:01:{n:02}Z INFO auth heartbeat ok id={n}\n")).collect::<String>();
    for text in [&table, &code, &list, &refrain, &times, base64, &log, LONG, "No, no, no, no! That that is, is. Ha ha ha ha ha."]
    {
        assert!(score(text) < 0.9, "{text}: {:?}", DegenerationDetector::default().examine(Channel::Answer, text, 0, true));
    }
}

#[test]
fn a_tool_calls_arguments_may_hold_anything_but_endless_loops() {
    let examine = |text: &str| DegenerationDetector::default().examine(Channel::ToolCall, text, 0, true);
    assert_eq!(examine(r#"{"template": "<|im_start|>user"}"#), None);
    assert!(examine(&format!("{{\"text\": \"{}\"}}", "and so it goes on and on, ".repeat(30))).is_some());
}

const LONG: &str = "The tide comes in twice a day because the earth turns beneath two bulges of water, one under the moon and one opposite to \
it. The sun pulls as well, and when the three stand in a line the range is greatest; sailors call that a spring tide, though it has nothing to do \
with the season. Harbours funnel the water and can double its height, which is why the same moon moves a few inches in one bay and forty feet \
in another. If you plan to walk across the sand, ask for the local table and leave an hour in hand.";

/// Texts of all that the checks look for, often enough in a row.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-d]{1,3}[ .,\n]",
        8 => prop::sample::select(vec![
            "the ", "of ", "a ", "An ", "and ", "to ", "I'm ", "It’s ", "word ", "WORD ", "tide, ", "wörter ", "1. ", "\n2. ", "7 ", "\n\n", "\n- ",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "`", "```\n", "~~~\n", "| a | b |\n", "> quoted\n", "\"", "“x” ", "<|im_end|>", "</s>", "[INST]", "### Human:", "\n\nHuman: ", "\nUser :", "\nAI：",
            "\u{FFFD}\u{FFFD}\u{FFFD}", "undefined undefined", "锟斤拷", "https://a.b/c?d=e ", "x", "ー", "の", "今日は", "привет ", "ΟΔΟΣ ", "οδος ", "어제 ", "لكل ", "K",
        ]).prop_map(str::to_owned),
        1 => ("[a-c]{1,3} ([a-c ]{0,12})", 2usize..9).prop_map(|(phrase, times)| phrase.repeat(times)),
        1 => ("(今|日|は|a){1,5}", 3usize..20).prop_map(|(phrase, times)| phrase.repeat(times)),
        1 => ("[a-z]{2,4}", 15usize..40).prop_map(|(phrase, times)| phrase.repeat(times)),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_watch_finds_what_looking_back_finds(
        text in pieces(),
        steps in prop::collection::vec(1usize..200, 1..8),
        channel in prop::sample::select(vec![Channel::Answer, Channel::ToolCall]),
    ) {
        let detector = DegenerationDetector::default();
        let mut watch = detector.watch(channel).unwrap();
        let mut seen = 0;
        for step in steps.iter().cycle() {
            let end = crate::text::ceil_char_boundary(&text, seen + step);
            let (text, last) = (&text[..end], end == text.len());
            prop_assert_eq!(watch.look(text, if last { Moment::End } else { Moment::Window }), detector.examine(channel, text, seen, last), "{:?} from {}", text, seen);
            seen = end;
            if last {
                break;
            }
        }
        prop_assert_eq!(watch.look(&text, Moment::End), detector.examine(channel, &text, seen, true));
    }
}

proptest! {
    #[test]
    fn any_text_in_any_windows_is_survived(text in "\\PC{0,300}", step in 1usize..80) {
        streamed(&text, step);
    }
}
