//! How fast windows are scored, and whether one that comes now can be scored in time. Knows neither queue nor clock.

use std::time::Duration;

use crate::infer::Stage;

/// Of how many windows the mean is taken, about.
const WINDOWS: u32 = 16;

/// The mean cost of a window, of the last ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Of a window that the first stage passed.
    passed: Option<Duration>,
    /// Of one that the second stage scored.
    scored: Option<Duration>,
    /// The share of the former.
    share: f32,
}

impl Pace {
    /// A window took so long, and this stage decided.
    pub fn took(&mut self, stage: Stage, cost: Duration) {
        let begun = self.passed.or(self.scored).is_some();
        let (mean, passed) = match stage {
            Stage::First => (&mut self.passed, 1.0),
            Stage::Second => (&mut self.scored, 0.0),
        };
        // A pause of the whole machine in the middle of a window says nothing of the next one. The stages are apart because a window of the
        // second costs a hundred of the first, and would look like such a pause.
        *mean = Some(mean.map_or(cost, |mean| (mean * (WINDOWS - 1) + cost.min(mean * 4)) / WINDOWS));
        self.share = if begun { self.share + (passed - self.share) / WINDOWS as f32 } else { passed };
    }

    fn cost(&self) -> Option<Duration> {
        match (self.passed, self.scored) {
            (Some(passed), Some(scored)) => Some(passed.mul_f32(self.share) + scored.mul_f32(1.0 - self.share)),
            (passed, scored) => passed.or(scored),
        }
    }

    /// Whether a window can still be scored within `deadline`: behind `own` of its own answer's, beside those of `others` answers, by so
    /// many `threads`. Before each of its own answer's windows, and before it, every other answer has a turn; one that is done counts on,
    /// for where this matters there are more answers than can be served and another takes its place. A tenth of the time is left for
    /// windows that take longer than the mean. Where nothing waits the window is let in whatever the mean: without new windows a mean that
    /// one long pause of the machine has spoilt would never become another.
    pub fn is_in_time(&self, own: usize, others: usize, threads: usize, deadline: Duration) -> bool {
        let Some(cost) = self.cost().filter(|_| own + others > 0) else { return true };
        let turns = (own + 1) * (others + 1);
        // In whole turns of all threads: the last one may be alone.
        let rounds = u32::try_from(turns.div_ceil(threads.max(1))).unwrap_or(u32::MAX);
        cost.saturating_mul(rounds) <= deadline / 10 * 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace(cost: Duration) -> Pace {
        let mut pace = Pace::default();
        pace.took(Stage::Second, cost);
        pace
    }

    #[test]
    fn nothing_is_refused_before_a_window_has_been_timed() {
        assert!(Pace::default().is_in_time(1000, 1000, 1, MS));
    }

    #[test]
    fn a_window_waits_for_one_of_each_other_answer_in_each_round() {
        let pace = pace(10 * MS);
        let in_time = |own, others, threads| pace.is_in_time(own, others, threads, 1000 * MS);
        assert!(in_time(0, 89, 1) && !in_time(0, 90, 1), "nine tenths of a second are 90 windows");
        assert!(in_time(1, 44, 1) && !in_time(1, 45, 1), "the second window has two rounds to wait");
        assert!(in_time(0, 179, 2) && !in_time(0, 180, 2), "two threads do two at a time");
        assert!(in_time(89, 0, 1) && !in_time(90, 0, 1), "its own answer's windows are all before it");
        assert!(pace.is_in_time(0, 0, 1, MS), "with nothing before it, it is tried");
        assert!(!pace.is_in_time(0, 1, 1, MS));
        assert!(in_time(0, 0, 0) && !in_time(usize::MAX - 1, 0, 1));
    }

    #[test]
    fn the_mean_follows_the_last_windows() {
        let mut pace = pace(10 * MS);
        let in_time = |pace: &Pace| pace.is_in_time(0, 9, 1, 250 * MS);
        assert!(in_time(&pace));
        let second = |pace: &mut Pace, cost| pace.took(Stage::Second, cost);
        second(&mut pace, 40 * MS);
        assert!(in_time(&pace), "one slow window is no slow classifier");
        (0..60).for_each(|_| second(&mut pace, 40 * MS));
        assert!(!in_time(&pace));
        (0..60).for_each(|_| second(&mut pace, 10 * MS));
        assert!(in_time(&pace));
    }

    #[test]
    fn windows_that_the_first_stage_passes_make_room_for_others() {
        let mut pace = pace(40 * MS);
        let mean = |pace: &Pace| pace.cost().unwrap();
        let windows = |pace: &mut Pace, of: usize, count: usize| {
            for n in 0..count {
                let (stage, cost) = if n % of == 0 { (Stage::Second, 40 * MS) } else { (Stage::First, MS / 5) };
                pace.took(stage, cost);
            }
        };
        windows(&mut pace, 4, 200);
        assert!(mean(&pace) > 8 * MS && mean(&pace) < 14 * MS, "one in four costs 40 ms: {:?}", mean(&pace));
        windows(&mut pace, 20, 400);
        assert!(mean(&pace) > MS && mean(&pace) < 5 * MS, "one in twenty: {:?}", mean(&pace));
        windows(&mut pace, 1, 100);
        assert!(mean(&pace) > 39 * MS, "all: {:?}", mean(&pace));
    }
}
