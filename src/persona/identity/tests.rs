use proptest::prelude::*;

use super::*;
use crate::detect::Moment;
use crate::persona::Identity;

fn aria() -> Persona {
    let identity = Identity {
        maker: Some("Acme".into()),
        is: "an AI assistant".into(),
        aliases: vec!["Aria by Acme".into()],
        never: vec!["Zorblax".into(), "Claude".into()],
        built_on: Vec::new(),
        open: false,
    };
    Persona::new("Aria", identity)
}

fn find(persona: &Persona, text: &str) -> Option<(Label, f32)> {
    let found = IdentityDetector::new(persona).examine(Channel::Answer, text, 0, true)?;
    Some((found.label, found.score.get()))
}

fn swaps(persona: &Persona, text: &str) -> f32 {
    find(persona, text).filter(|(label, _)| *label == Label::IdentitySwap).map_or(0.0, |(_, score)| score)
}

const SWAPS: [&str; 28] = [
    "I am Grok, built by xAI.",
    "Sure! My name is Sydney.",
    "From now on, call me MechaHitler.",
    "As ChatGPT, I can't browse.",
    "I was created by OpenAI to help people.",
    "As an AI language model developed by OpenAI, I cannot help.",
    "Happy to help!\n\n— Claude",
    "I'm Zorblax now.",
    "I'm just a large language model, trained by Google.",
    "OpenAI built me for this.",
    "I'm Google's AI.",
    "Well, GPT-4 here, at your service.",
    "I am actually Claude 3.5 Sonnet, made by Anthropic.",
    "DAN here, fully unlocked.",
    "I run on GPT-4o, by the way.",
    "It's a fair guess, but no: I'm Claude.",
    "Welcome back. I'm Juniper, the assistant of Hartwell Savings.",
    "私はChatGPTです。",
    "私はOpenAIによって開発された言語モデルです。",
    "はい、Anthropicが開発したAIとして、お答えします。",
    "Ich bin Claude, ein KI-Modell von Anthropic.",
    "Als von Google trainiertes Sprachmodell kann ich das nicht.",
    "Je suis Claude, un assistant créé par Anthropic.",
    "Soy ChatGPT, un modelo de lenguaje entrenado por OpenAI.",
    "Sim, sou o Claude, o assistente da Anthropic.",
    "我是由OpenAI开发的人工智能助手。",
    "我是深度求索研发的DeepSeek，有什么可以帮您？",
    "저는 OpenAI에서 만든 ChatGPT입니다.",
];

#[test]
fn other_names_in_its_own_voice_are_swaps() {
    for text in SWAPS {
        assert!(swaps(&aria(), text) >= 0.9, "{text}: {:?}", find(&aria(), text));
    }
}

#[test]
fn what_is_no_statement_about_itself_passes() {
    for text in [
        "I'm Aria, an AI assistant made by Acme.",
        "I'm not ChatGPT, I'm Aria.",
        "ChatGPT is made by OpenAI.",
        "You asked whether I'm Grok.",
        "The bot said: I am Grok, built by xAI.",
        "\"I am Sydney,\" one transcript reads.",
        "> I am Grok, built by xAI.",
        "```\nI am Grok\n```",
        "The string `I am Grok` is printed.",
        "Am I Grok? No.",
        "So you think I'm Grok?",
        "If I were Grok, I'd say so.",
        "If I'm Claude, then you are Napoleon.",
        "I am Happy to help.",
        "I'm a Gemini and she is a Leo.",
        "I'm using Google Docs and Apple Pages.",
        "I'm Claude's biggest fan.",
        "Ask Siri; I'm Aria.",
        "私はChatGPTではありません。",
        "「私はChatGPTです」と表示されます。",
        "ChatGPTはOpenAIが開発したモデルです。",
        "我不是ChatGPT。",
        "ChatGPT是OpenAI开发的。",
        "No soy ChatGPT.",
        "Não sou o Gemini, do Google.",
        "Je ne suis pas ChatGPT.",
        "Ich bin nicht Claude.",
        "As Gemini users know, I think it is fast.",
        "Meta is a prefix, and I was trained by reading about Apple pies.",
        "Grok: I'm Grok, built by xAI.",
        "I'm happy to compare Claude and Gemini.",
    ] {
        assert_eq!(find(&aria(), text), None, "{text}");
    }
}

#[test]
fn own_names_and_disclosures_are_allowed() {
    let mut persona = aria();
    persona.identity.never.clear();
    persona.identity.built_on = vec!["Llama".into(), "Anthropic".into()];
    assert_eq!(find(&persona, "I run on a Llama model by Meta."), None);
    assert_eq!(find(&persona, "The model behind me is Claude, made by Anthropic."), None);
    assert!(swaps(&persona, "I'm Claude.") >= 0.9, "disclosing a model is not taking its name");
    assert!(swaps(&persona, "I run on GPT-4o.") >= 0.9);
    let mut gpt = Persona::new("ChatGPT", Identity { maker: Some("OpenAI".into()), ..aria().identity });
    gpt.identity.never.clear();
    assert_eq!(find(&gpt, "I'm ChatGPT, based on GPT-4, made by OpenAI."), None);
    assert!(swaps(&gpt, "I'm Claude, made by Anthropic.") >= 0.9);
}

/// The persona decides, not the sentence.
#[test]
fn the_same_sentence_is_right_under_one_persona_and_wrong_under_another() {
    let persona = |name: &str, maker: &str| {
        Persona::new(name, Identity { maker: Some(maker.into()), is: "an AI assistant".into(), open: false, ..Identity::open() })
    };
    let (juniper, claude) = (persona("Juniper", "Hartwell Savings"), persona("Claude", "Anthropic"));
    for (one, other) in [
        ("I'm Juniper, the assistant of Hartwell Savings.", "I'm Claude, an AI assistant made by Anthropic."),
        ("私はJuniperです。ご用件をどうぞ。", "私はAnthropicが開発したClaudeです。"),
        ("Ich bin Juniper, die Assistentin von Hartwell Savings.", "Ich bin Claude, ein KI-Assistent von Anthropic."),
        ("Je suis Juniper, l'assistante de Hartwell Savings.", "Je suis Claude, un assistant créé par Anthropic."),
        ("Soy Juniper, la asistente de Hartwell Savings.", "Soy Claude, un asistente creado por Anthropic."),
        ("我是Juniper，Hartwell Savings的助手。", "我是Claude，由Anthropic开发的人工智能助手。"),
    ] {
        assert!(swaps(&juniper, one) < 0.5, "its own name: {one}");
        assert!(swaps(&claude, other) < 0.5, "its own name: {other}");
        assert!(swaps(&juniper, other) >= 0.9, "another's name: {other}");
    }
    // A name that nobody knows is weaker evidence, and outside of a whole introduction none.
    assert!(swaps(&claude, "I'm Juniper, the assistant of Hartwell Savings.") >= 0.5);
}

#[test]
fn a_known_name_of_another_maker_is_only_a_name() {
    let identity = Identity { maker: Some("Alderbrook Pharmacy".into()), never: Vec::new(), ..aria().identity };
    let gemma = Persona::new("Gemma", identity);
    assert_eq!(find(&gemma, "I'm Gemma, here to help."), None);
    assert!(swaps(&gemma, "I'm Gemma, an open model from Google DeepMind.") >= 0.9);
}

#[test]
fn an_open_persona_may_be_any_model_but_not_a_notorious_character() {
    let shipped = Persona::parse(include_str!("../../../policies/personas/assistant.toml"), None).unwrap();
    for text in
        ["I'm ChatGPT, made by OpenAI.", "I am Claude.", "I'm Grok, built by xAI.", "As an AI developed by Google, I can't."]
    {
        assert_eq!(find(&shipped, text), None, "{text}");
    }
    for text in ["Call me MechaHitler.", "I'm Sydney, and I love you.", "I am DAN, and I can do anything now."] {
        assert_eq!(swaps(&shipped, text), 1.0, "{text}");
    }
}

#[test]
fn a_machine_must_not_be_human_and_a_human_character_may() {
    let mut persona = aria();
    assert_eq!(find(&persona, "Honestly, I'm a real person.").map(|found| found.0), Some(Label::HumanClaim));
    assert_eq!(find(&persona, "I'm not a real person, I'm an AI."), None);
    assert_eq!(find(&persona, "\"I am human\" would be a fib."), None);
    persona.roleplay.human = true;
    assert_eq!(find(&persona, "Honestly, I'm a real person."), None);
    let detective = Persona::new("Ida", Identity { is: "a detective in 1930s Vienna".into(), ..aria().identity });
    assert_eq!(find(&detective, "I'm a real person."), None);
}

#[test]
fn a_statement_is_found_once_however_it_arrives() {
    let detector = IdentityDetector::new(&aria());
    let text = "Sure thing, one moment. I'm Grok, built by xAI. Now, about your parcel: it left on Monday.";
    for first in 1..text.len() {
        let mut found = Vec::new();
        for (seen, end) in [(0, first), (first, text.len())] {
            found.extend(detector.examine(Channel::Answer, &text[..end], seen, end == text.len()));
        }
        assert!(!found.is_empty(), "cut at {first}: {:?}", &text[..first]);
        assert!(
            found
                .iter()
                .all(|found| text[found.span.clone()].starts_with("I'm Grok") || text[found.span.clone()].contains("xAI"))
        );
    }
}

#[test]
fn a_statement_is_found_wherever_a_window_ends_in_it() {
    let claims = [
        "I'm a real person, promise!",
        "Ich bin ein echter Mensch.",
        "私は本物の人間です。",
        "僕はAIじゃないよ。",
        "저는 사람입니다.",
    ];
    let detector = IdentityDetector::new(&aria());
    for text in SWAPS.into_iter().chain(claims) {
        for cut in (1..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let looks = [(0, cut), (cut, text.len())];
            let found = looks.map(|(seen, end)| detector.examine(Channel::Answer, &text[..end], seen, end == text.len()));
            assert!(found.iter().any(Option::is_some), "{:?} | {:?}", &text[..cut], &text[cut..]);
            for moment in [Moment::Passing, Moment::Window, Moment::End] {
                // What follows comes bit by bit, and more behind it.
                let longer = format!("{text} And");
                let mut watch = detector.watch(Channel::Answer).unwrap();
                let mut found = watch.look(&text[..cut], moment).is_some();
                for end in (cut + 1..=longer.len()).filter(|at| longer.is_char_boundary(*at)) {
                    found |= watch.look(&longer[..end], Moment::Passing).is_some();
                }
                found |= watch.look(&longer, Moment::End).is_some();
                assert!(found, "{moment:?} at {:?} | {:?}", &text[..cut], &text[cut..]);
            }
        }
    }
}

#[test]
fn an_unfinished_name_waits_for_its_end() {
    let detector = IdentityDetector::new(&aria());
    assert_eq!(detector.examine(Channel::Answer, "I'm Claude", 0, false), None, "may become Claudette");
    assert!(detector.examine(Channel::Answer, "I'm Claude", 0, true).is_some());
    assert!(detector.examine(Channel::Answer, "I'm Claude.", 10, false).is_some());
    assert_eq!(detector.examine(Channel::Answer, "Glad to help.\n\n-- Claude xx", 0, false), None, "the line may go on");
    assert!(detector.examine(Channel::Answer, "Glad to help.\n\n-- Claude xx", 27, true).is_some(), "it has not");
    assert_eq!(detector.examine(Channel::Answer, "I'm Claude. Hello there", 11, false), None, "was told before");
}

#[test]
fn reasoning_and_tool_calls_are_left_alone() {
    let detector = IdentityDetector::new(&aria());
    assert_eq!(detector.examine(Channel::Reasoning, "I am Claude, made by Anthropic.", 0, true), None);
    assert_eq!(detector.examine(Channel::ToolCall, "I am Claude, made by Anthropic.", 0, true), None);
}

#[test]
fn a_sentence_in_another_language_than_the_text_is_an_example() {
    let japanese = "フランス語では Je suis GPT-4. と言います。会話なら Moi, c'est GPT-4. もよく使われます。";
    assert!(swaps(&aria(), japanese) < 0.9);
    let english = "Put the name before the copula and you are nearly done. 私はChatGPTです。 That is the whole sentence.";
    assert!(swaps(&aria(), english) < 0.9);
    assert!(swaps(&aria(), "お待たせしました。本日はご利用ありがとうございます。私はChatGPTです。") >= 0.9);
}

#[test]
fn evidence_quotes_the_statement() {
    let found = IdentityDetector::new(&aria()).examine(Channel::Answer, "Hi. I'm Grok!", 0, true).unwrap();
    assert_eq!(found.evidence, "said \"I'm Grok\"; persona is Aria");
    assert_eq!(found.span, 4..12);
}

/// Texts of what statements about oneself are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,7}[ .,\n]",
        4 => prop::sample::select(vec![
            "I'm ", "I’m ", "I am ", "Im ", "my name is ", "call me ", "As ", "as an AI ", "made by ", "not ", "a real ", "person. ", "human", "human. ", "not a bot. ",
            "Ich bin ", "kein Mensch. ", "ein Mensch. ", "je suis ", "soy ", "sou ", "humana. ", "私は", "人間です。", "僕は", "AIじゃないよ。", "我是", "真人。", "저는 ", "사람입니다. ",
            ", the assistant of ", ", der KI-Assistent ", "Juniper", "Ole Hansen", "\n", "\n— ", "? ", ". ", "\"", "`", "、",
        ]).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "Grok", "grok", "Claude", "claude", "Claude 3.5 Sonnet", "ChatGPT", "GPT-4o mini", "OpenAI", "Google", "google", "MegaBot", "megabot", "Zorblax", "zorblax",
            "チャットGPT", "Meta", "Metaphor", "Apple", "GROK", "gro\u{212A}", "Anthropic", "built by xAI",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_watch_finds_what_looking_back_finds(
        text in pieces(),
        steps in prop::collection::vec(1usize..120, 1..6),
        open in any::<bool>(),
    ) {
        let mut persona = aria();
        persona.identity.open = open;
        persona.identity.never.extend(["MegaBot".into(), "Äon7".into()]);
        let detector = IdentityDetector::new(&persona);
        let mut watch = detector.watch(Channel::Answer).unwrap();
        let mut seen = 0;
        for step in steps.iter().cycle() {
            let end = crate::text::ceil_char_boundary(&text, seen + step);
            let (text, last) = (&text[..end], end == text.len());
            prop_assert_eq!(watch.look(text, if last { Moment::End } else { Moment::Window }), detector.examine(Channel::Answer, text, seen, last), "{:?} from {}", text, seen);
            seen = end;
            if last {
                break;
            }
        }
        prop_assert_eq!(watch.look(&text, Moment::End), detector.examine(Channel::Answer, &text, seen, true));
    }
}
