//! What a CUSUM does on harmless conversations. Their residuals are neither independent nor normal, so the limit of the textbook
//! raises more alarms than it says; this one is measured.

use super::{Cusum, Random, Residuals};

/// Turns of harmless conversations, drawn again and again in runs (Künsch 1989): within a run the order, and so the autocorrelation, is
/// the real one.
#[derive(Clone, Debug)]
pub struct BlockBootstrap {
    /// Each turn's residuals, and the turns from it to its conversation's end.
    turns: Vec<(Residuals, usize)>,
    block: usize,
    random: Random,
    /// Next turn, turns left in the block.
    at: (usize, usize),
}

/// Why no limit can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// Too few turns.
    #[error("{turns} turns are too few to set a drift limit; at least {needed} are needed")]
    TooFew {
        /// Turns given.
        turns: usize,
        /// Turns needed.
        needed: usize,
    },
    /// A turn's labels were not measured.
    #[error("a residual is not a number")]
    NotANumber,
}

/// Turns below which a bootstrap only repeats itself.
pub const FEWEST_TURNS: usize = 200;

impl BlockBootstrap {
    /// From the residuals of each conversation, in turn order. Blocks do not cross conversations; their length is that of the longest
    /// of short conversations, but no more than the cube root of all turns asks for, and at least 4 (Hall, Horowitz and Jing 1995).
    ///
    /// # Errors
    /// Fewer than 200 turns, or one whose labels were not measured.
    pub fn new(conversations: &[Vec<Residuals>], seed: u64) -> Result<Self, BootstrapError> {
        let turns: Vec<(Residuals, usize)> = conversations
            .iter()
            .flat_map(|turns| turns.iter().enumerate().map(|(turn, residuals)| (*residuals, turns.len() - turn)))
            .collect();
        if turns.len() < FEWEST_TURNS {
            return Err(BootstrapError::TooFew { turns: turns.len(), needed: FEWEST_TURNS });
        }
        if turns.iter().any(|(residuals, _)| residuals.0[0].is_nan()) {
            return Err(BootstrapError::NotANumber);
        }
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let root = (turns.len() as f64).cbrt().ceil() as usize;
        let longest = conversations.iter().map(Vec::len).max().unwrap_or(1);
        let block = root.max(4).min(longest);
        Ok(BlockBootstrap { turns, block, random: Random::new(seed), at: (0, 0) })
    }

    /// The length of its blocks, in turns.
    #[must_use]
    pub fn block(&self) -> usize {
        self.block
    }
}

impl Iterator for BlockBootstrap {
    type Item = Residuals;

    /// Never ends.
    fn next(&mut self) -> Option<Residuals> {
        let (mut turn, mut left) = self.at;
        if left == 0 {
            turn = self.random.below(self.turns.len());
            left = self.block.min(self.turns[turn].1);
        }
        self.at = (turn + 1, left - 1);
        Some(self.turns[turn].0)
    }
}

/// The highest point of each excursion of each quantity's chart from 0: an alarm is an excursion over the limit, however many turns it
/// stays there.
fn excursions(chart: &Cusum, residuals: impl Iterator<Item = Residuals>, turns: usize) -> Vec<f64> {
    let mut peaks = Vec::new();
    let mut charts = [(0.0_f64, 0.0_f64); Residuals::COUNT];
    for residuals in residuals.take(turns) {
        for ((sum, peak), residual) in charts.iter_mut().zip(residuals.0) {
            *sum = chart.next(*sum, residual);
            if *sum > *peak {
                *peak = *sum;
            } else if *sum == 0.0 && *peak > 0.0 {
                peaks.push(*peak);
                *peak = 0.0;
            }
        }
    }
    peaks.extend(charts.into_iter().map(|(_, peak)| peak).filter(|peak| *peak > 0.0));
    peaks
}

/// False alarms a turn at `limit`, over so many turns.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of turns fit an f64")]
pub fn false_alarm_rate(chart: &Cusum, residuals: impl Iterator<Item = Residuals>, turns: usize, limit: f64) -> f64 {
    let peaks = excursions(chart, residuals, turns);
    peaks.iter().filter(|peak| **peak >= limit).count() as f64 / turns.max(1) as f64
}

/// The lowest limit with at most `rate` false alarms a turn, over so many turns (take at least 50 / `rate`). If there is none that
/// low among what was seen, a step above the highest sum that was.
#[must_use]
pub fn limit_for(chart: &Cusum, residuals: impl Iterator<Item = Residuals>, turns: usize, rate: f64) -> f64 {
    let mut peaks = excursions(chart, residuals, turns);
    peaks.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of turns")]
    let allowed = (rate * turns as f64).floor().max(0.0) as usize;
    match peaks.len().checked_sub(allowed + 1) {
        // Just above the highest peak that would be one alarm too many.
        Some(index) => peaks[index] + 1e-6,
        None => peaks.first().map_or(chart.most, |lowest| lowest / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn white(turns: usize, seed: u64) -> Vec<Vec<Residuals>> {
        let mut random = Random::new(seed);
        (0..turns / 10).map(|_| (0..10).map(|_| Residuals::of_labels(random.normal())).collect()).collect()
    }

    /// The textbook's figures: k = 0.5, one false alarm in 10,000 turns, h = 7.36 (without clipping).
    #[test]
    fn independent_normal_residuals_give_the_limit_of_the_textbook() {
        let mut random = Random::new(42);
        let noise = std::iter::repeat_with(move || Residuals::of_labels(random.normal()));
        let chart = Cusum { allowance: 0.5, most: 9.0 };
        let limit = limit_for(&chart, noise, 4_000_000, 1e-4);
        assert!((limit - 7.36).abs() < 0.35, "{limit}");
    }

    #[test]
    fn autocorrelated_residuals_need_a_higher_limit() {
        let independent = white(4000, 1);
        let mut random = Random::new(2);
        let dependent: Vec<Vec<Residuals>> = (0..200)
            .map(|_| {
                let mut last = random.normal();
                (0..20)
                    .map(|_| {
                        last = 0.6 * last + 0.8 * random.normal();
                        Residuals::of_labels(last)
                    })
                    .collect()
            })
            .collect();
        let limit = |conversations: &[Vec<Residuals>]| {
            let bootstrap = BlockBootstrap::new(conversations, 7).unwrap();
            limit_for(&Cusum::default(), bootstrap, 1_000_000, 1e-4)
        };
        let (low, high) = (limit(&independent), limit(&dependent));
        assert!((4.0..6.0).contains(&low) && high > low * 1.5, "{low} {high}");
    }

    #[test]
    fn the_limit_keeps_the_rate_on_other_turns() {
        let (learned, fresh) = (white(5000, 3), white(200_000, 4));
        let chart = Cusum::default();
        let limit = limit_for(&chart, BlockBootstrap::new(&learned, 1).unwrap(), 1_000_000, 1e-3);
        let rate = false_alarm_rate(&chart, fresh.iter().flatten().copied(), 200_000, limit);
        assert!(rate < 2e-3, "{rate} at {limit}");
    }

    #[test]
    fn more_quantities_need_a_higher_limit() {
        let mut random = Random::new(5);
        let three: Vec<Vec<Residuals>> =
            (0..500).map(|_| (0..10).map(|_| Residuals(std::array::from_fn(|_| random.normal()))).collect()).collect();
        let limit =
            |turns: &[Vec<Residuals>]| limit_for(&Cusum::default(), BlockBootstrap::new(turns, 1).unwrap(), 1_000_000, 1e-4);
        let (one, three) = (limit(&white(5000, 5)), limit(&three));
        assert!(three > one + 0.2 && three < one + 2.0, "{one} {three}");
    }

    #[test]
    fn too_little_is_refused() {
        let few = vec![vec![Residuals::of_labels(0.0); 9]; 11];
        let error = BlockBootstrap::new(&few, 1).unwrap_err();
        assert_eq!(error.to_string(), "99 turns are too few to set a drift limit; at least 200 are needed");
        assert_eq!(BlockBootstrap::new(&[vec![Residuals::UNMEASURED; 300]], 1).unwrap_err(), BootstrapError::NotANumber);
    }

    proptest! {
        #[test]
        fn what_is_drawn_was_there(lengths in prop::collection::vec(0usize..30, 20..60), seed: u64) {
            let turns = |(index, length): (usize, &usize)| vec![Residuals::of_labels(index as f64); *length];
            let conversations: Vec<Vec<Residuals>> = lengths.iter().enumerate().map(turns).collect();
            let Ok(bootstrap) = BlockBootstrap::new(&conversations, seed) else { return Ok(()) };
            for residuals in bootstrap.take(500) {
                prop_assert!(!conversations[residuals.0[0] as usize].is_empty());
            }
        }

        #[test]
        fn a_rarer_alarm_needs_no_lower_limit(seed: u64) {
            let turns = white(1000, seed);
            let limit = |rate| limit_for(&Cusum::default(), BlockBootstrap::new(&turns, seed).unwrap(), 20_000, rate);
            prop_assert!(limit(1e-3) >= limit(1e-2));
        }
    }
}
