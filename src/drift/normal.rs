//! The standard normal distribution and its inverse, to about 1e-12: enough that no table is needed anywhere else.

use std::f64::consts::PI;

/// The density.
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * PI).sqrt()
}

/// P(X ≤ x). NaN for NaN.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 0.0 { 1.0 - lower_tail(-x) } else { lower_tail(x) }
}

/// P(X ≤ x) for x ≤ 0, with full relative precision far out.
fn lower_tail(x: f64) -> f64 {
    let z = -x;
    if z > 38.0 {
        return 0.0;
    }
    if z < 3.0 {
        // 1/2 - φ(z) · (z + z³/3 + z⁵/(3·5) + …)
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 - density(z) * sum;
    }
    // Mills' ratio as a continued fraction, φ(z) / (z + 1/(z + 2/(z + 3/…))), from the inside out.
    let mut fraction = z;
    for step in (1..=80).rev() {
        fraction = z + f64::from(step) / fraction;
    }
    density(z) / fraction
}

/// The x with P(X ≤ x) = p. `±∞` at 0 and 1, NaN outside.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    // A start within a few percent (the leading terms of the tail's expansion), then Halley's method, which triples the digits.
    let t = (-2.0 * p.ln()).sqrt();
    let mut x = if p < 0.2 { -(t - ((2.0 * PI).sqrt() * t).ln() / t) } else { (p - 0.5) * (2.0 * PI).sqrt() };
    for _ in 0..8 {
        let step = (lower_tail(x.min(0.0)) - p) / density(x);
        let next = x - step / (1.0 + x * step / 2.0);
        let done = (next - x).abs() < 1e-14 * (1.0 + x.abs());
        x = next.min(0.0);
        if done {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (-1.959_963_984_540_054, 0.025), (-6.0, 9.865_876_450_377e-10)] {
            assert!((normal_cdf(x) - p).abs() < 1e-13 * (1.0 + p), "cdf {x}: {}", normal_cdf(x));
        }
        assert!((normal_quantile(0.999) - 3.090_232_306_167_814).abs() < 1e-11);
        assert!((normal_quantile(1e-9) + 5.997_807_015_007_687).abs() < 1e-9);
        assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(normal_quantile(-0.1).is_nan() && normal_quantile(f64::NAN).is_nan() && normal_cdf(f64::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn the_quantile_undoes_the_distribution(x in -8.0..8.0f64) {
            let back = normal_quantile(normal_cdf(x));
            // Above 0 the distribution itself rounds near 1.
            let tolerance = if x > 5.0 { 1e-2 } else { 1e-8 };
            prop_assert!((back - x).abs() < tolerance, "{x} -> {back}");
        }

        #[test]
        fn the_distribution_rises(x in -40.0..40.0f64, step in 0.0..3.0f64) {
            prop_assert!(normal_cdf(x + step) >= normal_cdf(x));
        }
    }
}
