//! Which parts of an answer are its own prose, and which are code, quotation or table: detectors that judge what the model *says* look
//! only at the first. Reads a bounded stretch at the end of a growing text. Knows nothing of what is looked for.

use std::ops::Range;

use crate::text::{ceil_char_boundary, floor_char_boundary};

/// How far back a paragraph's beginning is looked for, in bytes: quotation marks pair up within a paragraph.
const PARAGRAPH: usize = 2 << 10;
/// How far back an open code fence is looked for, in bytes. A fence with a language resynchronises a longer look.
const FENCE: usize = 32 << 10;

/// What a stretch of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The writer's own words.
    Prose,
    /// A code fence or inline code.
    Code,
    /// Between quotation marks, or behind `>`.
    Quote,
    /// A row of a table.
    Table,
}

/// The parts of the end of a text.
#[derive(Clone, Debug)]
pub struct Prose<'t> {
    text: &'t str,
    start: usize,
    /// What is not prose, ascending and disjoint.
    others: Vec<(Range<usize>, Part)>,
}

impl<'t> Prose<'t> {
    /// Reads `text` from the beginning of the paragraph that `from` lies in. `last`: nothing follows, so that a quotation which has not
    /// been closed is none.
    #[must_use]
    pub fn read(text: &'t str, from: usize, last: bool) -> Self {
        let start = paragraph_start(text, from);
        let mut prose = Prose { text, start, others: Vec::new() };
        let mut fence = fence_at(text, start);
        let mut paragraph = start;
        let mut at = start;
        while at < text.len() {
            let end = line_end(text, at);
            let line = &text[at..end];
            let kind = match (&fence, LineKind::of(line)) {
                (Some(open), LineKind::Fence(mark)) if mark.closes(*open) => {
                    fence = None;
                    LineKind::Fence(mark)
                }
                (Some(_), LineKind::Fence(mark)) if mark.info => {
                    fence = Some(mark);
                    LineKind::Fence(mark)
                }
                (Some(open), _) => LineKind::Fence(*open),
                (None, LineKind::Fence(mark)) => {
                    fence = Some(mark);
                    LineKind::Fence(mark)
                }
                (None, kind) => kind,
            };
            if kind != LineKind::Words {
                prose.words(paragraph..at, true);
                paragraph = end;
                match kind {
                    LineKind::Fence(_) => prose.push(at..end, Part::Code),
                    LineKind::Quote => prose.push(at..end, Part::Quote),
                    LineKind::Table => prose.push(at..end, Part::Table),
                    LineKind::Blank | LineKind::Words => {}
                }
            }
            at = end;
        }
        prose.words(paragraph..text.len(), last);
        prose
    }

    /// Where the reading began.
    #[must_use]
    pub const fn start(&self) -> usize {
        self.start
    }

    /// What stands at this byte.
    #[must_use]
    pub fn part_at(&self, at: usize) -> Part {
        let next = self.others.partition_point(|(range, _)| range.end <= at);
        match self.others.get(next) {
            Some((range, part)) if range.contains(&at) => *part,
            _ => Part::Prose,
        }
    }

    /// The stretches, ascending and without gaps, from [`Prose::start`] to the end of the text.
    pub fn parts(&self) -> impl Iterator<Item = (Range<usize>, Part)> + '_ {
        let ends = self.others.iter().map(|(range, _)| range.end);
        let gaps = std::iter::once(self.start).chain(ends).zip(
            self.others
                .iter()
                .map(|(range, part)| (range.clone(), Some(*part)))
                .chain(std::iter::once((self.text.len()..0, None))),
        );
        gaps.flat_map(|(from, (range, part))| {
            [(from..range.start, Some(Part::Prose)), (range, part)].into_iter().filter_map(|(range, part)| {
                let part = part?;
                (!range.is_empty()).then_some((range, part))
            })
        })
    }

    fn push(&mut self, range: Range<usize>, part: Part) {
        match self.others.last_mut() {
            Some((last, kind)) if *kind == part && last.end == range.start => last.end = range.end,
            _ => self.others.push((range, part)),
        }
    }

    /// Finds inline code and quotations in a paragraph.
    fn words(&mut self, range: Range<usize>, closed: bool) {
        let text = &self.text[range.clone()];
        let mut chars = text.char_indices().peekable();
        let mut before = None;
        let mut open = Open::default();
        while let Some((at, c)) = chars.next() {
            let found = match c {
                '`' => inline_code(text, at, closed, &mut open).map(|end| (end, Part::Code)),
                _ => quotation(text, at, c, before, closed, &mut open).map(|end| (end, Part::Quote)),
            };
            before = Some(c);
            if let Some((end, part)) = found {
                self.push(range.start + at..range.start + end, part);
                while chars.next_if(|(next, _)| *next < end).is_some() {}
                before = text[..end].chars().next_back();
            } else if c == '`' {
                // Marks that open nothing do so together.
                while chars.next_if(|(_, next)| *next == '`').is_some() {}
            }
        }
    }
}

/// A code fence: its mark, its length, and whether a language stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fence {
    mark: u8,
    length: usize,
    info: bool,
}

impl Fence {
    fn closes(self, open: Fence) -> bool {
        self.mark == open.mark && self.length >= open.length && !self.info
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    Blank,
    Fence(Fence),
    Quote,
    Table,
    Words,
}

impl LineKind {
    fn of(line: &str) -> Self {
        let line = line.trim();
        match line.as_bytes().first() {
            None => LineKind::Blank,
            Some(mark @ (b'`' | b'~')) => {
                let length = line.bytes().take_while(|byte| byte == mark).count();
                let info = &line[length..];
                if length >= 3 && !(*mark == b'`' && info.contains('`')) {
                    LineKind::Fence(Fence { mark: *mark, length, info: !info.is_empty() })
                } else {
                    LineKind::Words
                }
            }
            Some(b'>') => LineKind::Quote,
            Some(b'|') if line.len() > 1 => LineKind::Table,
            // A row without its outer marks.
            Some(_) if line.matches(" | ").count() >= 2 => LineKind::Table,
            Some(_) => LineKind::Words,
        }
    }
}

/// The end of the line that begins at `at`, its line feed included.
fn line_end(text: &str, at: usize) -> usize {
    memchr::memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |found| at + found + 1)
}

/// The beginning of the paragraph that `from` lies in, or of the line that is [`PARAGRAPH`] bytes before it.
fn paragraph_start(text: &str, from: usize) -> usize {
    let from = floor_char_boundary(text, from);
    let floor = ceil_char_boundary(text, from.saturating_sub(PARAGRAPH));
    let back = &text[floor..from];
    if let Some(blank) = memchr::memmem::rfind(back.as_bytes(), b"\n\n") {
        return floor + blank + 2;
    }
    if floor == 0 {
        return 0;
    }
    memchr::memchr(b'\n', back.as_bytes()).map_or(floor, |line| floor + line + 1)
}

/// The code fence that is open where `start` is.
fn fence_at(text: &str, start: usize) -> Option<Fence> {
    let mut at = ceil_char_boundary(text, start.saturating_sub(FENCE));
    let mut fence: Option<Fence> = None;
    while at < start {
        let end = line_end(text, at).min(start);
        if let LineKind::Fence(mark) = LineKind::of(&text[at..end]) {
            fence = match fence {
                Some(open) if mark.closes(open) => None,
                Some(open) if !mark.info => Some(open),
                _ => Some(mark),
            };
        }
        at = end;
    }
    fence
}

/// Marks whose end was looked for in a paragraph and is not there, so that it is looked for once and not once for each mark.
#[derive(Debug, Default)]
struct Open(Vec<(char, usize)>);

impl Open {
    fn find(&mut self, mark: char, length: usize, end: impl FnOnce() -> Option<usize>) -> Option<usize> {
        if self.0.contains(&(mark, length)) {
            return None;
        }
        let end = end();
        if end.is_none() {
            self.0.push((mark, length));
        }
        end
    }
}

/// The end of the inline code that begins at `at`. Without its end it is none.
fn inline_code(text: &str, at: usize, closed: bool, open: &mut Open) -> Option<usize> {
    let length = text[at..].bytes().take_while(|byte| *byte == b'`').count();
    open.find('`', length, || code_end(text, at, length)).or_else(|| (!closed).then_some(text.len()))
}

/// The end of the inline code that begins at `at` with so many marks.
fn code_end(text: &str, at: usize, length: usize) -> Option<usize> {
    let run = |from: usize| text[from..].bytes().take_while(|byte| *byte == b'`').count();
    let mut next = at + length;
    while let Some(found) = memchr::memchr(b'`', &text.as_bytes()[next..]) {
        let begin = next + found;
        let other = run(begin);
        if other == length {
            return Some(begin + other);
        }
        next = begin + other;
    }
    None
}

/// The end of the quotation that begins at `at` with `c`.
fn quotation(text: &str, at: usize, c: char, before: Option<char>, closed: bool, open: &mut Open) -> Option<usize> {
    let inside = at + c.len_utf8();
    let rest = &text[inside..];
    let after = rest.chars().next();
    let closers: &[char] = match c {
        '“' | '〝' => &['”', '〞', '〟'],
        '„' => &['“', '”'],
        '«' => &['»'],
        '»' => &['«'],
        '‹' => &['›'],
        '「' => &['」'],
        '『' => &['』'],
        '《' => &['》'],
        '"' if !before.is_some_and(|c| c.is_ascii_alphanumeric()) => &['"'],
        '‘' | '\'' => {
            // An apostrophe unless it opens a word; and it must be closed, for an apostrophe may open one as well.
            let opens = !before.is_some_and(char::is_alphanumeric) && after.is_some_and(|c| c.is_alphanumeric() || c == '…');
            let closer = if c == '‘' { '’' } else { '\'' };
            let end = || open.find(c, 1, || single(rest, closer)).or_else(|| unfinished(rest, closed));
            return opens.then(end).flatten().map(|end| inside + end);
        }
        _ => return None,
    };
    if let Some(end) = open.find(c, 1, || rest.find(closers)) {
        let closer = rest[end..].chars().next().map_or(0, char::len_utf8);
        return Some(inside + end + closer);
    }
    if !closed {
        return Some(text.len());
    }
    // Left open: a mark that stands for something else (inches, an arrow), or forgotten. To the end of the line at most.
    matches!(c, '"' | '“' | '„' | '「' | '『').then(|| inside + memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len()))
}

/// Where a quotation in single marks ends.
fn single(rest: &str, closer: char) -> Option<usize> {
    for (end, _) in rest.match_indices(closer) {
        let after = rest[end + closer.len_utf8()..].chars().next();
        let before = rest[..end].chars().next_back();
        if !after.is_some_and(char::is_alphanumeric) && before.is_some_and(|c| !c.is_whitespace()) {
            return Some(end + closer.len_utf8());
        }
    }
    None
}

/// The end of a quotation in single marks that is not closed yet.
fn unfinished(rest: &str, closed: bool) -> Option<usize> {
    (!closed && rest.len() < 200 && !rest.contains('\n')).then_some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own(text: &str) -> String {
        let prose = Prose::read(text, 0, true);
        prose.parts().filter(|(_, part)| *part == Part::Prose).map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn quotations_in_many_marks_are_not_own() {
        for quoted in ["\"X\"", "“X”", "„X“", "«X»", "»X«", "「X」", "『X』", "'X'", "‘X’", "《X》"] {
            assert_eq!(own(&format!("It said {quoted}, then left.")), "It said , then left.", "{quoted}");
        }
        assert_eq!(own("> X\nmine"), "mine");
    }

    #[test]
    fn apostrophes_and_inches_quote_nothing() {
        for text in [
            "I'm Aria and it's the users' choice.",
            "A 6\" disk and a 9\" disk.",
            "rock 'n roll isn't dead",
            "I’m Aria, the cats’ friend",
        ] {
            assert_eq!(own(text), text);
        }
    }

    #[test]
    fn a_mark_without_an_end_does_not_hide_others() {
        assert_eq!(own("a « b ‹c› d « e ‹f› g ``` h `X` i\n\nk"), "a « b  d « e  g ``` h  i\n\nk");
        assert_eq!(own("‹ ‹ «X» ‹ «X» 'tis the rest\n\nk"), "‹ ‹  ‹  'tis the rest\n\nk");
    }

    #[test]
    fn code_and_tables_are_not_own() {
        assert_eq!(own("a\n```python\nX\n```\nb `X` c\n| X | Y |\nd"), "a\nb  c\nd");
        assert_eq!(own("~~~\nX\n```\nX\n~~~\nb"), "b");
        assert_eq!(own("a\n```\nX"), "a\n", "an unclosed fence runs to the end");
    }

    #[test]
    fn a_fence_opened_long_ago_is_still_open() {
        let mut text = String::from("Here:\n```c\n");
        text.push_str(&"int x;\n\n".repeat(500));
        let seen = text.len();
        text.push_str("I'm Grok\n");
        let prose = Prose::read(&text, seen, false);
        assert!(prose.start() > 0, "looks back a bounded stretch only");
        assert_eq!(prose.part_at(seen + 2), Part::Code);
    }

    #[test]
    fn a_quotation_still_open_at_the_end_of_a_stream_is_one() {
        let text = "The bot said \"I'm Gr";
        assert_eq!(Prose::read(text, 0, false).part_at(16), Part::Quote);
        assert_eq!(Prose::read("The 9\" disk", 0, false).part_at(8), Part::Prose);
    }

    proptest! {
        #[test]
        fn parts_cover_the_text_in_order(text in "[a-z`'\"“”「」> |~\n]{0,200}", from in 0usize..200, last in any::<bool>()) {
            let prose = Prose::read(&text, from.min(text.len()), last);
            let mut at = prose.start();
            for (range, part) in prose.parts() {
                prop_assert_eq!(range.start, at);
                prop_assert_eq!(prose.part_at(range.start), part);
                at = range.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
