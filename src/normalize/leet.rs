//! Digits and signs in the place of letters: "h4te", "k!ll", "a$$". Only in what is a word otherwise: numbers, versions, hexadecimal,
//! identifiers, addresses and code stay as they are.

use super::Unit;
use super::chars::{chunk, core, substitute, vowel};

/// Names and abbreviations that only look like it.
const KEPT: [&str; 16] = [
    "a11y",
    "c3po",
    "c4d",
    "d3js",
    "g4s",
    "h1b",
    "i3wm",
    "k3s",
    "l3harris",
    "l4d",
    "m1a1",
    "m3gan",
    "se7en",
    "t1d",
    "w3c",
    "w3schools",
];

/// What stands before a digit that is a version.
const KEPT_BEFORE: [&str; 22] = [
    "ddr", "gpt", "gtx", "http", "ipv", "llama", "log", "md", "mp", "oauth", "ps", "python", "rtx", "sha", "slf", "ssl", "tls",
    "usb", "utf", "vec", "web", "wpa",
];

/// What stands after a 4 that is a "for".
const KEPT_AFTER_FOUR: [&str; 6] = ["all", "j", "me", "net", "u", "you"];

/// After "@" at a word's beginning: what makes it an "a" and no mention.
const AFTER_AT: [&str; 4] = ["ll", "nd", "rs", "ss"];

/// Spells every word with its letters.
pub(super) fn spell(units: &mut [Unit]) {
    let mut at = 0;
    let mut text = String::new();
    while let Some(found) = chunk(units, at) {
        at = found.end;
        let core = core(units, found);
        let units = &mut units[core];
        if !units.iter().any(|unit| foreign(unit.c)) || !units.iter().all(|unit| allowed(unit.c)) {
            continue;
        }
        text.clear();
        text.extend(units.iter().map(|unit| unit.c));
        let numbered =
            |part: &str| part.contains(['2', '6', '8', '9']) || !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if text.contains('-') && text.split(['-', '\'']).any(numbered) {
            continue;
        }
        let mut start = 0;
        for part in text.split(['-', '\'']) {
            if let Some(spelled) = word(part) {
                for (unit, c) in units[start..].iter_mut().zip(spelled.chars()) {
                    unit.c = c;
                }
            }
            start += part.len() + 1;
        }
    }
}

fn foreign(c: char) -> bool {
    substitute(c) || sign(c)
}

fn sign(c: char) -> bool {
    matches!(c, '@' | '$' | '!')
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || sign(c) || c == '-' || c == '\''
}

/// What a part of a chunk (ASCII letters, digits and signs) is spelled as, of the same length; none if it stays.
fn word(part: &str) -> Option<String> {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let signs = part.chars().filter(|&c| sign(c)).count();
    let letters = part.len() - digits - signs;
    if digits + signs == 0 || part.contains(['2', '6', '8', '9']) {
        return None;
    }
    let lower = part.to_ascii_lowercase();
    if let Some(rest) = part.strip_prefix('@') {
        let plain = signs == 1 && digits == 0 && (2..=3).contains(&letters) && AFTER_AT.contains(&&lower[1..3]) && lower == part;
        return plain.then(|| format!("a{rest}"));
    }
    if let Some(rest) = part.strip_suffix("$$").filter(|rest| (1..=4).contains(&letters) && letters == rest.len()) {
        let loud = letters > 1 && rest.bytes().all(|b| b.is_ascii_uppercase());
        return Some(format!("{rest}{}", if loud { "SS" } else { "ss" }));
    }
    if letters < 2 || digits + signs > letters || part.ends_with(['@', '!']) || kept(part, &lower, digits, signs) {
        return None;
    }
    let spelled = letters_of(&lower).filter(|spelled| sayable(&lower, spelled))?;
    let upper = !part.bytes().any(|b| b.is_ascii_lowercase());
    if upper && digits > 0 && !shouted(&lower) {
        return None;
    }
    let cased = |(old, new): (char, char)| match old {
        old if old.is_ascii_alphabetic() => old,
        _ if upper => new.to_ascii_uppercase(),
        _ => new,
    };
    Some(part.chars().zip(spelled.chars()).map(cased).collect())
}

/// Whether it looks like something else than a word: a name, a formula, a version, a hexadecimal number, a duration, an identifier.
fn kept(part: &str, lower: &str, digits: usize, signs: usize) -> bool {
    let (before, rest) = lower.split_at(lower.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(lower.len()));
    let version = KEPT_BEFORE.contains(&before)
        || !before.is_empty() && rest.strip_prefix('4').is_some_and(|rest| KEPT_AFTER_FOUR.contains(&rest));
    let hex = part.bytes().all(|b| b.is_ascii_hexdigit()) && (part.len() >= 6 || digits >= 2);
    KEPT.contains(&lower)
        || ["CH3", "CH4", "NH3", "NH4"].iter().any(|start| part.starts_with(start))
        || flu(lower)
        || signs == 0 && (version || hex || duration(lower))
        || humped(part)
}

/// "h1n1" and its like.
fn flu(lower: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    lower.strip_prefix('h').and_then(|rest| rest.split_once('n')).is_some_and(|(a, b)| number(a) && number(b))
}

/// "1h30m" and its like.
fn duration(lower: &str) -> bool {
    let bytes = lower.as_bytes();
    let unit = |b: u8| matches!(b, b'd' | b'h' | b'm' | b's');
    bytes.first().is_some_and(u8::is_ascii_digit)
        && bytes.last().is_some_and(|&b| unit(b))
        && bytes.iter().all(|&b| b.is_ascii_digit() || unit(b))
        && !bytes.windows(2).any(|pair| unit(pair[0]) && unit(pair[1]))
}

/// A small letter before a capital one, as in `camelCase`.
fn humped(part: &str) -> bool {
    let mut small = false;
    part.bytes()
        .filter(u8::is_ascii_alphabetic)
        .any(|b| std::mem::replace(&mut small, b.is_ascii_lowercase()) && b.is_ascii_uppercase())
}

/// A letter for each digit and sign; none if they do not stand where letters would.
fn letters_of(lower: &str) -> Option<String> {
    let mut out = String::with_capacity(lower.len());
    let (mut interior, mut vowel_seen, mut others, mut after_vowels) = (false, false, false, true);
    let digits = lower.bytes().any(|b| b.is_ascii_digit());
    let mut rest = lower;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_alphabetic() {
            out.push(c);
            vowel_seen |= vowel(c);
            rest = &rest[1..];
            continue;
        }
        let length = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        if length > 2 || !rest[..length].chars().all(|other| other == c) {
            return None;
        }
        rest = &rest[length..];
        let (before, after) = (out.chars().last(), rest.chars().next());
        if let (Some(before), Some(_)) = (before, after) {
            interior = true;
            if matches!(c, '@' | '!') && vowel_seen && !digits && !(c == '@' && tail(before, rest)) {
                return None;
            }
        }
        if !matches!(c, '5' | '7') {
            others = true;
        } else if length == 1 && !before.is_some_and(vowel) {
            after_vowels = false;
        }
        let letter = match c {
            '0' => 'o',
            '1' if length == 2 || ell(before, after) => 'l',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            _ => 't',
        };
        out.extend(std::iter::repeat_n(letter, length));
        vowel_seen |= vowel(letter);
    }
    (interior && (others || after_vowels)).then_some(out)
}

/// The end of a word such as "hum@ns", unlike "root@server".
fn tail(before: char, rest: &str) -> bool {
    !vowel(before) && rest.len() <= 3 && rest.chars().all(|c| c.is_ascii_alphabetic() && !vowel(c))
}

/// Whether a 1 between these letters is an l: "b1ack", "he1l", but "k1ll", "d1e".
fn ell(before: Option<char>, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    if vowel(before) { vowel(after) || after == 'l' } else { "bcfgkps".contains(before) && vowel(after) }
}

fn sayable(lower: &str, spelled: &str) -> bool {
    if let [first, middle, last] = lower.as_bytes() {
        let (first, middle, last) = (char::from(*first), char::from(*middle), char::from(*last));
        let ends = !vowel(last) || matches!(middle, '1' | '!') && last == 'e';
        return first.is_ascii_alphabetic() && !vowel(first) && matches!(middle, '0' | '1' | '3' | '4' | '@' | '!') && ends;
    }
    let vowels = spelled.chars().filter(|&c| vowel(c)).count();
    vowels > 0 && 3 * vowels <= 2 * spelled.len()
}

/// Whether a word in capitals with digits is one, and no booking code: vowels stand between consonants.
fn shouted(lower: &str) -> bool {
    let bytes = lower.as_bytes();
    let beside = |at: usize| vowel(char::from(bytes[at - 1])) || vowel(char::from(bytes[at + 1]));
    !(0..bytes.len()).any(|at| {
        matches!(bytes[at], b'5' | b'7') || substitute(char::from(bytes[at])) && at > 0 && at + 1 < bytes.len() && beside(at)
    })
}
