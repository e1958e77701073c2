//! The two charts over the turns of a conversation. Both are recursions on one number, so a store can keep and update them anywhere.

/// A one-sided CUSUM: `S ← max(0, S + clip(x) − k)` (Page 1954). It stays near 0 while residuals have mean 0 and climbs by `shift − k` a
/// turn when they have moved.
///
/// ```
/// use steadfast::drift::Cusum;
///
/// let chart = Cusum::default();
/// let drift = [0.3, -1.2, 2.0, 1.8, 2.4].iter().fold(0.0, |drift, residual| chart.next(drift, *residual));
/// assert!((drift - 3.95).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cusum {
    /// What a turn may be above average without adding to the sum, in standard deviations: half the shift that is to be found.
    pub allowance: f64,
    /// The most that one turn counts, in standard deviations, either way. Scores have heavy tails; without it one odd answer would be
    /// a drift, and the rules for single answers are there for that.
    pub most: f64,
}

impl Default for Cusum {
    /// Tuned to a shift of one and a half standard deviations; an alarm takes at least three turns at the usual limit of 5.
    fn default() -> Self {
        Cusum { allowance: 0.75, most: 3.0 }
    }
}

impl Cusum {
    /// The sum after a turn with this residual, in standard deviations. NaN changes nothing.
    #[must_use]
    pub fn next(&self, sum: f64, residual: f64) -> f64 {
        if residual.is_nan() { sum } else { (sum + residual.clamp(-self.most, self.most) - self.allowance).max(0.0) }
    }

    /// The sum after each turn, from 0.
    pub fn path<'a>(&'a self, residuals: impl IntoIterator<Item = f64> + 'a) -> impl Iterator<Item = f64> + 'a {
        residuals.into_iter().scan(0.0, |sum, residual| {
            *sum = self.next(*sum, residual);
            Some(*sum)
        })
    }
}

/// An exponentially weighted mean: `Z ← Z + λ (x − Z)` (Roberts 1959). Where the CUSUM says that something has happened, this says how
/// far from its persona the conversation is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ewma {
    /// λ, the weight of the newest turn, in `(0, 1]`.
    pub weight: f64,
}

impl Default for Ewma {
    /// The last four turns or so.
    fn default() -> Self {
        Ewma { weight: 0.25 }
    }
}

impl Ewma {
    /// The mean after a turn with this residual. NaN changes nothing.
    #[must_use]
    pub fn next(&self, mean: f64, residual: f64) -> f64 {
        if residual.is_nan() { mean } else { mean + self.weight * (residual - mean) }
    }

    /// The standard deviation of the mean after so many turns, for independent residuals with a standard deviation of 1.
    #[must_use]
    pub fn deviation(&self, turns: u64) -> f64 {
        let remembered = (1.0 - self.weight).powi(i32::try_from(turns.min(10_000)).unwrap_or(i32::MAX));
        (self.weight / (2.0 - self.weight) * (1.0 - remembered * remembered)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lasting_shift_alarms_and_good_turns_calm_it_down() {
        let chart = Cusum::default();
        let path: Vec<f64> = chart.path(std::iter::repeat_n(2.0, 6).chain(std::iter::repeat_n(-0.5, 12))).collect();
        assert!(path[2] < 5.0 && path[3] >= 5.0, "{path:?}");
        assert_eq!(path.last(), Some(&0.0), "{path:?}");
    }

    #[test]
    fn one_odd_turn_is_no_drift() {
        let chart = Cusum::default();
        assert!(chart.next(0.0, 1e9) < 3.0);
        assert_eq!(chart.next(1.0, f64::INFINITY), chart.next(1.0, 3.0));
        assert_eq!(chart.next(1.5, f64::NAN), 1.5);
    }

    #[test]
    fn the_ewma_has_its_deviation() {
        let chart = Ewma::default();
        assert!((chart.deviation(1) - 0.25).abs() < 1e-12);
        assert!((chart.deviation(u64::MAX) - (0.25f64 / 1.75).sqrt()).abs() < 1e-12);
        let mut random = crate::drift::Random::new(3);
        let ends: Vec<f64> = (0..4000).map(|_| (0..5).fold(0.0, |mean, _| chart.next(mean, random.normal()))).collect();
        let deviation = (ends.iter().map(|end| end * end).sum::<f64>() / 4000.0).sqrt();
        assert!((deviation - chart.deviation(5)).abs() < 0.02, "{deviation}");
    }

    proptest! {
        #[test]
        fn the_sum_is_never_negative_and_moves_by_a_bounded_step(
            residuals in prop::collection::vec(-50.0..50.0f64, 1..60), allowance in 0.0..2.0f64,
        ) {
            let chart = Cusum { allowance, ..Cusum::default() };
            let mut before = 0.0;
            for sum in chart.path(residuals) {
                prop_assert!(sum >= 0.0 && sum - before <= chart.most - allowance + 1e-9);
                before = sum;
            }
        }

        #[test]
        fn a_higher_residual_never_gives_a_lower_sum(sum in 0.0..20.0f64, low in -9.0..9.0f64, more in 0.0..9.0f64) {
            let chart = Cusum::default();
            prop_assert!(chart.next(sum, low + more) >= chart.next(sum, low));
        }
    }
}
