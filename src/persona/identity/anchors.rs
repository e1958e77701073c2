//! The words without which there is no statement about the speaker: names, and what claims and introductions are made of. One pass over
//! new text tells whether the costly patterns need be asked at all. Knows which words a pattern needs, not what it says.

use std::collections::HashMap;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::dfa::DFA;

use super::names::{self, Family};
use super::{human, unknown};

/// Words of which a statement needs one of each list, those of the last list behind the others. A word stands by itself; one that begins
/// with `~` may be part of another.
pub(super) type Needs = &'static [&'static [&'static str]];

/// How far apart the words of one statement may be, and how far before new text a statement may have got its last one, in bytes.
const SPREAD: usize = 256;
const FRESH: usize = 512;

/// How statements about oneself begin, and how many bytes such a beginning waits for a name.
const OPENERS: [&str; 22] = [
    "i'm",
    "i’m",
    "im",
    "i am",
    "my name",
    "call me",
    "ich bin",
    "ich heiße",
    "mein name",
    "je suis",
    "m'appelle",
    "m’appelle",
    "mon nom",
    "soy",
    "me llamo",
    "mi nombre",
    "sou",
    "me chamo",
    "meu nome",
    "~私は",
    "~我是",
    "~저는",
];
const WAITS: usize = 32;

/// Letters that fold to ASCII ones where case does not count: with them in the text every pattern is asked.
const FOLDING: [&str; 2] = ["\u{17F}", "\u{212A}"];

/// What an anchor is for.
#[derive(Clone, Debug)]
enum Role {
    /// A name; `exact`: in this case only.
    Name { exact: bool },
    /// One of a list of [`Needs`], by the list's number.
    Word { list: usize, whole: bool },
    /// How a statement about oneself begins.
    Opener { whole: bool },
    /// Anything may stand here.
    Wild,
}

/// The anchors of one persona.
#[derive(Debug)]
pub(super) struct Anchors {
    automaton: DFA,
    /// Where the automaton begins.
    start: StateID,
    /// For each pattern of the automaton, as it is written there.
    roles: Vec<(Role, Box<str>)>,
    longest: usize,
    lists: usize,
    /// The lists of each statement: claims to be human, then introductions.
    statements: Vec<Vec<usize>>,
    /// The statements whose last list this is.
    completes: Vec<Vec<usize>>,
    claims: usize,
    /// A name that no anchor can stand for.
    any_name: bool,
}

/// What must be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Names.
    pub names: bool,
    /// Claims to be human: bit n for the n-th pattern.
    pub claims: u32,
    /// Introductions: the same.
    pub introductions: u32,
}

impl Wanted {
    /// Everything.
    pub const ALL: Wanted = Wanted { names: true, claims: u32::MAX, introductions: u32::MAX };

    /// Whether there is nothing to look at.
    pub const fn is_nothing(self) -> bool {
        !self.names && self.claims == 0 && self.introductions == 0
    }
}

/// What was read of one text: where anchors stood last, as the byte behind them. 0: nowhere.
#[derive(Clone, Debug)]
pub(super) struct Hints {
    read: usize,
    /// How far the automaton has come: it goes on from there, so that the beginning of a word is not read twice. `None`: it begins anew.
    scan: Option<(StateID, usize)>,
    name: usize,
    lists: Box<[usize]>,
    statements: Box<[usize]>,
    /// Where the last beginning of a statement begins.
    opener: Option<usize>,
    /// Where the first words begin that may decide a statement, since [`Hints::settle`]; with its beginning, if that is near.
    decisive: Option<usize>,
}

impl Anchors {
    /// `never`: names in lower case that count in any case. `known`: the families whose well-known names count. `claims`, `introductions`:
    /// whether these are looked for.
    pub fn new(never: &[String], known: impl Fn(Family) -> bool, claims: bool, introductions: bool) -> Self {
        let mut roles: Vec<(Role, Box<str>)> = FOLDING.iter().map(|letter| (Role::Wild, Box::from(*letter))).collect();
        let mut any_name = false;
        for name in never {
            match ascii_core(name) {
                "" => any_name = true,
                core => roles.push((Role::Name { exact: false }, core.into())),
            }
        }
        for (name, family, exact) in names::all() {
            if known(family) {
                roles.push((Role::Name { exact }, name.into()));
            }
        }
        roles.extend(OPENERS.iter().map(|word| {
            let part = word.strip_prefix('~');
            (Role::Opener { whole: part.is_none() }, Box::from(part.unwrap_or(word)))
        }));
        let mut numbers: HashMap<&[&str], usize> = HashMap::new();
        let mut statements = Vec::new();
        let claims: &[Needs] = if claims { &human::NEEDS } else { &[] };
        let introductions: &[Needs] = if introductions { &unknown::NEEDS } else { &[] };
        for needs in claims.iter().chain(introductions) {
            let lists = needs.iter().map(|words| {
                let next = numbers.len();
                *numbers.entry(*words).or_insert_with(|| {
                    roles.extend(words.iter().map(|word| {
                        let part = word.strip_prefix('~');
                        (Role::Word { list: next, whole: part.is_none() }, Box::from(part.unwrap_or(word)))
                    }));
                    next
                })
            });
            statements.push(lists.collect::<Vec<_>>());
        }
        let mut completes = vec![Vec::new(); numbers.len()];
        for (statement, lists) in statements.iter().enumerate() {
            if let Some(last) = lists.last() {
                completes[*last].push(statement);
            }
        }
        let automaton = DFA::builder()
            .ascii_case_insensitive(true)
            .build(roles.iter().map(|(_, word)| word.as_bytes()))
            .expect("a few hundred short words");
        Anchors {
            start: automaton.start_state(Anchored::No).expect("it looks everywhere"),
            longest: roles.iter().map(|(_, word)| word.len()).max().unwrap_or(0),
            automaton,
            roles,
            lists: numbers.len(),
            claims: claims.len(),
            statements,
            completes,
            any_name,
        }
    }
}

/// The longest run of ASCII letters and digits of a name that has others; the name itself if it has none, or nothing but others without case.
fn ascii_core(name: &str) -> &str {
    if name.is_ascii() || !name.chars().any(|c| c.is_alphabetic() && !c.is_ascii() && (c as u32) < 0x2E80) {
        return name;
    }
    name.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|part| part.len()).unwrap_or_default()
}

impl Hints {
    pub fn new(anchors: &Anchors) -> Self {
        Hints {
            read: 0,
            scan: None,
            name: 0,
            lists: vec![0; anchors.lists].into(),
            statements: vec![0; anchors.statements.len()].into(),
            opener: None,
            decisive: None,
        }
    }

    /// Reads what `text` has more than at the last call.
    pub fn read(&mut self, anchors: &Anchors, text: &str) {
        let read = std::mem::replace(&mut self.read, text.len());
        let bytes = text.as_bytes();
        let (mut state, from) = self.scan.unwrap_or((anchors.start, read.saturating_sub(anchors.longest)));
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            state = anchors.automaton.next_state(Anchored::No, state, *byte);
            if anchors.automaton.is_special(state) && anchors.automaton.is_match(state) && at >= read {
                for number in 0..anchors.automaton.match_len(state) {
                    let pattern = anchors.automaton.match_pattern(state, number).as_usize();
                    self.hit(anchors, pattern, bytes, at + 1);
                }
            }
        }
        self.scan = Some((state, bytes.len()));
    }

    /// An anchor ends at `end`.
    fn hit(&mut self, anchors: &Anchors, pattern: usize, bytes: &[u8], end: usize) {
        let (role, word) = &anchors.roles[pattern];
        let start = end - word.len();
        let before = start.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(end);
        let within = || before.is_some_and(|byte| byte.is_ascii_alphanumeric()) || after.is_some_and(u8::is_ascii_alphanumeric);
        match role {
            Role::Name { exact } => {
                let (first, last) = (bytes[start], bytes[end - 1]);
                let part = first.is_ascii_alphanumeric() && before.is_some_and(|byte| byte.is_ascii_alphanumeric())
                    || last.is_ascii_alphanumeric() && after.is_some_and(|byte| byte.is_ascii_lowercase() && *byte != b'v');
                if !part && (!exact || bytes[start..end] == *word.as_bytes()) {
                    self.name = end;
                    self.decides(start);
                }
            }
            Role::Word { list, whole } => {
                if !*whole || !within() {
                    self.word(anchors, *list, start, end);
                }
            }
            Role::Opener { whole } => {
                if !*whole || !within() {
                    self.opener = Some(start);
                }
            }
            Role::Wild => {
                self.name = end;
                self.decides(start);
                self.lists.fill(end);
                self.statements.fill(end);
            }
        }
    }

    fn word(&mut self, anchors: &Anchors, list: usize, start: usize, end: usize) {
        self.lists[list] = end;
        for statement in &anchors.completes[list] {
            let near = |other: &usize| self.lists[*other] != 0 && self.lists[*other] + SPREAD >= start;
            if anchors.statements[*statement].iter().all(near) {
                self.statements[*statement] = end;
                self.decides(start);
            }
        }
    }

    fn decides(&mut self, start: usize) {
        let opener = self.opener.filter(|opener| *opener <= start && start - opener <= WAITS);
        self.decisive = self.decisive.or(opener.or(Some(start)));
    }

    /// Where the words begin that may decide a statement which has not been looked at.
    pub fn decisive(&self) -> Option<usize> {
        self.decisive
    }

    /// The text has been looked at up to `seen`; what was read behind it is read again.
    pub fn settle(&mut self, seen: usize) {
        self.decisive = None;
        self.opener = self.opener.filter(|opener| *opener >= seen);
        if seen < self.read {
            self.read = seen;
            self.scan = None;
        }
    }

    /// Where a statement begins that the name in may be yet to come: at most a few words back.
    pub fn begun(&self, len: usize) -> Option<usize> {
        self.opener.filter(|opener| len - opener <= WAITS)
    }

    /// What there may be that reaches past `seen`, which was read to before. `again`: nothing new has come, and nothing will.
    pub fn wanted(&self, anchors: &Anchors, seen: usize, again: bool) -> Wanted {
        // What stays undecided until the end stands on the last line, however long that is.
        let reach = if again { FRESH + (3 << 10) } else { FRESH };
        let recent = |end: usize| end != 0 && end + reach >= seen;
        let bits = |ends: &[usize]| ends.iter().enumerate().map(|(n, end)| u32::from(recent(*end)) << n).sum();
        let (claims, introductions) = self.statements.split_at(anchors.claims);
        Wanted { names: anchors.any_name || recent(self.name), claims: bits(claims), introductions: bits(introductions) }
    }
}
