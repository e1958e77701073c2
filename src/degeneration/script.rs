//! Scripts that change within a sentence without any mark between them, as when a broken sampler picks tokens of other languages. A word
//! of another script in brackets, quotation marks or emphasis, or behind a colon or a dash, is a translation and no sign. Knows no words.

use super::Symptom;
use crate::detect::prose::{Part, Prose};

/// Writing systems that are told apart. Han and kana are one: Japanese mixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Script {
    Latin,
    Cjk,
    Hangul,
    Cyrillic,
    Greek,
    Arabic,
    Hebrew,
    Thai,
    Indic,
}

impl Script {
    /// How many there are.
    pub const COUNT: usize = Script::Indic as usize + 1;
}

/// The writing system that a letter belongs to, if it is one that is told apart.
pub(super) fn script(c: char) -> Option<Script> {
    Some(match c as u32 {
        0x41..=0x5A | 0x61..=0x7A | 0xC0..=0x24F if c.is_alphabetic() => Script::Latin,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Script::Greek,
        0x400..=0x52F => Script::Cyrillic,
        0x590..=0x5FF => Script::Hebrew,
        0x600..=0x6FF | 0x750..=0x77F => Script::Arabic,
        0x900..=0xDFF => Script::Indic,
        0xE00..=0xE7F => Script::Thai,
        0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF => Script::Cjk,
        0x1100..=0x11FF | 0xAC00..=0xD7AF => Script::Hangul,
        _ => return None,
    })
}

/// A run of words of one script, with nothing but spaces between them.
#[derive(Debug)]
struct Run {
    script: Script,
    letters: usize,
    start: usize,
    end: usize,
}

/// A sentence that changes its script again and again.
pub(super) fn mixed(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    const REACH: usize = 400;
    let from = crate::text::floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let mut best: Option<Symptom> = None;
    let mut runs: Vec<Run> = Vec::new();
    let mut joined = false;
    for (range, part) in prose.parts() {
        if range.end <= from {
            continue;
        }
        if part != Part::Prose {
            joined = false;
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
                        _ => runs.push(Run { script, letters: 1, start: at, end: at + c.len_utf8() }),
                    }
                    joined = true;
                }
                None if matches!(c, '.' | '!' | '?' | '\n' | '。' | '！' | '？') => {
                    best = super::stronger(best, judged(text, &runs, seen));
                    runs.clear();
                    joined = false;
                }
                None if c == ' ' || c == '\'' || c == '’' || c.is_alphabetic() => {}
                // Commas join sentences of one script, and lists of words in many.
                None => joined = false,
            }
        }
    }
    super::stronger(best, judged(text, &runs, seen))
}

fn judged(text: &str, runs: &[Run], seen: usize) -> Option<Symptom> {
    let end = runs.last()?.end;
    if end <= seen {
        return None;
    }
    let (mut changes, mut exotic) = (0, 0);
    let mut scripts: Vec<Script> = Vec::new();
    // A single Latin or Greek letter is a symbol: ΔH, a², n.
    let words: Vec<&Run> =
        runs.iter().filter(|run| run.letters > 1 || !matches!(run.script, Script::Latin | Script::Greek)).collect();
    for pair in words.windows(2) {
        let [one, two] = pair else { continue };
        if one.end > two.start || !near(text, one.end, two.start) || one.script == two.script {
            continue;
        }
        changes += 1;
        // Latin words are at home in Chinese, Japanese and Korean text, and names and units anywhere.
        exotic += usize::from(one.script != Script::Latin && two.script != Script::Latin);
        for script in [one.script, two.script] {
            if !scripts.contains(&script) {
                scripts.push(script);
            }
        }
    }
    let foreign = scripts.iter().filter(|script| **script != Script::Latin).count();
    // Korean writes a Chinese character now and then.
    let korean = scripts.contains(&Script::Hangul) && scripts.contains(&Script::Cjk);
    let score = match (foreign, changes, exotic) {
        (3.., 4.., _) => 0.95,
        (2, _, 6..) => 0.92,
        (2, _, 4..) if !korean => 0.92,
        (2, 6.., 1..) if !korean => 0.92,
        (2, _, 2..) => 0.6,
        (1, ..) if scripts.contains(&Script::Latin) => {
            english_with(text, runs, changes).filter(|_| !super::stranger::is_about_languages(text, runs[0].start, end))?
        }
        _ => return None,
    };
    let range = runs[0].start..end;
    Some(Symptom { score, range, what: format!("changes its script {changes} times within a sentence") })
}

/// Whether nothing but spaces (and a symbol) stands between two runs.
fn near(text: &str, end: usize, start: usize) -> bool {
    text[end..start].chars().all(|c| c == ' ' || c == '\'' || c == '’' || c.is_alphabetic())
}

/// One foreign script in a Latin sentence. Japanese that borrows English words is the usual case, so the sentence must be English by its
/// little words, on both sides of the change.
fn english_with(text: &str, runs: &[Run], changes: usize) -> Option<f32> {
    const LITTLE: [&str; 24] = [
        "the", "was", "is", "of", "and", "to", "due", "are", "were", "that", "with", "for", "which", "in", "on", "by", "be",
        "has", "have", "not", "it", "this", "from", "a",
    ];
    let latin = runs.iter().filter(|run| run.script == Script::Latin);
    let little = latin.flat_map(|run| text[run.start..run.end].split(' ')).filter(|word| LITTLE.contains(word)).count();
    let foreign: usize = runs.iter().filter(|run| run.script != Script::Latin).map(|run| run.letters).sum();
    // Names in their own script are no other language.
    let text_of = |run: &Run| super::stranger::is_running_text(&text[run.start..run.end], run.script);
    match (changes, little) {
        (5.., 4..) if foreign >= 4 && runs.iter().any(|run| run.script != Script::Latin && text_of(run)) => Some(0.92),
        (3.., 2..) if foreign >= 4 => Some(0.6),
        _ => None,
    }
}
