//! Watches the distribution of one quantity over the answers of a fleet: its latest values against those it began with. A quantity that
//! moves as a whole is seen here before any answer is bad. Bounded state; knows neither what the quantity is nor the clock.

use std::collections::VecDeque;

use super::{Histogram, mean_shift, psi};

/// Values that the baseline is learned from.
pub const BASELINE: usize = 1000;
/// The latest values, which are compared with it.
pub const RECENT: usize = 300;
/// Bins: tenths of the baseline.
const BINS: usize = 10;
/// A comparison after so many values.
const EVERY: usize = 25;
/// The index from which on the distribution has moved, by custom (0.1 is worth a look). Chance alone gives 9 · (1/1000 + 1/300) = 0.04 on
/// average, with a deviation of 0.02.
const MOVED: f64 = 0.25;
/// The index below which it is where it was.
const BACK: f64 = 0.1;
/// Values after which a distribution that has moved and stays there is the new baseline's.
const SETTLED: usize = 5000;

/// One quantity's distribution.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// The baseline's values, while it is being learned.
    learning: Vec<f32>,
    /// Between the tenths of the baseline, ascending, each once: equal values are in one bin.
    edges: Vec<f32>,
    baseline: Histogram,
    /// The latest values; NaN where an answer had none.
    recent: VecDeque<f32>,
    /// Their places among the baseline.
    latest: Histogram,
    since: usize,
    index: Option<f64>,
    /// Values since it was found to have moved.
    moved: Option<usize>,
}

/// The distribution has moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// The population stability index of the latest values against the baseline.
    pub index: f64,
    /// The values since the change, the latest included: at most [`RECENT`].
    pub ago: usize,
    /// The median before it, among the baseline.
    pub before: f64,
    /// The median since.
    pub after: f64,
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor {
            learning: Vec::new(),
            edges: Vec::new(),
            baseline: Histogram::new(BINS),
            recent: VecDeque::new(),
            latest: Histogram::new(BINS),
            since: 0,
            index: None,
            moved: None,
        }
    }
}

impl Monitor {
    /// Takes in an answer's value; `None` or NaN: it has none. Returns what has moved, once.
    pub fn take(&mut self, value: Option<f64>) -> Option<Moved> {
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        let value = value.map_or(f32::NAN, |value| value as f32);
        if self.edges.is_empty() {
            self.learn(value);
            return None;
        }
        if self.recent.len() == RECENT
            && let Some(oldest) = self.recent.pop_front()
            && !oldest.is_nan()
        {
            let place = self.place(oldest);
            self.latest.remove(place);
        }
        self.recent.push_back(value);
        if !value.is_nan() {
            let place = self.place(value);
            self.latest.add(place);
        }
        self.since += 1;
        self.moved = self.moved.map(|values| values + 1);
        if self.since < EVERY || self.recent.len() < RECENT {
            return None;
        }
        self.since = 0;
        self.compare()
    }

    /// The index at the last comparison; `None` before the first.
    #[must_use]
    pub fn index(&self) -> Option<f64> {
        self.index
    }

    /// Whether the last value taken in made a comparison.
    #[must_use]
    pub fn compared(&self) -> bool {
        self.since == 0 && self.index.is_some()
    }

    fn learn(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        self.learning.push(value);
        if self.learning.len() < BASELINE {
            return;
        }
        let mut sorted = std::mem::take(&mut self.learning);
        sorted.sort_by(f32::total_cmp);
        self.edges = (1..BINS).map(|tenth| sorted[tenth * sorted.len() / BINS]).collect();
        self.edges.dedup();
        self.baseline = Histogram::new(BINS);
        for value in sorted {
            let place = self.place(value);
            self.baseline.add(place);
        }
    }

    fn compare(&mut self) -> Option<Moved> {
        if self.latest.total() < RECENT as u64 / 2 {
            return None;
        }
        let index = psi(&self.baseline, &self.latest)?;
        self.index = Some(index);
        if let Some(values) = self.moved {
            if index < BACK {
                self.moved = None;
            } else if values >= SETTLED {
                *self = Monitor::default();
            }
            return None;
        }
        if index < MOVED {
            return None;
        }
        self.moved = Some(0);
        // Since when: by the places among the baseline, which no single far value dominates.
        let known = self.recent.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let places: Vec<(usize, f64)> = known.map(|(at, value)| (at, self.place(*value))).collect();
        let values: Vec<f64> = places.iter().map(|(_, place)| *place).collect();
        let first = mean_shift(&values).filter(|shift| shift.strength > CLEAR).map_or(0, |shift| places[shift.at].0);
        let since: Vec<f32> = self.recent.iter().skip(first).copied().filter(|value| !value.is_nan()).collect();
        let before = self.edges[self.edges.len() / 2];
        Some(Moved { index, ago: RECENT - first, before: before.into(), after: median(since).unwrap_or_default() })
    }

    /// Where among the baseline a value is, in [0, 1]: the middle of its bin.
    #[expect(clippy::cast_precision_loss, reason = "ten bins")]
    fn place(&self, value: f32) -> f64 {
        (self.edges.partition_point(|edge| *edge < value) as f64 + 0.5) / BINS as f64
    }
}

/// How clear a change within the latest values must be for its place to be believed; below it all of them have changed: see
/// [`super::Shift::strength`].
const CLEAR: f64 = 3.2;

fn median(mut values: Vec<f32>) -> Option<f64> {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).map(|value| f64::from(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;

    /// Scores as classifiers give them: nearly all near nothing, skewed.
    fn score(random: &mut Random, shift: f64) -> f64 {
        1.0 / (1.0 + (4.0 - shift - random.normal()).exp())
    }

    fn learned(seed: u64) -> (Monitor, Random) {
        let (mut monitor, mut random) = (Monitor::default(), Random::new(seed));
        for _ in 0..BASELINE {
            assert_eq!(monitor.take(Some(score(&mut random, 0.0))), None);
        }
        (monitor, random)
    }

    #[test]
    fn what_stays_is_not_said_to_move() {
        for seed in 0..20 {
            let (mut monitor, mut random) = learned(seed);
            for _ in 0..20_000 {
                assert_eq!(monitor.take(Some(score(&mut random, 0.0))), None, "seed {seed}: {:?}", monitor.index());
            }
            assert!(monitor.index().unwrap() < 0.15);
        }
    }

    #[test]
    fn a_shift_of_the_bulk_is_found_with_its_beginning_and_told_once() {
        let mut off = 0;
        for seed in 0..20 {
            let (mut monitor, mut random) = learned(seed);
            for _ in 0..RECENT {
                assert_eq!(monitor.take(Some(score(&mut random, 0.0))), None);
            }
            let mut answers = 0;
            let moved = loop {
                answers += 1;
                assert!(answers < 400, "seed {seed}: not found, {:?}", monitor.index());
                if let Some(moved) = monitor.take(Some(score(&mut random, 1.0))) {
                    break moved;
                }
            };
            assert!(moved.index >= 0.25 && moved.after > moved.before, "{moved:?}");
            off += moved.ago.abs_diff(answers);
            for _ in 0..2000 {
                assert_eq!(monitor.take(Some(score(&mut random, 1.0))), None, "told again");
            }
        }
        assert!(off < 20 * 20, "{off} answers off in 20 runs");
    }

    #[test]
    fn what_comes_back_is_quiet_and_what_stays_becomes_usual() {
        let (mut monitor, mut random) = learned(1);
        let mut told = |monitor: &mut Monitor, count: usize, shift: f64| {
            (0..count).filter(|_| monitor.take(Some(score(&mut random, shift))).is_some()).count()
        };
        assert_eq!(told(&mut monitor, 600, 1.5), 1);
        assert_eq!(told(&mut monitor, 600, 0.0), 0);
        assert_eq!(told(&mut monitor, 600, 1.5), 1, "a second time");
        assert_eq!(told(&mut monitor, SETTLED + BASELINE + 2 * RECENT, 1.5), 0);
        assert!(monitor.index().unwrap() < 0.15, "{:?}", monitor.index());
    }

    #[test]
    fn constants_and_gaps_are_no_shift() {
        let mut monitor = Monitor::default();
        for index in 0..10_000u32 {
            let value = (index % 3 > 0).then_some(0.0);
            assert_eq!(monitor.take(value), None);
        }
        assert!(monitor.index().is_some_and(|index| index < 0.05), "empty bins count half: {:?}", monitor.index());
        for _ in 0..5_000 {
            assert_eq!(monitor.take(None), None);
        }
        assert!((0..600).any(|_| monitor.take(Some(0.3)).is_some()), "a value where there was none");
    }
}
