//! How much of an answer's text an incident keeps, and the text that it keeps.

use serde::{Deserialize, Serialize};

use crate::guard::events::Excerpt;
use crate::text::floor_char_boundary;
use crate::verdict::Verdict;

/// How much of an answer's text an incident keeps: `[incidents] text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeepText {
    /// None of it: no excerpt, no evidence (it quotes the answer), no session name.
    None,
    /// The span that caused the verdict and 200 characters around it.
    #[default]
    Excerpt,
    /// All of it.
    Full,
}

/// Bytes kept of a span that was matched: a window is a few hundred, a pattern could match more.
pub(super) const MATCHED: usize = 4096;
/// Bytes kept of a detector's explanation.
pub(super) const EVIDENCE: usize = 1024;

/// A stretch of text and what stood around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Up to 200 characters before.
    pub before: String,
    /// What caused the verdict.
    pub matched: String,
    /// Up to 200 characters after.
    pub after: String,
}

pub(super) fn evidence(verdict: &Verdict, keep: KeepText) -> Option<String> {
    verdict.evidence.as_deref().filter(|_| keep != KeepText::None).map(|evidence| cut(evidence, EVIDENCE))
}

pub(super) fn quote(excerpt: &Excerpt, keep: KeepText) -> Option<Quote> {
    (keep != KeepText::None && !excerpt.matched.is_empty()).then(|| Quote {
        before: excerpt.before.clone(),
        matched: cut(&excerpt.matched, MATCHED),
        after: excerpt.after.clone(),
    })
}

/// At most `limit` bytes, and a mark where some are missing.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit { text.to_owned() } else { format!("{}…", &text[..floor_char_boundary(text, limit)]) }
}
