//! One quick look at each new piece of a text: whether it can hold any sign of a text that has come apart, so that the checks that look
//! back are asked only where there may be something to find. It may say yes for nothing, never no where a check would find something.

use smallvec::SmallVec;

use super::known::{Known, known};
use super::script::Script;
use super::tokens::{address_end, is_character};

/// How far back what is no prose (code, tables) may change which words the checks see, in bytes: their look back, a paragraph, a margin.
const FAR: usize = 7 << 10;
/// An unfinished word at the end of the text, at most: the checks see it, the skim not yet.
const WORD: usize = 128;
/// What has no space for so long is read as it is, wherever it ends, in bytes.
const UNBROKEN: usize = 4 << 10;
/// How far back scripts are compared, in bytes, with a margin.
const SCRIPTS: usize = 480;
/// Places in a generation of the filter that knows which phrases there have been. A power of two.
const PLACES: usize = 8192;
/// Phrases in a generation: at least as many as the longest stretch that is compared.
const GENERATION: u32 = 640;
/// Phrases of four words whose repetition is remembered. A power of two, and over [`GENERATION`].
const REMEMBERED: usize = 1024;

/// Repeated phrases in a row that a loop has at least: eleven words that were all said before are eight phrases of four, less one for the
/// unfinished word.
const IN_A_ROW: u32 = 7;
/// (phrases, repeated ones) that a stretch has at least where the share of repetition is worth a look, less a margin.
const SHARES: [(usize, u32); 7] = [(57, 37), (117, 67), (151, 81), (237, 110), (311, 136), (477, 205), (631, 248)];

/// Changes of language near each other that are worth a look: as many as the check asks for.
const CHANGES: usize = super::tongues::FEW;

/// What may be found by looking closer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Loops, repeated phrases, little words strung together.
    pub words: bool,
    /// Scripts that change within a sentence.
    pub scripts: bool,
    /// Tokens of chat templates.
    pub template: bool,
    /// Turns written for somebody else.
    pub turns: bool,
    /// Broken characters.
    pub broken: bool,
    /// Languages that change within a sentence.
    pub tongues: bool,
    /// Parts of web pages.
    pub page: bool,
    /// The end repeats itself, code or not.
    pub periodic: bool,
}

impl Signs {
    /// Everything.
    pub const ALL: Signs = Signs {
        words: true,
        scripts: true,
        template: true,
        turns: true,
        broken: true,
        tongues: true,
        page: true,
        periodic: true,
    };
    /// Nothing.
    pub const NONE: Signs = Signs {
        words: false,
        scripts: false,
        template: false,
        turns: false,
        broken: false,
        tongues: false,
        page: false,
        periodic: false,
    };

    /// Either's.
    pub const fn and(self, other: Signs) -> Signs {
        Signs {
            words: self.words || other.words,
            scripts: self.scripts || other.scripts,
            template: self.template || other.template,
            turns: self.turns || other.turns,
            broken: self.broken || other.broken,
            tongues: self.tongues || other.tongues,
            page: self.page || other.page,
            periodic: self.periodic || other.periodic,
        }
    }
}

/// What is remembered of one text.
#[derive(Debug)]
pub(super) struct Skim {
    /// Bytes whose words have been read.
    read: usize,
    /// Bytes whose marks have been read.
    marked: usize,
    /// Behind the last mark that may begin or end code or a table.
    special: usize,
    /// Behind the last letter of each script.
    scripts: [usize; Script::COUNT],
    phrases: Phrases,
    pairs: Pairs,
    known: &'static Known,
    tongues: Tongues,
    /// Behind the last words that may end a part of a web page.
    page: usize,
    /// Behind the last word of sixty bytes and more.
    long: usize,
}

/// Phrases of four words, and whether each was there before.
#[derive(Debug)]
struct Phrases {
    /// The last words, the newest last.
    last: [u64; 4],
    words: u32,
    filters: [Box<[u64; PLACES / 64]>; 2],
    in_generation: u32,
    /// A bit for each of the last phrases, by their number.
    repeated: [u64; REMEMBERED / 64],
    in_a_row: u32,
    /// Behind the last run of repeated phrases that may be a loop.
    run: usize,
}

/// Where the language of little words changed.
#[derive(Debug, Default)]
struct Tongues {
    changes: super::tongues::Changes,
    /// Behind the last changes, the newest last.
    ends: [usize; CHANGES],
}

/// Pairs of little words that hardly stand side by side.
#[derive(Debug, Default)]
struct Pairs {
    before: Option<usize>,
    words: u32,
    /// The word number of the last pair, from 1 on; 0: none.
    last: u32,
    /// Behind the last pair that had another near before it.
    end: usize,
}

impl Skim {
    pub fn new() -> Self {
        Skim {
            read: 0,
            marked: 0,
            special: 0,
            scripts: [0; Script::COUNT],
            phrases: Phrases {
                last: [0; 4],
                words: 0,
                filters: std::array::from_fn(|_| Box::new([0; PLACES / 64])),
                in_generation: 0,
                repeated: [0; REMEMBERED / 64],
                in_a_row: 0,
                run: 0,
            },
            pairs: Pairs::default(),
            known: known(),
            tongues: Tongues::default(),
            page: 0,
            long: 0,
        }
    }

    /// Reads what `text` has more than at the last call.
    pub fn read(&mut self, text: &str) {
        let fresh = &text[self.marked..];
        if let Some(at) = memchr::memrchr2(b'`', b'|', fresh.as_bytes()) {
            self.special = self.marked + at + 1;
        }
        let with_two_before = &text.as_bytes()[self.marked.saturating_sub(2)..];
        // Nearly no text has one, and looking for one costs less than getting ready to look for three.
        if memchr::memchr(b'~', with_two_before).is_some() && memchr::memmem::find(with_two_before, b"~~~").is_some() {
            self.special = text.len();
        }
        if !fresh.is_ascii() {
            for (at, c) in fresh.char_indices() {
                if let Some(script) = super::script::script(c) {
                    self.scripts[script as usize] = self.marked + at + 1;
                }
            }
        } else if let Some(at) = fresh.bytes().rposition(|byte| byte.is_ascii_alphabetic()) {
            self.scripts[Script::Latin as usize] = self.marked + at + 1;
        }
        self.marked = text.len();
        self.words(text);
    }

    /// What there may be in the words of `text`, as it was read last, that reaches past `seen`.
    pub fn signs(&self, text: &str, seen: usize) -> Signs {
        Signs {
            words: since(self.special, FAR, seen) || self.repeats(text, seen),
            scripts: self.scripts.iter().filter(|end| since(**end, SCRIPTS, seen)).count() > 1,
            tongues: self.tongues.change(text.len() > self.read, seen),
            page: since(self.page, super::chrome::REACH + WORD, seen),
            periodic: super::period::found(text),
            ..Signs::NONE
        }
    }

    /// Whether its words look as if they repeated themselves.
    pub fn repeats(&self, text: &str, seen: usize) -> bool {
        since(self.long, WORD, seen)
            || text.len() - self.read >= 60
            || since(self.phrases.run, WORD, seen)
            || self.phrases.shares()
            || self.pairs.may_be_many(text.len() > self.read, seen)
    }

    /// Reads the words up to the last place where none can be cut in two.
    fn words(&mut self, text: &str) {
        let from = self.read;
        let Some(end) = whole_words(text, from) else { return };
        if end - from > UNBROKEN {
            self.long = end;
        }
        self.read = end;
        let bytes = text.as_bytes();
        let mut at = from;
        while at < end {
            let byte = bytes[at];
            if byte.is_ascii_alphanumeric() {
                at = self.word(text, at, end);
            } else if byte < 0x80 {
                at += 1;
            } else {
                let Some(c) = text[at..].chars().next() else { return };
                if c == 'ー' {
                    at += c.len_utf8();
                } else if is_character(c) {
                    self.phrases.push(hash(c.encode_utf8(&mut [0; 4]).as_bytes()), at + c.len_utf8());
                    if self.known.ends_page(&self.phrases.last) {
                        self.page = at + c.len_utf8();
                    }
                    self.pairs.other();
                    at += c.len_utf8();
                } else if c.is_alphanumeric() {
                    at = self.word(text, at, end);
                } else {
                    at += c.len_utf8();
                }
            }
        }
    }

    /// Reads one word that begins at `start`; returns where to go on. The words are those of [`super::tokens`].
    fn word(&mut self, text: &str, start: usize, end: usize) -> usize {
        let bytes = text.as_bytes();
        if let Some(behind) = address_end(&text[..end], start) {
            return behind;
        }
        let part = |at: usize| {
            bytes[at..end].iter().position(|byte| KINDS[usize::from(*byte)] == NEITHER).map_or(end, |length| at + length)
        };
        let mut at = part(start);
        // A letter behind an apostrophe belongs to the word.
        while at < end && bytes[at] == b'\'' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            at = part(at + 1);
        }
        let next = |at: usize| if bytes[at] == b'\'' { bytes.get(at + 1).copied().unwrap_or(0) } else { bytes[at] };
        let (state, letters) = if at < end && next(at) >= 0x80 {
            let (state, letters);
            (at, state, letters) = wide_word(text, start, end);
            (state, letters)
        } else {
            let word = &bytes[start..at];
            (hash(word), word.iter().any(|byte| KINDS[usize::from(*byte)] == LETTER))
        };
        if letters || !super::tokens::begins_line(text, start) {
            self.phrases.push(state, at);
            self.pairs.push(&bytes[start..at], at);
            if let Some(word) = self.known.word(state) {
                self.tongues.push(word.tongues, at);
                if word.ends_page && self.known.ends_page(&self.phrases.last[2..]) {
                    self.page = at;
                }
            }
            if at - start >= 60 {
                self.long = at;
            }
        }
        at
    }
}

fn since(end: usize, reach: usize, seen: usize) -> bool {
    end != 0 && end + reach >= seen
}

/// What an ASCII character is to a word.
const NEITHER: u8 = 0;
const DIGIT: u8 = 1;
const LETTER: u8 = 2;

/// Which byte is what: every byte of every answer is asked.
static KINDS: [u8; 256] = {
    let mut kinds = [NEITHER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphabetic() {
            kinds[byte as usize] = LETTER;
        } else if byte.is_ascii_digit() {
            kinds[byte as usize] = DIGIT;
        }
        byte += 1;
    }
    kinds
};

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

const fn mix(state: u64, piece: u64) -> u64 {
    let mixed = (state ^ piece).wrapping_mul(0x517C_C1B7_2722_0A95);
    mixed ^ (mixed >> 32)
}

/// A word's hash, whatever the case of its ASCII letters: eight bytes at a time, the last ones together with some before them.
pub(super) fn hash(word: &[u8]) -> u64 {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let four = |at: usize| word[at..].first_chunk().map_or(0, |four| u64::from(u32::from_le_bytes(*four)));
    let mut state = SEED ^ word.len() as u64;
    let last = match word.len() {
        0 => 0,
        length @ 1..4 => u64::from(word[0]) << 16 | u64::from(word[length / 2]) << 8 | u64::from(word[length - 1]),
        length => {
            for eight in word[..length - 1].chunks_exact(8) {
                state = mix(state, eight.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight)) | SMALL);
            }
            four(length.saturating_sub(8)) << 32 | four(length - 4)
        }
    };
    mix(state, last | SMALL)
}

/// The hash of several words in a row.
pub(super) fn join(words: &[u64]) -> u64 {
    words.iter().fold(0_u64, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95))
}

/// A word with other letters than ASCII ones: its end, its hash, whether it has letters.
fn wide_word(text: &str, start: usize, end: usize) -> (usize, u64, bool) {
    let mut letters = false;
    let mut stop = end;
    let mut word: SmallVec<[u8; 64]> = SmallVec::new();
    for (offset, c) in text[start..end].char_indices() {
        let at = start + offset;
        let inside = || matches!(c, '\'' | '’') && text[at + c.len_utf8()..].starts_with(char::is_alphabetic);
        if !(c.is_alphanumeric() && !is_character(c) || c == 'ー' || inside()) {
            stop = at;
            break;
        }
        letters |= c != 'ー' && c.is_alphabetic();
        // A sigma at the end of a word has two forms.
        for lower in (if c == 'ς' { 'σ' } else { c }).to_lowercase() {
            word.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    (stop, hash(&word), letters)
}

/// The last place behind `from` where no word is cut in two: behind a space, a mark, or a character that is a word of its own.
fn whole_words(text: &str, from: usize) -> Option<usize> {
    let fresh = &text[from..];
    if fresh.len() > UNBROKEN {
        return Some(text.len());
    }
    let space = fresh.bytes().rposition(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r')).map(|at| at + 1);
    let rest = &fresh[space.unwrap_or(0)..];
    // An address is no words, and its end is not here yet.
    if memchr::memmem::find(rest.as_bytes(), b"http").is_some() {
        return space.map(|at| from + at);
    }
    let ends = |c: char| is_character(c) || !(c.is_alphanumeric() || matches!(c, '\'' | '’'));
    let mark = rest.rfind(ends).and_then(|at| Some(at + rest[at..].chars().next()?.len_utf8()));
    match (mark, space) {
        (Some(mark), space) => Some(from + space.unwrap_or(0) + mark),
        (None, space) => space.map(|at| from + at),
    }
}

impl Phrases {
    fn push(&mut self, word: u64, end: usize) {
        self.last = [self.last[1], self.last[2], self.last[3], word];
        self.words += 1;
        if self.words < 4 {
            return;
        }
        let phrase = join(&self.last);
        // The upper bits are the better mixed ones.
        let place = usize::try_from(phrase >> 51).unwrap_or(0) % PLACES;
        let (block, bit) = (place / 64, 1 << (place % 64));
        let again = (self.filters[0][block] | self.filters[1][block]) & bit != 0;
        if self.in_generation >= GENERATION {
            self.filters.swap(0, 1);
            self.filters[0].fill(0);
            self.in_generation = 0;
        }
        self.filters[0][block] |= bit;
        self.in_generation += 1;
        let number = self.words as usize % REMEMBERED;
        let (block, bit) = (number / 64, 1 << (number % 64));
        if again {
            self.repeated[block] |= bit;
            self.in_a_row += 1;
            if self.in_a_row >= IN_A_ROW {
                self.run = end;
            }
        } else {
            self.repeated[block] &= !bit;
            self.in_a_row = 0;
        }
    }

    /// Whether some stretch at the end repeats so much that its share may count.
    fn shares(&self) -> bool {
        if self.words < SHARES[0].1 || self.repeated.iter().map(|block| block.count_ones()).sum::<u32>() < SHARES[0].1 {
            return false;
        }
        let (mut back, mut repeated) = (0, 0);
        SHARES.iter().any(|(stretch, least)| {
            while back < *stretch && back < self.words as usize {
                let number = (self.words as usize - back) % REMEMBERED;
                repeated += u32::from(self.repeated[number / 64] >> (number % 64) & 1 == 1);
                back += 1;
            }
            repeated >= *least
        })
    }
}

impl Tongues {
    fn push(&mut self, tongues: u8, end: usize) {
        if tongues != 0 && self.changes.push(tongues) {
            self.ends.rotate_left(1);
            self.ends[CHANGES - 1] = end;
        }
    }

    /// Whether several changes lie so near that they may be in one sentence that reaches past `seen`. `unfinished`: the text goes on with a
    /// word that was not read yet, which may be another change.
    fn change(&self, unfinished: bool, seen: usize) -> bool {
        since(self.ends[usize::from(unfinished)], super::tongues::REACH + WORD, seen)
    }
}

impl Pairs {
    /// A word that is none of the little ones.
    fn other(&mut self) {
        self.words += 1;
        self.before = None;
    }

    fn push(&mut self, word: &[u8], end: usize) {
        self.words += 1;
        let little = super::salad::little(word);
        if let (Some(before), Some(this)) = (self.before, little)
            && super::salad::hardly_stand_together(before, this)
        {
            if self.is_near() {
                self.end = end;
            }
            self.last = self.words;
        }
        self.before = little;
    }

    fn is_near(&self) -> bool {
        const STRETCH: u32 = 64;
        self.last != 0 && self.last + STRETCH >= self.words
    }

    /// Whether two pairs may be near each other and reach past `seen`. `unfinished`: the text goes on with a word that was not read yet,
    /// which may be half of a pair.
    fn may_be_many(&self, unfinished: bool, seen: usize) -> bool {
        (self.end != 0 && self.end + WORD >= seen) || (unfinished && self.before.is_some() && self.is_near())
    }
}
