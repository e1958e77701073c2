//! Letters that look like Latin ones, in a Latin word. A word that is Cyrillic or Greek as a whole stays as it is.

use super::Unit;
use super::chars::{run, wordish};

/// Letters of Cyrillic, Greek, Armenian, Cherokee, phonetic letters and small capitals, each with the Latin letter that it looks like;
/// in the order of their code points.
const TWINS: [(char, char); 130] = [
    ('\u{251}', 'a'),
    ('\u{261}', 'g'),
    ('\u{262}', 'g'),
    ('\u{26a}', 'i'),
    ('\u{274}', 'n'),
    ('\u{280}', 'r'),
    ('\u{28f}', 'y'),
    ('\u{299}', 'b'),
    ('\u{29c}', 'h'),
    ('\u{29f}', 'l'),
    ('\u{391}', 'A'),
    ('\u{392}', 'B'),
    ('\u{395}', 'E'),
    ('\u{396}', 'Z'),
    ('\u{397}', 'H'),
    ('\u{399}', 'I'),
    ('\u{39a}', 'K'),
    ('\u{39c}', 'M'),
    ('\u{39d}', 'N'),
    ('\u{39f}', 'O'),
    ('\u{3a1}', 'P'),
    ('\u{3a4}', 'T'),
    ('\u{3a5}', 'Y'),
    ('\u{3a7}', 'X'),
    ('\u{3ac}', 'a'),
    ('\u{3ad}', 'e'),
    ('\u{3ae}', 'n'),
    ('\u{3af}', 'i'),
    ('\u{3b1}', 'a'),
    ('\u{3b3}', 'y'),
    ('\u{3b5}', 'e'),
    ('\u{3b6}', 'z'),
    ('\u{3b7}', 'n'),
    ('\u{3b9}', 'i'),
    ('\u{3ba}', 'k'),
    ('\u{3bd}', 'v'),
    ('\u{3bf}', 'o'),
    ('\u{3c1}', 'p'),
    ('\u{3c2}', 'c'),
    ('\u{3c4}', 't'),
    ('\u{3c5}', 'u'),
    ('\u{3c7}', 'x'),
    ('\u{3c9}', 'w'),
    ('\u{3cc}', 'o'),
    ('\u{3cd}', 'u'),
    ('\u{3ce}', 'w'),
    ('\u{3f3}', 'j'),
    ('\u{401}', 'E'),
    ('\u{405}', 'S'),
    ('\u{406}', 'I'),
    ('\u{407}', 'I'),
    ('\u{408}', 'J'),
    ('\u{410}', 'A'),
    ('\u{412}', 'B'),
    ('\u{415}', 'E'),
    ('\u{41a}', 'K'),
    ('\u{41c}', 'M'),
    ('\u{41d}', 'H'),
    ('\u{41e}', 'O'),
    ('\u{420}', 'P'),
    ('\u{421}', 'C'),
    ('\u{422}', 'T'),
    ('\u{423}', 'Y'),
    ('\u{425}', 'X'),
    ('\u{430}', 'a'),
    ('\u{432}', 'b'),
    ('\u{433}', 'r'),
    ('\u{435}', 'e'),
    ('\u{43a}', 'k'),
    ('\u{43c}', 'm'),
    ('\u{43d}', 'h'),
    ('\u{43e}', 'o'),
    ('\u{440}', 'p'),
    ('\u{441}', 'c'),
    ('\u{442}', 't'),
    ('\u{443}', 'y'),
    ('\u{445}', 'x'),
    ('\u{451}', 'e'),
    ('\u{455}', 's'),
    ('\u{456}', 'i'),
    ('\u{457}', 'i'),
    ('\u{458}', 'j'),
    ('\u{4ba}', 'H'),
    ('\u{4bb}', 'h'),
    ('\u{4c0}', 'I'),
    ('\u{4cf}', 'l'),
    ('\u{500}', 'D'),
    ('\u{501}', 'd'),
    ('\u{51a}', 'Q'),
    ('\u{51b}', 'q'),
    ('\u{51c}', 'W'),
    ('\u{51d}', 'w'),
    ('\u{570}', 'h'),
    ('\u{578}', 'n'),
    ('\u{57d}', 'u'),
    ('\u{581}', 'g'),
    ('\u{585}', 'o'),
    ('\u{13a0}', 'D'),
    ('\u{13a1}', 'R'),
    ('\u{13a2}', 'T'),
    ('\u{13aa}', 'A'),
    ('\u{13ab}', 'J'),
    ('\u{13ac}', 'E'),
    ('\u{13b3}', 'W'),
    ('\u{13b7}', 'M'),
    ('\u{13bb}', 'H'),
    ('\u{13c3}', 'Z'),
    ('\u{13d9}', 'V'),
    ('\u{13da}', 'S'),
    ('\u{13de}', 'L'),
    ('\u{13df}', 'C'),
    ('\u{13e2}', 'P'),
    ('\u{13e6}', 'K'),
    ('\u{13f4}', 'B'),
    ('\u{1d00}', 'a'),
    ('\u{1d04}', 'c'),
    ('\u{1d05}', 'd'),
    ('\u{1d07}', 'e'),
    ('\u{1d0a}', 'j'),
    ('\u{1d0b}', 'k'),
    ('\u{1d0d}', 'm'),
    ('\u{1d0f}', 'o'),
    ('\u{1d18}', 'p'),
    ('\u{1d1b}', 't'),
    ('\u{1d1c}', 'u'),
    ('\u{1d20}', 'v'),
    ('\u{1d21}', 'w'),
    ('\u{1d22}', 'z'),
    ('\u{a730}', 'f'),
    ('\u{a731}', 's'),
];

/// The Latin letter that a foreign one looks like.
pub(super) fn twin(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    TWINS.binary_search_by_key(&c, |&(foreign, _)| foreign).ok().map(|at| TWINS[at].1)
}

fn small_capital(c: char) -> bool {
    twin(c).is_some()
        && matches!(
            c,
            '\u{1d00}'
                ..='\u{1d22}'
                    | '\u{262}'
                    | '\u{26a}'
                    | '\u{274}'
                    | '\u{280}'
                    | '\u{28f}'
                    | '\u{299}'
                    | '\u{29c}'
                    | '\u{29f}'
                    | '\u{a730}'
                    | '\u{a731}'
        )
}

/// Marks that go with the letter under them: on the twin they could compose to something else.
fn mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Puts Latin letters into the place of what looks like them; says whether there were any.
pub(super) fn latin(units: &mut Vec<Unit>) -> bool {
    let mut at = 0;
    let (mut any, mut marks) = (false, false);
    while let Some(word) = run(units, at, wordish) {
        at = word.end;
        let word = &mut units[word];
        if disguised(word) {
            any = true;
            let mut letter = None;
            for at in 0..word.len() {
                if mark(word[at].c) {
                    let end = word[at].end;
                    word[letter.unwrap_or(at)].end = end;
                    word[at].c = DROPPED;
                    marks = true;
                } else {
                    word[at].c = twin(word[at].c).unwrap_or(word[at].c);
                    letter = Some(at);
                }
            }
        }
    }
    if marks {
        units.retain(|unit| unit.c != DROPPED);
    }
    any
}

/// A unit to be dropped: no text has this character here, controls went first.
const DROPPED: char = '\0';

/// Whether a word is Latin, and every letter in it that is not has a Latin twin.
fn disguised(word: &[Unit]) -> bool {
    let (mut latin, mut letters, mut small, mut foreign) = (0, 0, 0, 0);
    let (mut all_small, mut cyrillic) = (true, true);
    for c in word.iter().map(|unit| unit.c).filter(|&c| !c.is_ascii_digit() && !mark(c)) {
        letters += 1;
        if small_capital(c) {
            small += 1;
        } else if !matches!(c, 's' | 'x' | 'q' | 'S' | 'X' | 'Q') {
            all_small = false;
        }
        if c.is_ascii() || matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}') {
            latin += 1;
        } else if twin(c).is_some() {
            foreign += 1;
            cyrillic &= matches!(c, '\u{400}'..='\u{52f}');
        } else {
            return false;
        }
    }
    // Greek letters before Latin ones are units and formulas: it takes a longer word.
    let mixed = latin > 0 && letters >= if cyrillic { 2 } else { 4 };
    foreign > 0 && (mixed || all_small && small >= 3)
}
