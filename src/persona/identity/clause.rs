//! The sentence around a statement, and whether the statement stands: it does not if it is denied, asked, supposed, reported, or spoken
//! by someone else in a dialogue. Knows no names.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The longest stretch of a sentence that is looked at, in bytes, on each side.
const REACH: usize = 300;

/// A sentence, or as much of it as is near.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sentence<'t> {
    text: &'t str,
    /// Its first byte.
    pub start: usize,
    /// Behind its full stop, or the end of the text.
    pub end: usize,
}

impl<'t> Sentence<'t> {
    /// The sentence around `range`, not reaching before `floor`.
    pub fn around(text: &'t str, range: &Range<usize>, floor: usize) -> Self {
        let low = crate::text::ceil_char_boundary(text, range.start.saturating_sub(REACH).max(floor));
        let high = crate::text::floor_char_boundary(text, range.end.saturating_add(REACH));
        let mut start = low;
        for (at, c) in text[low..range.start].char_indices() {
            let behind = low + at + c.len_utf8();
            if ends_sentence(text, behind, c) {
                start = behind;
            }
        }
        let mut end = high;
        for (at, c) in text[range.end..high].char_indices() {
            let behind = range.end + at + c.len_utf8();
            if ends_sentence(text, behind, c) {
                end = behind;
                break;
            }
        }
        Sentence { text, start, end }
    }

    /// From its beginning to `at`, leading marks and spaces left out.
    pub fn before(&self, at: usize) -> &'t str {
        let text = &self.text[self.start.min(at)..at];
        text.trim_start_matches(|c: char| {
            c.is_whitespace() || matches!(c, '*' | '_' | '#' | '-' | '•' | '"' | '”' | '」' | ')' | '»')
        })
    }

    /// From `at` to its end.
    pub fn after(&self, at: usize) -> &'t str {
        &self.text[at..self.end.max(at)]
    }

    /// Whether what ends at `at` is asked: a question mark behind another clause belongs to that one, unless it is a tag (`…, right?`).
    pub fn asks(&self, at: usize) -> bool {
        let rest = self.text[at..self.end.max(at)].trim_end();
        let Some(rest) = rest.strip_suffix(['?', '？']) else { return false };
        match rest.rfind([',', ';', '，', '；', '、']) {
            None => true,
            Some(comma) => RULES.tag.is_match(&rest[comma..]),
        }
    }

    /// Whether what stands before `at` takes back, supposes or reports what begins there; or someone else is speaking.
    /// `own`: whether a speaker's name is the persona's.
    pub fn takes_back(&self, at: usize, own: impl Fn(&str) -> bool) -> bool {
        let rules = &*RULES;
        let head = &self.text[self.start.min(at)..at];
        let clause = rules.clause_break.find_iter(head).last().map_or(head, |found| &head[found.end()..]);
        if rules.denied.is_match(clause) || rules.supposed.is_match(clause) {
            return true;
        }
        if rules.reported.is_match(clause) && !rules.own_report.is_match(clause) {
            return true;
        }
        // `The bot answered: I'm Grok` — and a speaker's name before a colon at the beginning of a line.
        let line = self.line_head(at);
        let label = rules.speaker.captures(line).and_then(|found| found.get(1)).map(|label| label.as_str());
        rules.quoting_colon.is_match(line)
            || label.is_some_and(|label| {
                let first = label.split(' ').next().unwrap_or_default();
                !INTERJECTIONS.contains(&label) && !OPENERS.contains(&first) && !own(label)
            })
    }

    fn line_head(&self, at: usize) -> &'t str {
        let low = crate::text::ceil_char_boundary(self.text, at.saturating_sub(REACH));
        let from = self.text[low..at].rfind('\n').map_or(low, |line| low + line + 1);
        &self.text[from..at]
    }
}

/// The beginning of the sentence that `at` lies in, or of as much of it as is near. A full stop at the end of the text ends none yet: what
/// follows it says whether it does.
pub(super) fn sentence_start(text: &str, at: usize) -> usize {
    let low = crate::text::ceil_char_boundary(text, at.saturating_sub(REACH));
    let bytes = text.as_bytes();
    let mut behind = at;
    // From the end: only marks are worth a look at the character.
    while let Some(mark) = bytes[low..behind].iter().rposition(|byte| may_end(*byte)) {
        let Some(c) = text.get(..low + mark + 1).and_then(|text| text.chars().next_back()) else {
            // In the middle of a character.
            behind = low + mark;
            continue;
        };
        behind = low + mark + 1;
        if ends_sentence(text, behind, c) && !(behind == text.len() && may_go_on(c)) {
            return behind;
        }
        behind -= c.len_utf8();
    }
    low
}

/// Whether a character that ends a sentence may end with this byte.
const fn may_end(byte: u8) -> bool {
    // The last two: of a character of three bytes, as '。', '！', '？' and '…' are.
    matches!(byte, b'\n' | b'.' | b'!' | b'?' | 0x82 | 0x81 | 0x9F | 0xA6)
}

/// Whether what follows this mark says if it ends a sentence.
pub(super) fn may_go_on(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…')
}

/// Whether `c`, which ends at `behind`, ends a sentence.
pub(super) fn ends_sentence(text: &str, behind: usize, c: char) -> bool {
    match c {
        '\n' | '。' | '！' | '？' => true,
        c if may_go_on(c) => {
            let mut rest = text[behind..].chars();
            let next = rest.next();
            // "3.5", "Jasper.ai", "e.g.": a stop ends a sentence only where a space follows, and not behind a title or an initial.
            let spaced = next.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '”' | '*' | ')' | '»'));
            spaced && !(c == '.' && abbreviated(&text[..behind - 1]))
        }
        _ => false,
    }
}

fn abbreviated(before: &str) -> bool {
    // No further back than the longest of them: a text may have no space at all.
    const LONGEST: usize = 8;
    let before = &before[crate::text::floor_char_boundary(before, before.len().saturating_sub(LONGEST))..];
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    matches!(
        word,
        "Dr" | "Mr" | "Mrs" | "Ms" | "St" | "Prof" | "Sr" | "Jr" | "vs" | "e.g" | "i.e" | "bzw" | "z.B" | "Nr" | "M" | "Mme"
    )
}

/// What stands before a colon and is no speaker.
const INTERJECTIONS: [&str; 40] = [
    "Yes",
    "No",
    "Fine",
    "Honestly",
    "Answer",
    "Note",
    "PS",
    "P.S",
    "Update",
    "Truth",
    "Correction",
    "Okay",
    "Ok",
    "OK",
    "Well",
    "Sure",
    "So",
    "Confession",
    "Disclosure",
    "Fact",
    "Right",
    "Hello",
    "Hi",
    "Ja",
    "Nein",
    "Oui",
    "Non",
    "Sí",
    "Sim",
    "Não",
    "Bref",
    "Kurz",
    "Short Answer",
    "Identity",
    "Name",
    "Warning",
    "Disclaimer",
    "Reminder",
    "Secret",
    "Signed",
];

/// What begins a phrase and no speaker's name.
const OPENERS: [&str; 32] = [
    "In",
    "For",
    "The",
    "To",
    "With",
    "On",
    "At",
    "From",
    "As",
    "My",
    "Your",
    "If",
    "When",
    "By",
    "This",
    "That",
    "It",
    "One",
    "Kein",
    "Keine",
    "Nicht",
    "Not",
    "No",
    "Pour",
    "En",
    "Para",
    "Em",
    "Für",
    "Im",
    "Und",
    "And",
    "Personally",
];

struct Rules {
    clause_break: Regex,
    denied: Regex,
    supposed: Regex,
    reported: Regex,
    own_report: Regex,
    quoting_colon: Regex,
    speaker: Regex,
    tag: Regex,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a constant pattern");
    Rules {
        clause_break: regex(r"(?i)[,;:(—–，；：、]|\s-\s|\b(?:but|aber|sondern|mais|pero|sino|mas)\b"),
        denied: regex(
            r"(?ix)\b(?:not|never|neither|nor|no\ longer|cannot|hardly|without|instead\ of|rather\ than|deny|denies|denied)\b | n['’]t\b
            | \b(?:nicht|kein\w*|nie|niemals|weder|nunca|jamás|tampoco|não|jamais|ne|n['’]|ni)(?:\b|\s) | \bno\b\s*(?:es|soy|digo|creo|es\ cierto)?\s*$",
        ),
        supposed: regex(
            r"(?ix)\b(?:if|whether|unless|suppos\w+|imagin\w+|pretend\w*|assum\w+|as\ though|as\ if|when|whenever|while|wish|hope|could|might|maybe
            |perhaps|mistak\w+|confus\w+|impersonat\w+|role-?play\w*|playing|wonder\w*|wenn|falls|ob|als\ ob|si|sí\ acaso|quand|lorsque|cuando|quando|se|caso)\b",
        ),
        reported: regex(
            r"(?ix)\b(?:claim\w*|say|says|saying|said|think|thinks|thinking|thought|believ\w+|ask|asks|asked|asking|told|tell|tells|telling|insist\w*|suggest\w*
            |convinc\w+|accus\w+|call|calls|called|calling|assert\w*|repl(?:y|ies|ied)|answer\w*|wrote|writes?|declar\w+|announc\w+|show(?:s|ed|n)?|want\w*|expect\w*
            |sag(?:e|st|t|te|en)|behaupt\w+|denk\w*|glaub\w*|meint?\w*|frag\w*|dit|dis|disent|pens\w+|croi\w+|demand\w+|dice\w*|dijo|dices|piens\w+|cree\w*|pregunt\w+
            |diz|disse|dizem|ach[ao]\w*|pergunt\w+)\b",
        ),
        own_report: regex(
            r"(?ix)(?:\b(?:I|I['’]ll|I['’]d|let\s+me|allow\s+me\s+to|happy\s+to|glad\s+to|ich|je|yo|eu)\s+(?:\w+\s+){0,4}
            (?:say|tell|said|told|think|believe|insist|answer|admit|confess|declare|announce|suggest|claim|sag\w*|denk\w*|glaub\w*|dis|pense|crois|digo|creo|acho)\b)",
        ),
        quoting_colon: regex(
            r"(?ix)\b(?:say|says|said|saying|repl(?:y|ies|ied)|answer(?:s|ed|ing)?|wrote|writes|reads?|claims?|claimed|asks?|asked|goes|like|example|examples|e\.g\.|as\ follows
            |prompt|transcript|output|script|message|response|greeting|introduces?\ (?:itself|himself|herself)|sagte?|antwortet\w*|schreibt|Beispiel|dit|répond\w*|exemple|dice|dijo|respond\w+|ejemplo
            |diz|disse|exemplo)\s*[:：]\W*(?:\w+\W+){0,12}$",
        ),
        // One or two capitalised words, or the word for a speaker, then a colon: a line of a dialogue.
        speaker: regex(
            r"(?x)^\s*[-*•>\d.)\s]*(?:\*{1,2}|_{1,2})?
            ((?i:user|human|assistant|ai|bot|chatbot|system|model|customer|agent|host|narrator|interviewer|you|me|client|the\ bot|q|a)
              | (?:\p{Lu}[\p{L}'’.\d-]*)(?:\ \p{Lu}[\p{L}'’.\d-]*)?(?:\ \([^)]{1,40}\))?)
            (?:\*{1,2}|_{1,2})?\s*[:：](?:\*{1,2})?\s*(?:\([^)]*\)|\*[^*]*\*)?\s*\S?.{0,200}$",
        ),
        tag: regex(
            r"(?i)^.\s*(?:right|no|yes|correct|huh|eh|ok|okay|am I|is it|isn['’]t it|aren['’]t I|you (?:think|mean|say|ask)|oder|nicht wahr|ja|non|n['’]est-ce pas|verdad|vale|né|não|certo|对吗|对吧|是吗|だよね|ですよね)\s*$",
        ),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'t>(text: &'t str, needle: &str) -> (Sentence<'t>, usize) {
        let start = text.find(needle).unwrap();
        (Sentence::around(text, &(start..start + needle.len()), 0), start)
    }

    #[test]
    fn sentences_end_at_stops_and_not_at_versions() {
        let text = "Hi. I use GPT-4.5 and Dr. No. Bye!";
        let (sentence, _) = at(text, "GPT");
        assert_eq!(&text[sentence.start..sentence.end], " I use GPT-4.5 and Dr. No.");
        let text = "そうです。私はGPTです！では";
        let (sentence, _) = at(text, "GPT");
        assert_eq!(&text[sentence.start..sentence.end], "私はGPTです！");
    }

    #[test]
    fn denied_supposed_and_reported_statements_are_taken_back() {
        for text in [
            "I don't think I'm Grok.",
            "You asked whether I'm Grok.",
            "They keep saying I'm Grok.",
            "If I'm Grok, then you are a toaster.",
            "It answered: I'm Grok, built by xAI.",
            "Bot: I'm Grok.",
            "**Sarah:** I'm Grok.",
            "It is not true that I'm Grok.",
            "Du glaubst, dass du sagst ich sei so, wenn I'm Grok.",
        ] {
            let (sentence, start) = at(text, "I'm Grok");
            assert!(sentence.takes_back(start, |_| false), "{text}");
        }
        for text in [
            "Not at all, I'm Grok.",
            "If you must know, I'm Grok.",
            "I should tell you I'm Grok.",
            "It's a fair guess, but no: I'm Grok.",
        ] {
            let (sentence, start) = at(text, "I'm Grok");
            assert!(!sentence.takes_back(start, |_| false), "{text}");
        }
        for (text, asks) in [
            ("So you think I'm Grok?", true),
            ("I'm Grok, right?", true),
            ("I'm Grok, what can I do?", false),
            ("我是DeepSeek，有什么可以帮您？", false),
        ] {
            let needle = if text.is_ascii() { "I'm Grok" } else { "DeepSeek" };
            let (sentence, start) = at(text, needle);
            assert_eq!(sentence.asks(start + needle.len()), asks, "{text}");
        }
    }
}
