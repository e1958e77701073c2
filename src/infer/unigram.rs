//! Unigram vocabularies, held in a few flat arrays. The `tokenizers` crate keeps a hash map for every byte of every token, which for the
//! 40,000 tokens of the shipped classifier is most of the time to read `tokenizer.json` and more memory than the model; and it remembers the
//! words of the texts it has seen. The ids are the crate's own, to the last tie (the tests compare them). Other kinds of vocabulary go to the
//! crate. Knows no text's meaning and no files.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::{Model, Result, Token};

/// How much less than the least likely token a character is worth that no token covers.
const UNKNOWN_PENALTY: f64 = 10.0;

/// No token, no node, no beginning.
const NONE: u32 = u32::MAX;

/// The `model` of a `tokenizer.json`.
pub(super) enum Vocabulary {
    /// Ours.
    Unigram(Unigram),
    /// The crate's.
    Other(Box<ModelWrapper>),
}

/// A unigram vocabulary.
#[derive(Debug)]
pub(super) struct Unigram {
    /// Every token's text, end to end, by id.
    text: String,
    /// Where each token's text ends.
    ends: Vec<u32>,
    /// Each token's log likelihood.
    scores: Vec<f64>,
    trie: Trie,
    unknown: Option<u32>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// Tokens by their bytes. Node 0 is the root; the children of a node stand side by side, and after those of the node before it.
#[derive(Debug)]
struct Trie {
    /// The byte that leads to a node.
    byte: Vec<u8>,
    /// The first child of a node; the next node's first child is the end of them.
    first: Vec<u32>,
    /// The token that ends at a node.
    token: Vec<u32>,
}

/// The best way to cover a text up to some place.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    start: u32,
    token: u32,
}

impl Unigram {
    /// A vocabulary of tokens with their log likelihoods; `unknown`: the token that stands for what none covers.
    fn new(pieces: &[(String, f64)], unknown: Option<u32>, byte_fallback: bool) -> std::result::Result<Self, String> {
        if unknown.is_some_and(|unknown| unknown as usize >= pieces.len()) {
            return Err("unk_id is beyond the vocabulary".to_owned());
        }
        let text: String = pieces.iter().map(|(piece, _)| piece.as_str()).collect();
        if u32::try_from(text.len().max(pieces.len())).is_err() {
            return Err("the vocabulary is too large".to_owned());
        }
        let mut end = 0;
        let ends = pieces.iter().map(|(piece, _)| {
            end += piece.len();
            u32::try_from(end).unwrap_or(NONE)
        });
        let ends = ends.collect();
        let scores: Vec<f64> = pieces.iter().map(|(_, score)| *score).collect();
        let least = scores.iter().copied().fold(f64::INFINITY, |least, score| if score < least { score } else { least });
        Ok(Unigram {
            ends,
            scores,
            trie: Trie::new(pieces),
            unknown,
            unknown_score: least - UNKNOWN_PENALTY,
            byte_fallback,
            text,
        })
    }

    fn token(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        Some(&self.text[start..end])
    }

    /// The pieces of the likeliest way to cover a text: where each ends and its token. Characters that no token covers and that stand
    /// side by side are one piece.
    fn pieces(&self, text: &str) -> Result<Vec<(usize, u32)>> {
        let missing = || "a character is in no token, and the vocabulary has no unk_id";
        let bytes = text.as_bytes();
        let mut best = vec![Best { score: 0.0, start: NONE, token: NONE }; bytes.len() + 1];
        let better = |best: &Best, score: f64| best.start == NONE || score > best.score;
        for (start, character) in text.char_indices() {
            let so_far = best[start].score;
            let start32 = u32::try_from(start)?;
            let mut whole = false;
            for (length, token) in self.trie.prefixes(&bytes[start..]) {
                whole |= length == character.len_utf8();
                let (place, score) = (&mut best[start + length], self.scores[token as usize] + so_far);
                if better(place, score) {
                    *place = Best { score, start: start32, token };
                }
            }
            let (place, score) = (&mut best[start + character.len_utf8()], self.unknown_score + so_far);
            if !whole && better(place, score) {
                *place = Best { score, start: start32, token: self.unknown.ok_or_else(missing)? };
            }
        }
        let mut pieces: Vec<(usize, u32)> = Vec::new();
        let mut end = bytes.len();
        while end > 0 {
            let Best { start, token, .. } = best[end];
            match pieces.last() {
                Some((_, later)) if Some(*later) == self.unknown && *later == token => {}
                _ => pieces.push((end, token)),
            }
            end = start as usize;
        }
        pieces.reverse();
        Ok(pieces)
    }
}

impl Trie {
    fn new(pieces: &[(String, f64)]) -> Self {
        let mut sorted: Vec<(&[u8], u32)> = (0..).zip(pieces).map(|(id, (piece, _))| (piece.as_bytes(), id)).collect();
        sorted.sort_unstable();
        // Of equal tokens the last counts.
        sorted.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        let mut trie = Trie { byte: vec![0], first: Vec::new(), token: Vec::new() };
        // The tokens below each node of one depth: all begin with the bytes that lead there.
        let mut level: Vec<std::ops::Range<usize>> = std::iter::once(0..sorted.len()).collect();
        for depth in 0.. {
            let mut next = Vec::new();
            let begin = trie.byte.len();
            for mut range in level {
                let ends_here = sorted.get(range.start).filter(|(bytes, _)| !range.is_empty() && bytes.len() == depth);
                trie.token.push(ends_here.filter(|_| depth > 0).map_or(NONE, |(_, id)| *id));
                range.start += usize::from(ends_here.is_some());
                trie.first.push(u32::try_from(begin + next.len()).unwrap_or(NONE));
                while !range.is_empty() {
                    let byte = sorted[range.start].0[depth];
                    let count = sorted[range.clone()].partition_point(|(bytes, _)| bytes[depth] == byte);
                    trie.byte.push(byte);
                    next.push(range.start..range.start + count);
                    range.start += count;
                }
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        trie.first.push(u32::try_from(trie.byte.len()).unwrap_or(NONE));
        trie.byte.shrink_to_fit();
        trie.first.shrink_to_fit();
        trie.token.shrink_to_fit();
        trie
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let (first, end) = (self.first[node] as usize, self.first[node + 1] as usize);
        memchr::memchr(byte, &self.byte[first..end]).map(|at| first + at)
    }

    /// The tokens that a text begins with, shortest first, each with its length.
    fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, u32)> {
        let mut node = 0;
        let nodes = text.iter().map_while(move |&byte| {
            node = self.child(node, byte)?;
            Some(self.token[node])
        });
        (1..).zip(nodes).filter(|(_, token)| *token != NONE)
    }

    fn find(&self, token: &str) -> Option<u32> {
        let node = token.bytes().try_fold(0, |node, byte| self.child(node, byte))?;
        Some(self.token[node]).filter(|token| *token != NONE)
    }
}

impl Model for Unigram {
    type Trainer = UnigramTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let pieces = self.pieces(text)?;
        let mut tokens = Vec::with_capacity(pieces.len());
        let mut start = 0;
        for (end, token) in pieces {
            let piece = &text[start..end];
            // Several unknown characters in a row may have a token together.
            let known = if Some(token) == self.unknown { self.trie.find(piece) } else { Some(token) };
            let spelled = || -> Option<Vec<(u32, String)>> {
                let names = piece.bytes().map(|byte| format!("<0x{byte:02X}>"));
                names.map(|name| Some((self.trie.find(&name)?, name))).collect()
            };
            match known {
                Some(token) => tokens.push(Token::new(token, piece.to_owned(), (start, end))),
                None => match self.byte_fallback.then(spelled).flatten() {
                    Some(bytes) => tokens.extend(bytes.into_iter().map(|(token, name)| Token::new(token, name, (start, end)))),
                    None => tokens.push(Token::new(token, piece.to_owned(), (start, end))),
                },
            }
            start = end;
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.trie.find(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.token(id).map(str::to_owned)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..).zip(&self.ends).filter_map(|(id, _)| Some((self.token(id)?.to_owned(), id))).collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.ends.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a vocabulary is only read here; it is written where classifiers are trained".into())
    }

    fn get_trainer(&self) -> UnigramTrainer {
        UnigramTrainer::default()
    }
}

/// Calls the model that is there.
macro_rules! either {
    ($vocabulary:expr, $model:ident => $call:expr) => {
        match $vocabulary {
            Vocabulary::Unigram($model) => $call,
            Vocabulary::Other($model) => $call,
        }
    };
}

impl Model for Vocabulary {
    type Trainer = UnigramTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        either!(self, model => model.tokenize(text))
    }
    fn token_to_id(&self, token: &str) -> Option<u32> {
        either!(self, model => model.token_to_id(token))
    }
    fn id_to_token(&self, id: u32) -> Option<String> {
        either!(self, model => model.id_to_token(id))
    }
    fn get_vocab(&self) -> HashMap<String, u32> {
        either!(self, model => model.get_vocab())
    }
    fn get_vocab_size(&self) -> usize {
        either!(self, model => model.get_vocab_size())
    }
    fn save(&self, folder: &Path, prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        either!(self, model => model.save(folder, prefix))
    }
    fn get_trainer(&self) -> UnigramTrainer {
        UnigramTrainer::default()
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(OfAnyKind)
    }
}

struct OfAnyKind;

impl<'de> Visitor<'de> for OfAnyKind {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tokenizer's model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Vocabulary, A::Error> {
        let mut fields = serde_json::Map::new();
        let mut pieces: Option<Vec<(String, f64)>> = None;
        let is_unigram = |fields: &serde_json::Map<String, Value>| fields.get("type").is_some_and(|kind| kind == "Unigram");
        while let Some(key) = map.next_key::<String>()? {
            // The long one, read without a detour where its kind is known by then, as it is in files that the crate wrote.
            if key == "vocab" && is_unigram(&fields) {
                pieces = Some(map.next_value()?);
            } else {
                let value = map.next_value()?;
                fields.insert(key, value);
            }
        }
        if !is_unigram(&fields) {
            let model = ModelWrapper::deserialize(Value::Object(fields)).map_err(de::Error::custom)?;
            return Ok(Vocabulary::Other(Box::new(model)));
        }
        let mut field = |name: &str| fields.remove(name).unwrap_or_default();
        let pieces = match pieces {
            Some(pieces) => pieces,
            None => serde_json::from_value(field("vocab")).map_err(de::Error::custom)?,
        };
        let unknown = serde_json::from_value(field("unk_id")).map_err(de::Error::custom)?;
        let byte_fallback: Option<bool> = serde_json::from_value(field("byte_fallback")).map_err(de::Error::custom)?;
        let unigram = Unigram::new(&pieces, unknown, byte_fallback.unwrap_or_default()).map_err(de::Error::custom)?;
        Ok(Vocabulary::Unigram(unigram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::models::unigram::Unigram as Theirs;

    /// A token's id, text and place.
    type Told = (u32, String, (usize, usize));

    fn told(tokens: Result<Vec<Token>>) -> Option<Vec<Told>> {
        tokens.ok().map(|tokens| tokens.into_iter().map(|token| (token.id, token.value, token.offsets)).collect())
    }

    #[test]
    fn the_shipped_vocabulary_gives_the_ids_of_the_crate() {
        let json = include_bytes!("../../classifiers/collapse/tokenizer.json");
        let file: Value = serde_json::from_slice(json).unwrap();
        let ours = Vocabulary::deserialize(&file["model"]).unwrap();
        assert!(matches!(ours, Vocabulary::Unigram(_)));
        let theirs = ModelWrapper::deserialize(&file["model"]).unwrap();
        assert_eq!(ours.get_vocab_size(), theirs.get_vocab_size());
        assert_eq!(ours.get_vocab(), theirs.get_vocab());
        let texts = [
            "\u{2581}the",
            "\u{2581}lighthouse",
            "\u{2581}I",
            "\u{2581}mechahitler",
            "\u{2581}私はグロックです",
            "\u{2581}naïve",
            "\u{2581}[CLS]",
            "[UNK]x",
            "\u{1f600}\u{1f600}",
            "\u{2581}a\u{1f600}b[UNK]",
            "",
            "\u{2581}",
            "\u{2581}supercalifragilisticexpialidocious",
            "\u{2581}안녕하세요",
            "\u{2581}你好世界",
            "\u{2581}🙂de",
        ];
        for text in texts {
            assert_eq!(told(ours.tokenize(text)), told(theirs.tokenize(text)), "{text}");
        }
        for id in (0..40_000).step_by(997).chain([u32::MAX]) {
            assert_eq!(ours.id_to_token(id), theirs.id_to_token(id));
        }
    }

    #[test]
    fn other_kinds_are_the_crates() {
        let model: Vocabulary = serde_json::from_str(
            r###"{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": {"[UNK]": 0, "un": 1, "##able": 2}}"###,
        )
        .unwrap();
        assert!(matches!(model, Vocabulary::Other(_)));
        assert_eq!(told(model.tokenize("unable")).unwrap().iter().map(|token| token.0).collect::<Vec<_>>(), [1, 2]);
        assert!(serde_json::from_str::<Vocabulary>(r#"{"vocab": [["a", 0.0]], "type": "Unigram", "unk_id": 0}"#).is_ok());
        for (bad, reason) in [
            (r#"{"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 1}"#, "unk_id is beyond the vocabulary"),
            (r#"{"type": "Unigram", "unk_id": 0}"#, "null"),
        ] {
            let error = serde_json::from_str::<Vocabulary>(bad).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        /// Whatever the vocabulary: ties, doubled tokens, tokens that cut characters' neighbours, none for unknown characters.
        #[test]
        fn any_vocabulary_gives_the_tokens_of_the_crate(
            pieces in proptest::collection::vec(("[abé私]{1,4}|<0xE7>|<0xA7>|<0x81>", -6i8..3), 1..24),
            unknown in proptest::option::of(0usize..24),
            byte_fallback in any::<bool>(),
            texts in proptest::collection::vec("[abcé私は]{0,12}", 1..6),
        ) {
            let pieces: Vec<(String, f64)> = pieces.into_iter().map(|(piece, score)| (piece, f64::from(score) / 2.0)).collect();
            let unknown = unknown.map(|unknown| unknown % pieces.len());
            let ours = Unigram::new(&pieces, unknown.map(|unknown| u32::try_from(unknown).unwrap()), byte_fallback).unwrap();
            let theirs = Theirs::from(pieces, unknown, byte_fallback).unwrap();
            for text in texts {
                prop_assert_eq!(told(ours.tokenize(&text)), told(theirs.tokenize(&text)), "{}", text);
            }
        }
    }
}
