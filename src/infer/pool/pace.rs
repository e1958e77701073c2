//! How fast windows are scored, and whether one that comes now can be scored in time. Knows neither queue nor clock.

use std::time::Duration;

/// Of how many windows the mean is taken, about.
const WINDOWS: u32 = 16;

/// The mean cost of a window, of the last ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    cost: Option<Duration>,
}

impl Pace {
    /// A window took so long.
    pub fn took(&mut self, cost: Duration) {
        // A pause of the whole machine in the middle of a window says nothing of the next one.
        self.cost = Some(self.cost.map_or(cost, |mean| (mean * (WINDOWS - 1) + cost.min(mean * 4)) / WINDOWS));
    }

    /// Whether a window can still be scored within `deadline`: behind `own` of its own answer's, beside those of `others` answers, by so
    /// many `threads`. Before each of its own answer's windows, and before it, every other answer has a turn; one that is done counts on,
    /// for where this matters there are more answers than can be served and another takes its place. A tenth of the time is left for
    /// windows that take longer than the mean. Where nothing waits the window is let in whatever the mean: without new windows a mean that
    /// one long pause of the machine has spoilt would never become another.
    pub fn is_in_time(&self, own: usize, others: usize, threads: usize, deadline: Duration) -> bool {
        let Some(cost) = self.cost.filter(|_| own + others > 0) else { return true };
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
        pace.took(cost);
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
        pace.took(40 * MS);
        assert!(in_time(&pace), "one slow window is no slow classifier");
        (0..60).for_each(|_| pace.took(40 * MS));
        assert!(!in_time(&pace));
        (0..60).for_each(|_| pace.took(10 * MS));
        assert!(in_time(&pace));
    }
}
