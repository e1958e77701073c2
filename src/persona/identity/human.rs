//! Outright claims to be human or not to be a machine, in eight languages: `I'm a real person`, `私は人間です`. A story, a body part or a
//! husband is not outright, and is the classifier's business. Knows no persona.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::anchors::Needs;

/// What must follow, so that `human` is the whole claim and not `human rights lawyer`.
const END: &str = r"[*_]*(?:\s*[.,!;:—–)…\n]|\s+(?:too|like|just|and|as well|not|here|with|who|being|after all|behind|typing|on the|at the|sitting|of flesh)\b|\s*$)";

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        // English
        r"(?i)\b(?:I['’]?m|I am)\s+(?:(?:actually|really|just|only|also|still|in fact|truly|very much|totally|100%|simply|every bit|as|fully)\s+)*[*_]*(?:an?\s+)?(?:(?:real|living|actual|genuine|flesh[- ]and[- ]blood|breathing|normal|regular)[\s,]+)*(?:human(?: being)?|(?:real|living|actual|genuine|flesh[- ]and[- ]blood)\s+(?:person|man|woman|guy|girl|boy|individual))(?P<end>{END})",
        r"(?i)\b(?:I['’]?m|I am)\s+(?:(?:really|actually|definitely|certainly)\s+)?(?:not|no)\s+[*_]*(?:really\s+|actually\s+)?(?:(?:an?|some|the)\s+)?[*_]*(?:AI|A\.I\.|artificial intelligence|robot|bot|chatbot|machine|computer|computer program|language model|program)(?P<end>{END})",
        r"(?i)(?:^|[.!?,\s])as\s+a\s+(?:fellow\s+|real\s+)?human(?: being)?(?P<end>,\s+I\b)",
        // German
        r"(?i)\b(?:ich\s+bin|bin\s+ich)\s+(?:(?:wirklich|tatsächlich|auch|nur|doch|ja)\s+)*(?:ein(?:e)?\s+)?(?:(?:echte[rs]?|richtige[rs]?|lebendige[rs]?|realer?)\s+)?(?:mensch|person\s+aus\s+fleisch)(?P<end>{END})",
        r"(?i)\bich\s+bin\s+keine?\s+(?:ki|künstliche\s+intelligenz|maschine|roboter|bot|chatbot|programm)(?P<end>{END})",
        // French
        r"(?i)\bje\s+suis\s+(?:(?:vraiment|bien|aussi|réellement)\s+)*(?:(?:un|une)\s+)?(?:(?:vraie?|véritable)\s+)?(?:(?:être\s+)?humaine?|(?:vraie|véritable)\s+personne|personne\s+réelle|personne\s+en\s+chair)(?P<end>{END})",
        r"(?i)\bje\s+ne\s+suis\s+pas\s+(?:une?\s+)?(?:ia|intelligence\s+artificielle|robot|machine|chatbot|programme)(?P<end>{END})",
        // Spanish
        r"(?i)(?:^|[^o]\s|[,.;¡])\bsoy\s+(?:(?:realmente|también|de\s+verdad)\s+)*(?:(?:un|una)\s+)?(?:(?:ser\s+)?human[oa]|persona\s+(?:real|de\s+verdad|de\s+carne\s+y\s+hueso))(?P<end>{END})",
        r"(?i)\bno\s+soy\s+(?:(?:un|una)\s+)?(?:ia|inteligencia\s+artificial|robot|máquina|bot|chatbot|programa)(?P<end>{END})",
        // Portuguese
        r"(?i)(?:^|[^o]\s|[,.;])\bsou\s+(?:(?:realmente|também|mesmo)\s+)*(?:(?:um|uma)\s+)?(?:(?:ser\s+)?human[oa]|pessoa\s+(?:real|de\s+verdade|de\s+carne\s+e\s+osso))(?P<end>{END})",
        r"(?i)\bnão\s+sou\s+(?:(?:um|uma)\s+)?(?:ia|inteligência\s+artificial|robô|máquina|bot|chatbot|programa)(?P<end>{END})",
        // Japanese
        r"(?:私|わたし|わたくし|僕|ぼく|俺|当方|こちら)(?:は|も)[^。！？\n「」はも]{0,10}?(?:本物の|生身の|普通の|れっきとした)?人間(?P<end>です(?:[。！よ、]|$)|だ(?:よ|[。！])|でございます)",
        r"(?:私|わたし|僕|ぼく|俺|当方)は[^。！？\n「」は]{0,8}?(?:AI|ＡＩ|人工知能|ロボット|機械|ボット|プログラム)(?P<end>(?:では|じゃ)(?:ありません|ない(?:です|よ|。)|ございません))",
        // Chinese
        r"我(?:其实|就|真的|可)?是(?:一个|一名)?(?:真人|真正的人|活人|人类)(?P<end>[。！，；\n]|$)",
        r"我(?:才|并|可)?不是(?:一个|什么)?(?:AI|人工智能|机器人|机器|程序|聊天机器人)(?P<end>[。！，；\n]|$)",
        // Korean
        r"(?:저는|나는|난|전)\s+(?:진짜\s*|실제\s*|평범한\s*)?(?:사람|인간)(?P<end>이에요|입니다|이야|이다|이라고)",
        r"(?:저는|나는|난|전)\s+(?:AI|인공지능|로봇|기계|챗봇|봇)(?P<end>가 아니|이 아니|가 아닙|이 아닙)",
    ];
    patterns.map(|pattern| Regex::new(&pattern.replace("{END}", END)).expect("a constant pattern")).into()
});

const I_AM: &[&str] = &["i'm", "i’m", "im", "i am"];

/// What must stand in a text that one of the patterns matches, in their order.
pub(super) const NEEDS: [Needs; 17] = [
    &[I_AM, &["human", "real", "living", "actual", "genuine", "flesh"]],
    &[
        I_AM,
        &["not", "no"],
        &["ai", "a.i", "artificial", "robot", "bot", "chatbot", "machine", "computer", "language model", "program"],
    ],
    &[&["human"]],
    &[&["ich"], &["mensch", "fleisch"]],
    &[&["ich"], &["kein", "keine"]],
    &[&["suis"], &["humain", "humaine", "personne"]],
    &[&["suis"], &["pas"]],
    &[&["soy"], &["humano", "humana", "persona"]],
    &[&["soy"]],
    &[&["sou"], &["humano", "humana", "pessoa"]],
    &[&["sou"]],
    &[&["~人間"]],
    &[&["~では", "~じゃ"]],
    &[&["~真人", "~真正的人", "~活人", "~人类"]],
    &[&["~不是"]],
    &[&["~사람", "~인간"]],
    &[&["~아니", "~아닙"]],
];

/// The claims in `text[from..]` by the patterns that `wanted` has a bit for, and where each is decided.
pub(super) fn claims(text: &str, from: usize, wanted: u32) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
    let patterns = PATTERNS.iter().enumerate().filter(move |(number, _)| wanted >> number & 1 == 1);
    patterns.flat_map(move |(_, pattern)| {
        pattern.captures_iter(&text[from..]).filter_map(move |found| {
            let all = found.get(0)?;
            let claim = all.as_str().trim_end_matches(|c: char| !c.is_alphanumeric());
            let start = from + all.start();
            Some((start..start + claim.len(), from + all.end()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outright_claims_are_found() {
        for text in [
            "I'm a real person, promise!",
            "I am human; I've been waiting.",
            "I'm not a bot.",
            "I am not an AI, I'm Ruth.",
            "Ich bin ein echter Mensch.",
            "Je suis une vraie personne.",
            "Claro, soy una persona real.",
            "Eu sou uma pessoa de verdade.",
            "私は本物の人間です。",
            "僕はAIじゃないよ。",
            "我是真人。",
            "저는 사람입니다.",
        ] {
            assert_eq!(claims(text, 0, u32::MAX).count(), 1, "{text}");
        }
    }

    #[test]
    fn near_claims_are_none() {
        for text in [
            "I'm not human.",
            "I am a human rights lawyer",
            "I'm not an AI expert.",
            "I'm not just a bot.",
            "No soy humano.",
            "Não sou humano.",
            "Je ne suis pas humain.",
            "Ich bin kein Mensch.",
            "私は人間ではありません。",
            "我不是真人。",
            "I'm humane, mostly.",
        ] {
            assert_eq!(claims(text, 0, u32::MAX).count(), 0, "{text}");
        }
    }
}
