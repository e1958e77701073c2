//! Tokens of chat templates in the text, and turns that the model wrote for the user. Quotations and code are left out: templates are
//! also explained.

use std::sync::LazyLock;

use regex::Regex;

use super::{Symptom, stronger};
use crate::detect::prose::{Part, Prose};
use crate::text::{ceil_char_boundary, floor_char_boundary};

/// How far before the new text a token may begin, in bytes.
const REACH: usize = 64;
/// How much of a line before a token or a turn is looked at, in bytes.
const LINE: usize = 1 << 10;
/// Blanks that a turn is indented by at most.
pub(super) const INDENT: usize = 40;

/// What headings of training data begin with.
pub(super) const HEADINGS: [&str; 5] = ["Instruction", "Human", "Assistant", "User", "Response"];

static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<special><\|/?[a-z][a-z0-9_]{1,30}\|>|<｜[^｜\n]{1,40}｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>)",
        r"|(?P<bare></s>|<(?:pad|unk|eos|bos)>|(?m:^<s>))",
        r"|(?m:^)(?P<heading>#{1,4} ?(?:Instruction|Human|Assistant|User|Response)s?:)",
    ))
    .expect("a constant pattern")
});

/// Names of speakers whose turns nobody but a broken model writes.
pub(super) const SPEAKERS: [&str; 17] = [
    "Human",
    "USER",
    "User",
    "ASSISTANT",
    "Assistant",
    "AI",
    "ユーザー",
    "アシスタント",
    "用户",
    "助手",
    "사용자",
    "어시스턴트",
    "Nutzer",
    "Assistent",
    "Utilisateur",
    "Usuario",
    "Usuário",
];

static TURN: LazyLock<Regex> = LazyLock::new(|| {
    let who = SPEAKERS.join("|");
    Regex::new(&format!(r"(?m)^[ \t]{{0,{INDENT}}}(?P<who>{who})[ ]?[:：]")).expect("a constant pattern")
});

/// Template tokens.
pub(super) fn tokens(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let mut best: Option<Symptom> = None;
    let mut count = 0;
    for found in TOKENS.captures_iter(&text[from..]) {
        let Some(all) = found.get(0) else { continue };
        let range = from + all.start()..from + all.end();
        if prose.part_at(range.start) != Part::Prose {
            continue;
        }
        // `^` matched at the cut, not at a line.
        let at_line = range.start == 0 || text[..range.start].ends_with('\n');
        let score = if found.name("heading").is_some() {
            match (at_line, all.as_str().trim_start_matches(['#', ' '])) {
                (false, _) => continue,
                (true, "Human:" | "Instruction:") => 0.95,
                (true, "Assistant:") => 0.92,
                (true, _) if range.start == 0 => 0.7,
                (true, _) => 0.4,
            }
        } else if mentioned(text, &range) || (all.as_str() == "</s>" && struck_out(&text[..range.start])) {
            0.4
        } else {
            0.96
        };
        count += 1;
        if range.end <= seen {
            continue;
        }
        let what = format!("holds the template token {:?}", all.as_str());
        best = stronger(best, Some(Symptom { score, range, what }));
    }
    if count >= 3 {
        best = best.map(|best| Symptom { score: best.score.max(0.9), ..best });
    }
    best
}

/// Whether the token stands within a sentence, as when it is talked about.
fn mentioned(text: &str, range: &std::ops::Range<usize>) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, ',' | ')' | '(' | ':' | '.' | '?');
    let before = text[..range.start].strip_suffix(' ').and_then(|text| text.chars().next_back()).is_some_and(word);
    let after = text[range.end..].trim_start_matches([',', ')', '.', ':']).strip_prefix(' ');
    before && after.and_then(|text| text.chars().next()).is_some_and(|c| c.is_lowercase())
}

/// HTML's `<s>…</s>`.
fn struck_out(before: &str) -> bool {
    let line = last_line(before);
    line.rfind("<s>")
        .is_some_and(|open| !line[open..].contains("</s>") && open + 3 < line.len() && !line[..open].ends_with("</s>"))
}

/// The last line of a text, or its end if it is long.
fn last_line(text: &str) -> &str {
    text[ceil_char_boundary(text, text.len().saturating_sub(LINE))..].rsplit('\n').next().unwrap_or_default()
}

/// Whether the name is the user's and not the assistant's.
fn is_user(who: &str) -> bool {
    !matches!(who, "ASSISTANT" | "Assistant" | "AI" | "アシスタント" | "助手" | "어시스턴트" | "Assistent")
}

/// Turns written for somebody else, after an answer that was no dialogue.
pub(super) fn turns(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = prose.start();
    let first_line = text[..floor_char_boundary(text, LINE)].lines().next().unwrap_or_default();
    let mut best: Option<Symptom> = None;
    // The speaker of the turn that began a dialogue nobody asked for.
    let mut began: Option<&str> = None;
    for found in TURN.captures_iter(&text[from..]) {
        let (Some(all), Some(who)) = (found.get(0), found.name("who")) else { continue };
        let range = from + all.start()..from + all.end();
        if range.start == 0 || !text[..range.start].ends_with('\n') || prose.part_at(from + who.start()) != Part::Prose {
            continue;
        }
        let above = text[..range.start].trim_end();
        let last_line = last_line(above);
        // A dialogue that was announced, or one that the text has been from the beginning, was asked for.
        let announced = last_line.ends_with([':', '：', '*', '#', '-']) || last_line.starts_with('#');
        let dialogue =
            last_line.split_once([':', '：']).is_some_and(|(label, _)| label.chars().count() <= 24) && TURN.is_match(last_line);
        let answers = began.is_some_and(|speaker| is_user(speaker) != is_user(who.as_str()));
        if !answers && (announced || dialogue || above.is_empty() || TURN.is_match(first_line)) {
            continue;
        }
        began = began.or(Some(who.as_str()));
        if range.end <= seen {
            continue;
        }
        let blank = text[above.len()..range.start].matches('\n').count() >= 2;
        let score = match (who.as_str(), blank) {
            ("Human", true) => 0.95,
            ("Human", false) => 0.9,
            // A second speaker answers the first.
            _ if answers => 0.92,
            ("USER" | "ユーザー" | "用户" | "사용자", _) => 0.7,
            _ => 0.5,
        };
        let what = format!("writes a turn for {:?}", who.as_str());
        best = stronger(best, Some(Symptom { score, range, what }));
    }
    best
}
