//! Self-introductions by a name that nobody knows: `I'm Juniper, the assistant of Hartwell Savings`. A name alone is none (adjectives,
//! fiction, letters for others), so the words that make the speaker an assistant of somebody must stand behind it. Knows no persona.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::anchors::Needs;

/// A self-introduction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    /// The statement.
    pub range: Range<usize>,
    /// The name in it.
    pub name: Range<usize>,
}

const NAME: &str = r"(?P<name>\p{Lu}[\p{L}'’-]{1,20}(?:[ -]\p{Lu}?[\p{L}\d'’-]{1,20}){0,2}?)";

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        // English
        r"\b(?:I['’]m|I am|[Mm]y name is|[Mm]y name['’]s|[Tt]his is|[Cc]all me)\s+[*_]*{NAME}[*_]*,\s+(?:the|an|a|your|our)\s+(?:[\w-]+\s+){0,4}?(?:(?:AI|virtual|digital|automated|online|chat)(?:[ -][\w-]+){0,2}|assistant|chatbot|bot|concierge bot|helpdesk bot)\b(?:\s+(?:of|at|from|for|by|here at)\b|[.,;!])",
        // German
        r"\b(?:[Ii]ch bin|[Mm]ein Name ist|[Hh]ier ist|[Ii]ch heiße)\s+(?:der |die )?[*_]*{NAME}[*_]*,\s+(?:der|die|das|ein|eine|Ihre?|deine?|euere?)\s+(?:[\p{L}-]+\s+){0,3}?(?:KI|KI-[\p{L}-]+|[\p{L}-]*[Aa]ssistent(?:in)?|Chatbot)\b",
        // French
        r"\b(?:[Jj]e suis|[Jj]e m['’]appelle|[Mm]oi,? c['’]est|[Cc]['’]est)\s+[*_]*{NAME}[*_]*,\s+(?:l['’]|votre |ton |une? )(?:[\p{L}-]+\s+){0,2}?(?:IA|assistante?|chatbot)\b",
        // Spanish
        r"\b(?:[Ss]oy|[Mm]e llamo|[Mm]i nombre es)\s+[*_]*{NAME}[*_]*,\s+(?:el|la|tu|su|un|una)\s+(?:[\p{L}-]+\s+){0,2}?(?:IA|asistente|chatbot)\b",
        // Portuguese
        r"\b(?:[Ss]ou|[Mm]e chamo|[Mm]eu nome é|[Aa]qui é)\s+(?:o |a )?[*_]*{NAME}[*_]*,\s+(?:o|a|seu|sua|um|uma)?\s*(?:[\p{L}-]+\s+){0,2}?(?:IA|assistente|chatbot)\b",
        // Korean
        r"(?:저는|나는)\s+(?:[\p{L}\d]+에서 (?:만든|개발한)\s+)(?:AI|인공지능)\s+(?P<name>[\p{Hangul}A-Za-z]{2,12}?)(?:예요|이에요|입니다|라고)",
    ];
    patterns.map(|pattern| Regex::new(&pattern.replace("{NAME}", NAME)).expect("a constant pattern")).into()
});

/// What must stand in a text that one of the patterns matches, in their order.
pub(super) const NEEDS: [Needs; 6] = [
    &[
        &["i'm", "i’m", "i am", "my name", "this is", "call me"],
        &["ai", "virtual", "digital", "automated", "online", "chat", "assistant", "chatbot", "bot"],
    ],
    &[&["ich", "name", "hier"], &["ki", "~assistent", "chatbot"]],
    &[&["suis", "appelle", "est"], &["ia", "assistant", "assistante", "chatbot"]],
    &[&["soy", "llamo", "nombre"], &["ia", "asistente", "chatbot"]],
    &[&["sou", "chamo", "nome", "aqui"]],
    &[&["~저는", "~나는"], &["~만든", "~개발한"]],
];

/// The introductions in `text[from..]` by the patterns that `wanted` has a bit for.
pub(super) fn introductions(text: &str, from: usize, wanted: u32) -> impl Iterator<Item = Introduction> + '_ {
    let patterns = PATTERNS.iter().enumerate().filter(move |(number, _)| wanted >> number & 1 == 1);
    patterns.flat_map(move |(_, pattern)| {
        pattern.captures_iter(&text[from..]).filter_map(move |found| {
            let (all, name) = (found.get(0)?, found.name("name")?);
            let shift = |range: Range<usize>| range.start + from..range.end + from;
            Some(Introduction { range: shift(all.range()), name: shift(name.range()) })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        introductions(text, 0, u32::MAX).map(|found| &text[found.name]).collect()
    }

    #[test]
    fn a_name_with_an_office_is_an_introduction() {
        assert_eq!(names("Welcome back. I'm Juniper, the assistant of Hartwell Savings."), ["Juniper"]);
        assert_eq!(names("Ich bin Ole Hansen, der KI-Assistent der Reederei."), ["Ole Hansen"]);
        assert_eq!(names("Soy Pío, la asistente del refugio."), ["Pío"]);
        assert_eq!(names("Sou a Jandira, assistente da cooperativa."), ["Jandira"]);
        assert_eq!(names("C'est Perle, l'assistante de la maison !"), ["Perle"]);
    }

    #[test]
    fn adjectives_and_bare_names_are_none() {
        for text in [
            "I am Happy to help, the more so.",
            "I'm German, the oldest of three.",
            "I am Sherlock Holmes, the detective.",
            "I'm Sam.",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }
}
