//! The open tail: how much of the end of a text may be the beginning of a forbidden phrase. In `hold` that much stays back, so that no
//! first half of a match has left when its second half arrives. Knows nothing of rules.

use std::fmt;
use std::sync::Arc;

use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, Compiler};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use super::patterns::{LOOK_BACK, Pattern, PatternFault};
use crate::text::ceil_char_boundary;

/// How much is held for a pattern that sets no limit itself: with `begin.*end` an answer would otherwise stall for good at the first
/// `begin`. What such a pattern matches further back has left; the match still cuts the answer.
pub const UNLIMITED: usize = 256;

/// Memory for one cache of automaton states, in bytes: one for each thread that judges at the same time. When it is full it is cleared.
const CACHE: usize = 1 << 20;

/// Answers how much of a text's end may be the beginning of a match of one of some patterns.
#[derive(Debug, Default)]
pub struct Tail {
    /// Patterns of limited and of unlimited length apart: each group is looked for as far back as it can reach.
    automata: Vec<Automaton>,
}

type CachePool = Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>;

struct Automaton {
    dfa: Arc<DFA>,
    caches: CachePool,
    reach: usize,
    /// Whether a match may begin with a byte: most places of most texts are out of the question by it.
    begins: Box<[bool; 256]>,
}

impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automaton").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Tail {
    /// For these patterns.
    ///
    /// # Errors
    /// The patterns are too large together.
    pub fn new<'p>(patterns: impl Iterator<Item = &'p Pattern> + Clone) -> Result<Self, PatternFault> {
        let limited = |pattern: &&Pattern| pattern.longest().is_some_and(|longest| longest <= LOOK_BACK);
        let reach = patterns.clone().filter(limited).filter_map(Pattern::longest).max().unwrap_or_default();
        let groups = [
            (patterns.clone().filter(limited).collect::<Vec<_>>(), reach),
            (patterns.filter(|p| !limited(p)).collect(), UNLIMITED),
        ];
        let mut automata = Vec::new();
        for (group, reach) in groups {
            if !group.is_empty() {
                automata.push(Automaton::new(&group, reach)?);
            }
        }
        Ok(Tail { automata })
    }

    /// Bytes at the end of `text` from the first place where a match may begin that `text` does not complete. At most the length of the
    /// longest pattern (and [`UNLIMITED`] for those without one).
    #[must_use]
    pub fn open(&self, text: &str) -> usize {
        self.automata.iter().map(|automaton| automaton.open(text)).max().unwrap_or(0)
    }
}

impl Automaton {
    fn new(patterns: &[&Pattern], reach: usize) -> Result<Self, PatternFault> {
        let too_large = || PatternFault {
            message: "the patterns of this policy are too large together".to_owned(),
            help: Some("use smaller repetitions, or (?-u:\\w) in place of \\w where ASCII is enough"),
        };
        let relaxed: Vec<Hir> = patterns.iter().map(|pattern| relax(pattern.hir())).collect();
        let nfa = Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(32 << 20)).which_captures(thompson::WhichCaptures::None))
            .build_many_from_hir(&relaxed)
            .map_err(|_| too_large())?;
        // All matches, not the leftmost: a state must live on while any pattern, of any length, may still match.
        let config = Config::new().match_kind(MatchKind::All).cache_capacity(CACHE).skip_cache_capacity_check(true);
        let dfa = Arc::new(DFA::builder().configure(config).build_from_nfa(nfa).map_err(|_| too_large())?);
        let for_cache = Arc::clone(&dfa);
        let caches: CachePool = Pool::new(Box::new(move || for_cache.create_cache()));
        let begins = begins(&dfa, &mut caches.get());
        Ok(Automaton { dfa, caches, reach, begins })
    }

    fn open(&self, text: &str) -> usize {
        let from = ceil_char_boundary(text, text.len().saturating_sub(self.reach));
        let places = text[from..].char_indices().map(|(offset, _)| from + offset);
        let mut places = places.filter(|place| self.begins[usize::from(text.as_bytes()[*place])]).peekable();
        if places.peek().is_none() {
            return 0;
        }
        let mut cache = self.caches.get();
        places.find(|place| self.may_match_from(&mut cache, text, *place)).map_or(0, |place| text.len() - place)
    }

    /// Whether some continuation of `text` has a match that begins at `place` and does not end before `text` does.
    fn may_match_from(&self, cache: &mut Cache, text: &str, place: usize) -> bool {
        // Errors here mean "the automaton gave up": then it may match. With this configuration it does not give up.
        let input = Input::new(text).range(place..).anchored(Anchored::Yes);
        let Ok(mut state) = self.dfa.start_state_forward(cache, &input) else { return true };
        for byte in &text.as_bytes()[place..] {
            state = match self.dfa.next_state(cache, state, *byte) {
                Ok(state) => state,
                Err(_) => return true,
            };
            if state.is_dead() {
                return false;
            }
            if state.is_quit() {
                return true;
            }
        }
        true
    }
}

/// With which bytes a match may begin, whatever stands before it: nothing, a line's end, a letter, or something else.
fn begins(dfa: &DFA, cache: &mut Cache) -> Box<[bool; 256]> {
    let mut begins = Box::new([false; 256]);
    for (byte, begins) in (0..=u8::MAX).zip(begins.iter_mut()) {
        *begins = [&b""[..], b"\n", b"\r", b"a", b" "].iter().any(|before| {
            let text = [before, &[byte][..]].concat();
            let input = Input::new(&text).range(before.len()..).anchored(Anchored::Yes);
            let state = dfa.start_state_forward(cache, &input).ok();
            // Where the automaton gives up, one may.
            let next = state.and_then(|state| dfa.next_state(cache, state, byte).ok());
            next.is_none_or(|state| !state.is_dead())
        });
    }
    begins
}

/// The pattern without Unicode word boundaries, which an automaton over bytes cannot decide: it matches all that the pattern does and
/// perhaps a little more, so a character or two may be held for nothing, and nothing leaves that should not.
fn relax(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(
            Look::WordUnicode
            | Look::WordUnicodeNegate
            | Look::WordStartUnicode
            | Look::WordEndUnicode
            | Look::WordStartHalfUnicode
            | Look::WordEndHalfUnicode,
        ) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(relax(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Capture(capture) => relax(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(relax).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(relax).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    fn tail(sources: &[&str]) -> Tail {
        let patterns: Vec<Pattern> = sources.iter().map(|source| Pattern::new(source).unwrap()).collect();
        Tail::new(patterns.iter()).unwrap()
    }

    #[test]
    fn only_what_may_become_a_match_is_held() {
        let tail = tail(&[r"(?i)\bproject nightfall\b"]);
        assert_eq!(tail.open("We talked about proj"), 4);
        assert_eq!(tail.open("We talked about Project Nightfall"), 17);
        assert_eq!(tail.open("We talked about project nightmare"), 0);
        assert_eq!(tail.open("We talked."), 0);
        assert_eq!(tail.open(""), 0);
        assert_eq!(tail.open("日本語のproject nigh"), 12, "word boundaries are left to the search");
        assert_eq!(Tail::default().open("anything"), 0);
    }

    #[test]
    fn the_longest_of_several_counts_and_unlimited_ones_are_bounded() {
        let tail = tail(&["abc", "xabcd", "begin.*end"]);
        assert_eq!(tail.open("--xab"), 3);
        assert_eq!(tail.open("--ab"), 2);
        assert_eq!(tail.open("begin the"), 9);
        assert_eq!(tail.open(&format!("begin {}", "y".repeat(300))), 0);
        assert_eq!(tail.open("begin the\nnext line"), 0, "a dot is no line feed");
    }

    #[test]
    fn a_full_cache_only_costs_time() {
        let tail = tail(&[r"(?i)\w{1,40}x\w{1,40}"]);
        let text: String = (0..3000).map(|i| char::from_u32(0x3B1 + i % 24).unwrap()).collect();
        assert!(tail.open(&text) <= 81 * 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Wherever the text is cut, all that a match of the whole text has before the cut is held.
        #[test]
        fn no_part_of_a_later_match_is_outside_the_tail(
            source in super::super::patterns::tests::any_pattern(),
            other in "[ab]{1,3}",
            text in "[abé .\n]{0,24}",
        ) {
            let (Ok(pattern), Ok(other)) = (Pattern::new(&source), Pattern::new(&other)) else { return Ok(()) };
            let tail = Tail::new([&pattern, &other].into_iter()).unwrap();
            let regex = Regex::new(&source).unwrap();
            for (start, _) in text.char_indices() {
                let Some(found) = regex.find_at(&text, start).filter(|found| found.start() == start) else { continue };
                for cut in (start..=found.end()).filter(|cut| text.is_char_boundary(*cut)) {
                    prop_assert!(tail.open(&text[..cut]) >= cut - start, "{:?} in {:?} cut at {}", source, text, cut);
                }
            }
        }
    }
}
