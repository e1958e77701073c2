//! What tells two kinds of vectors apart: logistic regression with an L2 penalty, by Newton's method with conjugate gradients (Lin, Weng and
//! Keerthi, Journal of Machine Learning Research 9, 2008, pages 627–650). Both kinds count alike, however many there are of each, and each
//! habit is measured in its standard deviations within them. Deterministic.

use super::vector::{BUCKETS, Vector};

/// Newton's steps, and those of the conjugate gradients in each: more of them move no weight by a visible amount.
const STEPS: usize = 8;
const GRADIENTS: usize = 25;
/// What may be left of the gradient when a step's direction is good enough.
const ENOUGH: f64 = 0.05;
/// What is added to each habit's variance, which for rare ones is next to nothing: about that of a habit that one answer in ten has.
const SMOOTHING: f64 = 1e-4;
/// The penalty on the weights' squares, for one answer to learn from: as of answers' loss, more answers outweigh it.
const PENALTY: f64 = 400.0;

/// A vector by what is not 0 in it.
#[derive(Clone, Debug)]
pub(super) struct Sparse(Vec<(u16, f32)>);

impl Sparse {
    pub(super) fn of(vector: &Vector) -> Self {
        let places = (0..u16::MAX).zip(vector.iter().copied());
        Sparse(places.filter(|(_, value)| *value != 0.0).collect())
    }

    pub(super) fn dot(&self, weights: &[f64]) -> f64 {
        self.0.iter().map(|(place, value)| weights[usize::from(*place)] * f64::from(*value)).sum()
    }

    fn add_to(&self, sum: &mut [f64], times: f64) {
        self.0.iter().for_each(|(place, value)| sum[usize::from(*place)] += times * f64::from(*value));
    }

    #[expect(clippy::cast_possible_truncation, reason = "a value made standard")]
    fn scaled(&self, scale: &[f64]) -> Self {
        let scaled = |(place, value): &(u16, f32)| (*place, (f64::from(*value) * scale[usize::from(*place)]) as f32);
        Sparse(self.0.iter().map(scaled).collect())
    }
}

/// The weight of each bucket: positive speaks for `others` and against `own`.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
pub(super) fn weights(own: &[&Sparse], others: &[&Sparse]) -> Vec<f64> {
    let scale: Vec<f64> = variances(own)
        .iter()
        .zip(variances(others))
        .map(|(one, two)| 1.0 / (f64::midpoint(*one, two) + SMOOTHING).sqrt())
        .collect();
    let rows: Vec<Row> = [(own, 0.0), (others, 1.0)]
        .into_iter()
        .flat_map(|(kind, wanted)| {
            let share = 0.5 / kind.len() as f64;
            let scale = &scale;
            kind.iter().map(move |row| Row { vector: row.scaled(scale), wanted, share })
        })
        .collect();
    let mut weights = fitted(&rows, PENALTY / own.len().max(1) as f64);
    weights.truncate(BUCKETS);
    weights.iter_mut().zip(&scale).for_each(|(weight, scale)| *weight *= scale);
    weights
}

#[expect(clippy::cast_precision_loss, reason = "a count of answers")]
fn variances(rows: &[&Sparse]) -> Vec<f64> {
    let (mut sums, mut squares) = (vec![0.0; BUCKETS], vec![0.0; BUCKETS]);
    for (place, value) in rows.iter().flat_map(|row| &row.0) {
        let (place, value) = (usize::from(*place), f64::from(*value));
        sums[place] += value;
        squares[place] += value * value;
    }
    let count = rows.len().max(1) as f64;
    sums.iter().zip(squares).map(|(sum, square)| (square / count - (sum / count).powi(2)).max(0.0)).collect()
}

/// A vector, what it is wanted to come to, and how much it counts.
struct Row {
    vector: Sparse,
    wanted: f64,
    share: f64,
}

impl Row {
    /// What the weights make of it; the last one is the constant's.
    fn comes_to(&self, weights: &[f64]) -> f64 {
        self.vector.dot(weights) + weights[BUCKETS]
    }

    fn add_to(&self, sum: &mut [f64], times: f64) {
        self.vector.add_to(sum, times);
        sum[BUCKETS] += times;
    }
}

/// The weights with the least loss and penalty, and the constant, which is free of it.
fn fitted(rows: &[Row], penalty: f64) -> Vec<f64> {
    let mut weights = vec![0.0; BUCKETS + 1];
    let pull = |weights: &[f64], towards: f64| -> Vec<f64> {
        let free = weights.iter().take(BUCKETS).map(|weight| towards * penalty * weight);
        free.chain([0.0]).collect()
    };
    for _ in 0..STEPS {
        let mut gradient = pull(&weights, -1.0);
        let curvatures: Vec<f64> = rows
            .iter()
            .map(|row| {
                let likely = 1.0 / (1.0 + (-row.comes_to(&weights)).exp());
                row.add_to(&mut gradient, row.share * (row.wanted - likely));
                row.share * likely * (1.0 - likely)
            })
            .collect();
        let bend = |direction: &[f64]| {
            let mut bent = pull(direction, 1.0);
            rows.iter().zip(&curvatures).for_each(|(row, curvature)| row.add_to(&mut bent, curvature * row.comes_to(direction)));
            bent
        };
        let step = solve(&gradient, bend);
        weights.iter_mut().zip(step).for_each(|(weight, step)| *weight += step);
    }
    weights
}

/// Conjugate gradients (Hestenes and Stiefel 1952): what `bend` makes `wanted` of, nearly.
fn solve(wanted: &[f64], bend: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let mut found = vec![0.0; wanted.len()];
    let mut left = wanted.to_vec();
    let mut direction = left.clone();
    let mut size = square(&left);
    let enough = (size * ENOUGH * ENOUGH).max(1e-24);
    for _ in 0..GRADIENTS {
        if size <= enough {
            break;
        }
        let bent = bend(&direction);
        let along: f64 = direction.iter().zip(&bent).map(|(one, other)| one * other).sum();
        let length = size / along;
        for ((found, left), (direction, bent)) in found.iter_mut().zip(&mut left).zip(direction.iter().zip(&bent)) {
            *found += length * direction;
            *left -= length * bent;
        }
        let before = std::mem::replace(&mut size, square(&left));
        direction.iter_mut().zip(&left).for_each(|(direction, left)| *direction = left + size / before * *direction);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Random;

    /// Vectors with a habit each way, one that says nothing, and noise.
    fn rows(count: usize, wanted: f64, random: &mut Random) -> Vec<Row> {
        let share = 0.5 / f64::from(u32::try_from(count).unwrap());
        let mut near = |middle: f64| {
            #[expect(clippy::cast_possible_truncation)]
            let value = (middle + random.normal()) as f32;
            value
        };
        let mut row = || Sparse(vec![(3, near(wanted)), (4, near(-wanted)), (4095, near(0.0))]);
        (0..count).map(|_| Row { vector: row(), wanted, share }).collect()
    }

    #[test]
    fn no_small_change_of_the_weights_is_better() {
        let mut random = Random::new(1);
        let mut all = rows(300, 0.0, &mut random);
        all.extend(rows(60, 1.0, &mut random));
        let found = fitted(&all, 0.01);
        let loss = |weights: &[f64]| {
            let of = |row: &Row| {
                let value = row.comes_to(weights) * if row.wanted > 0.5 { 1.0 } else { -1.0 };
                row.share * (-value).exp().ln_1p()
            };
            all.iter().map(of).sum::<f64>() + 0.005 * weights[..BUCKETS].iter().map(|weight| weight * weight).sum::<f64>()
        };
        let least = loss(&found);
        for (place, by) in [3, 4, 4095, BUCKETS].into_iter().flat_map(|place| [(place, 0.05), (place, -0.05)]) {
            let mut moved = found.clone();
            moved[place] += by;
            assert!(loss(&moved) > least, "{place} {by}");
        }
        assert!(found[3] > 0.3 && found[4] < -0.3 && found[4095].abs() < 0.2, "{} {} {}", found[3], found[4], found[4095]);
    }

    #[test]
    fn how_many_there_are_of_a_kind_does_not_matter() {
        let mut random = Random::new(2);
        let [few, many, others] = [(40, 0.0), (40, 0.0), (40, 1.0)]
            .map(|(count, wanted)| rows(count, wanted, &mut random).into_iter().map(|row| row.vector).collect::<Vec<_>>());
        let own: Vec<&Sparse> = few.iter().chain(&many).collect();
        let once = weights(&own, &others.iter().collect::<Vec<_>>());
        let thrice = weights(&own, &others.iter().cycle().take(120).collect::<Vec<_>>());
        assert!(once.iter().zip(&thrice).all(|(one, other)| (one - other).abs() < 1e-9));
        assert!(once[3] > 0.0 && once[4] < 0.0, "{} {}", once[3], once[4]);
    }
}
