//! What the first stage sees of a token beside the token itself: the part it stands in, how long ago it stood there before, how long a run
//! of tokens repeats with it, and whether persona or user turn hold it. Loops and echoes are seen by that. Knows ids only.

use std::ops::Range;

/// How many values each mark has: part; distance of the same token; length of the run that repeats; who holds it.
pub(super) const MARKS: [usize; 4] = [3, 9, 9, 4];

/// Numbers about a window as a whole; each is given a second time, squared.
pub(super) const FACTS: usize = 13;

/// The id that stands for characters which no token covers.
const UNKNOWN: i64 = 1;

/// The marks of one input's tokens.
#[derive(Debug, Default)]
pub(super) struct Marks {
    rows: Vec<[usize; MARKS.len()]>,
    parts: [Range<usize>; 3],
    facts: Vec<f32>,
    repeats: Repeats,
}

/// What of a part repeats, token by token.
#[derive(Debug, Default)]
struct Repeats {
    /// The tokens so far.
    part: Vec<u32>,
    /// At each place and one more: how many tokens up to the one before it are those up to the last token.
    runs: Vec<u32>,
    /// The same for the token at hand.
    next: Vec<u32>,
}

impl Marks {
    /// Finds them; `false` for an input without a window.
    pub(super) fn find(&mut self, ids: &[i64], types: &[i64]) -> bool {
        // `[CLS] persona [SEP] user [SEP] window [SEP]`: the window is of the second type, and the last id before it parts the others.
        let window = types.iter().position(|kind| *kind == 1).unwrap_or(ids.len());
        let Some(separator) = window.checked_sub(1).map(|last| ids[last]).filter(|_| window < ids.len()) else { return false };
        let user = ids[..window].iter().position(|id| *id == separator).map_or(window, |at| at + 1);
        self.parts = [0..user, user..window, window..ids.len()];
        self.rows.clear();
        let mut shares = [0_u32; 10];
        for (part, range) in self.parts.iter().enumerate() {
            self.repeats.begin(range.len());
            for at in range.clone() {
                let (since, run) = self.repeats.of(ids[at]);
                let holds = |part: usize| ids[self.parts[part].clone()].contains(&ids[at]);
                let held = (holds(0), holds(1));
                self.rows.push([part, bucket(since), bucket(run), usize::from(held.0) + 2 * usize::from(held.1)]);
                if part == 2 {
                    let longer = [1, 2, 3, 5, 9].map(|least| run >= least);
                    let told = [(1..9).contains(&since), since == 1, held.0, held.1, ids[at] == UNKNOWN];
                    shares.iter_mut().zip(longer.into_iter().chain(told)).for_each(|(share, told)| *share += u32::from(told));
                }
            }
        }
        let [persona, user, window] = self.parts.each_ref().map(|part| part.len() as f32);
        self.facts.clear();
        self.facts.push(window / 128.0);
        self.facts.extend(shares.map(|share| share as f32 / window));
        self.facts.extend([persona / 32.0, user / 32.0]);
        self.facts.extend_from_within(..);
        let squares = &mut self.facts[FACTS..];
        squares.iter_mut().for_each(|fact| *fact *= *fact);
        true
    }

    /// The places of a part: persona, user turn, window.
    pub(super) fn part(&self, part: usize) -> Range<usize> {
        self.parts[part].clone()
    }

    /// One row of marks for each token.
    pub(super) fn rows(&self) -> &[[usize; MARKS.len()]] {
        &self.rows
    }

    /// Numbers about the whole, and their squares.
    pub(super) fn facts(&self) -> &[f32] {
        &self.facts
    }
}

impl Repeats {
    /// A part of so many tokens begins.
    fn begin(&mut self, count: usize) {
        self.part.clear();
        for runs in [&mut self.runs, &mut self.next] {
            runs.clear();
            runs.resize(count + 1, 0);
        }
    }

    /// For the next token: how far back the same one stands (0: nowhere), and the longest run of tokens ending with it that stands there
    /// before (0: none). All places at once, without a branch: they are a few thousand for a window.
    fn of(&mut self, id: i64) -> (usize, usize) {
        let token = u32::try_from(id).unwrap_or(u32::MAX);
        let count = self.part.len();
        for ((next, run), before) in self.next[1..].iter_mut().zip(&self.runs).zip(&self.part) {
            *next = if *before == token { run + 1 } else { 0 };
        }
        let runs = &self.next[1..=count];
        let longest = runs.iter().copied().max().unwrap_or(0);
        let since = if longest > 0 { runs.iter().rposition(|run| *run > 0).map_or(0, |place| count - place) } else { 0 };
        self.part.push(token);
        std::mem::swap(&mut self.runs, &mut self.next);
        (since, longest as usize)
    }
}

/// 0 none, 1 one, 2 two, 3 up to four, 4 up to eight … 8 more than 64.
fn bucket(distance: usize) -> usize {
    match distance {
        0 => 0,
        distance => 1 + (distance.next_power_of_two().trailing_zeros() as usize).min(7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_marked_by_where_it_stood_before() {
        // [CLS] a b [SEP] b [SEP] a a c b c b [SEP]
        let (cls, sep, a, b, c) = (2, 3, 10, 11, 12);
        let ids = [cls, a, b, sep, b, sep, a, a, c, b, c, b, sep];
        let types = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1];
        let mut marks = Marks::default();
        assert!(marks.find(&ids, &types));
        assert_eq!((marks.part(0), marks.part(1), marks.part(2)), (0..4, 4..6, 6..13));
        assert_eq!(marks.rows()[..6], [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 3], [0, 0, 0, 3], [1, 0, 0, 3], [1, 0, 0, 3]]);
        let window = [[2, 0, 0, 1], [2, 1, 1, 1], [2, 0, 0, 0], [2, 0, 0, 3], [2, 2, 1, 0], [2, 2, 2, 3], [2, 0, 0, 3]];
        assert_eq!(marks.rows()[6..], window);
        let share = |count: f32| count / 7.0;
        assert_eq!(marks.facts()[..6], [7.0 / 128.0, share(3.0), share(1.0), 0.0, 0.0, 0.0]);
        assert_eq!(marks.facts()[6..11], [share(3.0), share(1.0), share(5.0), share(3.0), 0.0]);
        assert_eq!(marks.facts()[11..13], [4.0 / 32.0, 2.0 / 32.0]);
        assert_eq!(marks.facts()[14], share(3.0) * share(3.0));
    }

    #[test]
    fn a_loop_is_a_run_that_grows() {
        let mut repeats = Repeats::default();
        let part = [7, 8, 9, 7, 8, 9, 7, 8, 5, 8, 9, 9];
        repeats.begin(part.len());
        let found: Vec<_> = part.into_iter().map(|id| repeats.of(id)).collect();
        let expected = [(0, 0), (0, 0), (0, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (0, 0), (2, 1), (5, 2), (1, 1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn distances_fall_into_buckets() {
        let buckets = [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 190].map(bucket);
        assert_eq!(buckets, [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]);
    }

    #[test]
    fn an_input_without_a_window_has_none() {
        let mut marks = Marks::default();
        assert!(!marks.find(&[2, 3, 3], &[0, 0, 0]) && !marks.find(&[], &[]));
    }
}
