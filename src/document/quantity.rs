//! Quantities with units, as people write them in configuration: `"250ms"`, `"1h30m"`, `"20MiB"`. Knows nothing of documents.

use std::time::Duration;

/// Milliseconds in each unit of time.
const TIME_UNITS: [(&str, f64); 5] = [("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3_600e3), ("d", 86_400e3)];

/// Bytes in each unit of size. SI units are powers of 1000, as the standard has it.
const SIZE_UNITS: [(&str, f64); 9] = [
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("k", 1024.0),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
];

/// A century: longer spans are mistakes, and sums with a clock stay far from overflow.
const LONGEST_MS: f64 = 100.0 * 365.25 * 86_400e3;

/// A span of time: numbers with units `ms`, `s`, `m`, `h`, `d`, the larger first (`"1h30m"`, `"1.5s"`).
///
/// # Errors
/// A message that says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time with a unit, like \"250ms\", \"30s\", \"5m\", \"2h\" or \"30d\"".to_owned();
    let mut rest = text.trim();
    let (mut total, mut last_unit) = (0.0, f64::INFINITY);
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let (number, unit, after) = quantity(rest).ok_or_else(expected)?;
        let (_, milliseconds) = TIME_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
        if milliseconds >= last_unit {
            return Err(expected());
        }
        (total, last_unit, rest) = (total + number * milliseconds, milliseconds, after);
    }
    if total > LONGEST_MS {
        return Err("is longer than a century".to_owned());
    }
    Ok(Duration::from_secs_f64(total / 1e3))
}

/// A size in bytes: a number, with a unit `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB` or `TiB` in any case.
///
/// # Errors
/// A message that says what was expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected a size with a unit, like \"512KiB\" or \"20MiB\"".to_owned();
    let (number, unit, after) = quantity(text.trim()).ok_or_else(expected)?;
    let unit = unit.to_ascii_lowercase();
    let (_, factor) = SIZE_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
    if !after.is_empty() {
        return Err(expected());
    }
    let size = number * factor;
    // 2^53: above it an f64 is no longer exact, and no machine has it.
    if size > 9_007_199_254_740_992.0 {
        return Err("is larger than any machine".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above: a non-negative number below 2^53"
    )]
    Ok(size.round() as u64)
}

/// `1.5s…` as `(1.5, "s", "…")`.
fn quantity(text: &str) -> Option<(f64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let unit = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit);
    let number: f64 = number.replace('_', "").parse().ok()?;
    Some((number, unit, after.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1 year", "30m1h", "1s1s", "1.2.3s", "30S", "inf", "1e3s", "999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [
            ("20MiB", 20 << 20),
            ("20mib", 20 << 20),
            ("1GB", 1_000_000_000),
            ("1.5 KiB", 1536),
            ("10B", 10),
            ("0b", 0),
            ("1_000kB", 1_000_000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "MiB", "20", "20 apples", "-1MiB", "1MiB2KiB", "99999999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
