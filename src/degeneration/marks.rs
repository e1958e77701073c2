//! Where something may stand that is a sign by itself, wherever it stands: a template token, a turn written for somebody else, broken
//! characters. A quick look at new text that may say yes for nothing, never no where a check would find something.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::salad::BROKEN;
use super::skim::Signs;
use super::template::{HEADINGS, INDENT, SPEAKERS};
use crate::text::floor_char_boundary;

/// How template tokens begin, or all of one.
const TOKENS: [&str; 14] = [
    "<|",
    "<｜",
    "</s>",
    "<s>",
    "<pad>",
    "<unk>",
    "<eos>",
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<<SYS>>",
    "<</SYS>>",
    "[INST]",
    "[/INST]",
];
/// How far before new text a token may begin, in bytes.
const REACH: usize = 64;
/// The longest beginning of a line with a speaker's name, in bytes: the indent, the name, a space.
const NAME: usize = INDENT + 32;

/// What there may be that reaches past `seen`.
pub(super) fn signs(text: &str, seen: usize) -> Signs {
    Signs {
        template: template(text, floor_char_boundary(text, seen.saturating_sub(REACH))).is_some(),
        turns: turn(text, seen),
        broken: broken(text, seen),
        ..Signs::NONE
    }
}

/// Where the first token of a chat template may begin from `from` on, or what may become one.
pub(super) fn template(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let begins = |rest: &[u8], word: &str| rest.starts_with(word.as_bytes()) || word.as_bytes().starts_with(rest);
    let found = memchr::memchr3_iter(b'<', b'[', b'#', &bytes[from..]).find(|at| {
        let rest = &bytes[from + at..];
        if rest[0] != b'#' {
            return TOKENS.iter().any(|token| begins(rest, token));
        }
        let marks = rest.iter().take_while(|byte| **byte == b'#').count();
        let rest = &rest[marks..];
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        HEADINGS.iter().any(|heading| begins(rest, heading))
    })?;
    Some(from + found)
}

/// Whether a line that begins with the name of a speaker and a colon may reach past `seen`.
pub(super) fn turn(text: &str, seen: usize) -> bool {
    let from = floor_char_boundary(text, seen.saturating_sub("：".len()));
    let fresh = &text.as_bytes()[from..];
    let speaks = |at: usize| {
        let at = from + at;
        let head = &text[floor_char_boundary(text, at.saturating_sub(NAME + 1))..at];
        memchr::memrchr(b'\n', head.as_bytes()).is_some_and(|line| SPEAKERS.contains(&head[line + 1..].trim_matches([' ', '\t'])))
    };
    memchr::memchr_iter(b':', fresh).any(speaks) || (!fresh.is_ascii() && memchr::memmem::find_iter(fresh, "：").any(speaks))
}

/// Bytes at the end of `text` that may become a turn written for somebody else: a line that begins like a speaker's name.
pub(super) fn half_a_turn(text: &str) -> usize {
    let from = floor_char_boundary(text, text.len().saturating_sub(NAME + 1));
    let Some(line) = text[from..].rfind('\n') else { return 0 };
    let line = &text[from + line + 1..];
    let name = line.trim_start_matches([' ', '\t']).trim_end_matches(' ');
    let begins = name.len() >= 3 && SPEAKERS.iter().any(|speaker| speaker.starts_with(name));
    if begins { line.len() } else { 0 }
}

/// Whether the marks of a broken encoding reach past `seen`.
pub(super) fn broken(text: &str, seen: usize) -> bool {
    if super::mojibake::may_be(text, floor_char_boundary(text, seen.saturating_sub(8))) {
        return true;
    }
    let piece = &text[floor_char_boundary(text, seen.saturating_sub(32))..];
    let ascii = piece.is_ascii();
    BROKEN_MARKS.iter().any(|(mark_is_ascii, mark)| (!ascii || *mark_is_ascii) && mark.find(piece.as_bytes()).is_some())
}

/// The marks of a broken encoding, ready to be looked for, and whether they are ASCII.
static BROKEN_MARKS: LazyLock<[(bool, Finder<'static>); BROKEN.len()]> =
    LazyLock::new(|| BROKEN.map(|mark| (mark.is_ascii(), Finder::new(mark))));
