//! The memory of one lane: which words of statements have come, and where a sentence stands open that may become one. A passing look
//! judges whole sentences only, for the words behind a name can take everything back.

use std::sync::Arc;

use super::Rules;
use super::anchors::Hints;
use super::clause::{ends_sentence, may_go_on, sentence_start};
use crate::detect::{Finding, Moment, Watch};

/// How long a sentence with a name in it stays open, in bytes: no statement is looked for further on.
const LONGEST: usize = 600;

/// What is remembered of one lane.
pub(super) struct IdentityWatch {
    rules: Arc<Rules>,
    hints: Hints,
    /// Bytes that have been looked at.
    seen: usize,
    /// Bytes in which the end of the open sentence has been looked for.
    scanned: usize,
    /// Bytes of the text of the last look, and of the last that was no passing one: what had come by then need not wait.
    len: usize,
    judged: usize,
}

impl IdentityWatch {
    /// Before the first byte.
    pub fn new(rules: Arc<Rules>) -> Self {
        IdentityWatch { hints: Hints::new(&rules.anchors), rules, seen: 0, scanned: 0, len: 0, judged: 0 }
    }

    /// Looks at the sentences that have ended.
    fn pass(&mut self, text: &str) -> Option<Finding> {
        self.hints.read(&self.rules.anchors, text);
        let Some(decisive) = self.hints.decisive() else {
            self.seen = text.len();
            return None;
        };
        let end = match self.sentence_end(text, decisive) {
            Some(end) => end,
            None if text.len() - decisive > LONGEST => text.len(),
            None => return None,
        };
        let finding = self.examine(text, end, false);
        if self.hints.decisive().is_none() {
            self.seen = text.len();
        }
        finding
    }

    /// Looks at `text[..end]` from the sentence on in which the last look ended. What its last sentence holds, if that is not over, stays
    /// undecided.
    fn examine(&mut self, text: &str, end: usize, last: bool) -> Option<Finding> {
        // What ends a sentence may show later than it comes.
        let seen = std::mem::replace(&mut self.seen, end).min(end);
        let judged = &text[..end];
        let from = sentence_start(judged, seen);
        let wanted = self.hints.wanted(&self.rules.anchors, from, last && seen == end);
        let finding = if wanted.is_nothing() { None } else { self.rules.examine(judged, seen, last, wanted) };
        self.hints.settle(sentence_start(text, end));
        self.hints.read(&self.rules.anchors, text);
        finding
    }

    /// Behind the last sentence that has ended since `decisive`.
    fn sentence_end(&mut self, text: &str, decisive: usize) -> Option<usize> {
        let from = self.scanned.max(decisive);
        let mut last = None;
        self.scanned = text.len();
        for (at, c) in text[from..].char_indices() {
            let behind = from + at + c.len_utf8();
            // Whether a full stop ends a sentence is known by what follows it.
            if behind == text.len() && may_go_on(c) {
                self.scanned = from + at;
            } else if ends_sentence(text, behind, c) {
                last = Some(behind);
            }
        }
        last
    }
}

impl Watch for IdentityWatch {
    fn look(&mut self, text: &str, moment: Moment) -> Option<Finding> {
        self.len = text.len();
        if moment == Moment::Passing {
            return self.pass(text);
        }
        self.judged = text.len();
        self.hints.read(&self.rules.anchors, text);
        self.examine(text, text.len(), moment == Moment::End)
    }

    fn open(&self) -> usize {
        let begun = self.hints.begun(self.len);
        self.hints.decisive().or(begun).map_or(0, |start| self.len - start.max(self.judged))
    }
}
