//! Since when: the place in a sequence at which its mean has moved.

/// A shift of the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The first value after it.
    pub at: usize,
    /// The mean before.
    pub before: f64,
    /// The mean from there on.
    pub after: f64,
    /// How clear it is: the difference of the means in its standard errors. By chance it is above 3.2 in about one sequence of 20.
    pub strength: f64,
}

/// The likeliest place of one shift of the mean (the maximum-likelihood split of Hinkley 1970). `None` for fewer than 4 values, for
/// values that are all alike, and for values that are not finite.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of turns fit an f64")]
pub fn mean_shift(values: &[f64]) -> Option<Shift> {
    let count = values.len();
    if count < 4 || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let total: f64 = values.iter().sum();
    let mut sum = 0.0;
    let mut best: Option<(f64, usize, f64, f64)> = None;
    for at in 1..count {
        sum += values[at - 1];
        let (left, right) = (at as f64, (count - at) as f64);
        let (before, after) = (sum / left, (total - sum) / right);
        // What the split explains of the squares.
        let explained = left * right / count as f64 * (after - before).powi(2);
        if best.is_none_or(|(most, ..)| explained > most) {
            best = Some((explained, at, before, after));
        }
    }
    let (explained, at, before, after) = best?;
    let mean = total / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if squares <= 0.0 {
        return None;
    }
    let variance = ((squares - explained) / (count - 2) as f64).max(squares * 1e-12);
    Some(Shift { at, before, after, strength: (explained / variance).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;

    #[test]
    fn a_shift_is_found_where_it_is() {
        let mut random = Random::new(9);
        let mut off = 0;
        for _ in 0..100 {
            let values: Vec<f64> = (0..60).map(|turn| random.normal() + if turn < 40 { 0.0 } else { 2.0 }).collect();
            let shift = mean_shift(&values).unwrap();
            assert!(shift.strength > 3.2, "{shift:?}");
            off += shift.at.abs_diff(40);
        }
        assert!(off < 150, "{off} turns off in 100 sequences");
    }

    #[test]
    fn noise_is_seldom_a_shift() {
        let mut random = Random::new(10);
        let clear = (0..400)
            .filter(|_| mean_shift(&(0..60).map(|_| random.normal()).collect::<Vec<_>>()).unwrap().strength > 3.2)
            .count();
        assert!(clear < 40, "{clear} of 400");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(mean_shift(&[1.0; 3]), None);
        assert_eq!(mean_shift(&[1.0; 30]), None);
        assert_eq!(mean_shift(&[0.0, 0.0, f64::NAN, 1.0, 1.0]), None);
        assert_eq!(mean_shift(&[0.0, 0.0, 0.0, 1.0, 1.0]).unwrap().at, 3);
    }
}
