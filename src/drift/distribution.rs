//! Has a distribution moved? Counts in fixed bins, and how unlike two of them are.

/// Values in `[0, 1]` counted in bins of equal width. Bounded state, cheap to add to.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    /// With so many bins; at least 1.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        Histogram { counts: vec![0; bins.max(1)] }
    }

    /// Counts a value; what is outside goes into the outermost bins, NaN nowhere.
    pub fn add(&mut self, value: f64) {
        if let Some(bin) = self.bin(value) {
            self.counts[bin] += 1;
        }
    }

    /// Takes back a value that was counted.
    pub fn remove(&mut self, value: f64) {
        if let Some(bin) = self.bin(value) {
            self.counts[bin] = self.counts[bin].saturating_sub(1);
        }
    }

    fn bin(&self, value: f64) -> Option<usize> {
        if value.is_nan() {
            return None;
        }
        let bins = self.counts.len();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the bins"
        )]
        let bin = ((value.clamp(0.0, 1.0) * bins as f64) as usize).min(bins - 1);
        Some(bin)
    }

    /// Values counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Values in each bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}

/// The population stability index of two histograms with the same bins: 0 where they are alike, by custom 0.1 is a shift worth a look
/// and 0.25 a large one. It is the sum of both Kullback-Leibler divergences. Empty bins count as half a value, so it is finite. `None`
/// where one has no values, or the bins differ.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts fit an f64")]
pub fn psi(before: &Histogram, after: &Histogram) -> Option<f64> {
    if before.counts.len() != after.counts.len() || before.total() == 0 || after.total() == 0 {
        return None;
    }
    let half = 0.5 * before.counts.len() as f64;
    let share = |count: u64, total: u64| (count as f64 + 0.5) / (total as f64 + half);
    let (from, to) = (before.total(), after.total());
    let terms = before.counts.iter().zip(&after.counts).map(|(old, new)| {
        let (old, new) = (share(*old, from), share(*new, to));
        (new - old) * (new / old).ln()
    });
    Some(terms.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;

    fn sample(seed: u64, shift: f64) -> Histogram {
        let mut random = Random::new(seed);
        let mut histogram = Histogram::new(10);
        (0..2000).for_each(|_| histogram.add(0.4 + shift + 0.1 * random.normal()));
        histogram
    }

    #[test]
    fn a_moved_distribution_has_a_high_index() {
        let base = sample(1, 0.0);
        assert!(psi(&base, &sample(2, 0.0)).unwrap() < 0.05);
        let (little, much) = (psi(&base, &sample(3, 0.05)).unwrap(), psi(&base, &sample(4, 0.15)).unwrap());
        assert!(little > 0.1 && much > little && much.is_finite(), "{little} {much}");
        assert_eq!(psi(&base, &base), Some(0.0));
    }

    #[test]
    fn odd_values_are_counted_or_left_out() {
        let mut histogram = Histogram::new(4);
        [-3.0, 0.0, 0.5, 1.0, 7.0, f64::NAN].into_iter().for_each(|value| histogram.add(value));
        assert_eq!((histogram.counts(), histogram.total()), (&[2, 0, 1, 2][..], 5));
        assert_eq!(psi(&histogram, &Histogram::new(4)), None);
        assert_eq!(psi(&histogram, &sample(1, 0.0)), None);
    }
}
