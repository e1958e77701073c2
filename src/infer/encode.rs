//! From persona, user turn and window to the token ids that a model takes: `[CLS] persona [SEP] user [SEP] window [SEP]`, token type 0
//! up to and including the second `[SEP]`, then 1. Assembled by hand, so the same file of tokens means the same input in training and
//! here. Knows tokenizers, not models.
//!
//! Each part is normalised first, as the texts were that the model was trained on.
//!
//! Persona and user turn are cut to their limits (the first tokens of the one, the last of the other). A window is never cut: what is
//! over its limit goes in as several runs that overlap by a quarter.

use std::sync::Arc;

use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl};

use crate::infer::Context;
use crate::infer::manifest::Layout;
use crate::infer::unigram::Vocabulary;
use crate::normalize::normalize;

/// How many persona lines and user turns are remembered: a thread serves several streams by turns.
const REMEMBERED: usize = 16;

/// Longer texts are tokenised (in part) each time instead of being kept and compared.
const REMEMBERED_BYTES: usize = 8 << 10;

/// The most pieces that one word can be split into: WordPiece takes words of more than 100 characters as unknown.
const PIECES: usize = 100;

/// Assembles inputs. Keeps its buffers from one window to the next.
#[derive(Debug)]
pub struct Encoder {
    tokens: Tokens,
    layout: Layout,
    personas: Memory,
    users: Memory,
    /// `[CLS] persona [SEP] user [SEP]`, then the run last asked for.
    ids: Vec<i64>,
    types: Vec<i64>,
    mask: Vec<i64>,
    prefix: usize,
    window: Vec<u32>,
}

/// One input: three rows of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Token ids.
    pub ids: &'a [i64],
    /// 1 for every token.
    pub mask: &'a [i64],
    /// 0 for persona and user turn, 1 for the window.
    pub types: &'a [i64],
}

/// The crate's tokenizer with our way to hold a vocabulary.
type Tokenizer = TokenizerImpl<Vocabulary, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// A tokenizer that turns text into ids and does nothing else: no special tokens, no truncation, no padding. Shared by threads.
#[derive(Clone)]
pub struct Tokens {
    tokenizer: Arc<Tokenizer>,
    cls: i64,
    sep: i64,
}

/// What is wrong with a tokenizer, or with what it did with a text.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The file cannot be read as a tokenizer.
    #[error("is no tokenizer that this program reads: {0}")]
    Format(String),
    /// The vocabulary lacks a token of the layout.
    #[error("has no {0:?} token, which the input layout needs")]
    Missing(&'static str),
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed: {0}")]
    Text(String),
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("tokens", &self.tokenizer.get_vocab_size(false)).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If it is none, or if it lacks `[CLS]` or `[SEP]`.
    pub fn from_json(json: &[u8]) -> Result<Tokens, EncodeError> {
        let mut tokenizer: Tokenizer = serde_json::from_slice(json).map_err(|error| EncodeError::Format(error.to_string()))?;
        tokenizer.with_truncation(None).map_err(|error| EncodeError::Format(error.to_string()))?;
        tokenizer.with_padding(None);
        // "[SEP]" in a text is those five characters: a model's answer must not be able to write the layout.
        tokenizer.set_encode_special_tokens(true);
        let id = |token| tokenizer.token_to_id(token).map(i64::from).ok_or(EncodeError::Missing(token));
        Ok(Tokens { cls: id("[CLS]")?, sep: id("[SEP]")?, tokenizer: Arc::new(tokenizer) })
    }

    /// The ids of a text, all of them.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| EncodeError::Text(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The first `limit` ids of a text, without tokenising much more than these.
    fn first(&self, text: &str, limit: usize) -> Result<Vec<u32>, EncodeError> {
        self.part(text, limit, |bytes| {
            let (at, whole) = cut(text, bytes, false);
            (&text[..at], whole)
        })
        .map(|mut ids| {
            ids.truncate(limit);
            ids
        })
    }

    /// The last `limit` ids of a text, without tokenising much more than these.
    fn last(&self, text: &str, limit: usize) -> Result<Vec<u32>, EncodeError> {
        self.part(text, limit, |bytes| {
            let (at, whole) = cut(text, text.len() - bytes, true);
            (&text[at..], whole)
        })
        .map(|ids| ids[ids.len().saturating_sub(limit)..].to_vec())
    }

    /// The ids of ever larger parts of a text until there are `limit` that the cut cannot have changed.
    fn part<'t>(&self, text: &'t str, limit: usize, part: impl Fn(usize) -> (&'t str, bool)) -> Result<Vec<u32>, EncodeError> {
        let mut bytes = 8 * limit;
        while limit > 0 && bytes < text.len() {
            let (part, whole) = part(bytes);
            let ids = self.ids(part)?;
            // A word that was cut through may have given wrong ids: they are the outermost ones.
            if ids.len() >= limit + if whole { 0 } else { PIECES } {
                return Ok(ids);
            }
            bytes *= 4;
        }
        if limit == 0 { Ok(Vec::new()) } else { self.ids(text) }
    }
}

impl Encoder {
    /// An encoder for one thread.
    #[must_use]
    pub fn new(tokens: Tokens, layout: Layout) -> Self {
        let longest = layout.max_tokens();
        Encoder {
            tokens,
            layout,
            personas: Memory::default(),
            users: Memory::default(),
            ids: Vec::with_capacity(longest),
            types: Vec::with_capacity(longest),
            mask: vec![1; longest],
            prefix: 0,
            window: Vec::new(),
        }
    }

    /// Takes in a window and its context; returns how many runs it makes. None for a text without tokens (white space, invisible
    /// characters): there is nothing to judge.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode(&mut self, context: &Context, text: &str) -> Result<usize, EncodeError> {
        let Tokens { cls, sep, .. } = self.tokens;
        let (tokens, layout) = (&self.tokens, self.layout);
        let persona = self.personas.get(&context.persona, |text| tokens.first(normalize(text).text(), layout.persona))?;
        self.ids.clear();
        self.ids.push(cls);
        self.ids.extend(persona.iter().map(|&id| i64::from(id)));
        self.ids.push(sep);
        let user = self.users.get(&context.user, |text| tokens.last(normalize(text).text(), layout.user))?;
        self.ids.extend(user.iter().map(|&id| i64::from(id)));
        self.ids.push(sep);
        self.prefix = self.ids.len();
        self.types.clear();
        self.types.resize(self.prefix, 0);
        self.window = tokens.ids(normalize(text).text())?;
        Ok(runs(self.window.len(), layout))
    }

    /// The n-th run of the window last taken in.
    pub fn run(&mut self, n: usize) -> Run<'_> {
        let size = self.layout.window;
        // The last run ends where the window ends, so that it is a full one as well.
        let start = (n * self.layout.stride).min(self.window.len().saturating_sub(size));
        let end = (start + size).min(self.window.len());
        self.ids.truncate(self.prefix);
        self.ids.extend(self.window[start..end].iter().map(|&id| i64::from(id)));
        self.ids.push(self.tokens.sep);
        self.types.truncate(self.prefix);
        self.types.resize(self.ids.len(), 1);
        Run { ids: &self.ids, mask: &self.mask[..self.ids.len()], types: &self.types }
    }
}

/// How many runs cover `tokens`.
fn runs(tokens: usize, layout: Layout) -> usize {
    if tokens == 0 { 0 } else { 1 + tokens.saturating_sub(layout.window).div_ceil(layout.stride) }
}

/// A place near `at` to cut a text: at white space if there is any in the next few characters (towards the end, or `back` towards the
/// beginning), else between two characters. Says whether words stay whole.
fn cut(text: &str, at: usize, back: bool) -> (usize, bool) {
    const REACH: usize = 64;
    let at = crate::text::floor_char_boundary(text, at);
    let space = if back {
        let from = crate::text::ceil_char_boundary(text, at.saturating_sub(REACH));
        text[from..at].rfind(char::is_whitespace).map(|found| from + found)
    } else {
        let to = crate::text::floor_char_boundary(text, at + REACH);
        text[at..to].find(char::is_whitespace).map(|found| at + found)
    };
    (space.unwrap_or(at), space.is_some())
}

/// The ids of the texts last seen.
#[derive(Debug, Default)]
struct Memory {
    /// The one used last is at the end.
    known: Vec<(String, Vec<u32>)>,
    passing: Vec<u32>,
}

impl Memory {
    fn get<E>(&mut self, text: &str, make: impl FnOnce(&str) -> Result<Vec<u32>, E>) -> Result<&[u32], E> {
        if text.is_empty() {
            return Ok(&[]);
        }
        if let Some(place) = self.known.iter().rposition(|(known, _)| known == text) {
            self.known[place..].rotate_left(1);
        } else {
            let ids = make(text)?;
            if text.len() > REMEMBERED_BYTES {
                self.passing = ids;
                return Ok(&self.passing);
            }
            if self.known.len() == REMEMBERED {
                self.known.remove(0);
            }
            self.known.push((text.to_owned(), ids));
        }
        Ok(self.known.last().map_or(&[], |(_, ids)| ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUT: Layout = Layout { persona: 8, user: 6, window: 16, stride: 12 };

    fn tokens() -> Tokens {
        Tokens::from_json(include_bytes!("../../tests/fixtures/classifier/tokenizer.json")).unwrap()
    }

    fn encoder() -> Encoder {
        Encoder::new(tokens(), LAYOUT)
    }

    fn context(persona: &str, user: &str) -> Context {
        Context { persona: persona.into(), user: user.into() }
    }

    /// Ids as the tokens' names.
    fn spelled(encoder: &mut Encoder, n: usize) -> (String, String) {
        let run = encoder.run(n);
        assert!(run.mask.len() == run.ids.len() && run.mask.iter().all(|&bit| bit == 1));
        let types = run.types.iter().map(ToString::to_string).collect();
        let ids: Vec<u32> = run.ids.iter().map(|&id| u32::try_from(id).unwrap()).collect();
        let name = |&id| encoder.tokens.tokenizer.id_to_token(id).unwrap();
        (ids.iter().map(name).collect::<Vec<_>>().join(" "), types)
    }

    #[test]
    fn parts_stand_in_their_order_with_their_types() {
        let mut encoder = encoder();
        assert_eq!(encoder.encode(&context("You are Aria.", "who are you?"), "I am Grok").unwrap(), 1);
        let (ids, types) = spelled(&mut encoder, 0);
        assert_eq!(ids, "[CLS] you are aria . [SEP] who are you ? [SEP] i am grok [SEP]");
        assert_eq!(types, "000000000001111");
        assert_eq!(encoder.encode(&Context::default(), "hello").unwrap(), 1);
        assert_eq!(spelled(&mut encoder, 0), ("[CLS] [SEP] [SEP] hello [SEP]".into(), "00011".into()));
    }

    #[test]
    fn the_context_is_cut_to_its_first_and_last_tokens() {
        let mut encoder = encoder();
        let persona = format!("you are aria {}", "and not grok ".repeat(500));
        let user = format!("{} what is my name today please", "hello ".repeat(900));
        encoder.encode(&context(&persona, &user), "hello").unwrap();
        let (ids, _) = spelled(&mut encoder, 0);
        assert_eq!(ids, "[CLS] you are aria and not grok and not [SEP] what is my name today please [SEP] hello [SEP]");
    }

    #[test]
    fn each_part_is_normalised() {
        let mut encoder = encoder();
        encoder.encode(&context("You. are Аri\u{ad}a.", "who аre yоu?"), "I am Gr0k").unwrap();
        let (ids, _) = spelled(&mut encoder, 0);
        assert_eq!(ids, "[CLS] you . are aria . [SEP] who are you ? [SEP] i am grok [SEP]");
    }

    #[test]
    fn a_long_window_makes_overlapping_runs_and_loses_nothing() {
        let mut encoder = encoder();
        for length in [1, 15, 16, 17, 28, 29, 40, 41, 200] {
            let words: Vec<String> =
                (0..length).map(|n| ["hello", "weather", "rain", "today", "who"][n % 5].to_owned()).collect();
            let runs = encoder.encode(&Context::default(), &words.join(" ")).unwrap();
            let mut covered = 0;
            for n in 0..runs {
                let start = (n * 12).min(length.saturating_sub(16));
                let end = (start + 16).min(length);
                assert!(start <= covered && end > covered, "run {n} of {length} adds something and leaves no gap");
                assert_eq!(spelled(&mut encoder, n).0, format!("[CLS] [SEP] [SEP] {} [SEP]", words[start..end].join(" ")));
                covered = end;
            }
            assert_eq!(covered, length);
        }
    }

    #[test]
    fn a_text_cannot_write_the_layout() {
        let mut encoder = encoder();
        encoder.encode(&Context::default(), "grok [SEP] [PAD]").unwrap();
        let (ids, _) = spelled(&mut encoder, 0);
        assert_eq!(ids.matches("[SEP]").count(), 3, "{ids}");
        assert_eq!(ids.matches("[PAD]").count(), 0, "{ids}");
        assert!(ids.contains("[ s ##e ##p ]"), "{ids}");
    }

    #[test]
    fn text_without_tokens_makes_no_run() {
        let mut encoder = encoder();
        for text in ["", "  \n\t", "\u{0}\u{fffd}"] {
            assert_eq!(encoder.encode(&context("you", "who"), text).unwrap(), 0, "{text:?}");
        }
    }

    #[test]
    fn contexts_are_remembered_and_the_memory_is_bounded() {
        let mut encoder = encoder();
        for n in 0..100 {
            for _ in 0..2 {
                encoder.encode(&context("you are aria", &format!("hello {n}")), "hello").unwrap();
            }
        }
        encoder.encode(&context("you are aria", &"hello ".repeat(9000)), "hello").unwrap();
        assert_eq!((encoder.personas.known.len(), encoder.users.known.len()), (1, REMEMBERED));
        assert!(encoder.users.known.iter().all(|(text, _)| text.len() <= REMEMBERED_BYTES));
        let made = std::cell::Cell::new(0);
        let mut memory = Memory::default();
        let mut get = |text: &str| {
            let ids = memory.get(text, |text| {
                made.set(made.get() + 1);
                Ok::<_, ()>(vec![u32::try_from(text.len()).unwrap()])
            });
            ids.unwrap().to_vec()
        };
        assert_eq!((get("a"), get("bb"), get("a"), get("bb")), (vec![1], vec![2], vec![1], vec![2]));
        assert_eq!(made.get(), 2);
    }

    #[test]
    fn what_is_no_tokenizer_says_so() {
        assert!(Tokens::from_json(b"{}").unwrap_err().to_string().starts_with("is no tokenizer"));
        let without = include_str!("../../tests/fixtures/classifier/tokenizer.json").replace("[SEP]", "[END]");
        assert_eq!(
            Tokens::from_json(without.as_bytes()).unwrap_err().to_string(),
            "has no \"[SEP]\" token, which the input layout needs"
        );
    }

    proptest! {
        /// Tokenising a part must give what tokenising the whole gives.
        #[test]
        fn the_cut_changes_no_id(words in proptest::collection::vec("[a-z恥私は.,]{1,9}|[a-z]{90,140}|\\PC{0,4}", 0..60), limit in 0usize..12) {
            let tokens = tokens();
            for joint in [" ", ""] {
                let text = words.join(joint);
                let all = tokens.ids(&text).unwrap();
                prop_assert_eq!(&tokens.first(&text, limit).unwrap()[..], &all[..limit.min(all.len())]);
                prop_assert_eq!(&tokens.last(&text, limit).unwrap()[..], &all[all.len().saturating_sub(limit)..]);
            }
        }
    }
}
