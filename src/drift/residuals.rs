//! What a turn's charts are fed with, and the charts themselves: one for each quantity. A quantity that has moved would drown among those that
//! have not if one number stood for all; each has a chart of its own, and the drift is the highest.

use super::Cusum;

/// How far a turn is from harmless ones, by each quantity, in standard deviations. NaN: not measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residuals(pub [f64; Residuals::COUNT]);

impl Residuals {
    /// How many quantities there are.
    pub const COUNT: usize = 3;
    /// Their names: the margin of the label scores, and the signals.
    pub const NAMES: [&'static str; Residuals::COUNT] = ["labels", "voice", "register"];
    /// Of a turn that could not be measured.
    pub const UNMEASURED: Residuals = Residuals([f64::NAN; Residuals::COUNT]);

    /// Of a turn that has no signals.
    #[must_use]
    pub fn of_labels(residual: f64) -> Self {
        Residuals([residual, f64::NAN, f64::NAN])
    }

    /// All of those measured as one: about standard normal for harmless turns, were they independent (Stouffer 1949). NaN: none was.
    #[must_use]
    pub fn pooled(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0_u32);
        for residual in self.0.iter().filter(|residual| !residual.is_nan()) {
            sum += residual;
            count += 1;
        }
        if count == 0 { f64::NAN } else { sum / f64::from(count).sqrt() }
    }
}

/// A [`Cusum`] for each quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums(pub [f64; Residuals::COUNT]);

impl Sums {
    /// After a turn. What was not measured stays as it is.
    #[must_use]
    pub fn after(&self, residuals: &Residuals, chart: &Cusum) -> Self {
        Sums(std::array::from_fn(|quantity| chart.next(self.0[quantity], residuals.0[quantity])))
    }

    /// The highest.
    #[must_use]
    pub fn drift(&self) -> f64 {
        self.0.into_iter().fold(0.0, f64::max)
    }

    /// The quantity whose sum is the highest; `None`: all are 0.
    #[must_use]
    pub fn leading(&self) -> Option<&'static str> {
        let drift = self.drift();
        let at = self.0.iter().position(|sum| *sum >= drift)?;
        (drift > 0.0).then_some(Residuals::NAMES[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_that_moved_alone_is_seen_as_soon_as_if_there_were_no_others() {
        let chart = Cusum::default();
        let mut sums = Sums::default();
        assert_eq!((sums.drift(), sums.leading()), (0.0, None));
        for turn in 1..=4 {
            sums = sums.after(&Residuals([-1.0, 2.0, f64::NAN]), &chart);
            assert_eq!((sums.drift(), sums.leading()), (1.25 * f64::from(turn), Some("voice")));
        }
        let unmeasured = sums.after(&Residuals::UNMEASURED, &chart);
        assert_eq!(unmeasured, sums);
        assert_eq!(sums.after(&Residuals([0.0, -3.0, 0.0]), &chart).drift(), 1.25);
    }

    #[test]
    fn what_was_not_measured_is_not_pooled() {
        assert_eq!(Residuals([1.0, f64::NAN, 3.0]).pooled(), 4.0 / 2.0_f64.sqrt());
        assert_eq!(Residuals::of_labels(-0.5).pooled(), -0.5);
        assert!(Residuals::UNMEASURED.pooled().is_nan());
    }
}
