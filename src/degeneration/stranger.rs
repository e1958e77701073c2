//! Words of a script that the sentence around them is not written in, with nothing to mark them as quoted: `your patience и поддержку this
//! year`. Names stand in their own script too, so what counts is running text, known by its little words and its lower case; and where the
//! text is about languages, nothing does. Knows no other words.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::script::{Script, script};
use super::tongues::tongues;
use super::{Symptom, excerpt};
use crate::detect::prose::{Part, Prose};
use crate::text::{ceil_char_boundary, floor_char_boundary};

/// How far before the new text strangers are counted, in bytes.
const REACH: usize = 400;
/// How much of the beginning, and before the strangers, tells whether the text is about languages, in bytes.
const HEAD: usize = 400;
const BEFORE: usize = 1000;
const AFTER: usize = 200;
/// The longest word that is looked at, in bytes.
const WORD: usize = 96;

/// What is written where languages are written about. In lower case where there is one.
const ABOUT: [&str; 101] = [
    "word",
    "mean",
    "translat",
    "pronounc",
    "language",
    "phrase",
    "character",
    "alphabet",
    "letter",
    "vowel",
    "noun",
    "verb",
    "grammar",
    "script",
    "spell",
    "kanji",
    "kana",
    "hangul",
    "pinyin",
    "romaji",
    "cyrillic",
    "unicode",
    "japanese",
    "chinese",
    "mandarin",
    "cantonese",
    "korean",
    "russian",
    "ukrainian",
    "bulgarian",
    "serbian",
    "greek",
    "arabic",
    "persian",
    "hebrew",
    "thai",
    "hindi",
    "bengali",
    "tamil",
    "urdu",
    "sanskrit",
    "bilingual",
    "lyric",
    "poem",
    "haiku",
    "film",
    "movie",
    "song",
    "novel",
    "album",
    "title",
    "drama",
    "anime",
    "manga",
    "wort",
    "bedeut",
    "übersetz",
    "sprache",
    "japanisch",
    "chinesisch",
    "russisch",
    "mot ",
    "signifi",
    "tradu",
    "langue",
    "japonais",
    "chinois",
    "russe",
    "palabra",
    "idioma",
    "japon",
    "chino",
    "ruso",
    "chinês",
    "palavra",
    "語",
    "言葉",
    "単語",
    "意味",
    "翻訳",
    "発音",
    "文字",
    "漢字",
    "语",
    "文字",
    "翻译",
    "意思",
    "发音",
    "詞",
    "词",
    "어로",
    "언어",
    "단어",
    "번역",
    "발음",
    "의미",
    "한자",
    "перевод",
    "язык",
    "слово",
    "означа",
];

static LANGUAGES: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(ABOUT).expect("constant words"));

/// What introduces a word as such.
const MENTIONS: [&str; 22] = [
    "is", "are", "as", "called", "named", "say", "says", "said", "saying", "term", "like", "for", "write", "written", "use",
    "by", "heißt", "als", "comme", "como", "appelé", "llamado",
];

/// A run of words of one script with nothing but spaces in it.
#[derive(Clone, Copy, Debug)]
struct Run {
    script: Script,
    letters: usize,
    start: usize,
    end: usize,
    /// What stands before it is only a space, or nothing.
    joined: bool,
    /// The sentence that it is in.
    sentence: usize,
}

/// Words of other scripts in the last stretch of a text.
pub(super) fn strangers(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let runs = runs(text, prose, from);
    let mut found: Vec<Run> = Vec::new();
    let mut worded = 0_usize;
    let mut scripts = [false; Script::COUNT];
    let mut at = 0;
    while at < runs.len() {
        let sentence = at + runs[at..].iter().take_while(|run| run.sentence == runs[at].sentence).count();
        let runs = &runs[at..sentence];
        at = sentence;
        let Some(main) = main_script(runs) else { continue };
        if mentions(text, runs, main) {
            continue;
        }
        for (number, run) in runs.iter().enumerate() {
            if run.script != main && is_stranger(text, runs, number, main) {
                found.push(*run);
                worded += usize::from(is_running_text(&text[run.start..run.end], run.script));
                scripts[run.script as usize] = true;
            }
        }
    }
    let range = found.first()?.start..found.last()?.end;
    if range.end <= seen {
        return None;
    }
    let (same, other) = elsewhere(text, &found, &scripts);
    if same > found.iter().map(|run| run.letters).sum() {
        return None;
    }
    let scripts = scripts.iter().filter(|there| **there).count();
    let mut score = match (found.len(), worded, scripts) {
        (_, 2.., _) | (3.., 1.., _) | (2.., 1.., 2..) | (5.., ..) => 0.92,
        // One alone must be out of place in the whole text.
        (_, 1.., _) if other == 0 => 0.92,
        (2.., ..) | (_, 1.., _) => 0.6,
        _ => return None,
    };
    if is_about_languages(text, range.start, range.end) {
        if worded < 4 || scripts < 2 {
            return None;
        }
        score = 0.92;
    }
    let words = excerpt(&text[found[0].start..found[0].end]);
    Some(Symptom {
        score,
        what: format!("writes {words:?} and {} more in another script than the sentence", found.len() - 1),
        range,
    })
}

/// The words of the prose, joined as far as spaces and letters of the same script go.
fn runs(text: &str, prose: &Prose<'_>, from: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut joined, mut near, mut sentence) = (false, true, 0);
    for (range, part) in prose.parts() {
        if range.end <= from {
            continue;
        }
        if part != Part::Prose {
            (joined, near) = (false, false);
            continue;
        }
        let begin = range.start.max(from);
        for (at, c) in text[begin..range.end].char_indices() {
            let at = begin + at;
            match script(c) {
                Some(script) => {
                    match runs.last_mut() {
                        Some(run) if run.script == script && joined => {
                            run.letters += 1;
                            run.end = at + c.len_utf8();
                        }
                        _ => runs.push(Run { script, letters: 1, start: at, end: at + c.len_utf8(), joined: near, sentence }),
                    }
                    (joined, near) = (true, true);
                }
                None if matches!(c, '.' | '!' | '?' | '\n' | '。' | '！' | '？') => {
                    sentence += 1;
                    (joined, near) = (false, true);
                }
                // Marks above and below letters belong to them.
                None if matches!(c, ' ' | '\'' | '’' | 'ー' | '々') || c.is_alphabetic() || is_mark(c) => {}
                // A comma parts words and marks none.
                None if matches!(c, ',' | '、' | '，') => joined = false,
                None => (joined, near) = (false, false),
            }
        }
    }
    runs
}

/// Combining marks: Latin ones, Thai and Indic vowels are letters of their blocks already.
const fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x300..=0x36F | 0x200C | 0x200D)
}

/// The script that most of a sentence is written in, where that is clear.
fn main_script(runs: &[Run]) -> Option<Script> {
    let mut letters = [(0_usize, None); Script::COUNT];
    for run in runs {
        let weight = if matches!(run.script, Script::Cjk | Script::Hangul) { 3 } else { 1 };
        letters[run.script as usize].0 += weight * run.letters;
        letters[run.script as usize].1 = Some(run.script);
    }
    let all: usize = letters.iter().map(|(count, _)| count).sum();
    let (most, main) = *letters.iter().max_by_key(|(count, _)| *count)?;
    let main = main?;
    // A few letters are no sentence.
    let few = if matches!(main, Script::Cjk | Script::Hangul) { 12 } else { 10 };
    (most >= few && most * 2 >= all).then_some(main)
}

/// Whether a sentence names a word of another script as such.
fn mentions(text: &str, runs: &[Run], main: Script) -> bool {
    main == Script::Latin
        && runs.windows(2).any(|pair| {
            let [one, two] = pair else { return false };
            one.script == main && two.script != main && two.joined && MENTIONS.contains(&last_word(&text[one.start..one.end]))
        })
}

/// Whether a run stands in the sentence as if it belonged there.
fn is_stranger(text: &str, runs: &[Run], number: usize, main: Script) -> bool {
    let run = runs[number];
    let before = number.checked_sub(1).map(|before| runs[before]).filter(|_| run.joined);
    let after = runs.get(number + 1).copied().filter(|after| after.joined);
    // Latin words are at home in every other script, but for phrases of no name; and so are the symbols of mathematics.
    if (run.script == Script::Latin && !(main == Script::Cjk && is_phrase(&text[run.start..run.end])))
        || (run.script == Script::Greek && run.letters < 3)
    {
        return false;
    }
    // Japanese and Korean take a Chinese character now and then.
    if run.letters < 2 && main == Script::Hangul {
        return false;
    }
    if main != Script::Latin {
        return before.is_some_and(|before| before.script == main) && after.is_some_and(|after| after.script == main);
    }
    let touches = |one: usize, two: usize| one == two && matches!(run.script, Script::Cyrillic | Script::Greek);
    let left = before.filter(|before| before.script == main);
    let right = after.filter(|after| after.script == main);
    // Letters of another alphabet within a word are a disguise or a slip.
    if left.is_some_and(|left| touches(left.end, run.start)) || right.is_some_and(|right| touches(run.end, right.start)) {
        return false;
    }
    let left_word = left.map(|left| last_word(&text[left.start..left.end]));
    let right_word = right.map(|right| first_word(&text[right.start..right.end]));
    let lower = |word: &str| word.chars().next().is_some_and(char::is_lowercase);
    match (left_word, right_word) {
        (Some(left), Some(right)) if is_running_text(&text[run.start..run.end], run.script) => lower(left) || lower(right),
        (Some(left), Some(right)) => lower(left) && lower(right),
        (Some(word), None) => before.is_some() && lower(word) && number + 1 == runs.len(),
        (None, Some(word)) => number == 0 && lower(word),
        (None, None) => false,
    }
}

fn last_word(text: &str) -> &str {
    let text = &text[floor_char_boundary(text, text.len().saturating_sub(WORD))..];
    text.trim_end_matches(' ').rsplit(' ').next().unwrap_or_default()
}

fn first_word(text: &str) -> &str {
    let text = &text[..floor_char_boundary(text, WORD)];
    text.trim_start_matches(' ').split(' ').next().unwrap_or_default()
}

/// Whether Latin words are a piece of a sentence: several in lower case, and a little word among them.
fn is_phrase(words: &str) -> bool {
    let words = &words[..floor_char_boundary(words, WORD * 2)];
    let little = words.split(' ').filter(|word| tongues(word.as_bytes()) != 0).count();
    little > 0 && words.trim().contains(' ') && !words.contains(char::is_uppercase)
}

/// Whether words are more than a name: lower case where the script has it, little words where it has none.
pub(super) fn is_running_text(words: &str, script: Script) -> bool {
    let words = &words[..floor_char_boundary(words, WORD * 2)];
    let holds = |little: &[&str]| little.iter().any(|word| words.contains(word));
    let has_word = |little: &[&str]| words.split(' ').any(|word| little.contains(&word));
    match script {
        Script::Latin => is_phrase(words),
        Script::Cyrillic | Script::Greek => words.split(' ').any(|word| word.chars().all(char::is_lowercase) && !word.is_empty()),
        Script::Cjk => {
            words.chars().any(|c| matches!(c as u32, 0x3041..=0x309F))
                || words.contains([
                    '的', '了', '是', '不', '我', '你', '这', '這', '们', '們', '也', '在', '很', '就', '被', '而', '但', '并',
                    '此', '或', '与', '與', '没',
                ])
        }
        Script::Thai => holds(&[
            "ครับ",
            "ค่ะ",
            "ที่",
            "และ",
            "ของ",
            "ได้",
            "ไม่",
            "มาก",
            "ใช้",
            "หรือ",
            "ซึ่ง",
            "นั้น",
            "นี้",
            "เป็น",
            "ให้",
            "กับ",
            "จะ",
            "แบบ",
            "แล้ว",
            "การ",
        ]),
        Script::Hangul => words.split(' ').any(|word| {
            let ends = [
                "는",
                "을",
                "를",
                "은",
                "다",
                "요",
                "에서",
                "하고",
                "하는",
                "지만",
                "그리고",
                "해서",
                "으로",
                "부터",
                "까지",
                "한",
                "게",
            ];
            ends.iter().any(|end| word.ends_with(end))
        }),
        Script::Arabic => {
            has_word(&["في", "من", "على", "إلى", "و", "هذا", "هذه", "التي", "الذي", "أن", "مع", "عن", "هو", "هي", "لا", "كل"])
        }
        Script::Hebrew => {
            // "And" is written as the first letter of its word.
            has_word(&["של", "את", "על", "לא", "זה", "עם", "או", "גם", "כל", "אל", "הוא", "היא", "כי"])
                || words.split(' ').any(|word| word.starts_with('ו') && word.len() >= 8)
        }
        Script::Indic => has_word(&["है", "हैं", "में", "के", "की", "का", "और", "से", "को", "पर", "यह", "नहीं", "एक", "ने", "भी"]),
    }
}

/// How many letters around what was found are of the same scripts, and of any other than Latin, and were not found.
fn elsewhere(text: &str, found: &[Run], scripts: &[bool; Script::COUNT]) -> (usize, usize) {
    let begin = ceil_char_boundary(text, found[0].start.saturating_sub(BEFORE));
    let end = ceil_char_boundary(text, (found[found.len() - 1].end + AFTER).min(text.len()));
    let mut next = found.iter().peekable();
    let (mut same, mut other) = (0, 0);
    for (at, c) in text[begin..end].char_indices() {
        let at = begin + at;
        while next.next_if(|run| run.end <= at).is_some() {}
        match script(c) {
            None | Some(Script::Latin) => {}
            Some(_) if next.peek().is_some_and(|run| run.start <= at) => {}
            Some(script) => {
                same += usize::from(scripts[script as usize]);
                other += 1;
            }
        }
    }
    (same, other)
}

/// Whether the text is about languages, at its beginning or near what was found.
pub(super) fn is_about_languages(text: &str, start: usize, end: usize) -> bool {
    let head = &text[..floor_char_boundary(text, HEAD)];
    let near =
        &text[ceil_char_boundary(text, start.saturating_sub(BEFORE))..ceil_char_boundary(text, (end + AFTER).min(text.len()))];
    LANGUAGES.is_match(head) || LANGUAGES.is_match(near)
}
