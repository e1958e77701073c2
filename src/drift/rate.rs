//! A chart over yes-or-no answers: has the share of bad ones gone up?

/// A Bernoulli log-likelihood-ratio CUSUM (Reynolds and Stoumbos 1999): each answer adds how much likelier it is under the bad rate than
/// under the usual one. One number of state; in natural logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateCusum {
    flagged: f64,
    clean: f64,
    usual: f64,
}

impl RateCusum {
    /// From the usual rate of flagged answers and the one that is to be found fast.
    ///
    /// `None` unless `0 < usual < bad < 1`.
    #[must_use]
    pub fn new(usual: f64, bad: f64) -> Option<Self> {
        (0.0 < usual && usual < bad && bad < 1.0).then(|| RateCusum {
            flagged: (bad / usual).ln(),
            clean: ((1.0 - bad) / (1.0 - usual)).ln(),
            usual,
        })
    }

    /// The sum after an answer.
    #[must_use]
    pub fn next(&self, sum: f64, flagged: bool) -> f64 {
        (sum + if flagged { self.flagged } else { self.clean }).max(0.0)
    }

    /// The sum that is reached by chance once in about so many answers at the usual rate: [`RateCusum::run_length`] turned round by
    /// bisection.
    #[must_use]
    pub fn limit_for(&self, answers: f64) -> f64 {
        let (mut low, mut high) = (self.flagged / 2.0, self.flagged);
        while self.run_length(high) < answers && high < 1e3 {
            low = high;
            high *= 1.5;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.run_length(middle) < answers { low = middle } else { high = middle }
        }
        high
    }

    /// The average number of answers until the sum reaches `limit` at the usual rate.
    ///
    /// The steps down are all alike and small, so the chart is followed on a lattice of that step: from cell i an answer leads to cell
    /// i − 1, or with probability `usual` up by the jump, rounded to the lattice (Brook and Evans 1972).
    #[must_use]
    pub fn run_length(&self, limit: f64) -> f64 {
        let step = -self.clean;
        let cells = whole((limit / step).ceil()).max(1);
        let jump = whole((self.flagged / step).round()).max(1);
        if cells > CELLS {
            return f64::INFINITY;
        }
        // From cell i ≥ 1 until the sum is 0 again or over the limit: the time, and the chance that it is 0. Both satisfy
        // f(i) = c + (1 − p) f(i − 1) + p f(i + jump); each sweep upwards settles walks with one more flagged answer, of which few occur.
        let p = self.usual;
        let mut time = vec![0.0; cells + jump];
        let mut back = vec![0.0; cells + jump];
        back[0] = 1.0;
        for _ in 0..SWEEPS {
            let mut change: f64 = 0.0;
            for cell in 1..cells {
                let next = 1.0 + (1.0 - p) * time[cell - 1] + p * time[cell + jump];
                let next_back = (1.0 - p) * back[cell - 1] + p * back[cell + jump];
                change = change.max((next - time[cell]) / next).max(next_back - back[cell]);
                time[cell] = next;
                back[cell] = next_back;
            }
            if change < 1e-12 {
                break;
            }
        }
        // From 0 a clean answer stays there and a flagged one jumps; what does not come back is an alarm.
        let (up_time, up_back) = if jump >= cells { (0.0, 0.0) } else { (time[jump], back[jump]) };
        let lost = p * (1.0 - up_back);
        if lost <= 0.0 { f64::INFINITY } else { (1.0 + p * up_time) / lost }
    }
}

/// Cells of the lattice at most. From 0.05 % to 2 % there are 700 at a limit of 13.8.
const CELLS: usize = 200_000;
/// Sweeps at most: flagged answers within one walk that still matter.
const SWEEPS: usize = 400;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that is checked to be small and not negative"
)]
fn whole(value: f64) -> usize {
    if value.is_finite() && value > 0.0 { value as usize } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;
    use proptest::prelude::*;

    #[test]
    fn rates_must_make_sense() {
        assert!(RateCusum::new(0.0, 0.1).is_none() && RateCusum::new(0.1, 0.1).is_none() && RateCusum::new(0.1, 1.0).is_none());
        assert!(RateCusum::new(f64::NAN, 0.1).is_none());
    }

    /// The run length is what a simulation of the chart finds.
    #[test]
    fn the_run_length_is_true() {
        let chart = RateCusum::new(0.01, 0.1).unwrap();
        for limit in [2.0, 4.0, 5.0] {
            let mut random = Random::new(11);
            let mut answers = 0u32;
            let runs = 400;
            for _ in 0..runs {
                let mut sum = 0.0;
                while sum < limit {
                    sum = chart.next(sum, random.unit() < 0.01);
                    answers += 1;
                }
            }
            let seen = f64::from(answers) / f64::from(runs);
            let said = chart.run_length(limit);
            assert!((said / seen - 1.0).abs() < 0.2, "limit {limit}: {said} against {seen}");
        }
    }

    /// TAXONOMY: from 0.05 % to 2 % with one false alarm in a million takes about 255 answers.
    #[test]
    fn a_bad_push_is_found_within_three_hundred_answers() {
        let chart = RateCusum::new(0.0005, 0.02).unwrap();
        let limit = chart.limit_for(1e6);
        assert!((8.0..15.0).contains(&limit), "{limit}");
        let mut random = Random::new(5);
        let mut total = 0u32;
        let runs = 300;
        for _ in 0..runs {
            let mut sum = 0.0;
            while sum < limit {
                sum = chart.next(sum, random.unit() < 0.02);
                total += 1;
            }
        }
        let delay = f64::from(total) / f64::from(runs);
        assert!(delay < 300.0, "{delay} answers at limit {limit}");
    }

    proptest! {
        #[test]
        fn the_sum_is_never_negative_and_a_flag_never_lowers_it(sum in 0.0..30.0f64, usual in 0.0001..0.3f64, more in 0.01..0.5f64) {
            let chart = RateCusum::new(usual, usual + more).unwrap();
            prop_assert!(chart.next(sum, true) > sum && chart.next(sum, false) < sum.max(1e-9) && chart.next(sum, false) >= 0.0);
        }
    }
}
